//! Alerts on INVALID entries (G10): how entries are grouped, when an alert leaves and when it is held back, and what it
//! says. A group is a tenant, an event type and a cause. It has at most one alert per window; over all groups at most
//! `ALERTS_PER_WINDOW_MAX` leave per window, and one digest for the rest, which stands for every further group until its
//! window ends. What is held back is counted, and the next alert of the group, or the next digest, tells how much.
//! The places in a window are reserved in the table before anything leaves, so that the bound holds whoever crashes or
//! works at the same time; that an alert left is stored after it did, so that none is lost. What lies between may leave
//! twice, and what comes again under an open window counts as held back again.
//! Pure: the time comes in, messages and a change of the stored windows go out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    entry::{EntryKey, attribute},
    event::{content::hex, failure::FailureClass, ids::TenantId, pointer::POINTER_BYTES_MAX},
    projection::{
        EntrySummary,
        keys::{ProjectionKey, STATE_TTL_DAYS, VERSION},
        update::{Action, Condition, Update},
    },
    storage::item::{Attribute, Item, whole_number, whole_number_of},
};

/// Alerts of single groups in one window.
pub const ALERTS_PER_WINDOW_MAX: u64 = 20;
/// Event ids in one alert.
pub const EVENT_IDS_MAX: usize = 5;
/// Groups a digest names; the rest it counts.
pub const DIGEST_GROUPS_MAX: usize = 50;
/// Groups whose windows are kept. A group's window can reach from one window of the cap into the next, no further.
pub const OPEN_GROUPS_MAX: usize = 2 * ALERTS_PER_WINDOW_MAX as usize;
/// Characters of a subject ("Publish", Amazon SNS).
const SUBJECT_BYTES_MAX: usize = 100;
/// Bytes of a keyword; ours are shorter.
const KEYWORD_BYTES_MAX: usize = 64;

/// The class of an INVALID entry that does not say its own.
const UNCLASSIFIED: &str = "unclassified";

/// Attributes of a message, for filter policies of subscriptions.
pub mod message_attribute {
    /// `alert` or `digest`.
    pub const KIND: &str = "kind";
    pub const TENANT_ID: &str = "tenant_id";
    pub const EVENT_TYPE: &str = "event_type";
    pub const CLASS: &str = "class";
}

/// Why entries are INVALID, as far as it may be told (G11) and bounded in variety by the schemas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    pub class: &'static str,
    /// The first broken rule; empty where there is none.
    pub keyword: String,
    /// Where, undeclared names masked.
    pub pointer: String,
}

/// What shares an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertGroup {
    pub tenant_id: TenantId,
    pub event_type: String,
    pub cause: Cause,
}

impl AlertGroup {
    pub fn of(entry: &EntrySummary) -> Self {
        let class = entry.failure.as_ref().and_then(|failure| failure.class).map_or(UNCLASSIFIED, FailureClass::as_str);
        let cause = entry.failure.as_ref().and_then(|failure| failure.cause.as_ref());
        let cut = |text: &str, bytes_max: usize| text[..text.floor_char_boundary(bytes_max)].to_owned();
        let keyword = cause.map(|cause| cut(&cause.keyword, KEYWORD_BYTES_MAX)).unwrap_or_default();
        let pointer = cause.map(|cause| cut(&cause.pointer, POINTER_BYTES_MAX)).unwrap_or_default();
        Self {
            tenant_id: entry.key.tenant_id.clone(),
            event_type: entry.counted_type().to_owned(),
            cause: Cause { class, keyword, pointer },
        }
    }

    /// A short name of fixed size, so that no tenant can make the stored windows grow.
    pub fn id(&self) -> GroupId {
        let mut hasher = Sha256::new();
        let Cause { class, keyword, pointer } = &self.cause;
        for part in [self.tenant_id.as_str(), &self.event_type, class, keyword, pointer] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        GroupId(hex(&hasher.finalize()[..8]))
    }
}

/// 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(String);

/// An INVALID entry in an alert, ordered by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvalidEntry {
    pub ingested_at_ms: u64,
    pub sk: String,
}

impl InvalidEntry {
    fn event_id(&self) -> &str {
        EntryKey::event_id_of(&self.sk)
    }
}

/// INVALID entries of one group, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFold {
    pub count: u64,
    pub last: InvalidEntry,
    /// The `EVENT_IDS_MAX` earliest. Never empty.
    pub earliest: BTreeSet<InvalidEntry>,
}

impl GroupFold {
    fn of(entry: InvalidEntry) -> Self {
        Self { count: 1, last: entry.clone(), earliest: BTreeSet::from([entry]) }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        if other.last > self.last {
            self.last = other.last;
        }
        self.earliest.extend(other.earliest);
        while self.earliest.len() > EVENT_IDS_MAX {
            self.earliest.pop_last();
        }
    }

    fn first(&self) -> &InvalidEntry {
        self.earliest.first().unwrap_or(&self.last)
    }
}

/// INVALID entries, folded by group; commutative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidFold {
    pub groups: BTreeMap<AlertGroup, GroupFold>,
}

impl InvalidFold {
    pub fn add(&mut self, entry: &EntrySummary) {
        let invalid = InvalidEntry { ingested_at_ms: entry.ingested_at_ms, sk: entry.key.sk.clone() };
        self.add_fold(AlertGroup::of(entry), GroupFold::of(invalid));
    }

    pub fn merge(&mut self, other: Self) {
        for (group, fold) in other.groups {
            self.add_fold(group, fold);
        }
    }

    fn add_fold(&mut self, group: AlertGroup, fold: GroupFold) {
        match self.groups.get_mut(&group) {
            Some(known) => known.merge(fold),
            None => {
                self.groups.insert(group, fold);
            }
        }
    }
}

/// The window of one group: since its last alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct GroupWindow {
    published_at_ms: u64,
    /// Entries since, of which no alert has told.
    suppressed: u64,
}

/// What is stored of windows, the same for every instance.
///
/// Attributes: `started_at` (ms) of the cap's window, `alerts` in it, `digest_at` (ms) of the last digest, `suppressed`
/// (entries over the cap that no digest has told of), and `groups`, a map of group id to `published_at` (ms) and
/// `suppressed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    version: Option<u64>,
    started_at_ms: u64,
    alerts: u64,
    digest_at_ms: Option<u64>,
    suppressed: u64,
    groups: BTreeMap<GroupId, GroupWindow>,
}

const STARTED_AT: &str = "started_at";
const ALERTS: &str = "alerts";
const DIGEST_AT: &str = "digest_at";
const SUPPRESSED: &str = "suppressed";
const GROUPS: &str = "groups";
const PUBLISHED_AT: &str = "published_at";

impl Windows {
    pub fn from_item(item: &Item) -> Self {
        let number = |name| whole_number_of(item, name);
        let member = |group: &Value, name: &str| group.get(name).and_then(Value::as_u64).unwrap_or(0);
        let groups = match item.get(GROUPS) {
            Some(Attribute::M(groups)) => groups
                .iter()
                .map(|(id, group)| {
                    let window = GroupWindow {
                        published_at_ms: member(group, PUBLISHED_AT),
                        suppressed: member(group, SUPPRESSED),
                    };
                    (GroupId(id.clone()), window)
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        Self {
            version: number(VERSION),
            started_at_ms: number(STARTED_AT).unwrap_or(0),
            alerts: number(ALERTS).unwrap_or(0),
            digest_at_ms: number(DIGEST_AT).filter(|&at| at > 0),
            suppressed: number(SUPPRESSED).unwrap_or(0),
            groups,
        }
    }

    /// Writes the windows, on condition that they still are what was read before `apply`.
    pub fn to_update(&self, now_ms: u64) -> Update {
        let condition = match self.version {
            None => Condition::Absent(VERSION.to_owned()),
            Some(version) => Condition::Equals(VERSION.to_owned(), whole_number(version)),
        };
        let groups: Map<String, Value> = self
            .groups
            .iter()
            .map(|(id, window)| {
                (id.0.clone(), json!({ PUBLISHED_AT: window.published_at_ms, SUPPRESSED: window.suppressed }))
            })
            .collect();
        let set = |name: &str, value| Action::Set(name.to_owned(), value);
        Update {
            key: ProjectionKey::alert_windows(),
            conditions: vec![condition],
            actions: vec![
                set(VERSION, whole_number(self.version.unwrap_or(0) + 1)),
                set(STARTED_AT, whole_number(self.started_at_ms)),
                set(ALERTS, whole_number(self.alerts)),
                set(DIGEST_AT, whole_number(self.digest_at_ms.unwrap_or(0))),
                set(SUPPRESSED, whole_number(self.suppressed)),
                set(GROUPS, Attribute::M(groups)),
                set(attribute::TTL, whole_number(now_ms / 1_000 + STATE_TTL_DAYS * 86_400)),
            ],
        }
    }

    /// Decides what is published now, and what of the windows changes with it.
    pub fn plan(&self, invalid: &InvalidFold, now_ms: u64, window_ms: u64) -> Plan {
        let is_new_window = self.is_over(now_ms, window_ms);
        let published = if is_new_window { 0 } else { self.alerts };
        let mut places = ALERTS_PER_WINDOW_MAX.saturating_sub(published);
        let mut plan = Plan { messages: Vec::new(), change: WindowChange::at(now_ms, window_ms), suppressed: 0 };
        let mut rest = Vec::new();
        for (group, fold) in fairly_ordered(invalid) {
            let id = group.id();
            let window = self.groups.get(&id);
            if window.is_some_and(|window| window.is_open(now_ms, window_ms)) {
                *plan.change.suppressed.entry(id).or_default() += fold.count;
                plan.suppressed += fold.count;
            } else if places > 0 {
                places -= 1;
                let suppressed = window.map_or(0, |window| window.suppressed);
                plan.messages.push(alert_message(group, fold, suppressed));
                plan.change.published.push(id);
            } else {
                rest.push((group, fold));
            }
        }
        let over_cap: u64 = rest.iter().map(|(_, fold)| fold.count).sum();
        plan.suppressed += over_cap;
        let has_digest = !is_new_window && self.digest_at_ms.is_some_and(|at| at >= self.started_at_ms);
        // What an earlier window kept back is told as soon as a digest may leave, were it the only thing to tell.
        if !has_digest && over_cap + self.suppressed > 0 {
            plan.messages.push(digest_message(&rest, self.suppressed, now_ms + window_ms));
            plan.change.digest = Some(self.suppressed);
        } else {
            plan.change.over_cap = over_cap;
        }
        plan
    }

    /// Takes the places that a change publishes in, on the windows it was planned on.
    ///
    /// Only the places: where the messages then do not leave, their groups are not taken for told.
    pub fn reserve(&mut self, change: &WindowChange) {
        if self.is_over(change.now_ms, change.window_ms) {
            self.started_at_ms = change.now_ms;
            self.alerts = 0;
        }
        self.alerts += change.published.len() as u64;
    }

    /// The windows once their update is made.
    pub fn written(self) -> Self {
        Self { version: Some(self.version.unwrap_or(0) + 1), ..self }
    }

    /// Applies a change, whose places are reserved, to the windows as they are now, which another instance may have
    /// changed since the plan.
    pub fn apply(&mut self, change: &WindowChange) {
        let now_ms = change.now_ms;
        if self.started_at_ms <= now_ms {
            self.alerts = self.alerts.saturating_sub(change.unused);
        }
        for id in &change.published {
            self.groups.insert(id.clone(), GroupWindow { published_at_ms: now_ms, suppressed: 0 });
        }
        for (id, count) in &change.suppressed {
            match self.groups.get_mut(id) {
                Some(window) => window.suppressed += count,
                None => self.suppressed += count,
            }
        }
        if let Some(told) = change.digest {
            self.digest_at_ms = Some(now_ms);
            self.suppressed = self.suppressed.saturating_sub(told);
        }
        self.suppressed += change.over_cap;
        self.forget(now_ms, change.window_ms);
    }

    fn is_over(&self, now_ms: u64, window_ms: u64) -> bool {
        now_ms >= self.started_at_ms.saturating_add(window_ms)
    }

    /// Drops closed windows that have nothing to tell, and beyond the bound the oldest, whose count the next digest
    /// tells.
    fn forget(&mut self, now_ms: u64, window_ms: u64) {
        self.groups.retain(|_, window| window.suppressed > 0 || window.is_open(now_ms, window_ms));
        while self.groups.len() > OPEN_GROUPS_MAX {
            let oldest = self.groups.iter().min_by_key(|(_, window)| window.published_at_ms).map(|(id, _)| id.clone());
            let window = oldest.and_then(|id| self.groups.remove(&id));
            self.suppressed += window.map_or(0, |window| window.suppressed);
        }
    }
}

impl GroupWindow {
    fn is_open(&self, now_ms: u64, window_ms: u64) -> bool {
        now_ms < self.published_at_ms.saturating_add(window_ms)
    }
}

/// What a plan changes in the windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowChange {
    now_ms: u64,
    window_ms: u64,
    published: Vec<GroupId>,
    suppressed: BTreeMap<GroupId, u64>,
    /// Entries over the cap, under a digest that has left already.
    over_cap: u64,
    /// A digest leaves, and tells of this many entries of earlier windows.
    digest: Option<u64>,
    /// Places that were reserved and are given back.
    unused: u64,
}

impl WindowChange {
    fn at(now_ms: u64, window_ms: u64) -> Self {
        Self { now_ms, window_ms, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        !self.is_publishing() && self.suppressed.is_empty() && self.over_cap == 0 && self.unused == 0
    }

    pub fn is_publishing(&self) -> bool {
        !self.published.is_empty() || self.digest.is_some()
    }

    /// The same where it may have been applied already, so that no place is given back twice.
    pub fn again(self) -> Self {
        Self { unused: 0, ..self }
    }

    /// What of it stands when only the first messages left and the rest of the plan comes again: what is held back is
    /// held back then. The message after them may have left too, and keeps its place.
    pub fn of_messages(&self, count: usize) -> Self {
        let published: Vec<GroupId> = self.published.iter().take(count).cloned().collect();
        let digest = self.digest.filter(|_| count > self.published.len());
        let unused = self.published.len().saturating_sub(count + 1) as u64;
        Self { published, digest, unused, ..Self::at(self.now_ms, self.window_ms) }
    }
}

/// What is to be published, and what is to be stored once it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub messages: Vec<AlertMessage>,
    pub change: WindowChange,
    /// Entries that get no alert of their own group now.
    pub suppressed: u64,
}

/// Groups so that one tenant's many cannot take all places: everyone's largest first, then everyone's second.
fn fairly_ordered(invalid: &InvalidFold) -> Vec<(&AlertGroup, &GroupFold)> {
    let mut by_tenant: BTreeMap<&TenantId, Vec<(&AlertGroup, &GroupFold)>> = BTreeMap::new();
    for (group, fold) in &invalid.groups {
        by_tenant.entry(&group.tenant_id).or_default().push((group, fold));
    }
    let mut ranked = Vec::with_capacity(invalid.groups.len());
    for groups in by_tenant.values_mut() {
        groups.sort_by_key(|(_, fold)| std::cmp::Reverse(fold.count));
        ranked.extend(groups.drain(..).enumerate());
    }
    ranked.sort_by_key(|(rank, (_, fold))| (*rank, std::cmp::Reverse(fold.count)));
    ranked.into_iter().map(|(_, group)| group).collect()
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

fn alert_message(group: &AlertGroup, fold: &GroupFold, suppressed: u64) -> AlertMessage {
    let AlertGroup { tenant_id, event_type, cause } = group;
    let next = explain_command(tenant_id, fold.first().event_id());
    let event_ids: Vec<&str> = fold.earliest.iter().map(InvalidEntry::event_id).collect();
    let mut text = format!("{} of tenant {tenant_id}: {event_type}, {}.", invalid_entries(fold.count), describe(cause));
    if suppressed > 0 {
        write!(text, " {suppressed} more since the last alert of this kind.").expect("writing to a String");
    }
    write!(text, " Run: {next}").expect("writing to a String");
    let document = json!({
        "kind": "alert",
        "text": text,
        "tenant_id": tenant_id.as_str(),
        "event_type": event_type,
        "cause": cause_document(cause),
        "count": fold.count,
        "suppressed": suppressed,
        "first": key_document(tenant_id, fold.first()),
        "last": key_document(tenant_id, &fold.last),
        "event_ids": event_ids,
        "next": next,
    });
    let string = |text: &str| AttributeValue::String(text.to_owned());
    AlertMessage {
        subject: subject(&format!("INVALID {event_type} of {tenant_id}: {}", describe(cause))),
        body: to_ascii(&document),
        attributes: vec![
            (message_attribute::KIND, string("alert")),
            (message_attribute::TENANT_ID, string(tenant_id.as_str())),
            (message_attribute::EVENT_TYPE, string(event_type)),
            (message_attribute::CLASS, string(cause.class)),
        ],
    }
}

fn digest_message(rest: &[(&AlertGroup, &GroupFold)], suppressed: u64, until_ms: u64) -> AlertMessage {
    let count: u64 = rest.iter().map(|(_, fold)| fold.count).sum();
    let named = &rest[..rest.len().min(DIGEST_GROUPS_MAX)];
    let mut text = match rest.len() {
        0 => format!("{} held back in an earlier window, beyond its alerts.", invalid_entries(suppressed)),
        groups => format!(
            "{} of {groups} groups beyond the {ALERTS_PER_WINDOW_MAX} alerts of this window, and {suppressed} held back \
             earlier.",
            invalid_entries(count)
        ),
    };
    text.push_str(" Until the window ends, further ones are counted only.");
    for (group, fold) in named {
        write!(text, "\n{} {} of {}: {}", fold.count, group.event_type, group.tenant_id, describe(&group.cause))
            .expect("writing to a String");
    }
    if named.len() < rest.len() {
        write!(text, "\nand {} groups more", rest.len() - named.len()).expect("writing to a String");
    }
    let groups: Vec<Value> = named
        .iter()
        .map(|(group, fold)| {
            json!({
                "tenant_id": group.tenant_id.as_str(),
                "event_type": group.event_type,
                "cause": cause_document(&group.cause),
                "count": fold.count,
                "first": key_document(&group.tenant_id, fold.first()),
                "next": explain_command(&group.tenant_id, fold.first().event_id()),
            })
        })
        .collect();
    let document = json!({
        "kind": "digest",
        "text": text,
        "count": count,
        "suppressed": suppressed,
        "groups_total": rest.len(),
        "groups": groups,
        "until_ms": until_ms,
    });
    let all = |of: fn(&AlertGroup) -> &str| {
        let different: BTreeSet<String> = named.iter().map(|(group, _)| of(group).to_owned()).collect();
        AttributeValue::StringArray(different.into_iter().collect())
    };
    let mut attributes = vec![(message_attribute::KIND, AttributeValue::String("digest".to_owned()))];
    if !named.is_empty() {
        attributes.push((message_attribute::TENANT_ID, all(|group| group.tenant_id.as_str())));
        attributes.push((message_attribute::EVENT_TYPE, all(|group| &group.event_type)));
        attributes.push((message_attribute::CLASS, all(|group| group.cause.class)));
    }
    AlertMessage {
        subject: subject(&match rest.len() {
            0 => format!("{} held back earlier", invalid_entries(suppressed)),
            groups => format!("INVALID entries of {groups} more groups"),
        }),
        body: to_ascii(&document),
        attributes,
    }
}

fn invalid_entries(count: u64) -> String {
    if count == 1 { "1 INVALID entry".to_owned() } else { format!("{count} INVALID entries") }
}

fn describe(cause: &Cause) -> String {
    let Cause { class, keyword, pointer } = cause;
    match (keyword.is_empty(), pointer.is_empty()) {
        (true, true) => (*class).to_owned(),
        (_, true) => format!("{class} ({keyword})"),
        _ => format!("{class} ({keyword} at {pointer})"),
    }
}

fn cause_document(cause: &Cause) -> Value {
    json!({ "class": cause.class, "keyword": cause.keyword, "pointer": cause.pointer })
}

fn key_document(tenant_id: &TenantId, entry: &InvalidEntry) -> Value {
    json!({ "tenant_id": tenant_id.as_str(), "sk": entry.sk, "ingested_at": entry.ingested_at_ms })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        item::item_bytes,
        projection::{EntryFields, FailureSummary, StoredViolation},
    };

    const NOW_MS: u64 = 1_768_469_400_000;
    const WINDOW_MS: u64 = 300_000;

    fn invalid(tenant: &str, keyword: &str, event_id: &str, at_ms: u64) -> EntrySummary {
        let cause = StoredViolation { pointer: "/payload/labels/*".to_owned(), keyword: keyword.to_owned() };
        let class = Some(FailureClass::SchemaViolation);
        EntrySummary::new(EntryFields {
            tenant_id: Some(tenant.to_owned()),
            sk: Some(format!("2026-01-15T09:30:00.000000000Z#{event_id}")),
            event_type: Some("monitoring".to_owned()),
            status: Some("INVALID".to_owned()),
            ingested_at: Some(at_ms.to_string()),
            has_sequence_number: true,
            failure: Some(FailureSummary { class, cause: Some(cause), places: vec![] }),
            has_schema: true,
            ..EntryFields::default()
        })
        .unwrap()
    }

    fn fold(entries: &[EntrySummary]) -> InvalidFold {
        let mut fold = InvalidFold::default();
        entries.iter().for_each(|entry| fold.add(entry));
        fold
    }

    /// `count` groups of as many tenants, one entry each.
    fn groups(count: usize) -> InvalidFold {
        let entries: Vec<EntrySummary> =
            (0..count).map(|number| invalid(&format!("tenant-{number}"), "type", "e", NOW_MS)).collect();
        fold(&entries)
    }

    /// What is published and stored at `at_ms`.
    fn step(windows: &mut Windows, invalid: &InvalidFold, at_ms: u64) -> Vec<Value> {
        let plan = windows.plan(invalid, at_ms, WINDOW_MS);
        if plan.change.is_publishing() {
            windows.reserve(&plan.change);
        }
        windows.apply(&plan.change);
        assert_eq!(&read_back(windows, at_ms), windows, "what is stored is what is known");
        plan.messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }

    fn read_back(windows: &Windows, at_ms: u64) -> Windows {
        Windows { version: windows.version, ..Windows::from_item(&stored(windows, at_ms)) }
    }

    fn stored(windows: &Windows, at_ms: u64) -> Item {
        let update = windows.to_update(at_ms);
        let mut item = update.key.to_item();
        for action in update.actions {
            let Action::Set(name, value) = action else { panic!("only sets") };
            item.insert(name, value);
        }
        item
    }

    proptest! {
        #[test]
        fn neither_order_nor_grouping_changes_a_digest(
            entries in prop::collection::vec((0..3u8, 0..2u8, 0..50u64), 0..30),
            cut in 0..30usize,
        ) {
            let entry = |(number, (tenant, keyword, offset)): (usize, (u8, u8, u64))| {
                let keyword = ["type", "format"][usize::from(keyword)];
                invalid(&format!("tenant-{tenant}"), keyword, &number.to_string(), NOW_MS + offset)
            };
            let mut entries: Vec<EntrySummary> = entries.into_iter().enumerate().map(entry).collect();
            let whole = fold(&entries);
            let (one, other) = entries.split_at(cut.min(entries.len()));
            let mut parts = fold(other);
            parts.merge(fold(one));
            prop_assert_eq!(&parts, &whole);
            entries.reverse();
            prop_assert_eq!(fold(&entries), whole);
        }

        #[test]
        fn every_group_is_covered_and_no_window_leaks(
            steps in prop::collection::vec((0..400_000u64, prop::collection::vec(0..60usize, 0..40)), 1..12),
        ) {
            let mut windows = Windows::default();
            let mut now_ms = NOW_MS;
            let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
            let mut last_digest_ms = None;
            let mut in_window: Vec<u64> = Vec::new();
            for (pause_ms, tenants) in steps {
                now_ms += pause_ms;
                let entries: Vec<EntrySummary> =
                    tenants.iter().map(|tenant| invalid(&format!("tenant-{tenant}"), "type", "e", now_ms)).collect();
                for message in step(&mut windows, &fold(&entries), now_ms) {
                    if message["kind"] == "digest" {
                        last_digest_ms = Some(now_ms);
                        continue;
                    }
                    let tenant = message["tenant_id"].as_str().unwrap().to_owned();
                    let before = alerts.insert(tenant, now_ms);
                    prop_assert!(before.is_none_or(|before| before + WINDOW_MS <= now_ms), "one alert per window");
                    in_window.push(now_ms);
                }
                in_window.retain(|at| at + WINDOW_MS > now_ms);
                prop_assert!(in_window.len() <= 2 * ALERTS_PER_WINDOW_MAX as usize);
                prop_assert!(windows.alerts <= ALERTS_PER_WINDOW_MAX);
                for entry in &entries {
                    let alert = alerts.get(entry.key.tenant_id.as_str()).copied();
                    let covers = |at: u64| at + WINDOW_MS > now_ms;
                    prop_assert!(alert.is_some_and(covers) || last_digest_ms.is_some_and(covers));
                }
                prop_assert!(item_bytes(&stored(&windows, now_ms)) < 4 * 1024);
            }
        }
    }

    #[test]
    fn a_group_has_one_alert_per_window_and_the_next_tells_what_was_held_back() {
        let mut windows = Windows::default();
        let one = fold(&[invalid("t", "type", "a", NOW_MS)]);
        assert_eq!(step(&mut windows, &one, NOW_MS).len(), 1);
        assert_eq!(step(&mut windows, &one, NOW_MS + 1).len(), 0);
        assert_eq!(step(&mut windows, &one, NOW_MS + WINDOW_MS - 1).len(), 0);
        let next = step(&mut windows, &one, NOW_MS + WINDOW_MS);
        assert_eq!((next[0]["count"].as_u64(), next[0]["suppressed"].as_u64()), (Some(1), Some(2)));
    }

    #[test]
    fn another_cause_is_another_group() {
        let mut windows = Windows::default();
        step(&mut windows, &fold(&[invalid("t", "type", "a", NOW_MS)]), NOW_MS);
        assert_eq!(step(&mut windows, &fold(&[invalid("t", "format", "a", NOW_MS)]), NOW_MS).len(), 1);
    }

    #[test]
    fn beyond_the_cap_one_digest_leaves_and_later_ones_are_carried_into_the_next() {
        let mut windows = Windows::default();
        let messages = step(&mut windows, &groups(30), NOW_MS);
        assert_eq!(messages.len(), 21);
        assert_eq!((messages[20]["kind"].as_str(), messages[20]["count"].as_u64()), (Some("digest"), Some(10)));
        let more = fold(&[invalid("another", "type", "e", NOW_MS)]);
        assert_eq!(step(&mut windows, &more, NOW_MS + 1).len(), 0);
        let later = step(&mut windows, &InvalidFold::default(), NOW_MS + WINDOW_MS);
        assert_eq!((later.len(), later[0]["suppressed"].as_u64()), (1, Some(1)));
        let text = later[0]["text"].as_str().unwrap();
        assert!(text.starts_with("1 INVALID entry held back in an earlier window"), "{text}");
        assert_eq!(step(&mut windows, &InvalidFold::default(), NOW_MS + WINDOW_MS + 1).len(), 0);
    }

    #[test]
    fn a_tenant_with_many_causes_does_not_take_the_places_of_the_others() {
        let mut entries: Vec<EntrySummary> =
            (0..40).map(|number| invalid("hostile", &format!("k{number}"), "e", NOW_MS)).collect();
        entries.push(invalid("quiet", "type", "e", NOW_MS));
        let messages = step(&mut Windows::default(), &fold(&entries), NOW_MS);
        assert!(messages.iter().any(|message| message["kind"] == "alert" && message["tenant_id"] == "quiet"));
    }

    #[test]
    fn places_reserved_for_alerts_that_never_left_hide_no_group() {
        let mut windows = Windows::default();
        let crashed = windows.plan(&groups(20), NOW_MS, WINDOW_MS);
        windows.reserve(&crashed.change);
        // The same again: no place is left, but a digest is, and it names them.
        let messages = step(&mut windows, &groups(20), NOW_MS + 1);
        let told: Vec<(Option<&str>, Option<u64>)> =
            messages.iter().map(|message| (message["kind"].as_str(), message["count"].as_u64())).collect();
        assert_eq!(told, [(Some("digest"), Some(20))]);
    }

    #[test]
    fn what_left_before_a_batch_stopped_is_remembered_and_nothing_else() {
        let mut windows = Windows::default();
        let plan = windows.plan(&groups(30), NOW_MS, WINDOW_MS);
        windows.reserve(&plan.change);
        windows.apply(&plan.change.of_messages(7));
        assert_eq!((windows.groups.len(), windows.digest_at_ms, windows.suppressed), (7, None, 0));
        // Seven left, the eighth perhaps.
        assert_eq!(windows.alerts, 8);
        let mut windows = Windows::default();
        windows.reserve(&plan.change);
        windows.apply(&plan.change.of_messages(21));
        assert_eq!((windows.groups.len(), windows.digest_at_ms, windows.alerts), (20, Some(NOW_MS), 20));
    }

    #[test]
    fn a_change_is_merged_into_what_another_instance_stored_meanwhile() {
        let (one, other) = (fold(&[invalid("a", "type", "e", NOW_MS)]), fold(&[invalid("b", "type", "e", NOW_MS)]));
        let read = Windows::default();
        let (plan, other_plan) = (read.plan(&one, NOW_MS, WINDOW_MS), read.plan(&other, NOW_MS, WINDOW_MS));
        let mut stored = read;
        for change in [&other_plan.change, &plan.change] {
            stored.reserve(change);
        }
        for change in [&other_plan.change, &plan.change] {
            stored.apply(change);
        }
        assert_eq!(stored.alerts, 2);
        for invalid in [one, other] {
            assert!(stored.plan(&invalid, NOW_MS + 1, WINDOW_MS).messages.is_empty());
        }
    }

    #[test]
    fn an_alert_names_up_to_five_events_and_the_command_to_run() {
        let entries: Vec<EntrySummary> =
            (0..9).map(|number| invalid("t", "type", &format!("e{number}"), NOW_MS + number)).collect();
        let message = &step(&mut Windows::default(), &fold(&entries), NOW_MS)[0];
        assert_eq!(message["event_ids"], json!(["e0", "e1", "e2", "e3", "e4"]));
        assert_eq!(message["last"]["sk"], "2026-01-15T09:30:00.000000000Z#e8");
        assert_eq!(message["next"], "ledgerctl explain t e0");
        assert_eq!(message["cause"]["pointer"], "/payload/labels/*");
        assert!(!message.to_string().contains("secret"));
    }

    #[test]
    fn messages_keep_the_limits_of_sns_whatever_the_ids_are() {
        let long = invalid(&format!("{}\u{27}$(x)", "t".repeat(120)), "type", "\u{fffe}é\u{1f600} '; rm", NOW_MS);
        let mut all = fold(&[long]);
        all.merge(groups(1_000));
        let plan = Windows::default().plan(&all, NOW_MS, WINDOW_MS);
        assert_eq!(plan.messages.len(), 21);
        for message in &plan.messages {
            assert!(message.subject.len() <= 100 && message.subject.starts_with('I'));
            assert!(message.subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            assert!(message.body.is_ascii() && message.body.len() < 64 * 1024, "{}", message.body.len());
            assert!(serde_json::from_str::<Value>(&message.body).is_ok());
        }
    }

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        let command = |tenant: &str, event_id| explain_command(&TenantId::parse(tenant).unwrap(), event_id);
        assert_eq!(command("tenant-a", "e1"), "ledgerctl explain tenant-a e1");
        assert_eq!(command("a$(b)", "it's; rm"), r"ledgerctl explain 'a$(b)' 'it'\''s; rm'");
        assert_eq!(command("-a", "e"), "ledgerctl explain -- -a e");
    }
}
