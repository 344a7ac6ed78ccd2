//! Invocations of the two functions: what the mappings start, how each runs from call to call, and how it ends.

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
        let stub = PortStub::with_seed(self.random.u64(..));
        let deadline_ms = self.now_ms + u64::from(Role::Processor.timeout_seconds()) * 1_000;
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
        self.start(Function::Processor, mapping_id, stub, Box::pin(code), batch, deadline_ms);
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

    pub(super) fn start_projector(&mut self, mapping_id: Option<u64>, records: Vec<String>) {
        let event: StreamEvent = serde_json::from_str(&self.stream.event(&records)).expect("an event of the stream");
        let batch = Rc::new(Batch { messages: Vec::new(), records });
        let settings = project::Settings {
            tenant_budget: TenantBudget::FirstCome { places_max: self.scenario.metric_places_max },
            alert_window_ms: self.scenario.alert_window_ms,
        };
        let stub = PortStub::with_seed(self.random.u64(..));
        let deadline_ms = self.now_ms + u64::from(Role::Projector.timeout_seconds()) * 1_000;
        let ports = stub.of_projector();
        let code =
            async move { Ended::Projected(project::project(&ports, &settings, event.into_batch(), deadline_ms).await) };
        self.start(Function::Projector, mapping_id, stub, Box::pin(code), batch, deadline_ms);
    }

    fn start(
        &mut self,
        of: Function,
        mapping_id: Option<u64>,
        stub: PortStub,
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
            stub,
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
    pub(super) fn step(&mut self, id: u64) {
        let invocation = self.invocations.get_mut(&id).expect("it runs");
        match invocation.stub.step(invocation.code.as_mut(), self.now_ms) {
            ControlFlow::Continue((call, budget_ms)) => self.begin(id, call, budget_ms),
            ControlFlow::Break(ended) => self.end(id, ended),
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
            Ended::Projected(report) => {
                self.note("projected", id, || format!("{report:?}"));
                let is_excused = invocation.excuses.is_any || invocation.is_faulty;
                check_report(&report, is_excused);
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
