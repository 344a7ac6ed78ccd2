//! CloudWatch metrics: putting data with the limits of `PutMetricData`, and reading statistics.
//!
//! Data is readable at once, where AWS takes a while. Not here: alarms, metric math, metric streams,
//! the coarser resolutions AWS keeps beyond 15 days, AWS's own namespaces.

mod rules;
mod series;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::series::{Periods, Series, Statistic};

const DATAPOINTS_MAX: u64 = 1_440;
const QUERIES_MAX: usize = 500;
const LIST_PAGE_SIZE: usize = 500;
const LISTED_MS: u64 = 14 * 86_400_000;
const MS_PER_SECOND: u64 = 1_000;
const SECONDS_PER_MINUTE: u32 = 60;
const NO_UNIT: &str = "None";

/// Holds metric data of one account and region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MetricStore {
    /// By namespace, name and sorted dimensions in one text.
    series: BTreeMap<String, Series>,
}

/// Is one dimension of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dimension {
    pub name: String,
    pub value: String,
}

/// Names a metric: the order of the dimensions does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: Vec<Dimension>,
}

/// Is one datum of a `PutMetricData` call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDatum {
    pub name: String,
    pub dimensions: Vec<Dimension>,
    /// `None` is the time of the call.
    pub timestamp_ms: Option<u64>,
    pub values: DatumValues,
    /// A CloudWatch unit such as `Count`; `None` is the unit `None`.
    pub unit: Option<String>,
    /// 1 or 60 seconds; `None` is 60.
    pub storage_resolution_seconds: Option<u32>,
}

/// Is what a datum measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DatumValues {
    Single(f64),
    /// Up to 150 values; `counts` is as long, or empty for one each.
    Many {
        values: Vec<f64>,
        counts: Vec<f64>,
    },
    StatisticSet {
        sample_count: f64,
        sum: f64,
        minimum: f64,
        maximum: f64,
    },
}

/// Asks `GetMetricStatistics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatisticsRequest {
    pub metric: Metric,
    pub start_ms: u64,
    pub end_ms: u64,
    pub period_seconds: u32,
    /// Names as on AWS: `SampleCount`, `Sum`, `Average`, `Minimum`, `Maximum`, `p99`, `p99.9`.
    pub statistics: Vec<String>,
    pub unit: Option<String>,
}

/// Is one period of `GetMetricStatistics`: its start and the asked statistics by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datapoint {
    pub timestamp_ms: u64,
    pub unit: String,
    /// A percentile that cannot be known from statistic sets is absent.
    pub statistics: BTreeMap<String, f64>,
}

/// Is one metric query of `GetMetricData`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDataQuery {
    pub id: String,
    pub label: Option<String>,
    pub metric: Metric,
    pub period_seconds: u32,
    pub stat: String,
    pub unit: Option<String>,
    pub return_data: bool,
}

/// Asks `GetMetricData`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDataRequest {
    pub queries: Vec<MetricDataQuery>,
    pub start_ms: u64,
    pub end_ms: u64,
    /// Newest first (the default on AWS) or oldest first.
    pub newest_first: bool,
}

/// Is the answer to one metric query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDataResult {
    pub id: String,
    pub label: String,
    /// Oldest first or newest first, as asked.
    pub points: Vec<(u64, f64)>,
    /// The units of the data in the span, where there are several: the points are of the first.
    pub units: Vec<String>,
}

/// Asks `ListMetrics`; absent parts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMetricsRequest {
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub dimensions: Vec<DimensionFilter>,
    pub next_token: Option<String>,
}

/// Matches a dimension by name, and by value where given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimensionFilter {
    pub name: String,
    pub value: Option<String>,
}

/// Is one page of `ListMetrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricPage {
    pub metrics: Vec<Metric>,
    pub next_token: Option<String>,
}

/// Refuses a CloudWatch call, as AWS does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloudWatchError {
    #[error("The value for parameter {parameter} is invalid: {reason}.")]
    InvalidParameterValue { parameter: &'static str, reason: &'static str },
    #[error("The parameter StartTime must be less than the parameter EndTime.")]
    EmptySpan,
    /// The same in the words of `GetMetricData`.
    #[error("The parameter EndTime must be greater than StartTime.")]
    EndBeforeStart,
    #[error("The parameter StartTime must not equal parameter EndTime.")]
    EndAtStart,
    #[error("Must specify either Statistics or ExtendedStatistics")]
    NoStatistics,
    /// The number of the datum, from 1.
    #[error("The parameters MetricData.member.{0}.Values and MetricData.member.{0}.Counts must be of the same size.")]
    DifferentSizes(usize),
    /// The number of the datum, from 1, and what excludes its value.
    #[error(
        "The parameters MetricData.member.{0}.Value and MetricData.member.{0}.{1} are mutually exclusive and you have \
         specified both."
    )]
    ValueBeside(usize, &'static str),
    #[error(
        "You have requested up to {0} datapoints, which exceeds the limit of {DATAPOINTS_MAX}. You may reduce the \
         datapoints requested by increasing Period, or decreasing the time range."
    )]
    TooManyDatapoints(u64),
    #[error("The parameter {parameter} is required.")]
    MissingParameter { parameter: &'static str },
    #[error("The next token is invalid.")]
    InvalidNextToken,
}

impl CloudWatchError {
    /// Returns the shape's name of the JSON and CBOR protocols, then the code of the query protocol.
    #[must_use]
    pub fn codes(&self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidParameterValue { .. } | Self::EmptySpan | Self::DifferentSizes(_) => {
                ("InvalidParameterValueException", "InvalidParameterValue")
            }
            Self::ValueBeside(..) | Self::TooManyDatapoints(_) | Self::NoStatistics => {
                ("InvalidParameterCombinationException", "InvalidParameterCombination")
            }
            Self::EndBeforeStart | Self::EndAtStart => ("ValidationError", "ValidationError"),
            Self::MissingParameter { .. } => ("MissingRequiredParameterException", "MissingParameter"),
            Self::InvalidNextToken => ("InvalidNextToken", "InvalidNextToken"),
        }
    }
}

impl MetricStore {
    /// Takes the data of one call, all or none.
    pub fn put(&mut self, now_ms: u64, namespace: &str, data: &[MetricDatum]) -> Result<(), CloudWatchError> {
        rules::check_put(now_ms, namespace, data)?;
        for datum in data {
            let metric = Metric {
                namespace: namespace.to_owned(),
                name: datum.name.clone(),
                dimensions: sorted(&datum.dimensions),
            };
            let unit = datum.unit.as_deref().unwrap_or(NO_UNIT);
            self.series.entry(key(&metric)).or_insert_with(|| Series::new(metric)).put(now_ms, unit, datum);
        }
        Ok(())
    }

    /// Returns the periods that have data, oldest first, each unit apart; an unknown metric has none.
    ///
    /// The start is rounded down to the minute (or to a shorter period), and the periods are counted
    /// from there. (CloudWatch API reference, `GetMetricStatistics`.)
    pub fn get_metric_statistics(&self, request: &StatisticsRequest) -> Result<Vec<Datapoint>, CloudWatchError> {
        if request.statistics.is_empty() {
            return Err(CloudWatchError::NoStatistics);
        }
        let parsed = request.statistics.iter().map(|name| Ok((name, Statistic::parse(name)?)));
        let statistics: Vec<(&String, Statistic)> = parsed.collect::<Result<_, _>>()?;
        if span(request.start_ms, request.end_ms) != Ordering::Less {
            return Err(CloudWatchError::EmptySpan);
        }
        let mut periods = periods(request.start_ms, request.end_ms, request.period_seconds)?;
        periods.origin_ms = periods.start_ms;
        let count = (request.end_ms - request.start_ms).div_ceil(periods.period_ms);
        if count > DATAPOINTS_MAX {
            return Err(CloudWatchError::TooManyDatapoints(count));
        }
        if let Some(unit) = &request.unit {
            rules::check_unit(unit)?;
        }
        let Some(series) = self.series.get(&key(&request.metric)) else {
            return Ok(Vec::new());
        };
        let mut datapoints = Vec::new();
        for unit in series.units() {
            if request.unit.as_deref().is_some_and(|wanted| wanted != unit) {
                continue;
            }
            for (timestamp_ms, bucket) in series.aggregate(unit, periods) {
                let known = statistics.iter().filter_map(|(name, statistic)| {
                    let value = bucket.statistic(*statistic)?;
                    Some(((*name).clone(), value))
                });
                datapoints.push(Datapoint { timestamp_ms, unit: unit.to_owned(), statistics: known.collect() });
            }
        }
        datapoints.sort_by_key(|datapoint| datapoint.timestamp_ms);
        Ok(datapoints)
    }

    /// Answers metric queries; periods lie on multiples of their length since the epoch. Without a unit the first of
    /// those that the data has is answered; which one it is on AWS is not promised.
    pub fn get_metric_data(&self, request: &MetricDataRequest) -> Result<Vec<MetricDataResult>, CloudWatchError> {
        check_queries(&request.queries)?;
        match span(request.start_ms, request.end_ms) {
            Ordering::Less => {}
            Ordering::Equal => return Err(CloudWatchError::EndAtStart),
            Ordering::Greater => return Err(CloudWatchError::EndBeforeStart),
        }
        let mut results = Vec::new();
        for query in &request.queries {
            let statistic = Statistic::parse(&query.stat)?;
            let periods = periods(request.start_ms, request.end_ms, query.period_seconds)?;
            if let Some(unit) = &query.unit {
                rules::check_unit(unit)?;
            }
            if !query.return_data {
                continue;
            }
            let series = self.series.get(&key(&query.metric));
            let mut by_unit = BTreeMap::new();
            for (series, unit) in series.into_iter().flat_map(|series| series.units().map(move |unit| (series, unit))) {
                if query.unit.as_deref().is_none_or(|wanted| wanted == unit) {
                    by_unit.insert(unit, series.aggregate(unit, periods));
                }
            }
            by_unit.retain(|_, buckets| !buckets.is_empty());
            let units = by_unit.keys().map(|unit| (*unit).to_owned()).collect();
            let buckets = by_unit.into_values().next().unwrap_or_default().into_iter();
            let mut points: Vec<(u64, f64)> =
                buckets.filter_map(|(time_ms, bucket)| Some((time_ms, bucket.statistic(statistic)?))).collect();
            if request.newest_first {
                points.reverse();
            }
            results.push(MetricDataResult {
                id: query.id.clone(),
                label: query.label(&request.queries),
                points,
                units,
            });
        }
        Ok(results)
    }

    /// Lists metrics that got data within two weeks, 500 a page.
    pub fn list_metrics(&self, now_ms: u64, request: &ListMetricsRequest) -> Result<MetricPage, CloudWatchError> {
        let after = request.next_token.as_deref();
        if after.is_some_and(|token| !token.chars().all(|c| c.is_ascii_hexdigit())) {
            return Err(CloudWatchError::InvalidNextToken);
        }
        let mut page = MetricPage::default();
        let mut last_token = None;
        for (key, series) in &self.series {
            // Hex keeps the order of the keys, so a token stands for its place among them.
            let token = hex::encode(key);
            let is_listed = after.is_none_or(|after| token.as_str() > after)
                && series.last_put_ms + LISTED_MS >= now_ms
                && request.matches(&series.metric);
            if !is_listed {
                continue;
            }
            if page.metrics.len() == LIST_PAGE_SIZE {
                page.next_token = last_token;
                break;
            }
            page.metrics.push(series.metric.clone());
            last_token = Some(token);
        }
        Ok(page)
    }
}

impl MetricDataQuery {
    /// Returns the label asked for, or the name of the metric with what tells its queries apart.
    fn label(&self, queries: &[Self]) -> String {
        let is_same_metric = |query: &&Self| key(&query.metric) == key(&self.metric);
        let others: Vec<&Self> = queries.iter().filter(is_same_metric).collect();
        let mut label = self.metric.name.clone();
        if others.iter().any(|other| other.stat != self.stat) {
            label = format!("{label} {}", self.stat);
        }
        if others.iter().any(|other| other.period_seconds != self.period_seconds) {
            label = format!("{label} {}", self.period_seconds);
        }
        self.label.clone().unwrap_or(label)
    }
}

impl ListMetricsRequest {
    fn matches(&self, metric: &Metric) -> bool {
        let has = |filter: &DimensionFilter| {
            metric.dimensions.iter().any(|dimension| {
                let is_value = filter.value.as_ref().is_none_or(|value| *value == dimension.value);
                dimension.name == filter.name && is_value
            })
        };
        self.namespace.as_ref().is_none_or(|namespace| *namespace == metric.namespace)
            && self.name.as_ref().is_none_or(|name| *name == metric.name)
            && self.dimensions.iter().all(has)
    }
}

fn sorted(dimensions: &[Dimension]) -> Vec<Dimension> {
    let mut dimensions = dimensions.to_vec();
    dimensions.sort();
    dimensions
}

/// Returns the text a metric is stored under. The separators are control characters, which no part
/// of a stored metric can hold.
fn key(metric: &Metric) -> String {
    let mut key = format!("{}\u{1}{}", metric.namespace, metric.name);
    for dimension in sorted(&metric.dimensions) {
        key.push_str(&format!("\u{1}{}\u{2}{}", dimension.name, dimension.value));
    }
    key
}

/// Compares the start of a span with its end, in whole seconds.
fn span(start_ms: u64, end_ms: u64) -> Ordering {
    (start_ms / MS_PER_SECOND).cmp(&(end_ms / MS_PER_SECOND))
}

/// Returns the periods of a span, on multiples of their length since the epoch.
fn periods(start_ms: u64, end_ms: u64, period_seconds: u32) -> Result<Periods, CloudWatchError> {
    let is_period = matches!(period_seconds, 1 | 5 | 10 | 20 | 30)
        || (period_seconds > 0 && period_seconds.is_multiple_of(SECONDS_PER_MINUTE));
    if !is_period {
        return Err(rules::refused("Period", "1, 5, 10, 20, 30 or a multiple of 60 seconds"));
    }
    let rounding_ms = u64::from(period_seconds.min(SECONDS_PER_MINUTE)) * MS_PER_SECOND;
    Ok(Periods {
        start_ms: start_ms / rounding_ms * rounding_ms,
        end_ms,
        period_ms: u64::from(period_seconds) * MS_PER_SECOND,
        origin_ms: 0,
    })
}

fn check_queries(queries: &[MetricDataQuery]) -> Result<(), CloudWatchError> {
    let refused = |reason| rules::refused("MetricDataQueries", reason);
    if queries.is_empty() || queries.len() > QUERIES_MAX {
        return Err(refused("1 to 500 queries"));
    }
    let mut ids = BTreeSet::new();
    for query in queries {
        let starts_well = query.id.starts_with(|c: char| c.is_ascii_lowercase());
        let is_id_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !starts_well || !query.id.chars().all(is_id_char) {
            return Err(refused("an id starts with a lowercase letter and has letters, digits and underscores"));
        }
        if !ids.insert(&query.id) {
            return Err(refused("ids must be unique"));
        }
    }
    Ok(())
}
