//! What a frame of the journal holds, in octets. Numbers are big-endian, names and RDATA in uncompressed wire form.
//!
//! ```text
//! payload: items, each a tag and its content
//! base 1: zone | records    change 2: zone | at u64 | from u32 | to u32 | SOA | SOA | records removed | records added
//! forget 3: zone            closed 4: nothing
//! zone: length of the view's name u32 | it | apex
//! records: count u32, each owner | type u16 | TTL u32 | RDLENGTH u16 | RDATA
//! ```

use std::sync::Arc;

use crate::wire::{Name, RecordType};
use crate::zone::{Change, Difference, Record, Sizes, ViewName, Zone, ZoneBuilder, ZoneId};

const BASE: u8 = 1;
const CHANGE: u8 = 2;
const FORGET: u8 = 3;
const CLOSED: u8 = 4;

/// One statement of a frame.
#[derive(Debug)]
pub(super) enum Item {
    /// The version that the zone's changes start from. What was there of the zone before is gone.
    Base(ZoneId, Zone),
    /// The next change of a zone, and when it was made.
    Change(ZoneId, Arc<Change>, u64),
    /// The journal holds nothing of the zone any more.
    Forget(ZoneId),
    /// The journal was closed in order.
    Closed,
}

/// Appends the version that a zone's changes start from.
pub(super) fn append_base(out: &mut Vec<u8>, zone: &ZoneId, base: &Zone) {
    out.push(BASE);
    append_identity(out, zone);
    out.extend(length(base.records()).to_be_bytes());
    base.for_each(|owner, rrset| {
        for rdata in rrset.rdatas() {
            append_parts(out, owner, rrset.record_type, rrset.ttl, rdata);
        }
    });
}

/// Appends one change of a zone.
pub(super) fn append_change(out: &mut Vec<u8>, zone: &ZoneId, change: &Change, at: u64) {
    out.push(CHANGE);
    append_identity(out, zone);
    out.extend(at.to_be_bytes());
    out.extend(change.from.to_be_bytes());
    out.extend(change.to.to_be_bytes());
    append_record(out, &change.old_soa);
    append_record(out, &change.new_soa);
    for records in [&change.difference.removed, &change.difference.added] {
        out.extend(length(records.len()).to_be_bytes());
        for record in records {
            append_record(out, record);
        }
    }
}

/// Appends that nothing is held of a zone any more.
pub(super) fn append_forget(out: &mut Vec<u8>, zone: &ZoneId) {
    out.push(FORGET);
    append_identity(out, zone);
}

/// Appends that the journal was closed in order.
pub(super) fn append_closed(out: &mut Vec<u8>) {
    out.push(CLOSED);
}

/// About what a change takes on disk, its share of a frame included.
pub(super) fn change_octets(change: &Change) -> u64 {
    let difference = &change.difference;
    let records = [&change.old_soa, &change.new_soa].into_iter().chain(&difference.removed).chain(&difference.added);
    let octets = records.map(|record| record.name.as_wire().len() + record.rdata.len() + 8).sum::<usize>();
    u64::try_from(octets).unwrap_or(u64::MAX).saturating_add(128)
}

/// About what a zone takes on disk.
pub(super) fn zone_octets(zone: &Zone) -> u64 {
    let mut octets = 64;
    zone.for_each(|owner, rrset| octets += usize::from(rrset.count) * (owner.len() + 6) + rrset.octets());
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// The items of a payload. `seed` is the secret that names of zones are hashed with.
///
/// # Errors
/// What is wrong with it.
pub(super) fn items(payload: &[u8], seed: u64) -> Result<Vec<Item>, String> {
    let mut rest = payload;
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(
            item(&mut rest, seed).ok_or_else(|| {
                format!("what stands {} octets from the end of a frame is not understood", rest.len())
            })?,
        );
    }
    Ok(items)
}

fn item(rest: &mut &[u8], seed: u64) -> Option<Item> {
    let [tag] = take(rest)?;
    Some(match tag {
        BASE => {
            let zone = identity(rest)?;
            let base = base(rest, &zone, seed)?;
            Item::Base(zone, base)
        }
        CHANGE => {
            let zone = identity(rest)?;
            let at = u64::from_be_bytes(take(rest)?);
            let (from, to) = (u32::from_be_bytes(take(rest)?), u32::from_be_bytes(take(rest)?));
            let (old_soa, new_soa) = (record(rest)?, record(rest)?);
            let difference = Difference { removed: records(rest)?, added: records(rest)? };
            Item::Change(zone, Arc::new(Change { from, to, old_soa, new_soa, difference }), at)
        }
        FORGET => Item::Forget(identity(rest)?),
        CLOSED => Item::Closed,
        _ => return None,
    })
}

fn base(rest: &mut &[u8], zone: &ZoneId, seed: u64) -> Option<Zone> {
    let mut builder = ZoneBuilder::new(&zone.apex, seed).rrsets_up_to(Sizes::MOST.rrset_records);
    for _ in 0..u32::from_be_bytes(take(rest)?) {
        let Record { name, record_type, ttl, rdata } = record(rest)?;
        builder.add(&name, record_type, ttl, &rdata).ok()?;
    }
    Some(builder.finish())
}

fn records(rest: &mut &[u8]) -> Option<Vec<Record>> {
    // The count is not trusted with an allocation: each record takes octets that must be there.
    (0..u32::from_be_bytes(take(rest)?)).map(|_| record(rest)).collect()
}

fn record(rest: &mut &[u8]) -> Option<Record> {
    let name = name(rest)?;
    let record_type = RecordType(u16::from_be_bytes(take(rest)?));
    let ttl = u32::from_be_bytes(take(rest)?);
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (rdata, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(Record { name, record_type, ttl, rdata: rdata.into() })
}

fn append_record(out: &mut Vec<u8>, record: &Record) {
    append_parts(out, record.name.as_wire(), record.record_type, record.ttl, &record.rdata);
}

fn append_parts(out: &mut Vec<u8>, owner: &[u8], record_type: RecordType, ttl: u32, rdata: &[u8]) {
    out.extend_from_slice(owner);
    out.extend(record_type.0.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    // A record of a zone is never longer than its length field.
    let length = u16::try_from(rdata.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(rdata.get(..usize::from(length)).unwrap_or(rdata));
}

fn append_identity(out: &mut Vec<u8>, zone: &ZoneId) {
    let view = zone.view.as_str().as_bytes();
    out.extend(length(view.len()).to_be_bytes());
    out.extend_from_slice(view);
    out.extend_from_slice(zone.apex.as_wire());
}

fn identity(rest: &mut &[u8]) -> Option<ZoneId> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
    let (view, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(ZoneId::new(ViewName::new(std::str::from_utf8(view).ok()?), name(rest)?.to_lowercase()))
}

/// An uncompressed name: its labels to the root.
fn name(rest: &mut &[u8]) -> Option<Name> {
    let mut end = 0;
    while let length @ 1.. = *rest.get(end)? {
        end += 1 + usize::from(length);
    }
    let (wire, tail) = rest.split_at_checked(end + 1)?;
    *rest = tail;
    Name::from_wire(wire).ok()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*taken)
}

fn length(count: usize) -> u32 {
    // `limits.zones.records` and `records_max` are at most a thousand million.
    u32::try_from(count).unwrap_or(u32::MAX)
}
