//! What decisions about several names will read, read for all of them at once, so that the waits for memory overlap.

use super::ids::index;
use super::{Memory, PoolId, Tables, ViewId};
use crate::wire::NameKey;
use crate::zone::NAMES_AHEAD;

/// Fewer wide IPs are in the processor's caches.
const SMALL: usize = 2048;

impl Tables {
    /// Reads what finding and deciding the wide IPs of names will read, of [`NAMES_AHEAD`] at most: one step of all, then the
    /// next. Tells by a bit for each name which have a wide IP; what else it returns means nothing: use it, so that reading
    /// it is not left out.
    pub fn look_ahead<'k>(
        &self,
        view: ViewId,
        keys: impl Iterator<Item = &'k NameKey> + Clone,
        memory: &Memory,
    ) -> (u64, u32) {
        let names = self.layout.names.of(view).filter(|_| self.wide_ips.len() >= SMALL);
        let Some(names) = names else { return (0, 0) };
        let mut read = keys.clone().fold(0, |read, key| read ^ names.touch_tag(key));
        read ^= keys.clone().fold(0, |read, key| read ^ names.touch_entry(key));
        let mut found = [u32::MAX; NAMES_AHEAD];
        let mut steered = 0;
        for ((place, wide_ip), key) in (0..).zip(&mut found).zip(keys) {
            if let Some(id) = names.first(key) {
                *wide_ip = id.0;
                steered |= 1 << place;
            }
        }
        if steered == 0 {
            return (read, 0);
        }
        for wide_ip in &found {
            read ^= self.wide_ips.get(index(*wide_ip)).map_or(0, |row| u64::from(row.head.first_pool));
        }
        // From here on by pool: most wide IPs have one.
        for place in &mut found {
            let pool = self.wide_ips.get(index(*place)).map_or(u32::MAX, |row| row.head.first_pool);
            *place = pool;
            let row = self.pools.get(index(pool));
            read ^=
                row.map_or(0, |row| u64::from(row.head.rdata_start) ^ row.words.first().copied().map_or(0, u64::from));
            read ^= u64::from(self.marks.get(index(pool)).usable) ^ memory.touch(index(pool));
        }
        for pool in found {
            read ^= self.rdata(PoolId(pool), 0).first().copied().map_or(0, u64::from);
        }
        (read, steered)
    }
}
