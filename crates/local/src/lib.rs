//! The one-command local cloud: enough of SQS, DynamoDB with Streams, SNS, CloudWatch and Lambda on loopback for the
//! AWS SDKs and the AWS CLI, with the deployment of this project in it.
//!
//! [`Cloud::start`] is the way in. `endpoint` routes a request, `service` decodes and answers it, `lambda` runs functions
//! and moves messages and records to them, `deployment` says what exists, `command` is what a person starts. No
//! permissions, no signatures checked, one account, one region.

pub mod cloud;
pub mod command;
mod data_directory;
pub mod deployment;
mod endpoint;
pub mod lambda;
mod loopback;
mod page;
pub mod reconciliation;
mod service;
mod services;
pub mod state;

pub use cloud::{Cloud, Options, StartError};
pub use lambda::{
    function::Function,
    invocation::{FunctionError, Invocation},
};
pub use services::Services;
