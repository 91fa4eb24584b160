//! What can be wrong with rules before any location is looked at.

use std::collections::HashSet;

use super::error::{Database, Rule, TopologyError};
use super::rule::{Condition, Match, Prefix, Rules};

/// Which databases are there to answer with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Available {
    pub(super) city: bool,
    pub(super) asn: bool,
}

/// Checks every condition of every region and record by itself.
///
/// # Errors
/// The first unknown region, doubled region, bad prefix, client that is none, or missing database.
pub(super) fn check(rules: &Rules, available: Available) -> Result<(), TopologyError> {
    let mut names = HashSet::new();
    for region in &rules.regions {
        if !names.insert(&*region.name) {
            return Err(TopologyError::DuplicateRegion { region: region.name.to_string() });
        }
    }
    for region in &rules.regions {
        for condition in &region.conditions {
            check_condition(condition, &names, available, || Rule::Region(region.name.to_string()))?;
        }
    }
    for (position, record) in rules.records.iter().enumerate() {
        let rule = || Rule::Record(position);
        check_condition(&record.client, &names, available, rule)?;
        check_condition(&record.answer, &names, available, rule)?;
        if matches!(record.client.is, Match::Datacenter(_) | Match::Pool(_)) {
            return Err(TopologyError::NotAClient { rule: rule(), test: record.client.is.to_string() });
        }
    }
    Ok(())
}

fn check_condition(
    condition: &Condition,
    regions: &HashSet<&str>,
    available: Available,
    rule: impl Fn() -> Rule,
) -> Result<(), TopologyError> {
    let needs = |database, there: bool| match there {
        true => Ok(()),
        false => Err(TopologyError::MissingDatabase { rule: rule(), test: condition.is.to_string(), database }),
    };
    match &condition.is {
        Match::Subnet(prefix) if !is_usable(prefix) => {
            Err(TopologyError::BadPrefix { rule: rule(), prefix: prefix.to_string() })
        }
        Match::Region(name) if !regions.contains(&**name) => {
            Err(TopologyError::UnknownRegion { rule: rule(), region: name.to_string() })
        }
        Match::Continent(_) | Match::Country(_) | Match::State { .. } | Match::City { .. } => {
            needs(Database::City, available.city)
        }
        Match::Asn(_) => needs(Database::Asn, available.asn),
        Match::Subnet(_) | Match::Region(_) | Match::Datacenter(_) | Match::Pool(_) => Ok(()),
    }
}

fn is_usable(prefix: &Prefix) -> bool {
    Prefix::new(prefix.address, prefix.length).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::rule::{Continent, Record, Region};

    fn is(is: Match) -> Condition {
        Condition { negated: false, is }
    }

    fn anywhere() -> Condition {
        is(Match::Subnet(Prefix { address: [0, 0, 0, 0].into(), length: 0 }))
    }

    fn check_message(regions: &[(&str, Match)], client: Match, expected: &str) {
        let regions = regions
            .iter()
            .map(|(name, condition)| Region { name: (*name).into(), conditions: vec![is(condition.clone())] });
        let records = vec![
            Record { client: anywhere(), answer: anywhere(), score: 1 },
            Record { client: is(client), answer: anywhere(), score: 1 },
        ];
        let rules = Rules { regions: regions.collect(), records, longest_match: false };
        let error = check(&rules, Available { city: false, asn: false }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn errors_name_the_rule_and_what_to_do() {
        let region = |name: &str| Match::Region(name.into());
        let prefix = |address: [u8; 4], length| Match::Subnet(Prefix { address: address.into(), length });
        check_message(&[], region("emea"), "topology[1]: there is no region \"emea\"");
        check_message(&[("a", region("b"))], prefix([10, 0, 0, 0], 8), "regions.a: there is no region \"b\"");
        check_message(
            &[("a", prefix([10, 0, 0, 0], 8)), ("a", prefix([11, 0, 0, 0], 8))],
            region("a"),
            "regions.a: this name is given twice",
        );
        check_message(
            &[],
            prefix([10, 0, 0, 1], 8),
            "topology[1]: 10.0.0.1/8 is not a prefix: its length is too great or bits are set behind it",
        );
        check_message(
            &[],
            Match::Pool("web".into()),
            "topology[1]: pool web is no property of a client; use it on the answer side",
        );
        check_message(
            &[("eu", Match::Continent(Continent(*b"EU")))],
            region("eu"),
            "regions.eu: continent EU needs the city database; set geoip.city to its file",
        );
        check_message(
            &[],
            Match::Asn(64496),
            "topology[1]: asn 64496 needs the asn database; set geoip.asn to its file",
        );
    }
}
