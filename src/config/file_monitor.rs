//! Health monitors as written.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::OneOrMore;
use super::values::{StatusRange, Written};

/// How health is probed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Monitor {
    /// What one probe does.
    #[serde(rename = "type")]
    pub(crate) monitor_type: MonitorType,
    /// From the start of one probe to the start of the next. Default: 5s.
    pub(crate) interval: Option<Written<Duration>>,
    /// How long one probe may take; not longer than the interval. Default: 2s.
    pub(crate) timeout: Option<Written<Duration>>,
    /// Successes in a row that make a target available. Default: 2.
    pub(crate) rise: Option<u32>,
    /// Failures in a row that make a target offline. Default: 3.
    pub(crate) fall: Option<u32>,
    /// The port probed instead of the virtual server's.
    pub(crate) port: Option<u16>,
    /// The path and query asked for (http, https). Default: /.
    pub(crate) path: Option<String>,
    /// The Host header and TLS server name (http, https). Default: the address.
    pub(crate) host: Option<String>,
    /// The request's method (http, https). Default: GET.
    pub(crate) method: Option<Method>,
    /// The statuses that count as success (http, https). Default: 200-299.
    pub(crate) expected_status: Option<OneOrMore<Written<StatusRange>>>,
    /// A text the body must contain (http, https).
    pub(crate) expected_body: Option<String>,
    /// Whether the certificate must be valid (https). Default: true.
    pub(crate) verify: Option<bool>,
    /// A PEM file of authorities to trust besides the system's (https).
    pub(crate) authority: Option<PathBuf>,
}

/// What one probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MonitorType {
    /// A TCP connection that completes.
    Tcp,
    /// An HTTP/1.1 request.
    Http,
    /// An HTTP/1.1 request over TLS.
    Https,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// The whole response.
    Get,
    /// The head alone.
    Head,
}
