//! Breaks the code on purpose, one bug at a time, in a copy of the sources, and checks that whoever is named notices: a
//! test, the simulation, or both. What nobody notices is not tested.
//! `cargo run -p testkit --bin planted-bugs [part of a name]`; with `--every 6`, every sixth of them. Each run first
//! looks whether all of them still fit the code, and `--check` does nothing else.

#![expect(clippy::print_stdout, reason = "the terminal is where a command answers")]
#![expect(
    clippy::disallowed_methods,
    reason = "cargo names itself in the environment, and how long a bug took is printed"
)]

mod bugs;

use std::{
    collections::BTreeSet,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
    time::Instant,
};

use bugs::{BUGS, Bug};
use clap::Parser;

/// Who must notice a bug.
enum Catcher {
    Test { package: &'static str, target: &'static str, name: &'static str },
    Simulation,
}

/// Schedules the simulation has to notice a bug.
const SCHEDULES: &str = "20000";

/// The bugs are built more often than they run: what the workspace optimises for the run is not worth it here.
const QUICK_BUILD: [&str; 4] = [
    "profile.dev.package.processor.opt-level=0",
    "profile.dev.package.projector.opt-level=1",
    "profile.dev.package.testkit.opt-level=0",
    "profile.dev.package.ledger.opt-level=1",
];

/// Breaks the code on purpose and expects whoever is named to notice
#[derive(Parser)]
struct Arguments {
    /// Only bugs with this in their name
    #[arg(default_value = "")]
    name: String,
    /// Only one of so many
    #[arg(long, default_value = "1")]
    every: NonZeroUsize,
    /// Only look whether each still fits the code, and each test that must notice one is there
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("planted-bugs");
    copy_sources(&root, &copy);

    let unfit: Vec<String> = BUGS.iter().flat_map(|bug| misfits(bug, &copy)).collect();
    if !unfit.is_empty() {
        println!("{}", unfit.join("\n"));
        return ExitCode::FAILURE;
    }
    println!("{} planted bugs fit the code", BUGS.len());
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    let wanted = BUGS.iter().filter(|bug| bug.name.contains(&arguments.name));
    let bugs: Vec<_> = wanted.step_by(arguments.every.get()).collect();
    let mut escaped = 0;
    for bug in &bugs {
        let started = Instant::now();
        let ending = plant(bug, &copy);
        let seconds = started.elapsed().as_secs();
        match ending {
            Ok(noticed) => println!("caught   {:4} {} ({noticed}; {seconds} s)", bug.clause, bug.name),
            Err(problem) => {
                escaped += 1;
                println!("ESCAPED  {:4} {}: {problem}", bug.clause, bug.name);
            }
        }
    }
    println!("{} of {} planted bugs caught", bugs.len() - escaped, bugs.len());
    if escaped == 0 && !bugs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Copies what git knows, so that nothing that is built or edited meanwhile is touched, and nothing that has not changed
/// is built again.
fn copy_sources(root: &Path, copy: &Path) {
    let listing = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    let listing = listing.expect("git lists the sources").stdout;
    let mut stale = files_under(&copy.join("crates"));
    for file in String::from_utf8(listing).expect("file names are UTF-8").lines() {
        let (from, to) = (root.join(file), copy.join(file));
        let Ok(bytes) = fs::read(&from) else { continue };
        stale.remove(&to);
        if fs::read(&to).is_ok_and(|present| present == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a file has a folder")).expect("a writable target directory");
        fs::write(&to, bytes).expect("a writable target directory");
    }
    stale.iter().for_each(|file| fs::remove_file(file).expect("a writable target directory"));
}

fn files_under(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { BTreeSet::from([path]) }).collect()
}

/// What a bug names that is not there any more: the code to break, or a test.
fn misfits(bug: &Bug, copy: &Path) -> Vec<String> {
    let mut misfits: Vec<String> = broken_code(bug, copy).err().into_iter().collect();
    for catcher in bug.caught_by {
        let Catcher::Test { name, .. } = catcher else { continue };
        let function = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
        let mut sources =
            files_under(&copy.join("crates")).into_iter().filter_map(|file| fs::read_to_string(file).ok());
        if !sources.any(|source| source.contains(&function)) {
            misfits.push(format!("{}: no test is called {name}", bug.name));
        }
    }
    misfits
}

/// The file a bug is planted in, sound and broken.
fn broken_code(bug: &Bug, copy: &Path) -> Result<(String, String), String> {
    let sound =
        fs::read_to_string(copy.join(bug.file)).map_err(|error| format!("cannot read {}: {error}", bug.file))?;
    let places = sound.matches(bug.find).count();
    if places != 1 {
        return Err(format!("{}: the code to break is found {places} times in {}", bug.name, bug.file));
    }
    let broken = sound.replace(bug.find, bug.replace);
    Ok((sound, broken))
}

/// Plants one bug, lets everyone look for it, and takes it out again; says who noticed.
fn plant(bug: &Bug, copy: &Path) -> Result<String, String> {
    let file = copy.join(bug.file);
    let (sound, broken) = broken_code(bug, copy)?;
    fs::write(&file, broken).map_err(|error| error.to_string())?;
    let noticed: Result<Vec<String>, String> = bug.caught_by.iter().map(|catcher| look(catcher, copy)).collect();
    fs::write(&file, sound).map_err(|error| error.to_string())?;
    Ok(noticed?.join(", "))
}

fn look(catcher: &Catcher, copy: &Path) -> Result<String, String> {
    match catcher {
        Catcher::Test { package, target, name } => run_test(package, target, name, copy),
        Catcher::Simulation => simulate(copy),
    }
}

fn run_test(package: &str, target: &str, test: &str, copy: &Path) -> Result<String, String> {
    let target: &[&str] = if target == "lib" { &["--lib"] } else { &["--test", target] };
    let output = cargo(copy, &[&["test", "-p", package], target, &["--", "--exact", test]].concat())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains(&format!("test {test} ... FAILED")) {
        return Ok("its test".to_owned());
    }
    if text.contains("1 passed") {
        return Err(format!("{test} does not notice"));
    }
    Err(format!("{test} did not run: {}", errors(&output)))
}

fn simulate(copy: &Path) -> Result<String, String> {
    let output = cargo(copy, &["run", "-p", "testkit", "--bin", "simulate", "--", "--schedules", SCHEDULES])?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some((schedule, clause)) = text.lines().find_map(broken_schedule) {
        return Ok(format!("schedule {schedule}, {clause}"));
    }
    if text.contains("schedules hold") {
        return Err(format!("{SCHEDULES} schedules do not notice"));
    }
    Err(format!("the simulation did not run: {}", errors(&output)))
}

/// Number and clause of `schedule 12 breaks G3: …`.
fn broken_schedule(line: &str) -> Option<(&str, &str)> {
    let (schedule, message) = line.strip_prefix("schedule ")?.split_once(" breaks ")?;
    Some((schedule, message.split(':').next()?))
}

/// With its own artifacts, and the workspace's intermediate ones: what is not broken is built already.
fn cargo(copy: &Path, arguments: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(copy).arg("--offline");
    command.env("CARGO_TARGET_DIR", copy.join("target")).env("CARGO_BUILD_BUILD_DIR", copy.join(".."));
    QUICK_BUILD.iter().for_each(|setting| {
        command.args(["--config", setting]);
    });
    command.args(arguments).output().map_err(|error| error.to_string())
}

fn errors(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).take(2).collect();
    lines.join("; ")
}
