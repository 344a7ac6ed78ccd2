//! What happens seldom: records without a number, items edited by hand, clocks that were wrong, answers lost at the
//! worst moment, processes of another build.

use std::collections::BTreeMap;

use ledger::{
    Attribute, TenantId,
    alert::AlertMessage,
    item::whole_number,
    projection::{
        self, Projection, Verdict,
        keys::{ProjectionKey, VERSION},
        models::Models,
        update::{Action, Transaction, Update, Updated, Write},
    },
};
use projector::{Change, Input, Kept, Outcome, Record, Settings};
use testkit::ports::{Driver, Fault, Kind, ProjectorAws};

use crate::{
    NOW_MS, TIMEOUT_MS, WINDOW_MS,
    alerts::{announced, tick_for},
    appended, attempts, batch, batch_of, checkpoint, expected, has_pending, marks, new_driver, record, settings,
    unreadable,
};

const MINUTE_MS: u64 = 60_000;

fn edit(driver: &mut Driver<ProjectorAws>, key: ProjectionKey, actions: Vec<Action>) {
    let edit = Update { key, conditions: vec![], actions };
    assert_eq!(driver.aws.projections.update(edit), Ok(Updated::Done));
}

fn set(name: &str, value: Attribute) -> Action {
    Action::Set(name.to_owned(), value)
}

/// Each message that names a tenant: when it left, and how many entries it tells of.
fn messages_of(driver: &Driver<ProjectorAws>, tenant: &str) -> Vec<(u64, u64)> {
    let count = |(at_ms, message): &(u64, AlertMessage)| Some((*at_ms, *announced(message).get(tenant)?));
    driver.aws.alerts.iter().filter_map(count).collect()
}

fn nameless(change: Change) -> Record {
    Record { sequence: None, ..record(1, change) }
}

/// G4, G9: removals and unreadable records without a sequence number.
#[test]
fn a_removal_without_a_sequence_number_does_not_stop_its_shard() {
    let mut driver = new_driver();
    let report = driver.project(&settings(), batch(&[nameless(Change::UnexpectedRemove)]), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.work);
}

/// G9: an answer of "failed from 1" makes Lambda drop whatever stands before it.
#[test]
fn an_unreadable_record_without_a_sequence_number_is_not_dropped_when_its_commit_fails() {
    let mut driver = new_driver();
    driver.plan(Kind::Transact, .., Fault::Refused);
    let mut left = vec![Record { sequence: None, ..unreadable(1) }, appended(2, "a", Verdict::Ready)];
    for _ in 0..3 {
        match driver.project(&settings(), batch(&left), TIMEOUT_MS).unwrap().outcome {
            Outcome::Done => break,
            Outcome::Failed => {}
            // As Lambda does: its place in the stream is before the number.
            Outcome::FailedFrom(from) => left.retain(|record| record.sequence.as_ref().is_some_and(|at| *at >= from)),
        }
        driver.heal();
    }
    assert_eq!(checkpoint(&driver).as_deref(), Some("2"));
    assert_eq!(marks(&driver).len(), 2);
}

/// G12.
#[test]
fn a_checkpoint_that_somebody_has_edited_does_not_make_the_projector_call_without_pause() {
    let mut driver = new_driver();
    edit(&mut driver, ProjectionKey::checkpoint("shardId-1"), vec![set("sequence_number", whole_number(7))]);
    driver.project(&settings(), batch(&[appended(8, "a", Verdict::Ready)]), TIMEOUT_MS);
    assert!(attempts(&driver) < 250, "{} transactions in one invocation", attempts(&driver));
}

/// G10: a clock that was an hour ahead once.
#[test]
fn a_window_that_began_in_the_future_keeps_nobody_from_being_named() {
    let mut driver = new_driver();
    driver.now_ms += 86_400_000;
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    assert_eq!(messages_of(&driver, "a").len(), 1);
    // The clock is right again.
    driver.now_ms = NOW_MS;
    driver.aws.kept = Kept::default();
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Invalid)]), TIMEOUT_MS);
    tick_for(&mut driver, 7);
    assert_eq!(messages_of(&driver, "a").len(), 2);
}

#[test]
fn a_lease_of_an_instance_whose_clock_was_ahead_ends() {
    let mut driver = new_driver();
    driver.now_ms += 86_400_000;
    driver.plan(Kind::Publish, .., Fault::CrashBefore);
    assert!(driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS).is_none());
    driver.heal();
    driver.now_ms = NOW_MS;
    driver.project(&settings(), batch(&[appended(2, "b", Verdict::Invalid)]), TIMEOUT_MS);
    tick_for(&mut driver, 7);
    assert_eq!(messages_of(&driver, "b").len(), 1);
}

/// G10: SNS takes everything; one answer of DynamoDB to the taking of the lease is lost.
#[test]
fn a_lost_answer_to_the_lease_delays_nobody_beyond_a_window_and_two_minutes() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.now_ms += 5_000;
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Invalid)]), TIMEOUT_MS);
    let counted_ms = driver.now_ms;
    assert_eq!(messages_of(&driver, "a").len(), 1);
    driver.plan(Kind::Update, 1..=1, Fault::AnswerLost);
    tick_for(&mut driver, 15);
    let messages = messages_of(&driver, "a");
    let after_ms = messages[1].0 - counted_ms;
    assert!(after_ms <= WINDOW_MS + 2 * MINUTE_MS, "after {after_ms} ms");
}

/// G10: what is announced is named twice "only after a crash or a lost answer". Nothing crashes here, and every answer
/// arrives: one tenant's item is being changed by counting transactions, again and again.
#[test]
fn one_busy_tenant_makes_no_other_of_its_digest_be_announced_twice() {
    let mut driver = new_driver();
    let all: Vec<Record> =
        (0..120).map(|number| appended(number + 1, &format!("tenant-{number:03}"), Verdict::Invalid)).collect();
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&all), TIMEOUT_MS);
    driver.heal();
    driver.now_ms += WINDOW_MS;
    let busy = TenantId::parse("tenant-077").unwrap();
    let rival = Update {
        key: ProjectionKey::pending(&busy),
        conditions: vec![],
        actions: vec![Action::Add(VERSION.to_owned(), 1)],
    };
    let rival = Transaction { writes: vec![Write::Update(rival)], token: "rival".to_owned() };
    assert!(driver.aws.projections.begin(1, &rival));
    driver.tick(&settings(), TIMEOUT_MS);
    driver.aws.projections.end(1);
    tick_for(&mut driver, 7);
    let twice: Vec<String> = (0..120)
        .map(|number| format!("tenant-{number:03}"))
        .filter(|tenant| *tenant != "tenant-077" && messages_of(&driver, tenant).len() > 1)
        .collect();
    assert!(twice.is_empty(), "{} tenants are announced twice", twice.len());
}

/// G10: DynamoDB throttles for a second after SNS took the message.
#[test]
fn an_alert_that_left_is_not_announced_again_because_the_table_was_throttled_for_a_second() {
    let mut driver = new_driver();
    driver.plan(Kind::Transact, 2..=8, Fault::Refused);
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.heal();
    tick_for(&mut driver, 12);
    assert_eq!(messages_of(&driver, "a").iter().map(|(_, entries)| entries).sum::<u64>(), 1);
}

/// G10: all partitions are read in every tick, or in turn.
#[test]
fn on_a_slow_table_the_last_partitions_are_read_too() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    let all: Vec<Record> =
        (0..200).map(|number| appended(number + 1, &format!("tenant-{number:03}"), Verdict::Invalid)).collect();
    driver.project(&settings(), batch(&all), TIMEOUT_MS);
    driver.heal();
    driver.now_ms += WINDOW_MS;
    driver.call_ms = 500;
    tick_for(&mut driver, 60);
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for (tenant, _) in driver.aws.alerts.iter().flat_map(|(_, message)| announced(message)) {
        *named.entry(tenant).or_default() += 1;
    }
    assert_eq!(named.len(), 200, "tenants named within an hour");
}

/// A straggler of the deployment before starts once more, after the processes of this one have stored their list.
#[test]
fn a_straggler_of_another_build_does_not_change_the_list_for_good() {
    let mut driver = new_driver();
    let older = || Settings { models: &projection::ALL[..1], ..settings() };
    driver.project(&older(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    let mut of_older = std::mem::take(&mut driver.aws.kept);
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Ready)]), TIMEOUT_MS);
    // The straggler is a process of its own.
    std::mem::swap(&mut driver.aws.kept, &mut of_older);
    driver.aws.kept = Kept::default();
    driver.project(&older(), batch(&[appended(3, "a", Verdict::Ready)]), TIMEOUT_MS);
    driver.aws.kept = of_older;
    for day in 0..3 {
        driver.now_ms += 86_400_000;
        driver.project(&settings(), batch(&[appended(4 + day, "a", Verdict::Invalid)]), TIMEOUT_MS);
    }
    let models = Models::from_item(&driver.aws.projections.items()[&ProjectionKey::models()]);
    assert_eq!(models.all().len(), 2, "both models are counted, and listed are {:?}", models.all());
}

/// The same the other way round: a model that nobody counts any more is listed as whole.
#[test]
fn a_straggler_does_not_list_a_model_that_nobody_counts() {
    let mut driver = new_driver();
    let newer = || Settings { models: &projection::ALL[..1], ..settings() };
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    driver.aws.kept = Kept::default();
    driver.project(&newer(), batch(&[appended(2, "a", Verdict::Ready)]), TIMEOUT_MS);
    let of_newer = std::mem::take(&mut driver.aws.kept);
    driver.project(&settings(), batch(&[appended(3, "a", Verdict::Ready)]), TIMEOUT_MS);
    driver.aws.kept = of_newer;
    for day in 0..3 {
        driver.now_ms += 86_400_000;
        let entry = testkit::bodies::summary("a", 4 + day, Verdict::Invalid, driver.now_ms);
        driver.project(&newer(), batch(&[record(4 + day, Change::Appended(entry))]), TIMEOUT_MS);
    }
    let models = Models::from_item(&driver.aws.projections.items()[&ProjectionKey::models()]);
    assert!(!models.is_built("causes@1", "2026-01-17"), "nobody counts causes, and listed are {:?}", models.all());
}

/// An item of the alerts pending whose `version` is no number: each note is refused, nobody reads it, nothing deletes it.
#[test]
fn an_alert_pending_that_somebody_has_edited_mutes_its_tenant_for_no_longer_than_a_window() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.heal();
    let key = ProjectionKey::pending(&TenantId::parse("a").unwrap());
    edit(&mut driver, key, vec![set(VERSION, Attribute::S("x".to_owned()))]);
    tick_for(&mut driver, 7);
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Invalid)]), TIMEOUT_MS);
    tick_for(&mut driver, 7);
    assert!(!messages_of(&driver, "a").is_empty());
}

/// The same where only `first` is gone: the message leaves again in every window, for ever.
#[test]
fn an_alert_pending_without_its_first_key_is_not_announced_in_every_window() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.heal();
    let key = ProjectionKey::pending(&TenantId::parse("a").unwrap());
    edit(&mut driver, key, vec![Action::Remove("first".to_owned())]);
    tick_for(&mut driver, 60);
    assert!(messages_of(&driver, "a").len() <= 2, "{} messages in an hour", messages_of(&driver, "a").len());
}

#[test]
fn a_notifiers_item_that_somebody_has_edited_ends_no_alerts() {
    let mut driver = new_driver();
    edit(&mut driver, ProjectionKey::notifier(), vec![set(VERSION, Attribute::S("x".to_owned()))]);
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    tick_for(&mut driver, 7);
    assert_eq!(messages_of(&driver, "a").len(), 1);
}

/// Several batches of one tenant, INVALID in every one: with a zombie, in any interleaving, nothing is announced twice
/// and nothing is left.
#[test]
fn counts_and_announcements_agree_whatever_answers_are_lost() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = new_driver();
        let mut all = Vec::new();
        let mut pending_batch: Vec<Record> = Vec::new();
        let mut next = 1;
        for _ in 0..12 {
            for _ in 0..random.u64(0..8) {
                let verdict = if random.bool() { Verdict::Invalid } else { Verdict::Ready };
                pending_batch.push(appended(next, &format!("t{}", random.u8(..3)), verdict));
                next += 1;
            }
            driver.heal();
            for _ in 0..random.usize(0..3) {
                let faults = [Fault::AnswerLost, Fault::Refused, Fault::CrashAfter, Fault::CrashBefore];
                let fault = faults[random.usize(..4)];
                let number = random.usize(1..4);
                driver.plan(Kind::Transact, number..=number, fault);
            }
            let cut = if pending_batch.is_empty() { 0 } else { random.usize(1..=pending_batch.len()) };
            match driver.project(&settings(), batch(&pending_batch[..cut]), TIMEOUT_MS) {
                Some(report) if report.outcome == Outcome::Done => all.extend(pending_batch.drain(..cut)),
                _ => {}
            }
            driver.now_ms += 30_000;
        }
        driver.heal();
        driver.project(&settings(), batch(&pending_batch), TIMEOUT_MS);
        all.extend(pending_batch);
        assert_eq!(driver.sums(), expected(&all), "seed {seed}");
        tick_for(&mut driver, 15);
        assert!(!has_pending(&driver), "seed {seed}");
    }
}

/// Whatever answers are lost and whoever crashes: what is counted is announced at least once, and nothing stays.
#[test]
fn what_is_counted_is_announced_whatever_goes_wrong_with_sns_and_the_table() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = new_driver();
        let mut next = [1, 1];
        let mut all = Vec::new();
        for _ in 0..8 {
            driver.heal();
            for _ in 0..random.usize(0..3) {
                let faults = [Fault::AnswerLost, Fault::Refused, Fault::CrashAfter, Fault::CrashBefore];
                let kinds = [Kind::Publish, Kind::Update, Kind::Transact, Kind::Query, Kind::ReadProjections];
                let (fault, kind) = (faults[random.usize(..4)], kinds[random.usize(..5)]);
                let number = random.usize(1..4);
                driver.plan(kind, number..=number, fault);
            }
            let mut inputs = vec![Input::Tick];
            for (shard, next) in next.iter_mut().enumerate() {
                let count = random.u64(1..6);
                let records: Vec<Record> = (0..count)
                    .map(|number| {
                        let id = *next + number;
                        let entry = testkit::bodies::summary(
                            &format!("t{}", random.u8(..4)),
                            id * 2 + shard as u64,
                            Verdict::Invalid,
                            NOW_MS + id,
                        );
                        record(id, Change::Appended(entry))
                    })
                    .collect();
                *next += count;
                all.extend(records.iter().cloned());
                inputs.push(Input::Batch(batch_of(&format!("s{shard}"), &records)));
            }
            let again = inputs.iter().skip(1).map(|input| match input {
                Input::Batch(batch) => batch.clone(),
                _ => unreachable!(),
            });
            let again: Vec<_> = again.collect();
            let turns: Vec<usize> = (0..150).map(|_| random.usize(..3)).collect();
            driver.invoke_all(&settings(), inputs, 10 * TIMEOUT_MS, &turns, |_, _| {});
            driver.heal();
            for batch in again {
                driver.aws.kept = Kept::default();
                driver.project(&settings(), batch, TIMEOUT_MS);
            }
            driver.now_ms += random.u64(0..400_000);
        }
        assert_eq!(driver.sums(), expected(&all), "seed {seed}");
        driver.aws.kept = Kept::default();
        tick_for(&mut driver, 25);
        assert!(!has_pending(&driver), "seed {seed}");
        for tenant in ["t0", "t1", "t2", "t3"] {
            let told: u64 = messages_of(&driver, tenant).iter().map(|(_, entries)| entries).sum();
            let of_tenant = |record: &&Record| matches!(&record.change, Change::Appended(entry) if entry.key.tenant_id.as_str() == tenant);
            let counted = all.iter().filter(of_tenant).count() as u64;
            assert!(told >= counted, "seed {seed}: {tenant} {told} of {counted}");
        }
    }
}

/// Whatever items DynamoDB refuses: each item is exact, or its day is marked, and the shard goes on.
#[test]
fn what_is_not_counted_is_marked_whatever_items_are_refused() {
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = new_driver();
        let records: Vec<Record> = (1..random.u64(2..160))
            .map(|number| {
                let verdict = if random.bool() { Verdict::Ready } else { Verdict::Invalid };
                let tenant = format!("t{}", random.u8(..60));
                let entry = testkit::bodies::summary(&tenant, number, verdict, NOW_MS - random.u64(..200_000_000));
                record(number, Change::Appended(entry))
            })
            .collect();
        let all = expected(&records);
        let refused: Vec<_> = all.items.keys().filter(|_| random.u8(..6) == 0).cloned().collect();
        driver.aws.projections.refused_keys.extend(refused.iter().map(|key| key.key()));
        for _ in 0..random.usize(0..3) {
            let number = random.usize(1..6);
            driver.plan(Kind::Transact, number..=number, Fault::RefusedAsContent);
        }
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done, "seed {seed}");
        let sums = driver.sums();
        let marked = marks(&driver);
        for (key, sum) in &all.items {
            let is_marked = marked
                .iter()
                .any(|(model, day, _)| *model == key.model && *day == format!("{}#{}", key.tenant_id, key.day));
            // A record of a request that was refused as a whole may be left out of a model too.
            assert!(is_marked || !refused.contains(key), "seed {seed}: {key:?}");
            if !is_marked {
                assert_eq!(sums.items.get(key), Some(sum), "seed {seed}: {key:?}");
            }
        }
    }
}

/// G10: DynamoDB refuses the query of one partition of the alerts pending, tick after tick.
#[test]
fn a_partition_that_cannot_be_read_keeps_the_tenants_of_no_other_from_being_named() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    let all: Vec<Record> =
        (0..100).map(|number| appended(number + 1, &format!("tenant-{number:03}"), Verdict::Invalid)).collect();
    driver.project(&settings(), batch(&all), TIMEOUT_MS);
    driver.now_ms += WINDOW_MS;
    for _ in 0..30 {
        driver.heal();
        // Nine are read, and the tenth is refused however often it is asked for.
        driver.plan(Kind::Query, 10..=14, Fault::Refused);
        tick_for(&mut driver, 1);
    }
    assert!(!driver.aws.alerts.is_empty(), "no tenant of 64 partitions is named in half an hour");
}

const CARELESS: Projection = Projection {
    name: "careless",
    version: 1,
    fold: |fact, changes| {
        let name = if fact.entry().key.event_id() == "event-2" { "" } else { "entries" };
        changes.add("", name, fact.change_of(Verdict::Ready));
    },
};
const WITH_CARELESS: &[Projection] = &[projection::ALL[0], projection::ALL[1], CARELESS];

/// G9: two invocations with the same batch, of which each narrows it down to the record at fault.
#[test]
fn what_is_left_out_of_a_record_that_another_invocation_commits_is_left_out_of_no_other_record() {
    let with_careless = Settings { models: WITH_CARELESS, ..settings() };
    let records: Vec<Record> = (1..=4).map(|number| appended(number, &format!("t{number}"), Verdict::Ready)).collect();
    let mut wrong = Vec::new();
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = new_driver();
        let turns: Vec<usize> = (0..80).map(|_| random.usize(..2)).collect();
        let inputs = vec![Input::Batch(batch(&records)), Input::Batch(batch(&records))];
        driver.invoke_all(&with_careless, inputs, TIMEOUT_MS, &turns, |_, _| {});
        if marks(&driver) != [("careless@1".to_owned(), "t2#2026-01-15".to_owned(), 1)] {
            wrong.push((seed, marks(&driver)));
        }
    }
    assert!(wrong.is_empty(), "{} of 500: {:?}", wrong.len(), wrong[0]);
}

#[test]
fn an_item_that_is_refused_once_is_left_out_of_what_was_refused_alone() {
    let mut wrong = Vec::new();
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = new_driver();
        let records: Vec<Record> =
            (1..=150).map(|number| appended(number, &format!("t{}", number % 70), Verdict::Ready)).collect();
        let key = counts_of("t3");
        let turns: Vec<usize> = (0..80).map(|_| random.usize(..2)).collect();
        let inputs = vec![Input::Batch(batch(&records)), Input::Batch(batch(&records))];
        // Somebody's edit, mended while both run.
        driver.aws.projections.refused_keys.insert(key.clone());
        let mut calls = 0;
        let mended = random.usize(1..8);
        driver.invoke_all(&settings(), inputs, TIMEOUT_MS, &turns, |projections, _| {
            calls += 1;
            if calls == mended {
                projections.refused_keys.clear();
            }
        });
        // Every record is counted or marked, never both and never neither.
        let counted = driver
            .sums()
            .items
            .iter()
            .filter(|(at, _)| at.key() == key)
            .map(|(_, sums)| sums["READY#user.created"])
            .sum::<i64>();
        let marked: u64 = marks(&driver).iter().map(|(_, _, records)| records).sum();
        if counted + marked as i64 != 3 {
            wrong.push((seed, counted, marked));
        }
    }
    assert!(wrong.is_empty(), "{} of 500: {:?}", wrong.len(), wrong[0]);
}

fn counts_of(tenant: &str) -> ProjectionKey {
    ledger::projection::keys::ModelKey {
        tenant_id: TenantId::parse(tenant).unwrap(),
        model: "counts@1".to_owned(),
        day: "2026-01-15".to_owned(),
        suffix: String::new(),
    }
    .key()
}

/// A table that was made anew while the process lives: `local` after a reset, and a table that was replaced.
#[test]
fn a_table_that_was_made_anew_has_a_list_of_models_again() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    driver.aws.projections = Default::default();
    for number in 2..6 {
        driver.now_ms += 3_600_000;
        driver.project(&settings(), batch(&[appended(number, "a", Verdict::Ready)]), TIMEOUT_MS);
    }
    assert!(driver.aws.projections.get(&ProjectionKey::models()).is_some());
}

/// A checkpoint that somebody has set back by hand, as the stream writes its number: "9" is greater than forty digits.
#[test]
fn a_checkpoint_written_without_zeros_passes_over_no_record_in_silence() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    let written = set("sequence_number", Attribute::S("9".to_owned()));
    edit(&mut driver, ProjectionKey::checkpoint("shardId-1"), vec![written]);
    let records = [appended(10, "a", Verdict::Ready), appended(11, "a", Verdict::Ready)];
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    let counted: i64 = driver.sums().items.values().filter_map(|sums| sums.get("READY#user.created")).sum();
    assert!(report.outcome != Outcome::Done || counted == 3, "{:?} with {counted} of 3 counted", report.outcome);
}
