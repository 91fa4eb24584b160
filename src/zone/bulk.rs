//! Making a zone of all its records at once: they are gathered first, apart by hash, and then each shard is written once.
//!
//! What [`ZoneBuilder`](super::ZoneBuilder) does for a few records costs a search of the whole tree for each. Here each
//! step works on what fits a processor's cache, and the memory of gathered records is given back while shards are made.

use std::mem;

use super::AddError;
use super::shard::Added;
use super::tree::Zone;
use crate::wire::{Name, NameKey, RecordType};

/// Octets of text, or of whatever the records come from, for which one part is made.
const PART_TEXT: usize = 128 * 1024;
/// The most parts. So many streams of writes a processor keeps track of without waiting.
const PARTS_MAX: usize = 512;
/// Octets of entries, on average over the parts, at which there are to be more parts: it was not known, or not well, how
/// much would come.
const PART_OCTETS_MAX: usize = 4 * PART_TEXT;
/// How many parts one becomes then.
const SPLIT: usize = 8;
/// Octets of a part's first chunk and of its later ones.
const CHUNK_FIRST: usize = 1024;
const CHUNK_NEXT: usize = 32 * 1024;
/// Octets of an entry before its name.
pub(super) const ENTRY_HEADER: usize = 24;
/// Doubtful records that are kept until the first [`DOUBTS_KEPT`] of them are picked.
const DOUBTS_GATHERED: usize = 4096;
/// Doubtful records that are told.
const DOUBTS_KEPT: usize = 100;

/// Gathers the records of a zone.
pub struct Bulk {
    pub(super) apex: Name,
    pub(super) apex_labels: usize,
    pub(super) seed: u64,
    /// A power of two of them; the highest bits of a name's hash choose one.
    pub(super) parts: Vec<Part>,
    /// How far a hash is shifted right to give a part's index; 64 means one part.
    shift: u32,
    /// The owner of the last record, and the one before it.
    key: NameKey,
    before: NameKey,
    has_owner: bool,
    /// Octets of all entries.
    octets: usize,
    /// Records, and changes of the owner.
    records: u32,
    pub(super) owners: usize,
}

/// Entries of names whose hashes start alike, as they came:
///
/// ```text
/// hash u64 | number of the record u32 | TTL u32 | type u16 | RDLENGTH u16 | name length u8 | 3 unused | name | RDATA
/// ```
///
/// The name is that below the apex, in lower case. An entry of type 0 only makes the name exist.
#[derive(Default)]
pub(super) struct Part {
    pub(super) chunks: Vec<Vec<u8>>,
}

/// A record that was not simply taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt {
    /// Its number among all records, from 0.
    pub(super) record: u32,
    /// What became of it.
    pub(super) added: Added,
}

/// What came of building.
pub struct Built {
    /// The zone.
    pub zone: Zone,
    /// An RRset that is full: records of it were left out.
    pub full: Option<(Name, RecordType)>,
    /// The first records that were refused because their RRset is full, and the first that were taken with a doubt.
    pub(super) refused: Vec<Doubt>,
    pub(super) doubted: Vec<Doubt>,
}

impl Bulk {
    /// Gathers for the zone `apex`; `octets` is about how much text it is made of, 0 where nobody knows. `seed` as for
    /// [`ZoneBuilder::new`](super::ZoneBuilder::new).
    pub fn new(apex: &Name, seed: u64, octets: usize) -> Self {
        let parts = (octets / PART_TEXT).next_power_of_two().min(PARTS_MAX);
        let mut bulk = Self {
            apex: apex.to_lowercase(),
            apex_labels: apex.label_count(),
            seed,
            shift: 64 - parts.trailing_zeros(),
            parts: (0..parts).map(|_| Part::default()).collect(),
            key: NameKey::root(seed),
            before: NameKey::root(seed),
            has_owner: false,
            octets: 0,
            records: 0,
            owners: 0,
        };
        // The apex exists whatever it holds.
        bulk.key.fill(apex.as_wire(), seed);
        bulk.push(0, 0, Header::NONE, &[]);
        bulk
    }

    /// Adds a record. That it is there already or its RRset is full shows only in the end.
    ///
    /// # Errors
    /// [`AddError`]: the owner is not in the zone, or the RDATA is too long.
    pub fn add(&mut self, owner: &Name, record_type: RecordType, ttl: u32, rdata: &[u8]) -> Result<(), AddError> {
        let length = u16::try_from(rdata.len()).map_err(|_| AddError::TooLong)?;
        self.open(owner)?;
        let apex = self.key.label_count() - self.apex_labels;
        self.push(0, apex, Header { record: self.records, ttl, record_type, length }, rdata);
        self.records += 1;
        Ok(())
    }

    /// Makes the zone if nothing is to be said of any record: none is there already or has a TTL of its own, and no RRset
    /// is full.
    pub fn finish_sound(self, rrset_records_max: u16) -> Option<Zone> {
        let Built { zone, refused, doubted, .. } = self.finish(rrset_records_max);
        (refused.is_empty() && doubted.is_empty()).then_some(zone)
    }

    /// Makes `owner` the owner of the next record, and every name between it and the apex exist.
    fn open(&mut self, owner: &Name) -> Result<(), AddError> {
        if self.has_owner && self.key.as_wire().eq_ignore_ascii_case(owner.as_wire()) {
            return Ok(());
        }
        if !owner.is_at_or_below(&self.apex) {
            return Err(AddError::OutOfZone);
        }
        std::mem::swap(&mut self.key, &mut self.before);
        let filled = self.key.fill(owner.as_wire(), self.seed);
        debug_assert!(filled, "a Name is valid wire form by construction");
        self.owners += 1;
        let apex = self.key.label_count() - self.apex_labels;
        for label in 1..apex {
            let depth = self.key.label_count() - label;
            let known = self.before.label_count().checked_sub(depth).filter(|_| self.has_owner);
            // From where it meets the owner before it, all names exist already.
            if known.is_some_and(|there| self.before.suffix(there) == self.key.suffix(label)) {
                break;
            }
            self.push(label, apex, Header::NONE, &[]);
        }
        self.has_owner = true;
        Ok(())
    }

    fn push(&mut self, label: usize, apex: usize, header: Header, rdata: &[u8]) {
        let (hash, name) = (self.key.hash(label), self.key.between(label, apex));
        let Some(part) = self.parts.get_mut(super::tree::shard_index(hash, self.shift)) else { return };
        let size = ENTRY_HEADER + name.len() + rdata.len();
        let chunk = part.room(size);
        chunk.extend_from_slice(&header.octets(hash, name.len()));
        chunk.extend_from_slice(name);
        chunk.extend_from_slice(rdata);
        self.octets += size;
        if self.octets > self.parts.len() * PART_OCTETS_MAX && self.parts.len() < PARTS_MAX {
            self.split();
        }
    }

    /// Puts the entries apart into more parts; those of one name stay in their order.
    pub(super) fn split(&mut self) {
        let parts = (self.parts.len() * SPLIT).min(PARTS_MAX);
        self.shift = 64 - parts.trailing_zeros();
        let before = mem::replace(&mut self.parts, (0..parts).map(|_| Part::default()).collect());
        for chunk in before.into_iter().flat_map(|part| part.chunks) {
            let mut rest = chunk.as_slice();
            while let (Some(hash), Some(entry)) = (hash_of(rest), Entry::read(rest)) {
                let Some((octets, behind)) = rest.split_at_checked(entry.size()) else { break };
                if let Some(part) = self.parts.get_mut(super::tree::shard_index(hash, self.shift)) {
                    part.room(octets.len()).extend_from_slice(octets);
                }
                rest = behind;
            }
        }
    }
}

/// What stands before the name of an entry.
#[derive(Clone, Copy)]
struct Header {
    record: u32,
    ttl: u32,
    record_type: RecordType,
    length: u16,
}

impl Header {
    /// Of an entry that only makes a name exist.
    const NONE: Self = Self { record: 0, ttl: 0, record_type: RecordType(0), length: 0 };

    fn octets(self, hash: u64, name_length: usize) -> [u8; ENTRY_HEADER] {
        let [h0, h1, h2, h3, h4, h5, h6, h7] = hash.to_le_bytes();
        let [r0, r1, r2, r3] = self.record.to_le_bytes();
        let [t0, t1, t2, t3] = self.ttl.to_le_bytes();
        let [y0, y1] = self.record_type.0.to_le_bytes();
        let [l0, l1] = self.length.to_le_bytes();
        let name = u8::try_from(name_length).unwrap_or(u8::MAX);
        [h0, h1, h2, h3, h4, h5, h6, h7, r0, r1, r2, r3, t0, t1, t2, t3, y0, y1, l0, l1, name, 0, 0, 0]
    }
}

impl Part {
    /// A chunk with room for so many octets.
    fn room(&mut self, size: usize) -> &mut Vec<u8> {
        let is_full = self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < size);
        if is_full {
            let wanted = if self.chunks.is_empty() { CHUNK_FIRST } else { CHUNK_NEXT };
            self.chunks.push(Vec::with_capacity(wanted.max(size)));
        }
        let last = self.chunks.len() - 1;
        self.chunks.get_mut(last).unwrap_or_else(|| unreachable!("a chunk was pushed if there was none"))
    }
}

/// An entry of a part.
#[derive(Clone, Copy)]
pub(super) struct Entry<'p> {
    /// What is doubted when it is not taken.
    pub(super) record: u32,
    pub(super) ttl: u32,
    pub(super) record_type: RecordType,
    pub(super) name: &'p [u8],
    pub(super) rdata: &'p [u8],
}

impl<'p> Entry<'p> {
    /// The entry at the start of `octets`.
    pub(super) fn read(octets: &'p [u8]) -> Option<Self> {
        let (header, rest) = octets.split_first_chunk::<ENTRY_HEADER>()?;
        let [_, _, _, _, _, _, _, _, r0, r1, r2, r3, t0, t1, t2, t3, y0, y1, l0, l1, name, ..] = *header;
        let (name, rest) = rest.split_at_checked(usize::from(name))?;
        Some(Self {
            record: u32::from_le_bytes([r0, r1, r2, r3]),
            ttl: u32::from_le_bytes([t0, t1, t2, t3]),
            record_type: RecordType(u16::from_le_bytes([y0, y1])),
            name,
            rdata: rest.get(..usize::from(u16::from_le_bytes([l0, l1])))?,
        })
    }

    /// How many octets it takes.
    pub(super) const fn size(&self) -> usize {
        ENTRY_HEADER + self.name.len() + self.rdata.len()
    }
}

/// The hash of the name of the entry at the start of `octets`.
pub(super) fn hash_of(octets: &[u8]) -> Option<u64> {
    octets.first_chunk().map(|hash| u64::from_le_bytes(*hash))
}

/// The first of many doubts.
#[derive(Default)]
pub(super) struct Doubts {
    gathered: Vec<Doubt>,
}

impl Doubts {
    pub(super) fn push(&mut self, doubt: Doubt) {
        self.gathered.push(doubt);
        if self.gathered.len() >= DOUBTS_GATHERED {
            self.pick();
        }
    }

    fn pick(&mut self) {
        self.gathered.sort_unstable();
        self.gathered.truncate(DOUBTS_KEPT);
    }

    pub(super) fn into_first(mut self) -> Vec<Doubt> {
        self.pick();
        self.gathered
    }
}
