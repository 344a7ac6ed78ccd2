//! What the projector reads from its environment. Missing or malformed stops the cold start and names the variable.

use std::collections::BTreeSet;

use ledger::{
    TenantId,
    alert::Origin,
    metric::is_dimension_value,
    metric_tenants::{PLACES_MAX, TenantBudget},
    projection, schema,
};
use ledger_aws::environment::{ConfigError, Environment, variable};

use crate::project::Settings;

/// Name of the projections table.
pub const PROJECTIONS_TABLE: &str = "PROJECTIONS_TABLE";
/// The topic alerts are published to.
pub const ALERTS_TOPIC_ARN: &str = "ALERTS_TOPIC_ARN";
/// The project's name, which alerts tell.
pub const PROJECT: &str = "PROJECT";
/// The region, which alerts tell; Lambda sets it.
pub const REGION: &str = "AWS_REGION";
/// Tenants with a metric dimension of their own, separated by commas; empty, the default: the first to come.
pub const METRIC_TENANTS: &str = "METRIC_TENANTS";
/// How many of the first to come have one; default 100, at most 400.
pub const METRIC_TENANTS_MAX: &str = "METRIC_TENANTS_MAX";
/// Seconds of a window of alerts; default 300.
pub const ALERT_WINDOW_SECONDS: &str = "ALERT_WINDOW_SECONDS";

const METRIC_TENANTS_MAX_DEFAULT: u64 = 100;
const ALERT_WINDOW_SECONDS_DEFAULT: u64 = 300;
/// A day: more is a mistake.
const ALERT_WINDOW_SECONDS_MAX: u64 = 86_400;

#[derive(Clone, Debug)]
pub struct Config {
    pub projections_table: String,
    pub alerts_topic_arn: String,
    pub settings: Settings,
}

impl Config {
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(variable)
    }

    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let environment = Environment(lookup);
        let window_seconds = environment.number(
            ALERT_WINDOW_SECONDS,
            ALERT_WINDOW_SECONDS_DEFAULT,
            1..=ALERT_WINDOW_SECONDS_MAX,
            "seconds",
        )?;
        let places_max =
            environment.number(METRIC_TENANTS_MAX, METRIC_TENANTS_MAX_DEFAULT, 1..=PLACES_MAX as u64, "tenants")?;
        let tenant_budget = match environment.given(METRIC_TENANTS) {
            Some(names) => TenantBudget::Named(tenants(names)?),
            None => TenantBudget::FirstCome { places_max: places_max as usize },
        };
        Ok(Self {
            projections_table: environment.required(PROJECTIONS_TABLE)?,
            alerts_topic_arn: environment.required(ALERTS_TOPIC_ARN)?,
            settings: Settings {
                models: projection::ALL,
                tenant_budget,
                alert_window_ms: window_seconds * 1_000,
                origin: Origin {
                    project: environment.required(PROJECT)?,
                    region: environment.given(REGION).unwrap_or_default(),
                    schemas: schema::fingerprint(),
                },
            },
        })
    }
}

fn tenants(names: String) -> Result<BTreeSet<TenantId>, ConfigError> {
    let tenant = |name: &str| TenantId::parse(name.trim()).filter(|tenant| is_dimension_value(tenant.as_str()));
    let tenants: Option<BTreeSet<TenantId>> = names.split(',').map(tenant).collect();
    tenants.ok_or(ConfigError::Malformed {
        name: METRIC_TENANTS,
        value: names,
        expected: "tenant ids that do not start with `:`, separated by commas".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let required = [(PROJECTIONS_TABLE, "table"), (ALERTS_TOPIC_ARN, "arn"), (PROJECT, "project")];
        let find = |name: &str| more.iter().chain(&required).find(|(known, _)| *known == name);
        Config::from_lookup(|name: &str| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let config = config(&[(METRIC_TENANTS, "")]).unwrap();
        assert_eq!(config.settings.tenant_budget, TenantBudget::FirstCome { places_max: 100 });
        assert_eq!(config.settings.alert_window_ms, 300_000);
    }

    #[test]
    fn named_tenants_are_read() {
        let config = config(&[(METRIC_TENANTS, "b, a")]).unwrap();
        let named = ["a", "b"].into_iter().filter_map(TenantId::parse).collect();
        assert_eq!(config.settings.tenant_budget, TenantBudget::Named(named));
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        for (name, value) in [
            (PROJECTIONS_TABLE, ""),
            (ALERTS_TOPIC_ARN, ""),
            (PROJECT, ""),
            (METRIC_TENANTS, "a,:b"),
            (METRIC_TENANTS, "a,,b"),
            (METRIC_TENANTS_MAX, "0"),
            (METRIC_TENANTS_MAX, "401"),
            (ALERT_WINDOW_SECONDS, "5m"),
            (ALERT_WINDOW_SECONDS, "-1"),
        ] {
            let error = config(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
