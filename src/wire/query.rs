//! Reading a query: the header, one question, and from the other sections only OPT and TSIG; all else is skipped by length.

use super::edns::Edns;
use super::key::NameKey;
use super::types::{Class, Opcode, Rcode, RecordType};

/// Octets of a message's header (RFC 1035 §4.1.1).
pub const HEADER_LENGTH: usize = 12;

/// A packet that deserves an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The message's id.
    pub id: u16,
    /// What is asked for.
    pub opcode: Opcode,
    /// The RD bit, copied to the reply.
    pub recursion_desired: bool,
    /// The CD bit, copied to the reply (RFC 4035 §3.1.6).
    pub checking_disabled: bool,
    /// Where the question ends; it starts behind the header. [`HEADER_LENGTH`] when there is none to echo: it could not
    /// be read, or a cookie alone is asked for.
    pub question_end: usize,
    /// The type asked for.
    pub record_type: RecordType,
    /// The class asked for.
    pub class: Class,
    /// The OPT record.
    pub edns: Option<Edns>,
    /// Where the TSIG record starts, if the message ends in one.
    pub tsig: Option<usize>,
}

/// Why a packet gets no reply at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// Under 12 octets: there is no id to answer to.
    Runt,
    /// It is a response; answering it could start a loop.
    Response,
    /// It comes from port 0, where nothing listens.
    SourcePortZero,
}

/// Why a packet is not answered from data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It gets no reply.
    Silent(Silence),
    /// It gets a reply with this code.
    Reply(Rcode),
}

impl Query {
    /// A query of which nothing is known, to be [read](Self::read) into.
    pub const fn empty() -> Self {
        Self {
            id: 0,
            opcode: Opcode::QUERY,
            recursion_desired: false,
            checking_disabled: false,
            question_end: HEADER_LENGTH,
            record_type: RecordType(0),
            class: Class(0),
            edns: None,
            tsig: None,
        }
    }

    /// Reads `packet`; the name asked for goes to `key`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(packet: &[u8], key: &mut NameKey, seed: u64) -> Result<Self, Refusal> {
        let mut query = Self::empty();
        query.read(packet, key, seed).map(|()| query)
    }

    /// Reads `packet` in the place of what was read before; the name asked for goes to `key`. Nothing is moved, for this
    /// is done for every packet.
    ///
    /// # Errors
    /// [`Refusal`]: silence for what must not be answered, FORMERR for what is malformed, NOTIMP for other opcodes. What
    /// could be read is here then, so that the reply can be like the query.
    #[inline]
    pub fn read(&mut self, packet: &[u8], key: &mut NameKey, seed: u64) -> Result<(), Refusal> {
        let header = packet.first_chunk::<HEADER_LENGTH>().ok_or(Refusal::Silent(Silence::Runt))?;
        let [id_high, id_low, flags, flags_low, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
        if flags & 0x80 != 0 {
            return Err(Refusal::Silent(Silence::Response));
        }
        self.id = u16::from_be_bytes([id_high, id_low]);
        self.opcode = Opcode(flags >> 3 & 0xf);
        self.recursion_desired = flags & 1 != 0;
        self.checking_disabled = flags_low & 0x10 != 0;
        self.question_end = HEADER_LENGTH;
        (self.record_type, self.class) = (RecordType(0), Class(0));
        (self.edns, self.tsig) = (None, None);
        if !matches!(self.opcode, Opcode::QUERY | Opcode::NOTIFY | Opcode::UPDATE) {
            return Err(Refusal::Reply(Rcode::NOTIMP));
        }
        let questions = u16::from_be_bytes([q0, q1]);
        let has_question = questions == 1 && self.read_question(packet, key, seed).is_some();
        if !has_question && questions != 0 {
            return Err(Refusal::Reply(Rcode::FORMERR));
        }
        let before = u32::from(u16::from_be_bytes([a0, a1])) + u32::from(u16::from_be_bytes([n0, n1]));
        let additional = u32::from(u16::from_be_bytes([r0, r1]));
        if before + additional > 0 && self.read_records(packet, before, additional).is_none() {
            return Err(Refusal::Reply(Rcode::FORMERR));
        }
        if !has_question && !self.asks_for_cookie() {
            return Err(Refusal::Reply(Rcode::FORMERR));
        }
        Ok(())
    }

    /// Whether it has a question; one that asks for a cookie alone has none.
    pub const fn has_question(&self) -> bool {
        self.question_end > HEADER_LENGTH
    }

    /// Whether it may do without a question: RFC 7873 §5.4 lets a client ask for a cookie alone.
    fn asks_for_cookie(&self) -> bool {
        self.opcode == Opcode::QUERY && self.edns.as_ref().is_some_and(|edns| edns.cookie.is_some())
    }

    fn read_question(&mut self, packet: &[u8], key: &mut NameKey, seed: u64) -> Option<()> {
        let question = packet.get(HEADER_LENGTH..)?;
        if !key.fill(question, seed) {
            return None;
        }
        let (numbers, _) = question.get(key.as_wire().len()..)?.split_first_chunk::<4>()?;
        let [t0, t1, c0, c1] = *numbers;
        self.record_type = RecordType(u16::from_be_bytes([t0, t1]));
        self.class = Class(u16::from_be_bytes([c0, c1]));
        self.question_end = HEADER_LENGTH + key.as_wire().len() + 4;
        Some(())
    }

    /// Walks the records of the other sections. Each takes at least 11 octets, so the walk is bounded by the packet.
    fn read_records(&mut self, packet: &[u8], before: u32, additional: u32) -> Option<()> {
        let mut at = self.question_end;
        for index in 0..before + additional {
            let start = at;
            let is_root = packet.get(at) == Some(&0);
            at = skip_name(packet, at)?;
            let (fields, rest) = packet.get(at..)?.split_first_chunk::<10>()?;
            let [t0, t1, c0, c1, ttl0, ttl1, ttl2, ttl3, l0, l1] = *fields;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let rdata = rest.get(..length)?;
            at += 10 + length;
            match RecordType(u16::from_be_bytes([t0, t1])) {
                RecordType::OPT => {
                    // RFC 6891 §6.1.1: one OPT at most, in the additional section, owned by the root.
                    if index < before || self.edns.is_some() || !is_root {
                        return None;
                    }
                    let edns = self.edns.insert(Edns::fixed(u16::from_be_bytes([c0, c1]), [ttl0, ttl1, ttl2, ttl3]));
                    if !rdata.is_empty() {
                        edns.read_options(rdata)?;
                    }
                }
                RecordType::TSIG => {
                    // RFC 8945 §5.2: one TSIG at most, the last record of the message.
                    if index < before || index + 1 != before + additional {
                        return None;
                    }
                    self.tsig = Some(start);
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Where the name that starts at `at` ends; a compression pointer ends it and is not followed.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    // 255 octets hold at most 128 labels with the root.
    for _ in 0..128 {
        let length = *packet.get(at)?;
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + usize::from(length),
            192..=255 => return packet.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `www.example.` A with the given section counts and what follows the question.
    fn packet(flags: [u8; 2], counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34];
        packet.extend_from_slice(&flags);
        counts.iter().for_each(|count| packet.extend_from_slice(&count.to_be_bytes()));
        packet.extend_from_slice(b"\x03wWw\x07example\x00\x00\x01\x00\x01");
        packet.extend_from_slice(rest);
        packet
    }

    fn parse(packet: &[u8]) -> Result<Query, Refusal> {
        Query::parse(packet, &mut NameKey::root(1), 1)
    }

    fn rcode(packet: &[u8]) -> Rcode {
        match parse(packet) {
            Ok(_) => Rcode::NOERROR,
            Err(Refusal::Reply(rcode)) => rcode,
            Err(Refusal::Silent(silence)) => panic!("{silence:?}"),
        }
    }

    const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

    #[test]
    fn a_plain_query_is_read() {
        let query = parse(&packet([1, 0x10], [1, 0, 0, 0], &[])).unwrap();
        assert_eq!((query.id, query.opcode, query.record_type), (0x1234, Opcode::QUERY, RecordType::A));
        assert!(query.recursion_desired && query.checking_disabled);
        assert_eq!(query.question_end, 29);
    }

    #[test]
    fn runts_and_responses_get_silence() {
        for length in 0..HEADER_LENGTH {
            assert_eq!(parse(&vec![0; length]), Err(Refusal::Silent(Silence::Runt)));
        }
        for opcode in 0..16 {
            let response = packet([0x80 | opcode << 3, 0], [1, 0, 0, 0], &[]);
            assert_eq!(parse(&response), Err(Refusal::Silent(Silence::Response)));
            assert_eq!(parse(&response[..13]), Err(Refusal::Silent(Silence::Response)));
        }
    }

    #[test]
    fn other_opcodes_are_not_implemented() {
        for opcode in [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            assert_eq!(rcode(&packet([opcode << 3, 0], [1, 0, 0, 0], &[])), Rcode::NOTIMP);
        }
    }

    #[test]
    fn only_one_question_is_answered() {
        assert_eq!(rcode(&packet([0, 0], [0, 0, 0, 0], &[])), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [2, 0, 0, 0], b"\x00\x00\x01\x00\x01")), Rcode::FORMERR);
    }

    #[test]
    fn a_question_with_a_pointer_or_cut_short_is_malformed() {
        let whole = packet([0, 0], [1, 0, 0, 0], &[]);
        for length in HEADER_LENGTH..whole.len() {
            assert_eq!(rcode(&whole[..length]), Rcode::FORMERR, "{length}");
        }
        let mut pointer = whole[..HEADER_LENGTH].to_vec();
        pointer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(rcode(&pointer), Rcode::FORMERR);
    }

    #[test]
    fn counts_that_the_body_does_not_hold_are_malformed() {
        for counts in [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 65535, 65535, 65535]] {
            assert_eq!(rcode(&packet([0, 0], counts, &[])), Rcode::FORMERR);
            assert_eq!(rcode(&packet([0, 0], counts, &[0xc0; 9])), Rcode::FORMERR);
        }
    }

    #[test]
    fn rfc6891_6_1_1_one_opt_owned_by_the_root_in_additional() {
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 1], OPT)), Rcode::NOERROR);
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 2], &[OPT, OPT].concat())), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [1, 1, 0, 0], OPT)), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 1], &[&[1, b'a'], OPT].concat())), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 1], &[&[0xc0, 12], &OPT[1..]].concat())), Rcode::FORMERR);
    }

    #[test]
    fn rfc7873_5_4_a_cookie_can_be_asked_for_without_a_question() {
        let no_question = |opcode: u8, options: &[u8]| {
            let mut packet = vec![0, 1, opcode << 3, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            packet.extend_from_slice(&OPT[..9]);
            packet.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
            packet.extend_from_slice(options);
            packet
        };
        let cookie: &[u8] = &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        assert!(!parse(&no_question(0, cookie)).unwrap().has_question());
        assert_eq!(rcode(&no_question(0, &[])), Rcode::FORMERR);
        assert_eq!(rcode(&no_question(5, cookie)), Rcode::FORMERR);
        assert_eq!(rcode(&no_question(0, &cookie[..11])), Rcode::FORMERR);
    }

    #[test]
    fn rfc6891_7_a_malformed_option_leaves_an_opt_to_answer_with() {
        let opt: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 5, 0, 10, 0, 1, 7];
        let mut query = Query::empty();
        let read = query.read(&packet([0, 0], [1, 0, 0, 1], opt), &mut NameKey::root(1), 1);
        assert_eq!(read, Err(Refusal::Reply(Rcode::FORMERR)));
        assert!(query.edns.is_some_and(|edns| edns.dnssec_ok && edns.cookie.is_none()));
    }

    #[test]
    fn rfc8945_5_2_tsig_is_the_last_record() {
        let tsig: &[u8] = &[1, b'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0];
        let query = parse(&packet([0, 0], [1, 0, 0, 2], &[OPT, tsig].concat())).unwrap();
        assert_eq!(query.tsig, Some(29 + OPT.len()));
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 2], &[tsig, OPT].concat())), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [1, 0, 0, 2], &[tsig, tsig].concat())), Rcode::FORMERR);
        assert_eq!(rcode(&packet([0, 0], [1, 1, 0, 0], tsig)), Rcode::FORMERR);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&octets);
        }

        #[test]
        fn any_sections_are_read_without_a_panic(counts in any::<[u16; 3]>(), rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let [a, n, r] = counts;
            let _ = parse(&packet([0, 0], [1, a, n, r], &rest));
        }
    }
}
