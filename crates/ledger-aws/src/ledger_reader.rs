//! Reading the ledger, for operators: rights the Lambdas do not have.

use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::{get_item::GetItemError, query::QueryError},
    types::AttributeValue,
};
use ledger::{
    ClaimKey, EntryKey, Item, StoredClaim,
    entry::{attribute, claim_key_item},
};
use thiserror::Error;

use crate::{convert, tables::TableNames};

/// What an entry tells beside its body; the first is the partition key.
const TOLD: [&str; 9] = [
    attribute::TENANT_ID,
    attribute::SK,
    attribute::STATUS,
    attribute::EVENT_TYPE,
    attribute::INGESTED_AT,
    attribute::RETRIES,
    attribute::SEQUENCE_NUMBER,
    attribute::REASON,
    attribute::FAILURE,
];

#[derive(Debug, Error)]
pub enum ReadError {
    #[error("cannot read {table}: {}", cause(source))]
    Claim { table: String, source: Box<SdkError<GetItemError>> },
    #[error("cannot read {table}: {}", cause(source))]
    Entries { table: String, source: Box<SdkError<QueryError>> },
}

#[derive(Clone, Debug)]
pub struct LedgerReader {
    client: Client,
    names: TableNames,
}

impl LedgerReader {
    pub fn new(config: &aws_config::SdkConfig, names: TableNames) -> Self {
        Self { client: Client::new(config), names }
    }

    /// The claim of an event id, consistently read.
    pub async fn claim(&self, key: &ClaimKey) -> Result<Option<StoredClaim>, ReadError> {
        let request = self.client.get_item().table_name(&self.names.claims).consistent_read(true);
        let answer = request.set_key(Some(convert::to_attributes(claim_key_item(key)))).send().await;
        let answer =
            answer.map_err(|source| ReadError::Claim { table: self.names.claims.clone(), source: Box::new(source) })?;
        Ok(answer.item.map(|item| StoredClaim::from_item(&convert::to_item(item))))
    }

    /// Every entry of an event, conflicts included, in the order of their keys.
    ///
    /// The key begins with the time, so this reads the tenant's whole partition, page by page. What an entry holds of
    /// its body is left out.
    pub async fn entries(&self, key: &ClaimKey) -> Result<Vec<Item>, ReadError> {
        let (told, names) = convert::projection(&TOLD);
        let mut pages = self
            .client
            .query()
            .table_name(&self.names.entries)
            .consistent_read(true)
            .key_condition_expression("#0 = :tenant")
            .expression_attribute_values(":tenant", AttributeValue::S(key.tenant_id.to_string()))
            .projection_expression(told)
            .set_expression_attribute_names(Some(names))
            .into_paginator()
            .send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|source| ReadError::Entries { table: self.names.entries.clone(), source: Box::new(source) })?;
            let items = page.items.unwrap_or_default().into_iter().map(convert::to_item);
            // DynamoDB filters by no key attribute.
            entries.extend(items.filter(|item| is_of_event(item, key)));
        }
        Ok(entries)
    }
}

/// DynamoDB's own words, or what kept the request from it.
fn cause<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(error).to_string(),
    }
}

fn is_of_event(item: &Item, key: &ClaimKey) -> bool {
    EntryKey::from_item(item).is_some_and(|entry| entry.event_id() == key.event_id.as_str())
}
