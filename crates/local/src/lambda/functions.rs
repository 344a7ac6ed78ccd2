//! The three Lambdas of this project, deployed in process: their production code with the AWS SDK against the endpoint.
//! What Lambda does around a handler (event in, answer out, deadline) is here; what a handler does is its crate's.

use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc, time::Duration};

use cloudsim::deployment::{Deployment, Role};
use lambda_runtime::{Context, LambdaEvent};
use ledger::schema;
use ledger_aws::environment::ConfigError;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cloud::Cloud,
    lambda::{
        function::{Code, Function},
        invocation::{FunctionError, Invocation},
        process::Binary,
    },
};

/// Deploys all three.
///
/// # Errors
///
/// A function refuses the environment that the deployment gives it.
pub async fn deploy(cloud: &Cloud) -> Result<(), ConfigError> {
    let sdk_config = ledger_aws::sdk_config_at(cloud.endpoint_url(), &cloud.deployment().account.region);

    let config = processor::Config::from_lookup(lookup(cloud, Role::Processor))?;
    let processor = processor::Processor::new(&sdk_config, config, Box::new(cloud.emf_sink()));
    deploy_handler(cloud, Role::Processor, processor, |it, event| async move { it.handle(event).await });

    let config = seeder::Config::from_lookup(lookup(cloud, Role::Seeder))?;
    let seeder = seeder::Seeder::new(&sdk_config, config);
    deploy_handler(cloud, Role::Seeder, seeder, |it, event| async move { it.handle(event).await });

    let config = projector::Config::from_lookup(lookup(cloud, Role::Projector))?;
    let projector = projector::Projector::new(&sdk_config, config, Box::new(cloud.emf_sink()));
    deploy_handler(cloud, Role::Projector, projector, |it, event| async move { it.handle(event).await });
    Ok(())
}

/// The environment variables that a function cannot do without, and the one that operators' tools read. All others have
/// the defaults that Terraform gives them.
pub fn environment(deployment: &Deployment, role: Role) -> BTreeMap<String, String> {
    let project = &deployment.project;
    let variables = match role {
        Role::Processor => vec![
            (processor::config::EVENTS_TABLE, project.events_table()),
            (processor::config::IDEMPOTENCY_TABLE, project.idempotency_table()),
            (schema::FINGERPRINT_VARIABLE, schema::fingerprint()),
        ],
        Role::Seeder => vec![(seeder::config::PROJECT, project.name().to_owned())],
        Role::Projector => vec![
            (projector::config::PROJECTIONS_TABLE, project.projections_table()),
            (projector::config::ALERTS_TOPIC_ARN, deployment.alerts_topic_arn()),
            (projector::config::PROJECT, project.name().to_owned()),
            (schema::FINGERPRINT_VARIABLE, schema::fingerprint()),
        ],
    };
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Deploys one of them as the binary that is zipped for Lambda, in place of what was deployed before.
pub fn deploy_binary(cloud: &Cloud, role: Role, program: impl Into<PathBuf>) {
    let deployment = cloud.deployment();
    let name = deployment.function_name(role);
    let timeout = Duration::from_secs(role.timeout_seconds().into());
    let environment = environment(deployment, role);
    let binary = Binary { program: program.into(), environment: environment.clone(), ..Binary::default() };
    let code = Code::Process(cloud.process(&name, binary));
    cloud.deploy(Function { name, timeout, environment, code });
}

fn lookup(cloud: &Cloud, role: Role) -> impl Fn(&str) -> Option<String> {
    let deployment = cloud.deployment();
    let mut environment = environment(deployment, role);
    // Lambda's own variable, which a binary gets from its process.
    environment.insert("AWS_REGION".to_owned(), deployment.account.region.clone());
    move |name| environment.get(name).cloned()
}

fn deploy_handler<H, E, R, F>(
    cloud: &Cloud,
    role: Role,
    handler: H,
    handle: impl Fn(Arc<H>, LambdaEvent<E>) -> F + Send + Sync + 'static,
) where
    H: Send + Sync + 'static,
    E: DeserializeOwned + Send,
    R: Serialize,
    F: Future<Output = Result<R, lambda_runtime::Error>> + Send + 'static,
{
    let deployment = cloud.deployment();
    let name = deployment.function_name(role);
    let arn = deployment.function_arn(&name);
    let timeout = Duration::from_secs(role.timeout_seconds().into());
    let handler = Arc::new(handler);
    let function = Function::in_process(name, timeout, move |invocation| {
        let answer = event(&arn, invocation).map(|event| handle(handler.clone(), event));
        async move {
            let response = answer?.await.map_err(|error| FunctionError::reported(error.as_ref()))?;
            serde_json::to_vec(&response).map_err(|error| FunctionError::reported(&error))
        }
    });
    cloud.deploy(Function { environment: environment(deployment, role), ..function });
}

fn event<E: DeserializeOwned>(function_arn: &str, invocation: Invocation) -> Result<LambdaEvent<E>, FunctionError> {
    let payload = serde_json::from_slice(&invocation.payload).map_err(|error| FunctionError::reported(&error))?;
    let mut context = Context::default();
    context.request_id = invocation.request_id;
    context.deadline = invocation.deadline_ms;
    context.invoked_function_arn = function_arn.to_owned();
    Ok(LambdaEvent::new(payload, context))
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;

    // An operator's tool asks the function's configuration, which therefore tells the schemas.
    #[test]
    fn a_function_is_given_no_variable_that_neither_it_nor_an_operators_tool_reads() {
        for role in [Role::Processor, Role::Seeder, Role::Projector] {
            let given = environment(&Deployment::default(), role);
            let read = RefCell::new(BTreeSet::new());
            let lookup = |name: &str| {
                read.borrow_mut().insert(name.to_owned());
                given.get(name).cloned()
            };
            match role {
                Role::Processor => drop(processor::Config::from_lookup(lookup).unwrap()),
                Role::Seeder => drop(seeder::Config::from_lookup(lookup).unwrap()),
                Role::Projector => drop(projector::Config::from_lookup(lookup).unwrap()),
            }
            read.borrow_mut().insert(schema::FINGERPRINT_VARIABLE.to_owned());
            assert!(given.keys().all(|name| read.borrow().contains(name)), "{role:?}: {given:?}, {read:?}");
        }
    }
}
