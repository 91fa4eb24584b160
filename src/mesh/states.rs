//! How every peer of this process is doing: for metrics, `fairlead mesh status` and the API. Written by sessions, read by
//! whoever asks; nothing decides by it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::certificate::Certificate;
use super::credentials::Credentials;
use super::error::LinkError;
use super::frame::FrameError;
use super::inbound::FrameRefusal;
use super::peer::{ClockDifference, Established};
use super::traffic::Traffic;
use crate::metrics::{Limit, Metrics, PeerTraffic, Scrape, Session};
use crate::status::Moment;

/// The most peers remembered; when there are more, those that are down make room.
const PEERS_MAX: usize = 1_024;

/// How often the log hears of connections refused for the same reason.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);

/// The peers of one process. Clones share the same states.
#[derive(Clone, Default)]
pub struct PeerStates {
    inner: Arc<Mutex<Inner>>,
    /// Counts limits that were reached; none where nobody scrapes.
    metrics: Option<Arc<Metrics>>,
    /// Whether only what is not of one peer is noted.
    hides_peers: bool,
}

#[derive(Debug, Default)]
struct Inner {
    peers: BTreeMap<Arc<str>, PeerState>,
    own: Option<OwnCertificate>,
    refused: BTreeMap<&'static str, Refused>,
}

/// Connections refused for one reason before their peers were known.
#[derive(Debug, Default)]
struct Refused {
    count: u64,
    /// When the log was last told.
    told: Option<Moment>,
}

#[derive(Debug, Default)]
struct PeerState {
    address: Option<SocketAddr>,
    up: bool,
    since: Moment,
    last_error: Option<(LinkError, Moment)>,
    traffic: Arc<Traffic>,
    sessions: u64,
    certificate: Option<Certificate>,
    established: Option<Established>,
    clock: Option<ClockDifference>,
    failures: BTreeMap<&'static str, u64>,
    frames_refused: BTreeMap<&'static str, u64>,
}

/// What sessions with a peer amounted to since this process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Sessions that came up; all but the first were reconnections.
    pub sessions: u64,
    /// Octets received inside TLS.
    pub octets_in: u64,
    /// Octets sent inside TLS.
    pub octets_out: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
}

/// This process's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnCertificate {
    /// Who it says we are.
    pub identity: String,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// When the first of the mesh's authorities ends, in seconds since 1970.
    pub authority_not_after: i64,
}

/// One peer as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerStatus {
    /// The server of an agent, or the name of a DNS node.
    pub name: String,
    /// Where it is dialled, or dialled from last.
    pub address: Option<SocketAddr>,
    /// Whether a session is up.
    pub up: bool,
    /// For how long it has been up or down, in seconds.
    pub since_seconds: f64,
    /// Why the last session failed or ended, in words.
    pub last_error: Option<String>,
    /// The same as a metric's word.
    pub last_error_kind: Option<&'static str>,
    /// How long ago that was, in seconds.
    pub last_error_age_seconds: Option<f64>,
    /// The age of the last report taken from it, in seconds; none before the first.
    pub report_age_seconds: Option<f64>,
    /// When its certificate ends, in seconds since 1970.
    pub certificate_not_after: Option<i64>,
    /// Who its certificate says it is.
    pub identity: Option<String>,
    /// How far its clock is ahead of ours, in seconds; negative when behind.
    pub clock_ahead_seconds: Option<f64>,
    /// The protocol version of its last session.
    pub protocol_version: Option<u32>,
    /// Its program and version.
    pub software: Option<String>,
    /// Sessions, octets and frames.
    pub counters: Counters,
    /// Failed and ended sessions by [`LinkError::label`].
    pub failures: BTreeMap<&'static str, u64>,
    /// Refused frames and entries by [`FrameRefusal::label`].
    pub frames_refused: BTreeMap<&'static str, u64>,
}

/// The mesh as this process sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeshStatus {
    /// Our certificate; none while it cannot be used.
    pub own: Option<OwnCertificate>,
    /// The peers by name.
    pub peers: Vec<PeerStatus>,
    /// Connections refused before we knew whose they were, by [`LinkError::label`].
    pub refused: BTreeMap<&'static str, u64>,
}

impl PeerStates {
    /// States whose reached limits are counted in `metrics`.
    pub fn counting(metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..Self::default() }
    }

    /// The same states for sessions that others opened to a node that dials itself: refusals are noted and peers are
    /// not, since those it dials are seen from there and would be two of one name.
    #[must_use]
    pub fn of_refusals(&self) -> Self {
        Self { hides_peers: true, ..self.clone() }
    }

    /// Fills in the metrics of the mesh, as `Metrics::set_reader` wants it.
    pub fn scrape(&self, scrape: &mut Scrape, now: Moment) {
        let inner = self.lock();
        if let Some(own) = &inner.own {
            scrape.certificate("mesh", own.not_after);
            scrape.certificate("mesh-authority", own.authority_not_after);
        }
        for (name, state) in &inner.peers {
            let silent = state.traffic.heard().map(|heard| now.since(heard));
            let session = if state.up { Session::Up } else { Session::Down };
            scrape.peer(name, session, silent, state.clock.map(|clock| signed_seconds(clock.ahead_millis)));
            let Counters { sessions, octets_in, octets_out, .. } = state.traffic.counters(state.sessions);
            let report_age = state.traffic.last_report().map(|at| now.since(at));
            scrape.peer_traffic(name, report_age, PeerTraffic { sessions, octets_in, octets_out });
            if let Some(certificate) = &state.certificate {
                scrape.certificate(&format!("mesh-peer {name}"), certificate.not_after);
            }
            state.failures.iter().for_each(|(reason, count)| scrape.peer_failures(name, reason, *count));
            state.frames_refused.iter().for_each(|(reason, count)| scrape.peer_frames_refused(name, reason, *count));
        }
        inner.refused.iter().for_each(|(reason, refused)| scrape.mesh_refused(reason, refused.count));
    }

    /// What is known of the mesh at `now`.
    pub fn status(&self, now: Moment) -> MeshStatus {
        let inner = self.lock();
        let peers = inner.peers.iter().map(|(name, state)| state.shown(name.as_ref().to_owned(), now)).collect();
        let refused = inner.refused.iter().map(|(reason, refused)| (*reason, refused.count)).collect();
        MeshStatus { own: inner.own.clone(), peers, refused }
    }

    /// Adds a peer that is not up yet, or takes note of its address.
    pub(super) fn expect(&self, name: &Arc<str>, address: SocketAddr, now: Moment) {
        self.change(name, now, |state| state.address = Some(address));
    }

    /// Forgets a peer that is no longer configured.
    pub(super) fn forget(&self, name: &str) {
        self.lock().peers.remove(name);
    }

    pub(super) fn presented(&self, name: &Arc<str>, certificate: &Certificate, now: Moment) {
        self.change(name, now, |state| state.certificate = Some(certificate.clone()));
    }

    /// A session came up; gives where it counts its traffic.
    pub(super) fn up(&self, name: &Arc<str>, established: Established, now: Moment) -> Arc<Traffic> {
        self.change(name, now, |state| {
            (state.up, state.since, state.established) = (true, now, Some(established));
            state.sessions += 1;
        });
        self.traffic(name, now)
    }

    /// Where a session counts the traffic of its peer.
    pub(super) fn traffic(&self, name: &Arc<str>, now: Moment) -> Arc<Traffic> {
        let mut traffic = Arc::default();
        self.change(name, now, |state| traffic = Arc::clone(&state.traffic));
        traffic
    }

    /// A session failed or ended; tells whether the reason or state is news.
    pub(super) fn down(&self, name: &Arc<str>, error: &LinkError, now: Moment) -> bool {
        self.count_limit(error);
        let mut news = false;
        self.change(name, now, |state| {
            news = state.up || state.last_error.as_ref().is_none_or(|(last, _)| last.label() != error.label());
            if std::mem::take(&mut state.up) {
                state.since = now;
            }
            state.last_error = Some((error.clone(), now));
            *state.failures.entry(error.label()).or_default() += 1;
        });
        news
    }

    pub(super) fn clock(&self, name: &Arc<str>, difference: ClockDifference, now: Moment) {
        self.change(name, now, |state| state.clock = Some(difference));
    }

    pub(super) fn refused_frame(&self, name: &Arc<str>, refusal: FrameRefusal, now: Moment) {
        self.change(name, now, |state| *state.frames_refused.entry(refusal.label()).or_default() += 1);
    }

    /// A connection was refused before its peer was known; tells whether the log has not heard of this reason for a
    /// while, since whoever scans the port should not fill the disk.
    pub(super) fn refused(&self, error: &LinkError, now: Moment) -> bool {
        self.count_limit(error);
        let mut inner = self.lock();
        let refused = inner.refused.entry(error.label()).or_default();
        refused.count += 1;
        let is_news = refused.told.is_none_or(|told| now.since(told) >= REFUSALS_TOLD_EVERY);
        if is_news {
            refused.told = Some(now);
        }
        is_news
    }

    fn count_limit(&self, error: &LinkError) {
        let limit = match error {
            LinkError::TooManyFrames => Limit::MeshFrames,
            LinkError::TooManyConnections => Limit::MeshSessions,
            LinkError::TooManyVirtualServers | LinkError::Frame(FrameError::TooManyElements(_)) => {
                Limit::MeshVirtualServers
            }
            LinkError::Frame(FrameError::TooLong(_) | FrameError::StringTooLong(_)) => Limit::MeshFrame,
            _ => return,
        };
        if let Some(metrics) = &self.metrics {
            metrics.limit_hit(limit);
        }
    }

    pub(super) fn own(&self, credentials: &Credentials) {
        self.lock().own = Some(OwnCertificate {
            identity: credentials.identity.to_string(),
            not_after: credentials.certificate.not_after,
            authority_not_after: credentials.authority_not_after,
        });
    }

    fn change(&self, name: &Arc<str>, now: Moment, change: impl FnOnce(&mut PeerState)) {
        if self.hides_peers {
            return;
        }
        let mut inner = self.lock();
        if let Some(state) = inner.peers.get_mut(name) {
            return change(state);
        }
        if inner.peers.len() >= PEERS_MAX {
            let Some(gone) = inner.peers.iter().find(|(_, state)| !state.up).map(|(name, _)| Arc::clone(name)) else {
                return;
            };
            inner.peers.remove(&gone);
        }
        let mut state = PeerState { since: now, ..PeerState::default() };
        change(&mut state);
        inner.peers.insert(Arc::clone(name), state);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerState {
    fn shown(&self, name: String, now: Moment) -> PeerStatus {
        let age = |then: Moment| now.since(then).as_secs_f64();
        let certificate = self.certificate.as_ref();
        PeerStatus {
            name,
            address: self.address,
            up: self.up,
            since_seconds: age(self.since),
            last_error: self.last_error.as_ref().map(|(error, _)| error.to_string()),
            last_error_kind: self.last_error.as_ref().map(|(error, _)| error.label()),
            last_error_age_seconds: self.last_error.as_ref().map(|(_, at)| age(*at)),
            report_age_seconds: self.traffic.last_report().map(age),
            certificate_not_after: certificate.map(|certificate| certificate.not_after),
            identity: certificate.map(Certificate::who),
            clock_ahead_seconds: self.clock.map(|clock| signed_seconds(clock.ahead_millis)),
            protocol_version: self.established.as_ref().map(|established| established.version),
            software: self.established.as_ref().map(|established| established.software.clone()),
            counters: self.traffic.counters(self.sessions),
            failures: self.failures.clone(),
            frames_refused: self.frames_refused.clone(),
        }
    }
}

/// Milliseconds as seconds; a difference beyond the exact range of floats is wrong by less than it says.
fn signed_seconds(millis: i64) -> f64 {
    let size = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
    if millis < 0 { -size } else { size }
}

impl fmt::Debug for PeerStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStates").field("peers", &self.lock().peers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_once_until_its_kind_changes_or_the_peer_was_up() {
        let states = PeerStates::default();
        let (name, at) = (Arc::from("ny"), Moment::from_millis);
        let refused = LinkError::ConnectionRefused("192.0.2.1:4353".parse().unwrap());
        assert!(states.down(&name, &refused, at(1)));
        assert!(!states.down(&name, &refused, at(2)));
        assert!(states.down(&name, &LinkError::NoCertificate, at(3)));
        states.up(&name, Established { version: 1, boot_id: 1, software: String::new() }, at(4_000));
        assert!(states.down(&name, &LinkError::NoCertificate, at(5_000)));
        let status = states.status(at(7_000)).peers.remove(0);
        assert_eq!((status.up, status.since_seconds, status.counters.sessions), (false, 2.0, 1));
        assert_eq!(status.failures, BTreeMap::from([("connection_refused", 2), ("no_certificate", 2)]));
    }

    #[test]
    fn peers_are_bounded_and_those_that_are_up_stay() {
        let states = PeerStates::default();
        let name = |index: usize| -> Arc<str> { format!("{index:06}").into() };
        states.up(&name(0), Established { version: 1, boot_id: 1, software: String::new() }, Moment::default());
        for index in 1..PEERS_MAX + 50 {
            states.down(&name(index), &LinkError::NoCertificate, Moment::default());
        }
        let peers = states.status(Moment::default()).peers;
        assert_eq!(peers.len(), PEERS_MAX);
        assert!(peers[0].up);
    }

    #[test]
    fn a_scrape_shows_every_peer_and_every_reason() {
        let metrics = Arc::new(Metrics::new("1", "abc"));
        let (states, at) = (PeerStates::counting(Arc::clone(&metrics)), Moment::from_millis);
        let name = Arc::from("ny");
        states.up(&name, Established { version: 1, boot_id: 1, software: String::new() }, at(0));
        let traffic = states.traffic(&name, at(0));
        traffic.arrived(50, 1, at(1_000));
        traffic.reported(at(1_000));
        states.clock(&name, ClockDifference { ahead_millis: -2_500, round_trip: Duration::ZERO }, at(1_000));
        states.refused_frame(&name, FrameRefusal::OtherServer, at(1_000));
        states.down(&name, &LinkError::TooManyFrames, at(2_000));
        assert!(states.refused(&LinkError::NoCertificate, at(0)));
        assert!(!states.refused(&LinkError::NoCertificate, at(9_999)));
        assert!(states.refused(&LinkError::NoCertificate, at(10_000)));
        let reader = states.clone();
        metrics.set_reader("mesh", Box::new(move |scrape| reader.scrape(scrape, at(4_000))));
        let text = metrics.export().unwrap();
        for line in [
            r#"fairlead_mesh_peer_up{peer="ny"} 0"#,
            r#"fairlead_mesh_peer_last_frame_age_seconds{peer="ny"} 3"#,
            r#"fairlead_mesh_peer_last_report_age_seconds{peer="ny"} 3"#,
            r#"fairlead_mesh_peer_clock_skew_seconds{peer="ny"} -2.5"#,
            r#"fairlead_mesh_peer_sessions_total{peer="ny"} 1"#,
            r#"fairlead_mesh_peer_octets_total{peer="ny",direction="in"} 50"#,
            r#"fairlead_mesh_peer_failures_total{peer="ny",reason="too_many_frames"} 1"#,
            r#"fairlead_mesh_peer_frames_refused_total{peer="ny",reason="other_server"} 1"#,
            r#"fairlead_mesh_connections_refused_total{reason="no_certificate"} 3"#,
            r#"fairlead_limit_hits_total{limit="mesh_frames"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
