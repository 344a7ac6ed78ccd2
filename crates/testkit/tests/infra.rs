//! The contract between the code and what Terraform deploys: names, keys, environment variables, rights, limits, and
//! the metrics on dashboards and alarms. Reads `infra/*.tf`, `dashboards/*.json` and the sources as text. Whether
//! Terraform takes its own files is `infra/test`'s to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cloudsim::{
    admission::{Destination, EventSource, MAPPING_RULES, MappingSettings, QUEUE_RULES, QueueSettings, Rule, check},
    mapping::StreamMappingConfig,
};
use ledger::{
    entry::{RAW_BYTES_MAX, attribute},
    metric::{Metric, NAMESPACE, dimension},
    metric_tenants::PLACES_MAX,
};
use serde_json::Value;

#[test]
fn terraform_sets_the_variables_that_the_functions_read_and_no_others() {
    for role in ROLES {
        let read = variables_read(role.name);
        assert!(!read.is_empty(), "no variables found in the {}'s config.rs", role.name);
        let set: BTreeSet<String> = attributes(&role.module().attributes["environment"]).into_keys().collect();
        assert_eq!(set, read, "{}.tf against the {}'s config.rs", role.name, role.name);
    }
}

#[test]
fn the_local_cloud_sets_no_variable_that_terraform_does_not() {
    let deployment = deployment();
    let (_, environment) = deployment.split_once("pub fn environment(").unwrap();
    let (environment, _) = environment.split_once("pub fn ").unwrap();
    let pairs = environment.split("(\"").skip(1).map(|pair| pair.split('"').next().unwrap().to_owned());
    let local: BTreeSet<String> = pairs.collect();
    let terraform: BTreeSet<String> = ROLES.iter().flat_map(|role| variables_read(role.name)).collect();
    assert!(local.len() > 5 && local.is_subset(&terraform), "{local:?}");
}

#[test]
fn variables_default_to_what_the_functions_do_without_them() {
    let variables = Hcl::read("variables.tf");
    for (role, constant, variable) in [
        ("processor", "EVENTS_TTL_DAYS_DEFAULT", "events_ttl_days"),
        ("processor", "IDEMPOTENCY_TTL_DAYS_DEFAULT", "idempotency_ttl_days"),
        ("projector", "METRIC_TENANTS_MAX_DEFAULT", "metric_tenants_max"),
        ("projector", "ALERT_WINDOW_SECONDS_DEFAULT", "alert_window_seconds"),
    ] {
        let config = source(&format!("crates/{role}/src/config.rs"));
        assert_eq!(
            product(&variables.block("variable", variable).attributes["default"]),
            constant_of(&config, constant)
        );
    }
    let seeder = source("crates/seeder/src/config.rs");
    let project = &variables.block("variable", "project").attributes["default"];
    assert!(seeder.contains(&format!("PROJECT_DEFAULT: &str = {project};")));
}

#[test]
fn variables_are_limited_as_the_functions_limit_them() {
    let variables = Hcl::read("variables.tf");
    let limit = |variable: &str| {
        let block = variables.block("variable", variable);
        let validation = block.blocks.iter().find(|inner| inner.kind == "validation").unwrap();
        let (_, rest) = validation.attributes["condition"].split_once("<= ").unwrap();
        product(rest.split_whitespace().next().unwrap())
    };
    let processor = constant_of(&source("crates/processor/src/config.rs"), "TTL_DAYS_MAX");
    assert_eq!((limit("events_ttl_days"), limit("idempotency_ttl_days")), (processor, processor));
    let projector = constant_of(&source("crates/projector/src/config.rs"), "ALERT_WINDOW_SECONDS_MAX");
    assert_eq!((limit("metric_tenants_max"), limit("alert_window_seconds")), (PLACES_MAX as u64, projector));
}

#[test]
fn names_are_those_of_the_local_cloud() {
    let mut terraform = BTreeSet::new();
    for file in ["tables.tf", "queues.tf", "processor.tf", "projector.tf", "seeder.tf"] {
        for block in Hcl::read(file).blocks {
            let name = block.attributes.get("name").map(|name| name.trim_matches('"').replace("${var.project}", "{}"));
            terraform.extend(name.filter(|name| name.starts_with("{}-")));
            // The processor is named as the project is.
            let is_processor = block.kind == "module" && block.labels == ["processor"];
            assert!(!is_processor || block.attributes["name"] == "var.project");
        }
    }
    let local: BTreeSet<String> = strings(&deployment()).into_iter().filter(|text| text.starts_with("{}-")).collect();
    assert_eq!(terraform, local);
    assert!(source("crates/seeder/src/config.rs").contains(r#"format!("{}-events.fifo""#));
}

#[test]
fn tables_have_the_keys_that_the_code_writes() {
    let tables = Hcl::read("tables.tf");
    let deployment = deployment();
    for (table, keys) in [
        ("events", [Some(attribute::TENANT_ID), Some(attribute::SK)]),
        ("idempotency", [Some(attribute::PK), None]),
        ("projections", [Some(attribute::PK), Some(attribute::SK)]),
    ] {
        let block = tables.block("resource", table);
        let local = table_definition(&deployment, table);
        assert_eq!(keys_of(block), keys.map(|key| key.map(str::to_owned)), "{table}");
        assert_eq!(keys_of(block), local_keys(&local["KeySchema"]), "{table}");

        let types = |block: &Block| (block.text("name"), block.text("type"));
        let attributes: BTreeSet<_> = block.all("attribute").map(types).collect();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let local_types = |value: &Value| (text(&value["AttributeName"]), text(&value["AttributeType"]));
        let local_attributes: BTreeSet<_> =
            local["AttributeDefinitions"].as_array().unwrap().iter().map(local_types).collect();
        assert_eq!(attributes, local_attributes, "{table}");

        let ttl = block.all("ttl").next().unwrap();
        assert_eq!((ttl.text("attribute_name").as_str(), ttl.attributes["enabled"].as_str()), (attribute::TTL, "true"));
        assert!(deployment.contains(&format!("TTL_ATTRIBUTE: &str = \"{}\"", attribute::TTL)));

        let view = block.attributes.get("stream_view_type").map(|_| block.text("stream_view_type"));
        assert_eq!(view.as_deref(), local["StreamSpecification"]["StreamViewType"].as_str(), "{table}");
    }
}

#[test]
fn the_status_index_is_the_same_everywhere() {
    let tables = Hcl::read("tables.tf");
    let index = tables.block("resource", "events").all("global_secondary_index").next().unwrap();
    let local = &table_definition(&deployment(), "events")["GlobalSecondaryIndexes"][0];
    assert_eq!(Some(index.text("name").as_str()), local["IndexName"].as_str());
    let keys = [Some(attribute::STATUS), Some(attribute::TENANT_ID_CREATED_AT)].map(|key| key.map(str::to_owned));
    assert_eq!((keys_of(index), local_keys(&local["KeySchema"])), (keys.clone(), keys));
    assert_eq!(Some(index.text("projection_type").as_str()), local["Projection"]["ProjectionType"].as_str());
    let included = strings(&index.attributes["non_key_attributes"]);
    assert_eq!(included, [attribute::EVENT_TYPE, attribute::REASON]);
    assert_eq!(local["Projection"]["NonKeyAttributes"], Value::from(included));
}

#[test]
fn the_simulation_has_the_limits_of_the_local_cloud() {
    let (deployment, world) = (deployment(), source("crates/testkit/src/simulation/world.rs"));
    for name in [
        "VISIBILITY_TIMEOUT_SECONDS",
        "QUEUE_BATCH_SIZE",
        "TUMBLING_WINDOW_SECONDS",
        "RECORD_AGE_SECONDS_MAX",
        "PROCESSOR_TIMEOUT_SECONDS",
        "PROJECTOR_TIMEOUT_SECONDS",
    ] {
        assert_eq!(constant_of(&world, name), constant_of(&deployment, name), "{name}");
    }
}

#[test]
fn limits_are_those_of_the_local_cloud() {
    let deployment = deployment();
    let local = |name: &str| constant_of(&deployment, name);
    let queues = Hcl::read("queues.tf");
    let events = queues.block("resource", "events");
    let dead_letters = queues.block("resource", "dead_letters");
    let locals = queues.blocks.iter().find(|block| block.kind == "locals").unwrap();

    assert_eq!(product(&locals.attributes["message_bytes_max"]), local("MESSAGE_BYTES_MAX"));
    assert_eq!(product(&locals.attributes["message_bytes_max"]), RAW_BYTES_MAX as u64);
    assert_eq!(events.attributes["visibility_timeout_seconds"], "6 * local.processor_timeout_seconds");
    assert_eq!(local("VISIBILITY_TIMEOUT_SECONDS"), 6 * local("PROCESSOR_TIMEOUT_SECONDS"));
    for queue in [events, dead_letters] {
        let retention = queue.attributes["message_retention_seconds"].replace("local.retention_days_seconds", "86400");
        assert_eq!(product(&retention), local("RETENTION_SECONDS"));
    }
    let redrive: Vec<&str> = events.attributes["redrive_policy"].split_whitespace().collect();
    assert!(redrive.join(" ").contains("maxReceiveCount = var.max_receive_count"), "{redrive:?}");
    let receives = Hcl::read("variables.tf").block("variable", "max_receive_count").attributes["default"].clone();
    assert_eq!(product(&receives), local("RECEIVES_MAX"));
    for (name, value) in [
        ("FifoQueue", ("fifo_queue", "true")),
        ("ContentBasedDeduplication", ("content_based_deduplication", "true")),
        ("DeduplicationScope", ("deduplication_scope", "\"messageGroup\"")),
        ("FifoThroughputLimit", ("fifo_throughput_limit", "\"perMessageGroupId\"")),
    ] {
        assert_eq!(events.attributes[value.0], value.1);
        assert!(deployment.contains(&format!("(\"{name}\", \"{}\"", value.1.trim_matches('"'))), "{name}");
    }

    let mapping = |file: &str, name: &str| Hcl::read(file).block("resource", name).clone();
    let queue = mapping("processor.tf", "events_queue");
    let variables = Hcl::read("variables.tf");
    let concurrency = &variables.block("variable", "processor_concurrency_max").attributes["default"];
    assert_eq!(product(&queue.attributes["batch_size"]), local("QUEUE_BATCH_SIZE"));
    assert_eq!(product(concurrency), local("QUEUE_CONCURRENCY_MAX"));
    let stream = mapping("projector.tf", "events_stream");
    for (name, constant) in [
        ("batch_size", "STREAM_BATCH_SIZE"),
        ("tumbling_window_in_seconds", "TUMBLING_WINDOW_SECONDS"),
        ("maximum_record_age_in_seconds", "RECORD_AGE_SECONDS_MAX"),
    ] {
        assert_eq!(product(&stream.attributes[name]), local(constant), "{name}");
    }
    assert_eq!(stream.attributes["maximum_retry_attempts"], "-1");
    assert_eq!(stream.attributes["bisect_batch_on_function_error"], "false");
    for mapping in [queue, stream] {
        assert_eq!(mapping.attributes["function_response_types"], r#"["ReportBatchItemFailures"]"#);
    }

    let processor = Hcl::read("processor.tf");
    let timeout = &processor.blocks.iter().find(|block| block.kind == "locals").unwrap().attributes;
    assert_eq!(product(&timeout["processor_timeout_seconds"]), local("PROCESSOR_TIMEOUT_SECONDS"));
    for (role, constant) in [("seeder", "SEEDER_TIMEOUT_SECONDS"), ("projector", "PROJECTOR_TIMEOUT_SECONDS")] {
        let timeout = Hcl::read(&format!("{role}.tf")).block("module", role).attributes["timeout_seconds"].clone();
        assert_eq!(product(&timeout), local(constant));
    }
}

#[test]
fn everything_of_the_go_system_but_its_role_lives_on_under_its_name() {
    let (moved, go) = (Hcl::read("moved.tf"), Hcl::read("tests/go-system/main.tf"));
    let moved: BTreeMap<&str, &str> =
        moved.all("moved").map(|block| (block.attributes["from"].as_str(), block.attributes["to"].as_str())).collect();
    let mut taken = 0;
    for before in go.all("resource").filter(|block| !block.labels[0].starts_with("aws_iam_")) {
        let address = before.labels.join(".");
        let after = address_here(moved.get(address.as_str()).copied().unwrap_or(&address));
        let is_mapping = before.labels[0] == "aws_lambda_event_source_mapping";
        let name = if before.labels[0] == "aws_lambda_function" { "function_name" } else { "name" };
        assert!(is_mapping || before.attributes[name] == after.attributes["name"], "{address}");
        taken += 1;
    }
    assert_eq!((taken, moved.len()), (7, 5), "two tables, two queues, two functions, one mapping");
}

// Without `ReportBatchItemFailures` Lambda ignores the list of failures and deletes the whole batch, and a mapping that
// was just updated still goes by its old settings: recorded on AWS on 2026-09-15.
#[test]
fn a_mapping_that_ignores_reported_failures_is_replaced_not_updated() {
    let go = Hcl::read("tests/go-system/main.tf");
    assert!(!go.block("resource", "sqs_trigger").attributes.contains_key("function_response_types"));
    let mapping = Hcl::read("processor.tf").block("resource", "events_queue").clone();
    let lifecycle = mapping.all("lifecycle").next().expect("a lifecycle");
    let triggers = &lifecycle.attributes["replace_triggered_by"];
    let (before, after) = (go.block("resource", "events_fifo"), Hcl::read("queues.tf"));
    // They differ in an upgrade, and no variable changes them later. The first stays when the Go system comes back.
    for name in ["deduplication_scope", "message_retention_seconds"] {
        assert!(triggers.contains(&format!("aws_sqs_queue.events.{name}")), "{triggers}");
        assert!(!before.attributes.contains_key(name), "{name}");
        assert!(!after.block("resource", "events").attributes[name].contains("var."), "{name}");
    }
}

/// What a `moved` block's target is: a resource, or the module that holds it.
fn address_here(address: &str) -> Block {
    let files = ["tables.tf", "queues.tf", "processor.tf", "seeder.tf"];
    let mut blocks = files.into_iter().flat_map(|file| Hcl::read(file).blocks);
    let module = address.strip_prefix("module.").and_then(|rest| rest.strip_suffix(".aws_lambda_function.this"));
    let is_here = |block: &Block| match module {
        Some(module) => block.kind == "module" && block.labels == [module],
        None => block.kind == "resource" && block.labels.join(".") == address,
    };
    blocks.find(is_here).unwrap_or_else(|| panic!("{address} is not deployed"))
}

#[test]
fn terraform_is_asked_for_in_one_version() {
    let versions = ["versions.tf", "modules/lambda/versions.tf"].map(|file| {
        let version = Hcl::read(file).blocks[0].text("required_version");
        version.strip_prefix(">= ").expect("a lowest version").to_owned()
    });
    assert_eq!(versions[0], versions[1]);
    assert!(source("infra/README.md").contains(&format!("Terraform {} or later", versions[0])));
}

/// A function, the files of `ledger-aws` it calls AWS through, and what else its role is for.
struct Role {
    name: &'static str,
    ports: &'static [&'static str],
    /// What Lambda does in the function's name: its mapping.
    mapping_actions: &'static [&'static str],
    /// Resources by action, as Terraform names them.
    resources: &'static [(&'static str, &'static str)],
}

const ROLES: [Role; 3] = [
    Role {
        name: "processor",
        ports: &["tables"],
        mapping_actions: &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        resources: &[
            ("dynamodb:", "aws_dynamodb_table.events.arn, aws_dynamodb_table.idempotency.arn"),
            ("sqs:", "aws_sqs_queue.events.arn"),
        ],
    },
    Role {
        name: "projector",
        ports: &["projections", "alerts", "cloudwatch", "failures"],
        mapping_actions: &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        resources: &[
            ("dynamodb:BatchGetItem", "aws_dynamodb_table.projections.arn"),
            ("dynamodb:UpdateItem", "aws_dynamodb_table.projections.arn"),
            ("dynamodb:", "aws_dynamodb_table.events.stream_arn"),
            ("sns:", "aws_sns_topic.alerts.arn"),
            ("sqs:", "aws_sqs_queue.projector_failures.arn"),
            ("cloudwatch:PutMetricData", "\"*\""),
        ],
    },
    Role {
        name: "seeder",
        ports: &["queue"],
        mapping_actions: &[],
        resources: &[("sqs:", "aws_sqs_queue.events.arn")],
    },
];

/// The right a call of the SDK needs ("Actions, resources, and condition keys", IAM reference). Transactions have no
/// right of their own, and `INSERT` is the only statement sent.
const RIGHTS: [(&str, &str); 9] = [
    ("batch_execute_statement", "dynamodb:PartiQLInsert"),
    ("batch_get_item", "dynamodb:BatchGetItem"),
    ("update_item", "dynamodb:UpdateItem"),
    ("transact_write_items", "dynamodb:UpdateItem"),
    ("publish", "sns:Publish"),
    ("put_metric_data", "cloudwatch:PutMetricData"),
    ("send_message", "sqs:SendMessage"),
    ("send_message_batch", "sqs:SendMessage"),
    ("get_queue_url", "sqs:GetQueueUrl"),
];

impl Role {
    fn module(&self) -> Block {
        Hcl::read(&format!("{}.tf", self.name)).block("module", self.name).clone()
    }

    fn actions_needed(&self) -> BTreeSet<String> {
        let mut needed: BTreeSet<String> = self.mapping_actions.iter().map(|&action| action.to_owned()).collect();
        for port in self.ports {
            let calls = calls(&source(&format!("crates/ledger-aws/src/{port}.rs")));
            assert!(!calls.is_empty(), "no calls found in {port}.rs");
            for call in calls {
                let right = RIGHTS.iter().find(|(known, _)| *known == call);
                let (_, action) =
                    right.unwrap_or_else(|| panic!("{port}.rs calls {call}, whose right is not known here"));
                needed.insert((*action).to_owned());
            }
        }
        needed
    }
}

#[test]
fn each_role_may_do_what_its_function_calls_and_nothing_else() {
    for role in ROLES {
        let mut granted = BTreeSet::new();
        for statement in objects(&role.module().attributes["statements"]) {
            assert_eq!(statement["Effect"], "\"Allow\"");
            let resource = statement["Resource"].trim_matches(['[', ']']);
            for action in strings(&statement["Action"]) {
                let expected = role.resources.iter().find(|(prefix, _)| action.starts_with(prefix));
                assert_eq!(Some(resource), expected.map(|(_, resource)| *resource), "{}: {action}", role.name);
                assert!(granted.insert(action.clone()), "{action} is granted twice");
            }
            if resource.contains('*') {
                let condition = &statement["Condition"];
                assert!(
                    condition.contains("StringEquals") && condition.contains("cloudwatch:namespace"),
                    "{condition}"
                );
                assert!(condition.contains(&format!("\"{NAMESPACE}\"")), "{condition}");
            }
        }
        assert_eq!(granted, role.actions_needed(), "{}", role.name);
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
    let configuration = configuration();
    let mut idle: BTreeSet<&str> = MAPPING_RULES.iter().map(|rule| rule.claim).collect();
    idle.extend(QUEUE_RULES.iter().map(|rule| rule.claim));
    let (mut mappings, mut queues) = (0, 0);
    for variables in [Variables::Default, Variables::Least, Variables::Most] {
        let planned = Planned { configuration: &configuration, variables };
        for mapping in planned.resources("aws_lambda_event_source_mapping") {
            admit(MAPPING_RULES, &planned.mapping(mapping), &mut idle);
            mappings += 1;
        }
        for queue in planned.resources("aws_sqs_queue") {
            admit(QUEUE_RULES, &planned.queue(queue), &mut idle);
            queues += 1;
        }
    }
    assert!(mappings >= 3 * 2 && queues >= 3 * 3, "{mappings} mappings, {queues} queues");
    // All other rules were about something; these two are about what is left at AWS's defaults.
    assert_eq!(idle, BTreeSet::from(["a message is delayed by 0 to 900 s", "a receive waits for 0 to 20 s"]));
}

/// Puts settings to the rules, and takes those that have something to say about them off the idle ones.
fn admit<S: std::fmt::Debug>(rules: &[Rule<S>], settings: &S, idle: &mut BTreeSet<&str>) {
    assert_eq!(check(rules, settings), Ok(()), "{settings:?}");
    for rule in rules.iter().filter(|rule| (rule.admits)(settings).is_some()) {
        idle.remove(rule.claim);
    }
}

// Lambda deletes the messages that a filter leaves out.
#[test]
fn no_filter_stands_between_the_queue_and_the_processor() {
    let configuration = configuration();
    let planned = Planned { configuration: &configuration, variables: Variables::Default };
    assert_eq!(planned.mapping(configuration.block("resource", "events_queue")).filters, 0);
}

// On AWS every call of the projector costs money; on a laptop nobody wants to wait for the numbers.
#[test]
fn terraform_gathers_records_for_five_seconds_and_the_local_cloud_does_not() {
    let configuration = configuration();
    let planned = Planned { configuration: &configuration, variables: Variables::Default };
    let stream = planned.mapping(configuration.block("resource", "events_stream"));
    assert_eq!(stream.batching_window_seconds, Some(5));
    let local = StreamMappingConfig {
        function_arn: String::new(),
        stream_arn: String::new(),
        batch_size: 1,
        event_names: None,
        tumbling_window_seconds: None,
        report_batch_item_failures: true,
        bisect_batch_on_function_error: false,
        maximum_retry_attempts: None,
        maximum_record_age_seconds: None,
    };
    assert_eq!(local.settings().batching_window_seconds, Some(0));
}

/// All files of Terraform as one.
fn configuration() -> Block {
    let mut whole = Block::default();
    for file in fs::read_dir(root().join("infra")).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        if file.ends_with(".tf") {
            whole.blocks.extend(Hcl::read(&file).blocks);
        }
    }
    whole
}

/// Which values the variables have: their defaults, or the least or most that their validations allow. Where a default
/// is null, `Most` sets the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variables {
    Default,
    Least,
    Most,
}

/// The configuration with its variables filled in, as far as mappings and queues need it.
struct Planned<'c> {
    configuration: &'c Block,
    variables: Variables,
}

impl Planned<'_> {
    fn resources<'r>(&'r self, kind: &str) -> impl Iterator<Item = &'r Block> {
        self.configuration.all("resource").filter(move |block| block.labels[0] == kind)
    }

    /// The resource that an expression such as `aws_sqs_queue.events.arn` is about.
    fn resource(&self, reference: &str) -> &Block {
        let [kind, name, _] = reference.split('.').collect::<Vec<_>>()[..] else { panic!("{reference} is no ARN") };
        self.resources(kind).find(|block| block.labels[1] == name).unwrap_or_else(|| panic!("no {reference}"))
    }

    fn is_fifo(&self, block: &Block) -> bool {
        ["fifo_queue", "fifo_topic"].into_iter().any(|name| self.attribute(block, name).as_deref() == Some("true"))
    }

    fn mapping(&self, block: &Block) -> MappingSettings {
        know(
            block,
            "event_source_arn function_name starting_position batch_size maximum_batching_window_in_seconds \
             function_response_types parallelization_factor tumbling_window_in_seconds \
             bisect_batch_on_function_error maximum_retry_attempts maximum_record_age_in_seconds depends_on",
            "filter_criteria destination_config scaling_config provisioned_poller_config metrics_config lifecycle",
        );
        let source_arn = &block.attributes["event_source_arn"];
        let source = self.resource(source_arn);
        let event_source = match source.labels[0].as_str() {
            "aws_sqs_queue" if self.is_fifo(source) => EventSource::FifoQueue,
            "aws_sqs_queue" => EventSource::StandardQueue,
            "aws_dynamodb_table" => EventSource::Stream,
            other => panic!("{other} is no event source that the rules know"),
        };
        let [_, function, _] = block.attributes["function_name"].split('.').collect::<Vec<_>>()[..] else { panic!() };
        let function = self.configuration.block("module", function);
        let granted = objects(&function.attributes["statements"])
            .into_iter()
            .filter(|statement| statement["Resource"].contains(source_arn) && !statement.contains_key("Condition"))
            .flat_map(|statement| strings(&statement["Action"]));
        let destinations: Vec<&Block> = block.all("destination_config").collect();
        let on_failure = destinations.iter().flat_map(|destination| destination.all("on_failure")).next();
        let scaling = block.all("scaling_config").next();
        let number = |name| self.number(block, name);
        MappingSettings {
            source: event_source,
            batch_size: number("batch_size"),
            batching_window_seconds: number("maximum_batching_window_in_seconds"),
            parallelization_factor: number("parallelization_factor"),
            tumbling_window_seconds: number("tumbling_window_in_seconds"),
            filters: block.all("filter_criteria").map(|criteria| criteria.blocks.len()).sum(),
            starting_position: self.attribute(block, "starting_position").map(|position| unquoted(&position)),
            retry_attempts_max: number("maximum_retry_attempts"),
            record_age_seconds_max: number("maximum_record_age_in_seconds"),
            concurrency_max: scaling.and_then(|scaling| self.number(scaling, "maximum_concurrency")),
            has_provisioned_pollers: block.all("provisioned_poller_config").next().is_some(),
            response_types: block
                .attributes
                .get("function_response_types")
                .map(|types| strings(types))
                .unwrap_or_default(),
            on_failure: on_failure.map(|block| {
                let is_fifo = self.is_fifo(self.resource(&block.attributes["destination_arn"]));
                if is_fifo { Destination::Fifo } else { Destination::Standard }
            }),
            has_on_success: destinations.iter().any(|destination| destination.all("on_success").next().is_some()),
            function_timeout_seconds: self.number(function, "timeout_seconds"),
            visibility_timeout_seconds: self.number(source, "visibility_timeout_seconds"),
            source_actions: Some(granted.collect()),
        }
    }

    fn queue(&self, block: &Block) -> QueueSettings {
        know(
            block,
            "name fifo_queue content_based_deduplication deduplication_scope fifo_throughput_limit max_message_size \
             visibility_timeout_seconds message_retention_seconds delay_seconds receive_wait_time_seconds \
             redrive_policy sqs_managed_sse_enabled kms_master_key_id",
            "lifecycle",
        );
        let number = |name| self.number(block, name);
        let is_text = |name: &str, text: &str| block.attributes.get(name).is_some_and(|value| unquoted(value) == text);
        let redrive = block.attributes.get("redrive_policy").map(|policy| {
            let policy = policy.strip_prefix("jsonencode(").and_then(|policy| policy.strip_suffix(')'));
            attributes(policy.expect("a policy in JSON"))
        });
        let dead_letters = redrive.as_ref().map(|redrive| self.resource(&redrive["deadLetterTargetArn"]));
        QueueSettings {
            name_ends_in_fifo: Some(block.text("name").ends_with(".fifo")),
            is_fifo: self.is_fifo(block),
            visibility_timeout_seconds: number("visibility_timeout_seconds"),
            retention_seconds: number("message_retention_seconds"),
            delay_seconds: number("delay_seconds"),
            message_bytes_max: number("max_message_size"),
            wait_seconds: number("receive_wait_time_seconds"),
            receives_max: redrive.as_ref().map(|redrive| integer(&self.value(&redrive["maxReceiveCount"]))),
            dead_letter_queue_is_fifo: dead_letters.map(|queue| self.is_fifo(queue)),
            is_deduplicated_per_group: is_text("deduplication_scope", "messageGroup"),
            has_throughput_per_group: is_text("fifo_throughput_limit", "perMessageGroupId"),
            has_kms_key: self.attribute(block, "kms_master_key_id").is_some(),
            is_encrypted_by_sqs: self.attribute(block, "sqs_managed_sse_enabled").map(|value| value == "true"),
        }
    }

    fn number(&self, block: &Block, name: &str) -> Option<i64> {
        self.attribute(block, name).map(|value| integer(&value))
    }

    /// An attribute's value, where it has one and that is not null.
    fn attribute(&self, block: &Block, name: &str) -> Option<String> {
        block.attributes.get(name).map(|expression| self.value(expression)).filter(|value| value != "null")
    }

    fn value(&self, expression: &str) -> String {
        if let Some((condition, branches)) = expression.split_once(" ? ") {
            let (left, right) = condition.split_once(" == ").expect("a comparison");
            let (then, otherwise) = branches.split_once(" : ").expect("two branches");
            return self.value(if self.value(left) == self.value(right) { then } else { otherwise });
        }
        if expression.contains(" * ") {
            return expression.split(" * ").map(|factor| integer(&self.value(factor))).product::<i64>().to_string();
        }
        match expression.split_once('.') {
            Some(("var", name)) => self.variable(name),
            Some(("local", name)) => {
                let locals = self.configuration.all("locals").find_map(|block| block.attributes.get(name));
                self.value(locals.unwrap_or_else(|| panic!("no local.{name}")))
            }
            _ => expression.to_owned(),
        }
    }

    fn variable(&self, name: &str) -> String {
        let variable = self.configuration.block("variable", name);
        let default = variable.attributes["default"].clone();
        let bound = |operator: &str| {
            assert_eq!(variable.attributes["type"], "number", "{name}");
            let conditions = variable.all("validation").map(|validation| &validation.attributes["condition"]);
            let bound = conditions
                .flat_map(|condition| condition.split(" && "))
                .find_map(|part| part.strip_prefix(&format!("var.{name} {operator} ")));
            self.value(bound.unwrap_or_else(|| panic!("{name} is not limited")))
        };
        match self.variables {
            Variables::Most if default == "null" => "set".to_owned(),
            Variables::Default | Variables::Least if default == "null" => default,
            Variables::Default => default,
            Variables::Least => bound(">="),
            Variables::Most => bound("<="),
        }
    }
}

/// What the rules do not hear of must not be in the plan.
fn know(block: &Block, attributes: &str, blocks: &str) {
    let is_in = |known: &str, name: &str| known.split_whitespace().any(|known| known == name);
    let labels = block.labels.join(".");
    for name in block.attributes.keys() {
        assert!(is_in(attributes, name), "{labels}: the rules do not know {name}");
    }
    for inner in &block.blocks {
        assert!(is_in(blocks, &inner.kind), "{labels}: the rules do not know {}", inner.kind);
        assert!(is_plain(inner), "{labels}: the rules cannot see what a dynamic block makes");
    }
}

fn is_plain(block: &Block) -> bool {
    block.blocks.iter().all(|inner| inner.kind != "dynamic" && is_plain(inner))
}

fn integer(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no whole number"))
}

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

    let alarms = Hcl::read("alarms.tf");
    let locals = alarms.blocks.iter().find(|block| block.kind == "locals").unwrap();
    let mut watched: Vec<Shown> = Vec::new();
    for alarm in attributes(&locals.attributes["alarms"]).into_values().map(|alarm| attributes(&alarm)) {
        let dimensions = attributes(&alarm["dimensions"]).into_keys().collect();
        watched.push(Shown { namespace: unquoted(&alarm["namespace"]), name: unquoted(&alarm["metric"]), dimensions });
    }
    for query in alarms.block("resource", "invalid_rate").all("metric_query") {
        watched.extend(query.all("metric").map(|metric| Shown {
            namespace: metric.text("namespace"),
            name: metric.text("metric_name"),
            dimensions: attributes(&metric.attributes["dimensions"]).into_keys().collect(),
        }));
    }
    assert!(watched.len() > 10);
    watched.iter().for_each(|metric| metric.check("alarms.tf"));
}

#[test]
fn dashboards_name_only_what_is_deployed() {
    let names: BTreeSet<String> = strings(&deployment())
        .into_iter()
        .filter(|text| text.starts_with("{}-"))
        .map(|name| in_dashboard(&name))
        .collect();
    for (file, dashboard) in dashboards() {
        let mut texts = Vec::new();
        all_strings(&dashboard, &mut texts);
        for text in texts {
            for (_, rest) in text.match_indices("${project}").map(|(at, _)| text.split_at(at)) {
                let end = rest[1..].find([' ', '\'', '`', ',']).map_or(rest.len(), |end| end + 1);
                let is_alarm = text.contains(":alarm:");
                assert!(is_alarm || rest[..end] == *"${project}" || names.contains(&rest[..end]), "{file}: {text}");
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

fn in_dashboard(name: &str) -> String {
    name.replacen("{}", "${project}", 1)
}

fn all_strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(elements) => elements.iter().for_each(|element| all_strings(element, found)),
        Value::Object(members) => members.values().for_each(|member| all_strings(member, found)),
        _ => {}
    }
}

/// The environment variables a `config.rs` registers: constants that hold their own name.
fn variables_read(role: &str) -> BTreeSet<String> {
    let config = source(&format!("crates/{role}/src/config.rs"));
    let registered = config.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("pub const ")?.split_once(": &str = ")?;
        assert_eq!(value, format!("\"{name}\";"), "a variable's constant is called as the variable");
        Some(name.to_owned())
    });
    registered.collect()
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

fn deployment() -> String {
    source("crates/local/src/deployment.rs")
}

/// The `CreateTable` input of a table in the local cloud.
fn table_definition(deployment: &str, table: &str) -> Value {
    let (_, rest) = deployment.split_once(&format!("fn {table}_table_definition")).unwrap();
    let (_, rest) = rest.split_once("json!(").unwrap();
    let (json, _) = rest.split_once("\n        })").unwrap();
    let json = format!("{json} }}").replace("self.", "\"").replace("_table()", "_table\"");
    // Rust allows a comma at the end of a list, JSON does not.
    let mut without: String = json.split_whitespace().collect::<Vec<_>>().join(" ");
    for bracket in ['}', ']'] {
        without = without.replace(&format!(", {bracket}"), &bracket.to_string());
    }
    serde_json::from_str(&without).unwrap_or_else(|error| panic!("{error}: {without}"))
}

fn local_keys(schema: &Value) -> [Option<String>; 2] {
    let key = |kind: &str| {
        let found = schema.as_array().unwrap().iter().find(|key| key["KeyType"] == kind);
        found.map(|key| key["AttributeName"].as_str().unwrap().to_owned())
    };
    [key("HASH"), key("RANGE")]
}

fn keys_of(block: &Block) -> [Option<String>; 2] {
    ["hash_key", "range_key"].map(|name| block.attributes.contains_key(name).then(|| block.text(name)))
}

/// The value of `const NAME: … = …;`, which may be a product.
fn constant_of(source: &str, name: &str) -> u64 {
    let (_, rest) = source.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("no constant {name}"));
    let (_, value) = rest.split_once("= ").unwrap();
    product(value.split(';').next().unwrap())
}

fn product(expression: &str) -> u64 {
    let factor = |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{expression:?}"));
    expression.split('*').map(factor).product()
}

fn source(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// As much of Terraform's language as this repository's files use: blocks, and attributes kept as text.
#[derive(Clone, Debug, Default)]
struct Block {
    kind: String,
    labels: Vec<String>,
    attributes: BTreeMap<String, String>,
    blocks: Vec<Block>,
}

struct Hcl;

impl Hcl {
    fn read(file: &str) -> Block {
        let text = source(&format!("infra/{file}"));
        let mut reader = Reader { rest: &text };
        let block = reader.body(Block::default());
        assert!(reader.rest.is_empty(), "{file}: cannot read {:?}", reader.rest);
        block
    }
}

impl Block {
    /// The block of a kind whose last label is this.
    fn block(&self, kind: &str, name: &str) -> &Block {
        let is_it = |block: &&Block| block.kind == kind && block.labels.last().is_some_and(|label| label == name);
        self.blocks.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// An attribute that is a plain string.
    fn text(&self, name: &str) -> String {
        unquoted(&self.attributes[name])
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// Attributes and blocks up to a closing brace or the end.
    fn body(&mut self, mut block: Block) -> Block {
        loop {
            self.skip_blank();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return block;
            }
            let name = self.word();
            self.rest = self.rest.trim_start_matches(' ');
            if let Some(rest) = self.rest.strip_prefix('=') {
                self.rest = rest.trim_start_matches(' ');
                let value = self.expression();
                block.attributes.insert(name, value);
                continue;
            }
            let (labels, rest) = self.rest.split_once('{').unwrap_or_else(|| panic!("cannot read {:?}", self.rest));
            self.rest = rest;
            let inner = Block { kind: name, labels: strings(labels), ..Block::default() };
            block.blocks.push(self.body(inner));
            self.rest = self.rest.strip_prefix('}').expect("a block ends");
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\n', ',']);
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    /// A name, bare or in quotes.
    fn word(&mut self) -> String {
        if let Some(rest) = self.rest.strip_prefix('"') {
            let (word, rest) = rest.split_once('"').expect("a quoted name ends");
            self.rest = rest;
            return word.to_owned();
        }
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        assert!(end > 0, "cannot read {:?}", self.rest);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    /// Up to the end of the line, or of the list or object it stands in, brackets and strings taken whole.
    fn expression(&mut self) -> String {
        let mut depth = 0_u32;
        let mut is_text = false;
        let mut previous = ' ';
        let mut end = self.rest.len();
        for (at, letter) in self.rest.char_indices() {
            match letter {
                '"' if previous != '\\' => is_text = !is_text,
                _ if is_text => {}
                '[' | '{' | '(' => depth += 1,
                ']' | '}' | ')' if depth > 0 => depth -= 1,
                ']' | '}' | ')' | '\n' | ',' | '#' if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
            previous = letter;
        }
        let (expression, rest) = self.rest.split_at(end);
        self.rest = rest;
        expression.trim().to_owned()
    }
}

/// The members of an object.
fn attributes(object: &str) -> BTreeMap<String, String> {
    let inner = object.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).expect("an object");
    Reader { rest: inner }.body(Block::default()).attributes
}

/// The objects of a list.
fn objects(list: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = Reader { rest: list.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).expect("a list") };
    let mut found = Vec::new();
    loop {
        reader.skip_blank();
        if reader.rest.is_empty() {
            return found;
        }
        found.push(attributes(&reader.expression()));
    }
}

/// The string literals in a text, in order.
fn strings(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn unquoted(text: &str) -> String {
    text.trim_matches('"').to_owned()
}
