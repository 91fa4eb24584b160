//! From a name and type to records: wide IP, else zone, else negative; CNAME and DNAME chains inside our data.

use super::additional;
use super::outcome::AnswerSource;
use super::settings::Unmatched;
use super::snapshot::Snapshot;
use super::worker::Room;
use crate::wire::{Class, Full, HEADER_LENGTH, NameKey, Owner, Query, Rcode, RecordType, Reply, Section};
use crate::zone::{Lookup, Rrset, Zone};

/// The most CNAMEs and DNAMEs followed inside our data; the resolver goes on from what it has then. BIND follows 11,
/// NSD 18, Knot 5.
const CHAIN_MAX: usize = 8;

/// How the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) rcode: Rcode,
    pub(super) source: AnswerSource,
    pub(super) authoritative: bool,
    /// Leading bits of the client subnet that decided.
    pub(super) scope: u8,
    /// Whether no reply is sent.
    pub(super) silent: bool,
}

/// One query being answered.
pub(super) struct Resolver<'s, 'w> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) query: &'w Query,
    pub(super) question: &'w NameKey,
    pub(super) room: &'w mut Room,
}

/// What one name came to.
enum Step {
    /// The answer is complete.
    End(Resolution),
    /// An alias was written; its target lies in `Room::target`, and in the message at this offset.
    Follow(Resolution, u16),
}

/// A name on the way: its key, and who owns its records in the message.
#[derive(Clone, Copy)]
pub(super) struct Current<'k> {
    pub(super) key: &'k NameKey,
    pub(super) owner: Owner<'k>,
    is_first: bool,
}

impl<'k> Current<'k> {
    /// The owner for records of the suffix that starts at `label`.
    fn suffix(&self, label: usize) -> Owner<'k> {
        match (label, self.is_first) {
            (0, _) => self.owner,
            // The question stands uncompressed behind the header, so its suffixes can be pointed at.
            (_, true) => u16::try_from(HEADER_LENGTH + self.key.offset(label)).map_or(self.owner, Owner::At),
            (_, false) => Owner::Suffix(self.key, label),
        }
    }
}

impl<'s> Resolver<'s, '_> {
    /// Writes the answer; `alias` is overwritten.
    ///
    /// # Errors
    /// The resolution so far, when the reply is full.
    pub(super) fn resolve(mut self, reply: &mut Reply<'_>, alias: &mut NameKey) -> Result<Resolution, Resolution> {
        let mut resolution = Resolution {
            rcode: Rcode::NOERROR,
            source: AnswerSource::None,
            // RFC 1034 §3.6.2 lets a class of ANY match, but the answer speaks for no class then.
            authoritative: self.query.class == Class::IN,
            scope: 0,
            silent: false,
        };
        let mut seen = [0; CHAIN_MAX + 1];
        let mut at = None;
        for slot in 0..=CHAIN_MAX {
            let current = match at {
                None => Current { key: self.question, owner: Owner::QUESTION, is_first: true },
                Some(at) => Current { key: &*alias, owner: Owner::At(at), is_first: false },
            };
            // A chain that comes back to a name it has been at never ends.
            let hash = current.key.hash(0);
            if seen.iter().take(slot).any(|other| *other == hash) {
                return Ok(Resolution { rcode: Rcode::SERVFAIL, ..resolution });
            }
            if let Some(slot) = seen.get_mut(slot) {
                *slot = hash;
            }
            match self.step(reply, current, resolution).map_err(|Full| resolution)? {
                Step::End(end) => return Ok(end),
                Step::Follow(so_far, offset) => {
                    resolution = so_far;
                    at = Some(offset);
                    alias.fill(&self.room.target, self.snapshot.seed);
                }
            }
        }
        Ok(resolution)
    }

    /// Answers from what owns the name.
    fn step(&mut self, reply: &mut Reply<'_>, current: Current<'_>, resolution: Resolution) -> Result<Step, Full> {
        match self.zone(current.key) {
            Some((label, zone)) => self.ask_zone(reply, current, zone, label, resolution),
            // The chain leaves our data; the resolver goes on.
            None if !current.is_first => Ok(Step::End(resolution)),
            None => self.unmatched(reply, resolution),
        }
    }

    /// The zone that answers for the name, and where its apex starts in it.
    fn zone(&self, key: &NameKey) -> Option<(usize, &'s Zone)> {
        let zones: &'s _ = &self.snapshot.zones;
        let (label, zone) = zones.longest(key, 0)?;
        // RFC 4035 §3.1.4.1: DS belongs to the parent; ours answers for it when we serve both.
        if label == 0
            && self.query.record_type == RecordType::DS
            && let Some((label, parent)) = zones.longest(key, 1)
        {
            return Some((label, parent));
        }
        Some((label, zone))
    }

    fn ask_zone(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        zone: &'s Zone,
        apex: usize,
        mut resolution: Resolution,
    ) -> Result<Step, Full> {
        if current.is_first {
            resolution.source = AnswerSource::Zone;
        }
        match zone.lookup(current.key, self.query.record_type) {
            Lookup::Hit(rrset) => {
                self.write(reply, Section::Answer, current.owner, rrset, rrset.ttl)?;
                additional::add(reply, self.snapshot, self.room, rrset);
                Ok(Step::End(resolution))
            }
            Lookup::Cname(rrset) => {
                let at = self.write(reply, Section::Answer, current.owner, rrset, rrset.ttl)?;
                self.aim(&[], rrset.first());
                Ok(Step::Follow(resolution, at))
            }
            Lookup::Dname { label, rrset } => self.redirect(reply, current, label, rrset, resolution),
            Lookup::Delegation { label, name_servers } => {
                // RFC 1034 §4.3.2 step 3b: a referral is no authoritative answer; a chain before it was.
                resolution.authoritative &= !current.is_first;
                let owner = current.suffix(label);
                self.write(reply, Section::Authority, owner, name_servers, name_servers.ttl)?;
                additional::glue(reply, self.snapshot, self.room, name_servers, current.key.suffix(label))?;
                Ok(Step::End(resolution))
            }
            Lookup::NoData => self.negative(reply, current, zone, apex, u32::MAX, resolution),
            Lookup::NxDomain => {
                resolution.rcode = Rcode::NXDOMAIN;
                self.negative(reply, current, zone, apex, u32::MAX, resolution)
            }
        }
    }

    /// Writes the SOA that says for how long there is nothing (RFC 2308 §3 and §5).
    fn negative(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        zone: &Zone,
        apex: usize,
        ttl_max: u32,
        resolution: Resolution,
    ) -> Result<Step, Full> {
        if let Some(soa) = zone.rrset_at(current.key, apex, RecordType::SOA) {
            let ttl = zone.soa().negative_ttl().min(ttl_max);
            self.write(reply, Section::Authority, current.suffix(apex), soa, ttl)?;
        }
        Ok(Step::End(resolution))
    }

    /// Follows a DNAME (RFC 6672 §3.1): the record itself, and a CNAME made of it.
    fn redirect(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        label: usize,
        rrset: Rrset<'_>,
        resolution: Resolution,
    ) -> Result<Step, Full> {
        self.write(reply, Section::Answer, current.suffix(label), rrset, rrset.ttl)?;
        let Some(length) = self.aim(current.key.between(0, label), rrset.first()) else {
            // RFC 6672 §2.2: the name that would result is too long.
            return Ok(Step::End(Resolution { rcode: Rcode::YXDOMAIN, ..resolution }));
        };
        let Room { target, scratch, .. } = &mut *self.room;
        let target = target.get(..length).unwrap_or(&[]);
        let seed = self.snapshot.seed;
        let at = reply.record(Section::Answer, current.owner, RecordType::CNAME, rrset.ttl, target, scratch, seed)?;
        // The CNAME just made is itself what a question for CNAME, or any type, wants.
        if matches!(self.query.record_type, RecordType::CNAME | RecordType::ANY) {
            return Ok(Step::End(resolution));
        }
        Ok(Step::Follow(resolution, at))
    }

    /// Puts `labels` and then `name` into `Room::target`; none when that is over 255 octets.
    fn aim(&mut self, labels: &[u8], name: &[u8]) -> Option<usize> {
        let length = labels.len() + name.len();
        let (head, tail) = self.room.target.get_mut(..length)?.split_at_mut_checked(labels.len())?;
        head.copy_from_slice(labels);
        tail.copy_from_slice(name);
        Some(length)
    }

    /// Answers for a name under no zone and no wide IP.
    fn unmatched(&mut self, reply: &mut Reply<'_>, resolution: Resolution) -> Result<Step, Full> {
        let resolution = match self.snapshot.settings.unmatched {
            Unmatched::Drop => Resolution { silent: true, ..resolution },
            Unmatched::Refused => Resolution { rcode: Rcode::REFUSED, authoritative: false, ..resolution },
            Unmatched::NxDomain => {
                let root = Owner::Suffix(self.question, self.question.label_count());
                let soa = &self.snapshot.root_soa;
                let ttl = self.snapshot.settings.synthetic_zone.negative_ttl_seconds;
                let (scratch, seed) = (&mut self.room.scratch, self.snapshot.seed);
                reply.record(Section::Authority, root, RecordType::SOA, ttl, soa, scratch, seed)?;
                Resolution { rcode: Rcode::NXDOMAIN, ..resolution }
            }
        };
        Ok(Step::End(resolution))
    }

    /// Writes an RRset; tells where the RDATA of its last record starts.
    #[inline]
    fn write(
        &mut self,
        reply: &mut Reply<'_>,
        section: Section,
        owner: Owner<'_>,
        rrset: Rrset<'_>,
        ttl: u32,
    ) -> Result<u16, Full> {
        let mut at = 0;
        for rdata in rrset.rdatas() {
            let (scratch, seed) = (&mut self.room.scratch, self.snapshot.seed);
            at = reply.record(section, owner, rrset.record_type, ttl, rdata, scratch, seed)?;
        }
        Ok(at)
    }
}
