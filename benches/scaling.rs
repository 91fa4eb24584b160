//! Whether two threads answer twice as much as one: `cargo bench --bench scaling`.
//!
//! What a listener thread does for each packet, without the sockets: one load of the snapshot per batch of 64, `respond`,
//! and the counters. Half of the questions are the usual mix of static ones, half are wide IPs. Each thread is pinned to
//! a core of its own. Work that shares nothing, arithmetic in registers and walks through memory of the thread's own,
//! is measured in the same way: it tells what two cores of this machine give.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may fail")]
#![allow(clippy::disallowed_methods, missing_docs, reason = "a bench measures time")]

#[path = "support/mix.rs"]
#[allow(dead_code, reason = "the budgets use the rest")]
mod data;
#[path = "support/steering.rs"]
mod steering;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fairlead::answer::{Chaos, Settings, Snapshot, SyntheticZone, Transport, Unmatched, Worker, respond};
use fairlead::metrics::{Answered, Metrics, Protocol, Source};
use fairlead::topology::Topology;
use fairlead::wideip::PoolMethod;
use fairlead::wire::RecordType;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

const SEED: u64 = 0x5eed;
const NAMES: usize = 10_000;
const WIDE_IPS: usize = 1000;
const BATCH: usize = 64;
const THREADS: usize = 2;

/// What all threads read.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    metrics: Metrics,
    packets: Vec<Vec<u8>>,
}

fn main() {
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, length) = if is_full { (15, Duration::from_millis(300)) } else { (1, Duration::from_millis(1)) };
    let shared =
        Shared { snapshot: ArcSwap::from_pointee(snapshot()), metrics: Metrics::new("0", "0"), packets: packets() };
    let mut memories: Vec<Vec<u32>> = (0..THREADS).map(|_| (0..1 << 18).collect()).collect();
    measure("arithmetic", rounds, length, &mut [(); THREADS], |()| {
        let mut value = 1_u64;
        Box::new(move || {
            for _ in 0..BATCH * 100 {
                value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        })
    });
    measure("walks through own memory", rounds, length, &mut memories, |memory| {
        let mut at = 1_usize;
        Box::new(move || {
            for _ in 0..BATCH * 10 {
                memory[at] = memory[at].wrapping_add(1);
                at = at.wrapping_mul(5).wrapping_add(3) & (memory.len() - 1);
            }
        })
    });
    measure("respond", rounds, length, &mut [&shared; THREADS], |shared| answering(shared));
}

/// A thread's work: one batch per call.
type Work<'a> = Box<dyn FnMut() + 'a>;

/// Prints how many batches per second one thread makes, and two of them together.
fn measure<T: Send>(
    what: &str,
    rounds: usize,
    length: Duration,
    own: &mut [T],
    make: impl for<'a> Fn(&'a mut T) -> Work<'a> + Sync,
) {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let of_one: Vec<f64> = (0..own.len()).map(|at| run(&mut own[at..=at], at, length, &make)).collect();
        alone.push(of_one.iter().sum::<f64>() / of_one.len() as f64);
        together.push(run(own, 0, length, &make));
    }
    let mut ratios: Vec<f64> = together.iter().zip(&alone).map(|(together, alone)| together / alone).collect();
    let median = |figures: &mut Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    println!(
        "{what}: {:.0} batches/s on one core, {:.0} on {}, ratio {:.3}",
        median(&mut alone),
        median(&mut together),
        own.len(),
        median(&mut ratios)
    );
}

/// Batches per second of all threads, on the cores from `first` on.
fn run<T: Send>(
    own: &mut [T],
    first: usize,
    length: Duration,
    make: &(impl for<'a> Fn(&'a mut T) -> Work<'a> + Sync),
) -> f64 {
    let (stop, start) = (AtomicBool::new(false), Barrier::new(own.len() + 1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = own
            .iter_mut()
            .enumerate()
            .map(|(at, own)| {
                let (stop, start) = (&stop, &start);
                scope.spawn(move || {
                    let mut set = CpuSet::new();
                    set.set(first + at).unwrap();
                    // A machine with one core measures all the same.
                    let _ = sched_setaffinity(Pid::from_raw(0), &set);
                    let mut work = make(own);
                    work();
                    start.wait();
                    let (started, mut made) = (Instant::now(), 0_u64);
                    while !stop.load(Ordering::Relaxed) {
                        work();
                        made += 1;
                    }
                    made as f64 / started.elapsed().as_secs_f64()
                })
            })
            .collect();
        start.wait();
        std::thread::sleep(length);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// A listener thread's part for one batch.
fn answering(shared: &Shared) -> Work<'_> {
    let (mut worker, mut at) = (Worker::new(1), 0);
    let mut counters = shared.metrics.query_counters(Protocol::Udp);
    let mut decisions = shared.metrics.decision_counters();
    let mut out = vec![0; 4096];
    let source: SocketAddr = ([192, 0, 2, 9], 5353).into();
    Box::new(move || {
        let snapshot = shared.snapshot.load();
        for _ in 0..BATCH {
            let outcome = respond(&snapshot, &mut worker, &shared.packets[at], source, Transport::Udp, &mut out);
            at = (at + 1) % shared.packets.len();
            if let Some(decision) = outcome.decision {
                decisions.follow(snapshot.decisions());
                decisions.record(usize::try_from(decision.pair).unwrap(), decision.outcome());
            }
            counters.answered(Answered {
                record_type: outcome.record_type,
                rcode: outcome.rcode,
                source: Source::Zone,
                length: outcome.length,
                truncated: outcome.truncated,
            });
        }
    })
}

fn snapshot() -> Snapshot {
    let settings = Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos::default(),
        synthetic_zone: SyntheticZone {
            name_servers: vec![data::name("ns1.bench.test.")],
            contact: data::name("host.bench.test."),
            ttl_seconds: 300,
            negative_ttl_seconds: 30,
        },
        keys: Default::default(),
        transfers: Default::default(),
        limits: Default::default(),
        edns: Default::default(),
    };
    let model = steering::model(WIDE_IPS, 4, PoolMethod::RoundRobin, 1000);
    let (_, tables) = steering::tables(model, Topology::default(), SEED);
    Snapshot::new(1, &[Arc::new(data::zone(NAMES, SEED))], tables, Arc::new(settings), SEED)
}

/// The mix of static questions, and one about a wide IP behind each.
fn packets() -> Vec<Vec<u8>> {
    let steered = |at: usize| data::packet(&(format!("w{}.example.com.", at * 7919 % WIDE_IPS), RecordType::A));
    data::mix(4096, NAMES).into_iter().enumerate().flat_map(|(at, packet)| [packet, steered(at)]).collect()
}
