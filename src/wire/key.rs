//! A name prepared for look-up: folded to lower case, its labels found and every suffix hashed, once per question.

use super::name::{MAX_NAME_LENGTH, Name};

/// The most labels a name of 255 octets can have, the root not counted.
const MAX_LABELS: usize = 127;

/// A lower-case name with the offset of each label and the hash of each suffix, held without allocation.
///
/// The suffix at label `0` is the name itself; the suffix at label `label_count()` is the root. Two names have equal
/// suffix hashes where their suffixes are equal, under one `seed`; unequal suffixes may collide, so compare octets too.
#[derive(Clone)]
pub struct NameKey {
    octets: [u8; MAX_NAME_LENGTH],
    length: u8,
    labels: u8,
    offsets: [u8; MAX_LABELS + 1],
    hashes: [u64; MAX_LABELS + 1],
}

impl NameKey {
    /// The root; made once per worker and filled anew for each question.
    pub const fn root(seed: u64) -> Self {
        Self {
            octets: [0; MAX_NAME_LENGTH],
            length: 1,
            labels: 0,
            offsets: [0; MAX_LABELS + 1],
            hashes: [seed; MAX_LABELS + 1],
        }
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
        let (Some(from), Some(to)) = (wire.get(..length), self.octets.get_mut(..length)) else { return false };
        to.copy_from_slice(from);
        to.make_ascii_lowercase();
        self.length = u8::try_from(length).unwrap_or(u8::MAX);
        self.labels = u8::try_from(labels).unwrap_or(u8::MAX);
        let mut hash = seed;
        if let Some(slot) = self.hashes.get_mut(labels) {
            *slot = hash;
        }
        for label in (0..labels).rev() {
            hash = hash_label(hash, self.label(label));
            if let Some(slot) = self.hashes.get_mut(label) {
                *slot = hash;
            }
        }
        true
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
        hash_label(self.hash(label), b"\x01*")
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

/// Adds one label, its length octet included, to the hash of the suffix behind it.
fn hash_label(mut hash: u64, label: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunks = label.chunks_exact(8);
    for chunk in &mut chunks {
        hash = fold(hash ^ chunk.try_into().map_or(0, u64::from_le_bytes), MULTIPLIER);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    fold(hash.rotate_left(23) ^ u64::from_le_bytes(last), MULTIPLIER ^ 0x5851_f42d_4c95_7f2d)
}

/// Multiplies to 128 bits and folds the halves together.
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
