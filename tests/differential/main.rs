//! Fairlead, NSD and Knot answer thousands of generated questions about generated zones. Where NSD and Knot agree,
//! Fairlead agrees, or the difference is listed in [`explained`] with its RFC sentence.

#![allow(clippy::disallowed_methods, reason = "a test program owns its clock")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod forms;
mod generate;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use fairlead::wire::{Name, RecordType};
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinDecodable;

/// A query with EDNS.
pub(crate) fn packet(name: &str, record_type: &str, dnssec_ok: bool, id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    packet.extend_from_slice(name.parse::<Name>().unwrap().as_wire());
    packet.extend_from_slice(&record_type.parse::<RecordType>().unwrap().0.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 41, 0x10, 0, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    packet
}

/// What is compared of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reply {
    rcode: String,
    authoritative: bool,
    truncated: bool,
    answer: Vec<String>,
    authority: Vec<String>,
}

impl Reply {
    fn read(octets: &[u8]) -> Self {
        let message = Message::from_bytes(octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
        let section = |records: &[hickory_proto::rr::Record]| {
            let mut lines: Vec<String> = records.iter().map(|record| record.to_string().to_ascii_lowercase()).collect();
            lines.sort();
            lines
        };
        Self {
            rcode: format!("{:?}", message.response_code),
            authoritative: message.authoritative,
            truncated: message.truncation,
            answer: section(&message.answers),
            authority: section(&message.authorities),
        }
    }

    /// Each compared part by name.
    fn parts(&self) -> [(&'static str, String); 4] {
        [
            ("rcode", self.rcode.clone()),
            ("aa", self.authoritative.to_string()),
            ("answer", self.answer.join("\n")),
            ("authority", self.authority.join("\n")),
        ]
    }
}

struct Client {
    socket: UdpSocket,
    id: u16,
}

impl Client {
    /// Asks all servers at once.
    fn ask<const N: usize>(
        &mut self,
        servers: [SocketAddr; N],
        name: &str,
        record_type: &str,
        dnssec_ok: bool,
    ) -> [Reply; N] {
        self.id = self.id.wrapping_add(1);
        let query = packet(name, record_type, dnssec_ok, self.id);
        let mut octets = [0; 65535];
        let mut replies = [const { None }; N];
        for _ in 0..5 {
            for (server, _) in servers.iter().zip(&replies).filter(|(_, reply)| reply.is_none()) {
                self.socket.send_to(&query, server).unwrap();
            }
            while replies.iter().any(Option::is_none) {
                let Ok((length, from)) = self.socket.recv_from(&mut octets) else { break };
                if let Some(index) = servers.iter().position(|server| *server == from)
                    && octets[..2] == self.id.to_be_bytes()
                {
                    replies[index] = Some(Reply::read(&octets[..length]));
                }
            }
        }
        replies.map(|reply| reply.unwrap_or_else(|| panic!("no answer to {name} {record_type}")))
    }
}

/// Differences that stay, each with the sentence that allows it.
fn explained(_part: &str, _name: &str, _record_type: &str, _peers: &Reply, _ours: &Reply) -> Option<&'static str> {
    None
}

#[test]
fn fairlead_agrees_where_nsd_and_knot_agree() {
    let (Some(nsd), Some(knot)) = (support::tool("nsd"), support::tool("knotd")) else { return };
    let mut seen = BTreeMap::new();
    for seed in 1..=5 {
        let world = generate::world(seed, 400);
        let folder = tempfile::tempdir().unwrap();
        let zone_file = folder.path().join("diff.zone");
        fs::write(&zone_file, world.master_file()).unwrap();
        let nsd = servers::nsd(&nsd, folder.path(), &zone_file);
        let knot = servers::knot(&knot, folder.path(), &zone_file);
        let ours = servers::fairlead(folder.path(), &zone_file);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut client = Client { socket, id: 0 };
        for (index, (name, record_type)) in generate::questions(&world, seed, 3000).iter().enumerate() {
            let dnssec_ok = index % 3 == 0;
            let [a, b, c] = client.ask([nsd.address, knot.address, ours.address], name, record_type, dnssec_ok);
            if a.truncated || b.truncated || c.truncated {
                *seen.entry("truncated".to_owned()).or_insert(0) += 1;
                continue;
            }
            for ((part, a_part), ((_, b_part), (_, c_part))) in
                a.parts().into_iter().zip(b.parts().into_iter().zip(c.parts()))
            {
                let verdict = match (a_part == b_part, a_part == c_part || b_part == c_part) {
                    (true, true) => "all agree",
                    (false, _) => "peers differ",
                    (true, false) => explained(part, name, record_type, &a, &c).unwrap_or_else(|| {
                        panic!(
                            "seed {seed}: {name} {record_type} do={dnssec_ok}: {part} differs\nNSD and Knot: {a:#?}\n\
                             Fairlead: {c:#?}\nzone:\n{}",
                            relevant(&world, name)
                        )
                    }),
                };
                *seen.entry(format!("{part}: {verdict}")).or_insert(0) += 1;
            }
        }
    }
    eprintln!("{seen:#?}");
    assert!(seen["rcode: all agree"] > 10_000, "{seen:#?}");
    assert!(seen["answer: all agree"] > 9_000, "{seen:#?}");
}

/// The records of the zone that a question's answer can depend on.
fn relevant(world: &generate::World, name: &str) -> String {
    let name: Name = name.parse().unwrap();
    let mut text = String::new();
    for (owner, record_type, rdata) in &world.lines {
        let owner_name: Name = owner.parse().unwrap();
        if name.is_at_or_below(&owner_name) || owner_name.is_at_or_below(&name) || owner.starts_with('*') {
            text += &format!("{owner} {record_type} {rdata}\n");
        }
    }
    text
}
