//! The one-command local cloud: enough of SQS, DynamoDB with Streams, SNS, CloudWatch and Lambda on loopback for the
//! AWS SDKs and the AWS CLI, with the deployment of this project in it.
//!
//! [`Cloud::start`] is the way in. The rooms: `endpoint` routes a request, `wire` decodes it, one module per service
//! answers it, `mappings` moves messages and records to functions, `deployment` says what exists. No permissions,
//! no signatures checked, one account, one region.

pub mod books;
pub mod cloud;
mod cloudwatch;
pub mod command_line;
mod data_directory;
pub mod deployment;
mod dynamodb;
mod emf;
mod endpoint;
pub mod functions;
pub mod lambda;
mod mappings;
mod page;
pub mod process;
mod report;
pub mod run;
pub mod runtime_api;
mod sns;
mod sqs;
pub mod traffic;
mod wire;
pub mod world;

pub use cloud::{Cloud, Options, Services, StartError};
pub use lambda::{Function, FunctionError, Invocation};
