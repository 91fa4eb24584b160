//! What watching costs a node: `cargo bench --bench control_plane -- [--seconds N] [--rounds N]`.
//!
//! A node with 10,000 virtual servers that a TCP monitor watches every 10 s and 1,000 of which agents report every 5 s,
//! beside a node with the same objects and nobody who watches them. The watched one is measured idle, with the agents
//! alone, and while it answers; the nodes are pinned to core 0, generator, agents and watched servers to core 1. One
//! line of figures for each question.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use fairlead::wire::RecordType;
use support::agents::Agents;
use support::generator::{self, Queries};
use support::peers::Server;
use support::{cpu, data, table, yaml};

const WATCHED: usize = 10_000;
const REPORTED: usize = 1000;
const AGENTS: usize = 10;
const MEMBERS: usize = 4;
const WINDOW: usize = 256;

/// What is watched on a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Nothing,
    Agents,
    Everything,
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --benches`: starting servers is no smoke run.
        return;
    }
    let number = |option, default| argument(option).map_or(default, |value| value.parse().unwrap());
    let (rounds, duration) = (number("--rounds", 5), Duration::from_secs(number("--seconds", 3)));
    println!("{}; {rounds} rounds of {} s", table::machine(), duration.as_secs());
    let folder = tempfile::tempdir().unwrap();
    cpu::pin(usize::from(cpu::cores() > 1));
    let agents = Agents::start(folder.path(), AGENTS, REPORTED / AGENTS);
    let port = accept_all();
    let start = |watch, name: &str| {
        cpu::pin(0);
        let probe = generator::query(0, &format!("w0.{}", data::ZONE), RecordType::A);
        let folder = folder.path().join(name);
        let node =
            Server::fairlead(&folder, |folder, address| configuration(folder, address, watch, port, &agents), &probe);
        cpu::pin(usize::from(cpu::cores() > 1));
        node
    };
    let queries = Queries::new(data::numbered("w", WATCHED));
    let answering = |node: &Server| {
        let mut figures = Figures::default();
        (0..rounds).for_each(|_| figures.add(node, &queries, duration));
        figures
    };
    // Half of the quiet rounds before, half after: a machine that slows down meanwhile shows.
    let quiet = start(Watch::Nothing, "quiet");
    let mut alone = answering(&quiet);
    println!("the same objects, unwatched: {:.0} MB resident", resident(&quiet));
    drop(quiet);
    let reported = start(Watch::Agents, "reported");
    settle();
    println!("{REPORTED} virtual servers reported every 5 s: {:.2} % of a core", idle(&reported));
    drop(reported);
    let watched = start(Watch::Everything, "watched");
    settle();
    println!(
        "{WATCHED} more probed every 10 s: {:.1} % of a core, {:.0} MB resident",
        idle(&watched),
        resident(&watched)
    );
    let busy = answering(&watched);
    println!("after {} answers: {:.0} MB resident", busy.answers, resident(&watched));
    drop(watched);
    let quiet = start(Watch::Nothing, "quiet-again");
    alone.append(answering(&quiet));
    println!(
        "answers/s {:.0} unwatched, {:.0} watched (x {:.3})",
        alone.rate(),
        busy.rate(),
        busy.rate() / alone.rate()
    );
    for (name, figures) in [("unwatched", &alone), ("watched", &busy)] {
        println!(
            "{name}: answered within {:.0} µs (median), {:.0} µs (99 %), {:.0} µs (99.9 %); lost {}",
            figures.latency(0),
            figures.latency(1),
            figures.latency(2),
            figures.lost
        );
    }
}

/// What follows an option on the command line.
fn argument(option: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != option).nth(1)
}

/// Lets the sessions and the first round of probes pass.
fn settle() {
    std::thread::sleep(Duration::from_secs(12));
}

/// Percent of a core that a node takes while nobody asks.
fn idle(node: &Server) -> f64 {
    let measured = Duration::from_secs(20);
    let before = node.times();
    std::thread::sleep(measured);
    let used = node.times().since(before);
    (used.user + used.system).as_secs_f64() / measured.as_secs_f64() * 100.0
}

fn resident(node: &Server) -> f64 {
    node.resident() as f64 / 1e6
}

/// Takes connections on every address of loopback, in a thread of its own, and closes them when the other side does.
fn accept_all() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// Every wide IP has a pool of four of the watched virtual servers; one in ten has members that agents report.
fn configuration(folder: &Path, address: SocketAddr, watch: Watch, port: u16, agents: &Agents) -> String {
    let mut text = yaml::head(folder, address) + &yaml::zone(folder, &data::master_file(10));
    text.push_str("datacenters: { datacenter-0: {}, datacenter-1: {}, datacenter-2: {}, datacenter-3: {} }\n");
    text.push_str("monitors:\n  port: { type: tcp, interval: 10s, timeout: 5s }\n");
    let mesh = agents.configuration(folder.parent().unwrap().parent().unwrap());
    let kept = |line: &&str| watch != Watch::Nothing || !(line.contains("agent:") || line.starts_with("mesh:"));
    mesh.lines().filter(kept).for_each(|line| writeln!(text, "{line}").unwrap());
    text.push_str("  hosts:\n    datacenter: datacenter-0\n");
    if watch == Watch::Everything {
        text.push_str("    monitors: [port]\n");
    }
    text.push_str("    virtual_servers:\n");
    for number in 0..WATCHED {
        let [high, low] = [number >> 8, number & 0xff];
        writeln!(text, "      h{number}: {{ address: 127.1.{high}.{low}, port: {port} }}").unwrap();
    }
    text.push_str("pools:\n");
    for pool in 0..WATCHED {
        let member = |at: usize| match (pool * 7 + at * 13) % WATCHED {
            number if pool % 10 == 0 => agents.name(number % REPORTED),
            number => format!("hosts/h{number}"),
        };
        yaml::pool(&mut text, &format!("p{pool}"), "round-robin", (0..MEMBERS).map(|at| (member(at), 1)));
    }
    text.push_str("wide_ips:\n");
    (0..WATCHED).for_each(|at| yaml::wide_ip(&mut text, &format!("w{at}"), &format!("p{at}")));
    text
}

/// Figures of several rounds.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    /// The median, the 99th and the 99.9th percentile of each round, in microseconds.
    latencies: [Vec<f64>; 3],
    answers: u64,
    lost: u64,
}

impl Figures {
    fn add(&mut self, node: &Server, queries: &Queries, duration: Duration) {
        let load = generator::run(node.address, queries, WINDOW, duration);
        self.rates.push(load.rate());
        for (share, of) in [0.5, 0.99, 0.999].into_iter().zip(&mut self.latencies) {
            of.push(load.percentile(share) as f64);
        }
        self.answers += load.answers;
        self.lost += load.lost;
    }

    fn append(&mut self, other: Self) {
        self.rates.extend(other.rates);
        for (own, others) in self.latencies.iter_mut().zip(other.latencies) {
            own.extend(others);
        }
        self.lost += other.lost;
    }

    fn rate(&self) -> f64 {
        table::median(self.rates.clone())
    }

    fn latency(&self, which: usize) -> f64 {
        table::median(self.latencies[which].clone())
    }
}
