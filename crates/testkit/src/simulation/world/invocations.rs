//! Invocations of the two functions: what the mappings start, how each runs from call to call, and how it ends.

use ledger::alert::Origin;

use super::*;

impl World<'_> {
    pub(super) fn poll_mappings(&mut self) {
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
        let batch = messages.iter().map(|message| self.expectations.find(&message.message_id)).collect();
        let batch = Rc::new(Batch { messages: batch, started_ms: self.now_ms, ..Batch::default() });
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
        let stub = PortStub::with_seed(self.random.u64(..));
        let deadline_ms = self.deadline_ms(Role::Processor);
        let is_cold = std::mem::take(&mut self.is_cold) || fault == Some(Fault::ColdStart);
        let code = {
            let stub = stub.clone();
            async move {
                let ports = stub.of_processor();
                if is_cold {
                    process::warm_up(&ports).await;
                }
                Ended::Processed(process::process(&ports, settings, &messages, deadline_ms).await)
            }
        };
        self.start(Invocation::new(Function::Processor, mapping_id, stub, Box::pin(code), batch, deadline_ms));
    }

    fn deadline_ms(&self, role: Role) -> u64 {
        self.now_ms + u64::from(role.timeout_seconds()) * 1_000
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
            self.start_projector(None, records.clone(), fault);
        }
        self.start_projector(Some(invocation.id), records, fault);
    }

    /// A minute has passed: the schedule invokes the projector, as long as anything is going on or pending.
    pub(super) fn tick(&mut self) {
        let is_pending = self.projections.items().keys().any(|key| key.pk.starts_with("pending#"));
        let is_quiet = self.agenda.is_empty() && self.invocations.is_empty();
        let sns_outage = self.scenario.sns_outage();
        if is_quiet {
            let back_ms = sns_outage.map_or(0, |outage| if outage.until_ms == u64::MAX { 0 } else { outage.until_ms });
            let until_ms = self.now_ms.max(self.scenario.healed_ms).max(back_ms) + self.scenario.alert_window_ms;
            let until_ms = *self.ticks_until_ms.get_or_insert(until_ms + TICKING_MS_MAX);
            let is_denied = sns_outage.is_some_and(|outage| outage.until_ms == u64::MAX);
            if !is_pending || is_denied || self.now_ms > until_ms {
                return;
            }
        }
        self.schedule(self.now_ms + TICK_MS, Event::Tick);
        let one_in = match self.failing().any(|failing| matches!(failing, Failing::Sns { .. })) {
            true => VAIN_TICKS,
            false if is_pending => 1,
            false => IDLE_TICKS,
        };
        if self.random.u8(..one_in) > 0 || self.is_out(Function::Projector) {
            return;
        }
        self.totals.ticks += 1;
        let fault = self.fault_of_invocation();
        match fault {
            Some(Fault::Throttled) => return self.note("throttled tick", 0, String::new),
            Some(Fault::Twin) => self.start_projector(None, Vec::new(), fault),
            _ => {}
        }
        self.start_projector(None, Vec::new(), fault);
    }

    /// Starts an invocation with a batch, or with a tick, in a process that waits for one or in a new one.
    pub(super) fn start_projector(&mut self, mapping_id: Option<u64>, records: Vec<String>, fault: Option<Fault>) {
        let input = match records.is_empty() {
            true => Input::Tick,
            false => {
                let event: StreamEvent =
                    serde_json::from_str(&self.stream.event(&records)).expect("an event of the stream");
                event.into_input()
            }
        };
        let is_cold = fault == Some(Fault::ColdStart) || self.processes.is_empty() || self.random.u8(..16) == 0;
        let offset_ms_max = self.scenario.clock_offset_ms_max;
        let mut process = match is_cold {
            true => {
                let clock_offset_ms = self.random.i64(-offset_ms_max..=offset_ms_max);
                Process { clock_offset_ms, ..Process::default() }
            }
            false => self.processes.swap_remove(self.random.usize(..self.processes.len())),
        };
        let settings = project::Settings {
            models: self.models_of(self.generation),
            tenant_budget: TenantBudget::FirstCome { places_max: self.scenario.metric_places_max },
            alert_window_ms: self.scenario.alert_window_ms,
            origin: Origin::default(),
        };
        let (started_ms, generation) = (self.now_ms, self.generation);
        let batch = Rc::new(Batch { records, started_ms, generation, ..Batch::default() });
        let stub = PortStub::with_seed(self.random.u64(..));
        let deadline_ms = self.deadline_ms(Role::Projector);
        let stated_ms = deadline_ms.strict_add_signed(process.clock_offset_ms);
        let mut kept = std::mem::take(&mut process.kept);
        let ports = stub.of_projector();
        let code = async move {
            let report = match input {
                Input::Batch(batch) => project::project(&ports, &settings, &mut kept, batch, stated_ms).await,
                Input::Tick => project::tick(&ports, &settings, &mut kept, stated_ms).await,
                Input::WithoutShard => unreachable!("each event names its shard"),
            };
            Ended::Projected(report, kept)
        };
        let mut invocation = Invocation::new(Function::Projector, mapping_id, stub, Box::pin(code), batch, deadline_ms);
        invocation.process = process;
        self.start(invocation);
    }

    fn start(&mut self, invocation: Invocation) {
        let id = self.next_invocation;
        self.next_invocation += 1;
        self.totals.invocations += 1;
        let Invocation { of, batch, mapping_id, deadline_ms, .. } = &invocation;
        let deadline_ms = *deadline_ms;
        let words = || format!("{of:?} messages {:?} records {:?} for {mapping_id:?}", batch.messages, batch.records);
        self.note("start", id, words);
        self.invocations.insert(id, invocation);
        self.schedule(deadline_ms, Event::Timeout(id));
        self.step(id);
    }

    /// Lets an invocation run to its next call, or to its end.
    pub(super) fn step(&mut self, id: u64) {
        loop {
            let invocation = self.invocations.get_mut(&id).expect("it runs");
            let now_ms = self.now_ms.strict_add_signed(invocation.process.clock_offset_ms);
            match invocation.stub.step(invocation.code.as_mut(), now_ms) {
                ControlFlow::Continue((call, budget_ms)) => {
                    let Some(answer) = self.begin(id, call, budget_ms) else { return };
                    self.invocations[&id].stub.answer(answer);
                }
                ControlFlow::Break(ended) => return self.end(id, ended),
            }
        }
    }

    fn end(&mut self, id: u64, ended: Ended) {
        let invocation = self.invocations.remove(&id).expect("it ran");
        let is_in_time = self.now_ms <= invocation.deadline_ms;
        check_deadline(is_in_time, invocation.is_stalled);
        match ended {
            Ended::Processed(report) => {
                self.note("processed", id, || format!("{:?}", report.outcomes));
                let is_late = self.now_ms + TIME_LEFT_MS_MAX >= invocation.deadline_ms;
                let Invocation { batch, excuses, .. } = &invocation;
                self.expectations.check_failed(&batch.messages, &report, excuses, is_late);
                self.expectations.check_acknowledged(&batch.messages, &report, excuses);
                let Some(mapping_id) = invocation.mapping_id else { return };
                let failed = report.failed.iter().map(|&at| &self.expectations.messages[invocation.batch.messages[at]]);
                let failures: Vec<Value> =
                    failed.map(|accepted| json!({ "itemIdentifier": accepted.message_id })).collect();
                let response = json!({ "batchItemFailures": failures });
                self.complete_queue(mapping_id, &Outcome::Succeeded(Some(response)));
            }
            Ended::Projected(report, kept) => {
                self.note("projected", id, || format!("{report:?}"));
                let Invocation { batch, mut process, excuses, is_faulty, is_lost, mapping_id, .. } = invocation;
                let progress = batch.progress.borrow();
                check_report(&report, excuses.is_any || is_faulty, &progress);
                if progress.is_disturbed {
                    process.disturbed_ms = Some(self.now_ms);
                }
                let is_left_alone = process.disturbed_ms.is_some_and(|ms| self.now_ms <= ms + KEPT_MS);
                if !is_left_alone && !self.is_metrics_outage(batch.started_ms) {
                    progress.check_measured();
                }
                if batch.generation < self.generation {
                    self.older_ms = self.now_ms;
                } else if !is_lost {
                    self.processes.push(Process { kept, ..process });
                }
                let Some(mapping_id) = mapping_id else { return };
                let outcome = match &report.outcome {
                    project::Outcome::Done => response(&StreamResponse::done()),
                    project::Outcome::FailedFrom(sequence) => response(&StreamResponse::failed_from(sequence)),
                    project::Outcome::Failed => Outcome::FunctionError,
                };
                self.complete_stream(mapping_id, &outcome);
            }
        }
    }

    pub(super) fn crash(&mut self, id: u64) {
        let Some(invocation) = self.invocations.remove(&id) else { return };
        self.note("crash", id, String::new);
        self.give_up(&invocation, &Outcome::FunctionError);
    }

    /// Lambda ends it, or believes so while it stands still and will go on.
    pub(super) fn time_out(&mut self, id: u64) {
        let Some(mut invocation) = self.invocations.remove(&id) else { return };
        check_deadline(false, invocation.is_stalled);
        self.note("time-out", id, String::new);
        invocation.batch.progress.borrow_mut().is_disturbed = true;
        self.give_up(&invocation, &Outcome::TimedOut);
        if self.random.bool() {
            invocation.mapping_id = None;
            invocation.is_lost = true;
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

    /// Whether CloudWatch takes, or took, nothing from an invocation that was started at a moment.
    fn is_metrics_outage(&self, started_ms: u64) -> bool {
        self.scenario.outages.iter().any(|outage| {
            let until_ms = outage.until_ms.saturating_add(KEPT_MS + CLOCKS_DIFFER_MS_MAX);
            let is_of_metrics = matches!(outage.of, Failing::CloudWatch { .. });
            is_of_metrics && self.now_ms >= outage.from_ms && started_ms < until_ms
        })
    }

    fn complete_queue(&mut self, mapping_id: u64, outcome: &Outcome) {
        self.is_queue_stirred = true;
        let completion = self.queue_mapping.complete(self.now_ms, &mut self.sqs, mapping_id, outcome);
        for message_id in completion.expect("it ran").deleted {
            self.expectations.acknowledged(&message_id);
        }
    }

    fn complete_stream(&mut self, mapping_id: u64, outcome: &Outcome) {
        self.is_stream_stirred = true;
        let discarded = self.stream_mapping.complete(self.now_ms, mapping_id, outcome).expect("it ran");
        for discarded in discarded {
            self.discard(&discarded.sequence_numbers);
        }
    }
}

impl Invocation {
    fn new(
        of: Function,
        mapping_id: Option<u64>,
        stub: PortStub,
        code: Pin<Box<dyn Future<Output = Ended>>>,
        batch: Rc<Batch>,
        deadline_ms: u64,
    ) -> Self {
        Self {
            of,
            stub,
            code,
            batch,
            mapping_id,
            deadline_ms,
            process: Process::default(),
            is_lost: false,
            calls: 0,
            is_faulty: false,
            is_stalled: false,
            excuses: Excuses::default(),
            sent_singly: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }
}

impl Batch {
    pub(super) fn is_tick(&self) -> bool {
        self.messages.is_empty() && self.records.is_empty()
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
