//! What this system is built from: crates of crates.io, under licences that ask for no more than their notice.
//! Known vulnerabilities are not looked for here: their list changes without us, and `.github/workflows` asks it.

use std::{iter::Peekable, process::Command};

use serde_json::Value;

/// All permissive, as SPDX names them. Another one is a decision.
const ACCEPTED: [&str; 8] =
    ["Apache-2.0", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether the accepted licences alone fulfil an expression of SPDX. `/` is how old crates write OR.
fn is_accepted(licences: &str) -> bool {
    let spaced = licences.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words) && words.next().is_none()
}

fn any_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut accepted = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        accepted |= all_of(words);
    }
    accepted
}

fn all_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut accepted = one(words);
    while words.next_if_eq(&"AND").is_some() {
        accepted &= one(words);
    }
    accepted
}

fn one<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let accepted = match words.next() {
        Some("(") => any_of(words) & (words.next() == Some(")")),
        word => word.is_some_and(|licence| ACCEPTED.contains(&licence)),
    };
    // An exception only permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    accepted
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs the tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

#[test]
fn an_expression_is_accepted_where_the_accepted_licences_alone_fulfil_it() {
    for accepted in [
        "MIT",
        "Unlicense/MIT",
        "MIT OR GPL-3.0",
        "LGPL-2.1 OR MIT AND ISC",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "GPL-2.0 OR Apache-2.0 WITH LLVM-exception OR LGPL-2.1",
    ] {
        assert!(is_accepted(accepted), "{accepted}");
    }
    for refused in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND AGPL-3.0", "GPL-2.0 WITH MIT", "MIT ISC", "(MIT"]
    {
        assert!(!is_accepted(refused), "{refused}");
    }
}

#[test]
fn every_dependency_is_from_crates_io_under_a_licence_that_we_accept() {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its platform");
    // Of another platform nothing may be downloaded yet.
    let metadata = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&cargo(&metadata)).expect("cargo writes JSON");
    let list = |name: &str| metadata[name].as_array().expect("cargo names packages and members");
    let (packages, members) = (list("packages"), list("workspace_members"));
    let is_refused = |package: &&Value| {
        let is_ours_or_of_crates_io = members.contains(&package["id"]) || package["source"] == CRATES_IO;
        !is_ours_or_of_crates_io || !package["license"].as_str().is_some_and(is_accepted)
    };
    let refused: Vec<String> = packages
        .iter()
        .filter(is_refused)
        .map(|package| format!("{} of {} under {}", package["name"], package["source"], package["license"]))
        .collect();
    assert!(packages.len() > members.len());
    assert!(refused.is_empty(), "{refused:#?}");
}
