//! What changed between two versions of a zone.

use super::record::Record;
use super::shard::Rrset;
use super::tree::Zone;
use crate::wire::{Name, NameKey};

/// The records that one version of a zone has and the other has not. The SOA is never among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// In the old version only.
    pub removed: Vec<Record>,
    /// In the new version only.
    pub added: Vec<Record>,
}

impl Difference {
    /// What is to be done to `old` to make `new` of it. A record whose TTL changed is removed and added. Where one was
    /// made of the other, costs what differs, not what there is.
    pub fn between(old: &Zone, new: &Zone) -> Self {
        Self { removed: missing(old, new), added: missing(new, old) }
    }

    /// Records removed and added.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The records of `from` that `other` has not.
fn missing(from: &Zone, other: &Zone) -> Vec<Record> {
    let mut records = Vec::new();
    let mut key = NameKey::root(other.seed);
    from.for_each_beside(other, |owner, rrset| {
        if rrset.record_type == crate::wire::RecordType::SOA || !key.fill(owner, other.seed) {
            return;
        }
        let counterpart = other.rrset(&key, rrset.record_type);
        let stays = |rdata: &[u8]| counterpart.is_some_and(|there| is_in(there, rrset.ttl, rdata));
        let Ok(name) = Name::from_wire(owner) else { return };
        for rdata in rrset.rdatas().filter(|rdata| !stays(rdata)) {
            let (record_type, ttl) = (rrset.record_type, rrset.ttl);
            records.push(Record { name: name.clone(), record_type, ttl, rdata: rdata.into() });
        }
    });
    records
}

fn is_in(rrset: Rrset<'_>, ttl: u32, rdata: &[u8]) -> bool {
    rrset.ttl == ttl && rrset.rdatas().any(|other| other == rdata)
}

#[cfg(test)]
mod tests {
    use super::super::ZoneBuilder;
    use super::*;
    use crate::wire::RecordType;

    fn zone(records: &[(&str, RecordType, u32, &[u8])]) -> Zone {
        let mut builder = ZoneBuilder::new(&"example.".parse().unwrap(), 1);
        for (owner, record_type, ttl, rdata) in records {
            builder.add(&owner.parse().unwrap(), *record_type, *ttl, rdata).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn removed_added_and_changed_records_are_found_and_the_soa_is_not() {
        let a = RecordType::A;
        let old = zone(&[
            ("example.", RecordType::SOA, 1, &[0; 22]),
            ("a.example.", a, 1, &[1; 4]),
            ("a.example.", a, 1, &[2; 4]),
            ("b.example.", a, 1, &[1; 4]),
            ("c.example.", a, 1, &[1; 4]),
        ]);
        let new = zone(&[
            ("example.", RecordType::SOA, 1, &[1; 22]),
            ("a.example.", a, 1, &[2; 4]),
            ("a.example.", a, 1, &[3; 4]),
            ("c.example.", a, 2, &[1; 4]),
            ("d.example.", a, 1, &[1; 4]),
        ]);
        let shown = |records: &[Record]| {
            let line = |record: &Record| format!("{} {} {}", record.name, record.ttl, record.rdata[0]);
            let mut lines: Vec<String> = records.iter().map(line).collect();
            lines.sort();
            lines.join(", ")
        };
        let difference = Difference::between(&old, &new);
        assert_eq!(shown(&difference.removed), "a.example. 1 1, b.example. 1 1, c.example. 1 1");
        assert_eq!(shown(&difference.added), "a.example. 1 3, c.example. 2 1, d.example. 1 1");
        assert!(Difference::between(&new, &new).is_empty());
    }

    #[test]
    fn versions_that_share_their_parts_differ_as_versions_that_do_not() {
        let owner = |number: u32| format!("h{number}.example.").parse().unwrap();
        let mut builder = ZoneBuilder::new(&"example.".parse().unwrap(), 1);
        for number in 0..5000_u32 {
            builder.add(&owner(number), RecordType::A, 5, &number.to_be_bytes()).unwrap();
        }
        let old = builder.finish();
        let mut changed = ZoneBuilder::from(&old);
        changed.put(&owner(7), RecordType::A, 5, &[&[9; 4]]).unwrap();
        changed.put(&owner(8), RecordType::A, 5, &[]).unwrap();
        let changed = changed.finish();
        let mut fresh = ZoneBuilder::new(&"example.".parse().unwrap(), 1);
        changed.for_each(|owner, rrset| {
            fresh.add(&Name::from_wire(owner).unwrap(), RecordType::A, rrset.ttl, rrset.first()).map(drop).unwrap();
        });
        let fresh = fresh.finish();
        assert!(old.shards_beside(&changed).unwrap().count() <= 3, "those of two names and the apex");
        let difference = Difference::between(&old, &changed);
        assert_eq!((difference.removed.len(), difference.added.len()), (2, 1));
        let sorted = |mut records: Vec<Record>| {
            records.sort_by(|a, b| a.name.cmp(&b.name));
            records
        };
        let whole = Difference::between(&old, &fresh);
        assert_eq!(sorted(difference.removed), sorted(whole.removed));
        assert_eq!(difference.added, whole.added);
    }
}
