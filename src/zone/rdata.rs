//! RDATA of any type: text ↔ wire, checked; names inside it; the form in which two are compared.
//!
//! One table (`rdata_layout`) gives each type its fields. A type that is not in it, and any that is, can be written in
//! the generic form of RFC 3597 §5: `\# 4 C0000201`.

use std::borrow::Cow;
use std::fmt;

use crate::wire::{Name, RecordType};

pub use super::master_token::Token;
pub use super::rdata_layout::NameRule;

use super::master_token::Scanner;
use super::rdata_layout::{Field, layout};
use super::{rdata_gateway, rdata_print, rdata_text, rdata_wire};

/// Why text or octets are not the data of a record of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdataError {
    /// The type.
    pub record_type: RecordType,
    /// The field, in its RFC's words; empty when the data as a whole is wrong.
    pub field: &'static str,
    /// The rule that is broken.
    pub rule: Cow<'static, str>,
    /// Which token of the text is at fault; one past the last when something is missing.
    pub token: Option<usize>,
}

impl RdataError {
    pub(super) fn new(record_type: RecordType, field: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { record_type, field, rule: rule.into(), token: None }
    }

    pub(super) fn at(mut self, token: usize) -> Self {
        self.token = Some(token);
        self
    }
}

impl fmt::Display for RdataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "data" } else { self.field };
        write!(f, "{} {field}: {}", self.record_type, self.rule)
    }
}

impl std::error::Error for RdataError {}

/// Appends the wire form of a record's data, given as the tokens of its text. Names without a final dot get `origin`.
/// After an error the tail of `out` is of no use.
///
/// # Errors
/// The first field and rule that is broken, with the token at fault.
pub fn from_tokens(
    record_type: RecordType,
    tokens: &[Token<'_>],
    origin: &Name,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    rdata_text::read(record_type, tokens, origin, out)
}

/// The wire form of a record's data in text, as a master file has it behind the type. It may span lines in parentheses.
///
/// # Errors
/// The first field and rule that is broken.
pub fn from_text(record_type: RecordType, text: &str, origin: &Name) -> Result<Vec<u8>, RdataError> {
    let mut tokens = Vec::new();
    let mut scanner = Scanner::new(text.as_bytes());
    if let Some(Err(error)) = scanner.next_entry(&mut tokens) {
        return Err(RdataError::new(record_type, "", error.rule));
    }
    if scanner.next_entry(&mut Vec::new()).is_some() {
        return Err(RdataError::new(record_type, "", "the text has a second line"));
    }
    let mut out = Vec::new();
    from_tokens(record_type, &tokens, origin, &mut out)?;
    Ok(out)
}

/// The text of RDATA, which [`from_text`] reads back to the same octets. Names are absolute. Octets that [`check`]
/// refuses come out in the generic form.
pub fn to_text(record_type: RecordType, rdata: &[u8]) -> String {
    let mut out = String::new();
    rdata_print::print(record_type, rdata, &mut out);
    out
}

/// Appends what [`to_text`] gives.
pub fn append_text(record_type: RecordType, rdata: &[u8], out: &mut String) {
    rdata_print::print(record_type, rdata, out);
}

/// Checks RDATA that comes from elsewhere: every length, name and string, and the rules between fields.
///
/// # Errors
/// The first field and rule that is broken.
pub fn check(record_type: RecordType, rdata: &[u8]) -> Result<(), RdataError> {
    rdata_wire::check(record_type, rdata)
}

/// A name inside RDATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameField {
    /// Where it starts.
    pub offset: usize,
    /// Its octets, root label included.
    pub length: usize,
}

/// The names inside RDATA, in order; none behind a fault.
pub fn names(record_type: RecordType, rdata: &[u8]) -> impl Iterator<Item = NameField> {
    let parts = layout(record_type).into_iter().flat_map(move |layout| rdata_wire::parts(layout, rdata));
    parts.map_while(Result::ok).filter_map(move |part| match part.field {
        Field::Name => Some(NameField { offset: part.offset, length: part.octets.len() }),
        Field::Gateway if rdata_gateway::is_name(rdata) => {
            let length = rdata_gateway::length(part.octets, rdata).ok()?;
            Some(NameField { offset: part.offset, length })
        }
        _ => None,
    })
}

/// What may be done with the names of a type: compressed in messages, compared without case, or neither.
pub fn name_rule(record_type: RecordType) -> NameRule {
    layout(record_type).map_or(NameRule::Opaque, |layout| layout.names)
}

/// The host name for which the additional section has addresses, in wire form: NS, MX, SRV, SVCB, HTTPS, AFSDB, KX, LP.
pub fn target(record_type: RecordType, rdata: &[u8]) -> Option<&[u8]> {
    let octets = match record_type {
        RecordType::NS => rdata,
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS | RecordType::AFSDB | RecordType::KX | RecordType::LP => {
            rdata.get(2..)?
        }
        RecordType::SRV => rdata.get(6..)?,
        _ => return None,
    };
    octets.get(..rdata_wire::measure_name(octets).ok()?)
}

/// Appends the canonical form of checked RDATA (RFC 4034 §6.2): what two records of one RRset may not share.
pub fn append_canonical(record_type: RecordType, rdata: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(rdata);
    if name_rule(record_type) == NameRule::Opaque {
        return;
    }
    for name in names(record_type, rdata) {
        // Length octets are at most 63, below every upper-case letter.
        if let Some(octets) = out.get_mut(start + name.offset..start + name.offset + name.length) {
            octets.make_ascii_lowercase();
        }
    }
}

/// Whether two records of one type are the same record: equal in canonical form (RFC 2181 §5, RFC 4034 §6.2).
pub fn is_same(record_type: RecordType, a: &[u8], b: &[u8]) -> bool {
    a == b
        || a.eq_ignore_ascii_case(b) && {
            let canonical = |rdata| {
                let mut out = Vec::with_capacity(a.len());
                append_canonical(record_type, rdata, &mut out);
                out
            };
            canonical(a) == canonical(b)
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Name {
        "example.".parse().unwrap()
    }

    /// Reads the text, checks the octets, and expects the same text back, or `printed` where it is not empty.
    fn check_text(record_type: RecordType, text: &str, printed: &str) {
        let rdata = from_text(record_type, text, &origin()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(check(record_type, &rdata), Ok(()), "{text}");
        let found = to_text(record_type, &rdata);
        assert_eq!(found, if printed.is_empty() { text } else { printed });
        assert_eq!(from_text(record_type, &found, &origin()).as_ref(), Ok(&rdata), "{found}");
        let generic = format!("\\# {} {}", rdata.len(), data_encoding::HEXLOWER.encode(&rdata));
        assert_eq!(from_text(record_type, &generic, &origin()), Ok(rdata), "{generic}");
    }

    #[test]
    fn every_type_of_the_table_is_read_and_printed_back() {
        let mut seen = std::collections::BTreeSet::new();
        for line in include_str!("rdata_examples.txt").lines() {
            let (record_type, text) = line.split_once(' ').unwrap();
            let (text, printed) = text.split_once(" => ").unwrap_or((text, ""));
            let record_type: RecordType = record_type.parse().unwrap();
            seen.insert(record_type);
            check_text(record_type, text.trim(), printed);
        }
        let missing: Vec<_> =
            super::super::rdata_layout::LAYOUTS.iter().map(|l| l.record_type).filter(|t| !seen.contains(t)).collect();
        assert!(missing.is_empty(), "no example of {missing:?}");
    }

    #[test]
    fn bad_texts_are_refused_with_field_and_rule() {
        let check_error = |record_type: &str, text: &str, token: Option<usize>, expected: &str| {
            let error = from_text(record_type.parse().unwrap(), text, &origin()).expect_err(text);
            assert_eq!((error.to_string().as_str(), error.token), (expected, token), "{record_type} {text}");
        };
        check_error("A", "1.2.3", Some(0), "A address: \"1.2.3\" is no IPv4 address");
        check_error("A", "01.2.3.4", Some(0), "A address: \"01.2.3.4\" is no IPv4 address");
        check_error("A", "1.2.3.4 5", Some(1), "A data: \"5\" is more than the record has room for");
        check_error("A", "", Some(0), "A address: missing");
        check_error("AAAA", "1::2::3", Some(0), "AAAA address: \"1::2::3\" is no IPv6 address");
        check_error("MX", "mail", Some(0), "MX preference: \"mail\" is not a number");
        check_error("MX", "65536 mail", Some(0), "MX preference: \"65536\" is above 65535");
        check_error("MX", "10", Some(1), "MX exchange: missing");
        check_error(
            "NS",
            "a..b",
            Some(0),
            "NS name server: \"a..b\": empty label: two dots in a row, or a dot at the start",
        );
        check_error("TXT", "", Some(0), "TXT text: missing");
        let long = "x".repeat(256);
        check_error("TXT", &format!("ok {long}"), Some(1), "TXT text: a string of 256 octets, more than 255: split it");
        check_error("TXT", "\"a", None, "TXT data: the quoted string does not end on its line");
        check_error("TXT", "a\nb", None, "TXT data: the text has a second line");
        check_error("SOA", ". . 1 2 3 4", Some(6), "SOA minimum: missing");
        check_error("CAA", "0 is-sue x", Some(1), "CAA tag: \"is-sue\" is no tag such as issue, issuewild or iodef");
        check_error("DS", "1 8 2 00", Some(3), "DS digest: 1 octets where kind 2 has 32");
        check_error("A", "\\# 3 010203", Some(1), "A address: cut short");
        check_error("A", "\\# 4 010203", Some(1), "A data: 3 octets follow where 4 are announced");
        check_error("A", "\\#", Some(1), "A data: a length is missing behind \\#");
        check_error(
            "TYPE65280",
            "x",
            Some(0),
            "TYPE65280 data: this type has only the generic form: \\# LENGTH HEXADECIMAL",
        );
        check_error("ANY", "x", None, "ANY data: this type stands only in queries, never in a zone");
        check_error(
            "L64",
            "1 2001:db8::1",
            Some(1),
            "L64 locator: \"2001:db8::1\" is not four groups such as 2001:db8:1140:1000",
        );
        check_error(
            "EUI48",
            "00-00-5e-00-53",
            Some(0),
            "EUI48 address: \"00-00-5e-00-53\" is not 6 octets such as 00-00-5e",
        );
        check_error("TYPE65280", "\\# 1 0g", Some(2), "TYPE65280 data: \"g\" is no hexadecimal digit");
        check_error("SVCB", "1 . alpn=h2 port=x", Some(3), "SVCB parameters: port: \"x\" is not a number");
        check_error(
            "LOC",
            "1 N 2 X",
            Some(3),
            "LOC location: \"X\" is no number from 0 to 59; write it as: 51 30 12.748 N 0 7 39.612 W 0.00m [size [horizontal [vertical precision]]]",
        );
    }

    #[test]
    fn data_is_limited_to_65535_octets() {
        let strings =
            |count: usize, last: usize| format!("{} {}", vec!["x".repeat(255); count].join(" "), "y".repeat(last));
        let whole = from_text(RecordType::TXT, &strings(255, 254), &origin()).unwrap();
        assert_eq!(whole.len(), 65_535);
        assert_eq!(check(RecordType::TXT, &whole), Ok(()));
        let error = from_text(RecordType::TXT, &strings(255, 255), &origin()).unwrap_err();
        assert_eq!(error.to_string(), "TXT data: 65536 octets, more than the 65535 that a record can hold");
        let value =
            |length: usize| from_text(RecordType::CAA, &format!("0 issue \"{}\"", "x".repeat(length)), &origin());
        assert_eq!(value(65_535 - 7).unwrap().len(), 65_535);
        assert!(value(65_536 - 7).is_err());
        let param = |length: usize| from_text(RecordType::SVCB, &format!("1 . key9={}", "x".repeat(length)), &origin());
        assert_eq!(param(65_535 - 7).unwrap().len(), 65_535);
        for length in [65_536 - 7, 65_535, 65_536, 70_000] {
            assert!(param(length).is_err(), "{length}");
        }
        let alpn = |length: usize| from_text(RecordType::SVCB, &format!("1 . alpn={}", "x".repeat(length)), &origin());
        assert!(alpn(255).is_ok() && alpn(256).is_err());
    }

    #[test]
    fn names_are_found_with_their_offsets() {
        let check_names = |record_type: RecordType, text: &str, expected: &[(usize, usize)]| {
            let rdata = from_text(record_type, text, &origin()).unwrap();
            let found: Vec<_> = names(record_type, &rdata).map(|name| (name.offset, name.length)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check_names(RecordType::SOA, "a.b. c. 1 2 3 4 5", &[(0, 5), (5, 3)]);
        check_names(RecordType::SRV, "1 2 3 a.", &[(6, 3)]);
        check_names(RecordType::NAPTR, "1 2 \"\" \"\" \"\" a.", &[(7, 3)]);
        check_names(RecordType::IPSECKEY, "1 3 0 a. AQ==", &[(3, 3)]);
        check_names(RecordType::IPSECKEY, "1 0 0 . AQ==", &[]);
        check_names(RecordType::A, "192.0.2.1", &[]);
        assert_eq!(names(RecordType::NS, &[0xc0, 0]).count(), 0);
    }

    #[test]
    fn the_canonical_form_folds_only_the_names_that_ignore_case() {
        let check_fold = |record_type: RecordType, text: &str, folded: &str| {
            let rdata = from_text(record_type, text, &origin()).unwrap();
            let mut out = b"kept".to_vec();
            append_canonical(record_type, &rdata, &mut out);
            assert_eq!(out[4..], from_text(record_type, folded, &origin()).unwrap(), "{text}");
        };
        check_fold(RecordType::MX, "1 MAIL.Example.", "1 mail.example.");
        check_fold(RecordType::NAPTR, "1 2 U E2U \"\" A.", "1 2 U E2U \"\" a.");
        check_fold(RecordType::SVCB, "1 A. port=1", "1 A. port=1");
        check_fold(RecordType::TXT, "ABC", "ABC");
    }

    #[test]
    fn names_that_differ_in_case_make_the_same_record_and_other_data_does_not() {
        let check = |record_type, a: &str, b: &str, expected| {
            let rdata = |text| from_text(record_type, text, &origin()).unwrap();
            assert_eq!(is_same(record_type, &rdata(a), &rdata(b)), expected, "{record_type} {a} {b}");
        };
        check(RecordType::CNAME, "b.example.", "B.Example.", true);
        check(RecordType::MX, "1 mail.example.", "1 MAIL.example.", true);
        check(RecordType::MX, "1 mail.example.", "2 mail.example.", false);
        check(RecordType::TXT, "abc", "ABC", false);
        check(RecordType::A, "97.97.97.97", "65.65.65.65", false);
    }

    #[test]
    fn targets_are_the_hosts_that_additional_data_is_for() {
        let mx = from_text(RecordType::MX, "1 a.", &origin()).unwrap();
        assert_eq!(target(RecordType::MX, &mx), Some(&b"\x01a\0"[..]));
        assert_eq!(target(RecordType::TXT, b"\x01a"), None);
        assert_eq!(target(RecordType::MX, b"\0"), None);
    }
}
