//! One run of one seed: a single thread, a virtual clock, and an agenda of what happens next. The code under test runs
//! from one call of a port to the next, whenever the agenda says so; what is between belongs to everybody else.

mod acts;
mod calls;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use cloudsim::{
    deployment::{Deployment, Role},
    mapping::{
        Outcome, QueueInvocation, QueueMapping, QueueMappingConfig, StreamInvocation, StreamMapping,
        StreamMappingConfig,
    },
    projections::MemoryProjections,
    sqs::{ReceivedMessage, SendRequest, Sqs},
    tables::MemoryTables,
};
use fastrand::Rng;
use ledger::{
    Attribute, FailureClass, Item, Message,
    entry::{Status, attribute},
    ids::KEY_SEPARATOR,
    item::{item_bytes, text_of, whole_number},
    metric::dimension,
    metric_tenants::TenantBudget,
    ports::{Found, Inserted, Refusal, Table, Tables},
    projection::{
        EntrySummary, Projection, Verdict,
        keys::ProjectionKey,
        update::{Cancellation, Transacted},
    },
};
use processor::process;
use projector::{Services, StreamEvent, StreamResponse, project};
use serde_json::{Value, json};

use super::{
    books::{Books, Excuses},
    fault::Fault,
    line::{Answer, Call, Line},
    recipe::MARKER,
    scenario::{Act, Cuts, FAULTY_INVOCATIONS_MAX, Function, Regime, Scenario, pick},
    stream::{Change, Meaning, REMOVE, Stream},
};
use crate::alerts::AlertBook;

const QUEUE: &str = "events.fifo";
const DEAD_LETTER_QUEUE: &str = "events-dlq.fifo";

const PROCESSORS_MAX: u32 = 4;
/// Small, so that a shard takes several batches.
const STREAM_BATCH_SIZES: [u32; 3] = [2, 5, 100];
/// What the SDK gives an attempt before it calls it a timeout.
const ATTEMPT_MS: u64 = 2_000;
/// Until a request whose answer nobody waits for any more is done all the same.
const DELAY_MS_MAX: u64 = 60_000;
const STALL_MS_MAX: u64 = 200_000;
/// Calls of one invocation, pauses and all attempts included (G12). A processor that is refused everything makes about
/// seven for a request that it gives up, of which it has one for each group with a large body.
const PROCESSOR_CALLS_MAX: usize = 80;
const PROJECTOR_CALLS_MAX: usize = 400;
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
    /// The same for the same seed.
    pub hash: u64,
}

/// What the ledger says in the end, of each tenant.
pub type View = BTreeMap<String, BTreeSet<String>>;

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
    line: Line,
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

pub struct World<'t> {
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
    /// Sequence numbers of unreadable records that the failures queue was told of.
    reported: BTreeSet<String>,
    metric_tenants: BTreeSet<String>,
    alerts: AlertBook,
    books: Books,
    totals: Totals,
    hash: DefaultHasher,
    trace: Option<&'t RefCell<Vec<String>>>,
}

/// Runs a seed to its end, tracing into `trace` where there is one. Panics where the contract does not hold.
pub fn run(seed: u64, cuts: &Cuts, trace: Option<&RefCell<Vec<String>>>) -> Ending {
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
        let processor = QueueMappingConfig {
            queue_name: QUEUE.to_owned(),
            concurrency_max: PROCESSORS_MAX,
            ..deployment.queue_mapping()
        };
        let queue_mapping = QueueMapping::new(processor, &sqs);
        let mut stream_mapping = StreamMapping::new(StreamMappingConfig {
            batch_size: *pick(&mut random, &STREAM_BATCH_SIZES),
            ..deployment.stream_mapping("events/stream".to_owned())
        })
        .expect("a mapping");
        for shard in 0..2 {
            stream_mapping.add_shard(&Stream::shard_id(shard), None);
        }
        Self {
            alerts: AlertBook::new(scenario.alert_window_ms),
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
            reported: BTreeSet::new(),
            metric_tenants: BTreeSet::new(),
            books: Books::default(),
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
            self.books.accept(&send.recipe, sent.message_id, sequence_number, self.now_ms);
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

    // Mappings.

    fn poll_mappings(&mut self) {
        if !self.is_queue_stirred && !self.is_stream_stirred {
            return;
        }
        while std::mem::take(&mut self.is_queue_stirred) {
            self.poll_queue();
        }
        while std::mem::take(&mut self.is_stream_stirred) {
            self.poll_stream();
        }
        let next = self.queue_mapping.next_event_ms(&self.sqs).into_iter().chain(self.stream_mapping.next_event_ms());
        if let Some(next_ms) = next.min().map(|next_ms| next_ms.max(self.now_ms + 1))
            && self.next_wake_ms.is_none_or(|wake_ms| next_ms < wake_ms)
        {
            self.next_wake_ms = Some(next_ms);
            self.schedule(next_ms, Event::Wake);
        }
    }

    fn poll_queue(&mut self) {
        let invocations = self.queue_mapping.poll(self.now_ms, &mut self.sqs).expect("there is a queue");
        for invocation in invocations {
            self.invoke_processor(invocation);
        }
    }

    fn poll_stream(&mut self) {
        let poll = self.stream_mapping.poll(self.now_ms);
        for discarded in poll.discarded {
            self.discard(&discarded.sequence_numbers);
        }
        for invocation in poll.invocations {
            self.invoke_projector(invocation);
        }
    }

    fn discard(&mut self, sequence_numbers: &[String]) {
        self.totals.discarded += sequence_numbers.len() as u64;
        self.note("discard", sequence_numbers.len() as u64, || sequence_numbers.join(" "));
        for number in sequence_numbers {
            self.stream.find(number).is_discarded = true;
        }
    }

    fn invoke_processor(&mut self, invocation: QueueInvocation) {
        let fault = self.fault_of_invocation();
        if fault == Some(Fault::Throttled) {
            self.note("throttled processor", invocation.id, String::new);
            return self.complete_queue(invocation.id, &Outcome::Throttled);
        }
        let messages: Vec<Message> = invocation.messages.into_iter().map(message).collect();
        let batch = messages.iter().map(|message| self.books.find(&message.message_id)).collect();
        let batch = Rc::new(Batch { messages: batch, records: Vec::new() });
        if fault == Some(Fault::Twin) {
            self.start_processor(None, messages.clone(), batch.clone(), fault);
        }
        self.start_processor(Some(invocation.id), messages, batch, fault);
    }

    fn start_processor(
        &mut self,
        mapping_id: Option<u64>,
        messages: Vec<Message>,
        batch: Rc<Batch>,
        fault: Option<Fault>,
    ) {
        let settings = process::Settings {
            claim_ttl_days: self.scenario.claim_ttl_days,
            entry_ttl_days: self.scenario.entry_ttl_days,
            is_ready_indexed: self.is_ready_indexed,
        };
        let line = Line::new(self.random.u64(..));
        let deadline_ms = self.now_ms + u64::from(Role::Processor.timeout_seconds()) * 1_000;
        let is_cold = std::mem::take(&mut self.is_cold) || fault == Some(Fault::ColdStart);
        let code = {
            let line = line.clone();
            async move {
                if is_cold {
                    process::warm_up(&line).await;
                }
                Ended::Processed(process::process(&line, &line, settings, &messages, deadline_ms).await)
            }
        };
        self.start(Function::Processor, mapping_id, line, Box::pin(code), batch, deadline_ms);
    }

    fn invoke_projector(&mut self, invocation: StreamInvocation) {
        let fault = self.fault_of_invocation();
        if fault == Some(Fault::Throttled) || self.is_out(Function::Projector) {
            self.note("throttled projector", invocation.id, String::new);
            return self.complete_stream(invocation.id, &Outcome::Throttled);
        }
        let records = invocation.event["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |record: &Value| record.as_str().expect("a sequence number").to_owned();
        let records: Vec<String> = records.iter().map(number).collect();
        if fault == Some(Fault::Twin) {
            self.start_projector(None, records.clone());
        }
        self.start_projector(Some(invocation.id), records);
    }

    fn start_projector(&mut self, mapping_id: Option<u64>, records: Vec<String>) {
        let event: StreamEvent = serde_json::from_str(&self.stream.event(&records)).expect("an event of the stream");
        let batch = Rc::new(Batch { messages: Vec::new(), records });
        let settings = project::Settings {
            tenant_budget: TenantBudget::FirstCome { places_max: self.scenario.metric_places_max },
            alert_window_ms: self.scenario.alert_window_ms,
        };
        let line = Line::new(self.random.u64(..));
        let deadline_ms = self.now_ms + u64::from(Role::Projector.timeout_seconds()) * 1_000;
        let services = Services {
            projections: line.clone(),
            alerts: line.clone(),
            metrics: line.clone(),
            failures: line.clone(),
            clock: line.clone(),
        };
        let code = async move { Ended::Projected(services.project(&settings, event.into_batch(), deadline_ms).await) };
        self.start(Function::Projector, mapping_id, line, Box::pin(code), batch, deadline_ms);
    }

    fn start(
        &mut self,
        of: Function,
        mapping_id: Option<u64>,
        line: Line,
        code: Pin<Box<dyn Future<Output = Ended>>>,
        batch: Rc<Batch>,
        deadline_ms: u64,
    ) {
        let id = self.next_invocation;
        self.next_invocation += 1;
        self.totals.invocations += 1;
        let words = || format!("{of:?} messages {:?} records {:?} for {mapping_id:?}", batch.messages, batch.records);
        self.note("start", id, words);
        let invocation = Invocation {
            of,
            line,
            code,
            batch,
            mapping_id,
            deadline_ms,
            calls: 0,
            is_faulty: false,
            is_stalled: false,
            excuses: Excuses::default(),
            refused: BTreeSet::new(),
        };
        self.invocations.insert(id, invocation);
        self.schedule(deadline_ms, Event::Timeout(id));
        self.step(id);
    }

    /// Lets an invocation run to its next call, or to its end.
    fn step(&mut self, id: u64) {
        let invocation = self.invocations.get_mut(&id).expect("it runs");
        invocation.line.state().now_ms = self.now_ms;
        match invocation.code.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                let request = invocation.line.state().request.take();
                let (call, budget_ms) = request.expect("whoever waits has made a call");
                self.begin(id, call, budget_ms);
            }
            Poll::Ready(ended) => self.end(id, ended),
        }
    }

    // Endings.

    fn end(&mut self, id: u64, ended: Ended) {
        let invocation = self.invocations.remove(&id).expect("it ran");
        let is_in_time = self.now_ms <= invocation.deadline_ms;
        assert!(is_in_time || invocation.is_stalled, "G12: an answer comes before the deadline");
        match ended {
            Ended::Processed(report) => {
                self.note("processed", id, || format!("{:?}", report.outcomes));
                let is_late = self.now_ms + TIME_LEFT_MS_MAX >= invocation.deadline_ms;
                self.books.answered(&invocation.batch.messages, &report, &invocation.excuses, is_late);
                let Some(mapping_id) = invocation.mapping_id else { return };
                let failed = report.failed.iter().map(|&at| &self.books.messages[invocation.batch.messages[at]]);
                let failures: Vec<Value> =
                    failed.map(|accepted| json!({ "itemIdentifier": accepted.message_id })).collect();
                let response = json!({ "batchItemFailures": failures });
                self.complete_queue(mapping_id, &Outcome::Succeeded(Some(response)));
            }
            Ended::Projected(report) => {
                self.note("projected", id, || format!("{report:?}"));
                let is_excused = invocation.excuses.is_any || invocation.is_faulty;
                assert!(is_excused || report.outcome == project::Outcome::Done, "G9: {report:?} without a cause");
                let Some(mapping_id) = invocation.mapping_id else { return };
                let outcome = match &report.outcome {
                    project::Outcome::Done => response(&StreamResponse::done()),
                    project::Outcome::FailedFrom(sequence) => response(&StreamResponse::failed_from(sequence)),
                    project::Outcome::Failed => Outcome::FunctionError,
                };
                self.complete_stream(mapping_id, &outcome);
            }
        }
    }

    fn crash(&mut self, id: u64) {
        let Some(invocation) = self.invocations.remove(&id) else { return };
        self.note("crash", id, String::new);
        self.give_up(&invocation, &Outcome::FunctionError);
    }

    /// Lambda ends it, or believes so while it stands still and will go on.
    fn time_out(&mut self, id: u64) {
        let Some(mut invocation) = self.invocations.remove(&id) else { return };
        assert!(invocation.is_stalled, "G12: an answer comes before the deadline");
        self.note("time-out", id, String::new);
        self.give_up(&invocation, &Outcome::TimedOut);
        if self.random.bool() {
            invocation.mapping_id = None;
            self.invocations.insert(id, invocation);
        }
    }

    fn give_up(&mut self, invocation: &Invocation, outcome: &Outcome) {
        match (invocation.mapping_id, invocation.of) {
            (None, _) => {}
            (Some(mapping_id), Function::Processor) => self.complete_queue(mapping_id, outcome),
            (Some(mapping_id), Function::Projector) => self.complete_stream(mapping_id, outcome),
        }
    }

    fn complete_queue(&mut self, mapping_id: u64, outcome: &Outcome) {
        self.is_queue_stirred = true;
        let completion = self.queue_mapping.complete(self.now_ms, &mut self.sqs, mapping_id, outcome);
        for message_id in completion.expect("it ran").deleted {
            self.books.acknowledged(&message_id);
        }
    }

    fn complete_stream(&mut self, mapping_id: u64, outcome: &Outcome) {
        self.is_stream_stirred = true;
        let discarded = self.stream_mapping.complete(self.now_ms, mapping_id, outcome).expect("it ran");
        for discarded in discarded {
            self.discard(&discarded.sequence_numbers);
        }
    }

    // The end.

    fn check_end(&mut self) {
        assert!(self.invocations.is_empty(), "G12: every invocation ends");
        let rest = self.sqs.peek(self.now_ms, QUEUE, 1).expect("there is a queue");
        assert!(rest.is_empty(), "G4: a message stays in the queue: {rest:?}");
        let dead = self.sqs.peek(self.now_ms, DEAD_LETTER_QUEUE, usize::MAX).expect("there is a queue");
        let dead: BTreeSet<String> = dead.into_iter().map(|message| message.message_id).collect();
        self.totals.dead = dead.len() as u64;
        self.books.check_end(self.scenario.regime, &dead);
        let mut fold = Projection::default();
        for logged in &self.stream.log {
            let is_answered_for = logged.is_counted || logged.is_discarded;
            assert!(
                is_answered_for || matches!(logged.meaning, Meaning::Nothing),
                "G9: record {} is neither counted nor announced",
                logged.sequence_number
            );
            match &logged.meaning {
                Meaning::Appended(entry) if logged.is_counted => fold.append(entry),
                Meaning::Revalidated(entry) if logged.is_counted => fold.revalidate(entry),
                _ => {}
            }
        }
        assert_eq!(self.projections.projection(), fold, "G9: the counts are the fold of the ledger");
        let tenants = self.metric_tenants.len();
        assert!(tenants <= self.scenario.metric_places_max + 1, "G12: {tenants} tenants have a metric dimension");
    }
}

impl Ending {
    /// What the ledger says of each tenant, without what depends on the others: times of arrival and SQS's numbers.
    pub fn view(&self) -> View {
        let mut view = View::new();
        for item in self.tables.items(Table::Entries) {
            let text = |name: &str| text_of(&item, name).unwrap_or_default().to_owned();
            let sk = text(attribute::SK);
            let is_named_by_queue = item.contains_key(attribute::ATTRIBUTED_BY);
            let key = if is_named_by_queue { sk[..30].to_owned() } else { sk };
            let body = (item.get(attribute::PAYLOAD), item.get(attribute::RAW), item.get(attribute::REASON));
            let line = format!("{key} {} {body:?}", text(attribute::STATUS));
            view.entry(text(attribute::TENANT_ID)).or_default().insert(line);
        }
        view
    }
}

fn message(received: ReceivedMessage) -> Message {
    let ReceivedMessage { message_id, body, system_attributes, .. } = received;
    let attribute = |name: &str| system_attributes.get(name).cloned();
    Message {
        message_id,
        body,
        group_id: attribute("MessageGroupId"),
        sequence_number: attribute("SequenceNumber"),
        sent_at_ms: attribute("SentTimestamp").and_then(|text| text.parse().ok()),
        receive_count: attribute("ApproximateReceiveCount").and_then(|text| text.parse().ok()).expect("a count"),
    }
}

fn response(response: &StreamResponse) -> Outcome {
    Outcome::Succeeded(Some(serde_json::to_value(response).expect("a response is JSON")))
}
