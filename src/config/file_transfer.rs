//! TSIG keys and what zone transfer may do, as written.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

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

/// A text that is never shown.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
