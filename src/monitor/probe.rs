//! One probe: a monitor made ready, run once against an address, with a result in plain words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::probe_http::HttpProbe;
use super::probe_tls::Authorities;
use super::{Monitor, Probe, connect};

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// The target did what was expected of it.
    Success,
    /// It did not; the reason in plain words.
    Failure(Arc<str>),
    /// The probe could not be made, through a fault of this host or of the monitor's settings: says nothing of the target.
    NotMade(Arc<str>),
}

impl ProbeResult {
    /// A failure of the target.
    pub(super) fn failure(words: impl Into<Arc<str>>) -> Self {
        Self::Failure(words.into())
    }
}

/// A monitor made ready to probe: texts checked and certificates loaded once, shared by all its targets.
#[derive(Debug)]
pub struct Prober {
    kind: Kind,
    timeout: Duration,
}

#[derive(Debug)]
enum Kind {
    Tcp,
    Http(Box<HttpProbe>),
    /// The monitor's settings cannot be used; every probe says so.
    Unusable(Arc<str>),
}

/// How far a probe has come, so that a time-out can say what it waited for.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

/// The steps of a probe.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Step {
    /// The TCP connection is up.
    Connected = 1,
    /// TLS is up, if it is used, and the request goes out.
    Asked = 2,
    /// The response's headers are in.
    Answered = 3,
}

impl Progress {
    /// Notes that `step` is reached.
    pub(super) fn reach(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    fn timed_out(&self, after: Duration) -> ProbeResult {
        let missing = match self.0.load(Ordering::Relaxed) {
            0 => "no connection",
            1 => "no end of the TLS handshake",
            2 => "no response",
            _ => "no end of the response",
        };
        ProbeResult::failure(format!("timed out: {missing} within {after:?}"))
    }
}

impl Prober {
    /// Makes `monitor` ready. Settings that cannot be used (a bad path or certificate) make probes that are not made and
    /// say why, so that one monitor's mistake stays its own.
    pub fn new(monitor: &Monitor, authorities: &Authorities) -> Self {
        let kind = match &monitor.probe {
            Probe::Tcp => Kind::Tcp,
            http @ Probe::Http { .. } => match HttpProbe::new(http, authorities) {
                Ok(probe) => Kind::Http(Box::new(probe)),
                Err(reason) => Kind::Unusable(reason.into()),
            },
        };
        Self { kind, timeout: monitor.timeout }
    }

    /// Probes `address` once. Ends within the monitor's time-out, plus up to 100 ms for an orderly close.
    pub async fn probe(&self, address: SocketAddr) -> ProbeResult {
        let progress = Progress::default();
        match &self.kind {
            Kind::Unusable(reason) => ProbeResult::NotMade(reason.clone()),
            Kind::Tcp => match timeout(self.timeout, connect::connect(address)).await {
                Ok(Ok(stream)) => {
                    connect::close(stream).await;
                    ProbeResult::Success
                }
                Ok(Err(result)) => result,
                Err(_) => progress.timed_out(self.timeout),
            },
            Kind::Http(http) => timeout(self.timeout, http.probe(address, &progress))
                .await
                .unwrap_or_else(|_| progress.timed_out(self.timeout)),
        }
    }
}
