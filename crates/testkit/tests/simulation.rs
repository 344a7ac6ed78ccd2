//! The pipeline under schedules of faults: a few thousand of them with every test run, `make simulation` for more.

use std::collections::BTreeSet;

use ledger::{FailureClass, entry::RAW_BYTES_MAX};
use strum::VariantArray as _;
use testkit::{
    ports::Fault,
    simulation::{Act, Cuts, Failing, Refused, Scenario, Totals, attempt, check},
};

/// Seeds that find a bug which once was there, and the planted bug that brings it back. Whoever changes what a seed draws
/// looks for new ones with it.
const REGRESSIONS: &[(u64, &str)] = &[(0, "record an equal twin under its own key")];

const SCHEDULES: u64 = 2_000;

#[test]
fn the_contract_holds_under_two_thousand_schedules() {
    for seed in 0..SCHEDULES {
        if let Err(broken) = check(seed) {
            panic!("seed {seed} (cargo run -p testkit --bin simulate -- --seed {seed}): {broken}");
        }
    }
}

#[test]
fn seeds_that_once_found_a_bug_hold() {
    for (seed, bug) in REGRESSIONS {
        if let Err(broken) = attempt(*seed, &Cuts::default(), None) {
            panic!("seed {seed}, once broken by \"{bug}\": {broken}");
        }
    }
}

/// The schedules check it; here is that there are some with messages enough to meet their bound, with shards that meet
/// in one item, and with calls that fail.
#[test]
fn whatever_fails_counts_are_exact_and_bounded_messages_name_every_tenant_with_an_invalid_entry() {
    let mut totals = Totals::default();
    for seed in 0..SCHEDULES {
        let ending = attempt(seed, &Cuts::default(), None).unwrap_or_else(|broken| panic!("{broken}"));
        totals.add(&ending.totals);
    }
    assert!(totals.alerts > 2 * SCHEDULES && totals.digests > 20, "{totals:?}");
    assert!(totals.ticks > SCHEDULES && totals.conflicts > 50, "{totals:?}");
}

#[test]
fn undisturbed_nothing_is_told_or_measured_twice() {
    let mut digests = 0;
    for seed in 0..SCHEDULES / 2 {
        match attempt(seed, &Cuts::all_that_disturbs(), None) {
            Ok(ending) => {
                assert_eq!(ending.totals.faults, 0, "seed {seed}");
                digests += ending.totals.digests;
            }
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    assert!(digests > 20, "{digests}");
}

/// A schedule in which nothing happens proves nothing.
#[test]
fn every_schedule_has_messages_of_two_tenants_and_a_fault() {
    for seed in 0..SCHEDULES {
        let scenario = Scenario::of(seed, &Cuts::default());
        assert!((5..=40).contains(&scenario.sends.len()), "seed {seed}");
        let first = scenario.sends[0].recipe.owner();
        assert!(scenario.sends.iter().any(|send| send.recipe.owner() != first), "seed {seed}");
        let ending = attempt(seed, &Cuts::default(), None);
        assert!(ending.is_ok_and(|ending| ending.totals.faults > 0), "seed {seed}");
    }
}

#[test]
fn schedules_hold_every_class_of_failure_of_types_with_and_without_a_schema() {
    let mut drawn = BTreeSet::new();
    for seed in 0..10 * SCHEDULES {
        let scenario = Scenario::of(seed, &Cuts::default());
        drawn.extend(scenario.sends.iter().map(|send| (send.recipe.failure(), send.recipe.has_schema)));
    }
    for class in FailureClass::all() {
        let kinds: &[bool] = match class {
            // What conflicts is other content under a used id, of any kind: no body is one by itself.
            FailureClass::Conflict => &[],
            FailureClass::UnknownEventType => &[false],
            FailureClass::SchemaViolation => &[true],
            _ => &[true, false],
        };
        for &has_schema in kinds {
            assert!(drawn.contains(&(Some(class), has_schema)), "{class:?}, with a schema: {has_schema}");
        }
    }
    assert!(drawn.contains(&(None, true)));
}

#[test]
fn in_some_schedules_a_batch_of_bodies_takes_longer_than_an_invocation_and_one_body_never_does() {
    let mut overlong = 0;
    for seed in 0..5 * SCHEDULES {
        let scenario = Scenario::of(seed, &Cuts::default());
        let bytes = scenario.sends.iter().map(|send| send.recipe.body().len());
        let seconds = |bytes: usize| bytes as u64 * scenario.ns_per_byte / 1_000_000_000;
        assert!(bytes.clone().max().is_some_and(|most| most <= RAW_BYTES_MAX && seconds(most) <= 5), "seed {seed}");
        overlong += usize::from(seconds(bytes.sum()) > 15);
    }
    assert!(overlong > 50, "{overlong}");
}

#[test]
fn rows_are_deleted_by_hand_and_by_ttl_and_written_by_others() {
    let acts = (0..SCHEDULES).flat_map(|seed| Scenario::of(seed, &Cuts::default()).acts);
    let acts: Vec<Act> = acts.map(|(_, act)| act).collect();
    for act in [Act::Delete, Act::Sweep, Act::PutAlien, Act::PutOlder] {
        assert!(acts.contains(&act), "{act:?}");
    }
}

#[test]
fn schedules_hold_all_that_the_projector_meets() {
    let scenarios: Vec<Scenario> = (0..5 * SCHEDULES).map(|seed| Scenario::of(seed, &Cuts::default())).collect();
    let count = |is_met: &dyn Fn(&Scenario) -> bool| scenarios.iter().filter(|scenario| is_met(scenario)).count();
    let deploys = |scenario: &Scenario| scenario.acts.iter().filter(|(_, act)| *act == Act::Deploy).count();
    let is_out =
        |failing: Failing| move |scenario: &Scenario| scenario.outages.iter().any(|outage| outage.of == failing);
    let has_refused = |scenario: &Scenario, is_it: fn(&Refused) -> bool| scenario.refused.as_ref().is_some_and(is_it);
    for (what, times) in [
        ("a tenant in two shards", count(&|scenario| scenario.hot_tenant.is_some())),
        ("clocks that differ", count(&|scenario| scenario.clock_offset_ms_max > 0)),
        ("a model that comes", count(&|scenario| scenario.brings_a_model() && deploys(scenario) > 0)),
        ("a model that goes again", count(&|scenario| scenario.brings_a_model() && deploys(scenario) > 1)),
        ("an item that is refused", count(&|scenario| has_refused(scenario, |it| matches!(it, Refused::Item { .. })))),
        ("a request that is", count(&|scenario| has_refused(scenario, |it| matches!(it, Refused::Request { .. })))),
        ("a note that is", count(&|scenario| has_refused(scenario, |it| matches!(it, Refused::Pending { .. })))),
        ("SNS that refuses", count(&is_out(Failing::Sns { is_hanging: false }))),
        ("SNS that hangs", count(&is_out(Failing::Sns { is_hanging: true }))),
        ("SNS for good", count(&|scenario| scenario.outages.iter().any(|outage| outage.until_ms == u64::MAX))),
        ("CloudWatch that refuses", count(&is_out(Failing::CloudWatch { is_hanging: false }))),
        ("CloudWatch that hangs", count(&is_out(Failing::CloudWatch { is_hanging: true }))),
    ] {
        assert!(times > 50, "{what}: {times}");
    }
}

#[test]
fn what_is_cut_from_a_seed_is_gone_and_the_rest_stays() {
    let all = Scenario::of(7, &Cuts::default());
    let cuts = Cuts { sends: vec![0, 2], faults: Fault::VARIANTS.to_vec(), has_no_acts: true, ..Cuts::default() };
    let scenario = Scenario::of(7, &cuts);
    let numbers = |scenario: &Scenario| scenario.sends.iter().map(|send| send.number).collect::<Vec<_>>();
    assert_eq!(
        numbers(&scenario),
        numbers(&all).into_iter().filter(|number| ![0, 2].contains(number)).collect::<Vec<_>>()
    );
    assert_eq!(attempt(7, &cuts, None).map(|ending| ending.totals.faults).ok(), Some(0));
}
