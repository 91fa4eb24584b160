//! What EDNS options do, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::OneOrMore;
use super::file_transfer::Secret;

/// What EDNS options do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdnsOptions {
    /// DNS cookies (RFC 7873), which prove that a client gets what is sent to its address.
    pub(crate) cookies: Option<CookieSettings>,
    /// Whether answers to clients with EDNS say why they are what they are (RFC 8914), where there is something to say:
    /// it costs nothing and saves a search. Default: true.
    pub(crate) extended_errors: Option<bool>,
}

/// DNS cookies.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CookieSettings {
    /// What is done about them: `off` ignores them, `on` gives one to clients that send one, `require` answers clients
    /// that send one by UDP only when it is good, BADCOOKIE otherwise. Default: on, which refuses nobody.
    pub(crate) mode: Option<CookieMode>,
    /// Secrets of 32 hexadecimal digits, shared by all servers of one address. The first makes cookies, all are taken:
    /// to change it, add the new one as the second everywhere, then put it first everywhere, and remove the old one an
    /// hour later. Default: one random secret, new with every start.
    pub(crate) secrets: Option<OneOrMore<Secret>>,
    /// A file with such secrets, one on each line.
    pub(crate) secret_file: Option<PathBuf>,
}

/// What is done about cookies.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CookieMode {
    /// They are ignored.
    Off,
    /// Clients that send one get one.
    On,
    /// Clients that send one get data by UDP only when it is good.
    Require,
}
