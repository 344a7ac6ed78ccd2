//! The names of everything that is deployed. Each begins with the project's name.

/// The project's name where none is given.
pub const PROJECT_DEFAULT: &str = "event-processor";

/// One deployment's project, known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    name: String,
}

impl Project {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn events_table(&self) -> String {
        self.named("events")
    }

    pub fn idempotency_table(&self) -> String {
        self.named("idempotency")
    }

    pub fn projections_table(&self) -> String {
        self.named("projections")
    }

    pub fn events_queue(&self) -> String {
        self.named("events.fifo")
    }

    pub fn dead_letter_queue(&self) -> String {
        self.named("events-dlq.fifo")
    }

    pub fn failures_queue(&self) -> String {
        self.named("projector-failures")
    }

    pub fn alerts_topic(&self) -> String {
        self.named("alerts")
    }

    /// The processor has the name of the project itself.
    pub fn processor(&self) -> String {
        self.name.clone()
    }

    pub fn projector(&self) -> String {
        self.named("projector")
    }

    pub fn seeder(&self) -> String {
        self.named("seed")
    }

    fn named(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new(PROJECT_DEFAULT)
    }
}
