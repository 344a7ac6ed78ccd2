"""What infra/e2e expects when this configuration is applied over a deployment of the Go system, as docs/migrating.md says.

Every command is one step. Endpoint, region and keys come from the environment.
"""

import json
import sys
import time

from botocore.exceptions import ClientError

from e2e import EMULATOR_RIGHTS, backlog, client, eventually, has_entries, queue_attributes, scan

PROJECT = "event-processor"
EVENTS, CLAIMS = f"{PROJECT}-events", f"{PROJECT}-idempotency"
QUEUE, DEAD_LETTERS = f"{PROJECT}-events.fifo", f"{PROJECT}-events-dlq.fifo"
FUNCTIONS = {"processor": PROJECT, "seeder": f"{PROJECT}-seed"}
IN_FLIGHT, WAITING, DEAD = 3, 20, 5
# In flight while Terraform applies, and free again soon after.
IN_FLIGHT_SECONDS = 60
# One of the waiting events is recorded already, by the Go system.
RECORDED = WAITING + IN_FLIGHT
ALL = RECORDED + DEAD

MOVED = {
    "aws_sqs_queue.events": "aws_sqs_queue.events_fifo",
    "aws_sqs_queue.dead_letters": "aws_sqs_queue.events_fifo_dlq",
    "module.processor.aws_lambda_function.this": "aws_lambda_function.processor",
    "module.seeder.aws_lambda_function.this": "aws_lambda_function.seed",
    "aws_lambda_event_source_mapping.events_queue": "aws_lambda_event_source_mapping.sqs_trigger",
}
IMPORTED = {
    "module.processor.aws_cloudwatch_log_group.this": "/aws/lambda/event-processor",
    "module.seeder.aws_cloudwatch_log_group.this": "/aws/lambda/event-processor-seed",
}
GO_ROLE = {"aws_iam_role.lambda_role", "aws_iam_role_policy.lambda_policy"}
REPLACED = {"aws_lambda_event_source_mapping.events_queue"}
# What of the Go system must never be destroyed, and of ours when the Go system comes back: nothing but what is new here.
KEPT_TYPES = {
    "aws_cloudwatch_log_group",
    "aws_dynamodb_table",
    "aws_lambda_event_source_mapping",
    "aws_lambda_function",
    "aws_sqs_queue",
}
PROJECTORS = {
    "aws_lambda_event_source_mapping.events_stream",
    "aws_sqs_queue.projector_failures",
    "module.projector.aws_cloudwatch_log_group.this",
    "module.projector.aws_lambda_function.this",
}
# What ministack 1.5.33 forgets of the one mapping, and of every alarm what applies of the others.
MAPPING_DRIFT = {"aws_lambda_event_source_mapping.events_stream": {"tumbling_window_in_seconds"}}
ALARM_DRIFT = {
    "actions_enabled",
    "alarm_actions",
    "alarm_description",
    "dimensions",
    "ok_actions",
    "period",
    "statistic",
    "treat_missing_data",
}


def url(queue):
    return client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]


def event(tenant, number):
    return {
        "tenant_id": tenant,
        "event_id": f"e-{number}",
        "event_type": "user.created",
        "created_at": "2026-01-15T10:00:00Z",
        "payload": {"id": str(number), "email": "a@example.com"},
    }


def send(queue, tenant, number, body=None):
    client("sqs").send_message(
        QueueUrl=url(queue),
        MessageBody=body or json.dumps(event(tenant, number)),
        MessageGroupId=tenant,
        MessageDeduplicationId=f"{tenant}-{number}",
    )


def fill():
    """Messages waiting, in flight and dead, an entry of the Go system, and the log groups that Lambda makes by itself."""
    for name in IMPORTED.values():
        client("logs").create_log_group(logGroupName=name)
    for number in range(IN_FLIGHT):
        send(QUEUE, "flying", number)
    answer = client("sqs").receive_message(
        QueueUrl=url(QUEUE), MaxNumberOfMessages=10, VisibilityTimeout=IN_FLIGHT_SECONDS
    )
    assert len(answer["Messages"]) == IN_FLIGHT, answer
    for number in range(WAITING):
        send(QUEUE, f"waiting-{number % 4}", number)
    # The Go system refused whatever is no JSON.
    for number in range(DEAD):
        send(DEAD_LETTERS, "dead", number, body=f"no JSON, {number}" if number % 2 else None)
    client("dynamodb").put_item(TableName=EVENTS, Item=go_entry())
    claim = {
        "pk": {"S": "waiting-0#e-0"},
        "created_at": {"S": "2026-01-15T10:00:01Z"},
        "event_type": {"S": "user.created"},
        "ttl": {"N": str(int(time.time()) + 86400)},
    }
    client("dynamodb").put_item(TableName=CLAIMS, Item=claim)
    print(f"the Go system: {WAITING} messages wait, {IN_FLIGHT} are in flight, {DEAD} are dead, one entry is recorded")


def go_entry():
    payload = event("waiting-0", 0)["payload"]
    return {
        "tenant_id": {"S": "waiting-0"},
        "sk": {"S": "2026-01-15T10:00:00Z#e-0"},
        "event_type": {"S": "user.created"},
        "status": {"S": "READY"},
        "payload": {"M": {name: {"S": value} for name, value in payload.items()}},
        "retries": {"N": "0"},
        "tenant_id_created_at": {"S": "waiting-0#2026-01-15T10:00:00Z"},
    }


def read_plan(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)["resource_changes"]


def addresses(changes, *actions):
    return {change["address"] for change in changes if change["change"]["actions"] == list(actions)}


def expect_plan(path):
    changes = read_plan(path)
    moved = {change["address"]: change["previous_address"] for change in changes if "previous_address" in change}
    assert moved == MOVED, moved
    imported = {change["address"]: change["change"]["importing"]["id"] for change in changes if "importing" in change["change"]}
    assert imported == IMPORTED, imported
    assert addresses(changes, "delete") == GO_ROLE, addresses(changes, "delete")
    replaced = addresses(changes, "delete", "create") | addresses(changes, "create", "delete")
    assert replaced == REPLACED, replaced
    print(f"the plan: {len(moved)} moved, {len(imported)} imported, {len(replaced)} replaced, the Go system's role destroyed")


def grant():
    """What the emulator asks for and AWS does not, as soon as there are roles to give it to."""
    for name, action in EMULATOR_RIGHTS.items():
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

        def put(role=FUNCTIONS[name], document=policy):
            try:
                return client("iam").put_role_policy(RoleName=role, PolicyName="emulator", PolicyDocument=document)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "NoSuchEntity", error
                return None

        eventually(f"the role of the {name}", put)


def upgraded():
    eventually("what waited and what was in flight, recorded", lambda: has_entries(EVENTS, RECORDED))
    eventually("the events queue is empty", lambda: backlog(url(QUEUE)) == 0)
    assert backlog(url(DEAD_LETTERS)) == DEAD
    attributes = queue_attributes(url(QUEUE))
    redrive = json.loads(attributes["RedrivePolicy"])
    assert (attributes["MessageRetentionPeriod"], int(redrive["maxReceiveCount"])) == ("1209600", 100), attributes
    print(f"after the upgrade: {RECORDED} entries, {DEAD} dead letters still wait")


def redriven():
    entries = eventually("the dead letters, recorded", lambda: has_entries(EVENTS, ALL))
    eventually("the events queue is empty", lambda: backlog(url(QUEUE)) == 0)
    assert backlog(url(DEAD_LETTERS)) == 0
    assert go_entry() in entries, "the Go system's entry was changed"
    dead = [entry for entry in entries if entry["tenant_id"]["S"] == "dead"]
    dead.sort(key=lambda entry: int(entry["sequence_number"]["N"]))
    found = [entry["raw"]["B"].decode() if "raw" in entry else entry["payload"]["M"]["id"]["S"] for entry in dead]
    wanted = [f"no JSON, {number}" if number % 2 else str(number) for number in range(DEAD)]
    assert found == wanted, found
    print(f"after the redrive: {ALL} entries, the dead letters in their order, the Go system's entry as it was")


def expect_drift(path):
    """Fails if the emulator forgets more than is listed, or less."""
    drift = {}
    for change in read_plan(path):
        if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]:
            assert change["change"]["actions"] == ["update"], change
            before, after = change["change"]["before"], change["change"]["after"]
            drift[change["address"]] = {name for name in after if after[name] != before.get(name)}
    alarms = {change["address"] for change in read_plan(path) if change["type"] == "aws_cloudwatch_metric_alarm"}
    assert drift.keys() == alarms | MAPPING_DRIFT.keys(), drift.keys()
    assert {address: drift[address] for address in MAPPING_DRIFT} == MAPPING_DRIFT, drift
    assert set().union(*(drift[address] for address in alarms)) == ALARM_DRIFT, drift
    print("a second plan: nothing but what the emulator forgets")


def expect_way_back(path):
    changes = read_plan(path)
    assert addresses(changes, "create") == GO_ROLE, addresses(changes, "create")
    deleted = {
        change["address"] for change in changes if "delete" in change["change"]["actions"] and change["type"] in KEPT_TYPES
    }
    assert deleted == PROJECTORS, deleted ^ PROJECTORS
    print("the way back: queues, tables, functions and their logs stay")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {
        "fill": fill,
        "expect-plan": expect_plan,
        "grant": grant,
        "upgraded": upgraded,
        "redriven": redriven,
        "expect-drift": expect_drift,
        "expect-way-back": expect_way_back,
    }[command](*arguments)
