//! The grammar of JSON (RFC 8259): where its tokens begin and end, and what a string says. Builds nothing, and knows
//! nothing of DynamoDB.

/// The document is not JSON. `offset` counts bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub offset: usize,
    pub expected: &'static str,
}

/// A position in a text.
pub(super) struct Scanner<'t> {
    pub text: &'t str,
    pub at: usize,
}

impl<'t> Scanner<'t> {
    /// Checks the grammar of a value without building or recursing, however deep it is.
    pub(super) fn skim(&mut self) -> Result<(), SyntaxError> {
        // One flag per open container: whether it is an object.
        let mut open: Vec<bool> = Vec::new();
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    let is_object = bracket == b'{';
                    self.at += 1;
                    self.skip_whitespace();
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        open.push(is_object);
                        if is_object {
                            self.skim_name()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.skim_string()?,
                Some(b'-' | b'0'..=b'9') => self.number_text().map(|_| ())?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.error("a value")),
            }
            // A value ended: go on in its container, or close containers until one goes on.
            loop {
                match open.last() {
                    None => return Ok(()),
                    Some(true) if self.another(b'}', "`,` or `}`")? => {
                        self.skim_name()?;
                        break;
                    }
                    Some(false) if self.another(b']', "`,` or `]`")? => break,
                    Some(_) => {
                        open.pop();
                    }
                }
            }
        }
    }

    fn skim_name(&mut self) -> Result<(), SyntaxError> {
        self.skim_string()?;
        self.colon()
    }

    fn skim_string(&mut self) -> Result<(), SyntaxError> {
        self.string_parts(|_| {}).map(|_| ())
    }

    /// Hands out the unescaped text in parts; false if it holds half a surrogate pair.
    pub(super) fn string_parts(&mut self, mut part: impl FnMut(&str)) -> Result<bool, SyntaxError> {
        if !self.take(b'"') {
            return Err(self.error("a string"));
        }
        let mut whole = true;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).unwrap_or(rest.len());
            part(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(whole);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    whole &= character.is_some();
                    part(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]));
                }
                Some(_) => return Err(self.error("no control character inside a string")),
                None => return Err(self.error("the end of a string")),
            }
        }
    }

    /// Reads an escape after its backslash; `None` for half a surrogate pair.
    fn escape(&mut self) -> Result<Option<char>, SyntaxError> {
        let simple = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error("an escape")),
        };
        self.at += 1;
        Ok(Some(simple))
    }

    fn unicode_escape(&mut self) -> Result<Option<char>, SyntaxError> {
        let first = self.four_hex_digits()?;
        let is_high_surrogate = (0xD800..0xDC00).contains(&first);
        if !is_high_surrogate || !self.text[self.at..].starts_with("\\u") {
            return Ok(char::from_u32(first));
        }
        let after_first = self.at;
        self.at += 2;
        let second = self.four_hex_digits()?;
        if (0xDC00..0xE000).contains(&second) {
            return Ok(char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)));
        }
        self.at = after_first;
        Ok(None)
    }

    fn four_hex_digits(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.error("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(code)
    }

    pub(super) fn number_text(&mut self) -> Result<&'t str, SyntaxError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit")) } else { Ok(()) }
    }

    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn colon(&mut self) -> Result<(), SyntaxError> {
        self.skip_whitespace();
        if !self.take(b':') {
            return Err(self.error("`:`"));
        }
        self.skip_whitespace();
        Ok(())
    }

    /// After an element: true if a comma announces another one, false if the container closed.
    pub(super) fn another(&mut self, close: u8, expected: &'static str) -> Result<bool, SyntaxError> {
        self.skip_whitespace();
        if self.take(close) {
            return Ok(false);
        }
        if !self.take(b',') {
            return Err(self.error(expected));
        }
        self.skip_whitespace();
        Ok(true)
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn error(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { offset: self.at, expected }
    }
}
