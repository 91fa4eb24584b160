//! Why an answer is what it is, in the codes of RFC 8914.
//!
//! | what happened | code |
//! |---|---|
//! | all members were down; those that were available last are answered | 3 Stale Answer |
//! | all members were down; what the wide IP says is answered then | 0 Other |
//! | the wide IP is disabled | 0 Other |
//! | a chain of aliases never ends, or is too long to follow | 0 Other |
//! | the zone has not come from its primary yet | 14 Not Ready |
//! | the zone expired, its primary was not reached in time | 24 Invalid Data |
//! | the client may not have what it asks for | 18 Prohibited |
//! | the name or class is not ours | 20 Not Authoritative |
//! | an operation or type that nobody serves here | 21 Not Supported |
//!
//! An answer of the alternate or fallback method, or of the last resort pool, has no code: it rests on health as it is
//! now. Only the last known good ones rest on health that is over, as a stale answer of a resolver rests on data that
//! is (RFC 8767). Stale NXDOMAIN (19) is for negative answers out of a cache, which nothing here makes.

use crate::wideip::{Decision, Reason};
use crate::zone::Zone;

/// What an answer is explained by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtendedError {
    /// A chain of aliases leads back to itself.
    AliasLoop,
    /// A chain of aliases was not followed to its end.
    AliasChain,
    /// No member was available.
    AllDown,
    /// The wide IP is disabled.
    Disabled,
    /// The members that were available last are answered.
    LastKnownGood,
    /// The zone has not come yet.
    NotReady,
    /// The zone expired.
    Expired,
    /// The client is not allowed to ask this.
    Prohibited,
    /// The name or class is not served here.
    NotAuthoritative,
    /// The operation or type is not implemented.
    NotSupported,
}

impl ExtendedError {
    /// Every value.
    pub const ALL: [Self; 10] = [
        Self::AliasLoop,
        Self::AliasChain,
        Self::AllDown,
        Self::Disabled,
        Self::LastKnownGood,
        Self::NotReady,
        Self::Expired,
        Self::Prohibited,
        Self::NotAuthoritative,
        Self::NotSupported,
    ];

    /// The number of RFC 8914 §5.2.
    pub const fn code(self) -> u16 {
        match self {
            Self::AliasLoop | Self::AliasChain | Self::AllDown | Self::Disabled => 0,
            Self::LastKnownGood => 3,
            Self::NotReady => 14,
            Self::Prohibited => 18,
            Self::NotAuthoritative => 20,
            Self::NotSupported => 21,
            Self::Expired => 24,
        }
    }

    /// The text that goes with it; empty where the code says it all.
    pub const fn text(self) -> &'static str {
        match self {
            Self::AliasLoop => "alias loop",
            Self::AliasChain => "alias chain too long",
            Self::AllDown => "no member available",
            Self::Disabled => "disabled",
            Self::LastKnownGood => "last known good",
            Self::NotReady => "zone not transferred yet",
            Self::Expired => "zone expired",
            Self::Prohibited | Self::NotAuthoritative | Self::NotSupported => "",
        }
    }

    /// What explains that a zone without records answers nothing: it has not come yet, or expired (RFC 1035 §4.3.5).
    pub const fn of_empty(zone: &Zone) -> Self {
        if zone.expires_at().is_some() { Self::Expired } else { Self::NotReady }
    }

    /// What explains an answer that a wide IP decided.
    pub(super) const fn of(decision: &Decision) -> Option<Self> {
        match decision.reason {
            Reason::Method(_) => None,
            Reason::LastKnownGood(_) => Some(Self::LastKnownGood),
            Reason::AllDown(_) | Reason::WhenAllDown | Reason::NothingEnabled => Some(Self::AllDown),
            Reason::Disabled => Some(Self::Disabled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{name, query, settings};
    use super::super::{EdnsSettings, Settings, Snapshot, Transport, Unmatched, Worker, prepare_zones, respond};
    use super::*;
    use crate::wideip::fixture::{SEED, World, pool, wide_ip};
    use crate::wideip::{WhenAllDown, WideIp};
    use crate::wire::{Rcode, RecordType};
    use crate::zone::ZoneBuilder;

    const OPT: &[u8] = &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0];

    fn snapshot(world: &World, extended_errors: bool) -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        let cname = |target: &str| name(target).as_wire().to_vec();
        builder.add(&name("www.example."), RecordType::A, 60, &[192, 0, 2, 7]).unwrap();
        builder.add(&name("a.example."), RecordType::CNAME, 60, &cname("b.example.")).unwrap();
        builder.add(&name("b.example."), RecordType::CNAME, 60, &cname("a.example.")).unwrap();
        for step in 0..12 {
            let target = cname(&format!("c{}.example.", step + 1));
            builder.add(&name(&format!("c{step}.example.")), RecordType::CNAME, 60, &target).unwrap();
        }
        let edns = EdnsSettings { extended_errors, ..EdnsSettings::default() };
        let settings = Arc::new(Settings { edns, ..settings(Unmatched::Refused) });
        let zones = vec![
            Arc::new(builder.finish()),
            Arc::new(ZoneBuilder::new(&name("new."), SEED).finish()),
            Arc::new(ZoneBuilder::new(&name("old."), SEED).finish().expiring_at(0)),
        ];
        let zones = prepare_zones(zones, &[name("w.example.")], &settings.synthetic_zone, SEED);
        Snapshot::new(1, &zones, world.tables.clone(), settings, SEED)
    }

    /// The reply's code and what stands behind OPT's fixed fields.
    fn ask(snapshot: &Snapshot, packet: &[u8], transport: Transport) -> (Rcode, Option<ExtendedError>, Vec<u8>) {
        let mut out = [0; 4096];
        let mut worker = Worker::new(1);
        let outcome = respond(snapshot, &mut worker, packet, "192.0.2.9:5353".parse().unwrap(), transport, &mut out);
        let reply = &out[..outcome.length];
        let at = reply.windows(5).rposition(|window| window == [0, 0, 41, 4, 208]);
        (outcome.rcode, outcome.extended_error, at.map_or_else(Vec::new, |at| reply[at + 11..].to_vec()))
    }

    fn option(error: ExtendedError) -> Vec<u8> {
        let length = u8::try_from(2 + error.text().len()).unwrap();
        [&[0, 15, 0, length], &error.code().to_be_bytes()[..], error.text().as_bytes()].concat()
    }

    #[test]
    fn answers_say_why_they_are_what_they_are() {
        let world = World::new(vec![], vec![]);
        let snapshot = snapshot(&world, true);
        let check = |question: &str, record_type, class, expected: (Rcode, Option<ExtendedError>)| {
            let (rcode, error, options) = ask(&snapshot, &query(question, record_type, class, OPT), Transport::Udp);
            assert_eq!((rcode, error), expected, "{question}");
            assert_eq!(options, expected.1.map_or_else(Vec::new, option), "{question}");
        };
        let (a, refused) = (RecordType::A, Rcode::REFUSED);
        check("www.example.", a, 1, (Rcode::NOERROR, None));
        check("none.example.", a, 1, (Rcode::NXDOMAIN, None));
        check("www.elsewhere.", a, 1, (refused, Some(ExtendedError::NotAuthoritative)));
        check("www.example.", a, 4, (refused, Some(ExtendedError::NotAuthoritative)));
        check("version.bind.", RecordType::TXT, 3, (refused, Some(ExtendedError::NotAuthoritative)));
        check("example.", RecordType::AXFR, 1, (refused, Some(ExtendedError::Prohibited)));
        check("example.", RecordType::MAILB, 1, (Rcode::NOTIMP, Some(ExtendedError::NotSupported)));
        check("www.new.", a, 1, (Rcode::SERVFAIL, Some(ExtendedError::NotReady)));
        check("www.old.", a, 1, (Rcode::SERVFAIL, Some(ExtendedError::Expired)));
        check("a.example.", a, 1, (Rcode::SERVFAIL, Some(ExtendedError::AliasLoop)));
        check("c0.example.", a, 1, (Rcode::NOERROR, Some(ExtendedError::AliasChain)));
    }

    #[test]
    fn a_wide_ip_without_an_available_member_says_so() {
        let check = |when_all_down: WhenAllDown, is_down: bool, expected: Option<ExtendedError>| {
            let steered = WideIp { when_all_down: when_all_down.clone(), ..wide_ip("w.example.", &[0]) };
            let mut world = World::new(vec![pool("p", "a b")], vec![steered]);
            if is_down {
                world.down("ab");
            }
            let packet = query("w.example.", RecordType::A, 1, OPT);
            let (_, error, options) = ask(&snapshot(&world, true), &packet, Transport::Udp);
            assert_eq!((error, options), (expected, expected.map_or_else(Vec::new, option)), "{when_all_down:?}");
        };
        check(WhenAllDown::ServeAll, false, None);
        check(WhenAllDown::ServeAll, true, Some(ExtendedError::AllDown));
        check(WhenAllDown::NoData, true, Some(ExtendedError::AllDown));
        check(WhenAllDown::Rcode(Rcode::SERVFAIL), true, Some(ExtendedError::AllDown));
        check(WhenAllDown::FallbackIp("198.51.100.9".parse().unwrap()), true, Some(ExtendedError::AllDown));
        check(WhenAllDown::ReturnToDns, true, None);
    }

    #[test]
    fn nothing_is_explained_to_clients_without_edns_or_where_it_is_switched_off() {
        let world = World::new(vec![], vec![]);
        let plain = query("www.elsewhere.", RecordType::A, 1, &[]);
        assert_eq!(ask(&snapshot(&world, true), &plain, Transport::Udp), (Rcode::REFUSED, None, vec![]));
        let packet = query("www.elsewhere.", RecordType::A, 1, OPT);
        assert_eq!(ask(&snapshot(&world, false), &packet, Transport::Udp), (Rcode::REFUSED, None, vec![]));
    }

    #[test]
    fn every_code_is_counted_under_its_own_name() {
        let metrics = crate::metrics::Metrics::new("0", "0");
        let mut counters = metrics.query_counters(crate::metrics::Protocol::Udp);
        ExtendedError::ALL.iter().for_each(|error| counters.extended_error(error.code()));
        let text = metrics.export().unwrap();
        let counted: f64 = text
            .lines()
            .filter(|line| line.starts_with("fairlead_extended_errors_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        assert_eq!(counted, 10.0, "{text}");
    }
}
