//! Metrics to CloudWatch by `PutMetricData`. The SDK compresses large requests itself.

use aws_sdk_cloudwatch::{
    Client,
    config::{Builder, retry::RetryConfig},
    primitives::DateTime,
    types::{Dimension, MetricDatum, StandardUnit},
};
use ledger::{
    metric::{Datum, NAMESPACE, Sample, Unit},
    ports::{Metrics, Refusal},
};

use crate::tables::within;

#[derive(Clone, Debug)]
pub struct CloudWatchMetrics {
    client: Client,
}

impl CloudWatchMetrics {
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        // A put whose answer was lost may have been taken, and counts then: it is not sent again.
        let config = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config) }
    }
}

impl Metrics for CloudWatchMetrics {
    async fn put(&self, data: Vec<Datum>, budget_ms: u64) -> Result<(), Refusal> {
        let data = data.into_iter().map(metric_datum).collect();
        let call = self.client.put_metric_data().namespace(NAMESPACE).set_metric_data(Some(data)).send();
        within(budget_ms, call).await.map(|_| ())
    }
}

fn metric_datum(Datum { sample, minute_ms }: Datum) -> MetricDatum {
    let Sample { name, dimensions, unit, values } = sample;
    let dimension = |(name, value)| Dimension::builder().name(name).value(value).build();
    let (values, counts) = values.into_iter().map(|(value, count)| (value, count as f64)).unzip();
    MetricDatum::builder()
        .metric_name(name)
        .set_dimensions(Some(dimensions.into_iter().map(dimension).collect()))
        .timestamp(DateTime::from_millis(i64::try_from(minute_ms).unwrap_or(i64::MAX)))
        .set_unit(unit.map(standard_unit))
        .set_values(Some(values))
        .set_counts(Some(counts))
        .build()
}

fn standard_unit(unit: Unit) -> StandardUnit {
    match unit {
        Unit::Count => StandardUnit::Count,
        Unit::Milliseconds => StandardUnit::Milliseconds,
        Unit::Bytes => StandardUnit::Bytes,
    }
}
