//! Text forms the modelled services use: hex, base64, ISO 8601 times, digests and derived ids.
//! Nothing here knows a service.

use md5::Md5;
use sha2::{Digest, Sha256};

const BASE64_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const MS_PER_SECOND: u64 = 1_000;
const MS_PER_DAY: u64 = 86_400_000;

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16"));
        }
    }
    text
}

/// Encodes with the standard alphabet and padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for position in 0..4 {
            let index = (bits >> (18 - 6 * position)) & 0x3f;
            let padding = position > chunk.len();
            text.push(if padding { '=' } else { char::from(BASE64_ALPHABET[index as usize]) });
        }
    }
    text
}

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Derives an id in the form of a random UUID from a counter: unique per kind and number, the same
/// in every run, and in no order, so that nothing comes to rely on one.
pub(crate) fn uuid(kind: &str, number: u64) -> String {
    let mut bytes = Sha256::digest(format!("{kind}/{number}"));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// Formats as `2026-01-31T23:59:59.123Z`.
pub(crate) fn iso_millis(time_ms: u64) -> String {
    format!("{}.{:03}Z", iso_stem(time_ms), time_ms % MS_PER_SECOND)
}

/// Formats as `2026-01-31T23:59:59Z`.
pub(crate) fn iso_seconds(time_ms: u64) -> String {
    format!("{}Z", iso_stem(time_ms))
}

fn iso_stem(time_ms: u64) -> String {
    let (year, month, day) = civil_date(time_ms / MS_PER_DAY);
    let second_of_day = time_ms % MS_PER_DAY / MS_PER_SECOND;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60
    )
}

/// Converts days since 1970-01-01 to a date of the Gregorian calendar. Years are counted from March,
/// so that the leap day is the last day of a year.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_FROM_YEAR_0_MARCH_1: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days_since_epoch + DAYS_FROM_YEAR_0_MARCH_1;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_shows() {
        let encoded: Vec<String> =
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].iter().map(|text| base64(text.as_bytes())).collect();
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

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

    #[test]
    fn a_derived_id_is_a_version_4_uuid_and_repeats() {
        let id = uuid("message", 1);
        assert_eq!(id, uuid("message", 1));
        assert_ne!(id, uuid("message", 2));
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
