//! The data of one metric: buckets of the stored resolution, and the statistics over them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::EnumString;

use super::{CloudWatchError, DatumValues, Metric, MetricDatum, rules::refused};

const MS_PER_SECOND: u64 = 1_000;
const MS_PER_MINUTE: u64 = 60_000;

/// Data of one-minute resolution is kept 15 days. (CloudWatch API reference, `GetMetricStatistics`.)
const KEPT_MS: u64 = 15 * 86_400_000;

/// Decimals of a percentile's name.
const DECIMALS_MAX: usize = 10;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Series {
    pub metric: Metric,
    pub last_put_ms: u64,
    /// By unit, then by start.
    buckets: BTreeMap<String, BTreeMap<u64, Bucket>>,
}

/// Holds what was put within one minute, or one second of a high-resolution metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bucket {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
    /// (value, count) in order of value.
    values: Vec<(f64, f64)>,
    /// True once a statistic set came whose single values are not known.
    has_unknown_values: bool,
}

/// Is one statistic by name.
#[derive(Debug, Clone, Copy, PartialEq, EnumString)]
pub(super) enum Statistic {
    SampleCount,
    Sum,
    Average,
    Minimum,
    Maximum,
    /// 0 to 100.
    #[strum(disabled)]
    Percentile(f64),
}

/// Is the span of a query and how it is cut into periods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Periods {
    /// Inclusive.
    pub start_ms: u64,
    /// Exclusive.
    pub end_ms: u64,
    pub period_ms: u64,
    /// A moment at which some period starts.
    pub origin_ms: u64,
}

impl Periods {
    fn start_of(&self, time_ms: u64) -> u64 {
        let since_origin_ms = time_ms - self.origin_ms;
        self.origin_ms + since_origin_ms / self.period_ms * self.period_ms
    }
}

impl Series {
    pub(super) fn new(metric: Metric) -> Self {
        Self { metric, last_put_ms: 0, buckets: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, now_ms: u64, unit: &str, datum: &MetricDatum) {
        let time_ms = datum.timestamp_ms.unwrap_or(now_ms);
        let resolution_ms = match datum.storage_resolution_seconds {
            Some(1) => MS_PER_SECOND,
            _ => MS_PER_MINUTE,
        };
        let buckets = self.buckets.entry(unit.to_owned()).or_default();
        buckets.entry(time_ms / resolution_ms * resolution_ms).or_default().add(&datum.values);
        *buckets = buckets.split_off(&now_ms.saturating_sub(KEPT_MS));
        self.last_put_ms = self.last_put_ms.max(now_ms);
    }

    pub(super) fn units(&self) -> impl Iterator<Item = &str> {
        self.buckets.keys().map(String::as_str)
    }

    /// Returns the periods that have data of a unit, by their start.
    pub(super) fn aggregate(&self, unit: &str, periods: Periods) -> BTreeMap<u64, Bucket> {
        let mut aggregated: BTreeMap<u64, Bucket> = BTreeMap::new();
        let buckets = self.buckets.get(unit).into_iter();
        for (time_ms, bucket) in buckets.flat_map(|buckets| buckets.range(periods.start_ms..periods.end_ms)) {
            aggregated.entry(periods.start_of(*time_ms)).or_default().merge(bucket);
        }
        aggregated
    }
}

impl Bucket {
    /// Returns a statistic; a percentile only where every value is known and none is negative, and no average where all
    /// counts are zero. (CloudWatch API reference, `GetMetricStatistics`.)
    pub(super) fn statistic(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::SampleCount => Some(self.sample_count),
            Statistic::Sum => Some(self.sum),
            Statistic::Average => (self.sample_count > 0.0).then_some(self.sum / self.sample_count),
            Statistic::Minimum => Some(self.minimum),
            Statistic::Maximum => Some(self.maximum),
            Statistic::Percentile(percent) => self.percentile(percent),
        }
    }

    /// Returns the smallest value that at least this share of the samples does not pass.
    fn percentile(&self, percent: f64) -> Option<f64> {
        if self.has_unknown_values || self.minimum < 0.0 {
            return None;
        }
        let wanted = self.sample_count * percent / 100.0;
        let mut passed = 0.0;
        for (value, count) in &self.values {
            passed += count;
            if passed >= wanted {
                return Some(*value);
            }
        }
        self.values.last().map(|(value, _)| *value)
    }

    fn add(&mut self, values: &DatumValues) {
        match values {
            DatumValues::Single(value) => self.add_value(*value, 1.0),
            DatumValues::Many { values, counts } => {
                for (index, value) in values.iter().enumerate() {
                    self.add_value(*value, counts.get(index).copied().unwrap_or(1.0));
                }
            }
            DatumValues::StatisticSet { sample_count, sum, minimum, maximum } => {
                let is_one_value = *sample_count <= 1.0 || minimum >= maximum;
                if is_one_value {
                    self.add_value(*minimum, *sample_count);
                } else {
                    self.extend_range(*sample_count, *minimum, *maximum);
                    self.sum += sum;
                    self.has_unknown_values = true;
                }
            }
        }
    }

    fn add_value(&mut self, value: f64, count: f64) {
        self.extend_range(count, value, value);
        self.sum += value * count;
        match self.values.binary_search_by(|(known, _)| known.total_cmp(&value)) {
            Ok(index) => self.values[index].1 += count,
            Err(index) => self.values.insert(index, (value, count)),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.extend_range(other.sample_count, other.minimum, other.maximum);
        self.sum += other.sum;
        self.has_unknown_values |= other.has_unknown_values;
        self.values.extend_from_slice(&other.values);
        self.values.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    }

    fn extend_range(&mut self, sample_count: f64, minimum: f64, maximum: f64) {
        // A value of count zero moves the range too.
        let is_first = self.values.is_empty() && !self.has_unknown_values;
        self.minimum = if is_first { minimum } else { self.minimum.min(minimum) };
        self.maximum = if is_first { maximum } else { self.maximum.max(maximum) };
        self.sample_count += sample_count;
    }
}

impl Statistic {
    /// Reads a name: one of the five, or `p` and a number from 0 to 100 with at most ten decimals.
    pub(super) fn parse(name: &str) -> Result<Self, CloudWatchError> {
        let is_short = |text: &&str| text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= DECIMALS_MAX);
        let percent = name.strip_prefix('p').filter(is_short).and_then(|text| text.parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(Self::Percentile)
            .or_else(|| name.parse().ok())
            .ok_or(refused("Statistics", "SampleCount, Sum, Average, Minimum, Maximum or p0 to p100"))
    }
}
