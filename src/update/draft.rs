//! The next version of a zone while an update makes it (RFC 2136 §3.4.2): only the names that are touched are held, so
//! that an update costs what it changes and a refused one leaves nothing behind.

use std::collections::BTreeMap;

use super::message::{Edit, Refusal};
use crate::wire::{Name, NameKey, Rcode, RecordType};
use crate::zone::check::{Problem, Severity, check_change};
use crate::zone::serial::SerialPolicy;
use crate::zone::{Change, Difference, Record, Sizes, Zone, ZoneBuilder, is_newer, rdata};

/// The most octets the records of one RRset may take: what is larger fits in no message, so that nobody could ask for it.
const RRSET_OCTETS_MAX: usize = 60_000;
/// Octets that a record takes in a message besides its data: a pointer to its owner, type, class, TTL and length.
const RECORD_OCTETS: usize = 12;
/// Octets of an SOA behind its serial: refresh, retry, expire and minimum.
const BEHIND_SERIAL: usize = 16;
/// The type of RFC 1035 §3.4.2, of which one record stands for each address and protocol.
const WKS: RecordType = RecordType(11);

/// A zone and what is to be changed in it.
pub(super) struct Draft<'z> {
    zone: &'z Zone,
    sizes: Sizes,
    key: NameKey,
    /// The names that were touched, as they will be.
    names: BTreeMap<Name, Contents>,
}

/// The RRsets of one name.
type Contents = BTreeMap<RecordType, Rrset>;

/// One RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rrset {
    ttl: u32,
    rdatas: Vec<Vec<u8>>,
}

/// What came of a draft.
pub(super) struct Made {
    pub(super) zone: Zone,
    pub(super) change: Change,
}

impl<'z> Draft<'z> {
    /// Nothing is changed yet.
    pub(super) fn new(zone: &'z Zone, sizes: Sizes) -> Self {
        Self { zone, sizes, key: NameKey::root(zone.seed()), names: BTreeMap::new() }
    }

    /// Carries one edit out, or ignores it where RFC 2136 §3.4.2 and RFC 6672 §5.2 say so.
    ///
    /// # Errors
    /// REFUSED: an RRset would be too large to be answered.
    pub(super) fn edit(&mut self, edit: &Edit) -> Result<(), Refusal> {
        match edit {
            Edit::Add(record) => self.add(record)?,
            Edit::DeleteRrset(name, record_type) => {
                // §3.4.2.3: SOA and NS of the apex go only one by one.
                if !(self.is_apex(name) && is_of_apex(*record_type)) {
                    self.contents(name).remove(record_type);
                }
            }
            Edit::DeleteName(name) => {
                let is_apex = self.is_apex(name);
                self.contents(name).retain(|record_type, _| is_apex && is_of_apex(*record_type));
            }
            Edit::DeleteRecord(name, record_type, rdata) => self.delete(name, *record_type, rdata),
        }
        Ok(())
    }

    fn add(&mut self, record: &Record) -> Result<(), Refusal> {
        let (is_apex, records_max) = (self.is_apex(&record.name), self.sizes.rrset_records);
        let contents = self.contents(&record.name);
        let soa = contents.get(&RecordType::SOA).and_then(|soa| serial_of(soa.rdatas.first()?));
        let is_ignored = match record.record_type {
            // §3.4.2.2, RFC 1034 §3.6.2: an alias stands alone, and what was there first stays.
            RecordType::CNAME => {
                contents.keys().any(|there| *there != RecordType::CNAME && !stands_beside_alias(*there))
            }
            RecordType::SOA => {
                let is_newer = |(new, old)| is_newer(new, old);
                !is_apex || !serial_of(&record.rdata).zip(soa).is_some_and(is_newer)
            }
            other => contents.contains_key(&RecordType::CNAME) && !stands_beside_alias(other),
        };
        if is_ignored {
            return Ok(());
        }
        let rrset = contents.entry(record.record_type).or_insert_with(|| Rrset { ttl: record.ttl, rdatas: Vec::new() });
        // RFC 2181 §5.2: one TTL for the RRset, and the newest word on it counts.
        rrset.ttl = record.ttl;
        if rrset.rdatas.iter().any(|there| rdata::is_same(record.record_type, there, &record.rdata)) {
            return Ok(());
        }
        rrset.rdatas.retain(|there| !replaces(record.record_type, &record.rdata, there));
        rrset.rdatas.push(record.rdata.to_vec());
        let octets: usize = rrset.rdatas.iter().map(|rdata| rdata.len() + RECORD_OCTETS).sum();
        if rrset.rdatas.len() > usize::from(records_max) || octets > RRSET_OCTETS_MAX {
            let reason = format!(
                "{} {}: more than {records_max} records (`limits.zones.rrset_records`) or {RRSET_OCTETS_MAX} octets in one RRset",
                record.name, record.record_type
            );
            return Err(Refusal::new(Rcode::REFUSED, reason));
        }
        Ok(())
    }

    fn delete(&mut self, name: &Name, record_type: RecordType, data: &[u8]) {
        let is_apex = self.is_apex(name);
        let contents = self.contents(name);
        let Some(rrset) = contents.get_mut(&record_type) else { return };
        let is_deleted = |there: &Vec<u8>| rdata::is_same(record_type, there, data);
        let Some(at) = rrset.rdatas.iter().position(is_deleted) else { return };
        // §3.4.2.4: a zone keeps its SOA and one name server.
        let is_last = rrset.rdatas.len() == 1;
        if record_type == RecordType::SOA || is_apex && record_type == RecordType::NS && is_last {
            return;
        }
        rrset.rdatas.remove(at);
        if is_last {
            contents.remove(&record_type);
        }
    }

    fn is_apex(&self, name: &Name) -> bool {
        name == self.zone.apex()
    }

    fn contents(&mut self, name: &Name) -> &mut Contents {
        let (zone, key) = (self.zone, &mut self.key);
        self.names.entry(name.clone()).or_insert_with(|| contents(zone, key, name))
    }

    /// Ends the draft: the new version and the step to it; none when nothing is different in the end.
    ///
    /// # Errors
    /// REFUSED: the zone would break a rule of zones or grow too large; SERVFAIL: it has no SOA to count on from.
    pub(super) fn finish(mut self, serial: SerialPolicy, unix_seconds: u64) -> Result<Option<Made>, Refusal> {
        let broken = || Refusal::new(Rcode::SERVFAIL, "the zone has no SOA");
        let apex = self.zone.apex().to_lowercase();
        let old_soa = self.zone.soa_record().ok_or_else(broken)?;
        let mut difference = Difference::default();
        let mut builder = ZoneBuilder::from(self.zone);
        for (name, new) in &self.names {
            let old = contents(self.zone, &mut self.key, name);
            for record_type in old.keys().chain(new.keys().filter(|new| !old.contains_key(new))) {
                if *record_type == RecordType::SOA {
                    continue;
                }
                let (old, new) = (old.get(record_type), new.get(record_type));
                if old != new {
                    compare(name, *record_type, old, new, &mut difference);
                    put(&mut builder, name, *record_type, new)?;
                }
            }
        }
        let soa = self.names.get(&apex).and_then(|apex| apex.get(&RecordType::SOA));
        let soa = soa.map(|soa| (soa.ttl, soa.rdatas.first().cloned().unwrap_or_default()));
        let (ttl, mut data) = soa.unwrap_or_else(|| (old_soa.ttl, old_soa.rdata.to_vec()));
        let is_new_soa = data != *old_soa.rdata;
        if difference.is_empty() && !is_new_soa {
            return Ok(None);
        }
        if !is_new_soa {
            // §3.6: the update did not say which version it makes.
            set_serial(&mut data, serial.next(self.zone.soa().serial, unix_seconds)).ok_or_else(broken)?;
        }
        let new_soa = Record { name: apex.clone(), record_type: RecordType::SOA, ttl, rdata: data.into() };
        builder.put(&apex, RecordType::SOA, ttl, &[&new_soa.rdata]).map_err(|_| broken())?;
        let zone = builder.finish();
        let max = self.sizes.records;
        if zone.records() > max && zone.records() > self.zone.records() {
            let reason = format!("the zone would have more than {max} records (`limits.zones.records`)");
            return Err(Refusal::new(Rcode::REFUSED, reason));
        }
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if let Some(problem) = check_change(self.zone, &zone, &self.sizes).into_iter().find(is_error) {
            let reason = format!("the zone would break a rule: {}: {}", problem.name, problem.reason);
            return Err(Refusal::new(Rcode::REFUSED, reason));
        }
        let (from, to) = (self.zone.soa().serial, zone.soa().serial);
        Ok(Some(Made { zone, change: Change { from, to, old_soa, new_soa, difference } }))
    }
}

/// What a name of the zone has.
fn contents(zone: &Zone, key: &mut NameKey, name: &Name) -> Contents {
    key.fill(name.as_wire(), zone.seed());
    let rrset = |rrset: crate::zone::Rrset<'_>| {
        let rdatas = rrset.rdatas().map(<[u8]>::to_vec).collect();
        (rrset.record_type, Rrset { ttl: rrset.ttl, rdatas })
    };
    zone.rrsets(key).map(rrset).collect()
}

/// Adds the records in which two versions of an RRset differ. With the TTL all of them do.
fn compare(name: &Name, record_type: RecordType, old: Option<&Rrset>, new: Option<&Rrset>, found: &mut Difference) {
    let missing = |from: Option<&Rrset>, other: Option<&Rrset>| {
        let Some(from) = from else { return Vec::new() };
        let stays = |rdata: &Vec<u8>| other.is_some_and(|other| other.ttl == from.ttl && other.rdatas.contains(rdata));
        let record = |rdata: &Vec<u8>| Record {
            name: name.clone(),
            record_type,
            ttl: from.ttl,
            rdata: rdata.clone().into_boxed_slice(),
        };
        from.rdatas.iter().filter(|rdata| !stays(rdata)).map(record).collect()
    };
    found.removed.extend(missing(old, new));
    found.added.extend(missing(new, old));
}

fn put(builder: &mut ZoneBuilder, name: &Name, record_type: RecordType, rrset: Option<&Rrset>) -> Result<(), Refusal> {
    let rdatas: Vec<&[u8]> = rrset.iter().flat_map(|rrset| rrset.rdatas.iter().map(Vec::as_slice)).collect();
    let put = builder.put(name, record_type, rrset.map_or(0, |rrset| rrset.ttl), &rdatas);
    put.map_err(|error| Refusal::new(Rcode::REFUSED, format!("{name} {record_type}: {error}")))
}

/// Whether adding a record makes another of its RRset go (RFC 2136 §3.4.2.2, RFC 6672 §5.2).
fn replaces(record_type: RecordType, new: &[u8], there: &[u8]) -> bool {
    match record_type {
        RecordType::SOA | RecordType::CNAME | RecordType::DNAME => true,
        // §1.1.5: the same address and protocol.
        WKS => new.get(..5).is_some_and(|new| there.get(..5) == Some(new)),
        _ => false,
    }
}

/// Types whose RRsets at the apex no update may delete whole.
fn is_of_apex(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::SOA | RecordType::NS)
}

/// Types that may stand beside a CNAME (RFC 4034 §3 and §4).
fn stands_beside_alias(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::SIG | RecordType::KEY)
}

/// The serial in an SOA's data.
fn serial_of(data: &[u8]) -> Option<u32> {
    data.last_chunk::<{ BEHIND_SERIAL + 4 }>()?.first_chunk().map(|serial| u32::from_be_bytes(*serial))
}

fn set_serial(data: &mut [u8], serial: u32) -> Option<()> {
    let at = data.len().checked_sub(BEHIND_SERIAL + 4)?;
    data.get_mut(at..at + 4)?.copy_from_slice(&serial.to_be_bytes());
    Some(())
}
