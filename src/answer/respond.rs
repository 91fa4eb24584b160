//! The one entry: a packet in, a reply out.

use std::net::SocketAddr;

use super::access::Denied;
use super::chaos;
use super::extended_error::ExtendedError;
use super::options;
use super::outcome::{AnswerSource, Outcome, SignatureOutcome, Transport};
use super::rate_limit::Limited;
use super::rate_response::Response;
use super::request::Request;
use super::resolve::{Resolution, Resolver};
use super::selector::Origin;
use super::snapshot::Snapshot;
use super::view::View;
use super::worker::{ViewChoice, Worker};
use crate::metrics::{Limit, RateAction};
use crate::wideip::Decision;
use crate::wire::{Class, Ending, Rcode, Reply, ReplyOptions, Section, Silence};

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
    let request = match Request::read(snapshot, worker, packet, source.ip(), transport) {
        Ok(request) => request,
        Err(silence) => return Outcome::silent(Some(silence)),
    };
    let answer = write(snapshot, worker, packet, source, &request, out);
    Outcome {
        rcode: answer.resolution.rcode,
        record_type: request.query.has_question().then_some(request.query.record_type),
        source: answer.resolution.source,
        truncated: answer.truncated,
        silence: None,
        decision: answer.decision,
        signature: request.signature.outcome(),
        cookie: request.cookie.outcome,
        extended_error: answer.extended_error,
        hand_off: request.hand_off,
        limited: answer.limited,
        limit: answer.resolution.limit,
        length: sign(request, answer.length, worker.unix_seconds, out),
    }
}

/// What was written of the reply.
struct Written {
    /// Octets, without a signature; 0 when no reply is sent.
    length: usize,
    resolution: Resolution,
    truncated: bool,
    /// The last decision of a wide IP.
    decision: Option<Decision>,
    /// What became of it when it was over its client's rate.
    limited: Option<Limited>,
    extended_error: Option<ExtendedError>,
}

/// Writes the reply up to its signature.
#[inline]
fn write(
    snapshot: &Snapshot,
    worker: &mut Worker,
    packet: &[u8],
    source: SocketAddr,
    request: &Request<'_>,
    out: &mut [u8],
) -> Written {
    let query = &request.query;
    let mut options = match &query.edns {
        Some(edns) if edns.has_options => options::asked(snapshot, worker, request, edns),
        _ => ReplyOptions::default(),
    };
    let now = worker.unix_seconds;
    let Worker { question, alias, suffixes, memory, room, listener, choice, limiter, .. } = worker;
    let limit = request.limit.saturating_sub(request.signature.octets());
    let mut reply = Reply::start(out, limit, packet, query, question, suffixes, options.octets());
    let start = reply.mark();
    let mut decision = None;
    // The key counts once its signature was found good: who cannot sign sees what anybody sees, or nothing.
    let origin = Origin { client: source.ip(), listener: *listener, key: request.signature.key() };
    let mut view = None;
    let resolved = match request.refused {
        Some((rcode, explanation)) => Ok(Resolution::refused(rcode, explanation)),
        None if query.class == Class::CH => match snapshot.first.denies(question, source.ip()) {
            Some(denied) => Ok(Resolution::denied(denied)),
            None => chaos::answer(&mut reply, question, query, &snapshot.settings.chaos, room),
        },
        None => match choose(snapshot, &origin, choice) {
            None => Ok(Resolution::refused(Rcode::REFUSED, Some(ExtendedError::Prohibited))),
            Some(selected) => {
                view = Some(selected);
                let (view, source) = (selected, source.ip());
                let mut resolver = Resolver { snapshot, view, query, question, source, memory, room, decision: None };
                let resolved = resolver.resolve(&mut reply, alias);
                decision = resolver.decision;
                resolved
            }
        },
    };
    let mut truncated = resolved.is_err();
    let mut resolution = resolved.unwrap_or_else(|cut| cut);
    let mut limited = None;
    // None for streams, whose clients have shown that their addresses are their own.
    if let Some(limiter) = limiter
        && !(resolution.silent || request.hand_off)
    {
        let is_proven =
            request.cookie.outcome.is_valid() || request.signature.outcome() == Some(SignatureOutcome::Good);
        let has_answer = truncated || reply.count(Section::Answer) > 0;
        let response = Response { question, record_type: query.record_type, source, has_answer, is_proven };
        limited = limiter.limit(view, &response, &mut resolution);
        truncated |= limited.is_some_and(|limited| limited.action == RateAction::Truncated);
    }
    // A reply that does not fit says so and nothing else (RFC 2181 §9): no RRset is sent in part.
    if truncated {
        reply.rewind(start);
    }
    if resolution.silent {
        return Written { length: 0, resolution, truncated, decision, limited, extended_error: None };
    }
    let explains = query.edns.is_some() && snapshot.settings.edns.extended_errors;
    let extended_error = resolution.explanation.filter(|_| explains);
    options.extended_error = extended_error.map(|error| (error.code(), error.text()));
    if query.edns.as_ref().is_some_and(|edns| edns.has_options) {
        options::complete(&mut options, resolution.scope, view, (question, now));
    }
    let Resolution { rcode, authoritative, .. } = resolution;
    let length = reply.finish(query, &Ending { rcode, authoritative, truncated, options: &options });
    Written { length, resolution, truncated, decision, limited, extended_error }
}

/// The view that the query is answered from, and a note of it where there is a choice.
#[inline]
fn choose<'s>(snapshot: &'s Snapshot, origin: &Origin<'_>, choice: &mut Option<ViewChoice>) -> Option<&'s View> {
    let view = snapshot.select(origin);
    if snapshot.selector().is_some() {
        *choice = Some(view.map_or(ViewChoice::Nowhere, |view| ViewChoice::View(view.id())));
    }
    view
}

/// Ends the reply of `length` octets with the signature that the request asks for; the new length.
#[inline]
fn sign(request: Request<'_>, length: usize, unix_seconds: u64, out: &mut [u8]) -> usize {
    if length == 0 {
        return 0;
    }
    let limit = request.limit.min(out.len());
    request.signature.append(out.get_mut(..limit).unwrap_or_default(), length, unix_seconds)
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
