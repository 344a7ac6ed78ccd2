//! One event's story, from its claim and its entries. Pure: what to read is decided elsewhere.

use std::fmt;

use ledger::{
    Attribute, ClaimKey, FailureClass, Item, StoredClaim, Timestamp,
    entry::{Status, attribute},
    item::{number_of, text_of},
};

pub(crate) struct Story<'s> {
    pub key: &'s ClaimKey,
    pub claim: Option<&'s StoredClaim>,
    /// In the order of their keys.
    pub entries: &'s [Item],
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "event    {} of tenant {}", self.key.event_id, self.key.tenant_id)?;
        match self.claim {
            Some(claim) => {
                let at = claim.created_at.as_ref().map_or("unknown", Timestamp::as_str);
                let sk = claim.sk.as_deref().unwrap_or("no entry (written by an earlier system)");
                writeln!(f, "claim    made {at} for {sk}")?;
            }
            None => writeln!(f, "claim    none")?,
        }
        for entry in self.entries {
            write_entry(f, entry)?;
        }
        writeln!(f, "next     {}", self.next_step())
    }
}

impl Story<'_> {
    fn next_step(&self) -> &'static str {
        let claimed = self.claim.and_then(|claim| claim.sk.as_deref());
        let winner = self.entries.iter().find(|entry| claimed.is_some() && text_of(entry, attribute::SK) == claimed);
        let has_conflict = self.entries.iter().any(|entry| class_of(entry) == Some(FailureClass::Conflict));
        match (self.claim, winner, self.entries) {
            (None, _, []) => "nothing: no such event. Look for the message in the queue and in the dead-letter queue.",
            (Some(_), _, []) => {
                "claimed, never recorded: the message is in the queue still, or in the dead-letter queue. Its next \
                 delivery finishes it."
            }
            _ if has_conflict => {
                "the producer used one event id for different content: compare the entries, and correct the producer."
            }
            (_, Some(entry), _) if text_of(entry, attribute::STATUS) == Some(Status::READY) => {
                "nothing: the event is READY."
            }
            (_, _, [entry, ..]) => match class_of(entry) {
                None => "nothing: the event is READY, and its claim has expired.",
                Some(FailureClass::UnknownEventType) => {
                    "add schemas/<event_type>.json and deploy, or correct the producer's event type."
                }
                Some(_) => "correct the producer at the places named above, and send the event under a new id.",
            },
        }
    }
}

fn write_entry(f: &mut fmt::Formatter<'_>, entry: &Item) -> fmt::Result {
    let text = |name: &str| text_of(entry, name).unwrap_or("-");
    let number = |name: &str| number_of(entry, name).unwrap_or_else(|| "-".to_owned());
    writeln!(f, "entry    {} {}", text(attribute::STATUS), text(attribute::SK))?;
    writeln!(
        f,
        "         {}, ingested at {} ms, {} deliveries before, sequence number {}",
        text(attribute::EVENT_TYPE),
        number(attribute::INGESTED_AT),
        number(attribute::RETRIES),
        number(attribute::SEQUENCE_NUMBER),
    )?;
    if let Some(reason) = text_of(entry, attribute::REASON) {
        writeln!(f, "reason   {reason}")?;
    }
    let Some(Attribute::M(failure)) = entry.get(attribute::FAILURE) else { return Ok(()) };
    for error in failure.get("errors").and_then(|errors| errors.as_array()).into_iter().flatten() {
        let part = |name: &str| error.get(name).and_then(|part| part.as_str()).unwrap_or("-");
        writeln!(f, "error    {} breaks {}", part("pointer"), part("keyword"))?;
    }
    Ok(())
}

fn class_of(entry: &Item) -> Option<FailureClass> {
    match entry.get(attribute::FAILURE) {
        Some(Attribute::M(failure)) => FailureClass::parse(failure.get("class")?.as_str()?),
        _ => None,
    }
}
