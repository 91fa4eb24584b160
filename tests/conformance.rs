//! RFC 8906: what every server must answer to, whatever it does not know. The program is asked what ISC's `genreport` asks,
//! by datagram and stream, at a zone's apex, at a name with an address, at one with text and at a wide IP.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use support::message::{Asked, Opt, Told, ask};
use support::server::{Server, fairlead};

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const BADVERS: u16 = 16;
const QR: u16 = 0x8000;
const AA: u16 = 0x400;
const RD: u16 = 0x100;
const Z: u16 = 0x40;
const AD: u16 = 0x20;
const CD: u16 = 0x10;
const DO: u16 = 0x8000;
const NSID: u16 = 3;
const SUBNET: u16 = 8;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
/// An option code that nobody has.
const UNKNOWN: u16 = 100;

/// Questions whose answer is one record.
const QUESTIONS: [(&str, &str); 5] = [
    ("example.", "SOA"),
    ("www.example.", "A"),
    ("text.example.", "TXT"),
    ("steered.example.", "A"),
    ("steered.elsewhere.", "A"),
];

fn serve(folder: &Path) -> Server {
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n\
        text TXT \"one string\"\n$GENERATE 1-120 big TXT \"number $ of a set that no datagram holds\"\n";
    std::fs::write(folder.join("example.zone"), zone).unwrap();
    let configuration = "zones: [{name: example., file: example.zone}]\nchaos: {id: ns1}\ndatacenters: {here: {}}\n\
        servers: {web: {datacenter: here, virtual_servers: {www: {address: 198.51.100.7, port: 80}}}}\n\
        pools: {web: {type: A, members: [web/www]}}\nwide_ips:\n  - {name: steered.example., type: A, pools: [web]}\n  \
        - {name: steered.elsewhere., type: A, pools: [web]}\n";
    fairlead(folder, configuration, "example.")
}

/// What a row asks and expects.
struct Row {
    section: &'static str,
    /// Bits of the header.
    flags: u16,
    opt: Option<Opt>,
    rcode: u16,
    /// Bits of the reply's header, QR apart.
    told: u16,
    /// The flags of the reply's OPT; none when there must be no OPT.
    opt_flags: Option<u16>,
}

/// The rows of RFC 8906 §8 whose answer is the record asked for, or BADVERS.
fn rows() -> Vec<Row> {
    let row = |section, flags, opt: Option<Opt>, rcode, told| {
        let opt_flags = opt.as_ref().map(|opt| opt.flags & DO);
        Row { section, flags, opt, rcode, told, opt_flags }
    };
    let opt = |version, flags| Opt { udp_size: 4096, version, flags, options: Vec::new() };
    let defined = |opt: Opt| {
        opt.with(NSID, &[]).with(SUBNET, &[0, 1, 0, 0]).with(EXPIRE, &[]).with(COOKIE, b"client01").with(KEEPALIVE, &[])
    };
    vec![
        row("8.1.1 a configured zone", 0, None, NOERROR, AA),
        row("8.1.3.1 CD", CD, None, NOERROR, AA | CD),
        row("8.1.3.2 AD", AD, None, NOERROR, AA),
        row("8.1.3.3 the reserved bit", Z, None, NOERROR, AA),
        row("8.1.3.4 recursion", RD, None, NOERROR, AA | RD),
        row("8.2.1 minimal EDNS", 0, Some(opt(0, 0)), NOERROR, AA),
        row("8.2.2 EDNS version 1", 0, Some(opt(1, 0)), BADVERS, 0),
        row("8.2.3 an unknown option", 0, Some(opt(0, 0).with(UNKNOWN, &[])), NOERROR, AA),
        row("8.2.3 an unknown option with data", 0, Some(opt(0, 0).with(UNKNOWN, b"data")), NOERROR, AA),
        row("8.2.4 unknown EDNS flags", 0, Some(opt(0, 0x40)), NOERROR, AA),
        row("8.2.4 every unknown EDNS flag", 0, Some(opt(0, 0x7fff)), NOERROR, AA),
        row("8.2.5 version 1 with unknown flags", 0, Some(opt(1, 0x40)), BADVERS, 0),
        row("8.2.6 version 1 with an unknown option", 0, Some(opt(1, 0).with(UNKNOWN, &[])), BADVERS, 0),
        row("8.2.6 version 255 with malformed known options", 0, Some(opt(255, 0).with(COOKIE, &[1])), BADVERS, 0),
        row("8.2.8 DO", 0, Some(opt(0, DO)), NOERROR, AA),
        row("8.2.9 version 1 with DO", 0, Some(opt(1, DO)), BADVERS, 0),
        row("8.2.10 several defined options", 0, Some(defined(opt(0, 0))), NOERROR, AA),
        row(
            "all combined",
            RD | AD | CD | Z,
            Some(defined(opt(0, DO | 0x40)).with(UNKNOWN, b"data")),
            NOERROR,
            AA | RD | CD,
        ),
        row("all combined in version 1", RD | AD | CD | Z, Some(defined(opt(1, DO | 0x40))), BADVERS, RD | CD),
        row("a UDP size of 0", 0, Some(Opt::of_size(0)), NOERROR, AA),
        row("a UDP size of 65535", 0, Some(Opt::of_size(65_535)), NOERROR, AA),
    ]
}

#[test]
fn rfc8906_8_every_combination_is_answered_as_it_must_be() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for row in rows() {
        for (name, record_type) in QUESTIONS {
            for is_stream in [false, true] {
                let asked = Asked { flags: row.flags, opt: row.opt.clone(), ..Asked::new(name, record_type) };
                let told = ask(server.address, &asked, is_stream);
                let what = format!("{}: {name} {record_type}, by stream: {is_stream}: {told:?}", row.section);
                assert_eq!((told.rcode, told.flags), (row.rcode, QR | row.told), "{what}");
                let packet = asked.packet(0);
                assert_eq!(told.question, packet[12..12 + told.question.len()], "the question comes back: {what}");
                let has_answer = told.records[0] == [(name.to_owned(), asked.record_type)];
                assert_eq!(has_answer, row.rcode == NOERROR, "{what}");
                assert!(has_answer || told.records.iter().all(Vec::is_empty), "{what}");
                let expected = row.opt_flags.map(|flags| (0, flags, 1232));
                assert_eq!(told.opt.as_ref().map(|opt| (opt.version, opt.flags, opt.udp_size)), expected, "{what}");
                options_are_those_asked_for(&asked, &told, is_stream, &what);
            }
        }
    }
}

/// RFC 8906 §3.2.3 and §8.2.10: what is not known does not come back, and nothing comes that was not asked for.
fn options_are_those_asked_for(asked: &Asked, told: &Told, is_stream: bool, what: &str) {
    let Some(opt) = &asked.opt else { return };
    let codes: Vec<u16> = told.opt.iter().flat_map(|opt| opt.options.iter().map(|(code, _)| *code)).collect();
    let is_about_expiry = asked.record_type == 6;
    let expected: Vec<u16> = [NSID, SUBNET, EXPIRE, COOKIE, KEEPALIVE]
        .into_iter()
        .filter(|code| opt.version == 0 && opt.options.iter().any(|(other, _)| other == code))
        .filter(|code| *code != EXPIRE || is_about_expiry)
        .filter(|code| *code != KEEPALIVE || is_stream)
        .collect();
    assert_eq!(codes, expected, "{what}");
}

/// A row of options: what is sent, the code of the reply, and the option's data in it.
fn check(server: SocketAddr, is_stream: bool, sent: (u16, &[u8]), rcode: u16, expected: Option<&[u8]>) -> Told {
    let asked = Asked::new("example.", "SOA").with_opt(Opt::of_size(1232).with(sent.0, sent.1));
    let told = ask(server, &asked, is_stream);
    assert_eq!((told.rcode, told.option(sent.0)), (rcode, expected), "option {sent:?}, by stream: {is_stream}");
    assert!(told.opt.is_some(), "RFC 6891 §7: FORMERR has OPT too");
    assert_eq!(told.records[0].len(), usize::from(rcode == NOERROR));
    told
}

#[test]
fn options_are_read_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for is_stream in [false, true] {
        let check = |sent: (u16, &[u8]), rcode, expected: Option<&[u8]>| {
            check(server.address, is_stream, sent, rcode, expected)
        };
        // RFC 5001 §2.1: what the client puts into it is ignored.
        check((NSID, &[]), NOERROR, Some(b"ns1"));
        check((NSID, b"x"), NOERROR, Some(b"ns1"));
        check((EXPIRE, &[]), NOERROR, Some(&[0, 1, 0x51, 0x80]));
        check((SUBNET, &[0, 1, 24, 0, 192, 0, 2]), NOERROR, Some(&[0, 1, 24, 0, 192, 0, 2]));
        check((SUBNET, &[0, 2, 0, 0]), NOERROR, Some(&[0, 2, 0, 0]));
        // RFC 7871 §7.1.2: a scope, bits behind the prefix, an unknown family, too few and too many octets.
        let malformed: [&[u8]; 7] = [
            &[0, 1, 24, 24, 192, 0, 2],
            &[0, 1, 23, 0, 192, 0, 3],
            &[0, 3, 8, 0, 1],
            &[0, 1, 24, 0, 192, 0],
            &[0, 1, 24, 0, 192, 0, 2, 0],
            &[0, 1, 33, 0, 192, 0, 2, 1, 0],
            &[0, 1, 8],
        ];
        for data in malformed {
            check((SUBNET, data), FORMERR, None);
        }
        // RFC 7873 §5.2.2.
        for length in (0..8).chain(9..16).chain(41..44) {
            check((COOKIE, &vec![7; length]), FORMERR, None);
        }
        let keepalive: Option<&[u8]> = if is_stream { Some(&[0, 100]) } else { None };
        check((KEEPALIVE, &[]), NOERROR, keepalive);
        // RFC 7828 §3.2.1: a time is the server's to tell; by datagram nothing of it is read.
        check((KEEPALIVE, &[0, 50]), if is_stream { FORMERR } else { NOERROR }, None);
    }
}

#[test]
fn rfc7873_5_2_a_cookie_comes_back_with_ours_and_is_good_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let asked = |cookie: &[u8]| Asked::new("example.", "SOA").with_opt(Opt::of_size(1232).with(COOKIE, cookie));
    let cookie = |told: &Told| told.option(COOKIE).unwrap().to_vec();
    for is_stream in [false, true] {
        let first = cookie(&ask(server.address, &asked(b"client01"), is_stream));
        assert!(first.len() == 24 && first.starts_with(b"client01\x01\0\0\0"), "RFC 9018 §4: {first:02x?}");
        assert_eq!(cookie(&ask(server.address, &asked(&first), is_stream)), first, "it is good, and not old");
        let wrong = [&first[..23], &[first[23] ^ 1]].concat();
        let told = ask(server.address, &asked(&wrong), is_stream);
        assert_eq!((told.rcode, cookie(&told)), (NOERROR, first.clone()), "a good one is given, and nobody refused");
        for length in [16, 17, 23, 25, 40] {
            let foreign: Vec<u8> = b"client01".iter().copied().chain([9; 32]).take(length).collect();
            assert_eq!(cookie(&ask(server.address, &asked(&foreign), is_stream)).len(), 24, "{length} octets");
        }
    }
}

#[test]
fn rfc8906_8_1_2_unknown_types_have_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for record_type in [1000, 4711, 65_280, 65_534] {
        for (name, _) in QUESTIONS {
            for is_stream in [false, true] {
                let asked = Asked { record_type, ..Asked::new(name, "A") };
                let told = ask(server.address, &asked, is_stream);
                assert_eq!((told.rcode, told.flags), (NOERROR, QR | AA), "{name} TYPE{record_type}");
                assert!(told.records[0].is_empty() && told.opt.is_none());
                assert!(matches!(told.records[1].as_slice(), [(_, 6)]), "the SOA: {told:?}");
            }
        }
    }
}

#[test]
fn rfc8906_8_1_4_unknown_opcodes_are_not_implemented() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    // RFC 8906 §3.1.4: a header alone is enough to say so.
    for opcode in [1, 2, 3].into_iter().chain(6..16) {
        for is_stream in [false, true] {
            let told = ask(server.address, &Asked { opcode, ..Asked::new("example.", "SOA") }, is_stream);
            assert_eq!((told.rcode, told.opcode, told.flags), (NOTIMP, opcode, QR), "opcode {opcode}");
            assert!(told.records.iter().all(Vec::is_empty) && told.opt.is_none());
            let header = [0x12, 0x34, opcode << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let reply = support::message::by_tcp(server.address, &header);
            assert_eq!(reply[2..4], [0x80 | opcode << 3, 4], "opcode {opcode}, a header alone");
        }
    }
}

#[test]
fn rfc8906_8_2_7_a_truncated_answer_has_opt_and_comes_whole_by_stream() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for opt in [None, Some(Opt::of_size(512)), Some(Opt { flags: DO, ..Opt::of_size(4096) })] {
        let asked = Asked { opt: opt.clone(), ..Asked::new("big.example.", "TXT") };
        let cut = ask(server.address, &asked, false);
        let size = opt.as_ref().map_or(512, |opt| usize::from(opt.udp_size.min(1232)));
        assert_eq!((cut.rcode, cut.flags), (NOERROR, QR | AA | 0x200), "TC");
        assert!(cut.octets.len() <= size && cut.records.iter().all(Vec::is_empty));
        assert_eq!(cut.opt.is_some(), opt.is_some());
        let whole = ask(server.address, &asked, true);
        assert_eq!((whole.flags, whole.records[0].len()), (QR | AA, 120));
    }
}
