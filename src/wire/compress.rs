//! Name compression (RFC 1035 §4.1.4): how much of a name stands in the message already, and where.
//!
//! No name is hashed for it. The question's suffixes are tried by their place, since only the one with as many labels can
//! be the same; those written later by their length and first octets, and then octet by octet.

use super::key::{NameKey, first_label, is_lowercase_of};
use super::name::{MAX_LABEL_LENGTH, MAX_NAME_LENGTH};
use super::query::HEADER_LENGTH;

/// The farthest a compression pointer reaches (RFC 1035 §4.1.4: 14 bits).
const POINTER_REACH: usize = 0x3fff;
/// How many suffixes are remembered; names beyond are written in full where they fit nothing known.
const SUFFIXES_MAX: usize = 96;

/// Where names stand in the message, kept between replies to save its making.
pub struct Suffixes {
    known: [Known; SUFFIXES_MAX],
    count: usize,
}

/// A suffix that stands in the message.
#[derive(Clone, Copy)]
struct Known {
    /// Its first label, as [`first_label`] gives it.
    label: u64,
    /// Its length, uncompressed.
    octets: usize,
    /// Where it stands.
    at: u16,
}

/// A name and how much of it must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compressed<'n> {
    /// The whole name, uncompressed.
    pub(super) name: &'n [u8],
    /// Octets of the labels that stand nowhere yet.
    pub(super) own: usize,
    /// Where the rest stands; none when only the root is left.
    pub(super) pointer: Option<u16>,
}

impl Suffixes {
    /// Remembers none.
    pub const fn new() -> Self {
        Self { known: [Known { label: 0, octets: 0, at: 0 }; SUFFIXES_MAX], count: 0 }
    }

    /// How many suffixes are remembered.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Forgets all but the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    /// Finds the longest suffix of the name at the start of `wire` that stands in `message`, whose question is `question`.
    /// None when there is no name.
    pub(super) fn compress<'n>(&self, wire: &'n [u8], question: &NameKey, message: &[u8]) -> Option<Compressed<'n>> {
        let (octets, mut left) = measure(wire)?;
        let name = wire.get(..octets)?;
        let mut own = 0;
        while left > 0 {
            let suffix = name.get(own..)?;
            // Of the question's suffixes only the one with as many labels can be the same.
            let asked = question.label_count().checked_sub(left);
            let asked = asked.filter(|asked| is_lowercase_of(question.suffix(*asked), suffix));
            let pointer = match asked {
                Some(asked) => u16::try_from(HEADER_LENGTH + question.offset(asked)).ok(),
                None => self.find(suffix, message),
            };
            if pointer.is_some() {
                return Some(Compressed { name, own, pointer });
            }
            own += 1 + usize::from(*suffix.first()?);
            left -= 1;
        }
        Some(Compressed { name, own, pointer: None })
    }

    /// Where the suffix stands among what was written behind the question.
    #[inline]
    fn find(&self, suffix: &[u8], message: &[u8]) -> Option<u16> {
        let known = self.known.get(..self.count).filter(|known| !known.is_empty())?;
        let label = first_label(suffix);
        let is_it = |known: &&Known| {
            known.label == label && known.octets == suffix.len() && stands_at(message, usize::from(known.at), suffix)
        };
        known.iter().find(is_it).map(|known| known.at)
    }

    /// Remembers the labels of a name that were written at `start`.
    pub(super) fn remember(&mut self, name: &Compressed<'_>, start: usize) {
        let mut at = 0;
        while at < name.own && start + at <= POINTER_REACH {
            let (Some(slot), Ok(offset)) = (self.known.get_mut(self.count), u16::try_from(start + at)) else { return };
            let suffix = name.name.get(at..).unwrap_or_default();
            *slot = Known { label: first_label(suffix), octets: suffix.len(), at: offset };
            self.count += 1;
            at += 1 + usize::from(suffix.first().copied().unwrap_or(0));
        }
    }
}

impl Default for Suffixes {
    fn default() -> Self {
        Self::new()
    }
}

/// The octets of the uncompressed name at the start of `wire`, and its labels without the root.
#[inline]
fn measure(wire: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut labels) = (0, 0);
    loop {
        let length = usize::from(*wire.get(at)?);
        at += 1 + length;
        if length > MAX_LABEL_LENGTH || at > MAX_NAME_LENGTH {
            return None;
        }
        if length == 0 {
            return Some((at, labels));
        }
        labels += 1;
    }
}

/// Whether the name in the message at `at` is `name`, which length and first label only make likely.
fn stands_at(message: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    // A name has at most 128 labels, and every pointer we write points backwards.
    for _ in 0..256 {
        let Some(&length) = message.get(at) else { return false };
        if length >= 0xc0 {
            let Some(&low) = message.get(at + 1) else { return false };
            at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
            continue;
        }
        let size = 1 + usize::from(length);
        let Some((label, rest)) = name.split_at_checked(size) else { return false };
        if !message.get(at..at + size).is_some_and(|written| written.eq_ignore_ascii_case(label)) {
            return false;
        }
        if length == 0 {
            return true;
        }
        (at, name) = (at + size, rest);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::name::Name;
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        text.parse::<Name>().unwrap().as_wire().to_vec()
    }

    /// Writes the names one behind the other after a question for `asked`; where each was cut, and to what it points.
    fn check(asked: &str, names: &[&str], expected: &[(&str, Option<usize>)]) {
        let question = NameKey::new(&asked.parse().unwrap(), 1);
        let mut message = vec![0; HEADER_LENGTH];
        message.extend_from_slice(&wire(asked));
        let mut suffixes = Suffixes::new();
        for (name, (own, pointer)) in names.iter().zip(expected) {
            let name = wire(name);
            let found = suffixes.compress(&name, &question, &message).unwrap();
            assert_eq!(found.name[..found.own], wire(own)[..wire(own).len() - 1], "{name:?}");
            assert_eq!(found.pointer.map(usize::from), *pointer, "{name:?}");
            let start = message.len();
            message.extend_from_slice(&name[..found.own]);
            match found.pointer {
                Some(at) => message.extend_from_slice(&(0xc000 | at).to_be_bytes()),
                None => message.push(0),
            }
            suffixes.remember(&found, start);
        }
    }

    #[test]
    fn the_longest_suffix_that_stands_there_is_pointed_at() {
        // The question: www at 12, Example at 16, com at 24; behind it the message goes on at 29.
        check("www.Example.com.", &["WWW.example.com."], &[(".", Some(12))]);
        check("www.Example.com.", &["ns1.EXAMPLE.com.", "NS1.example.com."], &[("ns1.", Some(16)), (".", Some(29))]);
        check(
            "www.example.com.",
            &["a.ns1.example.net.", "b.NS1.example.net."],
            &[("a.ns1.example.net.", None), ("b.", Some(31))],
        );
        check("www.example.com.", &["."], &[(".", None)]);
        check(".", &["a.", "A."], &[("a.", None), (".", Some(13))]);
        // Labels that start alike, and as long: the octets decide.
        let (one, two) = ("abcdefghi.example.com.", "abcdefghj.example.com.");
        check(
            "www.example.com.",
            &[one, two, one],
            &[("abcdefghi.", Some(16)), ("abcdefghj.", Some(16)), (".", Some(29))],
        );
        // A label that holds what looks like the question's suffix.
        check("a.b.", &[r"x\001b."], &[(r"x\001b.", None)]);
    }

    #[test]
    fn what_is_no_name_is_not_compressed() {
        let question = NameKey::root(1);
        for wire in [&[][..], &[1], &[1, b'a'], &[0xc0, 12], &[64; 70], &[63; 320]] {
            assert_eq!(Suffixes::new().compress(wire, &question, &[0; 13]), None, "{wire:?}");
        }
    }
}
