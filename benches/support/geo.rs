//! A world for topology: location databases of random prefixes, and records about them.

#![allow(dead_code, unreachable_pub, reason = "each bench uses the helpers it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]

#[path = "../../tests/support/mmdb.rs"]
mod mmdb;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fairlead::topology::{Condition, Match, Prefix, Record, Region, Rules};

/// How much of everything there is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Prefixes of each family.
    pub ipv4: u32,
    pub ipv6: u32,
    pub records: u32,
}

/// A million prefixes, a hundred thousand records.
pub const FULL: Size = Size { ipv4: 800_000, ipv6: 200_000, records: 100_000 };
/// Enough to show that a program works.
pub const SMALL: Size = Size { ipv4: 800, ipv6: 200, records: 500 };

const COUNTRIES: u32 = 250;
const CITIES_PER_COUNTRY: u32 = 40;
const SYSTEMS: u32 = 60_000;
/// How many datacenters, `datacenter-0` and so on, the records prefer.
pub const DATACENTERS: u32 = 20;
/// How many pools, `pool-0` and so on, the records prefer.
pub const POOLS: u32 = 50;

/// SplitMix64: the same world in every run.
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    /// An IPv4 address that could be a client's, or an IPv6 address where registries have given out space.
    pub fn ipv4(&mut self) -> IpAddr {
        Ipv4Addr::from(0x0100_0000 + self.below(0xdf00_0000)).into()
    }

    pub fn ipv6(&mut self) -> IpAddr {
        let registry = [0x2001_0400_u32, 0x2400_0000, 0x2600_0000, 0x2800_0000, 0x2a00_0000]
            [usize::try_from(self.below(5)).unwrap()];
        let top = registry | self.below(0x0040_0000);
        Ipv6Addr::from(u128::from(top) << 96 | u128::from(self.next() >> 32) << 64 | u128::from(self.next())).into()
    }
}

fn country(number: u32) -> [u8; 2] {
    [b'A' + u8::try_from(number / 26).unwrap(), b'A' + u8::try_from(number % 26).unwrap()]
}

/// A city and an autonomous-system database.
pub fn databases(size: Size, draw: &mut Draw) -> [Vec<u8>; 2] {
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
pub fn rules(size: Size, draw: &mut Draw) -> Rules {
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
            0 => Match::Pool(format!("pool-{}", draw.below(POOLS)).into()),
            _ => Match::Datacenter(format!("datacenter-{}", draw.below(DATACENTERS)).into()),
        };
        Record { client: is(client), answer: is(answer), score: draw.below(100) }
    });
    Rules { records: records.collect(), regions: regions.collect(), longest_match: false }
}

/// The rules as a configuration has them.
pub fn configuration(rules: &Rules) -> String {
    let mut text = String::from("regions:\n");
    for region in &rules.regions {
        let conditions: Vec<String> = region.conditions.iter().map(|condition| written(&condition.is)).collect();
        writeln!(text, "  {}: [ {} ]", region.name, conditions.join(", ")).unwrap();
    }
    text.push_str("topology:\n");
    for record in &rules.records {
        let (client, answer) = (written(&record.client.is), written(&record.answer.is));
        writeln!(text, "  - {{ client: {client}, answer: {answer}, score: {} }}", record.score).unwrap();
    }
    text
}

fn written(is: &Match) -> String {
    let text = |code: &[u8; 2]| String::from_utf8(code.to_vec()).unwrap();
    match is {
        Match::Subnet(prefix) => format!("{{subnet: \"{}/{}\"}}", prefix.address, prefix.length),
        Match::Continent(continent) => format!("{{continent: {}}}", text(&continent.0)),
        Match::Country(country) => format!("{{country: \"{}\"}}", text(country)),
        Match::State { country, state } => format!("{{state: \"{}/{state}\"}}", text(country)),
        Match::City { country, city } => format!("{{city: \"{}/{city}\"}}", text(country)),
        Match::Asn(number) => format!("{{asn: {number}}}"),
        Match::Region(name) => format!("{{region: {name}}}"),
        Match::Datacenter(name) => format!("{{datacenter: {name}}}"),
        Match::Pool(name) => format!("{{pool: {name}}}"),
    }
}
