//! The envelope: the routing facts around a payload, read from a message's body.

use serde_json::{Map, Value};

use crate::{
    event::{
        failure::{Failure, FailureClass, Violation},
        ids::{ClaimKey, EVENT_ID_BYTES_MAX, EventId, TENANT_ID_BYTES_MAX, TenantId},
        json::{self, Defect, DefectKind, Member},
        pointer::push_token,
        schema::{self, CREATED_AT, ERRORS_MAX, EVENT_ID, EVENT_TYPE, MEMBERS, PAYLOAD, ROUTE, TENANT_ID},
        timestamp::Timestamp,
    },
    storage::item::NESTING_MAX,
};

pub const EVENT_TYPE_BYTES_MAX: usize = 128;
pub const ROUTE_BYTES_MAX: usize = 256;

/// One SQS delivery, as far as judging needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub message_id: String,
    pub body: String,
    pub group_id: Option<String>,
    /// SQS's arrival number within the group: up to 20 digits.
    pub sequence_number: Option<String>,
    pub sent_at_ms: Option<u64>,
    /// How often SQS has delivered the message, this time included.
    pub receive_count: u32,
}

/// A body that is an envelope and that DynamoDB can hold.
#[derive(Debug)]
pub struct Envelope {
    pub event_type: String,
    pub route: Option<String>,
    pub payload: Map<String, Value>,
    /// Members the envelope does not know.
    pub extensions: Map<String, Value>,
}

/// What a body turned out to be.
#[derive(Debug)]
pub struct Read {
    /// Present if tenant and event id are valid, whatever else is wrong.
    pub identity: Option<ClaimKey>,
    /// The producer's time, where it can be read even though the envelope is broken.
    pub created_at: Option<Timestamp>,
    pub envelope: Result<Envelope, Rejected>,
}

/// A body that is no envelope, or that DynamoDB could not hold.
#[derive(Debug)]
pub struct Rejected {
    pub failure: Failure,
    /// Where it can be read even so.
    pub event_type: Option<String>,
}

/// Reads a body. Total: any text gives an answer.
pub fn read(body: &str) -> Read {
    let nameless =
        |failure| Read { identity: None, created_at: None, envelope: Err(Rejected { failure, event_type: None }) };
    match json::read_object(body) {
        Err(error) => {
            let summary = format!("body is not JSON: expected {} at byte {}", error.expected, error.offset);
            nameless(Failure::new(FailureClass::MalformedJson, &summary, Vec::new()))
        }
        Ok(None) => {
            let errors = vec![Violation::new(None, "", "type")];
            nameless(Failure::new(FailureClass::MalformedEnvelope, MALFORMED_ENVELOPE, errors))
        }
        Ok(Some(members)) => read_members(members),
    }
}

fn read_members(members: Vec<Member>) -> Read {
    let mut fields = Fields::collect(members);
    let tenant_id = fields.required(TENANT_ID, TENANT_ID_BYTES_MAX, TenantId::parse);
    let event_id = fields.required(EVENT_ID, EVENT_ID_BYTES_MAX, EventId::parse);
    let event_type = fields.required(EVENT_TYPE, EVENT_TYPE_BYTES_MAX, non_empty);
    let route = fields.optional(ROUTE, ROUTE_BYTES_MAX, |text| Some(text.to_owned()));
    let created_at = fields.optional(CREATED_AT, usize::MAX, Timestamp::parse_rfc3339);
    let payload = fields.payload();

    let identity = match (tenant_id, event_id) {
        (Some(tenant_id), Some(event_id)) => Some(ClaimKey { tenant_id, event_id }),
        _ => None,
    };
    let envelope = match (fields.failure(event_type.as_deref()), event_type, payload) {
        (None, Some(event_type), Some(payload)) => Ok(Envelope {
            event_type,
            // The Go producers this follows write an absent route as an empty one.
            route: route.filter(|route| !route.is_empty()),
            payload,
            extensions: fields.extensions,
        }),
        // What is missing has left a violation behind, so there always is a failure here.
        (failure, event_type, _) => {
            let nothing_else = || Failure::new(FailureClass::MalformedEnvelope, MALFORMED_ENVELOPE, Vec::new());
            Err(Rejected { failure: failure.unwrap_or_else(nothing_else), event_type })
        }
    };
    Read { identity, created_at, envelope }
}

/// Pointer and keyword of the error in every INVALID entry whose event type had no schema when it was judged.
pub const NO_SCHEMA: (&str, &str) = ("/event_type", "enum");

pub const TOO_LARGE: &str = "event does not fit one DynamoDB item";
const MALFORMED_ENVELOPE: &str = "envelope is malformed";

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The envelope's members while they are taken apart, and what was found wrong.
#[derive(Default)]
struct Fields {
    known: [Option<Result<Value, Defect>>; MEMBERS.len()],
    extensions: Map<String, Value>,
    /// Member of the envelope, and the rule it breaks.
    malformed: Vec<(&'static str, &'static str)>,
    /// The first value DynamoDB could not hold, and where in the body it stands.
    defect: Option<(DefectKind, String)>,
}

impl Fields {
    fn collect(members: Vec<Member>) -> Self {
        let mut fields = Self::default();
        for Member { name, value } in members {
            match MEMBERS.iter().position(|known| *known == name) {
                Some(at) if fields.known[at].is_some() => fields.malformed.push((MEMBERS[at], "duplicateName")),
                Some(at) => fields.known[at] = Some(value),
                None => fields.extension(name, value),
            }
        }
        // A member that stands there twice has no value: which one would a reader believe?
        for (name, _) in fields.malformed.clone() {
            fields.known[position(name)] = None;
        }
        fields
    }

    fn extension(&mut self, name: String, value: Result<Value, Defect>) {
        let mut pointer = String::new();
        push_token(&mut pointer, &name);
        match value {
            Err(defect) => self.unstorable(defect.kind, pointer + &defect.pointer),
            Ok(_) if name.is_empty() => self.unstorable(DefectKind::EmptyName, pointer),
            // Extensions are kept together in one map, which is one level more.
            Ok(value) if nesting(&value) >= NESTING_MAX => self.unstorable(DefectKind::TooDeep, pointer),
            Ok(value) => {
                if self.extensions.insert(name, value).is_some() {
                    self.unstorable(DefectKind::DuplicateName, pointer);
                }
            }
        }
    }

    fn required<T>(&mut self, name: &'static str, bytes_max: usize, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        if self.is_absent(name) {
            return self.malformed(name, "required");
        }
        self.optional(name, bytes_max, parse)
    }

    /// `null` counts as absent, which is how many encoders write it.
    fn optional<T>(&mut self, name: &'static str, bytes_max: usize, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        match self.known[position(name)].take()? {
            Ok(Value::Null) => None,
            Ok(Value::String(text)) if text.len() > bytes_max => self.malformed(name, "maxLength"),
            Ok(Value::String(text)) => parse(&text).or_else(|| self.malformed(name, "format")),
            Ok(_) => self.malformed(name, "type"),
            Err(_) => self.malformed(name, "format"),
        }
    }

    fn payload(&mut self) -> Option<Map<String, Value>> {
        if self.is_absent(PAYLOAD) {
            return self.malformed(PAYLOAD, "required");
        }
        match self.known[position(PAYLOAD)].take()? {
            Ok(Value::Object(payload)) => Some(payload),
            Ok(_) => self.malformed(PAYLOAD, "type"),
            Err(defect) => {
                self.unstorable(defect.kind, format!("/{PAYLOAD}{}", defect.pointer));
                None
            }
        }
    }

    /// Neither there nor reported already.
    fn is_absent(&self, name: &str) -> bool {
        let is_reported = self.malformed.iter().any(|(reported, _)| *reported == name);
        !is_reported && matches!(self.known[position(name)], None | Some(Ok(Value::Null)))
    }

    fn malformed<T>(&mut self, name: &'static str, keyword: &'static str) -> Option<T> {
        self.malformed.push((name, keyword));
        None
    }

    fn unstorable(&mut self, kind: DefectKind, pointer: String) {
        self.defect.get_or_insert((kind, pointer));
    }

    /// What is wrong, if anything: a broken envelope before a value that cannot be stored.
    ///
    /// A type without a schema is named as well, last, so that the cause of the failure stays first. The entry itself
    /// then says how it counts, and still says so when a later build has a schema for the type.
    fn failure(&self, event_type: Option<&str>) -> Option<Failure> {
        let (class, summary, mut errors) = if self.malformed.is_empty() {
            let (kind, pointer) = self.defect.as_ref()?;
            let (class, summary, keyword) = describe(*kind);
            (class, summary, vec![Violation::new(event_type, pointer, keyword)])
        } else {
            let violation = |(name, keyword): &(&str, &str)| Violation::new(None, &format!("/{name}"), keyword);
            let errors = self.malformed.iter().map(violation).collect();
            (FailureClass::MalformedEnvelope, MALFORMED_ENVELOPE, errors)
        };
        if event_type.is_some_and(|name| schema::find(name).is_none()) {
            errors.truncate(ERRORS_MAX - 1);
            let (pointer, keyword) = NO_SCHEMA;
            errors.push(Violation::new(None, pointer, keyword));
        }
        Some(Failure::new(class, summary, errors))
    }
}

fn position(name: &str) -> usize {
    MEMBERS.iter().position(|known| *known == name).expect("one of the envelope's members")
}

fn describe(kind: DefectKind) -> (FailureClass, &'static str, &'static str) {
    match kind {
        DefectKind::TooLarge => (FailureClass::TooLarge, TOO_LARGE, "itemSize"),
        DefectKind::TooDeep => (FailureClass::Unstorable, "value is nested deeper than DynamoDB allows", "depth"),
        DefectKind::TooManyDigits => (FailureClass::Unstorable, "number has more than 38 significant digits", "digits"),
        DefectKind::NumberOutOfRange => (FailureClass::Unstorable, "number is outside DynamoDB's range", "range"),
        DefectKind::DuplicateName => {
            (FailureClass::Unstorable, "object holds the same member name twice", "duplicateName")
        }
        DefectKind::EmptyName => (FailureClass::Unstorable, "object holds an empty member name", "emptyName"),
        DefectKind::LoneSurrogate => (FailureClass::Unstorable, "string holds half a surrogate pair", "loneSurrogate"),
    }
}

/// Maps and lists around the innermost value.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}
