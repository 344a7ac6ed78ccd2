//! Messages of which the checkers know beforehand what must become of them: from how the body is made, not by reading
//! it.

use std::sync::LazyLock;

use fastrand::Rng;
use ledger::{
    Attribute, FailureClass, Item, Timestamp,
    entry::{RAW_BYTES_MAX, attribute},
    projection::UNKNOWN_EVENT_TYPE,
};
use serde_json::{Map, Value, json};

use super::scenario::pick;

/// Stands in every payload value that is free text and in every undeclared member name, and nowhere else (G11).
pub(super) const MARKER: &str = "zqx";

/// Alike, so that keys that are not injective meet.
pub(super) const TENANTS: [&str; 4] = ["a", "a1", "b", "tenant-c"];
/// Enough that INVALID entries of theirs fill a window of alerts.
pub(super) const CROWD: [&str; 30] = [
    "t01", "t02", "t03", "t04", "t05", "t06", "t07", "t08", "t09", "t10", "t11", "t12", "t13", "t14", "t15", "t16",
    "t17", "t18", "t19", "t20", "t21", "t22", "t23", "t24", "t25", "t26", "t27", "t28", "t29", "t30",
];
const EVENT_IDS: [&str; 6] = ["1", "x", "1x", "e-1", "e-2", "événement 3"];
/// A message group that is no tenant.
const ODD_GROUP: &str = "_odd";

const DAY_MS: u64 = 86_400_000;

/// What a body holds beside its filler, at most.
const ENVELOPE_BYTES_MAX: usize = 1_024;
/// Lists of one number, whose typed form passes 400 KB while their text stays below the queue's limit: DynamoDB counts
/// 7 bytes for each, of 4 in the text.
const TOO_LARGE_LISTS: usize = 60_000;
static TOO_LARGE_LIST: LazyLock<String> = LazyLock::new(|| ["[1]"; TOO_LARGE_LISTS].join(","));

#[derive(Clone, Debug)]
pub struct Recipe {
    pub kind: Kind,
    /// Whether a schema has its event type; a body that states none is as it would be with one.
    pub has_schema: bool,
    /// Same identity, kind, type, variant and filler: same content.
    pub variant: usize,
    /// Bytes of free text that make the body as large as it is to be.
    pub filler_bytes: usize,
    pub tenant: &'static str,
    pub group: &'static str,
    pub event_id: &'static str,
    pub stamp: Stamp,
    /// Other text, same value: order of members, escapes, the way numbers are written.
    pub is_spelled_otherwise: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    ExactNumbers,
    /// Breaks its schema, if it has one.
    Violation,
    /// Too many digits.
    Unstorable,
    /// Its typed form does not fit one item.
    TooLarge,
    MalformedEnvelope,
    MalformedJson,
    /// A tenant with the separator of keys in it.
    NoTenant,
}

/// `created_at` in the body, and as the ledger is to write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(String, String)>);

impl Kind {
    const DRAWN: [Self; 9] = [
        Self::Plain,
        Self::Plain,
        Self::Plain,
        Self::ExactNumbers,
        Self::Violation,
        Self::Unstorable,
        Self::MalformedEnvelope,
        Self::MalformedJson,
        Self::NoTenant,
    ];

    /// Plain ones more often; one too large for an item seldom: it takes the simulation's time.
    fn draw(random: &mut Rng) -> Self {
        if random.u16(..4_096) == 0 { Self::TooLarge } else { *pick(random, &Self::DRAWN) }
    }

    pub fn has_identity(self) -> bool {
        !matches!(self, Self::MalformedJson | Self::NoTenant)
    }

    /// Kept as it came, for want of a typed form.
    pub fn is_raw(self) -> bool {
        match self {
            Self::Plain | Self::ExactNumbers | Self::Violation => false,
            Self::Unstorable | Self::TooLarge | Self::MalformedEnvelope | Self::MalformedJson | Self::NoTenant => true,
        }
    }
}

impl Stamp {
    pub fn draw(random: &mut Rng, at_ms: u64) -> Self {
        let moment_ms = match random.u8(..10) {
            0 => return Self::default(),
            1 => return Self::of("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z"),
            2 => return Self::of("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            3 => at_ms - 400 * DAY_MS,
            4 => at_ms + 400 * DAY_MS,
            _ => at_ms - random.u64(..5_000),
        };
        let utc = Timestamp::from_epoch_ms(moment_ms).expect("this century");
        if random.bool() {
            return Self::of(&format!("{}Z", &utc.as_str()[..23]), utc.as_str());
        }
        let elsewhere = Timestamp::from_epoch_ms(moment_ms + 2 * 3_600_000).expect("this century");
        Self::of(&format!("{}+02:00", &elsewhere.as_str()[..23]), utc.as_str())
    }

    fn of(text: &str, stored: &str) -> Self {
        Self(Some((text.to_owned(), stored.to_owned())))
    }
}

impl Recipe {
    pub fn draw(random: &mut Rng, at_ms: u64, tenants: &[&'static str], filler_bytes: usize) -> Self {
        let tenant = *pick(random, tenants);
        let group = match random.u8(..24) {
            0 => *pick(random, tenants),
            1 => ODD_GROUP,
            _ => tenant,
        };
        let kind = Kind::draw(random);
        Self {
            kind,
            // What is rare enough by itself is made of both kinds as often.
            has_schema: if kind == Kind::TooLarge { random.bool() } else { random.u8(..5) > 0 },
            variant: random.usize(..3),
            filler_bytes,
            tenant,
            group,
            event_id: *pick(random, &EVENT_IDS),
            stamp: Stamp::draw(random, at_ms),
            is_spelled_otherwise: random.bool(),
        }
    }

    /// The tenant its entry belongs to.
    pub fn owner(&self) -> &'static str {
        match (self.kind.has_identity(), self.group) {
            (true, _) => self.tenant,
            (false, ODD_GROUP) => "_unattributed",
            (false, group) => group,
        }
    }

    /// `created_at` as the ledger is to write it; the body does not always say.
    pub fn created_at(&self) -> Option<&str> {
        let (_, stored) = self.stamp.0.as_ref().filter(|_| self.kind.has_identity())?;
        Some(stored)
    }

    /// Why it is INVALID, if it is.
    pub fn failure(&self) -> Option<FailureClass> {
        match self.kind {
            Kind::Plain | Kind::ExactNumbers | Kind::Violation if !self.has_schema => {
                Some(FailureClass::UnknownEventType)
            }
            Kind::Plain | Kind::ExactNumbers => None,
            Kind::Violation => Some(FailureClass::SchemaViolation),
            Kind::Unstorable => Some(FailureClass::Unstorable),
            Kind::TooLarge => Some(FailureClass::TooLarge),
            Kind::MalformedEnvelope | Kind::NoTenant => Some(FailureClass::MalformedEnvelope),
            Kind::MalformedJson => Some(FailureClass::MalformedJson),
        }
    }

    /// The event type its entry counts under, whatever its class of failure: no producer's own words.
    pub fn counted_type(&self) -> &'static str {
        match self.kind {
            Kind::MalformedJson => UNKNOWN_EVENT_TYPE,
            _ if !self.has_schema => UNKNOWN_EVENT_TYPE,
            _ => self.event_type(),
        }
    }

    /// Whether two messages of one identity have equal contents.
    pub fn is_equal(&self, other: &Self) -> bool {
        let content = |recipe: &Self| (recipe.kind, recipe.has_schema, recipe.variant, recipe.filler_bytes);
        content(self) == content(other) && (!self.kind.is_raw() || self.body() == other.body())
    }

    /// No body is longer.
    pub fn bytes_max(&self) -> usize {
        match self.kind {
            Kind::TooLarge => RAW_BYTES_MAX,
            _ => ENVELOPE_BYTES_MAX + self.filler_bytes,
        }
    }

    /// Whether a stored entry holds this body, every digit of it (G8).
    pub fn is_held_by(&self, item: &Item) -> bool {
        let text = |name: &str| match item.get(name) {
            Some(Attribute::S(text)) => Some(text.as_str()),
            _ => None,
        };
        match (item.get(attribute::PAYLOAD), item.get(attribute::RAW)) {
            (Some(Attribute::M(payload)), None) => {
                !self.kind.is_raw()
                    && text(attribute::EVENT_TYPE) == Some(self.event_type())
                    && text(attribute::ROUTE) == Some("default")
                    && *payload == self.payload(false)
            }
            (None, Some(Attribute::B(raw))) => self.kind.is_raw() && *raw == self.body().into_bytes(),
            _ => false,
        }
    }

    pub fn body(&self) -> String {
        let Self { tenant, event_id, variant, .. } = self;
        if self.kind == Kind::MalformedJson {
            let filler = self.filler();
            return format!("{{\"tenant_id\":\"{tenant}\",\"event_id\":\"{event_id}\",{MARKER}-{variant}{filler}");
        }
        let tenant_id = if self.kind == Kind::NoTenant { format!("{tenant}#{event_id}") } else { (*tenant).to_owned() };
        let payload = match self.kind {
            Kind::MalformedEnvelope => format!("\"{MARKER}-{variant}{}\"", self.filler()),
            Kind::TooLarge => format!("{{\"{MARKER}-{variant}\":[{}]}}", *TOO_LARGE_LIST),
            _ => Value::Object(self.payload(self.is_spelled_otherwise)).to_string(),
        };
        let mut members = vec![
            format!("\"tenant_id\":{}", json!(tenant_id)),
            format!("\"event_id\":{}", json!(event_id)),
            format!("\"event_type\":{}", json!(self.event_type())),
            "\"route\":\"default\"".to_owned(),
            format!("\"payload\":{payload}"),
        ];
        if let Some((text, _)) = &self.stamp.0 {
            members.push(format!("\"created_at\":\"{text}\""));
        }
        if self.is_spelled_otherwise {
            members.reverse();
        }
        format!("{{{}}}", members.join(","))
    }

    fn event_type(&self) -> &'static str {
        match self.kind {
            _ if !self.has_schema => "../no.such.type",
            Kind::ExactNumbers => "monitoring",
            _ => "user.created",
        }
    }

    fn filler(&self) -> String {
        let mut filler = MARKER.repeat(self.filler_bytes.div_ceil(MARKER.len()));
        filler.truncate(self.filler_bytes);
        filler
    }

    /// Spelled as DynamoDB gives numbers back, or otherwise.
    fn payload(&self, is_spelled_otherwise: bool) -> Map<String, Value> {
        let variant = self.variant;
        let number = |canonical: String, otherwise: String| -> Value {
            let text = if is_spelled_otherwise { otherwise } else { canonical };
            serde_json::from_str(&text).expect("a number")
        };
        let mut payload = match self.kind {
            Kind::ExactNumbers => {
                // None ends in a zero, which would be no digit of the value.
                let digits = format!("{}{variant}5", "1234567890".repeat(3));
                let whole = 2 * variant + 1;
                json!({
                    "timestamp": "2026-01-15T09:30:00Z",
                    "level": "INFO",
                    "message": MARKER,
                    "labels": { MARKER: MARKER },
                    "metrics": {
                        "exact": number(format!("0.{digits}"), format!("{digits}0E-{}", digits.len() + 1)),
                        "whole": number(whole.to_string(), format!("{whole}.00")),
                        "zero": number("0".to_owned(), "-0.0e5".to_owned()),
                    },
                })
            }
            Kind::Violation => json!({ "id": format!("u-{variant}"), "email": format!("{MARKER}-nobody") }),
            _ => json!({ "id": format!("u-{variant}"), "email": "ada@example.com" }),
        };
        match self.kind {
            Kind::Violation => payload[format!("{MARKER}-name")] = json!(MARKER),
            Kind::Unstorable => {
                let digits = format!("0.{}{variant}7", "7".repeat(38));
                payload[MARKER] = number(digits.clone(), digits);
            }
            _ => {}
        }
        if self.filler_bytes > 0 {
            payload[format!("{MARKER}-filler")] = Value::String(self.filler());
        }
        match payload {
            Value::Object(payload) => payload,
            _ => unreachable!("each is an object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::{entry::Status, judge};

    use super::*;
    use crate::bodies::message;

    #[test]
    fn judging_a_recipe_gives_what_it_says() {
        let mut random = Rng::with_seed(1);
        for number in 0..2_000 {
            let filler_bytes = *pick(&mut random, &[0, 1_000, 60_000]);
            let mut recipe = Recipe::draw(&mut random, 1_768_521_600_000, &TENANTS, filler_bytes);
            if number % 500 == 0 {
                recipe.kind = Kind::TooLarge;
            }
            assert!(recipe.body().len() <= recipe.bytes_max().min(RAW_BYTES_MAX));
            let judged = judge(&message(number, recipe.group, recipe.body()), 1_768_521_600_000);
            let failure = match &judged.entry.status {
                Status::Ready => None,
                Status::Invalid(failure) => Some(failure.class),
            };
            assert_eq!(failure, recipe.failure(), "{}", recipe.body());
            assert_eq!(judged.claim_key.is_some(), recipe.kind.has_identity());
            assert_eq!(judged.entry.key.tenant_id.as_str(), recipe.owner());
            assert!(recipe.is_held_by(&judged.entry.into_item()), "{}", recipe.body());
        }
    }
}
