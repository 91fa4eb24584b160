//! Writing a reply: header, question, records with compressed names, OPT; all or nothing within a limit of octets.

use super::key::NameKey;
use super::query::{HEADER_LENGTH, Query};
use super::reply_options::ReplyOptions;
use super::types::{Class, Rcode, RecordType};

/// The UDP payload we offer and never exceed (DNS flag day 2020; RFC 9715 §3.2 allows no more than 1400).
pub const UDP_PAYLOAD: u16 = 1232;
/// The farthest a compression pointer reaches (RFC 1035 §4.1.4: 14 bits).
const POINTER_REACH: usize = 0x3fff;
/// How many suffixes are remembered for compression; names beyond are written in full where they fit nothing known.
const SUFFIXES_MAX: usize = 96;

/// The record or name does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Where names stand in the message, kept between replies to save its making.
pub struct Suffixes {
    known: [(u64, u16); SUFFIXES_MAX],
    count: usize,
}

impl Suffixes {
    /// Remembers none.
    pub const fn new() -> Self {
        Self { known: [(0, 0); SUFFIXES_MAX], count: 0 }
    }

    fn remember(&mut self, hash: u64, offset: usize) {
        if let (Some(slot), Ok(offset)) = (self.known.get_mut(self.count), u16::try_from(offset)) {
            *slot = (hash, offset);
            self.count += 1;
        }
    }
}

impl Default for Suffixes {
    fn default() -> Self {
        Self::new()
    }
}

/// Who owns a record.
#[derive(Clone, Copy)]
pub enum Owner<'k> {
    /// The name that stands at this offset of the message.
    At(u16),
    /// The suffix of a name that starts at this label.
    Suffix(&'k NameKey, usize),
}

impl Owner<'_> {
    /// The name asked for, which stands right behind the header.
    pub const QUESTION: Self = Self::At(12);
}

/// The section a record goes to; they are written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// SOA of negative answers, NS of referrals.
    Authority,
    /// Addresses that save a query.
    Additional,
}

/// A state of the reply that it can go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    at: usize,
    counts: [u16; 3],
    suffixes: usize,
}

/// A reply being written.
pub struct Reply<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Octets that records may take; what OPT needs is kept free behind it.
    limit: usize,
    /// Octets that the message may take, OPT included.
    end: usize,
    counts: [u16; 3],
    suffixes: &'a mut Suffixes,
    question: &'a NameKey,
    /// The class of the records: CHAOS when that was asked for, else IN.
    class: Class,
}

/// What the header and OPT say when the reply is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    /// The response code, up to 12 bits when the query had OPT.
    pub rcode: Rcode,
    /// The AA bit.
    pub authoritative: bool,
    /// The TC bit.
    pub truncated: bool,
    /// The options of OPT.
    pub options: &'a ReplyOptions<'a>,
}

impl<'a> Reply<'a> {
    /// Starts a reply of at most `limit` octets to `query`, whose packet and name are given: the question is echoed
    /// to the octet (so its case comes back), the header comes with [`finish`](Self::finish). Room is kept for OPT with
    /// `option_octets` of options.
    pub fn start(
        out: &'a mut [u8],
        limit: usize,
        packet: &[u8],
        query: &Query,
        question: &'a NameKey,
        suffixes: &'a mut Suffixes,
        option_octets: usize,
    ) -> Self {
        suffixes.count = 0;
        let end = query.question_end;
        if let (Some(to), Some(from)) = (out.get_mut(HEADER_LENGTH..end), packet.get(HEADER_LENGTH..end)) {
            to.copy_from_slice(from);
        }
        let limit = limit.min(out.len());
        let opt = if query.edns.is_some() { 11 + option_octets } else { 0 };
        let class = if query.class == Class::CH { Class::CH } else { Class::IN };
        Self { out, at: end, limit: limit.saturating_sub(opt), end: limit, counts: [0; 3], suffixes, question, class }
    }

    /// Where the next octet goes.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many records a section holds.
    pub fn count(&self, section: Section) -> u16 {
        self.counts.get(index(section)).copied().unwrap_or(0)
    }

    /// The state to go back to.
    pub const fn mark(&self) -> Mark {
        Mark { at: self.at, counts: self.counts, suffixes: self.suffixes.count }
    }

    /// Goes back to an earlier state: a whole RRset or none.
    pub fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
        self.counts = mark.counts;
        self.suffixes.count = mark.suffixes;
    }

    /// Writes a record. `scratch` is overwritten where names in RDATA are compressed (RFC 3597 §4).
    /// Returns where its RDATA starts.
    ///
    /// # Errors
    /// [`Full`]: the caller rewinds.
    #[expect(clippy::too_many_arguments, reason = "a record has that many fields")]
    #[inline]
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        record_type: RecordType,
        ttl: u32,
        rdata: &[u8],
        scratch: &mut NameKey,
        seed: u64,
    ) -> Result<u16, Full> {
        match owner {
            Owner::At(offset) => self.put(&(0xc000 | offset).to_be_bytes())?,
            Owner::Suffix(key, label) => self.name(key, label, key.suffix(label))?,
        }
        let [t0, t1] = record_type.0.to_be_bytes();
        let [c0, c1] = self.class.0.to_be_bytes();
        let [a, b, c, d] = ttl.to_be_bytes();
        let start = self.at + 10;
        match names_to_compress(record_type) {
            None => {
                let [l0, l1] = u16::try_from(rdata.len()).map_err(|_| Full)?.to_be_bytes();
                self.put(&[t0, t1, c0, c1, a, b, c, d, l0, l1])?;
                self.put(rdata)?;
            }
            Some((fixed, names)) => {
                self.put(&[t0, t1, c0, c1, a, b, c, d, 0, 0])?;
                self.compressed(rdata, fixed, names, scratch, seed)?;
                let length = u16::try_from(self.at - start).map_err(|_| Full)?;
                if let Some(slot) = self.out.get_mut(start - 2..start) {
                    slot.copy_from_slice(&length.to_be_bytes());
                }
            }
        }
        if let Some(count) = self.counts.get_mut(index(section)) {
            *count += 1;
        }
        u16::try_from(start).map_err(|_| Full)
    }

    /// RDATA of `fixed` octets, then `names` names, then the rest.
    fn compressed(
        &mut self,
        rdata: &[u8],
        fixed: usize,
        names: usize,
        scratch: &mut NameKey,
        seed: u64,
    ) -> Result<(), Full> {
        let (head, mut rest) = rdata.split_at_checked(fixed).ok_or(Full)?;
        self.put(head)?;
        for _ in 0..names {
            if !scratch.fill(rest, seed) {
                return Err(Full);
            }
            let (name, tail) = rest.split_at_checked(scratch.as_wire().len()).ok_or(Full)?;
            self.name(scratch, 0, name)?;
            rest = tail;
        }
        self.put(rest)
    }

    /// Writes a name: the suffix of `key` at `from`, with the octets of `text`, up to the longest suffix that the
    /// message already has.
    fn name(&mut self, key: &NameKey, from: usize, text: &[u8]) -> Result<(), Full> {
        let labels = key.label_count();
        let base = key.offset(from);
        let known = (from..labels).find_map(|label| Some((label, self.find(key, label)?)));
        let (end, pointer) = known.map_or((labels, None), |(label, offset)| (label, Some(offset)));
        let own = text.get(..key.offset(end) - base).ok_or(Full)?;
        let start = self.at;
        self.put(own)?;
        match pointer {
            Some(offset) => self.put(&(0xc000 | offset).to_be_bytes())?,
            None => self.put(&[0])?,
        }
        for label in from..end {
            let offset = start + key.offset(label) - base;
            if offset <= POINTER_REACH {
                self.suffixes.remember(key.hash(label), offset);
            }
        }
        Ok(())
    }

    /// Where the suffix of `key` that starts at `label` stands already: in the question, else among what was written.
    fn find(&self, key: &NameKey, label: usize) -> Option<u16> {
        let (hash, suffix) = (key.hash(label), key.suffix(label));
        // Of the question's suffixes only the one with as many labels can be the same.
        let asked = (self.question.label_count() + label).checked_sub(key.label_count());
        if let Some(asked) = asked.filter(|asked| self.question.hash(*asked) == hash)
            && self.question.suffix(asked) == suffix
        {
            return u16::try_from(HEADER_LENGTH + self.question.offset(asked)).ok();
        }
        let known = self.suffixes.known.get(..self.suffixes.count)?;
        known.iter().find(|(other, at)| *other == hash && self.stands_at(usize::from(*at), suffix)).map(|(_, at)| *at)
    }

    /// Whether the name in the message at `at` is `name` (lower case), which hashes only make likely.
    fn stands_at(&self, mut at: usize, mut name: &[u8]) -> bool {
        // A name has at most 128 labels, and every pointer we write points backwards.
        for _ in 0..256 {
            let Some(&length) = self.out.get(at) else { return false };
            if length >= 0xc0 {
                let Some(&low) = self.out.get(at + 1) else { return false };
                at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                continue;
            }
            let size = 1 + usize::from(length);
            let Some((label, rest)) = name.split_at_checked(size) else { return false };
            if !self.out.get(at..at + size).is_some_and(|written| written.eq_ignore_ascii_case(label)) {
                return false;
            }
            if length == 0 {
                return true;
            }
            (at, name) = (at + size, rest);
        }
        false
    }

    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    /// Writes OPT, if the query had one, and the header; returns the octets of the message.
    pub fn finish(mut self, query: &Query, ending: &Ending<'_>) -> usize {
        self.limit = self.end;
        let mut additional = self.count(Section::Additional);
        if let Some(edns) = &query.edns
            && self.opt(edns.dnssec_ok, ending).is_ok()
        {
            additional += 1;
        }
        let [id0, id1] = query.id.to_be_bytes();
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = 0x80
            | query.opcode.0 << 3
            | bit(ending.authoritative, 4)
            | bit(ending.truncated, 2)
            | bit(query.recursion_desired, 1);
        let [_, rcode] = ending.rcode.0.to_be_bytes();
        let flags_low = bit(query.checking_disabled, 0x10) | rcode & 0xf;
        let questions = u8::from(query.question_end > HEADER_LENGTH);
        let [a0, a1] = self.count(Section::Answer).to_be_bytes();
        let [n0, n1] = self.count(Section::Authority).to_be_bytes();
        let [r0, r1] = additional.to_be_bytes();
        if let Some(header) = self.out.get_mut(..HEADER_LENGTH) {
            header.copy_from_slice(&[id0, id1, flags, flags_low, 0, questions, a0, a1, n0, n1, r0, r1]);
        }
        self.at
    }

    fn opt(&mut self, dnssec_ok: bool, ending: &Ending<'_>) -> Result<(), Full> {
        let [size, size_low] = UDP_PAYLOAD.to_be_bytes();
        let extended = u8::try_from(ending.rcode.0 >> 4 & 0xff).unwrap_or(0);
        // RFC 6891 §6.1.4: of the flags only DO is known, and only that is sent back.
        let flags = if dnssec_ok { 0x80 } else { 0 };
        self.put(&[0, 0, 41, size, size_low, extended, 0, flags, 0, 0, 0])?;
        if ending.options.is_empty() {
            return Ok(());
        }
        let start = self.at;
        ending.options.write(&mut |option, data| {
            let length = u16::try_from(data.iter().map(|part| part.len()).sum::<usize>()).map_err(|_| Full)?;
            let before = self.at;
            let [code, code_low] = option.to_be_bytes();
            let [length, length_low] = length.to_be_bytes();
            let head = [code, code_low, length, length_low];
            let written = self.put(&head).and_then(|()| data.iter().try_for_each(|part| self.put(part)));
            if written.is_err() {
                self.at = before;
            }
            written
        });
        let length = u16::try_from(self.at - start).map_err(|_| Full)?;
        if let Some(slot) = self.out.get_mut(start - 2..start) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

const fn index(section: Section) -> usize {
    match section {
        Section::Answer => 0,
        Section::Authority => 1,
        Section::Additional => 2,
    }
}

/// Fixed octets before, and number of, the names that may be compressed (RFC 3597 §4: only in types of RFC 1035).
const fn names_to_compress(record_type: RecordType) -> Option<(usize, usize)> {
    match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => Some((0, 1)),
        RecordType::MX => Some((2, 1)),
        RecordType::SOA => Some((0, 2)),
        _ => None,
    }
}
