//! The services behind the endpoint, one module each, and the wire protocols they are spoken in.

pub mod cloudwatch;
pub mod dynamodb;
pub mod emf;
pub mod sns;
pub mod sqs;
pub mod wire;
