//! Reading the records of a message that another server sent: names and RDATA uncompressed, every step bounded.

use super::name::{MAX_NAME_LENGTH, Name};
use super::query::HEADER_LENGTH;
use super::types::{Class, RecordType};

/// Pointers that one name may go through. Each leads backwards, and names have at most 127 labels.
const POINTERS_MAX: usize = 127;

/// One record of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Where it starts in the message.
    pub start: usize,
    /// The owner, as written.
    pub name: Name,
    /// The type.
    pub record_type: RecordType,
    /// The class.
    pub class: Class,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The data, names in it uncompressed (RFC 3597 §4).
    pub rdata: Vec<u8>,
}

/// The records of a message, from some offset on.
pub struct Records<'p> {
    packet: &'p [u8],
    at: usize,
}

impl<'p> Records<'p> {
    /// The records from `at` on.
    pub const fn new(packet: &'p [u8], at: usize) -> Self {
        Self { packet, at }
    }

    /// Where the next record starts.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The next record; none when there is no whole one.
    pub fn next_record(&mut self) -> Option<MessageRecord> {
        let start = self.at;
        let mut owner = Vec::with_capacity(64);
        let at = append_name(self.packet, start, &mut owner)?;
        let (fields, rest) = self.packet.get(at..)?.split_first_chunk::<10>()?;
        let [t0, t1, c0, c1, ttl @ .., l0, l1] = *fields;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        rest.get(..length)?;
        let record_type = RecordType(u16::from_be_bytes([t0, t1]));
        let (from, end) = (at + 10, at + 10 + length);
        let rdata = expand(self.packet, record_type, from, end)?;
        self.at = end;
        Some(MessageRecord {
            start,
            name: Name::from_wire(&owner).ok()?,
            record_type,
            class: Class(u16::from_be_bytes([c0, c1])),
            ttl: u32::from_be_bytes(ttl),
            rdata,
        })
    }
}

/// RDATA between two offsets with its names uncompressed; none when a name does not end where its type says.
fn expand(packet: &[u8], record_type: RecordType, from: usize, end: usize) -> Option<Vec<u8>> {
    if from == end {
        // RFC 2136 §2.4: what an update asks or deletes by type has no data.
        return Some(Vec::new());
    }
    let Some((fixed, names)) = layout(record_type) else { return Some(packet.get(from..end)?.to_vec()) };
    let mut at = from + fixed;
    let mut rdata = packet.get(from..at.min(end))?.to_vec();
    for _ in 0..names {
        at = append_name(packet, at, &mut rdata)?;
    }
    // A name that ran over the end of its record was not one.
    rdata.extend_from_slice(packet.get(at..end)?);
    Some(rdata)
}

/// Octets before, and number of, the names in RDATA that other servers compress (RFC 3597 §4 with RFC 1035's types).
const fn layout(record_type: RecordType) -> Option<(usize, usize)> {
    match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => Some((0, 1)),
        RecordType::SOA | RecordType::RP => Some((0, 2)),
        RecordType::MX | RecordType::AFSDB | RecordType::KX => Some((2, 1)),
        RecordType::SRV => Some((6, 1)),
        _ => None,
    }
}

/// Appends the uncompressed form of the name at `at`; where the name's own octets end.
fn append_name(packet: &[u8], mut at: usize, wire: &mut Vec<u8>) -> Option<usize> {
    let start = wire.len();
    let mut end = None;
    let mut pointers = 0;
    loop {
        let length = *packet.get(at)?;
        match length {
            0 => {
                wire.push(0);
                return (wire.len() - start <= MAX_NAME_LENGTH).then_some(end.unwrap_or(at + 1));
            }
            1..=63 => {
                wire.extend_from_slice(packet.get(at..=at + usize::from(length))?);
                if wire.len() - start > MAX_NAME_LENGTH {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            192..=255 => {
                let target = usize::from(u16::from_be_bytes([length & 0x3f, *packet.get(at + 1)?]));
                end = end.or(Some(at + 2));
                pointers += 1;
                // RFC 1035 §4.1.4: a pointer leads to a prior occurrence; one that does not could go round for ever. In the
                // header there is none: what looks like one changes with the message's id.
                if target >= at || target < HEADER_LENGTH || pointers > POINTERS_MAX {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(packet: &[u8], at: usize) -> Option<(String, Vec<u8>, usize)> {
        let mut records = Records::new(packet, at);
        let record = records.next_record()?;
        Some((record.name.to_string(), record.rdata, records.position()))
    }

    #[test]
    fn names_and_rdata_are_uncompressed() {
        let head = [&[0; HEADER_LENGTH], &b"\x01b\x01a\0"[..]].concat();
        let mx = [&head[..], b"\x01c\xc0\x0e", &[0, 15, 0, 1, 0, 0, 0, 9, 0, 4, 0, 5, 0xc0, 12]].concat();
        let expected = ("c.a.".to_owned(), b"\0\x05\x01b\x01a\0".to_vec(), mx.len());
        assert_eq!(read(&mx, head.len()), Some(expected));
    }

    #[test]
    fn pointers_that_do_not_lead_back_are_refused() {
        let tail = [0, 1, 0, 1, 0, 0, 0, 9, 0, 0];
        let owners = [&[0xc0, 12][..], &[0xc0, 17], &[1, b'a', 0xc0, 14], &[0x40], &[0x80], &[0xff, 0xff]];
        for owner in owners {
            assert_eq!(read(&[&[0; HEADER_LENGTH], owner, &tail].concat(), HEADER_LENGTH), None, "{owner:?}");
        }
    }

    #[test]
    fn pointers_into_the_header_are_refused() {
        let tail = [0, 1, 0, 1, 0, 0, 0, 9, 0, 0];
        for target in 0..HEADER_LENGTH {
            // Its octets would do as the root's name.
            let owner = [0xc0, u8::try_from(target).unwrap()];
            assert_eq!(read(&[&[0; HEADER_LENGTH], &owner[..], &tail].concat(), HEADER_LENGTH), None, "{target}");
        }
    }

    #[test]
    fn a_name_in_rdata_ends_with_its_record() {
        let record = |length: u8| [&[0][..], &[0, 2, 0, 1, 0, 0, 0, 9, 0, length], b"\x01a\0"].concat();
        assert!(read(&record(3), 0).is_some());
        let empty = [&[0][..], &[0, 2, 0, 255, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(read(&empty, 0), Some((".".to_owned(), Vec::new(), empty.len())));
        assert!(read(&record(2), 0).is_none() && read(&record(4), 0).is_none());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
            let mut records = Records::new(&octets, at);
            let mut count = 0;
            while records.next_record().is_some() {
                count += 1;
            }
            prop_assert!(count * 11 <= octets.len());
        }
    }
}
