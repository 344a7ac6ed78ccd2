//! The metrics, names and queries on dashboards and alarms.

use std::{collections::BTreeSet, fs};

use cloudsim::deployment::Deployment;
use ledger::{
    metric::{Metric, NAMESPACE, dimension},
    names::Project,
};
use serde_json::Value;

use crate::{deployed, list, names_of, root, source, text};

#[test]
fn every_metric_on_dashboards_and_alarms_is_one_that_is_emitted() {
    let mut shown = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        for widget in dashboard["widgets"].as_array().unwrap() {
            for metric in metrics_of(widget) {
                metric.check(&file);
                shown.insert((metric.namespace, metric.name));
            }
        }
    }
    // And what is emitted is shown somewhere.
    for metric in Metric::all() {
        assert!(shown.contains(&(NAMESPACE.to_owned(), metric.name().to_owned())), "{metric:?} is on no dashboard");
    }

    let terraform = deployed();
    let alarms = terraform.local("alarms");
    let alarms = alarms.as_object().expect("an object").values();
    let mut watched: Vec<Shown> = alarms.map(|alarm| Shown::new(alarm, "metric")).collect();
    let rate = terraform.block("resource", "aws_cloudwatch_metric_alarm.invalid_rate");
    let metrics = list(&rate["metric_query"]).iter().flat_map(|query| list(&query["metric"]));
    watched.extend(metrics.map(|metric| Shown::new(metric, "metric_name")));
    watched.push(Shown::new(&terraform.block("resource", "aws_cloudwatch_metric_alarm.no_tick"), "metric_name"));
    assert!(watched.len() > 10);
    watched.iter().for_each(|metric| metric.check("alarms.tf"));
}

#[test]
fn dashboards_name_only_what_is_deployed() {
    let names = names_of(&Deployment { project: Project::new("${project}"), ..Deployment::default() });
    for (file, dashboard) in dashboards() {
        let mut texts = Vec::new();
        all_strings(&dashboard, &mut texts);
        for text in texts {
            for (_, rest) in text.match_indices("${project}").map(|(at, _)| text.split_at(at)) {
                let end = rest[1..].find([' ', '\'', '`', ',']).map_or(rest.len(), |end| end + 1);
                let is_alarm = text.contains(":alarm:");
                assert!(is_alarm || names.contains(&rest[..end]), "{file}: {text}");
            }
        }
    }
}

#[test]
fn the_causes_of_invalid_entries_are_read_from_the_line_the_processor_writes() {
    let telemetry = source("crates/processor/src/telemetry.rs");
    assert!(telemetry.contains(r#"class = class.as_str(), "invalid entry recorded""#));
    let mut queries = Vec::new();
    for (_, dashboard) in dashboards() {
        for widget in dashboard["widgets"].as_array().unwrap() {
            queries.extend(widget["properties"]["query"].as_str().map(str::to_owned));
        }
    }
    let expected = "filter message = 'invalid entry recorded' | stats count(*) as entries by class";
    assert!(queries.iter().any(|query| query.contains(expected)), "{queries:?}");
}

#[test]
fn the_number_of_custom_metrics_on_the_dashboard_is_their_bound() {
    let types_max = fs::read_dir(root().join("schemas")).unwrap().count() + 1; // and `_unknown`
    let by_status = 2; // Recorded
    let events = 2 + 2 * types_max + 2; // by status, by type and status, and those of `_other`
    let fixed = Metric::all().count() - 2 + by_status + events;
    let expected = format!("2 * tenants + {fixed}");
    assert!(source("dashboards/operations.json").contains(&expected), "expected {expected}");
}

#[test]
fn widgets_fit_the_grid_and_none_covers_another() {
    for (file, dashboard) in dashboards() {
        let widgets = dashboard["widgets"].as_array().unwrap();
        assert!(widgets.len() <= 500);
        let mut taken = BTreeSet::new();
        for widget in widgets {
            let place = |name: &str| widget[name].as_u64().unwrap();
            assert!(place("x") + place("width") <= 24, "{file}: {widget}");
            for x in place("x")..place("x") + place("width") {
                for y in place("y")..place("y") + place("height") {
                    assert!(taken.insert((x, y)), "{file}: two widgets at {x}, {y}");
                }
            }
        }
    }
}

/// A metric as a dashboard or an alarm names it.
#[derive(Debug)]
struct Shown {
    namespace: String,
    name: String,
    dimensions: BTreeSet<String>,
}

impl Shown {
    /// The metric of an alarm.
    fn new(alarm: &Value, name: &str) -> Self {
        let dimensions = alarm["dimensions"].as_object().expect("an object");
        Self {
            namespace: text(&alarm["namespace"]),
            name: text(&alarm[name]),
            dimensions: dimensions.keys().cloned().collect(),
        }
    }

    fn check(&self, place: &str) {
        let Self { namespace, name, dimensions } = self;
        let dimensions: Vec<&str> = dimensions.iter().map(String::as_str).collect();
        let is_known = match namespace.as_str() {
            NAMESPACE => Metric::parse(name).is_some_and(|metric| emitted_by(metric).contains(&dimensions)),
            "AWS/SQS" => {
                let names = [
                    "ApproximateNumberOfMessagesVisible",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateAgeOfOldestMessage",
                ];
                names.contains(&name.as_str()) && dimensions == ["QueueName"]
            }
            "AWS/Lambda" => {
                let names = ["Errors", "Throttles", "Duration", "ConcurrentExecutions", "IteratorAge"];
                names.contains(&name.as_str()) && dimensions == ["FunctionName"]
            }
            "AWS/DynamoDB" => {
                let names = ["ConsumedWriteCapacityUnits", "WriteThrottleEvents"];
                let of = [vec!["TableName"], vec!["GlobalSecondaryIndexName", "TableName"]];
                names.contains(&name.as_str()) && of.contains(&dimensions)
            }
            "AWS/Logs" => name == "IncomingBytes" && dimensions == ["LogGroupName"],
            _ => false,
        };
        assert!(is_known, "{place}: nobody emits {self:?}");
    }
}

/// The sets of dimensions a metric has, each in the order of their names.
fn emitted_by(metric: Metric) -> Vec<Vec<&'static str>> {
    use dimension::{EVENT_TYPE, STATUS, TENANT_ID};
    match metric {
        Metric::Recorded => vec![vec![STATUS]],
        Metric::Events => vec![vec![STATUS], vec![STATUS, TENANT_ID], vec![EVENT_TYPE, STATUS]],
        _ => vec![vec![]],
    }
}

/// The metrics of a widget, those in its `SEARCH` expressions included.
fn metrics_of(widget: &Value) -> Vec<Shown> {
    let mut found = Vec::new();
    for row in widget["properties"]["metrics"].as_array().into_iter().flatten() {
        let texts: Vec<&str> = row.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if let [namespace, name, dimensions @ ..] = texts.as_slice() {
            let dimensions = dimensions.chunks(2).map(|pair| pair[0].to_owned()).collect();
            found.push(Shown { namespace: (*namespace).to_owned(), name: (*name).to_owned(), dimensions });
        }
        for expression in row.as_array().unwrap().iter().filter_map(|part| part["expression"].as_str()) {
            for (at, _) in expression.match_indices("SEARCH('{") {
                let search = &expression[at + "SEARCH('{".len()..];
                let (schema, filter) = search.split_once('}').unwrap();
                let mut schema = schema.split(',').map(str::to_owned);
                let (_, name) = filter.split_once("MetricName=\"").expect("a search names its metric");
                found.push(Shown {
                    namespace: schema.next().unwrap(),
                    name: name.split('"').next().unwrap().to_owned(),
                    dimensions: schema.collect(),
                });
            }
        }
    }
    found
}

fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(root().join("dashboards")).unwrap().map(|file| file.unwrap().path());
    let found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (
                path.display().to_string(),
                serde_json::from_str(&text).expect("a dashboard is JSON before it is filled in"),
            )
        })
        .collect();
    assert!(found.len() >= 2);
    found
}

fn all_strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(elements) => elements.iter().for_each(|element| all_strings(element, found)),
        Value::Object(members) => members.values().for_each(|member| all_strings(member, found)),
        _ => {}
    }
}
