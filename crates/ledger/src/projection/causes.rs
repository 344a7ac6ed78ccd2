//! The read model of why entries are INVALID: how many, by cause.

use std::fmt;

use crate::{
    event::{failure::FailureClass, pointer::POINTER_BYTES_MAX},
    projection::{
        fold::{Fact, Projection},
        summary::{EntrySummary, Verdict},
        sums::Changes,
    },
};

pub const CAUSES: Projection = Projection { name: "causes", version: 1, fold };

/// Bytes of a keyword; ours are shorter.
const KEYWORD_BYTES_MAX: usize = 64;
/// The class of an INVALID entry that does not say its own.
const UNCLASSIFIED: &str = "unclassified";
fn fold(fact: &Fact<'_>, changes: &mut Changes<'_>) {
    changes.add("", &Cause::of(fact.entry()).to_string(), fact.change_of(Verdict::Invalid));
}

/// Why an entry is INVALID, as far as it may be told (G11). There are as many causes as the schemas have rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    pub class: &'static str,
    /// The first rule that is broken; empty where the class says all.
    pub keyword: String,
    /// Where, with masked names.
    pub pointer: String,
}

impl Cause {
    /// The cause as the entry says it, whatever schemas this build has.
    pub fn of(entry: &EntrySummary) -> Self {
        let class = entry.failure.as_ref().and_then(|failure| failure.class);
        let class_only = Self {
            class: class.map_or(UNCLASSIFIED, FailureClass::as_str),
            keyword: String::new(),
            pointer: String::new(),
        };
        // What two contents of one id have in common is that id, not a rule that one of them breaks.
        let told = entry.failure.as_ref().filter(|_| class != Some(FailureClass::Conflict));
        let Some(told) = told.and_then(|failure| failure.cause.as_ref()) else { return class_only };
        let keyword = told.keyword.split(' ').next().unwrap_or_default();
        // What cannot be stored can stand anywhere, at any depth: with the place there would be too many causes.
        let pointer = if class == Some(FailureClass::Unstorable) { "" } else { &told.pointer };
        Self {
            keyword: cut(keyword, KEYWORD_BYTES_MAX).to_owned(),
            pointer: cut(pointer, POINTER_BYTES_MAX).to_owned(),
            ..class_only
        }
    }

    /// Reads a cause back from its text.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, ' ');
        let class = parts.next().and_then(FailureClass::parse).map_or(UNCLASSIFIED, FailureClass::as_str);
        let mut rest = || parts.next().unwrap_or_default().to_owned();
        Self { class, keyword: rest(), pointer: rest() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class)?;
        for part in [&self.keyword, &self.pointer].into_iter().take_while(|part| !part.is_empty()) {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
