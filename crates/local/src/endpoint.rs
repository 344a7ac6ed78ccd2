//! The one listener: finds out which service a request is for and in which protocol, and hands it over. Here too are
//! the reset and the one operation of STS.
//!
//! Json clients name the service in `x-amz-target`, CBOR clients and Lambda in the path, awsQuery clients only in the
//! scope of their signature or by the API version. Signatures are not checked.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    lambda::{api, listing},
    service::{
        cloudwatch, sns, sqs,
        wire::{
            ApiError, QUERY_ERROR, cbor, json,
            query::{self, Form},
        },
    },
    services::Services,
};

/// Bytes of a request: DynamoDB takes 16 MB, the others less.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Not of AWS: see [`Services::reset`].
const RESET_PATH: &str = "/api/v1/reset";

const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const CBOR_PATH_PREFIX: &str = "/service/GraniteServiceVersion20100801/operation/";

/// The router of the endpoint.
pub(crate) fn router(services: Arc<Services>) -> Router {
    Router::new().fallback(answer).with_state(services)
}

async fn answer(State(services): State<Arc<Services>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // No SDK sends it. Without this any web page could invoke functions and send messages on this machine.
    if head.headers.contains_key("origin") {
        return (StatusCode::FORBIDDEN, "the local cloud does not answer web pages\n").into_response();
    }
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return json::encode(Err(ApiError::bad_request("RequestEntityTooLarge", error.to_string()))),
    };
    match Destination::find(&head.method, head.uri.path(), &head.headers) {
        Destination::Health => {
            "the local cloud is up; the AWS SDKs and the AWS CLI find it by AWS_ENDPOINT_URL\n".into_response()
        }
        Destination::Reset => match services.reset().await {
            Ok(()) => Json(json!({})).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        },
        Destination::LambdaListing(path) => listing::serve(&services, path, head.uri.query().unwrap_or_default()),
        Destination::Lambda(path) => api::serve(&services, &head.method, path, &head.headers, body).await,
        Destination::CloudWatchCbor(operation) => {
            let input = cbor::unpack(&head.headers, body).and_then(|body| cbor::decode(&body));
            let answer = input.and_then(|input| cloudwatch::call(&services.shared, operation, input));
            in_asked_mode(&head.headers, cbor::encode_in(cloudwatch::ERROR_NAMESPACE, answer))
        }
        Destination::CloudWatchJson(operation) => {
            let input = cbor::unpack(&head.headers, body).and_then(|body| json::decode(&body));
            let answer = input.and_then(|input| cloudwatch::call(&services.shared, operation, input));
            in_asked_mode(&head.headers, json::encode_in(cloudwatch::ERROR_NAMESPACE, answer))
        }
        Destination::Sqs(operation) => {
            let trace_header = head.headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
            let answer = async { sqs::call(&services, operation, trace_header, json::decode(&body)?).await };
            json::encode(answer.await)
        }
        Destination::DynamoDb(operation) => {
            let (response, written) = services.dynamodb.forward(operation, &head.headers, body).await;
            if written {
                services.shared.touch_tables();
            }
            response
        }
        Destination::Query(service) => answer_query(&services, service, &head.headers, body),
        Destination::Unknown => {
            let message = "cannot tell which service this request is for";
            json::encode(Err(ApiError::renamed("UnknownOperationException", "InvalidAction", message)))
        }
    }
}

/// CloudWatch names an error's older code only to clients that ask for it.
fn in_asked_mode(headers: &HeaderMap, mut response: Response) -> Response {
    if text(headers, "x-amzn-query-mode") != "true" {
        response.headers_mut().remove(QUERY_ERROR);
    }
    response
}

fn answer_query(services: &Services, service: &str, headers: &HeaderMap, body: Bytes) -> Response {
    let form = match cbor::unpack(headers, body).and_then(|body| query::decode(&body)) {
        Ok(form) => form,
        Err(error) => return query::encode("", "", Err(error)),
    };
    match (service, form.version.as_str()) {
        ("sns", _) | ("", "2010-03-31") => {
            query::encode(&form.action, sns::NAMESPACE, sns::call(&services.shared, &form.action, form.input))
        }
        ("monitoring", _) | ("", "2010-08-01") => {
            let answer = cloudwatch::call(&services.shared, &form.action, form.input);
            query::encode(&form.action, cloudwatch::NAMESPACE, answer)
        }
        ("sts", _) | ("", "2011-06-15") => query::encode(&form.action, STS_NAMESPACE, caller_identity(services, &form)),
        _ => query::encode(&form.action, "", Err(ApiError::unknown_operation(service, &form.action))),
    }
}

/// The account; whoever calls is its root user.
fn caller_identity(services: &Services, form: &Form) -> Result<Value, ApiError> {
    if form.action != "GetCallerIdentity" {
        return Err(ApiError::unknown_operation("STS", &form.action));
    }
    let id = &services.deployment.account.id;
    Ok(json!({"Account": id, "Arn": format!("arn:aws:iam::{id}:root"), "UserId": id}))
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Destination<'a> {
    Health,
    Reset,
    /// The rest of the path, here and below.
    LambdaListing(&'a str),
    Lambda(&'a str),
    /// An operation, here and below.
    CloudWatchCbor(&'a str),
    CloudWatchJson(&'a str),
    Sqs(&'a str),
    DynamoDb(&'a str),
    /// The service in the signature's scope, empty where there is none.
    Query(&'a str),
    Unknown,
}

impl<'a> Destination<'a> {
    fn find(method: &Method, path: &'a str, headers: &'a HeaderMap) -> Self {
        if method == Method::POST && path == RESET_PATH {
            return Destination::Reset;
        }
        if method == Method::GET
            && let Some(rest) = path.strip_prefix(listing::PATH_PREFIX)
        {
            return Destination::LambdaListing(rest);
        }
        if let Some(rest) = path.strip_prefix(api::PATH_PREFIX) {
            return Destination::Lambda(rest);
        }
        if let Some(operation) = path.strip_prefix(CBOR_PATH_PREFIX) {
            return Destination::CloudWatchCbor(operation);
        }
        if let Some((service, operation)) = text(headers, "x-amz-target").split_once('.') {
            return match service {
                "AmazonSQS" => Destination::Sqs(operation),
                "DynamoDB_20120810" | "DynamoDBStreams_20120810" => Destination::DynamoDb(operation),
                "GraniteServiceVersion20100801" => Destination::CloudWatchJson(operation),
                _ => Destination::Unknown,
            };
        }
        if text(headers, "content-type").starts_with("application/x-www-form-urlencoded") {
            return Destination::Query(signing_service(text(headers, "authorization")).unwrap_or_default());
        }
        if method == Method::GET && path == "/" { Destination::Health } else { Destination::Unknown }
    }
}

/// The service in `Credential=<key>/<date>/<region>/<service>/aws4_request`.
fn signing_service(authorization: &str) -> Option<&str> {
    let scope = authorization.split("Credential=").nth(1)?.split([',', ' ']).next()?;
    scope.rsplit('/').nth(1)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn each_client_reaches_its_service() {
        let find = |path, pairs: &[(&'static str, &str)]| {
            let headers = headers(pairs);
            format!("{:?}", Destination::find(&Method::POST, path, &headers))
        };
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let signed = "AWS4-HMAC-SHA256 Credential=local/20261123/us-east-1/sns/aws4_request, SignedHeaders=host";
        assert_eq!(find("/", &[("x-amz-target", "AmazonSQS.SendMessage")]), r#"Sqs("SendMessage")"#);
        assert_eq!(find("/", &[("x-amz-target", "DynamoDB_20120810.GetItem")]), r#"DynamoDb("GetItem")"#);
        assert_eq!(find("/", &[form, ("authorization", signed)]), r#"Query("sns")"#);
        assert_eq!(find("/", &[form]), r#"Query("")"#);
        assert_eq!(
            find("/service/GraniteServiceVersion20100801/operation/ListMetrics", &[]),
            r#"CloudWatchCbor("ListMetrics")"#
        );
        assert_eq!(find("/2015-03-31/functions/f/invocations", &[form]), r#"Lambda("f/invocations")"#);
        assert_eq!(find("/", &[("x-amz-target", "AWSGlue.GetJob")]), "Unknown");
    }
}
