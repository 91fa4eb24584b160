//! A hash table from names to values, asked with the suffixes of a [`NameKey`].

use super::key::NameKey;
use super::name::Name;

/// A table of names, built once and then only read. One probe finds a name.
#[derive(Debug, Clone)]
pub struct NameMap<T> {
    /// A power of two of places, at most half of them taken; linear probing.
    slots: Box<[Option<Entry<T>>]>,
    /// Eight bits of each place's hash, 0 where it is free. Most names asked for are not held, and these octets, which lie
    /// close together, say so without a look at the places, which are spread over many cache lines.
    tags: Box<[u8]>,
    /// Which numbers of labels the names have, so that other suffixes need no probe.
    levels: Levels,
    count: usize,
}

/// The numbers of labels that the names of a table have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Bit n is set for names of n labels; the last one for all with more, which are rare.
    bits: u64,
}

impl Levels {
    /// Takes note of a name of so many labels.
    pub const fn insert(&mut self, labels: usize) {
        self.bits |= 1 << (if labels < 63 { labels } else { 63 });
    }

    /// Whether a name may have so many labels.
    #[inline]
    pub const fn has(self, labels: usize) -> bool {
        self.bits >> (if labels < 63 { labels } else { 63 }) & 1 != 0
    }

    /// The greatest number of labels that a name may have, of those up to `most`.
    #[inline]
    pub fn greatest(self, most: usize) -> Option<usize> {
        let held = self.bits & u64::MAX >> 63_usize.saturating_sub(most);
        match held.checked_ilog2()? {
            63 => Some(most),
            level => usize::try_from(level).ok(),
        }
    }
}

/// On a cache line of its own, with the name in it where that is not long: a name that is held costs one miss.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Entry<T> {
    hash: u64,
    name: Held,
    value: T,
}

/// Octets of a name that are held in its entry.
const INLINE: usize = 30;

/// A name in lower-case wire form.
#[derive(Debug, Clone)]
enum Held {
    Short { octets: [u8; INLINE], length: u8 },
    Long(Box<[u8]>),
}

impl Held {
    fn new(name: &[u8]) -> Self {
        let mut octets = [0; INLINE];
        match (octets.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(name);
                Self::Short { octets, length }
            }
            _ => Self::Long(name.into()),
        }
    }

    #[inline]
    fn octets(&self) -> &[u8] {
        match self {
            Self::Short { octets, length } => octets.get(..usize::from(*length)).unwrap_or(&[]),
            Self::Long(octets) => octets,
        }
    }
}

impl<T> NameMap<T> {
    /// Builds the table; of two entries with one name the later counts.
    pub fn build(entries: impl IntoIterator<Item = (Name, T)>, seed: u64) -> Self {
        let entries: Vec<(Name, T)> = entries.into_iter().collect();
        let places = (entries.len() * 2).next_power_of_two().max(2);
        let mut slots: Vec<Option<Entry<T>>> = Vec::new();
        slots.resize_with(places, || None);
        let tags = vec![0; places].into_boxed_slice();
        let mut map = Self { slots: slots.into_boxed_slice(), tags, levels: Levels::default(), count: 0 };
        for (name, value) in entries {
            let key = NameKey::new(&name, seed);
            map.levels.insert(key.label_count());
            map.insert(&key, value);
        }
        map
    }

    fn insert(&mut self, key: &NameKey, value: T) {
        let at = match self.position(key.hash(0), key.as_wire()) {
            Ok(at) => at,
            Err(free) => {
                self.count += 1;
                free
            }
        };
        if let (Some(slot), Some(tag)) = (self.slots.get_mut(at), self.tags.get_mut(at)) {
            *tag = tag_of(key.hash(0));
            *slot = Some(Entry { hash: key.hash(0), name: Held::new(key.as_wire()), value });
        }
    }

    /// How many names it holds.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads the tag where [`Self::get`] of a whole name begins; it tells nothing to anybody.
    #[inline]
    pub fn touch_tag(&self, key: &NameKey) -> u64 {
        self.tags.get(home(key.hash(0), self.tags.len() - 1)).copied().map_or(0, u64::from)
    }

    /// Reads the entry that [`Self::get`] of a whole name compares first, if there is one.
    #[inline]
    pub fn touch_entry(&self, key: &NameKey) -> u64 {
        let (mask, wanted) = (self.tags.len() - 1, tag_of(key.hash(0)));
        let mut at = home(key.hash(0), mask);
        while let Some(&tag) = self.tags.get(at).filter(|tag| **tag != 0) {
            if tag == wanted {
                return self.slots.get(at).and_then(Option::as_ref).map_or(0, |entry| entry.hash);
            }
            at = (at + 1) & mask;
        }
        0
    }

    /// The value of the suffix of `key` that starts at `label`.
    #[inline]
    pub fn get(&self, key: &NameKey, label: usize) -> Option<&T> {
        if !self.levels.has(key.label_count().saturating_sub(label)) {
            return None;
        }
        let at = self.position(key.hash(label), key.suffix(label)).ok()?;
        self.slots.get(at)?.as_ref().map(|entry| &entry.value)
    }

    /// The longest suffix of `key` that is held, from `label` on, with the label it starts at.
    #[inline]
    pub fn longest(&self, key: &NameKey, label: usize) -> Option<(usize, &T)> {
        let labels = key.label_count();
        // Only the lengths that are held: usually one, and the loop over a question's labels would ask about each.
        let mut length = self.levels.greatest(labels.checked_sub(label)?)?;
        loop {
            let label = labels - length;
            if let Ok(at) = self.position(key.hash(label), key.suffix(label)) {
                return self.slots.get(at)?.as_ref().map(|entry| (label, &entry.value));
            }
            length = self.levels.greatest(length.checked_sub(1)?)?;
        }
    }

    /// Every value, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|entry| &entry.value)
    }

    /// The place of the name, or the free place where it belongs.
    #[inline]
    fn position(&self, hash: u64, name: &[u8]) -> Result<usize, usize> {
        let (mask, wanted) = (self.tags.len() - 1, tag_of(hash));
        let mut at = home(hash, mask);
        // At most half of the places are taken, so a free one is found.
        while let Some(&tag) = self.tags.get(at).filter(|tag| **tag != 0) {
            if tag == wanted
                && let Some(Some(entry)) = self.slots.get(at)
                && entry.hash == hash
                && entry.name.octets() == name
            {
                return Ok(at);
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }
}

/// The place where a hash belongs.
#[inline]
fn home(hash: u64, mask: usize) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0) & mask
}

/// Eight bits of a hash, none of those that choose its place; never 0.
#[inline]
fn tag_of(hash: u64) -> u8 {
    let [lowest, ..] = hash.to_le_bytes();
    lowest.max(1)
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        Self::build([], 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_longest_suffixes_are_found() {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let names = [".", "example.", "a.example.", "c.b.a.example."];
        let map = NameMap::build(names.map(|text| (name(text), text)), 5);
        let check = |asked: &str, label, found: &str| {
            assert_eq!(map.longest(&NameKey::new(&name(asked), 5), 0), Some((label, &found)), "{asked}");
        };
        check("EXAMPLE.", 0, "example.");
        check("b.a.example.", 1, "a.example.");
        check("x.c.b.a.example.", 1, "c.b.a.example.");
        check("net.", 1, ".");
        assert_eq!(map.len(), 4);
        assert_eq!(NameMap::<u8>::default().longest(&NameKey::new(&name("a."), 0), 0), None);
    }

    #[test]
    fn names_of_any_length_are_told_apart() {
        let name =
            |length: usize, last: char| -> Name { format!("{}{last}.", "a".repeat(length - 1)).parse().unwrap() };
        let names = (1..=63).flat_map(|length| ['x', 'y'].map(|last| (name(length, last), (length, last))));
        let map = NameMap::build(names.clone(), 5);
        for (name, value) in names {
            assert_eq!(map.get(&NameKey::new(&name, 5), 0), Some(&value));
        }
        assert_eq!(map.get(&NameKey::new(&name(31, 'z'), 5), 0), None);
        assert_eq!(size_of::<Option<Entry<[u64; 3]>>>(), 64);
    }

    #[test]
    fn names_of_very_many_labels_are_found_too() {
        let name = |labels: usize| -> Name { "a.".repeat(labels).parse().unwrap() };
        let map = NameMap::build([1, 62, 63, 64, 100, 127].map(|labels| (name(labels), labels)), 5);
        for asked in 1..=127 {
            let key = NameKey::new(&name(asked), 5);
            let longest = *[1, 62, 63, 64, 100, 127].iter().rfind(|labels| **labels <= asked).unwrap();
            assert_eq!(map.longest(&key, 0), Some((asked - longest, &longest)), "{asked}");
            assert_eq!(map.get(&key, 0), (longest == asked).then_some(&longest), "{asked}");
        }
        assert_eq!(Levels::default().greatest(127), None);
    }

    #[test]
    fn the_later_of_two_entries_counts() {
        let name: Name = "a.".parse().unwrap();
        let map = NameMap::build([(name.clone(), 1), (name.clone(), 2)], 5);
        assert_eq!((map.get(&NameKey::new(&name, 5), 0), map.len()), (Some(&2), 1));
    }
}
