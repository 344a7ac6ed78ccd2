//! The AWS CLI and boto3 against the local cloud: what a user pastes has to work.

mod support;

use std::time::Duration;

use cloudsim::Account;
use local::{Cloud, Function, Options};
use serde_json::{Value, json};
use support::{cloud, missing_tool};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

async fn run(cloud: &Cloud, program: &str, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    let region = cloud.deployment().account.region.as_str();
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true).envs([
        ("AWS_ENDPOINT_URL", cloud.endpoint_url()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ]);
    tokio::time::timeout(LIMIT, command.output()).await.expect("the tool ends")
}

/// Runs the CLI and reads what it prints as JSON; `Err` is what it says on stderr.
async fn aws(cloud: &Cloud, arguments: &[&str]) -> Result<Value, String> {
    // Version 1 of the CLI does not look at AWS_ENDPOINT_URL for SQS.
    let options = ["--output", "json", "--endpoint-url", cloud.endpoint_url()];
    let output = run(cloud, "aws", &[&options, arguments].concat()).await.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) })
}

/// A cloud, if there is the CLI to speak to it.
async fn cloud_for_cli() -> Option<Cloud> {
    with_cli(cloud().await).await
}

async fn with_cli(cloud: Cloud) -> Option<Cloud> {
    let found = run(&cloud, "aws", &["--version"]).await.is_ok_and(|output| output.status.success());
    if !found {
        missing_tool("the AWS CLI", "`pip install awscli` brings it");
    }
    found.then_some(cloud)
}

#[tokio::test]
async fn the_cli_invokes_a_function_as_the_readme_shows() {
    let Some(cloud) = cloud_for_cli().await else { return };
    cloud.deploy(Function::in_process("event-processor-seed", LIMIT, async |invocation| Ok(invocation.payload)));
    let answer = run(&cloud, "aws", &["lambda", "invoke", "--function-name", "event-processor-seed", "/dev/stdout"]);
    let text = String::from_utf8(answer.await.unwrap().stdout).unwrap();
    assert!(text.starts_with("{}") && text.contains("\"StatusCode\": 200"), "{text}");
    let missing = aws(&cloud, &["lambda", "invoke", "--function-name", "nobody", "/dev/null"]).await.unwrap_err();
    assert!(missing.contains("ResourceNotFoundException") && missing.contains("nobody"), "{missing}");
}

#[tokio::test]
async fn the_cli_sends_to_a_fifo_queue_and_receives_from_it() {
    let Some(cloud) = cloud_for_cli().await else { return };
    let url = cloud.deployment().queue_url(&cloud.deployment().project.events_queue());
    let found = aws(&cloud, &["sqs", "get-queue-url", "--queue-name", "event-processor-events.fifo"]).await.unwrap();
    assert_eq!(found["QueueUrl"], url);
    let send = ["sqs", "send-message", "--queue-url", &url, "--message-body", "hé", "--message-group-id", "acme"];
    let sent = aws(&cloud, &send).await.unwrap();
    assert_eq!(sent["SequenceNumber"].as_str().unwrap().len(), 20);
    let received =
        aws(&cloud, &["sqs", "receive-message", "--queue-url", &url, "--attribute-names", "All"]).await.unwrap();
    assert_eq!(received["Messages"][0]["Body"], "hé");
    assert_eq!(received["Messages"][0]["Attributes"]["MessageGroupId"], "acme");
    let refused = aws(&cloud, &["sqs", "send-message", "--queue-url", &url, "--message-body", "x"]).await.unwrap_err();
    assert!(refused.contains("MissingParameter") && refused.contains("MessageGroupId"), "{refused}");
}

#[tokio::test]
async fn the_cli_puts_and_reads_metrics() {
    let Some(cloud) = cloud_for_cli().await else { return };
    let put = "cloudwatch put-metric-data --namespace Cli --metric-name Runs --value 2 --dimensions Kind=test";
    aws(&cloud, &put.split(' ').collect::<Vec<_>>()).await.unwrap();
    let listed = aws(&cloud, &["cloudwatch", "list-metrics", "--namespace", "Cli"]).await.unwrap();
    assert_eq!(listed["Metrics"][0]["Dimensions"], json!([{"Name": "Kind", "Value": "test"}]));
    let read = "cloudwatch get-metric-statistics --namespace Cli --metric-name Runs --dimensions Name=Kind,Value=test \
                --start-time 2020-01-01T00:00:00Z --end-time 2100-01-01T00:00:00Z --period 31536000 --statistics Sum";
    let statistics = aws(&cloud, &read.split_whitespace().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(statistics["Datapoints"][0]["Sum"], 2.0);
}

#[tokio::test]
async fn the_cli_reads_the_tables_and_the_topic() {
    let Some(cloud) = cloud_for_cli().await else { return };
    let tables = aws(&cloud, &["dynamodb", "list-tables"]).await.unwrap();
    assert_eq!(tables["TableNames"].as_array().unwrap().len(), 3);
    let item = r#"{"tenant_id": {"S": "acme"}, "sk": {"S": "2026#1"}, "status": {"S": "READY"}}"#;
    aws(&cloud, &["dynamodb", "put-item", "--table-name", "event-processor-events", "--item", item]).await.unwrap();
    let scan = aws(&cloud, &["dynamodb", "scan", "--table-name", "event-processor-events"]).await.unwrap();
    assert_eq!(scan["Count"], 1);
    let topics = aws(&cloud, &["sns", "list-topics"]).await.unwrap();
    assert_eq!(topics["Topics"][0]["TopicArn"], cloud.deployment().alerts_topic_arn());
    let arn = cloud.deployment().alerts_topic_arn();
    let published = aws(&cloud, &["sns", "publish", "--topic-arn", &arn, "--message", "<&>"]).await.unwrap();
    assert!(published["MessageId"].as_str().unwrap().len() >= 32);
    let missing =
        aws(&cloud, &["sns", "publish", "--topic-arn", &format!("{arn}x"), "--message", "m"]).await.unwrap_err();
    assert!(missing.contains("NotFound"), "{missing}");
}

#[tokio::test]
async fn the_cli_describes_the_account_the_functions_and_their_mappings() {
    let account = Account { id: "210987654321".to_owned(), ..Account::default() };
    let cloud = Cloud::start(Options { account, ..Options::default() }).await.unwrap();
    let Some(cloud) = with_cli(cloud).await else { return };
    local::lambda::functions::deploy(&cloud).await.unwrap();
    let deployment = cloud.deployment();
    let aws = async |arguments: &[&str]| aws(&cloud, arguments).await.unwrap();

    let identity = aws(&["sts", "get-caller-identity"]).await;
    assert_eq!(
        (&identity["Account"], &identity["Arn"]),
        (&json!("210987654321"), &json!("arn:aws:iam::210987654321:root"))
    );

    let listed = aws(&["lambda", "list-functions"]).await;
    let names: Vec<&Value> = listed["Functions"].as_array().unwrap().iter().map(|it| &it["FunctionName"]).collect();
    assert_eq!(names, ["event-processor", "event-processor-projector", "event-processor-seed"]);
    let configuration =
        aws(&["lambda", "get-function-configuration", "--function-name", "event-processor-projector"]).await;
    assert_eq!(configuration["Environment"]["Variables"]["ALERTS_TOPIC_ARN"], deployment.alerts_topic_arn());
    assert_eq!(configuration["Timeout"], 60);

    let listed = aws(&["lambda", "list-event-source-mappings"]).await;
    let [queue, stream] = &listed["EventSourceMappings"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(queue["EventSourceArn"], "arn:aws:sqs:us-east-1:210987654321:event-processor-events.fifo");
    assert_eq!(queue["ScalingConfig"], json!({"MaximumConcurrency": 10}));
    assert_eq!(queue.get("LastProcessingResult"), None);
    assert_eq!(stream["FunctionArn"], "arn:aws:lambda:us-east-1:210987654321:function:event-processor-projector");
    let figures = ["BatchSize", "TumblingWindowInSeconds", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds"];
    assert_eq!(figures.map(|name| stream[name].clone()), [1_000, 60, -1, 79_200]);
    assert_eq!((&stream["StartingPosition"], &stream["State"]), (&json!("TRIM_HORIZON"), &json!("Enabled")));
    assert_eq!(stream["LastProcessingResult"], "No records processed");
    assert_eq!(stream["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));

    let source = stream["EventSourceArn"].as_str().unwrap();
    let table = aws(&["dynamodb", "describe-table", "--table-name", "event-processor-events"]).await;
    assert_eq!(table["Table"]["LatestStreamArn"], source);
    assert!(source.starts_with("arn:aws:dynamodb:us-east-1:210987654321:table/"), "{source}");
    let of_source = aws(&["lambda", "list-event-source-mappings", "--event-source-arn", source]).await;
    assert_eq!(of_source["EventSourceMappings"], json!([stream]));
    let uuid = queue["UUID"].as_str().unwrap();
    assert_eq!(&aws(&["lambda", "get-event-source-mapping", "--uuid", uuid]).await, queue);
}

async fn receive(cloud: &Cloud, queue: &str, options: &[&str]) -> Vec<Value> {
    let receive = ["sqs", "receive-message", "--queue-url", queue, "--max-number-of-messages", "10"];
    let received = aws(cloud, &[&receive[..], options].concat()).await.unwrap();
    received["Messages"].as_array().cloned().unwrap_or_default()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["Body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_redrive_script_moves_dead_letters_back_in_the_order_of_their_group() {
    let Some(cloud) = cloud_for_cli().await else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/redrive");
    let deployment = cloud.deployment();
    let events = deployment.queue_url(&deployment.project.events_queue());
    let dead = deployment.queue_url(&deployment.project.dead_letter_queue());
    let sent = ["first", "second", "first", "h\u{e9}\n{\"x\": 1}"];
    for (number, body) in sent.iter().enumerate() {
        let id = format!("id-{number}");
        let attribute = r#"{"trace": {"DataType": "String", "StringValue": "t-1"}}"#;
        let send = ["sqs", "send-message", "--queue-url", &dead, "--message-group-id", "acme", "--message-body", body];
        let options = ["--message-deduplication-id", &id, "--message-attributes", attribute];
        aws(&cloud, &[&send[..], &options].concat()).await.unwrap();
    }

    let counted = run(&cloud, script, &["--dry-run", &dead, &events]).await.unwrap();
    assert!(String::from_utf8_lossy(&counted.stdout).contains("4 messages wait"), "{counted:?}");
    // What is received for no time at all stays where it is.
    let look = async |queue| receive(&cloud, queue, &["--visibility-timeout", "0"]).await;
    assert_eq!((look(&dead).await.len(), look(&events).await.len()), (4, 0));

    // What cannot be sent is given back at once.
    let refused = run(&cloud, script, &[&dead, &format!("{events}x")]).await.unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("send-message"));
    assert_eq!(bodies(&look(&dead).await), sent);

    let moved = run(&cloud, script, &[&dead, &events]).await.unwrap();
    assert!(moved.status.success(), "{moved:?}");
    assert!(look(&dead).await.is_empty());
    let options = ["--attribute-names", "All", "--message-attribute-names", "All"];
    let messages = receive(&cloud, &events, &options).await;
    assert_eq!(bodies(&messages), sent);
    for message in messages {
        assert_eq!(message["Attributes"]["MessageGroupId"], "acme");
        let id = message["Attributes"]["MessageDeduplicationId"].as_str().unwrap();
        assert!(id.starts_with("redrive-") && id.len() > 30, "{id}");
        assert_eq!(message["MessageAttributes"]["trace"]["StringValue"], "t-1");
    }
}

const BOTO3: &str = r#"
import boto3, sys
from datetime import datetime, timedelta, timezone

sqs, sns, cw, ddb, streams, fn = (boto3.client(n) for n in ("sqs", "sns", "cloudwatch", "dynamodb", "dynamodbstreams", "lambda"))

url = sqs.create_queue(QueueName="py", tags={"team": "x"})["QueueUrl"]
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "x"}
sent = sqs.send_message_batch(QueueUrl=url, Entries=[
    {"Id": "1", "MessageBody": "one", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"},
                                                            "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}},
    {"Id": "2", "MessageBody": "two"}])
assert len(sent["Successful"]) == 2 and "Failed" not in sent, sent
got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
first = next(m for m in got if m["Body"] == "one")
assert first["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff", first
assert sorted(m["Body"] for m in got) == ["one", "two"]
done = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"]} for m in got])
assert len(done["Successful"]) == 2
try:
    sqs.get_queue_url(QueueName="missing")
    sys.exit("a missing queue was found")
except sqs.exceptions.QueueDoesNotExist as error:
    assert error.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", error.response

trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
sqs.meta.events.register("before-call.sqs.SendMessage", lambda params, **_: params["headers"].update({"X-Amzn-Trace-Id": trace}))
sqs.send_message(QueueUrl=url, MessageBody="traced")
traced = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageSystemAttributeNames=["AWSTraceHeader"])["Messages"][0]
assert traced["Attributes"] == {"AWSTraceHeader": trace}, traced

topic = sns.create_topic(Name="py")["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:py", Attributes={"RawMessageDelivery": "true"})
assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["TopicArn"] == topic
sns.publish(TopicArn=topic, Message="a<b", MessageAttributes={"k": {"DataType": "String", "StringValue": "v"}})
raw = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["k"])["Messages"][0]
assert raw["Body"] == "a<b" and raw["MessageAttributes"]["k"]["StringValue"] == "v", raw

# What a queue does not take goes to the subscription's dead-letter queue.
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:gone", Attributes={
    "RawMessageDelivery": "True", "RedrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:py"}'})
sns.publish(TopicArn=topic, MessageStructure="json", Message='{"default": "for all", "sqs": "for queues"}')
bodies = [m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
assert bodies == ["for queues", "for queues"], bodies

now = datetime.now(timezone.utc)
cw.put_metric_data(Namespace="Py", MetricData=[{"MetricName": "m", "Timestamp": now, "Values": [1, 2], "Counts": [1, 3], "Unit": "Count"}])
data = cw.get_metric_data(StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), MetricDataQueries=[
    {"Id": "a", "MetricStat": {"Metric": {"Namespace": "Py", "MetricName": "m"}, "Period": 7200, "Stat": "Sum"}}])
assert sum(data["MetricDataResults"][0]["Values"]) == 7, data
assert isinstance(data["MetricDataResults"][0]["Timestamps"][0], datetime)

arn = streams.list_streams(TableName="event-processor-events")["Streams"][0]["StreamArn"]
ddb.put_item(TableName="event-processor-events", Item={"tenant_id": {"S": "acme"}, "sk": {"S": "1"}})
ddb.delete_item(TableName="event-processor-events", Key={"tenant_id": {"S": "acme"}, "sk": {"S": "1"}})
shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
it = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
records = streams.get_records(ShardIterator=it)["Records"]
assert [r["eventName"] for r in records] == ["INSERT", "REMOVE"] and records[0]["awsRegion"] == "us-east-1", records
assert ddb.describe_time_to_live(TableName="event-processor-events")["TimeToLiveDescription"]["AttributeName"] == "ttl"

orders = dict(TableName="orders", BillingMode="PAY_PER_REQUEST",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
arn = ddb.create_table(**orders)["TableDescription"]["LatestStreamArn"]
order = {"id": {"S": "1"}, "tags": {"SS": ["a", "b"]}, "parts": {"L": [{"M": {"price": {"N": "1.50"}}}]}}
ddb.put_item(TableName="orders", Item=order)
# None of these changes anything.
ddb.put_item(TableName="orders", Item={**order, "tags": {"SS": ["b", "a"]}})
ddb.update_item(TableName="orders", Key={"id": order["id"]}, UpdateExpression="SET parts = parts")
ddb.execute_statement(Statement="UPDATE orders SET parts[0].price = 1.5 WHERE id = '1'")
ddb.batch_write_item(RequestItems={"orders": [{"PutRequest": {"Item": order}}]})
ddb.transact_write_items(TransactItems=[{"Put": {"TableName": "orders", "Item": order}}])
ddb.put_item(TableName="orders", Item={**order, "parts": {"L": []}})
shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]
assert 28 <= len(shard["ShardId"]) <= 65 and "EndingSequenceNumber" not in shard["SequenceNumberRange"], shard
def read(kind, **where):
    asked = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": kind, **where}
    it = streams.get_shard_iterator(**asked)["ShardIterator"]
    return streams.get_records(ShardIterator=it)["Records"]
inserted, modified = read("TRIM_HORIZON")
assert (inserted["eventName"], modified["eventName"]) == ("INSERT", "MODIFY"), (inserted, modified)
numbers = [record["dynamodb"]["SequenceNumber"] for record in (inserted, modified)]
assert shard["SequenceNumberRange"]["StartingSequenceNumber"] == numbers[0] < numbers[1], numbers
assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[0]) == [modified] and read("LATEST") == []
try:
    streams.get_shard_iterator(StreamArn=arn, ShardId="shardId-00000001-" + "x" * 20, ShardIteratorType="LATEST")
    sys.exit("a missing shard has an iterator")
except streams.exceptions.ResourceNotFoundException:
    pass
ddb.delete_table(TableName="orders")
arn = ddb.create_table(**orders)["TableDescription"]["LatestStreamArn"]
assert read("TRIM_HORIZON") == [], "a new table has the records of the old one"

answer = fn.invoke(FunctionName="arn:aws:lambda:us-east-1:000000000000:function:echo", Payload=b'{"x": 1}')
assert answer["StatusCode"] == 200 and answer["Payload"].read() == b'{"x": 1}'
assert fn.invoke(FunctionName="echo", InvocationType="Event")["StatusCode"] == 202
failed = fn.invoke(FunctionName="broken")
assert failed["FunctionError"] == "Unhandled" and b"errorMessage" in failed["Payload"].read()
print("all good")
"#;

#[tokio::test]
async fn boto3_speaks_to_every_service() {
    let cloud = cloud().await;
    let found = run(&cloud, "python3", &["-c", "import boto3"]).await.is_ok_and(|output| output.status.success());
    if !found {
        return missing_tool("boto3", "`pip install boto3` brings it");
    }
    cloud.deploy(Function::in_process("echo", LIMIT, async |invocation| Ok(invocation.payload)));
    cloud.deploy(Function::in_process("broken", LIMIT, async |_| panic!("on purpose")));
    let output = run(&cloud, "python3", &["-c", BOTO3]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all good\n", "{}", String::from_utf8_lossy(&output.stderr));
}
