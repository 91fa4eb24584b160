//! The lexical layer of RFC 1035 §5.1: octets → entries of tokens. Knows white space, comments, parentheses, quotes and
//! escapes, and nothing of records.

/// The longest entry in octets, from its first to its last line. The largest RDATA, each octet written `\DDD`, fits.
pub(super) const MAX_ENTRY_LENGTH: usize = 512 * 1024;

/// One word of an entry, or one quoted string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The octets as written: escapes kept, the quotation marks around it not.
    pub text: &'a [u8],
    /// Whether it stood in quotation marks.
    pub quoted: bool,
    /// Where it starts in the text it was read from.
    pub at: usize,
}

/// How an entry starts, which is what tells an owner name from its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its first line starts.
    pub(super) start: usize,
    /// Where what follows it starts.
    pub(super) end: usize,
    /// Whether it starts with white space, so that the last owner applies.
    pub(super) has_blank_owner: bool,
}

/// What is wrong with the text before it means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanError {
    /// Where.
    pub(super) at: usize,
    /// What rule it breaks.
    pub(super) rule: &'static str,
}

/// Reads one text from its start to its end.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `text`; a UTF-8 byte order mark is skipped.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, at }
    }

    /// Reads the next entry that has any token into `tokens`; none at the end of the text.
    ///
    /// # Errors
    /// The entry's first lexical fault. Reading can go on: at the line behind the one with the fault.
    pub(super) fn next_entry(&mut self, tokens: &mut Vec<Token<'a>>) -> Option<Result<Entry, ScanError>> {
        loop {
            tokens.clear();
            let start = self.at;
            let first = *self.text.get(start)?;
            match self.scan_entry(tokens) {
                Ok(()) if tokens.is_empty() => {}
                Ok(()) => {
                    let has_blank_owner = matches!(first, b' ' | b'\t');
                    return Some(Ok(Entry { start, end: self.at, has_blank_owner }));
                }
                Err(error) => {
                    self.at = error.at;
                    self.skip_line();
                    return Some(Err(error));
                }
            }
        }
    }

    fn scan_entry(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<(), ScanError> {
        let start = self.at;
        let mut depth = 0_u32;
        let mut opened_at = start;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b';' => self.skip_comment(),
                b'(' => {
                    if depth == 0 {
                        opened_at = self.at;
                    }
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or(self.fault("')' without a '(' before it"))?;
                    self.at += 1;
                }
                b'"' => tokens.push(self.read_quoted()?),
                _ => tokens.push(self.read_word()?),
            }
            if self.at - start > MAX_ENTRY_LENGTH {
                let at = if depth > 0 { opened_at } else { start };
                return Err(ScanError { at, rule: "the entry is longer than 524,288 octets (is a ')' missing?)" });
            }
        }
        if depth > 0 { Err(ScanError { at: opened_at, rule: "'(' without a ')' behind it" }) } else { Ok(()) }
    }

    fn fault(&self, rule: &'static str) -> ScanError {
        ScanError { at: self.at, rule }
    }

    /// Reads an unquoted word. A `key="value"` pair of RFC 9460 §2.1 is one word, quotation marks included.
    fn read_word(&mut self) -> Result<Token<'a>, ScanError> {
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += rest.iter().position(|octet| ends_run(*octet)).unwrap_or(rest.len());
            match self.text.get(self.at) {
                Some(b'\\') => self.skip_escape()?,
                Some(b'"') if self.at > start && self.text.get(self.at - 1) == Some(&b'=') => {
                    self.read_quoted()?;
                }
                Some(0) => return Err(self.fault(NUL)),
                _ => break,
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Token { text, quoted: false, at: start })
    }

    /// Reads a quoted string, from its opening to its closing quotation mark.
    fn read_quoted(&mut self) -> Result<Token<'a>, ScanError> {
        let opened_at = self.at;
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let run = rest.iter().position(|octet| matches!(octet, b'"' | b'\\' | b'\n' | 0));
            self.at += run.unwrap_or(rest.len());
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.skip_escape()?,
                Some(0) => return Err(self.fault(NUL)),
                _ => {
                    return Err(ScanError { at: opened_at, rule: "the quoted string does not end on its line" });
                }
            }
        }
        let text = self.text.get(opened_at + 1..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Token { text, quoted: true, at: opened_at })
    }

    /// Steps over a backslash and the octet it protects.
    fn skip_escape(&mut self) -> Result<(), ScanError> {
        match self.text.get(self.at + 1) {
            None | Some(b'\n' | b'\r') => Err(self.fault("a backslash with nothing behind it")),
            Some(0) => Err(self.fault(NUL)),
            Some(_) => {
                self.at += 2;
                Ok(())
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    }

    fn skip_line(&mut self) {
        self.skip_comment();
        self.at = (self.at + 1).min(self.text.len());
    }
}

const NUL: &str = r"a NUL octet: this is no text, or write it as \000";

/// Whether an octet may end a run of plain ones inside a word.
const fn ends_run(octet: u8) -> bool {
    matches!(octet, 0 | b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Result<Vec<String>, (usize, &'static str)>> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut tokens = Vec::new();
        let mut found = Vec::new();
        while let Some(entry) = scanner.next_entry(&mut tokens) {
            let words = tokens.iter().map(|token| {
                let text = String::from_utf8_lossy(token.text);
                if token.quoted { format!("<{text}>") } else { text.into_owned() }
            });
            found.push(entry.map(|_| words.collect()).map_err(|error| (error.at, error.rule)));
        }
        found
    }

    fn check(text: &str, expected: &[&[&str]]) {
        let found: Vec<_> = entries(text).into_iter().map(|entry| entry.expect(text)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_quotes_comments_and_parentheses_are_told_apart() {
        check("a b\tc ; d\ne", &[&["a", "b", "c"], &["e"]]);
        check("a ( b ; c\n d ) e\nf\n", &[&["a", "b", "d", "e"], &["f"]]);
        check("a ((b) c\n)\n", &[&["a", "b", "c"]]);
        check(r#"a "b ; ( c" "" d"#, &[&["a", "<b ; ( c>", "<>", "d"]]);
        check(r#"a "b \" c" d\ e\;f"#, &[&["a", r#"<b \" c>"#, r"d\ e\;f"]]);
        check(r#"a"b"c"#, &[&["a", "<b>", "c"]]);
        check(r#"alpn="h2, h3" port=1"#, &[&[r#"alpn="h2, h3""#, "port=1"]]);
        check("\n ; only\n  \n", &[]);
        check("a b\r\nc\r\n", &[&["a", "b"], &["c"]]);
        check("\u{feff}a\n", &[&["a"]]);
    }

    #[test]
    fn an_entry_tells_how_it_starts() {
        let mut scanner = Scanner::new(b"a b\n\tc (\n d)\ne");
        let mut tokens = Vec::new();
        let mut next = || scanner.next_entry(&mut tokens).unwrap().unwrap();
        assert_eq!(next(), Entry { start: 0, end: 4, has_blank_owner: false });
        assert_eq!(next(), Entry { start: 4, end: 13, has_blank_owner: true });
        assert_eq!(next(), Entry { start: 13, end: 14, has_blank_owner: false });
    }

    #[test]
    fn lexical_faults_are_placed_and_reading_goes_on_behind_their_line() {
        let fault = |text: &str, at: usize, part: &str| {
            let found = entries(&format!("{text}\nnext"));
            let (found_at, rule) = *found.first().unwrap().as_ref().unwrap_err();
            assert_eq!((found_at, rule.contains(part)), (at, true), "{text}: {rule}");
            assert_eq!(found.last().unwrap(), &Ok(vec!["next".to_owned()]), "{text}");
        };
        fault("a \"b", 2, "quoted string");
        fault("a ( b", 2, "without a ')'");
        fault("a b )", 4, "without a '('");
        fault("a \\", 2, "backslash");
        fault("a b\0c", 3, "NUL");
        fault("a \"b\0\"", 4, "NUL");
    }

    #[test]
    fn an_endless_entry_is_refused() {
        let text = format!("a ( {}\n)\nb", "x ".repeat(MAX_ENTRY_LENGTH / 2));
        let found = entries(&text);
        assert_eq!(found.first().unwrap().as_ref().unwrap_err().0, 2);
        assert_eq!(found.last().unwrap(), &Ok(vec!["b".to_owned()]));
        let line = "y".repeat(MAX_ENTRY_LENGTH + 1);
        assert!(entries(&line).first().unwrap().is_err());
    }
}
