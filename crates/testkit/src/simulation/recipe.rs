//! Messages of which the checkers know beforehand what must become of them: from how the body is made, not by reading
//! it.

use fastrand::Rng;
use ledger::{Attribute, FailureClass, Item, Timestamp, entry::attribute};
use serde_json::{Map, Value, json};

use super::scenario::pick;

/// Stands in every payload value that is free text and in every undeclared member name, and nowhere else (G11).
pub const MARKER: &str = "zqx";

/// Alike, so that keys that are not injective meet.
pub const TENANTS: [&str; 4] = ["a", "a1", "b", "tenant-c"];
const EVENT_IDS: [&str; 6] = ["1", "x", "1x", "e-1", "e-2", "événement 3"];
/// A message group that is no tenant.
const ODD_GROUP: &str = "_odd";

const DAY_MS: u64 = 86_400_000;
/// Beyond what the processor keeps as a tree.
const LARGE_BYTES: usize = 20 * 1024;

#[derive(Clone, Debug)]
pub struct Recipe {
    pub kind: Kind,
    /// Same identity, kind and variant: same content.
    pub variant: usize,
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
    Large,
    Violation,
    UnknownType,
    /// Too many digits.
    Unstorable,
    MalformedEnvelope,
    MalformedJson,
    /// A tenant with the separator of keys in it.
    NoTenant,
}

/// `created_at` in the body, and as the ledger is to write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(String, String)>);

impl Kind {
    const DRAWN: [Self; 10] = [
        Self::Plain,
        Self::Plain,
        Self::Plain,
        Self::ExactNumbers,
        Self::Violation,
        Self::UnknownType,
        Self::Unstorable,
        Self::MalformedEnvelope,
        Self::MalformedJson,
        Self::NoTenant,
    ];

    /// Plain ones more often, large ones seldom: they take their time.
    fn draw(random: &mut Rng) -> Self {
        if random.u8(..64) == 0 { Self::Large } else { *pick(random, &Self::DRAWN) }
    }

    pub fn has_identity(self) -> bool {
        !matches!(self, Self::MalformedJson | Self::NoTenant)
    }

    /// Kept as it came, for want of a typed form.
    pub fn is_raw(self) -> bool {
        matches!(self, Self::Unstorable | Self::MalformedEnvelope | Self::MalformedJson | Self::NoTenant)
    }

    /// Why it is INVALID, if it is.
    pub fn failure(self) -> Option<FailureClass> {
        match self {
            Self::Plain | Self::ExactNumbers | Self::Large => None,
            Self::Violation => Some(FailureClass::SchemaViolation),
            Self::UnknownType => Some(FailureClass::UnknownEventType),
            Self::Unstorable => Some(FailureClass::Unstorable),
            Self::MalformedEnvelope | Self::NoTenant => Some(FailureClass::MalformedEnvelope),
            Self::MalformedJson => Some(FailureClass::MalformedJson),
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
    pub fn draw(random: &mut Rng, at_ms: u64, tenants: &[&'static str]) -> Self {
        let tenant = *pick(random, tenants);
        let group = match random.u8(..24) {
            0 => *pick(random, tenants),
            1 => ODD_GROUP,
            _ => tenant,
        };
        Self {
            kind: Kind::draw(random),
            variant: random.usize(..3),
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

    /// Whether two messages of one identity have equal contents.
    pub fn is_equal(&self, other: &Self) -> bool {
        let is_same = (self.kind, self.variant) == (other.kind, other.variant);
        is_same && (!self.kind.is_raw() || self.body() == other.body())
    }

    /// Whether a stored entry holds this body, every digit of it (G8).
    pub fn is_held_by(&self, item: &Item) -> bool {
        let text = |name: &str| match item.get(name) {
            Some(Attribute::S(text)) => Some(text.as_str()),
            _ => None,
        };
        match (item.get(attribute::PAYLOAD), item.get(attribute::RAW)) {
            (Some(Attribute::M(payload)), None) => {
                let (event_type, canonical) = self.typed(false);
                !self.kind.is_raw()
                    && text(attribute::EVENT_TYPE) == Some(event_type)
                    && text(attribute::ROUTE) == Some("default")
                    && *payload == canonical
            }
            (None, Some(Attribute::B(raw))) => self.kind.is_raw() && *raw == self.body().into_bytes(),
            _ => false,
        }
    }

    pub fn body(&self) -> String {
        let Self { tenant, event_id, variant, .. } = self;
        if self.kind == Kind::MalformedJson {
            return format!("{{\"tenant_id\":\"{tenant}\",\"event_id\":\"{event_id}\",{MARKER}-{variant}");
        }
        let (event_type, payload) = self.typed(self.is_spelled_otherwise);
        let tenant_id = if self.kind == Kind::NoTenant { format!("{tenant}#{event_id}") } else { (*tenant).to_owned() };
        let mut members = vec![
            format!("\"tenant_id\":{}", json!(tenant_id)),
            format!("\"event_id\":{}", json!(event_id)),
            format!("\"event_type\":{}", json!(event_type)),
            "\"route\":\"default\"".to_owned(),
        ];
        members.push(match self.kind {
            Kind::MalformedEnvelope => format!("\"payload\":\"{MARKER}-{variant}\""),
            _ => format!("\"payload\":{}", Value::Object(payload)),
        });
        if let Some((text, _)) = &self.stamp.0 {
            members.push(format!("\"created_at\":\"{text}\""));
        }
        if self.is_spelled_otherwise {
            members.reverse();
        }
        format!("{{{}}}", members.join(","))
    }

    /// Event type and payload; spelled as DynamoDB gives numbers back, or otherwise.
    fn typed(&self, is_spelled_otherwise: bool) -> (&'static str, Map<String, Value>) {
        let variant = self.variant;
        let number = |canonical: String, otherwise: String| -> Value {
            let text = if is_spelled_otherwise { otherwise } else { canonical };
            serde_json::from_str(&text).expect("a number")
        };
        let user = |email: String| json!({ "id": format!("u-{variant}"), "email": email });
        let (event_type, payload) = match self.kind {
            Kind::Plain | Kind::MalformedJson | Kind::MalformedEnvelope | Kind::NoTenant => {
                ("user.created", user("ada@example.com".to_owned()))
            }
            Kind::Large => {
                let mut payload = user("ada@example.com".to_owned());
                payload[MARKER] = json!(MARKER.repeat(LARGE_BYTES / MARKER.len()));
                ("user.created", payload)
            }
            Kind::Violation => {
                let mut payload = user(format!("{MARKER}-nobody"));
                payload[format!("{MARKER}-name")] = json!(MARKER);
                ("user.created", payload)
            }
            Kind::Unstorable => {
                let mut payload = user("ada@example.com".to_owned());
                let digits = format!("0.{}{variant}7", "7".repeat(38));
                payload[MARKER] = number(digits.clone(), digits);
                ("user.created", payload)
            }
            Kind::UnknownType => ("../no.such.type", json!({ MARKER: [variant, MARKER] })),
            Kind::ExactNumbers => {
                // None ends in a zero, which would be no digit of the value.
                let digits = format!("{}{variant}5", "1234567890".repeat(3));
                let whole = 2 * variant + 1;
                let payload = json!({
                    "timestamp": "2026-01-15T09:30:00Z",
                    "level": "INFO",
                    "message": MARKER,
                    "labels": { MARKER: MARKER },
                    "metrics": {
                        "exact": number(format!("0.{digits}"), format!("{digits}0E-{}", digits.len() + 1)),
                        "whole": number(whole.to_string(), format!("{whole}.00")),
                        "zero": number("0".to_owned(), "-0.0e5".to_owned()),
                    },
                });
                ("monitoring", payload)
            }
        };
        match payload {
            Value::Object(payload) => (event_type, payload),
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
            let recipe = Recipe::draw(&mut random, 1_768_521_600_000, &TENANTS);
            let judged = judge(&message(number, recipe.group, recipe.body()), 1_768_521_600_000);
            let failure = match &judged.entry.status {
                Status::Ready => None,
                Status::Invalid(failure) => Some(failure.class),
            };
            assert_eq!(failure, recipe.kind.failure(), "{}", recipe.body());
            assert_eq!(judged.claim_key.is_some(), recipe.kind.has_identity());
            assert_eq!(judged.entry.key.tenant_id.as_str(), recipe.owner());
            assert!(recipe.is_held_by(&judged.entry.into_item()), "{}", recipe.body());
        }
    }
}
