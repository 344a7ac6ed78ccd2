//! The contract between the code and what Terraform deploys: names, keys, environment variables, rights, limits, the
//! schedule, and the metrics on dashboards and alarms. Terraform's values are compared with those of [`cloudsim::deployment`], which
//! the local cloud creates. `infra/test` checks the Terraform by itself.

mod dashboards;
mod terraform;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cloudsim::{
    admission::{
        Destination, DestinationConfig, FilterCriteria, LookedUp, MAPPING_RULES, MappingSettings, ScalingConfig, check,
    },
    deployment::{Deployment, Role, Schedule, TTL_ATTRIBUTE},
    sqs::{QueueAttributes, Sqs},
};
use ledger::{
    metric::NAMESPACE,
    schema::{FINGERPRINT_VARIABLE, fingerprint},
};
use serde_json::{Value, json};
use terraform::{Terraform, Variables};

const ROLES: [Role; 3] = [Role::Processor, Role::Seeder, Role::Projector];

// Besides, Lambda tells the region, and operators' tools read by which schemas a deployment judges.
#[test]
fn terraform_sets_the_variables_that_the_functions_read_and_no_others() {
    let terraform = deployed();
    for role in ROLES {
        let set = environment(&terraform, role);
        let read = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            set.get(name).cloned()
        };
        settings(role, lookup).unwrap();
        let mut expected = read.into_inner();
        expected.remove(projector::config::REGION);
        if role != Role::Seeder {
            assert_eq!(set[FINGERPRINT_VARIABLE], terraform.local("schemas"), "{role:?}");
            expected.insert(FINGERPRINT_VARIABLE.to_owned());
        }
        assert_eq!(set.keys().cloned().collect::<BTreeSet<_>>(), expected, "{role:?}");
    }
}

#[test]
fn the_fingerprint_that_the_build_writes_is_that_of_the_schemas_in_the_code() {
    let printed = Command::new(root().join("infra/schemas-fingerprint")).output().expect("bash");
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), format!("{}\n", fingerprint()));
    assert!(source("infra/build").contains("infra/schemas-fingerprint >bin/schemas\n"));
}

#[test]
fn variables_default_to_what_the_functions_do_without_them() {
    let terraform = deployed();
    for role in [Role::Processor, Role::Projector] {
        let set = environment(&terraform, role);
        // Names of resources are no variables.
        let is_needed = |name: &str| name == projector::config::PROJECT || set[name].starts_with("aws_");
        let needed = |name: &str| set.get(name).filter(|_| is_needed(name)).cloned();
        assert_eq!(settings(role, |name| set.get(name).cloned()), settings(role, needed), "{role:?}");
    }
    let project = terraform.block("variable", "project")["default"].clone();
    assert_eq!(project, Deployment::default().project.name());
    assert_eq!(settings(Role::Seeder, |_| None), Ok(Deployment::default().project.events_queue()));
}

#[test]
fn variables_are_limited_as_the_functions_limit_them() {
    let [least, most] = [Variables::Least, Variables::Most].map(|variables| Terraform::read("infra", variables));
    for (role, variable) in [
        (Role::Processor, "EVENTS_TTL_DAYS"),
        (Role::Processor, "IDEMPOTENCY_TTL_DAYS"),
        (Role::Projector, "METRIC_TENANTS_MAX"),
        (Role::Projector, "ALERT_WINDOW_SECONDS"),
    ] {
        let takes = |terraform: &Terraform, more: i64| {
            let mut set = environment(terraform, role);
            let limit: i64 = set[variable].parse().expect("a limited number");
            set.insert(variable.to_owned(), (limit + more).to_string());
            settings(role, |name| set.get(name).cloned()).is_ok()
        };
        assert!(takes(&least, 0) && !takes(&least, -1), "{variable}");
        assert!(takes(&most, 0) && !takes(&most, 1), "{variable}");
    }
}

#[test]
fn names_are_those_of_the_deployment() {
    let terraform = deployed();
    let resources = ["aws_dynamodb_table", "aws_sqs_queue", "aws_sns_topic"];
    let resources = resources.into_iter().flat_map(|kind| terraform.resources(kind).map(|(_, block)| block));
    let blocks = resources.chain(terraform.all("module").map(|(_, block)| block));
    let names: BTreeSet<String> = blocks.map(|block| text(&block["name"])).collect();
    assert_eq!(names, names_of(&Deployment::default()));
}

#[test]
fn tables_are_those_of_the_deployment() {
    let terraform = deployed();
    let tables: BTreeMap<String, Value> = terraform.resources("aws_dynamodb_table").collect();
    let expected = Deployment::default().tables();
    assert_eq!(tables.len(), expected.len());
    for (name, expected) in ["events", "idempotency", "projections"].into_iter().zip(expected) {
        let table = &tables[name];
        know(
            table,
            "name billing_mode hash_key range_key deletion_protection_enabled stream_enabled stream_view_type \
             attribute global_secondary_index ttl point_in_time_recovery server_side_encryption",
        );
        assert_eq!(create_table(table), expected);
        assert_eq!(table["ttl"], json!([{"attribute_name": TTL_ATTRIBUTE, "enabled": true}]), "{name}");
    }
}

#[test]
fn queues_are_those_of_the_deployment() {
    let mut queues = queues(&deployed());
    for attributes in queues.values_mut() {
        // The local cloud keeps messages as they are.
        assert_eq!(attributes.remove("SqsManagedSseEnabled").as_deref(), Some("true"));
    }
    assert_eq!(queues, BTreeMap::from(Deployment::default().queues()));
}

#[test]
fn mappings_and_time_limits_are_those_of_the_deployment() {
    let terraform = deployed();
    let deployment = Deployment::default();
    for role in ROLES {
        assert_eq!(module(&terraform, role)["timeout_seconds"], role.timeout_seconds(), "{role:?}");
    }
    let settings = |name: &str| {
        let block = terraform.block("resource", &format!("aws_lambda_event_source_mapping.{name}"));
        // The other test looks it up.
        MappingSettings { looked_up: LookedUp::default(), ..mapping(&terraform, &block) }
    };
    let queue = MappingSettings { looked_up: LookedUp::default(), ..deployment.queue_mapping() };
    assert_eq!(settings("events_queue"), queue);
    let stream = settings("events_stream");
    // On AWS every call of the projector costs money; on a laptop nobody wants to wait for the numbers.
    assert_eq!(stream.maximum_batching_window_in_seconds, Some(5));
    let local = deployment.stream_mapping(stream.event_source_arn.clone());
    assert_eq!(MappingSettings { maximum_batching_window_in_seconds: Some(0), ..stream }, local);
}

#[test]
fn the_schedule_is_that_of_the_deployment() {
    let terraform = deployed();
    let rule = terraform.block("resource", "aws_cloudwatch_event_rule.tick");
    let target = terraform.block("resource", "aws_cloudwatch_event_target.tick");
    know(&rule, "name description schedule_expression");
    know(&target, "rule arn input retry_policy");
    assert_eq!(target["rule"], "aws_cloudwatch_event_rule.tick.name");
    let expression = text(&rule["schedule_expression"]);
    let minutes = expression.strip_prefix("rate(").and_then(|rate| rate.strip_suffix(" minute)"));
    // Lambda tries by its own settings what it took from the schedule.
    let lambda = terraform.block("resource", "aws_lambda_function_event_invoke_config.projector");
    know(&lambda, "function_name maximum_event_age_in_seconds maximum_retry_attempts");
    for retries in [&target["retry_policy"][0], &lambda] {
        let limit = |name: &str| u32::try_from(number(&retries[name]).expect("a limit")).unwrap();
        let schedule = Schedule {
            name: text(&rule["name"]),
            every_minutes: minutes.expect("a rate in minutes").parse().unwrap(),
            function_arn: arn_of(&terraform, &text(&target["arn"])),
            input: target["input"].clone(),
            event_age_max_seconds: limit("maximum_event_age_in_seconds"),
            retries_max: limit("maximum_retry_attempts"),
        };
        assert_eq!(schedule, Deployment::default().tick());
    }
    let permission = terraform.block("resource", "aws_lambda_permission.tick");
    for function_name in [&lambda["function_name"], &permission["function_name"]] {
        assert_eq!(named(&terraform, &text(function_name)), Deployment::default().function_name(Role::Projector));
    }
    assert_eq!(permission["action"], "lambda:InvokeFunction");
    assert_eq!(permission["source_arn"], "aws_cloudwatch_event_rule.tick.arn");
}

#[test]
fn everything_of_the_go_system_but_its_role_lives_on_under_its_name() {
    let (here, go) = (deployed(), Terraform::read("infra/tests/go-system", Variables::Default));
    let moved: BTreeMap<String, String> =
        here.all("moved").map(|(_, block)| (text(&block["from"]), text(&block["to"]))).collect();
    let mut taken = 0;
    for (address, before) in go.all("resource").filter(|(address, _)| !address.starts_with("aws_iam_")) {
        let after = moved.get(&address).unwrap_or(&address);
        let after = match after.strip_prefix("module.").and_then(|rest| rest.strip_suffix(".aws_lambda_function.this"))
        {
            Some(module) => here.block("module", module),
            None => here.block("resource", after),
        };
        let is_mapping = address.starts_with("aws_lambda_event_source_mapping.");
        let name = if address.starts_with("aws_lambda_function.") { "function_name" } else { "name" };
        assert!(is_mapping || before[name].is_string() && before[name] == after["name"], "{address}");
        taken += 1;
    }
    assert_eq!((taken, moved.len()), (7, 5), "two tables, two queues, two functions, one mapping");
}

// Without `ReportBatchItemFailures` Lambda ignores the list of failures and deletes the whole batch, and a mapping that
// was just updated still goes by its old settings: recorded on AWS on 2026-09-15.
#[test]
fn a_mapping_that_ignores_reported_failures_is_replaced_not_updated() {
    let (here, go) = (deployed(), Terraform::read("infra/tests/go-system", Variables::Default));
    let before = go.block("resource", "aws_lambda_event_source_mapping.sqs_trigger");
    assert!(before["function_response_types"].is_null());
    let mapping = here.block("resource", "aws_lambda_event_source_mapping.events_queue");
    let triggers = texts(&mapping["lifecycle"][0]["replace_triggered_by"]);
    let before = go.block("resource", "aws_sqs_queue.events_fifo");
    let after = [Variables::Default, Variables::Least, Variables::Most]
        .map(|variables| Terraform::read("infra", variables).block("resource", "aws_sqs_queue.events"));
    // They differ in an upgrade, and no variable changes them later. The first stays when the Go system comes back.
    for name in ["deduplication_scope", "message_retention_seconds"] {
        assert!(triggers.contains(&format!("aws_sqs_queue.events.{name}")), "{triggers:?}");
        assert!(before[name].is_null() && !after[0][name].is_null(), "{name}");
        assert!(after.iter().all(|queue| queue[name] == after[0][name]), "{name}");
    }
}

#[test]
fn terraform_is_asked_for_in_one_version() {
    let versions = ["infra", "infra/modules/lambda"].map(|folder| {
        let version = text(&Terraform::read(folder, Variables::Default).block("terraform", "")["required_version"]);
        version.strip_prefix(">= ").expect("a lowest version").to_owned()
    });
    assert_eq!(versions[0], versions[1]);
    assert!(source("infra/README.md").contains(&format!("Terraform {} or later", versions[0])));
}

/// What a function's role is for.
struct Rights {
    role: Role,
    /// The files of `ledger-aws` through which the function calls AWS.
    ports: &'static [&'static str],
    /// What Lambda does in the function's name: its mapping.
    mapping_actions: &'static [&'static str],
    /// Resources by action, as Terraform names them.
    resources: &'static [(&'static str, &'static [&'static str])],
}

const RIGHTS: [Rights; 3] = [
    Rights {
        role: Role::Processor,
        ports: &["tables"],
        mapping_actions: &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        resources: &[
            ("dynamodb:", &["aws_dynamodb_table.events.arn", "aws_dynamodb_table.idempotency.arn"]),
            ("sqs:", &["aws_sqs_queue.events.arn"]),
        ],
    },
    Rights {
        role: Role::Projector,
        ports: &["projections", "alerts", "cloudwatch"],
        mapping_actions: &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
            // To the on-failure destination.
            "sqs:SendMessage",
        ],
        resources: &[
            ("dynamodb:BatchGetItem", &["aws_dynamodb_table.projections.arn"]),
            ("dynamodb:Query", &["aws_dynamodb_table.projections.arn"]),
            ("dynamodb:UpdateItem", &["aws_dynamodb_table.projections.arn"]),
            ("dynamodb:DeleteItem", &["aws_dynamodb_table.projections.arn"]),
            ("dynamodb:", &["aws_dynamodb_table.events.stream_arn"]),
            ("sns:", &["aws_sns_topic.alerts.arn"]),
            ("sqs:", &["aws_sqs_queue.projector_failures.arn"]),
            ("cloudwatch:PutMetricData", &["*"]),
        ],
    },
    Rights {
        role: Role::Seeder,
        ports: &["queue"],
        mapping_actions: &[],
        resources: &[("sqs:", &["aws_sqs_queue.events.arn"])],
    },
];

/// The rights a call of the SDK needs ("Actions, resources, and condition keys", IAM reference). A transaction has those
/// of its writes, which update and delete, and `INSERT` is the only statement sent.
const ACTIONS: [(&str, &[&str]); 9] = [
    ("batch_execute_statement", &["dynamodb:PartiQLInsert"]),
    ("batch_get_item", &["dynamodb:BatchGetItem"]),
    ("query", &["dynamodb:Query"]),
    ("update_item", &["dynamodb:UpdateItem"]),
    ("transact_write_items", &["dynamodb:UpdateItem", "dynamodb:DeleteItem"]),
    ("publish", &["sns:Publish"]),
    ("put_metric_data", &["cloudwatch:PutMetricData"]),
    ("send_message_batch", &["sqs:SendMessage"]),
    ("get_queue_url", &["sqs:GetQueueUrl"]),
];

impl Rights {
    // Reads the sources, because no value says which calls of the SDK a function makes.
    fn actions_needed(&self) -> BTreeSet<String> {
        let mut needed: BTreeSet<String> = self.mapping_actions.iter().map(|&action| action.to_owned()).collect();
        for port in self.ports {
            let calls = calls(&source(&format!("crates/ledger-aws/src/{port}.rs")));
            assert!(!calls.is_empty(), "no calls found in {port}.rs");
            for call in calls {
                let action = ACTIONS.iter().find(|(known, _)| *known == call);
                let (_, actions) =
                    action.unwrap_or_else(|| panic!("{port}.rs calls {call}, whose right is not known here"));
                needed.extend(actions.iter().map(|&action| action.to_owned()));
            }
        }
        needed
    }
}

#[test]
fn each_role_may_do_what_its_function_calls_and_nothing_else() {
    let terraform = deployed();
    for rights in RIGHTS {
        let mut granted = BTreeSet::new();
        for statement in list(&module(&terraform, rights.role)["statements"]) {
            assert_eq!(statement["Effect"], "Allow");
            for action in texts(&statement["Action"]) {
                let expected = rights.resources.iter().find(|(prefix, _)| action.starts_with(prefix));
                let (_, expected) = expected.unwrap_or_else(|| panic!("{action} is granted"));
                assert_eq!(texts(&statement["Resource"]), *expected, "{:?}: {action}", rights.role);
                assert!(granted.insert(action.clone()), "{action} is granted twice");
            }
            let condition = match texts(&statement["Action"])[0].as_str() {
                "cloudwatch:PutMetricData" => json!({"StringEquals": {"cloudwatch:namespace": NAMESPACE}}),
                // No sums, marks or checkpoints.
                "dynamodb:DeleteItem" => json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["pending#*"]}}),
                _ => Value::Null,
            };
            assert_eq!(statement["Condition"], condition, "{statement}");
            let is_wide = texts(&statement["Resource"]).iter().any(|resource| resource.contains('*'));
            assert!(!is_wide || !condition.is_null(), "{statement}");
        }
        assert_eq!(granted, rights.actions_needed(), "{:?}", rights.role);
    }
}

#[test]
fn only_inserts_are_sent_as_statements() {
    let tables = source("crates/ledger-aws/src/tables.rs");
    assert_eq!(tables.matches("INSERT INTO").count(), 1);
    for other in ["UPDATE \\\"", "DELETE FROM", "SELECT "] {
        assert!(!tables.contains(other), "{other}");
    }
}

#[test]
fn aws_admits_every_mapping_and_queue_whatever_the_variables_are() {
    let mut idle: BTreeSet<&str> = MAPPING_RULES.iter().map(|rule| rule.claim).collect();
    for variables in [Variables::Default, Variables::Least, Variables::Most] {
        let terraform = Terraform::read("infra", variables);
        let blocks = terraform.resources("aws_lambda_event_source_mapping");
        let mappings: Vec<MappingSettings> = blocks.map(|(_, block)| mapping(&terraform, &block)).collect();
        assert!(mappings.len() >= 2, "{mappings:?}");
        for settings in mappings {
            assert_eq!(check(MAPPING_RULES, &settings), Ok(()), "{settings:?}");
            idle.retain(|claim| {
                !MAPPING_RULES.iter().any(|rule| rule.claim == *claim && (rule.admits)(&settings).is_some())
            });
        }

        // The model of SQS refuses what AWS refuses. A dead-letter queue comes before the queue that refers to it.
        let mut queues: Vec<(String, QueueAttributes)> = queues(&terraform).into_iter().collect();
        queues.sort_by_key(|(_, attributes)| attributes.contains_key("RedrivePolicy"));
        assert!(queues.len() >= 3, "{queues:?}");
        let mut sqs = Sqs::new(Deployment::default().account);
        for (name, attributes) in queues {
            assert_eq!(sqs.create_queue(0, &name, &attributes), Ok(()), "{name}: {attributes:?}");
        }
    }
    assert!(idle.is_empty(), "no mapping was put to these rules: {idle:?}");
}

// Lambda deletes the messages that a filter leaves out.
#[test]
fn no_filter_stands_between_the_queue_and_the_processor() {
    let terraform = deployed();
    let block = terraform.block("resource", "aws_lambda_event_source_mapping.events_queue");
    assert_eq!(mapping(&terraform, &block).filter_criteria, FilterCriteria::default());
}

fn deployed() -> Terraform {
    Terraform::read("infra", Variables::Default)
}

/// The module of a function.
fn module(terraform: &Terraform, role: Role) -> Value {
    let name = match role {
        Role::Processor => "processor",
        Role::Seeder => "seeder",
        Role::Projector => "projector",
    };
    terraform.block("module", name)
}

/// The environment variables that Terraform sets on a function.
fn environment(terraform: &Terraform, role: Role) -> BTreeMap<String, String> {
    let environment = module(terraform, role)["environment"].clone();
    environment.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), words(value))).collect()
}

/// The settings that a function takes from these variables, as text; or why it does not start.
fn settings(role: Role, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let settings = match role {
        Role::Processor => processor::Config::from_lookup(lookup).map(|config| format!("{:?}", config.settings)),
        Role::Projector => projector::Config::from_lookup(lookup).map(|config| format!("{:?}", config.settings)),
        Role::Seeder => seeder::Config::from_lookup(lookup).map(|config| config.queue_name),
    };
    settings.map_err(|error| error.to_string())
}

/// The names of everything in a deployment.
fn names_of(deployment: &Deployment) -> BTreeSet<String> {
    let tables = deployment.tables().map(|table| text(&table["TableName"]));
    let queues = deployment.queues().map(|(name, _)| name);
    let functions = ROLES.map(|role| deployment.function_name(role));
    tables.into_iter().chain(queues).chain(functions).chain([deployment.project.alerts_topic()]).collect()
}

/// The name of the resource or function that an expression such as `aws_sqs_queue.events.arn` is about.
fn named(terraform: &Terraform, reference: &str) -> String {
    text(&resource(terraform, reference)["name"])
}

fn resource(terraform: &Terraform, reference: &str) -> Value {
    let [kind, name, _] = reference.split('.').collect::<Vec<_>>()[..] else { panic!("{reference} is no ARN") };
    match kind {
        "module" => terraform.block("module", name),
        _ => terraform.block("resource", &format!("{kind}.{name}")),
    }
}

/// The `CreateTable` input of a table.
fn create_table(table: &Value) -> Value {
    let definitions = list(&table["attribute"]).iter();
    let definitions: Value =
        definitions.map(|each| json!({"AttributeName": each["name"], "AttributeType": each["type"]})).collect();
    let mut input = json!({
        "TableName": table["name"],
        "BillingMode": table["billing_mode"],
        "AttributeDefinitions": definitions,
        "KeySchema": key_schema(table),
    });
    if let Some(indexes) = table["global_secondary_index"].as_array() {
        let index = |index: &Value| {
            know(index, "name hash_key range_key projection_type non_key_attributes");
            json!({
                "IndexName": index["name"],
                "KeySchema": key_schema(index),
                "Projection": {
                    "ProjectionType": index["projection_type"],
                    "NonKeyAttributes": index["non_key_attributes"],
                },
            })
        };
        input["GlobalSecondaryIndexes"] = indexes.iter().map(index).collect();
    }
    if !table["stream_enabled"].is_null() {
        input["StreamSpecification"] =
            json!({"StreamEnabled": table["stream_enabled"], "StreamViewType": table["stream_view_type"]});
    }
    input
}

fn key_schema(block: &Value) -> Value {
    let keys = [("hash_key", "HASH"), ("range_key", "RANGE")].into_iter();
    let keys = keys.filter(|(key, _)| !block[key].is_null());
    keys.map(|(key, kind)| json!({"AttributeName": block[key], "KeyType": kind})).collect()
}

/// The queues by name, with their attributes as `CreateQueue` takes them.
fn queues(terraform: &Terraform) -> BTreeMap<String, QueueAttributes> {
    let blocks = terraform.resources("aws_sqs_queue");
    blocks.map(|(_, queue)| (text(&queue["name"]), queue_attributes(terraform, &queue))).collect()
}

fn queue_attributes(terraform: &Terraform, queue: &Value) -> QueueAttributes {
    let names = [
        ("fifo_queue", "FifoQueue"),
        ("content_based_deduplication", "ContentBasedDeduplication"),
        ("deduplication_scope", "DeduplicationScope"),
        ("fifo_throughput_limit", "FifoThroughputLimit"),
        ("max_message_size", "MaximumMessageSize"),
        ("visibility_timeout_seconds", "VisibilityTimeout"),
        ("message_retention_seconds", "MessageRetentionPeriod"),
        ("delay_seconds", "DelaySeconds"),
        ("receive_wait_time_seconds", "ReceiveMessageWaitTimeSeconds"),
        ("sqs_managed_sse_enabled", "SqsManagedSseEnabled"),
        ("kms_master_key_id", "KmsMasterKeyId"),
        ("redrive_policy", "RedrivePolicy"),
    ];
    know(queue, &format!("name lifecycle {}", names.map(|(name, _)| name).join(" ")));
    let mut queue = queue.clone();
    if queue["redrive_policy"].is_object() {
        let dead_letters = named(terraform, &text(&queue["redrive_policy"]["deadLetterTargetArn"]));
        queue["redrive_policy"]["deadLetterTargetArn"] = Deployment::default().queue_arn(&dead_letters).into();
    }
    let set = names.into_iter().filter(|(name, _)| !queue[name].is_null());
    set.map(|(name, attribute)| (attribute.to_owned(), words(&queue[name]))).collect()
}

fn mapping(terraform: &Terraform, block: &Value) -> MappingSettings {
    know(
        block,
        "event_source_arn function_name starting_position batch_size maximum_batching_window_in_seconds \
         function_response_types parallelization_factor tumbling_window_in_seconds bisect_batch_on_function_error \
         maximum_retry_attempts maximum_record_age_in_seconds depends_on filter_criteria destination_config \
         scaling_config provisioned_poller_config metrics_config lifecycle",
    );
    let source_arn = text(&block["event_source_arn"]);
    let source = resource(terraform, &source_arn);
    let function = resource(terraform, &text(&block["function_name"]));
    let granted = list(&function["statements"])
        .iter()
        .filter(|statement| texts(&statement["Resource"]).contains(&source_arn) && statement["Condition"].is_null())
        .flat_map(|statement| texts(&statement["Action"]));
    let destination = |of: &str| {
        let arn = block["destination_config"][0][of][0]["destination_arn"].as_str();
        Destination { destination: arn.map(|arn| arn_of(terraform, arn)) }
    };
    let patterns = list(&block["filter_criteria"]).iter().flat_map(|criteria| list(&criteria["filter"]));
    let number = |name: &str| number(&block[name]);
    MappingSettings {
        event_source_arn: arn_of(terraform, &source_arn),
        function_name: arn_of(terraform, &text(&block["function_name"])),
        batch_size: number("batch_size"),
        maximum_batching_window_in_seconds: number("maximum_batching_window_in_seconds"),
        parallelization_factor: number("parallelization_factor"),
        tumbling_window_in_seconds: number("tumbling_window_in_seconds"),
        filter_criteria: FilterCriteria::of(patterns.map(|filter| words(&filter["pattern"]))),
        starting_position: block["starting_position"].as_str().map(str::to_owned),
        maximum_retry_attempts: number("maximum_retry_attempts"),
        maximum_record_age_in_seconds: number("maximum_record_age_in_seconds"),
        bisect_batch_on_function_error: block["bisect_batch_on_function_error"].as_bool(),
        scaling_config: ScalingConfig {
            maximum_concurrency: self::number(&block["scaling_config"][0]["maximum_concurrency"]),
        },
        provisioned_poller_config: block.get("provisioned_poller_config").cloned(),
        function_response_types: texts(&block["function_response_types"]),
        destination_config: DestinationConfig {
            on_failure: destination("on_failure"),
            on_success: destination("on_success"),
        },
        looked_up: LookedUp {
            is_source_known: Some(true),
            function_timeout_seconds: self::number(&function["timeout_seconds"]),
            visibility_timeout_seconds: self::number(&source["visibility_timeout_seconds"]),
            source_actions: Some(granted.collect()),
            mappings: Vec::new(),
        },
    }
}

/// The ARN that a reference to a queue, a function or a table's stream stands for.
fn arn_of(terraform: &Terraform, reference: &str) -> String {
    let (deployment, name) = (Deployment::default(), named(terraform, reference));
    match reference.split('.').next() {
        Some("aws_sqs_queue") => deployment.queue_arn(&name),
        Some("module") => deployment.function_arn(&name),
        Some("aws_dynamodb_table") => format!("arn:aws:dynamodb:::table/{name}/stream/of-it"),
        other => panic!("{other:?} is nothing that the rules know"),
    }
}

/// Fails where a block holds anything that this test does not look at.
fn know(block: &Value, known: &str) {
    fn has_dynamic(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.iter().any(|(name, member)| name == "dynamic" || has_dynamic(member)),
            Value::Array(elements) => elements.iter().any(has_dynamic),
            _ => false,
        }
    }
    for name in block.as_object().expect("a block").keys() {
        assert!(known.split_whitespace().any(|known| known == name), "nothing is known here of {name}: {block}");
    }
    assert!(!has_dynamic(block), "what a dynamic block makes cannot be seen: {block}");
}

fn number(value: &Value) -> Option<i64> {
    (!value.is_null()).then(|| value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A value as text: a text itself, the JSON of all others.
fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The elements of a list; none where there is no list.
fn list(value: &Value) -> &[Value] {
    assert!(value.is_null() || value.is_array(), "{value} is no list");
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

/// The methods called on a client of the SDK.
fn calls(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in source.match_indices("client") {
        let rest = source[at + "client".len()..].trim_start();
        let name: Option<&str> = rest.strip_prefix('.').and_then(|rest| rest.split_once("()")).map(|(name, _)| name);
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        found.extend(name.filter(is_name).filter(|name| *name != "clone").map(str::to_owned));
    }
    found
}

fn source(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
