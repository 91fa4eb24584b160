//! The small forms that fields are made of: numbers, periods, strings, hexadecimal, base64 and base32, both ways.

use std::borrow::Cow;
use std::fmt::Write as _;

use data_encoding::{BASE32HEX_NOPAD, BASE64, DecodeError, HEXLOWER_PERMISSIVE};

/// The rule that a text or some octets break, in words.
pub(super) type Rule = Cow<'static, str>;

/// The longest `<character-string>` in octets (RFC 1035 §3.3).
pub(super) const MAX_STRING_LENGTH: usize = 255;

/// Reads a decimal number up to `max`.
pub(super) fn read_number(text: &[u8], max: u32) -> Result<u32, Rule> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(format!("{} is not a number", quote(text)).into());
    }
    let value = text.iter().try_fold(0_u32, |value, digit| {
        value.checked_mul(10)?.checked_add(u32::from(*digit - b'0')).filter(|value| *value <= max)
    });
    value.ok_or_else(|| format!("{} is above {max}", quote(text)).into())
}

/// Reads a number of seconds: plain, or with the units w, d, h, m and s as in `1w2d3h`.
pub(super) fn read_period(text: &[u8], max: u32) -> Result<u32, Rule> {
    if text.last().is_some_and(u8::is_ascii_digit) && text.iter().all(u8::is_ascii_digit) {
        return read_number(text, max);
    }
    let not_a_period = || Rule::from(format!("{} is no number of seconds such as 3600 or 1h30m", quote(text)));
    let (mut total, mut number) = (0_u64, None::<u64>);
    for octet in text {
        if octet.is_ascii_digit() {
            let digit = u64::from(*octet - b'0');
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            continue;
        }
        let unit: u64 = match octet.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(not_a_period()),
        };
        let seconds = number.take().ok_or_else(not_a_period)?.saturating_mul(unit);
        total = total.saturating_add(seconds);
    }
    if number.is_some() || text.is_empty() {
        return Err(not_a_period());
    }
    u32::try_from(total)
        .ok()
        .filter(|total| *total <= max)
        .ok_or_else(|| format!("{} is above {max} seconds", quote(text)).into())
}

/// Appends the octets that a string in presentation form stands for (RFC 1035 §5.1).
pub(super) fn read_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let mut rest = text;
    loop {
        let run = rest.iter().position(|octet| matches!(octet, b'\\' | b'"')).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        match tail {
            [] => return Ok(()),
            [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..] => {
                let value = [a, b, c].iter().fold(0_u16, |value, digit| value * 10 + u16::from(**digit - b'0'));
                out.push(u8::try_from(value).map_err(|_| r"an escape \DDD above \255")?);
                rest = behind;
            }
            [b'\\', b'0'..=b'9', ..] | [b'\\'] => {
                return Err(r"bad escape: use \X for a character or \DDD with DDD up to 255".into());
            }
            [b'\\', octet, behind @ ..] => {
                out.push(*octet);
                rest = behind;
            }
            _ => return Err(r#"a quotation mark inside a string: write it as \", or quote the whole string"#.into()),
        }
    }
}

/// Appends octets as a quoted string in presentation form.
pub(super) fn print_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            b' '..=b'~' => out.push(char::from(octet)),
            _ => push(out, format_args!("\\{octet:03}")),
        }
    }
    out.push('"');
}

/// Appends formatted text.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text); // writing to a String cannot fail
}

/// Appends the octets that hexadecimal digits stand for.
pub(super) fn read_hex(digits: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let decoded = HEXLOWER_PERMISSIVE.decode(digits);
    out.extend(decoded.map_err(|error| encoding_rule("hexadecimal", digits, error))?);
    Ok(())
}

/// Appends octets as upper-case hexadecimal digits.
pub(super) fn print_hex(octets: &[u8], out: &mut String) {
    data_encoding::HEXUPPER.encode_append(octets, out);
}

/// Appends the octets that base64 text stands for, padding included.
pub(super) fn read_base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    out.extend(BASE64.decode(text).map_err(|error| encoding_rule("base64", text, error))?);
    Ok(())
}

/// Appends octets in base64.
pub(super) fn print_base64(octets: &[u8], out: &mut String) {
    BASE64.encode_append(octets, out);
}

/// Appends the octets that unpadded base32hex text, in any case, stands for.
pub(super) fn read_base32(text: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    let upper = text.to_ascii_uppercase();
    out.extend(BASE32HEX_NOPAD.decode(&upper).map_err(|error| encoding_rule("base32hex", text, error))?);
    Ok(())
}

/// Appends octets in unpadded base32hex.
pub(super) fn print_base32(octets: &[u8], out: &mut String) {
    BASE32HEX_NOPAD.encode_append(octets, out);
}

fn encoding_rule(form: &str, text: &[u8], error: DecodeError) -> Rule {
    match (error.kind, text.get(error.position)) {
        (data_encoding::DecodeKind::Symbol, Some(octet)) => format!("{} is no {form} digit", quote(&[*octet])).into(),
        _ => format!("{} characters are no whole number of octets in {form}", text.len()).into(),
    }
}

/// A word for a message: quoted, made printable and cut at 40 characters.
pub(super) fn quote(text: &[u8]) -> String {
    let lossy = String::from_utf8_lossy(text.get(..160).unwrap_or(text));
    let mut shown: String = lossy.chars().take(40).flat_map(char::escape_debug).collect();
    if lossy.chars().count() > 40 {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_take_units_in_any_order_and_case() {
        let check = |text: &str, expected: Result<u32, &str>| {
            let found = read_period(text.as_bytes(), 0x7fff_ffff);
            assert_eq!(found.as_ref().copied().map_err(AsRef::as_ref), expected, "{text}");
        };
        check("0", Ok(0));
        check("3600", Ok(3600));
        check("1w2d3h", Ok(604_800 + 2 * 86_400 + 3 * 3_600));
        check("1H30M5S", Ok(5405));
        check("2147483647", Ok(0x7fff_ffff));
        check("2147483648", Err("\"2147483648\" is above 2147483647"));
        check("9999999999999999999w", Err("\"9999999999999999999w\" is above 2147483647 seconds"));
        for wrong in ["", "h", "1h30", "1x", "-1", "1.5h"] {
            let shown = format!("{wrong:?} is no number of seconds such as 3600 or 1h30m");
            check(wrong, Err(&shown));
        }
    }

    #[test]
    fn strings_are_read_with_their_escapes() {
        let check = |text: &str, expected: Option<&[u8]>| {
            let mut out = Vec::new();
            assert_eq!(read_string(text.as_bytes(), &mut out).ok().map(|()| &out[..]), expected, "{text}");
        };
        check(r#"a\"b\\c\;d"#, Some(br#"a"b\c;d"#));
        check(r"\000\255\065x", Some(b"\x00\xffAx"));
        check("é", Some("é".as_bytes()));
        for wrong in [r"\256", r"\25", r"\", r"\2x5", r#"a"b"#] {
            check(wrong, None);
        }
    }

    #[test]
    fn encodings_name_the_digit_that_is_wrong() {
        let mut out = Vec::new();
        assert_eq!(read_hex(b"0aFg", &mut out).unwrap_err(), "\"g\" is no hexadecimal digit");
        assert_eq!(
            read_hex(b"abc", &mut out).unwrap_err(),
            "3 characters are no whole number of octets in hexadecimal"
        );
        assert_eq!(read_base64(b"AQ=", &mut out).unwrap_err(), "3 characters are no whole number of octets in base64");
        assert_eq!(read_base64(b"A*==", &mut out).unwrap_err(), "\"*\" is no base64 digit");
        assert_eq!(read_base32(b"w0", &mut out).unwrap_err(), "\"w\" is no base32hex digit");
        assert!(out.is_empty());
        read_base32(b"2t7b4g4vsa5smi47k61mv5bv1a22bojr", &mut out).unwrap();
        assert_eq!(out.len(), 20);
    }

    #[test]
    fn a_word_in_a_message_is_short_and_printable() {
        assert_eq!(quote(b"a\x1b[31m\n"), r#""a\u{1b}[31m\n""#);
        assert_eq!(quote(&[b'x'; 100]), format!("\"{}…\"", "x".repeat(40)));
    }
}
