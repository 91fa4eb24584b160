//! Topology at size: a million prefixes in two databases, a hundred thousand records. Prints one line per figure.
//!
//! `cargo bench --bench topology` measures; run by anything else it uses a small world and only shows that it works.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and one that cannot go on fails")]

#[path = "support/geo.rs"]
mod geo;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use fairlead::topology::{AnswerClass, Candidate, Topology};
use geo::{Draw, FULL, SMALL, databases, rules};

/// Resident memory of this process, in KiB; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// In how many short rounds everything is measured; the fastest counts, the others were disturbed.
const ROUNDS: u32 = 200;

/// Prints how long one of `count` calls took; their results are added up so that none is left out.
#[expect(clippy::disallowed_methods, reason = "a bench owns a clock")]
fn measure(what: &str, count: u32, mut call: impl FnMut(usize) -> u32) {
    let length = usize::try_from(count / ROUNDS).unwrap();
    let mut round = |from: usize| {
        let start = Instant::now();
        black_box((from..from + length).fold(0_u32, |sum, n| sum.wrapping_add(call(n))));
        start.elapsed()
    };
    let fastest = (0..usize::try_from(ROUNDS).unwrap()).map(|n| round(n * length)).min().unwrap();
    println!("{what}: {:.1} ns", fastest.as_secs_f64() * 1e9 / f64::from(count / ROUNDS));
}

fn look_up(topology: &Topology, probes: u32, draw: &mut Draw) {
    let answers: Vec<AnswerClass> = (0..8)
        .map(|n| (format!("datacenter-{n}"), Ipv4Addr::new(192, 0, 2, n)))
        .map(|(datacenter, address)| {
            let (pool, datacenter) = (Some("pool-7"), Some(&*datacenter));
            topology.classify_answer(&Candidate { pool, datacenter, address: Some(address.into()) })
        })
        .collect();
    let ipv4: Vec<IpAddr> = (0..1 << 20).map(|_| draw.ipv4()).collect();
    let ipv6: Vec<IpAddr> = (0..1 << 20).map(|_| draw.ipv6()).collect();
    for (family, clients) in [("IPv4", &ipv4), ("IPv6", &ipv6)] {
        for (spread, mask) in [("a million clients", (1 << 20) - 1), ("a thousand clients", (1 << 10) - 1)] {
            measure(&format!("locate, {family}, {spread}"), probes, |n| topology.locate(clients[n & mask]).class.0);
            measure(&format!("locate and score 2 of 8 answers, {family}, {spread}"), probes, |n| {
                let class = topology.locate(clients[n & mask]).class;
                topology.score(class, &answers[n & 7]).max(topology.score(class, &answers[(n + 3) & 7]))
            });
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench owns a clock")]
fn main() {
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let (size, probes) = if is_full { (FULL, 4_000_000) } else { (SMALL, 1_000) };
    let mut draw = Draw(1);
    let [city, asn] = databases(size, &mut draw);
    let rules = rules(size, &mut draw);
    println!("databases: city {} KiB, asn {} KiB", city.len() >> 10, asn.len() >> 10);
    let (before, start) = (resident_kib(), Instant::now());
    let topology = Topology::compile(&rules, Some(&city), Some(&asn)).unwrap();
    println!("compile: {:.2} s, {} classes", start.elapsed().as_secs_f64(), topology.class_count());
    let grown = resident_kib().saturating_sub(before);
    println!("memory: {} KiB of look-up structures, process grown by {grown} KiB", topology.memory() >> 10);
    look_up(&topology, probes, &mut draw);
}
