//! What tests of the answer path share: settings, queries, and replies in one line.

use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinDecodable;

use super::{Chaos, Settings, Snapshot, SyntheticZone, Transport, Unmatched, Worker, respond};
use crate::wire::{Name, RecordType};

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn settings(unmatched: Unmatched) -> Settings {
    Settings {
        unmatched,
        chaos: Chaos { version: None, id: Some("ns1".to_owned()) },
        synthetic_zone: SyntheticZone {
            name_servers: vec![name("ns1.example.net.")],
            contact: name("dns.example.net."),
            ttl_seconds: 3600,
            negative_ttl_seconds: 30,
        },
        keys: Default::default(),
        transfers: Default::default(),
        limits: Default::default(),
        edns: Default::default(),
    }
}

pub(super) fn query(question: &str, record_type: RecordType, class: u16, edns: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())];
    packet.extend_from_slice(name(question).as_wire());
    packet.extend_from_slice(&record_type.0.to_be_bytes());
    packet.extend_from_slice(&class.to_be_bytes());
    packet.extend_from_slice(edns);
    packet
}

/// The reply in one line: code, flags, and each section's records.
pub(super) fn ask_packet(snapshot: &Snapshot, packet: &[u8], transport: Transport) -> String {
    let mut out = [0; 65535];
    let outcome =
        respond(snapshot, &mut Worker::new(1), packet, "192.0.2.9:5353".parse().unwrap(), transport, &mut out);
    if outcome.length == 0 {
        return "silence".to_owned();
    }
    let message = Message::from_bytes(&out[..outcome.length]).unwrap();
    let mut text = format!("{:?}", outcome.rcode);
    for (set, flag) in [(message.authoritative, " aa"), (message.truncation, " tc")] {
        text += if set { flag } else { "" };
    }
    for (section, records) in [("an", &message.answers), ("au", &message.authorities), ("ad", &message.additionals)] {
        for record in records.iter() {
            text += &format!(" | {section} {} {} {} {}", record.name, record.ttl, record.record_type(), record.data);
        }
    }
    text
}
