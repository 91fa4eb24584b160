//! A client that behaves among those that mean harm: `cargo bench --bench siege`.
//!
//! 10,000 idle streams, slow readers, slow writers and 50,000 datagrams a second from forged addresses, half of them from
//! eight networks that stand for victims. Every idle stream is asked again at the end, and what the server closed is held
//! against what it counts. Without `--bench` a short and small run.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench owns its process")]
#![allow(clippy::print_stderr, dead_code, reason = "what tests share is used in part")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::time::Duration;

use support::load::{self, Plan};
use support::server::{fairlead_at, free_port, metric};

/// Why a server ends a stream of a client that is still there.
const REASONS: [&str; 7] = ["evicted", "idle", "first_message", "message", "lifetime", "write_stall", "refused"];

/// How many streams ended so far for each of the reasons.
fn ended(admin: u16) -> [f64; REASONS.len()] {
    REASONS.map(|reason| metric(admin, &format!("fairlead_tcp_closed_connections_total{{reason=\"{reason}\"}}")))
}

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    load::raise_limit();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.zone"), load::zone()).unwrap();
    let admin = free_port();
    let server = fairlead_at(folder.path(), free_port(), admin, load::CONFIGURATION, "example.");
    let plan = |idle, slow, flood_per_second, seconds| Plan {
        idle,
        slow_readers: slow,
        slow_writers: slow,
        flood_per_second,
        client_per_second: 400,
        duration: Duration::from_secs(seconds),
    };
    let plans = match smoke {
        true => vec![plan(100, 5, 1000, 1)],
        false => vec![plan(0, 0, 0, 5), plan(10_000, 0, 0, 5), plan(10_000, 200, 0, 5), plan(10_000, 200, 50_000, 15)],
    };
    println!(
        "idle  slow  flood/s | asked  answered  lost | median µs  99 % µs  longest µs | idle served, closed, silent"
    );
    for plan in plans {
        let before = ended(admin);
        let figures = load::run(server.address, &plan);
        let after = ended(admin);
        println!(
            "{:5} {:5} {:8.0} | {:5} {:9} {:5} | {:9} {:8} {:11} | {}, {}, {}",
            plan.idle,
            plan.slow_readers + plan.slow_writers,
            figures.flood_per_second,
            figures.asked,
            figures.answered,
            figures.asked - figures.answered,
            figures.median,
            figures.percentile_99,
            figures.longest,
            figures.idle_served,
            figures.idle_closed,
            figures.idle_silent,
        );
        println!(
            "      slow streams ended by the server: {} reading, {} writing",
            figures.readers_ended, figures.writers_ended
        );
        let counted = REASONS
            .iter()
            .zip(before.iter().zip(after))
            .map(|(reason, (before, after))| format!("{reason} {}", after - before));
        println!("      streams that the server ended: {}", counted.collect::<Vec<_>>().join(", "));
    }
    let log = fs::read_to_string(folder.path().join("fairlead.log")).unwrap();
    log.lines().filter(|line| line.contains("fewer TCP connections")).for_each(|line| println!("server: {line}"));
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("server: {memory}");
    for action in ["dropped", "truncated"] {
        let count = |kind: &str| {
            metric(admin, &format!("fairlead_rate_limited_responses_total{{kind=\"{kind}\",action=\"{action}\"}}"))
        };
        println!("over the rate, {action}: {} answers, {} NXDOMAIN", count("answer"), count("nxdomain"));
    }
    for limit in ["tcp_first_message", "tcp_write_stall", "tcp_reply_buffer", "tcp_connections"] {
        println!("limit {limit}: {}", metric(admin, &format!("fairlead_limit_hits_total{{limit=\"{limit}\"}}")));
    }
}
