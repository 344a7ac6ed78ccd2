//! What a newcomer's first build costs: how many crates, and each of them once. Cargo builds a crate again for every
//! other set of features, and the tests and the macros ask for other sets than the product unless somebody watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Crates that `cargo run -p local` compiles, ours included. More is a decision: every one costs a newcomer time.
const CRATES_UNDER_LOCAL: usize = 288;

/// Each crate that a build compiles, and the sets of features it compiles it with.
fn crates(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let fixed = ["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{f}"];
    let output = Command::new(env!("CARGO")).args(fixed).args(arguments).output().expect("cargo runs the tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("cargo writes UTF-8").lines() {
        if let Some((package, features)) = line.split_once('|') {
            let package = package.split(" (").next().unwrap_or(package);
            let features = features.trim_end_matches(" (*)");
            crates.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    crates
}

#[test]
fn the_main_job_compiles_no_more_crates_than_it_did() {
    let crates = crates(&["-p", "local", "--edges", "normal,build"]);
    assert_eq!(crates.len(), CRATES_UNDER_LOCAL, "{:#?}", crates.keys());
}

#[test]
fn neither_the_tests_nor_the_macros_have_a_crate_compiled_again() {
    let compiled = crates(&["--workspace", "--edges", "normal,build,dev"]);
    let again: Vec<_> = compiled.iter().filter(|(_, features)| features.len() > 1).collect();
    assert!(again.is_empty(), "{again:#?}");
    let main_job = crates(&["-p", "local", "--edges", "normal,build"]);
    let otherwise: Vec<_> = main_job.iter().filter(|(package, features)| compiled[*package] != **features).collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}
