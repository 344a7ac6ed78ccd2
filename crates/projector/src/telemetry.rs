//! What is measured of a batch, as data of CloudWatch.

use std::collections::BTreeMap;

use ledger::{
    metric::{Datum, Metric, NAMESPACE, Sample, dimension, is_dimension_value, minute_of, to_data},
    metric_tenants::TenantDimensions,
    projection::{Distribution, MinuteStatistics, UNKNOWN_EVENT_TYPE},
};
use ledger_aws::{Recorder, emf_lines};
use metrics::{counter, gauge, histogram};

use crate::record::{Change, Record};

/// What a batch has done, apart from its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub revalidated: u64,
    pub unexpected: u64,
    pub unreadable: u64,
    /// Entries of the Go system.
    pub older: u64,
    /// Entries too old or too far ahead for a metric.
    pub outside_time: u64,
    pub alerts: u64,
    pub suppressed: u64,
}

/// Statistics of a batch, by the minute its entries were judged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    minutes: BTreeMap<u64, MinuteStatistics>,
    pub work: Work,
}

impl Statistics {
    pub(crate) fn of(records: &[Record], now_ms: u64) -> Self {
        let mut statistics = Self::default();
        for record in records {
            match &record.change {
                Change::Appended(entry) => match minute_of(entry.ingested_at_ms, now_ms) {
                    Some(minute_ms) => {
                        let written_at_ms = record.written_at_ms.unwrap_or(entry.ingested_at_ms);
                        statistics.minutes.entry(minute_ms).or_default().add(entry, written_at_ms, now_ms);
                    }
                    None => statistics.work.outside_time += 1,
                },
                Change::Revalidated(_) => statistics.work.revalidated += 1,
                Change::UnexpectedModify => statistics.work.unexpected += 1,
                Change::Unreadable(_) => statistics.work.unreadable += 1,
                Change::Older => statistics.work.older += 1,
                Change::Removed => {}
            }
        }
        statistics
    }

    pub(crate) fn to_data(&self, dimensions: &TenantDimensions, now_ms: u64) -> Vec<Datum> {
        let mut data = Vec::new();
        for (minute_ms, minute) in &self.minutes {
            data.extend(to_data(samples(|| record_minute(minute, dimensions)), *minute_ms));
        }
        let tenants = dimensions.len();
        data.extend(to_data(samples(|| record_work(&self.work, tenants)), now_ms / 60_000 * 60_000));
        data
    }
}

/// What a section of this thread measures.
fn samples(section: impl FnOnce()) -> Vec<Sample> {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, section);
    recorder.drain()
}

fn record_minute(minute: &MinuteStatistics, dimensions: &TenantDimensions) {
    let events = Metric::Events.name();
    for ((tenant_id, event_type, verdict), count) in &minute.events {
        let status = verdict.as_str();
        let tenant = dimensions.of(tenant_id).to_owned();
        let event_type = if is_dimension_value(event_type) { event_type } else { UNKNOWN_EVENT_TYPE }.to_owned();
        counter!(events, dimension::STATUS => status).increment(*count);
        counter!(events, dimension::TENANT_ID => tenant, dimension::STATUS => status).increment(*count);
        counter!(events, dimension::EVENT_TYPE => event_type, dimension::STATUS => status).increment(*count);
    }
    record_values(Metric::IngestLatency, &minute.ingest_latency_ms);
    record_values(Metric::ProjectionLag, &minute.projection_lag_ms);
    record_values(Metric::PayloadBytes, &minute.payload_bytes);
}

fn record_values(metric: Metric, distribution: &Distribution) {
    let histogram = histogram!(metric.name());
    for (value, count) in &distribution.0 {
        histogram.record_many(*value as f64, usize::try_from(*count).unwrap_or(usize::MAX));
    }
}

fn record_work(work: &Work, tenants: usize) {
    gauge!(Metric::MetricTenantsInUse.name()).set(tenants as f64);
    for (metric, count) in [
        (Metric::Revalidated, work.revalidated),
        (Metric::UnexpectedModify, work.unexpected),
        (Metric::UnreadableRecords, work.unreadable),
        (Metric::OlderThanReadModels, work.older),
        (Metric::OutsideMetricTime, work.outside_time),
        (Metric::AlertsPublished, work.alerts),
        (Metric::AlertsSuppressed, work.suppressed),
    ] {
        if count > 0 {
            counter!(metric.name()).increment(count);
        }
    }
}

/// Counts refused puts where a put cannot: in the log, in the Embedded Metric Format.
pub(crate) fn lines_for_refused_puts(refused_puts: u64, now_ms: u64) -> Vec<String> {
    let samples = samples(|| {
        if refused_puts > 0 {
            counter!(Metric::MetricPutFailures.name()).increment(refused_puts);
        }
    });
    emf_lines(NAMESPACE, now_ms, &samples)
}
