//! The projections table, case by case.

use ledger::{
    Attribute, Item, TenantId,
    item::{ITEM_BYTES_MAX, item_bytes, whole_number},
    ports::{Found, Projections, Refusal},
    projection::{
        keys::{DayKey, ProjectionKey},
        update::{Action, Cancellation, Condition, Expressions, Transacted, Update, Updated},
    },
};

use super::cases;

pub const BUDGET_MS: u64 = 10_000;

pub fn key(name: &str) -> ProjectionKey {
    ProjectionKey::day(&DayKey { tenant_id: TenantId::parse(name).expect("a tenant"), day: "2026-01-15".to_owned() })
}

pub fn update(name: &str, conditions: Vec<Condition>, actions: Vec<Action>) -> Update {
    Update { key: key(name), conditions, actions }
}

pub fn add(name: &str, number: i64) -> Action {
    Action::Add(name.to_owned(), number)
}

fn set(name: &str, number: u64) -> Action {
    Action::Set(name.to_owned(), whole_number(number))
}

fn item(name: &str, numbers: &[(&str, i64)]) -> Item {
    let mut item = key(name).to_item();
    item.extend(numbers.iter().map(|(name, number)| ((*name).to_owned(), Attribute::N(number.to_string()))));
    item
}

async fn read(projections: &impl Projections, name: &str) -> Found {
    projections.read(vec![key(name)], BUDGET_MS).await.expect("it is read").remove(0)
}

cases! {
    $ for_each_projections_case, subject: Projections => subject;

    async fn numbers_are_added_set_and_kept(projections) {
        let first = vec![add("READY#user.created", 2), set("last", 7), add("bytes", -3)];
        assert_eq!(projections.update(update("a", vec![], first), BUDGET_MS).await, Ok(Updated::Done));
        let kept = Action::SetIfAbsent("last".to_owned(), whole_number(1));
        let absent = Action::SetIfAbsent("first".to_owned(), whole_number(1));
        let then = vec![add("READY#user.created", -5), kept, absent];
        assert_eq!(projections.update(update("a", vec![], then), BUDGET_MS).await, Ok(Updated::Done));
        let expected = item("a", &[("READY#user.created", -3), ("last", 7), ("bytes", -3), ("first", 1)]);
        assert_eq!(read(projections, "a").await, Found::Item(expected));
    }

    async fn a_failed_condition_brings_the_item_as_it_is(projections) {
        let n = "n".to_owned();
        let on_nothing = [
            (Condition::Absent(n.clone()), true),
            (Condition::AbsentOrAtMost(n.clone(), 0), true),
            (Condition::AtLeast(n.clone(), 0), false),
            (Condition::Equals(n.clone(), whole_number(5)), false),
        ];
        for (number, (condition, holds)) in on_nothing.into_iter().enumerate() {
            let answer =
                projections.update(update(&format!("a-{number}"), vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let expected = if holds { Updated::Done } else { Updated::ConditionFailed(None) };
            assert_eq!(answer.await, Ok(expected), "condition {number}");
        }
        for (number, (condition, holds)) in [
            (Condition::Absent(n.clone()), false),
            (Condition::AbsentOrAtMost(n.clone(), 4), false),
            (Condition::AbsentOrAtMost(n.clone(), 5), true),
            (Condition::AtLeast(n.clone(), 5), true),
            (Condition::AtLeast(n.clone(), 6), false),
            (Condition::Equals(n.clone(), whole_number(5)), true),
            (Condition::Equals(n.clone(), Attribute::S("5".to_owned())), false),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = projections.update(update("a-0", vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let stored = Updated::ConditionFailed(Some(item("a-0", &[("n", 5)])));
            assert_eq!(answer.await, Ok(if holds { Updated::Done } else { stored }), "condition {number}");
        }
    }

    async fn a_transaction_is_whole_or_not_and_says_why_in_order(projections) {
        let absent = |name: &str| update(name, vec![Condition::Absent("n".to_owned())], vec![set("n", 1)]);
        let done = projections.transact(vec![absent("a"), absent("b")], BUDGET_MS).await;
        assert_eq!(done, Ok(Transacted::Done));
        let with_other = update("d", vec![Condition::AtLeast("n".to_owned(), 1)], vec![set("n", 2)]);
        let cancelled = projections
            .transact(vec![absent("c"), absent("b"), with_other, update("a", vec![], vec![add("n", 1)])], BUDGET_MS);
        let reasons = vec![
            Cancellation::None,
            Cancellation::ConditionFailed(Some(item("b", &[("n", 1)]))),
            Cancellation::ConditionFailed(None),
            Cancellation::None,
        ];
        assert_eq!(cancelled.await, Ok(Transacted::Cancelled(reasons)));
        assert_eq!(read(projections, "c").await, Found::Absent);
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 1)])));
    }

    async fn a_hundred_updates_are_one_transaction(projections) {
        let updates = (0..100).map(|number| update(&format!("t{number}"), vec![], vec![add("n", number)])).collect();
        assert_eq!(projections.transact(updates, BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(read(projections, "t99").await, Found::Item(item("t99", &[("n", 99)])));
    }

    async fn an_item_is_refused_from_one_byte_more_than_400_kilobytes(projections) {
        let key_bytes = item_bytes(&key("a").to_item());
        let text = |bytes: usize| Action::Set("t".to_owned(), Attribute::S("x".repeat(bytes - "t".len() - key_bytes)));
        let full = || update("a", vec![], vec![text(ITEM_BYTES_MAX)]);
        let overfull = update("b", vec![], vec![text(ITEM_BYTES_MAX + 1)]);
        assert_eq!(projections.update(full(), BUDGET_MS).await, Ok(Updated::Done));
        assert_eq!(projections.update(overfull.clone(), BUDGET_MS).await, Err(Refusal::Content));
        // An update that makes an item grow beyond it, too.
        let growing = || update("a", vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(growing(), BUDGET_MS).await, Err(Refusal::Content));
        let cancelled =
            projections.transact(vec![update("c", vec![], vec![add("n", 1)]), growing(), overfull], BUDGET_MS);
        let reasons = vec![Cancellation::None, Cancellation::Content, Cancellation::Content];
        assert_eq!(cancelled.await, Ok(Transacted::Cancelled(reasons)));
        for absent in ["b", "c"] {
            assert_eq!(read(projections, absent).await, Found::Absent);
        }
        let Found::Item(stored) = read(projections, "a").await else { panic!("it was stored") };
        assert!(!stored.contains_key("n"));
        assert_eq!(projections.transact(vec![full()], BUDGET_MS).await, Ok(Transacted::Done));
    }

    async fn an_expression_is_refused_from_one_byte_more_than_four_kilobytes(projections) {
        let of = |parts: usize, sets: usize| {
            let name = |number: usize| number.to_string();
            let action = |number| if number < sets { set(&name(number), 1) } else { add(&name(number), 1) };
            update("a", vec![], (0..parts).map(action).collect())
        };
        for (update, bytes, is_refused) in [(of(331, 4), 4_096, false), (of(330, 11), 4_097, true)] {
            assert_eq!(Expressions::of(&update).update.len(), bytes);
            let answer = projections.update(update.clone(), BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Updated::Done) });
            let answer = projections.transact(vec![update], BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) });
        }
        for (count, bytes, is_refused) in [(131, 4_077, false), (132, 4_109, true)] {
            let conditions = (0..count).map(|number| Condition::Absent(number.to_string())).collect();
            let update = update("b", conditions, vec![add("n", 1)]);
            assert_eq!(Expressions::of(&update).condition.len(), bytes);
            let answer = projections.update(update, BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Updated::Done) });
        }
    }

    async fn a_key_is_refused_from_one_byte_more_than_dynamodb_takes(projections) {
        let key =
            |pk_bytes: usize, sk_bytes: usize| ProjectionKey { pk: "p".repeat(pk_bytes), sk: "s".repeat(sk_bytes) };
        let of = |key: ProjectionKey| Update { key, conditions: vec![], actions: vec![add("n", 1)] };
        assert_eq!(projections.update(of(key(2_048, 1_024)), BUDGET_MS).await, Ok(Updated::Done));
        assert!(matches!(projections.read(vec![key(2_048, 1_024)], BUDGET_MS).await.expect("it is read")[..], [Found::Item(_)]));
        for refused in [key(2_049, 1), key(1, 1_025)] {
            assert_eq!(projections.update(of(refused.clone()), BUDGET_MS).await, Err(Refusal::Content));
            let answer = projections.transact(vec![of(key(1, 1)), of(refused.clone())], BUDGET_MS).await;
            assert_eq!(answer, Ok(Transacted::Cancelled(vec![Cancellation::None, Cancellation::Content])));
            assert_eq!(projections.read(vec![refused], BUDGET_MS).await, Err(Refusal::Content));
        }
    }

    async fn an_addition_to_a_text_and_two_updates_of_one_item_are_refused(projections) {
        let text = Action::Set("n".to_owned(), Attribute::S("text".to_owned()));
        assert_eq!(projections.update(update("b", vec![], vec![text]), BUDGET_MS).await, Ok(Updated::Done));
        let one = |name: &str| update(name, vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(one("b"), BUDGET_MS).await, Err(Refusal::Content));
        let cancelled = projections.transact(vec![one("a"), one("b")], BUDGET_MS).await;
        assert_eq!(cancelled, Ok(Transacted::Cancelled(vec![Cancellation::None, Cancellation::Content])));
        assert_eq!(projections.transact(vec![one("a"), one("a")], BUDGET_MS).await, Err(Refusal::Content));
        assert_eq!(read(projections, "a").await, Found::Absent);
    }

    async fn a_read_answers_in_the_order_of_its_keys(projections) {
        for name in ["b", "a"] {
            let answer = projections.update(update(name, vec![], vec![set("n", 1)]), BUDGET_MS).await;
            assert_eq!(answer, Ok(Updated::Done));
        }
        let found = projections.read(vec![key("a"), ProjectionKey::absent(), key("b")], BUDGET_MS).await.expect("it is read");
        let of = |name| Found::Item(item(name, &[("n", 1)]));
        assert_eq!(found, [of("a"), Found::Absent, of("b")]);
    }
}
