//! The one entry: a packet in, a reply out.

use std::net::SocketAddr;

use super::access::Denied;
use super::ahead::Asked;
use super::chaos;
use super::extended_error::ExtendedError;
use super::options;
use super::outcome::{AnswerSource, Outcome, SignatureOutcome, Transport};
use super::rate_response::Response;
use super::request::{Arrival, Request, is_plain, size_limit};
use super::resolve::{Resolution, Resolver};
use super::selector::Origin;
use super::snapshot::Snapshot;
use super::view::View;
use super::worker::{ViewChoice, Worker};
use crate::metrics::{Limit, RateAction};
use crate::wire::{Class, Ending, Rcode, Refusal, Reply, ReplyOptions, Section, Silence};

/// Answers one packet into `out`, which should take 65,535 octets for TCP and at least 1,232 for UDP.
///
/// Never fails: what cannot be answered gets a response code, or silence where a reply would do harm.
pub fn respond(
    snapshot: &Snapshot,
    worker: &mut Worker,
    packet: &[u8],
    source: SocketAddr,
    transport: Transport,
    out: &mut [u8],
) -> Outcome {
    if source.port() == 0 {
        return Outcome::silent(Some(Silence::SourcePortZero));
    }
    let place = worker.read(packet, snapshot.seed);
    answer(snapshot, worker, (packet, place), source, transport, out)
}

/// Answers a packet by what was read of it in a place of the worker's.
#[inline]
fn answer(
    snapshot: &Snapshot,
    worker: &mut Worker,
    (packet, place): (&[u8], usize),
    source: SocketAddr,
    transport: Transport,
    out: &mut [u8],
) -> Outcome {
    let now = worker.unix_seconds;
    let Worker { asked, alias, suffixes, memory, room, listener, choice, limiter, keepalive, .. } = worker;
    let Some(Asked { query, question, refusal }) = asked.get(place) else { return Outcome::silent(None) };
    let malformed = match *refusal {
        None => None,
        Some(Refusal::Reply(rcode)) => Some(rcode),
        Some(Refusal::Silent(silence)) => return Outcome::silent(Some(silence)),
    };
    let arrival = Arrival { packet, source: source.ip(), transport, unix_seconds: now };
    let mut outcome = Outcome::silent(None);
    outcome.record_type = query.has_question().then_some(query.record_type);
    let mut request = None;
    let mut options = None;
    let mut limit = size_limit(query, transport).min(out.len());
    let most = limit;
    if malformed.is_some() || !is_plain(query) {
        let judged = request.insert(Request::judge(snapshot, query, arrival, malformed));
        (outcome.signature, outcome.cookie) = (judged.signature.outcome(), judged.cookie.outcome);
        outcome.hand_off = judged.hand_off;
        options = options::asked(snapshot, query, judged, *keepalive);
        limit = limit.saturating_sub(judged.signature.octets());
    }
    let option_octets = options.as_ref().map_or(0, ReplyOptions::octets);
    let mut reply = Reply::start(out, limit, packet, query, question, suffixes, option_octets);
    let start = reply.mark();
    let (mut resolution, view) = match (request.as_ref().and_then(|request| request.refused), query.class) {
        (Some((rcode, explanation)), _) => (Resolution::refused(rcode, explanation), None),
        (None, Class::CH) => {
            let answered = match snapshot.first.denies(question, arrival.source) {
                Some(denied) => Ok(Resolution::denied(denied)),
                None => chaos::answer(&mut reply, question, query, &snapshot.settings.chaos),
            };
            outcome.truncated = answered.is_err();
            (answered.unwrap_or_else(|cut| cut), None)
        }
        (None, _) => {
            // The key counts once its signature was found good: who cannot sign sees what anybody sees, or nothing.
            let key = request.as_ref().and_then(|request| request.signature.key());
            match choose(snapshot, || Origin { client: arrival.source, listener: *listener, key }, choice) {
                None => (Resolution::refused(Rcode::REFUSED, Some(ExtendedError::Prohibited)), None),
                Some(view) => {
                    let mut resolver = Resolver::new((snapshot, view), (query, question), arrival.source, memory, room);
                    outcome.truncated = resolver.resolve(&mut reply, alias).is_err();
                    outcome.decision = resolver.decision;
                    (resolver.resolution, Some(view))
                }
            }
        }
    };
    // None for streams, whose clients have shown that their addresses are their own.
    if let Some(limiter) = limiter
        && !(resolution.silent || outcome.hand_off)
    {
        let is_proven = outcome.cookie.is_valid() || outcome.signature == Some(SignatureOutcome::Good);
        let has_answer = outcome.truncated || reply.count(Section::Answer) > 0;
        let response = Response { question, record_type: query.record_type, source, has_answer, is_proven };
        outcome.limited = limiter.limit(view, &response, &mut resolution);
        outcome.truncated |= outcome.limited.is_some_and(|limited| limited.action == RateAction::Truncated);
    }
    (outcome.rcode, outcome.source, outcome.limit) = (resolution.rcode, resolution.source, resolution.limit);
    if resolution.silent {
        return outcome;
    }
    // A reply that does not fit says so and nothing else (RFC 2181 §9): no RRset is sent in part.
    if outcome.truncated {
        reply.rewind(start);
    }
    if let Some(options) = &mut options {
        options::complete(options, resolution.scope, view, (question, now));
    }
    if let Some(error) = resolution.explanation
        && query.edns.is_some()
        && snapshot.settings.edns.extended_errors
    {
        outcome.extended_error = Some(error);
        options.get_or_insert_default().extended_error = Some((error.code(), error.text()));
    }
    let Resolution { rcode, authoritative, .. } = resolution;
    let truncated = outcome.truncated;
    outcome.length = reply.finish(query, &Ending { rcode, authoritative, truncated, options: options.as_ref() });
    if let Some(request) = request {
        outcome.length = request.signature.append(out.get_mut(..most).unwrap_or_default(), outcome.length, now);
    }
    outcome
}

/// The view that the query is answered from, and a note of it where there is a choice.
#[inline]
fn choose<'s, 'o>(
    snapshot: &'s Snapshot,
    origin: impl FnOnce() -> Origin<'o>,
    choice: &mut Option<ViewChoice>,
) -> Option<&'s View> {
    if snapshot.selector().is_none() {
        return Some(&snapshot.first);
    }
    let view = snapshot.select(&origin());
    *choice = Some(view.map_or(ViewChoice::Nowhere, |view| ViewChoice::View(view.id())));
    view
}

impl Resolution {
    /// For a client that may not ask.
    pub(super) const fn denied(denied: Denied) -> Self {
        let silent = matches!(denied, Denied::Dropped);
        Self {
            silent,
            limit: Some(Limit::QueryAccess),
            ..Self::refused(Rcode::REFUSED, Some(ExtendedError::Prohibited))
        }
    }

    /// An answer without data.
    pub(super) const fn refused(rcode: Rcode, explanation: Option<ExtendedError>) -> Self {
        Self {
            rcode,
            source: AnswerSource::None,
            authoritative: false,
            scope: 0,
            silent: false,
            account: 0,
            limit: None,
            explanation,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{ask_packet, name, query, settings};
    use super::super::{Unmatched, prepare_zones};
    use super::*;
    use crate::wideip::fixture::{SEED, World};
    use crate::wire::RecordType;
    use crate::zone::ZoneBuilder;

    fn snapshot(unmatched: Unmatched) -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        let mut add = |owner: &str, record_type, parts: &[&[u8]]| {
            builder.add(&name(owner), record_type, 3600, &parts.concat()).unwrap();
        };
        let wire = |text: &str| name(text).as_wire().to_vec();
        let numbers: Vec<u8> = [1_u32, 2, 3, 4, 60].iter().flat_map(|n| n.to_be_bytes()).collect();
        add("example.", RecordType::SOA, &[&wire("ns.example."), &wire("dns.example."), &numbers]);
        add("example.", RecordType::NS, &[&wire("ns.example.")]);
        add("ns.example.", RecordType::A, &[&[192, 0, 2, 1]]);
        add("www.example.", RecordType::A, &[&[192, 0, 2, 2]]);
        add("mail.example.", RecordType::MX, &[&[0, 5], &wire("www.example.")]);
        add("a.example.", RecordType::CNAME, &[&wire("b.example.")]);
        add("b.example.", RecordType::CNAME, &[&wire("WWW.example.")]);
        add("loop.example.", RecordType::CNAME, &[&wire("pool.example.")]);
        add("pool.example.", RecordType::CNAME, &[&wire("loop.example.")]);
        add("gone.example.", RecordType::CNAME, &[&wire("missing.example.")]);
        add("out.example.", RecordType::CNAME, &[&wire("example.org.")]);
        add("*.wild.example.", RecordType::A, &[&[192, 0, 2, 3]]);
        add("moved.example.", RecordType::DNAME, &[&wire("wild.example.")]);
        add("sub.example.", RecordType::NS, &[&wire("ns.sub.example.")]);
        add("ns.sub.example.", RecordType::A, &[&[192, 0, 2, 4]]);
        for i in 0..100 {
            add("big.example.", RecordType::TXT, &[&[10], format!("{i:010}").as_bytes()]);
        }
        let long = format!("{0}.{0}.{0}.", "l".repeat(63));
        add("long.example.", RecordType::DNAME, &[&wire(&long)]);
        let settings = Arc::new(settings(unmatched));
        let zones = prepare_zones(
            vec![Arc::new(builder.finish())],
            &[name("held.deep.example."), name("app.other.test."), name("www.app.other.test.")],
            &settings.synthetic_zone,
            SEED,
        );
        let wide_ips = World::new(Vec::new(), Vec::new()).tables;
        Snapshot::new(1, &zones, wide_ips, settings, SEED)
    }

    fn check(question: &str, record_type: RecordType, expected: &str) {
        let packet = query(question, record_type, 1, &[]);
        assert_eq!(ask_packet(&snapshot(Unmatched::NxDomain), &packet, Transport::Udp), expected, "{question}");
    }

    const SOA: &str = "| au example. 60 SOA ns.example. dns.example. 1 2 3 4 60";

    #[test]
    fn data_comes_with_the_addresses_it_leads_to() {
        check("www.example.", RecordType::A, "NOERROR aa | an www.example. 3600 A 192.0.2.2");
        check(
            "mail.example.",
            RecordType::MX,
            "NOERROR aa | an mail.example. 3600 MX 5 www.example. | ad www.example. 3600 A 192.0.2.2",
        );
        check(
            "example.",
            RecordType::NS,
            "NOERROR aa | an example. 3600 NS ns.example. | ad ns.example. 3600 A 192.0.2.1",
        );
        check("any.wild.example.", RecordType::A, "NOERROR aa | an any.wild.example. 3600 A 192.0.2.3");
    }

    #[test]
    fn rfc2308_3_negative_answers_carry_the_soa_at_its_minimum() {
        check("none.example.", RecordType::A, &format!("NXDOMAIN aa {SOA}"));
        check("www.example.", RecordType::AAAA, &format!("NOERROR aa {SOA}"));
        check("deep.example.", RecordType::A, &format!("NOERROR aa {SOA}"));
        check("held.deep.example.", RecordType::A, &format!("NOERROR aa {SOA}"));
    }

    #[test]
    fn chains_are_followed_to_their_end() {
        let chain = "NOERROR aa | an a.example. 3600 CNAME b.example. | an b.example. 3600 CNAME WWW.example. \
                     | an WWW.example. 3600 A 192.0.2.2";
        check("a.example.", RecordType::A, chain);
        check("a.example.", RecordType::CNAME, "NOERROR aa | an a.example. 3600 CNAME b.example.");
        check(
            "gone.example.",
            RecordType::A,
            &format!("NXDOMAIN aa | an gone.example. 3600 CNAME missing.example. {SOA}"),
        );
        check("out.example.", RecordType::A, "NOERROR aa | an out.example. 3600 CNAME example.org.");
        let looped =
            "SERVFAIL aa | an loop.example. 3600 CNAME pool.example. | an pool.example. 3600 CNAME loop.example.";
        check("loop.example.", RecordType::A, looped);
    }

    #[test]
    fn rfc6672_3_1_dname_makes_a_cname() {
        check(
            "x.moved.example.",
            RecordType::A,
            "NOERROR aa | an moved.example. 3600 DNAME BHdpbGQHZXhhbXBsZQA= | an x.moved.example. 3600 CNAME x.wild.example. \
             | an x.wild.example. 3600 A 192.0.2.3",
        );
        let long = "l".repeat(63);
        let packet = query(&format!("{long}.long.example."), RecordType::A, 1, &[]);
        let text = ask_packet(&snapshot(Unmatched::NxDomain), &packet, Transport::Udp);
        assert!(text.starts_with("YXDOMAIN aa | an long.example. 3600 DNAME") && !text.contains(" CNAME"), "{text}");
    }

    #[test]
    fn a_cut_is_referred_to_with_glue() {
        check(
            "host.sub.example.",
            RecordType::A,
            "NOERROR | au sub.example. 3600 NS ns.sub.example. | ad ns.sub.example. 3600 A 192.0.2.4",
        );
    }

    #[test]
    fn wide_ip_names_outside_all_zones_get_a_zone() {
        let soa = "| au app.other.test. 30 SOA ns1.example.net. dns.example.net. 1 3600 600 1209600 30";
        check("app.other.test.", RecordType::TXT, &format!("NOERROR aa {soa}"));
        check("www.app.other.test.", RecordType::TXT, &format!("NOERROR aa {soa}"));
        check("none.app.other.test.", RecordType::TXT, &format!("NXDOMAIN aa {soa}"));
    }

    #[test]
    fn unmatched_names_follow_the_setting() {
        let soa = "NXDOMAIN aa | au . 30 SOA ns1.example.net. dns.example.net. 1 3600 600 1209600 30";
        let packet = query("www.elsewhere.", RecordType::A, 1, &[]);
        let rows = [(Unmatched::NxDomain, soa), (Unmatched::Refused, "REFUSED"), (Unmatched::Drop, "silence")];
        for (unmatched, expected) in rows {
            assert_eq!(ask_packet(&snapshot(unmatched), &packet, Transport::Udp), expected);
        }
    }

    #[test]
    fn rfc2181_9_what_does_not_fit_is_truncated_whole() {
        let snapshot = snapshot(Unmatched::NxDomain);
        let opt = |size: u16| [&[0, 0, 41][..], &size.to_be_bytes(), &[0; 6]].concat();
        let check = |edns: &[u8], transport, fits: bool| {
            let text = ask_packet(&snapshot, &query("big.example.", RecordType::TXT, 1, edns), transport);
            assert_eq!(text.starts_with("NOERROR aa tc"), !fits, "{text}");
            assert_eq!(text.contains("| an "), fits, "{text}");
        };
        check(&[], Transport::Udp, false);
        check(&opt(4096), Transport::Udp, false);
        check(&opt(100), Transport::Udp, false);
        check(&[], Transport::Tcp, true);
    }

    #[test]
    fn chaos_and_other_classes() {
        let snapshot = snapshot(Unmatched::NxDomain);
        let ask = |question, record_type, class| {
            ask_packet(&snapshot, &query(question, record_type, class, &[]), Transport::Udp)
        };
        assert_eq!(ask("ID.server.", RecordType::TXT, 3), "NOERROR aa | an ID.server. 0 TXT ns1");
        assert_eq!(ask("version.bind.", RecordType::TXT, 3), "REFUSED");
        assert_eq!(ask("www.example.", RecordType::A, 3), "REFUSED");
        assert_eq!(ask("www.example.", RecordType::A, 4), "REFUSED");
        assert_eq!(ask("www.example.", RecordType::A, 255), "NOERROR | an www.example. 3600 A 192.0.2.2");
        assert_eq!(ask("example.", RecordType::AXFR, 1), "REFUSED");
    }

    #[test]
    fn edns_is_answered_only_when_asked() {
        let snapshot = snapshot(Unmatched::NxDomain);
        let ask = |edns: &[u8]| {
            let mut out = [0; 4096];
            let packet = query("www.example.", RecordType::A, 1, edns);
            let source = "192.0.2.9:5353".parse().unwrap();
            let outcome = respond(&snapshot, &mut Worker::new(1), &packet, source, Transport::Udp, &mut out);
            (outcome.rcode, out[..outcome.length].to_vec())
        };
        let (_, plain) = ask(&[]);
        assert_eq!(plain[11], 0);
        let (rcode, unknown) = ask(&[0, 0, 41, 16, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(rcode, Rcode::BADVERS);
        assert_eq!(unknown[unknown.len() - 11..], [0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0]);
        // NSID, and a client subnet that did not matter: scope 0.
        let (_, options) =
            ask(&[0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 15, 0, 3, 0, 0, 0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]);
        let expected =
            [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 18, 0, 3, 0, 3, b'n', b's', b'1', 0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2];
        assert!(options.ends_with(&expected), "{options:?}");
    }

    #[test]
    fn replies_and_port_zero_get_silence() {
        let snapshot = snapshot(Unmatched::NxDomain);
        let mut response = query("www.example.", RecordType::A, 1, &[]);
        response[2] |= 0x80;
        assert_eq!(ask_packet(&snapshot, &response, Transport::Udp), "silence");
        let mut out = [0; 512];
        let packet = query("www.example.", RecordType::A, 1, &[]);
        let outcome =
            respond(&snapshot, &mut Worker::new(1), &packet, "192.0.2.9:0".parse().unwrap(), Transport::Udp, &mut out);
        assert_eq!((outcome.length, outcome.silence), (0, Some(Silence::SourcePortZero)));
    }
}
