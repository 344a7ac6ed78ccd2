//! Streams as AWS has them, where `dynoxide`'s are not so: a write that changes nothing leaves no record, a shard's id
//! has 28 to 65 characters, an open shard has no last sequence number, only a shard that is there has iterators, and a
//! record says its size and its region.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dynoxide::{Item, actions::get_records::StreamRecord, types::item_size};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::service::wire::ApiError;

/// Characters of a shard's id. (DynamoDB Streams API reference, `Shard`.)
const SHARD_ID_LENGTH_MIN: usize = 28;
const SHARD_ID_LENGTH_MAX: usize = 65;

/// Leaves out the stream record of a write that changed nothing: before an item is written, a trigger on its table
/// compares it with the one there, and another one on the stream's records looks at the outcome. They are triggers
/// because nothing but the database sees the old item and the new one at once, whatever the stream shows of them.
const TRIGGERS: &str = "
    CREATE TABLE IF NOT EXISTS _unchanged_write (table_name TEXT PRIMARY KEY);
    CREATE TRIGGER IF NOT EXISTS _no_record_of_an_unchanged_write BEFORE INSERT ON _stream_records
    WHEN NEW.event_name = 'MODIFY' AND NEW.table_name IN (SELECT table_name FROM _unchanged_write)
    BEGIN SELECT RAISE(IGNORE); END;
";

/// The second connection to the database, which makes the triggers.
pub(super) struct UnchangedWrites(Mutex<Connection>);

impl UnchangedWrites {
    /// Watches the tables that are there.
    pub(super) fn start(connection: Connection) -> Result<Self, rusqlite::Error> {
        connection.execute_batch(TRIGGERS)?;
        let watch = Self(Mutex::new(connection));
        watch.watch_all_tables()?;
        Ok(watch)
    }

    /// Forgets the stream records of tables that are deleted: the database keeps them, and a new table of the same name
    /// would have them.
    pub(super) fn forget_deleted_tables(&self) -> Result<(), rusqlite::Error> {
        self.lock()
            .execute_batch("DELETE FROM _stream_records WHERE table_name NOT IN (SELECT table_name FROM _tables)")
    }

    /// Watches every table that is not watched yet.
    pub(super) fn watch_all_tables(&self) -> Result<(), rusqlite::Error> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT table_name FROM _tables")?;
        let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        // Names of tables hold letters, digits, `_`, `-` and `.`.
        for table in tables {
            connection.execute_batch(&format!(
                "CREATE TRIGGER IF NOT EXISTS \"_compare_{table}\" BEFORE INSERT ON \"{table}\" BEGIN
                     DELETE FROM _unchanged_write;
                     INSERT INTO _unchanged_write SELECT '{table}' FROM \"{table}\" old
                     WHERE old.pk = NEW.pk AND old.sk = NEW.sk AND old.item_size = NEW.item_size
                     AND NOT EXISTS ({old} EXCEPT {new}) AND NOT EXISTS ({new} EXCEPT {old});
                 END",
                old = values_of("old.item_json"),
                new = values_of("NEW.item_json"),
            ))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Selects every value in an item with its place; the values of a set have all the same one.
fn values_of(item: &str) -> String {
    let is_in_set = "typeof(key) = 'integer' AND path NOT GLOB '*.L'";
    format!("SELECT iif({is_in_set}, path, fullkey), type, atom FROM json_tree({item})")
}

/// The id of the one shard that a table's stream has. The database's own holds the table's name, which may be too short
/// or too long for it.
pub(super) fn shard_id(table: &str) -> String {
    let id = dynoxide::streams::shard_id(table);
    format!("{:-<SHARD_ID_LENGTH_MIN$}", &id[..id.len().min(SHARD_ID_LENGTH_MAX)])
}

/// Puts the database's id of a shard into a request; `None` leaves the request as it is.
pub(super) fn prepare(operation: &str, text: &str) -> Result<Option<String>, ApiError> {
    if !["GetShardIterator", "DescribeStream"].contains(&operation) {
        return Ok(None);
    }
    // A malformed request is for the database to refuse.
    let Ok(mut request) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    let stream = request["StreamArn"].as_str().unwrap_or_default().to_owned();
    let table = stream.split('/').nth(1).unwrap_or_default();
    let (own, builtin) = (shard_id(table), dynoxide::streams::shard_id(table));
    for member in ["ShardId", "ExclusiveStartShardId"] {
        let Some(asked) = request.get(member).and_then(Value::as_str) else { continue };
        if asked != own {
            let message = format!("Requested resource not found: Shard {asked} of {stream}");
            return Err(ApiError::bad_request("ResourceNotFoundException", message));
        }
        request[member] = json!(builtin);
    }
    Ok(Some(request.to_string()))
}

/// Puts an answer about shards right; `None` leaves it as it is.
pub(super) fn restore(operation: &str, text: &str) -> Option<String> {
    if operation != "DescribeStream" {
        return None;
    }
    let mut answer: Value = serde_json::from_str(text).ok()?;
    let table = answer["StreamDescription"]["TableName"].as_str()?.to_owned();
    for shard in answer["StreamDescription"]["Shards"].as_array_mut()? {
        shard["ShardId"] = json!(shard_id(&table));
        shard["SequenceNumberRange"].as_object_mut()?.remove("EndingSequenceNumber");
    }
    Some(answer.to_string())
}

/// Puts region, size and user identity in a `GetRecords` answer right; `None` leaves it as it is.
pub(super) fn restore_records(text: &str, region: &str) -> Option<String> {
    let mut answer: Value = serde_json::from_str(text).ok()?;
    for record in answer["Records"].as_array_mut()? {
        record["awsRegion"] = json!(region);
        let image = |name: &str| Item::deserialize(record["dynamodb"].get(name)?).ok();
        let images = StreamRecord {
            keys: image("Keys")?,
            new_image: image("NewImage"),
            old_image: image("OldImage"),
            ..StreamRecord::default()
        };
        record["dynamodb"]["SizeBytes"] = json!(size_bytes(&images));
        if let Some(identity) = record.get_mut("userIdentity") {
            // `GetRecords` spells it unlike Lambda.
            *identity = json!({"Type": identity["type"], "PrincipalId": identity["principalId"]});
        }
    }
    Some(answer.to_string())
}

/// Counts the bytes of names and values in keys and images.
pub(super) fn size_bytes(record: &StreamRecord) -> i64 {
    let images = [Some(&record.keys), record.new_image.as_ref(), record.old_image.as_ref()];
    images.into_iter().flatten().map(item_size).sum::<usize>() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_id_has_28_to_65_characters_whatever_the_table_is_called() {
        for (table, id) in [
            ("orders", "shardId-00000001-orders-----"),
            ("event-processor-events", "shardId-00000001-event-processor-events"),
            (&"x".repeat(255), &format!("shardId-00000001-{}", "x".repeat(48))),
        ] {
            assert_eq!(shard_id(table), id);
        }
    }
}
