//! Topology at size: a million prefixes in two databases, a hundred thousand records. Prints one line per figure.
//!
//! `cargo bench --bench topology` measures; run by anything else it uses a small world and only shows that it works.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and one that cannot go on fails")]

#[path = "../tests/support/mmdb.rs"]
mod mmdb;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use fairlead::topology::{AnswerClass, Candidate, Condition, Match, Prefix, Record, Region, Rules, Topology};

/// How much of everything there is.
#[derive(Clone, Copy)]
struct Size {
    ipv4: u32,
    ipv6: u32,
    records: u32,
    probes: u32,
}

const FULL: Size = Size { ipv4: 800_000, ipv6: 200_000, records: 100_000, probes: 4_000_000 };
const SMALL: Size = Size { ipv4: 800, ipv6: 200, records: 500, probes: 1_000 };

const COUNTRIES: u32 = 250;
const CITIES_PER_COUNTRY: u32 = 40;
const SYSTEMS: u32 = 60_000;
const DATACENTERS: u32 = 20;

/// SplitMix64: the same world in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    /// An IPv4 address that could be a client's, or an IPv6 address where registries have given out space.
    fn ipv4(&mut self) -> IpAddr {
        Ipv4Addr::from(0x0100_0000 + self.below(0xdf00_0000)).into()
    }

    fn ipv6(&mut self) -> IpAddr {
        let registry = [0x2001_0400_u32, 0x2400_0000, 0x2600_0000, 0x2800_0000, 0x2a00_0000]
            [usize::try_from(self.below(5)).unwrap()];
        let top = registry | self.below(0x0040_0000);
        Ipv6Addr::from(u128::from(top) << 96 | u128::from(self.next() >> 32) << 64 | u128::from(self.next())).into()
    }
}

fn country(number: u32) -> [u8; 2] {
    [b'A' + u8::try_from(number / 26).unwrap(), b'A' + u8::try_from(number % 26).unwrap()]
}

fn databases(size: Size, draw: &mut Draw) -> [Vec<u8>; 2] {
    let continents = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
    let ipv4 = (0..size.ipv4).map(|_| (true, 15..25));
    let ipv6 = (0..size.ipv6).map(|_| (false, 29..49));
    let mut prefixes: Vec<Prefix> = ipv4
        .chain(ipv6)
        .map(|(is_ipv4, lengths)| {
            let address = if is_ipv4 { draw.ipv4() } else { draw.ipv6() };
            Prefix::around(
                address,
                lengths.start + u8::try_from(draw.below((lengths.end - lengths.start).into())).unwrap(),
            )
        })
        .collect();
    prefixes.sort_by_key(|prefix| prefix.length + if prefix.address.is_ipv4() { 96 } else { 0 });
    let (mut city, mut asn) = (mmdb::Writer::new("Bench-City"), mmdb::Writer::new("Bench-ASN"));
    for prefix in prefixes {
        let (place, town) = (draw.below(COUNTRIES), draw.below(CITIES_PER_COUNTRY));
        let code = String::from_utf8(country(place).to_vec()).unwrap();
        let continent = continents[usize::try_from(place % 7).unwrap()];
        let value = mmdb::city(continent, &code, (&format!("{}", town / 4), "State"), &format!("City {town}"));
        city.insert(prefix.address, prefix.length, &value);
        asn.insert(prefix.address, prefix.length, &mmdb::asn(draw.below(SYSTEMS), "Somebody"));
    }
    [city.finish(), asn.finish()]
}

fn is(is: Match) -> Condition {
    Condition { negated: false, is }
}

/// A fifth of the records by country, city and region, a fifth by autonomous system, the rest by prefix.
fn rules(size: Size, draw: &mut Draw) -> Rules {
    let regions = (0..20).map(|n| Region {
        name: format!("region-{n}").into(),
        conditions: (0..12).map(|m| is(Match::Country(country((n * 12 + m) % COUNTRIES)))).collect(),
    });
    let records = (0..size.records).map(|n| {
        let home = country(draw.below(COUNTRIES));
        let client = match n % 10 {
            0 => Match::Country(home),
            1 if n % 100 == 1 => Match::Region(format!("region-{}", draw.below(20)).into()),
            1 => Match::City { country: home, city: format!("City {}", draw.below(CITIES_PER_COUNTRY)).into() },
            2 | 3 => Match::Asn(draw.below(SYSTEMS)),
            9 => Match::Subnet(Prefix::around(draw.ipv6(), 32 + u8::try_from(draw.below(25)).unwrap())),
            _ => Match::Subnet(Prefix::around(draw.ipv4(), 16 + u8::try_from(draw.below(9)).unwrap())),
        };
        let answer = match draw.below(4) {
            0 => Match::Pool(format!("pool-{}", draw.below(50)).into()),
            _ => Match::Datacenter(format!("datacenter-{}", draw.below(DATACENTERS)).into()),
        };
        Record { client: is(client), answer: is(answer), score: draw.below(100) }
    });
    Rules { records: records.collect(), regions: regions.collect(), longest_match: false }
}

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

fn look_up(topology: &Topology, size: Size, draw: &mut Draw) {
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
            measure(&format!("locate, {family}, {spread}"), size.probes, |n| {
                topology.locate(clients[n & mask]).class.0
            });
            measure(&format!("locate and score 2 of 8 answers, {family}, {spread}"), size.probes, |n| {
                let class = topology.locate(clients[n & mask]).class;
                topology.score(class, &answers[n & 7]).max(topology.score(class, &answers[(n + 3) & 7]))
            });
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench owns a clock")]
fn main() {
    let size = if std::env::args().any(|argument| argument == "--bench") { FULL } else { SMALL };
    let mut draw = Draw(1);
    let [city, asn] = databases(size, &mut draw);
    let rules = rules(size, &mut draw);
    println!("databases: city {} KiB, asn {} KiB", city.len() >> 10, asn.len() >> 10);
    let (before, start) = (resident_kib(), Instant::now());
    let topology = Topology::compile(&rules, Some(&city), Some(&asn)).unwrap();
    println!("compile: {:.2} s, {} classes", start.elapsed().as_secs_f64(), topology.class_count());
    let grown = resident_kib().saturating_sub(before);
    println!("memory: {} KiB of look-up structures, process grown by {grown} KiB", topology.memory() >> 10);
    look_up(&topology, size, &mut draw);
}
