//! Making zones and changing them: records in, a new zone out, sharing what was not touched.

use std::fmt;
use std::sync::Arc;

use super::shard::{Added, Flags, Node, NodeBuilder, Rrset, Shard};
use super::sizes::Sizes;
use super::tree::{Soa, Zone, shard_index};
use crate::wire::{Name, NameKey, RecordType};

/// Nodes in one shard beyond which the shards are doubled.
const SHARD_NODES_MAX: u32 = 1024;

/// Makes a zone, or a changed one from another: what it does not touch stays shared with the zone it came from.
pub struct ZoneBuilder {
    zone: Zone,
    key: NameKey,
    /// The owner that records are being added to, and what it holds so far.
    owner: Option<Name>,
    node: NodeBuilder,
    /// Whether a cut or DNAME came or went where names below it existed already.
    recheck_occlusion: bool,
    /// The most records of one RRset.
    rrset_records_max: u16,
}

/// Why a record was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddError {
    /// Its owner is neither the apex nor below it.
    OutOfZone,
    /// Its RRset already holds so many records, and may hold no more.
    TooLarge(u16),
    /// Its RDATA is over 65,535 octets.
    TooLong,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfZone => f.write_str("the owner is not in the zone"),
            Self::TooLarge(max) => {
                write!(f, "the RRset would hold more than {max} records (`limits.zones.rrset_records`)")
            }
            Self::TooLong => f.write_str("the RDATA has more than 65535 octets"),
        }
    }
}

impl std::error::Error for AddError {}

impl ZoneBuilder {
    /// Starts an empty zone. `seed` is the secret that keeps hash collisions unpredictable; one per process.
    pub fn new(apex: &Name, seed: u64) -> Self {
        let zone = Zone {
            apex: apex.to_lowercase(),
            apex_labels: apex.label_count(),
            seed,
            shards: vec![Arc::new(Shard::default())],
            shift: 64,
            nodes: 0,
            records: 0,
            cuts: 0,
            soa: Soa::default(),
            expires: None,
        };
        let mut builder = Self { rrset_records_max: Sizes::DEFAULT.rrset_records, ..Self::of(zone) };
        builder.key.fill(apex.as_wire(), seed);
        builder.store(0, &NodeBuilder::default());
        builder
    }

    /// Starts from a zone whose names below cuts and DNAMEs are to be marked anew.
    pub(super) fn marking(zone: Zone) -> Self {
        Self { recheck_occlusion: true, ..Self::of(zone) }
    }

    fn of(zone: Zone) -> Self {
        let (key, node) = (NameKey::root(zone.seed), NodeBuilder::default());
        // What a zone holds was within its sizes when it came.
        let rrset_records_max = Sizes::MOST.rrset_records;
        Self { key, zone, owner: None, node, recheck_occlusion: false, rrset_records_max }
    }

    /// Lets one RRset hold so many records: 500 unless this is called, or any number where it starts from a zone.
    pub fn rrsets_up_to(self, rrset_records_max: u16) -> Self {
        Self { rrset_records_max, ..self }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`AddError`]; the zone is as it was then.
    pub fn add(&mut self, owner: &Name, record_type: RecordType, ttl: u32, rdata: &[u8]) -> Result<Added, AddError> {
        self.open(owner)?;
        let added = self.node.add(record_type, ttl, rdata, self.rrset_records_max);
        match added {
            Added::New | Added::TtlIgnored => self.zone.records += 1,
            Added::TooMany => return Err(AddError::TooLarge(self.rrset_records_max)),
            Added::Duplicate => {}
        }
        Ok(added)
    }

    /// Makes the name exist even without records, for a wide IP that stands there.
    ///
    /// # Errors
    /// [`AddError::OutOfZone`].
    pub fn hold(&mut self, owner: &Name) -> Result<(), AddError> {
        self.open(owner)?;
        self.node.flags = self.node.flags.with(Flags::HELD);
        Ok(())
    }

    /// Lets go of every name that exists without records because it was held.
    pub fn release(&mut self) {
        self.close();
        let mut held = Vec::new();
        for node in self.zone.shards.iter().flat_map(|shard| shard.nodes()) {
            if node.flags().contains(Flags::HELD) {
                held.extend(Name::from_wire(&[node.name(), self.zone.apex.as_wire()].concat()));
            }
        }
        for owner in held {
            if self.open(&owner).is_ok() {
                self.node.flags = self.node.flags.without(Flags::HELD);
            }
        }
    }

    /// Puts an RRset in the place of the one of that owner and type; no records removes it.
    ///
    /// # Errors
    /// [`AddError`]; the zone is as it was then.
    pub fn put(&mut self, owner: &Name, record_type: RecordType, ttl: u32, rdatas: &[&[u8]]) -> Result<(), AddError> {
        self.open(owner)?;
        let max = self.rrset_records_max;
        let count = u16::try_from(rdatas.len()).ok().filter(|n| *n <= max).ok_or(AddError::TooLarge(max))?;
        let mut records = Vec::with_capacity(rdatas.iter().map(|rdata| rdata.len() + 2).sum());
        for rdata in rdatas {
            let length = u16::try_from(rdata.len()).map_err(|_| AddError::TooLong)?;
            records.extend_from_slice(&length.to_be_bytes());
            records.extend_from_slice(rdata);
        }
        let before = self.node.rrset(record_type).map_or(0, |rrset| usize::from(rrset.count));
        self.node.put(record_type, ttl, count, &records);
        self.zone.records = self.zone.records + rdatas.len() - before;
        Ok(())
    }

    /// The RRset of that owner and type as it stands now.
    pub fn rrset(&mut self, owner: &Name, record_type: RecordType) -> Option<Rrset<'_>> {
        self.open(owner).ok()?;
        self.node.rrset(record_type)
    }

    /// Ends the changes.
    pub fn finish(mut self) -> Zone {
        self.close();
        if self.recheck_occlusion {
            self.mark_occluded();
        }
        self.zone.soa = Soa::read(self.zone.apex_rrset(RecordType::SOA));
        for shard in &mut self.zone.shards {
            if let Some(shard) = Arc::get_mut(shard) {
                shard.shrink();
            }
        }
        self.zone
    }

    /// Makes `owner` the name that records are added to.
    fn open(&mut self, owner: &Name) -> Result<(), AddError> {
        if self.owner.as_ref().is_some_and(|open| open.as_wire() == owner.as_wire()) {
            return Ok(());
        }
        self.close();
        if !owner.is_at_or_below(&self.zone.apex) {
            return Err(AddError::OutOfZone);
        }
        self.key.fill(owner.as_wire(), self.zone.seed);
        match self.zone.node(&self.key, 0) {
            Some(node) => self.node = NodeBuilder::from_node(node),
            None => self.node.clear(),
        }
        self.owner = Some(owner.clone());
        Ok(())
    }

    /// Stores the open name, or removes it when nothing is left of it.
    fn close(&mut self) {
        if self.owner.take().is_none() {
            return;
        }
        let mut node = std::mem::take(&mut self.node);
        let before = self.zone.node(&self.key, 0).map(Node::flags);
        let at_apex = self.key.label_count() == self.zone.apex_labels;
        let mark = |flags: Flags, flag, wanted: bool| if wanted { flags.with(flag) } else { flags.without(flag) };
        let is_cut = !at_apex && node.rrset(RecordType::NS).is_some();
        node.flags = mark(node.flags, Flags::CUT, is_cut);
        node.flags = mark(node.flags, Flags::DNAME, node.rrset(RecordType::DNAME).is_some());
        let divides = |flags: Flags| flags.contains(Flags::CUT.with(Flags::DNAME));
        let (divided, divides_now) = (before.is_some_and(divides), divides(node.flags));
        if divided != divides_now {
            self.zone.cuts = if divides_now { self.zone.cuts + 1 } else { self.zone.cuts.saturating_sub(1) };
            self.recheck_occlusion |= node.children > 0;
        }
        let is_empty = node.is_without_records() && node.children == 0 && !node.flags.contains(Flags::HELD);
        if is_empty && !at_apex {
            if before.is_some() {
                self.remove_with_empty_ancestors();
            }
        } else {
            if before.is_none() && self.make_ancestors() {
                node.flags = node.flags.with(Flags::OCCLUDED);
            }
            self.store(0, &node);
        }
        node.clear();
        self.node = node;
    }

    fn store(&mut self, label: usize, node: &NodeBuilder) {
        let Some(apex) = self.key.label_count().checked_sub(self.zone.apex_labels) else { return };
        let hash = self.key.hash(label);
        let Some(shard) = self.zone.shards.get_mut(shard_index(hash, self.zone.shift)) else { return };
        let shard = Arc::make_mut(shard);
        if shard.put(hash, self.key.between(label, apex), node) {
            self.zone.nodes += 1;
            if shard.len() > SHARD_NODES_MAX && self.zone.shift > 32 {
                self.double_shards();
            }
        }
    }

    /// Adds the name at label 0 to the child counts above it, making the empty non-terminals that are missing.
    /// Says whether the new name is occluded.
    fn make_ancestors(&mut self) -> bool {
        let apex = self.key.label_count() - self.zone.apex_labels;
        let mut missing = 1;
        let mut occluded = false;
        while missing <= apex {
            if let Some(parent) = self.zone.node(&self.key, missing) {
                let flags = parent.flags();
                occluded = flags.contains(Flags::OCCLUDED.with(Flags::CUT).with(Flags::DNAME));
                let children = parent.children() + 1;
                self.set_header(missing, flags, children);
                break;
            }
            missing += 1;
        }
        let flags = if occluded { Flags::OCCLUDED } else { Flags::default() };
        let node = NodeBuilder::empty_non_terminal(flags);
        for label in 1..missing {
            self.store(label, &node);
        }
        occluded
    }

    fn remove_with_empty_ancestors(&mut self) {
        let apex = self.key.label_count() - self.zone.apex_labels;
        for label in 0..apex {
            let hash = self.key.hash(label);
            let index = shard_index(hash, self.zone.shift);
            if let Some(shard) = self.zone.shards.get_mut(index)
                && Arc::make_mut(shard).remove(hash, self.key.between(label, apex))
            {
                self.zone.nodes -= 1;
            }
            let Some(parent) = self.zone.node(&self.key, label + 1) else { return };
            let (flags, children) = (parent.flags(), parent.children().saturating_sub(1));
            let keep = children > 0 || parent.rrset_count() > 0 || flags.contains(Flags::HELD) || label + 1 == apex;
            self.set_header(label + 1, flags, children);
            if keep {
                return;
            }
        }
    }

    fn set_header(&mut self, label: usize, flags: Flags, children: u32) {
        let apex = self.key.label_count() - self.zone.apex_labels;
        let hash = self.key.hash(label);
        if let Some(shard) = self.zone.shards.get_mut(shard_index(hash, self.zone.shift)) {
            Arc::make_mut(shard).update(hash, self.key.between(label, apex), |f, c| (*f, *c) = (flags, children));
        }
    }

    fn double_shards(&mut self) {
        let shift = self.zone.shift - 1;
        let mut doubled = Vec::with_capacity(self.zone.shards.len() * 2);
        for shard in &self.zone.shards {
            let mut halves = [Shard::default(), Shard::default()];
            for (hash, node) in shard.nodes_with_hash() {
                let upper = shard_index(hash, shift) & 1;
                if let Some(half) = halves.get_mut(upper) {
                    half.adopt(hash, node);
                }
            }
            doubled.extend(halves.map(Arc::new));
        }
        self.zone.shards = doubled;
        self.zone.shift = shift;
    }

    /// Marks every name below a cut or DNAME, and unmarks the others.
    fn mark_occluded(&mut self) {
        let mut changes: Vec<(Name, Flags, u32)> = Vec::new();
        let mut owner = Vec::with_capacity(255);
        for node in self.zone.shards.iter().flat_map(|shard| shard.nodes()) {
            owner.clear();
            owner.extend_from_slice(node.name());
            owner.extend_from_slice(self.zone.apex.as_wire());
            self.key.fill(&owner, self.zone.seed);
            let apex = self.key.label_count() - self.zone.apex_labels;
            let divides = |label| {
                let node = self.zone.node(&self.key, label);
                node.is_some_and(|node| node.flags().contains(Flags::CUT.with(Flags::DNAME)))
            };
            let occluded = (1..=apex).any(divides);
            if occluded != node.flags().contains(Flags::OCCLUDED)
                && let Ok(name) = Name::from_wire(&owner)
            {
                let with = node.flags().with(Flags::OCCLUDED);
                let flags = if occluded { with } else { with.without(Flags::OCCLUDED) };
                changes.push((name, flags, node.children()));
            }
        }
        for (name, flags, children) in changes {
            self.key.fill(name.as_wire(), self.zone.seed);
            self.set_header(0, flags, children);
        }
    }
}

impl From<&Zone> for ZoneBuilder {
    fn from(zone: &Zone) -> Self {
        Self::of(zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::bulk::{Built, Bulk};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn contents(zone: &Zone) -> BTreeSet<(String, RecordType, u32, Vec<u8>)> {
        let mut all = BTreeSet::new();
        zone.for_each(|owner, rrset| {
            for rdata in rrset.rdatas() {
                let owner = Name::from_wire(owner).unwrap().to_string();
                all.insert((owner, rrset.record_type, rrset.ttl, rdata.to_vec()));
            }
        });
        all
    }

    #[test]
    fn a_record_outside_is_refused() {
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        assert_eq!(builder.add(&name("example.net."), RecordType::A, 1, &[1; 4]), Err(AddError::OutOfZone));
    }

    #[test]
    fn the_first_ttl_counts_and_duplicates_vanish() {
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        let owner = name("a.example.");
        assert_eq!(builder.add(&owner, RecordType::A, 5, &[1; 4]), Ok(Added::New));
        assert_eq!(builder.add(&owner, RecordType::A, 6, &[2; 4]), Ok(Added::TtlIgnored));
        assert_eq!(builder.add(&owner, RecordType::A, 5, &[1; 4]), Ok(Added::Duplicate));
        let zone = builder.finish();
        let rrset = zone.rrset(&NameKey::new(&owner, 1), RecordType::A).unwrap();
        assert_eq!((rrset.ttl, rrset.count), (5, 2));
        assert_eq!(zone.records(), 2);
    }

    #[test]
    fn names_that_differ_in_case_are_duplicates() {
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        let (owner, target) = (name("a.example."), |text| name(text).as_wire().to_vec());
        assert_eq!(builder.add(&owner, RecordType::CNAME, 5, &target("b.")), Ok(Added::New));
        assert_eq!(builder.add(&owner, RecordType::CNAME, 5, &target("B.")), Ok(Added::Duplicate));
    }

    #[test]
    fn an_rrset_is_bounded() {
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        for i in 0..500_u16 {
            builder.add(&name("a.example."), RecordType::A, 5, &i.to_be_bytes()).unwrap();
        }
        assert_eq!(builder.add(&name("a.example."), RecordType::A, 5, &[9; 4]), Err(AddError::TooLarge(500)));
        let mut builder = builder.rrsets_up_to(501);
        assert_eq!(builder.add(&name("a.example."), RecordType::A, 5, &[9; 4]), Ok(Added::New));
        assert_eq!(builder.add(&name("a.example."), RecordType::A, 5, &[8; 4]), Err(AddError::TooLarge(501)));
    }

    #[test]
    fn a_change_leaves_the_old_zone_as_it_was() {
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        for i in 0..5000 {
            builder.add(&name(&format!("h{i}.example.")), RecordType::A, 5, &[1; 4]).unwrap();
        }
        let old = builder.finish();
        let before = contents(&old);
        let mut builder = ZoneBuilder::from(&old);
        builder.put(&name("h7.example."), RecordType::A, 9, &[&[2; 4]]).unwrap();
        let new = builder.finish();
        assert_eq!(contents(&old), before);
        let changed: Vec<_> = contents(&new).difference(&before).cloned().collect();
        assert_eq!(changed, [("h7.example.".to_owned(), RecordType::A, 9, vec![2; 4])]);
        let shared = old.shards.iter().zip(&new.shards).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, old.shards.len() - 1);
    }

    #[test]
    fn removing_the_last_record_removes_empty_ancestors_but_not_held_names() {
        let key = |text: &str| NameKey::new(&name(text), 1);
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        builder.add(&name("a.b.c.example."), RecordType::A, 5, &[1; 4]).unwrap();
        builder.hold(&name("c.example.")).unwrap();
        let zone = builder.finish();
        assert!(zone.contains(&key("b.c.example.")));
        let mut builder = ZoneBuilder::from(&zone);
        builder.put(&name("a.b.c.example."), RecordType::A, 0, &[]).unwrap();
        let zone = builder.finish();
        assert!(!zone.contains(&key("b.c.example.")));
        assert!(zone.contains(&key("c.example.")));
        assert_eq!((zone.names(), zone.records()), (2, 0));
        let mut builder = ZoneBuilder::from(&zone);
        builder.release();
        let zone = builder.finish();
        assert!(!zone.contains(&key("c.example.")));
    }

    proptest! {
        /// Any series of changes gives what a plain map gives, and the tree that a fresh build of it gives.
        #[test]
        fn changes_agree_with_a_plain_map(
            steps in prop::collection::vec((0..4_usize, 0..4_usize, 0..4_usize, 0..3_usize, 0..4_u8), 1..200),
            restart in 0..20_usize,
        ) {
            const LABELS: [&str; 4] = ["", "a.", "b.", "*."];
            const TYPES: [RecordType; 4] = [RecordType::A, RecordType::NS, RecordType::DNAME, RecordType::TXT];
            let mut model: BTreeMap<(String, RecordType), BTreeSet<Vec<u8>>> = BTreeMap::new();
            let apex = name("example.");
            let mut builder = ZoneBuilder::new(&apex, 1);
            for (index, (first, second, record_type, action, value)) in steps.into_iter().enumerate() {
                let owner = format!("{}{}example.", LABELS[first], LABELS[second]);
                let record_type = TYPES[record_type];
                let set = model.entry((owner.clone(), record_type)).or_default();
                if action == 0 {
                    builder.put(&name(&owner), record_type, 5, &[]).unwrap();
                    set.clear();
                } else {
                    builder.add(&name(&owner), record_type, 5, &[value; 4]).unwrap();
                    set.insert(vec![value; 4]);
                }
                if index % 20 == restart {
                    builder = ZoneBuilder::from(&builder.finish());
                }
            }
            let zone = builder.finish();
            let expected: BTreeSet<_> = model
                .into_iter()
                .flat_map(|((owner, record_type), set)| set.into_iter().map(move |rdata| (owner.clone(), record_type, 5, rdata)))
                .collect();
            prop_assert_eq!(contents(&zone), expected.clone());
            prop_assert_eq!(zone.records(), expected.len());
            let mut fresh = ZoneBuilder::new(&apex, 1);
            for (owner, record_type, ttl, rdata) in &expected {
                fresh.add(&name(owner), *record_type, *ttl, rdata).unwrap();
            }
            let fresh = fresh.finish();
            prop_assert_eq!(zone.names(), fresh.names());
            prop_assert_eq!(zone.cuts, fresh.cuts);
            let nodes = |zone: &Zone| -> BTreeSet<_> {
                let all = zone.shards.iter().flat_map(|shard| shard.nodes());
                all.map(|node| (node.name().to_vec(), node.children(), format!("{:?}", node.flags()))).collect()
            };
            prop_assert_eq!(nodes(&zone), nodes(&fresh));
            // And so does one made of all records at once, in parts or not or in more and more, whatever their order.
            for (octets, splits) in [(0, false), (1 << 20, false), (0, true)] {
                let mut bulk = Bulk::new(&apex, 1, octets);
                let records = expected.iter().rev().chain(expected.iter().take(restart));
                for (number, (owner, record_type, ttl, rdata)) in records.enumerate() {
                    bulk.add(&name(owner), *record_type, *ttl, rdata).unwrap();
                    if splits && number % 3 == 0 {
                        bulk.split();
                    }
                }
                let Built { zone: built, doubted, refused, .. } = bulk.finish(500);
                prop_assert_eq!((doubted.len(), refused.len()), (restart.min(expected.len()), 0));
                prop_assert_eq!((contents(&built), nodes(&built)), (expected.clone(), nodes(&fresh)));
                prop_assert_eq!((built.names(), built.records(), built.cuts), (fresh.names(), fresh.records(), fresh.cuts));
                for (owner, record_type, ..) in &expected {
                    prop_assert!(built.rrset(&NameKey::new(&name(owner), 1), *record_type).is_some());
                }
            }
        }
    }
}
