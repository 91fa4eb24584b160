//! The data every bench uses: a zone of N names, and questions about it in the mix that the comparison asks.

use std::sync::Arc;

use fairlead::answer::{Chaos, Limits, Settings, Snapshot, SyntheticZone, Unmatched};
use fairlead::wideip::Tables;
use fairlead::wire::{Name, RecordType};
use fairlead::zone::{Zone, ZoneBuilder, rdata};

/// The secret of name hashes; any number will do here.
pub(crate) const SEED: u64 = 0x5eed;

/// The zone's name.
pub(crate) const APEX: &str = "bench.test.";

/// One record in text: owner, type, RDATA.
pub(crate) type Line = (String, &'static str, String);

/// The records of a zone with about `names` names: addresses, aliases, mail, wildcards and cuts.
pub(crate) fn lines(names: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![
        (APEX.to_owned(), "SOA", format!("ns1.{APEX} host.{APEX} 1 3600 600 86400 300")),
        (APEX.to_owned(), "NS", format!("ns1.{APEX}")),
        (APEX.to_owned(), "NS", format!("ns2.{APEX}")),
        (format!("ns1.{APEX}"), "A", "192.0.2.1".to_owned()),
        (format!("ns2.{APEX}"), "A", "192.0.2.2".to_owned()),
    ];
    for index in 0..names {
        let [_, a, b, c] = u32::try_from(index).unwrap_or(0).to_be_bytes();
        let owner = format!("h{index}.{APEX}");
        lines.push((owner.clone(), "A", format!("10.{a}.{b}.{c}")));
        match index % 20 {
            0 | 1 => lines.push((owner, "AAAA", format!("2001:db8::{index:x}"))),
            2 | 3 => lines.push((format!("c{index}.{APEX}"), "CNAME", format!("h{index}.{APEX}"))),
            4 => {
                lines.push((owner.clone(), "MX", format!("10 h{}.{APEX}", index / 2)));
                lines.push((owner, "TXT", "\"v=spf1 -all\"".to_owned()));
            }
            5 => lines.push((format!("*.w{index}.{APEX}"), "A", format!("10.{a}.{b}.{c}"))),
            6 => {
                lines.push((format!("d{index}.{APEX}"), "NS", format!("ns.d{index}.{APEX}")));
                lines.push((format!("ns.d{index}.{APEX}"), "A", format!("10.{a}.{b}.{c}")));
            }
            _ => {}
        }
    }
    lines
}

/// The same, compiled.
pub(crate) fn zone(names: usize, seed: u64) -> Zone {
    let apex: Name = name(APEX);
    let mut builder = ZoneBuilder::new(&apex, seed);
    for (owner, kind, text) in lines(names) {
        let record_type: RecordType = kind.parse().expect("a known type");
        let wire = rdata::from_text(record_type, &text, &apex).expect("well-formed RDATA");
        builder.add(&name(&owner), record_type, 300, &wire).expect("in the zone");
    }
    builder.finish()
}

/// What answers depend on: that zone and no wide IP.
pub(crate) fn snapshot(names: usize) -> Snapshot {
    snapshot_within(names, Limits::default())
}

/// The same with limits.
pub(crate) fn snapshot_within(names: usize, limits: Limits) -> Snapshot {
    let settings = Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos::default(),
        synthetic_zone: SyntheticZone {
            name_servers: vec![name("ns1.bench.test.")],
            contact: name("host.bench.test."),
            ttl_seconds: 300,
            negative_ttl_seconds: 30,
        },
        keys: Default::default(),
        transfers: Default::default(),
        limits,
        edns: Default::default(),
    };
    Snapshot::new(1, &[Arc::new(zone(names, SEED))], Tables::empty(SEED), Arc::new(settings), SEED)
}

/// Packets that ask questions of one kind for one name after the other.
pub(crate) fn packets(kind: &str, count: usize, names: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| packet(&question(kind, index * 7919, names))).collect()
}

/// A name in text.
pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a well-formed name")
}

/// Kinds of question, with their share in the mix, in percent.
pub(crate) const KINDS: [(&str, usize); 8] =
    [("A", 60), ("AAAA", 10), ("CNAME", 10), ("NXDOMAIN", 5), ("wildcard", 5), ("referral", 5), ("MX", 3), ("TXT", 2)];

/// A question of one kind about a zone of `names` names; `index` chooses the name.
pub(crate) fn question(kind: &str, index: usize, names: usize) -> (String, RecordType) {
    let of = |remainder: usize| (index * 20 + remainder) % names / 20 * 20 + remainder;
    match kind {
        "A" => (format!("h{}.{APEX}", index % names), RecordType::A),
        "AAAA" => (format!("h{}.{APEX}", of(0)), RecordType::AAAA),
        "CNAME" => (format!("c{}.{APEX}", of(2)), RecordType::A),
        "NXDOMAIN" => (format!("none{index}.{APEX}"), RecordType::A),
        "wildcard" => (format!("any{index}.w{}.{APEX}", of(5)), RecordType::A),
        "referral" => (format!("www.d{}.{APEX}", of(6)), RecordType::A),
        "MX" => (format!("h{}.{APEX}", of(4)), RecordType::MX),
        _ => (format!("h{}.{APEX}", of(4)), RecordType::TXT),
    }
}

/// A query packet with EDNS.
pub(crate) fn packet(question: &(String, RecordType)) -> Vec<u8> {
    let mut packet = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name(&question.0).as_wire());
    packet.extend_from_slice(&question.1.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    packet
}

/// `count` packets in the mix, in an order without pattern.
pub(crate) fn mix(count: usize, names: usize) -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0)
    };
    let mut packets = Vec::with_capacity(count);
    for _ in 0..count {
        let mut share = draw() % 100;
        let kind = KINDS.iter().find(|(_, part)| {
            let found = share < *part;
            share = share.saturating_sub(*part);
            found
        });
        packets.push(packet(&question(kind.map_or("A", |(kind, _)| kind), draw(), names)));
    }
    packets
}
