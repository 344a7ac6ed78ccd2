//! Every command that an alarm, an alert or a document names is one that this program takes. Whoever is woken by an
//! alarm types what it says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::error::ErrorKind;
use ledger::alert::explain_command;

use super::*;

const PROGRAM: &str = "ledgerctl ";
/// What is read to people: the folders and files of the repository that tell of commands. `alert/message.rs` makes
/// its command from parts; what it makes is tested below.
const TOLD_IN: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
    "docs",
    "infra",
    "dashboards",
    "crates",
];
const NOT_TOLD_IN: [&str; 3] = ["target", "message.rs", "tests.rs"];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if NOT_TOLD_IN.contains(&name) || name.starts_with(".terraform") {
        return;
    }
    match fs::read_dir(path) {
        Ok(folder) => folder.for_each(|entry| files(&entry.expect("a readable folder").path(), found)),
        Err(_) => found.push(path.to_owned()),
    }
}

/// The commands in a text: each from the program's name to the end of its quotation or line.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(PROGRAM).map(|(at, _)| {
        let command = &text[at..];
        &command[..command.find(['`', '"', '\n', '\\']).unwrap_or(command.len())]
    })
}

/// Why the program would not take a command; one that only lacks its arguments names a verb that exists.
fn refused(words: impl IntoIterator<Item = String>) -> Option<clap::Error> {
    let error = Arguments::try_parse_from(words).err()?;
    (error.kind() != ErrorKind::MissingRequiredArgument).then_some(error)
}

#[test]
fn every_command_that_a_text_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    TOLD_IN.iter().map(|name| root.join(name)).filter(|path| path.exists()).for_each(|path| files(&path, &mut all));
    let mut named = 0;
    for file in all {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for command in commands(&text) {
            named += 1;
            let error = refused(command.split_whitespace().map(str::to_owned));
            assert!(error.is_none(), "{}: `{command}`: {}", file.display(), error.expect("there is one"));
        }
    }
    assert!(named > 0, "alarms and documents name no command: the search is broken");
}

#[test]
fn a_command_that_does_not_exist_is_refused() {
    for wrong in ["ledgerctl redo", "ledgerctl are", "ledgerctl explain --all", "ledgerctl schemas x"] {
        assert!(refused(wrong.split_whitespace().map(str::to_owned)).is_some(), "{wrong}");
    }
    assert_eq!(commands("see `ledgerctl explain a b`, or\n  ledgerctl schemas\n").count(), 2);
}

/// The shell is a real one, so what it makes of an id is evidence.
#[test]
fn the_command_of_an_alert_names_its_event_whatever_the_producer_called_it() {
    for (tenant_id, event_id) in
        [("tenant-a", "e 1"), ("a$(b)", "it's; rm -rf `x`"), ("-a", "--help"), ("a", "\\\"é\"")]
    {
        let command = explain_command(&TenantId::parse(tenant_id).unwrap(), event_id);
        let split = format!("printf '%s\\0' {command}");
        let output = Command::new("sh").args(["-c", &split]).output().expect("a shell");
        let words: Vec<String> =
            output.stdout.split_inclusive(|byte| *byte == 0).map(|word| text(&word[..word.len() - 1])).collect();
        let Verb::Explain { tenant_id: tenant, event_id: event } = Arguments::try_parse_from(words).unwrap().verb
        else {
            panic!("{command} is another verb");
        };
        assert_eq!((tenant.as_str(), event.as_str()), (tenant_id, event_id), "{command}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the command is UTF-8")
}
