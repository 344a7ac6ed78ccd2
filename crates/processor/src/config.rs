//! What the processor reads from its environment. Missing or malformed stops the cold start and names the variable.

use ledger_aws::{
    TableNames,
    environment::{ConfigError, Environment, variable},
};

use crate::process::Settings;

/// Name of the ledger's table.
pub const EVENTS_TABLE: &str = "EVENTS_TABLE";
/// Name of the claims' table.
pub const IDEMPOTENCY_TABLE: &str = "IDEMPOTENCY_TABLE";
/// Days an entry lives; 0, the default: for ever.
pub const EVENTS_TTL_DAYS: &str = "EVENTS_TTL_DAYS";
/// Days a claim lives, which is how long duplicates are seen; default 7, 0: for ever.
pub const IDEMPOTENCY_TTL_DAYS: &str = "IDEMPOTENCY_TTL_DAYS";
/// Which entries the status index lists: `all`, the default, or `invalid`.
pub const STATUS_INDEX: &str = "STATUS_INDEX";

const EVENTS_TTL_DAYS_DEFAULT: u64 = 0;
const IDEMPOTENCY_TTL_DAYS_DEFAULT: u64 = 7;
/// A century: more is a mistake.
const TTL_DAYS_MAX: u64 = 36_500;

#[derive(Clone, Debug)]
pub struct Config {
    pub tables: TableNames,
    pub settings: Settings,
}

impl Config {
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(variable)
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let environment = Environment(lookup);
        let days = |name, default| environment.number(name, default, 0..=TTL_DAYS_MAX, "days");
        let is_ready_indexed = match environment.given(STATUS_INDEX) {
            None => true,
            Some(value) if value == "all" => true,
            Some(value) if value == "invalid" => false,
            Some(value) => {
                let expected = "`all` or `invalid`".to_owned();
                return Err(ConfigError::Malformed { name: STATUS_INDEX, value, expected });
            }
        };
        Ok(Self {
            tables: TableNames {
                claims: environment.required(IDEMPOTENCY_TABLE)?,
                entries: environment.required(EVENTS_TABLE)?,
            },
            settings: Settings {
                claim_ttl_days: days(IDEMPOTENCY_TTL_DAYS, IDEMPOTENCY_TTL_DAYS_DEFAULT)?,
                entry_ttl_days: days(EVENTS_TTL_DAYS, EVENTS_TTL_DAYS_DEFAULT)?,
                is_ready_indexed,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_those_of_the_original() {
        let config = config(&[(EVENTS_TABLE, "e"), (IDEMPOTENCY_TABLE, "i")]).unwrap();
        assert_eq!((config.settings.claim_ttl_days, config.settings.entry_ttl_days), (7, 0));
        assert!(config.settings.is_ready_indexed);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        assert_eq!(config(&[(IDEMPOTENCY_TABLE, "i")]).unwrap_err(), ConfigError::Missing(EVENTS_TABLE));
        assert_eq!(
            config(&[(EVENTS_TABLE, "e"), (IDEMPOTENCY_TABLE, "")]).unwrap_err(),
            ConfigError::Missing(IDEMPOTENCY_TABLE)
        );
        for (name, value) in
            [(EVENTS_TTL_DAYS, "7d"), (IDEMPOTENCY_TTL_DAYS, "-1"), (EVENTS_TTL_DAYS, "36501"), (STATUS_INDEX, "none")]
        {
            let error = config(&[(EVENTS_TABLE, "e"), (IDEMPOTENCY_TABLE, "i"), (name, value)]).unwrap_err();
            assert!(error.to_string().contains(name) && error.to_string().contains(value), "{error}");
        }
    }
}
