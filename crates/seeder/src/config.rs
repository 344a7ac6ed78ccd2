//! What the seeder reads from its environment.

use ledger::names::Project;
use ledger_aws::environment::variable;

/// The project's name, from which the queue's follows; default `event-processor`.
pub const PROJECT: &str = "PROJECT";

#[derive(Clone, Debug)]
pub struct Config {
    pub queue_name: String,
}

impl Config {
    pub fn from_env() -> Self {
        Self::from_lookup(variable)
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let name = lookup(PROJECT).filter(|name| !name.is_empty());
        Self { queue_name: name.map_or_else(Project::default, Project::new).events_queue() }
    }
}
