//! Random histories of two shards: entries of many tenants are appended, revalidated and changed by strangers, others are
//! removed or spoiled; batches overlap, come out of order, hold a record twice or come again long after they were done;
//! calls fail, and invocations crash. The simulation does the same for the whole pipeline. Here are the groups of alerts
//! that it takes to fill a window (G10).

use std::collections::BTreeMap;

use fastrand::Rng;
use ledger::{
    Attribute,
    alert::ALERTS_PER_WINDOW_MAX,
    item::whole_number_of,
    metric::{Metric, dimension},
    metric_tenants::TenantBudget,
    projection::{
        EntrySummary, Projection, SequenceNumber, Verdict,
        keys::{ProjectionKey, RECORDS},
    },
};
use projector::{Batch, Change, Outcome, Record, Settings, UnreadableRecord};
use testkit::{
    alerts::{AlertBook, Told},
    bodies::{revalidated, summary},
    ports::{Driver, Fault, Kind, ProjectorAws},
};

use crate::{TIMEOUT_MS, new_driver};

const HISTORIES: u64 = 1_000;
const STEPS: usize = 14;
const KINDS: [Kind; 6] = [Kind::ReadProjections, Kind::Update, Kind::Transact, Kind::Publish, Kind::Put, Kind::Send];
const FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::AnswerLost, Fault::SomeRefused, Fault::Hangs, Fault::CrashBefore, Fault::CrashAfter];

#[test]
fn whatever_fails_or_comes_again_counts_are_the_fold_and_bounded_alerts_cover_every_invalid_entry() {
    let (mut digests, mut unfinished) = (0, 0);
    for seed in 0..HISTORIES {
        let history = History::run(seed, true);
        digests += history.digests.values().sum::<u64>();
        unfinished += history.unfinished.values().sum::<u64>();
    }
    // Histories in which nothing happens prove nothing.
    assert!(digests > HISTORIES / 10 && unfinished > HISTORIES, "{digests} digests, {unfinished} unfinished");
}

#[test]
fn undisturbed_nothing_is_told_or_measured_twice_and_what_is_held_back_is_counted() {
    for seed in 0..HISTORIES / 2 {
        History::run(seed, false).check_that_nothing_was_told_or_measured_twice();
    }
}

struct History {
    random: Rng,
    driver: Driver<ProjectorAws>,
    settings: Settings,
    has_faults: bool,
    tenants: usize,
    /// The entries as they stand in the table.
    ledger: Vec<EntrySummary>,
    shards: [Vec<Record>; 2],
    /// Records at the front of each shard that are done.
    done: [usize; 2],
    sequence: u64,
    book: AlertBook,
    /// Messages that the book holds, and the entries they tell of.
    messages: usize,
    told: u64,
    /// By the start of the window in which they left, or ended.
    alerts: BTreeMap<u64, u64>,
    digests: BTreeMap<u64, u64>,
    unfinished: BTreeMap<u64, u64>,
}

impl History {
    #[expect(clippy::print_stdout, reason = "names the history that fails")]
    fn run(seed: u64, has_faults: bool) -> Self {
        println!("history {seed}");
        let mut random = Rng::with_seed(seed);
        let alert_window_ms = [60_000, 300_000][random.usize(..2)];
        let tenant_budget = TenantBudget::FirstCome { places_max: [2, 100][random.usize(..2)] };
        let mut driver = new_driver();
        if has_faults {
            for number in 1..=random.usize(..40) {
                let fault = FAULTS[random.usize(..FAULTS.len())];
                driver.plan(KINDS[random.usize(..KINDS.len())], number..=number, fault);
            }
        }
        let mut history = Self {
            driver,
            settings: Settings { tenant_budget, alert_window_ms },
            has_faults,
            tenants: [2, 6, 60][random.usize(..3)],
            ledger: Vec::new(),
            shards: [Vec::new(), Vec::new()],
            done: [0, 0],
            sequence: 0,
            book: AlertBook::new(alert_window_ms),
            messages: 0,
            told: 0,
            alerts: BTreeMap::new(),
            digests: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            random,
        };
        for _ in 0..STEPS {
            history.live();
            if history.random.bool() {
                history.deliver();
            }
        }
        while (0..2).any(|shard| history.done[shard] < history.shards[shard].len()) {
            history.deliver();
        }
        history.check();
        history
    }

    /// One step in the life of the ledger.
    fn live(&mut self) {
        let pause_ms_max = [100, 2_000, 20_000, 400_000][self.random.usize(..4)];
        self.driver.now_ms += self.random.u64(..pause_ms_max);
        match self.random.u8(..8) {
            0..=3 => (0..self.random.usize(1..30)).for_each(|_| self.append()),
            4 => self.modify(true),
            5 => self.modify(false),
            6 => self.push(0, Change::Older),
            _ => self.push(1, Change::Unreadable(UnreadableRecord::default())),
        }
    }

    fn append(&mut self) {
        let tenant = self.random.usize(..self.tenants);
        let verdict = if self.random.bool() { Verdict::Ready } else { Verdict::Invalid };
        let ingested_at_ms = self.driver.now_ms - self.random.u64(..3_000);
        let mut entry = summary(&format!("tenant-{tenant}"), self.sequence, verdict, ingested_at_ms);
        if let Some(failure) = entry.failure.as_mut().filter(|_| self.random.bool()) {
            failure.places[0].keyword = "type".to_owned();
        }
        self.ledger.push(entry.clone());
        self.push(tenant % 2, Change::Appended(entry));
    }

    /// An entry is revalidated, or somebody changes one that is not.
    fn modify(&mut self, is_revalidation: bool) {
        let is_fit = |entry: &EntrySummary| match is_revalidation {
            true => entry.verdict == Verdict::Invalid,
            false => !entry.is_revalidated,
        };
        let fit: Vec<usize> = (0..self.ledger.len()).filter(|&at| is_fit(&self.ledger[at])).collect();
        if fit.is_empty() {
            return;
        }
        let entry = &mut self.ledger[fit[self.random.usize(..fit.len())]];
        if is_revalidation {
            *entry = revalidated(entry.clone());
        }
        let entry = entry.clone();
        let is_odd = entry.key.tenant_id.as_str().ends_with(['1', '3', '5', '7', '9']);
        self.push(usize::from(is_odd), Change::of_modify(Ok(entry)).unwrap());
    }

    fn push(&mut self, shard: usize, change: Change) {
        self.sequence += self.random.u64(1..20);
        let sequence = SequenceNumber::parse(&self.sequence.to_string());
        self.shards[shard].push(Record { sequence, written_at_ms: Some(self.driver.now_ms), change });
    }

    /// One invocation, as the mapping may make it.
    fn deliver(&mut self) {
        let shard = self.random.usize(..2);
        let (done, length) = (self.done[shard], self.shards[shard].len());
        let start = match self.random.u8(..6) {
            0 => self.random.usize(..=done),
            1..=2 => done.saturating_sub(self.random.usize(..10)),
            _ => done,
        };
        let length_max = [5, 40, 200][self.random.usize(..3)];
        let end = self.random.usize(done..=length.min(done + length_max));
        let mut records = self.shards[shard][start..end].to_vec();
        if !records.is_empty() && self.random.u8(..4) == 0 {
            records.push(records[self.random.usize(..records.len())].clone());
            self.random.shuffle(&mut records);
        }
        let batch = Batch { shard_id: Some(format!("shardId-{shard}")), records };
        let outcome = self.driver.project(&self.settings, batch, TIMEOUT_MS).map(|report| report.outcome);
        self.listen(outcome == Some(Outcome::Done));
        self.driver.now_ms += self.random.u64(..3_000);
        self.done[shard] = match outcome {
            Some(Outcome::Done) => end,
            Some(Outcome::FailedFrom(left)) => {
                let is_left = |record: &Record| record.sequence.as_ref() == Some(&left);
                self.shards[shard].iter().position(is_left).unwrap().max(done)
            }
            Some(Outcome::Failed) => panic!("every record has a number"),
            None => done,
        };
        for record in &self.shards[shard][done..self.done[shard]] {
            if let Change::Appended(entry) = &record.change {
                assert!(entry.verdict == Verdict::Ready || self.book.covers(entry), "G10: no alert covers {entry:?}");
            }
        }
    }

    /// Holds what was published since against the bounds.
    fn listen(&mut self, is_done: bool) {
        let windows = self.driver.aws.projections.get(&ProjectionKey::alert_windows());
        let number = |name: &str| windows.and_then(|item| whole_number_of(item, name)).unwrap_or(0);
        assert!(number("alerts") <= ALERTS_PER_WINDOW_MAX, "G10: places are bounded");
        let started_at_ms = number("started_at");
        let [alerts, digests, unfinished] = [&mut self.alerts, &mut self.digests, &mut self.unfinished]
            .map(|of_windows| of_windows.entry(started_at_ms).or_default());
        *unfinished += u64::from(!is_done);
        for (at_ms, message) in &self.driver.aws.alerts[self.messages..] {
            let (told, entries) = self.book.published(*at_ms, message);
            self.told += entries;
            match told {
                Told::Alert { before_ms } => {
                    let is_due = before_ms.is_none_or(|ms| ms + self.settings.alert_window_ms <= at_ms + 1_000);
                    assert!(is_due || self.has_faults, "G10: one alert per group and window");
                    *alerts += 1;
                }
                Told::Digest => *digests += 1,
            }
        }
        self.messages = self.driver.aws.alerts.len();
        assert!(*alerts <= ALERTS_PER_WINDOW_MAX, "G10: the cap");
        assert!(*digests <= 1 + *unfinished, "G10: one digest per window, but for repeated ones");
    }

    fn check(&self) {
        let mut fold = Projection::default();
        self.ledger.iter().for_each(|entry| fold.append(entry));
        assert_eq!(self.driver.projection(), fold, "G9: the counts are the fold of the ledger");
        let records = self.shards.iter().flatten();
        let unreadable = records.filter(|record| matches!(record.change, Change::Unreadable(_))).count();
        let incomplete = self.driver.aws.projections.get(&ProjectionKey::incomplete());
        let counted = incomplete.and_then(|item| whole_number_of(item, RECORDS)).unwrap_or(0);
        assert_eq!(counted, unreadable as u64, "G9: what cannot be read is marked");
    }

    fn check_that_nothing_was_told_or_measured_twice(&self) {
        let changes = self.shards.iter().flatten().map(|record| &record.change);
        let is_invalid =
            |change: &&Change| matches!(change, Change::Appended(entry) if entry.verdict == Verdict::Invalid);
        let held_back = self.driver.aws.projections.get(&ProjectionKey::alert_windows()).map_or(0, |item| {
            let Some(Attribute::M(groups)) = item.get("groups") else { panic!("windows have groups") };
            let of_groups = groups.values().filter_map(|group| group["suppressed"].as_u64());
            of_groups.sum::<u64>() + whole_number_of(item, "suppressed").unwrap_or(0)
        });
        assert_eq!(self.told + held_back, changes.filter(is_invalid).count() as u64, "G10: each is told of once");
        let samples = self.driver.aws.puts.iter().flatten().map(|datum| &datum.sample);
        let totals = samples.filter(|sample| {
            let [(name, _)] = &sample.dimensions[..] else { return false };
            sample.name == Metric::Events.name() && name == dimension::STATUS
        });
        let measured: f64 = totals.flat_map(|sample| &sample.values).map(|(value, count)| value * *count as f64).sum();
        assert_eq!(measured as usize, self.ledger.len());
    }
}
