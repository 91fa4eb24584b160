//! A large zone in the proportions of a hosting company's, as text, and questions for it.

use std::fmt::Write as _;

use fairlead::wire::RecordType;

/// A zone of that many records in the proportions of a hosting company's: hosts, aliases, mail, texts, delegations.
pub fn master_file(records: usize) -> String {
    let mut text =
        "$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n".to_owned();
    for number in 3..records {
        let (a, b, c) = (number >> 16 & 255, number >> 8 & 255, number & 255);
        let line = match number % 20 {
            0..=9 => format!("host-{number}\tIN\tA\t10.{a}.{b}.{c}"),
            10..=12 => format!("host-{number} 300 IN AAAA 2001:db8::{a:x}:{b:x}:{c:x}"),
            13 | 14 => format!("www.customer-{number} IN CNAME host-1.hosting.example.net."),
            15 => format!("customer-{number} IN MX 10 mail.hosting.example.net."),
            16 => format!("customer-{number} IN TXT \"v=spf1 ip4:10.{a}.{b}.{c} include:_spf.example.net -all\""),
            17 => format!("sub-{number} IN NS ns1.hosting.example.net."),
            18 => format!("_sip._tcp.customer-{number} IN SRV 10 60 5060 sip.hosting.example.net."),
            _ => format!("ptr-{number} IN PTR host-{number}.example.net."),
        };
        let _ = writeln!(text, "{line}"); // writing to a String cannot fail
    }
    text
}

/// Questions without end for names of the zone `apex` of so many records, most of which exist.
pub fn questions(apex: &str, records: usize) -> impl Iterator<Item = (String, RecordType)> {
    let mut random = super::data::Random(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        let base = 20 + random.below(records / 20 - 1) * 20;
        match random.below(20) {
            draw @ 0..=9 => (format!("host-{}.{apex}", base + draw), RecordType::A),
            draw @ 10..=12 => (format!("host-{}.{apex}", base + draw), RecordType::AAAA),
            draw @ 13..=14 => (format!("www.customer-{}.{apex}", base + draw), RecordType::A),
            15 => (format!("customer-{}.{apex}", base + 15), RecordType::MX),
            16 => (format!("customer-{}.{apex}", base + 16), RecordType::TXT),
            17 => (format!("www.sub-{}.{apex}", base + 17), RecordType::A),
            18 => (format!("_sip._tcp.customer-{}.{apex}", base + 18), RecordType::SRV),
            _ => (format!("absent-{base}.{apex}"), RecordType::A),
        }
    })
}

/// The same zone as octoDNS writes it.
pub fn yaml(text: &str) -> String {
    let mut yaml = String::with_capacity(text.len() * 2);
    yaml.push_str(
        "---\n$zone:\n  soa: {primary: ns1.bench.example., contact: hostmaster.bench.example., serial: 1}\n'':\n  ttl: 3600\n  type: NS\n  value: ns1\n",
    );
    for line in text.lines().skip(3) {
        record_in_yaml(line, &mut yaml);
    }
    yaml
}

/// Adds a line of [`master_file`] as octoDNS writes it.
fn record_in_yaml(line: &str, yaml: &mut String) {
    let mut words = line.split_ascii_whitespace();
    let owner = words.next().unwrap();
    let mut word = words.next().unwrap();
    let ttl = if word == "IN" { "3600" } else { word };
    if word != "IN" {
        word = words.next().unwrap();
    }
    assert_eq!(word, "IN");
    let record_type = words.next().unwrap();
    let data: Vec<&str> = words.collect();
    let _ = write!(yaml, "{owner}:\n  ttl: {ttl}\n  type: {record_type}\n  value"); // writing to a String cannot fail
    let _ = match (record_type, data.as_slice()) {
        ("MX", [preference, exchange]) => {
            writeln!(yaml, ":\n    exchange: {exchange}\n    preference: {preference}")
        }
        ("SRV", [priority, weight, port, target]) => {
            writeln!(yaml, ":\n    port: {port}\n    priority: {priority}\n    target: {target}\n    weight: {weight}")
        }
        ("TXT", _) => writeln!(yaml, ": {}", data.join(" ").trim_matches('"')),
        _ => writeln!(yaml, ": {}", data.join(" ")),
    };
}
