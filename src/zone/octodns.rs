//! Records as octoDNS writes them in YAML: values as text or as maps of named fields → RDATA.
//!
//! Knows field names, not YAML: the configuration hands over names and texts.

use std::borrow::Cow;

use crate::wire::{Name, RecordType};

use super::rdata::{self, RdataError, Token};
use super::rdata_codec::{MAX_STRING_LENGTH, quote};
use super::rdata_layout::layout;

/// One value of an octoDNS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A plain value: an address, a name, a text, or all fields in presentation form (`10 mail.example.com.`).
    Text(&'a str),
    /// Field names and values. A map inside a field is given as `svcparams.alpn`, a list as `h2,h3`, null as nothing.
    Fields(Vec<(&'a str, String)>),
}

/// The names that a field of a type may have, the first being today's.
pub(super) type FieldNames = &'static [&'static str];

/// octoDNS's names of the fields of each type, in the order of the RDATA.
pub(super) const FIELDS: &[(RecordType, &[FieldNames])] = &[
    (RecordType::MX, &[&["preference", "priority"], &["exchange", "value"]]),
    (RecordType::SRV, &[&["priority"], &["weight"], &["port"], &["target"]]),
    (RecordType::CAA, &[&["flags"], &["tag"], &["value"]]),
    (
        RecordType::NAPTR,
        &[&["order"], &["preference"], &["flags"], &["service", "services"], &["regexp"], &["replacement"]],
    ),
    (RecordType::SSHFP, &[&["algorithm"], &["fingerprint_type"], &["fingerprint"]]),
    (RecordType::TLSA, &[&["certificate_usage"], &["selector"], &["matching_type"], &["certificate_association_data"]]),
    (
        RecordType::SMIMEA,
        &[&["certificate_usage"], &["selector"], &["matching_type"], &["certificate_association_data"]],
    ),
    (RecordType::DS, &[&["key_tag"], &["algorithm"], &["digest_type"], &["digest"]]),
    (RecordType::CDS, &[&["key_tag"], &["algorithm"], &["digest_type"], &["digest"]]),
    (RecordType::DNSKEY, &[&["flags"], &["protocol"], &["algorithm"], &["public_key"]]),
    (RecordType::SVCB, &[&["svcpriority"], &["targetname"], &["svcparams"]]),
    (RecordType::HTTPS, &[&["svcpriority"], &["targetname"], &["svcparams"]]),
    (
        RecordType::LOC,
        &[
            &["lat_degrees"],
            &["lat_minutes"],
            &["lat_seconds"],
            &["lat_direction"],
            &["long_degrees"],
            &["long_minutes"],
            &["long_seconds"],
            &["long_direction"],
            &["altitude"],
            &["size"],
            &["precision_horz"],
            &["precision_vert"],
        ],
    ),
    (RecordType::URI, &[&["priority"], &["weight"], &["target"]]),
    (RecordType::HINFO, &[&["cpu"], &["os"]]),
    (RecordType::RP, &[&["mbox", "mailbox"], &["txt", "text"]]),
    (RecordType::AFSDB, &[&["subtype"], &["hostname"]]),
    (RecordType::KX, &[&["preference"], &["exchanger"]]),
    (RecordType::CERT, &[&["type"], &["key_tag"], &["algorithm"], &["certificate"]]),
    (
        RecordType::SOA,
        &[
            &["mname", "primary"],
            &["rname", "mailbox", "contact"],
            &["serial"],
            &["refresh"],
            &["retry"],
            &["expire"],
            &["minimum", "negative_ttl"],
        ],
    ),
];

/// The RDATA of one value. Names without a final dot are relative to `origin`.
///
/// # Errors
/// The field and rule that is broken; its `token` is of no use here.
pub fn rdata(record_type: RecordType, value: &Value<'_>, origin: &Name) -> Result<Vec<u8>, RdataError> {
    match value {
        // The generic form (RFC 3597 §5) carries strings that were cut elsewhere than octoDNS cuts them.
        Value::Text(text) if matches!(record_type, RecordType::TXT | RecordType::SPF) && !text.starts_with("\\# ") => {
            texts(record_type, text)
        }
        Value::Text(text) => rdata::from_text(record_type, text.trim(), origin),
        Value::Fields(fields) => from_fields(record_type, fields, origin),
    }
}

fn from_fields(record_type: RecordType, fields: &[(&str, String)], origin: &Name) -> Result<Vec<u8>, RdataError> {
    let error = |field: &'static str, rule: String| RdataError::new(record_type, field, rule);
    if let ([(name, text)], true) = (fields, single_field(record_type))
        && matches!(*name, "value" | "target")
    {
        return rdata(record_type, &Value::Text(text), origin);
    }
    let Some((_, names)) = FIELDS.iter().find(|(known, _)| *known == record_type) else {
        return Err(error("", "this type has no fields: write its value as one text".to_owned()));
    };
    let is_known = |name: &str| {
        let group = name.split_once('.').map_or(name, |(group, _)| group);
        names.iter().any(|aliases| aliases.contains(&group)) && (group == name || group == "svcparams")
    };
    if let Some((unknown, _)) = fields.iter().find(|(name, _)| !is_known(name)) {
        let known: Vec<&str> = names.iter().filter_map(|aliases| aliases.first()).copied().collect();
        return Err(error(
            "",
            format!("unknown field {}; the fields are {}", quote(unknown.as_bytes()), known.join(", ")),
        ));
    }
    let mut words = Vec::new();
    for aliases in *names {
        let name = aliases.first().copied().unwrap_or_default();
        if name == "svcparams" {
            words.extend(service_parameters(fields));
            continue;
        }
        match fields.iter().find(|(field, _)| aliases.contains(field)) {
            Some((_, text)) => words.push(escape_quotes(text)),
            None => return Err(error(name, "missing".to_owned())),
        }
    }
    let tokens: Vec<Token<'_>> =
        words.iter().map(|word| Token { text: word.as_bytes(), quoted: true, at: 0 }).collect();
    let mut out = Vec::new();
    rdata::from_tokens(record_type, &tokens, origin, &mut out)?;
    Ok(out)
}

/// Whether a type's data is one field, so that its name need not be told.
fn single_field(record_type: RecordType) -> bool {
    layout(record_type).is_some_and(|layout| layout.fields.len() == 1)
}

/// `svcparams.alpn: h2,h3` → `alpn=h2,h3`; a text under `svcparams` itself is in presentation form.
fn service_parameters<'f>(fields: &'f [(&str, String)]) -> impl Iterator<Item = Cow<'f, str>> {
    fields.iter().flat_map(|(name, text)| match name.strip_prefix("svcparams") {
        Some("") => text.split_whitespace().map(Cow::Borrowed).collect(),
        Some(key) if text.is_empty() => vec![Cow::Borrowed(key.trim_start_matches('.'))],
        Some(key) => vec![Cow::Owned(format!("{}={text}", key.trim_start_matches('.')))],
        None => Vec::new(),
    })
}

/// Escapes the quotation marks of a field that are not escaped; other escapes are as in presentation form.
fn escape_quotes(text: &str) -> Cow<'_, str> {
    if !text.contains(['"', '\\']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 2);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => {
                escaped.push('\\');
                // A backslash at the end stands for itself.
                escaped.push(characters.next().unwrap_or('\\'));
            }
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// A TXT value: raw text with `\;` for `;`, cut into strings of 255 octets; or quoted strings, which are joined first
/// as octoDNS does.
fn texts(record_type: RecordType, text: &str) -> Result<Vec<u8>, RdataError> {
    let error = |rule| RdataError::new(record_type, "text", rule);
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let joined = quoted.map_or(Cow::Borrowed(text), |text| Cow::Owned(text.replace("\" \"", "")));
    let mut octets = Vec::new();
    super::rdata_codec::read_string(escape_quotes(&joined).as_bytes(), &mut octets).map_err(error)?;
    let mut out = Vec::with_capacity(octets.len() + 2);
    if octets.is_empty() {
        out.push(0);
    }
    for chunk in octets.chunks(MAX_STRING_LENGTH) {
        out.extend(u8::try_from(chunk.len())); // a chunk is at most 255 octets
        out.extend_from_slice(chunk);
    }
    rdata::check(record_type, &out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record_type: &str, value: &Value<'_>) -> Result<String, String> {
        let record_type = record_type.parse().unwrap();
        let octets = rdata(record_type, value, &"example.".parse().unwrap());
        octets.map(|octets| rdata::to_text(record_type, &octets)).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_read_by_octodns_names() {
        let check = |record_type: &str, fields: &str, expected: &str| {
            let fields = fields.split(' ').map(|field| field.split_once('=').unwrap());
            let fields = Value::Fields(fields.map(|(name, text)| (name, text.replace('_', " "))).collect());
            assert_eq!(read(record_type, &fields).as_deref(), Ok(expected));
        };
        check("MX", "preference=10 exchange=mail", "10 mail.example.");
        check("MX", "value=mail.other. priority=10", "10 mail.other.");
        check("SRV", "port=5060 priority=1 weight=2 target=sip.example.", "1 2 5060 sip.example.");
        check("CAA", "flags=0 tag=issue value=ca.example\\;_policy=ev", "0 issue \"ca.example; policy=ev\"");
        check("CAA", "flags=0 tag=issue value=;", "0 issue \";\"");
        check(
            "NAPTR",
            "order=1 preference=2 flags=S service=SIP+D2U regexp=!^(.*)$!\\\\1! replacement=.",
            "1 2 \"S\" \"SIP+D2U\" \"!^(.*)$!\\\\1!\" .",
        );
        check("NAPTR", "order=1 preference=2 flags= service= regexp= replacement=.", "1 2 \"\" \"\" \"\" .");
        check("SSHFP", "algorithm=1 fingerprint_type=3 fingerprint=aa", "1 3 AA");
        check("URI", "priority=1 weight=2 target=https://a/?q=\"x\"", "1 2 \"https://a/?q=\\\"x\\\"\"");
        check(
            "HTTPS",
            "svcpriority=1 targetname=. svcparams.alpn=h2,h3 svcparams.port=443 svcparams.no-default-alpn=",
            "1 . alpn=\"h2,h3\" no-default-alpn port=443",
        );
        check("SVCB", "svcpriority=0 targetname=a", "0 a.example.");
        check("SVCB", "svcpriority=1 targetname=a svcparams=alpn=h2_port=1", "1 a.example. alpn=\"h2\" port=1");
        check("A", "value=192.0.2.1", "192.0.2.1");
        check(
            "LOC",
            "lat_degrees=31 lat_minutes=58 lat_seconds=52.1 lat_direction=S long_degrees=115 long_minutes=49 \
            long_seconds=11.7 long_direction=E altitude=20 size=10 precision_horz=10 precision_vert=2",
            "31 58 52.100 S 115 49 11.700 E 20.00m 10.00m 10.00m 2.00m",
        );
    }

    #[test]
    fn plain_values_are_in_presentation_form() {
        let check = |record_type: &str, text: &str, expected: &str| {
            assert_eq!(read(record_type, &Value::Text(text)).as_deref(), Ok(expected), "{text}");
        };
        check("A", " 192.0.2.1 ", "192.0.2.1");
        check("MX", "10 mail", "10 mail.example.");
        check("CAA", "0 issue \"ca; x\"", "0 issue \"ca; x\"");
        check("TYPE65280", "\\# 1 ff", "\\# 1 FF");
    }

    #[test]
    fn texts_are_raw_with_semicolons_escaped_or_not() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read("TXT", &Value::Text(text)).as_deref(), Ok(expected), "{text}");
        };
        check("v=DKIM1\\; k=rsa; p=a b", "\"v=DKIM1; k=rsa; p=a b\"");
        check("say \"hi\" \\\"", "\"say \\\"hi\\\" \\\"\"");
        check("C:\\", "\"C:\\\\\"");
        check("", "\"\"");
        check("\"one \" \"two\"", "\"one two\"");
        check("é", "\"\\195\\169\"");
        let long = "x".repeat(300);
        check(&long, &format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
        assert!(read("TXT", &Value::Text(&"x".repeat(70_000))).is_err());
    }

    #[test]
    fn wrong_fields_are_told() {
        let check = |record_type: &str, fields: &[(&'static str, &str)], expected: &str| {
            let fields = Value::Fields(fields.iter().map(|(name, text)| (*name, (*text).to_owned())).collect());
            assert_eq!(read(record_type, &fields), Err(expected.to_owned()));
        };
        check("MX", &[("preference", "1")], "MX exchange: missing");
        check("MX", &[("pref", "1")], "MX data: unknown field \"pref\"; the fields are preference, exchange");
        check("MX", &[("preference", "x"), ("exchange", "a")], "MX preference: \"x\" is not a number");
        check(
            "MX",
            &[("preference.x", "x")],
            "MX data: unknown field \"preference.x\"; the fields are preference, exchange",
        );
        check("NS", &[("a", "1"), ("b", "1")], "NS data: this type has no fields: write its value as one text");
    }
}
