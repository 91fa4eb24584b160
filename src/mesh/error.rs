//! Why a session could not begin or had to end, in the words that the log, `fairlead mesh status` and a metric use.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::frame::{FrameError, VIRTUAL_SERVERS_MAX};
use super::words;

/// One way for a mesh session to fail. Its text is shown to people; [`LinkError::label`] is the metric's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing listens on the port.
    ConnectionRefused(SocketAddr),
    /// No answer to the connection attempt: host down, or packets filtered.
    TimedOut(SocketAddr, Duration),
    /// The network says there is no way, or another error of the operating system.
    Unreachable(SocketAddr, String),
    /// The TLS handshake did not end in time.
    HandshakeTimeout(Duration),
    /// What listens there does not speak TLS.
    NotTls,
    /// The peer offers no TLS 1.3.
    TlsVersion,
    /// The peer speaks TLS but not the mesh's protocol on it.
    Alpn,
    /// The peer presented no certificate.
    NoCertificate,
    /// The peer's certificate is of another authority.
    WrongAuthority {
        /// The identity it claims.
        who: String,
        /// The issuer it names.
        issuer: String,
    },
    /// The peer's certificate has expired.
    Expired {
        /// The identity it claims.
        who: String,
        /// When it expired, in seconds since 1970.
        not_after: i64,
        /// Our clock, in seconds since 1970.
        now: i64,
    },
    /// The peer's certificate begins in the future of our clock.
    NotYetValid {
        /// The identity it claims.
        who: String,
        /// When it begins, in seconds since 1970.
        not_before: i64,
        /// Our clock, in seconds since 1970.
        now: i64,
    },
    /// The certificate is good, but for somebody else than must be there.
    NameNotAllowed {
        /// Who must be there.
        expected: String,
        /// Who is.
        got: String,
    },
    /// The peer's certificate cannot be used, and why.
    BadCertificate(String),
    /// The peer refused our certificate, and why as far as its alert says.
    RefusedByPeer(Refusal),
    /// Our own certificate, key or authority cannot be used, and why.
    OwnCredentials(String),
    /// Another failure of the TLS handshake or stream.
    Tls(String),
    /// No protocol version is spoken by both sides.
    ProtocolVersion {
        /// The versions we speak, oldest and newest.
        ours: (u32, u32),
        /// The versions the peer speaks.
        theirs: (u32, u32),
    },
    /// The peer said no `Hello` in time.
    HelloTimeout(Duration),
    /// The peer was silent for three intervals.
    Silence(Duration),
    /// The peer reads too slowly or not at all.
    SlowReader(Duration),
    /// The peer sends more frames than allowed.
    TooManyFrames,
    /// The peer sent what is no frame.
    Frame(FrameError),
    /// The agent listed more virtual servers than allowed, in parts.
    TooManyVirtualServers,
    /// Our certificate or authority was renewed; a session begins anew with it.
    Renewed,
    /// The peer broke the rules of the protocol, and which.
    Violation(&'static str),
    /// The peer's process was already replaced by a newer one.
    OldBoot(u64),
    /// The peer ended the session and said why.
    Goodbye(String),
    /// The peer closed the connection without a word.
    Closed,
    /// The stream broke.
    Broken(String),
    /// A newer session of the same peer took this one's place, from this address.
    Replaced(SocketAddr),
    /// More connections than allowed.
    TooManyConnections,
    /// We are stopping.
    Stopping,
}

/// Why a peer refused our certificate, as its TLS alert says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know our authority.
    Authority,
    /// By its clock our certificate has expired or is not yet valid; our certificate's validity in seconds since 1970.
    Time {
        /// When our certificate begins.
        not_before: i64,
        /// When it ends.
        not_after: i64,
    },
    /// It does not allow our name; the identity in our certificate.
    Name(String),
    /// It got no certificate from us.
    NoCertificate,
    /// It says that our certificate was revoked.
    Revoked,
    /// Another alert, by its name.
    Other(String),
}

impl LinkError {
    /// Every label, for metrics that declare them at zero.
    pub const LABELS: [&'static str; 31] = [
        "connection_refused",
        "timed_out",
        "unreachable",
        "handshake_timeout",
        "not_tls",
        "tls_version",
        "alpn",
        "no_certificate",
        "wrong_authority",
        "expired",
        "not_yet_valid",
        "name_not_allowed",
        "bad_certificate",
        "refused_by_peer",
        "own_credentials",
        "tls",
        "protocol_version",
        "hello_timeout",
        "silence",
        "slow_reader",
        "too_many_frames",
        "frame",
        "too_many_virtual_servers",
        "renewed",
        "violation",
        "old_boot",
        "goodbye",
        "closed",
        "broken",
        "replaced",
        "too_many_connections",
    ];

    /// The metric's word for this kind of failure.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::ConnectionRefused(_) => "connection_refused",
            Self::TimedOut(..) => "timed_out",
            Self::Unreachable(..) => "unreachable",
            Self::HandshakeTimeout(_) => "handshake_timeout",
            Self::NotTls => "not_tls",
            Self::TlsVersion => "tls_version",
            Self::Alpn => "alpn",
            Self::NoCertificate => "no_certificate",
            Self::WrongAuthority { .. } => "wrong_authority",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::NameNotAllowed { .. } => "name_not_allowed",
            Self::BadCertificate(_) => "bad_certificate",
            Self::RefusedByPeer(_) => "refused_by_peer",
            Self::OwnCredentials(_) => "own_credentials",
            Self::Tls(_) => "tls",
            Self::ProtocolVersion { .. } => "protocol_version",
            Self::HelloTimeout(_) => "hello_timeout",
            Self::Silence(_) => "silence",
            Self::SlowReader(_) => "slow_reader",
            Self::TooManyFrames => "too_many_frames",
            Self::Frame(_) => "frame",
            Self::TooManyVirtualServers => "too_many_virtual_servers",
            Self::Renewed => "renewed",
            Self::Violation(_) => "violation",
            Self::OldBoot(_) => "old_boot",
            Self::Goodbye(_) => "goodbye",
            Self::Closed | Self::Stopping => "closed",
            Self::Broken(_) => "broken",
            Self::Replaced(_) => "replaced",
            Self::TooManyConnections => "too_many_connections",
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionRefused(_)
            | Self::TimedOut(..)
            | Self::Unreachable(..)
            | Self::HandshakeTimeout(_)
            | Self::NotTls
            | Self::TlsVersion
            | Self::Alpn => self.write_reaching(f),
            Self::NoCertificate
            | Self::WrongAuthority { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::NameNotAllowed { .. }
            | Self::BadCertificate(_) => self.write_certificate(f),
            Self::RefusedByPeer(refusal) => write!(f, "the peer refused our certificate: {refusal}"),
            Self::OwnCredentials(why) => write!(f, "our own certificate cannot be used: {why}"),
            Self::Tls(what) => write!(f, "TLS failed: {what}"),
            _ => self.write_session(f),
        }
    }
}

impl LinkError {
    fn write_reaching(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionRefused(address) => {
                write!(f, "connection refused: nothing listens on {address}; is the agent running there?")
            }
            Self::TimedOut(address, after) => write!(
                f,
                "timed out: no answer from {address} within {after:?}; the host is down or a firewall drops the packets"
            ),
            Self::Unreachable(address, why) => write!(f, "{address} cannot be reached: {why}"),
            Self::HandshakeTimeout(after) => write!(f, "timed out: the TLS handshake did not end within {after:?}"),
            Self::NotTls => f.write_str("the peer does not speak TLS; does something else listen on this port?"),
            Self::TlsVersion => f.write_str("version mismatch: the peer offers no TLS 1.3"),
            _ => f.write_str(
                "version mismatch: the peer speaks TLS but not fairlead-mesh/1 (ALPN); does something else listen on \
                 this port?",
            ),
        }
    }

    fn write_certificate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongAuthority { who, issuer } => write!(
                f,
                "wrong authority: the certificate of {who} was issued by \"{issuer}\", which is not an authority of \
                 our authority.pem"
            ),
            Self::Expired { who, not_after, now } => write!(
                f,
                "expired: the certificate of {who} ended {} ago, on {}; issue a new one, or set our clock right ({})",
                words::span(now.saturating_sub(*not_after).saturating_mul(1_000)),
                words::date(*not_after),
                words::date(*now)
            ),
            Self::NotYetValid { who, not_before, now } => write!(
                f,
                "not yet valid: the certificate of {who} begins on {}, {} ahead of our clock ({}); our clock is slow \
                 or the issuer's was fast",
                words::date(*not_before),
                words::span(not_before.saturating_sub(*now).saturating_mul(1_000)),
                words::date(*now)
            ),
            Self::NameNotAllowed { expected, got } => write!(f, "name not allowed: expected {expected}, got {got}"),
            Self::BadCertificate(why) => write!(f, "the peer's certificate cannot be used: {why}"),
            _ => f.write_str("no certificate presented by the peer"),
        }
    }

    fn write_session(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolVersion { ours, theirs } => write!(
                f,
                "version mismatch: we speak mesh protocol {} to {}, the peer {} to {}",
                ours.0, ours.1, theirs.0, theirs.1
            ),
            Self::HelloTimeout(after) => write!(f, "timed out: the peer said no hello within {after:?}"),
            Self::Silence(after) => write!(f, "the peer was silent for {after:?}"),
            Self::SlowReader(after) => write!(f, "the peer read nothing for {after:?}"),
            Self::TooManyFrames => f.write_str("the peer sent more frames than allowed"),
            Self::Frame(error) => write!(f, "the peer sent {error}"),
            Self::TooManyVirtualServers => {
                write!(f, "the agent listed more than {VIRTUAL_SERVERS_MAX} virtual servers")
            }
            Self::Renewed => f.write_str("certificate renewed, a new session follows"),
            Self::Violation(rule) => write!(f, "the peer broke the protocol: {rule}"),
            Self::OldBoot(boot_id) => write!(
                f,
                "the peer's process {boot_id:016x} was already replaced by a newer one; do two agents share one \
                 certificate?"
            ),
            Self::Goodbye(reason) => write!(f, "the peer ended the session: {reason}"),
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Replaced(address) => write!(f, "replaced by a newer session from {address}"),
            Self::TooManyConnections => f.write_str("too many connections"),
            _ => f.write_str("stopping"),
        }
    }
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            _ => None,
        }
    }
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("wrong authority: it does not know the authority that issued it"),
            Self::Time { not_before, not_after } => write!(
                f,
                "expired or not yet valid by its clock; ours is valid from {} to {}",
                words::date(*not_before),
                words::date(*not_after)
            ),
            Self::Name(identity) => write!(f, "name not allowed: it does not let {identity} in"),
            Self::NoCertificate => f.write_str("it got no certificate from us"),
            Self::Revoked => f.write_str("it says that it was revoked"),
            Self::Other(alert) => f.write_str(alert),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_plain_words() {
        let check = |error: LinkError, expected: &str| {
            assert_eq!(error.to_string(), expected);
            assert!(LinkError::LABELS.contains(&error.label()), "{}", error.label());
        };
        let who = || "spiffe://prod/lb/ny-lb1".to_owned();
        check(
            LinkError::Expired { who: who(), not_after: 1_795_168_920, now: 1_795_168_920 + 90_000 },
            "expired: the certificate of spiffe://prod/lb/ny-lb1 ended 1 d 1 h ago, on 2026-11-20 10:02 UTC; issue a \
             new one, or set our clock right (2026-11-21 11:02 UTC)",
        );
        check(
            LinkError::NotYetValid { who: who(), not_before: 1_795_168_920, now: 1_795_168_920 - 7_380 },
            "not yet valid: the certificate of spiffe://prod/lb/ny-lb1 begins on 2026-11-20 10:02 UTC, 2 h 3 min ahead \
             of our clock (2026-11-20 07:59 UTC); our clock is slow or the issuer's was fast",
        );
        check(
            LinkError::NameNotAllowed { expected: who(), got: "spiffe://prod/lb/lon".to_owned() },
            "name not allowed: expected spiffe://prod/lb/ny-lb1, got spiffe://prod/lb/lon",
        );
        check(
            LinkError::ProtocolVersion { ours: (1, 1), theirs: (2, 3) },
            "version mismatch: we speak mesh protocol 1 to 1, the peer 2 to 3",
        );
        check(LinkError::Stopping, "stopping");
        check(LinkError::Closed, "the peer closed the connection");
    }

    #[test]
    fn labels_are_listed_once_each() {
        let mut labels = LinkError::LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), LinkError::LABELS.len());
    }
}
