//! Topology over databases that these tests write: what is located where, which record decides, and how far that holds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/mmdb.rs"]
mod mmdb;

use std::net::IpAddr;

use fairlead::topology::{Candidate, ClassId, Condition, Continent, Match, Prefix, Record, Region, Rules, Topology};

fn is(is: Match) -> Condition {
    Condition { negated: false, is }
}

fn not(is: Match) -> Condition {
    Condition { negated: true, is }
}

fn subnet(text: &str) -> Match {
    let (address, length) = text.split_once('/').unwrap();
    Match::Subnet(Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap())
}

fn continent(code: &str) -> Match {
    Match::Continent(Continent(code.as_bytes().try_into().unwrap()))
}

fn country(code: &str) -> Match {
    Match::Country(code.as_bytes().try_into().unwrap())
}

fn region(name: &str) -> Match {
    Match::Region(name.into())
}

fn datacenter(name: &str) -> Match {
    Match::Datacenter(name.into())
}

fn pool(name: &str) -> Match {
    Match::Pool(name.into())
}

fn record(client: Condition, answer: Condition, score: u32) -> Record {
    Record { client, answer, score }
}

fn compile(regions: &[(&str, &[Condition])], records: Vec<Record>, longest_match: bool) -> Topology {
    let regions =
        regions.iter().map(|(name, conditions)| Region { name: (*name).into(), conditions: conditions.to_vec() });
    let [city, asn] = mmdb::example();
    let rules = Rules { regions: regions.collect(), records, longest_match };
    Topology::compile(&rules, Some(&city), Some(&asn)).unwrap()
}

/// The scores of members in london and newyork, and of the pools web-a and web-b.
fn scores(topology: &Topology, client: &str) -> [u32; 4] {
    let class = topology.locate(client.parse().unwrap()).class;
    let member = |datacenter, address: &str| Candidate {
        pool: Some("web"),
        datacenter: Some(datacenter),
        address: Some(address.parse().unwrap()),
    };
    let pool = |name| Candidate { pool: Some(name), ..Candidate::default() };
    [member("london", "192.0.2.7"), member("newyork", "198.51.100.7"), pool("web-a"), pool("web-b")]
        .map(|candidate| topology.score(class, &topology.classify_answer(&candidate)))
}

const BERLIN: &str = "192.0.2.99";
const NEW_YORK: &str = "198.51.100.99";
const TOKYO: &str = "203.0.113.99";
const NOWHERE: &str = "10.1.2.3";

fn check(records: Vec<Record>, rows: &[(&str, [u32; 4])]) {
    check_regions(&[], records, rows);
}

fn check_regions(regions: &[(&str, &[Condition])], records: Vec<Record>, rows: &[(&str, [u32; 4])]) {
    let topology = compile(regions, records, false);
    for (client, expected) in rows {
        assert_eq!(scores(&topology, client), *expected, "{client}");
    }
}

#[test]
fn without_rules_everybody_is_in_class_0_whatever_the_address() {
    let topology = compile(&[], Vec::new(), false);
    for client in [BERLIN, NOWHERE, "2001:db8:1::1", "::ffff:192.0.2.1"] {
        let place = topology.locate(client.parse().unwrap());
        assert_eq!((place.class, place.prefix_length), (ClassId(0), 0), "{client}");
        assert_eq!(scores(&topology, client), [0; 4]);
    }
}

#[test]
fn each_kind_of_client_condition_finds_its_clients() {
    let to = |client| vec![record(is(client), is(datacenter("london")), 9)];
    let (yes, no) = ([9, 0, 0, 0], [0; 4]);
    check(to(subnet("192.0.2.64/26")), &[(BERLIN, yes), ("192.0.2.1", no), ("::ffff:192.0.2.70", yes)]);
    check(to(subnet("2001:db8:1::/64")), &[("2001:db8:1::1", yes), ("2001:db8:1:1::1", no), (BERLIN, no)]);
    check(to(continent("EU")), &[(BERLIN, yes), ("2001:db8:6::1", yes), (TOKYO, no), (NOWHERE, no)]);
    check(to(continent("--")), &[(BERLIN, no), (NOWHERE, yes), ("2001:db8:99::", yes)]);
    check(to(country("DE")), &[(BERLIN, yes), ("2001:db8:4::1", no), (NOWHERE, no)]);
    check(to(Match::State { country: *b"US", state: "NY".into() }), &[(NEW_YORK, yes), (BERLIN, no)]);
    check(to(Match::State { country: *b"US", state: "new york".into() }), &[(NEW_YORK, yes), (BERLIN, no)]);
    check(to(Match::City { country: *b"DE", city: "berlin".into() }), &[(BERLIN, yes), (NEW_YORK, no)]);
    check(to(Match::Asn(64498)), &[(TOKYO, yes), ("2001:db8:3::7", yes), (BERLIN, no)]);
    check(to(subnet("0.0.0.0/0")), &[(BERLIN, yes), ("2001:db8::1", yes)]);
}

#[test]
fn answers_are_known_by_pool_datacenter_and_the_address_of_the_member() {
    let from_anywhere = |answer| vec![record(is(subnet("0.0.0.0/0")), answer, 9)];
    check(from_anywhere(is(datacenter("london"))), &[(TOKYO, [9, 0, 0, 0])]);
    check(from_anywhere(is(subnet("198.51.100.0/24"))), &[(TOKYO, [0, 9, 0, 0])]);
    check(from_anywhere(is(country("DE"))), &[(TOKYO, [9, 0, 0, 0])]);
    check(from_anywhere(is(Match::Asn(64497))), &[(TOKYO, [0, 9, 0, 0])]);
    check(from_anywhere(is(pool("web"))), &[(TOKYO, [9, 9, 0, 0])]);
    check(from_anywhere(is(pool("web-b"))), &[(TOKYO, [0, 0, 0, 9])]);
    check(from_anywhere(is(subnet("0.0.0.0/0"))), &[(TOKYO, [9, 9, 9, 9])]);
    // A pool has no datacenter and no address: neither a condition on these nor its opposite says anything of it.
    check(from_anywhere(not(datacenter("london"))), &[(TOKYO, [0, 9, 0, 0])]);
    check(from_anywhere(not(subnet("192.0.2.0/24"))), &[(TOKYO, [0, 9, 0, 0])]);
    check(from_anywhere(not(pool("web-a"))), &[(TOKYO, [9, 9, 0, 9])]);
}

#[test]
fn the_first_matching_record_scores_and_the_highest_score_wins() {
    // F5: "the highest score wins", so a wildcard with 100 beats a /32 with 5.
    let london = || is(datacenter("london"));
    let newyork = || is(datacenter("newyork"));
    check(
        vec![record(is(subnet("192.0.2.99/32")), london(), 5), record(is(subnet("0.0.0.0/0")), newyork(), 100)],
        &[(BERLIN, [5, 100, 0, 0]), (TOKYO, [0, 100, 0, 0])],
    );
    // For one candidate, the more specific record shadows the other, whatever their scores and their order.
    check(
        vec![
            record(is(subnet("0.0.0.0/0")), london(), 100),
            record(is(subnet("192.0.0.0/16")), london(), 50),
            record(is(subnet("192.0.2.0/24")), london(), 5),
        ],
        &[(BERLIN, [5, 0, 0, 0]), ("192.0.3.1", [50, 0, 0, 0]), (TOKYO, [100, 0, 0, 0])],
    );
    // Equal scores tie.
    check(
        vec![record(is(country("DE")), london(), 7), record(is(continent("EU")), newyork(), 7)],
        &[(BERLIN, [7, 7, 0, 0])],
    );
    // The same conditions twice: the greater score comes first.
    check(
        vec![record(is(country("DE")), london(), 7), record(is(country("DE")), london(), 8)],
        &[(BERLIN, [8, 0, 0, 0])],
    );
}

#[test]
fn plain_records_shadow_negated_answers_then_negated_clients_then_wildcards() {
    let london = || is(datacenter("london"));
    let all = [
        record(is(subnet("0.0.0.0/0")), london(), 4),
        record(not(country("JP")), london(), 3),
        record(is(subnet("192.0.2.99/32")), not(datacenter("newyork")), 2),
        record(is(continent("EU")), london(), 1),
    ];
    for (left, expected) in [(4, 1), (3, 2), (2, 3), (1, 4)] {
        check(all[..left].iter().rev().cloned().collect(), &[(BERLIN, [expected, 0, 0, 0])]);
    }
    // Among clients: prefix, region, autonomous system, city, state, country, continent.
    let clients = [
        subnet("192.0.0.0/8"),
        region("germans"),
        Match::Asn(64496),
        Match::City { country: *b"DE", city: "Berlin".into() },
        Match::State { country: *b"DE", state: "BE".into() },
        country("DE"),
        continent("EU"),
    ];
    for from in 0..clients.len() {
        let tail = clients.iter().enumerate().skip(from).rev();
        let records = tail.map(|(n, client)| record(is(client.clone()), london(), u32::try_from(n).unwrap() + 1));
        let first = u32::try_from(from).unwrap() + 1;
        check_regions(&[("germans", &[is(country("DE"))])], records.collect(), &[(BERLIN, [first, 0, 0, 0])]);
    }
}

#[test]
fn not_turns_a_condition_round_on_both_sides() {
    let london = || is(datacenter("london"));
    check(
        vec![record(not(country("DE")), london(), 9)],
        &[(BERLIN, [0; 4]), (TOKYO, [9, 0, 0, 0]), (NOWHERE, [9, 0, 0, 0])],
    );
    check(
        vec![record(not(subnet("10.0.0.0/8")), london(), 9)],
        &[(NOWHERE, [0; 4]), (BERLIN, [9, 0, 0, 0]), ("2001:db8::1", [9, 0, 0, 0])],
    );
    check(vec![record(is(country("DE")), not(datacenter("london")), 9)], &[(BERLIN, [0, 9, 0, 0]), (TOKYO, [0; 4])]);
    check(vec![record(not(subnet("0.0.0.0/0")), london(), 9)], &[(BERLIN, [0; 4])]);
}

#[test]
fn regions_include_nest_and_exclude_and_an_exclusion_beats_an_inclusion() {
    let to_london = |name| vec![record(is(region(name)), is(datacenter("london")), 9)];
    let yes = [9, 0, 0, 0];
    let west: &[Condition] = &[is(continent("EU")), is(continent("NA")), not(subnet("192.0.2.64/26"))];
    // The excluded prefix is wider than an included one: it still wins.
    let odd: &[Condition] = &[is(subnet("192.0.2.99/32")), not(subnet("192.0.0.0/8"))];
    let nested: &[Condition] = &[is(region("west")), is(country("JP"))];
    let outside: &[Condition] = &[not(region("west"))];
    let regions = [("outside", outside), ("nested", nested), ("west", west), ("odd", odd), ("empty", &[])];
    let check = |name, rows: &[(&str, [u32; 4])]| check_regions(&regions, to_london(name), rows);
    check("west", &[(BERLIN, [0; 4]), ("192.0.2.1", yes), (NEW_YORK, yes), (TOKYO, [0; 4])]);
    check("odd", &[(BERLIN, [0; 4]), (TOKYO, [0; 4])]);
    check("nested", &[(BERLIN, [0; 4]), (NEW_YORK, yes), (TOKYO, yes), (NOWHERE, [0; 4])]);
    check("outside", &[(BERLIN, yes), (NEW_YORK, [0; 4]), (TOKYO, yes), (NOWHERE, yes)]);
    check("empty", &[(BERLIN, [0; 4])]);
    check_regions(
        &regions,
        vec![record(not(region("nested")), is(pool("web-a")), 3)],
        &[(BERLIN, [0, 0, 3, 0]), (TOKYO, [0; 4])],
    );
}

#[test]
fn regions_of_pools_and_datacenters_do_nothing_for_clients_and_work_for_answers() {
    let regions: &[(&str, &[Condition])] = &[
        ("pools", &[is(pool("web-a")), is(datacenter("newyork"))]),
        ("not-london", &[not(datacenter("london"))]),
        ("german-or-web-b", &[is(country("DE")), is(pool("web-b"))]),
    ];
    let anywhere = || is(subnet("0.0.0.0/0"));
    let answer = |answer| vec![record(anywhere(), answer, 9)];
    check_regions(regions, answer(is(region("pools"))), &[(TOKYO, [0, 9, 9, 0])]);
    check_regions(regions, answer(not(region("pools"))), &[(TOKYO, [9, 0, 0, 9])]);
    check_regions(regions, answer(is(region("not-london"))), &[(TOKYO, [0, 9, 0, 0])]);
    check_regions(regions, answer(is(region("german-or-web-b"))), &[(TOKYO, [9, 0, 0, 9])]);
    let client = |client| vec![record(client, anywhere(), 9)];
    check_regions(regions, client(is(region("pools"))), &[(TOKYO, [0; 4])]);
    check_regions(regions, client(not(region("pools"))), &[(TOKYO, [0; 4])]);
    check_regions(regions, client(is(region("german-or-web-b"))), &[(BERLIN, [9; 4]), (TOKYO, [0; 4])]);
}

#[test]
fn with_longest_match_the_most_specific_record_wins_whatever_the_scores() {
    let london = || is(datacenter("london"));
    let newyork = || is(datacenter("newyork"));
    let records = vec![
        record(is(subnet("192.0.2.99/32")), london(), 5),
        record(is(subnet("0.0.0.0/0")), newyork(), 100),
        record(is(country("JP")), london(), 10),
        record(is(country("JP")), newyork(), 10),
        record(is(country("US")), london(), 10),
        record(is(country("US")), newyork(), 20),
        record(is(subnet("192.0.2.1/32")), newyork(), 0),
    ];
    let topology = compile(&[], records, true);
    let [london, newyork, ..] = scores(&topology, BERLIN);
    assert!(london > newyork && newyork > 0);
    let [london, newyork, ..] = scores(&topology, TOKYO);
    assert!(london == newyork && london > 0);
    let [london, newyork, ..] = scores(&topology, NEW_YORK);
    assert!(newyork > london && london > 0);
    // A record with score 0 shadows the wildcard and says "rather not".
    assert_eq!(scores(&topology, "192.0.2.1")[1], 0);
}

#[test]
fn the_record_that_gave_the_score_is_told() {
    let records = vec![
        record(is(subnet("0.0.0.0/0")), is(datacenter("london")), 1),
        record(is(country("DE")), is(datacenter("london")), 2),
    ];
    let topology = compile(&[], records, false);
    let london = topology.classify_answer(&Candidate { datacenter: Some("london"), ..Candidate::default() });
    let why = |client: &str| {
        let class = topology.locate(client.parse().unwrap()).class;
        topology.explain_score(class, &london).map(ToString::to_string)
    };
    assert_eq!(why(BERLIN).unwrap(), "client country DE, answer datacenter london, score 2");
    assert_eq!(why(TOKYO).unwrap(), "client subnet 0.0.0.0/0, answer datacenter london, score 1");
    let other = topology.classify_answer(&Candidate { datacenter: Some("newyork"), ..Candidate::default() });
    assert_eq!(topology.explain_score(topology.locate(TOKYO.parse().unwrap()).class, &other), None);
}

#[test]
fn the_scope_is_the_shortest_prefix_that_decides() {
    let check = |client: Match, rows: &[(&str, u8)]| {
        let topology = compile(&[], vec![record(is(client), is(datacenter("london")), 1)], false);
        for (address, expected) in rows {
            let place = topology.locate(address.parse().unwrap());
            assert_eq!(place.prefix_length, *expected, "{address}");
        }
    };
    check(subnet("0.0.0.0/0"), &[(BERLIN, 0), ("2001:db8::1", 0)]);
    check(subnet("10.0.0.0/8"), &[("10.9.9.9", 8), ("11.0.0.0", 8), ("200.0.0.0", 1), ("2001:db8::", 0)]);
    check(continent("EU"), &[(BERLIN, 24), ("192.0.3.0", 24), ("::ffff:192.0.2.1", 120), ("2001:db8:1::1", 48)]);
    // 2001:db8:2::/48 and 2001:db8:3::/48 are both no part of Europe, nor is anything between 203 and the end.
    check(continent("EU"), &[("2001:db8:3::", 47), (TOKYO, 5)]);
    check(subnet("255.255.255.255/32"), &[("255.255.255.255", 32), ("255.255.255.254", 32), ("0.0.0.0", 1)]);
}

#[test]
fn descriptions_name_what_the_databases_know() {
    let topology = compile(&[], Vec::new(), false);
    let check = |address: &str, expected: &str| {
        assert_eq!(topology.describe(address.parse::<IpAddr>().unwrap()).to_string(), expected, "{address}");
    };
    check(BERLIN, "EU/DE/BE/Berlin AS64496 (Example Network 64496)");
    check("::ffff:192.0.2.1", "EU/DE/BE/Berlin AS64496 (Example Network 64496)");
    check("2001:db8:6::1", "EU AS64501 (Example Network 64501)");
    check(NOWHERE, "unlocated");
    assert_eq!(Topology::default().describe(BERLIN.parse().unwrap()).to_string(), "unlocated");
}

#[test]
fn databases_that_are_none_or_the_wrong_ones_are_named() {
    let check = |city: &[u8], asn: &[u8], expected: &str| {
        let error = Topology::compile(&Rules::default(), Some(city), Some(asn)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let [city, asn] = mmdb::example();
    check(b"no database", &asn, "reading the city database (geoip.city): ");
    check(&city, &asn[..asn.len() / 2], "reading the asn database (geoip.asn): ");
    check(&asn, &asn, "geoip.city): it is of type \"Fairlead-Example-ASN\" and tells nothing that geoip.city is for");
    check(&city, &city, "geoip.asn): it is of type \"Fairlead-Example-City\"");
}

#[test]
fn a_damaged_database_is_an_error_or_harmless_but_never_a_panic() {
    let client = Match::City { country: *b"DE", city: "Berlin".into() };
    let rules = Rules {
        records: vec![record(is(client), is(country("DE")), 1), record(is(Match::Asn(64496)), is(pool("a")), 1)],
        ..Rules::default()
    };
    let [city, asn] = mmdb::example();
    let member = Candidate { address: Some(BERLIN.parse().unwrap()), ..Candidate::default() };
    for position in 0..city.len() {
        for change in [0xff, 0x10] {
            let mut damaged = city.clone();
            damaged[position] ^= change;
            if let Ok(topology) = Topology::compile(&rules, Some(&damaged), Some(&asn)) {
                let answer = topology.classify_answer(&member);
                topology.score(topology.locate(TOKYO.parse().unwrap()).class, &answer);
            }
        }
    }
}

#[test]
fn regions_that_contain_each_other_are_named() {
    let region = |name: &str, inner: &str| Region { name: name.into(), conditions: vec![not(region(inner))] };
    let regions = vec![region("a", "b"), region("b", "c"), region("c", "d"), region("d", "b")];
    let error = Topology::compile(&Rules { regions, ..Rules::default() }, None, None).unwrap_err();
    assert_eq!(error.to_string(), "regions.b: contains itself: b → c → d → b");
}

#[test]
fn a_database_of_ipv4_alone_places_no_ipv6() {
    let mut city = mmdb::Writer::ipv4_only("Test-Country");
    city.insert([192, 0, 2, 0].into(), 24, &mmdb::city("EU", "DE", ("", ""), ""));
    let records =
        vec![record(is(country("DE")), is(pool("web-a")), 9), record(is(continent("--")), is(pool("web-b")), 8)];
    let topology = Topology::compile(&Rules { records, ..Rules::default() }, Some(&city.finish()), None).unwrap();
    assert_eq!(scores(&topology, BERLIN), [0, 0, 9, 0]);
    assert_eq!(scores(&topology, TOKYO), [0, 0, 0, 8]);
    assert_eq!(scores(&topology, "2001:db8:1::1"), [0, 0, 0, 8]);
    assert_eq!(topology.describe(BERLIN.parse().unwrap()).to_string(), "EU/DE");
    assert_eq!(topology.describe("2001:db8:1::1".parse().unwrap()).to_string(), "unlocated");
}

#[test]
fn the_example_folder_steers_as_its_comments_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("topology");
    let (config, _) = fairlead::config::load(&folder, 0).unwrap();
    let (city, asn) = (config.geoip.city.as_deref(), config.geoip.asn.as_deref());
    let topology = Topology::compile(&config.topology, city, asn).unwrap();
    let check = |client: &str, members: [u32; 3], pools: [u32; 2]| {
        let class = topology.locate(client.parse().unwrap()).class;
        let score = |candidate| topology.score(class, &topology.classify_answer(&candidate));
        let member = |datacenter| Candidate { pool: Some("web"), datacenter: Some(datacenter), ..Candidate::default() };
        let pool = |pool| Candidate { pool: Some(pool), ..Candidate::default() };
        assert_eq!(["london", "newyork", "tokyo"].map(|datacenter| score(member(datacenter))), members, "{client}");
        assert_eq!(["download-europe", "download-world"].map(|name| score(pool(name))), pools, "{client}");
    };
    check("192.0.2.10", [100, 50, 0], [10, 1]);
    check("192.0.2.200", [100, 200, 0], [10, 1]);
    check("198.51.100.10", [50, 100, 50], [0, 1]);
    check("203.0.113.10", [0, 0, 100], [0, 1]);
    check("2001:db8:5::1", [100, 50, 120], [0, 1]);
    check("10.1.2.3", [0, 300, 300], [0, 1]);
    check("10.99.2.3", [50, 100, 50], [0, 1]);
    check("8.8.8.8", [50, 100, 50], [0, 1]);
}

#[test]
fn the_example_databases_are_what_the_writer_makes() {
    for (name, made) in ["topology/example-city.mmdb", "topology/example-asn.mmdb"].iter().zip(mmdb::example()) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("FAIRLEAD_WRITE_EXAMPLES").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == made, "{name} is stale: run FAIRLEAD_WRITE_EXAMPLES=1 cargo test --test topology");
    }
}
