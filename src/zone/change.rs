//! A step from one version of a zone to the next, the order of versions, and going the step.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::builder::{AddError, ZoneBuilder};
use super::difference::Difference;
use super::record::Record;
use super::tree::Zone;
use crate::wire::{Name, RecordType};

/// One step from a version of a zone to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The serial of the old version.
    pub from: u32,
    /// The serial of the new version.
    pub to: u32,
    /// The SOA of the old version.
    pub old_soa: Record,
    /// The SOA of the new version.
    pub new_soa: Record,
    /// The other records that go and come.
    pub difference: Difference,
}

/// Why a change does not fit the zone it is applied to; the zone is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyError {
    /// The change starts from another version: the zone's serial, then the change's.
    OtherVersion(u32, u32),
    /// A record that should go is not there.
    Missing(Record),
    /// An RRset cannot stand in the zone as it would become.
    Refused(Name, RecordType, AddError),
}

impl Change {
    /// The step from `old` to `new`; none when one of them has no SOA.
    pub fn between(old: &Zone, new: &Zone) -> Option<Self> {
        Some(Self {
            from: old.soa().serial,
            to: new.soa().serial,
            old_soa: old.soa_record()?,
            new_soa: new.soa_record()?,
            difference: Difference::between(old, new),
        })
    }

    /// The version that the change makes of `zone`, which shares all untouched parts.
    ///
    /// # Errors
    /// [`ApplyError`]: the change was not made for this version.
    pub fn apply(&self, zone: &Zone) -> Result<Zone, ApplyError> {
        if zone.soa().serial != self.from {
            return Err(ApplyError::OtherVersion(zone.soa().serial, self.from));
        }
        let mut builder = ZoneBuilder::from(zone);
        let soa = &self.new_soa;
        let refused = |error| ApplyError::Refused(zone.apex().clone(), RecordType::SOA, error);
        builder.put(zone.apex(), RecordType::SOA, soa.ttl, &[&soa.rdata]).map_err(refused)?;
        for ((owner, record_type), (removed, added)) in self.rrsets() {
            put(&mut builder, &owner, record_type, &removed, &added)?;
        }
        Ok(builder.finish())
    }

    /// One step in the place of several, each of which starts where the one before ends; none for none.
    pub fn joined<'c>(changes: impl IntoIterator<Item = &'c Self>) -> Option<Self> {
        // How often each record came more than it went, and when it was last said, which keeps the order of RRsets.
        let mut counts: HashMap<Key<'c>, (i8, usize, &'c Record)> = HashMap::new();
        let (mut first, mut last, mut said) = (None, None, 0);
        for change in changes {
            first = first.or(Some(change));
            last = Some(change);
            let removed = change.difference.removed.iter().map(|record| (record, -1));
            for (record, count) in removed.chain(change.difference.added.iter().map(|record| (record, 1))) {
                let known = counts.entry(key(record)).or_insert((0, 0, record));
                *known = (known.0 + count, said, known.2);
                said += 1;
            }
        }
        let (first, last) = (first?, last?);
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_unstable_by_key(|(_, said, _)| *said);
        let records = |sign: i8| {
            let of_sign = counts.iter().filter(|(count, ..)| count.signum() == sign);
            of_sign.map(|(_, _, record)| (*record).clone()).collect()
        };
        let difference = Difference { removed: records(-1), added: records(1) };
        let (old_soa, new_soa) = (first.old_soa.clone(), last.new_soa.clone());
        Some(Self { from: first.from, to: last.to, old_soa, new_soa, difference })
    }

    /// What goes and what comes, by RRset.
    fn rrsets(&self) -> Rrsets<'_> {
        let mut rrsets = Rrsets::new();
        for record in &self.difference.removed {
            rrsets.entry((record.name.to_lowercase(), record.record_type)).or_default().0.push(record);
        }
        for record in &self.difference.added {
            rrsets.entry((record.name.to_lowercase(), record.record_type)).or_default().1.push(record);
        }
        rrsets
    }
}

/// What goes and what comes, by owner and type.
type Rrsets<'r> = BTreeMap<(Name, RecordType), (Vec<&'r Record>, Vec<&'r Record>)>;

/// Makes the change of one RRset. What comes brings its TTL for the whole RRset (RFC 2181 §5.2).
fn put(
    builder: &mut ZoneBuilder,
    owner: &Name,
    record_type: RecordType,
    removed: &[&Record],
    added: &[&Record],
) -> Result<(), ApplyError> {
    let before = builder.rrset(owner, record_type);
    let mut ttl = before.map_or(0, |rrset| rrset.ttl);
    let mut rdatas: Vec<Vec<u8>> = before.map_or_else(Vec::new, |rrset| rrset.rdatas().map(<[u8]>::to_vec).collect());
    for record in removed {
        let at = rdatas.iter().position(|rdata| **rdata == *record.rdata);
        rdatas.remove(at.ok_or_else(|| ApplyError::Missing((*record).clone()))?);
    }
    for record in added {
        ttl = record.ttl;
        if !rdatas.iter().any(|rdata| **rdata == *record.rdata) {
            rdatas.push(record.rdata.to_vec());
        }
    }
    let rdatas: Vec<&[u8]> = rdatas.iter().map(Vec::as_slice).collect();
    let refused = |error| ApplyError::Refused(owner.clone(), record_type, error);
    builder.put(owner, record_type, ttl, &rdatas).map_err(refused)
}

/// What makes two records the same: owner, type, TTL and data.
type Key<'r> = (Name, RecordType, u32, &'r [u8]);

fn key(record: &Record) -> Key<'_> {
    (record.name.to_lowercase(), record.record_type, record.ttl, &record.rdata)
}

/// Whether serial `a` is newer than `b` (RFC 1982 §3.2); of two that are 2^31 apart neither is.
pub const fn is_newer(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

/// The serial after `serial`. Zero is left out, as some secondaries take it for "none".
pub const fn next_serial(serial: u32) -> u32 {
    match serial.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion(zone, change) => write!(f, "it is for version {change}, the zone has {zone}"),
            Self::Missing(record) => {
                write!(f, "{} {} should go and is not there", record.name, record.record_type)
            }
            Self::Refused(name, record_type, error) => write!(f, "{name} {record_type}: {error}"),
        }
    }
}

impl std::error::Error for ApplyError {}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;

    /// Version `serial` of a zone with these addresses, each with its TTL.
    fn zone(serial: u32, addresses: &[(&str, u32, u8)]) -> Zone {
        let apex: Name = "example.".parse().unwrap();
        let mut builder = ZoneBuilder::new(&apex, 1);
        let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
        builder.add(&apex, RecordType::SOA, 60, &soa).unwrap();
        for (owner, ttl, last) in addresses {
            let owner: Name = owner.parse().unwrap();
            builder.add(&owner, RecordType::A, *ttl, &[192, 0, 2, *last]).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn rfc1982_3_2_serials_go_round() {
        let check = |a, b, expected| assert_eq!(is_newer(a, b), expected, "{a} {b}");
        check(1, 0, true);
        check(0, 1, false);
        check(5, 5, false);
        check(0, u32::MAX, true);
        check(u32::MAX, 0, false);
        check(1 << 31, 0, false);
        check((1 << 31) - 1, 0, true);
        assert_eq!([0, 7, u32::MAX - 1, u32::MAX].map(next_serial), [1, 8, u32::MAX, 1]);
    }

    #[test]
    fn a_change_makes_the_new_version_of_the_old() {
        let old = zone(1, &[("a.example.", 5, 1), ("a.example.", 5, 2), ("b.example.", 5, 1), ("c.example.", 5, 1)]);
        let new = zone(3, &[("a.example.", 9, 2), ("b.example.", 5, 1), ("b.example.", 5, 3), ("d.example.", 5, 1)]);
        let change = Change::between(&old, &new).unwrap();
        assert_eq!(print::zone(&change.apply(&old).unwrap()), print::zone(&new));
        assert_eq!(change.apply(&new).unwrap_err(), ApplyError::OtherVersion(3, 1));
    }

    #[test]
    fn two_changes_make_one() {
        let versions = [
            zone(1, &[("a.example.", 5, 1), ("b.example.", 5, 1)]),
            zone(2, &[("b.example.", 6, 1), ("c.example.", 5, 1)]),
            zone(3, &[("a.example.", 5, 1), ("b.example.", 6, 1), ("b.example.", 6, 2)]),
        ];
        let step = |from: usize, to: usize| Change::between(&versions[from], &versions[to]).unwrap();
        let both = Change::joined([&step(0, 1), &step(1, 2)]).unwrap();
        assert_eq!((both.from, both.to, both.difference.removed.len(), both.difference.added.len()), (1, 3, 1, 2));
        assert_eq!(print::zone(&both.apply(&versions[0]).unwrap()), print::zone(&versions[2]));
        assert!(Change::joined([&step(0, 1), &step(1, 0)]).unwrap().difference.is_empty());
    }

    #[test]
    fn a_change_that_does_not_fit_says_where() {
        let (old, new) = (zone(1, &[("a.example.", 5, 1)]), zone(2, &[]));
        let mut change = Change::between(&old, &new).unwrap();
        let error = change.apply(&zone(1, &[])).unwrap_err().to_string();
        assert_eq!(error, "a.example. A should go and is not there");
        let outside = Record { name: "a.net.".parse().unwrap(), ..change.difference.removed[0].clone() };
        change.difference.added.push(outside);
        assert_eq!(change.apply(&old).unwrap_err().to_string(), "a.net. A: the owner is not in the zone");
    }
}
