//! Nanoseconds per `respond` call, by kind of question, in process: `cargo bench --bench respond`.
//!
//! `cargo bench --bench respond -- KIND COUNT` runs one kind COUNT times and prints nothing, for instruction counts.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench owns its process"
)]

#[path = "support/mix.rs"]
mod data;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use fairlead::answer::{Limits, RateLimit, RateMode, SharedRates, Snapshot, Transport, Worker, respond};
use fairlead::status::Moment;

/// Packets of one batch, before which the worker is told the time.
const BATCH: usize = 64;

/// Answers the packets in turn, `count` times in all; nanoseconds per answer.
fn run(snapshot: &Snapshot, packets: &[Vec<u8>], count: usize) -> f64 {
    run_from(snapshot, packets, &[([192, 0, 2, 9], 5353).into()], count)
}

/// The same from these sources in turn.
fn run_from(snapshot: &Snapshot, packets: &[Vec<u8>], sources: &[SocketAddr], count: usize) -> f64 {
    let mut worker = Worker::new(1);
    let mut out = [0; 4096];
    let start = Instant::now();
    for (number, (packet, source)) in packets.iter().cycle().zip(sources.iter().cycle()).take(count).enumerate() {
        if number % BATCH == 0 {
            worker.limit_rate(snapshot, Moment::from_millis(u64::try_from(number / 1000).unwrap_or_default()));
        }
        black_box(respond(snapshot, &mut worker, black_box(packet), *source, Transport::Udp, &mut out));
    }
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

fn main() {
    const NAMES: usize = 10_000;
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let snapshot = data::snapshot(NAMES);
    let packets = |kind: &str| data::packets(kind, 4096, NAMES);
    if let [kind, count] = arguments.as_slice() {
        let count = count.parse().expect("a count");
        let packets = if kind == "mix" { data::mix(4096, NAMES) } else { packets(kind) };
        run(&snapshot, &packets, count);
        return;
    }
    for (kind, _) in data::KINDS {
        let packets = packets(kind);
        let mut times: Vec<f64> = (0..7).map(|_| run(&snapshot, &packets, 300_000)).collect();
        times.sort_by(f64::total_cmp);
        println!("{kind:10} {:6.0} ns", times[3]);
    }
    let packets = data::mix(65536, NAMES);
    let mut times: Vec<f64> = (0..7).map(|_| run(&snapshot, &packets, 500_000)).collect();
    times.sort_by(f64::total_cmp);
    println!("{:10} {:6.0} ns", "mix", times[3]);
    for (what, limits) in [("rates are not limited", Limits::default()), ("rates are limited", limited())] {
        let snapshot = data::snapshot_within(NAMES, limits);
        for networks in [1, 1000, 1 << 20] {
            let source = |number: u32| {
                SocketAddr::from((((number.wrapping_mul(0x9e37_79b1) % networks) << 8).to_be_bytes(), 5353))
            };
            let sources: Vec<SocketAddr> = (0..1 << 20).map(source).collect();
            let mut times: Vec<f64> = (0..7).map(|_| run_from(&snapshot, &packets, &sources, 500_000)).collect();
            times.sort_by(f64::total_cmp);
            println!("mix from {networks:7} networks, {what:21} {:6.0} ns", times[3]);
        }
    }
}

/// The defaults, which a flood of a million in a second is far over.
fn limited() -> Limits {
    let rate = RateLimit {
        mode: RateMode::Limit,
        per_second: [200, 200, 100, 200, 100],
        all_per_second: 1000,
        window: std::time::Duration::from_secs(15),
        slip: 2,
        ipv4_prefix: 24,
        ipv6_prefix: 56,
        exempt: Vec::new(),
        entries: 65_536,
        workers: 1,
        shared: SharedRates::new(65_536, 1, 1),
    };
    Limits { rate: Some(std::sync::Arc::new(rate)), ..Limits::default() }
}
