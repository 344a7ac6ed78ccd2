//! The projections table on DynamoDB: consistent reads, conditional updates, and transactions of them.

use std::{borrow::Cow, collections::HashMap};

use aws_sdk_dynamodb::{
    Client,
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        AttributeValue, CancellationReason, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        Update as UpdateRequest,
    },
};
use ledger::{
    Attribute,
    ports::{Found, Projections, Refusal},
    projection::{
        keys::ProjectionKey,
        update::{Cancellation, Expressions, Transacted, Update, Updated},
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

impl Projections for DynamoProjections {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let keys: Vec<_> = keys.iter().map(|key| convert::to_attributes(key.to_item())).collect();
        let call = self.client.batch_get_item().request_items(&self.table, consistent_read(&keys, None)?).send();
        Ok(found(&self.table, &keys, within(budget_ms, call).await?))
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        let Request { key, update, condition, names, values } = Request::of(&update);
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

    async fn transact(&self, updates: Vec<Update>, budget_ms: u64) -> Result<Transacted, Refusal> {
        let items = updates.iter().map(|update| transact_item(&self.table, update)).collect();
        let call = self.client.transact_write_items().set_transact_items(Some(items));
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

fn transact_item(table: &str, update: &Update) -> TransactWriteItem {
    let Request { key, update, condition, names, values } = Request::of(update);
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

/// What `UpdateItem` and an update of `TransactWriteItems` are made of.
struct Request {
    key: HashMap<String, AttributeValue>,
    update: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Request {
    fn of(update: &Update) -> Self {
        let Expressions { update: text, condition, names, values } = Expressions::of(update);
        let value = |value: Cow<'_, Attribute>| convert::to_attribute(value.into_owned());
        Self {
            key: convert::to_attributes(update.key.to_item()),
            update: text,
            condition: (!condition.is_empty()).then_some(condition),
            names: names.into_iter().map(|(placeholder, name)| (placeholder, name.to_owned())).collect(),
            values: values.into_iter().map(|(placeholder, attribute)| (placeholder, value(attribute))).collect(),
        }
    }
}
