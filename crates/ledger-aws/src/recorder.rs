//! A recorder behind the `metrics` facade that keeps what one emission measures until it is drained, for lines in
//! CloudWatch's Embedded Metric Format or for `PutMetricData`. It is installed for one synchronous section by
//! `metrics::with_local_recorder`, never for the process, so several functions can live in one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ledger::metric::{Dimension, Metric, Sample};
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString};
use serde_json::{Map, Value, json};

/// Metrics in one directive, and values of one metric in one line ("Embedded metric format specification").
const EMF_METRICS_MAX: usize = 100;
const EMF_VALUES_MAX: usize = 100;

#[derive(Debug, Default)]
pub struct Recorder {
    cells: Mutex<BTreeMap<Name, Arc<Cell>>>,
}

/// A metric's name and its dimensions in the order of their names.
type Name = (String, Vec<Dimension>);

/// The different values of one metric, by their bits, and how often each was recorded.
#[derive(Debug, Default)]
struct Cell(Mutex<BTreeMap<u64, u64>>);

impl Recorder {
    /// Takes out everything recorded so far. A metric that was named but not measured has no sample.
    pub fn drain(&self) -> Vec<Sample> {
        let cells = std::mem::take(&mut *self.cells.lock().unwrap_or_else(PoisonError::into_inner));
        let samples = cells.into_iter().map(|((name, dimensions), cell)| {
            let unit = Metric::parse(&name).map(Metric::unit);
            Sample { unit, values: cell.values(), name, dimensions }
        });
        samples.filter(|sample| !sample.values.is_empty()).collect()
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        let label = |label: &metrics::Label| (label.key().to_owned(), label.value().to_owned());
        let mut dimensions: Vec<Dimension> = key.labels().map(label).collect();
        dimensions.sort();
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cells.entry((key.name().to_owned(), dimensions)).or_default())
    }
}

impl Cell {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, u64>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Replaces the one value of a counter or a gauge by one made from it.
    fn replace(&self, value: impl FnOnce(f64) -> f64) {
        self.change(|values| {
            let before = values.pop_first().map_or(0.0, |(bits, _)| f64::from_bits(bits));
            *values = BTreeMap::from([(value(before).to_bits(), 1)]);
        });
    }

    fn values(&self) -> Vec<(f64, u64)> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.iter().map(|(bits, count)| (f64::from_bits(*bits), *count)).collect()
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.replace(|before| before + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.replace(|before| before.max(value as f64));
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.replace(|before| before + value);
    }

    fn decrement(&self, value: f64) {
        self.replace(|before| before - value);
    }

    fn set(&self, value: f64) {
        self.replace(|_| value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.change(|values| *values.entry(value.to_bits()).or_default() += count as u64);
    }
}

/// Units come from `ledger::metric`, so descriptions have nothing to add.
impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<metrics::Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<metrics::Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<metrics::Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

/// Where lines in the Embedded Metric Format go.
pub type EmfSink = Box<dyn Fn(&str) + Send + Sync>;

/// On Lambda, that is stdout.
#[expect(clippy::print_stdout, reason = "Lambda takes metrics from stdout")]
pub fn emf_to_stdout() -> EmfSink {
    Box::new(|line| println!("{line}"))
}

/// Writes samples as lines in the Embedded Metric Format, one JSON object each, without line ends.
///
/// A line has one set of dimensions; a value recorded several times stands there as often.
pub fn emf_lines(namespace: &str, timestamp_ms: u64, samples: &[Sample]) -> Vec<String> {
    let mut by_dimensions: BTreeMap<&[Dimension], Vec<(&Sample, Vec<f64>)>> = BTreeMap::new();
    for sample in samples {
        let repeated = |(value, count): &(f64, u64)| std::iter::repeat_n(*value, usize::try_from(*count).unwrap_or(0));
        let values: Vec<f64> = sample.values.iter().flat_map(repeated).collect();
        by_dimensions.entry(&sample.dimensions).or_default().push((sample, values));
    }
    let mut lines = Vec::new();
    for (dimensions, samples) in by_dimensions {
        // No metric twice in a line: the next hundred values of each stand in the next lines.
        let rounds = samples.iter().map(|(_, values)| values.len().div_ceil(EMF_VALUES_MAX)).max().unwrap_or(0);
        for round in 0..rounds {
            let parts: Vec<(&Sample, &[f64])> = samples
                .iter()
                .filter_map(|(sample, values)| Some((*sample, values.chunks(EMF_VALUES_MAX).nth(round)?)))
                .collect();
            for parts in parts.chunks(EMF_METRICS_MAX) {
                lines.push(emf_line(namespace, timestamp_ms, dimensions, parts));
            }
        }
    }
    lines
}

fn emf_line(namespace: &str, timestamp_ms: u64, dimensions: &[Dimension], parts: &[(&Sample, &[f64])]) -> String {
    let definition = |(sample, _): &(&Sample, &[f64])| match sample.unit {
        Some(unit) => json!({ "Name": sample.name, "Unit": unit.as_str() }),
        None => json!({ "Name": sample.name }),
    };
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| name.as_str()).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": timestamp_ms,
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [names],
                "Metrics": parts.iter().map(definition).collect::<Vec<Value>>(),
            }],
        }),
    );
    for (name, value) in dimensions {
        line.insert(name.clone(), value.as_str().into());
    }
    for (sample, values) in parts {
        let value = match values {
            [value] => number(*value),
            values => values.iter().copied().map(number).collect(),
        };
        line.insert(sample.name.clone(), value);
    }
    Value::Object(line).to_string()
}

/// Whole numbers without a fraction, as most are.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { whole.into() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use ledger::metric::Unit;

    use super::*;

    fn drained(emission: impl FnOnce()) -> Vec<Sample> {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, emission);
        recorder.drain()
    }

    #[test]
    fn counters_add_up_gauges_keep_the_last_and_histograms_count_equal_values() {
        let samples = drained(|| {
            metrics::counter!("Recorded", "Status" => "READY").increment(2);
            metrics::counter!("Recorded", "Status" => "READY").increment(3);
            metrics::gauge!("MetricTenantsInUse").set(7.0);
            metrics::gauge!("MetricTenantsInUse").set(4.0);
            metrics::histogram!("Duration").record(1.5);
            metrics::histogram!("Duration").record_many(1.5, 2);
            metrics::histogram!("Duration").record(9.0);
            metrics::counter!("Conflicts").increment(0);
        });
        let found: Vec<(&str, Vec<(f64, u64)>)> =
            samples.iter().map(|sample| (sample.name.as_str(), sample.values.clone())).collect();
        assert_eq!(
            found,
            [
                ("Conflicts", vec![(0.0, 1)]),
                ("Duration", vec![(1.5, 3), (9.0, 1)]),
                ("MetricTenantsInUse", vec![(4.0, 1)]),
                ("Recorded", vec![(5.0, 1)]),
            ]
        );
        assert_eq!(samples[1].unit, Some(Unit::Milliseconds));
        assert_eq!(samples[3].dimensions, [("Status".to_owned(), "READY".to_owned())]);
    }

    #[test]
    fn nothing_is_left_after_a_drain() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || metrics::counter!("Recorded").increment(1));
        assert_eq!(recorder.drain().len(), 1);
        assert_eq!(recorder.drain(), []);
    }

    #[test]
    fn an_emf_line_carries_one_set_of_dimensions() {
        let samples = drained(|| {
            metrics::counter!("Recorded", "Status" => "READY").increment(2);
            metrics::counter!("Duplicates").increment(1);
            metrics::histogram!("Duration").record(1.5);
            metrics::histogram!("Duration").record(2.0);
        });
        let lines = emf_lines("N", 1_700_000_000_000, &samples);
        assert_eq!(
            lines,
            [
                r#"{"Duplicates":1,"Duration":[1.5,2],"_aws":{"CloudWatchMetrics":[{"Dimensions":[[]],"Metrics":[{"Name":"Duplicates","Unit":"Count"},{"Name":"Duration","Unit":"Milliseconds"}],"Namespace":"N"}],"Timestamp":1700000000000}}"#,
                r#"{"Recorded":2,"Status":"READY","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Status"]],"Metrics":[{"Name":"Recorded","Unit":"Count"}],"Namespace":"N"}],"Timestamp":1700000000000}}"#,
            ]
        );
    }

    #[test]
    fn no_value_and_no_metric_is_lost_where_a_line_is_full() {
        let samples = drained(|| {
            metrics::histogram!("Duration").record_many(1.0, 150);
            metrics::histogram!("Duration").record_many(2.0, 101);
            (0..250).for_each(|index| metrics::counter!(format!("m{index}")).increment(1));
        });
        let lines: Vec<Value> =
            emf_lines("N", 0, &samples).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let count = |value: &Value| value.as_array().map_or(1, Vec::len);
        let durations: Vec<usize> = lines.iter().filter_map(|line| line.get("Duration")).map(count).collect();
        assert_eq!(durations, [100, 100, 51]);
        let definitions: Vec<usize> =
            lines.iter().map(|line| count(&line["_aws"]["CloudWatchMetrics"][0]["Metrics"])).collect();
        assert!(definitions.iter().all(|&metrics| metrics <= EMF_METRICS_MAX));
        assert_eq!(definitions.iter().sum::<usize>(), 250 + 3);
    }
}
