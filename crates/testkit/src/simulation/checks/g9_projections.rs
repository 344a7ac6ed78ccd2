//! G9: no record counts twice, none is passed over without a word, and the counts are the fold of the ledger.

use ledger::{
    item::whole_number_of,
    projection::{
        Counts, EntrySummary,
        keys::{ProjectionKey, RECORDS},
    },
};
use projector::{Outcome, Report};
use serde_json::Value;

use super::{
    super::stream::{Meaning, Stream},
    Expectations,
    g11_no_values::check_no_value,
};
use crate::{clause::hold, memory::projections::MemoryProjections};

impl Expectations {
    /// An entry was appended for a message.
    pub(crate) fn check_type(&self, message: usize, entry: &EntrySummary) {
        let expected = self.messages[message].recipe.counted_type();
        let counted = entry.counted_type();
        hold!(G9, counted == expected, "{:?} counts under {counted}, not {expected}", entry.key);
    }

    /// The failures queue was sent a message.
    pub(crate) fn reported(&mut self, body: &str, stream: &Stream) {
        check_no_value("a failure", body);
        let body: Value = serde_json::from_str(body).expect("a failure is JSON");
        let records = body["records"].as_array().into_iter().flatten();
        for number in records.filter_map(|record| record["sequenceNumber"].as_str()) {
            let meaning = &stream.get(number).meaning;
            hold!(G9, matches!(meaning, Meaning::Unreadable), "{meaning:?} is reported as unreadable");
            self.reported.insert(number.to_owned());
        }
    }

    /// A transaction has moved the checkpoint of a batch of records: what it has passed is counted, once, and was
    /// reported before (G10).
    pub(crate) fn passed(
        &self,
        stream: &mut Stream,
        records: &[String],
        before: &Option<String>,
        after: &Option<String>,
    ) {
        hold!(G9, after > before, "the checkpoint goes from {before:?} to {after:?}");
        for number in records {
            let padded = Some(format!("{number:0>40}"));
            if padded <= *before || padded > *after {
                continue;
            }
            let logged = stream.find(number);
            hold!(G9, !logged.is_counted, "record {number} is counted twice");
            logged.is_counted = true;
            match &logged.meaning {
                Meaning::Appended(entry) => self.check_covered(entry),
                Meaning::Unreadable => {
                    hold!(G9, self.reported.contains(number), "record {number} cannot be read, and nobody says so");
                }
                Meaning::Revalidated(_) | Meaning::Nothing => {}
            }
        }
    }
}

/// The projector has answered for a batch.
pub(crate) fn check_report(report: &Report, is_excused: bool) {
    hold!(G9, is_excused || report.outcome == Outcome::Done, "{report:?} without a cause");
}

/// All has come to rest.
pub(crate) fn check_counts(stream: &Stream, projections: &MemoryProjections) {
    let mut fold = Counts::default();
    let mut unreadable = 0;
    for logged in &stream.log {
        let is_answered_for = logged.is_counted || logged.is_discarded || matches!(logged.meaning, Meaning::Nothing);
        hold!(G9, is_answered_for, "record {} is neither counted nor announced", logged.sequence_number);
        match &logged.meaning {
            Meaning::Appended(entry) if logged.is_counted => fold.append(entry),
            Meaning::Revalidated(entry) if logged.is_counted => fold.revalidate(entry),
            Meaning::Unreadable if logged.is_counted => unreadable += 1,
            _ => {}
        }
    }
    let counts = projections.projection();
    hold!(G9, counts == fold, "the counts are {counts:?}, and the fold of the ledger is {fold:?}");
    let incomplete = projections.get(&ProjectionKey::incomplete());
    let marked = incomplete.and_then(|item| whole_number_of(item, RECORDS)).unwrap_or(0);
    hold!(G9, marked == unreadable, "{marked} records are marked as unreadable, not {unreadable}");
}
