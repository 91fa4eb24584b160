//! What a decision is asked and what it says.

use std::fmt;
use std::net::IpAddr;

use super::{PoolId, PoolMethod};
use crate::wire::{ClientSubnet, Rcode, RecordType};

/// Who asks, as far as a decision looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address the query came from: a resolver's, as a rule.
    pub source: IpAddr,
    /// The client subnet that the resolver passed on (RFC 7871).
    pub subnet: Option<ClientSubnet>,
}

/// A decision, with all that a reply, a counter and a log line need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What is answered.
    pub answer: Answer,
    /// The type of the records answered; CNAME when a CNAME pool answers for another type.
    pub record_type: RecordType,
    /// The TTL of the records answered or, of a negative answer, the most its SOA may have, in seconds.
    pub ttl_seconds: u32,
    /// How many bits of the client subnet decided, for RFC 7871's SCOPE PREFIX-LENGTH: 0 when it did not matter. It may
    /// be longer than the prefix that was sent (RFC 7871 §7.2.1).
    pub scope: u8,
    /// The pool that answers; none when no pool does.
    pub pool: Option<PoolId>,
    /// How far down the chain the answer was found.
    pub tier: Tier,
    /// What chose it.
    pub reason: Reason,
    /// The number of (wide IP, pool), in the order of [`Tables::pairs`](super::Tables::pairs).
    pub pair: u32,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The members in [`Memory::picked`](super::Memory::picked), at least one.
    Members,
    /// One address, of the family of the wide IP's type.
    Address(IpAddr),
    /// What the static zone has, as if there were no wide IP.
    ReturnToDns,
    /// No records, with an SOA.
    NoData,
    /// This response code.
    Rcode(Rcode),
    /// No reply.
    Drop,
}

/// How far down the chain an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The pool's preferred method.
    Preferred,
    /// The pool's alternate method.
    Alternate,
    /// The pool's fallback method.
    Fallback,
    /// The last resort pool, by any of its methods.
    LastResort,
    /// Nothing was available: what the wide IP answers then.
    AllDown,
}

/// What chose the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A pool's method.
    Method(PoolMethod),
    /// All was down and is served as configured; the method that chose among all enabled members.
    AllDown(PoolMethod),
    /// All was down; the method that chose among the members that were available last.
    LastKnownGood(PoolMethod),
    /// All was down; the wide IP's configured answer to that.
    WhenAllDown,
    /// All was down and nothing is enabled with a known address, so there is nothing to serve.
    NothingEnabled,
    /// The wide IP is disabled.
    Disabled,
}

/// The outcomes that are counted, in the order of [`Decision::outcome`].
pub const OUTCOMES: &[&str] = &[
    "preferred",
    "alternate",
    "fallback",
    "last_resort",
    "all_down",
    "last_known_good",
    "fallback_ip",
    "return_to_dns",
    "no_data",
    "rcode",
    "dropped",
];

impl Decision {
    /// The index in [`OUTCOMES`] under which the decision is counted.
    pub const fn outcome(&self) -> usize {
        match (self.answer, self.tier) {
            (Answer::Members, Tier::Preferred) => 0,
            (Answer::Members, Tier::Alternate) => 1,
            (Answer::Members, Tier::Fallback) => 2,
            (Answer::Members, Tier::LastResort) => 3,
            (Answer::Members, Tier::AllDown) => match self.reason {
                Reason::LastKnownGood(_) => 5,
                _ => 4,
            },
            (Answer::Address(_), _) => 6,
            (Answer::ReturnToDns, _) => 7,
            (Answer::NoData, _) => 8,
            (Answer::Rcode(_), _) => 9,
            (Answer::Drop, _) => 10,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preferred => "preferred",
            Self::Alternate => "alternate",
            Self::Fallback => "fallback",
            Self::LastResort => "last resort",
            Self::AllDown => "all down",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "{method}"),
            Self::AllDown(method) => write!(f, "all down, served as configured by {method}"),
            Self::LastKnownGood(method) => write!(f, "all down, last known good by {method}"),
            Self::WhenAllDown => f.write_str("all down, as when_all_down says"),
            Self::NothingEnabled => f.write_str("all down, and nothing that is enabled has a known address"),
            Self::Disabled => f.write_str("the wide IP is disabled"),
        }
    }
}

impl fmt::Display for PoolMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round robin",
            Self::Ratio => "ratio",
            Self::GlobalAvailability => "global availability",
            Self::Topology => "topology",
            Self::StaticPersistence => "static persistence",
            Self::LeastConnections => "least connections",
            Self::FallbackIp => "fallback ip",
            Self::DropPacket => "drop packet",
            Self::ReturnToDns => "return to dns",
            Self::None => "none",
        })
    }
}

impl fmt::Display for super::WideIpMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round robin",
            Self::Ratio => "ratio",
            Self::GlobalAvailability => "global availability",
            Self::Topology => "topology",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members => f.write_str("members"),
            Self::Address(address) => write!(f, "{address}"),
            Self::ReturnToDns => f.write_str("the static zone's answer"),
            Self::NoData => f.write_str("no data"),
            Self::Rcode(rcode) => write!(f, "{rcode}"),
            Self::Drop => f.write_str("no reply"),
        }
    }
}
