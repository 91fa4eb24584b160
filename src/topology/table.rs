//! The compiled topology: from a client address to its class, from a class and an answer to a score.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::database::Databases;
use super::lists::{First, List, Lists};
use super::location::Location;
use super::matches::Matches;
use super::order::Ranked;
use super::ranges::{Boundaries, Ipv6Ranges, Ranges, index, stored};
use super::regions::Side;
use super::rule::{Condition, Match, Record};

/// Clients that no record tells apart. Class 0 is that of clients that match no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(pub u32);

/// Where a client is, as far as records care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Its class.
    pub class: ClassId,
    /// The length of the shortest prefix around the address in which every address has that class: the scope that an
    /// answer decided by the class has (RFC 7871 §7.2.1). 0–32 for IPv4, 0–128 for IPv6.
    pub prefix_length: u8,
}

/// Something that may be answered: a pool at the wide IP's tier, a member at the pool's tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Candidate<'a> {
    /// The pool itself, or the member's pool.
    pub pool: Option<&'a str>,
    /// The member's datacenter; none at the wide IP's tier, where datacenters do nothing.
    pub datacenter: Option<&'a str>,
    /// The member's address, where it has one.
    pub address: Option<IpAddr>,
}

/// Which answer conditions a candidate matches. Cheap to clone; candidates that compare equal always score the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AnswerClass(AnswerMatches);

/// The matching conditions, ascending. The usual few lie in place, so that scoring many candidates reads memory in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum AnswerMatches {
    Few { length: u8, list: [u32; FEW] },
    Many(Arc<[u32]>),
}

/// How many matching conditions lie in place.
const FEW: usize = 5;

impl Default for AnswerMatches {
    fn default() -> Self {
        Self::Few { length: 0, list: [0; FEW] }
    }
}

impl AnswerClass {
    fn new(mut matches: Vec<u32>) -> Self {
        matches.sort_unstable();
        let length = matches.len();
        let few = u8::try_from(length).ok().filter(|_| length <= FEW);
        Self(match few {
            Some(length) => {
                matches.resize(FEW, 0);
                AnswerMatches::Few { length, list: matches.try_into().unwrap_or_default() }
            }
            None => AnswerMatches::Many(matches.into()),
        })
    }

    fn matches(&self) -> &[u32] {
        match &self.0 {
            AnswerMatches::Few { length, list } => list.get(..usize::from(*length)).unwrap_or(&[]),
            AnswerMatches::Many(list) => list,
        }
    }
}

/// How many lists a class has: those of prefixes, those of cities and autonomous systems, and those of all else.
pub(super) const LAYERS: usize = 3;

/// What clients of one class match: in each list, the first record for each answer condition.
///
/// One cache line: of many classes, each client's is another, and reading it is what a score costs most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(align(64))]
pub(super) struct Class {
    pub(super) lists: [List; LAYERS],
}

/// The distinct answer conditions, numbered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    plain: HashMap<u32, u32>,
    negated: HashMap<u32, u32>,
}

impl Answers {
    /// Numbers the answer conditions of records.
    pub(super) fn new(matches: &Matches, ranked: &[Ranked<'_>]) -> Self {
        let mut answers = Self::default();
        for ranked in ranked {
            let next = stored(answers.len());
            let Condition { negated, is } = &ranked.record.answer;
            let ids = if *negated { &mut answers.negated } else { &mut answers.plain };
            matches.id(is).map(|id| *ids.entry(id).or_insert(next));
        }
        answers
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.negated.len()
    }

    /// The number of an answer condition.
    pub(super) fn id(&self, matches: &Matches, condition: &Condition) -> Option<u32> {
        let ids = if condition.negated { &self.negated } else { &self.plain };
        ids.get(&matches.id(&condition.is)?).copied()
    }
}

/// Topology records, regions and locations compiled for look-up.
///
/// A score is found as F5 finds it: the records are sorted by how specific they are, the first that matches both
/// the client and the answer gives the score, and later ones are shadowed.
#[derive(Debug)]
pub struct Topology {
    pub(super) ipv4: Ranges<u32>,
    pub(super) ipv6: Ipv6Ranges,
    pub(super) classes: Vec<Class>,
    pub(super) lists: Lists,
    /// The records, in the order in which they are looked at.
    pub(super) records: Vec<Record>,
    pub(super) answers: Answers,
    pub(super) matches: Matches,
    pub(super) databases: Databases,
}

impl Default for Topology {
    /// No rules: one class, and every score is 0.
    fn default() -> Self {
        Self {
            ipv4: Ranges::new(&Boundaries::new()),
            ipv6: Ipv6Ranges::new(&Boundaries::new()),
            classes: vec![Class::default()],
            lists: Lists::default(),
            records: Vec::new(),
            answers: Answers::default(),
            matches: Matches::default(),
            databases: Databases::default(),
        }
    }
}

impl Topology {
    /// Finds the class of a client. An IPv4-mapped IPv6 address is looked up as IPv4, and its prefix has the 96 bits in
    /// front.
    pub fn locate(&self, address: IpAddr) -> Place {
        let (class, prefix_length) = match address {
            IpAddr::V4(address) => self.ipv4.find(address.into()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => {
                    let (class, length) = self.ipv4.find(mapped.into());
                    (class, if self.classes.len() > 1 { length + 96 } else { 0 })
                }
                None => self.ipv6.find(address.into()),
            },
        };
        Place { class: ClassId(class), prefix_length }
    }

    /// Scores a candidate for a client: the highest score should be answered, equal scores in turn, 0 is no preference.
    ///
    /// By F5's rule (the default) this is the score of the first record that matches both, so that a wildcard with
    /// score 100 beats a /32 with score 5. With [`Rules::longest_match`](super::Rules::longest_match) it is a number
    /// that grows with how specific the record's client condition is, then with the record's score; a record with score
    /// 0 gives 0 in both.
    pub fn score(&self, class: ClassId, answer: &AnswerClass) -> u32 {
        self.first_record(class, answer).map_or(0, |first| first.value)
    }

    /// Tells which record gave the score; none when no record matches both.
    pub fn explain_score(&self, class: ClassId, answer: &AnswerClass) -> Option<&Record> {
        self.first_record(class, answer).and_then(|first| self.records.get(index(first.rank)))
    }

    /// Tells which answer conditions a candidate matches; asked when tables are built, not per query.
    pub fn classify_answer(&self, candidate: &Candidate<'_>) -> AnswerClass {
        let mut plain = Vec::new();
        if let Some(address) = candidate.address.map(|address| address.to_canonical()) {
            let location = self.databases.describe(address);
            self.matches.push_prefixes(address, &mut plain);
            self.matches.push_location(&location, &mut plain);
            self.matches.push_asn(&location, &mut plain);
        }
        let pool = candidate.pool.map(|pool| Match::Pool(pool.into()));
        let datacenter = candidate.datacenter.map(|datacenter| Match::Datacenter(datacenter.into()));
        plain.extend(pool.iter().chain(&datacenter).filter_map(|is| self.matches.id(is)));
        let side = Side::ADDRESS
            .only_if(candidate.address.is_some())
            .with(Side::DATACENTER.only_if(datacenter.is_some()))
            .with(Side::POOL.only_if(pool.is_some()));
        let holding = self.matches.complete(side, plain);
        let holds = |id: &u32| holding.binary_search(id).is_ok();
        let matching = holding.iter().filter_map(|id| self.answers.plain.get(id));
        let broken = self.answers.negated.iter().filter(|(id, _)| !holds(id) && self.matches.applies(**id, side));
        AnswerClass::new(matching.chain(broken.map(|(_, answer)| answer)).copied().collect())
    }

    /// Tells where the databases place an address. Allocates; for explanations, not per query.
    pub fn describe(&self, address: IpAddr) -> Location {
        self.databases.describe(address)
    }

    /// How many classes of clients the records tell apart.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// How much memory the look-up structures hold, in octets; records, conditions and databases not counted.
    pub fn memory(&self) -> usize {
        self.ipv4.memory() + self.ipv6.memory() + self.lists.memory() + size_of_val(self.classes.as_slice())
    }

    fn first_record(&self, class: ClassId, answer: &AnswerClass) -> Option<First> {
        let (class, matches) = (self.classes.get(index(class.0))?, answer.matches());
        class.lists.iter().filter_map(|list| self.lists.first(*list, matches)).min()
    }
}
