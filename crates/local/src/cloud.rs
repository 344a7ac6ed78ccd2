//! The local cloud as a whole: puts the services together, starts and stops them in the right order.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use cloudsim::{Account, deployment::Deployment};
use dynoxide::DynoxideError;
use ledger::names::Project;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    data_directory::{DataDirectory, DataDirectoryError, keep_snapshots},
    endpoint,
    lambda::{
        function::{Function, Functions},
        mappings,
        process::{Binary, Process},
        schedule,
    },
    loopback, page,
    service::dynamodb::{DynamoDb, DynamoDbError, TTL_SWEEP_INTERVAL},
    services::Services,
    state::{DeploymentError, SharedState, State},
};

/// How long running invocations and requests may take to end when the cloud stops or is reset.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How to start a local cloud.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Port of the endpoint on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where to keep state; without it everything is in memory.
    pub data_directory: Option<PathBuf>,
    pub project: Project,
    pub account: Account,
}

/// A running local cloud. Dropping it stops it at once and without a last snapshot; see [`Cloud::stop`].
pub struct Cloud {
    services: Arc<Services>,
    data_directory: Option<Arc<DataDirectory>>,
    pollers: JoinSet<()>,
    servers: JoinSet<()>,
    serving: CancellationToken,
}

/// Why the local cloud did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "port {port} is in use: stop the program that uses it, or choose another with {option} (0 takes a free one)"
    )]
    PortTaken { port: u16, option: &'static str },
    #[error("cannot listen on port {port}: choose another with {option} (0 takes a free one)")]
    Listen { port: u16, option: &'static str, source: io::Error },
    #[error(transparent)]
    DataDirectory(#[from] DataDirectoryError),
    #[error(
        "the data directory was made in region {made}: start with AWS_REGION={made}, or choose another with --data-dir"
    )]
    OtherRegion { made: String },
    #[error(
        "the data directory was made for account {made}: start with --account-id {made}, or choose another with --data-dir"
    )]
    OtherAccount { made: String },
    #[error("the database failed")]
    DynamoDb(#[from] DynamoDbError),
    #[error("the tables were not created")]
    Tables(#[from] DynoxideError),
    #[error("the deployment is refused")]
    Deployment(#[from] DeploymentError),
}

impl Cloud {
    /// Starts the services and creates what Terraform creates on AWS, apart from the functions: see [`Cloud::deploy`].
    ///
    /// # Errors
    ///
    /// The port or the data directory cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (listener, endpoint_url) = listen(options.port, "--port").await?;
        let data_directory = options.data_directory.as_deref().map(DataDirectory::open).transpose()?.map(Arc::new);
        let deployment = Deployment { project: options.project, account: options.account, endpoint_url };

        let serving = CancellationToken::new();
        let database_file = data_directory.as_ref().map(|directory| directory.database_file());
        let stop_serving = serving.clone().cancelled_owned();
        let dynamodb = DynamoDb::start(database_file.as_deref(), &deployment.account, stop_serving).await?;
        create_tables(&deployment, &dynamodb)?;
        let saved = data_directory.as_deref().map(DataDirectory::load).transpose()?.flatten();
        let (resets, asked) = mpsc::channel(1);
        let state = match saved {
            Some(state) if state.account.region != deployment.account.region => {
                return Err(StartError::OtherRegion { made: state.account.region });
            }
            Some(state) if state.account.id != deployment.account.id => {
                return Err(StartError::OtherAccount { made: state.account.id });
            }
            Some(state) => state,
            None => new_state(&deployment, &dynamodb)?,
        };
        let services = Arc::new(Services {
            shared: SharedState::new(state),
            deployment,
            dynamodb,
            functions: Functions::default(),
            resets,
            closing: CancellationToken::new(),
        });

        let mut cloud = Self { services, data_directory, pollers: JoinSet::new(), servers: JoinSet::new(), serving };
        cloud.serve(listener, endpoint::router(cloud.services.clone()));
        cloud.pollers.spawn(work_until_closed(cloud.services.clone(), cloud.data_directory.clone(), asked));
        Ok(cloud)
    }

    /// Where all services answer: `http://127.0.0.1:<port>`.
    pub fn endpoint_url(&self) -> &str {
        &self.services.deployment.endpoint_url
    }

    /// Names and addresses of what was created.
    pub fn deployment(&self) -> &Deployment {
        &self.services.deployment
    }

    /// The services behind the endpoint.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Deploys a function; a mapping that invokes it starts at once.
    pub fn deploy(&self, function: Function) {
        self.services.functions.deploy(function);
        self.services.shared.touch();
    }

    /// Describes a function that is a real binary, with the environment Lambda gives it beneath its own. Metrics in its
    /// output (EMF) are taken, other lines go to stderr.
    pub fn process(&self, function_name: &str, mut binary: Binary) -> Process {
        let deployment = &self.services.deployment;
        let variables = [
            ("AWS_ENDPOINT_URL", deployment.endpoint_url.as_str()),
            ("AWS_REGION", &deployment.account.region),
            ("AWS_DEFAULT_REGION", &deployment.account.region),
        ];
        for (name, value) in variables {
            binary.environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        Process::new(binary, deployment.function_arn(function_name), Arc::new(self.emf_sink()))
    }

    /// Where a function's output goes: metrics are taken, other lines go to stderr.
    #[expect(clippy::print_stderr, reason = "what a function logs belongs on the terminal of the local cloud")]
    pub fn emf_sink(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let services = Arc::downgrade(&self.services);
        move |line| {
            let taken = services.upgrade().is_some_and(|services| services.ingest_emf(line));
            if !taken {
                eprintln!("{line}");
            }
        }
    }

    /// Serves the web page and says on which address.
    ///
    /// # Errors
    ///
    /// The port cannot be used.
    pub async fn serve_page(&mut self, port: u16) -> Result<String, StartError> {
        let (listener, url) = listen(port, "--page-port").await?;
        self.serve(listener, page::router(self.services.clone()));
        Ok(url)
    }

    /// Stops: lets running invocations end, then requests, kills function processes, and writes a last snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be written.
    pub async fn stop(mut self) -> Result<(), DataDirectoryError> {
        self.services.closing.cancel();
        end(&mut self.pollers).await;
        self.services.functions.stop().await;
        self.serving.cancel();
        end(&mut self.servers).await;
        match &self.data_directory {
            Some(directory) => directory.save(&self.services.shared.look(|state, _| state.clone())),
            None => Ok(()),
        }
    }

    fn serve(&mut self, listener: TcpListener, router: Router) {
        let server = axum::serve(loopback::without_delay(listener), router)
            .with_graceful_shutdown(self.serving.clone().cancelled_owned());
        self.servers.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "a server stopped");
            }
        });
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.services.closing.cancel();
        self.serving.cancel();
    }
}

async fn listen(port: u16, option: &'static str) -> Result<(TcpListener, String), StartError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { port, option },
        _ => StartError::Listen { port, option, source },
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(refused)?;
    let url = format!("http://{}", listener.local_addr().map_err(refused)?);
    Ok((listener, url))
}

/// Runs the mappings, the schedule and all else that happens by itself; for a reset it is stopped and started anew.
async fn work_until_closed(
    services: Arc<Services>,
    data_directory: Option<Arc<DataDirectory>>,
    mut resets: mpsc::Receiver<oneshot::Sender<()>>,
) {
    loop {
        let stopping = services.closing.child_token();
        let mut work = JoinSet::new();
        work.spawn(mappings::drive_queue(services.clone(), stopping.clone()));
        work.spawn(mappings::drive_stream(services.clone(), stopping.clone()));
        work.spawn(schedule::drive_schedule(services.clone(), stopping.clone()));
        work.spawn(sweep_ttl(services.clone(), stopping.clone()));
        if let Some(directory) = data_directory.clone() {
            work.spawn(keep_snapshots(services.clone(), directory, stopping.clone()));
        }
        let asked = services.closing.run_until_cancelled(resets.recv()).await.flatten();
        stopping.cancel();
        // Running invocations may end, so that what they still write is forgotten with the rest.
        end(&mut work).await;
        let Some(asked) = asked else { return };
        match reset(&services, data_directory.as_deref()).await {
            // Whoever asked may have gone.
            Ok(()) => drop(asked.send(())),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the reset failed"),
        }
    }
}

/// Forgets everything but the functions. The snapshot goes first: without one a start makes the state anew.
async fn reset(services: &Services, data_directory: Option<&DataDirectory>) -> Result<(), StartError> {
    let Services { shared, deployment, dynamodb, .. } = services;
    if let Some(directory) = data_directory {
        directory.forget()?;
    }
    let idle = dynamodb.idle().await;
    dynamodb.delete_tables()?;
    create_tables(deployment, dynamodb)?;
    let new = new_state(deployment, dynamodb)?;
    shared.change(|state, _| *state = new);
    drop(idle);
    shared.touch_tables();
    match data_directory {
        Some(directory) => Ok(directory.save(&shared.look(|state, _| state.clone()))?),
        None => Ok(()),
    }
}

fn create_tables(deployment: &Deployment, dynamodb: &DynamoDb) -> Result<(), DynoxideError> {
    deployment.tables().into_iter().try_for_each(|table| dynamodb.create_table_if_absent(table))
}

fn new_state(deployment: &Deployment, dynamodb: &DynamoDb) -> Result<State, StartError> {
    let stream_arn = dynamodb.stream_arn(&deployment.project.events_table())?;
    Ok(State::new(deployment, stream_arn)?)
}

async fn sweep_ttl(services: Arc<Services>, closing: CancellationToken) {
    let mut interval = tokio::time::interval(TTL_SWEEP_INTERVAL);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        if services.dynamodb.sweep_ttl().await > 0 {
            services.shared.touch_tables();
        }
    }
}

async fn end(tasks: &mut JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
        tracing::warn!("some work did not end in time and was cut off");
    }
    tasks.shutdown().await;
}
