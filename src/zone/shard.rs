//! One part of a zone's name tree: a small hash table of nodes over one run of octets.
//!
//! A zone is a power-of-two number of shards, each behind an `Arc`, so that changing a name copies one shard (some tens
//! of kilobytes) and shares the others. A node is a run of octets, written once and never moved within a shard:
//!
//! ```text
//! name length u8 | flags u8 | RRset count u16 | children u32 | size u32 | name below the apex | RRsets
//! RRset: type u16 | record count u16 | TTL u32 | size u32 | records (RDLENGTH u16, RDATA)
//! ```

use super::rdata::is_same;
use crate::wire::RecordType;

/// Octets before a node's name.
const NODE_HEADER: usize = 12;
/// Octets before an RRset's records.
const RRSET_HEADER: usize = 12;

/// What is known of a node besides its RRsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// The node holds NS and is not the apex: a zone cut.
    pub(super) const CUT: Self = Self(1);
    /// The node holds DNAME.
    pub(super) const DNAME: Self = Self(2);
    /// The node lies below a cut or a DNAME.
    pub(super) const OCCLUDED: Self = Self(4);
    /// The name exists even without records, because a wide IP stands there.
    pub(super) const HELD: Self = Self(8);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One RRset as it lies in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rrset<'z> {
    /// The type of its records.
    pub record_type: RecordType,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// How many records it has, at least 1.
    pub count: u16,
    /// Each record as RDLENGTH and RDATA.
    records: &'z [u8],
}

impl<'z> Rrset<'z> {
    /// The RDATA of each record, uncompressed, in the order they were added.
    pub fn rdatas(&self) -> impl Iterator<Item = &'z [u8]> + use<'z> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<2>()?;
            let (rdata, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = tail;
            Some(rdata)
        })
    }

    /// The RDATA of the first record.
    pub fn first(&self) -> &'z [u8] {
        self.rdatas().next().unwrap_or(&[])
    }

    /// Octets of all RDATA with their lengths.
    pub fn octets(&self) -> usize {
        self.records.len()
    }
}

/// One name of a zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'z> {
    /// Header, name and RRsets.
    octets: &'z [u8],
}

impl<'z> Node<'z> {
    pub(super) fn flags(self) -> Flags {
        Flags(self.octets.get(1).copied().unwrap_or(0))
    }

    pub(super) fn children(self) -> u32 {
        self.octets.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
    }

    pub(super) fn rrset_count(self) -> u16 {
        self.octets.get(2..4).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
    }

    /// The labels below the apex, in lower case, without the root.
    pub(super) fn name(self) -> &'z [u8] {
        let length = usize::from(self.octets.first().copied().unwrap_or(0));
        self.octets.get(NODE_HEADER..NODE_HEADER + length).unwrap_or(&[])
    }

    pub(super) fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> + use<'z> {
        let mut rest = self.octets.get(NODE_HEADER + self.name().len()..).unwrap_or(&[]);
        std::iter::from_fn(move || {
            let (header, tail) = rest.split_first_chunk::<RRSET_HEADER>()?;
            let [t0, t1, c0, c1, a, b, c, d, s0, s1, s2, s3] = *header;
            let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).ok()?;
            let (records, tail) = tail.split_at_checked(size)?;
            rest = tail;
            Some(Rrset {
                record_type: RecordType(u16::from_le_bytes([t0, t1])),
                count: u16::from_le_bytes([c0, c1]),
                ttl: u32::from_le_bytes([a, b, c, d]),
                records,
            })
        })
    }

    /// Whether the other is the same but for the number of its children.
    pub(super) fn is_same(self, other: Self) -> bool {
        let parts = |node: Self| Some((node.octets.get(..4)?, node.octets.get(8..)?));
        parts(self) == parts(other)
    }

    pub(super) fn rrset(self, record_type: RecordType) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.record_type == record_type)
    }
}

/// A node on its way into a shard.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeBuilder {
    pub(super) flags: Flags,
    pub(super) children: u32,
    /// RRsets as they will lie in the shard.
    rrsets: Vec<u8>,
    count: u16,
}

impl NodeBuilder {
    /// Starts from what a node holds.
    pub(super) fn from_node(node: Node<'_>) -> Self {
        let rrsets = node.octets.get(NODE_HEADER + node.name().len()..).unwrap_or(&[]).to_vec();
        Self { flags: node.flags(), children: node.children(), rrsets, count: node.rrset_count() }
    }

    /// A name that exists because one below it does.
    pub(super) fn empty_non_terminal(flags: Flags) -> Self {
        Self { flags, children: 1, ..Self::default() }
    }

    /// Makes it as new, keeping the allocation.
    pub(super) fn clear(&mut self) {
        *self = Self { rrsets: std::mem::take(&mut self.rrsets), ..Self::default() };
        self.rrsets.clear();
    }

    pub(super) const fn is_without_records(&self) -> bool {
        self.count == 0
    }

    /// Appends it as it lies in a shard; tells where it starts.
    fn write(&self, name: &[u8], octets: &mut Vec<u8>) -> u64 {
        let offset = octets.len();
        let size = NODE_HEADER + name.len() + self.rrsets.len();
        let [s0, s1, s2, s3] = u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        let [c0, c1, c2, c3] = self.children.to_le_bytes();
        let [r0, r1] = self.count.to_le_bytes();
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        octets.reserve(size);
        octets.extend_from_slice(&[length, self.flags.0, r0, r1, c0, c1, c2, c3, s0, s1, s2, s3]);
        octets.extend_from_slice(name);
        octets.extend_from_slice(&self.rrsets);
        u64::try_from(offset).unwrap_or(u64::MAX)
    }

    /// The RRset of that type, if there is one.
    pub(super) fn rrset(&self, record_type: RecordType) -> Option<Rrset<'_>> {
        self.find(record_type).map(|(rrset, _)| rrset)
    }

    fn find(&self, record_type: RecordType) -> Option<(Rrset<'_>, std::ops::Range<usize>)> {
        let mut start = 0;
        while let Some(header) = self.rrsets.get(start..).and_then(|rest| rest.first_chunk::<RRSET_HEADER>()) {
            let [t0, t1, c0, c1, a, b, c, d, s0, s1, s2, s3] = *header;
            let end = start + RRSET_HEADER + usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).ok()?;
            if u16::from_le_bytes([t0, t1]) == record_type.0 {
                let rrset = Rrset {
                    record_type,
                    count: u16::from_le_bytes([c0, c1]),
                    ttl: u32::from_le_bytes([a, b, c, d]),
                    records: self.rrsets.get(start + RRSET_HEADER..end)?,
                };
                return Some((rrset, start..end));
            }
            start = end;
        }
        None
    }

    /// Puts `records` (each RDLENGTH and RDATA) in the place of the RRset of that type; none removes it.
    pub(super) fn put(&mut self, record_type: RecordType, ttl: u32, count: u16, records: &[u8]) {
        if let Some((_, range)) = self.find(record_type) {
            self.rrsets.drain(range);
            self.count -= 1;
        }
        if count == 0 {
            return;
        }
        self.open_rrset(record_type, ttl, count, records.len());
        self.rrsets.extend_from_slice(records);
    }

    /// Writes what stands before an RRset's records.
    fn open_rrset(&mut self, record_type: RecordType, ttl: u32, count: u16, octets: usize) {
        let [y0, y1] = record_type.0.to_le_bytes();
        let [c0, c1] = count.to_le_bytes();
        let [t0, t1, t2, t3] = ttl.to_le_bytes();
        let [s0, s1, s2, s3] = u32::try_from(octets).unwrap_or(u32::MAX).to_le_bytes();
        self.rrsets.reserve(RRSET_HEADER + octets);
        self.rrsets.extend_from_slice(&[y0, y1, c0, c1, t0, t1, t2, t3, s0, s1, s2, s3]);
        self.count += 1;
    }

    /// Adds one record behind those of its type. The first record's TTL counts for all (RFC 2181 §5.2).
    /// Says what became of it.
    pub(super) fn add(&mut self, record_type: RecordType, ttl: u32, rdata: &[u8], most: u16) -> Added {
        let Ok(length) = u16::try_from(rdata.len()) else { return Added::TooMany };
        let Some((rrset, range)) = self.find(record_type) else {
            self.open_rrset(record_type, ttl, 1, 2 + rdata.len());
            self.rrsets.extend_from_slice(&length.to_be_bytes());
            self.rrsets.extend_from_slice(rdata);
            return Added::New;
        };
        if rrset.rdatas().any(|there| is_same(record_type, there, rdata)) {
            return Added::Duplicate;
        }
        if rrset.count >= most {
            return Added::TooMany;
        }
        let ttl_differs = rrset.ttl != ttl;
        let count = rrset.count + 1;
        let size = u32::try_from(rrset.octets() + 2 + rdata.len()).unwrap_or(u32::MAX);
        let record = length.to_be_bytes().into_iter().chain(rdata.iter().copied());
        self.rrsets.splice(range.end..range.end, record);
        if let Some(slot) = self.rrsets.get_mut(range.start + 2..range.start + 4) {
            slot.copy_from_slice(&count.to_le_bytes());
        }
        if let Some(slot) = self.rrsets.get_mut(range.start + 8..range.start + 12) {
            slot.copy_from_slice(&size.to_le_bytes());
        }
        if ttl_differs { Added::TtlIgnored } else { Added::New }
    }
}

/// What became of a record that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Added {
    /// It is there now.
    New,
    /// It is there now, with the TTL of the RRset it joined.
    TtlIgnored,
    /// The same record was there already.
    Duplicate,
    /// Its RRset is full, or its RDATA over 65,535 octets.
    TooMany,
}

/// A hash table of nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shard {
    /// Hash bits 32–63 above, offset of the node plus 1 below; 0 is empty. Linear probing, at most 3/4 full.
    pub(super) slots: Vec<u64>,
    pub(super) octets: Vec<u8>,
    /// How many nodes are in it.
    nodes: u32,
    /// Octets of nodes that were replaced or removed.
    dead: usize,
}

impl Shard {
    pub(super) const fn len(&self) -> u32 {
        self.nodes
    }

    /// Octets it takes in memory.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * 8 + self.octets.capacity()
    }

    pub(super) fn node_at(&self, offset: usize) -> Option<Node<'_>> {
        let header = self.octets.get(offset..)?;
        let size = header.get(8..12)?.try_into().ok().map(u32::from_le_bytes)?;
        header.get(..usize::try_from(size).ok()?).map(|octets| Node { octets })
    }

    /// Finds the node of that hash and name (lower case, below the apex).
    pub(super) fn find(&self, hash: u64, name: &[u8]) -> Option<Node<'_>> {
        self.position(hash, name).map(|(_, node)| node)
    }

    fn position(&self, hash: u64, name: &[u8]) -> Option<(usize, Node<'_>)> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = home(hash, mask);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32 {
                let node = self.node_at(usize::try_from((slot & 0xffff_ffff) - 1).ok()?)?;
                if node.name() == name {
                    return Some((at, node));
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a node in the place of the one of that name, or beside the others.
    /// Says whether the name is new.
    pub(super) fn put(&mut self, hash: u64, name: &[u8], node: &NodeBuilder) -> bool {
        let there = self.position(hash, name).map(|(at, node)| (at, node.octets.len()));
        let offset = node.write(name, &mut self.octets);
        let slot = (hash >> 32 << 32) | (offset + 1);
        if let Some((at, size)) = there {
            self.dead += size;
            if let Some(place) = self.slots.get_mut(at) {
                *place = slot;
            }
            self.compact_if_due();
            return false;
        }
        self.nodes += 1;
        if usize::try_from(self.nodes).unwrap_or(usize::MAX) * 4 > self.slots.len() * 3 {
            self.resize_slots();
        }
        insert_slot(&mut self.slots, hash, slot);
        true
    }

    /// Takes the node of that name out. Says whether it was there.
    pub(super) fn remove(&mut self, hash: u64, name: &[u8]) -> bool {
        let Some((mut hole, node)) = self.position(hash, name) else { return false };
        self.dead += node.octets.len();
        self.nodes -= 1;
        // Close the gap: a slot behind it moves back unless it stands at or before its home.
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        while let Some(&slot) = self.slots.get(next).filter(|slot| **slot != 0) {
            let distance_of_hole = next.wrapping_sub(hole) & mask;
            if next.wrapping_sub(home(slot, mask)) & mask >= distance_of_hole {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = slot;
                }
                hole = next;
            }
            next = (next + 1) & mask;
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = 0;
        }
        self.compact_if_due();
        true
    }

    /// Changes flags and child count of a node in place.
    pub(super) fn update(&mut self, hash: u64, name: &[u8], change: impl FnOnce(&mut Flags, &mut u32)) {
        let Some((at, node)) = self.position(hash, name) else { return };
        let (mut flags, mut children) = (node.flags(), node.children());
        change(&mut flags, &mut children);
        let offset = self.slots.get(at).and_then(|slot| usize::try_from((slot & 0xffff_ffff) - 1).ok());
        if let Some([_, place, _, _, rest @ ..]) = offset.and_then(|offset| self.octets.get_mut(offset..offset + 8)) {
            *place = flags.0;
            rest.copy_from_slice(&children.to_le_bytes());
        }
    }

    /// Every node, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.slots.iter().filter(|slot| **slot != 0).filter_map(|slot| {
            let offset = usize::try_from((slot & 0xffff_ffff) - 1).ok()?;
            self.node_at(offset)
        })
    }

    /// Every node with the upper half of its hash.
    pub(super) fn nodes_with_hash(&self) -> impl Iterator<Item = (u64, Node<'_>)> {
        self.slots.iter().filter(|slot| **slot != 0).filter_map(|slot| {
            let offset = usize::try_from((slot & 0xffff_ffff) - 1).ok()?;
            Some((slot >> 32 << 32, self.node_at(offset)?))
        })
    }

    /// Copies a node of another shard in, as it is.
    pub(super) fn adopt(&mut self, hash: u64, node: Node<'_>) {
        let offset = u64::try_from(self.octets.len()).unwrap_or(u64::MAX);
        self.octets.extend_from_slice(node.octets);
        self.nodes += 1;
        if usize::try_from(self.nodes).unwrap_or(usize::MAX) * 4 > self.slots.len() * 3 {
            self.resize_slots();
        }
        insert_slot(&mut self.slots, hash, (hash >> 32 << 32) | (offset + 1));
    }

    /// Gives back what growth reserved.
    pub(super) fn shrink(&mut self) {
        self.octets.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    fn resize_slots(&mut self) {
        let mut larger = vec![0; (self.slots.len() * 2).max(8)];
        for &slot in self.slots.iter().filter(|slot| **slot != 0) {
            insert_slot(&mut larger, slot, slot);
        }
        self.slots = larger;
    }

    /// Writes the nodes anew once more than half of the octets are dead.
    fn compact_if_due(&mut self) {
        if self.dead * 2 <= self.octets.len() || self.dead < 4096 {
            return;
        }
        let mut fresh = Self {
            slots: vec![0; self.slots.len()],
            octets: Vec::with_capacity(self.octets.len() - self.dead),
            nodes: 0,
            dead: 0,
        };
        for (hash, node) in self.nodes_with_hash() {
            fresh.adopt(hash, node);
        }
        *self = fresh;
    }
}

/// Writes the nodes of a shard, none of them twice.
#[derive(Default)]
pub(super) struct ShardWriter {
    octets: Vec<u8>,
    slots: Vec<u64>,
}

impl ShardWriter {
    /// Adds a node.
    pub(super) fn push(&mut self, hash: u64, name: &[u8], node: &NodeBuilder) {
        let offset = node.write(name, &mut self.octets);
        self.slots.push((hash >> 32 << 32) | (offset + 1));
    }

    /// The shard, which takes no more memory than it needs; the next one may be written.
    pub(super) fn finish(&mut self) -> Shard {
        let mut slots = vec![0; (self.slots.len() * 4 / 3 + 1).next_power_of_two().max(8)];
        self.slots.iter().for_each(|slot| insert_slot(&mut slots, *slot, *slot));
        let nodes = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let shard = Shard { slots, octets: self.octets.as_slice().into(), nodes, dead: 0 };
        self.octets.clear();
        self.slots.clear();
        shard
    }
}

/// The slot where a hash belongs. Only the upper half is used, which is all that a slot remembers of it.
pub(super) fn home(hash: u64, mask: usize) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0) & mask
}

fn insert_slot(slots: &mut [u64], hash: u64, slot: u64) {
    let Some(mask) = slots.len().checked_sub(1) else { return };
    let mut at = home(hash, mask);
    while let Some(place) = slots.get_mut(at) {
        if *place == 0 {
            *place = slot;
            return;
        }
        at = (at + 1) & mask;
    }
}
