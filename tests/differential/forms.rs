//! Every form a query can take: EDNS, sizes, header bits, opcodes, classes, types, case and broken messages, each sent
//! octet for octet to NSD, Knot and Fairlead.

#![allow(clippy::print_stderr, reason = "the figures are worth a look")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::generate::APEX;
use super::support::message::{Asked, Opt, Told};
use super::support::server::Server;
use super::{servers, support};

/// What keeps a reply from being the same, by the start of the form's label and the part that differs.
const EXPLAINED: &[(&str, &[&str], &str)] = &[
    ("flags 010", &["flags"], CHECKING_DISABLED),
    ("flags 7f0", &["flags"], CHECKING_DISABLED),
    ("two OPT records", &["opt"], FORMAT_ERROR),
    ("half an option", &["opt"], FORMAT_ERROR),
    ("an option longer than OPT", &["opt"], FORMAT_ERROR),
    ("type 41 ", ALL, NEVER_ASKED),
    ("type 250 ", ALL, NEVER_ASKED),
    ("type 249 ", ALL, "RFC 2930 §2.5: TKEY is no data of a zone; REFUSED says that no keys are agreed on here"),
    ("type 252 ", ALL, "RFC 5936 §4.2: AXFR by datagram is not defined; NOTIMP would say that TCP fails too"),
    ("type 253 ", ALL, OBSOLETE),
    ("type 254 ", ALL, OBSOLETE),
    ("type 255 ", &["answer"], "RFC 8482 §4.1: one RRset is enough; a CNAME made of a DNAME is one"),
];

const ALL: &[&str] = &["rcode", "flags", "answer", "authority", "opt", "question"];
const CHECKING_DISABLED: &str = "RFC 4035 §3.1.6: CD is copied from the query to the reply";
const FORMAT_ERROR: &str = "RFC 6891 §7: a FORMERR has OPT where the query has";
const NEVER_ASKED: &str = "RFC 6891 §6.1.1 and RFC 8945 §4.2: the record belongs to a message and to no zone";
const OBSOLETE: &str = "RFC 1035 §3.2.3: MAILB and MAILA ask for several types at once, which nobody does any more";

const TRUNCATED: u16 = 0x200;

/// The three servers with one zone.
struct Servers {
    _running: [Server; 3],
    addresses: [SocketAddr; 3],
    socket: UdpSocket,
    id: u16,
}

impl Servers {
    fn start(folder: &Path, zone: &str) -> Option<Self> {
        let (nsd, knot) = (support::tool("nsd")?, support::tool("knotd")?);
        let zone_file = folder.join("diff.zone");
        std::fs::write(&zone_file, zone).unwrap();
        let running = [
            servers::nsd(&nsd, folder, &zone_file),
            servers::knot(&knot, folder, &zone_file),
            servers::fairlead(folder, &zone_file),
        ];
        let addresses = running.each_ref().map(|server| server.address);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        Some(Self { _running: running, addresses, socket, id: 0 })
    }

    /// What each answers to the packet, whose id is set; none where it stays silent, asked three times.
    fn ask(&mut self, packet: &[u8]) -> [Option<Told>; 3] {
        let mut packet = packet.to_vec();
        let mut told = [const { None }; 3];
        self.id = self.id.wrapping_add(1);
        packet[..2].copy_from_slice(&self.id.to_be_bytes());
        let mut octets = [0; 65_535];
        for _ in 0..3 {
            for (server, _) in self.addresses.iter().zip(&told).filter(|(_, told)| told.is_none()) {
                self.socket.send_to(&packet, server).unwrap();
            }
            while told.iter().any(Option::is_none) {
                let Ok((length, from)) = self.socket.recv_from(&mut octets) else { break };
                if let Some(index) = self.addresses.iter().position(|server| *server == from)
                    && octets[..2] == packet[..2]
                {
                    told[index] = Some(Told::read(&octets[..length]));
                }
            }
        }
        told
    }
}

/// What is compared of a reply, by name.
fn parts(told: Option<&Told>) -> [(&'static str, String); 6] {
    let Some(told) = told else {
        return ["silence", "flags", "question", "answer", "authority", "opt"].map(|part| (part, "none".to_owned()));
    };
    let section = |records: &[(String, u16)]| {
        let mut lines: Vec<String> =
            records.iter().map(|(name, kind)| format!("{} {kind}", name.to_lowercase())).collect();
        lines.sort();
        lines.join(", ")
    };
    let opt = told.opt.as_ref().map(|opt| (opt.version, opt.flags));
    [
        ("rcode", told.rcode.to_string()),
        ("flags", format!("{:04x}", told.flags)),
        ("question", format!("{:02x?}", told.question)),
        ("answer", section(&told.records[0])),
        ("authority", section(&told.records[1])),
        ("opt", format!("{opt:?}")),
    ]
}

/// What became of all comparisons, and those that nothing explains.
#[derive(Default)]
struct Verdicts {
    counts: BTreeMap<String, usize>,
    unexplained: Vec<String>,
}

impl Verdicts {
    fn compare(&mut self, label: &str, packet: &[u8], told: &[Option<Told>; 3]) {
        let [nsd, knot, ours] = told.each_ref().map(Option::as_ref);
        let all = parts(nsd).into_iter().zip(parts(knot)).zip(parts(ours));
        for (((_, nsd), (_, knot)), (part, ours)) in all {
            let verdict = match (nsd == knot, knot == ours) {
                (true, true) => "all agree",
                (false, _) => "peers differ",
                (true, false) => {
                    let is_known = |row: &&(&str, &[&str], &str)| label.starts_with(row.0) && row.1.contains(&part);
                    if let Some((.., why)) = EXPLAINED.iter().find(is_known) {
                        *self.counts.entry(format!("{part}: {why}")).or_insert(0) += 1;
                        "explained"
                    } else {
                        self.unexplained.push(format!("{label}: {part}: {knot} is {ours} here ({packet:02x?})"));
                        "unexplained"
                    }
                }
            };
            *self.counts.entry(format!("{part}: {verdict}")).or_insert(0) += 1;
        }
    }

    /// Fails where something differs unexplained, or where fewer than `least` codes were compared and the same.
    fn end(&self, least: usize) {
        eprintln!("{:#?}", self.counts);
        assert!(self.unexplained.is_empty(), "{} differ:\n{}", self.unexplained.len(), self.unexplained.join("\n"));
        assert!(self.counts["rcode: all agree"] >= least, "{:#?}", self.counts);
    }
}

const ZONE: &str = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n@ TXT \"apex\"\nns A 192.0.2.1\n\
    www A 192.0.2.7\nwww AAAA 2001:db8::7\nalias CNAME www\n*.wild TXT \"w\"\nsub NS ns.sub\nns.sub A 192.0.2.2\n\
    moved DNAME wild\nmail MX 5 www\n";

/// Names of that zone by what becomes of a question.
const NAMES: [&str; 9] = ["", "www.", "alias.", "x.wild.", "host.sub.", "x.moved.", "mail.", "none.", "ns.sub."];

fn names() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("{name}{APEX}")).chain(["www.elsewhere.example.".to_owned(), ".".to_owned()])
}

#[test]
fn edns_and_header_bits_are_answered_as_nsd_and_knot_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut servers) = Servers::start(folder.path(), ZONE) else { return };
    let mut verdicts = Verdicts::default();
    let opt = Opt::of_size;
    let opts = [
        ("no EDNS", None),
        ("EDNS", Some(opt(4096))),
        ("EDNS of 0 octets", Some(opt(0))),
        ("EDNS of 511 octets", Some(opt(511))),
        ("EDNS of 65535 octets", Some(opt(65_535))),
        ("EDNS with DO", Some(Opt { flags: 0x8000, ..opt(1232) })),
        ("EDNS with every flag", Some(Opt { flags: 0xffff, ..opt(1232) })),
        ("EDNS version 1", Some(Opt { version: 1, ..opt(1232) })),
        ("EDNS version 255", Some(Opt { version: 255, flags: 0x8000, ..opt(1232) })),
        ("EDNS with NSID", Some(opt(1232).with(3, &[]))),
        ("EDNS with an unknown option", Some(opt(1232).with(65_001, b"data"))),
        (
            "EDNS with a hundred unknown options",
            Some((0..100).fold(opt(1232), |opt, code| opt.with(60_000 + code, b"x"))),
        ),
        ("EDNS with padding", Some(opt(1232).with(12, &[0; 64]))),
    ];
    for name in names() {
        for record_type in ["A", "SOA", "TXT", "TYPE4711"] {
            for (label, opt) in &opts {
                let asked = Asked { opt: opt.clone(), ..Asked::new(&name, record_type) };
                let packet = asked.packet(0);
                verdicts.compare(&format!("{label}: {name} {record_type}"), &packet, &servers.ask(&packet));
            }
            // AA, TC, RD, RA, Z, AD, CD and each code of a reply.
            for flags in [0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10, 0x7f0, 1, 15] {
                let packet = Asked { flags, ..Asked::new(&name, record_type) }.packet(0);
                verdicts.compare(&format!("flags {flags:03x}: {name} {record_type}"), &packet, &servers.ask(&packet));
            }
        }
    }
    verdicts.end(900);
}

#[test]
fn types_classes_and_opcodes_are_answered_as_nsd_and_knot_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut servers) = Servers::start(folder.path(), ZONE) else { return };
    let mut verdicts = Verdicts::default();
    let mut ask = |label: String, asked: Asked| {
        for opt in [None, Some(Opt::of_size(1232))] {
            let packet = Asked { opt, ..asked.clone() }.packet(0);
            verdicts.compare(&label, &packet, &servers.ask(&packet));
        }
    };
    for name in names() {
        let plain = Asked::new(&name, "A");
        for record_type in (0..=300).chain([1000, 32_768, 32_769, 65_279, 65_280, 65_534, 65_535]) {
            ask(format!("type {record_type} at {name}"), Asked { record_type, ..plain.clone() });
        }
        for class in [0, 2, 3, 4, 5, 254, 255, 256, 65_535] {
            ask(format!("class {class} at {name}"), Asked { class, ..plain.clone() });
        }
        for opcode in 1..16 {
            ask(format!("opcode {opcode} at {name}"), Asked { opcode, ..plain.clone() });
            ask(format!("opcode {opcode} SOA at {name}"), Asked { opcode, ..Asked::new(&name, "SOA") });
        }
    }
    verdicts.end(7000);
}

#[test]
fn the_question_comes_back_octet_for_octet_whatever_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut servers) = Servers::start(folder.path(), ZONE) else { return };
    let mut verdicts = Verdicts::default();
    for name in names() {
        for variant in 0..32_u32 {
            let cased: String = name
                .char_indices()
                .map(|(at, c)| {
                    let is_upper = variant.wrapping_mul(0x9e37_79b9).rotate_left(u32::try_from(at).unwrap()) & 1 == 1;
                    if is_upper { c.to_ascii_uppercase() } else { c }
                })
                .collect();
            let packet = Asked::new(&cased, "A").packet(0);
            let told = servers.ask(&packet);
            if let Some(ours) = &told[2] {
                assert_eq!(ours.question, packet[12..], "{cased}");
            }
            verdicts.compare(&format!("case: {cased}"), &packet, &told);
        }
    }
    verdicts.end(352);
}

/// A header with these counts, and what follows it.
fn message(counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![0; 4];
    counts.iter().for_each(|count| packet.extend_from_slice(&count.to_be_bytes()));
    packet.extend_from_slice(&rest.concat());
    packet
}

#[test]
fn broken_messages_are_answered_as_nsd_and_knot_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut servers) = Servers::start(folder.path(), ZONE) else { return };
    let mut verdicts = Verdicts::default();
    let name: &[u8] = b"\x03www\x04diff\x04test\0";
    let numbers: &[u8] = &[0, 1, 0, 1];
    let opt: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let record: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
    let option = |data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [&opt[..9], &length[..], data].concat()
    };
    let label: &[u8] = &[&[63][..], &[b'x'; 63]].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("a pointer to itself", message([1, 0, 0, 0], &[&[0xc0, 12], numbers])),
        ("a pointer into the header", message([1, 0, 0, 0], &[&[0xc0, 0], numbers])),
        ("a pointer forward", message([1, 0, 0, 0], &[&[0xc0, 18], numbers, name])),
        ("a pointer past the end", message([1, 0, 0, 0], &[&[0xff, 0xff], numbers])),
        ("a label and a pointer", message([1, 0, 0, 0], &[b"\x03www\xc0\x0c", numbers])),
        ("half a pointer", message([1, 0, 0, 0], &[&[0xc0]])),
        ("a label of 64 octets", message([1, 0, 0, 0], &[&[64], &[b'x'; 64], &[0], numbers])),
        ("an extended label", message([1, 0, 0, 0], &[&[0x41, 1], name, numbers])),
        ("a name of 257 octets", message([1, 0, 0, 0], &[label, label, label, label, &[0], numbers])),
        ("a name without its end", message([1, 0, 0, 0], &[b"\x03www"])),
        ("no type", message([1, 0, 0, 0], &[name])),
        ("no class", message([1, 0, 0, 0], &[name, &[0, 1]])),
        ("no question", message([0, 0, 0, 0], &[])),
        ("no question but EDNS", message([0, 0, 0, 1], &[opt])),
        ("a question that is not there", message([1, 0, 0, 0], &[])),
        ("two questions", message([2, 0, 0, 0], &[name, numbers, name, numbers])),
        ("65535 questions", message([65_535, 0, 0, 0], &[name, numbers])),
        ("an answer", message([1, 1, 0, 0], &[name, numbers, record])),
        ("an answer that is not there", message([1, 1, 0, 0], &[name, numbers])),
        ("an authority", message([1, 0, 1, 0], &[name, numbers, record])),
        ("65535 authorities", message([1, 0, 65_535, 0], &[name, numbers, record])),
        ("an additional record", message([1, 0, 0, 1], &[name, numbers, record])),
        ("a record before EDNS", message([1, 0, 0, 2], &[name, numbers, record, opt])),
        ("a record behind EDNS", message([1, 0, 0, 2], &[name, numbers, opt, record])),
        ("two OPT records", message([1, 0, 0, 2], &[name, numbers, opt, opt])),
        ("OPT owned by a name", message([1, 0, 0, 1], &[name, numbers, b"\x01a", opt])),
        ("OPT as an answer", message([1, 1, 0, 0], &[name, numbers, opt])),
        ("OPT as an authority", message([1, 0, 1, 0], &[name, numbers, opt])),
        ("OPT cut short", message([1, 0, 0, 1], &[name, numbers, &opt[..8]])),
        ("OPT longer than the message", message([1, 0, 0, 1], &[name, numbers, &opt[..9], &[0, 9]])),
        ("half an option", message([1, 0, 0, 1], &[name, numbers, &option(&[0, 3])])),
        ("an option longer than OPT", message([1, 0, 0, 1], &[name, numbers, &option(&[0xff, 0, 0, 9, 1])])),
        ("octets behind the message", message([1, 0, 0, 0], &[name, numbers, &[0; 7]])),
        ("octets behind EDNS", message([1, 0, 0, 1], &[name, numbers, opt, &[0; 7]])),
    ];
    for (label, packet) in &rows {
        verdicts.compare(label, packet, &servers.ask(packet));
    }
    for length in 2..12 {
        let packet = vec![0; length];
        verdicts.compare("a header cut short", &packet, &servers.ask(&packet));
    }
    verdicts.end(10);
}

#[test]
fn answers_are_cut_at_every_size_where_nsd_and_knot_cut_them() {
    // The reply for `sNNNN` takes NNNN octets with OPT: header 12, question 22, record 12 and its data, OPT 11.
    const FIXED: usize = 12 + (5 + 1 + 10 + 1 + 4) + 12 + 11;
    let mut zone = ZONE.to_owned();
    for size in 511..=4097 {
        let mut rest: usize = size - FIXED;
        zone += &format!("s{size:04} TXT");
        while rest > 0 {
            // Whole strings of 256 octets, then what is left; never a string that leaves a single octet behind.
            let octets = if rest > 257 {
                256
            } else if rest == 257 {
                255
            } else {
                rest
            };
            zone += &format!(" \"{}\"", "x".repeat(octets - 1));
            rest -= octets;
        }
        zone += "\n";
    }
    for number in 0..80 {
        zone += &format!(
            "many TXT \"{number:02} of a set that straddles\"\nboth MX {number} h{number}\nh{number} A 192.0.2.{number}\n"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut servers) = Servers::start(folder.path(), &zone) else { return };
    let mut verdicts = Verdicts::default();
    let (mut whole, mut cut) = (0, 0);
    for size in 512..=4096_u16 {
        // Beyond what anybody sends by datagram one question tells as much as three.
        let answers = if size > 1240 { &[size][..] } else { &[size - 1, size, size + 1] };
        for answer in answers.iter().copied() {
            let asked = Asked::new(&format!("s{answer:04}.{APEX}"), "TXT").with_opt(Opt::of_size(size));
            let packet = asked.packet(0);
            let told = servers.ask(&packet);
            let ours = told[2].as_ref().unwrap();
            let fits = answer <= size.min(1232);
            assert_eq!(ours.flags & TRUNCATED == 0, fits, "{answer} octets where {size} are taken");
            assert_eq!(ours.octets.len() == usize::from(answer), fits, "{answer} octets where {size} are taken");
            *(if fits { &mut whole } else { &mut cut }) += 1;
            compare_cut(&mut verdicts, &format!("{answer} octets where {size} are taken"), &packet, told);
        }
        for (name, record_type) in [("many", "TXT"), ("both", "MX")] {
            if size > 1240 {
                continue;
            }
            let asked = Asked::new(&format!("{name}.{APEX}"), record_type).with_opt(Opt::of_size(size));
            let packet = asked.packet(0);
            let told = servers.ask(&packet);
            assert!(told[2].as_ref().unwrap().octets.len() <= usize::from(size.min(1232)));
            compare_cut(&mut verdicts, &format!("{name} where {size} octets are taken"), &packet, told);
        }
    }
    assert!(whole > 1000 && cut > 1000);
    verdicts.end(6000);
}

/// Compares whether and what was cut, and the answer where it was not. What stands beside the answer is each server's own.
fn compare_cut(verdicts: &mut Verdicts, label: &str, packet: &[u8], told: [Option<Told>; 3]) {
    let told = told.map(|told| {
        told.map(|mut told| {
            told.records[1].clear();
            if told.flags & TRUNCATED != 0 {
                told.records[0].clear();
            }
            told
        })
    });
    verdicts.compare(label, packet, &told);
}
