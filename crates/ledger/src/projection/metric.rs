//! Every metric the system emits, by name, unit and dimension, and the limits CloudWatch sets on a call that puts them.
//! The dashboard and the alarms are checked against this list.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// Namespace of all metrics.
pub const NAMESPACE: &str = "EventProcessor";

/// Data in one `PutMetricData` call, values in one datum, and bytes in one call ("CloudWatch quotas").
pub const DATA_PER_CALL_MAX: usize = 1_000;
pub const VALUES_PER_DATUM_MAX: usize = 150;
pub const CALL_BYTES_MAX: usize = 1_000_000;
/// Upper bounds of what a datum costs on the wire beyond its texts, and each of its values with its count.
const DATUM_BYTES: usize = 160;
const VALUE_BYTES: usize = 24;

/// How old and how far ahead a timestamp may be ("PutMetricData"), each less five minutes for the clocks' difference.
const PAST_MS_MAX: u64 = (14 * 24 * 60 - 5) * 60_000;
const FUTURE_MS_MAX: u64 = (2 * 60 - 5) * 60_000;

/// Names of the dimensions.
pub mod dimension {
    pub const STATUS: &str = "Status";
    pub const TENANT_ID: &str = "TenantId";
    pub const EVENT_TYPE: &str = "EventType";
}

/// All tenants that have no dimension of their own.
pub const OTHER_TENANTS: &str = "_other";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
pub enum Unit {
    Count,
    Milliseconds,
    Bytes,
}

impl Unit {
    /// The name CloudWatch knows.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A metric of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum Metric {
    /// Entries the processor appended, by Status.
    Recorded,
    /// Equal events a producer sent again.
    Duplicates,
    /// Messages SQS delivered again.
    Redeliveries,
    /// Events with the id of an earlier one and other content.
    Conflicts,
    /// Claims whose entry was missing and was appended later.
    FinishedClaims,
    /// Entries recorded for claims so old that an earlier entry may have been there and expired.
    ExpiredClaims,
    /// Messages given back to SQS because AWS refused us.
    TransientFailures,
    /// Envelopes whose tenant is not their message group.
    GroupMismatch,
    /// Messages in an invocation of the processor.
    BatchSize,
    /// Time an invocation of the processor took.
    Duration,
    /// Entries projected: by Status, by TenantId and Status, by EventType and Status.
    Events,
    /// From an entry's `created_at` to its `ingested_at`.
    IngestLatency,
    /// From the write of an entry to its projection.
    ProjectionLag,
    /// Size of payloads and raw bodies, as DynamoDB counts it.
    PayloadBytes,
    /// INVALID entries that became READY.
    Revalidated,
    /// Changes of entries that nothing of ours makes.
    UnexpectedModify,
    /// Deletions of entries by anything but their time to live.
    UnexpectedRemove,
    /// Records that a read model does not count, because they cannot be read or DynamoDB refuses its item.
    UncountedRecords,
    /// Stream records of entries that the Go system wrote, which no read model counts.
    OlderThanReadModels,
    /// Tenants with a dimension of their own.
    MetricTenantsInUse,
    /// Alerts and digests that SNS took.
    AlertsPublished,
    /// Alerts and digests that SNS refused.
    AlertsRefused,
    /// Tenants with an alert pending, put by every tick.
    AlertsPending,
    /// Time since the oldest pending alert's first entry was judged, put by every tick.
    AlertsPendingAge,
    /// Entries left out of the metrics because CloudWatch takes nothing so old or so far ahead.
    OutsideMetricTime,
    /// Calls of `PutMetricData` that were refused.
    MetricPutFailures,
}

impl Metric {
    pub fn all() -> impl Iterator<Item = Self> {
        Self::VARIANTS.iter().copied()
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn unit(self) -> Unit {
        match self {
            Self::Duration | Self::IngestLatency | Self::ProjectionLag | Self::AlertsPendingAge => Unit::Milliseconds,
            Self::PayloadBytes => Unit::Bytes,
            Self::Recorded
            | Self::Duplicates
            | Self::Redeliveries
            | Self::Conflicts
            | Self::FinishedClaims
            | Self::ExpiredClaims
            | Self::TransientFailures
            | Self::GroupMismatch
            | Self::BatchSize
            | Self::Events
            | Self::Revalidated
            | Self::UnexpectedModify
            | Self::UnexpectedRemove
            | Self::UncountedRecords
            | Self::OlderThanReadModels
            | Self::MetricTenantsInUse
            | Self::AlertsPublished
            | Self::AlertsRefused
            | Self::AlertsPending
            | Self::OutsideMetricTime
            | Self::MetricPutFailures => Unit::Count,
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// Name and value of a dimension.
pub type Dimension = (String, String);

/// One metric as it was measured: every different value, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    /// In the order of their names.
    pub dimensions: Vec<Dimension>,
    pub unit: Option<Unit>,
    pub values: Vec<(f64, u64)>,
}

/// A sample, or a part of one, that fits one datum of `PutMetricData`.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    pub sample: Sample,
    /// Milliseconds since the epoch, a whole minute.
    pub minute_ms: u64,
}

impl Datum {
    /// Upper bound of its size in a call.
    fn bytes(&self) -> usize {
        let dimensions = self.sample.dimensions.iter().map(|(name, value)| name.len() + value.len() + DATUM_BYTES / 4);
        DATUM_BYTES + self.sample.name.len() + dimensions.sum::<usize>() + self.sample.values.len() * VALUE_BYTES
    }
}

/// Cuts samples of one minute into data.
pub fn to_data(samples: Vec<Sample>, minute_ms: u64) -> Vec<Datum> {
    let mut data = Vec::with_capacity(samples.len());
    for sample in samples {
        for values in sample.values.chunks(VALUES_PER_DATUM_MAX) {
            let part = Sample { values: values.to_vec(), ..sample.clone() };
            data.push(Datum { sample: part, minute_ms });
        }
    }
    data
}

/// Shares data out to as few calls as their limits allow, in order.
pub fn to_calls(data: Vec<Datum>) -> Vec<Vec<Datum>> {
    let mut calls: Vec<Vec<Datum>> = Vec::new();
    let mut bytes = 0;
    for datum in data {
        let more = datum.bytes();
        match calls.last_mut() {
            Some(call) if call.len() < DATA_PER_CALL_MAX && bytes + more <= CALL_BYTES_MAX => {
                call.push(datum);
                bytes += more;
            }
            _ => {
                calls.push(vec![datum]);
                bytes = more;
            }
        }
    }
    calls
}

/// The minute a moment lies in, if CloudWatch takes it at `now_ms`.
pub fn minute_of(moment_ms: u64, now_ms: u64) -> Option<u64> {
    let minute_ms = moment_ms / 60_000 * 60_000;
    let is_taken = minute_ms.saturating_add(PAST_MS_MAX) >= now_ms && minute_ms <= now_ms.saturating_add(FUTURE_MS_MAX);
    is_taken.then_some(minute_ms)
}

/// Whether CloudWatch takes a text as the value of a dimension ("Dimension": printable ASCII, not starting with `:`).
pub fn is_dimension_value(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(':') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: usize) -> Sample {
        let values = (0..values).map(|value| (value as f64, 1)).collect();
        Sample { name: "Events".to_owned(), dimensions: vec![], unit: Some(Unit::Count), values }
    }

    #[test]
    fn names_are_unique_and_read_back() {
        for metric in Metric::all() {
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
    }

    #[test]
    fn no_value_is_lost_and_no_limit_passed_when_samples_are_cut() {
        let data = to_data(vec![sample(301), sample(150), sample(1)], 60_000);
        assert_eq!(data.iter().map(|datum| datum.sample.values.len()).collect::<Vec<_>>(), [150, 150, 1, 150, 1]);
        assert!(data.iter().all(|datum| datum.minute_ms == 60_000));
    }

    #[test]
    fn calls_are_filled_to_a_thousand_data_or_a_megabyte() {
        let sizes =
            |samples: Vec<Sample>| -> Vec<usize> { to_calls(to_data(samples, 0)).iter().map(Vec::len).collect() };
        assert_eq!(sizes(vec![sample(1); 2_001]), [1_000, 1_000, 1]);
        let large = sizes(vec![sample(150); 600]);
        assert_eq!(large.iter().sum::<usize>(), 600);
        assert_eq!(large.len(), 3, "{large:?}");
        assert!(sizes(vec![]).is_empty());
    }

    #[test]
    fn only_minutes_that_cloudwatch_takes_are_stamped() {
        let now = 1_768_469_430_000;
        let hour = 3_600_000;
        assert_eq!(minute_of(now, now), Some(1_768_469_400_000));
        assert!(minute_of(now - 13 * 24 * hour, now).is_some());
        assert_eq!(minute_of(now - 14 * 24 * hour, now), None);
        assert!(minute_of(now + hour, now).is_some());
        assert_eq!(minute_of(now + 2 * hour, now), None);
        assert_eq!(minute_of(0, now), None);
        assert_eq!(minute_of(u64::MAX - 1_000_000_000_000, now), None);
    }

    #[test]
    fn a_tenant_that_starts_with_a_colon_is_no_dimension_value() {
        for (text, expected) in [("tenant-a", true), (":a", false), ("", false), ("é", false), ("a b", false)] {
            assert_eq!(is_dimension_value(text), expected, "{text:?}");
        }
    }
}
