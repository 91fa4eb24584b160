//! Every type, every class and every opcode, and zones made to run answering in circles: each query gets one well-formed
//! reply, in bounded work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

#[path = "../fuzz/properties.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod properties;
#[path = "../fuzz/signed.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod signed;

use std::collections::BTreeSet;
use std::sync::Arc;

use fairlead::answer::{Snapshot, Transport, Worker, respond};
use fairlead::wideip::Tables;
use fairlead::wire::{Name, Rcode, RecordType};
use fairlead::zone::{load, master};
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinDecodable;

use properties::{SEED, name, no_include};

fn query(qname: &str, record_type: u16, class: u16) -> Vec<u8> {
    let qname: Name = qname.parse().unwrap();
    [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], qname.as_wire(), &record_type.to_be_bytes(), &class.to_be_bytes()].concat()
}

/// The reply to a packet.
fn ask<'o>(snapshot: &Snapshot, worker: &mut Worker, packet: &[u8], by: Transport, out: &'o mut [u8]) -> &'o [u8] {
    let outcome = respond(snapshot, worker, packet, ([192, 0, 2, 9], 5353).into(), by, out);
    &out[..outcome.length]
}

/// Asks for each type and class; the response codes met.
fn codes(qname: &str, kinds: impl Iterator<Item = (u16, u16)>) -> BTreeSet<u8> {
    let mut worker = Worker::new(1);
    let mut out = vec![0; 65_535];
    let code = |(record_type, class)| {
        let packet = query(qname, record_type, class);
        let reply = ask(properties::snapshot(), &mut worker, &packet, Transport::Udp, &mut out);
        assert!(reply.len() >= 12 && reply[..2] == packet[..2], "{qname} {record_type} {class}");
        assert_eq!(reply[2] & 0xf8, 0x80, "{qname} {record_type} {class}");
        reply[3] & 15
    };
    kinds.map(code).collect()
}

/// NOERROR, FORMERR, NXDOMAIN, NOTIMP and REFUSED; never SERVFAIL, which stands for a fault of ours.
const CODES: [u8; 5] = [0, 1, 3, 4, 5];

#[test]
fn every_type_gets_a_reply() {
    let found = codes("www.fuzz.test.", (0..=u16::MAX).map(|record_type| (record_type, 1)));
    assert_eq!(found, BTreeSet::from([0, 1, 4, 5]));
    let some = || (0..=u16::MAX).filter(|record_type| *record_type < 300 || record_type % 997 == 0);
    for qname in ["www.fuzz.test.", "none.fuzz.test.", "elsewhere.example.", "."] {
        for class in [0, 1, 3, 4, 254, 255, u16::MAX] {
            let found = codes(qname, some().map(|record_type| (record_type, class)));
            assert!(found.iter().all(|code| CODES.contains(code)), "{qname} {class}: {found:?}");
        }
    }
}

#[test]
fn every_class_gets_a_reply() {
    let found = codes("www.fuzz.test.", (0..=u16::MAX).map(|class| (RecordType::A.0, class)));
    assert!(found.iter().all(|code| CODES.contains(code)) && found.contains(&5), "{found:?}");
}

/// A zone in which every way leads back, or nowhere.
const CIRCLES: &str = "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n\
    self CNAME self\na CNAME b\nb CNAME a\n*.wild CNAME x.wild\n*.up CNAME y.x.up\n\
    down DNAME x.down\ngrow DNAME grow.grow.grow.grow\nd1 DNAME d2\nd2 DNAME d1\n\
    long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.\
    ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddd.example.\n\
    none MX 0 .\nnone SRV 0 0 0 .\nnone HTTPS 1 .\nnone SVCB 0 .\nmail MX 1 mail\nmail SRV 1 1 1 mail\n\
    mail A 192.0.2.2\nsub NS sub\nsub NS ns.sub\nsub A 192.0.2.3\n";

#[test]
fn zones_that_lead_in_circles_get_one_reply_each() {
    let apex = name("fuzz.test.");
    let chain: String = (0..100).map(|number| format!("c{number} CNAME c{}\n", number + 1)).collect();
    let settings = master::Settings { file: "zone", origin: &apex, default_ttl: None };
    let text = format!("{CIRCLES}{chain}");
    let zone =
        load(text.as_bytes(), &settings, SEED, &mut no_include).unwrap_or_else(|faults| panic!("{faults:?}")).zone;
    let settings = Arc::new(properties::settings());
    let snapshot = Snapshot::new(1, &[Arc::new(zone)], Tables::empty(SEED), settings, SEED);
    let mut worker = Worker::new(1);
    let mut out = vec![0; 65_535];
    let mut wrong = Vec::new();
    let mut check = |qname: &str, record_type: RecordType, rcode: Rcode, answers: usize| {
        let packet = query(&format!("{qname}.fuzz.test."), record_type.0, 1);
        let reply = ask(&snapshot, &mut worker, &packet, Transport::Tcp, &mut out);
        let reply = Message::from_bytes(reply).expect("a well-formed reply");
        let found = (u16::from(reply.response_code), reply.answers.len());
        if found != (rcode.0, answers) {
            wrong.push(format!("{qname} {record_type}: {found:?}"));
        }
    };
    check("self", RecordType::A, Rcode::SERVFAIL, 1);
    check("self", RecordType::CNAME, Rcode::NOERROR, 1);
    check("a", RecordType::A, Rcode::SERVFAIL, 2);
    check("q.wild", RecordType::A, Rcode::SERVFAIL, 2);
    check("q.up", RecordType::A, Rcode::SERVFAIL, 2);
    // A DNAME and its CNAME each time; a name that grows is no loop, and the chain ends at its limit.
    check("q.down", RecordType::A, Rcode::NOERROR, 18);
    check("q.grow", RecordType::A, Rcode::NOERROR, 18);
    check("q.d1", RecordType::A, Rcode::SERVFAIL, 4);
    check("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq.long", RecordType::A, Rcode::YXDOMAIN, 1);
    check("c0", RecordType::A, Rcode::NOERROR, 9);
    check("c99", RecordType::A, Rcode::NXDOMAIN, 1);
    for record_type in [RecordType::MX, RecordType::SRV, RecordType::HTTPS, RecordType::SVCB] {
        check("none", record_type, Rcode::NOERROR, 1);
    }
    check("mail", RecordType::MX, Rcode::NOERROR, 1);
    check("mail", RecordType::SRV, Rcode::NOERROR, 1);
    check("sub", RecordType::NS, Rcode::NOERROR, 0);
    check("x.sub", RecordType::A, Rcode::NOERROR, 0);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
