//! CloudWatch's Embedded Metric Format: log lines that carry metrics, as CloudWatch Logs reads them on AWS.
//!
//! A line is a JSON object whose `_aws` member names metrics and dimensions; values are members of the object itself.
//! A line that is not well formed is an ordinary log line, as on AWS.

use std::collections::BTreeMap;

use cloudsim::cloudwatch::{DatumValues, Dimension, MetricDatum};
use serde::Deserialize;
use serde_json::Value;

/// Values of one metric in one line, by the specification.
const VALUES_MAX: usize = 100;

/// Reads the metric data of one line, by namespace; `None` if the line carries no metrics.
pub(crate) fn read(line: &str) -> Option<BTreeMap<String, Vec<MetricDatum>>> {
    if !line.contains("\"_aws\"") {
        return None;
    }
    let line: Line = serde_json::from_str(line).ok()?;
    let mut data: BTreeMap<String, Vec<MetricDatum>> = BTreeMap::new();
    for directive in &line.metadata.cloud_watch_metrics {
        let sets = line.dimension_sets(directive);
        for definition in &directive.metrics {
            let Some(values) = line.values(&definition.name) else { continue };
            for dimensions in &sets {
                data.entry(directive.namespace.clone()).or_default().push(MetricDatum {
                    name: definition.name.clone(),
                    dimensions: dimensions.clone(),
                    timestamp_ms: line.metadata.timestamp,
                    values: values.clone(),
                    unit: definition.unit.clone(),
                    storage_resolution_seconds: definition.storage_resolution,
                });
            }
        }
    }
    Some(data)
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    /// In milliseconds.
    timestamp: Option<u64>,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    #[serde(default)]
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: String,
    unit: Option<String>,
    storage_resolution: Option<u32>,
}

impl Line {
    fn dimension_sets(&self, directive: &Directive) -> Vec<Vec<Dimension>> {
        if directive.dimensions.is_empty() {
            return vec![Vec::new()];
        }
        directive.dimensions.iter().filter_map(|names| self.dimensions(names)).collect()
    }

    fn dimensions(&self, names: &[String]) -> Option<Vec<Dimension>> {
        let dimension = |name: &String| {
            let value = self.members.get(name)?.as_str()?.to_owned();
            Some(Dimension { name: name.clone(), value })
        };
        names.iter().map(dimension).collect()
    }

    fn values(&self, name: &str) -> Option<DatumValues> {
        match self.members.get(name)? {
            Value::Number(number) => number.as_f64().map(DatumValues::Single),
            Value::Array(items) if !items.is_empty() && items.len() <= VALUES_MAX => {
                let values: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
                values.map(|values| DatumValues::Many { values, counts: Vec::new() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_one_datum_per_metric_and_dimension_set() {
        let line = r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["S"],[]],
            "Metrics":[{"Name":"Recorded","Unit":"Count"},{"Name":"Missing"}]}]},"S":"READY","Recorded":[1,2.5],"x":7}"#;
        let data = read(line).unwrap().remove("N").unwrap();
        assert_eq!(data.len(), 2);
        assert_eq!(data[0].dimensions, [Dimension { name: "S".to_owned(), value: "READY".to_owned() }]);
        assert_eq!(data[1].dimensions, []);
        assert_eq!(data[0].values, DatumValues::Many { values: vec![1.0, 2.5], counts: vec![] });
        assert_eq!(data[0].timestamp_ms, Some(1_700_000_000_000));
    }

    #[test]
    fn a_line_without_metrics_is_a_log_line() {
        assert_eq!(read(r#"{"message":"hello"}"#), None);
        assert_eq!(read(r#"not json "_aws""#), None);
    }
}
