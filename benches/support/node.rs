//! A Fairlead node inside the bench's own process: listeners and answers, nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fairlead::answer::{self, Snapshot, Worker};
use fairlead::listener::{Listeners, Respond, Service, Settings, TcpLimits};
use fairlead::metrics::Metrics;
use fairlead::wire::Name;
use fairlead::zone::{Zone, ZoneBuilder, master};

use super::data::ZONE;

/// The secret of name hashes; any number will do here.
pub const SEED: u64 = 0x5eed;

/// Reads a master file into a zone.
pub fn zone(text: &str) -> Zone {
    let apex: Name = ZONE.parse().unwrap();
    let mut builder = ZoneBuilder::new(&apex, SEED);
    let settings = master::Settings { file: "bench.zone", origin: &apex, default_ttl: None };
    let report = master::read(text.as_bytes(), &settings, &mut master::no_include, &mut |record| {
        builder.add(record.owner, record.record_type, record.ttl, record.rdata).unwrap();
        master::Verdict::Taken
    });
    assert!(report.errors.is_empty(), "{:?}", report.errors.first());
    builder.finish()
}

/// What answers depend on, with one zone.
pub fn snapshot(zone: Zone) -> Snapshot {
    let name_server: Name = "ns1.bench.example.".parse().unwrap();
    let settings = answer::Settings {
        unmatched: answer::Unmatched::NxDomain,
        chaos: answer::Chaos::default(),
        synthetic_zone: answer::SyntheticZone {
            contact: name_server.clone(),
            name_servers: vec![name_server],
            ttl_seconds: 300,
            negative_ttl_seconds: 300,
        },
        keys: Default::default(),
        transfers: Default::default(),
        limits: Default::default(),
        edns: Default::default(),
    };
    Snapshot::new(1, &[Arc::new(zone)], fairlead::wideip::Tables::empty(SEED), Arc::new(settings), SEED)
}

/// Starts listeners with one UDP worker on loopback.
#[expect(clippy::disallowed_methods, reason = "the edge that owns the clock")]
pub fn start(address: &str, snapshot: Snapshot, respond: Respond) -> (Listeners, SocketAddr) {
    let service = Service {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        metrics: Arc::new(Metrics::new("bench", "bench")),
        new_worker: Arc::new(|| Worker::new(1)),
        started: Instant::now(),
        unix_seconds: Arc::new(|| 1_800_000_000),
        hand_off: None,
        respond,
    };
    let tcp = TcpLimits {
        connections: 100,
        connections_per_client: 100,
        connections_per_network: 100,
        idle: Duration::from_secs(10),
        first_message: Duration::from_secs(3),
        message: Duration::from_secs(1),
        lifetime: Duration::from_secs(600),
        queries: 0,
        pipelined: 32,
        write_stall: Duration::from_secs(5),
    };
    let settings = Settings { addresses: vec![address.parse().unwrap()], udp_workers: 1, tcp };
    let listeners = Listeners::start(&settings, &service).unwrap();
    let served = listeners.addresses()[0];
    (listeners, SocketAddr::new([127, 0, 0, 1].into(), served.port()))
}
