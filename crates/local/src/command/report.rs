//! What happened, for people and for programs: counts, the newest entries, metrics, and where everything is.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use cloudsim::{
    cloudwatch::{ListMetricsRequest, Metric, StatisticsRequest},
    deployment::Role,
};
use dynoxide::DynoxideError;
use ledger::{Item, metric::NAMESPACE, projection::Verdict};
use serde::Serialize;

use crate::{
    reconciliation::{Reconciliation, columns, count, count_all, newest},
    services::Services,
    state::State,
};

/// Entries in the table for people.
const ENTRIES_SHOWN_MAX: usize = 20;

const HOUR_MS: u64 = 3_600_000;
const DAY_SECONDS: u32 = 86_400;

/// How far back and ahead of now metrics may lie: CloudWatch takes two weeks and two hours.
const METRICS_BEFORE_MS: u64 = 15 * 24 * HOUR_MS;
const METRICS_AFTER_MS: u64 = 3 * HOUR_MS;

/// The outcome of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `true` where each event sent became an entry, each entry was counted, and nothing was given up.
    pub landed: bool,
    /// Events sent in this run.
    pub sent: u64,
    /// Entries in the ledger.
    pub ready: u64,
    pub invalid: u64,
    /// Entries in the projections.
    pub projected: u64,
    /// Messages that came to the dead-letter queue or the projector's failures queue in this run.
    pub given_up: u64,
    /// Alerts published.
    pub alerts: u64,
    pub metrics: Vec<MetricValue>,
    pub elapsed_ms: u64,
}

/// A metric over all time.
#[derive(Debug, Serialize)]
pub(super) struct MetricValue {
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
    /// `Sum` for counts, `Average` for the rest.
    pub statistic: &'static str,
    pub unit: String,
    pub value: f64,
}

/// What was there when a run began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    entries: u64,
    given_up: u64,
}

impl Before {
    /// Looks before a run.
    ///
    /// # Errors
    ///
    /// The tables cannot be read.
    pub(super) fn read(services: &Services) -> Result<Self, DynoxideError> {
        Ok(Self { entries: count_all(&Reconciliation::read(services)?.recorded), given_up: given_up(services) })
    }
}

impl Report {
    /// Sums a run up that sent `sent` events.
    pub(super) fn new(
        services: &Services,
        reconciled: &Reconciliation,
        sent: u64,
        before: Before,
        elapsed: Duration,
    ) -> Self {
        let (ready, invalid) =
            (count(&reconciled.recorded, Verdict::Ready), count(&reconciled.recorded, Verdict::Invalid));
        let given_up = given_up(services).saturating_sub(before.given_up);
        Self {
            landed: reconciled.agree() && ready + invalid == before.entries + sent && given_up == 0,
            sent,
            ready,
            invalid,
            projected: count_all(&reconciled.projected),
            given_up,
            alerts: services.shared.look(|state, _| state.published_total),
            metrics: metrics(services),
            elapsed_ms: elapsed.as_millis() as u64,
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let seconds = self.elapsed_ms as f64 / 1_000.0;
        let mut line = format!(
            "{} sent in this run; the ledger holds {} READY and {} INVALID, {} projected; {} alerts; {seconds:.2} s",
            events(self.sent),
            self.ready,
            self.invalid,
            self.projected,
            self.alerts
        );
        if self.given_up > 0 {
            let _ = write!(line, "; {} given up", self.given_up);
        }
        if !self.landed {
            line.push_str("\nnot everything landed");
        }
        line
    }
}

/// The newest entries as a table.
pub(super) fn entries_table(entries: &[Item]) -> String {
    let mut rows = vec![["TENANT", "STATUS", "EVENT TYPE", "CREATED AT", "EVENT ID"].map(str::to_owned)];
    rows.extend(newest(entries, ENTRIES_SHOWN_MAX).into_iter().map(columns));
    table(&rows)
}

/// Where things are, and commands to paste.
pub(super) fn guide(services: &Services, page_url: &str) -> String {
    let deployment = &services.deployment;
    let (endpoint, region) = (&deployment.endpoint_url, &deployment.account.region);
    // The option and not the variable: version 1 of the CLI does not look at AWS_ENDPOINT_URL for SQS.
    let aws = format!("aws --endpoint-url {endpoint}");
    format!(
        "endpoint  {endpoint}\npage      {page_url}\n\n\
         export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION={region}\n\
         {aws} lambda invoke --function-name {} /dev/stdout\n\
         {aws} dynamodb query --table-name {} --key-condition-expression 'tenant_id = :t' \
         --expression-attribute-values '{{\":t\":{{\"S\":\"tenant-a\"}}}}'\n\
         {aws} sqs get-queue-attributes --queue-url {} --attribute-names All\n\
         {aws} cloudwatch list-metrics --namespace {NAMESPACE}\n",
        deployment.function_name(Role::Seeder),
        deployment.project.events_table(),
        deployment.queue_url(&deployment.project.events_queue()),
    )
}

fn given_up(services: &Services) -> u64 {
    let queues = [services.deployment.project.dead_letter_queue(), services.deployment.project.failures_queue()];
    services.shared.look(|state, now_ms| {
        let attributes = queues.iter().filter_map(|queue| state.sqs.queue_attributes(now_ms, queue).ok());
        attributes.filter_map(|attributes| attributes["ApproximateNumberOfMessages"].parse::<u64>().ok()).sum()
    })
}

/// The project's metrics over all time.
pub(super) fn metrics(services: &Services) -> Vec<MetricValue> {
    services.shared.look(|state, now_ms| {
        let mut values = Vec::new();
        let mut request = ListMetricsRequest { namespace: Some(NAMESPACE.to_owned()), ..ListMetricsRequest::default() };
        while let Ok(page) = state.metrics.list_metrics(now_ms, &request) {
            values.extend(page.metrics.into_iter().filter_map(|metric| metric_value(state, now_ms, metric)));
            if page.next_token.is_none() {
                break;
            }
            request.next_token = page.next_token;
        }
        values
    })
}

fn metric_value(state: &State, now_ms: u64, metric: Metric) -> Option<MetricValue> {
    let request = StatisticsRequest {
        metric,
        start_ms: now_ms.saturating_sub(METRICS_BEFORE_MS),
        end_ms: now_ms + METRICS_AFTER_MS,
        period_seconds: DAY_SECONDS,
        statistics: ["Sum", "SampleCount"].map(str::to_owned).into(),
        unit: None,
    };
    let datapoints = state.metrics.get_metric_statistics(&request).ok()?;
    let total = |name: &str| -> f64 { datapoints.iter().filter_map(|datapoint| datapoint.statistics.get(name)).sum() };
    let unit = datapoints.first()?.unit.clone();
    let (statistic, value) = match unit.as_str() {
        "Count" => ("Sum", total("Sum")),
        _ => ("Average", total("Sum") / total("SampleCount")),
    };
    let dimensions = request.metric.dimensions.into_iter().map(|dimension| (dimension.name, dimension.value));
    Some(MetricValue { name: request.metric.name, dimensions: dimensions.collect(), statistic, unit, value })
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}
