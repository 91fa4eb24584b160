//! RDATA to text: the presentation form of each field, by the table, else the generic form of RFC 3597.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::{Name, RecordType};

use super::rdata_codec::{print_base32, print_base64, print_hex, print_quoted, push};
use super::rdata_layout::{Field, layout};
use super::rdata_wire::{Part, parts};
use super::{rdata_bitmap, rdata_gateway, rdata_location, rdata_prefix, rdata_service, rdata_time};

/// Appends the text of RDATA. Names are absolute. What its type's form cannot carry is written in the generic form.
pub(super) fn print(record_type: RecordType, rdata: &[u8], out: &mut String) {
    let start = out.len();
    if print_fields(record_type, rdata, out).is_none() {
        out.truncate(start);
        push(out, format_args!("\\# {}", rdata.len()));
        if !rdata.is_empty() {
            out.push(' ');
            print_hex(rdata, out);
        }
    }
}

fn print_fields(record_type: RecordType, rdata: &[u8], out: &mut String) -> Option<()> {
    let start = out.len();
    for part in parts(layout(record_type)?, rdata) {
        if out.len() > start {
            out.push(' ');
        }
        print_part(part.ok()?, rdata, out)?;
    }
    if out.ends_with(' ') {
        out.pop(); // the last field was empty
    }
    Some(())
}

fn print_part(part: Part<'_>, rdata: &[u8], out: &mut String) -> Option<()> {
    let octets = part.octets;
    match part.field {
        Field::U8 | Field::U16 | Field::U32 | Field::Period | Field::Algorithm | Field::CertificateType => {
            push(out, format_args!("{}", number(octets)));
        }
        Field::Time => rdata_time::print(number(octets), out),
        Field::Type => push(out, format_args!("{}", RecordType(octets.try_into().map(u16::from_be_bytes).ok()?))),
        Field::Name => push(out, format_args!("{}", Name::from_wire(octets).ok()?)),
        Field::Text => print_quoted(octets.get(1..)?, out),
        Field::Texts => print_texts(octets, out)?,
        Field::Tag => out.push_str(std::str::from_utf8(octets.get(1..)?).ok()?),
        Field::Value | Field::Target => print_quoted(octets, out),
        Field::Base64 => print_base64(octets, out),
        Field::Hex => print_hex(octets, out),
        Field::Salt if octets.len() < 2 => out.push('-'),
        Field::Salt => print_hex(octets.get(1..)?, out),
        Field::Hash => print_base32(octets.get(1..)?, out),
        Field::Ipv4 => push(out, format_args!("{}", Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))),
        Field::Ipv6 => push(out, format_args!("{}", Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?))),
        Field::Eui48 | Field::Eui64 => print_groups(octets, '-', 1, out),
        Field::Locator64 => print_groups(octets, ':', 2, out),
        Field::Bitmap => rdata_bitmap::print(octets, out),
        Field::Location => return rdata_location::print(octets, out).then_some(()),
        Field::ServiceParameters => rdata_service::print(octets, out),
        Field::Prefixes => rdata_prefix::print(octets, out),
        Field::Gateway => rdata_gateway::print(octets, rdata, out),
    }
    Some(())
}

/// A big-endian number of up to four octets.
fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

fn print_texts(octets: &[u8], out: &mut String) -> Option<()> {
    let mut rest = octets;
    while let Some((length, tail)) = rest.split_first() {
        let (text, behind) = tail.split_at_checked(usize::from(*length))?;
        print_quoted(text, out);
        if !behind.is_empty() {
            out.push(' ');
        }
        rest = behind;
    }
    Some(())
}

fn print_groups(octets: &[u8], separator: char, size: usize, out: &mut String) {
    for (index, group) in octets.chunks(size).enumerate() {
        if index > 0 {
            out.push(separator);
        }
        push(out, format_args!("{}", data_encoding::HEXLOWER.encode_display(group)));
    }
}
