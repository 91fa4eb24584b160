//! Bitmaps of record types (RFC 4034 §4.1.2): in NSEC, NSEC3 and CSYNC.

use std::collections::BTreeSet;

use crate::wire::RecordType;

use super::rdata_codec::{Rule, push};

/// Checks windows: rising, of 1 to 32 octets, without a zero octet at the end.
pub(super) fn check(octets: &[u8]) -> Result<(), Rule> {
    let mut last = None;
    for window in windows(octets) {
        let (number, bits) = window?;
        if last.is_some_and(|last| number <= last) {
            return Err("the windows of a type bitmap are not in rising order".into());
        }
        if bits.last().is_none_or(|last| *last == 0) || bits.len() > 32 {
            return Err("a window of a type bitmap has 1 to 32 octets, the last not zero".into());
        }
        last = Some(number);
    }
    Ok(())
}

fn windows(octets: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Rule>> {
    let mut rest = octets;
    std::iter::from_fn(move || match rest {
        [] => None,
        [number, length, tail @ ..] if tail.len() >= usize::from(*length) => {
            let (bits, tail) = tail.split_at_checked(usize::from(*length))?;
            rest = tail;
            Some(Ok((*number, bits)))
        }
        _ => {
            rest = &[];
            Some(Err("a type bitmap that is cut short".into()))
        }
    })
}

/// Appends the bitmap of the types that words name, which may be none.
pub(super) fn read<'a>(words: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> Result<(), (usize, Rule)> {
    let mut types = BTreeSet::new();
    for (index, word) in words.enumerate() {
        let text = String::from_utf8_lossy(word);
        let record_type: RecordType = text.parse().map_err(|error| (index, Rule::from(format!("{error}"))))?;
        types.insert(record_type.0);
    }
    let mut windows: Vec<(u8, Vec<u8>)> = Vec::new();
    for number in types {
        let [window, low] = number.to_be_bytes();
        if windows.last().is_none_or(|(last, _)| *last != window) {
            windows.push((window, Vec::new()));
        }
        let Some((_, bits)) = windows.last_mut() else { continue };
        bits.resize(usize::from(low / 8) + 1, 0);
        if let Some(octet) = bits.last_mut() {
            *octet |= 0x80 >> (low % 8);
        }
    }
    for (window, bits) in windows {
        out.push(window);
        out.push(u8::try_from(bits.len()).unwrap_or(32)); // low / 8 + 1 is at most 32
        out.extend(bits);
    }
    Ok(())
}

/// Appends the mnemonics of a checked bitmap, in numeric order, each with a space before it unless `out` needs none.
pub(super) fn print(octets: &[u8], out: &mut String) {
    let mut separator = "";
    for (window, bits) in windows(octets).flatten() {
        for (index, octet) in (0_u16..).zip(bits) {
            for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
                let number = u16::from(window) * 256 + index * 8 + bit;
                push(out, format_args!("{separator}{}", RecordType(number)));
                separator = " ";
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4034_4_3_example() {
        let words = ["TYPE1234", "A", "MX", "RRSIG", "NSEC"].map(str::as_bytes);
        let mut wire = Vec::new();
        read(words.into_iter(), &mut wire).unwrap();
        let expected = [&[0, 6, 0x40, 1, 0, 0, 0, 3, 4, 27][..], &[0; 26], &[0x20]].concat();
        assert_eq!(wire, expected);
        check(&wire).unwrap();
        let mut text = String::new();
        print(&wire, &mut text);
        assert_eq!(text, "A MX RRSIG NSEC TYPE1234");
    }

    #[test]
    fn hostile_bitmaps_are_refused() {
        for wrong in [
            &[0][..],
            &[0, 1],
            &[0, 0],
            &[0, 1, 0],
            &[1, 1, 1, 0, 1, 1],
            &[0, 1, 1, 0, 1, 1],
            &[&[0, 33][..], &[1; 33]].concat(),
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
        check(&[]).unwrap();
    }
}
