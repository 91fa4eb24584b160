//! Updates as `nsupdate` writes them, from octets to the next version of a zone: RFC 2136 section by section.

use proptest::prelude::*;

use super::draft::Made;
use super::evaluate::{Terms, evaluate};
use super::message::{Refusal, Update};
use crate::answer::UpdateAction;
use crate::wire::{Name, NameKey, Query, RecordType};
use crate::zone::serial::SerialPolicy;
use crate::zone::{Record, Sizes, Zone, load, master, print, rdata};

const SEED: u64 = 1;
const ZONE: &str = "$TTL 60\n@ SOA ns hostmaster 7 3600 600 86400 60\n@ NS ns\n@ NS ns2\n@ MX 5 www\nns A 192.0.2.1\nns2 A 192.0.2.2\n\
                    www A 192.0.2.7\nwww A 192.0.2.8\nwww TXT \"x\"\nalias CNAME Www\nmoved DNAME other.test.\nsub NS ns.sub\nns.sub A 192.0.2.9\n\
                    a.deep A 192.0.2.3\n_srv SRV 1 2 3 www\n";

fn name(text: &str) -> Name {
    Name::parse(text, Some(&"example.".parse().unwrap())).unwrap()
}

fn zone() -> Zone {
    let settings = master::Settings { file: "zone", origin: &name("@"), default_ttl: None };
    load(ZONE.as_bytes(), &settings, SEED, &mut master::no_include).unwrap().zone
}

/// One line of a script: which section it belongs to, and its record.
fn line(text: &str) -> (usize, Vec<u8>) {
    let words: Vec<&str> = text.split(' ').collect();
    let owner = name(words[1]);
    let of_type = |at: usize| words.get(at).map_or(RecordType::ANY, |word| word.parse().unwrap());
    let data = |at: usize| match words.get(at) {
        None => Vec::new(),
        Some(_) => rdata::from_text(of_type(at - 1), &words[at..].join(" "), &name("@")).unwrap(),
    };
    let (section, record_type, class, ttl, data): (usize, _, u16, u32, Vec<u8>) = match words[0] {
        "yxdomain" => (0, RecordType::ANY, 255, 0, Vec::new()),
        "nxdomain" => (0, RecordType::ANY, 254, 0, Vec::new()),
        "yxrrset" => (0, of_type(2), if words.len() > 3 { 1 } else { 255 }, 0, data(3)),
        "nxrrset" => (0, of_type(2), 254, 0, Vec::new()),
        "add" => (1, of_type(3), 1, words[2].parse().unwrap(), data(4)),
        "del" => (1, of_type(2), if words.len() > 3 { 254 } else { 255 }, 0, data(3)),
        other => panic!("{other}"),
    };
    (section, record(&owner, record_type, class, ttl, &data))
}

fn record(owner: &Name, record_type: RecordType, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let numbers = [&record_type.0.to_be_bytes()[..], &class.to_be_bytes(), &ttl.to_be_bytes(), &length.to_be_bytes()];
    [owner.as_wire(), &numbers.concat(), data].concat()
}

fn message(sections: [Vec<Vec<u8>>; 2]) -> Vec<u8> {
    let mut packet = vec![0, 9, 0x28, 0, 0, 1];
    for section in &sections {
        packet.extend_from_slice(&u16::try_from(section.len()).unwrap().to_be_bytes());
    }
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(name("@").as_wire());
    packet.extend_from_slice(&[0, 6, 0, 1]);
    packet.extend(sections.concat().concat());
    packet
}

fn script(lines: &[&str]) -> Vec<u8> {
    let mut sections = [Vec::new(), Vec::new()];
    for text in lines {
        let (section, record) = line(text);
        sections[section].push(record);
    }
    message(sections)
}

fn read(packet: &[u8]) -> Result<Update, Refusal> {
    let query = Query::parse(packet, &mut NameKey::root(SEED), SEED).unwrap();
    Update::read(packet, &query, &name("@"))
}

fn all(_: &Name, _: RecordType, _: UpdateAction) -> bool {
    true
}

fn no_wide_ip(_: &Name, _: RecordType) -> Option<(RecordType, String)> {
    None
}

fn carry_out(zone: &Zone, packet: &[u8]) -> Result<Option<Made>, Refusal> {
    let terms = Terms {
        permits: &all,
        wide_ip: &no_wide_ip,
        serial: SerialPolicy::Increment,
        unix_seconds: 0,
        sizes: Sizes::DEFAULT,
    };
    evaluate(zone, &read(packet)?, &terms)
}

fn shown(records: &[Record], sign: char) -> Vec<String> {
    let line = |record: &Record| {
        let data = rdata::to_text(record.record_type, &record.rdata);
        format!("{sign}{} {} {} {data}", record.name.relative_to(&name("@")), record.ttl, record.record_type)
    };
    records.iter().map(line).collect()
}

/// What a script makes of the zone: a response code, or the serial and what goes and comes.
#[track_caller]
fn check(lines: &[&str], expected: &str) {
    let zone = zone();
    let before = print::zone(&zone);
    let found = match carry_out(&zone, &script(lines)) {
        Err(refusal) => refusal.rcode.to_string(),
        Ok(None) => "unchanged".to_owned(),
        Ok(Some(made)) => {
            let again = made.change.apply(&zone).unwrap();
            assert_eq!(print::zone(&again), print::zone(&made.zone), "the change says what was done");
            let difference = &made.change.difference;
            let steps = [shown(&difference.removed, '-'), shown(&difference.added, '+')].concat();
            format!("{} {}", made.zone.soa().serial, steps.join(", ")).trim().to_owned()
        }
    };
    assert_eq!(found, expected, "{lines:?}");
    assert_eq!(print::zone(&zone), before, "the version in use stays as it was");
}

const ADD: &str = "add new 60 A 192.0.2.99";
const ADDED: &str = "8 +new 60 A 192.0.2.99";

#[test]
fn rfc2136_2_4_1_an_rrset_exists_whatever_its_values() {
    check(&["yxrrset www A", ADD], ADDED);
    check(&["yxrrset WWW A", ADD], ADDED);
    check(&["yxrrset @ NS", ADD], ADDED);
    check(&["yxrrset www AAAA", ADD], "NXRRSET");
    check(&["yxrrset none A", ADD], "NXRRSET");
    check(&["yxrrset any.sub A", ADD], "NXRRSET");
}

#[test]
fn rfc2136_2_4_2_an_rrset_has_these_values_and_no_other() {
    check(&["yxrrset www A 192.0.2.8", "yxrrset www A 192.0.2.7", ADD], ADDED);
    check(&["yxrrset www A 192.0.2.7", ADD], "NXRRSET");
    check(&["yxrrset www A 192.0.2.7", "yxrrset www A 192.0.2.8", "yxrrset www A 192.0.2.9", ADD], "NXRRSET");
    check(&["yxrrset alias CNAME wWw", ADD], ADDED);
    check(&["yxrrset none A 192.0.2.7", ADD], "NXRRSET");
}

#[test]
fn rfc2136_2_4_3_an_rrset_does_not_exist() {
    check(&["nxrrset www AAAA", ADD], ADDED);
    check(&["nxrrset none A", ADD], ADDED);
    check(&["nxrrset www A", ADD], "YXRRSET");
}

#[test]
fn rfc2136_2_4_4_and_2_4_5_a_name_is_in_use_or_not() {
    check(&["yxdomain www", ADD], ADDED);
    check(&["yxdomain none", ADD], "NXDOMAIN");
    check(&["nxdomain none", ADD], ADDED);
    check(&["nxdomain www", ADD], "YXDOMAIN");
    // A name that only exists because one below it does has no record.
    check(&["nxdomain deep", ADD], ADDED);
    check(&["yxdomain deep", ADD], "NXDOMAIN");
}

#[test]
fn rfc2136_3_4_2_2_records_are_added() {
    check(&["add www 60 A 192.0.2.9"], "8 +www 60 A 192.0.2.9");
    check(&["add www 60 A 192.0.2.7"], "unchanged");
    // One TTL for an RRset (RFC 2181 §5.2).
    check(
        &["add www 5 A 192.0.2.9"],
        "8 -www 60 A 192.0.2.7, -www 60 A 192.0.2.8, +www 5 A 192.0.2.7, +www 5 A 192.0.2.8, +www 5 A 192.0.2.9",
    );
    check(&["add www 5 TXT x"], "8 -www 60 TXT \"x\", +www 5 TXT \"x\"");
    check(&["add a.b.c 4294967295 A 192.0.2.9"], "8 +a.b.c 0 A 192.0.2.9");
    check(&["add @ 60 TYPE65280 \\# 2 abcd"], "8 +@ 60 TYPE65280 \\# 2 ABCD");
    check(&["add _srv 60 SRV 1 2 3 WWW"], "unchanged");
}

#[test]
fn rfc2136_3_4_2_2_aliases_and_other_data_exclude_each_other() {
    check(&["add www 60 CNAME ns"], "unchanged");
    check(&["add alias 60 A 192.0.2.9"], "unchanged");
    check(&["add alias 60 CNAME ns"], "8 -alias 60 CNAME Www.example., +alias 60 CNAME ns.example.");
    check(&["del alias", "add alias 60 A 192.0.2.9"], "8 -alias 60 CNAME Www.example., +alias 60 A 192.0.2.9");
    check(&["add alias 60 KEY 256 3 8 AA=="], "8 +alias 60 KEY 256 3 8 AA==");
    // RFC 6672 §5.2.
    check(&["add alias 60 DNAME other."], "unchanged");
    check(&["add moved 60 CNAME other."], "unchanged");
    check(&["add moved 60 DNAME other."], "8 -moved 60 DNAME other.test., +moved 60 DNAME other.");
}

#[test]
fn rfc2136_3_4_2_2_an_soa_is_taken_at_the_apex_when_newer() {
    let soa = |owner: &str, serial: u32| format!("add {owner} 60 SOA ns hostmaster {serial} 1 2 3 4");
    check(&[&soa("@", 100)], "100");
    check(&[&soa("@", 100), ADD], "100 +new 60 A 192.0.2.99");
    check(&[&soa("@", 7)], "unchanged");
    check(&[&soa("@", 6), ADD], ADDED);
    check(&[&soa("@", 100), &soa("@", 50)], "100");
    check(&[&soa("@", (1 << 31) + 7)], "unchanged");
    check(&[&soa("www", 100)], "unchanged");
    check(&["del @ SOA", "del @ SOA ns hostmaster 7 3600 600 86400 60"], "unchanged");
}

#[test]
fn rfc2136_3_4_2_3_rrsets_and_names_are_deleted_but_not_the_apex() {
    check(&["del www A"], "8 -www 60 A 192.0.2.7, -www 60 A 192.0.2.8");
    check(&["del www AAAA"], "unchanged");
    check(&["del www"], "8 -www 60 A 192.0.2.7, -www 60 A 192.0.2.8, -www 60 TXT \"x\"");
    check(&["del none"], "unchanged");
    check(&["del @"], "8 -@ 60 MX 5 www.example.");
    check(&["del @ NS"], "unchanged");
    check(&["del @ SOA"], "unchanged");
    check(&["del sub"], "8 -sub 60 NS ns.sub.example.");
}

#[test]
fn rfc2136_3_4_2_4_a_record_is_deleted_but_not_the_last_name_server() {
    check(&["del www A 192.0.2.7"], "8 -www 60 A 192.0.2.7");
    check(&["del www A 192.0.2.99"], "unchanged");
    check(&["del _srv SRV 1 2 3 WWW"], "8 -_srv 60 SRV 1 2 3 www.example.");
    check(&["del @ NS ns"], "8 -@ 60 NS ns.example.");
    check(&["del @ NS ns", "del @ NS ns2"], "8 -@ 60 NS ns.example.");
    check(
        &["del @ NS ns", "add @ 60 NS ns3", "del @ NS ns2"],
        "8 -@ 60 NS ns.example., -@ 60 NS ns2.example., +@ 60 NS ns3.example.",
    );
}

#[test]
fn rfc2136_3_4_2_1_all_of_it_in_its_order_or_nothing() {
    check(&["add www 60 A 192.0.2.9", "del www A", "add www 60 A 192.0.2.7"], "8 -www 60 A 192.0.2.8");
    check(&["del www A 192.0.2.7", "add www 60 A 192.0.2.7"], "unchanged");
    check(&["del www TXT", "add new 60 A 192.0.2.99", "add ns.sub 60 NS ns"], "REFUSED");
    check(&["yxrrset www A", "nxrrset www A", ADD], "YXRRSET");
}

#[test]
fn what_no_zone_may_be_is_refused() {
    // A delegation or data below what divides the zone, a DNAME above data or beside a delegation (RFC 6672 §2.4).
    check(&["add below.moved 60 A 192.0.2.9"], "REFUSED");
    check(&["add deep 60 DNAME other."], "REFUSED");
    check(&["del a.deep", "add deep 60 DNAME other."], "8 -a.deep 60 A 192.0.2.3, +deep 60 DNAME other.");
    check(&["add x.sub 60 NS ns"], "REFUSED");
    check(&["add sub 60 DNAME other."], "REFUSED");
    check(&["add deep 60 NS ns"], "8 +deep 60 NS ns.example.");
    check(&["add x.sub 60 A 192.0.2.9"], "8 +x.sub 60 A 192.0.2.9");
    let many: Vec<String> = (0..=500).map(|number| format!("add many 60 TXT {number}")).collect();
    check(&many.iter().map(String::as_str).collect::<Vec<_>>(), "REFUSED");
    let large: Vec<String> = (0..240).map(|number| format!("add many 60 TXT {number:0>250}")).collect();
    check(&large.iter().map(String::as_str).collect::<Vec<_>>(), "REFUSED");
    let types: Vec<String> = (0..=100).map(|number| format!("add many 60 TYPE{} \\# 0", 65_300 + number)).collect();
    check(&types.iter().map(String::as_str).collect::<Vec<_>>(), "REFUSED");
}

/// The code that a message with one record in a section (0 prerequisites, 1 updates) is refused with.
#[track_caller]
fn check_record(
    section: usize,
    owner: &str,
    record_type: RecordType,
    class: u16,
    ttl: u32,
    data: &[u8],
    expected: &str,
) {
    let mut sections = [Vec::new(), Vec::new()];
    sections[section].push(record(&name(owner), record_type, class, ttl, data));
    let found = match carry_out(&zone(), &message(sections)) {
        Err(refusal) => refusal.rcode.to_string(),
        Ok(made) => if made.is_some() { "changed" } else { "unchanged" }.to_owned(),
    };
    assert_eq!(found, expected, "{owner} {record_type} {class} {ttl}");
}

#[test]
fn rfc2136_3_2_5_prerequisites_that_break_the_format() {
    let (a, any) = (RecordType::A, RecordType::ANY);
    check_record(0, "www", a, 255, 1, &[], "FORMERR");
    check_record(0, "www", a, 255, 0, &[1; 4], "FORMERR");
    check_record(0, "www", any, 254, 0, &[1], "FORMERR");
    check_record(0, "www", a, 1, 1, &[1; 4], "FORMERR");
    check_record(0, "www", a, 1, 0, &[1; 5], "FORMERR");
    check_record(0, "www", any, 1, 0, &[], "FORMERR");
    check_record(0, "example.net.", a, 255, 0, &[], "NOTZONE");
    for class in [0, 2, 3, 4, 253, 256, 65535] {
        check_record(0, "www", a, class, 0, &[], "FORMERR");
        check_record(1, "www", a, class, 0, &[], "FORMERR");
    }
}

#[test]
fn rfc2136_3_4_1_updates_that_break_the_format() {
    let (a, any) = (RecordType::A, RecordType::ANY);
    check_record(1, "www", a, 1, 60, &[1; 5], "FORMERR");
    check_record(1, "www", a, 1, 60, &[], "FORMERR");
    check_record(1, "www", a, 255, 1, &[], "FORMERR");
    check_record(1, "www", a, 255, 0, &[1; 4], "FORMERR");
    check_record(1, "www", a, 254, 1, &[1; 4], "FORMERR");
    check_record(1, "www", any, 254, 0, &[], "FORMERR");
    check_record(1, "example.net.", a, 1, 60, &[1; 4], "NOTZONE");
    check_record(1, "xexample.", a, 255, 0, &[], "NOTZONE");
    for meta in [RecordType::AXFR, RecordType::IXFR, RecordType::MAILB, RecordType::TKEY, RecordType(128)] {
        for class in [1, 254, 255] {
            check_record(1, "www", meta, class, 0, &[], "FORMERR");
        }
    }
    check_record(1, "www", RecordType(65_280), 1, 0, &[], "changed");
}

fn with(lines: &[&str], terms: &Terms<'_>) -> Result<bool, String> {
    let outcome = evaluate(&zone(), &read(&script(lines)).unwrap(), terms);
    outcome.map(|made| made.is_some()).map_err(|refusal| format!("{} {}", refusal.rcode, refusal.reason))
}

#[test]
fn rfc2136_3_3_every_change_needs_permission_before_anything_is_told_of_the_zone() {
    let permits = |owner: &Name, record_type: RecordType, action: UpdateAction| {
        let of_type = matches!(record_type, RecordType::A | RecordType::ANY);
        owner.is_at_or_below(&name("www")) && of_type && (action == UpdateAction::Add || *owner == name("www"))
    };
    let terms = Terms {
        permits: &permits,
        wide_ip: &no_wide_ip,
        serial: SerialPolicy::Increment,
        unix_seconds: 0,
        sizes: Sizes::DEFAULT,
    };
    let refused = |text: &str| Err(format!("REFUSED no rule of the zone lets the sender {text}"));
    assert_eq!(with(&["add x.www 60 A 192.0.2.9", "del www A"], &terms), Ok(true));
    assert_eq!(with(&["add x.www 60 TXT x"], &terms), refused("add x.www.example. TXT"));
    assert_eq!(with(&["yxdomain none", "add ns 60 A 192.0.2.9"], &terms), refused("add ns.example. A"));
    assert_eq!(with(&["del x.www A"], &terms), refused("delete x.www.example. A"));
    // The name has TXT too, which would go with it.
    assert_eq!(with(&["del www"], &terms), refused("delete www.example. TXT"));
}

#[test]
fn what_a_wide_ip_owns_is_refused_and_counts_as_being_there() {
    let wide_ip = |owner: &Name, record_type: RecordType| {
        let is_owned =
            *owner == name("app") && matches!(record_type, RecordType::A | RecordType::CNAME | RecordType::ANY);
        is_owned.then(|| (RecordType::A, "app.example. A".to_owned()))
    };
    let terms = Terms {
        permits: &all,
        wide_ip: &wide_ip,
        serial: SerialPolicy::Increment,
        unix_seconds: 0,
        sizes: Sizes::DEFAULT,
    };
    for lines in [["add app 60 A 192.0.2.9"], ["del app A"], ["add app 60 CNAME www"], ["del app A 192.0.2.9"]] {
        let found = with(&lines, &terms).unwrap_err();
        assert!(found.starts_with("REFUSED app.example. ") && found.contains("wide IP app.example. A"), "{found}");
    }
    assert_eq!(with(&["add app 60 TXT x"], &terms), Ok(true));
    assert_eq!(with(&["del app"], &terms), Ok(false));
    assert_eq!(with(&["yxdomain app", "yxrrset app A", "nxrrset app CNAME", ADD], &terms), Ok(true));
    assert!(with(&["nxdomain app", ADD], &terms).unwrap_err().starts_with("YXDOMAIN"));
    assert!(with(&["nxrrset app A", ADD], &terms).unwrap_err().starts_with("YXRRSET"));
}

#[test]
fn the_serial_follows_its_policy() {
    let made = |serial, unix_seconds| {
        let terms = Terms { permits: &all, wide_ip: &no_wide_ip, serial, unix_seconds, sizes: Sizes::DEFAULT };
        evaluate(&zone(), &read(&script(&[ADD])).unwrap(), &terms).unwrap().unwrap().zone.soa().serial
    };
    assert_eq!(made(SerialPolicy::Increment, 1_800_000_000), 8);
    assert_eq!(made(SerialPolicy::UnixTime, 1_800_000_000), 1_800_000_000);
    assert_eq!(made(SerialPolicy::DateSerial, 1_751_241_600), 2_025_063_000);
}

const LINES: &[&str] = &[
    ADD,
    "add www 60 A 192.0.2.9",
    "add www 5 A 192.0.2.9",
    "add @ 60 NS ns3",
    "add @ 60 SOA ns hostmaster 9 1 2 3 4",
    "add alias 60 CNAME ns",
    "add alias 60 A 192.0.2.9",
    "add moved 60 DNAME other.",
    "add below.moved 60 A 192.0.2.9",
    "add a.deep 60 NS ns",
    "add deep 60 NS ns",
    "add deep 60 DNAME other.",
    "del a.deep",
    "del www",
    "del www A",
    "del www A 192.0.2.7",
    "del @",
    "del @ NS ns",
    "del @ NS ns2",
    "del moved",
    "del sub",
    "yxdomain www",
    "nxrrset new A",
];

proptest! {
    /// Any octets behind the header are refused or read, and a refused message leaves the zone as it was.
    #[test]
    fn any_message_is_refused_or_makes_a_zone_that_keeps_the_rules(
        counts in prop::array::uniform3(0..4_u8), lines in prop::collection::vec(0..LINES.len(), 0..6),
        noise in prop::collection::vec((0..400_usize, any::<u8>()), 0..4), cut in 0..600_usize,
    ) {
        let chosen: Vec<&str> = lines.iter().map(|at| LINES[*at]).collect();
        let mut packet = script(&chosen);
        if cut % 3 == 0 {
            for (at, octet) in noise {
                if let Some(place) = packet.get_mut(at.max(12)) {
                    *place = octet;
                }
            }
            if cut % 2 == 0 {
                packet[7] = counts[0];
                packet[9] = counts[1];
            }
            packet.truncate(cut.max(12));
        }
        let zone = zone();
        let before = print::zone(&zone);
        let Ok(query) = Query::parse(&packet, &mut NameKey::root(SEED), SEED) else { return Ok(()) };
        if let Ok(update) = Update::read(&packet, &query, &name("@")) {
            let terms = Terms { permits: &all, wide_ip: &no_wide_ip, serial: SerialPolicy::Increment, unix_seconds: 0, sizes: Sizes::DEFAULT };
            if let Ok(Some(made)) = evaluate(&zone, &update, &terms) {
                prop_assert_eq!(print::zone(&made.change.apply(&zone).unwrap()), print::zone(&made.zone));
                let text = print::zone(&made.zone);
                let settings = master::Settings { file: "zone", origin: &name("@"), default_ttl: None };
                let loaded = load(text.as_bytes(), &settings, SEED, &mut master::no_include);
                prop_assert!(loaded.is_ok(), "{:?}\n{text}", loaded.err());
                prop_assert!(crate::zone::is_newer(made.change.to, made.change.from));
            }
        }
        prop_assert_eq!(print::zone(&zone), before);
    }
}
