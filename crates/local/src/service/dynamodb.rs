//! DynamoDB and its Streams: `dynoxide` embedded, behind a loopback port of its own, because its router is private.
//!
//! Requests and answers are forwarded nearly untouched. `dynoxide` has its own name and an account built into ARNs, and
//! its streams differ from AWS's in what [`streams`] puts right. The stream mapping, the page and the deployment use
//! the database handle directly. What the database does with a request is entirely `dynoxide`'s business.

mod streams;

use std::{future::Future, path::Path, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response, header},
};
use cloudsim::{Account, deployment::TTL_ATTRIBUTE, mapping::StreamRecord};
use dynoxide::{AttributeValue, Database, DynoxideError};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ledger::{Attribute, Item};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};
use tokio::{
    net::TcpListener,
    sync::{RwLock, RwLockWriteGuard},
};

use self::streams::UnchangedWrites;

use crate::service::wire::{ApiError, json as wire_json};

/// How often expired items are deleted; on AWS it takes up to days.
pub(crate) const TTL_SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Records read from a stream at a time, the limit of `GetRecords`.
const RECORDS_MAX: usize = 1_000;

/// Bytes of an answer; DynamoDB's `BatchGetItem` returns up to 16 MB, which JSON makes longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Region and account in the ARNs of `dynoxide`.
const BUILT_IN_OWNER: &str = "dynoxide:000000000000";

/// How member names begin that `serde_json` takes for a number or for raw JSON in disguise. `dynoxide` reads bodies and
/// stored items with it, and would refuse an item with such a name.
const PRIVATE_NAME: &str = "$serde_json::private::";

/// Operations whose bodies hold ARNs and no items, so that text may be replaced in them.
const ARN_OPERATIONS: [&str; 10] = [
    "CreateTable",
    "DeleteTable",
    "DescribeTable",
    "UpdateTable",
    "TagResource",
    "UntagResource",
    "ListTagsOfResource",
    "ListStreams",
    "DescribeStream",
    "GetShardIterator",
];

/// Operations that may write to a table.
const WRITES: [&str; 10] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "ExecuteStatement",
    "BatchExecuteStatement",
    "ExecuteTransaction",
    "CreateTable",
    "DeleteTable",
];

/// The embedded database and the way to its HTTP side.
pub struct DynamoDb {
    database: Database,
    /// Held by each request; see [`DynamoDb::idle`].
    busy: RwLock<()>,
    unchanged_writes: UnchangedWrites,
    backend: String,
    client: Client<HttpConnector, Body>,
    region: String,
    /// Region and account, as in an ARN.
    owner: String,
}

/// Why the database did not start.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    #[error("cannot open the database")]
    Open(#[source] DynoxideError),
    #[error("cannot prepare the database")]
    Prepare(#[from] rusqlite::Error),
    #[error("cannot delete the tables")]
    Delete(#[from] DynoxideError),
    #[error("cannot listen on a loopback port")]
    Listen(#[source] std::io::Error),
}

impl DynamoDb {
    /// Opens the database, in memory or in a file, and serves it on a loopback port until `shutdown`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or there is no free port.
    pub async fn start(
        file: Option<&Path>,
        account: &Account,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, DynamoDbError> {
        let (database, unchanged_writes) = open(file)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(DynamoDbError::Listen)?;
        // Accepted sockets inherit it; without it a request takes 18 ms instead of 0.7 ms.
        socket2::SockRef::from(&listener).set_tcp_nodelay(true).map_err(DynamoDbError::Listen)?;
        let backend = format!("http://{}/", listener.local_addr().map_err(DynamoDbError::Listen)?);
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), shutdown));

        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let owner = format!("{}:{}", account.region, account.id);
        let region = account.region.clone();
        Ok(Self { database, unchanged_writes, busy: RwLock::default(), backend, client, region, owner })
    }

    /// Forwards one request; says also whether it may have written.
    pub async fn forward(&self, operation: &str, headers: &HeaderMap, body: Bytes) -> (Response<Body>, bool) {
        let _busy = self.busy.read().await;
        let written = WRITES.contains(&operation);
        let answer = self.exchange(operation, headers, body).await;
        let answer = answer.unwrap_or_else(|error| match error {
            ForwardError::Refused(refusal) => wire_json::encode(Err(refusal)),
            error => wire_json::encode(Err(ApiError::internal(error.to_string()))),
        });
        (answer, written)
    }

    /// Creates a table with its time to live, unless there is one of that name.
    pub fn create_table_if_absent(&self, definition: Value) -> Result<(), DynoxideError> {
        let name = definition["TableName"].clone();
        let existing = self.database.list_tables(request(json!({}))?)?.table_names;
        if existing.iter().any(|table| name == table.as_str()) {
            return Ok(());
        }
        self.database.create_table(request(definition)?)?;
        self.unchanged_writes.watch_all_tables()?;
        let ttl = json!({"AttributeName": TTL_ATTRIBUTE, "Enabled": true});
        self.database.update_time_to_live(request(json!({"TableName": name, "TimeToLiveSpecification": ttl}))?)?;
        Ok(())
    }

    /// Waits until no request is running, and keeps others back.
    pub async fn idle(&self) -> RwLockWriteGuard<'_, ()> {
        self.busy.write().await
    }

    /// Deletes all tables, those too that are protected from it, and all stream records, which `dynoxide` keeps.
    pub fn delete_tables(&self) -> Result<(), DynamoDbError> {
        loop {
            let names = self.database.list_tables(request(json!({}))?)?.table_names;
            if names.is_empty() {
                break;
            }
            for name in names {
                let unprotected = json!({"TableName": name, "DeletionProtectionEnabled": false});
                let table = || request(json!({"TableName": name}));
                if self.database.delete_table(table()?).is_err() {
                    self.database.update_table(request(unprotected)?)?;
                    self.database.delete_table(table()?)?;
                }
            }
        }
        Ok(self.unchanged_writes.forget_deleted_tables()?)
    }

    /// The ARN of a table's stream.
    pub fn stream_arn(&self, table: &str) -> Result<String, DynoxideError> {
        let description = self.database.describe_table(request(json!({"TableName": table}))?)?.table;
        Ok(owned_by(&description.latest_stream_arn.unwrap_or_default(), BUILT_IN_OWNER, &self.owner))
    }

    /// The id of the one shard a table's stream has.
    pub fn shard_id(table: &str) -> String {
        streams::shard_id(table)
    }

    /// Reads up to 1,000 records after a sequence number, or from the oldest one, as Lambda sees them once their text went
    /// through [`reveal`]. Until then a snapshot can hold them.
    pub fn stream_records(&self, stream_arn: &str, after: Option<&str>) -> Result<Vec<StreamRecord>, DynoxideError> {
        let table = stream_arn.split('/').nth(1).unwrap_or_default();
        let iterator = json!({
            "StreamArn": stream_arn,
            "ShardId": dynoxide::streams::shard_id(table),
            "ShardIteratorType": if after.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" },
            "SequenceNumber": after,
        });
        let iterator = self.database.get_shard_iterator(request(iterator)?)?.shard_iterator;
        let page = self.database.get_records(request(json!({"ShardIterator": iterator, "Limit": RECORDS_MAX}))?)?;
        page.records.into_iter().map(|record| self.stream_record(stream_arn, record)).collect()
    }

    /// All items of a table.
    pub fn scan(&self, table: &str) -> Result<Vec<Item>, DynoxideError> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let scan = json!({"TableName": table, "ConsistentRead": true, "ExclusiveStartKey": as_json(&start)?});
            let page = self.database.scan(request(scan)?)?;
            items.extend(page.items.unwrap_or_default().into_iter().map(to_item));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// The first page of a `Query`.
    pub fn query(&self, query: Value) -> Result<Vec<Item>, DynoxideError> {
        let page = self.database.query(request(query)?)?;
        Ok(page.items.unwrap_or_default().into_iter().map(to_item).collect())
    }

    /// Deletes what has expired and says how many items that were.
    pub async fn sweep_ttl(&self) -> usize {
        let _busy = self.busy.read().await;
        let database = self.database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(count)) => return count,
            Ok(Err(error)) => tracing::warn!(%error, "expired items were not deleted"),
            Err(error) => tracing::error!(%error, "deleting expired items panicked"),
        }
        0
    }

    fn stream_record(
        &self,
        stream_arn: &str,
        mut record: dynoxide::actions::get_records::Record,
    ) -> Result<StreamRecord, DynoxideError> {
        record.aws_region.clone_from(&self.region);
        record.dynamodb.size_bytes = streams::size_bytes(&record.dynamodb);
        let mut as_seen = as_json(&record)?;
        as_seen["eventSourceARN"] = json!(stream_arn);
        Ok(StreamRecord {
            sequence_number: record.dynamodb.sequence_number,
            event_name: record.event_name,
            created_ms: (record.dynamodb.approximate_creation_date_time * 1_000.0) as u64,
            record: as_seen,
        })
    }

    async fn exchange(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, ForwardError> {
        let body = match std::str::from_utf8(&body) {
            Ok(text) => self.prepare(operation, text)?.map_or(body.clone(), Bytes::from),
            Err(_) => body,
        };
        let mut request = Request::post(&self.backend).body(Body::from(body))?;
        for (name, value) in headers.iter().filter(|(name, _)| !is_per_connection(name)) {
            request.headers_mut().append(name, value.clone());
        }
        let (mut head, body) = self.client.request(request).await?.into_parts();
        let body = axum::body::to_bytes(Body::new(body), ANSWER_BYTES_MAX).await?;
        head.headers.remove(header::CONTENT_LENGTH);
        // Of the body before it is rewritten; boto3 checks it, and takes its absence.
        head.headers.remove("x-amz-crc32");
        match operation {
            "CreateTable" if head.status.is_success() => self.unchanged_writes.watch_all_tables()?,
            "DeleteTable" if head.status.is_success() => self.unchanged_writes.forget_deleted_tables()?,
            _ => {}
        }
        let restored = std::str::from_utf8(&body).ok().and_then(|text| self.restore(operation, text));
        Ok(Response::from_parts(head, restored.map_or(Body::from(body), Body::from)))
    }

    fn prepare(&self, operation: &str, text: &str) -> Result<Option<String>, ApiError> {
        if ARN_OPERATIONS.contains(&operation) {
            let prepared = streams::prepare(operation, text)?;
            return Ok(Some(owned_by(prepared.as_deref().unwrap_or(text), &self.owner, BUILT_IN_OWNER)));
        }
        Ok(text.contains(PRIVATE_NAME).then(|| hide(text)))
    }

    fn restore(&self, operation: &str, text: &str) -> Option<String> {
        if operation == "GetRecords" {
            return streams::restore_records(text, &self.region).map(|text| reveal(&text));
        }
        if ARN_OPERATIONS.contains(&operation) {
            let text = owned_by(text, BUILT_IN_OWNER, &self.owner);
            return Some(streams::restore(operation, &text).unwrap_or(text));
        }
        text.contains(PRIVATE_NAME).then(|| reveal(text))
    }
}

/// Makes text from the database's handle what it was before [`hide`].
pub(crate) fn reveal(text: &str) -> String {
    text.replace(&hide(PRIVATE_NAME), PRIVATE_NAME)
}

/// Makes `dynoxide` take [`PRIVATE_NAME`] for text; whatever followed it, [`reveal`] undoes it.
fn hide(text: &str) -> String {
    text.replace(PRIVATE_NAME, &format!("{PRIVATE_NAME}~"))
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the request cannot be forwarded")]
    Request(#[from] axum::http::Error),
    #[error("the database did not answer")]
    Exchange(#[from] hyper_util::client::legacy::Error),
    #[error("the database's answer broke off")]
    Body(#[from] axum::Error),
    #[error("the streams of made or deleted tables cannot be put right")]
    Watch(#[from] rusqlite::Error),
    #[error(transparent)]
    Refused(#[from] ApiError),
}

fn open(file: Option<&Path>) -> Result<(Database, UnchangedWrites), DynamoDbError> {
    let name = match file {
        // In memory, but with a name under which a second connection finds it.
        None => format!("file:/{}?vfs=memdb", uuid::Uuid::new_v4()),
        Some(file) => file.to_string_lossy().into_owned(),
    };
    let database = Database::new(&name).map_err(DynamoDbError::Open)?;
    // The name hides what is wanted: PRAGMA synchronous = NORMAL. With the write-ahead log a crash cannot corrupt the
    // file, and a commit does not wait for the disk.
    database.disable_bulk_loading().map_err(DynamoDbError::Open)?;
    let connection = rusqlite::Connection::open(&name)?;
    index_stream_records(&connection)?;
    Ok((database, UnchangedWrites::start(connection)?))
}

/// Gives the stream records an index. At every write `dynoxide` asks for the highest sequence number, and without an
/// index that reads all records there have ever been.
fn index_stream_records(database: &rusqlite::Connection) -> Result<(), rusqlite::Error> {
    database.execute_batch(
        "CREATE INDEX IF NOT EXISTS stream_records_in_order
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )
}

fn request<T: DeserializeOwned>(value: Value) -> Result<T, DynoxideError> {
    serde_json::from_value(value).map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn as_json(answer: &impl serde::Serialize) -> Result<Value, DynoxideError> {
    serde_json::to_value(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

fn owned_by(text: &str, from: &str, to: &str) -> String {
    text.replace(&format!("arn:aws:dynamodb:{from}:"), &format!("arn:aws:dynamodb:{to}:"))
}

fn is_per_connection(name: &header::HeaderName) -> bool {
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT].contains(name)
}

/// An item as the domain knows it; attributes of types that nothing of ours writes are left out.
fn to_item(item: dynoxide::Item) -> Item {
    item.into_iter().filter_map(|(name, value)| Some((reveal(&name), to_attribute(value)?))).collect()
}

fn to_attribute(value: AttributeValue) -> Option<Attribute> {
    match value {
        AttributeValue::S(text) => Some(Attribute::S(reveal(&text))),
        AttributeValue::N(number) => Some(Attribute::N(number)),
        AttributeValue::B(bytes) => Some(Attribute::B(bytes)),
        AttributeValue::M(members) => members_to_json(members).map(Attribute::M),
        _ => None,
    }
}

fn to_json(value: AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::NULL(_) => Some(Value::Null),
        AttributeValue::BOOL(flag) => Some(Value::Bool(flag)),
        AttributeValue::N(number) => number.parse::<Number>().ok().map(Value::Number),
        AttributeValue::S(text) => Some(Value::String(reveal(&text))),
        AttributeValue::L(items) => items.into_iter().map(to_json).collect::<Option<_>>().map(Value::Array),
        AttributeValue::M(members) => members_to_json(members).map(Value::Object),
        _ => None,
    }
}

fn members_to_json(members: impl IntoIterator<Item = (String, AttributeValue)>) -> Option<Map<String, Value>> {
    members.into_iter().map(|(name, value)| Some((reveal(&name), to_json(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_revealed_whatever_follows_it() {
        for end in ["Number", "RawValue", "~", "~~", "", "\":{"] {
            let text = format!("{PRIVATE_NAME}{end}{PRIVATE_NAME}");
            assert_eq!(reveal(&hide(&text)), text);
        }
    }
}
