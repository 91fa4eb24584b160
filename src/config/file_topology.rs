//! Regions and topology records as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Written;
use crate::topology::Prefix;

/// One test: exactly one of the keys is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct Condition {
    /// The address lies in the prefix.
    pub(crate) subnet: Option<Written<Prefix>>,
    /// The address is located on the continent: AF, AN, AS, EU, NA, OC or SA; `unknown` where no database
    /// places it.
    pub(crate) continent: Option<String>,
    /// The address is located in the country (ISO 3166-1 alpha-2).
    pub(crate) country: Option<String>,
    /// The address is located in the state: country and ISO 3166-2 code or English name, `US/CA`.
    pub(crate) state: Option<String>,
    /// The address is located in the city: country and English name, `GB/London`.
    pub(crate) city: Option<String>,
    /// The address belongs to the autonomous system.
    pub(crate) asn: Option<u32>,
    /// The address or answer matches the region.
    pub(crate) region: Option<String>,
    /// The answer stands in the datacenter.
    pub(crate) datacenter: Option<String>,
    /// The answer is, or belongs to, the pool.
    pub(crate) pool: Option<String>,
    /// The opposite of the condition.
    pub(crate) not: Option<Box<Condition>>,
}

/// A client that matches prefers an answer that matches, by score.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// What the client must match.
    pub(crate) client: Condition,
    /// What the answer must match.
    pub(crate) answer: Condition,
    /// How much it counts, 0 to 4294967295. Default: 1.
    pub(crate) score: Option<u32>,
}

/// Which of the matching records decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TopologyMatch {
    /// The one with the highest score.
    Score,
    /// The most specific one.
    Longest,
}
