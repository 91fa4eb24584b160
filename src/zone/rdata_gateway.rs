//! The end of IPSECKEY (RFC 4025 §2): a gateway whose form an earlier octet tells, and the public key behind it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::Name;

use super::rdata_codec::{Rule, print_base64, push, quote, read_base64};
use super::rdata_wire::measure_name;

/// Where the gateway type stands within the RDATA.
const TYPE_AT: usize = 1;

/// The length of the gateway at the start of `rest`.
pub(super) fn length(rest: &[u8], rdata: &[u8]) -> Result<usize, Rule> {
    match rdata.get(TYPE_AT) {
        Some(0) => Ok(0),
        Some(1) => Ok(4),
        Some(2) => Ok(16),
        Some(3) => measure_name(rest),
        _ => Err("a gateway type above 3".into()),
    }
}

/// Whether the gateway is a name.
pub(super) fn is_name(rdata: &[u8]) -> bool {
    rdata.get(TYPE_AT) == Some(&3)
}

/// Checks a gateway and the key behind it.
pub(super) fn check(rest: &[u8], rdata: &[u8]) -> Result<(), Rule> {
    if length(rest, rdata)? > rest.len() { Err("cut short".into()) } else { Ok(()) }
}

/// Appends the wire form of a gateway and the words of a key, which may be none.
/// An error tells which word: 0 the gateway, 1 the key.
pub(super) fn read(
    gateway: &[u8],
    key: &[u8],
    origin: &Name,
    gateway_type: u8,
    out: &mut Vec<u8>,
) -> Result<(), (usize, Rule)> {
    let wrong = || (0, Rule::from(format!("{} is no gateway of type {gateway_type}", quote(gateway))));
    let text = std::str::from_utf8(gateway).map_err(|_| wrong())?;
    match gateway_type {
        0 if gateway == b"." => {}
        1 => out.extend(text.parse::<Ipv4Addr>().map_err(|_| wrong())?.octets()),
        2 => out.extend(text.parse::<Ipv6Addr>().map_err(|_| wrong())?.octets()),
        3 => Name::append_text(gateway, Some(origin), out).map_err(|error| (0, Rule::from(error.to_string())))?,
        _ => return Err(wrong()),
    }
    read_base64(key, out).map_err(|rule| (1, rule))
}

/// Appends the text of a checked gateway and key.
pub(super) fn print(rest: &[u8], rdata: &[u8], out: &mut String) {
    let (gateway, key) = rest.split_at_checked(length(rest, rdata).unwrap_or(0)).unwrap_or((rest, &[]));
    match (rdata.get(TYPE_AT), gateway) {
        (Some(1), [a, b, c, d]) => push(out, format_args!("{}", Ipv4Addr::new(*a, *b, *c, *d))),
        (Some(2), _) => {
            push(out, format_args!("{}", Ipv6Addr::from(<[u8; 16]>::try_from(gateway).unwrap_or_default())))
        }
        (Some(3), _) => push(out, format_args!("{}", Name::from_wire(gateway).unwrap_or(Name::root()))),
        _ => out.push('.'),
    }
    if !key.is_empty() {
        out.push(' ');
        print_base64(key, out);
    }
}
