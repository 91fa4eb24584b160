//! The SOA of a merged zone: each field from the side that changed it.

use super::merge::{Conflict, Edit};
use super::record::Record;
use super::tree::Zone;
use crate::wire::{Name, RecordType};

/// The fields of an SOA record but its serial.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Fields<'z> {
    ttl: u32,
    mname: &'z [u8],
    rname: &'z [u8],
    /// Refresh, retry, expire and minimum.
    timers: [u32; 4],
}

/// Whether the SOA records of both are the same, whatever their serials.
pub(super) fn same_but_serial(a: &Zone, b: &Zone) -> bool {
    match (a.soa_record(), b.soa_record()) {
        (Some(a), Some(b)) => Fields::of(&a) == Fields::of(&b),
        (a, b) => a.is_none() == b.is_none(),
    }
}

/// The SOA record that both sides make of that of `base`, with the serial `serial`.
pub(super) fn merge(base: &Zone, file: &Zone, served: &Zone, serial: Option<u32>) -> Result<Record, Box<Conflict>> {
    let records = [base, file, served].map(Zone::soa_record);
    let conflict = |reason: &str| {
        let [base, file, served] = &records;
        let edit = |side: &Option<Record>| Edit {
            removed: base.iter().cloned().collect(),
            added: side.iter().cloned().collect(),
        };
        Box::new(Conflict {
            name: served_name(served.as_ref(), base.as_ref()),
            record_type: RecordType::SOA,
            reason: reason.to_owned(),
            file: edit(file),
            changes: edit(served),
        })
    };
    let [Some(base_fields), Some(file_fields), Some(served_fields)] =
        records.each_ref().map(|record| record.as_ref().and_then(Fields::of))
    else {
        return Err(conflict("one side has no SOA"));
    };
    let serial = serial.ok_or_else(|| conflict("no serial is newer than both"))?;
    let merged = base_fields.merge(&file_fields, &served_fields).ok_or_else(|| conflict("both changed a field"))?;
    let name = served.apex().clone();
    Ok(Record { name, record_type: RecordType::SOA, ttl: merged.ttl, rdata: merged.rdata(serial).into() })
}

fn served_name(served: Option<&Record>, base: Option<&Record>) -> Name {
    served.or(base).map_or_else(Name::root, |record| record.name.clone())
}

impl<'z> Fields<'z> {
    fn of(record: &'z Record) -> Option<Self> {
        let (names, numbers) = record.rdata.split_last_chunk::<20>()?;
        let mut end = 0;
        while let length @ 1.. = *names.get(end)? {
            end += 1 + usize::from(length);
        }
        let (mname, rname) = names.split_at_checked(end + 1)?;
        let number = |at: usize| numbers.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        Some(Self { ttl: record.ttl, mname, rname, timers: [4, 8, 12, 16].map(number) })
    }

    fn merge(&self, file: &Self, served: &Self) -> Option<Self> {
        let mut timers = self.timers;
        for ((timer, file), served) in timers.iter_mut().zip(file.timers).zip(served.timers) {
            *timer = pick(*timer, file, served)?;
        }
        Some(Self {
            ttl: pick(self.ttl, file.ttl, served.ttl)?,
            mname: pick(self.mname, file.mname, served.mname)?,
            rname: pick(self.rname, file.rname, served.rname)?,
            timers,
        })
    }

    fn rdata(&self, serial: u32) -> Vec<u8> {
        let mut rdata = [self.mname, self.rname].concat();
        rdata.extend(serial.to_be_bytes());
        rdata.extend(self.timers.into_iter().flat_map(u32::to_be_bytes));
        rdata
    }
}

/// What the side that changed it made of a value; none when both did and differ.
fn pick<T: PartialEq>(base: T, file: T, served: T) -> Option<T> {
    match () {
        () if file == served || file == base => Some(served),
        () if served == base => Some(file),
        () => None,
    }
}
