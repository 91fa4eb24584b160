//! Records → values as octoDNS writes them in YAML; what [`super::octodns`] reads back to the same record.

use std::fmt::Write as _;

use super::octodns::FIELDS;
use super::rdata;
use crate::wire::RecordType;

/// One value of an octoDNS record, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A plain value.
    Text(String),
    /// Fields by their names, in the order of the RDATA.
    Fields(Vec<(&'static str, String)>),
}

/// The value of one record.
pub fn value(record_type: RecordType, data: &[u8]) -> Written {
    let text = rdata::to_text(record_type, data);
    match record_type {
        RecordType::TXT | RecordType::SPF => Written::Text(plain_text(data).unwrap_or_else(|| generic(data))),
        // Their fields are of variable number, or are read from one text too.
        RecordType::SVCB | RecordType::HTTPS | RecordType::LOC | RecordType::CERT => Written::Text(text),
        _ => fields(record_type, &text).map_or(Written::Text(text), Written::Fields),
    }
}

/// The fields of a presentation form, where the type has named ones and none was left out.
fn fields(record_type: RecordType, text: &str) -> Option<Vec<(&'static str, String)>> {
    let (_, names) = FIELDS.iter().find(|(known, _)| *known == record_type)?;
    let words = words(text);
    if words.len() != names.len() {
        return None;
    }
    names.iter().zip(words).map(|(aliases, word)| Some((*aliases.first()?, word))).collect()
}

/// The words of a presentation form, without their quotation marks.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut in_quotes, mut has_word) = (Vec::new(), String::new(), false, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                word.push('\\');
                word.extend(characters.next());
                has_word = true;
            }
            '"' => {
                in_quotes = !in_quotes;
                has_word = true;
            }
            ' ' if !in_quotes => {
                if has_word {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
            }
            other => {
                word.push(other);
                has_word = true;
            }
        }
    }
    if has_word {
        words.push(word);
    }
    words
}

/// The text of strings that were cut at 255 octets, as octoDNS cuts them; none when they were cut elsewhere.
fn plain_text(data: &[u8]) -> Option<String> {
    let (mut rest, mut octets, mut is_last) = (data, Vec::new(), false);
    while let Some((length, tail)) = rest.split_first() {
        if is_last || (*length == 0 && data.len() > 1) {
            return None;
        }
        let (string, tail) = tail.split_at_checked(usize::from(*length))?;
        is_last = *length < 255;
        octets.extend_from_slice(string);
        rest = tail;
    }
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b';' => text.push_str("\\;"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(octet)),
            other => {
                let _ = write!(text, "\\{other:03}"); // a string takes all that is written
            }
        }
    }
    // These would be read as something else: a quoted list of strings, the generic form, spaces that YAML may fold.
    let is_plain = !text.starts_with("\\# ") && text.trim() == text;
    is_plain.then_some(text)
}

/// The generic form of RFC 3597 §5.
fn generic(data: &[u8]) -> String {
    let mut text = format!("\\# {} ", data.len());
    for octet in data {
        let _ = write!(text, "{octet:02X}"); // a string takes all that is written
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::octodns::{self, Value};
    use super::*;
    use crate::wire::Name;

    #[test]
    fn what_is_written_is_read_back() {
        let origin: Name = "example.".parse().unwrap();
        let check = |record_type: &str, text: &str, expected: &str| {
            let record_type: RecordType = record_type.parse().unwrap();
            let data = rdata::from_text(record_type, text, &origin).unwrap();
            let written = value(record_type, &data);
            let shown = match &written {
                Written::Text(text) => text.clone(),
                Written::Fields(fields) => {
                    fields.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
                }
            };
            assert_eq!(shown, expected);
            let read = match written {
                Written::Text(ref text) => Value::Text(text),
                Written::Fields(fields) => Value::Fields(fields),
            };
            assert_eq!(octodns::rdata(record_type, &read, &origin).unwrap(), data, "{text}");
        };
        check("A", "192.0.2.1", "192.0.2.1");
        check("MX", "10 mail", "preference=10 exchange=mail.example.");
        check("SRV", "1 2 5060 sip", "priority=1 weight=2 port=5060 target=sip.example.");
        check("CAA", "0 issue \"ca; policy=ev\"", "flags=0 tag=issue value=ca; policy=ev");
        check("CAA", "0 issue \"\"", "flags=0 tag=issue value=");
        check("SSHFP", "1 3 aabb", "algorithm=1 fingerprint_type=3 fingerprint=AABB");
        check("TXT", "\"v=DKIM1; k=rsa\"", "v=DKIM1\\; k=rsa");
        check("TXT", "\"say \\\"hi\\\" \\\\ \\200\"", "say \\\"hi\\\" \\\\ \\200");
        check("TXT", "\"one\" \"two\"", "\\# 8 036F6E650374776F");
        check("TXT", "\"\"", "");
        check("TXT", "\" x\"", "\\# 3 022078");
        let long = format!("\"{}\" \"y\"", "x".repeat(255));
        check("TXT", &long, &format!("{}y", "x".repeat(255)));
        check("HTTPS", "1 . alpn=h2,h3", "1 . alpn=\"h2,h3\"");
        check("TYPE65280", "\\# 1 ff", "\\# 1 FF");
        check(
            "NAPTR",
            "1 2 \"S\" \"\" \"!^(.*)$!\\\\1!\" .",
            "order=1 preference=2 flags=S service= regexp=!^(.*)$!\\\\1! replacement=.",
        );
    }
}
