//! The real binary of the projector, as it is zipped, under the Lambda Runtime API and against the local cloud.

use ledger::projection::Verdict;
use local::{Cloud, Options, Role, command::traffic, lambda::functions, reconciliation};

#[tokio::test]
async fn the_binary_counts_exactly_what_was_recorded_and_alerts_on_what_is_invalid() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    functions::deploy(&cloud).await.unwrap();
    functions::deploy_binary(&cloud, Role::Projector, env!("CARGO_BIN_EXE_projector"));
    for ratio in [0.0, 1.0] {
        let request = traffic::Request { count: Some(50), invalid_ratio: Some(ratio) };
        assert_eq!(traffic::send(cloud.services(), request).await.unwrap(), 50);
    }

    let landed = traffic::until_landed(cloud.services()).await.unwrap();
    assert!(landed.agree());
    let counts = [Verdict::Ready, Verdict::Invalid].map(|verdict| reconciliation::count(&landed.projected, verdict));
    assert_eq!(counts, [50, 50]);
    let (alerts, metrics) = cloud.services().shared.look(|state, now_ms| {
        let request = cloudsim::cloudwatch::ListMetricsRequest::default();
        (state.published_total, state.metrics.list_metrics(now_ms, &request).unwrap().metrics.len())
    });
    assert!(alerts >= 1, "an alert left");
    assert!(metrics >= 10, "{metrics} metrics");
    cloud.stop().await.unwrap();
}
