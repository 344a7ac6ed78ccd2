//! The pipeline under schedules of faults: a few thousand of them with every test run, `make simulation` for more.

use testkit::simulation::{Cuts, Fault, Scenario, attempt, check};

/// Seeds that find a bug which once was there, and what it was. Whoever changes what a seed draws looks for new ones,
/// with the planted bug of the same name.
const REGRESSIONS: &[(u64, &str)] = &[
    (7, "an equal event with another created_at was recorded twice in one batch"),
    (31_146, "a projector gave up its batch when others were faster at the alert windows five times in a row"),
];

const SCHEDULES: u64 = 2_000;

#[test]
fn the_contract_holds_under_two_thousand_schedules() {
    for seed in 0..SCHEDULES {
        if let Err(broken) = check(seed) {
            panic!("seed {seed} (cargo run -p testkit --bin simulate -- --seed {seed}): {}", broken.message);
        }
    }
}

#[test]
fn seeds_that_once_found_a_bug_hold() {
    for (seed, bug) in REGRESSIONS {
        if let Err(broken) = attempt(*seed, &Cuts::default(), None) {
            panic!("seed {seed}, once {bug}: {}", broken.message);
        }
    }
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
fn what_is_cut_from_a_seed_is_gone_and_the_rest_stays() {
    let all = Scenario::of(7, &Cuts::default());
    let cuts = Cuts { sends: [0, 2].into(), faults: Fault::ALL.into(), has_no_acts: true, ..Cuts::default() };
    let scenario = Scenario::of(7, &cuts);
    let numbers = |scenario: &Scenario| scenario.sends.iter().map(|send| send.number).collect::<Vec<_>>();
    assert_eq!(
        numbers(&scenario),
        numbers(&all).into_iter().filter(|number| ![0, 2].contains(number)).collect::<Vec<_>>()
    );
    assert_eq!(attempt(7, &cuts, None).map(|ending| ending.totals.faults).ok(), Some(0));
}
