//! Random histories of two shards with many tenants: batches overlap, come out of order, hold a record twice or come
//! again long after they were done; calls fail, and invocations crash. The simulation does the same, and more, for the
//! whole pipeline. Here are the groups of alerts that it takes to fill a window (G10).

use std::collections::BTreeMap;

use fastrand::Rng;
use ledger::{
    Attribute,
    alert::ALERTS_PER_WINDOW_MAX,
    item::whole_number_of,
    metric::{Metric, dimension},
    metric_tenants::TenantBudget,
    projection::{Verdict, keys::ProjectionKey},
};
use projector::{Batch, Change, Outcome, Record, Settings};
use testkit::{
    alerts::{AlertBook, Told},
    bodies::summary,
    ports::{Driver, Fault, Kind, ProjectorAws},
};

use crate::{TIMEOUT_MS, expected, invalid, new_driver, record};

const HISTORIES: u64 = 1_000;
const STEPS: usize = 14;
const KINDS: [Kind; 5] = [Kind::ReadProjections, Kind::Update, Kind::Transact, Kind::Publish, Kind::Put];
const FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::AnswerLost, Fault::SomeRefused, Fault::Hangs, Fault::CrashBefore, Fault::CrashAfter];

#[test]
fn whatever_fails_counts_are_exact_and_bounded_alerts_cover_every_invalid_entry() {
    let windows = (0..HISTORIES).flat_map(|seed| History::run(seed, true).windows.into_values());
    let (digests, unfinished) = windows
        .fold((0, 0), |(digests, unfinished), window| (digests + window.digests, unfinished + window.unfinished));
    // Histories in which nothing happens prove nothing.
    assert!(digests > HISTORIES / 10 && unfinished > HISTORIES, "{digests} digests, {unfinished} unfinished");
}

#[test]
fn undisturbed_nothing_is_told_or_measured_twice() {
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
    shards: [Vec<Record>; 2],
    /// Records at the front of each shard that are done.
    done: [usize; 2],
    sequence: u64,
    book: AlertBook,
    /// Entries that messages told of.
    told: u64,
    /// By their start.
    windows: BTreeMap<u64, Window>,
}

/// What left in a window, and how many invocations ended in it before they were done.
#[derive(Default)]
struct Window {
    alerts: u64,
    digests: u64,
    unfinished: u64,
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
            shards: [Vec::new(), Vec::new()],
            done: [0, 0],
            sequence: 0,
            book: AlertBook::new(alert_window_ms),
            told: 0,
            windows: BTreeMap::new(),
            random,
        };
        for _ in 0..STEPS {
            history.append();
            if history.random.bool() {
                history.deliver();
            }
        }
        while (0..2).any(|shard| history.done[shard] < history.shards[shard].len()) {
            history.deliver();
        }
        let fold = expected(history.shards.iter().flatten());
        assert_eq!(history.driver.projection(), fold, "G9: the counts are the fold of the ledger");
        history
    }

    /// Time passes, and entries are appended.
    fn append(&mut self) {
        let pause_ms_max = [100, 2_000, 20_000, 400_000][self.random.usize(..4)];
        self.driver.now_ms += self.random.u64(..pause_ms_max);
        for _ in 0..self.random.usize(..30) {
            self.sequence += self.random.u64(1..20);
            let tenant = self.random.usize(..self.tenants);
            let verdict = if self.random.bool() { Verdict::Ready } else { Verdict::Invalid };
            let ingested_at_ms = self.driver.now_ms - self.random.u64(..3_000);
            let mut entry = summary(&format!("tenant-{tenant}"), self.sequence, verdict, ingested_at_ms);
            if let Some(failure) = entry.failure.as_mut().filter(|_| self.random.bool()) {
                failure.places[0].keyword = "type".to_owned();
            }
            self.shards[tenant % 2].push(record(self.sequence, Change::Appended(entry)));
        }
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
        for entry in invalid(&self.shards[shard][done..self.done[shard]]) {
            assert!(self.book.covers(entry), "G10: no alert covers {entry:?}");
        }
    }

    /// Holds what was published since against the bounds.
    fn listen(&mut self, is_done: bool) {
        let stored = self.driver.aws.projections.get(&ProjectionKey::alert_windows());
        let number = |name: &str| stored.and_then(|item| whole_number_of(item, name)).unwrap_or(0);
        assert!(number("alerts") <= ALERTS_PER_WINDOW_MAX, "G10: places are bounded");
        let window = self.windows.entry(number("started_at")).or_default();
        window.unfinished += u64::from(!is_done);
        for (at_ms, message) in self.driver.aws.alerts.drain(..) {
            let (told, entries) = self.book.published(at_ms, &message);
            self.told += entries;
            match told {
                Told::Alert { before_ms } => {
                    let is_due = before_ms.is_none_or(|ms| ms + self.settings.alert_window_ms <= at_ms + 1_000);
                    assert!(is_due || self.has_faults, "G10: one alert per group and window");
                    window.alerts += 1;
                }
                Told::Digest => window.digests += 1,
            }
        }
        assert!(window.alerts <= ALERTS_PER_WINDOW_MAX, "G10: the cap");
        assert!(window.digests <= 1 + window.unfinished, "G10: one digest per window, but for repeated ones");
    }

    fn check_that_nothing_was_told_or_measured_twice(&self) {
        let invalid = invalid(self.shards.iter().flatten()).count();
        let held_back = self.driver.aws.projections.get(&ProjectionKey::alert_windows()).map_or(0, |item| {
            let Some(Attribute::M(groups)) = item.get("groups") else { panic!("windows have groups") };
            let of_groups = groups.values().filter_map(|group| group["suppressed"].as_u64());
            of_groups.sum::<u64>() + whole_number_of(item, "suppressed").unwrap_or(0)
        });
        assert_eq!(self.told + held_back, invalid as u64, "G10: each is told of once");
        let samples = self.driver.aws.puts.iter().flatten().map(|datum| &datum.sample);
        let totals = samples.filter(|sample| {
            let [(name, _)] = &sample.dimensions[..] else { return false };
            sample.name == Metric::Events.name() && name == dimension::STATUS
        });
        let measured: f64 = totals.flat_map(|sample| &sample.values).map(|(value, count)| value * *count as f64).sum();
        assert_eq!(measured as usize, self.done[0] + self.done[1]);
    }
}
