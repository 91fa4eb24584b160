//! Instructions per answer, by kind of question, against a budget: `cargo bench --bench instructions`.
//!
//! Counted by callgrind through gungraun, so that the figures are the same on a busy machine as on a quiet one. A kind that
//! takes more than 3 % above its budget fails. Who makes an answer cheaper lowers its budget in the same change; who must
//! raise one says in the change what it buys. Needs `valgrind` and `cargo install gungraun-runner` of the version in
//! `Cargo.lock`.

#![allow(clippy::expect_used, missing_docs, dead_code, reason = "a bench stops at what it did not expect")]

#[path = "support/mix.rs"]
mod data;

use std::hint::black_box;

use fairlead::answer::{Snapshot, Transport, Worker, respond};
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

/// Names in the zone.
const NAMES: usize = 10_000;
/// Questions that are answered in one measurement.
const QUESTIONS: usize = 1000;

/// All that one measurement needs, made before it.
struct World {
    snapshot: Snapshot,
    worker: Worker,
    packets: Vec<Vec<u8>>,
    out: Vec<u8>,
}

fn world(kind: &str) -> World {
    let packets = data::packets(kind, QUESTIONS, NAMES);
    World { snapshot: data::snapshot(NAMES), worker: Worker::new(1), packets, out: vec![0; 4096] }
}

/// Fails a kind of question that takes more than 3 % above `per_answer` instructions.
fn budget(per_answer: u64) -> LibraryBenchmarkConfig {
    let questions = u64::try_from(QUESTIONS).expect("a small number");
    let most = per_answer * questions * 103 / 100;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, most)]));
    config
}

#[library_benchmark(setup = world)]
#[bench::a(args = ("A"), config = budget(1452))]
#[bench::aaaa(args = ("AAAA"), config = budget(1478))]
#[bench::cname(args = ("CNAME"), config = budget(2864))]
#[bench::nxdomain(args = ("NXDOMAIN"), config = budget(2613))]
#[bench::wildcard(args = ("wildcard"), config = budget(1731))]
#[bench::referral(args = ("referral"), config = budget(4399))]
#[bench::mx(args = ("MX"), config = budget(3669))]
#[bench::txt(args = ("TXT"), config = budget(1496))]
fn answer(mut world: World) -> World {
    let source = ([192, 0, 2, 9], 5353).into();
    for packet in &world.packets {
        let outcome =
            respond(&world.snapshot, &mut world.worker, black_box(packet), source, Transport::Udp, &mut world.out);
        black_box(outcome);
    }
    world
}

library_benchmark_group!(name = answers, benchmarks = answer);
main!(library_benchmark_groups = answers);
