//! Writes to items of the projections table, and the answers to them: data, interpreted by the caller.

use std::borrow::Cow;

use crate::{
    projection::keys::{ProjectionKey, VERSION},
    storage::item::{Attribute, Item, whole_number},
};

/// Writes DynamoDB takes in one transaction ("TransactWriteItems").
pub const TRANSACTION_WRITES_MAX: usize = 100;
/// Bytes DynamoDB takes in the text of one expression ("Constraints in Amazon DynamoDB", expression parameters).
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Conditions and actions of an update whose expressions always fit, and the longest of them.
const PARTS_ALWAYS_FITTING: usize = 95;
const PART_BYTES_MAX: usize = "#n99 = if_not_exists(#n99, :v99), ".len() + "REMOVE ".len();
const _: () = assert!(PARTS_ALWAYS_FITTING * PART_BYTES_MAX <= EXPRESSION_BYTES_MAX);

/// What must hold of an item as it is, for an update to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Absent(String),
    Equals(String, Attribute),
}

impl Condition {
    /// That an attribute is what it was when the item was read: whatever stood there, or nothing.
    pub fn unchanged(name: &str, read: Option<&Attribute>) -> Self {
        match read {
            None => Self::Absent(name.to_owned()),
            Some(value) => Self::Equals(name.to_owned(), value.clone()),
        }
    }
}

/// One part of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Set(String, Attribute),
    SetIfAbsent(String, Attribute),
    /// Adds to a number; what is absent is zero.
    Add(String, i64),
    Remove(String),
}

/// A change of one item, which is created where it is absent. No attribute has two actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub key: ProjectionKey,
    /// All must hold.
    pub conditions: Vec<Condition>,
    pub actions: Vec<Action>,
}

impl Update {
    /// Whether DynamoDB refuses the update for the length of an expression.
    pub fn is_too_long(&self) -> bool {
        self.conditions.len() + self.actions.len() > PARTS_ALWAYS_FITTING && Expressions::of(self).are_too_long()
    }
}

/// The deletion of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    pub key: ProjectionKey,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Update(Update),
    Delete(Deletion),
}

impl Write {
    pub fn key(&self) -> &ProjectionKey {
        match self {
            Self::Update(update) => &update.key,
            Self::Delete(deletion) => &deletion.key,
        }
    }
}

/// Writes of different items, of which all are made or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// At most `TRANSACTION_WRITES_MAX`.
    pub writes: Vec<Write>,
    /// 1 to 36 characters. For ten minutes, DynamoDB answers the same writes under the same token as it did the first
    /// time they succeeded, and does nothing; other writes under it, it refuses.
    pub token: String,
}

/// The `version` of an item that is written whole, on condition that it still is what was read: whatever stands there,
/// so that an edit by hand ends nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version(Option<Attribute>);

impl Version {
    pub fn of(item: &Item) -> Self {
        Self(item.get(VERSION).cloned())
    }

    /// Whether the item was absent, or had no version.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// That the item has this version.
    pub fn condition(&self) -> Condition {
        Condition::unchanged(VERSION, self.0.as_ref())
    }

    /// The version after this one.
    pub fn next(&self) -> Self {
        Self(Some(self.next_number()))
    }

    /// Writes the next version.
    pub fn step(&self) -> Action {
        Action::Set(VERSION.to_owned(), self.next_number())
    }

    fn next_number(&self) -> Attribute {
        let number = match &self.0 {
            Some(Attribute::N(digits)) => digits.parse().unwrap_or(0_u64),
            _ => 0,
        };
        whole_number(number.saturating_add(1))
    }
}

/// An update in DynamoDB's expression language, every attribute and value named by a placeholder. `ledger-aws` sends
/// these texts, and `Update::is_too_long` measures them.
#[derive(Debug, Default)]
pub struct Expressions<'u> {
    pub update: String,
    /// Empty where the update has no condition.
    pub condition: String,
    /// Attributes by placeholder.
    pub names: Vec<(String, &'u str)>,
    /// Values by placeholder.
    pub values: Vec<(String, Cow<'u, Attribute>)>,
}

impl<'u> Expressions<'u> {
    pub fn of_conditions(conditions: &'u [Condition]) -> Self {
        let mut expressions = Self::default();
        let conditions: Vec<String> = conditions.iter().map(|condition| expressions.condition(condition)).collect();
        expressions.condition = conditions.join(" AND ");
        expressions
    }

    pub fn of(update: &'u Update) -> Self {
        let mut expressions = Self::of_conditions(&update.conditions);
        let (mut sets, mut adds, mut removes) = (Vec::new(), Vec::new(), Vec::new());
        for action in &update.actions {
            match action {
                Action::Set(name, value) => {
                    let (name, value) = expressions.pair(name, Cow::Borrowed(value));
                    sets.push(format!("{name} = {value}"));
                }
                Action::SetIfAbsent(name, value) => {
                    let (name, value) = expressions.pair(name, Cow::Borrowed(value));
                    sets.push(format!("{name} = if_not_exists({name}, {value})"));
                }
                Action::Add(name, number) => {
                    let (name, value) = expressions.pair(name, Cow::Owned(Attribute::N(number.to_string())));
                    adds.push(format!("{name} {value}"));
                }
                Action::Remove(name) => removes.push(expressions.name(name)),
            }
        }
        let clause = |keyword: &str, parts: Vec<String>| match parts.is_empty() {
            true => None,
            false => Some(format!("{keyword} {}", parts.join(", "))),
        };
        let clauses = [clause("SET", sets), clause("ADD", adds), clause("REMOVE", removes)];
        expressions.update = clauses.into_iter().flatten().collect::<Vec<String>>().join(" ");
        expressions
    }

    fn are_too_long(&self) -> bool {
        self.update.len().max(self.condition.len()) > EXPRESSION_BYTES_MAX
    }

    fn condition(&mut self, condition: &'u Condition) -> String {
        match condition {
            Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Equals(name, value) => {
                let (name, value) = self.pair(name, Cow::Borrowed(value));
                format!("{name} = {value}")
            }
        }
    }

    fn pair(&mut self, name: &'u str, value: Cow<'u, Attribute>) -> (String, String) {
        let placeholder = format!(":v{}", self.values.len());
        self.values.push((placeholder.clone(), value));
        (self.name(name), placeholder)
    }

    fn name(&mut self, name: &'u str) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.push((placeholder.clone(), name));
        placeholder
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Updated {
    Done,
    /// A condition does not hold; the item as it is, if there is one.
    ConditionFailed(Option<Item>),
}

/// The answer to a transaction, which is made whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Transacted {
    Done,
    /// Nothing was written; the reasons in the order of the writes.
    Cancelled(Vec<Cancellation>),
}

/// One write's part in the cancelling of its transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancellation {
    /// It would have been made.
    None,
    ConditionFailed(Option<Item>),
    /// Another request is changing the item, or the table is busy.
    Busy,
    /// The write itself is at fault.
    Content,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_becomes_expressions_that_name_every_attribute_by_placeholder() {
        let update = Update {
            key: ProjectionKey::metric_tenants(),
            conditions: vec![Condition::Equals("a".to_owned(), whole_number(5)), Condition::Absent("b".to_owned())],
            actions: vec![
                Action::Remove("d".to_owned()),
                Action::Add("READY#user.created".to_owned(), -1),
                Action::SetIfAbsent("a".to_owned(), whole_number(5)),
                Action::Set("c".to_owned(), Attribute::S("x".to_owned())),
            ],
        };
        let expressions = Expressions::of(&update);
        assert_eq!(expressions.update, "SET #n4 = if_not_exists(#n4, :v2), #n5 = :v3 ADD #n3 :v1 REMOVE #n2");
        assert_eq!(expressions.condition, "#n0 = :v0 AND attribute_not_exists(#n1)");
        assert_eq!(expressions.names[3], ("#n3".to_owned(), "READY#user.created"));
        assert_eq!(expressions.values[1], (":v1".to_owned(), Cow::Owned(Attribute::N("-1".to_owned()))));
        assert_eq!(expressions.values[0].1, expressions.values[2].1);
    }

    #[test]
    fn an_update_without_conditions_has_no_condition_expression() {
        let actions = vec![Action::Add("n".to_owned(), 1)];
        let update = Update { key: ProjectionKey::metric_tenants(), conditions: vec![], actions };
        let expressions = Expressions::of(&update);
        assert_eq!((expressions.condition.as_str(), expressions.update.as_str()), ("", "ADD #n0 :v0"));
    }

    #[test]
    fn the_text_of_an_expression_is_too_long_from_one_byte_more_than_dynamodb_takes() {
        let update = |bytes: usize| Expressions { update: "x".repeat(bytes), ..Expressions::default() };
        let condition = |bytes: usize| Expressions { condition: "x".repeat(bytes), ..Expressions::default() };
        for of_length in [update, condition] as [fn(usize) -> Expressions<'static>; 2] {
            assert!(!of_length(4_096).are_too_long());
            assert!(of_length(4_097).are_too_long());
        }
    }
}
