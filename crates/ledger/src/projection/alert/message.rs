//! The words of alerts and digests: JSON in ASCII, in which ids and causes stand and no payload value (G11).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    event::ids::TenantId,
    projection::{
        alert::{pending::Pending, window::Announcement},
        causes::Cause,
    },
};

/// The command that lists all tenants with an alert pending.
pub const ALERTS_COMMAND: &str = "ledgerctl alerts";
/// Characters of a subject ("Publish", Amazon SNS).
const SUBJECT_BYTES_MAX: usize = 100;

/// Attributes of a message, for filter policies of subscriptions.
pub mod message_attribute {
    /// `alert` or `digest`.
    pub const KIND: &str = "kind";
    /// The tenant, or all tenants of a digest.
    pub const TENANT_ID: &str = "tenant_id";
    /// The class of the most frequent cause; alerts have it, digests do not.
    pub const CLASS: &str = "class";
}

/// Where a message comes from: which of several deployments, and by which schemas it judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub project: String,
    pub region: String,
    /// The schemas' fingerprint.
    pub schemas: String,
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    String(String),
    /// A filter policy matches any of them.
    StringArray(Vec<String>),
}

/// What SNS is to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertMessage {
    /// At most 100 printable ASCII characters, a letter first.
    pub subject: String,
    /// A JSON object in ASCII; its member `text` says the same for people.
    pub body: String,
    pub attributes: Vec<(&'static str, AttributeValue)>,
}

impl AlertMessage {
    pub fn of(announcement: &Announcement, origin: &Origin) -> Self {
        match announcement {
            Announcement::Alert(pending) => alert(pending, origin),
            Announcement::Digest { tenants, beyond } => digest(tenants, *beyond, origin),
        }
    }
}

fn alert(pending: &Pending, origin: &Origin) -> AlertMessage {
    let Pending { tenant_id, first, last, event_ids, .. } = pending;
    let Origin { project, region, schemas } = origin;
    let (count, causes) = (pending.count(), pending.causes());
    let next = explain_command(tenant_id, pending.first_event_id());
    let mut text = format!("{} of tenant {tenant_id} in {project} ({region}).", invalid_entries(count));
    for (cause, count) in &causes {
        write!(text, "\n{count} {}", describe(cause)).expect("writing to a String");
    }
    write!(text, "\nRun: {next}").expect("writing to a String");
    let cause = |(cause, count): &(Cause, u64)| json!({ "class": cause.class, "keyword": cause.keyword, "pointer": cause.pointer, "count": count });
    let document = json!({
        "kind": "alert",
        "text": text,
        "project": project,
        "region": region,
        "schemas": schemas,
        "tenant_id": tenant_id.as_str(),
        "count": count,
        "causes": causes.iter().map(cause).collect::<Vec<_>>(),
        "first": { "sk": first, "ingested_at": pending.first_at_ms },
        "last": { "sk": last },
        "event_ids": event_ids,
        "next": next,
    });
    let most_frequent = causes.first().map(|(cause, _)| cause);
    let string = |text: &str| AttributeValue::String(text.to_owned());
    let mut attributes =
        vec![(message_attribute::KIND, string("alert")), (message_attribute::TENANT_ID, string(tenant_id.as_str()))];
    attributes.extend(most_frequent.map(|cause| (message_attribute::CLASS, string(cause.class))));
    AlertMessage {
        subject: subject(&format!(
            "INVALID entries of {tenant_id}: {count}, {}",
            most_frequent.map(describe).unwrap_or_default()
        )),
        body: to_ascii(&document),
        attributes,
    }
}

fn digest(tenants: &[Pending], beyond: usize, origin: &Origin) -> AlertMessage {
    let Origin { project, region, schemas } = origin;
    let mut text = format!("INVALID entries of {} more tenants in {project} ({region}).", tenants.len());
    let mut documents: Vec<Value> = Vec::with_capacity(tenants.len());
    for pending in tenants {
        let (tenant_id, count) = (pending.tenant_id.as_str(), pending.count());
        let class = pending.causes().first().map_or("", |(cause, _)| cause.class);
        write!(text, "\n{tenant_id}: {count}").expect("writing to a String");
        documents.push(json!({ "tenant_id": tenant_id, "count": count, "class": class }));
    }
    if beyond > 0 {
        write!(text, "\nand {beyond} tenants that no message names. Run: {ALERTS_COMMAND}")
            .expect("writing to a String");
    }
    let document = json!({
        "kind": "digest",
        "text": text,
        "project": project,
        "region": region,
        "schemas": schemas,
        "tenants": documents,
        "beyond": beyond,
        "next": ALERTS_COMMAND,
    });
    let tenant_ids = tenants.iter().map(|pending| pending.tenant_id.as_str().to_owned()).collect();
    AlertMessage {
        subject: subject(&format!("INVALID entries of {} more tenants", tenants.len())),
        body: to_ascii(&document),
        attributes: vec![
            (message_attribute::KIND, AttributeValue::String("digest".to_owned())),
            (message_attribute::TENANT_ID, AttributeValue::StringArray(tenant_ids)),
        ],
    }
}

fn invalid_entries(count: u64) -> String {
    if count == 1 { "1 INVALID entry".to_owned() } else { format!("{count} INVALID entries") }
}

fn describe(cause: &Cause) -> String {
    let Cause { class, keyword, pointer } = cause;
    match (keyword.is_empty(), pointer.is_empty()) {
        (true, _) => (*class).to_owned(),
        (_, true) => format!("{class} ({keyword})"),
        _ => format!("{class} ({keyword} at {pointer})"),
    }
}

/// The command that shows an event's whole story, safe to paste into a shell whatever the producer called its event.
pub fn explain_command(tenant_id: &TenantId, event_id: &str) -> String {
    let tenant_id = tenant_id.as_str();
    let dashes = if tenant_id.starts_with('-') || event_id.starts_with('-') { " --" } else { "" };
    format!("ledgerctl explain{dashes} {} {}", shell_word(tenant_id), shell_word(event_id))
}

fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+,-/".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn subject(text: &str) -> String {
    let printable = |character: char| if character == ' ' || character.is_ascii_graphic() { character } else { '?' };
    text.chars().map(printable).take(SUBJECT_BYTES_MAX).collect()
}

/// JSON in ASCII alone, so that nothing a producer put into an id can make a message that SNS refuses.
fn to_ascii(document: &Value) -> String {
    let mut ascii = String::new();
    let mut units = [0; 2];
    for character in document.to_string().chars() {
        if character.is_ascii() && character != '\u{7f}' {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            write!(ascii, "\\u{unit:04x}").expect("writing to a String");
        }
    }
    ascii
}
