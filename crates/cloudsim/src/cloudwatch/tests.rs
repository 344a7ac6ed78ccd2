//! The rules of CloudWatch as claims.

use super::*;

const NOW: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
const NAMESPACE: &str = "EventProcessor";

fn datum(values: DatumValues) -> MetricDatum {
    MetricDatum {
        name: "Events".to_owned(),
        dimensions: Vec::new(),
        timestamp_ms: None,
        values,
        unit: None,
        storage_resolution_seconds: None,
    }
}

fn single(value: f64) -> MetricDatum {
    datum(DatumValues::Single(value))
}

fn at(timestamp_ms: u64, value: f64) -> MetricDatum {
    MetricDatum { timestamp_ms: Some(timestamp_ms), ..single(value) }
}

fn many(values: &[f64], counts: &[f64]) -> MetricDatum {
    datum(DatumValues::Many { values: values.to_vec(), counts: counts.to_vec() })
}

fn statistic_set(sample_count: f64, sum: f64, minimum: f64, maximum: f64) -> MetricDatum {
    datum(DatumValues::StatisticSet { sample_count, sum, minimum, maximum })
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension { name: name.to_owned(), value: value.to_owned() }
}

fn metric(dimensions: &[Dimension]) -> Metric {
    Metric { namespace: NAMESPACE.to_owned(), name: "Events".to_owned(), dimensions: dimensions.to_vec() }
}

fn store_with(data: &[MetricDatum]) -> MetricStore {
    let mut store = MetricStore::default();
    store.put(NOW, NAMESPACE, data).unwrap();
    store
}

fn request(statistics: &[&str]) -> StatisticsRequest {
    StatisticsRequest {
        metric: metric(&[]),
        start_ms: NOW - 60 * MINUTE,
        end_ms: NOW + 60 * MINUTE,
        period_seconds: 60,
        statistics: statistics.iter().map(|name| (*name).to_owned()).collect(),
        unit: None,
    }
}

/// Returns one statistic of the only period with data.
fn statistic(store: &MetricStore, name: &str) -> Option<f64> {
    let datapoints = store.get_metric_statistics(&request(&[name])).unwrap();
    assert_eq!(datapoints.len(), 1);
    datapoints[0].statistics.get(name).copied()
}

fn refused(data: &[MetricDatum]) -> &'static str {
    parameter_of(MetricStore::default().put(NOW, NAMESPACE, data))
}

fn parameter_of(result: Result<impl std::fmt::Debug, CloudWatchError>) -> &'static str {
    match result.unwrap_err() {
        CloudWatchError::InvalidParameterValue { parameter, .. } => parameter,
        other => panic!("not an invalid value: {other}"),
    }
}

// Putting: CloudWatch API reference, PutMetricData, MetricDatum, Dimension.

#[test]
fn a_call_takes_1_to_1000_data() {
    assert_eq!(refused(&vec![single(1.0); 1_001]), "MetricData");
    assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &vec![single(1.0); 1_000]), Ok(()));
    let none = MetricStore::default().put(NOW, NAMESPACE, &[]);
    assert_eq!(none, Err(CloudWatchError::MissingParameter { parameter: "MetricData" }));
}

#[test]
fn a_refused_datum_refuses_the_whole_call() {
    let mut store = MetricStore::default();
    store.put(NOW, NAMESPACE, &[single(1.0), single(f64::NAN)]).unwrap_err();
    assert_eq!(store.get_metric_statistics(&request(&["Sum"])), Ok(Vec::new()));
}

#[test]
fn values_are_finite_and_within_2_to_the_360() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2_f64.powi(361), -2_f64.powi(361)] {
        assert_eq!(refused(&[single(value)]), "MetricData.Value");
        assert_eq!(refused(&[many(&[value], &[])]), "MetricData.Value");
    }
    assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &[single(2_f64.powi(360))]), Ok(()));
}

#[test]
fn a_datum_has_at_most_150_values_and_as_many_counts() {
    assert_eq!(refused(&[many(&[1.0; 151], &[])]), "MetricData.Values");
    let uneven = MetricStore::default().put(NOW, NAMESPACE, &[single(1.0), many(&[1.0, 2.0], &[1.0])]);
    assert_eq!(uneven, Err(CloudWatchError::DifferentSizes(2)));
    assert_eq!(refused(&[many(&[1.0], &[-1.0])]), "MetricData.Counts");
    assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &[many(&[1.0; 150], &[1.0; 150])]), Ok(()));
}

#[test]
fn a_metric_has_at_most_30_dimensions_each_once() {
    let with = |count: usize| {
        let dimensions = (0..count).map(|n| dimension(&format!("d{n}"), "v")).collect();
        MetricDatum { dimensions, ..single(1.0) }
    };
    assert_eq!(refused(&[with(31)]), "Dimensions");
    assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &[with(30)]), Ok(()));
    let twice = MetricDatum { dimensions: vec![dimension("d", "1"), dimension("d", "2")], ..single(1.0) };
    assert_eq!(refused(&[twice]), "Dimensions");
}

#[test]
fn dimension_values_are_ascii_not_blank_and_do_not_start_with_a_colon() {
    let with = |value: &str| MetricDatum { dimensions: vec![dimension("d", value)], ..single(1.0) };
    for value in ["", " ", ":x", "ä", "a\nb", &"x".repeat(1_025)] {
        assert_eq!(refused(&[with(value)]), "Dimensions.Value", "{value:?}");
    }
    for value in ["x:", "a b", "_other", &"x".repeat(1_024)] {
        assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &[with(value)]), Ok(()), "{value:?}");
    }
}

#[test]
fn timestamps_lie_between_two_weeks_ago_and_two_hours_ahead() {
    let two_hours = 120 * MINUTE;
    assert_eq!(refused(&[at(NOW - 14 * DAY - 1, 1.0)]), "Timestamp");
    assert_eq!(refused(&[at(NOW + two_hours + 1, 1.0)]), "Timestamp");
    let ends = [at(NOW - 14 * DAY, 1.0), at(NOW + two_hours, 1.0)];
    assert_eq!(MetricStore::default().put(NOW, NAMESPACE, &ends), Ok(()));
}

#[test]
fn namespaces_of_aws_and_unknown_units_and_resolutions_are_refused() {
    for namespace in ["", ":x", "AWS/SQS", "ä", &"x".repeat(256)] {
        let result = MetricStore::default().put(NOW, namespace, &[single(1.0)]);
        assert_eq!(parameter_of(result), "Namespace");
    }
    assert_eq!(refused(&[MetricDatum { unit: Some("Parsec".to_owned()), ..single(1.0) }]), "Unit");
    assert_eq!(refused(&[MetricDatum { storage_resolution_seconds: Some(5), ..single(1.0) }]), "StorageResolution");
}

// Reading.

#[test]
fn values_of_one_period_are_taken_together() {
    let store = store_with(&[single(4.0), many(&[1.0, 2.0], &[3.0, 1.0]), statistic_set(2.0, 10.0, 3.0, 7.0)]);
    let value = |name| statistic(&store, name).unwrap();
    assert_eq!(value("SampleCount"), 7.0);
    assert_eq!(value("Sum"), 19.0);
    assert_eq!(value("Average"), 19.0 / 7.0);
    assert_eq!(value("Minimum"), 1.0);
    assert_eq!(value("Maximum"), 7.0);
}

#[test]
fn a_percentile_weighs_values_by_their_counts() {
    let store = store_with(&[many(&[10.0, 20.0, 30.0], &[98.0, 1.0, 1.0])]);
    for (name, expected) in [("p0", 10.0), ("p50", 10.0), ("p98", 10.0), ("p99", 20.0), ("p99.9", 30.0), ("p100", 30.0)]
    {
        assert_eq!(statistic(&store, name), Some(expected), "{name}");
    }
}

// CloudWatch API reference, GetMetricStatistics: percentiles need the values themselves.
#[test]
fn percentiles_are_absent_for_statistic_sets_and_negative_values() {
    assert_eq!(statistic(&store_with(&[statistic_set(2.0, 10.0, 3.0, 7.0)]), "p50"), None);
    assert_eq!(statistic(&store_with(&[single(-1.0)]), "p50"), None);
    assert_eq!(statistic(&store_with(&[statistic_set(1.0, 5.0, 5.0, 5.0)]), "p50"), Some(5.0));
    assert_eq!(statistic(&store_with(&[statistic_set(3.0, 15.0, 5.0, 5.0)]), "p50"), Some(5.0));
}

#[test]
fn the_start_is_inclusive_and_the_end_is_not() {
    let store = store_with(&[at(NOW, 1.0), at(NOW + MINUTE, 2.0), at(NOW + 2 * MINUTE, 4.0)]);
    let span = StatisticsRequest { start_ms: NOW, end_ms: NOW + 2 * MINUTE, ..request(&["Sum"]) };
    let sums: Vec<f64> =
        store.get_metric_statistics(&span).unwrap().iter().map(|datapoint| datapoint.statistics["Sum"]).collect();
    assert_eq!(sums, [1.0, 2.0]);
}

#[test]
fn the_start_is_rounded_down_to_the_minute_and_periods_count_from_it() {
    let store = store_with(&[at(NOW + MINUTE, 1.0), at(NOW + 5 * MINUTE, 2.0), at(NOW + 6 * MINUTE, 4.0)]);
    let span = StatisticsRequest {
        start_ms: NOW + MINUTE + 30_000,
        end_ms: NOW + 20 * MINUTE,
        period_seconds: 300,
        ..request(&["Sum"])
    };
    let points: Vec<(u64, f64)> = store
        .get_metric_statistics(&span)
        .unwrap()
        .iter()
        .map(|datapoint| ((datapoint.timestamp_ms - NOW) / MINUTE, datapoint.statistics["Sum"]))
        .collect();
    assert_eq!(points, [(1, 3.0), (6, 4.0)]);
}

#[test]
fn high_resolution_data_can_be_read_by_the_second() {
    let precise = |timestamp_ms| MetricDatum { storage_resolution_seconds: Some(1), ..at(timestamp_ms, 1.0) };
    let store = store_with(&[precise(NOW + 1_500), precise(NOW + 7_000)]);
    let span = StatisticsRequest { start_ms: NOW, end_ms: NOW + MINUTE, period_seconds: 5, ..request(&["Sum"]) };
    let starts: Vec<u64> =
        store.get_metric_statistics(&span).unwrap().iter().map(|point| point.timestamp_ms - NOW).collect();
    assert_eq!(starts, [0, 5_000]);
}

#[test]
fn units_are_apart_and_can_be_asked_for() {
    let count = |value| MetricDatum { unit: Some("Count".to_owned()), ..single(value) };
    let store = store_with(&[single(1.0), count(2.0)]);
    let all = store.get_metric_statistics(&request(&["Sum"])).unwrap();
    let sums: Vec<(&str, f64)> = all.iter().map(|point| (point.unit.as_str(), point.statistics["Sum"])).collect();
    assert_eq!(sums, [("Count", 2.0), ("None", 1.0)]);
    let one = StatisticsRequest { unit: Some("Count".to_owned()), ..request(&["Sum"]) };
    assert_eq!(store.get_metric_statistics(&one).unwrap().len(), 1);
}

#[test]
fn a_metric_is_found_by_exactly_its_dimensions_in_any_order() {
    let (tenant, status) = (dimension("TenantId", "t"), dimension("Status", "READY"));
    let put = MetricDatum { dimensions: vec![tenant.clone(), status.clone()], ..single(1.0) };
    let store = store_with(&[put]);
    let found = |dimensions: &[Dimension]| {
        let request = StatisticsRequest { metric: metric(dimensions), ..request(&["Sum"]) };
        store.get_metric_statistics(&request).unwrap().len()
    };
    assert_eq!(found(&[status, tenant.clone()]), 1);
    assert_eq!(found(&[tenant]), 0);
    assert_eq!(found(&[]), 0);
}

#[test]
fn more_than_1440_datapoints_and_odd_periods_are_refused() {
    let day = StatisticsRequest { start_ms: NOW - DAY, end_ms: NOW, ..request(&["Sum"]) };
    let store = MetricStore::default();
    assert_eq!(store.get_metric_statistics(&day), Ok(Vec::new()));
    let longer = StatisticsRequest { end_ms: NOW + 1, ..day.clone() };
    let error = store.get_metric_statistics(&longer).unwrap_err();
    assert_eq!(error.codes().1, "InvalidParameterCombination");
    for period_seconds in [0, 2, 61] {
        let odd = StatisticsRequest { period_seconds, ..day.clone() };
        assert_eq!(parameter_of(store.get_metric_statistics(&odd)), "Period");
    }
    let backwards = StatisticsRequest { start_ms: NOW, ..day.clone() };
    assert_eq!(store.get_metric_statistics(&backwards), Err(CloudWatchError::EmptySpan));
    for name in ["sum", "p101", "p-1", "px", "pNaN", "tm99"] {
        assert_eq!(parameter_of(store.get_metric_statistics(&request(&[name]))), "Statistics", "{name}");
    }
}

fn query(id: &str, stat: &str) -> MetricDataQuery {
    MetricDataQuery {
        id: id.to_owned(),
        label: None,
        metric: metric(&[]),
        period_seconds: 300,
        stat: stat.to_owned(),
        unit: None,
        return_data: true,
    }
}

fn data_request(queries: Vec<MetricDataQuery>, newest_first: bool) -> MetricDataRequest {
    MetricDataRequest { queries, start_ms: NOW, end_ms: NOW + 60 * MINUTE, newest_first }
}

#[test]
fn metric_data_has_one_result_per_query_on_even_periods() {
    let store = store_with(&[at(NOW + MINUTE, 1.0), at(NOW + 4 * MINUTE, 2.0), at(NOW + 6 * MINUTE, 4.0)]);
    let hidden = MetricDataQuery { return_data: false, ..query("hidden", "Sum") };
    let queries = vec![query("sum", "Sum"), hidden, query("most", "Maximum")];
    let results = store.get_metric_data(&data_request(queries.clone(), true)).unwrap();
    assert_eq!(results.iter().map(|result| result.id.as_str()).collect::<Vec<_>>(), ["sum", "most"]);
    assert_eq!(results[0].points, [(NOW + 5 * MINUTE, 4.0), (NOW, 3.0)]);
    assert_eq!(results[0].label, "Events Sum");
    let oldest_first = store.get_metric_data(&data_request(queries, false)).unwrap();
    assert_eq!(oldest_first[1].points, [(NOW, 2.0), (NOW + 5 * MINUTE, 4.0)]);
}

#[test]
fn query_ids_are_unique_and_start_with_a_lowercase_letter() {
    let store = MetricStore::default();
    for ids in [vec!["a", "a"], vec!["A"], vec![""], vec!["1"], vec!["a-b"], vec![]] {
        let queries = ids.iter().map(|id| query(id, "Sum")).collect();
        assert_eq!(parameter_of(store.get_metric_data(&data_request(queries, true))), "MetricDataQueries");
    }
}

#[test]
fn metrics_are_listed_by_namespace_name_and_dimensions() {
    let tenant = |value| MetricDatum { dimensions: vec![dimension("TenantId", value)], ..single(1.0) };
    let mut store = store_with(&[single(1.0), tenant("a"), tenant("b")]);
    store.put(NOW, "Other", &[single(1.0)]).unwrap();
    let count = |request: &ListMetricsRequest| store.list_metrics(NOW, request).unwrap().metrics.len();
    let in_namespace = ListMetricsRequest { namespace: Some(NAMESPACE.to_owned()), ..ListMetricsRequest::default() };
    let with = |value: Option<&str>| ListMetricsRequest {
        dimensions: vec![DimensionFilter { name: "TenantId".to_owned(), value: value.map(str::to_owned) }],
        ..in_namespace.clone()
    };
    assert_eq!(count(&ListMetricsRequest::default()), 4);
    assert_eq!(count(&in_namespace), 3);
    assert_eq!(count(&with(None)), 2);
    assert_eq!(count(&with(Some("b"))), 1);
    assert_eq!(count(&ListMetricsRequest { name: Some("None".to_owned()), ..in_namespace.clone() }), 0);
}

#[test]
fn a_listing_has_500_metrics_a_page_and_misses_none() {
    let data: Vec<MetricDatum> = (0..1_000).map(|n| MetricDatum { name: format!("m{n}"), ..single(1.0) }).collect();
    let mut store = store_with(&data);
    store.put(NOW, NAMESPACE, &[single(1.0)]).unwrap();
    let mut request = ListMetricsRequest::default();
    let mut pages = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let page = store.list_metrics(NOW, &request).unwrap();
        pages.push(page.metrics.len());
        seen.extend(page.metrics);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [500, 500, 1]);
    assert_eq!(seen.len(), 1_001);
    let made_up = ListMetricsRequest { next_token: Some("?".to_owned()), ..ListMetricsRequest::default() };
    assert_eq!(store.list_metrics(NOW, &made_up), Err(CloudWatchError::InvalidNextToken));
}

#[test]
fn a_metric_without_data_for_two_weeks_is_not_listed() {
    let store = store_with(&[single(1.0)]);
    let listed = |now_ms| store.list_metrics(now_ms, &ListMetricsRequest::default()).unwrap().metrics.len();
    assert_eq!((listed(NOW + 14 * DAY), listed(NOW + 14 * DAY + 1)), (1, 0));
}

#[test]
fn a_snapshot_reads_the_same() {
    let store = store_with(&[single(0.1), single(0.2), statistic_set(2.0, 0.7, 0.3, 0.4)]);
    let text = serde_json::to_string(&store).unwrap();
    let restored: MetricStore = serde_json::from_str(&text).unwrap();
    let request = request(&["Sum", "Minimum", "Maximum", "SampleCount"]);
    assert_eq!(restored.get_metric_statistics(&request), store.get_metric_statistics(&request));
}
