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
    Attribute, FailureClass, Item, Message,
    entry::{Status, attribute},
    ids::KEY_SEPARATOR,
    item::{text_of, whole_number},
    metric_tenants::TenantBudget,
    ports::{Inserted, Refusal, Table, Tables},
    projection::{EntrySummary, keys::ProjectionKey, update::Transacted},
};
use processor::process;
use projector::{StreamEvent, StreamResponse, project};
use serde_json::{Value, json};

use super::{
    checks::{
        Excuses, Expectations, View, check_calls, check_counts, check_deadline, check_queues, check_report,
        identity_of, refused_content, view,
    },
    scenario::{Act, Cuts, FAULTY_INVOCATIONS_MAX, Function, Regime, Scenario, pick},
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
    pub digests: u64,
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
    /// A mapping has something to do.
    Wake,
    /// A call takes effect.
    Effect {
        invocation: u64,
        context: Rc<Batch>,
        call: Call,
        then: Then,
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
    /// Sequence numbers of stream records.
    records: Vec<String>,
}

enum Ended {
    Processed(process::Report),
    Projected(project::Report),
}

struct Invocation {
    of: Function,
    stub: PortStub,
    code: Pin<Box<dyn Future<Output = Ended>>>,
    batch: Rc<Batch>,
    /// Nobody waits for the answer of a twin, or of one that is believed dead.
    mapping_id: Option<u64>,
    deadline_ms: u64,
    calls: usize,
    is_faulty: bool,
    is_stalled: bool,
    excuses: Excuses,
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
        self.digests += other.digests;
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
        Self {
            expectations: Expectations::new(scenario.alert_window_ms),
            scenario,
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
            projections: MemoryProjections::default(),
            stream: Stream::new(),
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
            Event::Wake => {
                self.next_wake_ms = None;
                self.is_queue_stirred = true;
                self.is_stream_stirred = true;
            }
            Event::Effect { invocation, context, call, then } => self.take_effect(invocation, &context, call, then),
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
        check_counts(&self.stream, &self.projections);
        self.expectations.check_bounds(self.scenario.metric_places_max, &self.projections);
        if self.totals.faults == 0 && self.scenario.acts.is_empty() && self.scenario.outages.is_empty() {
            self.expectations.check_told_once(&self.stream, &self.projections);
        }
        self.totals.digests = self.expectations.digests();
    }
}

impl Ending {
    /// What the ledger says in the end.
    pub fn view(&self) -> View {
        view(&self.tables)
    }
}
