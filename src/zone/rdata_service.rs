//! The parameters of SVCB and HTTPS (RFC 9460 §2.1, appendix A): `alpn=h2,h3 port=8443 ipv4hint=192.0.2.1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::rdata_codec::{Rule, print_base64, print_quoted, push, quote, read_base64, read_number, read_string};

/// How the value of a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Keys,
    Names,
    Nothing,
    Port,
    Ipv4,
    Ipv6,
    Base64,
    Octets,
}

/// The registered keys (RFC 9460 §14.3.2, RFC 9461 §5, RFC 9540 §4), in the order of their numbers.
const KEYS: &[(&str, Form)] = &[
    ("mandatory", Form::Keys),
    ("alpn", Form::Names),
    ("no-default-alpn", Form::Nothing),
    ("port", Form::Port),
    ("ipv4hint", Form::Ipv4),
    ("ech", Form::Base64),
    ("ipv6hint", Form::Ipv6),
    ("dohpath", Form::Octets),
    ("ohttp", Form::Nothing),
];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
/// RFC 9460 §14.3.1: reserved as "invalid key".
const INVALID: u16 = 65_535;

fn form(key: u16) -> Form {
    KEYS.get(usize::from(key)).map_or(Form::Octets, |(_, form)| *form)
}

fn key_name(key: u16) -> String {
    KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |(name, _)| (*name).to_owned())
}

fn read_key(text: &[u8]) -> Result<u16, Rule> {
    let known = (0..).zip(KEYS).find(|(_, (name, _))| name.as_bytes() == text).map(|(key, _)| key);
    let generic = || {
        let digits = text.strip_prefix(b"key").filter(|digits| *digits == b"0" || !digits.starts_with(b"0"))?;
        read_number(digits, 65_534).ok().and_then(|key| u16::try_from(key).ok())
    };
    known
        .or_else(generic)
        .ok_or_else(|| format!("unknown key {}: use a registered one in lower case, or keyNNNNN", quote(text)).into())
}

/// Reads pairs of key and length-prefixed value.
fn pairs(octets: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Rule>> {
    let mut rest = octets;
    std::iter::from_fn(move || match rest {
        [] => None,
        [a, b, c, d, tail @ ..] if tail.len() >= usize::from(u16::from_be_bytes([*c, *d])) => {
            let (value, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
            rest = tail;
            Some(Ok((u16::from_be_bytes([*a, *b]), value)))
        }
        _ => {
            rest = &[];
            Some(Err("parameters that are cut short".into()))
        }
    })
}

/// Checks parameters: keys rising, values of the form their key has, and the rules between them.
pub(super) fn check(octets: &[u8]) -> Result<(), Rule> {
    let mut last = None;
    for pair in pairs(octets) {
        let (key, value) = pair?;
        // RFC 9460 §2.2: keys "SHALL appear in increasing numeric order", none twice.
        if last.is_some_and(|last| key <= last) {
            return Err(format!("{} is not in rising order, or stands twice", key_name(key)).into());
        }
        if key == INVALID {
            return Err("key65535 is reserved".into());
        }
        check_value(form(key), value).map_err(|rule| format!("{}: {rule}", key_name(key)))?;
        last = Some(key);
    }
    let has = |wanted: u16| pairs(octets).flatten().any(|(key, _)| key == wanted);
    // RFC 9460 §7.1.1.
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Err("no-default-alpn needs alpn".into());
    }
    let mandatory = pairs(octets).flatten().find(|(key, _)| *key == MANDATORY).map_or(&[][..], |(_, value)| value);
    for key in mandatory.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(u16::from_be_bytes) {
        // RFC 9460 §8: mandatory itself may not be listed, and what is listed must be there.
        if key == MANDATORY || !has(key) {
            return Err(format!("mandatory lists {}, which is not there or cannot be listed", key_name(key)).into());
        }
    }
    Ok(())
}

fn check_value(form: Form, value: &[u8]) -> Result<(), Rule> {
    let is_right = match form {
        Form::Keys => {
            let keys: Vec<&[u8]> = value.chunks(2).collect();
            !keys.is_empty() && value.len().is_multiple_of(2) && keys.is_sorted_by(|a, b| a < b)
        }
        Form::Names => {
            let mut rest = value;
            while let Some((length, tail)) = rest.split_first() {
                match tail.get(usize::from(*length)..) {
                    Some(behind) if *length > 0 => rest = behind,
                    _ => return Err("a name in the list is empty or cut short".into()),
                }
            }
            !value.is_empty()
        }
        Form::Nothing => value.is_empty(),
        Form::Port => value.len() == 2,
        Form::Ipv4 => !value.is_empty() && value.len().is_multiple_of(4),
        Form::Ipv6 => !value.is_empty() && value.len().is_multiple_of(16),
        Form::Base64 => !value.is_empty(),
        Form::Octets => true,
    };
    if is_right { Ok(()) } else { Err("the value does not have the form of this key".into()) }
}

/// Appends the wire form of `key`, `key=value` and `key="value"` words in any order. An error tells which word.
pub(super) fn read<'a>(words: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> Result<(), (usize, Rule)> {
    let mut found: Vec<(u16, Vec<u8>)> = Vec::new();
    for (index, word) in words.enumerate() {
        let (key, value) = read_pair(word).map_err(|rule| (index, rule))?;
        if found.iter().any(|(other, _)| *other == key) {
            return Err((index, format!("{} stands twice", key_name(key)).into()));
        }
        found.push((key, value));
    }
    found.sort();
    let start = out.len();
    for (key, value) in found {
        let length = u16::try_from(value.len()).map_err(|_| (0, Rule::from("a value over 65535 octets")))?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
    check(out.get(start..).unwrap_or_default()).map_err(|rule| (0, rule))
}

fn read_pair(word: &[u8]) -> Result<(u16, Vec<u8>), Rule> {
    let mut halves = word.splitn(2, |octet| *octet == b'=');
    let key = read_key(halves.next().unwrap_or_default())?;
    let written = halves.next();
    let mut value = Vec::new();
    if let Some(text) = written {
        let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        let mut octets = Vec::new();
        read_string(inner, &mut octets)
            .and_then(|()| read_value(form(key), &octets, &mut value))
            .map_err(|rule| format!("{}: {rule}", key_name(key)))?;
    }
    check_value(form(key), &value).map_err(|_| match written {
        None if form(key) != Form::Nothing => format!("{} needs a value", key_name(key)),
        Some(_) if form(key) == Form::Nothing => format!("{} has no value", key_name(key)),
        _ => format!("{}: the value does not have the form of this key", key_name(key)),
    })?;
    Ok((key, value))
}

fn read_value(form: Form, text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let items = || text.split(|octet| *octet == b',');
    let not_an_address = |item: &[u8]| Rule::from(format!("{} is no address of this family", quote(item)));
    match form {
        Form::Keys => {
            let mut keys = items().map(read_key).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err("a key stands twice".into());
            }
            out.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        Form::Names => {
            for name in split_list(text)? {
                let length = u8::try_from(name.len()).ok().filter(|length| *length > 0);
                out.push(length.ok_or("each name of the list has 1 to 255 octets")?);
                out.extend(name);
            }
        }
        // A value where none may be is left for the caller to see.
        Form::Nothing | Form::Octets => out.extend(text),
        Form::Port => {
            let port = read_number(text, 65_535)?;
            out.extend(u16::try_from(port).unwrap_or(0).to_be_bytes());
        }
        Form::Ipv4 => {
            for item in items() {
                let address: Option<Ipv4Addr> = std::str::from_utf8(item).ok().and_then(|text| text.parse().ok());
                out.extend(address.ok_or_else(|| not_an_address(item))?.octets());
            }
        }
        Form::Ipv6 => {
            for item in items() {
                let address: Option<Ipv6Addr> = std::str::from_utf8(item).ok().and_then(|text| text.parse().ok());
                out.extend(address.ok_or_else(|| not_an_address(item))?.octets());
            }
        }
        Form::Base64 => read_base64(text, out)?,
    }
    Ok(())
}

/// Splits a comma-separated list in which `\,` and `\\` stand for the characters themselves (RFC 9460 appendix A.1).
fn split_list(text: &[u8]) -> Result<Vec<Vec<u8>>, Rule> {
    let mut names = vec![Vec::new()];
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b',' => {
                names.push(Vec::new());
                continue;
            }
            b'\\' => octets.next().filter(|octet| matches!(octet, b',' | b'\\')).ok_or("a backslash stands alone")?,
            other => other,
        };
        if let Some(name) = names.last_mut() {
            name.push(*octet);
        }
    }
    Ok(names)
}

/// Appends the text of checked parameters.
pub(super) fn print(octets: &[u8], out: &mut String) {
    let mut separator = "";
    for (key, value) in pairs(octets).flatten() {
        push(out, format_args!("{separator}{}", key_name(key)));
        separator = " ";
        if form(key) != Form::Nothing && !(value.is_empty() && form(key) == Form::Octets) {
            out.push('=');
            print_value(form(key), value, out);
        }
    }
}

fn print_value(form: Form, value: &[u8], out: &mut String) {
    let list = match form {
        Form::Keys => value
            .chunks_exact(2)
            .filter_map(|pair| pair.try_into().ok())
            .map(|pair| key_name(u16::from_be_bytes(pair)))
            .collect::<Vec<_>>(),
        Form::Ipv4 => value
            .chunks_exact(4)
            .filter_map(|four| <[u8; 4]>::try_from(four).ok())
            .map(|four| Ipv4Addr::from(four).to_string())
            .collect(),
        Form::Ipv6 => value
            .chunks_exact(16)
            .filter_map(|octets| <[u8; 16]>::try_from(octets).ok())
            .map(|octets| Ipv6Addr::from(octets).to_string())
            .collect(),
        Form::Port => value.try_into().map(|port| vec![u16::from_be_bytes(port).to_string()]).unwrap_or_default(),
        Form::Base64 => return print_base64(value, out),
        Form::Names => return print_quoted(&join_list(value), out),
        Form::Octets | Form::Nothing => return print_quoted(value, out),
    };
    out.push_str(&list.join(","));
}

/// The names of a list with commas between them, the inverse of [`split_list`].
fn join_list(value: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    let mut rest = value;
    while let Some((length, tail)) = rest.split_first() {
        let Some((name, behind)) = tail.split_at_checked(usize::from(*length)) else { break };
        if !joined.is_empty() {
            joined.push(b',');
        }
        for octet in name {
            if matches!(octet, b',' | b'\\') {
                joined.push(b'\\');
            }
            joined.push(*octet);
        }
        rest = behind;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let words = text.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes);
        read(words, &mut out).map(|()| out).map_err(|(_, rule)| rule.into_owned())
    }

    #[test]
    fn rfc9460_appendix_d_2_service_form() {
        let check_wire = |text: &str, expected: &[u8]| assert_eq!(wire(text).as_deref(), Ok(expected), "{text}");
        check_wire("", b"");
        check_wire("port=53", b"\0\x03\0\x02\0\x35");
        check_wire("key667=hello", b"\x02\x9b\0\x05hello");
        check_wire(r#"key667="hello\210qoo""#, b"\x02\x9b\0\x09hello\xd2qoo");
        let mapped = [
            &b"\0\x06\0\x20"[..],
            &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets(),
            &"2001:db8::53:1".parse::<Ipv6Addr>().unwrap().octets(),
        ]
        .concat();
        check_wire("ipv6hint=\"2001:db8::1,2001:db8::53:1\"", &mapped);
        check_wire(
            "alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            b"\0\0\0\x04\0\x01\0\x04\0\x01\0\x09\x02h2\x05h3-19\0\x04\0\x04\xc0\0\x02\x01",
        );
        check_wire(r#"alpn="f\\\\oo\\,bar,h2""#, b"\0\x01\0\x0c\x08f\\oo,bar\x02h2");
        check_wire(r"alpn=f\\\092oo\092,bar,h2", b"\0\x01\0\x0c\x08f\\oo,bar\x02h2");
    }

    #[test]
    fn rfc9460_appendix_d_3_failures() {
        for (text, expected) in [
            ("key123=abc key123=def", "key123 stands twice"),
            ("mandatory", "mandatory needs a value"),
            ("alpn", "alpn needs a value"),
            ("port", "port needs a value"),
            ("ipv4hint", "ipv4hint needs a value"),
            ("no-default-alpn=abc", "no-default-alpn has no value"),
            ("mandatory=key123", "mandatory lists key123, which is not there or cannot be listed"),
            ("mandatory=mandatory", "mandatory lists mandatory, which is not there or cannot be listed"),
            ("mandatory=key123,key123 key123=abc", "mandatory: a key stands twice"),
            ("no-default-alpn", "no-default-alpn needs alpn"),
            ("port=65536", "port: \"65536\" is above 65535"),
            ("ipv4hint=192.0.2", "ipv4hint: \"192.0.2\" is no address of this family"),
            ("alpn=a,,b", "alpn: each name of the list has 1 to 255 octets"),
            ("key65535=a", "unknown key \"key65535\": use a registered one in lower case, or keyNNNNN"),
            ("key07=a", "unknown key \"key07\": use a registered one in lower case, or keyNNNNN"),
        ] {
            assert_eq!(wire(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn printed_parameters_are_read_back() {
        for text in [
            "mandatory=alpn alpn=\"a\\\\,b,h2\" port=1 ipv4hint=192.0.2.1,192.0.2.2 ech=AQID",
            "key9 key10=\"\\000x\"",
            "alpn=\"h2\" no-default-alpn ipv6hint=2001:db8::1 dohpath=\"/q{?dns}\" ohttp",
        ] {
            let octets = wire(text).unwrap();
            let mut printed = String::new();
            print(&octets, &mut printed);
            assert_eq!(wire(&printed).as_ref(), Ok(&octets), "{printed}");
            assert_eq!(check(&octets), Ok(()));
        }
    }

    #[test]
    fn hostile_parameters_are_refused() {
        for wrong in [
            &b"\0"[..],
            b"\0\x03\0\x02\0",
            b"\0\x03\0\x01\0",
            b"\0\x04\0\0",
            b"\0\x01\0\x01\0",
            b"\0\x01\0\x02\x05h",
            b"\0\x03\0\x02\0\x01\0\x03\0\x02\0\x01",
            b"\0\x04\0\x04\x01\x01\x01\x01\0\x03\0\x02\0\x01",
            b"\xff\xff\0\0",
            b"\0\x03\xff\xff\0\x01",
            b"\0\0\0\x03\0\x01\0",
            b"\0\0\0\0",
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
