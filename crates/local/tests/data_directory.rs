//! What a data directory keeps, and what happens when it cannot be used.

mod support;

use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use cloudsim::Account;
use local::{Cloud, Options, StartError};
use support::{empty_folder, sdk_config};

async fn cloud_in(directory: &Path) -> Result<Cloud, StartError> {
    Cloud::start(Options { data_directory: Some(directory.to_owned()), ..Options::default() }).await
}

#[tokio::test]
async fn messages_items_and_metrics_outlive_a_restart() {
    let directory = empty_folder("restarted");
    let cloud = cloud_in(&directory).await.unwrap();
    let config = sdk_config(&cloud).await;
    let deployment = cloud.deployment().clone();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = deployment.queue_url(&deployment.project.events_queue());
    sqs.send_message().queue_url(url).message_group_id("acme").message_body("kept").send().await.unwrap();
    let put = aws_sdk_dynamodb::Client::new(&config).put_item().table_name(deployment.project.events_table());
    let put = put.item("tenant_id", AttributeValue::S("acme".into())).item("sk", AttributeValue::S("1".into()));
    put.send().await.unwrap();
    let datum = aws_sdk_cloudwatch::types::MetricDatum::builder().metric_name("M").value(1.5).build();
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    cloudwatch.put_metric_data().namespace("N").metric_data(datum).send().await.unwrap();
    cloud.stop().await.unwrap();

    let cloud = cloud_in(&directory).await.unwrap();
    let config = sdk_config(&cloud).await;
    let url = cloud.deployment().queue_url(&deployment.project.events_queue());
    let received = aws_sdk_sqs::Client::new(&config).receive_message().queue_url(url).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("kept"));
    let scan = aws_sdk_dynamodb::Client::new(&config).scan().table_name(deployment.project.events_table());
    assert_eq!(scan.send().await.unwrap().count(), 1);
    let metrics = aws_sdk_cloudwatch::Client::new(&config).list_metrics().namespace("N").send().await.unwrap();
    assert_eq!(metrics.metrics().len(), 1);
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let directory = empty_folder("in_use");
    let cloud = cloud_in(&directory).await.unwrap();
    let refused = cloud_in(&directory).await.err().unwrap();
    assert!(refused.to_string().contains("in use by another local cloud"), "{refused}");
    cloud.stop().await.unwrap();
    cloud_in(&directory).await.unwrap();
}

#[tokio::test]
async fn a_directory_of_another_account_or_region_is_refused() {
    let directory = empty_folder("elsewhere");
    cloud_in(&directory).await.unwrap().stop().await.unwrap();
    let elsewhere = [
        (Account { id: "210987654321".to_owned(), ..Account::default() }, "start with --account-id 000000000000"),
        (Account { region: "eu-west-1".to_owned(), ..Account::default() }, "start with AWS_REGION=us-east-1"),
    ];
    for (account, hint) in elsewhere {
        let options = Options { account, data_directory: Some(directory.clone()), ..Options::default() };
        let refused = Cloud::start(options).await.err().unwrap();
        assert!(refused.to_string().contains(hint), "{refused}");
    }
}
