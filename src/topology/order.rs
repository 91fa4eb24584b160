//! The order in which records are looked at: F5's longest match.
//!
//! Records without `not` come first, then those with `not` on the answer, then those with `not` on the client, then
//! those with a wildcard (a prefix of length 0) on either side. Among these the more specific client comes first, then
//! the more specific answer, then the greater score, then what is written first. A condition's specificity is: longer
//! prefix before shorter, then datacenter and pool, region, autonomous system, city, state, country, continent.

use std::cmp::Reverse;

use super::ranges::stored;
use super::rule::{Condition, Match, Record, Rules};

/// A record in its place.
#[derive(Debug)]
pub(super) struct Ranked<'a> {
    pub(super) record: &'a Record,
    /// What a candidate scores when this is its first matching record.
    pub(super) value: u32,
}

/// Smaller is looked at first; equal in all of it are equally specific.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Specificity {
    bucket: u8,
    client: (u8, u8),
}

/// Sorts the records and gives each its value.
///
/// By F5's rule that is the record's score. With [`Rules::longest_match`] the value grows with the specificity of the
/// client condition first and the score second, so that the highest value is again what should be answered and equal
/// ones are equally good; a score of 0 stays 0, so that it still says "rather not".
pub(super) fn rank(rules: &Rules) -> Vec<Ranked<'_>> {
    let mut records: Vec<&Record> = rules.records.iter().collect();
    records.sort_by_key(|record| (specificity(record), condition_specificity(&record.answer), Reverse(record.score)));
    if !rules.longest_match {
        return records.into_iter().map(|record| Ranked { record, value: record.score }).collect();
    }
    let key = |record: &Record| (specificity(record), Reverse(record.score));
    let mut keys: Vec<_> = records.iter().map(|record| key(record)).collect();
    keys.sort_unstable();
    keys.dedup();
    let value = |record: &Record| match record.score {
        0 => 0,
        _ => stored(keys.len() - keys.binary_search(&key(record)).unwrap_or(0)),
    };
    records.into_iter().map(|record| Ranked { record, value: value(record) }).collect()
}

fn specificity(record: &Record) -> Specificity {
    let is_wildcard = |condition: &Condition| matches!(condition.is, Match::Subnet(prefix) if prefix.length == 0);
    let bucket = match (&record.client, &record.answer) {
        (client, answer) if is_wildcard(client) || is_wildcard(answer) => 3,
        (client, _) if client.negated => 2,
        (_, answer) if answer.negated => 1,
        _ => 0,
    };
    Specificity { bucket, client: condition_specificity(&record.client) }
}

fn condition_specificity(condition: &Condition) -> (u8, u8) {
    match &condition.is {
        Match::Subnet(prefix) if prefix.length == 0 => (8, 0),
        Match::Subnet(prefix) => (0, u8::MAX - prefix.length),
        Match::Datacenter(_) | Match::Pool(_) => (1, 0),
        Match::Region(_) => (2, 0),
        Match::Asn(_) => (3, 0),
        Match::City { .. } => (4, 0),
        Match::State { .. } => (5, 0),
        Match::Country(_) => (6, 0),
        Match::Continent(_) => (7, 0),
    }
}
