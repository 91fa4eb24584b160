//! A master file → a checked zone.

use crate::wire::{Name, RecordType};

use super::check::{Problem, Severity, check};
use super::master::{Fault, Include, Parsed, Report, Settings, Verdict, locate, read};
use super::{Added, Zone, ZoneBuilder};

/// The most records of a zone. Files are limited too, but `$INCLUDE` may name the same one many times.
pub const ZONE_RECORDS_MAX: usize = 5_000_000;

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
    load_at_most(ZONE_RECORDS_MAX, text, settings, seed, include)
}

fn load_at_most(
    records_max: usize,
    text: &[u8],
    settings: &Settings<'_>,
    seed: u64,
    include: &mut Include<'_>,
) -> Result<Loaded, Vec<Fault>> {
    let mut builder = ZoneBuilder::new(settings.origin, seed);
    let mut records = 0;
    let mut sink = |record: Parsed<'_>| {
        records += 1;
        if records > records_max {
            return Verdict::Refused(format!("more than {records_max} records in the zone"));
        }
        add(&mut builder, record)
    };
    let Report { errors, mut warnings, .. } = read(text, settings, include, &mut sink);
    if !errors.is_empty() {
        return Err(errors);
    }
    let zone = builder.finish();
    let (errors, doubts): (Vec<_>, Vec<_>) =
        check(&zone).into_iter().partition(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(locate(text, settings, include, messages(errors)));
    }
    if !doubts.is_empty() {
        warnings.extend(locate(text, settings, include, messages(doubts)));
    }
    Ok(Loaded { zone, warnings })
}

fn add(builder: &mut ZoneBuilder, record: Parsed<'_>) -> Verdict {
    match builder.add(record.owner, record.record_type, record.ttl, record.rdata) {
        Ok(Added::New) => Verdict::Taken,
        Ok(Added::TtlIgnored) => {
            Verdict::Doubted(format!("the TTL {} differs from that of the RRset, which counts", record.ttl))
        }
        Ok(Added::Duplicate) => {
            let (owner, record_type) = (record.owner, record.record_type);
            Verdict::Doubted(format!("{owner} {record_type}: the same record stands there already"))
        }
        Ok(Added::TooMany) => Verdict::Refused("the RRset is full".to_owned()),
        Err(error) => Verdict::Refused(error.to_string()),
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
    fn records_are_limited() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: None };
        let text = b"@ 60 SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
        assert!(load_at_most(3, text, &settings, 1, &mut no_include).is_ok());
        let errors = load_at_most(2, text, &settings, 1, &mut no_include).unwrap_err();
        assert_eq!(errors.first().unwrap().to_string(), "zone:3:1: more than 2 records in the zone");
    }
}
