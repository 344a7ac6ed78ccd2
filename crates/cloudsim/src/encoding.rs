//! Text forms the modelled services use: ISO 8601 times, digests and derived ids. Nothing here knows a service.

use md5::Md5;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Derives an id in the form of a random UUID from a counter: unique per kind and number, the same
/// in every run, and in no order, so that nothing comes to rely on one.
pub(crate) fn uuid(kind: &str, number: u64) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{kind}/{number}")).into();
    let (bytes, _) = digest.split_first_chunk().expect("a UUID is shorter than a digest");
    uuid::Builder::from_random_bytes(*bytes).into_uuid().to_string()
}

/// Formats as `2026-01-31T23:59:59.123Z`.
pub(crate) fn iso_millis(time_ms: u64) -> String {
    format(time_ms, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"))
}

/// Formats as `2026-01-31T23:59:59Z`.
pub(crate) fn iso_seconds(time_ms: u64) -> String {
    format(time_ms, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
}

fn format(time_ms: u64, form: &[BorrowedFormatItem<'_>]) -> String {
    let nanoseconds = i128::from(time_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("no clock is beyond the year 9999");
    time.format(form).expect("a date and a time of day have every part of the form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_matches_rfc_1321() {
        assert_eq!(md5_hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn times_are_formatted_across_leap_days() {
        assert_eq!(iso_seconds(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_millis(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(iso_seconds(1_709_251_199_999), "2024-02-29T23:59:59Z");
        assert_eq!(iso_seconds(4_107_542_400_000), "2100-03-01T00:00:00Z");
    }

    // Seeds of the simulation that are kept depend on these very ids.
    #[test]
    fn a_derived_id_is_a_version_4_uuid_and_repeats() {
        assert_eq!(uuid("message", 1), "004065c3-b99b-460c-9bb2-7e89258ebf19");
        assert_eq!(uuid("message", 1), uuid("message", 1));
        assert_ne!(uuid("message", 1), uuid("message", 2));
    }
}
