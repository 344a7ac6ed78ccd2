//! What is measured of a batch: its entries, as data of CloudWatch, and what was done, as log lines in the Embedded
//! Metric Format: a refused `PutMetricData` could not report itself.

use std::collections::BTreeMap;

use ledger::{
    TenantId,
    metric::{Datum, Metric, NAMESPACE, Sample, dimension, is_dimension_value, minute_of, to_data},
    metric_tenants::TenantDimensions,
    projection::{Distribution, MinuteStatistics, UNKNOWN_EVENT_TYPE},
};
use ledger_aws::{Recorder, emf_lines};
use metrics::{counter, gauge};

use crate::record::{Change, Record};

/// What an invocation has done, apart from its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub revalidated: u64,
    pub unexpected_modify: u64,
    pub unexpected_remove: u64,
    /// Records that some read model does not count.
    pub uncounted: u64,
    /// Entries of the Go system.
    pub older: u64,
    /// Entries too old or too far ahead for a metric.
    pub outside_time: u64,
    /// Tenants with a dimension of their own; absent where nothing was put.
    pub metric_tenants: Option<u64>,
    /// Calls of `PutMetricData` that were refused.
    pub refused_puts: u64,
    pub alerts_published: u64,
    pub alerts_refused: u64,
    /// Tenants with an alert pending, and the age of the oldest in milliseconds; of a tick alone.
    pub pending: Option<(u64, u64)>,
}

/// Statistics of what was committed, by the minute its entries were judged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    minutes: BTreeMap<u64, MinuteStatistics>,
    pub work: Work,
}

impl Statistics {
    /// Adds a record that is committed at `now_ms`.
    pub(crate) fn add(&mut self, record: &Record, now_ms: u64) {
        match &record.change {
            Change::Appended(entry) => match minute_of(entry.ingested_at_ms, now_ms) {
                Some(minute_ms) => {
                    let written_at_ms = record.written_at_ms.unwrap_or(entry.ingested_at_ms);
                    self.minutes.entry(minute_ms).or_default().add(entry, written_at_ms, now_ms);
                }
                None => self.work.outside_time += 1,
            },
            Change::Revalidated(_) => self.work.revalidated += 1,
            Change::UnexpectedModify => self.work.unexpected_modify += 1,
            Change::UnexpectedRemove => self.work.unexpected_remove += 1,
            Change::Older => self.work.older += 1,
            Change::Unreadable(_) | Change::Expired => {}
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.minutes.values().flat_map(|minute| minute.events.keys()).map(|(tenant_id, ..)| tenant_id)
    }

    pub(crate) fn to_data(&self, dimensions: &TenantDimensions) -> Vec<Datum> {
        self.minutes
            .iter()
            .flat_map(|(minute_ms, minute)| to_data(samples_of(minute, dimensions), *minute_ms))
            .collect()
    }
}

fn samples_of(minute: &MinuteStatistics, dimensions: &TenantDimensions) -> Vec<Sample> {
    let mut events: BTreeMap<Vec<(String, String)>, u64> = BTreeMap::new();
    for ((tenant_id, event_type, verdict), count) in &minute.events {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let status = pair(dimension::STATUS, verdict.as_str());
        let event_type = if is_dimension_value(event_type) { event_type } else { UNKNOWN_EVENT_TYPE };
        for cell in [
            vec![status.clone()],
            vec![status.clone(), pair(dimension::TENANT_ID, dimensions.of(tenant_id))],
            vec![pair(dimension::EVENT_TYPE, event_type), status],
        ] {
            *events.entry(cell).or_default() += count;
        }
    }
    let sample = |metric: Metric, dimensions, values| Sample {
        name: metric.name().to_owned(),
        dimensions,
        unit: Some(metric.unit()),
        values,
    };
    let mut samples: Vec<Sample> = events
        .into_iter()
        .map(|(dimensions, count)| sample(Metric::Events, dimensions, vec![(count as f64, 1)]))
        .collect();
    for (metric, Distribution(values)) in [
        (Metric::IngestLatency, &minute.ingest_latency_ms),
        (Metric::ProjectionLag, &minute.projection_lag_ms),
        (Metric::PayloadBytes, &minute.payload_bytes),
    ] {
        let values: Vec<(f64, u64)> = values.iter().map(|(value, count)| (*value as f64, *count)).collect();
        if !values.is_empty() {
            samples.push(sample(metric, Vec::new(), values));
        }
    }
    samples
}

/// Log lines that CloudWatch reads as metrics.
pub(crate) fn lines_of(work: &Work, now_ms: u64) -> Vec<String> {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || record(work));
    emf_lines(NAMESPACE, now_ms, &recorder.drain())
}

fn record(work: &Work) {
    for (metric, count) in [
        (Metric::Revalidated, work.revalidated),
        (Metric::UnexpectedModify, work.unexpected_modify),
        (Metric::UnexpectedRemove, work.unexpected_remove),
        (Metric::UncountedRecords, work.uncounted),
        (Metric::OlderThanReadModels, work.older),
        (Metric::OutsideMetricTime, work.outside_time),
        (Metric::MetricPutFailures, work.refused_puts),
        (Metric::AlertsPublished, work.alerts_published),
        (Metric::AlertsRefused, work.alerts_refused),
    ] {
        if count > 0 {
            counter!(metric.name()).increment(count);
        }
    }
    let (pending, age_ms) = work.pending.unzip();
    for (metric, value) in [
        (Metric::MetricTenantsInUse, work.metric_tenants),
        (Metric::AlertsPending, pending),
        (Metric::AlertsPendingAge, age_ms),
    ] {
        if let Some(value) = value {
            gauge!(metric.name()).set(value as f64);
        }
    }
}
