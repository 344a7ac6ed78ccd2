//! Functions and the registry of those deployed: one invocation, within its time limit.
//!
//! What a function does is its own; how a real binary is run is `process`'s, and when a mapping invokes is `mappings`'.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    lambda::{
        invocation::{FunctionError, Invocation, RESPONSE_BYTES_MAX},
        process::Process,
    },
    state::now_ms,
};

/// What a handler in this process returns.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, FunctionError>> + Send>>;

/// A handler in this process.
pub type Handler = Arc<dyn Fn(Invocation) -> HandlerFuture + Send + Sync>;

/// A deployed function.
pub struct Function {
    pub name: String,
    pub timeout: Duration,
    /// What the function was deployed with, as the API shows it; `code` has its own way to it.
    pub environment: BTreeMap<String, String>,
    pub code: Code,
}

/// Where a function's code runs.
pub enum Code {
    InProcess(Handler),
    /// A real binary that speaks to the Runtime API.
    Process(Process),
}

impl Function {
    /// A function whose handler runs in this process.
    pub fn in_process<F, Fut>(name: impl Into<String>, timeout: Duration, handler: F) -> Self
    where
        F: Fn(Invocation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<u8>, FunctionError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |invocation| Box::pin(handler(invocation)));
        Self { name: name.into(), timeout, environment: BTreeMap::new(), code: Code::InProcess(handler) }
    }
}

/// All deployed functions by name.
#[derive(Default)]
pub struct Functions {
    by_name: RwLock<BTreeMap<String, Arc<Function>>>,
}

impl Functions {
    /// Deploys a function, in place of one of the same name.
    pub fn deploy(&self, function: Function) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(function.name.clone(), Arc::new(function));
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Function>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All functions by name.
    pub fn all(&self) -> Vec<Arc<Function>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Removes all functions and kills their processes.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.by_name.write().unwrap_or_else(PoisonError::into_inner));
        for function in all.into_values() {
            if let Code::Process(process) = &function.code {
                process.stop().await;
            }
        }
    }
}

/// Runs a function to its end or its time limit.
pub async fn invoke(function: &Function, payload: Vec<u8>) -> Result<Vec<u8>, FunctionError> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let deadline_ms = now_ms() + function.timeout.as_millis() as u64;
    let invocation = Invocation { request_id: request_id.clone(), payload, timeout: function.timeout, deadline_ms };
    match &function.code {
        Code::InProcess(handler) => {
            // A task of its own, so that a panic is a function error and nothing else. It ends with the set.
            let mut task = JoinSet::new();
            task.spawn(handler(invocation));
            match tokio::time::timeout(function.timeout, task.join_next()).await {
                Ok(Some(Ok(Ok(answer)))) if answer.len() > RESPONSE_BYTES_MAX => Err(FunctionError::ResponseTooLarge),
                Ok(Some(Ok(answer))) => answer,
                Ok(Some(Err(panic))) => Err(FunctionError::Exited { request_id, how: format!("with error: {panic}") }),
                Ok(None) => unreachable!("a task was spawned"),
                Err(_) => Err(FunctionError::TimedOut { request_id, limit: function.timeout }),
            }
        }
        Code::Process(process) => process.invoke(invocation).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_handler_is_a_function_error() {
        let function = Function::in_process("f", Duration::from_secs(1), |_| async { panic!("oh") });
        assert!(matches!(invoke(&function, vec![]).await, Err(FunctionError::Exited { .. })));
    }

    #[tokio::test]
    async fn a_handler_without_an_answer_times_out() {
        let function = Function::in_process("f", Duration::ZERO, |_| std::future::pending());
        assert!(matches!(invoke(&function, vec![]).await, Err(FunctionError::TimedOut { .. })));
    }
}
