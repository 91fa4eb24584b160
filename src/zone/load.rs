//! A master file → a checked zone.

use crate::wire::{Name, RecordType};

use super::bulk::{Built, Bulk, Doubt};
use super::check::{Problem, Severity, check_within};
use super::master::{Fault, Include, Parsed, Report, Settings, Verdict, locate, read};
use super::sizes::Sizes;
use super::{AddError, Added, Zone};

/// A zone that may be served, and what should be looked at.
#[derive(Debug)]
pub struct Loaded {
    /// The zone.
    pub zone: Zone,
    /// What is doubtful in it; at most 100 of the text and 100 of the zone.
    pub warnings: Vec<Fault>,
}

/// Reads a master file, makes the zone at `settings.origin` and checks it. `seed` is the secret its names are hashed with.
///
/// # Errors
/// Every error of the text; when there is none, every error of the zone. Warnings are told once the errors are gone.
pub fn load(text: &[u8], settings: &Settings<'_>, seed: u64, include: &mut Include<'_>) -> Result<Loaded, Vec<Fault>> {
    load_within(&Sizes::DEFAULT, text, settings, seed, include)
}

/// As [`load`], of a zone that may be as large as `sizes` says.
///
/// # Errors
/// As [`load`].
pub fn load_within(
    sizes: &Sizes,
    text: &[u8],
    settings: &Settings<'_>,
    seed: u64,
    include: &mut Include<'_>,
) -> Result<Loaded, Vec<Fault>> {
    let mut bulk = Bulk::new(settings.origin, seed, text.len());
    let mut records = 0;
    let mut sink = |record: Parsed<'_>| {
        records += 1;
        if records > sizes.records {
            let max = sizes.records;
            return Verdict::Refused(format!("more than {max} records in the zone (`limits.zones.records`)"));
        }
        match bulk.add(record.owner, record.record_type, record.ttl, record.rdata) {
            Ok(()) => Verdict::Taken,
            Err(error) => Verdict::Refused(error.to_string()),
        }
    };
    let mut report = read(text, settings, include, &mut sink);
    if !report.errors.is_empty() {
        return Err(report.errors);
    }
    let Built { zone, refused, doubted, .. } = bulk.finish(sizes.rrset_records);
    if !refused.is_empty() || !doubted.is_empty() {
        let doubts = refused.into_iter().chain(doubted).collect();
        report = place(text, settings, include, doubts, sizes.rrset_records);
    }
    let Report { errors, mut warnings, .. } = report;
    if !errors.is_empty() {
        return Err(errors);
    }
    let (errors, doubts): (Vec<_>, Vec<_>) =
        check_within(&zone, sizes).into_iter().partition(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(locate(text, settings, include, messages(errors)));
    }
    if !doubts.is_empty() {
        warnings.extend(locate(text, settings, include, messages(doubts)));
    }
    Ok(Loaded { zone, warnings })
}

/// Reads the text again to tell where the records stand that were not simply taken, which are few where there are any.
fn place(
    text: &[u8],
    settings: &Settings<'_>,
    include: &mut Include<'_>,
    mut doubts: Vec<Doubt>,
    rrset_records_max: u16,
) -> Report {
    doubts.sort_unstable();
    let mut doubts = doubts.into_iter().peekable();
    let mut number = 0;
    let mut sink = |record: Parsed<'_>| {
        let doubt = doubts.next_if(|doubt| doubt.record == number);
        number += 1;
        doubt.map_or(Verdict::Taken, |doubt| verdict(doubt.added, record, rrset_records_max))
    };
    read(text, settings, include, &mut sink)
}

fn verdict(added: Added, record: Parsed<'_>, rrset_records_max: u16) -> Verdict {
    match added {
        Added::New => Verdict::Taken,
        Added::TtlIgnored => {
            Verdict::Doubted(format!("the TTL {} differs from that of the RRset, which counts", record.ttl))
        }
        Added::Duplicate => {
            let (owner, record_type) = (record.owner, record.record_type);
            Verdict::Doubted(format!("{owner} {record_type}: the same record stands there already"))
        }
        Added::TooMany => Verdict::Refused(AddError::TooLarge(rrset_records_max).to_string()),
    }
}

fn messages(problems: Vec<Problem>) -> Vec<(Name, Option<RecordType>, String)> {
    let message = |problem: Problem| {
        let record_type = problem.record_type.map(|record_type| format!(" {record_type}")).unwrap_or_default();
        (problem.name.clone(), problem.record_type, format!("{}{record_type}: {}", problem.name, problem.reason))
    };
    problems.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::super::master::{Included, no_include};
    use super::*;

    #[test]
    fn a_good_file_becomes_a_zone() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: None };
        let text = b"@ 60 SOA ns admin 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n$INCLUDE more\n";
        let mut include =
            |_: &str, _: &str| Ok(Included { name: "more".to_owned(), text: b"a MX 1 b\nb CNAME ns\n".to_vec() });
        let loaded = load(text, &settings, 1, &mut include).unwrap();
        assert_eq!((loaded.zone.records(), loaded.zone.soa().serial), (5, 7));
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["more:1:1: a.example. MX: points at b.example., which is an alias"]);
    }

    #[test]
    fn errors_of_the_text_come_before_those_of_the_zone() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(1) };
        let errors = |text: &[u8]| {
            let errors = load(text, &settings, 1, &mut no_include).unwrap_err();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(errors(b"a A x"), ["zone:1:5: A address: \"x\" is no IPv4 address"]);
        assert_eq!(errors(b"").len(), 2);
    }

    #[test]
    fn records_that_are_not_simply_taken_are_placed() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(1) };
        let apex = "@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
        let check = |text: &str, expected: &[&str]| {
            let text = format!("{apex}{text}");
            let faults = match load(text.as_bytes(), &settings, 1, &mut no_include) {
                Ok(loaded) => loaded.warnings,
                Err(errors) => errors,
            };
            assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        check(
            "b A 192.0.2.1\na A 192.0.2.1\nb 2 A 192.0.2.2\na A 192.0.2.1\n",
            &[
                "zone:6:1: the TTL 2 differs from that of the RRset, which counts",
                "zone:7:1: a.example. A: the same record stands there already",
            ],
        );
        let many: String = (0..=500).map(|n| format!("a A 10.0.{}.{}\n", n / 256, n % 256)).collect();
        check(&many, &["zone:504:1: the RRset would hold more than 500 records (`limits.zones.rrset_records`)"]);
    }

    #[test]
    fn records_are_limited() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: None };
        let text = b"@ 60 SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
        let first = |sizes: Sizes, text: &[u8]| {
            let errors = load_within(&sizes, text, &settings, 1, &mut no_include).err().unwrap_or_default();
            errors.first().map(ToString::to_string)
        };
        let records = |records| Sizes { records, ..Sizes::DEFAULT };
        assert_eq!(first(records(3), text), None);
        let over = "zone:3:1: more than 2 records in the zone (`limits.zones.records`)";
        assert_eq!(first(records(2), text).as_deref(), Some(over));
        let several = [&text[..], b"ns A 192.0.2.2\nns TXT x\n"].concat();
        let small = |rrset_records, types| Sizes { rrset_records, types, ..Sizes::DEFAULT };
        assert_eq!(first(small(2, 2), &several), None);
        let over = "zone:4:1: the RRset would hold more than 1 records (`limits.zones.rrset_records`)";
        assert_eq!(first(small(1, 2), &several).as_deref(), Some(over));
        let over = "2 types at one name, more than 1 (`limits.zones.types`)";
        assert!(first(small(2, 1), &several).unwrap().ends_with(over));
    }
}
