//! Replies of other servers, read once: what they answer, their records, where their signature stands.

use crate::wire::{Class, HEADER_LENGTH, MessageRecord, Name, Opcode, Rcode, RecordType, Records, option};

/// A reply. What is malformed anywhere is no reply.
pub(super) struct Reply {
    pub(super) id: u16,
    pub(super) opcode: Opcode,
    /// With the bits that OPT adds (RFC 6891 §6.1.3).
    pub(super) rcode: Rcode,
    /// Whether the other side knows EDNS.
    pub(super) has_opt: bool,
    /// For how many more seconds the zone may be served (RFC 7314 §3).
    pub(super) expire: Option<u32>,
    /// Later messages of a transfer need not repeat it (RFC 5936 §2.2.2).
    pub(super) question: Option<(Name, RecordType)>,
    pub(super) answers: Vec<MessageRecord>,
    /// Where the TSIG record starts, if the message ends in one.
    pub(super) tsig: Option<usize>,
}

impl Reply {
    /// Reads a message with QR set, at most one question and as many records as it says.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER_LENGTH>()?;
        let [id0, id1, flags, low, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
        if flags & 0x80 == 0 {
            return None;
        }
        let count = |high, low| usize::from(u16::from_be_bytes([high, low]));
        let (mut question, mut at) = (None, HEADER_LENGTH);
        match count(q0, q1) {
            0 => {}
            1 => {
                let (name, record_type, end) = read_question(message)?;
                (question, at) = (Some((name, record_type)), end);
            }
            _ => return None,
        }
        let mut records = Records::new(message, at);
        let answers: Vec<MessageRecord> = (0..count(a0, a1)).map(|_| records.next_record()).collect::<Option<_>>()?;
        let (before, additional) = (count(n0, n1), count(r0, r1));
        let (mut tsig, mut opt) = (None, None);
        for index in 0..before + additional {
            let record = records.next_record()?;
            if record.record_type == RecordType::TSIG {
                // RFC 8945 §5.1: the last record of the additional section.
                if index < before || index + 1 != before + additional {
                    return None;
                }
                tsig = Some(record.start);
            }
            if record.record_type == RecordType::OPT {
                opt = Some(record);
            }
        }
        let rcode_high = opt.as_ref().map_or(0, |opt| u16::from(opt.ttl.to_be_bytes()[0]));
        Some(Self {
            id: u16::from_be_bytes([id0, id1]),
            opcode: Opcode(flags >> 3 & 0xf),
            rcode: Rcode(rcode_high << 4 | u16::from(low & 0xf)),
            has_opt: opt.is_some(),
            expire: opt.and_then(|opt| expire(&opt.rdata)),
            question,
            answers,
            tsig,
        })
    }

    /// Whether it answers the query of that id and opcode for `name` and `record_type`.
    pub(super) fn is_to(&self, id: u16, opcode: Opcode, name: &Name, record_type: RecordType) -> bool {
        let is_same = |(asked, of_type): &(Name, RecordType)| asked == name && *of_type == record_type;
        self.id == id && self.opcode == opcode && self.question.as_ref().is_none_or(is_same)
    }
}

/// The data of EXPIRE among these options.
fn expire(mut options: &[u8]) -> Option<u32> {
    while let Some((header, rest)) = options.split_first_chunk::<4>() {
        let [code, code_low, length, length_low] = *header;
        let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([length, length_low])))?;
        if u16::from_be_bytes([code, code_low]) == option::EXPIRE {
            return data.try_into().ok().map(u32::from_be_bytes);
        }
        options = rest;
    }
    None
}

/// The question behind the header, and where it ends; of class IN, its name uncompressed.
fn read_question(message: &[u8]) -> Option<(Name, RecordType, usize)> {
    let rest = message.get(HEADER_LENGTH..)?;
    let mut length = 0;
    // 255 octets hold at most 128 labels with the root.
    for _ in 0..128 {
        let label = usize::from(*rest.get(length)?);
        length += 1 + label;
        if label == 0 {
            break;
        }
    }
    let name = Name::from_wire(rest.get(..length)?).ok()?;
    let [t0, t1, c0, c1] = *rest.get(length..)?.first_chunk::<4>()?;
    let is_in = Class(u16::from_be_bytes([c0, c1])) == Class::IN;
    is_in.then_some((name, RecordType(u16::from_be_bytes([t0, t1])), HEADER_LENGTH + length + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x07eXample\x00\x00\xfc\x00\x01";
    const A: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x01\x02\x03\x04";
    const TSIG: &[u8] = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";

    fn message(flags: u8, counts: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let [q, a, n, r] = counts;
        [&[0, 7, flags, 0, 0, q, 0, a, 0, n, 0, r], &parts.concat()[..]].concat()
    }

    #[test]
    fn a_reply_is_read_with_or_without_its_question() {
        let name: Name = "example.".parse().unwrap();
        let read = Reply::read(&message(0x80, [1, 1, 0, 1], &[QUESTION, A, TSIG])).unwrap();
        assert!(read.is_to(7, Opcode::QUERY, &name, RecordType::AXFR));
        assert_eq!((read.answers.len(), read.tsig), (1, Some(12 + QUESTION.len() + A.len())));
        let owned = &[b"\x01a\x00", &A[2..]].concat()[..];
        let read = Reply::read(&message(0x80, [0, 1, 0, 0], &[owned])).unwrap();
        assert!(read.is_to(7, Opcode::QUERY, &name, RecordType::AXFR) && read.tsig.is_none(), "RFC 5936 §2.2.2");
    }

    #[test]
    fn rfc7314_3_expire_is_read_where_it_is_whole() {
        let opt = |options: &[u8]| {
            let length = u16::try_from(options.len()).unwrap().to_be_bytes();
            [&[0, 0, 41, 4, 208, 1, 0, 0, 0][..], &length, options].concat()
        };
        let check = |options: &[u8], expected| {
            let read = Reply::read(&message(0x80, [1, 0, 0, 1], &[QUESTION, &opt(options)])).unwrap();
            assert_eq!((read.has_opt, read.rcode, read.expire), (true, Rcode(16), expected), "{options:?}");
        };
        check(&[], None);
        check(&[0, 9, 0, 0], None);
        check(&[0, 9, 0, 4, 0, 0, 1], None);
        check(&[0, 3, 0, 1, 7, 0, 9, 0, 4, 0, 0, 1, 2], Some(258));
        assert!(!Reply::read(&message(0x80, [1, 0, 0, 0], &[QUESTION])).unwrap().has_opt);
    }

    #[test]
    fn what_answers_another_question_is_told_apart() {
        let name: Name = "example.".parse().unwrap();
        let read = Reply::read(&message(0x80, [1, 0, 0, 0], &[QUESTION])).unwrap();
        let check = |id, opcode, name: &str, record_type| {
            assert!(!read.is_to(id, opcode, &name.parse().unwrap(), record_type));
        };
        assert!(read.is_to(7, Opcode::QUERY, &name, RecordType::AXFR));
        check(8, Opcode::QUERY, "example.", RecordType::AXFR);
        check(7, Opcode::NOTIFY, "example.", RecordType::AXFR);
        check(7, Opcode::QUERY, "example.net.", RecordType::AXFR);
        check(7, Opcode::QUERY, "example.", RecordType::SOA);
    }

    #[test]
    fn what_is_malformed_is_no_reply() {
        let check = |flags, counts, parts: &[&[u8]]| assert!(Reply::read(&message(flags, counts, parts)).is_none());
        check(0, [1, 0, 0, 0], &[QUESTION]);
        check(0x80, [2, 0, 0, 0], &[QUESTION, QUESTION]);
        check(0x80, [1, 2, 0, 0], &[QUESTION, A]);
        check(0x80, [1, 0, 0, 2], &[QUESTION, TSIG, A]);
        check(0x80, [1, 0, 1, 0], &[QUESTION, TSIG]);
        check(0x80, [1, 0, 0, 0], &[b"\x07example\x00\x00\xfc\x00\x03"]);
        let whole = message(0x80, [1, 1, 0, 1], &[QUESTION, A, TSIG]);
        (0..whole.len()).for_each(|length| assert!(Reply::read(&whole[..length]).is_none(), "{length}"));
    }
}
