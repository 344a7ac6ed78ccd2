//! The services behind the endpoint, one module each, and the wire protocols they are spoken in.

pub(crate) mod cloudwatch;
pub(crate) mod dynamodb;
pub(crate) mod emf;
pub(crate) mod sns;
pub(crate) mod sqs;
pub(crate) mod wire;
