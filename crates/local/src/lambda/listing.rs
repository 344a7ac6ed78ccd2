//! What Lambda's REST API says of functions and event source mappings. They are the deployment's and cannot be changed
//! here.

use axum::{http::StatusCode, response::Response};
use cloudsim::admission::MappingSettings;
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
    let (stream, result) = services
        .shared
        .look(|state, _| (state.stream_mapping.settings().clone(), state.stream_mapping.last_processing_result()));
    let mut queue = mapping("00000000-0000-4000-8000-000000000001", &services.deployment.queue_mapping());
    queue["MaximumBatchingWindowInSeconds"] = json!(0);
    queue["StateTransitionReason"] = json!("USER_INITIATED");
    let mut stream = mapping("00000000-0000-4000-8000-000000000002", &stream);
    stream["LastProcessingResult"] = json!(result);
    stream["StateTransitionReason"] = json!("User action");
    [queue, stream]
}

/// A mapping as it was asked for. What the answer to it names otherwise is the function.
fn mapping(uuid: &str, settings: &MappingSettings) -> Value {
    let mut shown = serde_json::to_value(settings).expect("settings are JSON");
    let members = shown.as_object_mut().expect("settings are an object");
    members.retain(|_, value| !value.is_null());
    let function = members.remove("FunctionName").unwrap_or_default();
    members.insert("FunctionArn".to_owned(), function);
    members.insert("UUID".to_owned(), json!(uuid));
    members.insert("State".to_owned(), json!("Enabled"));
    shown
}
