//! What look-ups of several names will read, read for all of them at once, so that the waits for memory overlap.

use super::map::ZoneMap;
use super::shard::{Shard, home};
use super::tree::Zone;
use crate::wire::NameKey;

/// The most names that are looked ahead for at once. More would overlap no better, and push each other out of the nearest
/// cache.
pub const NAMES_AHEAD: usize = 16;

/// Zones of fewer names are in the processor's caches.
const SMALL: usize = 4096;

impl ZoneMap {
    /// Reads the places where the first steps of [`Zone::lookup`] will look for each name, of [`NAMES_AHEAD`] at most. What it
    /// returns means nothing; use it, so that reading it is not left out.
    pub fn look_ahead<'k>(&self, keys: impl Iterator<Item = &'k NameKey>) -> u64 {
        let mut found: [Option<(&Shard, u64)>; NAMES_AHEAD] = [None; NAMES_AHEAD];
        let mut read = 0;
        for (place, key) in found.iter_mut().zip(keys) {
            *place = self.longest(key, 0).and_then(|(_, zone)| large_shard(zone, key));
            read ^= place.map_or(0, |(shard, hash)| shard.touch_slot(hash));
        }
        found.iter().flatten().fold(read, |read, (shard, hash)| read ^ shard.touch_node(*hash))
    }
}

/// Where a name is looked for, unless its zone is small.
#[inline]
fn large_shard<'z>(zone: &'z Zone, key: &NameKey) -> Option<(&'z Shard, u64)> {
    let hash = key.hash(0);
    if zone.names() < SMALL { None } else { Some((zone.shard(hash)?, hash)) }
}

impl Shard {
    /// Reads the slot where [`Self::find`] begins.
    #[inline]
    fn touch_slot(&self, hash: u64) -> u64 {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(home(hash, mask)).copied().unwrap_or(0)
    }

    /// Reads the node that [`Self::find`] compares first, if there is one.
    #[inline]
    fn touch_node(&self, hash: u64) -> u64 {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = home(hash, mask);
        while let Some(&slot) = self.slots.get(at).filter(|slot| **slot != 0) {
            if slot >> 32 == hash >> 32 {
                let start = usize::try_from((slot & 0xffff_ffff) - 1).unwrap_or(0);
                // A usual node takes a cache line, but lies across two.
                let octet = |at: usize| self.octets.get(at).copied().map_or(0, u64::from);
                return octet(start) ^ octet(start + 63);
            }
            at = (at + 1) & mask;
        }
        0
    }
}
