//! Views, as written.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::{List, OneOrMore};
use super::file::{WideIp, Zone};
use super::values::Written;
use crate::topology::Prefix;

/// What one kind of clients is served, and nobody else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    /// The view's name; `default` is the one of what stands under `zones` and `wide_ips` of the node itself.
    pub(crate) name: String,
    /// Which queries are answered from it: one entry of every list that is given must fit. Default: all that no view
    /// above took.
    #[serde(rename = "match")]
    pub(crate) matches: Option<ViewMatch>,
    /// Its static zones. A zone that several views name with one file is loaded once.
    #[serde(default)]
    pub(crate) zones: List<Zone>,
    /// Its steered names; pools, servers and their health are the same in all views.
    #[serde(default)]
    pub(crate) wide_ips: List<WideIp>,
}

/// Which queries are answered from a view.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewMatch {
    /// Addresses and subnets that queries come from. EDNS Client Subnet is not looked at: anybody can write any there.
    pub(crate) clients: Option<OneOrMore<Written<Prefix>>>,
    /// Listeners that queries come to: a listener's name, or an address with or without its port.
    pub(crate) listeners: Option<OneOrMore<String>>,
    /// Keys that sign queries; what is signed by another key, wrongly or not at all does not fit.
    pub(crate) keys: Option<OneOrMore<String>>,
}

/// A listener's address as a view names it.
pub(crate) fn address(written: &str) -> Option<(IpAddr, Option<u16>)> {
    let bare = written.parse::<IpAddr>().map(|address| (address, None));
    let with_port = || written.parse::<std::net::SocketAddr>().map(|address| (address.ip(), Some(address.port())));
    bare.or_else(|_| with_port()).ok()
}
