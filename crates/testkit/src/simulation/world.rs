//! One run of one seed: a single thread, a virtual clock, and an agenda of what happens next. The code under test runs
//! from one call of a port to the next, whenever the agenda says so; what is between belongs to everybody else.

mod acts;
mod calls;
mod invocations;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
};

use cloudsim::{
    admission::{MappingSettings, ScalingConfig},
    deployment::{Deployment, Role},
    mapping::{Outcome, QueueInvocation, QueueMapping, StreamInvocation, StreamMapping},
    sqs::{ReceivedMessage, SendRequest, Sqs},
};
use fastrand::Rng;
use ledger::{
    Attribute, FailureClass, Item, Message, TenantId, Timestamp,
    entry::{Status, attribute},
    ids::KEY_SEPARATOR,
    item::{text_of, whole_number},
    metric_tenants::TenantBudget,
    ports::{Inserted, Refusal, Table, Tables},
    projection::{
        EntrySummary, Projection,
        keys::{ModelKey, ProjectionKey},
        update::{Transaction, Write},
    },
};
use processor::process;
use projector::{Input, Kept, StreamEvent, StreamResponse, project};
use serde_json::{Value, json};

use super::{
    checks::{
        Excuses, Expectations, Lease, Progress, View, check_calls, check_deadline, check_list, check_queues,
        check_report, identity_of, refused_content, view,
    },
    scenario::{Act, Cuts, FAULTY_INVOCATIONS_MAX, Failing, Function, Refused, Regime, Scenario, pick},
    stream::{Change, Meaning, REMOVE, Stream},
};
use crate::{
    clause::hold,
    memory::{projections::MemoryProjections, tables::MemoryTables},
    ports::{Answer, Call, Fault, PortStub, ready},
};

const QUEUE: &str = "events.fifo";
const DEAD_LETTER_QUEUE: &str = "events-dlq.fifo";

const PROCESSORS_MAX: i64 = 4;
/// Small, so that a shard takes several batches.
const STREAM_BATCH_SIZES: [i64; 3] = [2, 5, 100];
/// What the SDK gives an attempt before it calls it a timeout.
const ATTEMPT_MS: u64 = 2_000;
/// Until a request whose answer nobody waits for any more is done all the same.
const DELAY_MS_MAX: u64 = 60_000;
const STALL_MS_MAX: u64 = 200_000;
/// An answer for want of time comes no earlier than this before the deadline: the margin that the processor keeps, and
/// the least time that it begins a call with.
const TIME_LEFT_MS_MAX: u64 = 2_100;
const DAY_MS: u64 = 86_400_000;
/// Days of a tenant that DynamoDB refuses, from the first: longer than any schedule.
const REFUSED_DAYS: u64 = 5;
/// How often the schedule ticks.
const TICK_MS: u64 = 60_000;
/// While nothing is pending one tick in so many is made, and one in so many while SNS takes nothing: each takes the
/// simulation's time.
const IDLE_TICKS: u8 = 32;
const VAIN_TICKS: u8 = 16;
/// When all is quiet, ticks go on for so long beyond a window, while anything is pending.
const TICKING_MS_MAX: u64 = 10 * TICK_MS;
/// For so long a process takes the list of read models that it has read for true, and leaves CloudWatch alone.
const KEPT_MS: u64 = 60_000;
/// What clocks differ by at most.
const CLOCKS_DIFFER_MS_MAX: u64 = 6_000;
/// More means that the world does not come to rest.
const STEPS_MAX: u64 = 300_000;

/// What a run consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: u64,
    pub invocations: u64,
    pub calls: u64,
    pub faults: u64,
    pub dead: u64,
    pub discarded: u64,
    pub ticks: u64,
    pub alerts: u64,
    pub digests: u64,
    /// Transactions that met an item which another one was changing.
    pub conflicts: u64,
    /// The same for the same seed.
    pub hash: u64,
}

pub struct Ending {
    pub totals: Totals,
    tables: MemoryTables,
}

/// What is next, in the order of time; what happens at the same time is shuffled.
#[derive(Debug)]
enum Event {
    Send(usize),
    Act(Act),
    /// A minute has passed.
    Tick,
    /// A mapping has something to do.
    Wake,
    /// A call takes effect.
    Effect {
        invocation: u64,
        context: Rc<Batch>,
        call: Call,
        then: Then,
        /// The transaction that keeps others from its items until then.
        held: Option<u64>,
    },
    /// A call is answered.
    Answered {
        invocation: u64,
        answer: Answer,
    },
    /// Lambda ends the invocation.
    Timeout(u64),
    Appear(Box<Change>),
}

/// What follows the effect of a call.
#[derive(Debug)]
enum Then {
    Answer,
    /// The answer is late.
    AnswerAfter {
        ms: u64,
    },
    /// Some statements are refused before, or after.
    Some {
        chosen: BTreeSet<usize>,
        are_done: bool,
        code: &'static str,
    },
    /// Nobody hears of it.
    Silence,
    Crash,
}

/// What an invocation was given.
#[derive(Debug, Default)]
struct Batch {
    messages: Vec<usize>,
    /// Sequence numbers of stream records; a tick has none.
    records: Vec<String>,
    started_ms: u64,
    /// Of the projector: how many deployments were before its own.
    generation: usize,
    progress: Rc<RefCell<Progress>>,
}

enum Ended {
    Processed(process::Report),
    Projected(project::Report, Box<Kept>),
}

/// A process of the projector, between two invocations.
#[derive(Default)]
struct Process {
    kept: Box<Kept>,
    clock_offset_ms: i64,
    /// When anything went wrong in it last.
    disturbed_ms: Option<u64>,
}

struct Invocation {
    of: Function,
    stub: PortStub,
    code: Pin<Box<dyn Future<Output = Ended>>>,
    batch: Rc<Batch>,
    /// Nobody waits for the answer of a twin, or of one that is believed dead.
    mapping_id: Option<u64>,
    deadline_ms: u64,
    /// Of the projector, without what it keeps: the code has that.
    process: Process,
    /// Lambda has no more use for its process.
    is_lost: bool,
    calls: usize,
    is_faulty: bool,
    is_stalled: bool,
    excuses: Excuses,
    /// Identities of statements that a request held which was refused for its content.
    sent_singly: BTreeSet<String>,
    /// Identities whose statements are refused as long as it runs, as where a partition is too busy.
    refused: BTreeSet<String>,
}

pub(super) struct World<'t> {
    scenario: Scenario,
    random: Rng,
    now_ms: u64,
    agenda: BTreeMap<(u64, u32, u64), Event>,
    scheduled: u64,
    next_wake_ms: Option<u64>,
    /// Its mapping may find something to do.
    is_queue_stirred: bool,
    is_stream_stirred: bool,
    sqs: Sqs,
    queue_mapping: QueueMapping,
    stream_mapping: StreamMapping,
    tables: MemoryTables,
    projections: MemoryProjections,
    stream: Stream,
    invocations: BTreeMap<u64, Invocation>,
    next_invocation: u64,
    /// Invocations of the processor that may still go wrong.
    faulty_left: usize,
    is_ready_indexed: bool,
    is_cold: bool,
    /// Processes of the projector that wait for an invocation.
    processes: Vec<Process>,
    /// Deployments so far.
    generation: usize,
    /// When the last was at work that was started before the last deployment.
    older_ms: u64,
    /// When the last invocation was started that has committed anything.
    committing_ms: Option<u64>,
    refused_request: BTreeSet<ProjectionKey>,
    /// When ticks end at the latest; not known while anything else happens.
    ticks_until_ms: Option<u64>,
    revalidated: BTreeSet<(String, String)>,
    aliens: u64,
    expectations: Expectations,
    totals: Totals,
    hash: DefaultHasher,
    trace: Option<&'t RefCell<Vec<String>>>,
}

/// Runs a seed to its end, tracing into `trace` where there is one. Panics where the contract does not hold.
pub(super) fn run(seed: u64, cuts: &Cuts, trace: Option<&RefCell<Vec<String>>>) -> Ending {
    let mut world = World::new(seed, Scenario::of(seed, cuts), trace);
    world.run();
    Ending { totals: world.totals, tables: world.tables }
}

impl Totals {
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.invocations += other.invocations;
        self.calls += other.calls;
        self.faults += other.faults;
        self.dead += other.dead;
        self.discarded += other.discarded;
        self.ticks += other.ticks;
        self.alerts += other.alerts;
        self.digests += other.digests;
        self.conflicts += other.conflicts;
    }
}

impl<'t> World<'t> {
    fn new(seed: u64, scenario: Scenario, trace: Option<&'t RefCell<Vec<String>>>) -> Self {
        // Apart from the scenario's, so that what is cut from that changes nothing here.
        let mut random = Rng::with_seed(seed ^ 0x5eed);
        let deployment = Deployment::default();
        let mut sqs = Sqs::new(deployment.account.clone());
        let [(_, dead_letters), (_, mut events), _] = deployment.queues();
        let redrive =
            json!({ "deadLetterTargetArn": sqs.arn(DEAD_LETTER_QUEUE), "maxReceiveCount": scenario.receives_max });
        events.insert("RedrivePolicy".to_owned(), redrive.to_string());
        let start_ms = scenario.start_ms;
        sqs.create_queue(start_ms, DEAD_LETTER_QUEUE, &dead_letters).expect("a queue");
        sqs.create_queue(start_ms, QUEUE, &events).expect("a queue");
        let processor = MappingSettings {
            event_source_arn: sqs.arn(QUEUE),
            scaling_config: ScalingConfig { maximum_concurrency: Some(PROCESSORS_MAX) },
            ..deployment.queue_mapping()
        };
        let queue_mapping = QueueMapping::new(processor, &sqs);
        let mut stream_mapping = StreamMapping::new(MappingSettings {
            batch_size: Some(*pick(&mut random, &STREAM_BATCH_SIZES)),
            ..deployment.stream_mapping("arn:aws:dynamodb:us-east-1:000000000000:table/events/stream/1".to_owned())
        })
        .expect("a mapping");
        for shard in 0..2 {
            stream_mapping.add_shard(&Stream::shard_id(shard), None);
        }
        let (refused_keys, refused_request) = refused_keys(&scenario);
        let mut projections = MemoryProjections::default();
        let refused_items = refused_keys.union(&refused_request).cloned().collect();
        projections.refused_keys = refused_keys;
        Self {
            expectations: Expectations::new(refused_items),
            processes: Vec::new(),
            generation: 0,
            older_ms: 0,
            committing_ms: None,
            refused_request,
            ticks_until_ms: None,
            random,
            now_ms: start_ms,
            agenda: BTreeMap::new(),
            scheduled: 0,
            next_wake_ms: None,
            is_queue_stirred: false,
            is_stream_stirred: false,
            sqs,
            queue_mapping: queue_mapping.expect("a mapping"),
            stream_mapping,
            tables: MemoryTables::default(),
            projections,
            stream: Stream::new(scenario.hot_tenant),
            scenario,
            invocations: BTreeMap::new(),
            next_invocation: 0,
            faulty_left: FAULTY_INVOCATIONS_MAX,
            is_ready_indexed: true,
            is_cold: true,
            revalidated: BTreeSet::new(),
            aliens: 0,
            totals: Totals::default(),
            hash: DefaultHasher::new(),
            trace,
        }
    }

    fn run(&mut self) {
        for at in 0..self.scenario.sends.len() {
            // Producers send in order, whatever else happens at the time.
            self.schedule_with(self.scenario.sends[at].at_ms, 0, Event::Send(at));
        }
        for (at_ms, act) in self.scenario.acts.clone() {
            self.schedule(at_ms, Event::Act(act));
        }
        let first_tick_ms = self.scenario.start_ms + self.random.u64(..TICK_MS);
        self.schedule(first_tick_ms, Event::Tick);
        let mut steps = 0;
        while let Some(((now_ms, ..), event)) = self.agenda.pop_first() {
            steps += 1;
            assert!(steps < STEPS_MAX, "the world does not come to rest");
            self.now_ms = now_ms;
            self.happen(event);
            self.poll_mappings();
        }
        self.check_end();
        self.totals.hash = self.hash.finish();
    }

    fn schedule(&mut self, at_ms: u64, event: Event) {
        let shuffle = self.random.u32(1..);
        self.schedule_with(at_ms, shuffle, event);
    }

    fn schedule_with(&mut self, at_ms: u64, order: u32, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((at_ms, order, self.scheduled), event);
    }

    /// Takes note of a step: always in the hash, in words where there is a trace.
    fn note(&mut self, step: &str, number: u64, words: impl FnOnce() -> String) {
        (self.now_ms, step, number).hash(&mut self.hash);
        let since_ms = self.now_ms - self.scenario.start_ms;
        if let Some(trace) = self.trace {
            trace.borrow_mut().push(format!(
                "{:>6}.{:03} {step} {number} {}",
                since_ms / 1_000,
                since_ms % 1_000,
                words()
            ));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(at) => self.send(at),
            Event::Act(act) => self.act(act),
            Event::Tick => self.tick(),
            Event::Wake => {
                self.next_wake_ms = None;
                self.is_queue_stirred = true;
                self.is_stream_stirred = true;
            }
            Event::Effect { invocation, context, call, then, held } => {
                held.into_iter().for_each(|held| self.projections.end(held));
                self.take_effect(invocation, &context, call, then);
            }
            Event::Answered { invocation, answer } => self.answer(invocation, answer),
            Event::Timeout(invocation) => self.time_out(invocation),
            Event::Appear(change) => self.appear(*change),
        }
    }

    fn send(&mut self, at: usize) {
        self.is_queue_stirred = true;
        let send = self.scenario.sends[at].clone();
        let request = SendRequest {
            body: send.recipe.body(),
            message_group_id: Some(send.recipe.group.to_owned()),
            message_deduplication_id: send.deduplication_id,
            ..SendRequest::default()
        };
        let words =
            || format!("group {} {}", send.recipe.group, &request.body[..request.body.floor_char_boundary(160)]);
        self.note("send", send.number as u64, words);
        let sent = self.sqs.send(self.now_ms, QUEUE, request).expect("the queue takes it");
        if !sent.duplicate {
            let sequence_number = sent.sequence_number.expect("a FIFO queue numbers");
            self.expectations.accept(&send.recipe, sent.message_id, sequence_number, self.now_ms);
            self.totals.messages += 1;
        }
    }

    // The stream.

    fn change(&mut self, event_name: &'static str, item: Item, meaning: Meaning) {
        self.change_as(event_name, false, item, meaning);
    }

    fn change_as(&mut self, event_name: &'static str, is_by_ttl: bool, item: Item, meaning: Meaning) {
        let at_ms = self.stream.appears_ms(&mut self.random, self.now_ms, &item);
        let change = Change { event_name, is_by_ttl, item, written_ms: self.now_ms, meaning };
        self.schedule(at_ms, Event::Appear(Box::new(change)));
    }

    fn appear(&mut self, change: Change) {
        self.is_stream_stirred = true;
        let (shard, record) = self.stream.append(&mut self.random, change);
        self.note("appear", shard as u64, || format!("{} {}", record.sequence_number, record.event_name));
        self.stream_mapping.offer(&Stream::shard_id(shard), vec![record]).expect("the shard is open");
    }

    fn check_end(&mut self) {
        hold!(G12, self.invocations.is_empty(), "an invocation does not end");
        let rest = self.sqs.peek(self.now_ms, QUEUE, 1).expect("there is a queue");
        let dead = self.sqs.peek(self.now_ms, DEAD_LETTER_QUEUE, usize::MAX).expect("there is a queue");
        let dead: BTreeSet<String> = dead.into_iter().map(|message| message.message_id).collect();
        self.totals.dead = dead.len() as u64;
        check_queues(self.scenario.regime, &rest, &dead);
        self.expectations.check_that_nothing_is_lost(&dead);
        if self.scenario.regime == Regime::Budgeted {
            self.expectations.check_order();
        }
        self.expectations.check_models(&self.stream, &self.projections);
        let settled_ms = self.older_ms + KEPT_MS + CLOCKS_DIFFER_MS_MAX;
        if self.committing_ms.is_some_and(|started_ms| started_ms >= settled_ms) {
            check_list(&self.projections, self.models_of(self.generation));
        }
        self.expectations.check_announced(&self.scenario, &self.projections);
        self.expectations.check_bounds(self.scenario.metric_places_max, &self.projections);
        (self.totals.alerts, self.totals.digests) = self.expectations.messages_sent();
    }

    fn models_of(&self, generation: usize) -> &'static [Projection] {
        self.scenario.models[generation % 2]
    }
}

/// Keys whose every write DynamoDB refuses, and those that make it refuse a whole request.
fn refused_keys(scenario: &Scenario) -> (BTreeSet<ProjectionKey>, BTreeSet<ProjectionKey>) {
    let tenant_id = |tenant: &str| TenantId::parse(tenant).expect("a tenant");
    let of_model = |tenant: &str, model: &Projection| {
        let key = |day: u64| {
            let day = Timestamp::from_epoch_ms(scenario.start_ms + day * DAY_MS).expect("this century");
            let (tenant_id, model, day) = (tenant_id(tenant), model.id(), day.day().to_owned());
            ModelKey { tenant_id, model, day, suffix: String::new() }.key()
        };
        (0..REFUSED_DAYS).map(key).collect()
    };
    match &scenario.refused {
        None => (BTreeSet::new(), BTreeSet::new()),
        Some(Refused::Item { tenant, model }) => (of_model(tenant, model), BTreeSet::new()),
        Some(Refused::Request { tenant, model }) => (BTreeSet::new(), of_model(tenant, model)),
        Some(Refused::Pending { tenant }) => {
            (BTreeSet::from([ProjectionKey::pending(&tenant_id(tenant))]), BTreeSet::new())
        }
    }
}

impl Ending {
    /// What the ledger says in the end.
    pub fn view(&self) -> View {
        view(&self.tables)
    }
}
