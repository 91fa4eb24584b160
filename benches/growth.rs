//! How the cost of an answer grows with what a server holds, beside NSD and gdnsd:
//! `cargo bench --bench growth -- [--rounds N] [--milliseconds N]`.
//!
//! Three curves of processor time per answer, user and system: names in a zone, wide IPs with a pool each, members per
//! pool. All servers of one size run at once, pinned to core 0, and are asked in turn by the generator on core 1. Draws
//! the picture `benches/growth.svg`. Some three minutes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fairlead::wire::RecordType;
use support::curves::{Curve, Picture};
use support::generator::Queries;
use support::peers::{self, PEERS, Server};
use support::{cpu, data, generator, table, yaml};

const WINDOW: usize = 256;
/// Virtual servers that pools draw their members from.
const VIRTUAL_SERVERS: usize = 1000;
/// Members of a pool where their number is not what grows.
const MEMBERS: usize = 4;
/// Wide IPs where their number is not what grows.
const WIDE_IPS: usize = 1000;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --benches`: starting servers is no smoke run.
        return;
    }
    let number = |option| argument(option).map(|value| value.parse().unwrap());
    let bench = Bench {
        rounds: number("--rounds").unwrap_or(5),
        duration: Duration::from_millis(number("--milliseconds").unwrap_or(1000)),
    };
    println!("{}; {} rounds of {:?}, medians of user and system µs\n", table::machine(), bench.rounds, bench.duration);
    let names = |size: usize| bench.measure(with_names(size), &Queries::many((size / 65_536).max(1), questions(size)));
    let wide_ips = |size: usize| {
        let queries = Queries::many((size / 65_536).max(1), data::numbered("w", size));
        bench.measure(with_wide_ips(size, MEMBERS, "round-robin"), &queries)
    };
    let members =
        |size| bench.measure(with_wide_ips(WIDE_IPS, size, "ratio"), &Queries::new(data::numbered("w", WIDE_IPS)));
    let curves = [
        curve("names in a zone", &[1_000, 10_000, 100_000, 1_000_000], names),
        curve("wide IPs, 4 members each", &[10, 100, 1_000, 10_000, 100_000], wide_ips),
        curve("members of each of 1,000 pools, by ratio", &[2, 10, 30, 60, 100], members),
    ];
    let caption = format!("Processor time per answer, user and system, µs. {}", table::machine());
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/growth.svg"), Picture(&caption, &curves).to_string())
        .unwrap();
}

/// Answers that all exist, so that a larger zone is the same work.
fn questions(names: usize) -> impl Iterator<Item = (String, RecordType)> {
    let mut random = data::Random(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        let at = random.below(names / 10) * 10 + random.below(6);
        (format!("h{at}.{}", data::ZONE), RecordType::A)
    })
}

/// What follows an option on the command line.
fn argument(option: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != option).nth(1)
}

struct Bench {
    rounds: u64,
    duration: Duration,
}

impl Bench {
    /// Microseconds per answer of each server, by name.
    fn measure(&self, servers: Vec<Server>, queries: &Queries) -> Vec<(&'static str, f64)> {
        cpu::pin(usize::from(cpu::cores() > 1));
        let mut all: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
        for _ in 0..self.rounds {
            for (server, figures) in servers.iter().zip(&mut all) {
                let before = server.times();
                let load = generator::run(server.address, queries, WINDOW, self.duration);
                assert_eq!(load.rcodes[0], load.answers, "{} answers with other codes than NOERROR", server.name);
                let (user, system) = server.times().since(before).per(load.answers);
                figures.push(user + system);
            }
        }
        cpu::pin(0);
        servers.iter().zip(all).map(|(server, figures)| (server.name, table::median(figures))).collect()
    }
}

/// Measures every size and prints a line for each.
fn curve(what: &'static str, sizes: &[usize], measure: impl Fn(usize) -> Vec<(&'static str, f64)>) -> Curve {
    let mut curve = Curve { what, points: Vec::new() };
    for &size in sizes {
        let figures = measure(size);
        let shown: Vec<String> = figures.iter().map(|(server, micros)| format!("{server} {micros:.2}")).collect();
        println!("{what}, {size:>9}: {}", shown.join(", "));
        curve.points.push((size, figures));
    }
    for (server, ratio) in curve.growth() {
        println!("{what}: {server} from first to last × {ratio:.2}");
    }
    curve
}

/// Fairlead, NSD and gdnsd with a zone of so many names.
fn with_names(size: usize) -> Vec<Server> {
    cpu::pin(0);
    let folder = tempfile::tempdir().unwrap();
    let zone = data::master_file(size);
    let probe = generator::query(0, &format!("h0.{}", data::ZONE), RecordType::A);
    let configuration = |folder: &Path, address| yaml::head(folder, address) + &yaml::zone(folder, &zone);
    let mut servers = vec![Server::fairlead(folder.path(), configuration, &probe)];
    let wanted = PEERS.iter().filter(|peer| ["gdnsd", "NSD"].contains(&peer.name));
    servers.extend(wanted.filter_map(|peer| Server::start(peer, folder.path(), &zone, 9, &probe)));
    servers
}

/// Fairlead and gdnsd with so many wide IPs, or weighted resources, each with as many members of its own choice.
fn with_wide_ips(count: usize, members: usize, method: &str) -> Vec<Server> {
    cpu::pin(0);
    let folder = tempfile::tempdir().unwrap();
    let zone = data::master_file(1000);
    let probe = generator::query(0, &format!("w0.{}", data::ZONE), RecordType::A);
    let member = |pool: usize, member: usize| (pool * 7 + member * 13) % VIRTUAL_SERVERS;
    let configuration = |folder: &Path, address| {
        let mut text = yaml::head(folder, address) + &yaml::zone(folder, &zone);
        text.push_str("datacenters: { here: {} }\nservers:\n  hosts:\n    datacenter: here\n    virtual_servers:\n");
        for number in 0..VIRTUAL_SERVERS {
            writeln!(text, "      v{number}: {{ address: {}, port: 80 }}", yaml::address(number)).unwrap();
        }
        text.push_str("pools:\n");
        for pool in 0..count {
            let members = (0..members).map(|at| (format!("hosts/v{}", member(pool, at)), at + 1));
            yaml::pool(&mut text, &format!("p{pool}"), method, members);
        }
        text.push_str("wide_ips:\n");
        (0..count).for_each(|at| yaml::wide_ip(&mut text, &format!("w{at}"), &format!("p{at}")));
        text
    };
    let mut servers = vec![Server::fairlead(folder.path(), configuration, &probe)];
    let gdnsd = PEERS.iter().find(|peer| peer.name == "gdnsd" && Path::new(peer.program).exists());
    // Its weighted plugin takes 64 addresses at most.
    if let Some(gdnsd) = gdnsd.filter(|_| members <= 64) {
        let (folder, address) = (folder.path().join("gdnsd"), peers::free_address());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("bench.zone"), &zone).unwrap();
        let arguments =
            gdnsd_arguments(&folder, address, count, |pool| (0..members).map(move |at| (member(pool, at), at + 1)));
        servers.push(Server::launch("gdnsd", Path::new(gdnsd.program), &arguments, &folder, address, &probe));
    }
    servers
}

fn gdnsd_arguments<M: Iterator<Item = (usize, usize)>>(
    folder: &Path,
    address: SocketAddr,
    count: usize,
    members: impl Fn(usize) -> M,
) -> Vec<String> {
    let (mut resources, mut names) = (String::new(), String::new());
    for pool in 0..count {
        let listed: Vec<String> = members(pool)
            .map(|(number, weight)| format!("v{number} => [ {}, {weight} ]", yaml::address(number)))
            .collect();
        writeln!(resources, " r{pool} => {{ service_types => up, {} }}", listed.join(", ")).unwrap();
        writeln!(names, "w{pool} 30 DYNA weighted!r{pool}").unwrap();
    }
    let service = "{ plugin => tcp_connect, port => 9 }";
    peers::gdnsd_with(folder, address, service, &resources, &names)
}
