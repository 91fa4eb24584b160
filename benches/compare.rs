//! Fairlead beside NSD, Knot, gdnsd, PowerDNS and BIND:
//! `cargo bench --bench compare -- [--rounds N] [--seconds N] [--only NAME,NAME]`.
//!
//! Installs nothing: a peer that is absent is left out. All servers hold the same zone of 10,000 names and are pinned to
//! core 0, the generator to core 1. They are asked in turn, in several rounds, so that the noise of the machine falls on
//! all of them; the table holds medians, and the first row is the floor of a UDP socket.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use fairlead::wire::RecordType;
use support::peers::{FAIRLEAD, PEERS, Peer, Server};
use support::{cpu, data, echo::Echo, generator, table};

const NAMES: usize = 10_000;
const WINDOW: usize = 256;

fn main() {
    support::hickory::serve_if_asked();
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --benches`: starting servers is no smoke run, and the other bench covers the generator.
        return;
    }
    let number = |option| argument(option).map(|value| value.parse().unwrap());
    let rounds = number("--rounds").unwrap_or(5);
    let duration = Duration::from_secs(number("--seconds").unwrap_or(3));
    let only = argument("--only");
    let folder = tempfile::tempdir().unwrap();
    let zone = data::master_file(NAMES);
    let probe = generator::query(0, &format!("h0.{}", data::ZONE), RecordType::A);
    // What the monitors of steered names connect to; the kernel accepts for it.
    let members = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = members.local_addr().unwrap().port();
    cpu::pin(0);
    let echo = Echo::start();
    let wanted = |peer: &&Peer| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == peer.name));
    let peers = std::iter::once(&FAIRLEAD).chain(&PEERS).filter(wanted);
    let start = |peer| Server::start(peer, folder.path(), &zone, port, &probe);
    let servers: Vec<Server> = peers.filter_map(start).collect();
    cpu::pin(usize::from(cpu::cores() > 1));
    println!("\n{}; {rounds} rounds of {} s, medians\n", table::machine(), duration.as_secs());
    let bench = Bench { echo, rounds, duration };
    let mixed = generator::Queries::new(data::mixed(NAMES));
    println!("Static: {NAMES} names, mixed questions");
    bench.run(&servers.iter().map(|server| (server.name.to_owned(), server, &mixed)).collect::<Vec<_>>());
    println!("\nSteered: {} names on one pool of {} watched members", data::WIDE_IPS, data::MEMBERS);
    let steered = |prefix| generator::Queries::new(data::steered(prefix));
    let (weighted, methods) = (steered("weighted"), data::METHODS.map(|method| (method, steered(method))));
    let find = |name: &str| servers.iter().find(|server| server.name == name);
    let mut rows: Vec<_> =
        find("gdnsd").map(|gdnsd| ("gdnsd, weighted".to_owned(), gdnsd, &weighted)).into_iter().collect();
    for (method, queries) in &methods {
        rows.extend(find("Fairlead").map(|fairlead| (format!("Fairlead, {method}"), fairlead, queries)));
    }
    bench.run(&rows);
}

/// What all measurements share.
struct Bench {
    echo: Echo,
    rounds: u64,
    duration: Duration,
}

/// A row of a table: what it is called, who is asked, and what.
type Row<'a> = (String, &'a Server, &'a generator::Queries);

impl Bench {
    /// Asks every row in turn, several times, and prints the table.
    fn run(&self, rows: &[Row<'_>]) {
        let mut figures = table::Figures::default();
        let mut last = Vec::new();
        for _ in 0..self.rounds {
            if let Some((_, _, queries)) = rows.first() {
                let before = cpu::thread("echo");
                let load = generator::run(self.echo.address, queries, WINDOW, self.duration);
                figures.add("echo", cpu::thread("echo").since(before), &load);
            }
            last.clear();
            for (name, server, queries) in rows {
                let before = server.times();
                let load = generator::run(server.address, queries, WINDOW, self.duration);
                figures.add(name, server.times().since(before), &load);
                last.push((name, server, load));
            }
        }
        figures.print();
        println!("\nThe last round's answers, which should be alike:");
        for (name, server, load) in last {
            let per = |count: u64| count as f64 / load.answers.max(1) as f64;
            println!(
                "{name:<30} NOERROR {:.3}, NXDOMAIN {:.3}, other {:.3}; records {:.2}, octets {:.0}; lost {}, unexpected {}; \
                 resident {:.0} MB",
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
}

/// What follows an option on the command line.
fn argument(option: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != option).nth(1)
}
