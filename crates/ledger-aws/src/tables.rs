//! The processor's tables on DynamoDB: inserts by PartiQL, which fail by themselves where the key exists and need no
//! right to overwrite, and consistent reads.

use std::{borrow::Cow, collections::HashMap, future::Future, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        AttributeValue, BatchStatementError, BatchStatementErrorCodeEnum as Code, BatchStatementRequest,
        BatchStatementResponse, KeysAndAttributes,
    },
};
use ledger::{
    Item,
    ports::{Found, Inserted, Refusal, Table, Tables},
};

use crate::convert;

/// What the text of an insert takes with names of usual length; a longer one grows.
const STATEMENT_BYTES: usize = 256;

/// The two tables, by name.
#[derive(Clone, Debug)]
pub struct DynamoTables {
    client: Client,
    claims_table: String,
    entries_table: String,
}

impl DynamoTables {
    pub fn new(config: &aws_config::SdkConfig, claims_table: String, entries_table: String) -> Self {
        Self { client: Client::new(config), claims_table, entries_table }
    }

    fn name(&self, table: Table) -> &str {
        match table {
            Table::Claims => &self.claims_table,
            Table::Entries => &self.entries_table,
        }
    }
}

impl Tables for DynamoTables {
    async fn insert(&self, table: Table, items: Vec<Item>, budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        let count = items.len();
        let statements = items.into_iter().map(|item| insert_statement(self.name(table), item)).collect();
        let request = self.client.batch_execute_statement().set_statements(Some(statements));
        let answer = within(budget_ms, request.send()).await?;
        let responses = answer.responses.unwrap_or_default();
        if responses.len() != count {
            return Err(Refusal::transient("IncompleteAnswer"));
        }
        Ok(responses.into_iter().map(inserted).collect())
    }

    async fn read(&self, table: Table, keys: Vec<Item>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let name = self.name(table);
        let keys: Vec<_> = keys.into_iter().map(convert::to_attributes).collect();
        let request = KeysAndAttributes::builder().set_keys(Some(keys.clone())).consistent_read(true).build();
        let request = request.map_err(|_| Refusal::Content)?;
        let answer = within(budget_ms, self.client.batch_get_item().request_items(name, request).send()).await?;
        let mut items = answer.responses.and_then(|mut tables| tables.remove(name)).unwrap_or_default();
        let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(name));
        let unprocessed = unprocessed.map(|keys| keys.keys).unwrap_or_default();
        Ok(keys.iter().map(|key| found(key, &mut items, &unprocessed)).collect())
    }
}

fn insert_statement(table: &str, item: Item) -> BatchStatementRequest {
    let mut statement = String::with_capacity(STATEMENT_BYTES);
    statement.extend(["INSERT INTO \"", table, "\" VALUE {"]);
    let mut parameters = Vec::with_capacity(item.len());
    for (index, (name, attribute)) in item.into_iter().enumerate() {
        statement.extend([if index == 0 { "'" } else { ",'" }, &name, "':?"]);
        parameters.push(convert::to_attribute(attribute));
    }
    statement.push('}');
    BatchStatementRequest::builder()
        .statement(statement)
        .set_parameters(Some(parameters))
        .build()
        .expect("the statement is set")
}

fn inserted(response: BatchStatementResponse) -> Inserted {
    match response.error {
        None => Inserted::Done,
        Some(BatchStatementError { code: Some(Code::DuplicateItem), .. }) => Inserted::Exists,
        Some(BatchStatementError {
            code: Some(Code::ValidationError | Code::ItemCollectionSizeLimitExceeded), ..
        }) => Inserted::Refused(Refusal::Content),
        Some(BatchStatementError { code, .. }) => {
            let code = code.map_or(Cow::Borrowed("NoCode"), |code| Cow::Owned(code.as_str().to_owned()));
            Inserted::Refused(Refusal::Transient { code })
        }
    }
}

pub(crate) type Attributes = HashMap<String, AttributeValue>;

pub(crate) fn found(key: &Attributes, items: &mut Vec<Attributes>, unprocessed: &[Attributes]) -> Found {
    let has_key = |item: &Attributes| key.iter().all(|(name, value)| item.get(name) == Some(value));
    if let Some(at) = items.iter().position(has_key) {
        return Found::Item(convert::to_item(items.swap_remove(at)));
    }
    if unprocessed.iter().any(has_key) { Found::Unprocessed } else { Found::Absent }
}

/// Waits for a call no longer than its budget.
pub(crate) async fn within<T, E: ProvideErrorMetadata>(
    budget_ms: u64,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(Duration::from_millis(budget_ms), call).await {
        Err(_) => Err(Refusal::transient("Deadline")),
        Ok(answer) => answer.map_err(|error| refusal(&error)),
    }
}

/// What an error of a whole request means. The codes for a request at fault are matched by name: the SDK does
/// not model them for these operations.
pub(crate) fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Refusal {
    match error {
        SdkError::TimeoutError(_) => Refusal::transient("Timeout"),
        SdkError::DispatchFailure(_) => Refusal::transient("Dispatch"),
        _ => match error.code() {
            Some("ValidationException" | "SerializationException") => Refusal::Content,
            Some(code) => Refusal::Transient { code: Cow::Owned(code.to_owned()) },
            None => Refusal::transient("NoCode"),
        },
    }
}
