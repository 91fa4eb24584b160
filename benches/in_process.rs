//! What answering, publishing and loading take without sockets: `cargo bench --bench in_process -- [NAME]`.
//!
//! divan shows the fastest, slowest, median and mean of many samples; read the medians. Figures that hold on a busy machine
//! are those of `instructions.rs`.

#![allow(missing_docs, reason = "a bench is no library")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at what it did not expect"
)]

mod support;

#[path = "support/mix.rs"]
mod mix;
#[path = "support/steering.rs"]
mod steering;

use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use fairlead::answer::{Limits, RateLimit, RateMode, SharedRates, Snapshot, Transport, Worker, respond};
use fairlead::config;
use fairlead::status::{Availability, Changed, Moment};
use fairlead::topology::Topology;
use fairlead::wideip::PoolMethod;
use fairlead::wire::Name;
use fairlead::zone::{load, master};
use support::hosting;

/// Names in the zone that is asked.
const NAMES: usize = 10_000;
/// Packets of one batch, before which a listener tells its worker the time.
const BATCH: usize = 64;
/// Records of the zones that are loaded.
const RECORDS: usize = 100_000;
/// Flips that come in one publish.
const FLIPS: u32 = 5;

fn main() {
    divan::main();
}

/// One batch of packets of one kind, from one client.
#[divan::bench(args = mix::KINDS.map(|(kind, _)| kind))]
fn answer(bencher: Bencher<'_, '_>, kind: &str) {
    let snapshot = mix::snapshot(NAMES);
    let packets = mix::packets(kind, 4096, NAMES);
    batches(bencher, &snapshot, &packets, &[([192, 0, 2, 9], 5353).into()]);
}

/// One batch of mixed packets from so many networks.
#[divan::bench(args = [1, 1000, 1 << 20])]
fn answer_mixed(bencher: Bencher<'_, '_>, networks: u32) {
    batches(bencher, &mix::snapshot(NAMES), &mix::mix(65_536, NAMES), &sources(networks));
}

/// The same with rates limited, which this flood is far over.
#[divan::bench(args = [1, 1000, 1 << 20])]
fn answer_mixed_within_rates(bencher: Bencher<'_, '_>, networks: u32) {
    let snapshot = mix::snapshot_within(NAMES, limited());
    batches(bencher, &snapshot, &mix::mix(65_536, NAMES), &sources(networks));
}

/// Five flips among a thousand virtual servers, of which a tenth is down, with so many wide IPs over them.
#[divan::bench(args = [1000, 100_000])]
fn publish(bencher: Bencher<'_, '_>, wide_ips: usize) {
    let servers = 1000;
    let model = steering::model(wide_ips, 4, PoolMethod::Ratio, servers);
    let (mut table, mut tables) = steering::tables(model, Topology::default(), mix::SEED);
    let mut clock = 1;
    bencher.counter(ItemsCount::new(FLIPS)).bench_local(|| {
        clock += 1;
        let mut changed = Changed::default();
        for flip in 0..FLIPS {
            let number = u32::try_from(clock).unwrap_or(0).wrapping_mul(FLIPS).wrapping_add(flip);
            let (number, state) = match flip % 2 {
                0 => (number / 2 + servers / 10, Availability::Offline),
                _ => (number / 2, Availability::Available),
            };
            let fact = steering::report(number.wrapping_mul(617) % servers, state, clock);
            changed.merge(table.apply(&fact, Moment::from_millis(clock)));
        }
        tables = tables.refresh(&table, &changed);
    });
}

/// A master file, read, built and checked.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn load_master_file(bencher: Bencher<'_, '_>) {
    let text = hosting::master_file(RECORDS);
    let origin: Name = "example.com.".parse().unwrap();
    let settings = master::Settings { file: "generated", origin: &origin, default_ttl: None };
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let loaded = load(text.as_bytes(), &settings, mix::SEED, &mut master::no_include);
        assert_eq!(loaded.unwrap().zone.records(), RECORDS);
    });
}

/// A node's configuration with the same zone as YAML.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn load_yaml(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zone.yaml"), hosting::yaml(&hosting::master_file(RECORDS))).unwrap();
    let path = folder.path().join("fairlead.yaml");
    fs::write(&path, "node: n\nzones: [ {name: example.com., file: zone.yaml} ]\n").unwrap();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let (config, _) = config::load(&path, mix::SEED).unwrap();
        black_box(config);
    });
}

/// Answers the packets in turn, a batch in each iteration.
fn batches(bencher: Bencher<'_, '_>, snapshot: &Snapshot, packets: &[Vec<u8>], sources: &[SocketAddr]) {
    let mut worker = Worker::new(1);
    let mut out = [0; 4096];
    let mut queries = packets.iter().cycle().zip(sources.iter().cycle());
    let mut batch = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        batch += 1;
        worker.limit_rate(snapshot, Moment::from_millis(batch / 16));
        for (packet, source) in queries.by_ref().take(BATCH) {
            black_box(respond(snapshot, &mut worker, black_box(packet), *source, Transport::Udp, &mut out));
        }
    });
}

/// Clients, each of another one of so many networks.
fn sources(networks: u32) -> Vec<SocketAddr> {
    let source = |number: u32| (((number.wrapping_mul(0x9e37_79b1) % networks) << 8).to_be_bytes(), 5353).into();
    (0..1 << 20).map(source).collect()
}

/// The defaults.
fn limited() -> Limits {
    let rate = RateLimit {
        mode: RateMode::Limit,
        per_second: [200, 200, 100, 200, 100],
        all_per_second: 1000,
        window: Duration::from_secs(15),
        slip: 2,
        ipv4_prefix: 24,
        ipv6_prefix: 56,
        exempt: Vec::new(),
        entries: 65_536,
        workers: 1,
        shared: SharedRates::new(65_536, 1, 1),
    };
    Limits { rate: Some(Arc::new(rate)), ..Limits::default() }
}
