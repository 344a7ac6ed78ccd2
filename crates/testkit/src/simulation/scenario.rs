//! What one seed makes of the world: who sends what and when, what operators do, what fails and how often.

use std::{collections::BTreeMap, fmt, ops::Range};

use clap::{Args, builder::PossibleValuesParser};
use fastrand::Rng;
use ledger::projection::Projection;
use strum::VariantArray as _;

use super::{
    fault::Rates,
    hours::{WITH_HOURS, WITHOUT_HOURS},
    recipe::{CROWD, Recipe, Stamp, TENANTS},
};
use crate::ports::Fault;

pub(super) const SENDS_MIN: usize = 5;
pub(super) const SENDS_MAX: usize = 40;

/// Deliveries of a message before it goes to the DLQ. The deployment has many more; here they are few, so that
/// schedules reach the DLQ.
const RECEIVES_MAX: usize = 5;
/// Invocations of the processor that may fail where nothing may reach the DLQ.
pub(super) const FAULTY_INVOCATIONS_MAX: usize = RECEIVES_MAX - 1;

/// One seed in so many has a crowd.
const CROWDED: u64 = 31;

/// Bodies that the processor takes for large, and the largest that the queue takes.
const LARGE_BYTES: Range<usize> = 17 * 1024..32 * 1024;
const LARGEST_BYTES: Range<usize> = 100 * 1024..255 * 1024;
/// What the largest body of a schedule takes in one call, where bytes take time: an invocation can write it, read what
/// stands in its place, write it as a conflict, and read what stands there, but often not ten of them. That is more for a
/// byte than a small function needs, so that bodies that are just large will do.
const LARGEST_MS: [u64; 4] = [300, 1_000, 2_000, 3_000];

/// 2026-01-16T00:00:00Z: scenarios lie around the change of a day.
const MIDNIGHT_MS: u64 = 1_768_521_600_000;
const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How much may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Anything, until the world heals; then everything must converge.
    Unbounded,
    /// Fewer invocations of the processor than a message may be received: nothing may reach the DLQ.
    Budgeted,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub regime: Regime,
    pub start_ms: u64,
    /// In the order of their times.
    pub sends: Vec<Send>,
    pub acts: Vec<(u64, Act)>,
    pub rates: Rates,
    pub outages: Vec<Outage>,
    /// From here on nothing fails but SNS and CloudWatch.
    pub healed_ms: u64,
    /// What DynamoDB refuses in the projections table, whenever it comes.
    pub refused: Option<Refused>,
    /// The projector's read models; deployments go from the one list to the other, and back.
    pub models: [&'static [Projection]; 2],
    /// Its item collection lies in several shards of the stream.
    pub hot_tenant: Option<&'static str>,
    /// Clocks of the projector's processes are up to so much before or behind.
    pub clock_offset_ms_max: i64,
    pub claim_ttl_days: u64,
    pub entry_ttl_days: u64,
    pub alert_window_ms: u64,
    pub metric_places_max: usize,
    /// Time that the processor's calls take for a byte: making a request, sending it, and reading what comes back.
    pub ns_per_byte: u64,
    pub receives_max: usize,
}

/// How large the bodies of a schedule are, beside the few hundred bytes of each.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    Small,
    /// They differ by a few bytes.
    Alike(usize),
    /// The same, and the first is the largest.
    Falling(usize),
    Mixed(usize),
}

/// One attempt of a producer to send a message.
#[derive(Clone, Debug)]
pub struct Send {
    /// Its place among the sends of the seed, whichever of them are left out.
    pub number: usize,
    pub at_ms: u64,
    pub deduplication_id: Option<String>,
    pub recipe: Recipe,
}

/// What operators and AWS do beside the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    SplitShard,
    /// TTL deletes what has expired.
    Sweep,
    /// Somebody changes an attribute of an entry by hand.
    Touch,
    /// An INVALID entry becomes READY by a recorded revalidation.
    Revalidate,
    /// Somebody deletes an entry by hand.
    Delete,
    /// Somebody writes an item that is no entry.
    PutAlien,
    /// The Go system, or a restored backup, writes an entry of its own: older than the read models.
    PutOlder,
    /// The functions are deployed anew, with other settings.
    Deploy,
    /// The stream's poller dies and reads its batches again.
    RestartPoller,
    /// A batch that is done is delivered once more.
    RepeatBatch,
}

/// A time in which a function fails whatever it does, or a service whatever it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub of: Failing,
    pub from_ms: u64,
    /// `u64::MAX` where it never ends.
    pub until_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    Function(Function),
    /// SNS, or CloudWatch: it refuses, or it does not answer as long as one waits.
    Sns {
        is_hanging: bool,
    },
    CloudWatch {
        is_hanging: bool,
    },
}

/// What DynamoDB takes for the fault of a tenant's content, whatever is tried.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    /// The items of one model: the transaction is cancelled, and says which item is at fault.
    Item { tenant: &'static str, model: Projection },
    /// The same, and the whole request is refused without a word.
    Request { tenant: &'static str, model: Projection },
    /// The item of the tenant's alert pending.
    Pending { tenant: &'static str },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Processor,
    Projector,
}

/// What is left out of a scenario, to find the least that still fails. It displays as the options that give it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Leave out sends, by number
    #[arg(long = "without-sends", value_delimiter = ',', requires = "seed")]
    pub sends: Vec<usize>,
    /// Leave out kinds of faults
    #[arg(long = "without-faults", value_delimiter = ',', requires = "seed")]
    pub faults: Vec<Fault>,
    /// Leave out what operators do
    #[arg(long = "without-acts", requires = "seed")]
    pub has_no_acts: bool,
    /// Leave out outages, and what DynamoDB refuses for its content
    #[arg(long = "without-outages", requires = "seed")]
    pub has_no_outages: bool,
    /// Leave out a tenant
    #[arg(long = "without-tenant", requires = "seed", value_parser = PossibleValuesParser::new(TENANTS))]
    pub tenant: Option<String>,
}

impl Cuts {
    /// Whatever makes anything go wrong.
    pub fn all_that_disturbs() -> Self {
        Self { faults: Fault::VARIANTS.to_vec(), has_no_acts: true, has_no_outages: true, ..Self::default() }
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sends = self.sends.iter().map(usize::to_string);
        let faults = self.faults.iter().map(Fault::to_string);
        for (option, values) in [
            ("sends", sends.collect::<Vec<_>>()),
            ("faults", faults.collect()),
            ("tenant", self.tenant.iter().cloned().collect()),
        ] {
            if !values.is_empty() {
                write!(formatter, " --without-{option} {}", values.join(","))?;
            }
        }
        for (option, is_set) in [("acts", self.has_no_acts), ("outages", self.has_no_outages)] {
            if is_set {
                write!(formatter, " --without-{option}")?;
            }
        }
        Ok(())
    }
}

impl Scenario {
    pub fn of(seed: u64, cuts: &Cuts) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut scenario = Self::draw(&mut random, seed % CROWDED == 1);
        scenario
            .sends
            .retain(|send| !cuts.sends.contains(&send.number) && cuts.tenant.as_deref() != Some(send.recipe.owner()));
        for fault in &cuts.faults {
            scenario.rates.turn_off(*fault);
        }
        if cuts.has_no_acts {
            scenario.acts.clear();
        }
        if cuts.has_no_outages {
            scenario.outages.clear();
            scenario.refused = None;
        }
        scenario
    }

    /// In a crowd there are many tenants, and all their events are new and come at nearly the same time.
    fn draw(random: &mut Rng, is_crowded: bool) -> Self {
        let regime = if random.bool() { Regime::Unbounded } else { Regime::Budgeted };
        let start_ms = MIDNIGHT_MS - random.u64(..10 * MINUTE_MS);
        let is_long = random.u8(..8) == 0;
        let (claim_ttl_days, entry_ttl_days) = match is_long {
            true => *pick(random, &[(1, 0), (1, 0), (7, 1)]),
            false => *pick(random, &[(7, 0), (0, 0), (1, 3)]),
        };
        let tenants = if is_crowded { &CROWD[..] } else { &TENANTS[..random.usize(2..=TENANTS.len())] };
        let sizes = Sizes::draw(random);
        // Most are small: more of them find more than longer ones do.
        let count_max = if random.u8(..6) == 0 { SENDS_MAX } else { 9 };
        let count = if is_crowded { SENDS_MAX } else { random.usize(SENDS_MIN..=count_max) };
        let mut acts = Vec::new();
        let mut now_ms = start_ms;
        let mut sends: Vec<Send> = Vec::with_capacity(count);
        let pause_at = random.usize(1..count);
        for number in 0..count {
            now_ms += match random.u8(..if is_crowded { 14 } else { 16 }) {
                0..=7 => 0,
                8..=10 => random.u64(..50),
                11..=13 => random.u64(..3 * SECOND_MS),
                14 => random.u64(..40 * SECOND_MS),
                _ => random.u64(..6 * MINUTE_MS),
            };
            if is_long && number == pause_at {
                acts.push((now_ms + DAY_MS + HOUR_MS / 2, Act::Sweep));
                now_ms += DAY_MS + HOUR_MS + random.u64(..HOUR_MS);
            }
            sends.push(match is_crowded {
                true => draw_send_of_crowd(random, number, now_ms, sizes),
                false => draw_send(random, number, now_ms, tenants, sizes, &sends),
            });
        }
        // Two tenants at least, whatever was drawn.
        let has_one = |sends: &[Send]| sends.iter().all(|send| send.recipe.owner() == sends[0].recipe.owner());
        while has_one(&sends) {
            let at_ms = sends[0].at_ms;
            // Copies of the first have its deduplication id; the new one must not hide them.
            sends[0] = Send { deduplication_id: None, ..draw_send(random, 0, at_ms, tenants, sizes, &[]) };
        }
        let end_ms = now_ms + random.u64(SECOND_MS..10 * MINUTE_MS);
        draw_acts(random, start_ms, end_ms, &mut acts);
        let outages = draw_outages(random, regime, start_ms, end_ms);
        let largest_bytes = sends.iter().map(|send| send.recipe.bytes_max()).fold(LARGE_BYTES.start, usize::max) as u64;
        let (ns_per_byte, receives_max) = match sizes {
            Sizes::Small => (0, RECEIVES_MAX),
            // Each delivery that nothing disturbs acknowledges one message at least.
            _ => (pick(random, &LARGEST_MS) * 1_000_000 / largest_bytes, RECEIVES_MAX + count),
        };
        let functions = outages.iter().filter(|outage| matches!(outage.of, Failing::Function(_)));
        let healed_ms = functions.map(|outage| outage.until_ms).fold(end_ms, u64::max);
        let models = match random.u8(..8) {
            0 => [WITHOUT_HOURS, WITH_HOURS],
            1 => [WITH_HOURS, WITHOUT_HOURS],
            _ => [WITHOUT_HOURS; 2],
        };
        let refused = (random.u8(..12) == 0).then(|| {
            let tenant = *pick(random, tenants);
            let model = *pick(random, WITHOUT_HOURS);
            *pick(
                random,
                &[Refused::Item { tenant, model }, Refused::Request { tenant, model }, Refused::Pending { tenant }],
            )
        });
        let hot_tenant = (random.u8(..8) == 0).then(|| *pick(random, tenants));
        let clock_offset_ms_max = if random.u8(..8) == 0 { 3_000 } else { 0 };
        Self {
            refused,
            models,
            hot_tenant,
            clock_offset_ms_max,
            regime,
            start_ms,
            sends,
            acts,
            rates: Rates::draw(random),
            outages,
            healed_ms,
            claim_ttl_days,
            entry_ttl_days,
            alert_window_ms: *pick(random, &[MINUTE_MS, 5 * MINUTE_MS]),
            metric_places_max: *pick(random, &[1, 100]),
            ns_per_byte,
            receives_max,
        }
    }
}

impl Sizes {
    /// Small ones in most schedules: large ones take the simulation's time.
    fn draw(random: &mut Rng) -> Self {
        let bytes = match random.u16(..2_048) {
            0 => random.usize(LARGEST_BYTES),
            1..=40 => random.usize(LARGE_BYTES),
            _ => return Self::Small,
        };
        pick(random, &[Self::Alike, Self::Falling, Self::Mixed])(bytes)
    }

    /// Bytes that the body of a send has beside those of its kind.
    fn filler_bytes(self, random: &mut Rng, number: usize) -> usize {
        match self {
            Self::Small if random.u8(..64) == 0 => LARGE_BYTES.start,
            Self::Small => 0,
            Self::Alike(bytes) => bytes - random.usize(..16),
            Self::Falling(bytes) => bytes - 16 * number,
            Self::Mixed(bytes) => match random.u8(..4) {
                0..=1 => 0,
                2 => random.usize(..2_048),
                _ => bytes - random.usize(..bytes - LARGE_BYTES.start + 1),
            },
        }
    }
}

impl Scenario {
    /// Whether the second deployment has a read model that the first has not.
    pub fn brings_a_model(&self) -> bool {
        self.models[1].len() > self.models[0].len()
    }

    /// When SNS takes no messages.
    pub(super) fn sns_outage(&self) -> Option<&Outage> {
        self.outages.iter().find(|outage| matches!(outage.of, Failing::Sns { .. }))
    }

    /// Whether anything decides which of two messages of one id comes first.
    pub fn has_ids_in_two_groups(&self) -> bool {
        let id = |send: &Send| send.recipe.kind.has_identity().then_some((send.recipe.tenant, send.recipe.event_id));
        let mut groups = BTreeMap::new();
        let mut first = |send: &Send| *groups.entry(id(send)).or_insert(send.recipe.group);
        self.sends.iter().any(|send| id(send).is_some() && first(send) != send.recipe.group)
    }
}

fn draw_acts(random: &mut Rng, start_ms: u64, end_ms: u64, acts: &mut Vec<(u64, Act)>) {
    for (act, count_max) in [
        (Act::SplitShard, 3),
        (Act::Touch, 3),
        (Act::Revalidate, 4),
        (Act::Delete, 2),
        (Act::PutAlien, 2),
        (Act::PutOlder, 2),
        (Act::Deploy, 3),
        (Act::RestartPoller, 3),
        (Act::RepeatBatch, 4),
    ] {
        for _ in 0..random.u8(..count_max) {
            acts.push((random.u64(start_ms..=end_ms), act));
        }
    }
}

fn draw_outages(random: &mut Rng, regime: Regime, start_ms: u64, end_ms: u64) -> Vec<Outage> {
    let mut outages = Vec::new();
    let mut add = |random: &mut Rng, of: Failing, lengths_ms: &[u64]| {
        let from_ms = random.u64(start_ms..=end_ms);
        outages.push(Outage { of, from_ms, until_ms: from_ms.saturating_add(*pick(random, lengths_ms)) });
    };
    if regime == Regime::Unbounded && random.u8(..8) == 0 {
        add(random, Failing::Function(Function::Processor), &[MINUTE_MS, 10 * MINUTE_MS, 40 * MINUTE_MS]);
    }
    // Seldom longer than the mapping keeps a record.
    match random.u8(..64) {
        0..=2 => add(random, Failing::Function(Function::Projector), &[5 * MINUTE_MS, 40 * MINUTE_MS]),
        3 => add(random, Failing::Function(Function::Projector), &[2 * HOUR_MS, 23 * HOUR_MS, 30 * HOUR_MS]),
        _ => {}
    }
    let is_hanging = random.bool();
    match random.u8(..64) {
        0..=2 => add(random, Failing::Sns { is_hanging }, &[10 * MINUTE_MS, 40 * MINUTE_MS]),
        3 => add(random, Failing::Sns { is_hanging }, &[2 * HOUR_MS, 25 * HOUR_MS]),
        4 => add(random, Failing::Sns { is_hanging: false }, &[u64::MAX]),
        5..=7 => add(random, Failing::CloudWatch { is_hanging }, &[MINUTE_MS, 40 * MINUTE_MS]),
        _ => {}
    }
    outages
}

/// A new event, an earlier one once more, or other content under an earlier id.
fn draw_send(
    random: &mut Rng,
    number: usize,
    at_ms: u64,
    tenants: &[&'static str],
    sizes: Sizes,
    before: &[Send],
) -> Send {
    let earlier = (!before.is_empty()).then(|| before[random.usize(..before.len())].clone());
    let restamped = |random: &mut Rng, recipe: Recipe| Recipe { stamp: Stamp::draw(random, at_ms), ..recipe };
    match (random.u8(..8), earlier) {
        // The very same request, as a producer's client repeats it.
        (0, Some(earlier)) => Send { number, at_ms, ..earlier },
        (1..=2, Some(earlier)) if earlier.recipe.kind.has_identity() => {
            let is_spelled_otherwise = random.bool();
            // Some producers send what another group has sent.
            let group = if random.u8(..8) == 0 { *pick(random, tenants) } else { earlier.recipe.group };
            let earlier = Send { recipe: Recipe { group, ..earlier.recipe }, ..earlier };
            // A body that is kept raw is equal to nothing but itself.
            let recipe = match earlier.recipe.kind.is_raw() {
                true => earlier.recipe,
                false => Recipe { is_spelled_otherwise, ..restamped(random, earlier.recipe) },
            };
            Send::new(random, number, at_ms, recipe)
        }
        (3, Some(earlier)) if earlier.recipe.kind.has_identity() => {
            let variant = earlier.recipe.variant + random.usize(1..=2);
            let recipe = Recipe { variant, ..restamped(random, earlier.recipe) };
            Send::new(random, number, at_ms, recipe)
        }
        _ => {
            let filler_bytes = sizes.filler_bytes(random, number);
            let recipe = Recipe::draw(random, at_ms, tenants, filler_bytes);
            Send::new(random, number, at_ms, recipe)
        }
    }
}

/// A new event of a tenant of the crowd, mostly an INVALID one, so that they do not all get an alert in one window.
fn draw_send_of_crowd(random: &mut Rng, number: usize, at_ms: u64, sizes: Sizes) -> Send {
    let tenant = [CROWD[number % CROWD.len()]];
    let drawn = draw_send(random, number, at_ms, &tenant, sizes, &[]);
    match drawn.recipe.failure() {
        None if random.u8(..8) > 0 => draw_send_of_crowd(random, number, at_ms, sizes),
        _ => drawn,
    }
}

impl Send {
    fn new(random: &mut Rng, number: usize, at_ms: u64, recipe: Recipe) -> Self {
        // Without an id of its own SQS takes the hash of the body.
        let deduplication_id = random.bool().then(|| format!("send-{number}"));
        Self { number, at_ms, deduplication_id, recipe }
    }
}

pub(super) fn pick<'t, T>(random: &mut Rng, of: &'t [T]) -> &'t T {
    &of[random.usize(..of.len())]
}
