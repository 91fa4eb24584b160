//! Merges of edited files and changes: the rows of the table, and what holds for any three versions.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::master::{Settings, no_include};
use super::merge::{Merged, merge};
use super::{Record, Zone, ZoneBuilder, is_newer, load, print};
use crate::wire::{Name, RecordType};

/// Version `serial` of `example.` with these lines.
fn zone(serial: u32, lines: &str) -> Zone {
    zone_with(&format!("@ 60 SOA ns.test. h.test. {serial} 1 2 3 4"), lines)
}

fn zone_with(soa: &str, lines: &str) -> Zone {
    let origin: Name = "example.".parse().unwrap();
    let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(60) };
    let lines: String = lines.split(';').map(|line| format!("{}\n", line.trim())).collect();
    load(format!("{soa}\n@ NS ns.test.\n{lines}").as_bytes(), &settings, 1, &mut no_include).unwrap().zone
}

/// Merges versions 1 (base), 5 (file) and 3 (served), and gives the result as these lines would stand in a file.
#[track_caller]
fn check(base: &str, file: &str, served: &str, expected: Result<&str, &[&str]>) {
    let outcome = merge(&zone(1, base), &zone(5, file), &zone(3, served));
    match (outcome, expected) {
        (Ok(Merged::Both(merged)), Ok(lines)) => {
            assert_eq!(print::zone(&merged), print::zone(&zone(6, lines)));
        }
        (Err(conflicts), Err(expected)) => {
            let shown: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
            assert_eq!(shown, expected);
        }
        (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
    }
}

#[test]
fn edits_that_do_not_meet_are_put_together() {
    check("a A 192.0.2.1", "a A 192.0.2.1; b A 192.0.2.2", "a A 192.0.2.9", Ok("a A 192.0.2.9; b A 192.0.2.2"));
    check(
        "a A 192.0.2.1; b A 192.0.2.2",
        "a A 192.0.2.1",
        "a A 192.0.2.1; b A 192.0.2.2; c A 192.0.2.3",
        Ok("a A 192.0.2.1; c A 192.0.2.3"),
    );
    // Both at one RRset, each other records.
    check("a TXT x", "a TXT x; a TXT y", "a TXT x; a TXT z", Ok("a TXT x; a TXT y; a TXT z"));
    check("a TXT x; a TXT y", "a TXT y", "a TXT x; a TXT y; a TXT z", Ok("a TXT y; a TXT z"));
    check("", "a TXT x", "a TXT y", Ok("a TXT x; a TXT y"));
    // Both made the same of it.
    check(
        "a A 192.0.2.1; d A 192.0.2.1",
        "a A 192.0.2.2",
        "a A 192.0.2.2; d A 192.0.2.1; c A 192.0.2.3",
        Ok("a A 192.0.2.2; c A 192.0.2.3"),
    );
    // One sets the TTL, the other adds.
    check("a 60 TXT x", "a 30 TXT x", "a 60 TXT x; a 60 TXT y", Ok("a 30 TXT x; a 30 TXT y"));
}

#[test]
fn edits_that_meet_are_conflicts() {
    let replaced = "a.example. A: both replaced the same record: the file replaced 60 A 192.0.2.1 by 60 A 192.0.2.2; \
                    updates replaced 60 A 192.0.2.1 by 60 A 192.0.2.3";
    check("a A 192.0.2.1", "a A 192.0.2.2", "a A 192.0.2.3", Err(&[replaced]));
    let removed = "a.example. A: one side removed what the other added to: the file removed 60 A 192.0.2.1; \
                   updates added 60 A 192.0.2.3";
    check("a A 192.0.2.1", "", "a A 192.0.2.1; a A 192.0.2.3", Err(&[removed]));
    let emptied = "a.example. TXT: each side removed what the other left: the file removed 60 TXT \"x\"; \
                   updates removed 60 TXT \"y\"";
    check("a TXT x; a TXT y", "a TXT y", "a TXT x", Err(&[emptied]));
    let ttl = "a.example. TXT: both set its TTL: the file added 30 TXT \"x\"; updates added 40 TXT \"y\"";
    check("", "a 30 TXT x", "a 40 TXT y", Err(&[ttl]));
    let alias = "a.example. CNAME: it may hold one record, and both sides set one: the file added 60 CNAME x.test.; \
                 updates added 60 CNAME y.test.";
    check("", "a CNAME x.test.", "a CNAME y.test.", Err(&[alias]));
    let hides = "b.a.example. TXT: the NS at a.example. would hide it: the file added 60 NS x.test.; \
                 updates added 60 TXT \"z\"";
    check("", "a NS x.test.", "b.a TXT z", Err(&[hides]));
}

#[test]
fn a_whole_that_breaks_the_rules_of_zones_is_a_conflict() {
    let outcome = merge(&zone(1, ""), &zone(5, "a CNAME x.test."), &zone(3, "a TXT y"));
    let conflicts = outcome.unwrap_err();
    let shown = conflicts[0].to_string();
    assert!(shown.contains("the file added 60 CNAME x.test.; updates added 60 TXT \"y\""), "{shown}");
}

#[test]
fn an_untouched_file_leaves_what_is_served() {
    let outcome = merge(&zone(1, "a A 192.0.2.1"), &zone(1, "a A 192.0.2.1"), &zone(3, "")).unwrap();
    assert!(matches!(outcome, Merged::Served));
    // Touched only: its serial says nothing.
    assert!(matches!(merge(&zone(1, ""), &zone(2, ""), &zone(3, "a A 192.0.2.1")).unwrap(), Merged::Served));
}

#[test]
fn a_file_that_has_all_that_is_served_stands_by_itself() {
    for serial in [3, 9] {
        let outcome = merge(&zone(1, ""), &zone(serial, "a A 192.0.2.1"), &zone(3, "a A 192.0.2.1")).unwrap();
        assert!(matches!(outcome, Merged::File), "{serial}");
    }
    let older = merge(&zone(1, ""), &zone(2, "a A 192.0.2.1"), &zone(3, "a A 192.0.2.1")).unwrap();
    let Merged::Both(older) = older else { panic!("{older:?}") };
    assert_eq!(older.soa().serial, 4, "what secondaries have is never newer than what is served");
}

#[test]
fn the_fields_of_the_soa_are_merged_each_for_itself() {
    let soa = |soa: &str| zone_with(&format!("@ 60 SOA {soa}"), "");
    let base = soa("ns.test. h.test. 1 10 20 30 40");
    let merged = merge(&base, &soa("ns.test. h.test. 2 11 20 30 40"), &soa("ns2.test. h.test. 2 10 20 30 41")).unwrap();
    let Merged::Both(merged) = merged else { panic!("{merged:?}") };
    assert_eq!(print::zone(&merged), print::zone(&soa("ns2.test. h.test. 3 11 20 30 41")));
    let conflicts =
        merge(&base, &soa("ns.test. h.test. 2 11 20 30 40"), &soa("ns.test. h.test. 2 12 20 30 40")).unwrap_err();
    assert!(conflicts[0].to_string().starts_with("example. SOA: both changed a field"), "{}", conflicts[0]);
    let far = merge(&base, &soa("ns.test. h.test. 2147483650 10 20 30 41"), &soa("ns.test. h.test. 2 10 20 30 40"));
    assert!(far.unwrap_err()[0].to_string().contains("no serial is newer than both"));
}

type Contents = BTreeSet<(Name, RecordType, Vec<u8>)>;

fn contents(zone: &Zone) -> Contents {
    let mut all = Contents::new();
    zone.for_each(|owner, rrset| {
        for rdata in rrset.rdatas().filter(|_| rrset.record_type != RecordType::SOA) {
            all.insert((Name::from_wire(owner).unwrap(), rrset.record_type, rdata.to_vec()));
        }
    });
    all
}

/// A zone of few names and few records, so that versions of it often meet.
fn version(serial: u32, records: &[(u8, u8)]) -> Zone {
    let mut builder = ZoneBuilder::from(&zone(serial, ""));
    for (name, last) in records {
        let name: Name = format!("h{name}.example.").parse().unwrap();
        let record = Record { name, record_type: RecordType::A, ttl: 60, rdata: Box::new([192, 0, 2, *last]) };
        builder.add(&record.name, record.record_type, record.ttl, &record.rdata).unwrap();
    }
    builder.finish()
}

fn records() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..5_u8, 0..3_u8), 0..8)
}

proptest! {
    /// Nothing that either side added is lost, nothing that either side removed is there, nothing else changed, the
    /// order of the sides does not matter, and the serial is newer than both.
    #[test]
    fn nothing_is_lost(base in records(), file in records(), served in records(), serials in (1..9_u32, 1..9_u32)) {
        let (base, file, served) = (version(0, &base), version(serials.0, &file), version(serials.1, &served));
        let (one, other) = (merge(&base, &file, &served), merge(&base, &served, &file));
        prop_assert_eq!(one.is_ok(), other.is_ok());
        if let Ok(Merged::Both(merged)) = &one {
            let [b, f, s, m] = [&base, &file, &served, merged].map(contents);
            for record in b.union(&f).chain(&s) {
                let (in_base, in_file, in_served) = (b.contains(record), f.contains(record), s.contains(record));
                let expected = if in_base { in_file && in_served } else { in_file || in_served };
                prop_assert_eq!(m.contains(record), expected, "{:?}", record);
            }
            prop_assert_eq!(m.difference(&b.union(&f).chain(&s).cloned().collect()).count(), 0);
            if let Ok(Merged::Both(mirrored)) = &other {
                prop_assert_eq!(contents(mirrored), m);
            }
            let serial = merged.soa().serial;
            prop_assert!(is_newer(serial, file.soa().serial) && is_newer(serial, served.soa().serial));
        }
    }

    /// A side that did nothing leaves the other's version as it is.
    #[test]
    fn one_side_alone_is_taken_as_it_is(base in records(), other in records()) {
        let (base, other) = (version(1, &base), version(3, &other));
        prop_assert!(matches!(merge(&base, &base, &other), Ok(Merged::Served)));
        prop_assert!(matches!(merge(&base, &other, &other), Ok(Merged::File | Merged::Served)));
        match merge(&base, &other, &base) {
            Ok(Merged::File) => prop_assert_eq!(contents(&other), contents(&base)),
            Ok(Merged::Both(merged)) => prop_assert_eq!(contents(&merged), contents(&other)),
            outcome => prop_assert!(false, "{:?}", outcome),
        }
    }
}
