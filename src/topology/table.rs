//! The compiled topology: from a client address to its class, from a class and an answer to a score.

use std::net::IpAddr;
use std::sync::Arc;

use super::error::TopologyError;
use super::location::Location;
use super::rule::{Record, Rules};

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
pub struct AnswerClass {
    /// The matching conditions, ascending.
    matches: Arc<[u32]>,
}

/// Topology records, regions and locations compiled for look-up.
#[derive(Debug, Default)]
pub struct Topology {}

impl Topology {
    /// Compiles rules over databases in MaxMind's format.
    ///
    /// # Errors
    /// Names the rule or database at fault.
    pub fn compile(_rules: &Rules, _city: Option<&[u8]>, _asn: Option<&[u8]>) -> Result<Self, TopologyError> {
        Ok(Self {})
    }

    /// Finds the class of a client. An IPv4-mapped IPv6 address is looked up as IPv4.
    pub fn locate(&self, _address: IpAddr) -> Place {
        Place::default()
    }

    /// Tells which answer conditions a candidate matches; asked when tables are built, not per query.
    pub fn classify_answer(&self, _candidate: &Candidate<'_>) -> AnswerClass {
        AnswerClass { matches: Arc::from([]) }
    }

    /// Scores a candidate for a client: the highest score should be answered, equal scores in turn, 0 is no preference.
    pub fn score(&self, _class: ClassId, _answer: &AnswerClass) -> u32 {
        0
    }

    /// Tells which record gave the score.
    pub fn explain_score(&self, _class: ClassId, _answer: &AnswerClass) -> Option<&Record> {
        None
    }

    /// Tells where the databases place an address.
    pub fn describe(&self, _address: IpAddr) -> Location {
        Location::default()
    }
}
