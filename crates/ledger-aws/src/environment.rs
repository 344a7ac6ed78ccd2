//! The environment of a Lambda, read once at its cold start: what is missing or malformed stops it and is named. An empty
//! variable is an absent one.

use std::ops::RangeInclusive;

use thiserror::Error;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    #[error("environment variable {name} is {value:?}, expected {expected}")]
    Malformed { name: &'static str, value: String, expected: String },
}

/// A variable of this process.
#[expect(clippy::disallowed_methods, reason = "this is how others read the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where variables are looked up: `variable`, or what a test or the local cloud gives.
pub struct Environment<L>(pub L);

impl<L: Fn(&str) -> Option<String>> Environment<L> {
    pub fn given(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.given(name).ok_or(ConfigError::Missing(name))
    }

    /// A whole number of `unit` within `range`.
    pub fn number(
        &self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Result<u64, ConfigError> {
        let Some(value) = self.given(name) else { return Ok(default) };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => {
                let expected = format!("a whole number of {unit} from {} to {}", range.start(), range.end());
                Err(ConfigError::Malformed { name, value, expected })
            }
        }
    }
}
