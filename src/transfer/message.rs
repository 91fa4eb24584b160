//! Messages of transfers and notifications as they are written: header, question, records whose owners are below the
//! name asked for.

use crate::wire::tsig::Signer;
use crate::wire::{HEADER_LENGTH, Opcode, Query, Rcode, RecordType, ReplyOptions, UDP_PAYLOAD, option};

/// The longest message of a stream, and of anything.
pub(super) const MESSAGE_MAX: usize = 65_535;
/// Octets that OPT takes.
const OPT: usize = 11;
/// The question's name, where every message has it.
const QUESTION: u16 = 0xc00c;

/// The reply to a query: its header and question, `records` written by the caller, OPT when the query had it, and the
/// signature.
pub(super) struct Writer<'q> {
    query: &'q Query,
    /// The query's packet up to the end of its question.
    head: &'q [u8],
    octets: Vec<u8>,
    answers: u16,
    /// Octets that records may take up to.
    limit: usize,
    signer: Option<Signer>,
    /// The last owner and where it stands.
    owner: (Vec<u8>, u16),
    /// The options of OPT; of several messages the first has them (RFC 5936 §2.2.5).
    options: Vec<u8>,
}

impl<'q> Writer<'q> {
    /// A reply to `query`, read from `packet`, that takes at most `limit` octets.
    pub(super) fn new(
        packet: &'q [u8],
        query: &'q Query,
        signer: Option<Signer>,
        limit: usize,
        options: Vec<u8>,
    ) -> Self {
        let signature = signer.as_ref().map_or(0, Signer::octets);
        let limit = limit.min(MESSAGE_MAX).saturating_sub(signature + OPT + options.len());
        let head = packet.get(..query.question_end).unwrap_or(packet);
        let mut writer =
            Self { query, head, octets: Vec::new(), answers: 0, limit, signer, owner: (Vec::new(), QUESTION), options };
        writer.begin();
        writer
    }

    fn begin(&mut self) {
        self.octets = Vec::with_capacity(MESSAGE_MAX.min(self.limit + 512));
        self.octets.extend_from_slice(self.head);
        self.answers = 0;
        self.owner.0.clear();
    }

    /// Whether the message has no record yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.answers == 0
    }

    /// Octets written so far.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    /// Adds a record to the answer section; false, and nothing is written, when it does not fit. The owner's last
    /// `apex_octets` are the question's name.
    pub(super) fn record(
        &mut self,
        owner: &[u8],
        apex_octets: usize,
        record_type: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> bool {
        let below = owner.get(..owner.len().saturating_sub(apex_octets)).unwrap_or_default();
        let is_same = self.owner.0 == below && !below.is_empty();
        let name = if is_same { 2 } else { below.len() + 2 };
        let Ok(length) = u16::try_from(rdata.len()) else { return false };
        if self.octets.len() + name + 10 + rdata.len() > self.limit {
            return false;
        }
        if is_same {
            self.octets.extend_from_slice(&self.owner.1.to_be_bytes());
        } else {
            // A pointer reaches 14 bits.
            if let Some(at) = u16::try_from(self.octets.len()).ok().filter(|at| *at < 0x4000 && !below.is_empty()) {
                self.owner = (below.to_vec(), 0xc000 | at);
            }
            self.octets.extend_from_slice(below);
            self.octets.extend_from_slice(&QUESTION.to_be_bytes());
        }
        self.octets.extend_from_slice(&record_type.0.to_be_bytes());
        self.octets.extend_from_slice(&[0, 1]);
        self.octets.extend_from_slice(&ttl.to_be_bytes());
        self.octets.extend_from_slice(&length.to_be_bytes());
        self.octets.extend_from_slice(rdata);
        self.answers = self.answers.saturating_add(1);
        true
    }

    /// Adds options to the first message, before its records; false, and nothing is added, where there is no room.
    pub(super) fn add(&mut self, options: &ReplyOptions<'_>) -> bool {
        let mut octets = Vec::new();
        options.append_to(&mut octets);
        let fits = self.query.edns.is_some() && self.octets.len() + octets.len() <= self.limit;
        if fits {
            self.limit -= octets.len();
            self.options.append(&mut octets);
        }
        fits
    }

    /// The message as it stands, ended and signed; the next one begins. None when it cannot be signed.
    pub(super) fn finish(&mut self, rcode: Rcode, is_authoritative: bool, now: u64) -> Option<Vec<u8>> {
        let opcode = self.query.opcode.0 << 3;
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = 0x80 | opcode | bit(is_authoritative, 4) | bit(self.query.recursion_desired, 1);
        let [rcode_high, rcode_low] = (rcode.0 & 0xfff).to_be_bytes();
        let [a0, a1] = self.answers.to_be_bytes();
        let [id0, id1] = self.query.id.to_be_bytes();
        let has_opt = self.query.edns.is_some();
        let questions = u8::from(self.query.question_end > HEADER_LENGTH);
        let header = [id0, id1, flags, rcode_low & 0xf, 0, questions, a0, a1, 0, 0, 0, u8::from(has_opt)];
        self.octets.get_mut(..HEADER_LENGTH)?.copy_from_slice(&header);
        if has_opt {
            let [size, size_low] = UDP_PAYLOAD.to_be_bytes();
            let extended = rcode_high << 4 | rcode_low >> 4;
            let [length, length_low] = u16::try_from(self.options.len()).unwrap_or(0).to_be_bytes();
            self.octets.extend_from_slice(&[0, 0, 41, size, size_low, extended, 0, 0, 0, length, length_low]);
            self.octets.append(&mut self.options);
        }
        if let Some(signer) = &mut self.signer {
            let length = self.octets.len();
            self.octets.resize(length + signer.octets(), 0);
            let signed = signer.sign(&mut self.octets, length, now)?;
            self.octets.truncate(signed);
        }
        let message = std::mem::take(&mut self.octets);
        self.begin();
        Some(message)
    }
}

/// A query of ours: for `name` in wire form and `record_type`, with one record in the section that its kind wants.
pub(super) fn request(
    id: u16,
    opcode: Opcode,
    name: &[u8],
    record_type: RecordType,
    soa: Option<(u32, &[u8])>,
) -> Vec<u8> {
    let [id0, id1] = id.to_be_bytes();
    // RFC 1996 §3.7: NOTIFY has the SOA as an answer, and AA; RFC 1995 §3: IXFR has ours as authority.
    let is_notify = opcode == Opcode::NOTIFY;
    let (flags, answers) = if is_notify { (0x24, u8::from(soa.is_some())) } else { (0, 0) };
    let authorities = u8::from(soa.is_some() && !is_notify);
    let mut message = vec![id0, id1, flags, 0, 0, 1, 0, answers, 0, authorities, 0, 0];
    message.extend_from_slice(name);
    message.extend_from_slice(&record_type.0.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some((ttl, rdata)) = soa {
        message.extend_from_slice(&QUESTION.to_be_bytes());
        message.extend_from_slice(&[0, 6, 0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(0).to_be_bytes());
        message.extend_from_slice(rdata);
    }
    message
}

/// A query of ours without OPT, with one that asks for how long the zone may be served (RFC 7314 §2).
pub(super) fn asking_expire(mut message: Vec<u8>) -> Vec<u8> {
    let [size, size_low] = UDP_PAYLOAD.to_be_bytes();
    let [code, code_low] = option::EXPIRE.to_be_bytes();
    message.extend_from_slice(&[0, 0, 41, size, size_low, 0, 0, 0, 0, 0, 4, code, code_low, 0, 0]);
    if let Some(additional) = message.get_mut(HEADER_LENGTH - 1) {
        *additional += 1;
    }
    message
}

/// The message with a signature, when there is somebody to sign it.
pub(super) fn signed(mut message: Vec<u8>, signer: Option<&mut Signer>, now: u64) -> Option<Vec<u8>> {
    if let Some(signer) = signer {
        let length = message.len();
        message.resize(length + signer.octets(), 0);
        let signed = signer.sign(&mut message, length, now)?;
        message.truncate(signed);
    }
    Some(message)
}
