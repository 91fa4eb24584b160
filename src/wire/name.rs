//! Domain names in uncompressed wire form, with their text form (RFC 1035 §2.3, §5.1; RFC 4343).

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The longest name in octets, root label included (RFC 1035 §2.3.4).
pub const MAX_NAME_LENGTH: usize = 255;
/// The longest label in octets (RFC 1035 §2.3.4).
pub(super) const MAX_LABEL_LENGTH: usize = 63;

/// An absolute domain name: wire form, case as written; equality, order and hash ignore ASCII case (RFC 4343 §3).
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why a text or some octets are not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was written.
    Empty,
    /// Two dots in a row, or a leading dot.
    EmptyLabel,
    /// A label over 63 octets.
    LabelTooLong,
    /// A name over 255 octets.
    TooLong,
    /// A backslash without a character or three digits up to 255 behind it.
    BadEscape,
    /// A character that must be escaped: white space, a control character or one beyond ASCII.
    BadCharacter(char),
    /// Octets that end inside a name, or hold a compression pointer where none may be.
    BadWire,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty name: write '.' for the root"),
            Self::EmptyLabel => f.write_str("empty label: two dots in a row, or a dot at the start"),
            Self::LabelTooLong => f.write_str("a label is longer than 63 octets"),
            Self::TooLong => f.write_str("the name is longer than 255 octets"),
            Self::BadEscape => f.write_str(r"bad escape: use \X for a character or \DDD with DDD up to 255"),
            Self::BadCharacter(c) => {
                write!(f, "the character {c:?} must be written as \\DDD (or, beyond ASCII, in punycode)")
            }
            Self::BadWire => f.write_str("the octets are no uncompressed name"),
        }
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Reads a name in text; one without a final dot is completed with `origin`, or is absolute when there is none.
    /// A lone `@` is the origin.
    ///
    /// # Errors
    /// The first rule of RFC 1035 §5.1 and §2.3.4 that the text breaks.
    pub fn parse(text: &str, origin: Option<&Self>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2 + origin.map_or(0, |origin| origin.0.len()));
        Self::append_text(text.as_bytes(), origin, &mut wire)?;
        Ok(Self(wire.into_boxed_slice()))
    }

    /// Appends the wire form of a name in text to `wire`, by the rules of [`parse`](Self::parse), without allocation
    /// of its own. After an error the tail of `wire` is of no use.
    ///
    /// # Errors
    /// The first rule of RFC 1035 §5.1 and §2.3.4 that the text breaks.
    pub fn append_text(text: &[u8], origin: Option<&Self>, wire: &mut Vec<u8>) -> Result<(), NameError> {
        let start = wire.len();
        match (text, origin) {
            (b"@", Some(origin)) => {
                wire.extend_from_slice(&origin.0);
                return Ok(());
            }
            (b".", _) => {
                wire.push(0);
                return Ok(());
            }
            (b"", _) => return Err(NameError::Empty),
            _ => {}
        }
        let absolute = read_labels(text, wire)?;
        match origin {
            Some(origin) if !absolute => wire.extend_from_slice(&origin.0),
            _ => wire.push(0),
        }
        if wire.len() - start > MAX_NAME_LENGTH { Err(NameError::TooLong) } else { Ok(()) }
    }

    /// Reads the uncompressed name at the start of `wire`; the caller goes on behind `name.as_wire().len()` octets.
    ///
    /// # Errors
    /// [`NameError::BadWire`] or [`NameError::TooLong`].
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let mut length = 0;
        loop {
            let label = usize::from(*wire.get(length).ok_or(NameError::BadWire)?);
            if label > MAX_LABEL_LENGTH {
                return Err(NameError::BadWire);
            }
            length += 1 + label;
            if length > MAX_NAME_LENGTH {
                return Err(NameError::TooLong);
            }
            if label == 0 {
                return wire.get(..length).map(|name| Self(name.into())).ok_or(NameError::BadWire);
            }
        }
    }

    /// The uncompressed wire form, root label included; 1 to 255 octets.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case.
    pub fn to_lowercase(&self) -> Self {
        // Length octets are at most 63, below every upper-case letter, so the whole form can be folded at once.
        Self(self.0.to_ascii_lowercase().into_boxed_slice())
    }

    /// The labels from the leftmost to the one before the root, as octets.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked(usize::from(*length))?;
            rest = tail;
            (!label.is_empty()).then_some(label)
        })
    }

    /// How many labels the name has, the root not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether the leftmost label is the single character `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(&[1, b'*'])
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let first = self.labels().next()?.len();
        self.0.get(1 + first..).map(|rest| Self(rest.into()))
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let Some(start) = self.0.len().checked_sub(ancestor.0.len()) else { return false };
        let mut offset = 0;
        while offset < start {
            offset += 1 + usize::from(self.0.get(offset).copied().unwrap_or(0));
        }
        offset == start && self.0.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(&ancestor.0))
    }

    /// The text of this name relative to `origin`: `@` for the origin itself, absolute when it is not below it.
    pub fn relative_to(&self, origin: &Self) -> String {
        if self == origin {
            return "@".to_owned();
        }
        let text = self.to_string();
        if origin.is_root() || !self.is_at_or_below(origin) {
            return text;
        }
        let keep = self.label_count() - origin.label_count();
        let mut relative = String::new();
        for label in self.labels().take(keep) {
            if !relative.is_empty() {
                relative.push('.');
            }
            let _ = write_label(label, &mut relative); // writing to a String cannot fail
        }
        relative
    }

    /// `label` put before this name.
    ///
    /// # Errors
    /// [`NameError::LabelTooLong`] or [`NameError::TooLong`].
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        let length = u8::try_from(label.len()).ok().filter(|n| usize::from(*n) <= MAX_LABEL_LENGTH);
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(length.ok_or(NameError::LabelTooLong)?);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        if wire.len() > MAX_NAME_LENGTH { Err(NameError::TooLong) } else { Ok(Self(wire.into_boxed_slice())) }
    }
}

/// Appends the labels of `text` to `wire`; says whether a final dot made it absolute.
fn read_labels(text: &[u8], wire: &mut Vec<u8>) -> Result<bool, NameError> {
    let mut rest = text;
    while !rest.is_empty() {
        let start = wire.len();
        wire.push(0);
        loop {
            let run = rest.iter().position(|octet| !is_plain(*octet)).unwrap_or(rest.len());
            let (plain, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            wire.extend_from_slice(plain);
            match tail.split_first() {
                None => {
                    close_label(wire, start)?;
                    return Ok(false);
                }
                Some((b'.', tail)) => {
                    close_label(wire, start)?;
                    rest = tail;
                    break;
                }
                Some((b'\\', tail)) => {
                    let (octet, tail) = read_escape(tail)?;
                    wire.push(octet);
                    rest = tail;
                }
                Some(_) => return Err(NameError::BadCharacter(first_character(tail))),
            }
        }
    }
    Ok(true)
}

/// Whether an octet of a name's text stands for itself.
const fn is_plain(octet: u8) -> bool {
    matches!(octet, b'!'..=b'~') && octet != b'.' && octet != b'\\'
}

/// The character that `text` starts with, for a message.
fn first_character(text: &[u8]) -> char {
    let head = text.get(..4).unwrap_or(text);
    String::from_utf8_lossy(head).chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Writes the length of the label that starts at `start` and ends where `wire` ends.
fn close_label(wire: &mut [u8], start: usize) -> Result<(), NameError> {
    let length = wire.len() - start - 1;
    if length == 0 {
        return Err(NameError::EmptyLabel);
    }
    if length > MAX_LABEL_LENGTH {
        return Err(NameError::LabelTooLong);
    }
    if let (Some(slot), Ok(length)) = (wire.get_mut(start), u8::try_from(length)) {
        *slot = length;
    }
    Ok(())
}

/// Reads what follows a backslash: three digits, or one character that stands for itself (RFC 1035 §5.1).
/// Gives the octet and what is behind it.
fn read_escape(text: &[u8]) -> Result<(u8, &[u8]), NameError> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let digits = [a, b, c].map(|digit| u16::from(*digit - b'0'));
            let value = digits.iter().fold(0, |value, digit| value * 10 + digit);
            u8::try_from(value).map(|octet| (octet, rest)).map_err(|_| NameError::BadEscape)
        }
        [] | [b'0'..=b'9', ..] => Err(NameError::BadEscape),
        [octet, rest @ ..] if octet.is_ascii() => Ok((*octet, rest)),
        _ => Err(NameError::BadCharacter(first_character(text))),
    }
}

/// Writes one label in presentation form.
fn write_label(label: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    for &octet in label {
        match octet {
            b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(out, "\\{}", char::from(octet))?,
            b'!'..=b'~' => out.write_char(char::from(octet))?,
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            write_label(label, f)?;
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads an absolute name; the final dot may be left out.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text, None)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in &self.0 {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

impl Ord for Name {
    /// The canonical order of RFC 4034 §6.1: by labels from the right, each as lower-case octets.
    fn cmp(&self, other: &Self) -> Ordering {
        let mine: Vec<&[u8]> = self.labels().collect();
        let theirs: Vec<&[u8]> = other.labels().collect();
        let by_label = |(a, b): (&&[u8], &&[u8])| a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
        mine.iter()
            .rev()
            .zip(theirs.iter().rev())
            .map(by_label)
            .find(|order| order.is_ne())
            .unwrap_or(mine.len().cmp(&theirs.len()))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_wire_agree() {
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        for text in
            [".", "example.com.", "*.example.com.", r"a\.b.example.", r"\000\255.x.", r"\@.x.", &format!("{long}.")]
        {
            let parsed = name(text);
            assert_eq!(parsed.to_string(), text);
            assert_eq!(Name::from_wire(parsed.as_wire()), Ok(parsed));
        }
    }

    #[test]
    fn bad_texts_are_refused_with_the_rule() {
        let check = |text: &str, error| assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        check("", NameError::Empty);
        check("a..b", NameError::EmptyLabel);
        check(".a", NameError::EmptyLabel);
        check("..", NameError::EmptyLabel);
        check(&"a".repeat(64), NameError::LabelTooLong);
        check(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join("."), NameError::TooLong);
        check(r"a\25", NameError::BadEscape);
        check(r"a\256", NameError::BadEscape);
        check("a\\", NameError::BadEscape);
        check("a b", NameError::BadCharacter(' '));
        check("é", NameError::BadCharacter('é'));
    }

    #[test]
    fn bad_wire_is_refused() {
        for wire in [&[][..], &[1], &[1, b'a'], &[0xc0, 0], &[64; 70]] {
            assert_eq!(Name::from_wire(wire), Err(NameError::BadWire));
        }
        assert_eq!(Name::from_wire(&[&[1, b'a'].repeat(127)[..], &[1, b'a', 0]].concat()), Err(NameError::TooLong));
    }

    #[test]
    fn case_is_kept_and_ignored() {
        assert_eq!(name("WWW.Example."), name("www.example."));
        assert_eq!(name("WWW.Example.").to_string(), "WWW.Example.");
        assert!(name("www.EXAMPLE.").is_at_or_below(&name("example.")));
    }

    #[test]
    fn ancestors_are_compared_by_label() {
        assert!(name("example.").is_at_or_below(&name("example.")));
        assert!(name("a.b.example.").is_at_or_below(&Name::root()));
        assert!(!name("notexample.").is_at_or_below(&name("example.")));
        assert!(!name("example.").is_at_or_below(&name("a.example.")));
        // A label whose octets look like the ancestor's wire form.
        assert!(!name(r"x\007example.").is_at_or_below(&name("example.")));
    }

    #[test]
    fn relative_text_round_trips() {
        let origin = name("example.com.");
        for text in ["@", "www", "a.b", "other.example.net."] {
            assert_eq!(Name::parse(text, Some(&origin)).unwrap().relative_to(&origin), text);
        }
    }

    #[test]
    fn rfc4034_6_1_canonical_order() {
        let ordered = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        let mut names: Vec<Name> = ordered.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names, ordered.map(name));
    }
}
