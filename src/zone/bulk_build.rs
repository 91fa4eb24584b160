//! From gathered records to shards: sorts each part by hash, writes each shard once, then counts children and marks what
//! cuts hide.

use std::sync::Arc;

use super::builder::ZoneBuilder;
use super::bulk::{Built, Bulk, Doubt, Doubts, Entry, Part, hash_of};
use super::shard::{Added, Flags, NodeBuilder, Shard, ShardWriter};
use super::tree::{Soa, Zone, shard_index};
use crate::wire::{Name, NameKey, RecordType};

/// Owners in one shard at most, about: half of what makes a zone that grows double its shards, and no less than a
/// quarter.
const SHARD_OWNERS: usize = 512;

impl Bulk {
    /// Makes the zone, whose RRsets may hold so many records.
    pub fn finish(mut self, rrset_records_max: u16) -> Built {
        let wanted = (self.owners / SHARD_OWNERS).next_power_of_two().max(self.parts.len());
        let shift = 64 - wanted.trailing_zeros();
        let mut maker = Maker {
            shift,
            shards: Vec::with_capacity(wanted),
            writer: ShardWriter::default(),
            node: NodeBuilder::default(),
            ancestry: Ancestry::new(&self.apex, self.seed),
            nodes: 0,
            records: 0,
            cuts: 0,
            rrset_records_max,
            refused: Doubts::default(),
            doubted: Doubts::default(),
            full: None,
        };
        for part in self.parts.drain(..) {
            maker.part(&part);
        }
        maker.close_shards(wanted);
        let Maker { mut shards, ancestry, nodes, records, cuts, refused, doubted, full, .. } = maker;
        ancestry.settle(&mut shards, shift);
        let mut zone = Zone {
            apex_labels: self.apex_labels,
            apex: self.apex,
            seed: self.seed,
            shards: shards.into_iter().map(Arc::new).collect(),
            shift,
            nodes,
            records,
            cuts,
            soa: Soa::default(),
            expires: None,
        };
        if zone.apex_rrset(RecordType::DNAME).is_some() {
            // It hides everything else.
            zone = ZoneBuilder::marking(zone).finish();
        }
        zone.soa = Soa::read(zone.apex_rrset(RecordType::SOA));
        let full = full.and_then(|(name, record_type)| {
            let owner = Name::from_wire(&[&name, zone.apex().as_wire()].concat());
            Some((owner.ok()?, record_type))
        });
        Built { zone, full, refused: refused.into_first(), doubted: doubted.into_first() }
    }
}

/// Writes shards in the order of hashes.
struct Maker {
    shift: u32,
    shards: Vec<Shard>,
    writer: ShardWriter,
    node: NodeBuilder,
    ancestry: Ancestry,
    nodes: usize,
    records: usize,
    cuts: usize,
    rrset_records_max: u16,
    refused: Doubts,
    doubted: Doubts,
    /// The name below the apex and the type of the first RRset that was found full.
    full: Option<(Vec<u8>, RecordType)>,
}

impl Maker {
    fn part(&mut self, part: &Part) {
        let mut index = Vec::new();
        for (number, chunk) in (0_u32..).zip(&part.chunks) {
            let mut at = 0;
            while let Some(octets) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
                let (Some(hash), Some(entry)) = (hash_of(octets), Entry::read(octets)) else { break };
                index.push((hash, number, u32::try_from(at).unwrap_or(u32::MAX)));
                at += entry.size();
            }
        }
        // Entries of one name stay in the order they came.
        index.sort_unstable();
        let entry = |&(_, chunk, at): &(u64, u32, u32)| {
            let chunk = part.chunks.get(usize::try_from(chunk).ok()?)?;
            Entry::read(chunk.get(usize::try_from(at).ok()?..)?)
        };
        for of_hash in index.chunk_by(|a, b| a.0 == b.0) {
            let Some(first) = of_hash.first() else { continue };
            let mut entries: Vec<Entry<'_>> = Vec::new();
            if let [only] = of_hash {
                entries.extend(entry(only));
                self.group(first.0, &entries);
                continue;
            }
            entries.extend(of_hash.iter().filter_map(entry));
            // Other names of the same hash are as good as never there; they come apart here.
            entries.sort_by(|a, b| a.name.cmp(b.name));
            for of_name in entries.chunk_by(|a, b| a.name == b.name) {
                self.group(first.0, of_name);
            }
        }
    }

    /// Writes the node of entries with one name.
    fn group(&mut self, hash: u64, entries: &[Entry<'_>]) {
        let Some(first) = entries.first() else { return };
        self.close_shards(shard_index(hash, self.shift));
        self.node.clear();
        for entry in entries.iter().filter(|entry| entry.record_type != RecordType(0)) {
            let added = self.node.add(entry.record_type, entry.ttl, entry.rdata, self.rrset_records_max);
            let doubt = Doubt { record: entry.record, added };
            match added {
                Added::New => self.records += 1,
                Added::TtlIgnored => {
                    self.records += 1;
                    self.doubted.push(doubt);
                }
                Added::Duplicate => self.doubted.push(doubt),
                Added::TooMany => {
                    self.refused.push(doubt);
                    self.full.get_or_insert_with(|| (entry.name.to_vec(), entry.record_type));
                }
            }
        }
        let has = |record_type| self.node.rrset(record_type).is_some();
        let mut flags = Flags::default();
        if !first.name.is_empty() && has(RecordType::NS) {
            flags = flags.with(Flags::CUT);
        }
        if has(RecordType::DNAME) {
            flags = flags.with(Flags::DNAME);
        }
        self.cuts += usize::from(flags != Flags::default());
        self.node.flags = flags;
        self.writer.push(hash, first.name, &self.node);
        self.ancestry.push(first.name);
        self.nodes += 1;
    }

    /// Ends the shards before that of `index`.
    fn close_shards(&mut self, index: usize) {
        while self.shards.len() < index {
            self.shards.push(self.writer.finish());
        }
    }
}

/// What nodes know of those above and below them: how many children they have, and whether a cut or DNAME hides them.
///
/// Parents stand anywhere, and a search for each child's would wait for memory each time. So children are put apart by
/// their parents' hashes first, and then looked after where their parents stand close together.
struct Ancestry {
    apex: Name,
    seed: u64,
    key: NameKey,
    owner: Vec<u8>,
    /// Nodes right below the apex.
    at_top: u32,
    /// By depth below the apex, from 2 on, and by the highest bits of the parent's hash: that hash, the length of the
    /// child's name below the apex, and the name.
    children: Vec<Vec<Vec<u8>>>,
}

/// A power of two: parts of the children of one depth.
const FAMILIES: usize = 64;

impl Ancestry {
    fn new(apex: &Name, seed: u64) -> Self {
        let (key, owner) = (NameKey::root(seed), Vec::with_capacity(255));
        Self { apex: apex.clone(), seed, key, owner, at_top: 0, children: Vec::new() }
    }

    /// Takes note of a name below the apex.
    fn push(&mut self, name: &[u8]) {
        let first = usize::from(name.first().copied().unwrap_or(0)) + 1;
        if name.len() <= first {
            self.at_top += u32::from(!name.is_empty());
            return;
        }
        if !self.fill(name) {
            return;
        }
        let depth = self.key.label_count() - self.apex.label_count();
        let hash = self.key.hash(1);
        if self.children.len() < depth - 1 {
            self.children.resize_with(depth - 1, || vec![Vec::new(); FAMILIES]);
        }
        let family = shard_index(hash, 64 - FAMILIES.trailing_zeros());
        if let Some(family) = self.children.get_mut(depth - 2).and_then(|families| families.get_mut(family)) {
            family.extend_from_slice(&hash.to_le_bytes());
            family.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            family.extend_from_slice(name);
        }
    }

    fn fill(&mut self, name: &[u8]) -> bool {
        self.owner.clear();
        self.owner.extend_from_slice(name);
        self.owner.extend_from_slice(self.apex.as_wire());
        self.key.fill(&self.owner, self.seed)
    }

    /// Counts the children of every node and marks those below cuts and DNAMEs, but for a DNAME at the apex.
    fn settle(mut self, shards: &mut [Shard], shift: u32) {
        if self.fill(&[]) {
            let (hash, at_top) = (self.key.hash(0), self.at_top);
            update(shards, shift, hash, &[], |_, children| *children += at_top);
        }
        // From the top, so that what hides a node is known before those below it are looked at.
        for family in std::mem::take(&mut self.children).into_iter().flatten() {
            let mut rest = family.as_slice();
            while let Some((hash, tail)) = rest.split_first_chunk::<8>() {
                let Some((length, tail)) = tail.split_first() else { break };
                let Some((name, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
                rest = tail;
                self.settle_one(shards, shift, u64::from_le_bytes(*hash), name);
            }
        }
    }

    fn settle_one(&mut self, shards: &mut [Shard], shift: u32, parent: u64, name: &[u8]) {
        let first = usize::from(name.first().copied().unwrap_or(0)) + 1;
        let mut is_hidden = false;
        update(shards, shift, parent, name.get(first..).unwrap_or_default(), |flags, children| {
            *children += 1;
            is_hidden = flags.contains(Flags::CUT.with(Flags::DNAME).with(Flags::OCCLUDED));
        });
        if is_hidden && self.fill(name) {
            update(shards, shift, self.key.hash(0), name, |flags, _| *flags = flags.with(Flags::OCCLUDED));
        }
    }
}

fn update(shards: &mut [Shard], shift: u32, hash: u64, name: &[u8], change: impl FnOnce(&mut Flags, &mut u32)) {
    if let Some(shard) = shards.get_mut(shard_index(hash, shift)) {
        shard.update(hash, name, change);
    }
}
