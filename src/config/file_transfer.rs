//! TSIG keys and what zone transfer and dynamic update may do, as written.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::{List, OneOrMore};
use super::values::{Octets, Written};
use crate::topology::Prefix;
use crate::wire::{Name, RecordType};

/// A TSIG key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// The algorithm. Default: hmac-sha256.
    pub(crate) algorithm: Option<KeyAlgorithm>,
    /// The secret in base64.
    pub(crate) secret: Option<Secret>,
    /// A file that holds the secret in base64 and nothing else.
    pub(crate) secret_file: Option<PathBuf>,
    /// How many octets of a signature suffice, for clients that send it cut. Default: all.
    pub(crate) mac_octets_min: Option<usize>,
    /// Whether hmac-sha1 may be used, for clients that know nothing newer. Default: false.
    pub(crate) allow_weak: Option<bool>,
}

/// An algorithm of TSIG.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyAlgorithm {
    /// HMAC-SHA-1.
    HmacSha1,
    /// HMAC-SHA-224.
    HmacSha224,
    /// HMAC-SHA-256.
    HmacSha256,
    /// HMAC-SHA-384.
    HmacSha384,
    /// HMAC-SHA-512.
    HmacSha512,
}

/// Who may have a zone, and who is told of its changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    /// Who may have the zone by transfer: whoever matches one of these. Default: nobody.
    #[serde(default)]
    pub(crate) allow: List<Access>,
    /// Servers that are told of changes (NOTIFY).
    #[serde(default)]
    pub(crate) notify: List<Peer>,
}

/// Lets in who has all that it names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// An address or prefix.
    pub(crate) address: Option<Written<Prefix>>,
    /// The name of a key.
    pub(crate) key: Option<String>,
}

/// Lets a key make some changes by dynamic update.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    /// The name of the key that must sign the update. It may be left out for a loopback address only: any other can be
    /// forged.
    pub(crate) key: Option<String>,
    /// An address or prefix the update must come from. Default: any.
    pub(crate) address: Option<Written<Prefix>>,
    /// Which names may be changed: all of the zone, those in `names` with all below them (`subtree`), those alone
    /// (`exact`), or the one that the key is named after (`self`). Default: zone.
    #[serde(rename = "match")]
    pub(crate) names_match: Option<UpdateMatch>,
    /// The names of `subtree` and `exact`.
    pub(crate) names: Option<OneOrMore<Written<Name>>>,
    /// The types that may be changed, or ANY. Default: every type but SOA and NS.
    pub(crate) types: Option<OneOrMore<Written<RecordType>>>,
    /// What may be done. Default: add and delete.
    pub(crate) actions: Option<OneOrMore<UpdateAction>>,
}

/// The names that a rule is about.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UpdateMatch {
    /// Every name of the zone.
    Zone,
    /// The names listed, and all below them.
    Subtree,
    /// The names listed.
    Exact,
    /// The name of the key.
    #[serde(rename = "self")]
    KeyName,
}

/// What an update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UpdateAction {
    /// It adds records.
    Add,
    /// It deletes records.
    Delete,
}

/// How the serial of a zone is made that was changed by update.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serial {
    /// The next number.
    Increment,
    /// The time in seconds since 1970, or the next number.
    UnixTime,
    /// The date and two digits, 2025063000, or the next number.
    #[serde(rename = "dateserial")]
    Date,
}

/// Another server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: Written<IpAddr>,
    /// Its port. Default: 53.
    pub(crate) port: Option<u16>,
    /// The key that signs what goes to it.
    pub(crate) key: Option<String>,
}

/// Where a secondary zone comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Primary {
    /// The servers that have it, asked in this order. Only they may notify.
    pub(crate) addresses: OneOrMore<Written<IpAddr>>,
    /// Their port. Default: 53.
    pub(crate) port: Option<u16>,
    /// The key that signs what goes to them and comes from them.
    pub(crate) key: Option<String>,
    /// The most records of a transfer. Default: 5000000.
    pub(crate) records_max: Option<u64>,
    /// The most octets of a transfer, owners and data of records. Default: 1GiB.
    pub(crate) size_max: Option<Written<Octets>>,
    /// How long a transfer may take. Default: 1h.
    pub(crate) time_max: Option<Written<Duration>>,
    /// How long connecting, and each next message of a transfer, may take. Default: 10s.
    pub(crate) wait_max: Option<Written<Duration>>,
}

/// What zone transfers may take, over all zones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferLimits {
    /// Under way at once to other servers; who comes when there are so many is told to come again. Default: 10.
    pub(crate) outbound: Option<usize>,
    /// Under way at once from other servers; further ones wait for their turn. Default: 10.
    pub(crate) inbound: Option<usize>,
    /// How long one to another server may take; then its connection is reset. Default: 1h.
    pub(crate) outbound_time: Option<Written<Duration>>,
    /// Changes of each zone that are kept for IXFR; secondaries that are older get the whole zone; 0 keeps none.
    /// Default: 100.
    pub(crate) history_changes: Option<usize>,
    /// Records in the changes of each zone that are kept for IXFR. Default: 200000.
    pub(crate) history_records: Option<usize>,
}

/// What becomes of wide IPs in a transferred zone.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransferWideIps {
    /// They are left out.
    Omit,
    /// The addresses of all enabled members go in their place.
    Members,
}

/// A text that is never shown.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
