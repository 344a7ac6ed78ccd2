//! Points in time as the ledger writes them: UTC, fixed width, nanoseconds, so that text order is time order (G6).

use std::fmt;

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// `2026-01-15T09:30:00.000000000Z`: always 30 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(String);

impl Timestamp {
    /// Reads an RFC 3339 date and time with any offset. Digits beyond nanoseconds are cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Self::from_moment(moment)
    }

    /// `None` after the year 9999, which no clock that SQS or Lambda stamps with reaches.
    pub fn from_epoch_ms(epoch_ms: u64) -> Option<Self> {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(epoch_ms) * 1_000_000).ok()?;
        Self::from_moment(moment)
    }

    /// The time of a clock. One beyond the year 9999 has a defect, and stops nothing: it counts as 1970.
    pub fn from_clock_ms(epoch_ms: u64) -> Self {
        Self::from_epoch_ms(epoch_ms).unwrap_or_else(|| Self::from_epoch_ms(0).expect("1970 has four digits"))
    }

    /// Whole seconds since the epoch, rounded down; negative before 1970.
    pub fn epoch_seconds(&self) -> i64 {
        OffsetDateTime::parse(&self.0, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The UTC day, `2026-01-15`.
    pub fn day(&self) -> &str {
        &self.0[..10]
    }

    fn from_moment(moment: OffsetDateTime) -> Option<Self> {
        // An offset can push the first and the last day of the calendar out of four-digit years.
        let utc = moment.checked_to_offset(UtcOffset::UTC)?;
        if !(0..=9999).contains(&utc.year()) {
            return None;
        }
        let (date, clock) = (utc.date(), utc.time());
        Some(Self(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.nanosecond()
        )))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_and_fraction_becomes_one_fixed_width_utc_text() {
        for (text, expected) in [
            ("2026-01-15T09:30:00Z", "2026-01-15T09:30:00.000000000Z"),
            ("2026-01-15T11:30:00+02:00", "2026-01-15T09:30:00.000000000Z"),
            ("2026-01-15T09:30:00.5Z", "2026-01-15T09:30:00.500000000Z"),
            ("2026-01-15t09:30:00.1234567891z", "2026-01-15T09:30:00.123456789Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text).as_ref().map(Timestamp::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-01-15",
            "2026-01-15T09:30:00",
            "2026-02-30T00:00:00Z",
            "2026-01-15T25:00:00Z",
            "1768469400",
            " 2026-01-15T09:30:00Z",
            "2026-01-15T09:30:00Z\n",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
            "12026-01-15T09:30:00Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text:?}");
        }
    }

    #[test]
    fn milliseconds_since_the_epoch_become_text_and_back() {
        let moment = Timestamp::from_epoch_ms(1_768_469_400_123).unwrap();
        assert_eq!(moment.as_str(), "2026-01-15T09:30:00.123000000Z");
        assert_eq!(moment.epoch_seconds(), 1_768_469_400);
        assert_eq!(moment.day(), "2026-01-15");
        assert_eq!(Timestamp::from_epoch_ms(u64::MAX), None);
        assert_eq!(Timestamp::from_clock_ms(u64::MAX).as_str(), "1970-01-01T00:00:00.000000000Z");
    }
}
