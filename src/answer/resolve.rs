//! From a name and type to records: wide IP, else zone, else negative; CNAME and DNAME chains inside our data.

use std::net::IpAddr;

use super::additional;
use super::extended_error::ExtendedError;
use super::limits::CHAIN_MAX;
use super::outcome::AnswerSource;
use super::settings::Unmatched;
use super::snapshot::Snapshot;
use super::view::View;
use super::worker::Room;
use crate::metrics::Limit;
use crate::wideip::{Answer, Client, Decision, Memory, Owner as Steered};
use crate::wire::{Class, Full, HEADER_LENGTH, NameKey, Owner, Query, Rcode, RecordType, Reply, Section};
use crate::zone::{Lookup, Rrset, Zone};

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
    /// The hash of the name that the response counts for where rates are limited.
    pub(super) account: u64,
    /// A limit that was reached on the way.
    pub(super) limit: Option<Limit>,
    /// What it is explained by.
    pub(super) explanation: Option<ExtendedError>,
}

/// One query being answered.
pub(super) struct Resolver<'s, 'w> {
    snapshot: &'s Snapshot,
    /// The view that the client is served.
    view: &'s View,
    query: &'w Query,
    question: &'w NameKey,
    /// The address that the query came from.
    source: IpAddr,
    memory: &'w mut Memory,
    room: &'w mut Room,
    /// The last decision of a wide IP.
    pub(super) decision: Option<Decision>,
    /// How the answer ends, as far as it has come.
    pub(super) resolution: Resolution,
}

/// What one name came to.
enum Step {
    /// The answer is complete.
    End,
    /// An alias was written; its target lies in `Room::target`, and in the message at this offset.
    Follow(u16),
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

impl<'s, 'w> Resolver<'s, 'w> {
    /// For a query that came from `source`, with nothing resolved yet.
    #[inline]
    pub(super) fn new(
        (snapshot, view): (&'s Snapshot, &'s View),
        (query, question): (&'w Query, &'w NameKey),
        source: IpAddr,
        memory: &'w mut Memory,
        room: &'w mut Room,
    ) -> Self {
        let resolution = Resolution {
            rcode: Rcode::NOERROR,
            source: AnswerSource::None,
            // RFC 1034 §3.6.2 lets a class of ANY match, but the answer speaks for no class then.
            authoritative: query.class == Class::IN,
            scope: 0,
            silent: false,
            account: question.hash(0),
            limit: None,
            explanation: None,
        };
        Self { snapshot, view, query, question, source, memory, room, decision: None, resolution }
    }

    /// Writes the answer; `alias` is overwritten.
    ///
    /// # Errors
    /// When the reply is full; the resolution is as it was before what did not fit.
    #[inline]
    pub(super) fn resolve(&mut self, reply: &mut Reply<'_>, alias: &mut NameKey) -> Result<(), Full> {
        let first = Current { key: self.question, owner: Owner::QUESTION, is_first: true };
        match self.step_whole(reply, first)? {
            Step::End => Ok(()),
            Step::Follow(at) => self.chase(reply, alias, at),
        }
    }

    /// Follows a chain of aliases from the first one's target, which is written at `at`.
    fn chase(&mut self, reply: &mut Reply<'_>, alias: &mut NameKey, mut at: u16) -> Result<(), Full> {
        let mut seen = [self.question.hash(0); CHAIN_MAX + 1];
        for slot in 1..=self.snapshot.settings.limits.chain.min(CHAIN_MAX) {
            alias.fill(&self.room.target, self.snapshot.seed);
            // A chain that comes back to a name it has been at never ends.
            if seen.iter().take(slot).any(|other| *other == alias.hash(0)) {
                self.resolution.rcode = Rcode::SERVFAIL;
                self.resolution.explanation = Some(ExtendedError::AliasLoop);
                return Ok(());
            }
            if let Some(slot) = seen.get_mut(slot) {
                *slot = alias.hash(0);
            }
            match self.step_whole(reply, Current { key: alias, owner: Owner::At(at), is_first: false })? {
                Step::End => return Ok(()),
                Step::Follow(next) => at = next,
            }
        }
        self.resolution.limit = Some(Limit::Chain);
        self.resolution.explanation = Some(ExtendedError::AliasChain);
        Ok(())
    }

    /// A step that leaves the resolution as it was when the reply is full.
    #[inline]
    fn step_whole(&mut self, reply: &mut Reply<'_>, current: Current<'_>) -> Result<Step, Full> {
        let before = self.resolution;
        self.step(reply, current).inspect_err(|Full| self.resolution = before)
    }

    /// Answers from what owns the name: a wide IP of the type, else the zone, else nobody.
    fn step(&mut self, reply: &mut Reply<'_>, current: Current<'_>) -> Result<Step, Full> {
        let snapshot: &'s Snapshot = self.snapshot;
        if let Some(denied) = self.view.denies(current.key, self.source) {
            match current.is_first {
                true => self.resolution = Resolution::denied(denied),
                // An alias that led here stands: it is in a zone that the client may ask for.
                false => self.resolution.limit = Some(Limit::QueryAccess),
            }
            return Ok(Step::End);
        }
        let owner = snapshot.wide_ips.find_in(self.view.id, current.key);
        if let Some(owner) = owner
            && let Some(step) = self.ask_wide_ip(reply, current, owner)?
        {
            return Ok(step);
        }
        match self.zone(current.key) {
            Some((apex, zone)) => self.ask_zone(reply, current, zone, apex, owner.is_some()),
            // The chain leaves our data; the resolver goes on.
            None if !current.is_first => Ok(Step::End),
            None => self.unmatched(reply),
        }
    }

    /// Answers as the wide IP decides; none when it leaves the answer to the zone, or the name has none of this type.
    fn ask_wide_ip(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        owner: Steered<'_>,
    ) -> Result<Option<Step>, Full> {
        // RFC 8482 §4.1: for ANY one RRset will do, and an address is what clients want most.
        let wanted = match self.query.record_type {
            RecordType::ANY => owner.wide_ip(RecordType::A).or_else(|| owner.answering(RecordType::AAAA)),
            record_type => owner.answering(record_type),
        };
        let Some(id) = wanted else { return Ok(None) };
        // RFC 7871 §7.1.2: a prefix of no bits asks for an answer that depends on no client.
        let subnet = self.query.edns.as_ref().and_then(|edns| edns.client_subnet);
        let subnet = subnet.filter(|subnet| subnet.prefix_length > 0);
        let client = Client { source: self.source.to_canonical(), subnet };
        let tables = &self.snapshot.wide_ips;
        let decision = tables.decide(id, &client, self.memory, None);
        self.decision = Some(decision);
        let resolution = &mut self.resolution;
        // Whatever is answered, the client's subnet had its say in it.
        if subnet.is_some() {
            resolution.scope = resolution.scope.max(decision.scope);
        }
        if decision.answer != Answer::ReturnToDns {
            resolution.explanation = resolution.explanation.or(ExtendedError::of(&decision));
            resolution.source = if current.is_first { AnswerSource::WideIp } else { resolution.source };
        }
        let at = match decision.answer {
            Answer::Members => self.write_members(reply, current, &decision)?,
            Answer::Address(IpAddr::V4(v4)) => write_one(reply, current, &decision, &v4.octets())?,
            Answer::Address(IpAddr::V6(v6)) => write_one(reply, current, &decision, &v6.octets())?,
            Answer::ReturnToDns => return Ok(None),
            Answer::Drop => {
                resolution.silent = true;
                return Ok(Some(Step::End));
            }
            Answer::Rcode(rcode) if rcode != Rcode::NXDOMAIN => {
                resolution.authoritative &= rcode == Rcode::NOERROR;
                resolution.rcode = rcode;
                return Ok(Some(Step::End));
            }
            Answer::NoData | Answer::Rcode(_) => {
                if decision.answer != Answer::NoData {
                    resolution.rcode = Rcode::NXDOMAIN;
                }
                let Some((apex, zone)) = self.zone(current.key) else { return Ok(Some(Step::End)) };
                return self.negative(reply, current, zone, apex, decision.ttl_seconds).map(Some);
            }
        };
        let follows = decision.record_type == RecordType::CNAME
            && !matches!(self.query.record_type, RecordType::CNAME | RecordType::ANY);
        Ok(Some(if follows { Step::Follow(at) } else { Step::End }))
    }

    /// Writes the members that were picked; of CNAMEs the one there may be, and its target for the chain.
    fn write_members(&mut self, reply: &mut Reply<'_>, current: Current<'_>, decision: &Decision) -> Result<u16, Full> {
        let Some(pool) = decision.pool else { return Ok(0) };
        let snapshot: &'s Snapshot = self.snapshot;
        // RFC 2181 §10.1: a name has one CNAME.
        let most = if decision.record_type == RecordType::CNAME { 1 } else { usize::MAX };
        let mut at = 0;
        for index in 0..self.memory.picked().len().min(most) {
            let Some(&member) = self.memory.picked().get(index) else { break };
            let rdata = snapshot.wide_ips.rdata(pool, member);
            at = write_one(reply, current, decision, rdata)?;
            if decision.record_type == RecordType::CNAME {
                self.aim(&[], rdata);
            }
        }
        Ok(at)
    }

    /// The zone that answers for the name, and where its apex starts in it.
    fn zone(&self, key: &NameKey) -> Option<(usize, &'s Zone)> {
        let zones: &'s _ = &self.view.zones;
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
        is_steered: bool,
    ) -> Result<Step, Full> {
        if current.is_first {
            self.resolution.source = AnswerSource::Zone;
        }
        // A zone without records is one that has not come yet, or expired (RFC 1035 §4.3.5).
        if zone.records() == 0 {
            let explanation = Some(ExtendedError::of_empty(zone));
            let rcode = Rcode::SERVFAIL;
            self.resolution = Resolution { rcode, authoritative: false, explanation, ..self.resolution };
            return Ok(Step::End);
        }
        match zone.lookup(current.key, self.query.record_type) {
            Lookup::Hit(rrset) => {
                write_rrset(reply, Section::Answer, current.owner, rrset, rrset.ttl)?;
                if let Some(limit) = additional::add(reply, (self.snapshot, self.view), self.room, rrset) {
                    self.resolution.limit = Some(limit);
                }
                Ok(Step::End)
            }
            Lookup::Cname(rrset) => {
                let at = write_rrset(reply, Section::Answer, current.owner, rrset, rrset.ttl)?;
                self.aim(&[], rrset.first());
                Ok(Step::Follow(at))
            }
            Lookup::Dname { label, rrset } => self.redirect(reply, current, label, rrset),
            Lookup::Delegation { label, name_servers } => self.refer(reply, current, label, name_servers),
            Lookup::NoData => self.negative(reply, current, zone, apex, u32::MAX),
            Lookup::NxDomain => {
                // The name exists where a wide IP of another type stands, if only through a pattern.
                if !is_steered {
                    self.resolution.rcode = Rcode::NXDOMAIN;
                }
                self.negative(reply, current, zone, apex, u32::MAX)
            }
        }
    }

    /// Refers to the name servers of a cut (RFC 1034 §4.3.2 step 3b).
    fn refer(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        label: usize,
        name_servers: Rrset<'_>,
    ) -> Result<Step, Full> {
        // A referral is no authoritative answer; a chain before it was.
        self.resolution.authoritative &= !current.is_first;
        self.resolution.account = current.key.hash(label);
        let owner = current.suffix(label);
        write_rrset(reply, Section::Authority, owner, name_servers, name_servers.ttl)?;
        let of = (self.snapshot, self.view);
        additional::glue(reply, of, self.room, name_servers, current.key.suffix(label))?;
        Ok(Step::End)
    }

    /// Writes the SOA that says for how long there is nothing (RFC 2308 §3 and §5).
    fn negative(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        zone: &Zone,
        apex: usize,
        ttl_max: u32,
    ) -> Result<Step, Full> {
        self.resolution.account = current.key.hash(apex);
        if let Some(soa) = zone.rrset_at(current.key, apex, RecordType::SOA) {
            let ttl = zone.soa().negative_ttl().min(ttl_max);
            write_rrset(reply, Section::Authority, current.suffix(apex), soa, ttl)?;
        }
        Ok(Step::End)
    }

    /// Follows a DNAME (RFC 6672 §3.1): the record itself, and a CNAME made of it.
    fn redirect(
        &mut self,
        reply: &mut Reply<'_>,
        current: Current<'_>,
        label: usize,
        rrset: Rrset<'_>,
    ) -> Result<Step, Full> {
        write_rrset(reply, Section::Answer, current.suffix(label), rrset, rrset.ttl)?;
        let Some(length) = self.aim(current.key.between(0, label), rrset.first()) else {
            // RFC 6672 §2.2: the name that would result is too long.
            self.resolution.rcode = Rcode::YXDOMAIN;
            return Ok(Step::End);
        };
        let target = self.room.target.get(..length).unwrap_or(&[]);
        let at = reply.record(Section::Answer, current.owner, RecordType::CNAME, rrset.ttl, target)?;
        // The CNAME just made is itself what a question for CNAME, or any type, wants.
        if matches!(self.query.record_type, RecordType::CNAME | RecordType::ANY) {
            return Ok(Step::End);
        }
        Ok(Step::Follow(at))
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
    fn unmatched(&mut self, reply: &mut Reply<'_>) -> Result<Step, Full> {
        let resolution = &mut self.resolution;
        resolution.account = 0;
        match self.snapshot.settings.unmatched {
            Unmatched::Drop => resolution.silent = true,
            Unmatched::Refused => {
                (resolution.rcode, resolution.authoritative) = (Rcode::REFUSED, false);
                resolution.explanation = Some(ExtendedError::NotAuthoritative);
            }
            Unmatched::NxDomain => {
                resolution.rcode = Rcode::NXDOMAIN;
                let root = Owner::Suffix(self.question, self.question.label_count());
                let ttl = self.snapshot.settings.synthetic_zone.negative_ttl_seconds;
                reply.record(Section::Authority, root, RecordType::SOA, ttl, &self.snapshot.root_soa)?;
            }
        }
        Ok(Step::End)
    }
}

/// Writes one record that a wide IP decided.
#[inline]
fn write_one(reply: &mut Reply<'_>, current: Current<'_>, decision: &Decision, rdata: &[u8]) -> Result<u16, Full> {
    reply.record(Section::Answer, current.owner, decision.record_type, decision.ttl_seconds, rdata)
}

/// Writes an RRset; tells where the RDATA of its last record starts.
#[inline]
fn write_rrset(
    reply: &mut Reply<'_>,
    section: Section,
    owner: Owner<'_>,
    rrset: Rrset<'_>,
    ttl: u32,
) -> Result<u16, Full> {
    let mut at = 0;
    for rdata in rrset.rdatas() {
        at = reply.record(section, owner, rrset.record_type, ttl, rdata)?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{ask_packet, query, settings};
    use super::super::{Transport, prepare_zones};
    use super::*;
    use crate::topology::{Condition, Match, Prefix, Record, Rules};
    use crate::wideip::fixture::{SEED, World, cname, name, pool, wide_ip};
    use crate::wideip::{Pool, PoolMethod, WhenAllDown, WideIp, WideIpMethod};
    use crate::wire::Name;
    use crate::zone::{ZoneBuilder, rdata};

    /// The world's wide IPs over a zone `example.` with these records.
    fn snapshot(world: &World, records: &[(&str, RecordType, &str)]) -> Snapshot {
        let apex = name("example.");
        let mut builder = ZoneBuilder::new(&apex, SEED);
        let soa = ("example.", RecordType::SOA, "ns.example. dns.example. 1 2 3 4 60");
        for (owner, record_type, text) in std::iter::once(&soa).chain(records) {
            let rdata = rdata::from_text(*record_type, text, &apex).unwrap();
            builder.add(&name(owner), *record_type, 300, &rdata).unwrap();
        }
        let settings = Arc::new(settings(Unmatched::Refused));
        let exact = world.model.wide_ips.iter().filter_map(|wide_ip| match &wide_ip.name {
            crate::wideip::Pattern::Exact(name) => Some(name.clone()),
            crate::wideip::Pattern::Glob(_) => None,
        });
        let names: Vec<Name> = exact.collect();
        let zones = prepare_zones(vec![Arc::new(builder.finish())], &names, &settings.synthetic_zone, SEED);
        Snapshot::new(1, &zones, world.tables.clone(), settings, SEED)
    }

    fn ask(snapshot: &Snapshot, question: &str, record_type: RecordType) -> String {
        ask_packet(snapshot, &query(question, record_type, 1, &[]), Transport::Udp)
    }

    const SOA: &str = "| au example. 60 SOA ns.example. dns.example. 1 2 3 4 60";
    const SOA_SHORT: &str = "| au example. 5 SOA ns.example. dns.example. 1 2 3 4 60";

    #[test]
    fn a_wide_ip_stands_before_the_zone_and_its_other_types_are_no_data() {
        let world = World::new(vec![pool("p", "a")], vec![wide_ip("www.example.", &[0])]);
        let records = [
            ("www.example.", RecordType::A, "203.0.113.1"),
            ("www.example.", RecordType::TXT, "text"),
            ("*.example.", RecordType::MX, "5 mail.example."),
        ];
        let snapshot = snapshot(&world, &records);
        assert_eq!(ask(&snapshot, "www.example.", RecordType::A), "NOERROR aa | an www.example. 30 A 192.0.2.1");
        assert_eq!(ask(&snapshot, "www.example.", RecordType::ANY), "NOERROR aa | an www.example. 30 A 192.0.2.1");
        assert_eq!(ask(&snapshot, "www.example.", RecordType::TXT), "NOERROR aa | an www.example. 300 TXT text");
        assert_eq!(ask(&snapshot, "www.example.", RecordType::AAAA), format!("NOERROR aa {SOA}"));
        assert_eq!(ask(&snapshot, "www.example.", RecordType::MX), format!("NOERROR aa {SOA}"), "no wildcard applies");
        assert_eq!(ask(&snapshot, "none.www.example.", RecordType::A), format!("NXDOMAIN aa {SOA}"));
    }

    #[test]
    fn a_pattern_makes_every_name_it_covers_exist() {
        let world = World::new(vec![pool("p", "a")], vec![wide_ip("*.app.example.", &[0])]);
        let snapshot = snapshot(&world, &[]);
        assert_eq!(
            ask(&snapshot, "x.y.app.example.", RecordType::A),
            "NOERROR aa | an x.y.app.example. 30 A 192.0.2.1"
        );
        assert_eq!(ask(&snapshot, "x.y.app.example.", RecordType::AAAA), format!("NOERROR aa {SOA}"));
    }

    #[test]
    fn an_alias_in_the_zone_leads_to_a_wide_ip_and_a_cname_pool_back_to_the_zone() {
        let alias_pool =
            Pool { record_type: RecordType::CNAME, members: vec![cname("web.example.", true)], ..pool("c", "") };
        let world = World::new(
            vec![pool("p", "a b"), alias_pool],
            vec![wide_ip("www.example.", &[0]), wide_ip("via.example.", &[1])],
        );
        let records =
            [("alias.example.", RecordType::CNAME, "www.example."), ("web.example.", RecordType::A, "203.0.113.7")];
        let snapshot = snapshot(&world, &records);
        assert_eq!(
            ask(&snapshot, "alias.example.", RecordType::A),
            "NOERROR aa | an alias.example. 300 CNAME www.example. | an www.example. 30 A 192.0.2.1"
        );
        assert_eq!(
            ask(&snapshot, "via.example.", RecordType::A),
            "NOERROR aa | an via.example. 30 CNAME web.example. | an web.example. 300 A 203.0.113.7"
        );
    }

    #[test]
    fn what_a_wide_ip_steers_is_not_added_from_the_zone() {
        let world = World::new(vec![pool("p", "a")], vec![wide_ip("www.example.", &[0])]);
        let records =
            [("www.example.", RecordType::A, "203.0.113.1"), ("mail.example.", RecordType::MX, "5 www.example.")];
        let snapshot = snapshot(&world, &records);
        assert_eq!(
            ask(&snapshot, "mail.example.", RecordType::MX),
            "NOERROR aa | an mail.example. 300 MX 5 www.example."
        );
    }

    #[test]
    fn when_all_is_down_the_wide_ip_says_what_is_answered() {
        let check = |when_all_down: WhenAllDown, expected: &str| {
            let wide_ip = WideIp { when_all_down, ..wide_ip("www.example.", &[0]) };
            let mut world = World::new(vec![pool("p", "a b")], vec![wide_ip]);
            world.down("ab");
            let snapshot = snapshot(&world, &[("www.example.", RecordType::A, "203.0.113.1")]);
            assert_eq!(ask(&snapshot, "www.example.", RecordType::A), expected);
        };
        check(WhenAllDown::ServeAll, "NOERROR aa | an www.example. 30 A 192.0.2.1");
        check(
            WhenAllDown::FallbackIp("198.51.100.9".parse().unwrap()),
            "NOERROR aa | an www.example. 5 A 198.51.100.9",
        );
        check(WhenAllDown::NoData, &format!("NOERROR aa {SOA_SHORT}"));
        check(WhenAllDown::Rcode(Rcode::NXDOMAIN), &format!("NXDOMAIN aa {SOA_SHORT}"));
        check(WhenAllDown::Rcode(Rcode::SERVFAIL), "SERVFAIL");
        check(WhenAllDown::Rcode(Rcode::REFUSED), "REFUSED");
        check(WhenAllDown::ReturnToDns, "NOERROR aa | an www.example. 300 A 203.0.113.1");
        check(WhenAllDown::Drop, "silence");
    }

    #[test]
    fn rfc7871_7_2_1_the_scope_is_what_decided() {
        let subnet = |text: &str, length| Match::Subnet(Prefix { address: text.parse().unwrap(), length });
        let record = |client, pool: &str, score| Record {
            client: Condition { negated: false, is: client },
            answer: Condition { negated: false, is: Match::Pool(pool.into()) },
            score,
        };
        let rules = Rules {
            records: vec![record(subnet("10.0.0.0", 8), "west", 10), record(subnet("10.1.0.0", 16), "east", 20)],
            ..Rules::default()
        };
        let steered = WideIp { method: WideIpMethod::Topology, ..wide_ip("www.example.", &[0, 1]) };
        let plain = wide_ip("plain.example.", &[0]);
        let static_persistence = Pool { preferred: PoolMethod::StaticPersistence, ..pool("hash", "a b") };
        let world = World::with_rules(
            vec![pool("west", "a"), pool("east", "b"), static_persistence],
            vec![steered, plain, wide_ip("hash.example.", &[2])],
            rules,
        );
        let snapshot = snapshot(&world, &[]);
        let ask = |question: &str, third: u8| {
            let edns = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 10, third, 9];
            let mut out = [0; 4096];
            let packet = query(question, RecordType::A, 1, &edns);
            let mut worker = super::super::Worker::new(1);
            let source = "192.0.2.9:5353".parse().unwrap();
            let outcome = super::super::respond(&snapshot, &mut worker, &packet, source, Transport::Udp, &mut out);
            let reply = &out[..outcome.length];
            let scope = reply[reply.len() - 4];
            let text = ask_packet(&snapshot, &packet, Transport::Udp);
            format!("{scope} {}", text.split(" A ").nth(1).unwrap())
        };
        assert_eq!(ask("www.example.", 1), "16 192.0.2.2");
        assert_eq!(ask("www.example.", 200), "9 192.0.2.1");
        assert!(ask("plain.example.", 1).starts_with("0 "), "the client did not matter");
        assert!(ask("hash.example.", 1).starts_with("24 "), "the whole prefix was hashed");
    }
}
