//! Trying a seed, and making a failing one as small as it goes.

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{self, AssertUnwindSafe},
};

use strum::VariantArray as _;

use super::{
    checks::check_non_interference,
    recipe::TENANTS,
    scenario::{Cuts, Regime, Scenario},
    world::{Ending, Totals, run},
};
use crate::{
    clause::{Clause, Violation},
    ports::Fault,
};

/// One seed in so many is run twice, to see that it goes the same way.
const REPEATED: u64 = 64;
/// One in so many is run again without one of its tenants.
const WITHOUT_TENANT: u64 = 32;

/// One in so many is run again with nothing going wrong.
const UNDISTURBED: u64 = 32;

/// What does not hold, under which cuts.
#[derive(Clone, Debug)]
pub struct Broken {
    pub cuts: Cuts,
    /// There is none where the code under test, or the simulation, panics.
    pub clause: Option<Clause>,
    pub message: String,
}

impl Broken {
    fn of_panic(cuts: &Cuts, panic: Box<dyn Any + Send>) -> Self {
        let (clause, message) = match panic.downcast::<Violation>() {
            Ok(violation) => (Some(violation.clause), violation.message),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                (None, text.unwrap_or_else(|| "a panic without a word".to_owned()))
            }
        };
        Self { cuts: cuts.clone(), clause, message }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.clause == other.clause && (self.clause.is_some() || self.message == other.message)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clause {
            Some(clause) => write!(formatter, "{clause:?}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

/// Runs a seed, and now and then runs it again to compare.
pub fn check(seed: u64) -> Result<Totals, Broken> {
    let cuts = Cuts::default();
    let ending = attempt(seed, &cuts, None)?;
    if seed.is_multiple_of(REPEATED) && attempt(seed, &cuts, None)?.totals != ending.totals {
        return Err(Broken { cuts, clause: None, message: "the same seed goes another way".to_owned() });
    }
    if seed.is_multiple_of(WITHOUT_TENANT) {
        let tenant = TENANTS[(seed / WITHOUT_TENANT) as usize % 2].to_owned();
        compare_without_tenant(seed, &Cuts { has_no_acts: true, tenant: Some(tenant), ..cuts })?;
    }
    if seed % UNDISTURBED == 1 {
        attempt(seed, &Cuts::all_that_disturbs(), None)?;
    }
    Ok(ending.totals)
}

/// Runs a seed, and where a tenant is cut compares with the seed that has it; where something does not hold, the trace
/// ends, if there is one.
pub fn attempt(seed: u64, cuts: &Cuts, trace: Option<&RefCell<Vec<String>>>) -> Result<Ending, Broken> {
    let ending = caught(cuts, || run(seed, cuts, trace))?;
    compare_without_tenant(seed, cuts)?;
    Ok(ending)
}

/// Runs something and catches what does not hold.
fn caught<T>(cuts: &Cuts, run: impl FnOnce() -> T) -> Result<T, Broken> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Broken::of_panic(cuts, panic))
}

/// Compares a seed with the one in which no tenant is cut (G7): where everything converges, and where no id comes in two message groups, between which there is no order.
fn compare_without_tenant(seed: u64, without_one: &Cuts) -> Result<(), Broken> {
    let Some(removed) = &without_one.tenant else { return Ok(()) };
    let with_all = Cuts { tenant: None, ..without_one.clone() };
    let scenario = Scenario::of(seed, &with_all);
    if scenario.regime != Regime::Budgeted || scenario.has_ids_in_two_groups() || !scenario.acts.is_empty() {
        return Ok(());
    }
    let all = caught(&with_all, || run(seed, &with_all, None))?.view();
    let without = caught(without_one, || run(seed, without_one, None))?.view();
    caught(without_one, || check_non_interference(all, &without, removed))
}

/// Leaves out what is not needed for the same clause to break.
pub fn shrink(seed: u64, broken: &Broken) -> Broken {
    let mut least = broken.clone();
    loop {
        let mut smaller =
            vec![Cuts { has_no_acts: true, ..least.cuts.clone() }, Cuts { has_no_outages: true, ..least.cuts.clone() }];
        let faults = Fault::VARIANTS.iter().copied().filter(|fault| !least.cuts.faults.contains(fault));
        let with_fault = |fault| Cuts { faults: [&least.cuts.faults[..], &[fault]].concat(), ..least.cuts.clone() };
        smaller.extend(faults.map(with_fault));
        let sends = Scenario::of(seed, &least.cuts).sends.into_iter();
        let with_send = |number| Cuts { sends: [&least.cuts.sends[..], &[number]].concat(), ..least.cuts.clone() };
        smaller.extend(sends.map(|send| with_send(send.number)));
        smaller.retain(|cuts| *cuts != least.cuts);
        let still_broken =
            smaller.into_iter().find_map(|cuts| attempt(seed, &cuts, None).err().filter(|other| other.is_like(&least)));
        match still_broken {
            Some(other) => least = other,
            None => return least,
        }
    }
}
