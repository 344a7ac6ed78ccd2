//! What the seeder reads from its environment. A malformed variable stops the cold start and is named.

use ledger::names::Project;
use ledger_aws::environment::{ConfigError, Environment, variable};

/// The project's name, from which the queue's follows; default `event-processor`.
pub const PROJECT: &str = "PROJECT";

#[derive(Clone, Debug)]
pub struct Config {
    pub queue_name: String,
}

impl Config {
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(variable)
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let Some(value) = Environment(lookup).given(PROJECT) else {
            return Ok(Self { queue_name: Project::default().events_queue() });
        };
        match Project::parse(&value) {
            Some(project) => Ok(Self { queue_name: project.events_queue() }),
            None => {
                let expected = "2 to 40 lower-case letters, digits and hyphens".to_owned();
                Err(ConfigError::Malformed { name: PROJECT, value, expected })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_the_projects_name_and_a_malformed_one_is_named() {
        let queue =
            |project: Option<&str>| Config::from_lookup(|_| project.map(str::to_owned)).map(|config| config.queue_name);
        assert_eq!(queue(None).unwrap(), "event-processor-events.fifo");
        assert_eq!(queue(Some("")).unwrap(), "event-processor-events.fifo");
        assert_eq!(queue(Some("mine")).unwrap(), "mine-events.fifo");
        let error = queue(Some("My Project")).unwrap_err().to_string();
        assert!(error.contains(PROJECT) && error.contains("My Project"), "{error}");
    }
}
