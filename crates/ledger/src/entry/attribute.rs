//! Names of the attributes, as the tables and the index know them.

pub const TENANT_ID: &str = "tenant_id";
pub const SK: &str = "sk";
pub const EVENT_TYPE: &str = "event_type";
pub const STATUS: &str = "status";
pub const ROUTE: &str = "route";
pub const PAYLOAD: &str = "payload";
pub const RETRIES: &str = "retries";
pub const REASON: &str = "reason";
pub const TTL: &str = "ttl";
pub const TENANT_ID_CREATED_AT: &str = "tenant_id_created_at";
pub const INGESTED_AT: &str = "ingested_at";
pub const SEQUENCE_NUMBER: &str = "sequence_number";
pub const FAILURE: &str = "failure";
pub const SCHEMA: &str = "schema";
pub const RAW: &str = "raw";
pub const RAW_LENGTH: &str = "raw_length";
pub const EXTENSIONS: &str = "extensions";
pub const ATTRIBUTED_BY: &str = "attributed_by";
pub const REVALIDATED_AT: &str = "revalidated_at";
pub const PK: &str = "pk";
pub const CREATED_AT: &str = "created_at";
pub const CONTENT_SHA256: &str = "content_sha256";
pub const CONFLICT_CREATED_AT: &str = "conflict_created_at";
