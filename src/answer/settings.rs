//! What can be set of answers that come from no configured record.

use std::sync::Arc;

use super::cookies::Cookies;
use super::limits::Limits;
use super::transfers::Transfers;
use crate::wire::{Keys, Name};

/// Settings of the answer path.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What becomes of a name under no zone and no wide IP.
    pub unmatched: Unmatched,
    /// The answers in class CHAOS.
    pub chaos: Chaos,
    /// SOA and NS where there is no zone to take them from.
    pub synthetic_zone: SyntheticZone,
    /// The keys that queries may be signed with.
    pub keys: Arc<Keys>,
    /// Who may have which zone.
    pub transfers: Arc<Transfers>,
    /// What one answer may take, and who gets how many.
    pub limits: Limits,
    /// What EDNS options do.
    pub edns: EdnsSettings,
}

/// What EDNS options do beyond what every query may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdnsSettings {
    /// DNS cookies.
    pub cookies: Cookies,
    /// Whether answers say why they are what they are (RFC 8914).
    pub extended_errors: bool,
}

impl Default for EdnsSettings {
    fn default() -> Self {
        Self { cookies: Cookies::default(), extended_errors: true }
    }
}

/// What becomes of a name under no zone and no wide IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmatched {
    /// NXDOMAIN, with the synthetic SOA at the root so that resolvers may cache it.
    #[default]
    NxDomain,
    /// REFUSED.
    Refused,
    /// No reply.
    Drop,
}

/// The SOA and NS of a zone that exists only because a wide IP stands in none.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticZone {
    /// The name servers; the first is the SOA's MNAME.
    pub name_servers: Vec<Name>,
    /// The SOA's RNAME: the contact's mail address with the `@` as a dot.
    pub contact: Name,
    /// The TTL of SOA and NS, in seconds.
    pub ttl_seconds: u32,
    /// The SOA's minimum: how long negative answers are cached, in seconds.
    pub negative_ttl_seconds: u32,
}

impl SyntheticZone {
    /// The RDATA of the SOA: serial 1, and timers as RFC 1912 §2.2 advises.
    pub fn soa(&self) -> Vec<u8> {
        let root = Name::root();
        let mut rdata = self.name_servers.first().unwrap_or(&root).as_wire().to_vec();
        rdata.extend_from_slice(self.contact.as_wire());
        for number in [1, 3600, 600, 1_209_600, self.negative_ttl_seconds] {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        rdata
    }
}

/// Answers in class CHAOS; refused where none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chaos {
    /// `version.bind` and `version.server`.
    pub version: Option<String>,
    /// `id.server` and `hostname.bind`; also NSID.
    pub id: Option<String>,
}
