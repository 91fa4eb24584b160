//! LOC (RFC 1876): a place on Earth as degrees, minutes, seconds, altitude and three sizes.

use super::rdata_codec::{Rule, push, quote};

/// The octets of LOC RDATA, version 0.
const LENGTH: usize = 16;
/// What zero degrees are on the wire; one unit is a thousandth of a second of arc.
const EQUATOR: u32 = 1 << 31;
/// What an altitude of zero is on the wire, in centimetres.
const GROUND: u32 = 10_000_000;
/// Size, horizontal and vertical precision where none is written: 1 m, 10 km, 10 m.
const SIZES: [u8; 3] = [0x12, 0x16, 0x13];

const SHORT: &str = "write it as: 51 30 12.748 N 0 7 39.612 W 0.00m [size [horizontal [vertical precision]]]";

/// Checks 16 octets of wire form; gives their length.
pub(super) fn check(octets: &[u8]) -> Result<usize, Rule> {
    let [0, size, horizontal, vertical, rest @ ..] = octets else {
        return Err("cut short, or a version other than 0".into());
    };
    for precision in [size, horizontal, vertical] {
        if precision >> 4 > 9 || precision & 15 > 9 {
            return Err("a size whose digits are above 9".into());
        }
    }
    let angle = |at: usize, degrees: u32| {
        let octets = rest.get(at..at + 4)?.try_into().ok()?;
        (u32::from_be_bytes(octets).abs_diff(EQUATOR) <= degrees * 3_600_000).then_some(())
    };
    angle(0, 90).and(angle(4, 180)).ok_or("cut short, or an angle out of range")?;
    Ok(LENGTH)
}

/// Appends the wire form of the words of a LOC record. An error tells which word is wrong.
pub(super) fn read(words: &[&[u8]], out: &mut Vec<u8>) -> Result<(), (usize, Rule)> {
    let mut at = 0;
    let latitude = read_angle(words, &mut at, 90, [b'N', b'S'])?;
    let longitude = read_angle(words, &mut at, 180, [b'E', b'W'])?;
    let altitude_word = words.get(at).ok_or((at, Rule::from(SHORT)))?;
    let above = read_metres(altitude_word, 4_284_967_295).map_err(|rule| (at, rule))?;
    let altitude = u32::try_from(i64::from(GROUND) + above)
        .map_err(|_| (at, Rule::from("an altitude below -100000 m or above 42849672.95 m")))?;
    let mut sizes = SIZES;
    for (index, slot) in (at + 1..).zip(&mut sizes) {
        if let Some(word) = words.get(index) {
            let centimetres = read_metres(word, 9_000_000_000).map_err(|rule| (index, rule))?;
            *slot = precision(centimetres).ok_or((index, Rule::from("a size below 0 m")))?;
        }
    }
    if words.len() > at + 4 {
        return Err((at + 4, "nothing may stand behind the vertical precision".into()));
    }
    out.push(0);
    out.extend(sizes);
    for number in [latitude, longitude, altitude] {
        out.extend(number.to_be_bytes());
    }
    Ok(())
}

/// Reads degrees, then minutes and seconds where they are, up to a direction.
fn read_angle(words: &[&[u8]], at: &mut usize, degrees_max: u32, [plus, minus]: [u8; 2]) -> Result<u32, (usize, Rule)> {
    let mut thousandths = 0_u32;
    let parts = [(degrees_max, 3_600_000), (59, 60_000), (59, 1_000)];
    for (index, (max, unit)) in parts.into_iter().enumerate() {
        let word = *words.get(*at).ok_or((*at, Rule::from(SHORT)))?;
        if index > 0 && direction(word, plus, minus).is_some() {
            break;
        }
        let decimals = if index == 2 { 3 } else { 0 };
        let scaled = decimal(word, decimals).filter(|value| *value < (u64::from(max) + 1) * 10_u64.pow(decimals));
        let scaled = scaled.and_then(|value| u32::try_from(value).ok());
        let wrong = || (*at, Rule::from(format!("{} is no number from 0 to {max}; {SHORT}", quote(word))));
        thousandths += scaled.ok_or_else(wrong)? * if index == 2 { 1 } else { unit };
        *at += 1;
    }
    let word = *words.get(*at).ok_or((*at, Rule::from(SHORT)))?;
    let is_plus = direction(word, plus, minus).ok_or_else(|| {
        let (plus, minus) = (char::from(plus), char::from(minus));
        (*at, Rule::from(format!("{} stands where {plus} or {minus} must", quote(word))))
    })?;
    if thousandths > degrees_max * 3_600_000 {
        return Err((*at, Rule::from(format!("an angle over {degrees_max} degrees"))));
    }
    *at += 1;
    Ok(if is_plus { EQUATOR + thousandths } else { EQUATOR - thousandths })
}

fn direction(word: &[u8], plus: u8, minus: u8) -> Option<bool> {
    match word {
        [letter] if letter.eq_ignore_ascii_case(&plus) => Some(true),
        [letter] if letter.eq_ignore_ascii_case(&minus) => Some(false),
        _ => None,
    }
}

/// Reads metres with up to two decimals and an optional `m`, as centimetres.
fn read_metres(word: &[u8], max: u64) -> Result<i64, Rule> {
    let number = word.strip_suffix(b"m").or(word.strip_suffix(b"M")).unwrap_or(word);
    let (sign, digits) = number.strip_prefix(b"-").map_or((1, number), |digits| (-1, digits));
    let centimetres = decimal(digits, 2).filter(|value| *value <= max).and_then(|value| i64::try_from(value).ok());
    centimetres.map(|value| sign * value).ok_or_else(|| format!("{} is no length such as 10.50m", quote(word)).into())
}

/// Reads digits with at most `decimals` behind a point, as a whole number of the smallest unit.
fn decimal(word: &[u8], decimals: u32) -> Option<u64> {
    let mut halves = word.splitn(2, |octet| *octet == b'.');
    let (whole, fraction) = (halves.next()?, halves.next().unwrap_or_default());
    let wanted = usize::try_from(decimals).ok()?;
    if whole.is_empty() || whole.len() > 12 || fraction.len() > wanted {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', wanted - fraction.len());
    whole
        .iter()
        .chain(fraction)
        .chain(padding)
        .try_fold(0_u64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(*digit - b'0')))
}

/// A length as a digit and a power of ten (RFC 1876 §2), rounded down.
fn precision(centimetres: i64) -> Option<u8> {
    let mut mantissa = u64::try_from(centimetres).ok()?;
    let mut exponent = 0_u8;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    Some(u8::try_from(mantissa).ok()? << 4 | exponent)
}

/// Appends the text of checked wire form; false where only the generic form can carry it.
pub(super) fn print(octets: &[u8], out: &mut String) -> bool {
    let [0, sizes @ .., a, b, c, d, e, f, g, h, i, j, k, l] = octets else { return false };
    // Zero with an exponent would be read back without it.
    if sizes.iter().any(|size| size >> 4 == 0 && size & 15 != 0) {
        return false;
    }
    print_angle(u32::from_be_bytes([*a, *b, *c, *d]), ['N', 'S'], out);
    print_angle(u32::from_be_bytes([*e, *f, *g, *h]), ['E', 'W'], out);
    let altitude = i64::from(u32::from_be_bytes([*i, *j, *k, *l])) - i64::from(GROUND);
    let sign = if altitude < 0 { "-" } else { "" };
    let absolute = altitude.unsigned_abs();
    push(out, format_args!("{sign}{}.{:02}m", absolute / 100, absolute % 100));
    for size in sizes {
        let centimetres = u64::from(size >> 4) * 10_u64.pow(u32::from(size & 15));
        push(out, format_args!(" {}.{:02}m", centimetres / 100, centimetres % 100));
    }
    true
}

fn print_angle(wire: u32, [plus, minus]: [char; 2], out: &mut String) {
    let thousandths = wire.abs_diff(EQUATOR);
    let letter = if wire >= EQUATOR { plus } else { minus };
    let (degrees, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
    let seconds = thousandths % 60_000;
    push(out, format_args!("{degrees} {minutes} {}.{:03} {letter} ", seconds / 1000, seconds % 1000));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Result<Vec<u8>, (usize, Rule)> {
        let words: Vec<&[u8]> = text.split_ascii_whitespace().map(str::as_bytes).collect();
        let mut out = Vec::new();
        read(&words, &mut out).map(|()| out)
    }

    #[test]
    fn text_is_read_and_printed_back() {
        let check_text = |text: &str, printed: &str| {
            let octets = wire(text).unwrap();
            assert_eq!(check(&octets), Ok(16));
            let mut out = String::new();
            assert!(print(&octets, &mut out));
            assert_eq!(out, printed);
            assert_eq!(wire(&out).unwrap(), octets);
        };
        check_text("42 21 54 N 71 06 18 W -24m 30m", "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m");
        check_text("90 n 180 w 0", "90 0 0.000 N 180 0 0.000 W 0.00m 1.00m 10000.00m 10.00m");
        check_text(
            "0 0 0.001 S 0 59 E 42849672.95m 0 0.01 90000000m",
            "0 0 0.001 S 0 59 0.000 E 42849672.95m 0.00m 0.01m 90000000.00m",
        );
    }

    #[test]
    fn wrong_words_are_told() {
        for (text, word) in [
            ("91 N 0 E 0", 0),
            ("90 0 0.001 N 0 E 0", 3),
            ("1 60 N 0 E 0", 1),
            ("1 1 1.0001 N 0 E 0", 2),
            ("1 X 0 E 0", 1),
            ("1 N 0 N 0", 3),
            ("1 N 1 E", 4),
            ("1 N 1 E -100000.01", 4),
            ("1 N 1 E 0 -1", 5),
            ("1 N 1 E 0 1 1 1 1", 8),
            ("1 N 1 E 1e3", 4),
            ("", 0),
        ] {
            assert_eq!(wire(text).unwrap_err().0, word, "{text}: {}", wire(text).unwrap_err().1);
        }
    }

    #[test]
    fn hostile_octets_are_refused() {
        let good = wire("1 N 1 E 0").unwrap();
        for (at, octet) in [(0, 1), (1, 0xa0), (2, 0x0a), (4, 0xff), (8, 0)] {
            let mut bad = good.clone();
            bad[at] = octet;
            assert!(check(&bad).is_err(), "octet {at}");
        }
        assert_eq!(check(&good[..15]), Ok(16), "the caller sees that they are not there");
        let mut zero = good;
        zero[1] = 0x05;
        assert!(check(&zero).is_ok() && !print(&zero, &mut String::new()));
    }
}
