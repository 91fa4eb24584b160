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

use fairlead::answer::{Snapshot, Transport, Worker, respond};

/// Answers the packets in turn, `count` times in all; nanoseconds per answer.
fn run(snapshot: &Snapshot, packets: &[Vec<u8>], count: usize) -> f64 {
    let mut worker = Worker::new(1);
    let mut out = [0; 4096];
    let source: SocketAddr = ([192, 0, 2, 9], 5353).into();
    let start = Instant::now();
    for packet in packets.iter().cycle().take(count) {
        black_box(respond(snapshot, &mut worker, black_box(packet), source, Transport::Udp, &mut out));
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
}
