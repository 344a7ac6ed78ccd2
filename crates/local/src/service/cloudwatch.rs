//! CloudWatch metric operations over the modelled store: reading inputs and shaping outputs.
//!
//! Aggregation, periods, percentiles and limits are `cloudsim`'s; metric math is not offered.

use cloudsim::cloudwatch::{
    CloudWatchError, Datapoint, DatumValues, Dimension, DimensionFilter, ListMetricsRequest, Metric, MetricDataQuery,
    MetricDataRequest, MetricDataResult, MetricDatum, StatisticsRequest,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strum::VariantNames;

use crate::{
    service::wire::{ApiError, Lenient, TimeMs, list, request},
    state::SharedState,
};

/// What stands before the names of CloudWatch's errors in JSON and CBOR.
pub(crate) const ERROR_NAMESPACE: &str = "com.amazon.coral.service#";

/// XML namespace of CloudWatch answers.
pub(crate) const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The statistics that `GetMetricStatistics` returns as members of their own.
const PLAIN_STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

/// An operation and its input.
#[derive(Deserialize, VariantNames)]
#[serde(rename_all_fields = "PascalCase")]
enum Request {
    PutMetricData { namespace: String, metric_data: Option<Vec<Datum>> },
    GetMetricStatistics(GetMetricStatistics),
    GetMetricData { metric_data_queries: Vec<DataQuery>, start_time: TimeMs, end_time: TimeMs, scan_by: Option<String> },
    ListMetrics(ListMetrics),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default, deserialize_with = "list")]
    dimensions: Vec<WireDimension>,
    timestamp: Option<TimeMs>,
    value: Option<Lenient<f64>>,
    #[serde(default, deserialize_with = "list")]
    values: Vec<Lenient<f64>>,
    #[serde(default, deserialize_with = "list")]
    counts: Vec<Lenient<f64>>,
    statistic_values: Option<StatisticValues>,
    unit: Option<String>,
    storage_resolution: Option<Lenient<f64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticValues {
    sample_count: Lenient<f64>,
    sum: Lenient<f64>,
    minimum: Lenient<f64>,
    maximum: Lenient<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireDimension {
    name: String,
    // Only a filter of ListMetrics may leave it out.
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireMetric {
    namespace: String,
    metric_name: String,
    #[serde(default, deserialize_with = "list")]
    dimensions: Vec<WireDimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricStatistics {
    #[serde(flatten)]
    metric: WireMetric,
    start_time: TimeMs,
    end_time: TimeMs,
    period: Lenient<f64>,
    #[serde(default, deserialize_with = "list")]
    statistics: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataQuery {
    id: String,
    metric_stat: Option<MetricStat>,
    label: Option<String>,
    return_data: Option<Lenient<bool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: WireMetric,
    period: Lenient<f64>,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default, deserialize_with = "list")]
    dimensions: Vec<WireDimension>,
    next_token: Option<String>,
}

/// Runs one operation.
pub(crate) fn call(shared: &SharedState, operation: &str, body: Value) -> Result<Value, ApiError> {
    match request("CloudWatch", operation, body)? {
        Request::PutMetricData { namespace, metric_data } => {
            let data = metric_data.unwrap_or_default().into_iter().zip(1..).map(|(datum, number)| datum.read(number));
            let data = data.collect::<Result<Vec<_>, _>>()?;
            shared.change(|state, now_ms| state.metrics.put(now_ms, &namespace, &data))?;
            Ok(json!({}))
        }
        Request::GetMetricStatistics(request) => get_metric_statistics(shared, request),
        Request::GetMetricData { metric_data_queries, start_time, end_time, scan_by } => {
            let queries = metric_data_queries.into_iter().map(MetricDataQuery::try_from);
            let asked = MetricDataRequest {
                queries: queries.collect::<Result<_, _>>()?,
                start_ms: start_time.0,
                end_ms: end_time.0,
                newest_first: scan_by.as_deref() != Some("TimestampAscending"),
            };
            let results = shared.look(|state, _| state.metrics.get_metric_data(&asked))?;
            let results: Vec<Value> = results.into_iter().map(metric_data_result).collect();
            Ok(json!({"MetricDataResults": results, "Messages": []}))
        }
        Request::ListMetrics(request) => list_metrics(shared, request),
    }
}

fn get_metric_statistics(shared: &SharedState, request: GetMetricStatistics) -> Result<Value, ApiError> {
    let asked = StatisticsRequest {
        metric: request.metric.into(),
        start_ms: request.start_time.0,
        end_ms: request.end_time.0,
        period_seconds: request.period.0 as u32,
        statistics: request.statistics.into_iter().chain(request.extended_statistics).collect(),
        unit: request.unit,
    };
    let datapoints = shared.look(|state, _| state.metrics.get_metric_statistics(&asked))?;
    let datapoints: Vec<Value> = datapoints.into_iter().map(datapoint).collect();
    Ok(json!({"Label": asked.metric.name, "Datapoints": datapoints}))
}

fn datapoint(datapoint: Datapoint) -> Value {
    let mut shaped = json!({"Timestamp": seconds(datapoint.timestamp_ms), "Unit": datapoint.unit});
    let mut extended = Map::new();
    for (name, value) in datapoint.statistics {
        if PLAIN_STATISTICS.contains(&name.as_str()) {
            shaped[name] = json!(value);
        } else {
            extended.insert(name, json!(value));
        }
    }
    if !extended.is_empty() {
        shaped["ExtendedStatistics"] = Value::Object(extended);
    }
    shaped
}

fn metric_data_result(result: MetricDataResult) -> Value {
    let (timestamps, values): (Vec<f64>, Vec<f64>) =
        result.points.into_iter().map(|(time_ms, value)| (seconds(time_ms), value)).unzip();
    let text = format!("Multiple units returned: '[{}]'", result.units.join(", "));
    let messages = (result.units.len() > 1).then(|| json!([{"Code": "MultipleUnits", "Value": text}]));
    json!({
        "Id": result.id,
        "Label": result.label,
        "Timestamps": timestamps,
        "Values": values,
        "StatusCode": "Complete",
        "Messages": messages,
    })
}

fn list_metrics(shared: &SharedState, request: ListMetrics) -> Result<Value, ApiError> {
    let asked = ListMetricsRequest {
        namespace: request.namespace,
        name: request.metric_name,
        dimensions: request.dimensions.into_iter().map(Into::into).collect(),
        next_token: request.next_token,
    };
    let page = shared.look(|state, now_ms| state.metrics.list_metrics(now_ms, &asked))?;
    let metrics = page.metrics.into_iter().map(|metric| {
        let dimensions = metric.dimensions.into_iter();
        let dimensions = dimensions.map(|dimension| json!({"Name": dimension.name, "Value": dimension.value}));
        let dimensions: Vec<Value> = dimensions.collect();
        json!({"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions})
    });
    Ok(json!({"Metrics": metrics.collect::<Vec<_>>(), "NextToken": page.next_token}))
}

impl From<CloudWatchError> for ApiError {
    fn from(error: CloudWatchError) -> Self {
        let (shape, query_code) = error.codes();
        Self::renamed(shape, query_code, error.to_string())
    }
}

impl Datum {
    /// Reads the datum of that number in its call. A statistic set wins over values beside it.
    fn read(self, number: usize) -> Result<MetricDatum, CloudWatchError> {
        let numbers = |numbers: Vec<Lenient<f64>>| numbers.into_iter().map(|number| number.0).collect();
        let values = match (self.value, self.statistic_values) {
            (Some(_), Some(_)) => return Err(CloudWatchError::ValueBeside(number, "StatisticValues")),
            (Some(_), None) if !self.values.is_empty() => {
                return Err(CloudWatchError::ValueBeside(number, "Values"));
            }
            (Some(Lenient(value)), None) => DatumValues::Single(value),
            (None, Some(set)) => DatumValues::StatisticSet {
                sample_count: set.sample_count.0,
                sum: set.sum.0,
                minimum: set.minimum.0,
                maximum: set.maximum.0,
            },
            (None, None) => DatumValues::Many { values: numbers(self.values), counts: numbers(self.counts) },
        };
        Ok(MetricDatum {
            name: self.metric_name,
            dimensions: self.dimensions.into_iter().map(Into::into).collect(),
            timestamp_ms: self.timestamp.map(|timestamp| timestamp.0),
            values,
            unit: self.unit,
            storage_resolution_seconds: self.storage_resolution.map(|seconds| seconds.0 as u32),
        })
    }
}

impl TryFrom<DataQuery> for MetricDataQuery {
    type Error = ApiError;

    fn try_from(query: DataQuery) -> Result<Self, ApiError> {
        let Some(stat) = query.metric_stat else {
            let message =
                format!("query {}: the local cloud answers MetricStat queries only, no expressions", query.id);
            return Err(ApiError::renamed("InvalidParameterValueException", "InvalidParameterValue", message));
        };
        Ok(Self {
            id: query.id,
            label: query.label,
            metric: stat.metric.into(),
            period_seconds: stat.period.0 as u32,
            stat: stat.stat,
            unit: stat.unit,
            return_data: query.return_data.is_none_or(|flag| flag.0),
        })
    }
}

impl From<WireDimension> for Dimension {
    fn from(dimension: WireDimension) -> Self {
        Self { name: dimension.name, value: dimension.value.unwrap_or_default() }
    }
}

impl From<WireDimension> for DimensionFilter {
    fn from(dimension: WireDimension) -> Self {
        Self { name: dimension.name, value: dimension.value }
    }
}

impl From<WireMetric> for Metric {
    fn from(metric: WireMetric) -> Self {
        let dimensions = metric.dimensions.into_iter().map(Into::into).collect();
        Self { namespace: metric.namespace, name: metric.metric_name, dimensions }
    }
}

fn seconds(timestamp_ms: u64) -> f64 {
    timestamp_ms as f64 / 1_000.0
}
