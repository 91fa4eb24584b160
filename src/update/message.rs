//! An UPDATE message (RFC 2136 §2) → what it asks of the zone and for it, every record checked. No zone and no clock.

use std::collections::BTreeMap;

use crate::wire::{Class, HEADER_LENGTH, MessageRecord, Name, Query, Rcode, RecordType, Records};
use crate::zone::{Record, rdata};

/// The largest TTL; RFC 2181 §8 has larger ones read as zero.
const TTL_MAX: u32 = i32::MAX.unsigned_abs();

/// What an UPDATE message asks. Every owner is in the zone and in lower case, all RDATA well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Update {
    /// What must hold of the zone, in the message's order; RRsets of given values come last.
    pub(super) prerequisites: Vec<Prerequisite>,
    /// What is to be done, in the message's order.
    pub(super) edits: Vec<Edit>,
}

/// What must hold of the zone before anything is done (RFC 2136 §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prerequisite {
    /// The RRset exists, whatever its values (§2.4.1).
    RrsetExists(Name, RecordType),
    /// The RRset has these records and no other (§2.4.2). In canonical form, sorted, each once.
    RrsetIs(Name, RecordType, Vec<Vec<u8>>),
    /// The RRset does not exist (§2.4.3).
    RrsetIsMissing(Name, RecordType),
    /// The name has a record (§2.4.4).
    NameIsInUse(Name),
    /// The name has none (§2.4.5).
    NameIsFree(Name),
}

/// One change that is asked for (RFC 2136 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// Adds to an RRset (§2.5.1).
    Add(Record),
    /// Deletes an RRset (§2.5.2).
    DeleteRrset(Name, RecordType),
    /// Deletes all RRsets from a name (§2.5.3).
    DeleteName(Name),
    /// Deletes a record from an RRset (§2.5.4).
    DeleteRecord(Name, RecordType, Vec<u8>),
}

/// Why an update is not carried out: the response code, and the reason for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) rcode: Rcode,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(rcode: Rcode, reason: impl Into<String>) -> Self {
        Self { rcode, reason: reason.into() }
    }
}

impl Update {
    /// Reads the sections behind the zone section of `packet`, which is about the zone `apex`.
    ///
    /// # Errors
    /// FORMERR or NOTZONE, as §3.2 and §3.4.1 have it.
    pub(super) fn read(packet: &[u8], query: &Query, apex: &Name) -> Result<Self, Refusal> {
        let count = |at: usize| packet.get(at..at + 2).and_then(|count| count.try_into().ok()).map(u16::from_be_bytes);
        let malformed = || Refusal::new(Rcode::FORMERR, "a record of the message is malformed");
        let header = (count(6), count(8), packet.len() >= HEADER_LENGTH);
        let (Some(prerequisites), Some(edits), true) = header else { return Err(malformed()) };
        let mut records = Records::new(packet, query.question_end);
        let mut update = Self::default();
        let mut rrsets: BTreeMap<(Name, RecordType), Vec<Vec<u8>>> = BTreeMap::new();
        for _ in 0..prerequisites {
            let record = records.next_record().ok_or_else(malformed)?;
            check_owner(&record, apex)?;
            update.prerequisite(record, &mut rrsets)?;
        }
        for ((name, record_type), mut rdatas) in rrsets {
            rdatas.sort();
            rdatas.dedup();
            update.prerequisites.push(Prerequisite::RrsetIs(name, record_type, rdatas));
        }
        for _ in 0..edits {
            let record = records.next_record().ok_or_else(malformed)?;
            check_owner(&record, apex)?;
            update.edits.push(edit(record)?);
        }
        Ok(update)
    }

    /// Takes a record of the prerequisite section (§3.2.5). Values are gathered in `rrsets`.
    fn prerequisite(
        &mut self,
        record: MessageRecord,
        rrsets: &mut BTreeMap<(Name, RecordType), Vec<Vec<u8>>>,
    ) -> Result<(), Refusal> {
        if record.ttl != 0 {
            return Err(malformed(&record, "a prerequisite has a TTL of 0"));
        }
        let name = record.name.to_lowercase();
        let is_name = record.record_type == RecordType::ANY;
        let prerequisite = match record.class {
            Class::ANY | Class::NONE if !record.rdata.is_empty() => {
                return Err(malformed(&record, "a prerequisite of this class has no data"));
            }
            Class::ANY if is_name => Prerequisite::NameIsInUse(name),
            Class::ANY => Prerequisite::RrsetExists(name, record.record_type),
            Class::NONE if is_name => Prerequisite::NameIsFree(name),
            Class::NONE => Prerequisite::RrsetIsMissing(name, record.record_type),
            Class::IN => {
                check_rdata(&record)?;
                let mut canonical = Vec::with_capacity(record.rdata.len());
                rdata::append_canonical(record.record_type, &record.rdata, &mut canonical);
                rrsets.entry((name, record.record_type)).or_default().push(canonical);
                return Ok(());
            }
            _ => return Err(malformed(&record, "the class is none of IN, ANY and NONE")),
        };
        self.prerequisites.push(prerequisite);
        Ok(())
    }
}

/// Takes a record of the update section (§3.4.1.3).
fn edit(record: MessageRecord) -> Result<Edit, Refusal> {
    let name = record.name.to_lowercase();
    let record_type = record.record_type;
    if record.class != Class::IN && record.ttl != 0 {
        return Err(malformed(&record, "a deletion has a TTL of 0"));
    }
    match record.class {
        Class::IN => {
            check_rdata(&record)?;
            let ttl = if record.ttl > TTL_MAX { 0 } else { record.ttl };
            Ok(Edit::Add(Record { name, record_type, ttl, rdata: record.rdata.into() }))
        }
        Class::ANY if !record.rdata.is_empty() => Err(malformed(&record, "a deletion of this class has no data")),
        Class::ANY if record_type == RecordType::ANY => Ok(Edit::DeleteName(name)),
        Class::ANY if record_type.is_meta() => Err(malformed(&record, "the type stands in no zone")),
        Class::ANY => Ok(Edit::DeleteRrset(name, record_type)),
        Class::NONE => {
            check_rdata(&record)?;
            Ok(Edit::DeleteRecord(name, record_type, record.rdata))
        }
        _ => Err(malformed(&record, "the class is none of IN, ANY and NONE")),
    }
}

fn check_owner(record: &MessageRecord, apex: &Name) -> Result<(), Refusal> {
    if record.name.is_at_or_below(apex) {
        return Ok(());
    }
    Err(Refusal::new(Rcode::NOTZONE, format!("{} is not in the zone", record.name)))
}

fn check_rdata(record: &MessageRecord) -> Result<(), Refusal> {
    rdata::check(record.record_type, &record.rdata).map_err(|error| malformed(record, &error.to_string()))
}

fn malformed(record: &MessageRecord, why: &str) -> Refusal {
    Refusal::new(Rcode::FORMERR, format!("{} {}: {why}", record.name, record.record_type))
}
