//! Calls of the code under test: what goes wrong with each, when it takes effect, and what is answered when. What takes
//! effect is held against the contract at once.

use ledger::projection::update::{Transacted, Updated};

use super::*;
use crate::simulation::scenario::Outage;

/// One query in so many takes time, and may go wrong: a tick makes 64 in a row.
const SLOW_QUERIES: u8 = 32;

impl World<'_> {
    pub(super) fn is_out(&self, function: Function) -> bool {
        self.failing().any(|failing| failing == Failing::Function(function))
    }

    /// What fails now whatever it does.
    pub(super) fn failing(&self) -> impl Iterator<Item = Failing> {
        let is_on = |outage: &&Outage| (outage.from_ms..outage.until_ms).contains(&self.now_ms);
        self.scenario.outages.iter().filter(is_on).map(|outage| outage.of)
    }

    /// Whether the service that is called refuses everything, or says nothing for as long as one waits.
    fn outage_of_service(&self, call: &Call) -> Option<bool> {
        self.failing().find_map(|failing| match (failing, call) {
            (Failing::Sns { is_hanging }, Call::Publish(_)) | (Failing::CloudWatch { is_hanging }, Call::Put(_)) => {
                Some(is_hanging)
            }
            _ => None,
        })
    }

    pub(super) fn fault_of_invocation(&mut self) -> Option<Fault> {
        if self.now_ms >= self.scenario.healed_ms {
            return None;
        }
        let fault = self.scenario.rates.draw_fault(&mut self.random, true)?;
        self.totals.faults += 1;
        Some(fault)
    }

    /// Draws what happens to a call, within the budget there is.
    fn fault_of_call(&mut self, id: u64, call: &Call) -> Option<Fault> {
        let invocation = &self.invocations[&id];
        let (of, is_faulty) = (invocation.of, invocation.is_faulty);
        if self.now_ms >= self.scenario.healed_ms || matches!(call, Call::Sleep) {
            return None;
        }
        if self.is_out(of) {
            return Some(Fault::Refused);
        }
        let is_budgeted = of == Function::Processor && self.scenario.regime == Regime::Budgeted;
        if is_budgeted && !is_faulty && self.faulty_left == 0 {
            return None;
        }
        // A schedule without any fault proves little: the first call has one.
        let fault = match self.totals.faults {
            0 => self.scenario.rates.one_of_call(&mut self.random),
            _ => self.scenario.rates.draw_fault(&mut self.random, false),
        }?;
        let several = matches!(call, Call::Insert(_, items) if items.len() > 1);
        if fault == Fault::RefusedAsContent && !several {
            return None;
        }
        if is_budgeted && !is_faulty {
            self.faulty_left -= 1;
        }
        Some(fault)
    }

    /// Begins a call. Returns the answer where it is there at once.
    pub(super) fn begin(&mut self, id: u64, call: Call, budget_ms: u64) -> Option<Answer> {
        self.totals.calls += 1;
        let number = self.totals.calls;
        if let Some(is_hanging) = self.outage_of_service(&call) {
            self.note("call", id, || format!("{} in an outage", call.name()));
            let after_ms = if is_hanging { budget_ms } else { self.random.u64(2..30).min(budget_ms) };
            let answer = call.refused(Refusal::transient("ServiceUnavailable"));
            self.schedule(self.now_ms + after_ms, Event::Answered { invocation: id, answer });
            return None;
        }
        let refused = self.invocations[&id].refused_parts(&call);
        if matches!(call, Call::Query { .. }) && self.random.u8(..SLOW_QUERIES) > 0 {
            self.count_call(id);
            let context = self.invocations[&id].batch.clone();
            return Some(self.apply(id, &context, call));
        }
        let fault = if refused.is_empty() { self.fault_of_call(id, &call) } else { Some(Fault::SomeRefused) };
        let code =
            *pick(&mut self.random, &["ThrottlingError", "InternalServerError", "AccessDenied", "BrandNewError"]);
        self.note("call", id, || {
            format!("{} {}", call.name(), fault.map(|fault| fault.to_string()).unwrap_or_default())
        });
        let latency_ms = self.random.u64(2..30).min(budget_ms);
        let takes_ms = latency_ms + self.time_of_bytes_ms(&call);
        let chosen = match fault {
            None => BTreeSet::new(),
            Some(_) if !refused.is_empty() => refused,
            Some(_) => self.choose(&call),
        };
        let is_lasting = self.random.bool();
        self.count_call(id);
        let invocation = self.invocations.get_mut(&id).expect("it runs");
        if let Some(fault) = fault {
            self.totals.faults += 1;
            invocation.is_faulty = true;
            invocation.batch.progress.borrow_mut().is_disturbed = true;
            invocation.is_stalled |= fault == Fault::Stalls;
            match fault {
                Fault::SomeRefused | Fault::SomeAnswersLost => {
                    invocation.excuses.add(&call, &chosen);
                    if is_lasting {
                        invocation.refused.clone_from(&invocation.excuses.identities);
                    }
                }
                // The statements are then sent one by one, as if in one request.
                Fault::RefusedAsContent => {
                    if let Call::Insert(table, items) = &call {
                        invocation.sent_singly.extend(items.iter().map(|item| identity_of(*table, item)));
                    }
                }
                _ => invocation.excuses.is_any = true,
            }
        }
        let context = invocation.batch.clone();
        let timeout = || call.refused(Refusal::transient("Timeout"));
        let deadline = || call.refused(Refusal::transient("Deadline"));
        let given_up_ms = ATTEMPT_MS.min(budget_ms);
        // What is answered without an effect, and what takes effect: each after how long.
        let (answered, effect) = match fault {
            None if matches!(call, Call::Sleep) => (Some((budget_ms, Answer::Done(Ok(())))), None),
            // Longer than one waits: it is done or not, and nobody hears which.
            None | Some(Fault::SomeRefused | Fault::SomeAnswersLost | Fault::Slow | Fault::Stalls)
                if takes_ms > budget_ms =>
            {
                (Some((budget_ms, deadline())), self.random.bool().then_some((budget_ms, Then::Silence)))
            }
            None => (None, Some((takes_ms, Then::Answer))),
            Some(Fault::CrashBefore) => {
                self.crash(id);
                return None;
            }
            Some(Fault::CrashAfter) => (None, Some((takes_ms.min(budget_ms), Then::Crash))),
            Some(Fault::Refused) => (Some((latency_ms, call.refused(Refusal::transient(code)))), None),
            Some(Fault::RefusedAsContent) => (Some((latency_ms, call.refused(Refusal::Content))), None),
            Some(Fault::SomeRefused) => (None, Some((takes_ms, Then::Some { chosen, are_done: false, code }))),
            Some(Fault::SomeAnswersLost) => (None, Some((takes_ms, Then::Some { chosen, are_done: true, code }))),
            Some(Fault::AnswerLost) => {
                (Some((given_up_ms, timeout())), Some((takes_ms.min(given_up_ms), Then::Silence)))
            }
            Some(Fault::Delayed) => {
                (Some((given_up_ms, timeout())), Some((self.random.u64(..DELAY_MS_MAX), Then::Silence)))
            }
            Some(Fault::Hangs) => (Some((budget_ms, deadline())), None),
            Some(Fault::Slow) => (None, Some((self.random.u64(takes_ms..=budget_ms), Then::Answer))),
            Some(Fault::Stalls) => (None, Some((takes_ms, Then::AnswerAfter { ms: self.random.u64(..STALL_MS_MAX) }))),
            Some(Fault::Twin | Fault::Throttled | Fault::ColdStart) => unreachable!("they are not of calls"),
        };
        if let Some((after_ms, answer)) = answered {
            self.schedule(self.now_ms + after_ms, Event::Answered { invocation: id, answer });
        }
        let (after_ms, then) = effect?;
        let held = match (&call, &then, fault) {
            // A transaction keeps others from its items while it is made. One that nobody hears of is on its way, and
            // what is slow is the way.
            (Call::Transact(transaction), Then::Answer | Then::AnswerAfter { .. } | Then::Crash, None)
            | (Call::Transact(transaction), Then::AnswerAfter { .. } | Then::Crash, _) => {
                let is_held = self.projections.begin(number, transaction);
                self.totals.conflicts += u64::from(!is_held);
                if !is_held && fault.is_none() {
                    let answer = self.apply(id, &context, call);
                    self.schedule(self.now_ms + after_ms, Event::Answered { invocation: id, answer });
                    return None;
                }
                is_held.then_some(number)
            }
            _ => None,
        };
        self.schedule(self.now_ms + after_ms, Event::Effect { invocation: id, context, call, then, held });
        None
    }

    fn count_call(&mut self, id: u64) {
        let invocation = self.invocations.get_mut(&id).expect("it runs");
        invocation.calls += 1;
        check_calls(invocation.of, invocation.batch.is_tick(), invocation.calls);
    }

    /// What the bytes that a call of the processor carries, there and back, take of its time.
    fn time_of_bytes_ms(&self, call: &Call) -> u64 {
        let bytes = match call {
            _ if self.scenario.ns_per_byte == 0 => 0,
            Call::Read(table, keys) => Answer::Found(ready(self.tables.read(*table, keys.clone(), 0))).item_bytes(),
            call => call.item_bytes(),
        };
        bytes as u64 * self.scenario.ns_per_byte / 1_000_000
    }

    /// Some of the parts of a call, at least one.
    fn choose(&mut self, call: &Call) -> BTreeSet<usize> {
        let mut chosen: BTreeSet<usize> = (0..call.parts()).filter(|_| self.random.u8(..3) == 0).collect();
        chosen.insert(self.random.usize(..call.parts()));
        chosen
    }

    pub(super) fn take_effect(&mut self, id: u64, context: &Batch, call: Call, then: Then) {
        self.note("effect", id, || call.name());
        let answer = match &then {
            Then::Some { chosen, are_done, code } => {
                let apply = async |call| self.apply(id, context, call);
                ready(call.make_partly(chosen, *are_done, Refusal::transient(code), apply))
            }
            _ => self.apply(id, context, call),
        };
        match then {
            Then::Answer | Then::Some { .. } => self.answer(id, answer),
            Then::AnswerAfter { ms } => self.schedule(self.now_ms + ms, Event::Answered { invocation: id, answer }),
            Then::Silence => {}
            Then::Crash => self.crash(id),
        }
    }

    pub(super) fn answer(&mut self, id: u64, answer: Answer) {
        if let Some(invocation) = self.invocations.get_mut(&id) {
            invocation.stub.answer(answer);
            self.step(id);
        }
    }

    /// Does what a call asks for.
    fn apply(&mut self, id: u64, context: &Batch, call: Call) -> Answer {
        if context.generation < self.generation {
            self.older_ms = self.now_ms;
        }
        match call {
            Call::Insert(table, items) => Answer::Inserted(Ok(self.insert(id, context, table, items))),
            Call::Read(table, keys) => Answer::Found(ready(self.tables.read(table, keys, 0))),
            Call::ReadProjections(keys) => Answer::Found(self.projections.read(&keys)),
            Call::Query { pk, after } => Answer::Page(Ok(self.projections.query(&pk, after.as_deref()))),
            Call::Update(update) => {
                let is_notifier = update.key == ProjectionKey::notifier();
                let answer = self.projections.update(update);
                if is_notifier && answer == Ok(Updated::Done) {
                    let item = self.projections.get(&ProjectionKey::notifier()).expect("it was written");
                    context.progress.borrow_mut().lease = Some(Lease::of(item));
                }
                Answer::Updated(answer)
            }
            Call::Transact(transaction) => Answer::Transacted(self.transact(context, transaction)),
            Call::Publish(message) => {
                self.expectations.published(self.now_ms, &message, &context.progress);
                Answer::Done(Ok(()))
            }
            Call::Put(data) => {
                self.expectations.measured(&data, &mut context.progress.borrow_mut());
                Answer::Done(Ok(()))
            }
            Call::Sleep => Answer::Done(Ok(())),
        }
    }

    fn transact(&mut self, context: &Batch, transaction: Transaction) -> Result<Transacted, Refusal> {
        let mut keys = transaction.writes.iter().map(Write::key);
        let moves_checkpoint = keys.next().is_some_and(|key| key.sk == "checkpoint");
        if keys.any(|key| self.refused_request.contains(key)) {
            return Err(Refusal::Content);
        }
        let (before, made) = (self.checkpoint(context), self.projections.transactions);
        let answer = self.projections.transact(self.now_ms, transaction);
        // Under a token that is known nothing more is made.
        if moves_checkpoint && self.projections.transactions > made {
            let (after, models) = (self.checkpoint(context), self.models_of(context.generation));
            let progress = &mut context.progress.borrow_mut();
            let (stream, records) = (&mut self.stream, &context.records);
            self.expectations.passed(self.now_ms, stream, records, models, (before, after), progress);
            self.committing_ms = Some(context.started_ms).max(self.committing_ms);
        }
        answer
    }

    fn insert(&mut self, id: u64, context: &Batch, table: Table, items: Vec<Item>) -> Vec<Inserted> {
        let answers = ready(self.tables.insert(table, items.clone(), 0)).expect("the code sends what DynamoDB takes");
        let requested: BTreeSet<String> = items.iter().map(|item| identity_of(table, item)).collect();
        let mut appended = Vec::new();
        for (item, answer) in items.into_iter().zip(&answers) {
            match (answer, table) {
                (Inserted::Done, Table::Claims) => self.expectations.claimed(&item, &context.messages),
                (Inserted::Done, Table::Entries) => {
                    let message = self.expectations.appended(&item, &context.messages);
                    appended.push(message);
                    let summary = EntrySummary::from_item(&item).expect("an entry can be counted");
                    self.expectations.check_type(message, &summary);
                    self.change("INSERT", item, Meaning::Appended(summary));
                }
                (Inserted::Exists, _) => {}
                (Inserted::Refused(refusal), _) => refused_content(&item, refusal),
            }
        }
        // Where nobody waits for it any more, something went wrong before.
        if let Some(invocation) = self.invocations.get(&id) {
            let requested = &invocation.sent_singly | &requested;
            self.expectations.check_prefix(&appended, &context.messages, &requested, &invocation.excuses);
        }
        answers
    }

    /// The checkpoint of the shard that a batch is of.
    fn checkpoint(&self, context: &Batch) -> Option<String> {
        let shard = self.shard_of(context)?;
        let item = self.projections.get(&ProjectionKey::checkpoint(&Stream::shard_id(shard)))?;
        text_of(item, attribute::SEQUENCE_NUMBER).map(str::to_owned)
    }

    fn shard_of(&self, context: &Batch) -> Option<usize> {
        Some(self.stream.get(context.records.first()?).shard)
    }
}

impl Invocation {
    /// The parts of a call that are refused whatever else happens.
    fn refused_parts(&self, call: &Call) -> BTreeSet<usize> {
        match call {
            Call::Insert(table, items) | Call::Read(table, items) => {
                (0..items.len()).filter(|&at| self.refused.contains(&identity_of(*table, &items[at]))).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
