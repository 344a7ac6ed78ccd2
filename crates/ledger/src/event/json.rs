//! A strict reader for the JSON of message bodies (RFC 8259). It builds `serde_json::Value`s itself, because parsing
//! into `Value` merges duplicate names and, with exact numbers, lets a crafted object pose as a number. It keeps every
//! digit, and it tells what is no JSON (a syntax error) from what is JSON that DynamoDB cannot hold (a defect of one
//! top-level member, whose neighbours are still read). Depth and stored size are bounded while reading, so no tree is
//! ever larger than what could be stored.

mod scanner;

use scanner::Scanner;
pub use scanner::SyntaxError;
use serde_json::{Map, Value};

use crate::{
    event::pointer::push_token,
    storage::{
        item::{CONTAINER_BYTES, ELEMENT_BYTES, ITEM_BYTES_MAX, NESTING_MAX},
        number,
    },
};

/// Why DynamoDB could not hold a value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectKind {
    TooDeep,
    TooLarge,
    TooManyDigits,
    NumberOutOfRange,
    DuplicateName,
    EmptyName,
    LoneSurrogate,
}

/// The first defect of a top-level member; `pointer` is a JSON Pointer relative to the member's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    pub kind: DefectKind,
    pub pointer: String,
}

/// One member of the outermost object, in the order and as often as it is written.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub value: Result<Value, Defect>,
}

/// Reads a document; `None` if it is JSON but no object.
pub fn read_object(text: &str) -> Result<Option<Vec<Member>>, SyntaxError> {
    let scanner = Scanner { text, at: 0 };
    let mut reader = Reader { scanner, bytes_left: ITEM_BYTES_MAX, defect: None, path: Vec::new() };
    reader.scanner.skip_whitespace();
    let members = if reader.scanner.peek() == Some(b'{') {
        Some(reader.members()?)
    } else {
        reader.scanner.skim()?;
        None
    };
    let Reader { mut scanner, .. } = reader;
    scanner.skip_whitespace();
    if scanner.at < text.len() { Err(scanner.error("the end of the document")) } else { Ok(members) }
}

struct Reader<'t> {
    scanner: Scanner<'t>,
    /// What containers may still cost in stored bytes, over the whole document.
    bytes_left: usize,
    /// The first defect of the member being read; once it is set nothing more is built.
    defect: Option<Defect>,
    /// Where in the member's value the reader is: kept so that a defect can say so.
    path: Vec<Step>,
}

enum Step {
    Index(usize),
    /// Where the name stands in the text, quotes included.
    Name(usize, usize),
}

impl Reader<'_> {
    fn members(&mut self) -> Result<Vec<Member>, SyntaxError> {
        let mut members = Vec::new();
        self.scanner.at += 1;
        self.scanner.skip_whitespace();
        if self.scanner.take(b'}') {
            return Ok(members);
        }
        loop {
            let name = self.string()?;
            self.scanner.colon()?;
            let value = self.value(NESTING_MAX)?;
            self.path.clear();
            let value = match self.defect.take() {
                Some(defect) => Err(defect),
                None => Ok(value),
            };
            members.push(Member { name, value });
            if !self.scanner.another(b'}', "`,` or `}`")? {
                return Ok(members);
            }
        }
    }

    /// Reads one value; what it returns means nothing once a defect is set.
    fn value(&mut self, levels_left: usize) -> Result<Value, SyntaxError> {
        match self.scanner.peek() {
            Some(b'{' | b'[') if self.defect.is_some() => self.scanner.skim().map(|()| Value::Null),
            Some(b'{' | b'[') if levels_left == 0 => {
                self.note(DefectKind::TooDeep);
                self.scanner.skim().map(|()| Value::Null)
            }
            Some(b'{') => self.object(levels_left - 1),
            Some(b'[') => self.array(levels_left - 1),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.scanner.literal("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.scanner.literal("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.scanner.literal("null").map(|()| Value::Null),
            _ => Err(self.scanner.error("a value")),
        }
    }

    fn object(&mut self, levels_left: usize) -> Result<Value, SyntaxError> {
        let mut members = Map::new();
        self.scanner.at += 1;
        self.charge(CONTAINER_BYTES);
        self.scanner.skip_whitespace();
        if self.scanner.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let name_start = self.scanner.at;
            let name = self.string()?;
            self.path.push(Step::Name(name_start, self.scanner.at));
            self.charge(name.len() + ELEMENT_BYTES);
            if name.is_empty() {
                self.note(DefectKind::EmptyName);
            }
            self.scanner.colon()?;
            let value = self.element(levels_left)?;
            if self.defect.is_none() && members.insert(name, value).is_some() {
                self.note(DefectKind::DuplicateName);
            }
            self.path.pop();
            if !self.scanner.another(b'}', "`,` or `}`")? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn array(&mut self, levels_left: usize) -> Result<Value, SyntaxError> {
        let mut elements = Vec::new();
        self.scanner.at += 1;
        self.charge(CONTAINER_BYTES);
        self.scanner.skip_whitespace();
        if self.scanner.take(b']') {
            return Ok(Value::Array(elements));
        }
        for index in 0.. {
            self.path.push(Step::Index(index));
            self.charge(ELEMENT_BYTES);
            let value = self.element(levels_left)?;
            if self.defect.is_none() {
                elements.push(value);
            }
            self.path.pop();
            if !self.scanner.another(b']', "`,` or `]`")? {
                break;
            }
        }
        Ok(Value::Array(elements))
    }

    /// A value inside a container: its scalars are charged, its containers charge themselves.
    fn element(&mut self, levels_left: usize) -> Result<Value, SyntaxError> {
        let value = self.value(levels_left)?;
        match &value {
            Value::String(text) => self.charge(text.len()),
            Value::Number(number) if self.defect.is_none() => self.charge(number::stored_bytes(number.as_str())),
            Value::Null | Value::Bool(_) => self.charge(1),
            Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
        }
        Ok(value)
    }

    /// Reads a string; a lone surrogate becomes U+FFFD and is noted.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        // Most strings are one part, which a fresh allocation fits exactly.
        let whole = self
            .scanner
            .string_parts(|part| if text.is_empty() { text = part.to_owned() } else { text.push_str(part) })?;
        if !whole {
            self.note(DefectKind::LoneSurrogate);
        }
        Ok(text)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let text = self.scanner.number_text()?;
        match number::canonical(text) {
            Ok(canonical) => {
                // Small whole numbers need not be parsed as JSON once more.
                let number = match canonical.parse::<u64>() {
                    Ok(whole) => whole.into(),
                    Err(_) => canonical.parse().expect("a canonical number is a JSON number"),
                };
                return Ok(Value::Number(number));
            }
            Err(number::Unstorable::TooManyDigits) => self.note(DefectKind::TooManyDigits),
            Err(number::Unstorable::OutOfRange) => self.note(DefectKind::NumberOutOfRange),
        }
        Ok(Value::Null)
    }

    fn charge(&mut self, bytes: usize) {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None => self.note(DefectKind::TooLarge),
        }
    }

    fn note(&mut self, kind: DefectKind) {
        if self.defect.is_some() {
            return;
        }
        let mut pointer = String::new();
        for step in &self.path {
            match *step {
                Step::Index(index) => push_token(&mut pointer, &index.to_string()),
                Step::Name(start, end) => push_token(&mut pointer, &self.unescaped(start, end)),
            }
        }
        self.defect = Some(Defect { kind, pointer });
    }

    /// The string that stands at `start..end`, which was read before.
    fn unescaped(&self, start: usize, end: usize) -> String {
        let mut text = String::new();
        let mut scanner = Scanner { text: &self.scanner.text[..end], at: start };
        let read = scanner.string_parts(|part| text.push_str(part));
        debug_assert!(read.is_ok(), "it was read before");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the only member of `{"v": <text>}`.
    fn read_value(text: &str) -> Result<Value, Defect> {
        let document = format!("{{\"v\": {text}}}");
        let mut members = read_object(&document).unwrap().unwrap();
        assert_eq!(members.len(), 1);
        members.remove(0).value
    }

    fn defect(text: &str) -> (DefectKind, String) {
        let defect = read_value(text).unwrap_err();
        (defect.kind, defect.pointer)
    }

    #[test]
    fn values_are_read_with_every_digit() {
        let value = read_value(r#"{"n": 12345678901234567890.123456789012345678, "b": [true, false, null, ""]}"#);
        let Value::Object(members) = value.unwrap() else { panic!("an object") };
        assert_eq!(members["n"].to_string(), "12345678901234567890.123456789012345678");
        assert_eq!(members["b"], serde_json::json!([true, false, null, ""]));
    }

    #[test]
    fn escapes_are_unescaped_and_pairs_joined() {
        let value = read_value(r#""\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00é""#);
        assert_eq!(value, Ok(Value::String("\"\\/\u{8}\u{c}\n\r\tA😀é".to_owned())));
    }

    #[test]
    fn a_payload_cannot_forge_a_number() {
        let value = read_value(r#"{"$serde_json::private::Number": "12"}"#).unwrap();
        assert_eq!(value["$serde_json::private::Number"], Value::String("12".to_owned()));
    }

    #[test]
    fn what_is_no_json_is_a_syntax_error() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{'a':1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "nul",
            "tru e",
            "NaN",
            "Infinity",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"",
            "\"\t\"",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "[1 2]",
            "[[1]",
            "{\"a\":[}",
            "// c\n{}",
        ] {
            assert!(read_object(text).is_err(), "{text:?} at the top");
            assert!(read_object(&format!("{{\"v\": [{text}x]}}")).is_err(), "{text:?} inside");
        }
    }

    #[test]
    fn json_that_is_no_object_is_told_apart() {
        for text in ["1", "\"a\"", "null", "[{}]", " [] "] {
            assert!(matches!(read_object(text), Ok(None)), "{text:?}");
        }
    }

    #[test]
    fn a_defect_names_its_place_and_leaves_the_neighbours_readable() {
        let members = read_object(r#"{"a": {"x": [0, 1e999]}, "b": "ok", "a": 2}"#).unwrap().unwrap();
        assert_eq!(members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
        let defect = members[0].value.clone().unwrap_err();
        assert_eq!((defect.kind, defect.pointer.as_str()), (DefectKind::NumberOutOfRange, "/x/1"));
        assert_eq!(members[1].value, Ok(Value::String("ok".to_owned())));
        assert!(members[2].value.is_ok());
    }

    #[test]
    fn each_defect_is_found() {
        use DefectKind::*;
        assert_eq!(defect(r#"{"a": 1, "b": 2, "a": 3}"#), (DuplicateName, "/a".to_owned()));
        assert_eq!(defect(r#"{"a/b": {"~": 1, "\u007e": 3}}"#), (DuplicateName, "/a~1b/~0".to_owned()));
        assert_eq!(defect(r#"{"": 1}"#), (EmptyName, "/".to_owned()));
        assert_eq!(defect(r#"["\ud800"]"#), (LoneSurrogate, "/0".to_owned()));
        assert_eq!(defect(r#"["\ud800\ud800\udc00", "\udc00"]"#), (LoneSurrogate, "/0".to_owned()));
        assert_eq!(defect(&"1".repeat(39)), (TooManyDigits, String::new()));
        assert_eq!(defect("1E+126"), (NumberOutOfRange, String::new()));
    }

    #[test]
    fn depth_is_bounded_where_dynamodb_bounds_it_and_the_rest_is_only_skimmed() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read_value(&nested(NESTING_MAX)).is_ok());
        assert_eq!(defect(&nested(NESTING_MAX + 1)).0, DefectKind::TooDeep);
        assert_eq!(defect(&nested(100_000)).0, DefectKind::TooDeep);
        assert!(read_object(&"[".repeat(100_000)).is_err());
        let objects = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
        assert_eq!(defect(&objects).0, DefectKind::TooDeep);
    }

    #[test]
    fn stored_size_is_bounded_before_the_tree_is_built() {
        let many = |count: usize| format!("[{}0]", "0,".repeat(count));
        assert!(read_value(&many(100_000)).is_ok());
        assert_eq!(defect(&many(300_000)).0, DefectKind::TooLarge);
    }
}
