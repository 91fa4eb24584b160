//! RDATA on the wire: takes it apart by the table and checks every field. What comes from updates, transfers and `\#` text
//! is hostile until it has passed here.

use crate::wire::{MAX_NAME_LENGTH, RecordType};

use super::rdata::RdataError;
use super::rdata_bitmap;
use super::rdata_codec::Rule;
use super::rdata_layout::{Field, Layout, layout};
use super::{rdata_gateway, rdata_location, rdata_prefix, rdata_service};

/// The longest RDATA in octets: RDLENGTH has 16 bits.
pub(super) const MAX_RDATA_LENGTH: usize = 65_535;

/// One field of some RDATA.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Its kind.
    pub(super) field: Field,
    /// Where it starts within the RDATA.
    pub(super) offset: usize,
    /// Its octets.
    pub(super) octets: &'a [u8],
}

/// Takes RDATA apart; ends after the first fault. Octets behind the last field are a fault.
pub(super) fn parts<'a>(
    layout: &'static Layout,
    rdata: &'a [u8],
) -> impl Iterator<Item = Result<Part<'a>, RdataError>> {
    let mut fields = layout.fields.iter();
    let mut offset = 0;
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let rest = rdata.get(offset..).unwrap_or_default();
        let Some((name, field)) = fields.next() else {
            is_over = true;
            let rule = || format!("{} octets too many behind the last field", rest.len());
            return (!rest.is_empty()).then(|| Err(RdataError::new(layout.record_type, "", rule())));
        };
        let part = measure(*field, rest, rdata).and_then(|length| {
            let octets = rest.get(..length).ok_or("cut short")?;
            Ok(Part { field: *field, offset, octets })
        });
        match &part {
            Ok(part) => offset += part.octets.len(),
            Err(_) => is_over = true,
        }
        Some(part.map_err(|rule| RdataError::new(layout.record_type, name, rule)))
    })
}

/// Checks RDATA whole: the lengths, the fields and the rules between them.
pub(super) fn check(record_type: RecordType, rdata: &[u8]) -> Result<(), RdataError> {
    if record_type.is_meta() {
        return Err(RdataError::new(record_type, "", "this type stands only in queries, never in a zone"));
    }
    if rdata.len() > MAX_RDATA_LENGTH {
        let rule = format!("{} octets, more than the {MAX_RDATA_LENGTH} that a record can hold", rdata.len());
        return Err(RdataError::new(record_type, "", rule));
    }
    let Some(layout) = layout(record_type) else { return Ok(()) };
    for part in parts(layout, rdata) {
        part?;
    }
    check_digest(record_type, rdata)
}

/// The length of a field at the start of `rest`, its contents checked. It may be longer than `rest` for a field of fixed length.
fn measure(field: Field, rest: &[u8], rdata: &[u8]) -> Result<usize, Rule> {
    match field {
        Field::U8 | Field::Algorithm => Ok(1),
        Field::U16 | Field::CertificateType | Field::Type => Ok(2),
        Field::U32 | Field::Period | Field::Time | Field::Ipv4 => Ok(4),
        Field::Eui48 => Ok(6),
        Field::Eui64 | Field::Locator64 => Ok(8),
        Field::Ipv6 => Ok(16),
        Field::Name => measure_name(rest),
        Field::Text | Field::Salt => measure_prefixed(rest),
        Field::Hash => {
            measure_prefixed(rest).and_then(|length| if length > 1 { Ok(length) } else { Err(EMPTY.into()) })
        }
        Field::Texts => measure_texts(rest),
        Field::Tag => measure_tag(rest),
        Field::Value => Ok(rest.len()),
        Field::Target | Field::Base64 | Field::Hex if rest.is_empty() => Err(EMPTY.into()),
        Field::Target | Field::Base64 | Field::Hex => Ok(rest.len()),
        Field::Bitmap => rdata_bitmap::check(rest).map(|()| rest.len()),
        Field::Location => rdata_location::check(rest),
        Field::ServiceParameters => rdata_service::check(rest).map(|()| rest.len()),
        Field::Prefixes => rdata_prefix::check(rest).map(|()| rest.len()),
        Field::Gateway => rdata_gateway::check(rest, rdata).map(|()| rest.len()),
    }
}

const EMPTY: &str = "missing or empty";

/// The length of the uncompressed name at the start of `octets`.
pub(super) fn measure_name(octets: &[u8]) -> Result<usize, Rule> {
    let mut length = 0;
    loop {
        let label = usize::from(*octets.get(length).ok_or("a name that is cut short")?);
        if label > 63 {
            return Err("a name with a compression pointer or a label over 63 octets".into());
        }
        length += 1 + label;
        if length > MAX_NAME_LENGTH {
            return Err("a name over 255 octets".into());
        }
        if label == 0 {
            return Ok(length);
        }
    }
}

/// The length of a field that its own first octet tells, that octet included.
fn measure_prefixed(rest: &[u8]) -> Result<usize, Rule> {
    let length = 1 + usize::from(*rest.first().ok_or(EMPTY)?);
    if length > rest.len() { Err("cut short".into()) } else { Ok(length) }
}

fn measure_texts(rest: &[u8]) -> Result<usize, Rule> {
    let mut at = 0;
    while at < rest.len() || at == 0 {
        at += measure_prefixed(rest.get(at..).unwrap_or_default())?;
    }
    Ok(at)
}

fn measure_tag(rest: &[u8]) -> Result<usize, Rule> {
    let length = measure_prefixed(rest)?;
    let tag = rest.get(1..length).unwrap_or_default();
    if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
        return Err("a tag has letters and digits only, at least one".into());
    }
    Ok(length)
}

/// Where a type tells the kind of a digest that it ends with, where the digest starts, and the lengths that kinds have.
type DigestRule = (&'static [RecordType], usize, usize, &'static [(u8, usize)]);

const DIGEST_RULES: &[DigestRule] = &[
    // RFC 4034 §5.1.4, RFC 4509 §2.1, RFC 6605 §2.
    (&[RecordType::DS, RecordType::CDS], 3, 4, &[(1, 20), (2, 32), (4, 48)]),
    // RFC 4255 §3.1.2, RFC 6594 §4.
    (&[RecordType::SSHFP], 1, 2, &[(1, 20), (2, 32)]),
    // RFC 6698 §2.1.3.
    (&[RecordType::TLSA, RecordType::SMIMEA], 2, 3, &[(1, 32), (2, 64)]),
    // RFC 8976 §2.2.3.
    (&[RecordType::ZONEMD], 5, 6, &[(1, 48), (2, 64)]),
];

/// Checks that a digest has the length of its kind; kinds that are not known here pass.
pub(super) fn check_digest(record_type: RecordType, rdata: &[u8]) -> Result<(), RdataError> {
    let Some((_, kind_at, digest_at, lengths)) = DIGEST_RULES.iter().find(|rule| rule.0.contains(&record_type)) else {
        return Ok(());
    };
    let kind = rdata.get(*kind_at).copied().unwrap_or(0);
    let length = rdata.len().saturating_sub(*digest_at);
    match lengths.iter().find(|(known, _)| *known == kind) {
        Some((_, wanted)) if *wanted != length => {
            let rule = format!("{length} octets where kind {kind} has {wanted}");
            Err(RdataError::new(record_type, "digest", rule))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_rdata(record_type: RecordType, rdata: &[u8], expected: &str) {
        let found = check(record_type, rdata).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert_eq!(found, expected, "{record_type} {rdata:?}");
    }

    #[test]
    fn lengths_are_checked_at_their_limits() {
        check_rdata(RecordType::A, &[1, 2, 3, 4], "ok");
        check_rdata(RecordType::A, &[1, 2, 3], "A address: cut short");
        check_rdata(RecordType::A, &[1, 2, 3, 4, 5], "A data: 1 octets too many behind the last field");
        check_rdata(RecordType::A, &[], "A address: cut short");
        check_rdata(RecordType::TXT, &[], "TXT text: missing or empty");
        check_rdata(RecordType::TXT, &[0], "ok");
        check_rdata(RecordType::TXT, &[2, b'a'], "TXT text: cut short");
        check_rdata(RecordType(65280), &[0; 65_535], "ok");
        let rule = "65536 octets, more than the 65535 that a record can hold";
        check_rdata(RecordType(65280), &[0; 65_536], &format!("TYPE65280 data: {rule}"));
        check_rdata(RecordType::TXT, &[0; 65_536], &format!("TXT data: {rule}"));
        check_rdata(RecordType::CAA, &[&[0, 5][..], b"issue", &[b'x'; 65_000]].concat(), "ok");
    }

    #[test]
    fn names_may_not_be_compressed_cut_or_too_long() {
        let long = [&[1, b'a'].repeat(127)[..], &[0]].concat();
        check_rdata(RecordType::NS, &long, "ok");
        let longer = [&[1, b'a'].repeat(126)[..], &[2, b'a', b'a', 0]].concat();
        check_rdata(RecordType::NS, &longer, "NS name server: a name over 255 octets");
        check_rdata(RecordType::NS, &[1, b'a'], "NS name server: a name that is cut short");
        let rule = "NS name server: a name with a compression pointer or a label over 63 octets";
        check_rdata(RecordType::NS, &[0xc0, 0], rule);
        check_rdata(RecordType::NS, &[&[64][..], &[b'a'; 64], &[0]].concat(), rule);
        check_rdata(RecordType::NS, &[0, 0], "NS data: 1 octets too many behind the last field");
    }

    #[test]
    fn digests_have_the_length_of_their_kind() {
        check_rdata(RecordType::DS, &[&[0, 1, 8, 2][..], &[0; 32]].concat(), "ok");
        check_rdata(RecordType::DS, &[0, 1, 8, 2, 0], "DS digest: 1 octets where kind 2 has 32");
        check_rdata(RecordType::DS, &[0, 1, 8, 200, 0], "ok");
        check_rdata(RecordType::DS, &[0, 1, 8, 2], "DS digest: missing or empty");
        // RFC 8078 §4: the request to delete.
        check_rdata(RecordType::CDS, &[0, 0, 0, 0, 0], "ok");
        check_rdata(RecordType::SSHFP, &[1, 1, 0], "SSHFP digest: 1 octets where kind 1 has 20");
    }

    #[test]
    fn types_of_queries_are_refused() {
        for meta in [RecordType::ANY, RecordType::AXFR, RecordType::OPT, RecordType::TSIG, RecordType(0)] {
            assert!(check(meta, &[]).is_err(), "{meta}");
        }
    }

    #[test]
    fn tags_are_letters_and_digits() {
        check_rdata(RecordType::CAA, b"\x00\x05issue", "ok");
        check_rdata(RecordType::CAA, b"\x00\x00x", "CAA tag: a tag has letters and digits only, at least one");
        check_rdata(RecordType::CAA, b"\x00\x02a-x", "CAA tag: a tag has letters and digits only, at least one");
    }
}
