//! What this system is built from: crates of crates.io, under licences that ask for no more than their notice.
//! Known vulnerabilities are not looked for here: their list changes without us, and `.github/workflows` asks it.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

/// All permissive, as SPDX names them. Another one is a decision.
const ACCEPTED: [&str; 8] =
    ["Apache-2.0", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether the accepted licences alone fulfil an expression of SPDX; an exception only permits more. `/` is how old
/// crates write OR.
fn is_accepted(licences: &str) -> bool {
    let is_accepted = |licence: &LicenseReq| licence.license.id().is_some_and(|id| ACCEPTED.contains(&id.name));
    Expression::parse_mode(licences, ParseMode::LAX).is_ok_and(|expression| expression.evaluate(is_accepted))
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
