"""What infra/e2e expects of a deployment: `wait` for the emulator, `check` the deployment, see that it is `empty` again.

Endpoint, region and keys come from the environment.
"""

import base64
import json
import subprocess
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# More than the minute between two ticks.
WAIT_SECONDS_MAX = 90
# What ministack 1.5.33 asks a role for and AWS's IAM does not know: there a batch is judged by the single action, and
# a statement by dynamodb:PartiQLInsert, which ministack does not ask for.
EMULATOR_RIGHTS = {"seeder": "sqs:SendMessageBatch", "processor": "dynamodb:BatchExecuteStatement"}
TENANT = "tenant-a"
SHARD = "shardId-00000001768469430000-0123abcd"


def client(service):
    return boto3.client(service)


def eventually(what, probe):
    """Waits until a probe returns something true, and returns it."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {WAIT_SECONDS_MAX} s")
        time.sleep(0.2)


def wait():
    def answers():
        try:
            return client("sts").get_caller_identity()
        except (BotoCoreError, ClientError):
            return None

    eventually("the emulator answers", answers)


def scan(table):
    items, start = [], {}
    while True:
        page = client("dynamodb").scan(TableName=table, ConsistentRead=True, **start)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def has_entries(table, count):
    """The ledger, once it has this many entries."""
    entries = scan(table)
    return entries if len(entries) == count else None


def queue_attributes(url):
    return client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def backlog(url):
    attributes = queue_attributes(url)
    return sum(int(attributes[name]) for name in ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"))


def invoke(function, payload):
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return body


def wire(item):
    """An item as a stream event carries it: bytes in base64."""

    def attribute(value):
        ((kind, content),) = value.items()
        if kind == "B":
            return {"B": base64.b64encode(content).decode()}
        if kind == "M":
            return {"M": {name: attribute(member) for name, member in content.items()}}
        if kind == "L":
            return {"L": [attribute(element) for element in content]}
        return {kind: content}

    return {name: attribute(value) for name, value in item.items()}


def stream_event(entries, shard, first=1):
    """The event that a mapping makes of entries, with sequence numbers in order from a first one."""
    records = []
    for index, entry in enumerate(entries):
        image = wire(entry)
        records.append(
            {
                "eventID": f"{index:032x}",
                "eventName": "INSERT",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": int(time.time()),
                    "Keys": {name: image[name] for name in ("tenant_id", "sk")},
                    "NewImage": image,
                    "SequenceNumber": str(100000000000000000000 + first + index),
                    "SizeBytes": 1024,
                    "StreamViewType": "NEW_IMAGE",
                },
            }
        )
    event = {"Records": records}
    if shard:
        event |= {
            "shardId": shard,
            "state": {},
            "window": {"start": "2026-01-15T10:00:00Z", "end": "2026-01-15T10:01:00Z"},
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/events/stream/label",
            "isFinalInvokeForWindow": False,
            "isWindowTerminatedEarly": False,
        }
    return event


def counts(table):
    """Entries by type and status, over all days and tenants, as the read model `counts` has them."""
    found = {}
    for item in scan(table):
        if item["pk"]["S"].startswith("tenant#") and item["sk"]["S"].startswith("counts@1#"):
            for name, value in item.items():
                if name.startswith(("READY#", "INVALID#")):
                    found[name] = found.get(name, 0) + int(value["N"])
    return {name: count for name, count in found.items() if count}


def items_of(table, kind):
    """The items whose partition is of a kind, such as `pending`."""
    return [item for item in scan(table) if item["pk"]["S"].startswith(f"{kind}#")]


def metric_sum(name, **dimensions):
    now = time.time()
    answer = client("cloudwatch").get_metric_statistics(
        Namespace="EventProcessor",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - 3600,
        EndTime=now + 3600,
        Period=60,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in answer["Datapoints"])


def check(outputs_path):
    with open(outputs_path, encoding="utf-8") as file:
        outputs = {name: output["value"] for name, output in json.load(file).items()}
    tables, functions = outputs["table_names"], outputs["function_names"]

    check_configuration(outputs)

    for name, action in EMULATOR_RIGHTS.items():
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client("iam").put_role_policy(RoleName=functions[name], PolicyName="emulator", PolicyDocument=policy)

    # The command of the README, by the AWS CLI.
    answer = subprocess.run(
        ["aws", "lambda", "invoke", "--function-name", functions["seeder"], "/dev/stdout"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert '"Seed Lambda completed"' in answer, answer

    entries = eventually("five samples in the ledger", lambda: has_entries(tables["events"], 5))
    assert {entry["status"]["S"] for entry in entries} == {"READY"}, entries
    assert {entry["tenant_id"]["S"] for entry in entries} == {TENANT}, entries
    assert len({entry["event_type"]["S"] for entry in entries}) == 5, entries
    assert all("tenant_id_created_at" in entry for entry in entries), "READY entries are not in the status index"
    claims = {claim["pk"]["S"] for claim in scan(tables["idempotency"])}
    assert claims == {f"{TENANT}#{entry['sk']['S'].split('#')[1]}" for entry in entries}, claims
    print("seeder and processor: five samples recorded, each with its claim")

    # A broken payload, no JSON at all, a duplicate and a conflict: all acknowledged, none in the dead-letter queue.
    def send(body, deduplication_id):
        client("sqs").send_message(
            QueueUrl=outputs["events_queue_url"],
            MessageBody=body,
            MessageGroupId=TENANT,
            MessageDeduplicationId=deduplication_id,
        )

    user = {"tenant_id": TENANT, "event_id": "u-1", "event_type": "user.created", "created_at": "2026-01-15T10:00:00Z"}
    send(json.dumps(user | {"payload": {"id": "1", "email": "nobody"}}), "broken")
    send(json.dumps(user | {"payload": {"id": "1", "email": "nobody"}}), "again")
    send(json.dumps(user | {"payload": {"id": "2", "email": "a@example.com"}}), "other content")
    send("no JSON", "no json")
    entries = eventually("the odd ones in the ledger", lambda: has_entries(tables["events"], 8))
    invalid = sorted(entry["failure"]["M"]["class"]["S"] for entry in entries if entry["status"]["S"] == "INVALID")
    assert invalid == ["conflict", "malformed_json", "schema_violation"], invalid
    eventually("the events queue is empty", lambda: backlog(outputs["events_queue_url"]) == 0)
    assert backlog(outputs["dead_letter_queue_url"]) == 0
    print("processor: three INVALID entries, one duplicate, nothing dead")

    # The projector: a subscriber sees the alerts, the table the counts, CloudWatch the metrics.
    inbox = client("sqs").create_queue(QueueName="subscriber")["QueueUrl"]
    client("sns").subscribe(
        TopicArn=outputs["alerts_topic_arn"],
        Protocol="sqs",
        Endpoint=queue_attributes(inbox)["QueueArn"],
    )
    client("sqs").set_queue_attributes(
        QueueUrl=inbox,
        Attributes={
            "Policy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "sns.amazonaws.com"},
                            "Action": "sqs:SendMessage",
                            "Resource": queue_attributes(inbox)["QueueArn"],
                        }
                    ],
                }
            )
        },
    )
    expected = {}
    for entry in entries:
        # Types without a schema count as `_unknown`; a body that is no JSON has none.
        name = f"{entry['status']['S']}#{entry['event_type']['S'] if 'event_type' in entry else '_unknown'}"
        expected[name] = expected.get(name, 0) + 1
    done = {"state": {}, "batchItemFailures": []}
    event = stream_event(entries, SHARD)
    assert invoke(functions["projector"], event) == done
    assert counts(tables["projections"]) == expected, (counts(tables["projections"]), expected)
    assert invoke(functions["projector"], event) == done
    assert counts(tables["projections"]) == expected, "a second delivery was counted"
    print(f"projector: counts {expected}, the same after a second delivery")

    alerts, alarms = [], []

    def receive():
        answer = client("sqs").receive_message(QueueUrl=inbox, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            notification = json.loads(message["Body"])
            assert "nobody" not in notification["Message"], "an alert holds a payload's value"
            # Alarms publish here too, and have no attributes.
            if "MessageAttributes" in notification:
                attributes = {name: value["Value"] for name, value in notification["MessageAttributes"].items()}
                alerts.append((attributes, json.loads(notification["Message"])))
            else:
                alarms.append(json.loads(notification["Message"])["AlarmName"])
            client("sqs").delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
        return len(alerts)

    eventually("an alert", receive)
    eventually("no alert is pending", lambda: not items_of(tables["projections"], "pending"))
    ((attributes, alert),) = alerts
    assert (attributes["kind"], attributes["tenant_id"]) == ("alert", TENANT), alerts
    classes = sorted(cause["class"] for cause in alert["causes"])
    assert classes == ["conflict", "malformed_json", "schema_violation"] and alert["count"] == 3, alerts
    assert attributes["class"] in classes and alert["project"] == outputs["project"], alerts

    # Another entry in the same window is pending until a tick of the schedule.
    invalid_entry = next(entry for entry in entries if entry["status"]["S"] == "INVALID" and "event_type" in entry)
    late = invalid_entry | {"sk": {"S": invalid_entry["sk"]["S"].split("#")[0] + "#late"}}
    assert invoke(functions["projector"], stream_event([late], SHARD, first=1000)) == done
    expected[f"INVALID#{late['event_type']['S']}"] += 1
    assert counts(tables["projections"]) == expected, (counts(tables["projections"]), expected)
    (pending,) = items_of(tables["projections"], "pending")
    assert pending["sk"]["S"] == TENANT, pending
    eventually("the alert that a tick publishes", lambda: receive() == 2)
    assert alerts[1][1]["count"] == 1 and alerts[1][1]["event_ids"] == ["late"], alerts
    eventually("no alert is pending", lambda: not items_of(tables["projections"], "pending"))
    print(f"alerts: {classes} in one, a late one by a tick; alarms on the same topic: {sorted(set(alarms))}")

    ready = sum(count for name, count in expected.items() if name.startswith("READY#"))
    eventually("metrics", lambda: metric_sum("Events", Status="READY") >= ready)
    assert metric_sum("Events", Status="INVALID") >= 3
    assert metric_sum("Events", TenantId=TENANT, Status="READY") >= ready
    assert metric_sum("Events", EventType="monitoring", Status="READY") >= 1
    print("metrics: by status, tenant and event type")

    # Without a shard id nothing can be counted exactly: the function fails, and the mapping keeps the records.
    answer = client("lambda").invoke(FunctionName=functions["projector"], Payload=json.dumps(stream_event(entries, None)))
    assert "FunctionError" in answer, answer
    assert counts(tables["projections"]) == expected, "records without a shard id were counted"
    print("projector: records without a shard id are a function error")

    # A record that cannot be read is marked in every read model.
    broken = stream_event(entries[:1], SHARD, first=2000)
    broken["Records"][0]["dynamodb"]["NewImage"] = {"status": {"S": "NEITHER"}}
    assert invoke(functions["projector"], broken) == done
    marks = items_of(tables["projections"], "incomplete")
    assert {mark["pk"]["S"] for mark in marks} == {"incomplete#counts@1", "incomplete#causes@1"}, marks
    assert all(mark["sk"]["S"].startswith(f"{TENANT}#") and mark["records"]["N"] == "1" for mark in marks), marks
    assert counts(tables["projections"]) == expected, "a record that cannot be read was counted"
    print("projector: the day of an unreadable record is marked as incomplete")

    # As Lambda announces a batch that it discarded, so that `destroy` has something to name.
    discarded = json.dumps({"requestContext": {"condition": "RetryAttemptsExhausted"}})
    client("sqs").send_message(QueueUrl=outputs["projector_failures_queue_url"], MessageBody=discarded)

    check_rights(tables, functions)
    client("sqs").delete_queue(QueueUrl=inbox)
    for name in EMULATOR_RIGHTS:
        client("iam").delete_role_policy(RoleName=functions[name], PolicyName="emulator")


def check_configuration(outputs):
    tables, functions = outputs["table_names"], outputs["function_names"]
    mappings = {}
    for name in ("processor", "projector"):
        (mapping,) = client("lambda").list_event_source_mappings(FunctionName=functions[name])["EventSourceMappings"]
        mappings[name] = mapping
    assert mappings["processor"]["BatchSize"] == 10, mappings
    assert mappings["processor"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"], mappings
    wanted = {
        "BatchSize": 1000,
        "ParallelizationFactor": 1,
        "MaximumBatchingWindowInSeconds": 5,
        "MaximumRecordAgeInSeconds": 79200,
        "StartingPosition": "TRIM_HORIZON",
    }
    assert {name: mappings["projector"].get(name) for name in wanted} == wanted, mappings
    assert not mappings["projector"].get("FilterCriteria"), mappings  # AWS refuses one beside the tumbling window

    queue = queue_attributes(outputs["events_queue_url"])
    wanted = {
        "VisibilityTimeout": "90",
        "MaximumMessageSize": "262144",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    assert {name: queue.get(name) for name in wanted} == wanted, queue

    for table in tables.values():
        description = client("dynamodb").describe_table(TableName=table)["Table"]
        assert description["DeletionProtectionEnabled"], description
        ttl = client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert ttl["TimeToLiveStatus"] == "ENABLED" and ttl["AttributeName"] == "ttl", ttl

    rule = client("events").describe_rule(Name=f"{outputs['project']}-tick")
    assert (rule["State"], rule["ScheduleExpression"]) == ("ENABLED", "rate(1 minute)"), rule
    (target,) = client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert json.loads(target["Input"]) == {"tick": True}, target
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}, target
    retries = client("lambda").get_function_event_invoke_config(FunctionName=functions["projector"])
    assert (retries["MaximumRetryAttempts"], retries["MaximumEventAgeInSeconds"]) == (0, 60), retries

    with open("bin/schemas", encoding="utf-8") as file:
        schemas = file.read().strip()
    for name in ("processor", "projector"):
        configuration = client("lambda").get_function_configuration(FunctionName=functions[name])
        assert configuration["Environment"]["Variables"]["SCHEMAS"] == schemas, configuration

    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 17 and all(alarm["AlarmActions"] == [outputs["alerts_topic_arn"]] for alarm in alarms), alarms
    for name in outputs["dashboard_urls"]:
        body = client("cloudwatch").get_dashboard(DashboardName=f"{outputs['project']}-{name}")["DashboardBody"]
        assert json.loads(body)["widgets"]
    print(f"configuration: {len(alarms)} alarms, {len(outputs['dashboard_urls'])} dashboards, mappings, schedule, queues and tables as planned")


def check_rights(tables, functions):
    """The processor may not change or remove what is recorded, and the projector may not touch the ledger."""
    identity = client("sts").get_caller_identity()["Account"]
    for function, table, actions in (
        ("processor", "events", ("PutItem", "UpdateItem", "DeleteItem", "PartiQLUpdate", "PartiQLDelete")),
        ("projector", "events", ("PutItem", "UpdateItem", "DeleteItem", "PartiQLInsert")),
        ("seeder", "events", ("PutItem", "BatchGetItem")),
    ):
        answer = client("iam").simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{identity}:role/{functions[function]}",
            ActionNames=[f"dynamodb:{action}" for action in actions],
            ResourceArns=[f"arn:aws:dynamodb:us-east-1:{identity}:table/{tables[table]}"],
        )
        decisions = {result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]}
        assert len(decisions) == len(actions) and set(decisions.values()) == {"implicitDeny"}, (function, decisions)
    print("rights: nobody may overwrite or delete an entry")

    for table in tables.values():
        try:
            client("dynamodb").delete_table(TableName=table)
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "ValidationException", refused
        else:
            raise AssertionError(f"the protected table {table} could be deleted")
    print("tables: protected against deletion")


def empty():
    left = {
        "tables": client("dynamodb").list_tables()["TableNames"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "functions": [function["FunctionName"] for function in client("lambda").list_functions()["Functions"]],
        "mappings": client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "topics": client("sns").list_topics()["Topics"],
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "rules": client("events").list_rules()["Rules"],
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "logs": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"] if "aws-service-role" not in role["Path"]],
    }
    assert not any(left.values()), {name: value for name, value in left.items() if value}
    print("nothing is left")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"wait": wait, "check": check, "empty": empty}[command](*arguments)
