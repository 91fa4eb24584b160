//! The properties that fuzz targets state, in one place: `fuzz_targets/` runs them under libFuzzer, `tests/fuzz_corpus.rs`
//! replays every corpus through them on the stable toolchain.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use fairlead::answer::{Chaos, Settings, Snapshot, SyntheticZone, Transport, Unmatched, Worker, respond as answer};
use fairlead::mesh::frame::{Decoder, FRAME_LENGTH_MAX};
use fairlead::wideip::Tables;
use fairlead::wire::{Keys, Name, RecordType};
use fairlead::zone::master;
pub(crate) use fairlead::zone::master::no_include;
use fairlead::zone::{Zone, is_newer, load, print};
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinDecodable;

pub(crate) const SEED: u64 = 9;
/// A zone with something of everything that answers differ by.
const ZONE: &str = "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::2\n\
    a CNAME b\nb CNAME www\n*.wild TXT \"w\"\nmail MX 10 www\nmoved DNAME wild\nsub NS ns.sub\nns.sub A 192.0.2.3\n\
    deep.er.name SRV 1 2 3 www\n$GENERATE 1-120 big TXT \"number $ of a set that no datagram holds\"\n";

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a well-formed name")
}

/// Owners, types, TTLs and data.
pub(crate) type Contents = BTreeSet<(Vec<u8>, RecordType, u32, Vec<u8>)>;

/// The contents of a zone, in an order that does not depend on hashes.
pub(crate) fn contents(zone: &Zone) -> Contents {
    let mut all = BTreeSet::new();
    zone.for_each(|owner, rrset| {
        all.extend(rrset.rdatas().map(|rdata| (owner.to_vec(), rrset.record_type, rrset.ttl, rdata.to_vec())));
    });
    all
}

pub(crate) fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let apex = name("fuzz.test.");
        let file = master::Settings { file: "fuzz", origin: &apex, default_ttl: None };
        let zone = load(ZONE.as_bytes(), &file, SEED, &mut no_include).expect("a good zone").zone;
        Snapshot::new(1, &[Arc::new(zone)], Tables::empty(SEED), Arc::new(settings()), SEED)
    })
}

/// How the snapshot answers.
pub(crate) fn settings() -> Settings {
    Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos { version: Some("fuzz".to_owned()), id: Some("fuzz".to_owned()) },
        synthetic_zone: SyntheticZone {
            name_servers: vec![name("ns.fuzz.test.")],
            contact: name("host.fuzz.test."),
            ttl_seconds: 300,
            negative_ttl_seconds: 30,
        },
        keys: Arc::new(Keys::new([crate::signed::key()])),
        transfers: Arc::default(),
        limits: Default::default(),
        edns: Default::default(),
    }
}

/// Any UPDATE message: it is refused, or makes a zone that keeps the rules of zones under a newer serial; the zone it is
/// about stays as it was.
pub fn update(data: &[u8]) {
    static BEFORE: OnceLock<(Zone, Contents)> = OnceLock::new();
    let (zone, before) = BEFORE.get_or_init(|| {
        let apex = name("fuzz.test.");
        let settings = master::Settings { file: "fuzz", origin: &apex, default_ttl: None };
        let zone = load(ZONE.as_bytes(), &settings, SEED, &mut no_include).expect("a good zone").zone;
        let before = contents(&zone);
        (zone, before)
    });
    let outcome = fairlead::update::rehearse(zone, data, 1_800_000_000);
    assert_eq!(contents(zone), *before, "the zone in use changed");
    let Ok(Some(made)) = outcome else { return };
    assert!(is_newer(made.soa().serial, zone.soa().serial));
    let apex = name("fuzz.test.");
    let settings = master::Settings { file: "made", origin: &apex, default_ttl: None };
    let loaded = load(print::zone(&made).as_bytes(), &settings, SEED, &mut no_include);
    let loaded = loaded.unwrap_or_else(|faults| panic!("an update made a zone that does not load: {faults:?}")).zone;
    assert_eq!(contents(&loaded), contents(&made));
}

/// Any packet: silence for what must have it; else a reply with the same id, QR set, the same opcode, no longer than its
/// transport allows, that decodes, and carries nothing but the question when it is truncated.
pub fn respond(packet: &[u8]) {
    let source: SocketAddr = ([192, 0, 2, 9], 5353).into();
    for (transport, limit) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
        let mut out = vec![0; 65_535];
        let outcome = answer(snapshot(), &mut Worker::new(1), packet, source, transport, &mut out);
        let deserves_none = packet.len() < 12 || packet[2] & 0x80 != 0;
        assert_eq!(outcome.length == 0, deserves_none, "silence for runts and responses, and for them alone");
        let reply = &out[..outcome.length];
        if reply.is_empty() {
            continue;
        }
        assert!(reply.len() <= limit, "{} octets", reply.len());
        assert_eq!(reply[..2], packet[..2], "the id");
        assert_eq!(reply[2] & 0xf8, packet[2] & 0x78 | 0x80, "QR and the opcode");
        assert!(reply[3] & 0x80 == 0, "RA is never set");
        let message = Message::from_bytes(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
        assert!(
            !message.truncation || message.answers.is_empty() && message.authorities.is_empty(),
            "part of an answer"
        );
    }
}

/// Any text: a zone that loads prints as a text that loads to the same zone.
pub fn master_file(text: &[u8]) {
    let apex = name("fuzz.test.");
    let settings = master::Settings { file: "fuzz", origin: &apex, default_ttl: Some(300) };
    let Ok(loaded) = load(text, &settings, SEED, &mut no_include) else { return };
    let printed = print::zone(&loaded.zone);
    let again = load(printed.as_bytes(), &settings, SEED, &mut no_include);
    let again = again.unwrap_or_else(|faults| panic!("what was printed does not load: {faults:?}\n{printed}"));
    assert_eq!(contents(&loaded.zone), contents(&again.zone), "{printed}");
}

/// Any stream: cut anywhere it gives the same frames, and never holds more than a frame and one read.
pub fn mesh_frame(stream: &[u8]) {
    let all = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.take() {
                    Ok(Some(frame)) => frames.push(format!("{frame:?}")),
                    Ok(None) => break,
                    Err(error) => {
                        frames.push(error.to_string());
                        return frames;
                    }
                }
            }
            assert!(decoder.held() <= FRAME_LENGTH_MAX + 4 + piece.len());
        }
        frames
    };
    assert_eq!(all(&mut std::iter::once(stream)), all(&mut stream.chunks(3)));
}
