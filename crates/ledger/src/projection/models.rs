//! The list of read models that a deployment keeps, each with the first UTC day that it counts whole. Readers take the
//! days before it for not built.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    event::timestamp::Timestamp,
    projection::{
        fold::Projection,
        keys::{MODELS, ProjectionKey},
        update::{Action, Update, Version},
    },
    storage::item::{Attribute, Item},
};

/// Before every day: a model that is there since the stream's beginning counts all of them.
pub const BEGINNING: &str = "0000-01-01";
/// Until then at most, a function of the deployment before may project a batch.
const OVERLAP_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// The list as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Models {
    version: Version,
    /// By model@version.
    since: BTreeMap<String, String>,
}

impl Models {
    pub fn from_item(item: &Item) -> Self {
        let since = match item.get(MODELS) {
            Some(Attribute::M(models)) => {
                models.iter().filter_map(|(id, day)| Some((id.clone(), day.as_str()?.to_owned()))).collect()
            }
            _ => BTreeMap::new(),
        };
        Self { version: Version::of(item), since }
    }

    /// The list as a process with these models is to leave it; `None` where it stands so.
    ///
    /// `is_beginning` says that nothing was projected before: then the stream has brought, or will bring, everything that
    /// counts. Else a model that is new counts whole from the first day of which nobody has projected anything without
    /// it: the one that follows in an hour.
    pub fn deployed(&self, projections: &[Projection], is_beginning: bool, now_ms: u64) -> Option<Self> {
        let is_beginning = is_beginning && self.version.is_absent();
        let next_day = Timestamp::from_epoch_ms(now_ms + OVERLAP_MS + DAY_MS)?.day().to_owned();
        let new = if is_beginning { BEGINNING.to_owned() } else { next_day };
        let since_of = |id: String| {
            let since = self.since.get(&id).unwrap_or(&new).clone();
            (id, since)
        };
        let since: BTreeMap<String, String> = projections.iter().map(|projection| since_of(projection.id())).collect();
        (since != self.since).then(|| Self { version: self.version.clone(), since })
    }

    /// Whether a model counts a day whole, but for what is marked as incomplete.
    pub fn is_built(&self, id: &str, day: &str) -> bool {
        self.since.get(id).is_some_and(|since| since.as_str() <= day)
    }

    /// Each model with the first day that it counts whole.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.since
    }

    /// Writes the list, on condition that it is what was read.
    pub fn to_update(&self) -> Update {
        let models: Map<String, Value> =
            self.since.iter().map(|(id, day)| (id.clone(), Value::String(day.clone()))).collect();
        Update {
            key: ProjectionKey::models(),
            conditions: vec![self.version.condition()],
            actions: vec![self.version.step(), Action::Set(MODELS.to_owned(), Attribute::M(models))],
        }
    }
}
