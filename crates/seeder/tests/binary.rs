//! The real binary of the seeder, as it is zipped, under the Lambda Runtime API and against the local cloud.

use local::{
    Cloud, FunctionError, Options, Role,
    command::traffic,
    lambda::{function, functions},
    reconciliation,
};
use serde_json::{Value, json};

async fn cloud() -> Cloud {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    functions::deploy(&cloud).await.unwrap();
    functions::deploy_binary(&cloud, Role::Seeder, env!("CARGO_BIN_EXE_seeder"));
    cloud
}

async fn invoke(cloud: &Cloud, payload: &str) -> Result<Value, FunctionError> {
    let name = cloud.deployment().function_name(Role::Seeder);
    let seeder = cloud.services().functions.get(&name).unwrap();
    let answer = function::invoke(&seeder, payload.as_bytes().to_vec()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[tokio::test]
async fn an_empty_request_publishes_one_event_per_schema_and_all_land_ready() {
    let cloud = cloud().await;
    let answer = invoke(&cloud, "{}").await.unwrap();
    assert_eq!(answer["message"], "Seed Lambda completed");
    assert_eq!(answer["failed"], json!([]));
    let published = answer["published"].as_array().unwrap();
    assert!(published.iter().all(|event| event["tenant_id"] == "tenant-a"));
    let types: Vec<&str> = published.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    let expected = ["integrations", "monitoring", "transaction.authorizers", "user.applications", "user.created"];
    assert_eq!(types, expected);

    let landed = traffic::until_landed(cloud.services()).await.unwrap();
    assert_eq!(reconciliation::count(&landed.recorded, ledger::projection::Verdict::Ready), 5);
    assert!(landed.agree());
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn the_same_seeded_request_again_brings_no_new_entries() {
    let cloud = cloud().await;
    let request = r#"{"count": 25, "tenants": 3, "invalid_ratio": 0.2, "seed": 7}"#;
    for _ in 0..2 {
        let answer = invoke(&cloud, request).await.unwrap();
        assert_eq!(answer["published"].as_array().unwrap().len(), 25);
        let landed = traffic::until_landed(cloud.services()).await.unwrap();
        assert_eq!(landed.entries.len(), 25);
    }
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_bad_request_is_an_error_that_says_what_is_wrong() {
    let cloud = cloud().await;
    for (request, expected) in [
        (r#"{"count": 0}"#, "`count` is 0, expected 1 to 1000"),
        (r#"{"event_types": ["nope"]}"#, "`event_types` holds \"nope\""),
        (r#"{"cuont": 1}"#, "unknown field `cuont`"),
    ] {
        let error = invoke(&cloud, request).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.replace("\\\"", "\"").contains(expected), "{text}");
    }
    cloud.stop().await.unwrap();
}
