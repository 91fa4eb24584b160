//! One zone through four doors — octoDNS-style YAML, a master file, a transfer, dynamic update — answers the same octets.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::peers::SECRET;
use support::server::{Server, fairlead, soa};
use support::tool;

/// How long a transfer may take.
const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "keys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\n";
const SOA: &str = "ns.example. hostmaster.example. 7 3600 600 86400 60";

/// RRsets: owner relative to the zone, type, TTL, values.
fn rrsets() -> Vec<(String, &'static str, u32, Vec<String>)> {
    let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let mut all = vec![
        ("ns".to_owned(), "A", 300, text(&["192.0.2.53"])),
        ("www".to_owned(), "A", 60, text(&["192.0.2.1", "192.0.2.2", "192.0.2.3"])),
        ("www".to_owned(), "AAAA", 120, text(&["2001:db8::1"])),
        ("mail".to_owned(), "MX", 60, text(&["10 www.example.", "20 ns.example."])),
        ("Alias".to_owned(), "CNAME", 60, text(&["www.example."])),
        ("far".to_owned(), "CNAME", 60, text(&["www.example.net."])),
        ("*.wild".to_owned(), "TXT", 60, text(&["\"any name\""])),
        ("deep.er.name".to_owned(), "A", 60, text(&["192.0.2.9"])),
        ("sub".to_owned(), "NS", 60, text(&["ns.sub.example."])),
        ("ns.sub".to_owned(), "A", 60, text(&["192.0.2.54"])),
        ("_sip._tcp".to_owned(), "SRV", 60, text(&["1 2 5060 www.example."])),
        ("moved".to_owned(), "DNAME", 60, text(&["wild.example."])),
        ("caa".to_owned(), "CAA", 60, text(&["0 issue \"ca.example.net\""])),
    ];
    let host = |number: u32| (format!("h{number}"), "A", 60 + number, vec![format!("198.51.100.{number}")]);
    all.extend((1..60).map(host));
    all
}

fn master() -> String {
    let mut text = format!("$ORIGIN example.\n@ 300 SOA {SOA}\n@ 300 NS ns.example.\n");
    for (owner, record_type, ttl, values) in rrsets() {
        values.iter().for_each(|value| writeln!(text, "{owner} {ttl} {record_type} {value}").unwrap());
    }
    text
}

fn yaml() -> String {
    let mut text = "$zone:\n  default_ttl: 5m\n  soa: {primary: ns.example., contact: hostmaster.example., serial: 7, refresh: 3600, \
         retry: 600, expire: 86400, minimum: 60, ttl: 300}\n'':\n  - {type: NS, ttl: 300, value: ns.example.}\n"
        .to_owned();
    let mut owners: Vec<String> = Vec::new();
    for (owner, ..) in rrsets() {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    for owner in owners {
        writeln!(text, "'{owner}':").unwrap();
        for (_, record_type, ttl, values) in rrsets().into_iter().filter(|(other, ..)| *other == owner) {
            let values: Vec<String> = values.iter().map(|value| yaml_value(record_type, value)).collect();
            writeln!(text, "  - {{type: {record_type}, ttl: {ttl}, values: [{}]}}", values.join(", ")).unwrap();
        }
    }
    text
}

/// A value as octoDNS writes it.
fn yaml_value(record_type: &str, value: &str) -> String {
    let words: Vec<&str> = value.split(' ').collect();
    match (record_type, words.as_slice()) {
        ("MX", [preference, exchange]) => format!("{{preference: {preference}, exchange: {exchange}}}"),
        ("SRV", [priority, weight, port, target]) => {
            format!("{{priority: {priority}, weight: {weight}, port: {port}, target: {target}}}")
        }
        ("CAA", [flags, tag, value]) => format!("{{flags: {flags}, tag: {tag}, value: {value}}}"),
        ("TXT", _) => value.trim_matches('"').to_owned(),
        _ => format!("'{value}'"),
    }
}

/// What `nsupdate` is told to make the zone of one that has SOA and NS alone.
fn update(port: u16) -> String {
    let mut text = format!("server 127.0.0.1 {port}\nzone example.\nkey hmac-sha256:k {SECRET}\n");
    for (owner, record_type, ttl, values) in rrsets() {
        for value in values {
            writeln!(text, "update add {owner}.example. {ttl} {record_type} {value}").unwrap();
        }
    }
    writeln!(text, "update add example. 300 SOA {SOA}\nsend").unwrap();
    text
}

/// A packet for every name of the zone, names beside and below them, each with many types, with and without EDNS.
fn questions() -> Vec<Vec<u8>> {
    let names: Vec<String> = rrsets().into_iter().map(|(owner, ..)| owner.replace('*', "some")).collect();
    let around = names
        .iter()
        .flat_map(|name| [format!("{name}.example"), format!("no.{name}.example"), format!("{name}x.example")]);
    let fixed = ["example", "er.name.example", "*.wild.example", "a.b.wild.example", "WwW.ExAmPlE", "a.moved.example"];
    let names: Vec<String> = fixed.map(str::to_owned).into_iter().chain(around).collect();
    let mut packets = Vec::new();
    for name in &names {
        for record_type in [1_u16, 2, 5, 6, 12, 15, 16, 28, 33, 39, 99, 255, 257] {
            for with_edns in [false, true] {
                packets.push(question(name, record_type, with_edns));
            }
        }
    }
    packets
}

fn question(name: &str, record_type: u16, with_edns: bool) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&record_type.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if with_edns {
        packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    packet
}

fn ask(socket: &UdpSocket, server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let mut reply = vec![0; 4096];
    for _ in 0..5 {
        socket.send_to(packet, server).unwrap();
        if let Ok(length) = socket.recv(&mut reply) {
            reply.truncate(length);
            return reply;
        }
    }
    panic!("{server} does not answer {packet:02x?}");
}

/// A node with the zone as `settings` say, and its file.
fn node(folder: &Path, file: &str, text: &str, settings: &str) -> Server {
    fs::write(folder.join(file), text).unwrap();
    fairlead(folder, &format!("{KEY}zones:\n  - {{name: example., {settings}}}\n"), "example.")
}

fn wait_for_serial(server: SocketAddr, serial: u32) {
    let deadline = Instant::now() + PATIENCE;
    let has = |reply: Vec<u8>| reply.windows(4).any(|octets| octets == serial.to_be_bytes()) && reply[7] == 1;
    while !soa(server, "example.").is_some_and(has) {
        assert!(Instant::now() < deadline, "{server} never had serial {serial}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_zone_through_four_doors_answers_the_same_octets() {
    let Some(nsupdate) = tool("nsupdate") else { return };
    let folders: Vec<tempfile::TempDir> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let by_master = node(folders[0].path(), "z.zone", &master(), "file: z.zone, transfer: {allow: [{key: k}]}");
    let by_yaml = node(folders[1].path(), "z.yaml", &yaml(), "file: z.yaml");
    let primary = format!("primary: {{addresses: 127.0.0.1, port: {}, key: k}}", by_master.address.port());
    let by_transfer = node(folders[2].path(), "unused", "", &primary);
    let start = format!("@ 300 SOA {}\n@ 300 NS ns.example.\n", SOA.replace(" 7 ", " 1 "));
    let all = "file: z.zone, updates: [{key: k, types: ANY}]";
    let by_update = node(folders[3].path(), "z.zone", &start, all);
    let mut child = Command::new(nsupdate).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(update(by_update.address.port()).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wait_for_serial(by_transfer.address, 7);
    wait_for_serial(by_update.address, 7);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let questions = questions();
    assert!(questions.len() > 5000, "{}", questions.len());
    for packet in &questions {
        let expected = ask(&socket, by_master.address, packet);
        for (door, server) in [("YAML", &by_yaml), ("transfer", &by_transfer), ("update", &by_update)] {
            let found = ask(&socket, server.address, packet);
            assert_eq!(found, expected, "{door}: {}", String::from_utf8_lossy(packet));
        }
    }
}
