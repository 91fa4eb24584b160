//! Random rules over random databases: the compiled topology against the rules read word by word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/mmdb.rs"]
mod mmdb;

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fairlead::topology::{Candidate, Condition, Continent, Match, Prefix, Record, Region, Rules, Topology};
use proptest::prelude::*;

const COUNTRIES: [(&str, &str); 4] = [("EU", "DE"), ("EU", "FR"), ("NA", "US"), ("AS", "JP")];
const CITIES: [&str; 3] = ["One", "Two", "Three"];
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What a database says of a prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    country: usize,
    city: usize,
    asn: u32,
}

#[derive(Debug)]
struct World {
    places: Vec<(Prefix, Place)>,
    rules: Rules,
}

/// Addresses lie close together, so that prefixes nest and touch.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => any::<u8>().prop_map(|low| IpAddr::from(Ipv4Addr::from(0x0a00_0000 | u32::from(low) << 22))),
        2 => any::<u8>().prop_map(|low| IpAddr::from(Ipv4Addr::from(0xc000_0200 | u32::from(low)))),
        2 => any::<u8>().prop_map(|low| IpAddr::from(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low) << 60))),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), 0_u8..=8).prop_map(|(address, up)| {
        let most = match address {
            IpAddr::V4(address) if address.octets()[0] == 192 => 32,
            IpAddr::V4(_) => 10,
            IpAddr::V6(_) => 68,
        };
        Prefix::around(address, most - up)
    })
}

fn place() -> impl Strategy<Value = Place> {
    (0..4_usize, 0..3_usize, 0..3_u32).prop_map(|(country, city, asn)| Place { country, city, asn: 64496 + asn })
}

fn code(text: &str) -> [u8; 2] {
    text.as_bytes().try_into().unwrap()
}

/// A match that a region below `regions` may contain.
fn client_match(regions: usize) -> impl Strategy<Value = Match> {
    let geo = prop_oneof![
        (0..4_usize).prop_map(|n| Match::Continent(Continent(code(COUNTRIES[n].0)))),
        Just(Match::Continent(Continent::UNKNOWN)),
        (0..4_usize).prop_map(|n| Match::Country(code(COUNTRIES[n].1))),
        (0..4_usize, 0..3_usize)
            .prop_map(|(n, city)| Match::City { country: code(COUNTRIES[n].1), city: CITIES[city].into() }),
        (64496_u32..64499).prop_map(Match::Asn),
        Just(Match::Subnet(Prefix { address: [0, 0, 0, 0].into(), length: 0 })),
    ];
    let region = (0..regions.max(1)).prop_map(move |n| match regions {
        0 => Match::Asn(64496),
        _ => Match::Region(format!("r{n}").into()),
    });
    prop_oneof![3 => prefix().prop_map(Match::Subnet), 3 => geo, 3 => region]
}

fn any_match(regions: usize) -> impl Strategy<Value = Match> {
    let name = || (0..3_usize).prop_map(|n| NAMES[n].into());
    prop_oneof![
        2 => client_match(regions),
        1 => name().prop_map(Match::Pool),
        1 => name().prop_map(Match::Datacenter),
    ]
}

fn condition<M: Strategy<Value = Match>>(is: M) -> impl Strategy<Value = Condition> {
    (prop::bool::weighted(0.25), is).prop_map(|(negated, is)| Condition { negated, is })
}

fn world() -> impl Strategy<Value = World> {
    let regions: Vec<_> = (0..4).map(|n| prop::collection::vec(condition(any_match(n)), 0..5)).collect();
    let record = (condition(client_match(4)), condition(any_match(4)), 0..6_u32)
        .prop_map(|(client, answer, score)| Record { client, answer, score });
    let places = prop::collection::vec((prefix(), place()), 0..12);
    (places, regions, prop::collection::vec(record, 0..12), any::<bool>()).prop_map(
        |(mut places, regions, records, longest_match)| {
            places.sort_by_key(|(prefix, _)| prefix.length + if prefix.address.is_ipv4() { 96 } else { 0 });
            // Contained regions may come behind the region that contains them.
            let regions = regions.into_iter().enumerate().rev();
            let regions = regions.map(|(n, conditions)| Region { name: format!("r{n}").into(), conditions });
            World { places, rules: Rules { regions: regions.collect(), records, longest_match } }
        },
    )
}

fn compile(world: &World) -> Topology {
    let (mut city, mut asn) = (mmdb::Writer::new("Test-City"), mmdb::Writer::new("Test-ASN"));
    for (prefix, place) in &world.places {
        let (continent, country) = COUNTRIES[place.country];
        let value = mmdb::city(continent, country, ("", ""), CITIES[place.city]);
        city.insert(prefix.address, prefix.length, &value);
        asn.insert(prefix.address, prefix.length, &mmdb::asn(place.asn, "Test"));
    }
    Topology::compile(&world.rules, Some(&city.finish()), Some(&asn.finish())).unwrap()
}

/// Whether a match holds; none when it cannot be asked.
fn holds(world: &World, is: &Match, candidate: &Candidate<'_>) -> Option<bool> {
    let place = |test: &dyn Fn(Option<Place>) -> bool| {
        candidate.address.map(|address| {
            test(world.places.iter().rev().find(|(prefix, _)| prefix.contains(address)).map(|(_, place)| *place))
        })
    };
    match is {
        Match::Subnet(prefix) if prefix.length == 0 => Some(true),
        Match::Subnet(prefix) => candidate.address.map(|address| prefix.contains(address)),
        Match::Continent(continent) => {
            place(&|place| continent.0 == place.map_or(*b"--", |place| code(COUNTRIES[place.country].0)))
        }
        Match::Country(country) => {
            place(&|place| place.is_some_and(|place| *country == code(COUNTRIES[place.country].1)))
        }
        Match::City { country, city } => place(&|place| {
            place.is_some_and(|place| *country == code(COUNTRIES[place.country].1) && **city == *CITIES[place.city])
        }),
        Match::Asn(number) => place(&|place| place.is_some_and(|place| place.asn == *number)),
        Match::Pool(name) => candidate.pool.map(|pool| pool == &**name),
        Match::Datacenter(name) => candidate.datacenter.map(|datacenter| datacenter == &**name),
        Match::Region(name) => {
            let region = world.rules.regions.iter().find(|region| region.name == *name).unwrap();
            let all = region.conditions.iter().map(|part| (part.negated, holds(world, &part.is, candidate)));
            let (excluding, including): (Vec<_>, Vec<_>) = all.partition(|(negated, _)| *negated);
            let deciding = if including.is_empty() { &excluding } else { &including };
            deciding.iter().any(|(_, held)| held.is_some()).then(|| {
                !excluding.iter().any(|(_, held)| *held == Some(true))
                    && (including.is_empty() || including.iter().any(|(_, held)| *held == Some(true)))
            })
        }
        Match::State { .. } => unreachable!("not generated"),
    }
}

fn matches(world: &World, condition: &Condition, candidate: &Candidate<'_>) -> bool {
    holds(world, &condition.is, candidate).is_some_and(|held| held != condition.negated)
}

fn kind(condition: &Condition) -> (u8, u8) {
    match &condition.is {
        Match::Subnet(prefix) if prefix.length == 0 => (9, 0),
        Match::Subnet(prefix) => (0, 128 - prefix.length),
        Match::Datacenter(_) | Match::Pool(_) => (1, 0),
        Match::Region(_) => (2, 0),
        Match::Asn(_) => (3, 0),
        Match::City { .. } => (4, 0),
        Match::State { .. } => (5, 0),
        Match::Country(_) => (6, 0),
        Match::Continent(_) => (7, 0),
    }
}

type Key = (u8, (u8, u8), Reverse<u32>);

fn key(record: &Record) -> Key {
    let wildcard = kind(&record.client).0 == 9 || kind(&record.answer).0 == 9;
    let bucket = if wildcard { 3 } else { u8::from(record.client.negated) * 2 };
    let bucket = if bucket == 0 && record.answer.negated { 1 } else { bucket };
    (bucket, kind(&record.client), Reverse(record.score))
}

/// The first record that matches both, in F5's order.
fn first<'a>(world: &'a World, client: IpAddr, candidate: &Candidate<'_>) -> Option<&'a Record> {
    let client = Candidate { address: Some(client), ..Candidate::default() };
    let both = |record: &&Record| matches(world, &record.client, &client) && matches(world, &record.answer, candidate);
    world.rules.records.iter().filter(both).min_by_key(|record| {
        let (bucket, client, score) = key(record);
        (bucket, client, kind(&record.answer), score)
    })
}

fn block(address: IpAddr, length: u8) -> impl Fn(IpAddr) -> bool {
    let prefix = Prefix::around(address, length);
    move |other| other.is_ipv4() == address.is_ipv4() && prefix.contains(other)
}

/// The first address of every prefix and the first one behind it: nothing changes anywhere else.
fn edges(world: &World) -> Vec<IpAddr> {
    let of = |condition: &Condition| match condition.is {
        Match::Subnet(prefix) => Some(prefix),
        _ => None,
    };
    let sides = world.rules.records.iter().flat_map(|record| [&record.client, &record.answer]);
    let conditions = world.rules.regions.iter().flat_map(|region| &region.conditions).chain(sides);
    let prefixes = conditions.filter_map(of).chain(world.places.iter().map(|(prefix, _)| *prefix));
    let ends = prefixes.filter(|prefix| prefix.length > 0).flat_map(|prefix| match prefix.address {
        IpAddr::V4(first) => {
            let behind = u64::from(u32::from(first)) + (1 << (32 - prefix.length));
            [Some(prefix.address), u32::try_from(behind).ok().map(|behind| Ipv4Addr::from(behind).into())]
        }
        IpAddr::V6(first) => {
            let behind = u128::from(first).checked_add(1 << (128 - prefix.length));
            [Some(prefix.address), behind.map(|behind| Ipv6Addr::from(behind).into())]
        }
    });
    ends.flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn scores_are_those_of_the_first_record_that_matches_both(
        world in world(), clients in prop::collection::vec(address(), 6), member in address()
    ) {
        let topology = compile(&world);
        let at = |pool, datacenter, address| Candidate { pool, datacenter, address };
        let candidates = [
            at(Some("a"), None, None), at(Some("b"), Some("a"), Some(member)), at(Some("c"), Some("b"), None),
            at(Some("a"), Some("c"), Some([192, 0, 2, 1].into())),
        ];
        for client in clients {
            let class = topology.locate(client).class;
            let mut found = Vec::new();
            for candidate in &candidates {
                let answer = topology.classify_answer(candidate);
                let expected = first(&world, client, candidate);
                prop_assert_eq!(topology.explain_score(class, &answer).map(key), expected.map(key), "{} {:?}", client, candidate);
                found.push((expected, topology.score(class, &answer)));
            }
            for (expected, score) in &found {
                if !world.rules.longest_match {
                    prop_assert_eq!(*score, expected.map_or(0, |record| record.score));
                    continue;
                }
                for (other, other_score) in &found {
                    // Absent and worthless records are alike; else the smaller key is the better one.
                    let rank = |record: &Option<&Record>| record.filter(|record| record.score > 0).map(|record| Reverse(key(record)));
                    prop_assert_eq!(score.cmp(other_score), rank(expected).cmp(&rank(other)));
                }
            }
        }
    }

    #[test]
    fn the_prefix_has_one_class_and_the_next_wider_one_has_not(
        world in world(), addresses in prop::collection::vec(address(), 6), noise in prop::collection::vec(any::<u128>(), 8)
    ) {
        let topology = compile(&world);
        let edges = edges(&world);
        for address in addresses.into_iter().chain(edges.iter().copied()) {
            let place = topology.locate(address);
            let inside = block(address, place.prefix_length);
            let random = noise.iter().map(|noise| match address {
                IpAddr::V4(address) => {
                    let low = u32::MAX.checked_shr(place.prefix_length.into()).unwrap_or(0);
                    Ipv4Addr::from(u32::from(address) ^ (u32::try_from(noise >> 96).unwrap() & low)).into()
                }
                IpAddr::V6(address) => {
                    let low = u128::MAX.checked_shr(place.prefix_length.into()).unwrap_or(0);
                    Ipv6Addr::from(u128::from(address) ^ (noise & low)).into()
                }
            });
            for other in edges.iter().copied().filter(|edge| inside(*edge)).chain(random) {
                prop_assert_eq!(topology.locate(other).class, place.class, "{} in {}/{}", other, address, place.prefix_length);
            }
            if place.prefix_length > 0 {
                let wider = Prefix::around(address, place.prefix_length - 1);
                let around = block(address, wider.length);
                let mut others = edges.iter().copied().filter(|edge| around(*edge)).chain([wider.address]);
                prop_assert!(others.any(|other| topology.locate(other).class != place.class), "{}/{}", address, place.prefix_length);
            }
        }
    }
}
