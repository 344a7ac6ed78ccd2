//! Puts a fact to the models of the two event source mappings, in virtual time that begins with 0 s.
//!
//! `given.mapping` holds the settings by AWS's names, `given.function` what the function does ([`Function`]). The answer
//! lists the `runs` of the function: `batch` (names of messages or records), `after_s`, `event`. What happens after
//! `given.until` seconds is not looked at.

mod queue;
mod stream;

use std::collections::BTreeMap;

use cloudsim::mapping::Outcome;
pub(crate) use queue::answers as answers_of_queue;
use serde::Deserialize;
use serde_json::{Value, json};
pub(crate) use stream::answers as answers_of_stream;

use crate::filled_in;

/// 2026-09-17T14:00:00Z: near the recorded windows, and a multiple of their length.
const START_MS: u64 = 1_789_653_600_000;
const UNTIL_SECONDS: f64 = 3_600.0;
const RUNS_MAX: usize = 1_000;

/// What a function does.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Function {
    /// How long a run takes.
    seconds: f64,
    throttled_until: f64,
    /// What the first runs do, one each: `"raises"` or `{"returns": …}`.
    first: Vec<Value>,
    /// What each run after them does.
    then: Option<Value>,
    raises_while_holding: Option<String>,
    /// A window's final run fails.
    raises_when_final: bool,
    /// In how many runs a name is reported as failed.
    reports: BTreeMap<String, u32>,
    #[serde(skip)]
    runs: usize,
}

impl Function {
    fn of(given: &Value) -> Self {
        given.get("function").map(|function| Self::deserialize(function).unwrap()).unwrap_or_default()
    }

    /// Runs; `ids` are the identifiers of the items that the event holds, by name.
    fn run(&mut self, now_ms: u64, ids: &[(String, String)], event: &Value) -> Outcome {
        if now_ms < moment_ms(self.throttled_until) {
            return Outcome::Throttled;
        }
        let held = |name: &String| ids.iter().any(|(held, _)| held == name);
        let is_poisoned = self.raises_while_holding.as_ref().is_some_and(held);
        let is_final = event["isFinalInvokeForWindow"] == true;
        self.runs += 1;
        match self.first.get(self.runs - 1).or(self.then.as_ref()) {
            Some(Value::String(raises)) if raises == "raises" => Outcome::FunctionError,
            _ if is_poisoned || (is_final && self.raises_when_final) => Outcome::FunctionError,
            Some(scripted) => {
                let answer = scripted.get("returns").unwrap_or_else(|| panic!("what does {scripted} do?"));
                let ids: Value = ids.iter().map(|(name, id)| (name.clone(), json!(id))).collect();
                Outcome::Succeeded(Some(filled_in(answer, &json!({ "ids": ids }))))
            }
            None => {
                let mut failures = Vec::new();
                for (name, id) in ids {
                    if let Some(left) = self.reports.get_mut(name).filter(|left| **left > 0) {
                        *left -= 1;
                        failures.push(json!({ "itemIdentifier": id }));
                    }
                }
                let seen = event["state"]["seen"].as_u64().unwrap_or_default() + ids.len() as u64;
                Outcome::Succeeded(Some(json!({ "state": { "seen": seen }, "batchItemFailures": failures })))
            }
        }
    }
}

/// What a driver does with either mapping.
trait Mapping {
    type Invocation;

    /// Hands over what is there by now.
    fn poll(&mut self, now_ms: u64) -> Vec<Self::Invocation>;
    /// Returns the run for the answer, with the identifiers by name.
    fn look(&self, invocation: &Self::Invocation) -> (u64, Vec<(String, String)>, Value);
    fn complete(&mut self, now_ms: u64, id: u64, outcome: &Outcome);
    fn next_event_ms(&self) -> Option<u64>;
}

/// Runs the function for a mapping, and returns the runs, how often it was throttled, and how many ran at once.
fn drive<M: Mapping>(mapping: &mut M, given: &Value) -> Value {
    let mut function = Function::of(given);
    let until_ms = moment_ms(given["until"].as_f64().unwrap_or(UNTIL_SECONDS));
    let (mut runs, mut throttles, mut at_once) = (Vec::new(), 0, 0);
    let mut running: BTreeMap<(u64, u64), Outcome> = BTreeMap::new();
    let mut now_ms = START_MS;
    while now_ms <= until_ms {
        for invocation in mapping.poll(now_ms) {
            let (id, ids, mut run) = mapping.look(&invocation);
            let outcome = function.run(now_ms, &ids, &run["event"]);
            if outcome == Outcome::Throttled {
                throttles += 1;
                running.insert((now_ms, id), outcome);
                continue;
            }
            run["after_s"] = json!(after_s(now_ms));
            run["batch"] = ids.iter().map(|(name, _)| json!(name)).collect();
            runs.push(run);
            assert!(runs.len() <= RUNS_MAX, "the function runs without end");
            running.insert((now_ms + ms(function.seconds), id), outcome);
        }
        at_once = at_once.max(running.len());
        let next_end_ms = running.keys().next().map(|(end_ms, _)| *end_ms);
        let next_event_ms = mapping.next_event_ms().map(|event_ms| event_ms.max(now_ms + 1));
        let Some(next_ms) = next_end_ms.into_iter().chain(next_event_ms).min() else { break };
        now_ms = next_ms.max(now_ms);
        if next_end_ms.is_some_and(|end_ms| end_ms <= now_ms)
            && let Some(((_, id), outcome)) = running.pop_first()
        {
            mapping.complete(now_ms, id, &outcome);
        }
    }
    json!({ "runs": runs, "throttles": throttles, "at_once": at_once })
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

fn moment_ms(seconds: f64) -> u64 {
    START_MS + ms(seconds)
}

fn after_s(now_ms: u64) -> f64 {
    (now_ms - START_MS) as f64 / 1_000.0
}
