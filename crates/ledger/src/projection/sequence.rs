//! Positions in a shard of the ledger's stream.

/// Digits of a stream's sequence number at most; a number of DynamoDB would hold 38.
const SEQUENCE_DIGITS: usize = 40;

/// A place in a stream shard. Ordered as numbers are; the text is given back as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    padded: String,
    text: String,
}

impl SequenceNumber {
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = (1..=SEQUENCE_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_valid.then(|| Self { padded: format!("{text:0>SEQUENCE_DIGITS$}"), text: text.to_owned() })
    }

    /// With zeros before it, so that text order is its order.
    pub fn padded(&self) -> &str {
        &self.padded
    }

    /// As the stream wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_order_as_numbers_and_keep_their_text() {
        let number = |text: &str| SequenceNumber::parse(text).unwrap();
        assert!(number("9") < number("10"));
        assert!(number("99999999999999999999999999999999999998") < number("99999999999999999999999999999999999999"));
        assert_eq!(number("007").as_str(), "007");
        assert_eq!(number("7").padded().len(), 40);
        for text in ["", "1a", "-1", &"1".repeat(41)] {
            assert_eq!(SequenceNumber::parse(text), None, "{text:?}");
        }
    }
}
