//! Runs the pipeline under many schedules of faults, or one of them with its trace.
//! `cargo run -p testkit --bin simulate -- --schedules 100000`

#![expect(clippy::print_stdout, reason = "the terminal is where a command answers")]
#![expect(clippy::disallowed_methods, reason = "it says how many schedules it runs a second")]

use std::{
    cell::RefCell,
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
use testkit::simulation::{Broken, Cuts, Totals, attempt, check, shrink};

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
    #[command(flatten)]
    cuts: Cuts,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What does not hold is told once, below.
    panic::set_hook(Box::new(|_| {}));
    match options.seed {
        Some(seed) => replay(seed, &options.cuts),
        None => simulate(&options),
    }
}

fn replay(seed: u64, cuts: &Cuts) -> ExitCode {
    let trace = RefCell::new(Vec::new());
    let ending = attempt(seed, cuts, Some(&trace));
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
                 {} in the DLQ, {} stream records discarded and announced, {} ticks, {} alerts, {} digests, \
                 {} transactions that met",
                options.schedules,
                options.schedules as f64 / seconds,
                totals.messages,
                totals.invocations,
                totals.calls,
                totals.faults,
                totals.dead,
                totals.discarded,
                totals.ticks,
                totals.alerts,
                totals.digests,
                totals.conflicts,
            );
            ExitCode::SUCCESS
        }
        Some((seed, problem)) => {
            println!("schedule {} breaks {problem}", seed + 1 - options.first);
            if let Some(clause) = problem.clause {
                println!("the clause: {}", clause.sentence());
            }
            let least = shrink(seed, &problem);
            println!("at its least: {least}");
            println!("replay: cargo run -p testkit --bin simulate -- --seed {seed}{}", least.cuts);
            ExitCode::FAILURE
        }
    }
}
