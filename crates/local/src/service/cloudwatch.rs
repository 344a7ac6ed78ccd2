//! CloudWatch metric operations over the modelled store: reading inputs and shaping outputs.
//!
//! Aggregation, periods, percentiles and limits are `cloudsim`'s; metric math is not offered.

use cloudsim::cloudwatch::{
    CloudWatchError, Datapoint, DatumValues, Dimension, DimensionFilter, ListMetricsRequest, Metric, MetricDataQuery,
    MetricDataRequest, MetricDatum, StatisticsRequest,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    service::wire::{ApiError, input, lenient},
    state::SharedState,
};

/// XML namespace of CloudWatch answers.
pub(crate) const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The statistics that `GetMetricStatistics` returns as members of their own.
const PLAIN_STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

/// Runs one operation.
pub(crate) fn call(shared: &SharedState, operation: &str, body: Value) -> Result<Value, ApiError> {
    match operation {
        "PutMetricData" => {
            let request: PutMetricData = input(body)?;
            let data: Vec<MetricDatum> =
                request.metric_data.into_iter().map(Datum::into_datum).collect::<Result<_, _>>()?;
            shared.change(|state, now_ms| state.metrics.put(now_ms, &request.namespace, &data))?;
            Ok(json!({}))
        }
        "GetMetricStatistics" => get_metric_statistics(shared, input(body)?),
        "GetMetricData" => get_metric_data(shared, input(body)?),
        "ListMetrics" => list_metrics(shared, input(body)?),
        _ => Err(ApiError::unknown_operation("CloudWatch", operation)),
    }
}

fn get_metric_statistics(shared: &SharedState, request: GetMetricStatistics) -> Result<Value, ApiError> {
    let label = request.metric_name.clone();
    let asked = StatisticsRequest {
        metric: metric(request.namespace, request.metric_name, request.dimensions),
        start_ms: request.start_time.max(0) as u64,
        end_ms: request.end_time.max(0) as u64,
        period_seconds: request.period as u32,
        statistics: request.statistics.into_iter().chain(request.extended_statistics).collect(),
        unit: request.unit,
    };
    let datapoints = shared.look(|state, _| state.metrics.get_metric_statistics(&asked))?;
    let datapoints: Vec<Value> = datapoints.into_iter().map(datapoint).collect();
    Ok(json!({"Label": label, "Datapoints": datapoints}))
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

fn get_metric_data(shared: &SharedState, request: GetMetricData) -> Result<Value, ApiError> {
    let queries: Vec<MetricDataQuery> =
        request.metric_data_queries.into_iter().map(DataQuery::into_query).collect::<Result<_, _>>()?;
    let asked = MetricDataRequest {
        queries,
        start_ms: request.start_time.max(0) as u64,
        end_ms: request.end_time.max(0) as u64,
        newest_first: request.scan_by.as_deref() != Some("TimestampAscending"),
    };
    let results = shared.look(|state, _| state.metrics.get_metric_data(&asked))?;
    let results: Vec<Value> = results
        .into_iter()
        .map(|result| {
            let timestamps: Vec<f64> = result.timestamps_ms.into_iter().map(seconds).collect();
            json!({
                "Id": result.id,
                "Label": result.label,
                "Timestamps": timestamps,
                "Values": result.values,
                "StatusCode": "Complete",
            })
        })
        .collect();
    Ok(json!({"MetricDataResults": results, "Messages": []}))
}

fn list_metrics(shared: &SharedState, request: ListMetrics) -> Result<Value, ApiError> {
    let asked = ListMetricsRequest {
        namespace: request.namespace,
        name: request.metric_name,
        dimensions: request.dimensions.into_iter().map(Into::into).collect(),
        next_token: request.next_token,
    };
    let page = shared.look(|state, now_ms| state.metrics.list_metrics(now_ms, &asked))?;
    let metrics: Vec<Value> = page
        .metrics
        .into_iter()
        .map(|metric| {
            let dimensions: Vec<Value> = metric
                .dimensions
                .into_iter()
                .map(|dimension| json!({"Name": dimension.name, "Value": dimension.value}))
                .collect();
            json!({"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions})
        })
        .collect();
    Ok(json!({"Metrics": metrics, "NextToken": page.next_token}))
}

impl From<CloudWatchError> for ApiError {
    fn from(error: CloudWatchError) -> Self {
        Self::renamed(error.shape_name(), error.query_code(), error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<WireDimension>,
    #[serde(default, deserialize_with = "lenient::optional_time_ms")]
    timestamp: Option<i64>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    value: Option<f64>,
    #[serde(default, deserialize_with = "lenient::numbers")]
    values: Vec<f64>,
    #[serde(default, deserialize_with = "lenient::numbers")]
    counts: Vec<f64>,
    statistic_values: Option<StatisticValues>,
    unit: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    storage_resolution: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticValues {
    #[serde(deserialize_with = "lenient::number")]
    sample_count: f64,
    #[serde(deserialize_with = "lenient::number")]
    sum: f64,
    #[serde(deserialize_with = "lenient::number")]
    minimum: f64,
    #[serde(deserialize_with = "lenient::number")]
    maximum: f64,
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
struct GetMetricStatistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<WireDimension>,
    #[serde(deserialize_with = "lenient::time_ms")]
    start_time: i64,
    #[serde(deserialize_with = "lenient::time_ms")]
    end_time: i64,
    #[serde(deserialize_with = "lenient::number")]
    period: f64,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricData {
    metric_data_queries: Vec<DataQuery>,
    #[serde(deserialize_with = "lenient::time_ms")]
    start_time: i64,
    #[serde(deserialize_with = "lenient::time_ms")]
    end_time: i64,
    scan_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataQuery {
    id: String,
    metric_stat: Option<MetricStat>,
    label: Option<String>,
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    return_data: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: WireMetric,
    #[serde(deserialize_with = "lenient::number")]
    period: f64,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireMetric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<WireDimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<WireDimension>,
    next_token: Option<String>,
}

impl Datum {
    fn into_datum(self) -> Result<MetricDatum, ApiError> {
        let values = match (self.value, self.statistic_values, self.values.is_empty()) {
            (Some(value), None, true) => DatumValues::Single(value),
            (None, Some(set), true) => DatumValues::StatisticSet {
                sample_count: set.sample_count,
                sum: set.sum,
                minimum: set.minimum,
                maximum: set.maximum,
            },
            (None, None, false) => DatumValues::Many { values: self.values, counts: self.counts },
            _ => {
                let message =
                    format!("metric {} must have exactly one of Value, Values and StatisticValues", self.metric_name);
                return Err(ApiError::renamed(
                    "InvalidParameterCombinationException",
                    "InvalidParameterCombination",
                    message,
                ));
            }
        };
        Ok(MetricDatum {
            name: self.metric_name,
            dimensions: self.dimensions.into_iter().map(Into::into).collect(),
            timestamp_ms: self.timestamp.map(|timestamp_ms| timestamp_ms.max(0) as u64),
            values,
            unit: self.unit,
            storage_resolution_seconds: self.storage_resolution.map(|seconds| seconds as u32),
        })
    }
}

impl DataQuery {
    fn into_query(self) -> Result<MetricDataQuery, ApiError> {
        let Some(stat) = self.metric_stat else {
            let message = format!("query {}: the local cloud answers MetricStat queries only, no expressions", self.id);
            return Err(ApiError::renamed("InvalidParameterValueException", "InvalidParameterValue", message));
        };
        Ok(MetricDataQuery {
            id: self.id,
            label: self.label,
            metric: metric(stat.metric.namespace, stat.metric.metric_name, stat.metric.dimensions),
            period_seconds: stat.period as u32,
            stat: stat.stat,
            unit: stat.unit,
            return_data: self.return_data,
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

fn metric(namespace: String, name: String, dimensions: Vec<WireDimension>) -> Metric {
    Metric { namespace, name, dimensions: dimensions.into_iter().map(Into::into).collect() }
}

fn seconds(timestamp_ms: u64) -> f64 {
    timestamp_ms as f64 / 1_000.0
}

fn yes() -> bool {
    true
}
