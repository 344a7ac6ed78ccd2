//! Trying a seed, and making a failing one as small as it goes.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
};

use strum::VariantArray as _;

use super::{
    recipe::TENANTS,
    scenario::{Cuts, Regime, Scenario},
    world::{Ending, Totals, run},
};
use crate::ports::Fault;

/// One seed in so many is run twice, to see that it goes the same way.
const REPEATED: u64 = 64;
/// One in so many is run again without one of its tenants.
const WITHOUT_TENANT: u64 = 32;

/// A clause that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    pub cuts: Cuts,
    /// Names the clause.
    pub message: String,
}

impl Broken {
    /// The clause, or what there is instead of one.
    pub fn clause(&self) -> &str {
        let is_clause = |part: &&str| part.strip_prefix('G').is_some_and(|number| number.parse::<u8>().is_ok());
        self.message.split([':', ' ']).find(is_clause).unwrap_or(&self.message)
    }
}

/// Runs a seed, and now and then runs it again to compare.
pub fn check(seed: u64) -> Result<Totals, Broken> {
    let cuts = Cuts::default();
    let ending = attempt(seed, &cuts, None)?;
    if seed.is_multiple_of(REPEATED) && attempt(seed, &cuts, None)?.totals != ending.totals {
        return Err(Broken { cuts, message: "determinism: the same seed goes another way".to_owned() });
    }
    if seed.is_multiple_of(WITHOUT_TENANT) {
        let tenant = Some(TENANTS[(seed / WITHOUT_TENANT) as usize % 2]);
        check_non_interference(seed, &Cuts { has_no_acts: true, tenant, ..cuts })?;
    }
    Ok(ending.totals)
}

/// Runs a seed, and where a tenant is cut compares with the seed that has it; where something does not hold, the trace
/// ends, if there is one.
pub fn attempt(seed: u64, cuts: &Cuts, trace: Option<&RefCell<Vec<String>>>) -> Result<Ending, Broken> {
    let ending = caught(seed, cuts, trace)?;
    check_non_interference(seed, cuts)?;
    Ok(ending)
}

/// Runs a seed and catches what does not hold.
fn caught(seed: u64, cuts: &Cuts, trace: Option<&RefCell<Vec<String>>>) -> Result<Ending, Broken> {
    panic::catch_unwind(AssertUnwindSafe(|| run(seed, cuts, trace))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Broken { cuts: cuts.clone(), message: text.unwrap_or_else(|| "a panic without a word".to_owned()) }
    })
}

/// G7: the ledger says the same of a tenant whether the one that is cut is there or not.
///
/// Where everything converges, and where no id comes in two message groups, between which there is no order.
fn check_non_interference(seed: u64, without_one: &Cuts) -> Result<(), Broken> {
    let Some(removed) = without_one.tenant else { return Ok(()) };
    let with_all = Cuts { tenant: None, ..without_one.clone() };
    let scenario = Scenario::of(seed, &with_all);
    if scenario.regime != Regime::Budgeted || scenario.has_ids_in_two_groups() || !scenario.acts.is_empty() {
        return Ok(());
    }
    let (all, without) = (caught(seed, &with_all, None)?, caught(seed, without_one, None)?);
    let mut view = all.view();
    view.remove(removed);
    if view != without.view() {
        let message = format!("G7: without tenant {removed} the ledger says other things of the others");
        return Err(Broken { cuts: without_one.clone(), message });
    }
    Ok(())
}

/// Leaves out what is not needed for the same clause to break.
pub fn shrink(seed: u64, broken: &Broken) -> Broken {
    let mut least = broken.clone();
    loop {
        let mut smaller = Vec::new();
        smaller.push(Cuts { has_no_acts: true, ..least.cuts.clone() });
        smaller.push(Cuts { has_no_outages: true, ..least.cuts.clone() });
        for fault in Fault::VARIANTS {
            let mut cuts = least.cuts.clone();
            cuts.faults.insert(*fault);
            smaller.push(cuts);
        }
        for send in Scenario::of(seed, &least.cuts).sends {
            let mut cuts = least.cuts.clone();
            cuts.sends.insert(send.number);
            smaller.push(cuts);
        }
        smaller.retain(|cuts| *cuts != least.cuts);
        let still_broken = smaller
            .into_iter()
            .find_map(|cuts| attempt(seed, &cuts, None).err().filter(|other| other.clause() == least.clause()));
        match still_broken {
            Some(other) => least = other,
            None => return least,
        }
    }
}
