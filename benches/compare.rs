//! Fairlead beside NSD, Knot, gdnsd, PowerDNS and BIND:
//! `cargo bench --bench compare -- [--rounds N] [--seconds N] [--only NAME,NAME]`.
//!
//! Installs nothing: a peer that is absent is left out. All servers hold the same zone of 10,000 names and are pinned to
//! core 0, the generator to core 1. They are asked in turn, in several rounds, so that the noise of the machine falls on
//! all of them; the table holds medians, and the first row is the floor of a UDP socket.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use fairlead::wire::RecordType;
use support::agents::Agents;
use support::peers::{PEERS, Peer, Server};
use support::{cpu, data, echo::Echo, generator, geo, table, yaml};

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
    let start = |peer| Server::start(peer, folder.path(), &zone, port, &probe);
    let mut servers: Vec<Server> = PEERS.iter().filter(wanted).filter_map(start).collect();
    cpu::pin(usize::from(cpu::cores() > 1));
    let agents = Agents::start(folder.path(), 1, data::MEMBERS);
    cpu::pin(0);
    let configuration = |folder: &Path, address| configuration(folder, address, &zone, port, &agents);
    servers.insert(0, Server::fairlead(folder.path(), configuration, &probe));
    cpu::pin(usize::from(cpu::cores() > 1));
    println!("\n{}; {rounds} rounds of {} s, medians\n", table::machine(), duration.as_secs());
    let bench = Bench { echo, rounds, duration };
    let mixed = generator::Queries::new(data::mixed(NAMES));
    println!("Static: {NAMES} names, mixed questions");
    bench.run(&servers.iter().map(|server| (server.name.to_owned(), server, &mixed)).collect::<Vec<_>>());
    println!("\nStatic, without aliases, whose targets gdnsd does not look up");
    let unaliased = generator::Queries::new(data::without_aliases(NAMES));
    let followers = servers.iter().filter(|server| ["Fairlead", "gdnsd"].contains(&server.name));
    bench.run(&followers.map(|server| (server.name.to_owned(), server, &unaliased)).collect::<Vec<_>>());
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
    drop(servers);
    println!("\nTopology: a million prefixes in two databases, {} records", geo::FULL.records);
    cpu::pin(0);
    let located =
        Server::fairlead(folder.path(), |folder, address| with_topology(folder, address, &zone, port), &probe);
    cpu::pin(usize::from(cpu::cores() > 1));
    let plain = || data::steered("round-robin");
    let topology = || data::steered("topology");
    let queries = [
        ("round-robin", generator::Queries::new(plain())),
        ("topology", generator::Queries::new(topology())),
        ("round-robin, many sources", generator::Queries::new(plain()).with_many_sources()),
        ("topology, many sources", generator::Queries::new(topology()).with_many_sources()),
        ("round-robin, client subnets", generator::Queries::with_subnets(plain())),
        ("topology, client subnets", generator::Queries::with_subnets(topology())),
    ];
    bench.run(&queries.iter().map(|(name, queries)| ((*name).to_owned(), &located, queries)).collect::<Vec<_>>());
}

/// Four members behind a TCP monitor in one pool per method, and [`data::WIDE_IPS`] wide IPs on each pool. Connections
/// are counted by an agent, so those of least-connections are its.
fn configuration(folder: &Path, address: SocketAddr, zone: &str, port: u16, agents: &Agents) -> String {
    let mut text = yaml::head(folder, address) + &yaml::zone(folder, zone);
    text.push_str("datacenters: { datacenter-0: {}, datacenter-1: {}, datacenter-2: {}, datacenter-3: {} }\n");
    text.push_str("monitors:\n  port: { type: tcp, interval: 5s, timeout: 2s }\n");
    text.push_str(&agents.configuration(folder.parent().unwrap()));
    hosts(&mut text, port);
    text.push_str("pools:\n");
    for method in data::METHODS {
        let name = |at| if method == "least-connections" { agents.name(at) } else { format!("host{at}/v") };
        yaml::pool(&mut text, method, method, (0..data::MEMBERS).map(|at| (name(at), at + 1)));
    }
    text.push_str("wide_ips:\n");
    for method in data::METHODS {
        (0..data::WIDE_IPS).for_each(|at| yaml::wide_ip(&mut text, &format!("{method}{at}"), method));
    }
    text
}

/// Four members behind a TCP monitor, each in another datacenter, in a pool by turns and one by topology.
fn with_topology(folder: &Path, address: SocketAddr, zone: &str, port: u16) -> String {
    let mut draw = geo::Draw(1);
    let [city, asn] = geo::databases(geo::FULL, &mut draw);
    let rules = geo::configuration(&geo::rules(geo::FULL, &mut draw));
    let (city_path, asn_path) = (folder.join("city.mmdb"), folder.join("asn.mmdb"));
    std::fs::write(&city_path, city).unwrap();
    std::fs::write(&asn_path, asn).unwrap();
    let mut text = yaml::head(folder, address) + &yaml::zone(folder, zone);
    text.push_str(&format!("geoip: {{ city: {}, asn: {} }}\n{rules}", city_path.display(), asn_path.display()));
    text.push_str("datacenters:\n");
    (0..geo::DATACENTERS).for_each(|at| text.push_str(&format!("  datacenter-{at}: {{}}\n")));
    text.push_str("monitors:\n  port: { type: tcp, interval: 5s, timeout: 2s }\nservers:\n");
    hosts(&mut text, port);
    text.push_str("pools:\n");
    let methods = ["round-robin", "topology"];
    for method in methods {
        yaml::pool(&mut text, method, method, (0..data::MEMBERS).map(|at| (format!("host{at}/v"), 1)));
    }
    // The records name these; nothing uses them.
    (0..geo::POOLS).for_each(|at| {
        yaml::pool(&mut text, &format!("pool-{at}"), "round-robin", std::iter::once(("host0/v".to_owned(), 1)));
    });
    text.push_str("wide_ips:\n");
    for method in methods {
        (0..data::WIDE_IPS).for_each(|at| yaml::wide_ip(&mut text, &format!("{method}{at}"), method));
    }
    text
}

/// The hosts that are watched from here, one per member.
fn hosts(text: &mut String, port: u16) {
    for at in 0..data::MEMBERS {
        text.push_str(&format!(
            "  host{at}:\n    datacenter: datacenter-{at}\n    monitors: [port]\n    virtual_servers: {{ v: {{ address: 127.0.0.{}, \
             port: {port} }} }}\n",
            at + 1
        ));
    }
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
