//! RDATA from text: the tokens of a record → wire form, by the table.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::{Name, RecordType};

use super::master_token::Token;
use super::rdata::RdataError;
use super::rdata_codec::{
    MAX_STRING_LENGTH, Rule, quote, read_base32, read_base64, read_hex, read_number, read_period, read_string,
};
use super::rdata_layout::{Field, layout};
use super::rdata_wire::{MAX_RDATA_LENGTH, check, check_digest};
use super::{rdata_bitmap, rdata_gateway, rdata_location, rdata_prefix, rdata_service, rdata_time};

/// Appends the wire form of a record's data.
pub(super) fn read(
    record_type: RecordType,
    tokens: &[Token<'_>],
    origin: &Name,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let error = |field: &'static str, rule: Rule| RdataError::new(record_type, field, rule);
    if let Some((Token { text: b"\\#", quoted: false, .. }, words)) = tokens.split_first() {
        let start = out.len();
        read_generic(words, out).map_err(|(token, rule)| error("", rule).at(token + 1))?;
        return check(record_type, out.get(start..).unwrap_or_default()).map_err(|error| error.at(1));
    }
    if record_type.is_meta() {
        return Err(error("", "this type stands only in queries, never in a zone".into()));
    }
    let Some(layout) = layout(record_type) else {
        return Err(error("", r"this type has only the generic form: \# LENGTH HEXADECIMAL".into()).at(0));
    };
    let start = out.len();
    let mut reader = Reader { tokens, next: 0, origin, start };
    for (name, field) in layout.fields {
        reader.read_field(*field, out).map_err(|(token, rule)| error(name, rule).at(token))?;
    }
    if let Some(extra) = tokens.get(reader.next) {
        let rule = format!("{} is more than the record has room for", quote(extra.text));
        return Err(error("", rule.into()).at(reader.next));
    }
    let rdata = out.get(start..).unwrap_or_default();
    if rdata.len() > MAX_RDATA_LENGTH {
        let rule = format!("{} octets, more than the {MAX_RDATA_LENGTH} that a record can hold", rdata.len());
        return Err(error("", rule.into()).at(0));
    }
    if let Some((_, Field::Hex)) = layout.fields.last() {
        check_digest(record_type, rdata).map_err(|error| error.at(tokens.len().saturating_sub(1)))?;
    }
    Ok(())
}

/// A rule that a token breaks, by the token's index.
type TokenRule = (usize, Rule);

/// Reads `LENGTH HEXADECIMAL…` (RFC 3597 §5).
fn read_generic(words: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), TokenRule> {
    let (length, digits) = words.split_first().ok_or((0, Rule::from(r"a length is missing behind \#")))?;
    let length = read_number(length.text, 65_535).map_err(|rule| (0, rule))?;
    let start = out.len();
    read_hex(&join(digits), out).map_err(|rule| (1, rule))?;
    let found = out.len() - start;
    if usize::try_from(length) != Ok(found) {
        return Err((0, format!("{found} octets follow where {length} are announced").into()));
    }
    Ok(())
}

/// The octets of all tokens in one piece.
fn join(tokens: &[Token<'_>]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.text).copied().collect()
}

/// Takes tokens from the left.
struct Reader<'t> {
    tokens: &'t [Token<'t>],
    next: usize,
    origin: &'t Name,
    /// Where the RDATA starts in the buffer it is written to.
    start: usize,
}

impl<'t> Reader<'t> {
    fn read_field(&mut self, field: Field, out: &mut Vec<u8>) -> Result<(), TokenRule> {
        let at = self.next;
        match field {
            Field::Texts => self.read_texts(out),
            Field::Base64 => self.read_rest(out, read_base64),
            Field::Hex => self.read_rest(out, read_hex),
            Field::Bitmap => rdata_bitmap::read(self.rest(), out).map_err(|(word, rule)| (at + word, rule)),
            Field::ServiceParameters => rdata_service::read(self.rest(), out).map_err(|(word, rule)| (at + word, rule)),
            Field::Prefixes => rdata_prefix::read(self.rest(), out).map_err(|(word, rule)| (at + word, rule)),
            Field::Location => {
                let words: Vec<&[u8]> = self.rest().collect();
                rdata_location::read(&words, out).map_err(|(word, rule)| (at + word, rule))
            }
            Field::Gateway => {
                let gateway = self.take()?;
                let key = join(self.tokens.get(self.next..).unwrap_or_default());
                self.next = self.tokens.len();
                let kind = out.get(self.start + 1).copied().unwrap_or(0);
                rdata_gateway::read(gateway, &key, self.origin, kind, out).map_err(|(word, rule)| (at + word, rule))
            }
            Field::Name => {
                let text = self.take()?;
                Name::append_text(text, Some(self.origin), out)
                    .map_err(|error| (at, format!("{}: {error}", quote(text)).into()))
            }
            _ => {
                let text = self.take()?;
                read_word(field, text, out).map_err(|rule| (at, rule))
            }
        }
    }

    /// The next token's text.
    fn take(&mut self) -> Result<&'t [u8], TokenRule> {
        let token = self.tokens.get(self.next).ok_or((self.next, Rule::from("missing")))?;
        self.next += 1;
        Ok(token.text)
    }

    /// The texts of all tokens that are left.
    fn rest(&mut self) -> impl Iterator<Item = &'t [u8]> + use<'t> {
        let rest = self.tokens.get(self.next..).unwrap_or_default();
        self.next = self.tokens.len();
        rest.iter().map(|token| token.text)
    }

    fn read_texts(&mut self, out: &mut Vec<u8>) -> Result<(), TokenRule> {
        loop {
            let at = self.next;
            let text = self.take()?;
            read_text(text, out).map_err(|rule| (at, rule))?;
            if self.next >= self.tokens.len() {
                return Ok(());
            }
        }
    }

    /// Reads what is left, white space between its parts allowed, in one encoding.
    fn read_rest(
        &mut self,
        out: &mut Vec<u8>,
        read: fn(&[u8], &mut Vec<u8>) -> Result<(), Rule>,
    ) -> Result<(), TokenRule> {
        let at = self.next;
        let before = out.len();
        let first = self.take()?;
        if self.next == self.tokens.len() {
            read(first, out).map_err(|rule| (at, rule))?;
        } else {
            let whole = join(self.tokens.get(at..).unwrap_or_default());
            self.next = self.tokens.len();
            read(&whole, out).map_err(|rule| (at, rule))?;
        }
        if out.len() == before { Err((at, "empty".into())) } else { Ok(()) }
    }
}

/// Appends the wire form of a field that is one word.
fn read_word(field: Field, text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    match field {
        Field::U8 => push_u8(read_number(text, 255)?, out),
        Field::U16 => push_u16(read_number(text, 65_535)?, out),
        Field::U32 => out.extend_from_slice(&read_number(text, u32::MAX)?.to_be_bytes()),
        Field::Period => out.extend_from_slice(&read_period(text, u32::MAX)?.to_be_bytes()),
        Field::Time => out.extend_from_slice(&rdata_time::read(text)?.to_be_bytes()),
        Field::Algorithm => push_u8(read_mnemonic(text, ALGORITHMS, 255)?, out),
        Field::CertificateType => push_u16(read_mnemonic(text, CERTIFICATE_TYPES, 65_535)?, out),
        Field::Type => {
            let record_type: RecordType = String::from_utf8_lossy(text).parse().map_err(|error| format!("{error}"))?;
            push_u16(u32::from(record_type.0), out);
        }
        Field::Ipv4 => {
            let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
            let address = address.ok_or_else(|| format!("{} is no IPv4 address", quote(text)))?;
            out.extend_from_slice(&address.octets());
        }
        Field::Ipv6 => {
            let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
            let address = address.ok_or_else(|| format!("{} is no IPv6 address", quote(text)))?;
            out.extend_from_slice(&address.octets());
        }
        Field::Text => read_text(text, out)?,
        Field::Tag => read_tag(text, out)?,
        Field::Value => read_string(text, out)?,
        Field::Target if text.is_empty() => return Err("empty".into()),
        Field::Target => read_string(text, out)?,
        Field::Salt => read_prefixed(if text == b"-" { b"" } else { text }, out, read_hex)?,
        Field::Hash if text.is_empty() => return Err("empty".into()),
        Field::Hash => read_prefixed(text, out, read_base32)?,
        Field::Eui48 => read_octets(text, out, 6)?,
        Field::Eui64 => read_octets(text, out, 8)?,
        Field::Locator64 => read_locator(text, out)?,
        Field::Name | Field::Texts | Field::Base64 | Field::Hex | Field::Bitmap => {}
        Field::Location | Field::ServiceParameters | Field::Prefixes | Field::Gateway => {}
    }
    Ok(())
}

fn push_u8(number: u32, out: &mut Vec<u8>) {
    out.push(u8::try_from(number).unwrap_or(u8::MAX)); // the caller has read it with 255 as the most
}

fn push_u16(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()); // read with 65,535 as the most
}

/// Appends what `read` makes of the text with its length in one octet before it.
fn read_prefixed(
    text: &[u8],
    out: &mut Vec<u8>,
    read: fn(&[u8], &mut Vec<u8>) -> Result<(), Rule>,
) -> Result<(), Rule> {
    let start = out.len();
    out.push(0);
    read(text, out)?;
    let length = out.len() - start - 1;
    let octet = u8::try_from(length)
        .map_err(|_| format!("a string of {length} octets, more than {MAX_STRING_LENGTH}: split it"))?;
    if let Some(slot) = out.get_mut(start) {
        *slot = octet;
    }
    Ok(())
}

fn read_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    read_prefixed(text, out, read_string)
}

fn read_tag(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(format!("{} is no tag such as issue, issuewild or iodef", quote(text)).into());
    }
    read_prefixed(text, out, read_string)
}

/// Reads `count` octets of two hexadecimal digits each.
fn read_octets(text: &[u8], out: &mut Vec<u8>, count: usize) -> Result<(), Rule> {
    let groups: Vec<&[u8]> = text.split(|octet| *octet == b'-').collect();
    if groups.len() != count || groups.iter().any(|group| group.len() != 2) {
        return Err(format!("{} is not {count} octets such as 00-00-5e", quote(text)).into());
    }
    groups.iter().try_for_each(|group| read_hex(group, out))
}

/// Reads four groups of up to four hexadecimal digits, without the `::` of IPv6 (RFC 6742 §2.1.2).
fn read_locator(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let groups = text.split(|octet| *octet == b':').map(|group| {
        let digits = std::str::from_utf8(group).ok().filter(|digits| !digits.starts_with('+') && digits.len() <= 4)?;
        u16::from_str_radix(digits, 16).ok()
    });
    match groups.collect::<Option<Vec<u16>>>().as_deref() {
        Some(groups @ [_, _, _, _]) => out.extend(groups.iter().flat_map(|group| group.to_be_bytes())),
        _ => return Err(format!("{} is not four groups such as 2001:db8:1140:1000", quote(text)).into()),
    }
    Ok(())
}

/// Reads a number, or the mnemonic of one.
fn read_mnemonic(text: &[u8], table: &[(u32, &str)], max: u32) -> Result<u32, Rule> {
    let named = table.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(text));
    named.map_or_else(|| read_number(text, max), |(number, _)| Ok(*number))
}

/// DNSSEC algorithms (RFC 8624 §3.1).
const ALGORITHMS: &[(u32, &str)] = &[
    (0, "DELETE"),
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// Certificate types (RFC 4398 §2.1).
const CERTIFICATE_TYPES: &[(u32, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];
