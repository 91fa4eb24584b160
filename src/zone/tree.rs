//! A zone as a name tree: shards of nodes found by hash, changed by copying only the shards that change.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::record::Record;
use super::shard::{Node, Rrset, Shard};
use crate::wire::{Name, NameKey, RecordType};

/// A zone, ready for look-up. Cloning it shares every part.
#[derive(Clone)]
pub struct Zone {
    /// In lower case.
    pub(super) apex: Name,
    pub(super) apex_labels: usize,
    pub(super) seed: u64,
    /// A power of two of them; the highest bits of a name's hash choose one.
    pub(super) shards: Vec<Arc<Shard>>,
    /// How far a hash is shifted right to give a shard's index; 64 bits or more means one shard.
    pub(super) shift: u32,
    pub(super) nodes: usize,
    pub(super) records: usize,
    /// Nodes with NS below the apex, or with DNAME: without them no look-up has to ask about ancestors.
    pub(super) cuts: usize,
    pub(super) soa: Soa,
    /// When it must not be served any more, in seconds since 1970, where it comes from a primary.
    pub(super) expires: Option<u64>,
}

/// What answers need of the SOA record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Soa {
    /// The zone's version.
    pub serial: u32,
    /// Seconds between a secondary's checks.
    pub refresh: u32,
    /// Seconds between checks after a failed one.
    pub retry: u32,
    /// Seconds after which a secondary without its primary stops answering.
    pub expire: u32,
    /// The record's own TTL in seconds.
    pub ttl: u32,
    /// The MINIMUM field in seconds.
    pub minimum: u32,
}

impl Soa {
    /// How long a negative answer may be cached, in seconds: the lower of TTL and MINIMUM (RFC 2308 §5).
    pub fn negative_ttl(&self) -> u32 {
        self.ttl.min(self.minimum)
    }

    pub(super) fn read(rrset: Option<Rrset<'_>>) -> Self {
        let Some(rrset) = rrset else { return Self::default() };
        let numbers = rrset.first().last_chunk::<20>().copied().unwrap_or_default();
        let number = |at: usize| numbers.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        Self {
            serial: number(0),
            refresh: number(4),
            retry: number(8),
            expire: number(12),
            minimum: number(16),
            ttl: rrset.ttl,
        }
    }
}

impl Zone {
    /// The name of the zone.
    pub const fn apex(&self) -> &Name {
        &self.apex
    }

    /// How many labels the apex has, the root not counted.
    pub const fn apex_labels(&self) -> usize {
        self.apex_labels
    }

    /// What answers need of the SOA; zeros while there is none.
    pub const fn soa(&self) -> Soa {
        self.soa
    }

    /// When it must not be served any more, in seconds since 1970; none where this node is its primary.
    pub const fn expires_at(&self) -> Option<u64> {
        self.expires
    }

    /// The same version of the zone, to be served until `unix_seconds`. Shares all records.
    pub fn expiring_at(&self, unix_seconds: u64) -> Self {
        Self { expires: Some(unix_seconds), ..self.clone() }
    }

    /// For how many more seconds a secondary may serve it (RFC 7314 §3): the SOA's EXPIRE where this node is its
    /// primary, what is left of it where it is not. None when it expired or there are no records.
    pub fn expires_in(&self, unix_seconds: u64) -> Option<u32> {
        let left = match self.expires {
            None => self.soa.expire,
            Some(at) => u32::try_from(at.checked_sub(unix_seconds)?).unwrap_or(u32::MAX),
        };
        (self.records > 0 && left > 0).then_some(left)
    }

    /// How many records it holds.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// How many names it holds, empty non-terminals among them.
    pub const fn names(&self) -> usize {
        self.nodes
    }

    /// The seed its names are hashed with; a [`NameKey`] for it must be made with the same.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Octets it takes in memory.
    pub fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.memory() + size_of::<Shard>() + 16).sum()
    }

    /// Octets of memory it does not share with `other`.
    pub fn memory_beside(&self, other: &Self) -> usize {
        self.shards_beside(other).map_or_else(|| self.memory(), |shards| shards.map(|(shard, _)| shard.memory()).sum())
    }

    /// Whether the zone has cuts or DNAMEs.
    pub(super) const fn has_cuts(&self) -> bool {
        self.cuts > 0
    }

    /// The RRset of that name and type, whatever stands above it.
    pub fn rrset(&self, key: &NameKey, record_type: RecordType) -> Option<Rrset<'_>> {
        self.node(key, 0)?.rrset(record_type)
    }

    /// The RRset of that type at the suffix of `key` that starts at `label`, whatever stands above it.
    #[inline]
    pub fn rrset_at(&self, key: &NameKey, label: usize, record_type: RecordType) -> Option<Rrset<'_>> {
        self.node(key, label)?.rrset(record_type)
    }

    /// The RRset of that type at the apex.
    pub fn apex_rrset(&self, record_type: RecordType) -> Option<Rrset<'_>> {
        self.rrset(&NameKey::new(&self.apex, self.seed), record_type)
    }

    /// The SOA as a record; none while there is none.
    pub fn soa_record(&self) -> Option<Record> {
        let rrset = self.apex_rrset(RecordType::SOA)?;
        let (name, record_type, ttl) = (self.apex.clone(), RecordType::SOA, rrset.ttl);
        Some(Record { name, record_type, ttl, rdata: rrset.first().into() })
    }

    /// Whether the name exists, with records or as an empty non-terminal.
    pub fn contains(&self, key: &NameKey) -> bool {
        self.node(key, 0).is_some()
    }

    /// Every RRset with its owner in wire form (lower case), in no order.
    pub fn for_each<'z>(&'z self, visit: impl FnMut(&[u8], Rrset<'z>)) {
        self.for_each_of(self.shards.iter().flat_map(|shard| shard.nodes()), visit);
    }

    /// As [`Self::for_each`], of the names in shards that `other` does not share.
    pub(super) fn for_each_beside<'z>(&'z self, other: &'z Self, visit: impl FnMut(&[u8], Rrset<'z>)) {
        match self.shards_beside(other) {
            Some(shards) => self.for_each_of(shards.flat_map(|(shard, _)| shard.nodes()), visit),
            None => self.for_each(visit),
        }
    }

    fn for_each_of<'z>(&self, nodes: impl Iterator<Item = Node<'z>>, mut visit: impl FnMut(&[u8], Rrset<'z>)) {
        let mut owner = Vec::with_capacity(255);
        for node in nodes {
            owner.clear();
            owner.extend_from_slice(node.name());
            owner.extend_from_slice(self.apex.as_wire());
            for rrset in node.rrsets() {
                visit(&owner, rrset);
            }
        }
    }

    /// As [`Self::for_each`], until `visit` breaks it off.
    pub fn try_for_each<'z>(&'z self, mut visit: impl FnMut(&[u8], Rrset<'z>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut owner = Vec::with_capacity(255);
        for node in self.shards.iter().flat_map(|shard| shard.nodes()) {
            owner.clear();
            owner.extend_from_slice(node.name());
            owner.extend_from_slice(self.apex.as_wire());
            for rrset in node.rrsets() {
                visit(&owner, rrset)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The shards that are no part of `other`, each with the one in its place there; none when the two are not alike
    /// enough to be compared shard by shard.
    pub(super) fn shards_beside<'z>(&'z self, other: &'z Self) -> Option<impl Iterator<Item = (&'z Shard, &'z Shard)>> {
        let is_alike = self.shift == other.shift && self.seed == other.seed && self.apex == other.apex;
        let pairs = self.shards.iter().zip(&other.shards).filter(|(shard, there)| !Arc::ptr_eq(shard, there));
        is_alike.then(|| pairs.map(|(shard, there)| (shard.as_ref(), there.as_ref())))
    }

    /// Every RRset of one name.
    pub fn rrsets(&self, key: &NameKey) -> impl Iterator<Item = Rrset<'_>> {
        self.node(key, 0).into_iter().flat_map(Node::rrsets)
    }

    /// Whether the name itself, by no wildcard, is in the zone.
    pub fn has_name(&self, key: &NameKey) -> bool {
        self.node(key, 0).is_some()
    }

    /// The node of the suffix of `key` that starts at `label`.
    #[inline]
    pub(super) fn node(&self, key: &NameKey, label: usize) -> Option<Node<'_>> {
        let apex = key.label_count().checked_sub(self.apex_labels)?;
        self.shard(key.hash(label))?.find(key.hash(label), key.between(label, apex))
    }

    /// The node `*.suffix` for the suffix of `key` that starts at `label`.
    pub(super) fn wildcard(&self, key: &NameKey, label: usize) -> Option<Node<'_>> {
        let apex = key.label_count().checked_sub(self.apex_labels)?;
        let hash = key.wildcard_hash(label);
        let below = key.between(label, apex);
        let mut name = [0; 255];
        let length = 2 + below.len();
        let place = name.get_mut(..length)?;
        place.get_mut(..2)?.copy_from_slice(b"\x01*");
        place.get_mut(2..)?.copy_from_slice(below);
        self.shard(hash)?.find(hash, name.get(..length)?)
    }

    #[inline]
    pub(super) fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get(shard_index(hash, self.shift)).map(Arc::as_ref)
    }
}

/// Which of 2^(64 - shift) shards a hash belongs to.
#[inline]
pub(super) fn shard_index(hash: u64, shift: u32) -> usize {
    usize::try_from(hash.checked_shr(shift).unwrap_or(0)).unwrap_or(0)
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({} serial {}, {} records)", self.apex, self.soa.serial, self.records)
    }
}
