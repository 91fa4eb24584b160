//! Fairlead beside NSD, Knot, gdnsd, PowerDNS and BIND:
//! `cargo bench --bench compare -- [--rounds N] [--seconds N] [--only NAME,NAME]`.
//!
//! Installs nothing: a peer that is absent is left out. All servers hold the same zone of 10,000 names and are pinned to
//! core 0, the generator to core 1. They are asked in turn, in several rounds, so that the noise of the machine falls on
//! all of them; the table holds medians, and the first row is the floor of a UDP socket.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::time::Duration;

use fairlead::wire::RecordType;
use support::peers::{FAIRLEAD, PEERS, Peer, Server};
use support::{cpu, data, echo::Echo, generator, table};

const NAMES: usize = 10_000;
const WINDOW: usize = 256;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        // A smoke run would take half a minute of starting servers; the other bench covers the generator.
        return;
    }
    let number = |option| argument(option).map(|value| value.parse().unwrap());
    let rounds = number("--rounds").unwrap_or(5);
    let duration = Duration::from_secs(number("--seconds").unwrap_or(3));
    let only = argument("--only");
    let folder = tempfile::tempdir().unwrap();
    let zone = data::master_file(NAMES);
    let queries = generator::Queries::new(data::mixed(NAMES));
    let probe = generator::query(0, &format!("h0.{}", data::ZONE), RecordType::A);
    cpu::pin(0);
    let echo = Echo::start();
    let wanted = |peer: &&Peer| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == peer.name));
    let peers = std::iter::once(&FAIRLEAD).chain(&PEERS).filter(wanted);
    let servers: Vec<Server> = peers.filter_map(|peer| Server::start(peer, folder.path(), &zone, &probe)).collect();
    cpu::pin(usize::from(cpu::cores() > 1));
    let mut figures = table::Figures::default();
    let mut last = Vec::new();
    for _ in 0..rounds {
        let before = cpu::thread("echo");
        let load = generator::run(echo.address, &queries, WINDOW, duration);
        figures.add("echo", cpu::thread("echo").since(before), &load);
        last.clear();
        for server in &servers {
            let before = server.times();
            let load = generator::run(server.address, &queries, WINDOW, duration);
            figures.add(server.name, server.times().since(before), &load);
            last.push((server, load));
        }
    }
    println!("\n{}; {rounds} rounds of {} s; {NAMES} names, mixed queries", table::machine(), duration.as_secs());
    figures.print();
    println!("\nThe last round's answers, which should be alike:");
    for (server, load) in last {
        let per = |count: u64| count as f64 / load.answers.max(1) as f64;
        println!(
            "{:<10} NOERROR {:.3}, NXDOMAIN {:.3}, other {:.3}; records {:.2}, octets {:.0}; lost {}, unexpected {}; resident {:.0} MB",
            server.name,
            per(load.rcodes[0]),
            per(load.rcodes[3]),
            per(load.answers - load.rcodes[0] - load.rcodes[3]),
            per(load.records),
            per(load.octets),
            load.lost,
            load.unexpected,
            server.resident() as f64 / 1e6,
        );
    }
}

/// What follows an option on the command line.
fn argument(option: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != option).nth(1)
}
