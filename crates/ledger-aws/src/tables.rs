//! The processor's tables on DynamoDB: inserts by PartiQL, which fail by themselves where the key exists and need no
//! right to overwrite, and consistent reads.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    error::Error,
    future::Future,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::batch_get_item::BatchGetItemOutput,
    types::{
        AttributeValue, BatchStatementError, BatchStatementErrorCodeEnum as Code, BatchStatementRequest,
        BatchStatementResponse, KeysAndAttributes,
    },
};
use ledger::{
    Item,
    entry::COMPARED,
    names::Project,
    ports::{Found, Inserted, Refusal, Table, Tables},
};
use tracing::warn;

use crate::convert;

/// What the text of an insert takes with names of usual length; a longer one grows.
const STATEMENT_BYTES: usize = 256;

/// The names of the processor's tables.
#[derive(Clone, Debug)]
pub struct TableNames {
    pub claims: String,
    pub entries: String,
}

#[derive(Clone, Debug)]
pub struct DynamoTables {
    client: Client,
    names: TableNames,
}

impl DynamoTables {
    pub fn new(config: &aws_config::SdkConfig, names: TableNames) -> Self {
        Self { client: Client::new(config), names }
    }
}

impl From<&Project> for TableNames {
    fn from(project: &Project) -> Self {
        Self { claims: project.idempotency_table(), entries: project.events_table() }
    }
}

impl TableNames {
    fn of(&self, table: Table) -> &str {
        match table {
            Table::Claims => &self.claims,
            Table::Entries => &self.entries,
        }
    }
}

impl Tables for DynamoTables {
    async fn insert(&self, table: Table, items: Vec<Item>, budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        let count = items.len();
        let statements = items.into_iter().map(|item| insert_statement(self.names.of(table), item)).collect();
        let request = self.client.batch_execute_statement().set_statements(Some(statements));
        let answer = within(budget_ms, request.send()).await?;
        let responses = answer.responses.unwrap_or_default();
        if responses.len() != count {
            return Err(Refusal::transient("IncompleteAnswer"));
        }
        warn_of_refused(self.names.of(table), &responses);
        Ok(responses.into_iter().map(inserted).collect())
    }

    async fn read(&self, table: Table, keys: Vec<Item>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let attributes: Option<&[&str]> = match table {
            Table::Claims => None,
            Table::Entries => Some(&COMPARED),
        };
        let name = self.names.of(table);
        let keys: Vec<_> = keys.into_iter().map(convert::to_attributes).collect();
        let request = consistent_read(&keys, attributes)?;
        let call = self.client.batch_get_item().request_items(name, request).send();
        Ok(found(name, &keys, within(budget_ms, call).await?))
    }
}

/// What a `BatchGetItem` asks of one table: whole items, or some attributes, keys among them.
pub(crate) fn consistent_read(keys: &[Attributes], attributes: Option<&[&str]>) -> Result<KeysAndAttributes, Refusal> {
    let (projection, names) = attributes.map(convert::projection).unzip();
    let request = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true);
    let request = request.set_projection_expression(projection).set_expression_attribute_names(names);
    request.build().map_err(|_| Refusal::Content)
}

/// What a `BatchGetItem` answers of one table, in the order of the keys.
pub(crate) fn found(table: &str, keys: &[Attributes], answer: BatchGetItemOutput) -> Vec<Found> {
    let mut items = answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
    let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table));
    let unprocessed = unprocessed.map(|keys| keys.keys).unwrap_or_default();
    let find = |key: &Attributes| {
        let has_key = |item: &Attributes| key.iter().all(|(name, value)| item.get(name) == Some(value));
        match items.iter().position(has_key) {
            Some(at) => Found::Item(convert::to_item(items.swap_remove(at))),
            None if unprocessed.iter().any(has_key) => Found::Unprocessed,
            None => Found::Absent,
        }
    };
    keys.iter().map(find).collect()
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
        Some(BatchStatementError { code: Some(Code::ValidationError), .. }) => Inserted::Refused(Refusal::Content),
        Some(BatchStatementError { code, .. }) => {
            let code = code.map_or(NO_CODE, |code| Cow::Owned(code.as_str().to_owned()));
            Inserted::Refused(Refusal::Transient { code })
        }
    }
}

/// One line for the statements of a call that DynamoDB refused; a key that exists is no refusal.
fn warn_of_refused(table: &str, responses: &[BatchStatementResponse]) {
    let errors = responses.iter().filter_map(|response| response.error.as_ref());
    let refused: Vec<_> = errors.filter(|error| error.code != Some(Code::DuplicateItem)).collect();
    let Some(first) = refused.first() else { return };
    let codes: BTreeSet<_> = refused.iter().map(|error| error.code.as_ref().map_or("NoCode", Code::as_str)).collect();
    // DynamoDB's words on the first that does not quote values.
    let quotable = refused.iter().find(|error| error.code != Some(Code::ValidationError)).unwrap_or(first);
    let message = words(quotable.code.as_ref().map(Code::as_str), quotable.message.as_deref());
    warn!(table, refused = refused.len(), ?codes, message, "DynamoDB refused statements of a call");
}

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// Bytes of AWS's words in a line: who may not do what, with two ARNs.
const WORDS_BYTES_MAX: usize = 1_024;

const NO_CODE: Cow<'static, str> = Cow::Borrowed("NoCode");

/// Codes of AWS for a request at fault. Its words on it can quote what it was sent, which no log may hold (G11).
const AT_FAULT: [&str; 4] =
    ["ValidationException", "SerializationException", "ValidationError", "IdempotentParameterMismatchException"];

/// AWS's words on an error, where they quote no value.
fn words<'w>(code: Option<&str>, message: Option<&'w str>) -> &'w str {
    let words = message.filter(|_| code.is_some_and(|code| !AT_FAULT.contains(&code))).unwrap_or_default();
    &words[..words.floor_char_boundary(WORDS_BYTES_MAX)]
}

/// Waits for a call no longer than its budget; what its error means is said.
pub(crate) async fn within<T, E: ProvideErrorMetadata + Error + 'static>(
    budget_ms: u64,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Refusal> {
    answered(budget_ms, call).await?.map_err(|error| refusal(&error))
}

/// The same, for callers to whom an error of the call can be an answer.
pub(crate) async fn answered<T, E>(
    budget_ms: u64,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<Result<T, SdkError<E>>, Refusal> {
    tokio::time::timeout(Duration::from_millis(budget_ms), call).await.map_err(|_| {
        warn!(error = operation::<E>(), budget_ms, "call of AWS not answered in time");
        Refusal::transient("Deadline")
    })
}

/// What an error of a whole request means; says in one line what AWS, or the way to it, had to say. The codes for a request
/// at fault are matched by name: the SDK does not model them for these operations.
pub(crate) fn refusal<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Refusal {
    let refusal = match error {
        SdkError::TimeoutError(_) => Refusal::transient("Timeout"),
        SdkError::DispatchFailure(_) => Refusal::transient("Dispatch"),
        _ => match error.code() {
            Some(code) if AT_FAULT.contains(&code) => Refusal::Content,
            Some(code) => Refusal::Transient { code: Cow::Owned(code.to_owned()) },
            None => Refusal::Transient { code: NO_CODE },
        },
    };
    let status = error.raw_response().map(|response| response.status().as_u16());
    // An answer that cannot be read could be quoted by what says so.
    let cause = match status {
        None => causes(error),
        Some(_) => words(error.code(), error.message()).to_owned(),
    };
    warn!(error = operation::<E>(), code = error.code(), status, cause, "call of AWS failed");
    refusal
}

/// An error and what caused it, one after the other.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The operation that failed, as the SDK names its error.
fn operation<E>() -> &'static str {
    std::any::type_name::<E>().rsplit("::").next().unwrap_or_default()
}
