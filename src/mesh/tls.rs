//! TLS 1.3 with certificates of the mesh's authority on both sides, and every way it fails in plain words.
//!
//! A configuration is made for each session from the credentials of that moment, so that new files count at once. There
//! are no tickets, no stored sessions and no early data: sessions last for days, and a resumed one would skip the
//! certificate's check.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, ClientConfig, Error as TlsError, PeerIncompatible, ServerConfig, version::TLS13};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::certificate::Certificate;
use super::clock::Clock;
use super::credentials::Credentials;
use super::error::{LinkError, Refusal};
use super::identity::Identity;
use super::verify::{Expected, Verifier};
use super::words;

/// The protocol inside TLS.
pub(super) const ALPN: &[u8] = b"fairlead-mesh/1";
/// How long a handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a handshake found out about the peer.
#[derive(Debug, Clone)]
pub(super) struct Authenticated {
    /// Who the peer is.
    pub(super) identity: Identity,
    /// Its certificate.
    pub(super) certificate: Certificate,
}

/// What the verifier found, kept because TLS hands out only part of it.
pub(super) type Finding = Arc<OnceLock<Result<Authenticated, LinkError>>>;

/// Shakes hands as the dialer with a peer that must be `expected`.
pub(super) async fn connect(
    stream: TcpStream,
    credentials: &Credentials,
    expected: Identity,
    clock: Clock,
) -> Result<(client::TlsStream<TcpStream>, Authenticated), LinkError> {
    let finding = Finding::default();
    let config = client_config(credentials, expected, clock, &finding)?;
    // The name is required by the interface; it is neither sent nor checked.
    let name = ServerName::try_from("fairlead-mesh.invalid").map_err(|error| LinkError::Tls(error.to_string()))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = shake(connecting, credentials, &finding).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(LinkError::Alpn);
    }
    authenticated(&finding).map(|peer| (stream, peer))
}

/// Shakes hands as the listener with any DNS node of the mesh.
pub(super) async fn accept(
    stream: TcpStream,
    credentials: &Credentials,
    clock: Clock,
) -> Result<(server::TlsStream<TcpStream>, Authenticated), LinkError> {
    let finding = Finding::default();
    let config = server_config(credentials, clock, &finding)?;
    let accepting = TlsAcceptor::from(Arc::new(config)).accept(stream);
    let stream = shake(accepting, credentials, &finding).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(LinkError::Alpn);
    }
    authenticated(&finding).map(|peer| (stream, peer))
}

async fn shake<S>(
    handshake: impl Future<Output = io::Result<S>>,
    credentials: &Credentials,
    finding: &Finding,
) -> Result<S, LinkError> {
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Err(_) => Err(LinkError::HandshakeTimeout(HANDSHAKE_TIMEOUT)),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match finding.get() {
            Some(Err(found)) => found.clone(),
            _ => explain(&error, credentials),
        }),
    }
}

fn authenticated(finding: &Finding) -> Result<Authenticated, LinkError> {
    match finding.get() {
        Some(result) => result.clone(),
        None => Err(LinkError::NoCertificate),
    }
}

pub(super) fn client_config(
    credentials: &Credentials,
    expected: Identity,
    clock: Clock,
    finding: &Finding,
) -> Result<ClientConfig, LinkError> {
    let verifier = Verifier::new(credentials, Expected::Exactly(expected), finding)?;
    let builder = ClientConfig::builder_with_details(Arc::clone(&credentials.provider), Arc::new(WallClock(clock)))
        .with_protocol_versions(&[&TLS13])
        .map_err(own)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&credentials.key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

pub(super) fn server_config(
    credentials: &Credentials,
    clock: Clock,
    finding: &Finding,
) -> Result<ServerConfig, LinkError> {
    let verifier = Verifier::new(credentials, Expected::AnyDnsNode, finding)?;
    let builder = ServerConfig::builder_with_details(Arc::clone(&credentials.provider), Arc::new(WallClock(clock)))
        .with_protocol_versions(&[&TLS13])
        .map_err(own)?;
    let mut config = builder
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&credentials.key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn own(error: TlsError) -> LinkError {
    LinkError::OwnCredentials(error.to_string())
}

/// The mesh's wall clock as TLS reads it.
#[derive(Debug)]
struct WallClock(Clock);

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.unix_millis().div_euclid(1_000)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// An error of a TLS stream in words; `credentials` are ours, which the peer may have refused.
pub(super) fn explain(error: &io::Error, credentials: &Credentials) -> LinkError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => LinkError::Closed,
            _ => LinkError::Broken(error.to_string()),
        };
    };
    match tls {
        TlsError::AlertReceived(alert) => explain_alert(*alert, credentials),
        TlsError::NoCertificatesPresented => LinkError::NoCertificate,
        TlsError::NoApplicationProtocol => LinkError::Alpn,
        TlsError::InvalidMessage(_) => LinkError::NotTls,
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => LinkError::TlsVersion,
        other => LinkError::Tls(words::printable(&other.to_string())),
    }
}

/// What a peer's alert says about us.
fn explain_alert(alert: AlertDescription, credentials: &Credentials) -> LinkError {
    let certificate = &credentials.certificate;
    let refusal = match alert {
        AlertDescription::NoApplicationProtocol => return LinkError::Alpn,
        AlertDescription::ProtocolVersion => return LinkError::TlsVersion,
        AlertDescription::UnknownCA => Refusal::Authority,
        // RFC 8446 §6.2: certificate_expired also says "not currently valid".
        AlertDescription::CertificateExpired => {
            Refusal::Time { not_before: certificate.not_before, not_after: certificate.not_after }
        }
        AlertDescription::AccessDenied => Refusal::Name(certificate.who()),
        AlertDescription::CertificateRequired => Refusal::NoCertificate,
        AlertDescription::CertificateRevoked => Refusal::Revoked,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => Refusal::Other(format!("{alert:?}")),
        other => return LinkError::Tls(format!("the peer said {other:?}")),
    };
    LinkError::RefusedByPeer(refusal)
}
