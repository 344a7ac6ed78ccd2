//! The projections table on DynamoDB: consistent reads and queries, conditional updates, and transactions of writes.

use std::{borrow::Cow, collections::HashMap};

use aws_sdk_dynamodb::{
    Client,
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        AttributeValue, CancellationReason, Delete as DeleteRequest, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update as UpdateRequest,
    },
};
use ledger::{
    Attribute,
    entry::attribute,
    item::text_of,
    ports::{Found, Page, ProjectionsTable, Refusal},
    projection::{
        keys::ProjectionKey,
        update::{Cancellation, Deletion, Expressions, Transacted, Transaction, Update, Updated, Write},
    },
};

use crate::{
    convert,
    tables::{answered, consistent_read, found, refusal, within},
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

impl ProjectionsTable for DynamoProjections {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let keys: Vec<_> = keys.iter().map(|key| convert::to_attributes(key.to_item())).collect();
        let call = self.client.batch_get_item().request_items(&self.table, consistent_read(&keys, None)?).send();
        Ok(found(&self.table, &keys, within(budget_ms, call).await?))
    }

    async fn query(&self, pk: String, after: Option<String>, budget_ms: u64) -> Result<Page, Refusal> {
        let start = after.map(|sk| convert::to_attributes(ProjectionKey { pk: pk.clone(), sk }.to_item()));
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", attribute::PK)
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .set_exclusive_start_key(start);
        let page = within(budget_ms, call.send()).await?;
        let next = match page.last_evaluated_key {
            None => None,
            // An answer that says only that it is not the last is not complete.
            Some(key) => match text_of(&convert::to_item(key), attribute::SK) {
                Some(sk) => Some(sk.to_owned()),
                None => return Err(Refusal::transient("IncompleteAnswer")),
            },
        };
        Ok(Page { items: page.items.unwrap_or_default().into_iter().map(convert::to_item).collect(), next })
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        let Request { key, update, condition, names, values } = Request::of_update(&update);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match answered(budget_ms, call.send()).await? {
            Ok(_) => Ok(Updated::Done),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Updated::ConditionFailed(failed.item.clone().map(convert::to_item)))
                }
                _ => Err(refusal(&error)),
            },
        }
    }

    async fn transact(&self, transaction: Transaction, budget_ms: u64) -> Result<Transacted, Refusal> {
        let Transaction { writes, token } = transaction;
        let items = writes.iter().map(|write| transact_item(&self.table, write)).collect();
        let call = self.client.transact_write_items().set_transact_items(Some(items)).client_request_token(token);
        match answered(budget_ms, call.send()).await? {
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

fn transact_item(table: &str, write: &Write) -> TransactWriteItem {
    const IS_SET: &str = "table, key and expression are set";
    let item = TransactWriteItem::builder();
    match write {
        Write::Update(update) => {
            let Request { key, update, condition, names, values } = Request::of_update(update);
            let request = UpdateRequest::builder()
                .table_name(table)
                .set_key(Some(key))
                .update_expression(update)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            item.update(request.build().expect(IS_SET)).build()
        }
        Write::Delete(Deletion { key, conditions }) => {
            let Request { key, condition, names, values, .. } =
                Request::of(key, Expressions::of_conditions(conditions));
            let request = DeleteRequest::builder()
                .table_name(table)
                .set_key(Some(key))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            item.delete(request.build().expect(IS_SET)).build()
        }
    }
}

/// What `UpdateItem` and the writes of `TransactWriteItems` are made of. DynamoDB refuses what is empty, but not what
/// is absent.
struct Request {
    key: HashMap<String, AttributeValue>,
    update: String,
    condition: Option<String>,
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Request {
    fn of_update(update: &Update) -> Self {
        Self::of(&update.key, Expressions::of(update))
    }

    fn of(key: &ProjectionKey, expressions: Expressions<'_>) -> Self {
        let Expressions { update, condition, names, values } = expressions;
        let value = |value: Cow<'_, Attribute>| convert::to_attribute(value.into_owned());
        let names: HashMap<String, String> =
            names.into_iter().map(|(placeholder, name)| (placeholder, name.to_owned())).collect();
        let values: HashMap<String, AttributeValue> =
            values.into_iter().map(|(placeholder, attribute)| (placeholder, value(attribute))).collect();
        Self {
            key: convert::to_attributes(key.to_item()),
            update,
            condition: (!condition.is_empty()).then_some(condition),
            names: (!names.is_empty()).then_some(names),
            values: (!values.is_empty()).then_some(values),
        }
    }
}
