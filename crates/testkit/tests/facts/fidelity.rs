//! Writes `docs/fidelity.md`: what the facts say about the local cloud, for people who want to know how far to trust it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use crate::{AREAS, Fact, Matters, facts_about};

const DOCUMENT: &str = "../../docs/fidelity.md";

const PREFACE: &str = "\
# How true the local cloud is

Generated from `crates/testkit/facts/` by the tests; do not edit. A fact is an answer of AWS that others recorded, with
its source, date and licence. Each is put to the local cloud's endpoint, to the models behind it or to the Terraform, and
a fact that changes sides fails the tests.

A: where the fact is not known, a deployment breaks or an event is lost or doubled. B: somebody concludes something wrong.
C: form only.
";

/// Returns the document as it should be.
fn document() -> String {
    let mut text = PREFACE.to_owned();
    text.push_str("\n## Facts\n\n| area | facts | run | hold | differ | not run |\n|---|---|---|---|---|---|\n");
    let mut all = Vec::new();
    for (area, title) in AREAS {
        let facts = facts_about(area);
        row(&mut text, title, &facts);
        all.extend(facts);
    }
    for (name, matters) in [("**A**", Matters::A), ("**B**", Matters::B), ("**C**", Matters::C)] {
        row(&mut text, name, &all.iter().filter(|fact| fact.matters == matters).cloned().collect::<Vec<_>>());
    }
    row(&mut text, "**all**", &all);

    text.push_str("\n## Where the local cloud differs\n\n");
    for fact in &all {
        if let Some(reason) = &fact.differs {
            writeln!(text, "- **{}** ({:?}): {} *{reason}*", fact.id, fact.matters, fact.says).expect("text grows");
        }
    }
    text.push_str("\n## What is not run\n\n");
    let mut by_reason = BTreeMap::<&str, Vec<&Fact>>::new();
    for fact in &all {
        if let Some(reason) = &fact.not_run {
            by_reason.entry(reason).or_default().push(fact);
        }
    }
    for (reason, facts) in by_reason {
        let ids: Vec<String> = facts.iter().map(|fact| format!("{} ({:?})", fact.id, fact.matters)).collect();
        writeln!(text, "- {reason}\n  {}", ids.join(", ")).expect("text grows");
    }
    text
}

fn row(text: &mut String, name: &str, facts: &[Fact]) {
    let count = |wanted: &dyn Fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    let run = count(&|fact| fact.put_to.is_some());
    let differ = count(&|fact| fact.differs.is_some());
    let not_run = count(&|fact| fact.not_run.is_some());
    writeln!(text, "| {name} | {} | {run} | {} | {differ} | {not_run} |", facts.len(), run - differ)
        .expect("text grows");
}

#[test]
fn the_document_says_what_the_facts_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fidelity.md");
    let document = document();
    fs::write(&fresh, &document).unwrap();
    let is_current = fs::read_to_string(&path).is_ok_and(|present| present == document);
    assert!(is_current, "docs/fidelity.md is out of date: cp {} docs/fidelity.md", fresh.display());
}
