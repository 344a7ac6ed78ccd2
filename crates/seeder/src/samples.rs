//! Which events a request asks for. Pure: the same request with a seed gives the same events.

use ledger::{ClaimKey, EventId, TenantId, ids::hex, schema, schema::Schema};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Events one invocation publishes at most: they fit the function's timeout and its answer.
pub const COUNT_MAX: usize = 1_000;
pub const TENANTS_MAX: usize = 1_000;

const ROUTE: &str = "default";

/// What to publish; without any member, one sample per schema for one tenant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Events in all; default: one per event type.
    pub count: Option<usize>,
    /// Tenants to spread them over, named `tenant-a`, `tenant-b` and so on; default 1.
    pub tenants: Option<usize>,
    /// Event types to take in turn; default: all.
    pub event_types: Option<Vec<String>>,
    /// Share of events that lack a member their schema requires, from 0 to 1; default 0.
    pub invalid_ratio: Option<f64>,
    /// Makes ids and choices repeatable, so the same request a second time brings duplicates.
    pub seed: Option<u64>,
}

#[derive(Debug, Error, PartialEq)]
pub enum RequestError {
    #[error("`count` is {0}, expected 1 to {COUNT_MAX}")]
    Count(usize),
    #[error("`tenants` is {0}, expected 1 to {TENANTS_MAX}")]
    Tenants(usize),
    #[error("`event_types` is empty, expected one or more of {}", known_types())]
    NoEventTypes,
    #[error("`event_types` holds {name:?}, expected one or more of {}", known_types())]
    EventType { name: String },
    #[error("`invalid_ratio` is {0}, expected 0 to 1")]
    InvalidRatio(f64),
}

/// One event to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub key: ClaimKey,
    pub event_type: &'static str,
    pub body: String,
}

impl Sample {
    /// The same for each event that would be a duplicate in the ledger.
    pub fn deduplication_id(&self) -> String {
        hex(&Sha256::digest(self.key.pk()))
    }
}

/// The samples a request asks for, stamped `created_at`.
pub fn samples(request: &Request, created_at: &str) -> Result<Vec<Sample>, RequestError> {
    let schemas = chosen_schemas(request)?;
    let count = in_range(request.count.unwrap_or(schemas.len()), COUNT_MAX).map_err(RequestError::Count)?;
    let tenants = in_range(request.tenants.unwrap_or(1), TENANTS_MAX).map_err(RequestError::Tenants)?;
    let invalid_ratio = request.invalid_ratio.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&invalid_ratio) {
        return Err(RequestError::InvalidRatio(invalid_ratio));
    }
    let mut random = request.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let sample = |index: usize| {
        let schema = schemas[index % schemas.len()];
        let tenant_id = tenant(index / schemas.len() % tenants);
        let uuid = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
        let event_id = EventId::parse(&uuid.to_string()).expect("a UUID is an event id");
        let mut payload = schema.examples().first().cloned().unwrap_or_else(|| json!({}));
        if random.f64() < invalid_ratio {
            break_payload(schema, &mut payload);
        }
        let body = json!({
            "tenant_id": tenant_id.as_str(),
            "event_id": event_id.as_str(),
            "event_type": schema.event_type,
            "route": ROUTE,
            "created_at": created_at,
            "payload": payload,
        });
        Sample { key: ClaimKey { tenant_id, event_id }, event_type: schema.event_type, body: body.to_string() }
    };
    Ok((0..count).map(sample).collect())
}

fn chosen_schemas(request: &Request) -> Result<Vec<&'static Schema>, RequestError> {
    let Some(names) = &request.event_types else { return Ok(schema::all().iter().collect()) };
    if names.is_empty() {
        return Err(RequestError::NoEventTypes);
    }
    names.iter().map(|name| schema::find(name).ok_or_else(|| RequestError::EventType { name: name.clone() })).collect()
}

fn in_range(value: usize, max: usize) -> Result<usize, usize> {
    if (1..=max).contains(&value) { Ok(value) } else { Err(value) }
}

fn known_types() -> String {
    schema::all().iter().map(|schema| schema.event_type).collect::<Vec<_>>().join(", ")
}

/// `tenant-a` to `tenant-z`, then `tenant-27` and so on.
fn tenant(index: usize) -> TenantId {
    let name = match u8::try_from(index) {
        Ok(index @ 0..26) => format!("tenant-{}", char::from(b'a' + index)),
        _ => format!("tenant-{}", index + 1),
    };
    TenantId::parse(&name).expect("a valid tenant id")
}

/// Takes away the first member the schema requires.
fn break_payload(schema: &Schema, payload: &mut Value) {
    let required = schema::document(schema.event_type).and_then(|document| document["required"][0].as_str());
    if let (Some(required), Some(payload)) = (required, payload.as_object_mut()) {
        payload.remove(required);
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Message, Status, judge};

    use super::*;

    const NOW: &str = "2026-01-15T09:30:00Z";

    fn is_ready(sample: &Sample) -> bool {
        let message = Message {
            message_id: "m".to_owned(),
            body: sample.body.clone(),
            group_id: Some(sample.key.tenant_id.to_string()),
            sequence_number: None,
            sent_at_ms: None,
            receive_count: 1,
        };
        let judged = judge(&message, 0);
        assert_eq!(judged.claim_key.as_ref(), Some(&sample.key));
        judged.entry.status == Status::Ready
    }

    #[test]
    fn an_empty_request_gives_one_valid_sample_per_schema() {
        let samples = samples(&Request::default(), NOW).unwrap();
        assert_eq!(samples.len(), schema::all().len());
        for (sample, schema) in samples.iter().zip(schema::all()) {
            assert_eq!(sample.event_type, schema.event_type);
            assert!(is_ready(sample), "{}", sample.event_type);
        }
    }

    #[test]
    fn the_invalid_ratio_makes_that_share_invalid() {
        let request =
            |ratio| Request { count: Some(400), invalid_ratio: Some(ratio), seed: Some(1), ..Request::default() };
        let ready = |ratio| samples(&request(ratio), NOW).unwrap().iter().filter(|sample| is_ready(sample)).count();
        assert_eq!((ready(0.0), ready(1.0)), (400, 0));
        assert!((80..120).contains(&ready(0.75)), "{}", ready(0.75));
    }

    #[test]
    fn events_are_spread_over_types_and_tenants() {
        let request = Request { count: Some(300), tenants: Some(30), ..Request::default() };
        let tenants: std::collections::BTreeSet<_> =
            samples(&request, NOW).unwrap().into_iter().map(|sample| sample.key.tenant_id).collect();
        assert_eq!(tenants.len(), 30);
        let request =
            Request { event_types: Some(vec!["monitoring".to_owned()]), count: Some(2), ..Request::default() };
        assert!(samples(&request, NOW).unwrap().iter().all(|sample| sample.event_type == "monitoring"));
    }

    #[test]
    fn a_seed_makes_samples_repeatable_and_none_makes_them_new() {
        let seeded = Request { seed: Some(7), ..Request::default() };
        assert_eq!(samples(&seeded, NOW), samples(&seeded, NOW));
        let unseeded = Request::default();
        assert_ne!(samples(&unseeded, NOW), samples(&unseeded, NOW));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let error = |json: &str| {
            let request: Request = serde_json::from_str(json).unwrap();
            samples(&request, NOW).unwrap_err().to_string()
        };
        assert_eq!(error(r#"{"count": 0}"#), "`count` is 0, expected 1 to 1000");
        assert_eq!(error(r#"{"tenants": 1001}"#), "`tenants` is 1001, expected 1 to 1000");
        assert_eq!(error(r#"{"invalid_ratio": 1.5}"#), "`invalid_ratio` is 1.5, expected 0 to 1");
        assert!(error(r#"{"event_types": ["nope"]}"#).starts_with("`event_types` holds \"nope\", expected one"));
        assert!(error(r#"{"event_types": []}"#).starts_with("`event_types` is empty"));
        assert!(serde_json::from_str::<Request>(r#"{"cuont": 1}"#).is_err());
    }
}
