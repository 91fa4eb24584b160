//! Topology records and regions as configured, with names as written; compiled for look-up elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// An address prefix; bits behind `length` are zero. A length of 0 is F5's wildcard: it matches every client and every
/// answer, of either family, with an address or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address of the prefix.
    pub address: IpAddr,
    /// How many leading bits count: 0–32 for IPv4, 0–128 for IPv6.
    pub length: u8,
}

/// A continent by its two-letter code (AF AN AS EU NA OC SA), or [`Continent::UNKNOWN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Continent(pub [u8; 2]);

impl Continent {
    /// Where an address is that no database places on a continent (F5's `Unknown`).
    pub const UNKNOWN: Self = Self(*b"--");
}

/// One test of an address or of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// The address lies in the prefix.
    Subnet(Prefix),
    /// The address is located on the continent.
    Continent(Continent),
    /// The address is located in the country (ISO 3166-1 alpha-2, upper case).
    Country([u8; 2]),
    /// The address is located in the country's subdivision (ISO 3166-2 code without the country, or its English name;
    /// case does not matter).
    State {
        /// The country, ISO 3166-1 alpha-2.
        country: [u8; 2],
        /// The subdivision.
        state: Arc<str>,
    },
    /// The address is located in the city (English name; case does not matter).
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
///
/// A condition that cannot be asked of a side does nothing there: a datacenter of a client or of a pool, a subnet of an
/// answer without an address. A region none of whose conditions can be asked matches nothing, and neither does its
/// opposite.
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

impl Prefix {
    /// Makes a prefix; none when the length is too great for the address or bits are set behind it.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let stray = match address {
            IpAddr::V4(v4) if length <= 32 => u32::from(v4).checked_shl(u32::from(length)).unwrap_or(0) != 0,
            IpAddr::V6(v6) if length <= 128 => u128::from(v6).checked_shl(u32::from(length)).unwrap_or(0) != 0,
            _ => return None,
        };
        (!stray).then_some(Self { address, length })
    }

    /// Makes the prefix of that length around an address; a length beyond the address's is cut to it.
    pub fn around(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
                Self { address: IpAddr::V4((u32::from(v4) & mask).into()), length: length.min(32) }
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
                Self { address: IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask)), length: length.min(128) }
            }
        }
    }

    /// Whether the address lies in the prefix; one of the other family does not, unless the length is 0.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.length == 0 || Self::around(address, self.length) == *self
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for Match {
    /// Writes the match as it stands in a configuration, such as `country DE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |bytes: &[u8; 2]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Subnet(prefix) => write!(f, "subnet {prefix}"),
            Self::Continent(Continent::UNKNOWN) => f.write_str("continent unknown"),
            Self::Continent(Continent(continent)) => write!(f, "continent {}", code(continent)),
            Self::Country(country) => write!(f, "country {}", code(country)),
            Self::State { country, state } => write!(f, "state {}/{state}", code(country)),
            Self::City { country, city } => write!(f, "city {}/{city}", code(country)),
            Self::Asn(number) => write!(f, "asn {number}"),
            Self::Region(name) => write!(f, "region {name}"),
            Self::Datacenter(name) => write!(f, "datacenter {name}"),
            Self::Pool(name) => write!(f, "pool {name}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negated { "not " } else { "" }, self.is)
    }
}

impl fmt::Display for Record {
    /// Writes `client country DE, answer datacenter london, score 100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}, answer {}, score {}", self.client, self.answer, self.score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_bits_behind_its_length() {
        let check = |address: &str, length, valid: bool| {
            assert_eq!(Prefix::new(address.parse().unwrap(), length).is_some(), valid, "{address}/{length}");
        };
        check("10.0.0.0", 8, true);
        check("10.0.0.1", 8, false);
        check("10.0.0.1", 32, true);
        check("10.0.0.0", 33, false);
        check("0.0.0.0", 0, true);
        check("128.0.0.0", 0, false);
        check("2001:db8::", 32, true);
        check("2001:db8::", 28, false);
        check("2001:db8::1", 128, true);
        check("2001:db8::1", 129, false);
    }

    #[test]
    fn a_prefix_contains_its_own_family_and_the_wildcard_contains_all() {
        let check = |prefix: (&str, u8), address: &str, expected: bool| {
            let prefix = Prefix::new(prefix.0.parse().unwrap(), prefix.1).unwrap();
            assert_eq!(prefix.contains(address.parse().unwrap()), expected, "{prefix} {address}");
        };
        check(("10.0.0.0", 8), "10.255.255.255", true);
        check(("10.0.0.0", 8), "11.0.0.0", false);
        check(("10.0.0.0", 8), "::a00:1", false);
        check(("2001:db8::", 33), "2001:db8:7fff::1", true);
        check(("2001:db8::", 33), "2001:db8:8000::", false);
        check(("0.0.0.0", 0), "2001:db8::1", true);
        check(("::", 0), "192.0.2.1", true);
    }

    #[test]
    fn a_record_reads_like_its_configuration() {
        let record = Record {
            client: Condition { negated: true, is: Match::State { country: *b"DE", state: "BE".into() } },
            answer: Condition { negated: false, is: Match::Datacenter("london".into()) },
            score: 7,
        };
        assert_eq!(record.to_string(), "client not state DE/BE, answer datacenter london, score 7");
    }
}
