//! A name prepared for look-up: folded to lower case, its labels found and every suffix hashed, once per question.

use super::name::{MAX_NAME_LENGTH, Name};

/// The most labels a name of 255 octets can have, the root not counted.
const MAX_LABELS: usize = 127;

/// Octets kept for a name: whole words, and one more behind the longest name.
const ROOM: usize = 264;

/// Octets folded at once where a name is no longer.
const HEAD: usize = 32;

/// A lower-case name with the offset of each label and the hash of each suffix, held without allocation.
///
/// The suffix at label `0` is the name itself; the suffix at label `label_count()` is the root. Two names have equal
/// suffix hashes where their suffixes are equal, under one `seed`; unequal suffixes may collide, so compare octets too.
#[derive(Clone)]
pub struct NameKey {
    /// The name, and zeros or what an earlier name left behind it: room to read eight octets at any place of a name.
    octets: [u8; ROOM],
    length: u8,
    labels: u8,
    offsets: [u8; MAX_LABELS + 1],
    hashes: [u64; MAX_LABELS + 1],
}

impl NameKey {
    /// The root; made once per worker and filled anew for each question.
    pub const fn root(seed: u64) -> Self {
        Self { octets: [0; ROOM], length: 1, labels: 0, offsets: [0; MAX_LABELS + 1], hashes: [seed; MAX_LABELS + 1] }
    }

    /// Prepares a name of ours.
    pub fn new(name: &Name, seed: u64) -> Self {
        let mut key = Self::root(seed);
        let filled = key.fill(name.as_wire(), seed);
        debug_assert!(filled, "a Name is valid wire form by construction");
        key
    }

    /// Reads the uncompressed name at the start of `wire` in the place of the one held; says whether there was one:
    /// not when it is cut short, has a label over 63 octets (a pointer among them), or is over 255 octets.
    pub fn fill(&mut self, wire: &[u8], seed: u64) -> bool {
        let Some((length, labels)) = self.find_labels(wire) else { return false };
        // Length octets are at most 63, below every upper-case letter, so the whole form can be folded word by word.
        let (places, _) = self.octets.as_chunks_mut::<8>();
        let folded = match wire.first_chunk::<HEAD>() {
            // Most names are short, and more of the message follows them: so many octets at once need no loop.
            Some(head) if length <= HEAD => fold_words(places, head),
            _ => fold_words(places, wire.get(..length).unwrap_or_default()),
        };
        debug_assert!(folded * 8 + 8 > length, "a part of a word may be left");
        let rest = wire.get(folded * 8..length).unwrap_or_default();
        if let Some(place) = places.get_mut(folded).filter(|_| !rest.is_empty()) {
            *place = lowercase(part_of_word(rest)).to_le_bytes();
        }
        self.length = u8::try_from(length).unwrap_or(u8::MAX);
        self.labels = u8::try_from(labels).unwrap_or(u8::MAX);
        let mut hash = seed;
        if let Some(slot) = self.hashes.get_mut(labels) {
            *slot = hash;
        }
        let mut end = length - 1;
        for label in (0..labels).rev() {
            let start = self.offset(label);
            hash = self.hash_label(hash, start, end);
            if let Some(slot) = self.hashes.get_mut(label) {
                *slot = hash;
            }
            end = start;
        }
        true
    }

    /// Eight octets from `at` on.
    #[inline]
    fn word(&self, at: usize) -> u64 {
        self.octets.get(at..at + 8).and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    /// Adds the label in `start..end`, its length octet included, to the hash of the suffix behind it.
    #[inline]
    fn hash_label(&self, mut hash: u64, mut start: usize, end: usize) -> u64 {
        while end - start > 8 {
            hash = fold(hash ^ self.word(start), MULTIPLIER);
            start += 8;
        }
        // One to eight octets are left; what stands behind them does not count.
        let behind = 64 - 8 * u32::try_from(end - start).unwrap_or(8);
        hash_end(hash, self.word(start) & u64::MAX >> (behind & 63))
    }

    /// Notes where each label starts; tells the octets of the name and its labels, the root not counted.
    fn find_labels(&mut self, wire: &[u8]) -> Option<(usize, usize)> {
        let mut at = 0;
        let mut labels = 0;
        loop {
            let length = *wire.get(at)?;
            let next = at + 1 + usize::from(length);
            if length > 63 || next > MAX_NAME_LENGTH {
                return None;
            }
            *self.offsets.get_mut(labels)? = u8::try_from(at).ok()?;
            at = next;
            if length == 0 {
                return Some((at, labels));
            }
            labels += 1;
        }
    }

    /// The lower-case wire form, root label included.
    pub fn as_wire(&self) -> &[u8] {
        self.suffix(0)
    }

    /// How many labels the name has, the root not counted.
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// Where the suffix that starts at `label` starts within [`as_wire`](Self::as_wire).
    pub fn offset(&self, label: usize) -> usize {
        usize::from(self.offsets.get(label).copied().unwrap_or(0))
    }

    /// The wire form of the suffix that starts at `label`, 0 being the whole name.
    pub fn suffix(&self, label: usize) -> &[u8] {
        self.octets.get(self.offset(label)..usize::from(self.length)).unwrap_or(&[0])
    }

    /// The hash of the suffix that starts at `label`.
    #[inline]
    pub fn hash(&self, label: usize) -> u64 {
        self.hashes.get(label).copied().unwrap_or(0)
    }

    /// The hash that the name `*.suffix` has, for the suffix that starts at `label`.
    pub fn wildcard_hash(&self, label: usize) -> u64 {
        hash_end(self.hash(label), u64::from_le_bytes(*b"\x01*\0\0\0\0\0\0"))
    }

    /// The labels from `from` to the one before `to`, without a root label: what the suffix at `from` has more than that at `to`.
    pub fn between(&self, from: usize, to: usize) -> &[u8] {
        self.octets.get(self.offset(from)..self.offset(to)).unwrap_or(&[])
    }

    /// The octets of one label with its length octet before it.
    pub fn label(&self, label: usize) -> &[u8] {
        self.between(label, label + 1)
    }
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Adds the last one to eight octets of a label to a hash.
#[inline]
fn hash_end(hash: u64, octets: u64) -> u64 {
    fold(hash.rotate_left(23) ^ octets, MULTIPLIER ^ 0x5851_f42d_4c95_7f2d)
}

/// Folds the ASCII upper-case letters among eight octets to lower case, all at once.
#[inline]
fn lowercase(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let above_z = low + (0x7f - 0x5a) * EACH;
    let from_a = low + (0x80 - 0x41) * EACH;
    let is_upper = !word & (from_a ^ above_z) & (0x80 * EACH);
    word | is_upper >> 2
}

/// Writes the whole words of `octets` in lower case; says how many there were.
#[inline]
fn fold_words(places: &mut [[u8; 8]], octets: &[u8]) -> usize {
    let (words, _) = octets.as_chunks::<8>();
    for (place, word) in places.iter_mut().zip(words) {
        *place = lowercase(u64::from_le_bytes(*word)).to_le_bytes();
    }
    words.len()
}

/// Whether `text` is the name or part of a name in `lower`, which is in lower case.
#[inline]
pub(super) fn is_lowercase_of(lower: &[u8], text: &[u8]) -> bool {
    if lower.len() != text.len() {
        return false;
    }
    let is_same =
        |ours: &[u8; 8], theirs: &[u8; 8]| u64::from_le_bytes(*ours) == lowercase(u64::from_le_bytes(*theirs));
    match (lower.last_chunk(), text.last_chunk()) {
        // The last word may overlap the one before it.
        (Some(our_last), Some(their_last)) => {
            let ((ours, _), (theirs, _)) = (lower.as_chunks(), text.as_chunks());
            is_same(our_last, their_last) && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        _ => part_of_word(lower) == lowercase(part_of_word(text)),
    }
}

/// Up to eight octets of the first label of a name, its length among them, in lower case.
#[inline]
pub(super) fn first_label(name: &[u8]) -> u64 {
    let word = name.first_chunk::<8>().map_or_else(|| part_of_word(name), |octets| u64::from_le_bytes(*octets));
    let behind = 7 - u32::from(name.first().copied().unwrap_or(0).min(7));
    lowercase(word & u64::MAX >> (8 * behind))
}

/// Up to eight octets as a word, zeros behind them; without a loop or a call: two halves that may overlap.
#[inline]
fn part_of_word(octets: &[u8]) -> u64 {
    let shift = |size: usize| u32::try_from(8 * (octets.len() - size)).unwrap_or(0);
    match (octets.first_chunk(), octets.last_chunk(), octets.first_chunk(), octets.last_chunk(), octets) {
        (Some(head), Some(tail), ..) => {
            u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << shift(4)
        }
        (_, _, Some(head), Some(tail), _) => {
            u64::from(u16::from_le_bytes(*head)) | u64::from(u16::from_le_bytes(*tail)) << shift(2)
        }
        (.., [octet]) => u64::from(*octet),
        _ => 0,
    }
}

/// Multiplies to 128 bits and folds the halves together.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "the two halves are wanted")]
    let (low, high) = (wide as u64, (wide >> 64) as u64);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_equal_names_hash_equal() {
        let name: Name = "WWW.a.Example.com.".parse().unwrap();
        let parent: Name = "a.example.COM.".parse().unwrap();
        let (key, parent) = (NameKey::new(&name, 7), NameKey::new(&parent, 7));
        assert_eq!(key.label_count(), 4);
        assert_eq!(key.suffix(1), parent.as_wire());
        assert_eq!(key.hash(1), parent.hash(0));
        assert_ne!(key.hash(0), key.hash(1));
        assert_eq!(key.suffix(4), [0]);
        assert_eq!(key.label(0), b"\x03www");
    }

    #[test]
    fn every_octet_is_folded_as_ascii_is() {
        for octet in 0..=u8::MAX {
            let word = u64::from_le_bytes([octet, b'A', 0, octet, b'z', b'Z', octet, 255]);
            let expected = word.to_le_bytes().map(|octet| octet.to_ascii_lowercase());
            assert_eq!(lowercase(word).to_le_bytes(), expected);
        }
    }

    #[test]
    fn names_of_any_length_are_compared_whole_and_without_case() {
        for length in 0..40_usize {
            let lower: Vec<u8> = (0..length).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect();
            assert!(is_lowercase_of(&lower, &lower.to_ascii_uppercase()), "{length}");
            assert!(!is_lowercase_of(&lower, &[&lower[..], b"x"].concat()));
            for at in 0..length {
                let mut other = lower.clone();
                other[at] = b'_';
                assert!(!is_lowercase_of(&lower, &other), "{length} {at}");
            }
        }
    }

    #[test]
    fn what_an_earlier_name_left_behind_does_not_count() {
        for length in 1..=63 {
            let label = [&[length][..], &vec![b'x'; usize::from(length)], &[0]].concat();
            let mut used = NameKey::root(1);
            assert!(used.fill(&[&[63][..], &[b'y'; 63], &[63], &[b'y'; 63], &[0]].concat(), 1));
            assert!(used.fill(&label, 1));
            let mut fresh = NameKey::root(1);
            assert!(fresh.fill(&label, 1));
            assert_eq!((used.hash(0), used.as_wire()), (fresh.hash(0), fresh.as_wire()));
        }
    }

    #[test]
    fn the_wildcard_hash_is_that_of_the_wildcard_name() {
        let name: Name = "www.example.com.".parse().unwrap();
        let wildcard: Name = "*.example.com.".parse().unwrap();
        assert_eq!(NameKey::new(&name, 3).wildcard_hash(1), NameKey::new(&wildcard, 3).hash(0));
    }

    #[test]
    fn wire_that_is_no_name_is_refused() {
        for wire in [&[][..], &[1], &[1, b'a'], &[0xc0, 0], &[64; 70]] {
            assert!(!NameKey::root(0).fill(wire, 0));
        }
        let longest = [&[1, b'a'].repeat(127)[..], &[0]].concat();
        let mut key = NameKey::root(0);
        assert!(key.fill(&longest, 0));
        assert_eq!(key.label_count(), 127);
        let longer = [&[1, b'a'].repeat(126)[..], &[2, b'b', b'b', 0]].concat();
        assert!(!key.fill(&longer, 0));
    }
}
