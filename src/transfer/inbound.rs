//! A zone that comes in, record by record: the whole or changes, checked as it comes. No sockets and no clock.

use std::fmt;
use std::sync::Arc;

use super::requests::serial_of;
use crate::answer::InboundLimits;
use crate::metrics::Limit;
use crate::wire::{Class, MessageRecord, Name, RecordType};
use crate::zone::check::{Severity, check_change, check_within};
use crate::zone::{AddError, Added, Built, Bulk, Sizes, Zone, ZoneBuilder, rdata};

/// The largest TTL; RFC 2181 §8 has larger ones read as zero.
const TTL_MAX: u32 = i32::MAX.unsigned_abs();

/// What of a transfer is not what it must be. The last version stays in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The first record is no SOA of the zone.
    NoSoa,
    /// A record is not of class IN.
    Class(Name),
    /// A record is outside the zone.
    OutOfZone(Name),
    /// A record cannot stand in a zone or its data is malformed.
    Record(Name, RecordType, String),
    /// Records follow the closing SOA.
    AfterTheEnd,
    /// A change does not fit the version it is for.
    DoesNotFit(String),
    /// The transfer, or the zone that comes of it, is larger than is allowed.
    TooLarge(Limit, u64),
    /// The zone breaks the rules of zones.
    Zone(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSoa => f.write_str("the transfer does not start with the zone's SOA"),
            Self::Class(name) => write!(f, "{name}: a record is not of class IN"),
            Self::OutOfZone(name) => write!(f, "{name} is not in the zone"),
            Self::Record(name, record_type, why) => write!(f, "{name} {record_type}: {why}"),
            Self::AfterTheEnd => f.write_str("records follow the closing SOA"),
            Self::DoesNotFit(why) => write!(f, "a change does not fit our version: {why}"),
            Self::TooLarge(Limit::ZoneOctets, max) => {
                write!(f, "the transfer has more than {max} octets (`size_max`)")
            }
            Self::TooLarge(_, max) => write!(f, "the transfer has more than {max} records (`records_max`)"),
            Self::Zone(why) => write!(f, "the zone breaks a rule: {why}"),
        }
    }
}

/// Where the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first SOA.
    Start,
    /// After it: what follows tells whether it is the whole zone or changes.
    Opened,
    /// Inside a whole zone.
    Whole,
    /// Inside records to remove.
    Removing,
    /// Inside records to add, on the way to this version.
    Adding(u32),
    /// Behind the closing SOA.
    Ended,
}

/// A transfer under way.
pub(super) struct Inbound {
    apex: Name,
    /// The version that changes are for.
    old: Option<Arc<Zone>>,
    state: State,
    making: Making,
    /// The SOA of the version that comes.
    soa: Option<MessageRecord>,
    serial: u32,
    records: u64,
    octets: u64,
    limits: InboundLimits,
    /// What its names may hold.
    sizes: Sizes,
}

/// What the zone is made of.
#[expect(clippy::large_enum_variant, reason = "there is one for each transfer")]
enum Making {
    /// Of all its records at once, once they are there.
    Whole(Bulk),
    /// Of the old version, change by change.
    Changes(ZoneBuilder),
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More messages follow.
    More,
    /// There is nothing newer than what we have.
    UpToDate,
    /// All of it is there.
    Whole,
}

impl Inbound {
    /// Waits for a zone; changes are taken only for `old`.
    pub(super) fn new(apex: &Name, old: Option<Arc<Zone>>, limits: InboundLimits, seed: u64) -> Self {
        let making = Making::Whole(Bulk::new(apex, seed, 0));
        let apex = apex.to_lowercase();
        let (state, sizes) = (State::Start, Sizes::DEFAULT);
        Self { apex, old, state, making, soa: None, serial: 0, records: 0, octets: 0, limits, sizes }
    }

    /// Holds names and RRsets to these sizes.
    pub(super) fn within(self, sizes: Sizes) -> Self {
        Self { sizes, ..self }
    }

    /// Takes the records of one message.
    pub(super) fn take(&mut self, records: impl IntoIterator<Item = MessageRecord>) -> Result<Progress, Fault> {
        for record in records {
            self.record(record)?;
        }
        Ok(match self.state {
            State::Ended => Progress::Whole,
            // RFC 1995 §4: an SOA alone says that there is nothing newer.
            State::Opened if self.old.as_ref().is_some_and(|old| old.soa().serial == self.serial) => Progress::UpToDate,
            _ => Progress::More,
        })
    }

    /// How many records came.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// The zone, once all of it is there and keeps the rules of zones.
    pub(super) fn finish(self) -> Result<Zone, Fault> {
        let soa = self.soa.filter(|_| self.state == State::Ended).ok_or(Fault::NoSoa)?;
        let ttl = if soa.ttl > TTL_MAX { 0 } else { soa.ttl };
        let (zone, old) = match self.making {
            Making::Whole(bulk) => (whole(bulk, &self.apex, ttl, &soa.rdata, &self.sizes)?, None),
            Making::Changes(mut builder) => {
                let put = builder.put(&self.apex, RecordType::SOA, ttl, &[&soa.rdata]);
                put.map_err(|error| Fault::Zone(error.to_string()))?;
                (builder.finish(), self.old)
            }
        };
        // Changes that are small each may make a zone that is not.
        if u64::try_from(zone.records()).unwrap_or(u64::MAX) > self.limits.records_max {
            return Err(Fault::TooLarge(Limit::ZoneRecords, self.limits.records_max));
        }
        let sizes = &self.sizes;
        let found = old.map_or_else(|| check_within(&zone, sizes), |old| check_change(&old, &zone, sizes));
        let error = found.into_iter().find(|problem| problem.severity == Severity::Error);
        match error {
            Some(problem) => Err(Fault::Zone(format!("{}: {}", problem.name, problem.reason))),
            None => Ok(zone),
        }
    }

    fn record(&mut self, record: MessageRecord) -> Result<(), Fault> {
        self.admit(&record)?;
        let soa = serial_of(record.record_type, &record.rdata);
        if soa.is_some() && record.name != self.apex {
            return Err(Fault::Record(record.name, RecordType::SOA, "an SOA stands at the apex only".to_owned()));
        }
        self.state = match (self.state, soa) {
            (State::Start, Some(serial)) => {
                (self.serial, self.soa) = (serial, Some(record));
                State::Opened
            }
            (State::Start, None) => return Err(Fault::NoSoa),
            (State::Opened, Some(serial)) => self.begin_changes(serial)?,
            (State::Opened | State::Whole, None) => {
                self.add(&record)?;
                State::Whole
            }
            (State::Whole, Some(serial)) if serial == self.serial => State::Ended,
            (State::Whole, Some(_)) => {
                return Err(Fault::Record(self.apex.clone(), RecordType::SOA, "the zone changed under way".to_owned()));
            }
            (State::Removing, None) => {
                self.remove(&record)?;
                State::Removing
            }
            (State::Removing, Some(serial)) => State::Adding(serial),
            (State::Adding(serial), None) => {
                self.add(&record)?;
                State::Adding(serial)
            }
            (State::Adding(at), Some(serial)) if at == self.serial && serial == self.serial => State::Ended,
            (State::Adding(at), Some(serial)) if at == serial => State::Removing,
            (State::Adding(at), Some(serial)) => {
                return Err(Fault::DoesNotFit(format!("it leads to {at}, and the next starts from {serial}")));
            }
            (State::Ended, _) => return Err(Fault::AfterTheEnd),
        };
        Ok(())
    }

    /// Holds a record against what no zone may have.
    fn admit(&mut self, record: &MessageRecord) -> Result<(), Fault> {
        self.records += 1;
        self.octets += u64::try_from(record.rdata.len() + record.name.as_wire().len()).unwrap_or(u64::MAX);
        let InboundLimits { records_max, octets_max, .. } = self.limits;
        // The closing SOA is the opening one again.
        if self.records > records_max.saturating_add(1) {
            return Err(Fault::TooLarge(Limit::ZoneRecords, records_max));
        }
        if self.octets > octets_max {
            return Err(Fault::TooLarge(Limit::ZoneOctets, octets_max));
        }
        if record.class != Class::IN {
            return Err(Fault::Class(record.name.clone()));
        }
        if !record.name.is_at_or_below(&self.apex) {
            return Err(Fault::OutOfZone(record.name.clone()));
        }
        let fault = |why: String| Fault::Record(record.name.clone(), record.record_type, why);
        if record.record_type.is_meta() {
            return Err(fault("the type stands in no zone".to_owned()));
        }
        rdata::check(record.record_type, &record.rdata).map_err(|error| fault(error.to_string()))
    }

    /// The second SOA: the start of changes from our version, or the end of a zone of one record.
    fn begin_changes(&mut self, serial: u32) -> Result<State, Fault> {
        match &self.old {
            Some(old) if old.soa().serial == serial => {
                self.making = Making::Changes(ZoneBuilder::from(&**old).rrsets_up_to(self.sizes.rrset_records));
                Ok(State::Removing)
            }
            _ if serial == self.serial => Ok(State::Ended),
            Some(old) => Err(Fault::DoesNotFit(format!("it is for {serial}, we have {}", old.soa().serial))),
            None => Err(Fault::DoesNotFit(format!("it is for {serial}, we have none"))),
        }
    }

    fn add(&mut self, record: &MessageRecord) -> Result<(), Fault> {
        let MessageRecord { name, record_type, rdata, .. } = record;
        let ttl = if record.ttl > TTL_MAX { 0 } else { record.ttl };
        let added = match &mut self.making {
            Making::Whole(bulk) => bulk.add(name, *record_type, ttl, rdata).map(|()| Added::New),
            Making::Changes(builder) => builder.add(&name.to_lowercase(), *record_type, ttl, rdata),
        };
        match added {
            Ok(Added::New | Added::Duplicate | Added::TtlIgnored) => Ok(()),
            Ok(Added::TooMany) => Err(too_many(name, *record_type, &self.sizes)),
            Err(error) => Err(Fault::Record(name.clone(), *record_type, error.to_string())),
        }
    }

    fn remove(&mut self, record: &MessageRecord) -> Result<(), Fault> {
        let (owner, record_type) = (record.name.to_lowercase(), record.record_type);
        let missing = || Fault::DoesNotFit(format!("{owner} {record_type} is to go and is not there"));
        let Making::Changes(builder) = &mut self.making else { return Err(missing()) };
        let rrset = builder.rrset(&owner, record_type);
        let found = rrset.map(|rrset| (rrset.ttl, rrset.rdatas().map(<[u8]>::to_vec).collect::<Vec<_>>()));
        let (ttl, mut rdatas) = found.ok_or_else(missing)?;
        let at =
            rdatas.iter().position(|rdata| rdata::is_same(record_type, rdata, &record.rdata)).ok_or_else(missing)?;
        rdatas.remove(at);
        let left: Vec<&[u8]> = rdatas.iter().map(Vec::as_slice).collect();
        let put = builder.put(&owner, record_type, ttl, &left);
        put.map_err(|error| Fault::Record(owner.clone(), record_type, error.to_string()))
    }
}

/// Makes the zone of all its records and its SOA.
fn whole(mut bulk: Bulk, apex: &Name, ttl: u32, soa: &[u8], sizes: &Sizes) -> Result<Zone, Fault> {
    bulk.add(apex, RecordType::SOA, ttl, soa).map_err(|error| Fault::Zone(error.to_string()))?;
    let Built { zone, full, .. } = bulk.finish(sizes.rrset_records);
    full.map_or(Ok(zone), |(name, record_type)| Err(too_many(&name, record_type, sizes)))
}

fn too_many(name: &Name, record_type: RecordType, sizes: &Sizes) -> Fault {
    Fault::Record(name.clone(), record_type, AddError::TooLarge(sizes.rrset_records).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::zone::print;

    fn record(name: &str, record_type: RecordType, text: &str) -> MessageRecord {
        let rdata = rdata::from_text(record_type, text, &"example.".parse().unwrap()).unwrap();
        let name = name.parse().unwrap();
        MessageRecord { start: 0, name, record_type, class: Class::IN, ttl: 60, rdata }
    }

    fn soa(serial: u32) -> MessageRecord {
        record("example.", RecordType::SOA, &format!("ns.example.net. h.example.net. {serial} 1 2 3 4"))
    }

    fn ns() -> MessageRecord {
        record("example.", RecordType::NS, "ns.example.net.")
    }

    fn a(name: &str, address: &str) -> MessageRecord {
        record(name, RecordType::A, address)
    }

    const LIMITS: InboundLimits = InboundLimits {
        records_max: 100,
        octets_max: 10_000,
        time_max: Duration::from_secs(10),
        wait_max: Duration::from_secs(10),
    };

    fn run(old: Option<Arc<Zone>>, records: Vec<MessageRecord>) -> Result<Zone, Fault> {
        let mut inbound = Inbound::new(&"example.".parse().unwrap(), old, LIMITS, 1);
        inbound.take(records)?;
        inbound.finish()
    }

    fn version_1() -> Arc<Zone> {
        Arc::new(
            run(None, vec![soa(1), ns(), a("a.example.", "192.0.2.1"), a("a.example.", "192.0.2.2"), soa(1)]).unwrap(),
        )
    }

    #[test]
    fn names_and_rrsets_are_held_to_the_sizes_that_are_set() {
        let check = |sizes: Sizes, expected: Option<&str>| {
            let mut inbound = Inbound::new(&"example.".parse().unwrap(), None, LIMITS, 1).within(sizes);
            let records = [soa(3), ns(), a("a.example.", "192.0.2.1"), a("a.example.", "192.0.2.2"), soa(3)];
            let outcome = inbound.take(records).and_then(|_| inbound.finish());
            let found = outcome.err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(expected.map_or(found.is_empty(), |expected| found.contains(expected)), "{found}");
        };
        check(Sizes::DEFAULT, None);
        check(Sizes { rrset_records: 2, types: 2, ..Sizes::DEFAULT }, None);
        check(Sizes { rrset_records: 1, ..Sizes::DEFAULT }, Some("more than 1 records (`limits.zones.rrset_records`)"));
        check(Sizes { types: 1, ..Sizes::DEFAULT }, Some("2 types at one name, more than 1 (`limits.zones.types`)"));
    }

    #[test]
    fn a_whole_zone_is_taken_once_it_is_closed() {
        assert_eq!(version_1().records(), 4);
        assert_eq!(run(None, vec![soa(1), ns()]).unwrap_err(), Fault::NoSoa, "cut short");
        assert_eq!(run(None, vec![ns(), soa(1)]).unwrap_err(), Fault::NoSoa);
        assert_eq!(run(None, vec![soa(1), ns(), soa(1), ns()]).unwrap_err(), Fault::AfterTheEnd);
        let changed = run(None, vec![soa(1), ns(), soa(2)]).unwrap_err().to_string();
        assert!(changed.contains("changed under way"), "{changed}");
    }

    #[test]
    fn what_stands_in_no_zone_is_refused() {
        let check = |bad: MessageRecord, expected: &str| {
            let error = run(None, vec![soa(1), ns(), bad, soa(1)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(a("example.net.", "192.0.2.1"), "example.net. is not in the zone");
        check(MessageRecord { class: Class::CH, ..a("a.example.", "192.0.2.1") }, "not of class IN");
        check(MessageRecord { rdata: vec![1; 5], ..a("a.example.", "192.0.2.1") }, "a.example. A:");
        check(MessageRecord { record_type: RecordType::TSIG, ..a("a.example.", "192.0.2.1") }, "stands in no zone");
        check(MessageRecord { name: "a.example.".parse().unwrap(), ..soa(1) }, "at the apex only");
    }

    #[test]
    fn a_zone_of_as_many_records_as_are_allowed_is_taken_and_one_more_is_not() {
        let zone = |hosts: u16| {
            let host = |number: u16| a(&format!("h{number}.example."), "192.0.2.1");
            let hosts = (0..hosts).map(host);
            run(None, [soa(1), ns()].into_iter().chain(hosts).chain([soa(1)]).collect())
        };
        assert_eq!(zone(98).unwrap().records(), 100);
        assert_eq!(zone(99).unwrap_err(), Fault::TooLarge(Limit::ZoneRecords, 100));
        let text = format!("\"{}\"", "x".repeat(250));
        let large = (0..40).map(|number| record(&format!("t{number}.example."), RecordType::TXT, &text));
        let large = run(None, [soa(1), ns()].into_iter().chain(large).chain([soa(1)]).collect()).unwrap_err();
        assert_eq!(large, Fault::TooLarge(Limit::ZoneOctets, 10_000));
    }

    #[test]
    fn an_rrset_of_more_records_than_may_be_is_refused() {
        let limits = InboundLimits { records_max: 1000, octets_max: 100_000, ..LIMITS };
        let zone = |count: u16| {
            let address = |number: u16| a("a.example.", &format!("10.0.{}.{}", number >> 8, number & 255));
            let records = [soa(1), ns()].into_iter().chain((0..count).map(address)).chain([soa(1)]);
            let mut inbound = Inbound::new(&"example.".parse().unwrap(), None, limits, 1);
            inbound.take(records)?;
            inbound.finish()
        };
        assert_eq!(zone(500).unwrap().records(), 502);
        let refused = zone(501).unwrap_err().to_string();
        assert_eq!(refused, "a.example. A: the RRset would hold more than 500 records (`limits.zones.rrset_records`)");
    }

    #[test]
    fn changes_may_not_make_a_zone_that_is_too_large() {
        let mut zone = version_1();
        for serial in 1.. {
            let hosts = (0..40).map(|number| a(&format!("h{number}.s{serial}.example."), "192.0.2.1"));
            let changes = [soa(serial + 1), soa(serial), soa(serial + 1)].into_iter().chain(hosts);
            match run(Some(zone), changes.chain([soa(serial + 1)]).collect()) {
                Ok(next) => zone = Arc::new(next),
                Err(fault) => {
                    assert_eq!((serial, fault), (3, Fault::TooLarge(Limit::ZoneRecords, 100)));
                    return;
                }
            }
        }
    }

    #[test]
    fn a_zone_that_breaks_the_rules_of_zones_is_refused() {
        assert!(matches!(run(None, vec![soa(1), a("a.example.", "192.0.2.1"), soa(1)]), Err(Fault::Zone(_))), "no NS");
        let beside =
            vec![soa(1), ns(), a("a.example.", "192.0.2.1"), record("a.example.", RecordType::CNAME, "b"), soa(1)];
        assert!(matches!(run(None, beside), Err(Fault::Zone(_))), "CNAME and data");
    }

    #[test]
    fn rfc1995_4_changes_are_made_to_our_version_in_their_order() {
        let changes = vec![
            soa(3),
            soa(1),
            a("a.example.", "192.0.2.1"),
            soa(2),
            a("b.example.", "192.0.2.3"),
            soa(2),
            a("b.example.", "192.0.2.3"),
            soa(3),
            a("c.example.", "192.0.2.4"),
            soa(3),
        ];
        let zone = run(Some(version_1()), changes).unwrap();
        let expected = vec![soa(3), ns(), a("a.example.", "192.0.2.2"), a("c.example.", "192.0.2.4"), soa(3)];
        assert_eq!(print::zone(&zone), print::zone(&run(None, expected).unwrap()));
    }

    #[test]
    fn changes_that_do_not_fit_are_refused() {
        let check = |records: Vec<MessageRecord>, expected: &str| {
            let error = run(Some(version_1()), records).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(vec![soa(3), soa(2), soa(3), soa(3)], "it is for 2, we have 1");
        check(vec![soa(3), soa(1), a("a.example.", "192.0.2.9"), soa(3), soa(3)], "is not there");
        check(vec![soa(3), soa(1), soa(2), soa(4)], "it leads to 2, and the next starts from 4");
        check(vec![soa(3), soa(1), soa(3)], "does not start with");
    }

    #[test]
    fn rfc1995_4_an_soa_alone_says_that_nothing_is_newer() {
        let mut inbound = Inbound::new(&"example.".parse().unwrap(), Some(version_1()), LIMITS, 1);
        assert_eq!(inbound.take([soa(1)]), Ok(Progress::UpToDate));
        let mut inbound = Inbound::new(&"example.".parse().unwrap(), Some(version_1()), LIMITS, 1);
        assert_eq!(inbound.take([soa(2)]), Ok(Progress::More), "a first message may hold no more");
    }
}
