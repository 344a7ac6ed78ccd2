//! Ten thousand lives of the ledger and of its stream, each from a seed: appended, revalidated, changed by strangers,
//! written by the Go system, expired, spoiled; shards split; batches delivered again, overlapping, cut anew, out of order and long after they were
//! done; calls refused, busy, hanging, their answers lost, and a crash between any two of them. `HISTORY_SEED=<n>` runs
//! one alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use ledger::{
    FailureClass,
    alert::ALERTS_PER_WINDOW_MAX,
    item::whole_number_of,
    metric::{Metric, dimension},
    metric_tenants::TenantBudget,
    projection::{
        EntryFields, EntrySummary, FailureSummary, Place, Projection, SequenceNumber, Verdict,
        keys::{ProjectionKey, RECORDS},
    },
};
use projector::{Batch, Change, Outcome, Record, Settings};
use testkit::alerts::{AlertBook, Told};

use crate::{
    TIMEOUT_MS, unreadable,
    world::{Fault, Random, World},
};

const HISTORIES: u64 = 10_000;
/// 2026-01-16T00:00:00Z: histories lie around the change of a day.
const MIDNIGHT_MS: u64 = 1_768_521_600_000;
const STEPS: u64 = 14;

#[test]
#[expect(clippy::disallowed_methods, reason = "a person names one history there")]
fn after_ten_thousand_histories_counts_equal_the_fold_of_the_ledger_and_every_invalid_entry_is_covered() {
    if let Some(seed) = std::env::var("HISTORY_SEED").ok().and_then(|seed| seed.parse().ok()) {
        println!("{:?}", History::run(seed));
        return;
    }
    let next = AtomicU64::new(0);
    let work = || {
        let mut totals = Totals::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= HISTORIES {
                return totals;
            }
            let _announced = Announced(seed);
            totals.add(&History::run(seed));
        }
    };
    let totals = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        let mut totals = Totals::default();
        for worker in workers {
            totals.add(&worker.join().expect("the seed above shows why"));
        }
        totals
    });
    println!("{HISTORIES} histories: {totals:?}");
    // A history that exercises nothing proves nothing.
    assert!(totals.entries > 30 * HISTORIES && totals.faults > HISTORIES && totals.crashes > HISTORIES / 2);
    assert!(totals.splits > HISTORIES / 2 && totals.digests > HISTORIES / 10 && totals.passed_over > HISTORIES / 4);
}

/// Names the seed of a history that fails.
struct Announced(u64);

impl Drop for Announced {
    #[expect(clippy::print_stderr, reason = "the person who runs the test reads it")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this history fails: HISTORY_SEED={}", self.0);
        }
    }
}

/// What histories consisted of.
#[derive(Debug, Default)]
struct Totals {
    entries: u64,
    invocations: u64,
    faults: u64,
    crashes: u64,
    splits: u64,
    /// Batches delivered again after they were done.
    passed_over: u64,
    alerts: u64,
    digests: u64,
    item_bytes_max: usize,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.invocations += other.invocations;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.splits += other.splits;
        self.passed_over += other.passed_over;
        self.alerts += other.alerts;
        self.digests += other.digests;
        self.item_bytes_max = self.item_bytes_max.max(other.item_bytes_max);
    }
}

struct History {
    random: Random,
    world: World,
    settings: Settings,
    tenants: u64,
    has_faults: bool,
    /// As it stands in the table.
    ledger: Vec<EntrySummary>,
    unreadable: u64,
    shards: Vec<Shard>,
    sequence: u64,
    told: Listener,
    totals: Totals,
}

#[derive(Default)]
struct Shard {
    parent: Option<usize>,
    children: Option<[usize; 2]>,
    records: Vec<Record>,
    done: usize,
}

/// What was published so far.
struct Listener {
    messages: usize,
    book: AlertBook,
    /// By the start of the window they left in.
    alerts: BTreeMap<u64, u64>,
    digests: BTreeMap<u64, u64>,
    unfinished: BTreeMap<u64, u64>,
    /// Entries told of.
    entries: u64,
}

impl Listener {
    fn new(alert_window_ms: u64) -> Self {
        Self {
            messages: 0,
            book: AlertBook::new(alert_window_ms),
            alerts: BTreeMap::new(),
            digests: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            entries: 0,
        }
    }
}

impl History {
    fn run(seed: u64) -> Totals {
        let mut random = Random::of(seed);
        let has_faults = !random.is_one_of(4);
        let world = World::at(MIDNIGHT_MS - random.below(600_000));
        let tenants = *random.pick(&[2, 6, 60]);
        let settings = Settings {
            tenant_budget: TenantBudget::FirstCome { places_max: *random.pick(&[2, 100]) },
            alert_window_ms: *random.pick(&[60_000, 300_000]),
        };
        let mut history = Self {
            tenants,
            has_faults,
            world,
            ledger: Vec::new(),
            unreadable: 0,
            shards: vec![Shard::default(), Shard::default()],
            sequence: 0,
            told: Listener::new(settings.alert_window_ms),
            settings,
            totals: Totals::default(),
            random,
        };
        if has_faults {
            let calls = history.random.below(150);
            history.world.state().faults = (0..calls).map(|_| history.fault()).collect();
        }
        for _ in 0..STEPS {
            history.live();
            if history.random.is_one_of(2) {
                history.deliver();
            }
        }
        while history.shards.iter().any(|shard| shard.done < shard.records.len()) {
            history.deliver();
        }
        history.check();
        history.totals
    }

    fn fault(&mut self) -> Fault {
        const FAULTS: [Fault; 6] =
            [Fault::Refused, Fault::AnswerLost, Fault::Busy, Fault::Hangs, Fault::CrashBefore, Fault::CrashAfter];
        if self.random.is_one_of(5) { *self.random.pick(&FAULTS) } else { Fault::None }
    }

    /// One step in the life of the ledger.
    fn live(&mut self) {
        let pause_ms = *self.random.pick(&[100, 2_000, 2_000, 20_000, 400_000]);
        self.world.state().now_ms += self.random.below(pause_ms);
        match self.random.below(16) {
            0..=8 => self.append(),
            9..=11 => self.revalidate(),
            12 => {
                let change = if self.random.is_one_of(2) { Change::Removed } else { Change::Older };
                let root = self.random.below(2);
                self.push(self.root(root), change);
            }
            13 => {
                let Change::Unreadable(spoiled) = unreadable(0).change else { return };
                self.unreadable += 1;
                self.push(self.root(1), Change::Unreadable(spoiled));
            }
            14 => self.touch(),
            _ => self.split(),
        }
    }

    /// Appends a few entries, which the stream may give in any order.
    fn append(&mut self) {
        let mut entries: Vec<EntrySummary> = (0..1 + self.random.below(5)).map(|_| self.entry()).collect();
        if self.random.is_one_of(12) {
            entries.extend((0..self.random.below(50)).map(|_| self.entry()));
        }
        self.ledger.extend(entries.iter().cloned());
        self.shuffle(&mut entries);
        for entry in entries {
            self.totals.entries += 1;
            let shard = self.shard_of(entry.key.tenant_id.as_str());
            self.push(shard, Change::Appended(entry));
        }
    }

    fn entry(&mut self) -> EntrySummary {
        let id = self.ledger.len() as u64 * 100 + self.random.below(100);
        let is_ready = self.random.is_one_of(2);
        let event_type = *self.random.pick(&[Some("user.created"), Some("monitoring"), Some("no.schema"), None]);
        let (class, pointer, keyword) = *self.random.pick(&[
            (FailureClass::SchemaViolation, "/payload/email", "format"),
            (FailureClass::SchemaViolation, "/payload/level", "enum"),
            (FailureClass::SchemaViolation, "/payload/labels/secret/0", "type"),
            (FailureClass::UnknownEventType, "/event_type", "enum"),
            (FailureClass::Conflict, "", ""),
        ]);
        let places = vec![Place { pointer: pointer.to_owned(), keyword: keyword.to_owned() }];
        let failure = FailureSummary { class: Some(class), places };
        let now_ms = self.world.state().now_ms;
        EntrySummary::new(EntryFields {
            tenant_id: Some(format!("tenant-{}", self.random.below(self.tenants))),
            sk: Some(format!("2026-01-15T23:50:00.000000000Z#event-{id}")),
            // What is READY has a schema.
            event_type: event_type.filter(|name| !is_ready || *name != "no.schema").map(str::to_owned),
            status: Some(if is_ready { "READY" } else { "INVALID" }.to_owned()),
            ingested_at: Some((now_ms - self.random.below(3_000)).to_string()),
            has_sequence_number: true,
            failure: (!is_ready).then_some(failure),
            payload_bytes: self.random.below(1_000),
            is_revalidated: false,
        })
        .unwrap()
    }

    fn revalidate(&mut self) {
        let invalid: Vec<usize> =
            (0..self.ledger.len()).filter(|&at| self.ledger[at].verdict == Verdict::Invalid).collect();
        if invalid.is_empty() {
            return;
        }
        let entry = &mut self.ledger[*self.random.pick(&invalid)];
        entry.verdict = Verdict::Ready;
        entry.is_revalidated = true;
        let entry = entry.clone();
        let shard = self.shard_of(entry.key.tenant_id.as_str());
        self.push(shard, Change::of_modify(Ok(entry)).unwrap());
    }

    /// Somebody changes an entry that is not revalidated.
    fn touch(&mut self) {
        let untouched: Vec<&EntrySummary> = self.ledger.iter().filter(|entry| !entry.is_revalidated).collect();
        if untouched.is_empty() {
            return;
        }
        let entry = (*self.random.pick(&untouched)).clone();
        let shard = self.shard_of(entry.key.tenant_id.as_str());
        self.push(shard, Change::of_modify(Ok(entry)).unwrap());
    }

    fn split(&mut self) {
        let open: Vec<usize> = (0..self.shards.len()).filter(|&shard| self.shards[shard].children.is_none()).collect();
        if open.len() >= 6 {
            return;
        }
        let parent = *self.random.pick(&open);
        let first = self.shards.len();
        self.shards[parent].children = Some([first, first + 1]);
        self.shards.extend([0, 1].map(|_| Shard { parent: Some(parent), ..Shard::default() }));
        self.totals.splits += 1;
    }

    fn push(&mut self, shard: usize, change: Change) {
        self.sequence += 1 + self.random.below(20);
        let sequence = SequenceNumber::parse(&self.sequence.to_string());
        let written_at_ms = Some(self.world.state().now_ms);
        self.shards[shard].records.push(Record { sequence, written_at_ms, change });
    }

    fn shard_of(&self, tenant: &str) -> usize {
        self.leaf(tenant.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte)))
    }

    /// A shard that is open.
    fn root(&self, root: u64) -> usize {
        self.leaf(root)
    }

    fn leaf(&self, mut hash: u64) -> usize {
        let mut shard = (hash % 2) as usize;
        while let Some(children) = self.shards[shard].children {
            hash /= 2;
            shard = children[(hash % 2) as usize];
        }
        shard
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.random.below(last as u64 + 1) as usize);
        }
    }

    /// One invocation, as the mapping may make it.
    fn deliver(&mut self) {
        let is_ready = |shard: &Shard| {
            let parent = shard.parent.map(|parent| &self.shards[parent]);
            shard.done < shard.records.len() && parent.is_none_or(|parent| parent.done == parent.records.len())
        };
        let ready: Vec<usize> = (0..self.shards.len()).filter(|&at| is_ready(&self.shards[at])).collect();
        if ready.is_empty() {
            return;
        }
        let at = *self.random.pick(&ready);
        if self.random.is_one_of(6) {
            self.deliver_what_is_done(at);
        }
        let length_max = *self.random.pick(&[5, 40, 200]);
        let length = 1 + self.random.below(length_max) as usize;
        let again = if self.random.is_one_of(3) { self.random.below(10) as usize } else { 0 };
        let done = self.shards[at].done;
        let end = (done + length).min(self.shards[at].records.len());
        let mut records = self.shards[at].records[done.saturating_sub(again)..end].to_vec();
        if self.random.is_one_of(4) {
            let twice = self.random.pick(&records).clone();
            records.push(twice);
            self.shuffle(&mut records);
        }
        let outcome = self.invoke(at, records);
        let new_done = match &outcome {
            Some(Outcome::Done) => end,
            Some(Outcome::FailedFrom(sequence)) => {
                let is_first_left = |record: &Record| record.sequence.as_ref() == Some(sequence);
                self.shards[at].records.iter().position(is_first_left).unwrap().max(done)
            }
            Some(Outcome::Failed) => panic!("every record has a number"),
            None => done,
        };
        self.shards[at].done = new_done;
        for at_record in done..new_done {
            self.check_covered(&self.shards[at].records[at_record]);
        }
    }

    /// Lambda may believe an invocation dead that was not, or repeat one.
    fn deliver_what_is_done(&mut self, at: usize) {
        let done = self.shards[at].done;
        if done == 0 {
            return;
        }
        let start = self.random.below(done as u64) as usize;
        let records = self.shards[at].records[start..done].to_vec();
        self.totals.passed_over += 1;
        self.invoke(at, records);
    }

    fn invoke(&mut self, at: usize, records: Vec<Record>) -> Option<Outcome> {
        let calls = self.world.state().calls;
        let batch = Batch { shard_id: Some(format!("shardId-{at}")), records };
        let outcome = self.world.invoke(&self.settings, batch, TIMEOUT_MS).map(|report| report.outcome);
        self.totals.invocations += 1;
        self.totals.crashes += u64::from(outcome.is_none());
        {
            let state = self.world.state();
            let met = state.faults.iter().take(state.calls).skip(calls);
            self.totals.faults += met.filter(|fault| **fault != Fault::None).count() as u64;
        }
        self.listen(outcome == Some(Outcome::Done));
        self.world.state().now_ms += self.random.below(3_000);
        outcome
    }

    /// Takes note of what was published since, and holds it against the bounds.
    fn listen(&mut self, is_done: bool) {
        let state = self.world.state();
        let windows = state.table.get(&ProjectionKey::alert_windows());
        let number = |name: &str| windows.and_then(|item| whole_number_of(item, name)).unwrap_or(0);
        let started_at_ms = number("started_at");
        assert!(number("alerts") <= ALERTS_PER_WINDOW_MAX, "G10: places are bounded");
        let told = &mut self.told;
        *told.unfinished.entry(started_at_ms).or_default() += u64::from(!is_done);
        for (at_ms, message) in &state.alerts[told.messages..] {
            let (what, entries) = told.book.published(*at_ms, message);
            told.entries += entries;
            match what {
                Told::Alert { before_ms } => {
                    let is_due = before_ms.is_none_or(|ms| ms + self.settings.alert_window_ms <= at_ms + 1_000);
                    assert!(is_due || self.has_faults, "G10: one alert per group and window");
                    *told.alerts.entry(started_at_ms).or_default() += 1;
                    self.totals.alerts += 1;
                }
                Told::Digest => {
                    *told.digests.entry(started_at_ms).or_default() += 1;
                    self.totals.digests += 1;
                }
            }
        }
        told.messages = state.alerts.len();
        assert!(told.alerts.get(&started_at_ms).is_none_or(|&alerts| alerts <= ALERTS_PER_WINDOW_MAX), "G10: the cap");
        let digests = told.digests.get(&started_at_ms).copied().unwrap_or(0);
        assert!(digests <= 1 + told.unfinished[&started_at_ms], "G10: one digest per window, but for repeated ones");
    }

    /// What is done was told before: at most one window before it was judged, or later.
    fn check_covered(&self, record: &Record) {
        let Change::Appended(entry) = &record.change else { return };
        if entry.verdict != Verdict::Invalid {
            return;
        }
        assert!(self.told.book.covers(entry), "G10: an alert covers {entry:?}");
    }

    fn check(&mut self) {
        let mut fold = Projection::default();
        self.ledger.iter().for_each(|entry| fold.append(entry));
        assert_eq!(self.world.projection(), fold, "G9: the counts are the fold of the ledger");
        let state = self.world.state();
        let number = |key: ProjectionKey, name| state.table.get(&key).and_then(|item| whole_number_of(item, name));
        assert_eq!(number(ProjectionKey::incomplete(), RECORDS).unwrap_or(0), self.unreadable);
        let TenantBudget::FirstCome { places_max } = self.settings.tenant_budget else { return };
        let dimensions = state.puts.iter().flatten().flat_map(|datum| &datum.sample.dimensions);
        let tenants: BTreeSet<&str> =
            dimensions.filter(|(name, _)| name == dimension::TENANT_ID).map(|(_, value)| value.as_str()).collect();
        assert!(tenants.len() <= places_max + 1, "{tenants:?}");
        if !self.has_faults {
            self.check_that_nothing_was_told_or_measured_twice(&state);
        }
        self.totals.item_bytes_max = state.table.item_bytes_max;
    }

    fn check_that_nothing_was_told_or_measured_twice(&self, state: &crate::world::State) {
        let records = self.shards.iter().flat_map(|shard| &shard.records);
        let is_invalid =
            |record: &&Record| matches!(&record.change, Change::Appended(entry) if entry.verdict == Verdict::Invalid);
        let invalid = records.filter(is_invalid).count() as u64;
        let held_back = state.table.get(&ProjectionKey::alert_windows()).map_or(0, |item| {
            let groups = match item.get("groups") {
                Some(ledger::Attribute::M(groups)) => groups.values().filter_map(|group| group["suppressed"].as_u64()),
                _ => return 0,
            };
            groups.sum::<u64>() + whole_number_of(item, "suppressed").unwrap_or(0)
        });
        assert_eq!(self.told.entries + held_back, invalid, "G10: what is held back is counted");
        let is_total = |name: &str, dimensions: &[(String, String)]| {
            name == Metric::Events.name() && dimensions.len() == 1 && dimensions[0].0 == dimension::STATUS
        };
        let samples = state.puts.iter().flatten().map(|datum| &datum.sample);
        let values =
            samples.filter(|sample| is_total(&sample.name, &sample.dimensions)).flat_map(|sample| &sample.values);
        let measured: f64 = values.map(|(value, count)| value * *count as f64).sum();
        assert_eq!(measured as u64, self.ledger.len() as u64);
    }
}
