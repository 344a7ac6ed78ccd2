//! The projections table, case by case.

use ledger::{
    Attribute, Item, TenantId,
    item::{ITEM_BYTES_MAX, item_bytes, text_of, whole_number},
    ports::{Found, Page, ProjectionsTable, Refusal},
    projection::{
        keys::{ModelKey, ProjectionKey},
        update::{
            Action, Cancellation, Condition, Deletion, Expressions, Transacted, Transaction, Update, Updated, Write,
        },
    },
};

use super::cases;

pub const BUDGET_MS: u64 = 10_000;

pub fn key(name: &str) -> ProjectionKey {
    let tenant_id = TenantId::parse(name).expect("a tenant");
    ModelKey { tenant_id, model: "counts@1".to_owned(), day: "2026-01-15".to_owned(), suffix: String::new() }.key()
}

/// A key of one partition that all its keys share.
fn beside(sk: &str) -> ProjectionKey {
    ProjectionKey { pk: "shared".to_owned(), sk: sk.to_owned() }
}

pub fn update(name: &str, conditions: Vec<Condition>, actions: Vec<Action>) -> Update {
    Update { key: key(name), conditions, actions }
}

/// Updates under one token.
pub fn transaction(token: &str, updates: Vec<Update>) -> Transaction {
    Transaction { writes: updates.into_iter().map(Write::Update).collect(), token: token.to_owned() }
}

fn delete(name: &str, conditions: Vec<Condition>) -> Write {
    Write::Delete(Deletion { key: key(name), conditions })
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

async fn read(projections: &impl ProjectionsTable, name: &str) -> Found {
    projections.read(vec![key(name)], BUDGET_MS).await.expect("it is read").remove(0)
}

cases! {
    $ for_each_projections_case, subject: ProjectionsTable => subject;

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

    async fn an_attribute_is_removed_and_with_the_last_one_the_item_stays(projections) {
        let two = vec![add("n", 1), set("m", 2)];
        assert_eq!(projections.update(update("a", vec![], two), BUDGET_MS).await, Ok(Updated::Done));
        let remove = |names: [&str; 2]| names.map(|name| Action::Remove(name.to_owned())).to_vec();
        let with_condition = update("a", vec![Condition::Equals("n".to_owned(), whole_number(1))], remove(["n", "absent"]));
        assert_eq!(projections.update(with_condition, BUDGET_MS).await, Ok(Updated::Done));
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("m", 2)])));
        // Expressions without a value, which must then name none.
        let removal = transaction("t", vec![update("a", vec![], remove(["m", "absent"]))]);
        assert_eq!(projections.transact(removal, BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(projections.update(update("a", vec![], remove(["m", "n"])), BUDGET_MS).await, Ok(Updated::Done));
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[])));
    }

    async fn a_failed_condition_brings_the_item_as_it_is(projections) {
        let n = "n".to_owned();
        for (number, (condition, holds)) in
            [(Condition::Absent(n.clone()), true), (Condition::Equals(n.clone(), whole_number(5)), false)]
                .into_iter()
                .enumerate()
        {
            let answer =
                projections.update(update(&format!("a-{number}"), vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let expected = if holds { Updated::Done } else { Updated::ConditionFailed(None) };
            assert_eq!(answer.await, Ok(expected), "condition {number}");
        }
        for (number, (condition, holds)) in [
            (Condition::Absent(n.clone()), false),
            (Condition::Absent("m".to_owned()), true),
            (Condition::Equals(n.clone(), whole_number(5)), true),
            (Condition::Equals(n.clone(), whole_number(6)), false),
            (Condition::Equals(n.clone(), Attribute::S("5".to_owned())), false),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = projections.update(update("a-0", vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let stored = Updated::ConditionFailed(Some(item("a-0", &[("n", 5)])));
            assert_eq!(answer.await, Ok(if holds { Updated::Done } else { stored }), "condition {number}");
        }
        let both = vec![Condition::Equals(n, whole_number(5)), Condition::Absent("n".to_owned())];
        let answer = projections.update(update("a-0", both, vec![set("n", 7)]), BUDGET_MS).await;
        assert_eq!(answer, Ok(Updated::ConditionFailed(Some(item("a-0", &[("n", 5)])))));
    }

    async fn a_transaction_is_whole_or_not_and_says_why_in_order(projections) {
        let absent = |name: &str| update(name, vec![Condition::Absent("n".to_owned())], vec![set("n", 1)]);
        let done = projections.transact(transaction("t-1", vec![absent("a"), absent("b")]), BUDGET_MS).await;
        assert_eq!(done, Ok(Transacted::Done));
        let with_other = update("d", vec![Condition::Equals("n".to_owned(), whole_number(1))], vec![set("n", 2)]);
        let updates = vec![absent("c"), absent("b"), with_other, update("a", vec![], vec![add("n", 1)])];
        let cancelled = projections.transact(transaction("t-2", updates), BUDGET_MS).await;
        let reasons = vec![
            Cancellation::None,
            Cancellation::ConditionFailed(Some(item("b", &[("n", 1)]))),
            Cancellation::ConditionFailed(None),
            Cancellation::None,
        ];
        assert_eq!(cancelled, Ok(Transacted::Cancelled(reasons)));
        assert_eq!(read(projections, "c").await, Found::Absent);
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 1)])));
    }

    async fn a_transaction_deletes_on_condition(projections) {
        let of = |number| Condition::Equals("n".to_owned(), whole_number(number));
        let one = |name: &str| update(name, vec![], vec![set("n", 1)]);
        let stored = transaction("t-1", vec![one("a"), one("b"), one("c")]);
        assert_eq!(projections.transact(stored, BUDGET_MS).await, Ok(Transacted::Done));
        let writes = |number| vec![delete("a", vec![of(number)]), delete("b", vec![]), Write::Update(one("d"))];
        let transaction = |token: &str, writes| Transaction { writes, token: token.to_owned() };
        let cancelled = projections.transact(transaction("t-2", writes(2)), BUDGET_MS).await;
        let reasons = vec![
            Cancellation::ConditionFailed(Some(item("a", &[("n", 1)]))),
            Cancellation::None,
            Cancellation::None,
        ];
        assert_eq!(cancelled, Ok(Transacted::Cancelled(reasons)));
        for kept in ["a", "b"] {
            assert_eq!(read(projections, kept).await, Found::Item(item(kept, &[("n", 1)])));
        }
        assert_eq!(projections.transact(transaction("t-3", writes(1)), BUDGET_MS).await, Ok(Transacted::Done));
        for deleted in ["a", "b"] {
            assert_eq!(read(projections, deleted).await, Found::Absent);
        }
        for stored in ["c", "d"] {
            assert_eq!(read(projections, stored).await, Found::Item(item(stored, &[("n", 1)])));
        }
        // What is not there can be deleted, but not on condition of what it holds.
        let absent = vec![delete("a", vec![]), delete("b", vec![Condition::Absent("n".to_owned())])];
        assert_eq!(projections.transact(transaction("t-4", absent), BUDGET_MS).await, Ok(Transacted::Done));
        let cancelled = projections.transact(transaction("t-5", vec![delete("a", vec![of(1)])]), BUDGET_MS).await;
        assert_eq!(cancelled, Ok(Transacted::Cancelled(vec![Cancellation::ConditionFailed(None)])));
        let twice = vec![delete("c", vec![]), Write::Update(one("c"))];
        assert_eq!(projections.transact(transaction("t-6", twice), BUDGET_MS).await, Err(Refusal::Content));
    }

    async fn a_transaction_is_made_once_under_its_token_and_no_other_is(projections) {
        let of = |number| transaction("token", vec![update("a", vec![], vec![add("n", number)])]);
        assert_eq!(projections.transact(of(1), BUDGET_MS).await, Ok(Transacted::Done));
        let between = projections.update(update("a", vec![], vec![add("n", 10)]), BUDGET_MS).await;
        assert_eq!(between, Ok(Updated::Done));
        assert_eq!(projections.transact(of(1), BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(projections.transact(of(2), BUDGET_MS).await, Err(Refusal::Content));
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 11)])));
        let other = Transaction { token: "another".to_owned(), ..of(1) };
        assert_eq!(projections.transact(other, BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 12)])));
    }

    async fn a_token_answers_for_its_transaction_though_its_condition_fails_by_now(projections) {
        let first = || transaction("t", vec![update("a", vec![Condition::Absent("n".to_owned())], vec![set("n", 1)])]);
        assert_eq!(projections.transact(first(), BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(projections.transact(first(), BUDGET_MS).await, Ok(Transacted::Done));
        // What was cancelled was not made, and is, once it can be.
        let then = || transaction("u", vec![update("a", vec![Condition::Absent("n".to_owned())], vec![set("n", 2)])]);
        let reason = Cancellation::ConditionFailed(Some(item("a", &[("n", 1)])));
        assert_eq!(projections.transact(then(), BUDGET_MS).await, Ok(Transacted::Cancelled(vec![reason])));
        let removal = update("a", vec![], vec![Action::Remove("n".to_owned())]);
        assert_eq!(projections.update(removal, BUDGET_MS).await, Ok(Updated::Done));
        assert_eq!(projections.transact(then(), BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 2)])));
    }

    async fn a_token_has_at_most_36_characters(projections) {
        for (characters, is_refused) in [(1, false), (36, false), (37, true)] {
            let one = transaction(&"t".repeat(characters), vec![update("a", vec![], vec![add("n", 1)])]);
            let expected = if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) };
            assert_eq!(projections.transact(one, BUDGET_MS).await, expected, "{characters}");
        }
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 2)])));
    }

    async fn a_transaction_has_1_to_100_writes(projections) {
        for (count, is_refused) in [(0, true), (100, false), (101, true)] {
            let updates = (0..count).map(|number| update(&format!("t{number}"), vec![], vec![add("n", number)]));
            let answer = projections.transact(transaction(&count.to_string(), updates.collect()), BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) }, "{count}");
        }
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
        let updates = vec![update("c", vec![], vec![add("n", 1)]), growing(), overfull];
        let cancelled = projections.transact(transaction("t-1", updates), BUDGET_MS).await;
        let reasons = vec![Cancellation::None, Cancellation::Content, Cancellation::Content];
        assert_eq!(cancelled, Ok(Transacted::Cancelled(reasons)));
        for absent in ["b", "c"] {
            assert_eq!(read(projections, absent).await, Found::Absent);
        }
        let Found::Item(stored) = read(projections, "a").await else { panic!("it was stored") };
        assert!(!stored.contains_key("n"));
        assert_eq!(projections.transact(transaction("t-2", vec![full()]), BUDGET_MS).await, Ok(Transacted::Done));
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
            let answer = projections.transact(transaction("t", vec![update]), BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) });
        }
        for (count, bytes, is_refused) in [(131, 4_077, false), (132, 4_109, true)] {
            let conditions = (0..count).map(|number| Condition::Absent(number.to_string())).collect();
            let update = update("b", conditions, vec![add("n", 1)]);
            assert_eq!(Expressions::of(&update).condition.len(), bytes);
            let deletion = delete("c", update.conditions.clone());
            let answer = projections.update(update, BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Updated::Done) });
            let deletion = Transaction { writes: vec![deletion], token: count.to_string() };
            let answer = projections.transact(deletion, BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) });
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
            let both = transaction("t", vec![of(key(1, 1)), of(refused.clone())]);
            let reasons = vec![Cancellation::None, Cancellation::Content];
            assert_eq!(projections.transact(both, BUDGET_MS).await, Ok(Transacted::Cancelled(reasons)));
            let deletion = Write::Delete(Deletion { key: refused.clone(), conditions: vec![] });
            let answer = projections.transact(Transaction { writes: vec![deletion], token: "u".to_owned() }, BUDGET_MS);
            assert_eq!(answer.await, Ok(Transacted::Cancelled(vec![Cancellation::Content])));
            assert_eq!(projections.read(vec![refused], BUDGET_MS).await, Err(Refusal::Content));
        }
    }

    async fn an_addition_to_a_text_and_two_updates_of_one_item_are_refused(projections) {
        let text = Action::Set("n".to_owned(), Attribute::S("text".to_owned()));
        assert_eq!(projections.update(update("b", vec![], vec![text]), BUDGET_MS).await, Ok(Updated::Done));
        let one = |name: &str| update(name, vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(one("b"), BUDGET_MS).await, Err(Refusal::Content));
        let cancelled = projections.transact(transaction("t", vec![one("a"), one("b")]), BUDGET_MS).await;
        assert_eq!(cancelled, Ok(Transacted::Cancelled(vec![Cancellation::None, Cancellation::Content])));
        let twice = transaction("t", vec![one("a"), one("a")]);
        assert_eq!(projections.transact(twice, BUDGET_MS).await, Err(Refusal::Content));
        assert_eq!(read(projections, "a").await, Found::Absent);
    }

    async fn an_expression_at_fault_refuses_the_whole_request(projections) {
        let remove = Action::Remove("n".to_owned());
        for (number, (conditions, actions)) in [
            (vec![], vec![add("n", 1), set("n", 1)]),
            (vec![], vec![remove, add("n", 1)]),
            (vec![], vec![add("", 1)]),
            (vec![Condition::Absent(String::new())], vec![add("n", 1)]),
            (vec![], vec![]),
        ]
        .into_iter()
        .enumerate()
        {
            let wrong = update("a", conditions, actions);
            assert_eq!(projections.update(wrong.clone(), BUDGET_MS).await, Err(Refusal::Content), "{number}");
            let both = transaction("t", vec![update("b", vec![], vec![add("n", 1)]), wrong]);
            assert_eq!(projections.transact(both, BUDGET_MS).await, Err(Refusal::Content), "{number}");
        }
        for absent in ["a", "b"] {
            assert_eq!(read(projections, absent).await, Found::Absent);
        }
    }

    async fn a_query_brings_one_partition_in_the_order_of_its_sort_keys(projections) {
        let one = |key: ProjectionKey| Update { key, conditions: vec![], actions: vec![add("n", 1)] };
        let item = |sk: &str| {
            let mut item = beside(sk).to_item();
            item.insert("n".to_owned(), whole_number(1));
            item
        };
        let others = ["share", "shared#", "shared2"].map(|pk| ProjectionKey { pk: pk.to_owned(), sk: "a".to_owned() });
        // By their bytes, not by the letters of a language.
        let keys = ["é", "a", "b", "B"].map(beside).into_iter().chain(others);
        let stored = transaction("t", keys.map(one).collect());
        assert_eq!(projections.transact(stored, BUDGET_MS).await, Ok(Transacted::Done));
        for (after, expected) in [
            (None, &["B", "a", "b", "é"][..]),
            (Some("a"), &["b", "é"]),
            (Some("aa"), &["b", "é"]),
            (Some("é"), &[]),
        ] {
            let page = projections.query("shared".to_owned(), after.map(str::to_owned), BUDGET_MS).await;
            let items = expected.iter().copied().map(item).collect();
            assert_eq!(page, Ok(Page { items, next: None }), "{after:?}");
        }
        let page = projections.query("none".to_owned(), None, BUDGET_MS).await;
        assert_eq!(page, Ok(Page { items: vec![], next: None }));
    }

    async fn a_page_of_a_query_ends_at_one_megabyte_and_the_next_one_follows(projections) {
        let sks = ["a", "b", "c", "d", "e"];
        let text = Action::Set("t".to_owned(), Attribute::S("x".repeat(300 * 1024)));
        for sk in sks {
            let large = Update { key: beside(sk), conditions: vec![], actions: vec![text.clone()] };
            assert_eq!(projections.update(large, BUDGET_MS).await, Ok(Updated::Done));
        }
        let first = projections.query("shared".to_owned(), None, BUDGET_MS).await.expect("it is read");
        let second = projections.query("shared".to_owned(), first.next.clone(), BUDGET_MS).await.expect("it is read");
        let sks = |page: &Page| page.items.iter().filter_map(|item| text_of(item, "sk").map(str::to_owned)).collect();
        let pages: [String; 2] = [sks(&first), sks(&second)];
        assert_eq!(pages, ["abc", "de"]);
        assert_eq!((first.next.as_deref(), second.next), (Some("c"), None));
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
