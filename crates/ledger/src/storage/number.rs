//! Numbers as DynamoDB holds them: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125, equal when
//! their values are equal. Every number of a body is brought to one canonical text, every digit kept, so that equal
//! values have equal texts and what is judged, hashed and stored is the same.

use std::borrow::Cow;

/// Significant digits DynamoDB keeps ("Supported data types and naming rules", Number).
const DIGITS_MAX: usize = 38;
/// Power of ten of the most significant digit.
const MAGNITUDE_MIN: i64 = -130;
const MAGNITUDE_MAX: i64 = 125;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    TooManyDigits,
    OutOfRange,
}

/// Digits without leading or trailing zeros, times ten to the exponent. Zero has no digits.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// Brings the text of a JSON number to its canonical form.
///
/// `text` must match JSON's number grammar or DynamoDB's, which adds nothing but a leading `+`.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, Unstorable> {
    if is_canonical_whole(text) {
        return Ok(Cow::Borrowed(text));
    }
    let decimal = parse(text);
    if decimal.digits.is_empty() {
        return Ok(Cow::Borrowed("0"));
    }
    if decimal.digits.len() > DIGITS_MAX {
        return Err(Unstorable::TooManyDigits);
    }
    if !(MAGNITUDE_MIN..=MAGNITUDE_MAX).contains(&decimal.magnitude()) {
        return Err(Unstorable::OutOfRange);
    }
    Ok(Cow::Owned(decimal.to_text()))
}

/// Whether the number is whole and written as usual, as most are: its canonical form is that very text.
fn is_canonical_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && (!digits.starts_with('0') || text == "0")
}

/// Bytes DynamoDB counts for a number in canonical form: about one per two digits, one more, and one for a minus sign.
pub fn stored_bytes(canonical: &str) -> usize {
    if is_canonical_whole(canonical) {
        let significant = canonical.trim_end_matches('0').trim_start_matches('-').len();
        return significant.div_ceil(2) + 1 + usize::from(canonical.starts_with('-'));
    }
    let decimal = parse(canonical);
    let before_point = (decimal.magnitude() + 1).clamp(0, decimal.digits.len() as i64) as usize;
    let after_point = decimal.digits.len() - before_point;
    before_point.div_ceil(2) + after_point.div_ceil(2) + 1 + usize::from(decimal.negative)
}

fn parse(text: &str) -> Decimal {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        // Far outside any range either way: what saturates is out of range, or zero.
        Some(at) => (&text[..at], exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.as_bytes() {
        [b'-', ..] => (true, &mantissa[1..]),
        [b'+', ..] => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let fraction_digits = mantissa.find('.').map_or(0, |point| mantissa.len() - point - 1);
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    let trailing_zeros = digits.len() - significant;
    digits.truncate(significant);
    let leading_zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading_zeros);
    Decimal {
        negative: negative && !digits.is_empty(),
        exponent: exponent.saturating_sub(fraction_digits as i64).saturating_add(trailing_zeros as i64),
        digits,
    }
}

fn exponent(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    // A bound far beyond DynamoDB's range, so that no later addition can overflow.
    const BOUND: i64 = 1 << 40;
    let magnitude = digits.bytes().fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(BOUND));
    sign * magnitude
}

impl Decimal {
    /// Power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(self.digits.len() as i64 - 1)
    }

    fn to_text(&self) -> String {
        let digits = std::str::from_utf8(&self.digits).expect("ASCII digits");
        let sign = if self.negative { "-" } else { "" };
        let count = digits.len() as i64;
        let plain_max = DIGITS_MAX as i64;
        if self.exponent >= 0 && count + self.exponent <= plain_max {
            let zeros = "0".repeat(self.exponent as usize);
            return format!("{sign}{digits}{zeros}");
        }
        if self.exponent < 0 && -self.exponent <= plain_max {
            let point = count + self.exponent;
            if point > 0 {
                let (whole, fraction) = digits.split_at(point as usize);
                return format!("{sign}{whole}.{fraction}");
            }
            let zeros = "0".repeat(-point as usize);
            return format!("{sign}0.{zeros}{digits}");
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{rest}E{:+}", self.magnitude())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_text() {
        for (texts, expected) in [
            (&["1", "1.0", "1e0", "10e-1", "0.1E1", "1.000"][..], "1"),
            (&["0", "-0", "0.0", "0e999999999999999999999", "-0.000e-5"], "0"),
            (&["1.50", "15e-1", "0.150e1"], "1.5"),
            (&["12345678901234567890.10"], "12345678901234567890.1"),
            (&["-120", "-1.2e2", "-120.0"], "-120"),
            (&["0.001", "1e-3"], "0.001"),
            (&["1e100", "10e99"], "1E+100"),
            (&["1.25e-100"], "1.25E-100"),
            (&["12345678901234567890123456789012345678"], "12345678901234567890123456789012345678"),
        ] {
            for text in texts {
                assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn the_limits_are_dynamodbs() {
        assert!(canonical("1e-130").is_ok());
        assert!(canonical("9.9999999999999999999999999999999999999e125").is_ok());
        assert!(canonical(&format!("{}000", "1".repeat(38))).is_ok());
        assert_eq!(canonical(&"1".repeat(39)), Err(Unstorable::TooManyDigits));
        assert_eq!(canonical("1e-131"), Err(Unstorable::OutOfRange));
        assert_eq!(canonical("1e126"), Err(Unstorable::OutOfRange));
        assert_eq!(canonical("-1e99999999999999999999999"), Err(Unstorable::OutOfRange));
        assert_eq!(canonical("1e-99999999999999999999999"), Err(Unstorable::OutOfRange));
    }

    #[test]
    fn canonical_form_is_a_fixed_point() {
        for text in ["0.5", "1E+100", "-1.25E-100", "123456", "0.00000000000000000000000000000000000001"] {
            let once = canonical(text).unwrap();
            assert_eq!(canonical(&once).as_ref(), Ok(&once), "{text}");
        }
    }

    #[test]
    fn sizes_are_those_dynamodb_bills() {
        for (text, bytes) in [
            ("0", 1),
            ("42", 2),
            ("-42", 3),
            ("120", 2),
            ("1000", 2),
            ("-100", 3),
            ("123.45", 4),
            ("1E+125", 2),
            ("0.5", 2),
            ("1.5", 3),
        ] {
            assert_eq!(stored_bytes(text), bytes, "{text}");
        }
    }
}
