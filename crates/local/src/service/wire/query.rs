//! awsQuery: a form with dotted member names in, XML out.
//!
//! `Dimensions.member.1.Name=…` is a list of objects, `Attributes.entry.1.key=…` a map; both become plain JSON. On the
//! way back a list is written as `<member>` elements and the maps named in [`MAPS`] as `<entry>` elements.

use std::collections::BTreeMap;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{ApiError, is_time};

/// Output members that are maps rather than structures.
const MAPS: [&str; 2] = ["Attributes", "ExtendedStatistics"];

/// Nesting of one member name; AWS's own inputs stay under ten.
const DEPTH_MAX: usize = 16;

/// An operation as a form states it.
pub struct Form {
    /// The `Action`.
    pub action: String,
    /// The `Version`, which tells services apart when a request is not signed.
    pub version: String,
    /// Everything else.
    pub input: Value,
}

/// Reads a form.
pub fn decode(body: &[u8]) -> Result<Form, ApiError> {
    let mut action = String::new();
    let mut version = String::new();
    let mut root = Node::default();
    for (name, value) in form_urlencoded::parse(body) {
        match name.as_ref() {
            "Action" => action = value.into_owned(),
            "Version" => version = value.into_owned(),
            path => root.insert(path, value.into_owned())?,
        }
    }
    Ok(Form { action, version, input: root.into_value() })
}

/// Writes an answer to `action` in the namespace of its service.
pub fn encode(action: &str, namespace: &str, answer: Result<Value, ApiError>) -> Response {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (status, xml) = match answer {
        Ok(output) => {
            let mut result = String::new();
            write_value(&mut result, "", &output);
            let xml = format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            );
            (StatusCode::OK, xml)
        }
        Err(error) => {
            let xml = format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error>\
                 <RequestId>{request_id}</RequestId></ErrorResponse>",
                error.fault(),
                error.query_code,
                escape(&error.message)
            );
            (error.status, xml)
        }
    };
    (status, [("content-type", "text/xml"), ("x-amzn-requestid", &request_id)], xml).into_response()
}

/// Escapes text for XML and HTML, in elements and in quoted attributes. Control characters that XML 1.0 cannot hold
/// become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            control if control < ' ' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[derive(Default)]
struct Node {
    text: Option<String>,
    members: BTreeMap<Part, Self>,
}

/// One part of a dotted name, after the number it is, if it is one: so `member.10` follows `member.9`.
type Part = (Option<usize>, String);

impl Node {
    fn insert(&mut self, path: &str, text: String) -> Result<(), ApiError> {
        let mut node = self;
        for (depth, part) in path.split('.').enumerate() {
            if depth == DEPTH_MAX {
                let message = "member name nested too deep";
                return Err(ApiError::renamed("SerializationException", "MalformedInput", message));
            }
            node = node.members.entry((part.parse().ok(), part.to_owned())).or_default();
        }
        node.text = Some(text);
        Ok(())
    }

    fn into_value(mut self) -> Value {
        if let Some(text) = self.text {
            return Value::String(text);
        }
        if self.members.len() == 1 {
            if let Some(list) = self.take("member") {
                return Value::Array(list.members.into_values().map(Self::into_value).collect());
            }
            if let Some(map) = self.take("entry") {
                return Value::Object(map.members.into_values().filter_map(Self::into_entry).collect());
            }
        }
        let members = self.members.into_iter().map(|((_, name), node)| (name, node.into_value()));
        Value::Object(members.collect())
    }

    fn into_entry(mut self) -> Option<(String, Value)> {
        let key = self.take("key").or_else(|| self.take("Name"))?.text?;
        let value = self.take("value").or_else(|| self.take("Value"))?;
        Some((key, value.into_value()))
    }

    fn take(&mut self, name: &str) -> Option<Self> {
        self.members.remove(&(None, name.to_owned()))
    }
}

fn write_value(xml: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(members) if MAPS.contains(&name) => {
            for (key, value) in members {
                xml.push_str(&format!("<entry><key>{}</key><value>", escape(key)));
                write_value(xml, "", value);
                xml.push_str("</value></entry>");
            }
        }
        Value::Object(members) => {
            for (member, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                xml.push_str(&format!("<{member}>"));
                write_value(xml, member, value);
                xml.push_str(&format!("</{member}>"));
            }
        }
        Value::Array(items) => {
            for item in items {
                xml.push_str("<member>");
                write_value(xml, name, item);
                xml.push_str("</member>");
            }
        }
        Value::Number(seconds) if is_time(name) => xml.push_str(&time_text(seconds.as_f64().unwrap_or_default())),
        Value::String(text) => xml.push_str(&escape(text)),
        Value::Number(_) | Value::Bool(_) => xml.push_str(&value.to_string()),
    }
}

fn time_text(seconds: f64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_becomes_lists_maps_and_structures() {
        let form = decode(
            b"Action=Publish&Version=2010-03-31&Tags.member.2=b&Tags.member.10=c&Tags.member.1=a\
              &MessageAttributes.entry.1.Name=tenant&MessageAttributes.entry.1.Value.StringValue=acme+%26co\
              &Attributes.entry.1.key=k&Attributes.entry.1.value=v",
        )
        .unwrap();
        assert_eq!(form.action, "Publish");
        let expected = json!({
            "Tags": ["a", "b", "c"],
            "MessageAttributes": {"tenant": {"StringValue": "acme &co"}},
            "Attributes": {"k": "v"},
        });
        assert_eq!(form.input, expected);
    }

    #[test]
    fn an_empty_list_is_a_list_without_members() {
        let mut xml = String::new();
        write_value(&mut xml, "", &json!({"Datapoints": [], "Label": "a<b", "Attributes": {"k": "v"}}));
        assert_eq!(
            xml,
            "<Attributes><entry><key>k</key><value>v</value></entry></Attributes><Datapoints></Datapoints><Label>a&lt;b</Label>"
        );
    }

    #[test]
    fn times_are_written_as_text() {
        let mut xml = String::new();
        write_value(&mut xml, "", &json!({"Timestamps": [0, 60.5]}));
        assert_eq!(
            xml,
            "<Timestamps><member>1970-01-01T00:00:00Z</member><member>1970-01-01T00:01:00.5Z</member></Timestamps>"
        );
    }
}
