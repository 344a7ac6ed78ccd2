//! Runs code under test against AWS, or a model of it, on a clock of its own and under a plan of faults. A fault is
//! planned by the kind of the calls that it meets, and by their numbers among the coming calls of that kind.

use std::{
    collections::BTreeSet,
    ops::{Bound, ControlFlow, RangeBounds},
};

use ledger::{
    Message,
    alert::AlertMessage,
    metric::Datum,
    ports::{Refusal, Tables},
    projection::Sums,
};
use processor::process;
use projector::{Batch, Input, Kept, Report, Settings, project, tick};

use super::{Answer, Call, Fault, Kind, PortStub, ready};
use crate::memory::projections::MemoryProjections;

/// What a call of a real table may take.
const BUDGET_MS: u64 = 60_000;
/// No item of the projections may be larger, whatever tenants send.
pub const PROJECTION_BYTES_MAX: usize = 16 * 1024;

/// Makes the calls of a stub.
pub trait Aws {
    fn make(&mut self, now_ms: u64, call: Call) -> impl Future<Output = Answer>;
}

/// The processor calls nothing but tables, in memory or real ones.
impl<T: Tables> Aws for &T {
    async fn make(&mut self, _: u64, call: Call) -> Answer {
        match call {
            Call::Insert(table, items) => Answer::Inserted(self.insert(table, items, BUDGET_MS).await),
            Call::Read(table, keys) => Answer::Found(self.read(table, keys, BUDGET_MS).await),
            call => unreachable!("the processor does not {}", call.name()),
        }
    }
}

/// What the projector calls: a table in memory, and services that keep what they are given; and what its process keeps.
#[derive(Default)]
pub struct ProjectorAws {
    pub projections: MemoryProjections,
    /// With the time at which each left.
    pub alerts: Vec<(u64, AlertMessage)>,
    pub puts: Vec<Vec<Datum>>,
    pub kept: Kept,
}

impl Aws for ProjectorAws {
    async fn make(&mut self, now_ms: u64, call: Call) -> Answer {
        match call {
            Call::ReadProjections(keys) => return Answer::Found(self.projections.read(&keys)),
            Call::Query { pk, after } => return Answer::Page(Ok(self.projections.query(&pk, after.as_deref()))),
            Call::Update(update) => return Answer::Updated(self.projections.update(update)),
            Call::Transact(transaction) => return Answer::Transacted(self.projections.transact(now_ms, transaction)),
            Call::Publish(message) => self.alerts.push((now_ms, message)),
            Call::Put(data) => self.puts.push(data),
            Call::Insert(..) | Call::Read(..) | Call::Sleep => unreachable!("the projector does not {}", call.name()),
        }
        Answer::Done(Ok(()))
    }
}

/// The code under test, and what its calls meet.
pub struct Driver<A> {
    pub aws: A,
    pub now_ms: u64,
    /// What an undisturbed call takes.
    pub call_ms: u64,
    /// What it takes besides, for each KiB of items that it carries or brings back.
    pub ms_per_kib: u64,
    /// The calls made so far: the kind of each, and how many parts it had.
    pub calls: Vec<(Kind, usize)>,
    plan: Vec<Planned>,
    /// Invocations begun so far.
    invocations: u64,
}

/// A fault, and the calls that it meets.
#[derive(Clone)]
pub struct Planned {
    kind: Kind,
    /// Calls of this kind that were made before it was planned.
    made: usize,
    numbers: (Bound<usize>, Bound<usize>),
    fault: Fault,
    /// All of them, where none is named.
    parts: BTreeSet<usize>,
    refusal: Refusal,
    /// How long a call takes.
    pub ms: u64,
}

impl Planned {
    /// Only some parts of the calls go wrong, and this is how they are refused.
    pub fn parts(&mut self, parts: &[usize], refusal: Refusal) {
        (self.parts, self.refusal) = (parts.iter().copied().collect(), refusal);
    }
}

impl<A: Aws> Driver<A> {
    pub fn new(aws: A, now_ms: u64) -> Self {
        Self { aws, now_ms, call_ms: 0, ms_per_kib: 0, calls: Vec::new(), plan: Vec::new(), invocations: 0 }
    }

    /// Lets coming calls of a kind go wrong; they are numbered from 1. What is returned can be made more precise.
    pub fn plan(&mut self, kind: Kind, numbers: impl RangeBounds<usize>, fault: Fault) -> &mut Planned {
        let planned = self.planned_fault(kind, numbers, fault);
        self.plan.push_mut(planned)
    }

    fn planned_fault(&self, kind: Kind, numbers: impl RangeBounds<usize>, fault: Fault) -> Planned {
        let numbers = (numbers.start_bound().cloned(), numbers.end_bound().cloned());
        let refusal = Refusal::transient("Throttled");
        Planned { kind, made: self.made(kind), numbers, fault, parts: BTreeSet::new(), refusal, ms: self.call_ms }
    }

    /// From here on nothing goes wrong.
    pub fn heal(&mut self) {
        self.plan.clear();
    }

    /// Runs invocations at the same time: `turns` says, again and again, which of them makes the next call, and
    /// `before` happens just before each. Returns the output of those that do not crash.
    async fn run<C: FnOnce(PortStub) -> F, F: Future>(
        &mut self,
        codes: impl IntoIterator<Item = C>,
        turns: &[usize],
        mut before: impl AsyncFnMut(&mut A, &Call),
    ) -> Vec<F::Output> {
        let start = |code: C| {
            let stub = PortStub::default();
            // No two invocations have a token in common.
            stub.state().token = self.invocations << 32;
            self.invocations += 1;
            (stub.clone(), Box::pin(code(stub)))
        };
        let mut running: Vec<_> = codes.into_iter().map(start).collect();
        let mut outputs = Vec::new();
        let mut turns = turns.iter().cycle();
        while !running.is_empty() {
            let turn = turns.next().unwrap_or(&0) % running.len();
            let (stub, code) = &mut running[turn];
            let answer = match stub.step(code.as_mut(), self.now_ms) {
                ControlFlow::Continue((call, budget_ms)) => {
                    before(&mut self.aws, &call).await;
                    self.answer(call, budget_ms).await
                }
                ControlFlow::Break(output) => {
                    outputs.push(output);
                    None
                }
            };
            match answer {
                Some(answer) => running[turn].0.answer(answer),
                None => drop(running.swap_remove(turn)),
            }
        }
        outputs
    }

    /// Makes a call under the fault that is planned for it; `None` where the invocation crashes.
    async fn answer(&mut self, call: Call, budget_ms: u64) -> Option<Answer> {
        if call.kind() == Kind::Sleep {
            self.now_ms += budget_ms;
            return Some(Answer::Done(Ok(())));
        }
        let Planned { fault, parts, refusal, ms, .. } = self.planned(call.kind());
        self.calls.push((call.kind(), call.parts()));
        let too_late = call.refused(Refusal::transient("Deadline"));
        let takes_ms = if fault == Fault::Hangs { u64::MAX } else { ms + self.time_of_bytes_ms(call.item_bytes()) };
        if takes_ms > budget_ms {
            self.now_ms += budget_ms;
            return Some(too_late);
        }
        self.now_ms += takes_ms;
        let refused = call.refused(refusal.clone());
        let (aws, now_ms) = (&mut self.aws, self.now_ms);
        match fault {
            Fault::CrashBefore => None,
            Fault::CrashAfter => {
                aws.make(now_ms, call).await;
                None
            }
            Fault::Refused => Some(refused),
            Fault::RefusedAsContent => Some(call.refused(Refusal::Content)),
            Fault::AnswerLost => {
                aws.make(now_ms, call).await;
                Some(refused)
            }
            Fault::SomeRefused | Fault::SomeAnswersLost => {
                let parts = if parts.is_empty() { (0..call.parts()).collect() } else { parts };
                let make = async |call| aws.make(now_ms, call).await;
                Some(call.make_partly(&parts, fault == Fault::SomeAnswersLost, refusal, make).await)
            }
            Fault::Slow => {
                let answer = aws.make(now_ms, call).await;
                let ms = self.time_of_bytes_ms(answer.item_bytes());
                self.now_ms += ms.min(budget_ms - takes_ms);
                Some(if ms > budget_ms - takes_ms { too_late } else { answer })
            }
            Fault::Hangs | Fault::Delayed | Fault::Stalls | Fault::Twin | Fault::Throttled | Fault::ColdStart => {
                unreachable!("the simulation alone knows {fault} calls")
            }
        }
    }

    /// What was planned last for the next call of a kind, or a call that goes well.
    fn planned(&self, kind: Kind) -> Planned {
        let number = self.made(kind) + 1;
        let is_met = |planned: &&Planned| planned.kind == kind && planned.numbers.contains(&(number - planned.made));
        self.plan.iter().rfind(is_met).cloned().unwrap_or_else(|| self.planned_fault(kind, .., Fault::Slow))
    }

    fn made(&self, kind: Kind) -> usize {
        self.calls.iter().filter(|(of, _)| *of == kind).count()
    }

    fn time_of_bytes_ms(&self, bytes: usize) -> u64 {
        bytes as u64 * self.ms_per_kib / 1024
    }
}

impl<T: Tables> Driver<&T> {
    /// Processes one batch.
    pub async fn process(
        &mut self,
        settings: process::Settings,
        messages: &[Message],
        timeout_ms: u64,
    ) -> process::Report {
        self.process_with(settings, messages, timeout_ms, async |_| {}).await
    }

    /// The same where something happens just before each call, which is of this kind.
    pub async fn process_with(
        &mut self,
        settings: process::Settings,
        messages: &[Message],
        timeout_ms: u64,
        mut before: impl AsyncFnMut(Kind),
    ) -> process::Report {
        let deadline_ms = self.now_ms + timeout_ms;
        let code = async |stub: PortStub| process::process(&stub.of_processor(), settings, messages, deadline_ms).await;
        let report = self.run([code], &[0], async |_, call| before(call.kind()).await).await.pop();
        assert!(self.now_ms <= deadline_ms, "G12: the answer comes before the deadline");
        let report = report.expect("no crash is planned");
        assert_eq!(report.outcomes.len(), messages.len());
        report
    }
}

impl Driver<ProjectorAws> {
    /// What the read models hold.
    pub fn sums(&self) -> Sums {
        Sums::of_items(self.aws.projections.items().values())
    }

    /// Projects one batch; `None` where the invocation crashes.
    pub fn project(&mut self, settings: &Settings, batch: Batch, timeout_ms: u64) -> Option<Report> {
        self.invoke(settings, Input::Batch(batch), timeout_ms)
    }

    /// Announces what is pending; `None` where the invocation crashes.
    pub fn tick(&mut self, settings: &Settings, timeout_ms: u64) -> Option<Report> {
        self.invoke(settings, Input::Tick, timeout_ms)
    }

    /// Runs invocations at the same time, each in a process that has just started; they make their calls by `turns`.
    /// `before` happens just before each call.
    pub fn invoke_all(
        &mut self,
        settings: &Settings,
        inputs: Vec<Input>,
        timeout_ms: u64,
        turns: &[usize],
        before: impl FnMut(&mut MemoryProjections, &Call),
    ) -> Vec<Report> {
        let inputs = inputs.into_iter().map(|input| (Kept::default(), input)).collect();
        self.run_projector(settings, inputs, timeout_ms, turns, before).into_iter().map(|(report, _)| report).collect()
    }

    /// Runs one invocation in the process that ran the last one, or in a new one after a crash.
    fn invoke(&mut self, settings: &Settings, input: Input, timeout_ms: u64) -> Option<Report> {
        let kept = std::mem::take(&mut self.aws.kept);
        let (report, kept) = self.run_projector(settings, vec![(kept, input)], timeout_ms, &[0], |_, _| {}).pop()?;
        self.aws.kept = kept;
        Some(report)
    }

    fn run_projector(
        &mut self,
        settings: &Settings,
        inputs: Vec<(Kept, Input)>,
        timeout_ms: u64,
        turns: &[usize],
        mut before: impl FnMut(&mut MemoryProjections, &Call),
    ) -> Vec<(Report, Kept)> {
        let deadline_ms = self.now_ms + timeout_ms;
        let code = |(mut kept, input)| {
            async move |stub: PortStub| {
                let ports = stub.of_projector();
                let report = match input {
                    Input::Batch(batch) => project(&ports, settings, &mut kept, batch, deadline_ms).await,
                    Input::Tick => tick(&ports, settings, &mut kept, deadline_ms).await,
                    Input::WithoutShard => unreachable!("without a shard there is nothing to project"),
                };
                (report, kept)
            }
        };
        let before = async |aws: &mut ProjectorAws, call: &Call| before(&mut aws.projections, call);
        let outputs = ready(self.run(inputs.into_iter().map(code), turns, before));
        assert!(self.now_ms <= deadline_ms, "G12: an answer comes before the deadline");
        let bytes = self.aws.projections.item_bytes_max;
        assert!(bytes <= PROJECTION_BYTES_MAX, "G12: an item has {bytes} bytes");
        outputs
    }
}
