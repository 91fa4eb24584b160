//! Monitors as configured.

use std::sync::Arc;
use std::time::Duration;

/// A health monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// Its name, unique among monitors.
    pub name: Arc<str>,
    /// What one probe does.
    pub probe: Probe,
    /// Time from the start of one probe to the start of the next. Default 5 s.
    pub interval: Duration,
    /// How long one probe may take. Default 2 s.
    pub timeout: Duration,
    /// Successes in a row that make a target available. Default 2.
    pub rise: u32,
    /// Failures in a row that make a target offline. Default 3.
    pub fall: u32,
    /// Probes this port instead of the virtual server's.
    pub port: Option<u16>,
}

impl Monitor {
    /// Whether its probes verify certificates, and so need to know whom to trust.
    pub fn verifies(&self) -> bool {
        matches!(&self.probe, Probe::Http { tls: Some(tls), .. } if tls.verify)
    }
}

/// What one probe does.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A TCP connection that completes.
    Tcp,
    /// An HTTP/1.1 request and its response.
    Http {
        /// Over TLS; none for plain HTTP.
        tls: Option<Tls>,
        /// The request's method, `GET` or `HEAD`.
        method: Arc<str>,
        /// The path and query asked for, starting with `/`.
        path: Arc<str>,
        /// The `Host` header and TLS server name; the address when not given.
        host: Option<Arc<str>>,
        /// The statuses that count as success, as inclusive ranges. Default 200–299.
        expected_status: Vec<(u16, u16)>,
        /// A text the body must contain (first 64 KiB).
        expected_body: Option<Arc<str>>,
    },
}

/// How an HTTPS probe treats the certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// Whether the certificate must be valid for the name. Default yes.
    pub verify: bool,
    /// PEM of extra authorities to trust besides the system's.
    pub authority_pem: Option<Arc<str>>,
}
