//! The read model that CONTRIBUTING.md shows, as a newcomer adds it: its text and its two words go into a copy of the
//! sources, which is built, tested and run. Beside it the copy has another change, a schema that declares a new member:
//! what the build before has judged and counted must stay as it is.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ledger::{
    Attribute, Item,
    entry::attribute,
    item::text_of,
    projection::{
        causes::{CAUSES, Cause},
        counts::COUNTS,
    },
};
use local::{Cloud, Options, command::traffic, lambda::functions, reconciliation::Reconciliation};
use serde_json::Value;
use support::{empty_folder, sdk_config};

/// What the workspace is built from.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "crates", "schemas", "dashboards"];
const PROJECTION: &str = "crates/ledger/src/projection.rs";
const SCHEMA: &str = "schemas/monitoring.json";

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// The code blocks of CONTRIBUTING.md.
fn code_blocks(text: &str) -> Vec<&str> {
    let after = text.split("```rust\n").skip(1);
    after.map(|block| block.split_once("```").expect("the block ends").0).collect()
}

/// A copy of the sources with the read model, and with a schema that declares what was an undeclared member before.
fn changed_copy() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = empty_folder("read_model_sources");
    SOURCES.iter().for_each(|name| copy(&root.join(name), &folder.join(name)));
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let [model, list] = code_blocks(&text)[..] else { panic!("the model, and its place in the list") };
    assert!(model.lines().count() <= 60, "{} lines", model.lines().count());
    fs::write(folder.join("crates/ledger/src/projection/decisions.rs"), model).unwrap();
    let projection = folder.join(PROJECTION);
    replace(&projection, "pub mod counts;\n", "pub mod counts;\npub mod decisions;\n");
    replace(&projection, "pub const ALL: &[Projection] = &[counts::COUNTS, causes::CAUSES];\n", list);
    let labels = r#""labels": { "type": "object","#;
    replace(&folder.join(SCHEMA), labels, &format!(r#"{labels} "properties": {{ "rack": {{ "type": "string" }} }},"#));
    folder
}

fn cargo(folder: &Path, arguments: &[&str]) {
    // What is built already is not built again, and no binary of this build is replaced.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_BUILD_BUILD_DIR", target.parent().expect("a folder in the target directory"))
        .env("CARGO_TARGET_DIR", target.join("read_model"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{text}");
}

/// Runs the copy's own `local --once`, which succeeds only if the read models are the fold of the ledger by its build.
fn run_once(data_directory: &Path) {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("read_model/debug/local");
    let output = Command::new(binary)
        .args(["--once", "--port", "0", "--seed-rate", "60", "--seconds", "1", "--invalid-ratio", "0.3", "--data-dir"])
        .arg(data_directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn cloud_in(directory: &Path) -> Cloud {
    Cloud::start(Options { data_directory: Some(directory.to_owned()), ..Options::default() }).await.unwrap()
}

async fn tables_in(directory: &Path) -> Reconciliation {
    let cloud = cloud_in(directory).await;
    let tables = Reconciliation::read(cloud.services()).unwrap();
    cloud.stop().await.unwrap();
    tables
}

/// Sends INVALID events whose cause names no member of theirs, since no schema of this build declares it.
async fn send_undeclared(cloud: &Cloud) {
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(cloud).await);
    let url = cloud.deployment().queue_url(&cloud.deployment().project.events_queue());
    for number in 0..3 {
        let body = format!(
            r#"{{"tenant_id":"tenant-a","event_id":"{number}","event_type":"monitoring","payload":
               {{"timestamp":"2026-01-15T09:30:00Z","level":"INFO","message":"m","labels":{{"rack":1}}}}}}"#
        );
        sqs.send_message().queue_url(&url).message_group_id("tenant-a").message_body(body).send().await.unwrap();
    }
}

/// What the model should sum up, read from the ledger without it: by decision, events and cents.
fn decisions_of(entries: &[Item]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for entry in entries {
        let is_counted = text_of(entry, attribute::STATUS) == Some("READY")
            && text_of(entry, attribute::EVENT_TYPE) == Some("transaction.authorizers");
        let Some(Attribute::M(payload)) = entry.get(attribute::PAYLOAD).filter(|_| is_counted) else { continue };
        let decision = payload["decision"].as_str().unwrap();
        let cents = payload.get("amount").and_then(Value::as_f64).map_or(0, |amount| (amount * 100.0).round() as i64);
        *sums.entry(decision.to_owned()).or_default() += 1;
        *sums.entry(format!("{decision}_CENTS")).or_default() += cents;
    }
    sums
}

#[tokio::test]
async fn the_read_model_of_contributing_counts_and_a_schemas_new_member_moves_nothing_that_was_counted() {
    let before = empty_folder("read_model_before");
    let cloud = cloud_in(&before).await;
    functions::deploy(&cloud).await.unwrap();
    send_undeclared(&cloud).await;
    let of_this_build = traffic::until_landed(cloud.services()).await.unwrap();
    assert!(of_this_build.agree());
    let today = &of_this_build.projected.items.keys().next().unwrap().day.clone();
    let models = of_this_build.models.as_ref().unwrap();
    assert!(
        models.is_built(&COUNTS.id(), today) && models.is_built(&CAUSES.id(), today),
        "a fresh cloud counts today whole"
    );
    let cause = Cause::parse("schema_violation type /payload/labels/*").to_string();
    let causes = |tables: &Reconciliation| -> i64 {
        tables.projected.of_model(&CAUSES.id()).filter_map(|(_, item)| item.get(&cause)).sum()
    };
    assert_eq!(causes(&of_this_build), 3);
    cloud.stop().await.unwrap();

    let folder = changed_copy();
    cargo(&folder, &["test", "--offline", "-p", "ledger", "--lib", "projection"]);
    cargo(&folder, &["build", "--offline", "-p", "local"]);

    // On a fresh cloud it counts from the beginning.
    let fresh = empty_folder("read_model_fresh");
    run_once(&fresh);
    let tables = tables_in(&fresh).await;
    let mut summed: BTreeMap<String, i64> = BTreeMap::new();
    for (name, number) in tables.projected.of_model("decisions@1").flat_map(|(_, item)| item) {
        *summed.entry(name.clone()).or_default() += number;
    }
    assert!(summed.values().sum::<i64>() > 0);
    assert_eq!(summed, decisions_of(&tables.entries));

    // On the ledger of the build before it counts whole from tomorrow, and what the others counted is what they count.
    run_once(&before);
    let tables = tables_in(&before).await;
    let models = tables.models.as_ref().unwrap();
    assert!(models.is_built(&COUNTS.id(), today) && !models.is_built("decisions@1", today));
    assert_eq!(causes(&tables), 3);
}
