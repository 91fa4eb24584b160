//! Writing a reply: header, question, records with compressed names, OPT; all or nothing within a limit of octets.

use super::compress::Suffixes;
use super::key::NameKey;
use super::query::{HEADER_LENGTH, Query};
use super::reply_options::ReplyOptions;
use super::types::{Class, Rcode, RecordType};

/// The UDP payload we offer and never exceed (DNS flag day 2020; RFC 9715 §3.2 allows no more than 1400).
pub const UDP_PAYLOAD: u16 = 1232;
/// The record or name does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

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
    /// The options of OPT; none when there are none.
    pub options: Option<&'a ReplyOptions<'a>>,
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
        suffixes.truncate(0);
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
        Mark { at: self.at, counts: self.counts, suffixes: self.suffixes.len() }
    }

    /// Goes back to an earlier state: a whole RRset or none.
    pub fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
        self.counts = mark.counts;
        self.suffixes.truncate(mark.suffixes);
    }

    /// Writes a record; names in its RDATA are compressed where they may be (RFC 3597 §4). Returns where its RDATA starts.
    ///
    /// # Errors
    /// [`Full`]: the caller rewinds.
    #[inline]
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        record_type: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<u16, Full> {
        match owner {
            Owner::At(offset) => self.put(&(0xc000 | offset).to_be_bytes())?,
            Owner::Suffix(key, label) => self.name(key.suffix(label)).map(|_| ())?,
        }
        let [t0, t1] = record_type.0.to_be_bytes();
        let [c0, c1] = self.class.0.to_be_bytes();
        let [a, b, c, d] = ttl.to_be_bytes();
        let [l0, l1] = u16::try_from(rdata.len()).map_err(|_| Full)?.to_be_bytes();
        let fields = [t0, t1, c0, c1, a, b, c, d, l0, l1];
        let start = self.at + fields.len();
        match names_to_compress(record_type) {
            None => self.put_record(&fields, rdata)?,
            Some((fixed, names)) => {
                self.put(&fields)?;
                self.compressed(rdata, fixed, names)?;
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
    fn compressed(&mut self, rdata: &[u8], fixed: usize, names: usize) -> Result<(), Full> {
        let (head, mut rest) = rdata.split_at_checked(fixed).ok_or(Full)?;
        self.put(head)?;
        for _ in 0..names {
            let length = self.name(rest)?;
            rest = rest.get(length..).ok_or(Full)?;
        }
        self.put(rest)
    }

    /// Writes the name at the start of `wire`, up to the longest suffix that the message already has; tells how long it
    /// is uncompressed.
    fn name(&mut self, wire: &[u8]) -> Result<usize, Full> {
        let written = self.out.get(..self.at).ok_or(Full)?;
        let name = self.suffixes.compress(wire, self.question, written).ok_or(Full)?;
        let start = self.at;
        self.put(name.name.get(..name.own).ok_or(Full)?)?;
        match name.pointer {
            Some(offset) => self.put(&(0xc000 | offset).to_be_bytes())?,
            None => self.put(&[0])?,
        }
        self.suffixes.remember(&name, start);
        Ok(name.name.len())
    }

    /// Writes a record's fields and RDATA. Those of addresses, which most records are, are copied without a call.
    #[inline]
    fn put_record(&mut self, fields: &[u8; 10], rdata: &[u8]) -> Result<(), Full> {
        let end = self.at + fields.len() + rdata.len();
        if end > self.limit {
            return Err(Full);
        }
        let place = self.out.get_mut(self.at..end).ok_or(Full)?;
        let (head, tail) = place.split_first_chunk_mut::<10>().ok_or(Full)?;
        *head = *fields;
        match (<&mut [u8; 4]>::try_from(&mut *tail), <&[u8; 4]>::try_from(rdata)) {
            (Ok(to), Ok(from)) => *to = *from,
            _ => tail.copy_from_slice(rdata),
        }
        self.at = end;
        Ok(())
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
    #[inline]
    pub fn finish(mut self, query: &Query, ending: &Ending<'_>) -> usize {
        let mut additional = self.count(Section::Additional);
        if let Some(edns) = &query.edns {
            self.limit = self.end;
            if self.opt(edns.dnssec_ok, ending).is_ok() {
                additional += 1;
            }
        }
        let [id0, id1] = query.id.to_be_bytes();
        let bit = |set: bool, place: u8| u8::from(set) << place;
        let flags = 0x80
            | query.opcode.0 << 3
            | bit(ending.authoritative, 2)
            | bit(ending.truncated, 1)
            | bit(query.recursion_desired, 0);
        let [_, rcode] = ending.rcode.0.to_be_bytes();
        let flags_low = bit(query.checking_disabled, 4) | rcode & 0xf;
        let questions = u8::from(query.question_end > HEADER_LENGTH);
        let [[a0, a1], [n0, n1], [r0, r1]] =
            [self.count(Section::Answer), self.count(Section::Authority), additional].map(u16::to_be_bytes);
        if let Some(header) = self.out.first_chunk_mut::<HEADER_LENGTH>() {
            *header = [id0, id1, flags, flags_low, 0, questions, a0, a1, n0, n1, r0, r1];
        }
        self.at
    }

    #[inline]
    fn opt(&mut self, dnssec_ok: bool, ending: &Ending<'_>) -> Result<(), Full> {
        let [size, size_low] = UDP_PAYLOAD.to_be_bytes();
        let [_, extended] = (ending.rcode.0 >> 4).to_be_bytes();
        // RFC 6891 §6.1.4: of the flags only DO is known, and only that is sent back.
        let flags = u8::from(dnssec_ok) << 7;
        self.put(&[0, 0, 41, size, size_low, extended, 0, flags, 0, 0, 0])?;
        ending.options.map_or(Ok(()), |options| self.options(options))
    }

    /// Writes options behind an OPT record without any, and its length anew.
    fn options(&mut self, options: &ReplyOptions<'_>) -> Result<(), Full> {
        let start = self.at;
        options.write(&mut |option, data| {
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
