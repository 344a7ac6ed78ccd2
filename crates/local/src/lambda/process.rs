//! A function that is a real binary: child processes, each behind a Runtime API of its own, started when an invocation
//! finds none idle, started again after a crash, and killed when the function goes.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::Semaphore,
};

use crate::lambda::{
    invocation::{FunctionError, Invocation},
    runtime_api::RuntimeApi,
};

/// Children of one function at a time.
const ENVIRONMENTS_MAX: usize = 10;

/// What functions are told about their memory; nothing enforces it.
const MEMORY_MB: u32 = 128;

/// Where a line goes that a child wrote.
pub type LineSink = Arc<dyn Fn(&str) + Send + Sync>;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Binary {
    /// The `bootstrap`.
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Variables on top of those that Lambda sets; nothing else is inherited but `PATH`.
    pub environment: BTreeMap<String, String>,
}

/// A function's children.
pub struct Process {
    binary: Binary,
    function_name: String,
    function_arn: String,
    stdout: LineSink,
    idle: Mutex<Vec<Environment>>,
    free: Semaphore,
}

struct Environment {
    api: RuntimeApi,
    child: Child,
}

impl Process {
    /// Describes a function; nothing is started yet. `stdout` gets every line a child prints.
    pub fn new(binary: Binary, function_arn: String, stdout: LineSink) -> Self {
        let function_name = function_arn.rsplit(':').next().unwrap_or_default().to_owned();
        let (idle, free) = (Mutex::default(), Semaphore::new(ENVIRONMENTS_MAX));
        Self { binary, function_name, function_arn, stdout, idle, free }
    }

    /// Runs one invocation in an idle child or in a new one.
    ///
    /// # Errors
    ///
    /// The function reported an error, its process ended, or it did not answer in time; after the last two its process
    /// is gone and the next invocation starts another.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let request_id = invocation.request_id.clone();
        let Ok(_permit) = self.free.acquire().await else {
            return Err(FunctionError::Exited { request_id, how: "because the function is gone".to_owned() });
        };
        let mut environment = match self.take_idle() {
            Some(environment) => environment,
            None => self.start().await.map_err(|error| self.cannot_start(&error))?,
        };
        let answer = tokio::select! {
            biased;
            answer = environment.api.invoke(invocation) => answer,
            status = environment.child.wait() => return Err(environment.ended(request_id, status)),
        };
        if !matches!(answer, Err(FunctionError::TimedOut { .. })) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(environment);
        }
        answer
    }

    /// Kills the children that wait and sees them gone; one that runs an invocation goes with it.
    pub async fn stop(&self) {
        while let Some(mut environment) = self.take_idle() {
            if let Err(error) = environment.child.kill().await {
                tracing::warn!(%error, function = self.function_name, "a function's process was not killed");
            }
        }
    }

    fn take_idle(&self) -> Option<Environment> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut environment) = idle.pop() {
            if matches!(environment.child.try_wait(), Ok(None)) {
                return Some(environment);
            }
        }
        None
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a function process needs the path of this one, which need not be text"
    )]
    async fn start(&self) -> io::Result<Environment> {
        let api = RuntimeApi::start(&self.function_arn).await?;
        let mut command = Command::new(&self.binary.program);
        command.args(&self.binary.arguments).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.function_name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB.to_string())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.function_name))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{}", uuid::Uuid::new_v4().simple()))
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .envs(&self.binary.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(forward_lines(stdout, self.stdout.clone()));
        }
        Ok(Environment { api, child })
    }

    fn cannot_start(&self, error: &io::Error) -> FunctionError {
        let message = format!("cannot start {}: {error}", self.binary.program.display());
        FunctionError::of_type("Runtime.InvalidEntrypoint", message)
    }
}

impl Environment {
    fn ended(&self, request_id: String, status: io::Result<ExitStatus>) -> FunctionError {
        let how = match status {
            Ok(status) if status.success() => "without providing a reason".to_owned(),
            Ok(status) => format!("with error: {status}"),
            Err(error) => format!("with error: {error}"),
        };
        self.api.take_init_error().unwrap_or(FunctionError::Exited { request_id, how })
    }
}

async fn forward_lines(stdout: impl AsyncRead + Unpin, sink: LineSink) {
    let mut lines = BufReader::new(stdout).lines();
    let ended = async {
        while let Some(line) = lines.next_line().await? {
            sink(&line);
        }
        io::Result::Ok(())
    };
    if let Err(error) = ended.await {
        tracing::warn!(%error, "a function's output cannot be read");
    }
}
