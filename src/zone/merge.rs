//! A zone file that was edited while changes came over the network: both put together, where they do not meet.
//!
//! | at one RRset | taken is |
//! |---|---|
//! | only one side changed it, or both made the same of it | what they made |
//! | both changed it, each other records | the records of both: what either removed is gone, what either added is there |
//! | both removed a record and each put something else there | a conflict |
//! | one removed the whole RRset, the other added to it | a conflict |
//! | each left a record that the other removed, so that none would stay | a conflict |
//! | both changed its TTL, or made it with another TTL | a conflict |
//! | it may hold one record (CNAME, DNAME), and would hold two | a conflict |
//!
//! It is a conflict too when the whole would break a rule that both sides keep (a CNAME beside other data), or when one
//! side delegates names away at which the other added records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::builder::ZoneBuilder;
use super::change::{is_newer, next_serial};
use super::check::{Problem, Severity, check};
use super::difference::Difference;
use super::merge_soa;
use super::rdata;
use super::record::Record;
use super::tree::Zone;
use crate::wire::{Name, NameKey, RecordType};

/// What came of a merge.
#[derive(Debug)]
pub enum Merged {
    /// The file says nothing that the base did not: the served version stands.
    Served,
    /// The file has all that is served, and its serial says so: it stands by itself.
    File,
    /// The two put together, with a serial newer than both.
    Both(Zone),
}

/// An RRset where the edits of the file and the changes that came over the network meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner.
    pub name: Name,
    /// The type.
    pub record_type: RecordType,
    /// Why both cannot be had.
    pub reason: String,
    /// What the file does to the base.
    pub file: Edit,
    /// What the changes do to the base.
    pub changes: Edit,
}

/// What one side does to an RRset of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Records that go.
    pub removed: Vec<Record>,
    /// Records that come.
    pub added: Vec<Record>,
}

/// The edits of one side, by owner and type.
pub(super) type Edits = BTreeMap<(Name, RecordType), Edit>;

/// Puts together what `file` and `served` each made of `base`. All three have the same apex and seed.
///
/// # Errors
/// Where they meet, by name and type.
pub fn merge(base: &Zone, file: &Zone, served: &Zone) -> Result<Merged, Vec<Conflict>> {
    let (theirs, ours) = (edits(base, file), edits(base, served));
    let (file_serial, served_serial) = (file.soa().serial, served.soa().serial);
    let same_soa = |a: &Zone, b: &Zone| merge_soa::same_but_serial(a, b);
    if theirs.is_empty() && same_soa(base, file) && !is_newer(file_serial, served_serial) {
        return Ok(Merged::Served);
    }
    let is_at_least = file_serial == served_serial || is_newer(file_serial, served_serial);
    if is_at_least && same_soa(file, served) && Difference::between(file, served).is_empty() {
        return Ok(Merged::File);
    }
    let mut conflicts = Vec::new();
    let mut builder = ZoneBuilder::from(served);
    for ((name, record_type), edit) in &theirs {
        let Some(our_edit) = ours.get(&(name.clone(), *record_type)) else {
            let set = Set::of(file, name, *record_type);
            put(&mut builder, name, *record_type, &set, &mut conflicts);
            continue;
        };
        let [base, file, served] = [base, file, served].map(|zone| Set::of(zone, name, *record_type));
        match base.merge(&file, &served, *record_type) {
            Ok(set) => put(&mut builder, name, *record_type, &set, &mut conflicts),
            Err(reason) => conflicts.push(Conflict {
                name: name.clone(),
                record_type: *record_type,
                reason: reason.to_owned(),
                file: edit.clone(),
                changes: our_edit.clone(),
            }),
        }
    }
    hidden(&theirs, &ours, &mut conflicts);
    match merge_soa::merge(base, file, served, newer_than_both(file_serial, served_serial)) {
        Ok(soa) => put(&mut builder, served.apex(), RecordType::SOA, &Set::one(&soa), &mut conflicts),
        Err(conflict) => conflicts.push(*conflict),
    }
    let merged = builder.finish();
    if conflicts.is_empty() {
        broken(&merged, file, served, (&theirs, &ours), &mut conflicts);
    }
    if conflicts.is_empty() { Ok(Merged::Both(merged)) } else { Err(conflicts) }
}

/// A serial that follows both; none when they are 2^31 apart.
fn newer_than_both(a: u32, b: u32) -> Option<u32> {
    match (is_newer(a, b), is_newer(b, a)) {
        (true, _) => Some(next_serial(a)),
        (_, true) => Some(next_serial(b)),
        _ if a == b => Some(next_serial(a)),
        _ => None,
    }
}

/// What is done to `base` to make `other` of it, the SOA left out.
fn edits(base: &Zone, other: &Zone) -> Edits {
    let Difference { removed, added } = Difference::between(base, other);
    let mut edits = Edits::new();
    for record in removed {
        edits.entry((record.name.clone(), record.record_type)).or_default().removed.push(record);
    }
    for record in added {
        edits.entry((record.name.clone(), record.record_type)).or_default().added.push(record);
    }
    edits
}

/// An RRset: empty when there is none.
#[derive(Debug, Clone, Default)]
struct Set {
    ttl: u32,
    rdatas: Vec<Vec<u8>>,
}

impl Set {
    fn of(zone: &Zone, name: &Name, record_type: RecordType) -> Self {
        let rrset = zone.rrset(&NameKey::new(name, zone.seed()), record_type);
        rrset.map_or_else(Self::default, |rrset| Self {
            ttl: rrset.ttl,
            rdatas: rrset.rdatas().map(<[u8]>::to_vec).collect(),
        })
    }

    fn one(record: &Record) -> Self {
        Self { ttl: record.ttl, rdatas: vec![record.rdata.to_vec()] }
    }

    fn is_empty(&self) -> bool {
        self.rdatas.is_empty()
    }

    fn without(&self, other: &Self) -> Vec<&Vec<u8>> {
        self.rdatas.iter().filter(|rdata| !other.rdatas.contains(rdata)).collect()
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_ttl = self.ttl == other.ttl || self.is_empty();
        same_ttl && self.without(other).is_empty() && other.without(self).is_empty()
    }

    /// What is made of this RRset by two sides that both changed it, or why not. As the table above says.
    fn merge(&self, file: &Self, served: &Self, record_type: RecordType) -> Result<Self, &'static str> {
        if file.is_same(served) {
            return Ok(file.clone());
        }
        let ttl = self.merge_ttl(file, served).ok_or("both set its TTL")?;
        let (file_added, served_added) = (file.without(self), served.without(self));
        let (file_removed, served_removed) = (self.without(file), self.without(served));
        let added_same = file.without(served).iter().all(|rdata| !file_added.contains(rdata))
            && served.without(file).iter().all(|rdata| !served_added.contains(rdata));
        if !added_same && file_removed.iter().any(|rdata| served_removed.contains(rdata)) {
            return Err("both replaced the same record");
        }
        let emptied = |side: &Self| side.is_empty() && !self.is_empty();
        if emptied(file) && !served_added.is_empty() || emptied(served) && !file_added.is_empty() {
            return Err("one side removed what the other added to");
        }
        let is_gone = |rdata: &&Vec<u8>| file_removed.contains(rdata) || served_removed.contains(rdata);
        let mut rdatas: Vec<Vec<u8>> = self.rdatas.iter().filter(|rdata| !is_gone(rdata)).cloned().collect();
        for rdata in file_added.into_iter().chain(served_added) {
            if !rdatas.contains(rdata) {
                rdatas.push(rdata.clone());
            }
        }
        if rdatas.is_empty() && !file.is_empty() && !served.is_empty() {
            return Err("each side removed what the other left");
        }
        if rdatas.len() > 1 && matches!(record_type, RecordType::CNAME | RecordType::DNAME) {
            return Err("it may hold one record, and both sides set one");
        }
        Ok(Self { ttl, rdatas })
    }

    fn merge_ttl(&self, file: &Self, served: &Self) -> Option<u32> {
        let ttl_of = |side: &Self| if side.is_empty() { self.ttl } else { side.ttl };
        let (file_ttl, served_ttl) = (ttl_of(file), ttl_of(served));
        match () {
            () if file_ttl == served_ttl => Some(file_ttl),
            () if self.is_empty() => None,
            () if file_ttl == self.ttl => Some(served_ttl),
            () if served_ttl == self.ttl => Some(file_ttl),
            () => None,
        }
    }
}

fn put(builder: &mut ZoneBuilder, name: &Name, record_type: RecordType, set: &Set, conflicts: &mut Vec<Conflict>) {
    let rdatas: Vec<&[u8]> = set.rdatas.iter().map(Vec::as_slice).collect();
    if let Err(error) = builder.put(name, record_type, set.ttl, &rdatas) {
        let (file, changes) = (Edit::default(), Edit::default());
        conflicts.push(Conflict { name: name.clone(), record_type, reason: error.to_string(), file, changes });
    }
}

/// Finds records that one side added at names which the other delegates away or redirects.
fn hidden(theirs: &Edits, ours: &Edits, conflicts: &mut Vec<Conflict>) {
    for (cutting, other, is_file) in [(theirs, ours, true), (ours, theirs, false)] {
        let cuts = cutting.iter().filter(|((_, record_type), edit)| {
            matches!(*record_type, RecordType::NS | RecordType::DNAME) && edit.removed.is_empty()
        });
        for ((cut, record_type), cut_edit) in cuts {
            // Addresses below a delegation are glue.
            let is_glue =
                |of: RecordType| *record_type == RecordType::NS && matches!(of, RecordType::A | RecordType::AAAA);
            let below = other.iter().filter(|((name, of), edit)| {
                !edit.added.is_empty() && name != cut && name.is_at_or_below(cut) && !is_glue(*of)
            });
            // The apex has NS and hides nothing; it is in no edit as a new RRset.
            for ((name, of), edit) in below {
                let (file, changes) = if is_file { (cut_edit, edit) } else { (edit, cut_edit) };
                conflicts.push(Conflict {
                    name: name.clone(),
                    record_type: *of,
                    reason: format!("the {record_type} at {cut} would hide it"),
                    file: file.clone(),
                    changes: changes.clone(),
                });
            }
        }
    }
}

/// Finds rules that the merged zone breaks and neither side does.
fn broken(merged: &Zone, file: &Zone, served: &Zone, edits: (&Edits, &Edits), conflicts: &mut Vec<Conflict>) {
    let errors = |zone: &Zone| check(zone).into_iter().filter(|problem| problem.severity == Severity::Error);
    let key = |problem: &Problem| (problem.name.clone(), problem.reason.clone());
    let known: BTreeSet<_> = errors(file).chain(errors(served)).map(|problem| key(&problem)).collect();
    for problem in errors(merged).filter(|problem| !known.contains(&key(problem))) {
        let at = |edits: &Edits| {
            let mut all = Edit::default();
            for (_, edit) in edits.iter().filter(|((name, _), _)| *name == problem.name) {
                all.removed.extend(edit.removed.iter().cloned());
                all.added.extend(edit.added.iter().cloned());
            }
            all
        };
        conflicts.push(Conflict {
            name: problem.name.clone(),
            record_type: problem.record_type.unwrap_or(RecordType::ANY),
            reason: problem.reason.clone(),
            file: at(edits.0),
            changes: at(edits.1),
        });
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, record_type, reason, file, changes } = self;
        match *record_type {
            RecordType::ANY => write!(f, "{name}: {reason}: ")?,
            _ => write!(f, "{name} {record_type}: {reason}: ")?,
        }
        write!(f, "the file {file}; updates {changes}")
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |records: &[Record]| {
            let shown = |record: &Record| {
                let data = rdata::to_text(record.record_type, &record.rdata);
                format!("{} {} {data}", record.ttl, record.record_type)
            };
            records.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        match (self.removed.is_empty(), self.added.is_empty()) {
            (true, true) => f.write_str("left it"),
            (false, true) => write!(f, "removed {}", list(&self.removed)),
            (true, false) => write!(f, "added {}", list(&self.added)),
            (false, false) => write!(f, "replaced {} by {}", list(&self.removed), list(&self.added)),
        }
    }
}
