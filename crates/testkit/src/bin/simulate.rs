//! Runs the pipeline under many schedules of faults, or one of them with its trace.
//! `cargo run -p testkit --bin simulate -- --schedules 100000`

#![expect(clippy::print_stdout, reason = "the terminal is where a command answers")]
#![expect(clippy::disallowed_methods, reason = "it says how many schedules it runs a second")]

use std::{
    cell::RefCell,
    collections::BTreeSet,
    panic,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use clap::Parser;
use strum::VariantNames as _;
use testkit::{
    ports::Fault,
    simulation::{Broken, Cuts, TENANTS, Totals, attempt, check, shrink},
};

/// Schedules between two lines of progress.
const PROGRESS: u64 = 50_000;

#[derive(Parser)]
#[command(about = "Runs the pipeline under schedules of faults and checks its contract")]
struct Options {
    /// How many schedules to run
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run this seed alone, and show its trace
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out sends, by number
    #[arg(long, value_delimiter = ',', requires = "seed")]
    without_sends: Vec<usize>,
    /// Leave out kinds of faults, by name
    #[arg(long, value_delimiter = ',', requires = "seed", value_parser = fault)]
    without_faults: Vec<Fault>,
    /// Leave out what operators do
    #[arg(long, requires = "seed")]
    without_acts: bool,
    /// Leave out outages
    #[arg(long, requires = "seed")]
    without_outages: bool,
    /// Leave out a tenant
    #[arg(long, requires = "seed", value_parser = tenant)]
    without_tenant: Option<&'static str>,
}

fn fault(name: &str) -> Result<Fault, String> {
    name.parse().map_err(|_| format!("one of {}", Fault::VARIANTS.join(", ")))
}

fn tenant(name: &str) -> Result<&'static str, String> {
    TENANTS.into_iter().find(|tenant| *tenant == name).ok_or_else(|| format!("one of {}", TENANTS.join(", ")))
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What does not hold is told once, below.
    panic::set_hook(Box::new(|_| {}));
    match options.seed {
        Some(seed) => replay(seed, &options),
        None => simulate(&options),
    }
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let cuts = Cuts {
        sends: options.without_sends.iter().copied().collect(),
        faults: options.without_faults.iter().copied().collect::<BTreeSet<_>>(),
        has_no_acts: options.without_acts,
        has_no_outages: options.without_outages,
        tenant: options.without_tenant,
    };
    let trace = RefCell::new(Vec::new());
    let ending = attempt(seed, &cuts, Some(&trace));
    trace.borrow().iter().for_each(|line| println!("{line}"));
    match ending {
        Ok(ending) => {
            println!("{:?}", ending.totals);
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(options: &Options) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(options.first);
    let end = options.first + options.schedules;
    let broken: Mutex<Option<(u64, Broken)>> = Mutex::new(None);
    let work = || {
        let mut totals = Totals::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || broken.lock().expect("no thread panics here").is_some() {
                return totals;
            }
            match check(seed) {
                Ok(of_seed) => totals.add(&of_seed),
                Err(problem) => *broken.lock().expect("no thread panics here") = Some((seed, problem)),
            }
            let done = seed + 1 - options.first;
            if done.is_multiple_of(PROGRESS) {
                println!("{done} schedules, {:.0} a second", done as f64 / started.elapsed().as_secs_f64());
            }
        }
    };
    let mut totals = Totals::default();
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| totals.add(&worker.join().expect("no thread panics")));
    });
    match broken.into_inner().expect("no thread panics") {
        None => {
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{} schedules hold in {seconds:.0} s, {:.0} a second: {} messages, {} invocations, {} calls, {} faults, \
                 {} in the DLQ, {} stream records discarded and announced",
                options.schedules,
                options.schedules as f64 / seconds,
                totals.messages,
                totals.invocations,
                totals.calls,
                totals.faults,
                totals.dead,
                totals.discarded,
            );
            ExitCode::SUCCESS
        }
        Some((seed, problem)) => {
            println!("schedule {} breaks {problem}", seed + 1 - options.first);
            if let Some(clause) = problem.clause {
                println!("the clause: {}", clause.sentence());
            }
            let least = shrink(seed, &problem);
            println!("at its least: {least}\nreplay: {}", command(seed, &least.cuts));
            ExitCode::FAILURE
        }
    }
}

fn command(seed: u64, cuts: &Cuts) -> String {
    let mut command = format!("cargo run -p testkit --bin simulate -- --seed {seed}");
    let mut add = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            command.push_str(&format!(" --without-{name} {}", values.join(",")));
        }
    };
    add("sends", cuts.sends.iter().map(usize::to_string).collect());
    add("faults", cuts.faults.iter().map(Fault::to_string).collect());
    add("tenant", cuts.tenant.map(str::to_owned).into_iter().collect());
    if cuts.has_no_acts {
        command.push_str(" --without-acts");
    }
    if cuts.has_no_outages {
        command.push_str(" --without-outages");
    }
    command
}
