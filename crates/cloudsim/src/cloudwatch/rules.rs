//! What CloudWatch refuses to store. (CloudWatch API reference, `PutMetricData`, `MetricDatum` and
//! `Dimension`.)

use super::{CloudWatchError, DatumValues, Dimension, MetricDatum};

const DATA_PER_CALL_MAX: usize = 1_000;
const DIMENSIONS_MAX: usize = 30;
const VALUES_MAX: usize = 150;
const NAME_LENGTH_MAX: usize = 255;
const DIMENSION_VALUE_LENGTH_MAX: usize = 1_024;
const PAST_MS_MAX: u64 = 14 * 86_400_000;
const FUTURE_MS_MAX: u64 = 2 * 3_600_000;

/// 2^360; values must lie between minus and plus this.
const VALUE_MAX: f64 = 2.348_542_582_773_833_4e108;

const UNITS: [&str; 5] = ["Seconds", "Microseconds", "Milliseconds", "Percent", "None"];

/// Units of amounts, which have a rate per second as well.
const AMOUNTS: [&str; 11] = [
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Count",
];

pub(super) fn check_put(now_ms: u64, namespace: &str, data: &[MetricDatum]) -> Result<(), CloudWatchError> {
    check_namespace(namespace)?;
    if data.is_empty() {
        return Err(CloudWatchError::MissingParameter { parameter: "MetricData" });
    }
    if data.len() > DATA_PER_CALL_MAX {
        return Err(refused("MetricData", "at most 1000 metrics per call"));
    }
    data.iter().zip(1..).try_for_each(|(datum, number)| check_datum(now_ms, number, datum))
}

pub(super) fn check_namespace(namespace: &str) -> Result<(), CloudWatchError> {
    const PARAMETER: &str = "Namespace";
    let is_namespace_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '#' | ':' | ' ');
    if namespace.is_empty() || namespace.len() > NAME_LENGTH_MAX || namespace.starts_with(':') {
        return Err(refused(PARAMETER, "1 to 255 characters, not starting with a colon"));
    }
    if !namespace.chars().all(is_namespace_char) {
        return Err(refused(PARAMETER, "only letters, digits, space and . - _ / # :"));
    }
    if namespace.starts_with("AWS/") {
        return Err(refused(PARAMETER, "names starting with AWS/ are reserved"));
    }
    Ok(())
}

pub(super) fn check_unit(unit: &str) -> Result<(), CloudWatchError> {
    let amount = unit.strip_suffix("/Second").unwrap_or(unit);
    if UNITS.contains(&unit) || AMOUNTS.contains(&amount) {
        return Ok(());
    }
    Err(refused("Unit", "not a CloudWatch unit"))
}

fn check_datum(now_ms: u64, number: usize, datum: &MetricDatum) -> Result<(), CloudWatchError> {
    check_text("MetricName", &datum.name, NAME_LENGTH_MAX)?;
    check_dimensions(&datum.dimensions)?;
    check_timestamp(now_ms, datum.timestamp_ms)?;
    check_unit(datum.unit.as_deref().unwrap_or("None"))?;
    if !matches!(datum.storage_resolution_seconds, None | Some(1 | 60)) {
        return Err(refused("StorageResolution", "1 or 60 seconds"));
    }
    check_values(number, &datum.values)
}

fn check_dimensions(dimensions: &[Dimension]) -> Result<(), CloudWatchError> {
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(refused("Dimensions", "at most 30 dimensions"));
    }
    for (index, dimension) in dimensions.iter().enumerate() {
        check_text("Dimensions.Name", &dimension.name, NAME_LENGTH_MAX)?;
        check_text("Dimensions.Value", &dimension.value, DIMENSION_VALUE_LENGTH_MAX)?;
        let is_repeated = dimensions[..index].iter().any(|earlier| earlier.name == dimension.name);
        if is_repeated {
            return Err(refused("Dimensions", "a dimension name only once"));
        }
    }
    Ok(())
}

/// Checks a name or dimension value: ASCII without control characters, something besides blanks.
fn check_text(parameter: &'static str, text: &str, length_max: usize) -> Result<(), CloudWatchError> {
    if text.trim().is_empty() || text.len() > length_max || text.starts_with(':') {
        return Err(refused(parameter, "not blank, not too long, not starting with a colon"));
    }
    if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(refused(parameter, "only ASCII without control characters"));
    }
    Ok(())
}

fn check_timestamp(now_ms: u64, timestamp_ms: Option<u64>) -> Result<(), CloudWatchError> {
    let timestamp_ms = timestamp_ms.unwrap_or(now_ms);
    if timestamp_ms + PAST_MS_MAX < now_ms || timestamp_ms > now_ms + FUTURE_MS_MAX {
        return Err(refused("Timestamp", "at most two weeks in the past and two hours in the future"));
    }
    Ok(())
}

fn check_values(number: usize, values: &DatumValues) -> Result<(), CloudWatchError> {
    match values {
        DatumValues::Single(value) => check_value(*value),
        DatumValues::Many { values, counts } => {
            if values.is_empty() {
                return Err(CloudWatchError::MissingParameter { parameter: "MetricData.Values" });
            }
            if values.len() > VALUES_MAX {
                return Err(refused("MetricData.Values", "at most 150 values"));
            }
            if !counts.is_empty() && counts.len() != values.len() {
                return Err(CloudWatchError::DifferentSizes(number));
            }
            values.iter().try_for_each(|value| check_value(*value))?;
            counts.iter().try_for_each(|count| check_count(*count))
        }
        DatumValues::StatisticSet { sample_count, sum, minimum, maximum } => {
            [sum, minimum, maximum].into_iter().try_for_each(|value| check_value(*value))?;
            check_count(*sample_count)?;
            if *sample_count <= 0.0 {
                return Err(refused("StatisticValues", "the sample count is a positive number"));
            }
            if minimum > maximum {
                return Err(refused("StatisticValues", "the minimum passes the maximum"));
            }
            Ok(())
        }
    }
}

fn check_value(value: f64) -> Result<(), CloudWatchError> {
    if value.abs() <= VALUE_MAX {
        return Ok(());
    }
    Err(refused("MetricData.Value", "a number between -2^360 and 2^360; neither NaN nor infinite"))
}

fn check_count(count: f64) -> Result<(), CloudWatchError> {
    if (0.0..=VALUE_MAX).contains(&count) {
        return Ok(());
    }
    Err(refused("MetricData.Counts", "a count is not negative"))
}

pub(super) fn refused(parameter: &'static str, reason: &'static str) -> CloudWatchError {
    CloudWatchError::InvalidParameterValue { parameter, reason }
}
