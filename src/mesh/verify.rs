//! Whether a peer's certificate is believed: its chain leads to the mesh's authority, it counts now, and its one URI
//! names somebody who may be there. Host names and addresses have no say.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

use super::certificate::Certificate;
use super::credentials::Credentials;
use super::error::LinkError;
use super::identity::{Identity, Role};
use super::tls::{Authenticated, Finding};

/// Who may be at the other end.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// This one.
    Exactly(Identity),
    /// Any DNS node of our mesh.
    AnyDnsNode,
}

/// Checks one peer's certificate and keeps what it found.
pub(super) struct Verifier {
    expected: Expected,
    /// Who we are; the mesh must be the same.
    own: Identity,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Checks a dialer's chain.
    clients: Arc<dyn ClientCertVerifier>,
    finding: Finding,
}

impl Verifier {
    pub(super) fn new(credentials: &Credentials, expected: Expected, finding: &Finding) -> Result<Self, LinkError> {
        let provider = Arc::clone(&credentials.provider);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&credentials.roots), provider)
            // Whoever scans the port need not learn the mesh's name from the authorities it asks for.
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| LinkError::OwnCredentials(error.to_string()))?;
        Ok(Self {
            expected,
            own: credentials.identity.clone(),
            roots: Arc::clone(&credentials.roots),
            algorithms: credentials.provider.signature_verification_algorithms,
            clients,
            finding: Arc::clone(finding),
        })
    }

    /// Judges a leaf whose chain was checked with result `chain`, and keeps the words for a refusal.
    fn judge(&self, leaf: &CertificateDer<'_>, chain: Result<(), TlsError>, now: UnixTime) -> Result<(), TlsError> {
        let (error, finding) = match Certificate::read(leaf) {
            Err(why) => (Err(CertificateError::BadEncoding), Err(LinkError::BadCertificate(why))),
            Ok(certificate) => match chain.map_err(|error| refuse_chain(error, &certificate, now)) {
                Err((error, words)) => (Err(error), Err(words)),
                Ok(()) => match self.allow(certificate) {
                    Ok(peer) => (Ok(()), Ok(peer)),
                    Err(words) => (Err(CertificateError::ApplicationVerificationFailure), Err(words)),
                },
            },
        };
        // One handshake checks one certificate; a second finding would be the same.
        let _ = self.finding.set(finding);
        error.map_err(TlsError::InvalidCertificate)
    }

    /// Whether the holder of a good certificate may be there.
    fn allow(&self, certificate: Certificate) -> Result<Authenticated, LinkError> {
        let identity = certificate.identity.clone().map_err(LinkError::BadCertificate)?;
        let (allowed, expected) = match &self.expected {
            Expected::Exactly(expected) => (identity == *expected, expected.to_string()),
            Expected::AnyDnsNode => (
                identity.mesh == self.own.mesh && identity.role == Role::Dns,
                format!("spiffe://{}/{}/<node>", self.own.mesh, Role::Dns),
            ),
        };
        if !allowed {
            return Err(LinkError::NameNotAllowed { expected, got: identity.to_string() });
        }
        Ok(Authenticated { identity, certificate })
    }
}

/// Why a chain was refused, as the alert that goes out and in words.
fn refuse_chain(error: TlsError, certificate: &Certificate, now: UnixTime) -> (CertificateError, LinkError) {
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let (who, now) = (certificate.who(), seconds(now));
    let TlsError::InvalidCertificate(error) = error else {
        return (CertificateError::BadEncoding, LinkError::BadCertificate(error.to_string()));
    };
    let words = match &error {
        CertificateError::ExpiredContext { not_after, .. } => {
            LinkError::Expired { who, not_after: seconds(*not_after), now }
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            LinkError::NotYetValid { who, not_before: seconds(*not_before), now }
        }
        // Another authority of the same name shows as a signature that does not match.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let words = LinkError::WrongAuthority { who, issuer: certificate.issuer.clone() };
            return (CertificateError::UnknownIssuer, words);
        }
        other => LinkError::BadCertificate(other.to_string()),
    };
    (error, words)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let chain = ParsedCertificate::try_from(leaf).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)
        });
        self.judge(leaf, chain, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let chain = self.clients.verify_client_cert(leaf, intermediates, now).map(|_| ());
        self.judge(leaf, chain, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("expected", &self.expected).field("own", &self.own).finish_non_exhaustive()
    }
}
