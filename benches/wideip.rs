//! Wide IPs at size: what finding, deciding and publishing cost as names, members and methods grow. One line each.
//!
//! `cargo bench --bench wideip` measures; run by anything else it uses small worlds and only shows that it works.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and one that cannot go on fails")]

#[path = "support/steering.rs"]
mod steering;

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fairlead::status::{Availability, Changed, Moment, Table};
use fairlead::topology::{Condition, Match, Prefix, Record, Rules, Topology};
use fairlead::wideip::{Client, Memory, PoolMethod, Tables};
use fairlead::wire::{Name, NameKey, RecordType};

const SEED: u64 = 7;

/// One line of the result.
struct Case {
    wide_ips: usize,
    members: usize,
    method: PoolMethod,
}

const fn case(wide_ips: usize, members: usize, method: PoolMethod) -> Case {
    Case { wide_ips, members, method }
}

const FULL: &[Case] = &[
    case(10, 4, PoolMethod::RoundRobin),
    case(1_000, 4, PoolMethod::RoundRobin),
    case(100_000, 4, PoolMethod::RoundRobin),
    case(100_000, 4, PoolMethod::Ratio),
    case(1_000, 4, PoolMethod::Ratio),
    case(1_000, 100, PoolMethod::Ratio),
    case(1_000, 4, PoolMethod::GlobalAvailability),
    case(1_000, 4, PoolMethod::StaticPersistence),
    case(1_000, 100, PoolMethod::StaticPersistence),
    case(1_000, 4, PoolMethod::LeastConnections),
    case(1_000, 4, PoolMethod::Topology),
    case(1_000, 100, PoolMethod::Topology),
];
const SMALL: &[Case] = &[case(10, 4, PoolMethod::Ratio), case(20, 10, PoolMethod::Topology)];

/// Processor time of this thread: other work on the machine does not count.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn main() {
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let (cases, rounds, publishes) = if is_full { (FULL, 2_000_000, 200) } else { (SMALL, 100, 3) };
    for case in cases {
        let start = processor_time();
        let mut world = World::new(case);
        let build = processor_time() - start;
        let decide = world.decide(case, rounds);
        let publish = world.publish(publishes);
        println!(
            "{:>7} wide IPs x {:>3} members, {:<20} build {:>6.1} ms, find and decide {decide:>6.0} ns, publish 5 flips {publish:>7.0} us",
            case.wide_ips,
            case.members,
            case.method.to_string(),
            build.as_secs_f64() * 1e3,
        );
    }
}

/// Wide IPs with a pool each, over at most a thousand servers with one virtual server each.
struct World {
    table: Table,
    tables: Tables,
    servers: u32,
    clock: u64,
}

impl World {
    fn new(case: &Case) -> Self {
        let servers = u32::try_from(case.wide_ips.clamp(case.members, 1000)).unwrap();
        let model = steering::model(case.wide_ips, case.members, case.method, servers);
        let (table, tables) = steering::tables(model, topology(), SEED);
        Self { table, tables, servers, clock: 1 }
    }

    /// Nanoseconds for reading a name, finding its wide IP, deciding, and looking at the RDATA.
    fn decide(&self, case: &Case, rounds: u32) -> f64 {
        let wire = |at: usize| format!("w{at}.example.com.").parse::<Name>().unwrap().as_wire().to_vec();
        let names: Vec<Vec<u8>> = (0..case.wide_ips).map(wire).collect();
        let client = |n: u32| Client { source: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n * 0x3f31)), subnet: None };
        let clients: Vec<Client> = (0..256).map(client).collect();
        let mut key = NameKey::new(&Name::root(), SEED);
        let mut memory = Memory::new(1);
        let mut draw = 1_u32;
        let start = processor_time();
        for client in clients.iter().cycle().take(usize::try_from(rounds).unwrap()) {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            key.fill(&names[usize::try_from(draw >> 8).unwrap() % names.len()], SEED);
            let id = self.tables.find(&key).unwrap().answering(RecordType::A).unwrap();
            let decision = self.tables.decide(id, client, &mut memory, None);
            black_box(self.tables.rdata(decision.pool.unwrap(), memory.picked()[0]));
        }
        (processor_time() - start).as_secs_f64() * 1e9 / f64::from(rounds)
    }

    /// Microseconds for taking five flips and refreshing the tables. Of ten flips five take servers down that lie far
    /// apart, and five bring back those that went down before, so that a tenth is down at any time.
    fn publish(&mut self, publishes: u32) -> f64 {
        let start = processor_time();
        let down_at_once = (self.servers / 10).max(1);
        for publish in 0..publishes {
            self.clock += 1;
            let mut changed = Changed::default();
            for flip in publish * 5..publish * 5 + 5 {
                let (number, state) = match flip % 2 {
                    0 => (flip / 2 + down_at_once, Availability::Offline),
                    _ => (flip / 2, Availability::Available),
                };
                let fact = steering::report(number * 617 % self.servers, state, self.clock);
                changed.merge(self.table.apply(&fact, Moment::from_millis(self.clock)));
            }
            self.tables = self.tables.refresh(&self.table, &changed);
        }
        (processor_time() - start).as_secs_f64() * 1e6 / f64::from(publishes)
    }
}

/// A thousand prefixes that prefer one of two datacenters.
fn topology() -> Topology {
    let record = |n: u32| {
        let prefix = Prefix { address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (n << 12))), length: 20 };
        let datacenter = if n.is_multiple_of(2) { "ny" } else { "london" };
        Record {
            client: Condition { negated: false, is: Match::Subnet(prefix) },
            answer: Condition { negated: false, is: Match::Datacenter(datacenter.into()) },
            score: 10,
        }
    };
    let rules = Rules { records: (0..1000).map(record).collect(), ..Rules::default() };
    Topology::compile(&rules, None, None).unwrap()
}
