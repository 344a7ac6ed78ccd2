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
        caught_by: ("ledger", "lib", "json::tests::depth_is_bounded_where_dynamodb_bounds_it_and_the_rest_is_only_skimmed"),
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
        find: "    Ok(decimal.to_text())",
        replace: "    let text = decimal.to_text();\n    Ok(text.parse::<f64>().map(|number| number.to_string()).unwrap_or(text))",
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
