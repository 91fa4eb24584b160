//! APL (RFC 3123): a list of address prefixes, `1:192.0.2.0/24 !2:2001:db8::/32`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::rdata_codec::{Rule, push, quote, read_number};

/// The octets of an address of a family (RFC 3123 §4).
fn address_length(family: u16) -> Option<u8> {
    match family {
        1 => Some(4),
        2 => Some(16),
        _ => None,
    }
}

struct Item<'a> {
    family: u16,
    prefix: u8,
    is_negated: bool,
    address: &'a [u8],
}

fn items(octets: &[u8]) -> impl Iterator<Item = Result<Item<'_>, Rule>> {
    let mut rest = octets;
    std::iter::from_fn(move || match rest {
        [] => None,
        [a, b, prefix, length, tail @ ..] if tail.len() >= usize::from(length & 0x7f) => {
            let (address, tail) = tail.split_at_checked(usize::from(length & 0x7f))?;
            rest = tail;
            let is_negated = length & 0x80 != 0;
            Some(Ok(Item { family: u16::from_be_bytes([*a, *b]), prefix: *prefix, is_negated, address }))
        }
        _ => {
            rest = &[];
            Some(Err("an item that is cut short".into()))
        }
    })
}

/// Checks items: a known family, a prefix that fits it, no zero octets at the end (RFC 3123 §4).
pub(super) fn check(octets: &[u8]) -> Result<(), Rule> {
    for item in items(octets) {
        let item = item?;
        let length = address_length(item.family).ok_or("an address family other than 1 and 2")?;
        if item.prefix > length * 8 || item.address.len() > usize::from(length) || item.address.last() == Some(&0) {
            return Err("a prefix longer than its address, or an address that is not cut at its last octet".into());
        }
    }
    Ok(())
}

/// Appends the wire form of words such as `!1:192.0.2.0/24`. An error tells which word.
pub(super) fn read<'a>(words: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> Result<(), (usize, Rule)> {
    for (index, word) in words.enumerate() {
        read_item(word, out).map_err(|rule| (index, rule))?;
    }
    Ok(())
}

fn read_item(word: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let wrong = || Rule::from(format!("{} is no prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32", quote(word)));
    let (negation, rest) = word.strip_prefix(b"!").map_or((0, word), |rest| (0x80, rest));
    let text = std::str::from_utf8(rest).map_err(|_| wrong())?;
    let (family, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (address, prefix) = rest.split_once('/').ok_or_else(wrong)?;
    let (family, octets) = match family {
        "1" => (1_u16, address.parse::<Ipv4Addr>().map_err(|_| wrong())?.octets().to_vec()),
        "2" => (2, address.parse::<Ipv6Addr>().map_err(|_| wrong())?.octets().to_vec()),
        _ => return Err(wrong()),
    };
    let bits = u32::from(address_length(family).unwrap_or(0)) * 8;
    let prefix = read_number(prefix.as_bytes(), bits)?;
    let kept = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    out.extend(family.to_be_bytes());
    out.push(u8::try_from(prefix).unwrap_or(0));
    out.push(negation | u8::try_from(kept).unwrap_or(0));
    out.extend(octets.iter().take(kept));
    Ok(())
}

/// Appends the text of checked items.
pub(super) fn print(octets: &[u8], out: &mut String) {
    let mut separator = "";
    for item in items(octets).flatten() {
        let mut whole = [0; 16];
        for (to, from) in whole.iter_mut().zip(item.address) {
            *to = *from;
        }
        let [a, b, c, d, ..] = whole;
        let negation = if item.is_negated { "!" } else { "" };
        push(out, format_args!("{separator}{negation}{}:", item.family));
        match item.family {
            1 => push(out, format_args!("{}/{}", Ipv4Addr::new(a, b, c, d), item.prefix)),
            _ => push(out, format_args!("{}/{}", Ipv6Addr::from(whole), item.prefix)),
        }
        separator = " ";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_printed_back() {
        let text = "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8 1:0.0.0.0/0";
        let mut wire = Vec::new();
        read(text.split(' ').map(str::as_bytes), &mut wire).unwrap();
        assert!(wire.starts_with(b"\0\x01\x15\x03\xc0\xa8\x20\0\x01\x1c\x83\xc0\xa8\x26\0\x02\x08\x01\xff"));
        check(&wire).unwrap();
        let mut printed = String::new();
        print(&wire, &mut printed);
        assert_eq!(printed, text);
    }

    #[test]
    fn bad_prefixes_are_refused() {
        for wrong in
            ["192.0.2.0/24", "1:192.0.2.0", "1:192.0.2.0/33", "3:1/1", "1:2001:db8::/32", "2:::/129", "!!1:0.0.0.0/0"]
        {
            assert_eq!(read(std::iter::once(wrong.as_bytes()), &mut Vec::new()).unwrap_err().0, 0, "{wrong}");
        }
        for wrong in [
            &b"\0\x01\x20\x05\x01\x01\x01\x01\x01"[..],
            b"\0\x01\x21\0",
            b"\0\x01\x08\x01\0",
            b"\0\x03\0\0",
            b"\0\x01\0",
            b"\0\x01\0\x02\x01",
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
