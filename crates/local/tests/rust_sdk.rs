//! The AWS SDK for Rust against the local cloud, service by service.

mod support;

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit, Statistic},
};
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ScalarAttributeType};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_sdk_sqs::{
    error::ProvideErrorMetadata,
    types::{MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry},
};
use support::{cloud, sdk_config};

#[tokio::test]
async fn a_fifo_queue_delivers_a_group_in_order_and_blocks_it_while_in_flight() {
    let cloud = cloud().await;
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(&cloud).await);
    let created = sqs
        .create_queue()
        .queue_name("orders.fifo")
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::ContentBasedDeduplication, "true")
        .send()
        .await
        .unwrap();
    let url = created.queue_url().unwrap();
    for body in ["a1", "a2", "a1"] {
        sqs.send_message().queue_url(url).message_body(body).message_group_id("a").send().await.unwrap();
    }
    let entry = |id: &str, group: Option<&str>, body: &str| {
        let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(body);
        entry.set_message_group_id(group.map(str::to_owned)).build().unwrap()
    };
    let send = || sqs.send_message_batch().queue_url(url).entries(entry("b1", Some("b"), "b1"));
    let refused = send().entries(entry("x", None, "x")).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidParameterValue"), "one without a group fails all");
    let sent = send().entries(entry("x", Some("b"), "\u{1}")).send().await.unwrap();
    assert_eq!(sent.successful()[0].id(), "b1");
    assert_eq!((sent.failed()[0].id(), sent.failed()[0].sender_fault()), ("x", true));

    let receive = || {
        let receive = sqs.receive_message().queue_url(url).max_number_of_messages(1);
        receive.message_system_attribute_names(MessageSystemAttributeName::All)
    };
    let first = receive().send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(first.body(), Some("a1"));
    assert_eq!(first.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId], "a");
    let second = receive().send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(second.body(), Some("b1"), "group a is in flight");
    assert_eq!(receive().send().await.unwrap().messages, None, "the second a1 was a duplicate");

    sqs.delete_message().queue_url(url).receipt_handle(first.receipt_handle().unwrap()).send().await.unwrap();
    let third = receive().send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(third.body(), Some("a2"));
}

#[tokio::test]
async fn a_waiting_receive_gets_a_message_sent_meanwhile() {
    let cloud = cloud().await;
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(&cloud).await);
    let url = sqs.create_queue().queue_name("plain").send().await.unwrap().queue_url.unwrap();
    let receive = sqs.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let send = sqs.send_message().queue_url(&url).message_body("late").send();
    let (received, sent) = tokio::join!(receive, send);
    sent.unwrap();
    assert_eq!(received.unwrap().messages()[0].body(), Some("late"));
}

#[tokio::test]
async fn a_missing_queue_is_the_sdks_typed_error() {
    let cloud = cloud().await;
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(&cloud).await);
    let error = sqs.get_queue_url().queue_name("nowhere").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist(), "{error:?}");
}

#[tokio::test]
async fn the_deployment_has_the_queues_that_terraform_makes() {
    let cloud = cloud().await;
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(&cloud).await);
    let url = cloud.deployment().queue_url(&cloud.deployment().project.events_queue());
    let all = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let attributes = all.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "90");
    assert_eq!(attributes[&QueueAttributeName::MaximumMessageSize], "262144");
    assert_eq!(attributes[&QueueAttributeName::DeduplicationScope], "messageGroup");
    assert!(attributes[&QueueAttributeName::RedrivePolicy].contains("event-processor-events-dlq.fifo"));
}

#[tokio::test]
async fn a_published_message_reaches_a_subscribed_queue_if_its_filter_lets_it() {
    let cloud = cloud().await;
    let config = sdk_config(&cloud).await;
    let (sqs, sns) = (aws_sdk_sqs::Client::new(&config), aws_sdk_sns::Client::new(&config));
    let queue_url = sqs.create_queue().queue_name("inbox").send().await.unwrap().queue_url.unwrap();
    let topic_arn = cloud.deployment().alerts_topic_arn();
    let subscription = sns
        .subscribe()
        .topic_arn(&topic_arn)
        .protocol("sqs")
        .endpoint("arn:aws:sqs:us-east-1:000000000000:inbox")
        .attributes("RawMessageDelivery", "true")
        .send()
        .await
        .unwrap();
    let subscription_arn = subscription.subscription_arn().unwrap();
    let filter = sns.set_subscription_attributes().subscription_arn(subscription_arn).attribute_name("FilterPolicy");
    filter.attribute_value(r#"{"tenant":["acme"]}"#).send().await.unwrap();

    for tenant in ["other", "acme"] {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(tenant).build().unwrap();
        let publish = sns.publish().topic_arn(&topic_arn).subject("alert").message(format!("for {tenant} & co"));
        publish.message_attributes("tenant", attribute).send().await.unwrap();
    }
    let received = sqs.receive_message().queue_url(&queue_url).max_number_of_messages(10).send().await.unwrap();
    let bodies: Vec<_> = received.messages().iter().filter_map(|message| message.body()).collect();
    assert_eq!(bodies, ["for acme & co"]);
    let listed = sns.list_subscriptions_by_topic().topic_arn(&topic_arn).send().await.unwrap();
    assert_eq!(listed.subscriptions()[0].endpoint(), Some("arn:aws:sqs:us-east-1:000000000000:inbox"));
    let missing = sns.publish().topic_arn(format!("{topic_arn}-x")).message("m").send().await.unwrap_err();
    assert!(missing.as_service_error().unwrap().is_not_found_exception(), "{missing:?}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "CloudWatch takes data of the last two weeks only")]
async fn metrics_come_back_as_they_were_put() {
    let cloud = cloud().await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk_config(&cloud).await);
    let now = SystemTime::now();
    let dimension = Dimension::builder().name("Status").value("READY").build();
    let datum = MetricDatum::builder()
        .metric_name("Events")
        .dimensions(dimension.clone())
        .timestamp(DateTime::from(now))
        .set_values(Some(vec![1.0, 2.5]))
        .set_counts(Some(vec![3.0, 2.0]))
        .unit(StandardUnit::Count)
        .build();
    cloudwatch.put_metric_data().namespace("Test").metric_data(datum).send().await.unwrap();

    let (start, end) = (now - Duration::from_secs(600), now + Duration::from_secs(600));
    let statistics = cloudwatch
        .get_metric_statistics()
        .namespace("Test")
        .metric_name("Events")
        .dimensions(dimension.clone())
        .start_time(DateTime::from(start))
        .end_time(DateTime::from(end))
        .period(3600)
        .statistics(Statistic::Sum)
        .statistics(Statistic::SampleCount)
        .send()
        .await
        .unwrap();
    let datapoint = &statistics.datapoints()[0];
    assert_eq!((datapoint.sum(), datapoint.sample_count()), (Some(8.0), Some(5.0)));

    let metric = Metric::builder().namespace("Test").metric_name("Events").dimensions(dimension.clone()).build();
    let stat = MetricStat::builder().metric(metric).period(3600).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("m1").metric_stat(stat).build();
    let data = cloudwatch.get_metric_data().metric_data_queries(query);
    let data = data.start_time(DateTime::from(start)).end_time(DateTime::from(end)).send().await.unwrap();
    assert_eq!(data.metric_data_results()[0].values(), [2.5]);
    assert_eq!(data.metric_data_results()[0].timestamps().len(), 1);

    let listed = cloudwatch.list_metrics().namespace("Test").send().await.unwrap();
    assert_eq!(listed.metrics()[0].dimensions(), [dimension]);
    let refused = cloudwatch.put_metric_data().namespace("AWS/Mine").send().await.unwrap_err();
    assert!(refused.as_service_error().is_some(), "{refused:?}");
}

#[tokio::test]
async fn a_compressed_batch_of_metrics_is_read() {
    let cloud = cloud().await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk_config(&cloud).await);
    // Beyond 10 KB the SDK compresses.
    let data: Vec<MetricDatum> = (0..500)
        .map(|number| {
            let name = format!("a metric with a fairly long name, number {number}");
            MetricDatum::builder().metric_name(name).value(f64::from(number)).build()
        })
        .collect();
    cloudwatch.put_metric_data().namespace("Many").set_metric_data(Some(data)).send().await.unwrap();
    let listed = cloudwatch.list_metrics().namespace("Many").send().await.unwrap();
    assert_eq!(listed.metrics().len(), 500);
}

#[tokio::test]
async fn the_events_table_takes_inserts_once_and_streams_them() {
    let cloud = cloud().await;
    let config = sdk_config(&cloud).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let table = cloud.deployment().project.events_table();
    let statement = format!("INSERT INTO \"{table}\" VALUE {{'tenant_id': ?, 'sk': ?}}");
    let insert = || {
        let values = ["acme", "2026#1"].map(|text| AttributeValue::S(text.to_owned()));
        let request = BatchStatementRequest::builder().statement(&statement).set_parameters(Some(values.into()));
        dynamodb.batch_execute_statement().statements(request.build().unwrap()).send()
    };
    assert!(insert().await.unwrap().responses()[0].error().is_none());
    let refused = insert().await.unwrap().responses()[0].error().unwrap().code().unwrap().as_str().to_owned();
    assert_eq!(refused, "DuplicateItem");

    let described = dynamodb.describe_table().table_name(&table).send().await.unwrap().table.unwrap();
    let stream_arn = described.latest_stream_arn().unwrap();
    assert!(stream_arn.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/event-processor-events/stream/"));
    assert!(described.attribute_definitions().iter().all(|a| a.attribute_type() == &ScalarAttributeType::S));
    let tags = dynamodb.list_tags_of_resource().resource_arn(described.table_arn().unwrap()).send().await.unwrap();
    assert!(tags.tags().is_empty());

    let streams = aws_sdk_dynamodbstreams::Client::new(&config);
    let stream = streams.describe_stream().stream_arn(stream_arn).send().await.unwrap().stream_description.unwrap();
    let shard_id = stream.shards()[0].shard_id().unwrap();
    let iterator = streams.get_shard_iterator().stream_arn(stream_arn).shard_id(shard_id);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let records =
        streams.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap().records.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].aws_region(), Some("us-east-1"));
    assert!(records[0].dynamodb().unwrap().new_image().unwrap().contains_key("sk"));
}
