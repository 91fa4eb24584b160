//! The zones of a node by name: a hash table in segments, changed by copying only the segment that changes.

use std::sync::Arc;

use super::tree::Zone;
use crate::wire::{Levels, NameKey};

/// Zones in one segment, on average, beyond which the table is made anew with more segments.
const SEGMENT_ZONES_MAX: usize = 128;
/// Zones in one segment, on average, of a table that was just made.
const SEGMENT_ZONES: usize = 16;

/// Zones by the names of their apexes. Cloning it shares every part; one zone more or less copies some dozens of
/// pointers, however many zones there are.
#[derive(Clone)]
pub struct ZoneMap {
    /// A power of two of them; the lowest bits of a name's hash choose one.
    segments: Arc<[Segment]>,
    /// Which numbers of labels the zones' names have, so that other suffixes need no probe. None is ever taken away.
    levels: Levels,
    count: usize,
    seed: u64,
}

/// A power of two of places, at most half of them taken; linear probing.
type Segment = Arc<[Option<Entry>]>;

#[derive(Clone)]
struct Entry {
    hash: u64,
    zone: Arc<Zone>,
}

impl Entry {
    /// Whether it is the zone of that name, in lower case as every apex is.
    #[inline]
    fn is_of(&self, hash: u64, name: &[u8]) -> bool {
        self.hash == hash && self.zone.apex().as_wire() == name
    }
}

impl ZoneMap {
    /// The map of these zones; of two with one name the later counts. Their names are hashed with `seed`.
    pub fn build(zones: impl IntoIterator<Item = Arc<Zone>>, seed: u64) -> Self {
        let mut key = NameKey::root(seed);
        let mut levels = Levels::default();
        let entry = |zone: Arc<Zone>| {
            let filled = key.fill(zone.apex().as_wire(), seed);
            debug_assert!(filled, "a Name is valid wire form by construction");
            levels.insert(key.label_count());
            Entry { hash: key.hash(0), zone }
        };
        let entries: Vec<Entry> = zones.into_iter().map(entry).collect();
        let wanted = (entries.len() / SEGMENT_ZONES).next_power_of_two();
        let mut parts = vec![Vec::new(); wanted];
        for entry in entries {
            if let Some(part) = parts.get_mut(segment_of(entry.hash, wanted)) {
                part.push(entry);
            }
        }
        let segments: Arc<[Segment]> = parts.into_iter().map(|part| segment(&part)).collect();
        let count = segments.iter().map(|segment| segment.iter().flatten().count()).sum();
        Self { segments, levels, count, seed }
    }

    /// Puts a zone in the place of the one of its name, or beside the others.
    pub fn put(&mut self, zone: Arc<Zone>) {
        let key = NameKey::new(zone.apex(), self.seed);
        self.levels.insert(key.label_count());
        self.change(&key, Some(zone));
        if self.count > self.segments.len() * SEGMENT_ZONES_MAX {
            *self = Self::build(self.values().cloned().collect::<Vec<_>>(), self.seed);
        }
    }

    /// Takes the zone of exactly the name in `key` out.
    pub fn remove(&mut self, key: &NameKey) {
        self.change(key, None);
    }

    /// Copies the segment of the name in `key` with another zone of that name, or none.
    fn change(&mut self, key: &NameKey, zone: Option<Arc<Zone>>) {
        let hash = key.hash(0);
        let index = segment_of(hash, self.segments.len());
        let Some(before) = self.segments.get(index) else { return };
        let is_other = |entry: &&Entry| !entry.is_of(hash, key.as_wire());
        let others = before.iter().flatten().filter(is_other).cloned();
        let entries: Vec<Entry> = others.chain(zone.map(|zone| Entry { hash, zone })).collect();
        self.count = self.count + entries.len() - before.iter().flatten().count();
        let segment = segment(&entries);
        if let Some(slot) = Arc::make_mut(&mut self.segments).get_mut(index) {
            *slot = segment;
        }
    }

    /// How many zones it holds.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The zone of the suffix of `key` that starts at `label`.
    #[inline]
    pub fn get(&self, key: &NameKey, label: usize) -> Option<&Arc<Zone>> {
        if !self.levels.has(key.label_count().saturating_sub(label)) {
            return None;
        }
        self.find(key.hash(label), key.suffix(label))
    }

    /// The zone of that name, in lower case.
    #[inline]
    fn find(&self, hash: u64, name: &[u8]) -> Option<&Arc<Zone>> {
        let segment = self.segments.get(segment_of(hash, self.segments.len()))?;
        let mask = segment.len() - 1;
        let mut at = home(hash, mask);
        // At most half of the places are taken, so a free one is found.
        while let Some(Some(entry)) = segment.get(at) {
            if entry.is_of(hash, name) {
                return Some(&entry.zone);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The zone of the longest suffix of `key`, from `label` on, with the label it starts at.
    #[inline]
    pub fn longest(&self, key: &NameKey, label: usize) -> Option<(usize, &Arc<Zone>)> {
        let labels = key.label_count();
        // Only the lengths that are held: usually one, and a loop over a question's labels would ask about each.
        let mut length = self.levels.greatest(labels.checked_sub(label)?)?;
        loop {
            let label = labels - length;
            if let Some(zone) = self.find(key.hash(label), key.suffix(label)) {
                return Some((label, zone));
            }
            length = self.levels.greatest(length.checked_sub(1)?)?;
        }
    }

    /// Every zone, in no order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.segments.iter().flat_map(|segment| segment.iter().flatten()).map(|entry| &entry.zone)
    }

    /// Whether both are one map: the same zones in the same versions. May miss that they are.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.segments, &other.segments)
    }
}

impl Default for ZoneMap {
    fn default() -> Self {
        Self::build([], 0)
    }
}

fn segment(entries: &[Entry]) -> Segment {
    let places = (entries.len() * 2).next_power_of_two().max(2);
    let mut slots: Vec<Option<Entry>> = vec![None; places];
    for entry in entries {
        let is_its = |slot: &Option<Entry>| {
            let is_same = |other: &Entry| other.hash == entry.hash && other.zone.apex() == entry.zone.apex();
            slot.as_ref().is_none_or(is_same)
        };
        let start = home(entry.hash, places - 1);
        let at = (start..start + places).map(|at| at & (places - 1)).find(|at| slots.get(*at).is_some_and(is_its));
        if let Some(slot) = at.and_then(|at| slots.get_mut(at)) {
            *slot = Some(entry.clone());
        }
    }
    slots.into()
}

/// Which of so many segments, a power of two, a hash belongs to.
#[inline]
fn segment_of(hash: u64, segments: usize) -> usize {
    usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & (segments - 1)
}

/// The place where a hash belongs in its segment.
#[inline]
fn home(hash: u64, mask: usize) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0) & mask
}

#[cfg(test)]
mod tests {
    use super::super::ZoneBuilder;
    use super::*;

    fn zone(apex: &str) -> Arc<Zone> {
        Arc::new(ZoneBuilder::new(&apex.parse().unwrap(), 5).finish())
    }

    fn key(name: &str) -> NameKey {
        NameKey::new(&name.parse().unwrap(), 5)
    }

    #[test]
    fn zones_and_the_longest_suffixes_are_found() {
        let map = ZoneMap::build([".", "example.", "a.Example.", "c.b.a.example."].map(zone), 5);
        let check = |asked: &str, label, found: &str| {
            let (at, zone) = map.longest(&key(asked), 0).unwrap();
            assert_eq!((at, zone.apex().to_string().as_str()), (label, found), "{asked}");
        };
        check("EXAMPLE.", 0, "example.");
        check("b.A.example.", 1, "a.example.");
        check("x.c.b.a.example.", 1, "c.b.a.example.");
        check("net.", 1, ".");
        assert_eq!(map.len(), 4);
        assert!(ZoneMap::default().longest(&key("a."), 0).is_none());
    }

    #[test]
    fn of_two_zones_of_one_name_the_later_counts() {
        let (first, second) = (zone("a."), zone("A."));
        let map = ZoneMap::build([first, Arc::clone(&second)], 5);
        assert!(map.len() == 1 && Arc::ptr_eq(map.get(&key("a."), 0).unwrap(), &second));
    }

    #[test]
    fn a_change_leaves_the_old_map_as_it_was_and_shares_all_but_one_segment() {
        let mut map = ZoneMap::default();
        let mut count = 0;
        let old = loop {
            map = ZoneMap { seed: 5, ..map };
            map.put(zone(&format!("z{count}.example.")));
            count += 1;
            assert_eq!(map.len(), count);
            if count == 3000 {
                break map.clone();
            }
        };
        assert!(map.segments.len() > 16);
        let new = zone("z7.example.");
        map.put(Arc::clone(&new));
        map.remove(&key("z8.example."));
        map.remove(&key("nothing.example."));
        assert!(map.is_same(&map.clone()) && !map.is_same(&old));
        assert_eq!((old.len(), map.len(), map.values().count()), (3000, 2999, 2999));
        assert!(old.get(&key("z8.example."), 0).is_some() && map.get(&key("z8.example."), 0).is_none());
        assert!(Arc::ptr_eq(map.get(&key("z7.example."), 0).unwrap(), &new));
        assert!(!Arc::ptr_eq(old.get(&key("z7.example."), 0).unwrap(), &new));
        let shared = old.segments.iter().zip(&*map.segments).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert!(shared + 3 >= old.segments.len(), "{shared} of {}", old.segments.len());
        for at in (0..3000).filter(|at| *at != 8) {
            assert!(map.get(&key(&format!("z{at}.example.")), 0).is_some(), "z{at}");
        }
    }
}
