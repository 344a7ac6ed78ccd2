//! What Lambda's REST API says of functions and event source mappings. They are the deployment's and cannot be changed
//! here.

use axum::{http::StatusCode, response::Response};
use cloudsim::{
    deployment::Role,
    mapping::{QueueMappingConfig, StreamMappingConfig},
};
use serde_json::{Value, json};

use crate::{
    lambda::{
        api::{function_name, refusal},
        function::Function,
    },
    service::wire,
    services::Services,
};

/// Path prefix of the REST API.
pub(crate) const PATH_PREFIX: &str = "/2015-03-31/";

/// Serves one `GET`; `path` is what follows [`PATH_PREFIX`].
pub(crate) fn serve(services: &Services, path: &str, query: &str) -> Response {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let found = match parts[..] {
        ["functions"] => {
            let functions = services.functions.all();
            let configurations: Vec<Value> =
                functions.iter().map(|function| configuration(services, function)).collect();
            Some(json!({"Functions": configurations}))
        }
        ["functions", name, "configuration"] => {
            let name = function_name(name);
            let Some(function) = services.functions.get(&name) else {
                let message = format!("Function not found: {}", services.deployment.function_arn(&name));
                return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
            };
            Some(configuration(services, &function))
        }
        ["event-source-mappings"] => {
            let mut mappings = mappings(services).to_vec();
            for (parameter, wanted) in form_urlencoded::parse(query.as_bytes()) {
                mappings.retain(|mapping| match parameter.as_ref() {
                    "EventSourceArn" => mapping["EventSourceArn"] == wanted.as_ref(),
                    "FunctionName" => {
                        mapping["FunctionArn"] == services.deployment.function_arn(&function_name(&wanted))
                    }
                    _ => true,
                });
            }
            Some(json!({"EventSourceMappings": mappings}))
        }
        ["event-source-mappings", uuid] => mappings(services).into_iter().find(|mapping| mapping["UUID"] == uuid),
        _ => None,
    };
    match found {
        Some(found) => wire::respond(StatusCode::OK, "application/json", found.to_string()),
        None => {
            let message = "The resource you requested does not exist.";
            refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
        }
    }
}

fn configuration(services: &Services, function: &Function) -> Value {
    json!({
        "FunctionName": function.name,
        "FunctionArn": services.deployment.function_arn(&function.name),
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "PackageType": "Zip",
        "Version": "$LATEST",
        "Timeout": function.timeout.as_secs(),
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Environment": {"Variables": function.environment},
    })
}

fn mappings(services: &Services) -> [Value; 2] {
    let deployment = &services.deployment;
    let (stream, result) = services
        .shared
        .look(|state, _| (state.stream_mapping.config().clone(), state.stream_mapping.last_processing_result()));
    let QueueMappingConfig { queue_name, batch_size, concurrency_max, report_batch_item_failures, .. } =
        deployment.queue_mapping();
    let queue_mapping = json!({
        "UUID": "00000000-0000-4000-8000-000000000001",
        "EventSourceArn": deployment.queue_arn(&queue_name),
        "FunctionArn": deployment.function_arn(&deployment.function_name(Role::Processor)),
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "BatchSize": batch_size,
        "MaximumBatchingWindowInSeconds": 0,
        "ScalingConfig": {"MaximumConcurrency": concurrency_max},
        "FunctionResponseTypes": response_types(report_batch_item_failures),
    });
    let StreamMappingConfig { stream_arn, function_arn, .. } = &stream;
    let or_without_limit = |limit: Option<u32>| limit.map_or(-1, i64::from);
    let stream_mapping = json!({
        "UUID": "00000000-0000-4000-8000-000000000002",
        "EventSourceArn": stream_arn,
        "FunctionArn": function_arn,
        "State": "Enabled",
        "StateTransitionReason": "User action",
        "LastProcessingResult": result,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": stream.batch_size,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "TumblingWindowInSeconds": stream.tumbling_window_seconds.unwrap_or(0),
        "MaximumRecordAgeInSeconds": or_without_limit(stream.maximum_record_age_seconds),
        "MaximumRetryAttempts": or_without_limit(stream.maximum_retry_attempts),
        "BisectBatchOnFunctionError": stream.bisect_batch_on_function_error,
        "DestinationConfig": {
            "OnFailure": {"Destination": deployment.queue_arn(&deployment.project.failures_queue())},
        },
        "FunctionResponseTypes": response_types(stream.report_batch_item_failures),
    });
    [queue_mapping, stream_mapping]
}

fn response_types(report_batch_item_failures: bool) -> Vec<&'static str> {
    report_batch_item_failures.then_some("ReportBatchItemFailures").into_iter().collect()
}
