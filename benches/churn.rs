//! What status flips do to the answer path:
//! `cargo bench --bench churn -- [--seconds N] [--rounds N] [--flips N] [--pools N] [--cores N]`.
//!
//! 100,000 wide IPs over 1,000 virtual servers, each with an agent in this process; they report a thousand flips a second
//! over the mesh, a tenth of them down at any time; once with a thousand pools between them, once with a pool for each. The
//! node is pinned to core 0, or to as many as `--cores` says, the generator and the agents to core 1; it answers with one
//! worker. A witness asks for the name that shows a flip until an answer does, so that what is measured is a client's view:
//! the mesh, the publisher, the snapshot and the queue before the socket.
//!
//! Not to be run under real-time priority: the worker and the generator would keep their cores while publisher and agents
//! wait for them.
//!
//! Quiet and busy rounds alternate; printed are the medians of both and the median of each busy round to the quiet one before
//! it, in one line for each kind of pool. Many short rounds say more than a few long ones on a host with neighbours.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fairlead::wire::RecordType;
use support::agents::Agents;
use support::generator::{self, Queries};
use support::peers::Server;
use support::{cpu, data, table, yaml};

const WIDE_IPS: usize = 100_000;
const VIRTUAL_SERVERS: usize = 1000;
/// One for each, since an agent spaces its frames of changes 20 ms apart and a server flips once in a while; and one for
/// the spare, which stays up.
const AGENTS: usize = VIRTUAL_SERVERS + 1;
/// The number of the virtual server that never flips.
const SPARE: usize = VIRTUAL_SERVERS;
const MEMBERS: usize = 4;
const WINDOW: usize = 256;
/// A witness gives up on a flip that shows in no answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --benches`: starting servers is no smoke run.
        return;
    }
    let number = |option, default| argument(option).map_or(default, |value| value.parse().unwrap());
    let plan = Plan {
        rounds: number("--rounds", 5),
        duration: Duration::from_secs(number("--seconds", 3)),
        flips: number("--flips", 1000),
        cores: number("--cores", 1) as usize,
    };
    println!("{}; {} rounds of {} s each way", table::machine(), plan.rounds, plan.duration.as_secs());
    let only = argument("--pools").map(|pools| vec![pools.parse().unwrap()]);
    for pools in only.unwrap_or_else(|| vec![1000, WIDE_IPS]) {
        plan.run(pools);
    }
}

/// What follows an option on the command line.
fn argument(option: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != option).nth(1)
}

struct Plan {
    rounds: u64,
    duration: Duration,
    /// Flips per second.
    flips: u64,
    /// How many the node may use.
    cores: usize,
}

impl Plan {
    fn run(&self, pools: usize) {
        let folder = tempfile::tempdir().unwrap();
        cpu::pin(usize::from(cpu::cores() > 1));
        let mut agents = Agents::start(folder.path(), AGENTS, 1);
        cpu::pin_to(0..self.cores);
        let probe = generator::query(0, &format!("w0.{}", data::ZONE), RecordType::A);
        let configuration = |folder: &Path, address| configuration(folder, address, pools, &agents);
        let node = Server::fairlead(folder.path(), configuration, &probe);
        cpu::pin(usize::from(cpu::cores() > 1));
        let queries = Queries::many(2, data::numbered("w", WIDE_IPS));
        wait_until_known(node.address);
        let (mut quiet, mut busy) = (Figures::default(), Figures::default());
        let (mut waits, mut resident) = (Vec::new(), Vec::new());
        let mut flipper = Flipper { agents: &mut agents, next: 0 };
        for _ in 0..self.rounds {
            self.load(&mut quiet, &node, &queries);
            let stop = AtomicBool::new(false);
            let (flipped, flips) = sync_channel(0);
            std::thread::scope(|scope| {
                scope.spawn(|| flipper.run(self.flips, &flipped, &stop));
                let (address, stop) = (node.address, &stop);
                let witness = scope.spawn(move || witness(address, &flips, stop));
                self.load(&mut busy, &node, &queries);
                stop.store(true, Ordering::Relaxed);
                waits.extend(witness.join().unwrap());
            });
            resident.push(node.resident() as f64 / 1e6);
        }
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        println!(
            "{WIDE_IPS} wide IPs on {pools} pools, {} flips/s: seen in an answer after {:.1} ms (median), {:.1} ms (99 %), \
             {:.1} ms (last of {}); answers/s {:.0} quiet, {:.0} busy (x {:.3}), \
             node's µs per answer {:.2} quiet, {:.2} busy (x {:.3}), p99 {} and {} µs, lost {} and {}; resident {:.0} MB after the \
             first round, {:.0} MB after the last",
            self.flips,
            at(0.5),
            at(0.99),
            at(1.0),
            waits.len(),
            quiet.rate(),
            busy.rate(),
            median_ratio(&busy.rates, &quiet.rates),
            quiet.micros(),
            busy.micros(),
            median_ratio(&busy.micros, &quiet.micros),
            quiet.p99(),
            busy.p99(),
            quiet.lost,
            busy.lost,
            resident[0],
            resident[resident.len() - 1],
        );
    }

    /// Asks the node for a while, from a thread that stands behind the agents and the witness: what they wait for is the node.
    fn load(&self, figures: &mut Figures, node: &Server, queries: &Queries) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                cpu::give_way();
                figures.add(node, queries, self.duration);
            });
        });
    }
}

/// `w0` and so on over `pools` pools by turns, and `x0` and so on whose answer tells whether a virtual server is up.
fn configuration(folder: &Path, address: SocketAddr, pools: usize, agents: &Agents) -> String {
    let mut text = yaml::head(folder, address) + &yaml::zone(folder, &data::master_file(10));
    text.push_str("limits: { udp_workers: 1 }\n");
    text.push_str("datacenters: { datacenter-0: {}, datacenter-1: {}, datacenter-2: {}, datacenter-3: {} }\n");
    text.push_str(&agents.configuration(folder.parent().unwrap()));
    text.push_str("pools:\n");
    for pool in 0..pools {
        let members = (0..MEMBERS).map(|at| (agents.name((pool * 7 + at * 13) % VIRTUAL_SERVERS), 1));
        yaml::pool(&mut text, &format!("p{pool}"), "round-robin", members);
    }
    for number in 0..VIRTUAL_SERVERS {
        let members = [number, SPARE].map(|number| (agents.name(number), 1));
        yaml::pool(&mut text, &format!("x{number}"), "global-availability", members.into_iter());
    }
    text.push_str("wide_ips:\n");
    (0..WIDE_IPS).for_each(|at| yaml::wide_ip(&mut text, &format!("w{at}"), &format!("p{}", at % pools)));
    (0..VIRTUAL_SERVERS).for_each(|at| yaml::wide_ip(&mut text, &format!("x{at}"), &format!("x{at}")));
    text
}

/// Figures of several rounds.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    micros: Vec<f64>,
    p99: Vec<f64>,
    lost: u64,
}

impl Figures {
    fn add(&mut self, node: &Server, queries: &Queries, duration: Duration) {
        let before = node.times();
        let load = generator::run(node.address, queries, WINDOW, duration);
        let (user, system) = node.times().since(before).per(load.answers);
        self.rates.push(load.rate());
        self.micros.push(user + system);
        self.p99.push(load.percentile(0.99) as f64);
        self.lost += load.lost;
    }

    fn rate(&self) -> f64 {
        table::median(self.rates.clone())
    }

    fn micros(&self) -> f64 {
        table::median(self.micros.clone())
    }

    fn p99(&self) -> f64 {
        table::median(self.p99.clone())
    }
}

/// The median of a figure of each round to that of the round before it: what the host does to both cancels out.
fn median_ratio(of: &[f64], to: &[f64]) -> f64 {
    table::median(of.iter().zip(to).map(|(of, to)| of / to).collect())
}

/// A flip that was reported.
struct Flip {
    number: usize,
    is_up: bool,
    at: Instant,
}

/// How many virtual servers are down at any time.
const DOWN: usize = VIRTUAL_SERVERS / 10;

/// Takes virtual servers down that lie far apart, and brings each back when [`DOWN`] others have gone.
struct Flipper<'a> {
    agents: &'a mut Agents,
    next: usize,
}

impl Flipper<'_> {
    fn run(&mut self, per_second: u64, flipped: &SyncSender<Flip>, stop: &AtomicBool) {
        let (started, mut made) = (Instant::now(), 0_u32);
        let pause = Duration::from_secs(1) / u32::try_from(per_second).unwrap();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep((pause * made).saturating_sub(started.elapsed()));
            let is_up = !self.next.is_multiple_of(2);
            if is_up && self.next / 2 < DOWN {
                // It has not been down yet.
                self.next += 1;
                continue;
            }
            let number = (self.next / 2 + if is_up { 0 } else { DOWN }) * 617 % VIRTUAL_SERVERS;
            let flip = Flip { number, is_up, at: Instant::now() };
            self.agents.set(flip.number, flip.is_up);
            made += 1;
            self.next += 1;
            // A witness that is busy with another flip misses this one.
            let _ = flipped.try_send(flip);
        }
    }
}

/// Milliseconds from the report of each flip that was looked at to the first answer that shows it.
fn witness(node: SocketAddr, flips: &Receiver<Flip>, stop: &AtomicBool) -> Vec<f64> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(node).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut waits = Vec::new();
    let mut random = data::Random(0x9e37_79b9_7f4a_7c15);
    while !stop.load(Ordering::Relaxed) {
        let Ok(flip) = flips.recv_timeout(Duration::from_millis(100)) else { continue };
        while shown(&socket, flip.number) != flip.is_up {
            assert!(flip.at.elapsed() < PATIENCE, "a flip of v{} shows in no answer", flip.number);
        }
        waits.push(flip.at.elapsed().as_secs_f64() * 1e3);
        // The next one looked at shall be any, not the first after a snapshot, which waits longest for the next.
        std::thread::sleep(Duration::from_micros(random.below(8000) as u64));
    }
    waits
}

/// Asks for the name whose answer tells whether a virtual server is up.
fn shown(socket: &UdpSocket, number: usize) -> bool {
    let query = generator::query(7, &format!("x{number}.{}", data::ZONE), RecordType::A);
    socket.send(&query).unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).unwrap();
    // The address ends where the OPT record, 11 octets, begins.
    let address = std::net::Ipv4Addr::from_octets(answer[length - 15..length - 11].try_into().unwrap());
    address.to_string() == yaml::address(number)
}

/// Waits until the agents' first reports are in: all virtual servers are up then.
fn wait_until_known(node: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(node).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Unknown counts as usable, so the answers do not tell; sessions begin within seconds of the start.
    std::thread::sleep(Duration::from_secs(8));
    assert!((0..VIRTUAL_SERVERS).all(|number| shown(&socket, number)), "a virtual server is not up at the start");
}
