//! G9: no record counts twice, none is passed over without a word, and the read models are folds of the ledger, but for the
//! days that are marked and for those before a model's first.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Item, TenantId, Timestamp,
    item::whole_number_of,
    projection::{
        Fact, Projection, Sums, Verdict,
        keys::{ModelKey, ProjectionKey, RECORDS},
        models::{BEGINNING, Models},
    },
};
use projector::{Outcome, Report};

use super::{
    super::{
        hours::{WITH_HOURS, WITHOUT_HOURS},
        stream::{Logged, Meaning, Stream},
    },
    Expectations, Progress,
};
use crate::{clause::hold, memory::projections::MemoryProjections};

/// A record that cannot be read may be of the day before, where it was written so soon after midnight.
const JUDGED_BEFORE_MS: u64 = 120_000;

/// What was committed so far.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// What it adds to the models of those that committed it, but for what DynamoDB refuses.
    sums: Sums,
    /// By the key of the mark: records that cannot be read, and those of which DynamoDB refuses what a model makes of
    /// them.
    unreadable: BTreeMap<ProjectionKey, u64>,
    refused: BTreeMap<ProjectionKey, u64>,
}

impl Expectations {
    /// A transaction of a process with these models has moved the checkpoint of a batch of records: what it has passed is
    /// counted, once.
    pub(crate) fn passed(
        &mut self,
        now_ms: u64,
        stream: &mut Stream,
        records: &[String],
        models: &[Projection],
        (before, after): (Option<String>, Option<String>),
        progress: &mut Progress,
    ) {
        hold!(G9, after > before, "the checkpoint goes from {before:?} to {after:?}");
        for number in records {
            let padded = Some(format!("{number:0>40}"));
            if padded <= before || padded > after {
                continue;
            }
            let logged = stream.find(number);
            hold!(G9, !logged.is_counted, "record {number} is counted twice");
            logged.is_counted = true;
            if let Meaning::Appended(entry) = &logged.meaning {
                *progress.committed.entry(entry.verdict).or_default() += 1;
                if entry.verdict == Verdict::Invalid {
                    self.note(now_ms, entry.key.tenant_id.as_str());
                }
            }
            progress.unreadable += u64::from(matches!(logged.meaning, Meaning::Unreadable));
            progress.refused += u64::from(self.count(logged, models));
        }
    }

    /// Adds a record to what is to be counted and marked, and returns whether DynamoDB refuses what some model makes of it.
    fn count(&mut self, logged: &Logged, models: &[Projection]) -> bool {
        let Counted { sums: counted, unreadable, refused } = &mut self.counted;
        let mut is_refused = false;
        match &logged.meaning {
            Meaning::Nothing => {}
            Meaning::Unreadable => {
                let tenant_id = TenantId::from_stored(&logged.tenant).expect("a tenant");
                // The stream says in which second it was written.
                let written_ms = logged.written_ms / 1_000 * 1_000;
                let days: BTreeSet<String> = [written_ms, written_ms - JUDGED_BEFORE_MS].map(day_of).into();
                for model in models {
                    for day in &days {
                        *unreadable.entry(ProjectionKey::incomplete(&model.id(), &tenant_id, day)).or_default() += 1;
                    }
                }
            }
            Meaning::Appended(_) | Meaning::Revalidated(_) => {
                let fact = fact_of(&logged.meaning).expect("a fact");
                for model in models {
                    let mut sums = Sums::default();
                    model.add(&fact, &mut sums);
                    if sums.items.keys().any(|key| self.refused_items.contains(&key.key())) {
                        is_refused = true;
                        let (tenant_id, day) = (&fact.entry().key.tenant_id, fact.entry().day());
                        *refused.entry(ProjectionKey::incomplete(&model.id(), tenant_id, &day)).or_default() += 1;
                    } else {
                        counted.merge(sums);
                    }
                }
            }
        }
        is_refused
    }

    /// All has come to rest.
    pub(crate) fn check_models(&self, stream: &Stream, projections: &MemoryProjections) {
        for logged in &stream.log {
            let is_answered_for =
                logged.is_counted || logged.is_discarded || matches!(logged.meaning, Meaning::Nothing);
            hold!(G9, is_answered_for, "record {} is neither counted nor announced", logged.sequence_number);
        }
        let stored = Sums::of_items(projections.items().values());
        let Counted { sums, unreadable, refused } = &self.counted;
        hold!(G9, stored == *sums, "what was committed gives {sums:?}, and stored is {stored:?}");
        let marks = projections.items().iter().filter(|(key, _)| key.pk.starts_with("incomplete#"));
        let marks: BTreeMap<&ProjectionKey, u64> =
            marks.map(|(key, item)| (key, whole_number_of(item, RECORDS).unwrap_or(0))).collect();
        for key in marks.keys().copied().chain(unreadable.keys()).collect::<BTreeSet<&ProjectionKey>>() {
            let [marked, unreadable] = [marks.get(key), unreadable.get(key)].map(|records| *records.unwrap_or(&0));
            // Fewer where an entry and its revalidation in one transaction add nothing to its causes.
            let most = unreadable + refused.get(key).unwrap_or(&0);
            let is_right = (unreadable..=most).contains(&marked);
            hold!(G9, is_right, "{key:?} marks {marked} records, {unreadable} unreadable, and refused up to {most}");
        }
        check_readers_view(stream, &stored, &marks, projections);
    }
}

/// Every day since a listed model's first that is not marked is the fold of the ledger.
fn check_readers_view(
    stream: &Stream,
    stored: &Sums,
    marks: &BTreeMap<&ProjectionKey, u64>,
    projections: &MemoryProjections,
) {
    let facts: Vec<Fact<'_>> =
        stream.log.iter().filter(|logged| logged.is_counted).filter_map(|logged| fact_of(&logged.meaning)).collect();
    let models = models_of(projections.get(&ProjectionKey::models()));
    for model in WITH_HOURS {
        let id = model.id();
        let Some(since) = models.all().get(&id) else { continue };
        let mut fold = Sums::default();
        facts.iter().for_each(|fact| model.add(fact, &mut fold));
        let is_whole = |key: &ModelKey| {
            models.is_built(&id, &key.day)
                && !marks.contains_key(&ProjectionKey::incomplete(&id, &key.tenant_id, &key.day))
        };
        let keys = fold.of_model(&id).chain(stored.of_model(&id)).map(|(key, _)| key).filter(|key| is_whole(key));
        for key in keys {
            let (counted, folded) = (stored.items.get(key), fold.items.get(key));
            hold!(G9, counted == folded, "{key:?} is {counted:?}, its fold is {folded:?}, since {since}");
        }
    }
    for model in WITHOUT_HOURS {
        let since = models.all().get(&model.id()).map(String::as_str);
        let is_counted = stream.log.iter().any(|logged| logged.is_counted);
        hold!(G9, !is_counted || since == Some(BEGINNING), "{} is listed since {since:?}", model.name);
    }
}

/// A process of the deployment that stands has committed, long after the last of another one was gone.
pub(crate) fn check_list(projections: &MemoryProjections, deployed: &[Projection]) {
    let listed: BTreeSet<String> = models_of(projections.get(&ProjectionKey::models())).all().keys().cloned().collect();
    let deployed: BTreeSet<String> = deployed.iter().map(Projection::id).collect();
    hold!(G9, listed == deployed, "deployed is {deployed:?}, and listed is {listed:?}");
}

/// The projector has answered for a batch.
pub(crate) fn check_report(report: &Report, is_excused: bool, progress: &Progress) {
    hold!(G9, is_excused || report.outcome == Outcome::Done, "{report:?} without a cause");
    let uncounted = report.work.uncounted;
    let Progress { unreadable, refused, is_disturbed, .. } = progress;
    let is_right = (*unreadable..=unreadable + refused).contains(&uncounted);
    hold!(G9, *is_disturbed || is_right, "{uncounted} uncounted of {unreadable} unreadable and {refused} refused");
}

fn models_of(item: Option<&Item>) -> Models {
    item.map(Models::from_item).unwrap_or_default()
}

fn fact_of(meaning: &Meaning) -> Option<Fact<'_>> {
    match meaning {
        Meaning::Appended(entry) => Some(Fact::Appended(entry)),
        Meaning::Revalidated(entry) => Some(Fact::Revalidated(entry)),
        Meaning::Nothing | Meaning::Unreadable => None,
    }
}

fn day_of(moment_ms: u64) -> String {
    Timestamp::from_epoch_ms(moment_ms).expect("this century").day().to_owned()
}
