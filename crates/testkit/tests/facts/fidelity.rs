//! Writes `docs/fidelity.md`: what the facts say about the local cloud, for people who want to know how far to trust it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde::Deserialize;

use crate::{AREAS, Fact, Matters, Subject, facts_about};

const DOCUMENT: &str = "../../docs/fidelity.md";

const PREFACE: &str = "\
# How true the local cloud is

Generated from `crates/testkit/facts/` by the tests; do not edit. A fact is an answer of AWS that others recorded, with
its source, date and licence. Each is put to the local cloud's endpoint, to the models behind it or to the Terraform, and
a fact that changes sides fails the tests.

A: where the fact is not known, a deployment breaks or an event is lost or doubled. B: somebody concludes something wrong.
C: form only. A fact that the Terraform heeds asserts that the deployment does not depend on what AWS does there; all others
assert that the local cloud does the same.
";

const SUITES: &str = "
## Suites that others wrote

Run once by hand, on 2026-11-24 and commit 0c1c646; most of what differed has been mended since.

| suite | its commit | licence | ran | passed |
|---|---|---|---|---|
| nubo-db/dynamodb-conformance, all of which was run on DynamoDB first | 0ba4393, 2026-05-14 | MIT | 601 | 577; the others are refused as on AWS, in the words of May |
| LocalStack's `test_sqs.py` against AWS's recorded answers, word for word | 8b9a79f05 | Apache-2.0 | 161 | 90 |
| LocalStack's `test_cloudwatch.py`, metrics, in three protocols | 8b9a79f05 | Apache-2.0 | 96 | 67 |
| JSON-Schema-Test-Suite, draft 7 `date-time` and `email`, judged by the processor | 44401e0c, 2026-08-22 | MIT | 41 | 41 |

Run with every change, with a reset before each test:

";

const NOT_CLAIMED: &str = "
## What is not claimed

- SQS: the query protocol that SDKs used until late 2023, permissions, message move tasks.
- SNS: topics other than standard ones with SQS subscriptions, `PublishBatch`, permissions.
- CloudWatch: metric math, alarms, dashboards, insight rules, metrics of AWS's own services.
- Lambda: making functions and mappings, versions, concurrency. STS: everything but `GetCallerIdentity`.
- Logs, S3, IAM, CloudFormation; more than one account or region at a time.
";

/// Tests of another project, and those of them that do not pass.
#[derive(Deserialize)]
struct Suite {
    suite: String,
    collected: usize,
    skipped: usize,
    not_passed: Vec<NotPassed>,
}

#[derive(Deserialize)]
struct NotPassed {
    kind: String,
    why: String,
    tests: Vec<String>,
}

/// Returns the document as it should be.
fn document() -> String {
    let mut text = PREFACE.to_owned();
    text.push_str("\n## Facts\n\n| area | facts | run | hold | heeded by the Terraform | differ | not run |\n|---|---|---|---|---|---|---|\n");
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
    text.push_str(SUITES);
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/moto.json");
    let suite: Suite = serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap();
    let failed: usize = suite.not_passed.iter().map(|group| group.tests.len()).sum();
    let ran = suite.collected - suite.skipped;
    writeln!(text, "**{}** (Apache-2.0): {ran} ran, {} passed.\n", suite.suite, ran - failed).expect("text grows");
    for NotPassed { kind, why, tests } in &suite.not_passed {
        writeln!(text, "- {} {kind}: {why}", tests.len()).expect("text grows");
    }
    text.push_str(NOT_CLAIMED);
    text
}

fn row(text: &mut String, name: &str, facts: &[Fact]) {
    let count = |wanted: &dyn Fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    let all = facts.len();
    let run = count(&|fact| fact.put_to.is_some());
    let differ = count(&|fact| fact.differs.is_some());
    let heeded = count(&|fact| fact.put_to == Some(Subject::Terraform));
    let (hold, not_run) = (run - differ - heeded, all - run);
    writeln!(text, "| {name} | {all} | {run} | {hold} | {heeded} | {differ} | {not_run} |").expect("text grows");
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
