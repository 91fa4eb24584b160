//! Topology records and regions as configured, with names as written; compiled for look-up elsewhere.

use std::net::IpAddr;
use std::sync::Arc;

/// An address prefix; bits behind `length` are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address of the prefix.
    pub address: IpAddr,
    /// How many leading bits count: 0–32 for IPv4, 0–128 for IPv6.
    pub length: u8,
}

/// A continent by its two-letter code (AF AN AS EU NA OC SA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Continent(pub [u8; 2]);

/// One test of an address or of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// The address lies in the prefix.
    Subnet(Prefix),
    /// The address is located on the continent.
    Continent(Continent),
    /// The address is located in the country (ISO 3166-1 alpha-2, upper case).
    Country([u8; 2]),
    /// The address is located in the country's subdivision (ISO 3166-2 code without the country, or its English name).
    State {
        /// The country, ISO 3166-1 alpha-2.
        country: [u8; 2],
        /// The subdivision.
        state: Arc<str>,
    },
    /// The address is located in the city (English name).
    City {
        /// The country, ISO 3166-1 alpha-2.
        country: [u8; 2],
        /// The city.
        city: Arc<str>,
    },
    /// The address belongs to the autonomous system.
    Asn(u32),
    /// The address or answer matches the named region.
    Region(Arc<str>),
    /// The answer stands in the datacenter (answers only).
    Datacenter(Arc<str>),
    /// The answer is, or belongs to, the pool (answers only).
    Pool(Arc<str>),
}

/// A test, or its opposite.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Whether the test must fail.
    pub negated: bool,
    /// The test.
    pub is: Match,
}

/// A named set of conditions: matches when any positive condition does (or there is none) and no negated one is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: Arc<str>,
    /// Its conditions; an exclusion beats an inclusion.
    pub conditions: Vec<Condition>,
}

/// One topology record: a client that matches prefers an answer that matches, by `score`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the client must match.
    pub client: Condition,
    /// What the answer must match.
    pub answer: Condition,
    /// How much it counts, 0–4294967295.
    pub score: u32,
}

/// All of it, and how records are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The named regions.
    pub regions: Vec<Region>,
    /// The records, as written.
    pub records: Vec<Record>,
    /// Whether the most specific record wins (`topology_match: longest`) instead of the highest score (F5's rule).
    pub longest_match: bool,
}
