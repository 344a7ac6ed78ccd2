//! Breaks the code on purpose, one bug at a time, in a copy of the sources, and checks that the named test fails: what
//! no test notices is not tested. `cargo run -p testkit --bin planted-bugs [part of a name]`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

/// One bug: what it breaks, how, and who must notice.
struct PlantedBug {
    clause: &'static str,
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
    /// Package, test target, and the test that must fail.
    caught_by: (&'static str, &'static str, &'static str),
}

const CONTRACT: (&str, &str) = ("testkit", "contract");
const PROPERTIES: (&str, &str) = ("testkit", "properties");
const PROCESS: &str = "crates/processor/src/process.rs";
const PROJECT: (&str, &str) = ("projector", "project");
const PROJECT_RS: &str = "crates/projector/src/project.rs";
const HISTORIES: &str =
    "histories::after_ten_thousand_histories_counts_equal_the_fold_of_the_ledger_and_every_invalid_entry_is_covered";

const fn by(target: (&'static str, &'static str), test: &'static str) -> (&'static str, &'static str, &'static str) {
    (target.0, target.1, test)
}

const PLANTED_BUGS: &[PlantedBug] = &[
    PlantedBug {
        clause: "G1",
        name: "acknowledge what DynamoDB kept refusing",
        file: PROCESS,
        find: "            Inserted::Refused(Refusal::Transient { code }) => Self::Failed { code },",
        replace: "            Inserted::Refused(Refusal::Transient { .. }) => Self::Done,",
        caught_by: by(CONTRACT, "a_failed_batch_leaves_nothing_behind_for_the_next"),
    },
    PlantedBug {
        clause: "G1",
        name: "claim, then skip what was claimed before",
        file: PROCESS,
        find: "        if winner.fresh_owner.is_some() {",
        replace: "        if winner.fresh_owner.is_none() {\n            self.cases[index].outcome = Some(Outcome::Redelivery);\n            return;\n        }\n        if winner.fresh_owner.is_some() {",
        caught_by: by(CONTRACT, "a_claim_without_entry_is_finished_where_it_claimed"),
    },
    PlantedBug {
        clause: "G1",
        name: "read an unknown refusal as a duplicate",
        file: PROCESS,
        find: "            Inserted::Refused(Refusal::Transient { code }) => Self::Failed { code },",
        replace: "            Inserted::Refused(Refusal::Transient { code }) if code == \"ConditionalCheckFailed\" => Self::Done,\n            Inserted::Refused(Refusal::Transient { code }) => Self::Failed { code },",
        caught_by: by(CONTRACT, "an_unknown_refusal_is_never_read_as_duplicate"),
    },
    PlantedBug {
        clause: "G2",
        name: "finish a claim under the key of the message at hand",
        file: PROCESS,
        find: "        let sk = winner.claim.sk.clone().unwrap_or_else(|| case.key.sk.clone());",
        replace: "        let sk = case.key.sk.clone();",
        caught_by: by(CONTRACT, "a_claim_without_entry_is_finished_where_it_claimed"),
    },
    PlantedBug {
        clause: "G2",
        name: "let an invalid event claim nothing",
        file: "crates/ledger/src/judge.rs",
        find: "    Judged { claim_key: identity, content, entry, is_group_mismatch }",
        replace: "    let identity = identity.filter(|_| entry.status == Status::Ready);\n    Judged { claim_key: identity, content, entry, is_group_mismatch }",
        caught_by: by(CONTRACT, "an_invalid_event_claims_its_id"),
    },
    PlantedBug {
        clause: "G2",
        name: "key a body without created_at by the time of processing",
        file: "crates/ledger/src/judge.rs",
        find: "        .sent_at_ms\n        .and_then(Timestamp::from_epoch_ms)\n        .or_else(|| Timestamp::from_epoch_ms(now_ms))",
        replace: "        .sent_at_ms\n        .and(None)\n        .or_else(|| Timestamp::from_epoch_ms(now_ms))",
        caught_by: by(CONTRACT, "a_body_without_identity_is_kept_under_its_group"),
    },
    PlantedBug {
        clause: "G3",
        name: "read a conflict as a duplicate",
        file: PROCESS,
        find: "        if content != case.content {",
        replace: "        if content != case.content {\n            self.cases[index].outcome = Some(Outcome::Duplicate);\n            return;\n        }\n        if content != case.content {",
        caught_by: by(CONTRACT, "other_content_under_a_used_id_becomes_a_conflict_entry"),
    },
    PlantedBug {
        clause: "G3",
        name: "trust DuplicateItem on record",
        file: PROCESS,
        find: "                Ok(item) if stored_content(&item) == Some(self.cases[statement.case].content) => {",
        replace: "                Ok(item) if stored_content(&item).is_some() => {",
        caught_by: by(CONTRACT, "an_entry_found_in_the_place_of_another_is_compared_not_trusted"),
    },
    PlantedBug {
        clause: "G3",
        name: "keep a conflict under the key of the entry",
        file: PROCESS,
        find: "        1 => own.conflict(&content.short()),",
        replace: "        1 => own.clone(),",
        caught_by: by(CONTRACT, "other_content_under_a_used_id_becomes_a_conflict_entry"),
    },
    PlantedBug {
        clause: "G3",
        name: "merge unequal twins of one batch",
        file: PROCESS,
        find: "            if self.cases[other.case].content == self.cases[statement.case].content {",
        replace: "            if self.cases[other.case].key == self.cases[statement.case].key {",
        caught_by: by(CONTRACT, "an_event_that_takes_the_key_of_a_body_without_identity_becomes_a_conflict"),
    },
    PlantedBug {
        clause: "G3",
        name: "leave the type out of the content",
        file: "crates/ledger/src/content.rs",
        find: "        field(&mut hasher, event_type.as_bytes());\n        match",
        replace: "        let _ = event_type;\n        match",
        caught_by: ("ledger", "lib", "content::tests::type_and_route_belong_to_the_content"),
    },
    PlantedBug {
        clause: "G4",
        name: "fail what DynamoDB refuses for its content",
        file: PROCESS,
        find: "            Inserted::Refused(Refusal::Content) => Self::Content,",
        replace: "            Inserted::Refused(Refusal::Content) => Self::Failed { code: code_of(&Refusal::Content) },",
        caught_by: by(CONTRACT, "content_that_dynamodb_refuses_is_kept_raw"),
    },
    PlantedBug {
        clause: "G4",
        name: "give up on a request refused for its content",
        file: PROCESS,
        find: "            Err(Refusal::Content) if pending.len() > 1 => {",
        replace: "            Err(Refusal::Content) if pending.len() > 100 => {",
        caught_by: by(CONTRACT, "a_request_refused_for_its_content_is_sent_as_single_statements"),
    },
    PlantedBug {
        clause: "G4",
        name: "accept one level too many",
        file: "crates/ledger/src/json.rs",
        find: "            let value = self.value(NESTING_MAX)?;",
        replace: "            let value = self.value(NESTING_MAX + 1)?;",
        caught_by: (
            "ledger",
            "lib",
            "json::tests::depth_is_bounded_where_dynamodb_bounds_it_and_the_rest_is_only_skimmed",
        ),
    },
    PlantedBug {
        clause: "G4",
        name: "accept an empty member name",
        file: "crates/ledger/src/json.rs",
        find: "            if name.is_empty() {",
        replace: "            if name == \"\\u{0}\" {",
        caught_by: by(PROPERTIES, "any_body_becomes_exactly_one_entry_that_the_tables_accept_at_once"),
    },
    PlantedBug {
        clause: "G5",
        name: "report the failed message alone",
        file: PROCESS,
        find: "            if is_failed || group.is_some_and(|group| failed_groups.contains(group)) {",
        replace: "            if is_failed {",
        caught_by: by(CONTRACT, "a_message_that_failed_fails_the_later_ones_of_its_group_and_no_other"),
    },
    PlantedBug {
        clause: "G5",
        name: "fail every group with the first",
        file: PROCESS,
        find: "            if is_failed || group.is_some_and(|group| failed_groups.contains(group)) {",
        replace: "            if is_failed || !failed_groups.is_empty() {",
        caught_by: by(CONTRACT, "a_refusal_for_one_tenant_never_fails_another"),
    },
    PlantedBug {
        clause: "G5",
        name: "send the whole batch again for one throttled statement",
        file: PROCESS,
        find: "            pending.retain(|&at| matches!(written[at], Written::Failed { .. }));",
        replace: "            if pending.iter().all(|&at| !matches!(written[at], Written::Failed { .. })) {\n                pending.clear();\n            }",
        caught_by: by(CONTRACT, "a_throttled_statement_alone_is_sent_again"),
    },
    PlantedBug {
        clause: "G6",
        name: "keep created_at as it is written",
        file: "crates/ledger/src/timestamp.rs",
        find: "        let utc = moment.checked_to_offset(UtcOffset::UTC)?;",
        replace: "        let utc = moment;\n        let _ = UtcOffset::UTC;",
        caught_by: ("ledger", "lib", "timestamp::tests::any_offset_and_fraction_becomes_one_fixed_width_utc_text"),
    },
    PlantedBug {
        clause: "G7",
        name: "claim by event id alone",
        file: "crates/ledger/src/ids.rs",
        find: "        format!(\"{}{KEY_SEPARATOR}{}\", self.tenant_id, self.event_id)",
        replace: "        format!(\"{KEY_SEPARATOR}{}\", self.event_id)",
        caught_by: by(CONTRACT, "tenants_with_similar_ids_never_share_a_key"),
    },
    PlantedBug {
        clause: "G7",
        name: "let an event id hold the separator",
        file: "crates/ledger/src/ids.rs",
        find: "character == KEY_SEPARATOR || character.is_control()",
        replace: "character.is_control()",
        caught_by: by(CONTRACT, "tenants_with_similar_ids_never_share_a_key"),
    },
    PlantedBug {
        clause: "G8",
        name: "keep numbers as floating point",
        file: "crates/ledger/src/number.rs",
        find: "    Ok(Cow::Owned(decimal.to_text()))",
        replace: "    let text = decimal.to_text();\n    Ok(Cow::Owned(text.parse::<f64>().map(|number| number.to_string()).unwrap_or(text)))",
        caught_by: ("ledger", "lib", "number::tests::equal_values_have_one_text"),
    },
    PlantedBug {
        clause: "G8",
        name: "take the last of two members with one name",
        file: "crates/ledger/src/json.rs",
        find: "                self.note(DefectKind::DuplicateName);",
        replace: "                let _ = DefectKind::DuplicateName;",
        caught_by: ("ledger", "lib", "json::tests::each_defect_is_found"),
    },
    PlantedBug {
        clause: "G9",
        name: "skip the condition on the checkpoint",
        file: PROJECT_RS,
        find: "        conditions: vec![condition],",
        replace: "        conditions: vec![condition].split_off(1),",
        caught_by: by(PROJECT, "an_answer_that_was_lost_does_not_count_twice"),
    },
    PlantedBug {
        clause: "G9",
        name: "commit the checkpoint before the counts",
        file: PROJECT_RS,
        find: "            match self.services.projections.transact(chunk.updates, budget_ms).await {",
        replace: "            let mut updates = chunk.updates;\n            if let Some(through) = &chunk.through {\n                let checkpoint = updates.pop();\n                let _ = self.services.projections.transact(checkpoint.into_iter().collect(), budget_ms).await;\n                known.checkpoint = Some(through.padded().to_owned());\n            }\n            match self.services.projections.transact(updates, budget_ms).await {",
        caught_by: by(PROJECT, "a_crash_at_any_call_costs_at_most_a_repeated_alert_or_metric"),
    },
    PlantedBug {
        clause: "G9",
        name: "count what lies at the checkpoint again",
        file: PROJECT_RS,
        find: "sequence.padded() > checkpoint));",
        replace: "sequence.padded() >= checkpoint));",
        caught_by: by(PROJECT, "a_batch_that_comes_again_costs_one_read"),
    },
    PlantedBug {
        clause: "G9",
        name: "fold a batch in the order it came in",
        file: PROJECT_RS,
        find: "        records.sort_by(|one, other| one.sequence.cmp(&other.sequence));\n",
        replace: "",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G9",
        name: "count an unexpected modify",
        file: "crates/projector/src/record.rs",
        find: "            entry if entry.verdict == Verdict::Ready && entry.is_revalidated => Self::Revalidated(entry),",
        replace: "            entry if entry.verdict == Verdict::Ready => Self::Revalidated(entry),",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G9",
        name: "count a revalidation twice",
        file: PROJECT_RS,
        find: "                    Change::Revalidated(_) => fold.projection.revalidate(entry),",
        replace: "                    Change::Revalidated(_) => (0..2).for_each(|_| fold.projection.revalidate(entry)),",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G9",
        name: "count on the day of projecting",
        file: PROJECT_RS,
        find: "                    _ => fold.projection.append(entry),",
        replace: "                    _ => fold.projection.append(&EntrySummary {\n                        ingested_at_ms: self.services.clock.now_ms(),\n                        ..entry.clone()\n                    }),",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G9",
        name: "keep first and last without conditions",
        file: "crates/ledger/src/projection.rs",
        find: "                update.conditions.push(Condition::AbsentOrAtMost(first.clone(), first_ms));\n",
        replace: "",
        caught_by: by(PROJECT, "entries_that_come_late_widen_a_day_to_both_sides"),
    },
    PlantedBug {
        clause: "G9",
        name: "count unknown types under their own name",
        file: "crates/ledger/src/projection.rs",
        find: "        if had_schema { event_type } else { UNKNOWN_EVENT_TYPE }",
        replace: "        let _ = had_schema;\n        event_type",
        caught_by: by(
            PROJECT,
            "bounds::a_hundred_thousand_types_and_pointers_of_one_tenant_cost_neither_metrics_nor_alerts_nor_bytes",
        ),
    },
    PlantedBug {
        clause: "G9",
        name: "stop the shard at an unreadable record",
        file: PROJECT_RS,
        find: "        let unreadable: Vec<&UnreadableRecord> = self.records.iter().filter_map(unreadable).collect();",
        replace: "        let unreadable: Vec<&UnreadableRecord> = self.records.iter().filter_map(unreadable).collect();\n        if !unreadable.is_empty() {\n            return Err(Stopped);\n        }",
        caught_by: by(PROJECT, "a_batch_is_counted_measured_and_alerted_once"),
    },
    PlantedBug {
        clause: "G9",
        name: "pass over an unreadable record in silence",
        file: PROJECT_RS,
        find: "                fold.uncounted += 1;\n            }\n            fold.records",
        replace: "            }\n            fold.records",
        caught_by: by(PROJECT, "a_batch_is_counted_measured_and_alerted_once"),
    },
    PlantedBug {
        clause: "G9",
        name: "put metrics before counts at any price",
        file: PROJECT_RS,
        find: "                error!(?refusal, \"metrics refused, they are lost\");",
        replace: "                stopped(&refusal, \"metrics refused\");\n                return Err(Stopped);\n            }\n            if false {",
        caught_by: by(PROJECT, "outages::a_failing_cloudwatch_delays_nothing_and_a_hanging_one_by_seconds"),
    },
    PlantedBug {
        clause: "G10",
        name: "alert after the commit",
        file: PROJECT_RS,
        find: "        self.publish(plan.messages).await?;\n        self.send_unreadable().await?;\n        self.put_metrics(&statistics, stored.tenants, now_ms).await?;\n        let count = self.records.len();\n        self.commit(stored.checkpoint).await?;",
        replace: "        self.send_unreadable().await?;\n        self.put_metrics(&statistics, stored.tenants, now_ms).await?;\n        let count = self.records.len();\n        self.commit(stored.checkpoint).await?;\n        self.publish(plan.messages).await?;",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G10",
        name: "go on when SNS refuses an alert",
        file: PROJECT_RS,
        find: "            answer.map_err(|refusal| stopped(&refusal, \"alert refused\"))?;",
        replace: "            let _ = answer;",
        caught_by: by(PROJECT, "outages::a_failing_sns_delays_by_retry_loses_no_alert_and_doubles_no_counter"),
    },
    PlantedBug {
        clause: "G10",
        name: "drop the count of what was suppressed",
        file: "crates/ledger/src/alert.rs",
        find: "                Some(window) => window.suppressed += count,",
        replace: "                Some(_) => {}",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G10",
        name: "alert without a window",
        file: "crates/ledger/src/alert.rs",
        find: "        now_ms < self.published_at_ms.saturating_add(window_ms)",
        replace: "        now_ms < self.published_at_ms && window_ms > 0",
        caught_by: by(PROJECT, HISTORIES),
    },
    PlantedBug {
        clause: "G10",
        name: "alert without a cap",
        file: "crates/ledger/src/alert.rs",
        find: "            } else if places > 0 {\n                places -= 1;",
        replace: "            } else if places < u64::MAX {\n                places = places.saturating_sub(1);",
        caught_by: by(
            PROJECT,
            "bounds::a_hundred_thousand_tenants_stay_within_the_metric_budget_and_are_counted_exactly",
        ),
    },
    PlantedBug {
        clause: "G10",
        name: "publish before the places are reserved",
        file: PROJECT_RS,
        find: "                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, \"alert windows refused\")),\n                Err(Refusal::Transient { code }) => {",
        replace: "                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, \"alert windows refused\")),\n                Err(Refusal::Transient { .. }) if attempt > 0 => return Ok(plan),\n                Err(Refusal::Transient { code }) => {",
        caught_by: by(PROJECT, "outages::a_table_that_takes_no_writes_lets_no_alert_leave"),
    },
    PlantedBug {
        clause: "G10",
        name: "forget what left when the batch stops",
        file: PROJECT_RS,
        find: "                run.keep_windows().await;\n",
        replace: "",
        caught_by: by(PROJECT, "outages::a_commit_that_keeps_failing_does_not_alert_anew_with_every_retry"),
    },
    PlantedBug {
        clause: "G10",
        name: "give one tenant all places of a window",
        file: "crates/ledger/src/alert.rs",
        find: "        ranked.extend(groups.drain(..).enumerate());",
        replace: "        ranked.extend(groups.drain(..).map(|group| (0, group)));",
        caught_by: ("ledger", "lib", "alert::tests::a_tenant_with_many_causes_does_not_take_the_places_of_the_others"),
    },
    PlantedBug {
        clause: "G12",
        name: "give every tenant a metric dimension",
        file: "crates/ledger/src/metric_tenants.rs",
        find: "            } else if places.len() < places_max && bytes",
        replace: "            } else if bytes",
        caught_by: by(
            PROJECT,
            "bounds::a_hundred_thousand_tenants_stay_within_the_metric_budget_and_are_counted_exactly",
        ),
    },
    PlantedBug {
        clause: "G12",
        name: "wait for CloudWatch as long as it likes",
        file: PROJECT_RS,
        find: "        let until_ms = self.services.clock.now_ms() + METRICS_BUDGET_MS;",
        replace: "        let until_ms = self.deadline_ms.max(METRICS_BUDGET_MS);",
        caught_by: by(PROJECT, "outages::a_failing_cloudwatch_delays_nothing_and_a_hanging_one_by_seconds"),
    },
    PlantedBug {
        clause: "G11",
        name: "name undeclared members in the reason",
        file: "crates/ledger/src/failure.rs",
        find: "        push_token(&mut pointer, if declared.is_some() { name } else { \"*\" });",
        replace: "        push_token(&mut pointer, name);",
        caught_by: (
            "ledger",
            "lib",
            "failure::tests::undeclared_names_and_indexes_are_masked_in_the_bounded_pointer_only",
        ),
    },
    PlantedBug {
        clause: "G12",
        name: "let large entries go first",
        file: PROCESS,
        find: "        waiting.sort_by_key(|statement| self.body_bytes(statement));",
        replace: "        waiting.sort_by_key(|statement| usize::MAX - self.body_bytes(statement));",
        caught_by: by(CONTRACT, "small_entries_are_recorded_before_large_ones"),
    },
    PlantedBug {
        clause: "G12",
        name: "start calls without time to answer",
        file: PROCESS,
        find: "        (left >= CALL_BUDGET_MIN_MS).then_some(left)",
        replace: "        (left < u64::MAX).then_some(left + CALL_BUDGET_MIN_MS)",
        caught_by: by(CONTRACT, "nothing_is_called_without_time_to_answer"),
    },
    PlantedBug {
        clause: "G12",
        name: "resend for ever",
        file: PROCESS,
        find: "const RESENDS_MAX: u32 = 3;",
        replace: "const RESENDS_MAX: u32 = 30;",
        caught_by: by(CONTRACT, "a_failed_batch_leaves_nothing_behind_for_the_next"),
    },
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("planted-bugs");
    let bugs: Vec<_> = PLANTED_BUGS.iter().filter(|bug| bug.name.contains(&wanted)).collect();
    copy_sources(&root, &copy);

    let mut escaped = 0;
    for bug in &bugs {
        let started = Instant::now();
        let ending = plant(bug, &copy);
        let seconds = started.elapsed().as_secs();
        match ending {
            Ok(()) => println!("caught   {:4} {} ({seconds} s)", bug.clause, bug.name),
            Err(problem) => {
                escaped += 1;
                println!("ESCAPED  {:4} {}: {problem}", bug.clause, bug.name);
            }
        }
    }
    println!("{} of {} planted bugs caught", bugs.len() - escaped, bugs.len());
    if escaped == 0 && !bugs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Copies what git knows, so that nothing that is built or edited meanwhile is touched.
fn copy_sources(root: &Path, copy: &Path) {
    let listing = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    let listing = listing.expect("git lists the sources").stdout;
    for file in String::from_utf8(listing).expect("file names are UTF-8").lines() {
        let (from, to) = (root.join(file), copy.join(file));
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|present| present == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a file has a folder")).expect("a writable target directory");
        fs::write(&to, bytes).expect("a writable target directory");
    }
}

/// Plants one bug, runs its test, and takes the bug out again.
fn plant(bug: &PlantedBug, copy: &Path) -> Result<(), String> {
    let file = copy.join(bug.file);
    let sound = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", bug.file))?;
    let places = sound.matches(bug.find).count();
    if places != 1 {
        return Err(format!("the code to break is found {places} times in {}", bug.file));
    }
    fs::write(&file, sound.replace(bug.find, bug.replace)).map_err(|error| error.to_string())?;
    let ending = run_test(bug, copy);
    fs::write(&file, sound).map_err(|error| error.to_string())?;
    ending
}

fn run_test(bug: &PlantedBug, copy: &Path) -> Result<(), String> {
    let (package, target, test) = bug.caught_by;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(copy).env("CARGO_TARGET_DIR", copy.join("target")).args(["test", "--offline", "-p", package]);
    match target {
        "lib" => command.arg("--lib"),
        _ => command.args(["--test", target]),
    };
    let output = command.args(["--", "--exact", test]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if text.contains(&format!("test {test} ... FAILED")) {
        return Ok(());
    }
    if text.contains("1 passed") {
        return Err(format!("{test} does not notice"));
    }
    let last: Vec<&str> = errors.lines().filter(|line| line.starts_with("error")).take(2).collect();
    Err(format!("{test} did not run: {}", last.join("; ")))
}
