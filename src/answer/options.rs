//! The EDNS options of a reply: what was asked for, as far as there is something to say.

use std::net::IpAddr;
use std::time::Duration;

use super::request::Request;
use super::snapshot::Snapshot;
use super::view::View;
use crate::wire::{Class, Edns, Keepalive, NameKey, Query, RecordType, ReplyOptions};

/// Where and when a query came in, as far as options depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Who asks.
    pub source: IpAddr,
    /// How long its connection is kept without a query; none where there is no connection.
    pub idle: Option<Duration>,
    /// The wall clock, in seconds since 1970.
    pub unix_seconds: u64,
}

impl Snapshot {
    /// The options of a reply that is made outside the answer path, to a query with this OPT record: those that do not
    /// depend on the answer.
    pub fn reply_options(&self, edns: &Edns, at: &Circumstances) -> ReplyOptions<'_> {
        let checked = |cookie| self.settings.edns.cookies.check(cookie, at.source.to_canonical(), at.unix_seconds);
        let cookie = edns.cookie.as_ref().and_then(|cookie| checked(cookie).reply);
        independent(self, edns, cookie, at.idle.map(keepalive))
    }

    /// Whether replies say why they are what they are, to clients that understand it (RFC 8914).
    pub fn explains(&self) -> bool {
        self.settings.edns.extended_errors
    }
}

/// How long a connection is kept without a query, in the units of RFC 7828 §3.1.
pub(super) fn keepalive(idle: Duration) -> u16 {
    u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)
}

/// The options that the query asked for; `keepalive` is for how long its connection is kept. The subnet's scope, what is
/// left of the zone and the error are known once the answer is.
pub(super) fn asked<'s>(
    snapshot: &'s Snapshot,
    query: &Query,
    request: &Request<'_>,
    keepalive: Option<u16>,
) -> Option<ReplyOptions<'s>> {
    let edns = query.edns.as_ref().filter(|edns| edns.has_options)?;
    // RFC 7314 §2: only who asks for an SOA may be told for how long the zone may still be served.
    let is_about_expiry = request.refused.is_none() && (query.class, query.record_type) == (Class::IN, RecordType::SOA);
    let expire = (edns.wants_expire && is_about_expiry).then_some(0);
    Some(ReplyOptions { expire, ..independent(snapshot, edns, request.cookie.reply, keepalive) })
}

/// Those that do not depend on the answer, but for the subnet's scope.
fn independent<'s>(
    snapshot: &'s Snapshot,
    edns: &Edns,
    cookie: Option<[u8; 24]>,
    keepalive: Option<u16>,
) -> ReplyOptions<'s> {
    let nsid = snapshot.settings.chaos.id.as_ref().map(String::as_bytes);
    ReplyOptions {
        nsid: nsid.filter(|_| edns.wants_nsid),
        client_subnet: edns.client_subnet.map(|subnet| (subnet, 0)),
        expire: None,
        cookie,
        // RFC 7828 §3.2.1: by datagram the option is ignored; only streams have a time.
        keepalive: keepalive.filter(|_| edns.keepalive == Keepalive::Wanted),
        extended_error: None,
    }
}

/// Adds what the answer has told: how many bits of the subnet decided, and what is left of the zone of that name now.
pub(super) fn complete(
    options: &mut ReplyOptions<'_>,
    scope_bits: u8,
    view: Option<&View>,
    (name, unix_seconds): (&NameKey, u64),
) {
    if let Some((_, scope)) = &mut options.client_subnet {
        *scope = scope_bits;
    }
    if options.expire.is_some() {
        options.expire = view.and_then(|view| view.zone(name)?.expires_in(unix_seconds));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::fixture::{name, query, settings};
    use super::super::{CookieMode, CookieOutcome, CookieSecret, Cookies, EdnsSettings, Outcome, Settings};
    use super::super::{Transport, Unmatched, Worker, respond};
    use super::*;
    use crate::wideip::Tables;
    use crate::wire::Rcode;
    use crate::zone::ZoneBuilder;

    const SEED: u64 = 1;
    const NOW: u64 = 1_559_731_985;
    /// RFC 9018 appendix A.1: the option with the client's cookie, and the whole one for 198.51.100.100.
    const CLIENT: &[u8] = &[0, 10, 0, 8, 0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];
    const WHOLE: &[u8] = &[
        0, 10, 0, 24, 0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57, 1, 0, 0, 0, 0x5c, 0xf7, 0x9f, 0x11, 0x1f, 0x81,
        0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80,
    ];
    const SECRET: CookieSecret =
        CookieSecret([0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf]);

    /// A snapshot of `example.`, to be served until `expires`.
    fn snapshot(mode: CookieMode, expires: Option<u64>) -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        let numbers: Vec<u8> = [1_u32, 2, 3, 4000, 60].iter().flat_map(|n| n.to_be_bytes()).collect();
        let soa = [name("ns.example.").as_wire(), name("dns.example.").as_wire(), &numbers].concat();
        builder.add(&name("example."), RecordType::SOA, 60, &soa).unwrap();
        for number in 0..40_u8 {
            builder
                .add(&name("big.example."), RecordType::TXT, 60, &[&[12], &[b'0' + number; 12][..]].concat())
                .unwrap();
        }
        let zone = builder.finish();
        let zone = expires.map_or_else(|| zone.clone(), |at| zone.expiring_at(at));
        let cookies = Cookies { mode, secrets: vec![SECRET] };
        let edns = EdnsSettings { cookies, extended_errors: true };
        let settings = Arc::new(Settings { edns, ..settings(Unmatched::Refused) });
        Snapshot::new(1, &[Arc::new(zone)], Tables::empty(SEED), settings, SEED)
    }

    /// Asks with these options: the outcome, and the options of the reply.
    fn ask(snapshot: &Snapshot, packet: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
        let mut worker = Worker::new(1);
        worker.tell_time(NOW);
        if transport == Transport::Tcp {
            worker.tell_idle(Duration::from_secs(10));
        }
        let mut out = [0; 4096];
        let outcome = respond(snapshot, &mut worker, packet, "198.51.100.100:53".parse().unwrap(), transport, &mut out);
        let reply = &out[..outcome.length];
        // OPT comes last: its type stands behind the root's name, the length before the options.
        let at = reply.windows(5).rposition(|window| window == [0, 0, 41, 4, 208]).expect("an OPT record");
        let length = usize::from(u16::from_be_bytes([reply[at + 9], reply[at + 10]]));
        assert_eq!(reply.len(), at + 11 + length, "OPT is the last record");
        (outcome, reply[at + 11..].to_vec())
    }

    fn opt(udp_size: u16, options: &[u8]) -> Vec<u8> {
        let length = u16::try_from(options.len()).unwrap();
        [&[0, 0, 41], &udp_size.to_be_bytes()[..], &[0; 4], &length.to_be_bytes(), options].concat()
    }

    fn packet(question: &str, record_type: RecordType, options: &[u8]) -> Vec<u8> {
        query(question, record_type, 1, &opt(4096, options))
    }

    #[test]
    fn rfc7873_5_2_a_client_with_a_cookie_gets_one() {
        let check = |mode, options: &[u8], outcome, expected: &[u8]| {
            let (found, options) =
                ask(&snapshot(mode, None), &packet("example.", RecordType::SOA, options), Transport::Udp);
            assert_eq!((found.cookie, found.rcode, &options[..]), (outcome, Rcode::NOERROR, expected));
        };
        check(CookieMode::On, CLIENT, CookieOutcome::ClientOnly, WHOLE);
        check(CookieMode::On, WHOLE, CookieOutcome::Valid, WHOLE);
        check(CookieMode::On, &[], CookieOutcome::None, &[]);
        check(CookieMode::Off, CLIENT, CookieOutcome::None, &[]);
        let short = packet("example.", RecordType::SOA, &[0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7]);
        let (outcome, options) = ask(&snapshot(CookieMode::On, None), &short, Transport::Udp);
        assert_eq!((outcome.rcode, options), (Rcode::FORMERR, vec![]));
    }

    #[test]
    fn rfc7873_5_2_3_where_cookies_are_required_a_client_that_knows_them_needs_a_good_one() {
        let snapshot = snapshot(CookieMode::Require, None);
        let check = |options: &[u8], transport, rcode, answers| {
            let packet = packet("example.", RecordType::SOA, options);
            let (outcome, options) = ask(&snapshot, &packet, transport);
            assert_eq!((outcome.rcode, outcome.source != super::super::AnswerSource::None), (rcode, answers));
            assert!(options == WHOLE || outcome.cookie == CookieOutcome::None);
        };
        check(CLIENT, Transport::Udp, Rcode::BADCOOKIE, false);
        check(WHOLE, Transport::Udp, Rcode::NOERROR, true);
        check(&[], Transport::Udp, Rcode::NOERROR, true);
        check(CLIENT, Transport::Tcp, Rcode::NOERROR, true);
        let axfr = packet("example.", RecordType::IXFR, CLIENT);
        let (outcome, _) = ask(&snapshot, &axfr, Transport::Udp);
        assert_eq!((outcome.rcode, outcome.hand_off), (Rcode::BADCOOKIE, false));
    }

    #[test]
    fn rfc7873_5_4_a_cookie_alone_can_be_asked_for() {
        let bare = |options: &[u8]| [&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &opt(512, options)[..]].concat();
        let check = |mode, options: &[u8], rcode, expected: &[u8]| {
            let (outcome, options) = ask(&snapshot(mode, None), &bare(options), Transport::Udp);
            assert_eq!((outcome.rcode, outcome.record_type, &options[..]), (rcode, None, expected));
        };
        check(CookieMode::On, CLIENT, Rcode::NOERROR, WHOLE);
        check(CookieMode::On, WHOLE, Rcode::NOERROR, WHOLE);
        let mut wrong = WHOLE.to_vec();
        wrong[27] ^= 1;
        check(CookieMode::On, &wrong, Rcode::BADCOOKIE, WHOLE);
        check(CookieMode::Off, CLIENT, Rcode::FORMERR, &[]);
    }

    #[test]
    fn rfc7314_3_expire_is_what_is_left_of_the_zone() {
        let asked: &[u8] = &[0, 9, 0, 0];
        let check = |expires, record_type, question: &str, expected: Option<u32>| {
            let packet = packet(question, record_type, asked);
            let (_, options) = ask(&snapshot(CookieMode::Off, expires), &packet, Transport::Udp);
            let expected = expected.map(|seconds| [&[0, 9, 0, 4], &seconds.to_be_bytes()[..]].concat());
            assert_eq!(options, expected.unwrap_or_default(), "{question} {expires:?}");
        };
        check(None, RecordType::SOA, "example.", Some(4000));
        check(Some(NOW + 1234), RecordType::SOA, "example.", Some(1234));
        check(Some(NOW), RecordType::SOA, "example.", None);
        check(None, RecordType::NS, "example.", None);
        check(None, RecordType::SOA, "big.example.", None);
    }

    #[test]
    fn rfc7828_3_2_1_keepalive_is_answered_on_streams_alone() {
        let snapshot = snapshot(CookieMode::Off, None);
        let check = |options: &[u8], transport, rcode, expected: &[u8]| {
            let (outcome, options) = ask(&snapshot, &packet("example.", RecordType::SOA, options), transport);
            assert_eq!((outcome.rcode, &options[..]), (rcode, expected));
        };
        check(&[0, 11, 0, 0], Transport::Tcp, Rcode::NOERROR, &[0, 11, 0, 2, 0, 100]);
        check(&[0, 11, 0, 0], Transport::Udp, Rcode::NOERROR, &[]);
        check(&[0, 11, 0, 2, 0, 50], Transport::Tcp, Rcode::FORMERR, &[]);
        check(&[0, 11, 0, 2, 0, 50], Transport::Udp, Rcode::NOERROR, &[]);
        check(&[], Transport::Tcp, Rcode::NOERROR, &[]);
    }

    #[test]
    fn options_that_are_asked_for_are_never_left_out_for_data() {
        let snapshot = snapshot(CookieMode::On, None);
        let asked = [&[0, 3, 0, 0], CLIENT, &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]].concat();
        let (mut whole, mut cut) = (0, 0);
        for size in 512..=1232 {
            let question = query("big.example.", RecordType::TXT, 1, &opt(size, &asked));
            let (outcome, options) = ask(&snapshot, &question, Transport::Udp);
            assert!(outcome.length <= usize::from(size));
            assert_eq!(options.len(), 7 + 11 + 28, "at {size}");
            *(if outcome.truncated { &mut cut } else { &mut whole }) += 1;
        }
        assert!(whole > 0 && cut > 0, "both happen: {whole} {cut}");
    }
}
