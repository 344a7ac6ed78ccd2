//! What the seeder reads from its environment.

/// The project's name, from which the queue's follows; default `event-processor`.
pub const PROJECT: &str = "PROJECT";

const PROJECT_DEFAULT: &str = "event-processor";

#[derive(Clone, Debug)]
pub struct Config {
    pub queue_name: String,
}

impl Config {
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let project = lookup(PROJECT).filter(|project| !project.is_empty());
        Self { queue_name: format!("{}-events.fifo", project.as_deref().unwrap_or(PROJECT_DEFAULT)) }
    }
}
