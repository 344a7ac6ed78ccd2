//! Smithy's rpc-v2-cbor, which the Rust SDK speaks to CloudWatch: the operation in the path, a CBOR map each way, the
//! request perhaps gzipped.

use std::io::Read;

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value, json};

use super::{ApiError, is_time, respond};

/// Limit of an unpacked body: CloudWatch takes 1 MB.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// CBOR's tag for seconds since 1970.
const EPOCH_TAG: u64 = 1;

/// Unpacks a request body where `content-encoding` says it is gzipped; json and query clients compress too.
pub(crate) fn unpack(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    if headers.get("content-encoding").is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(body.as_ref()).take(BODY_BYTES_MAX + 1);
    reader
        .read_to_end(&mut unpacked)
        .map_err(|error| ApiError::bad_request("SerializationException", format!("gzip: {error}")))?;
    if unpacked.len() as u64 > BODY_BYTES_MAX {
        return Err(ApiError::bad_request("RequestEntityTooLarge", "request body over 1 MB"));
    }
    Ok(unpacked.into())
}

/// Reads a request body.
pub(crate) fn decode(body: &Bytes) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let cbor: Cbor = ciborium::from_reader(body.as_ref())
        .map_err(|error| ApiError::bad_request("SerializationException", format!("CBOR: {error}")))?;
    Ok(from_cbor(cbor))
}

/// Writes an answer; `namespace` is what stands before the names of a service's errors.
pub(crate) fn encode_in(namespace: &str, answer: Result<Value, ApiError>) -> Response {
    match answer {
        Ok(output) => encode(StatusCode::OK, &output),
        Err(error) => {
            let output = json!({"__type": format!("{namespace}{}", error.code), "message": error.message});
            (error.query_error(), encode(error.status, &output)).into_response()
        }
    }
}

fn encode(status: StatusCode, output: &Value) -> Response {
    let mut body = Vec::new();
    ciborium::into_writer(&to_cbor("", output), &mut body).expect("writing to memory cannot fail");
    ([("smithy-protocol", "rpc-v2-cbor")], respond(status, "application/cbor", body)).into_response()
}

fn from_cbor(cbor: Cbor) -> Value {
    match cbor {
        Cbor::Integer(integer) => i64::try_from(integer).map_or(Value::Null, Value::from),
        Cbor::Float(float) => Number::from_f64(float).map_or(Value::Null, Value::Number),
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bytes(bytes) => Value::String(STANDARD.encode(bytes)),
        Cbor::Tag(_, inner) => from_cbor(*inner),
        Cbor::Array(items) => Value::Array(items.into_iter().map(from_cbor).collect()),
        Cbor::Map(members) => {
            let named =
                members.into_iter().filter_map(|(name, value)| Some((name.into_text().ok()?, from_cbor(value))));
            Value::Object(named.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

fn to_cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::Number(seconds) if is_time(name) => {
            Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(seconds.as_f64().unwrap_or_default())))
        }
        // What was computed as a fraction stays one: the SDK reads a double only from a CBOR float.
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(name, item)).collect()),
        Value::Object(members) => {
            let present = members.iter().filter(|(_, value)| !value.is_null());
            Cbor::Map(present.map(|(name, value)| (Cbor::Text(name.clone()), to_cbor(name, value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_doubles_stay_doubles_and_times_are_tagged() {
        let value = json!({"Sum": 5.0, "Count": 5, "Timestamps": [60], "Absent": null});
        let Cbor::Map(members) = to_cbor("", &value) else { panic!("a map") };
        let member = |name: &str| members.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
        assert_eq!(member("Sum"), Some(&Cbor::Float(5.0)));
        assert_eq!(member("Count"), Some(&Cbor::Integer(5.into())));
        let tagged = Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(60.0)));
        assert_eq!(member("Timestamps"), Some(&Cbor::Array(vec![tagged])));
        assert_eq!(member("Absent"), None);
    }

    #[test]
    fn maps_of_indefinite_length_are_read() {
        // {_ "Namespace": "n", "StartTime": 1(60.5)}
        let mut body = vec![0xbf, 0x69];
        body.extend_from_slice(b"Namespace");
        body.extend_from_slice(&[0x61, b'n', 0x69]);
        body.extend_from_slice(b"StartTime");
        body.extend_from_slice(&[0xc1, 0xfb]);
        body.extend_from_slice(&60.5_f64.to_be_bytes());
        body.push(0xff);
        assert_eq!(decode(&body.into()).unwrap(), json!({"Namespace": "n", "StartTime": 60.5}));
    }

    #[test]
    fn a_gzip_bomb_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 2 * BODY_BYTES_MAX as usize]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        let refused = unpack(&headers, encoder.finish().unwrap().into());
        assert_eq!(refused.unwrap_err().code, "RequestEntityTooLarge");
    }
}
