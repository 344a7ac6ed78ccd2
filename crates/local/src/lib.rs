//! The one-command local cloud: enough of SQS, DynamoDB with Streams, SNS, CloudWatch and Lambda on loopback for the
//! AWS SDKs and the AWS CLI, with the deployment of this project in it.
//!
//! [`Cloud::start`] is the way in. `endpoint` routes a request, `service` decodes and answers it, `lambda` runs functions
//! and moves messages and records to them, and `command` is what a person starts. [`cloudsim::deployment`] says what is
//! deployed. There are no permissions, signatures are not checked, and there is one account in one region.

pub mod cloud;
pub mod command;
mod data_directory;
mod endpoint;
pub mod lambda;
mod loopback;
mod page;
pub mod reconciliation;
mod service;
mod services;
pub mod state;

pub use cloud::{Cloud, Options, StartError};
pub use cloudsim::deployment::Role;
pub use lambda::{
    function::Function,
    invocation::{FunctionError, Invocation},
    schedule::tick,
};
pub use services::Services;
