//! The projections table on DynamoDB: consistent reads, conditional updates, and transactions of them.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        Update as UpdateRequest,
    },
};
use ledger::{
    entry::whole_number,
    ports::{Found, Refusal},
    projection_keys::ProjectionKey,
    projection_ports::{Action, Cancellation, Condition, Projections, Transacted, Update, Updated},
};

use crate::{
    convert,
    tables::{found, refusal, within},
};

#[derive(Clone, Debug)]
pub struct DynamoProjections {
    client: Client,
    table: String,
}

impl DynamoProjections {
    pub fn new(config: &aws_config::SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }
}

impl Projections for DynamoProjections {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let keys: Vec<_> = keys.iter().map(|key| convert::to_attributes(key.to_item())).collect();
        let request = KeysAndAttributes::builder().set_keys(Some(keys.clone())).consistent_read(true).build();
        let request = request.map_err(|_| Refusal::Content)?;
        let call = self.client.batch_get_item().request_items(&self.table, request).send();
        let answer = within(budget_ms, call).await?;
        let mut items = answer.responses.and_then(|mut tables| tables.remove(&self.table)).unwrap_or_default();
        let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
        let unprocessed = unprocessed.map(|keys| keys.keys).unwrap_or_default();
        Ok(keys.iter().map(|key| found(key, &mut items, &unprocessed)).collect())
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        let Expressions { key, update, condition, names, values } = Expressions::of(update);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Ok(answer) = tokio::time::timeout(Duration::from_millis(budget_ms), call.send()).await else {
            return Err(Refusal::transient("Deadline"));
        };
        match answer {
            Ok(_) => Ok(Updated::Done),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Updated::ConditionFailed(failed.item.clone().map(convert::to_item)))
                }
                _ => Err(refusal(&error)),
            },
        }
    }

    async fn transact(&self, updates: Vec<Update>, budget_ms: u64) -> Result<Transacted, Refusal> {
        let items = updates.into_iter().map(|update| transact_item(&self.table, update)).collect();
        let call = self.client.transact_write_items().set_transact_items(Some(items));
        let Ok(answer) = tokio::time::timeout(Duration::from_millis(budget_ms), call.send()).await else {
            return Err(Refusal::transient("Deadline"));
        };
        match answer {
            Ok(_) => Ok(Transacted::Done),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons.clone().unwrap_or_default();
                    Ok(Transacted::Cancelled(reasons.into_iter().map(cancellation).collect()))
                }
                _ => Err(refusal(&error)),
            },
        }
    }
}

/// Codes of `TransactionCanceledException`, as its API reference lists them.
fn cancellation(reason: CancellationReason) -> Cancellation {
    match reason.code.as_deref() {
        None | Some("None") => Cancellation::None,
        Some("ConditionalCheckFailed") => Cancellation::ConditionFailed(reason.item.map(convert::to_item)),
        Some("ValidationError" | "ItemCollectionSizeLimitExceeded") => Cancellation::Content,
        // TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded, and what is not known yet.
        Some(_) => Cancellation::Busy,
    }
}

fn transact_item(table: &str, update: Update) -> TransactWriteItem {
    let Expressions { key, update, condition, names, values } = Expressions::of(update);
    let request = UpdateRequest::builder()
        .table_name(table)
        .set_key(Some(key))
        .update_expression(update)
        .set_condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .expect("table, key and expression are set");
    TransactWriteItem::builder().update(request).build()
}

/// An update in DynamoDB's expression language.
struct Expressions {
    key: HashMap<String, AttributeValue>,
    update: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expressions {
    fn of(update: Update) -> Self {
        let mut placeholders = Placeholders::default();
        let conditions: Vec<String> =
            update.conditions.into_iter().map(|condition| placeholders.condition(condition)).collect();
        let (mut sets, mut adds) = (Vec::new(), Vec::new());
        for action in update.actions {
            match action {
                Action::Set(name, value) => {
                    let (name, value) = placeholders.pair(name, convert::to_attribute(value));
                    sets.push(format!("{name} = {value}"));
                }
                Action::SetIfAbsent(name, value) => {
                    let (name, value) = placeholders.pair(name, convert::to_attribute(value));
                    sets.push(format!("{name} = if_not_exists({name}, {value})"));
                }
                Action::Add(name, number) => {
                    let (name, value) = placeholders.pair(name, AttributeValue::N(number.to_string()));
                    adds.push(format!("{name} {value}"));
                }
            }
        }
        let clause = |keyword: &str, parts: Vec<String>| match parts.is_empty() {
            true => None,
            false => Some(format!("{keyword} {}", parts.join(", "))),
        };
        let clauses: Vec<String> = [clause("SET", sets), clause("ADD", adds)].into_iter().flatten().collect();
        Self {
            key: convert::to_attributes(update.key.to_item()),
            update: clauses.join(" "),
            condition: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
            names: placeholders.names,
            values: placeholders.values,
        }
    }
}

#[derive(Default)]
struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    fn condition(&mut self, condition: Condition) -> String {
        match condition {
            Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Equals(name, value) => {
                let (name, value) = self.pair(name, convert::to_attribute(value));
                format!("{name} = {value}")
            }
            Condition::AbsentOrAtMost(name, number) => {
                let (name, value) = self.pair(name, convert::to_attribute(whole_number(number)));
                format!("(attribute_not_exists({name}) OR {name} <= {value})")
            }
            Condition::AtLeast(name, number) => {
                let (name, value) = self.pair(name, convert::to_attribute(whole_number(number)));
                format!("{name} >= {value}")
            }
        }
    }

    fn pair(&mut self, name: String, value: AttributeValue) -> (String, String) {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        (self.name(name), placeholder)
    }

    fn name(&mut self, name: String) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name);
        placeholder
    }
}

#[cfg(test)]
mod tests {
    use ledger::Attribute;

    use super::*;

    #[test]
    fn an_update_becomes_expressions_that_name_every_attribute_by_placeholder() {
        let expressions = Expressions::of(Update {
            key: ProjectionKey::incomplete(),
            conditions: vec![Condition::AbsentOrAtMost("a".to_owned(), 5), Condition::Absent("b".to_owned())],
            actions: vec![
                Action::Add("READY#user.created".to_owned(), -1),
                Action::SetIfAbsent("a".to_owned(), whole_number(5)),
                Action::Set("c".to_owned(), Attribute::S("x".to_owned())),
            ],
        });
        assert_eq!(expressions.update, "SET #n3 = if_not_exists(#n3, :v2), #n4 = :v3 ADD #n2 :v1");
        let condition = "(attribute_not_exists(#n0) OR #n0 <= :v0) AND attribute_not_exists(#n1)";
        assert_eq!(expressions.condition.as_deref(), Some(condition));
        assert_eq!(expressions.names["#n2"], "READY#user.created");
        assert_eq!(expressions.values[":v1"], AttributeValue::N("-1".to_owned()));
        assert_eq!(expressions.values[":v0"], expressions.values[":v2"]);
    }

    #[test]
    fn an_update_without_conditions_has_no_condition_expression() {
        let actions = vec![Action::Add("n".to_owned(), 1)];
        let update = Update { key: ProjectionKey::incomplete(), conditions: vec![], actions };
        let expressions = Expressions::of(update);
        assert_eq!((expressions.condition, expressions.update.as_str()), (None, "ADD #n0 :v0"));
    }
}
