//! One batch of messages into the ledger: judge, claim, compare, record, answer. Two calls for an undisturbed batch.
//! Every message ends either with a durable outcome or in `Report::failed`, and an answer comes before the deadline
//! (G1, G12). Nothing is kept between batches.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
};

use ledger::{
    Attribute, Claim, ClaimKey, ContentHash, Entry, EntryKey, FailureClass, Item, Message, RawBody, Status,
    StoredClaim, Timestamp,
    entry::{attribute, claim_key_item, number_of, stored_content, whole_number_of},
    judge,
    ports::{Clock, Found, Inserted, Refusal, Table, Tables},
};
use tracing::warn;

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;
/// Time kept back from the deadline to answer in, on a small function's share of a CPU.
const ANSWER_MARGIN_MS: u64 = 1_000;
/// The same for a batch with a large body: between two looks at the clock lie the judging, making and signing of one, or
/// the reading and hashing of one that came back, and nothing can interrupt that.
const LARGE_ANSWER_MARGIN_MS: u64 = 2_000;
/// A call is not worth starting with less time than this.
const CALL_BUDGET_MIN_MS: u64 = 100;
/// DynamoDB answers throttling per statement, with HTTP 200, which the SDK does not try again: we do, this often.
const RESENDS_MAX: u32 = 3;
/// Full jitter: a resend waits a random time below a bound that doubles from the first to the last.
const BACKOFF_FIRST_MS: u64 = 50;
const BACKOFF_LAST_MS: u64 = 1_000;
/// DynamoDB takes 25 statements a request ("BatchExecuteStatement"), and 100 keys ("BatchGetItem").
const STATEMENTS_MAX: usize = 25;
const READ_KEYS_MAX: usize = 100;
/// Bodies beyond this size are large. Their entries are not kept from judging to recording but judged again when their
/// turn comes, so that a batch of worst-case bodies is never in memory as trees at once, and each travels in a request of
/// its own (G12).
const LARGE_BODY_BYTES: usize = 16 * 1024;
/// Bodies in one request: making one must take a fraction of the answer's margin on a small function.
const REQUEST_BYTES_MAX: usize = 512 * 1024;
const _: () = assert!(STATEMENTS_MAX * LARGE_BODY_BYTES <= REQUEST_BYTES_MAX);

const SECONDS_PER_DAY: u64 = 86_400;

/// How long rows live, and which of them the status index lists.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// 0: for ever.
    pub claim_ttl_days: u64,
    /// 0: for ever.
    pub entry_ttl_days: u64,
    /// Whether READY entries are listed in the status index, as INVALID ones always are.
    pub is_ready_indexed: bool,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    Invalid(FailureClass),
    /// Recorded for an earlier claim that had no entry, with this class of failure if it is INVALID.
    Finished(Option<FailureClass>),
    /// An equal event is in the ledger, brought by another message.
    Duplicate,
    /// An earlier delivery of this very message was recorded.
    Redelivery,
    /// The same, for a claim so old that its entry may have been there and expired, or may never have been: there is no
    /// telling, and an entry too many is the cheaper error.
    ExpiredClaim(Option<FailureClass>),
    /// Nothing is certain: SQS must deliver it again.
    Failed {
        code: Cow<'static, str>,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the messages.
    pub outcomes: Vec<Outcome>,
    /// Whose each message is: the tenant and the event id that the ledger knows it by.
    pub keys: Vec<EntryKey>,
    /// The messages to deliver again: those that failed, and all later ones of their groups (G5).
    pub failed: Vec<usize>,
    /// Envelopes that state another tenant than their message group.
    pub group_mismatches: usize,
}

/// Opens the connection before the first batch needs it: a handshake on a small function's CPU costs the better part of
/// a second, and INIT is boosted.
pub async fn warm_up<T: Tables>(tables: &T) {
    // No claim has this key: theirs hold a separator.
    let absent = Item::from([(attribute::PK.to_owned(), Attribute::S("_warm-up".to_owned()))]);
    if let Err(refusal) = tables.read(Table::Claims, vec![absent], WARM_UP_BUDGET_MS).await {
        warn!(?refusal, "warm-up failed, the first batch opens the connection");
    }
}

/// Processes one batch; `deadline_ms` is when Lambda ends the invocation.
pub async fn process<T: Tables, C: Clock>(
    tables: &T,
    clock: &C,
    settings: Settings,
    messages: &[Message],
    deadline_ms: u64,
) -> Report {
    let now_ms = clock.now_ms();
    let margin_ms = if messages.iter().any(is_large) { LARGE_ANSWER_MARGIN_MS } else { ANSWER_MARGIN_MS };
    let world = World { tables, clock, answer_by_ms: deadline_ms.saturating_sub(margin_ms) };
    let cases = messages.iter().map(|message| Case::new(message, now_ms)).collect();
    let mut batch = Batch { settings, now_ms, cases, failed_from: HashMap::new(), heaviest: HashMap::new() };
    let claims = batch.claim(&world).await;
    let statements = batch.plan(&claims);
    batch.record(&world, statements).await;
    batch.report()
}

fn is_large(message: &Message) -> bool {
    message.body.len() > LARGE_BODY_BYTES
}

/// The ports, and the time there is to use them.
struct World<'w, T, C> {
    tables: &'w T,
    clock: &'w C,
    answer_by_ms: u64,
}

/// One message on its way through the batch.
struct Case<'m> {
    message: &'m Message,
    claim_key: Option<ClaimKey>,
    content: ContentHash,
    key: EntryKey,
    event_type: Option<String>,
    sequence_number: Option<String>,
    is_group_mismatch: bool,
    /// Its entry as judged, until it is recorded.
    entry: Option<Entry>,
    /// The class of failure it was last sent to the ledger with; none for a READY entry.
    recorded_as: Option<FailureClass>,
    outcome: Option<Outcome>,
}

/// A claim that stands, ours or an earlier one.
struct Winner {
    /// The entry it claims.
    key: EntryKey,
    content: ContentHash,
    created_at: Option<Timestamp>,
    sequence_number: Option<String>,
    /// It was inserted for this batch.
    is_fresh: bool,
}

/// How the claim of one id ended.
enum Claimed {
    Won(Winner),
    /// The Go system made it, in one transaction with its entry.
    WithItsEntry,
    Failed {
        code: Cow<'static, str>,
    },
}

impl Claimed {
    /// What a claim that was there before says.
    fn stored(key: &ClaimKey, claim: StoredClaim) -> Self {
        let entry = claim.sk.as_deref().map(|sk| EntryKey::claimed(key, sk));
        match (entry, claim.content) {
            (None, None) => Self::WithItsEntry,
            (Some(Some(key)), Some(content)) => Self::Won(Winner {
                key,
                content,
                created_at: claim.created_at,
                sequence_number: claim.sequence_number,
                is_fresh: false,
            }),
            // Somebody has changed it: which entry it stands for cannot be told.
            _ => Self::Failed { code: Cow::Borrowed("UnreadableClaim") },
        }
    }
}

/// One insert into the ledger, and the messages whose outcome hangs on it.
struct Statement {
    key: EntryKey,
    case: usize,
    /// Its place in the order, never before a statement on which an earlier message of its group hangs.
    weight: usize,
    known: Known,
    /// Other content has the id: the entry is a conflict, and `key` is a conflict's.
    is_conflict: bool,
    /// DynamoDB refused the typed form: the body is kept raw.
    is_refused: bool,
    origin: Origin,
    /// The claim was made by this very message.
    is_redelivery: bool,
    /// Messages with equal content.
    twins: Vec<usize>,
}

/// For whose claim an entry is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// For one that this batch made, or for none.
    Own,
    /// For one that was there before.
    Earlier,
    /// For one that was there before and is older than an entry lives.
    Expired,
}

/// What is known of the entry that a statement would insert.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Its claim is new: it is not there, unless it was left by a claim that has expired.
    Nothing,
    /// Its claim was there before: it may be there, and a failed insert would be charged by the size of the item.
    Perhaps,
    /// It was looked for.
    Absent,
    /// An insert found its key taken, by itself or by other content.
    Taken,
}

impl Statement {
    fn is_to_read(&self) -> bool {
        matches!(self.known, Known::Perhaps | Known::Taken)
    }
}

struct Batch<'m> {
    settings: Settings,
    now_ms: u64,
    cases: Vec<Case<'m>>,
    /// The first message that failed of each group: later ones are left alone (G5).
    failed_from: HashMap<&'m str, usize>,
    /// The largest weight of each group so far.
    heaviest: HashMap<&'m str, usize>,
}

impl<'m> Case<'m> {
    fn new(message: &'m Message, now_ms: u64) -> Self {
        let judged = judge(message, now_ms);
        Self {
            message,
            claim_key: judged.claim_key,
            content: judged.content,
            key: judged.entry.key.clone(),
            event_type: judged.entry.event_type.clone(),
            sequence_number: judged.entry.sequence_number.clone(),
            is_group_mismatch: judged.is_group_mismatch,
            entry: (!is_large(message)).then_some(judged.entry),
            recorded_as: None,
            outcome: None,
        }
    }

    /// The entry as judged. Judging is pure, so doing it again gives the same.
    fn take_entry(&mut self, now_ms: u64) -> Entry {
        self.entry.take().unwrap_or_else(|| judge(self.message, now_ms).entry)
    }
}

impl<'m> Batch<'m> {
    /// Claims each id once, for the first message that brings it, and reads back the claims that were there.
    async fn claim<T: Tables, C: Clock>(&self, world: &World<'_, T, C>) -> BTreeMap<ClaimKey, Claimed> {
        let mut owners: Vec<(usize, &ClaimKey)> = Vec::new();
        let mut seen = HashSet::new();
        for (index, case) in self.cases.iter().enumerate() {
            if let Some(key) = &case.claim_key
                && seen.insert(key)
            {
                owners.push((index, key));
            }
        }
        let created_at = Timestamp::from_clock_ms(self.now_ms);
        let claims: Vec<Claim> =
            owners.iter().map(|(index, key)| self.claim_of(*index, key, created_at.clone())).collect();
        let inserted = world.insert_all(Table::Claims, claims.len(), |at| claims[at].to_item()).await;

        let mut claimed = BTreeMap::new();
        let mut taken = Vec::new();
        for ((index, key), (inserted, claim)) in owners.into_iter().zip(inserted.into_iter().zip(claims)) {
            let end = match inserted {
                Inserted::Done => Claimed::Won(Winner {
                    key: self.cases[index].key.clone(),
                    content: claim.content,
                    created_at: Some(claim.created_at),
                    sequence_number: claim.sequence_number,
                    is_fresh: true,
                }),
                // Every part of a claim is bounded, so no content makes DynamoDB refuse one: the table is wrong.
                Inserted::Refused(Refusal::Content) => Claimed::Failed { code: Cow::Borrowed("ClaimRefused") },
                Inserted::Refused(Refusal::Transient { code }) => Claimed::Failed { code },
                Inserted::Exists => {
                    taken.push(key.clone());
                    continue;
                }
            };
            claimed.insert(key.clone(), end);
        }
        let keys = taken.iter().map(claim_key_item).collect();
        let stored = world.read_all(Table::Claims, keys).await;
        for (key, stored) in taken.into_iter().zip(stored) {
            let end = match stored {
                Ok(Some(item)) => Claimed::stored(&key, StoredClaim::from_item(&item)),
                Ok(None) => Claimed::Failed { code: VANISHED },
                Err(code) => Claimed::Failed { code },
            };
            claimed.insert(key, end);
        }
        claimed
    }

    fn claim_of(&self, index: usize, key: &ClaimKey, created_at: Timestamp) -> Claim {
        let case = &self.cases[index];
        Claim {
            key: key.clone(),
            created_at,
            event_type: case.event_type.clone(),
            ttl: expiry(self.now_ms / 1000, self.settings.claim_ttl_days),
            sk: case.key.sk.clone(),
            content: case.content,
            sequence_number: case.sequence_number.clone(),
        }
    }

    /// Decides for each message what is to be written for it, if anything. Statements have different keys: equal
    /// content shares one, unequal content becomes a conflict.
    fn plan(&mut self, claims: &BTreeMap<ClaimKey, Claimed>) -> Vec<Statement> {
        let mut statements = Vec::new();
        for index in 0..self.cases.len() {
            if self.is_group_failed(index) {
                continue;
            }
            let case = &self.cases[index];
            let claim = case.claim_key.as_ref().and_then(|key| claims.get(key));
            match claim {
                Some(Claimed::Failed { code }) => self.fail(index, code.clone()),
                Some(Claimed::WithItsEntry) => self.cases[index].outcome = Some(Outcome::Duplicate),
                Some(Claimed::Won(winner)) => self.place(self.claimed_statement(index, winner), &mut statements),
                None => self.place(self.statement(index, case.key.clone()), &mut statements),
            }
        }
        statements
    }

    /// An insert of an entry as it was judged.
    fn statement(&self, case: usize, key: EntryKey) -> Statement {
        Statement {
            key,
            case,
            weight: 0,
            known: Known::Nothing,
            is_conflict: false,
            is_refused: false,
            origin: Origin::Own,
            is_redelivery: false,
            twins: Vec::new(),
        }
    }

    /// An insert under a claim that stands.
    fn claimed_statement(&self, index: usize, winner: &Winner) -> Statement {
        let case = &self.cases[index];
        // Where the claim says: this message may state another time than the one that claimed.
        let mut statement = self.statement(index, winner.key.clone());
        if !winner.is_fresh {
            statement.known = Known::Perhaps;
            statement.origin = self.origin(winner);
            statement.is_redelivery = case.sequence_number.is_some() && case.sequence_number == winner.sequence_number;
        }
        if winner.content != case.content {
            self.turn_into_conflict(&mut statement);
        }
        statement
    }

    /// Whether an entry made when the claim was made would still live.
    fn origin(&self, winner: &Winner) -> Origin {
        let claimed_at = winner.created_at.as_ref().and_then(|at| u64::try_from(at.epoch_seconds()).ok());
        match claimed_at.and_then(|at| expiry(at, self.settings.entry_ttl_days)) {
            Some(ttl) if ttl <= self.now_ms / 1000 => Origin::Expired,
            _ => Origin::Earlier,
        }
    }

    /// Adds a statement, or joins the one of equal content; unequal content under the same key is a conflict.
    fn place(&mut self, mut statement: Statement, statements: &mut Vec<Statement>) {
        while let Some(other) = statements.iter_mut().find(|other| other.key == statement.key) {
            if self.cases[other.case].content == self.cases[statement.case].content {
                other.twins.push(statement.case);
                self.weigh(statement.case, other.weight);
                return;
            }
            if statement.is_conflict {
                return self.fail_statement(&statement, CONFLICT_KEY_TAKEN);
            }
            self.turn_into_conflict(&mut statement);
        }
        statement.weight = self.weigh(statement.case, self.cases[statement.case].message.body.len());
        statements.push(statement);
    }

    /// The weight of a message of `bytes`, or of one that hangs on a statement of that weight: that of the heaviest so
    /// far of its group. Messages are weighed in their order.
    fn weigh(&mut self, case: usize, bytes: usize) -> usize {
        let message = self.cases[case].message;
        let Some(group) = &message.group_id else { return bytes };
        let heaviest = self.heaviest.entry(group).or_default();
        *heaviest = bytes.max(*heaviest);
        *heaviest
    }

    /// Other content has the statement's key, or is to have it.
    fn turn_into_conflict(&self, statement: &mut Statement) {
        statement.key = statement.key.conflict(self.cases[statement.case].content);
        statement.is_conflict = true;
        statement.origin = Origin::Own;
        if statement.known == Known::Taken {
            statement.known = Known::Nothing;
        }
    }

    /// Records what the statements say, the lightest first: should time run out, then for those who used it up. Never a
    /// message before an earlier one of its group: only a prefix of a group can be acknowledged, so what is recorded
    /// behind a gap would be done in vain each time the batch comes.
    async fn record<T: Tables, C: Clock>(&mut self, world: &World<'_, T, C>, statements: Vec<Statement>) {
        let mut waiting = statements;
        loop {
            self.leave_behind(&mut waiting);
            waiting.sort_by_key(|statement| (statement.weight, statement.case));
            let chunk = self.cut(&mut waiting);
            if chunk.is_empty() {
                return;
            }
            let again = if chunk.iter().any(Statement::is_to_read) {
                self.compare_chunk(world, chunk).await
            } else {
                self.insert_chunk(world, chunk).await
            };
            waiting.extend(again);
        }
    }

    /// Gives up what waits behind a failed message of its group.
    fn leave_behind(&mut self, waiting: &mut Vec<Statement>) {
        while let Some(at) = waiting.iter().position(|statement| self.is_group_failed(statement.case)) {
            let statement = waiting.remove(at);
            self.fail_statement(&statement, GROUP_FAILED);
        }
    }

    /// Takes from the front what travels together: ordinary bodies, or what may be large by itself, so that it delays its
    /// like alone and the clock is looked at between them. What stands under a taken key is anybody's, of any size.
    fn cut(&self, waiting: &mut Vec<Statement>) -> Vec<Statement> {
        let is_large =
            |statement: &Statement| statement.known == Known::Taken || is_large(self.cases[statement.case].message);
        let ordinary = waiting.iter().take_while(|statement| !is_large(statement)).count();
        waiting.drain(..ordinary.max(1).min(waiting.len())).collect()
    }

    /// Reads what stands under the keys of those that may have an entry; an equal one settles its statement. Returns
    /// those that are still to be recorded.
    async fn compare_chunk<T: Tables, C: Clock>(
        &mut self,
        world: &World<'_, T, C>,
        chunk: Vec<Statement>,
    ) -> Vec<Statement> {
        let (read, mut again): (Vec<_>, Vec<_>) = chunk.into_iter().partition(Statement::is_to_read);
        let keys = read.iter().map(|statement| statement.key.to_item()).collect();
        let stored = world.read_all(Table::Entries, keys).await;
        for (mut statement, stored) in read.into_iter().zip(stored) {
            match stored {
                Err(code) => self.fail_statement(&statement, code),
                Ok(None) if statement.known == Known::Taken => self.fail_statement(&statement, VANISHED),
                Ok(None) => {
                    statement.known = Known::Absent;
                    again.push(statement);
                }
                // Whose entry it is, is read, not assumed.
                Ok(Some(item)) if stored_content(&item) == Some(self.cases[statement.case].content) => {
                    let outcome = self.found(&statement, &item);
                    self.settle(&statement, outcome);
                }
                Ok(Some(_)) if statement.is_conflict => self.fail_statement(&statement, CONFLICT_KEY_TAKEN),
                Ok(Some(_)) => {
                    self.turn_into_conflict(&mut statement);
                    again.push(statement);
                }
            }
        }
        again
    }

    /// Inserts entries; returns the statements that are to be read, or tried in another form.
    async fn insert_chunk<T: Tables, C: Clock>(
        &mut self,
        world: &World<'_, T, C>,
        chunk: Vec<Statement>,
    ) -> Vec<Statement> {
        let inserted = world.insert_all(Table::Entries, chunk.len(), |at| self.item(&chunk[at])).await;
        let mut again = Vec::new();
        for (mut statement, inserted) in chunk.into_iter().zip(inserted) {
            match inserted {
                Inserted::Done => {
                    let outcome = self.recorded(&statement);
                    self.settle(&statement, outcome);
                }
                Inserted::Exists => {
                    statement.known = Known::Taken;
                    again.push(statement);
                }
                Inserted::Refused(Refusal::Content) if statement.is_refused => {
                    self.fail_statement(&statement, Cow::Borrowed("RawRefused"));
                }
                Inserted::Refused(Refusal::Content) => {
                    statement.is_refused = true;
                    again.push(statement);
                }
                Inserted::Refused(Refusal::Transient { code }) => self.fail_statement(&statement, code),
            }
        }
        again
    }

    fn item(&mut self, statement: &Statement) -> Item {
        let case = &mut self.cases[statement.case];
        let (content, body) = (case.content, &case.message.body);
        let entry = case.take_entry(self.now_ms);
        let key = statement.key.clone();
        let entry = if statement.is_refused { entry.into_refused(RawBody::new(body, content)) } else { entry };
        let mut entry = if statement.is_conflict { entry.into_conflict(key) } else { Entry { key, ..entry } };
        entry.ttl = expiry(self.now_ms / 1000, self.settings.entry_ttl_days);
        entry.is_indexed = self.settings.is_ready_indexed || entry.status != Status::Ready;
        let entry = entry.fitting(body, content);
        case.recorded_as = match &entry.status {
            Status::Ready => None,
            Status::Invalid(failure) => Some(failure.class),
        };
        entry.into_item()
    }
}

/// Seconds since the epoch at which a row may be deleted; 0 days: never.
fn expiry(from_seconds: u64, ttl_days: u64) -> Option<u64> {
    (ttl_days > 0).then(|| from_seconds + ttl_days * SECONDS_PER_DAY)
}

impl Batch<'_> {
    /// What a statement that was inserted means for the message it was made for.
    fn recorded(&self, statement: &Statement) -> Outcome {
        let case = &self.cases[statement.case];
        match (statement.origin, case.recorded_as) {
            (Origin::Expired, class) => Outcome::ExpiredClaim(class),
            (Origin::Earlier, class) => Outcome::Finished(class),
            (Origin::Own, None) => Outcome::Ready,
            (Origin::Own, Some(class)) => Outcome::Invalid(class),
        }
    }

    /// What an equal entry that was there already means.
    fn found(&self, statement: &Statement, stored: &Item) -> Outcome {
        let case = &self.cases[statement.case];
        let is_this_message =
            case.sequence_number.is_some() && case.sequence_number == number_of(stored, attribute::SEQUENCE_NUMBER);
        let retries = whole_number_of(stored, attribute::RETRIES);
        if statement.known == Known::Taken
            && is_this_message
            && retries == Some(u64::from(case.message.receive_count.saturating_sub(1)))
        {
            // Inserted just now, and the answer was lost.
            return self.recorded(statement);
        }
        if is_this_message || statement.is_redelivery { Outcome::Redelivery } else { Outcome::Duplicate }
    }

    fn settle(&mut self, statement: &Statement, outcome: Outcome) {
        for &twin in &statement.twins {
            self.cases[twin].outcome = Some(Outcome::Duplicate);
        }
        self.cases[statement.case].outcome = Some(outcome);
    }

    fn fail_statement(&mut self, statement: &Statement, code: Cow<'static, str>) {
        for &index in statement.twins.iter().chain([&statement.case]) {
            self.fail(index, code.clone());
        }
    }

    fn fail(&mut self, index: usize, code: Cow<'static, str>) {
        self.cases[index].outcome = Some(Outcome::Failed { code });
        let message = self.cases[index].message;
        if let Some(group) = &message.group_id {
            let first = self.failed_from.entry(group).or_insert(index);
            *first = index.min(*first);
        }
    }

    fn is_group_failed(&self, index: usize) -> bool {
        let group = self.cases[index].message.group_id.as_deref();
        group.and_then(|group| self.failed_from.get(group)).is_some_and(|&first| first < index)
    }

    /// A message that failed is reported with every later one of its group, recorded or not (G5).
    fn report(self) -> Report {
        let mut report = Report::default();
        let mut failed_groups = HashSet::new();
        for (index, case) in self.cases.into_iter().enumerate() {
            let group = case.message.group_id.as_deref();
            // Without an outcome it was left alone behind a failed one of its group.
            let outcome = case.outcome.unwrap_or(Outcome::Failed { code: GROUP_FAILED });
            let is_failed = matches!(outcome, Outcome::Failed { .. });
            if is_failed && let Some(group) = group {
                failed_groups.insert(group);
            }
            if is_failed || group.is_some_and(|group| failed_groups.contains(group)) {
                report.failed.push(index);
            }
            report.group_mismatches += usize::from(case.is_group_mismatch);
            report.outcomes.push(outcome);
            report.keys.push(case.key);
        }
        report
    }
}

impl<T: Tables, C: Clock> World<'_, T, C> {
    /// Inserts `count` items, sending those again that were refused for the moment; `item` makes each as often as it
    /// is sent.
    async fn insert_all(&self, table: Table, count: usize, mut item: impl FnMut(usize) -> Item) -> Vec<Inserted> {
        let mut inserted = vec![Inserted::Refused(Refusal::Transient { code: DEADLINE }); count];
        let mut pending: Vec<usize> = (0..count).collect();
        for attempt in 0..=RESENDS_MAX {
            if pending.is_empty() || !self.wait_before(attempt).await {
                break;
            }
            for request in pending.chunks(STATEMENTS_MAX) {
                self.insert_once(table, request, &mut item, &mut inserted).await;
            }
            pending.retain(|&at| matches!(inserted[at], Inserted::Refused(Refusal::Transient { .. })));
        }
        inserted
    }

    /// One request; where DynamoDB finds fault with the request as a whole, one for each item.
    async fn insert_once(
        &self,
        table: Table,
        request: &[usize],
        item: &mut impl FnMut(usize) -> Item,
        inserted: &mut [Inserted],
    ) {
        let items = request.iter().map(|&at| item(at)).collect();
        // Looked at after the items are made: large ones take a while.
        let Some(budget_ms) = self.budget_ms() else { return };
        match self.tables.insert(table, items, budget_ms).await {
            Ok(answers) => request.iter().zip(answers).for_each(|(&at, answer)| inserted[at] = answer),
            Err(Refusal::Content) if request.len() > 1 => {
                for &at in request {
                    Box::pin(self.insert_once(table, &[at], item, inserted)).await;
                }
            }
            Err(refusal) => request.iter().for_each(|&at| inserted[at] = Inserted::Refused(refusal.clone())),
        }
    }

    /// Reads items, `None` where there is none; what cannot be read is an error code.
    async fn read_all(&self, table: Table, keys: Vec<Item>) -> Vec<Result<Option<Item>, Cow<'static, str>>> {
        let mut found: Vec<_> = keys.iter().map(|_| Err(DEADLINE)).collect();
        let mut pending: Vec<usize> = (0..keys.len()).collect();
        for attempt in 0..=RESENDS_MAX {
            if pending.is_empty() || !self.wait_before(attempt).await {
                break;
            }
            for request in pending.chunks(READ_KEYS_MAX) {
                self.read_once(table, request, &keys, &mut found).await;
            }
            pending.retain(|&at| found[at].is_err());
        }
        found
    }

    /// One request.
    async fn read_once(
        &self,
        table: Table,
        request: &[usize],
        keys: &[Item],
        found: &mut [Result<Option<Item>, Cow<'static, str>>],
    ) {
        let Some(budget_ms) = self.budget_ms() else { return };
        let asked = request.iter().map(|&at| keys[at].clone()).collect();
        match self.tables.read(table, asked, budget_ms).await {
            Ok(answers) => {
                for (&at, answer) in request.iter().zip(answers) {
                    found[at] = match answer {
                        Found::Item(item) => Ok(Some(item)),
                        Found::Absent => Ok(None),
                        Found::Unprocessed => Err(Cow::Borrowed("Unprocessed")),
                    };
                }
            }
            Err(refusal) => request.iter().for_each(|&at| found[at] = Err(refusal.code())),
        }
    }

    /// Waits before a resend; false if there would be no time left after it.
    async fn wait_before(&self, attempt: u32) -> bool {
        if attempt > 0 {
            let bound = (BACKOFF_FIRST_MS << (attempt - 1)).min(BACKOFF_LAST_MS);
            let pause_ms = self.clock.random_below(bound);
            if self.budget_ms().is_none_or(|left| left < pause_ms + CALL_BUDGET_MIN_MS) {
                return false;
            }
            self.clock.sleep_ms(pause_ms).await;
        }
        self.budget_ms().is_some()
    }

    /// Time for one more call, if it is enough for one.
    fn budget_ms(&self) -> Option<u64> {
        let left = self.answer_by_ms.saturating_sub(self.clock.now_ms());
        (left >= CALL_BUDGET_MIN_MS).then_some(left)
    }
}

/// A conflict's key holds the hash of its content. Where it has other content, somebody has changed the tables.
const CONFLICT_KEY_TAKEN: Cow<'static, str> = Cow::Borrowed("ConflictKeyTaken");
/// What was there is not any more: only a later delivery can find out what holds now.
const VANISHED: Cow<'static, str> = Cow::Borrowed("Vanished");
/// An earlier message of its group failed.
const GROUP_FAILED: Cow<'static, str> = Cow::Borrowed("GroupFailed");
const DEADLINE: Cow<'static, str> = Cow::Borrowed("Deadline");
