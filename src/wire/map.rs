//! A hash table from names to values, asked with the suffixes of a [`NameKey`].

use super::key::NameKey;
use super::name::Name;

/// A table of names, built once and then only read. One probe finds a name.
#[derive(Debug, Clone)]
pub struct NameMap<T> {
    /// A power of two of places, at most half of them taken; linear probing.
    slots: Box<[Option<Entry<T>>]>,
    /// Bit n is set when a name with n labels is held, so that other suffixes need no probe.
    levels: u128,
    count: usize,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    hash: u64,
    /// Lower-case wire form.
    name: Box<[u8]>,
    value: T,
}

impl<T> NameMap<T> {
    /// Builds the table; of two entries with one name the later counts.
    pub fn build(entries: impl IntoIterator<Item = (Name, T)>, seed: u64) -> Self {
        let entries: Vec<(Name, T)> = entries.into_iter().collect();
        let places = (entries.len() * 2).next_power_of_two().max(2);
        let mut slots: Vec<Option<Entry<T>>> = Vec::new();
        slots.resize_with(places, || None);
        let mut map = Self { slots: slots.into_boxed_slice(), levels: 0, count: 0 };
        for (name, value) in entries {
            let key = NameKey::new(&name, seed);
            map.levels |= 1 << key.label_count();
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
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(Entry { hash: key.hash(0), name: key.as_wire().into(), value });
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

    /// The value of the suffix of `key` that starts at `label`.
    #[inline]
    pub fn get(&self, key: &NameKey, label: usize) -> Option<&T> {
        if self.levels >> (key.label_count() - label.min(key.label_count())) & 1 == 0 {
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
        let mut held = self.levels & u128::MAX.checked_shr(127 - u32::try_from(labels.checked_sub(label)?).ok()?)?;
        while let Some(longest) = held.checked_ilog2() {
            let label = labels - usize::try_from(longest).ok()?;
            if let Ok(at) = self.position(key.hash(label), key.suffix(label)) {
                return self.slots.get(at)?.as_ref().map(|entry| (label, &entry.value));
            }
            held ^= 1 << longest;
        }
        None
    }

    /// Every value, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|entry| &entry.value)
    }

    /// The place of the name, or the free place where it belongs.
    fn position(&self, hash: u64, name: &[u8]) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = usize::try_from(hash >> 32).unwrap_or(0) & mask;
        // At most half of the places are taken, so a free one is found.
        while let Some(Some(entry)) = self.slots.get(at) {
            if entry.hash == hash && *entry.name == *name {
                return Ok(at);
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }
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
    fn the_later_of_two_entries_counts() {
        let name: Name = "a.".parse().unwrap();
        let map = NameMap::build([(name.clone(), 1), (name.clone(), 2)], 5);
        assert_eq!((map.get(&NameKey::new(&name, 5), 0), map.len()), (Some(&2), 1));
    }
}
