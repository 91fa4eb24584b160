//! Regions and topology records: what is written → conditions with every name known.

use std::sync::Arc;

use crate::topology::{Condition, Continent, Match, Record, Region, Rules};

use super::collections::{List, Named};
use super::file::{self, TopologyMatch};
use super::issues::{Issues, nearest};
use super::limits::TOPOLOGY_SCORE;
use super::names::{Names, check_object_name};
use super::node::{Place, Shortened};

/// The continents' codes, as location databases write them.
const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

/// F5's word for where no database places an address.
const UNKNOWN: &str = "unknown";

/// The names a condition can refer to.
pub(crate) struct Known<'a, 'n> {
    pub(crate) datacenters: &'n Names<'a, crate::wideip::DatacenterId>,
    pub(crate) pools: &'n Names<'a, crate::wideip::PoolId>,
}

/// What a condition is about; some tests make sense for one side only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Answer,
    /// A region, which can be used on both sides.
    Either,
}

/// Checks the regions and records below `root`.
pub(crate) fn resolve(written: &file::Node, root: &Place<'_>, known: &Known<'_, '_>, issues: &Issues) -> Rules {
    let names = region_names(&written.regions, &root.field("regions"), issues);
    let checker = Checker { known, regions: &names, issues };
    let regions = written.regions.iter().filter_map(|(index, name, conditions)| {
        let place = root.field("regions").entry(index);
        let conditions = checker.conditions(conditions?, &place);
        Some(Region { name: name.into(), conditions })
    });
    let regions: Vec<Region> = regions.collect();
    check_nesting(&regions, written, root, issues);
    let records = written.topology.iter().filter_map(|(index, record)| {
        let place = root.field("topology").item(index);
        checker.record(record, &place)
    });
    let records = records.collect();
    Rules { regions, records, longest_match: written.topology_match == Some(TopologyMatch::Longest) }
}

fn region_names<'a>(regions: &'a Named<List<file::Condition>>, place: &Place<'_>, issues: &Issues) -> Names<'a, ()> {
    let mut names = Names::new("region");
    for (index, name, _) in regions.iter() {
        check_object_name(name, &place.entry(index), issues);
        names.insert(name, Some(()));
    }
    names
}

/// Reports regions that contain themselves.
fn check_nesting(regions: &[Region], written: &file::Node, root: &Place<'_>, issues: &Issues) {
    let nested = |region: &Region| -> Vec<Arc<str>> {
        let name = |condition: &Condition| match &condition.is {
            Match::Region(name) => Some(Arc::clone(name)),
            _ => None,
        };
        region.conditions.iter().filter_map(name).collect()
    };
    for (index, name, _) in written.regions.iter() {
        let mut seen: Vec<Arc<str>> = Vec::new();
        let mut next: Vec<Arc<str>> = vec![name.into()];
        while let Some(at) = next.pop() {
            let inner = regions.iter().find(|region| region.name == at).map(&nested).unwrap_or_default();
            if inner.iter().any(|inner| **inner == *name) {
                issues.error_at_key(&root.field("regions").entry(index), "the region contains itself");
                break;
            }
            next.extend(inner.iter().filter(|inner| !seen.contains(inner)).cloned());
            seen.extend(inner);
        }
    }
}

struct Checker<'c, 'a, 'n> {
    known: &'c Known<'a, 'n>,
    regions: &'c Names<'c, ()>,
    issues: &'c Issues,
}

impl Checker<'_, '_, '_> {
    fn conditions(&self, written: &List<file::Condition>, place: &Place<'_>) -> Vec<Condition> {
        if written.is_empty() {
            self.issues.error_at_key(place, "a region needs a condition");
        }
        written
            .iter()
            .filter_map(|(item, condition)| self.condition(condition, &place.item(item), Side::Either))
            .collect()
    }

    fn record(&self, written: &file::Record, place: &Place<'_>) -> Option<Record> {
        let client = self.condition(&written.client, &place.field("client"), Side::Client);
        let answer = self.condition(&written.answer, &place.field("answer"), Side::Answer);
        Some(Record { client: client?, answer: answer?, score: written.score.unwrap_or(TOPOLOGY_SCORE) })
    }

    fn condition(&self, written: &file::Condition, place: &Place<'_>, side: Side) -> Option<Condition> {
        let keys = place.node().map_or(0, |node| node.entries().len());
        if keys != 1 {
            let message = "a condition has exactly one of `subnet`, `continent`, `country`, `state`, `city`, `asn`, \
                           `region`, `datacenter`, `pool` and `not`";
            self.issues.error(place, message);
            return None;
        }
        if let Some(inner) = &written.not {
            let inner = self.condition(inner, &place.field("not"), side)?;
            return Some(Condition { negated: !inner.negated, is: inner.is });
        }
        self.test(written, place, side).map(|is| Condition { negated: false, is })
    }

    fn test(&self, written: &file::Condition, place: &Place<'_>, side: Side) -> Option<Match> {
        if let Some(prefix) = &written.subnet {
            return Some(Match::Subnet(prefix.0));
        }
        if let Some(asn) = written.asn {
            return Some(Match::Asn(asn));
        }
        if let Some(code) = &written.continent {
            return self.continent(code, &place.field("continent"));
        }
        if let Some(code) = &written.country {
            return self.country(code, &place.field("country")).map(Match::Country);
        }
        if let Some(text) = &written.state {
            let (country, state) = self.part(text, &place.field("state"), "US/CA")?;
            return Some(Match::State { country, state });
        }
        if let Some(text) = &written.city {
            let (country, city) = self.part(text, &place.field("city"), "GB/London")?;
            return Some(Match::City { country, city });
        }
        if let Some(name) = &written.region {
            self.regions.find(name, &place.field("region"), self.issues)?;
            return Some(Match::Region(name.as_str().into()));
        }
        self.answer_only(written, place, side)
    }

    fn answer_only(&self, written: &file::Condition, place: &Place<'_>, side: Side) -> Option<Match> {
        let (key, found) = if let Some(name) = &written.datacenter {
            let found = self.known.datacenters.find(name, &place.field("datacenter"), self.issues);
            ("datacenter", found.map(|_| Match::Datacenter(name.as_str().into())))
        } else {
            let name = written.pool.as_ref()?;
            let found = self.known.pools.find(name, &place.field("pool"), self.issues);
            ("pool", found.map(|_| Match::Pool(name.as_str().into())))
        };
        if side == Side::Client {
            self.issues
                .error_at_key(&place.field(key), format!("a client stands in no {key}; it may stand under `answer`"));
            return None;
        }
        found
    }

    fn continent(&self, code: &str, place: &Place<'_>) -> Option<Match> {
        if code.eq_ignore_ascii_case(UNKNOWN) {
            return Some(Match::Continent(Continent::UNKNOWN));
        }
        let upper = code.to_ascii_uppercase();
        match (CONTINENTS.contains(&&*upper), <[u8; 2]>::try_from(upper.as_bytes())) {
            (true, Ok(code)) => Some(Match::Continent(Continent(code))),
            _ => {
                let message = format!("`{}` is not one of {}, {UNKNOWN}", Shortened(code), CONTINENTS.join(", "));
                self.issues.error_with_suggestion(place, message, nearest(code, CONTINENTS));
                None
            }
        }
    }

    fn country(&self, code: &str, place: &Place<'_>) -> Option<[u8; 2]> {
        match <[u8; 2]>::try_from(code.to_ascii_uppercase().as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Some(code),
            _ => {
                let message = format!("`{}` is not a country's code of two letters, such as GB", Shortened(code));
                self.issues.error(place, message);
                None
            }
        }
    }

    fn part(&self, text: &str, place: &Place<'_>, example: &str) -> Option<([u8; 2], Arc<str>)> {
        match text.split_once('/') {
            Some((country, part)) if !part.is_empty() => Some((self.country(country, place)?, part.into())),
            _ => {
                let message = format!("`{}` is not a country's code and a name, such as `{example}`", Shortened(text));
                self.issues.error(place, message);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{check, load_text};

    #[test]
    fn conditions_are_read_with_their_opposites() {
        let text = "node: n\nregions: {a: [{continent: eu}, {not: {country: ru}}, {state: US/CA}, {city: GB/London}, {asn: 64500}]}\n\
                    topology: [{client: {not: {not: {region: a}}}, answer: {subnet: 192.0.2.0/24}}]\ntopology_match: longest";
        let rules = load_text(text).unwrap().topology;
        let conditions = &rules.regions[0].conditions;
        assert_eq!(conditions[0].is, Match::Continent(Continent(*b"EU")));
        assert_eq!((conditions[1].negated, &conditions[1].is), (true, &Match::Country(*b"RU")));
        assert_eq!(conditions[2].is, Match::State { country: *b"US", state: "CA".into() });
        assert_eq!(conditions[3].is, Match::City { country: *b"GB", city: "London".into() });
        assert_eq!((rules.records[0].client.negated, rules.records[0].score), (false, 1));
        assert!(rules.longest_match);
    }

    #[test]
    fn conditions_that_mean_nothing_are_refused() {
        let region = |text: &str, expected: &str| check(&format!("regions: {{a: [{text}]}}"), expected);
        region(
            "{continent: EUR}",
            "2:27: regions.a[0].continent: `EUR` is not one of AF, AN, AS, EU, NA, OC, SA, unknown; did you mean `EU`?",
        );
        region(
            "{country: Norway}",
            "2:25: regions.a[0].country: `Norway` is not a country's code of two letters, such as GB",
        );
        region(
            "{city: London}",
            "2:22: regions.a[0].city: `London` is not a country's code and a name, such as `GB/London`",
        );
        region("{region: b}", "2:24: regions.a[0].region: there is no region `b`");
        region("{region: a}", "2:11: regions.a: the region contains itself");
        region(
            "{subnet: 10.0.0.1/8}",
            "2:24: regions.a[0].subnet: `10.0.0.1/8` is not a prefix such as `10.0.0.0/8` or `2001:db8::/32`: bits are set behind the length; write `10.0.0.0/8`",
        );
        region(
            "{asn: 1, country: GB}",
            "2:15: regions.a[0]: a condition has exactly one of `subnet`, `continent`, `country`, `state`, `city`, `asn`, `region`, `datacenter`, `pool` and `not`",
        );
        region("", "2:11: regions.a: a region needs a condition");
        let record = |text: &str, expected: &str| {
            check(&format!("pools: {{web: {{type: A, members: []}}}}\ntopology: [{text}]"), expected)
        };
        record(
            "{client: {pool: web}, answer: {pool: web}}",
            "3:22: topology[0].client.pool: a client stands in no pool; it may stand under `answer`",
        );
        record(
            "{client: {asn: 1}, answer: {pool: wbe}}",
            "3:46: topology[0].answer.pool: there is no pool `wbe`; did you mean `web`?",
        );
        record("{client: {asn: 1}}", "3:12: topology[0]: `answer` is missing");
    }

    #[test]
    fn regions_may_not_go_in_a_circle() {
        let text = "node: n\nregions:\n  a: [{region: b}]\n  b: [{not: {region: c}}]\n  c: [{region: b}, {asn: 1}]\n";
        let errors = load_text(text).unwrap_err();
        let expected = ["4:3: regions.b: the region contains itself", "5:3: regions.c: the region contains itself"];
        assert_eq!(errors, expected);
    }
}
