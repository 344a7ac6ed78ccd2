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

    /// Reads a name that Terraform takes: 2 to 40 lower-case letters, digits and hyphens, a letter first and no hyphen
    /// last.
    pub fn parse(name: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_valid = (2..=40).contains(&name.len())
            && name.bytes().all(is_allowed)
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-');
        is_valid.then(|| Self::new(name))
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

    /// The schedule that invokes the projector.
    pub fn tick(&self) -> String {
        self.named("tick")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_name_that_terraform_takes() {
        for valid in ["ab", "event-processor", "a1", &"a".repeat(40)] {
            assert!(Project::parse(valid).is_some(), "{valid:?}");
        }
        for invalid in ["", "a", "1a", "-ab", "ab-", "Ab", "a_b", "a b", "${project}", &"a".repeat(41)] {
            assert!(Project::parse(invalid).is_none(), "{invalid:?}");
        }
    }
}
