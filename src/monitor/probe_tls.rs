//! TLS of an HTTPS probe: which authorities are trusted, and what is wrong with a certificate, in plain words.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Tls;

/// The certificate authorities this host trusts, read once.
#[derive(Debug, Clone)]
pub struct Authorities {
    roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Reads the system's trust store. What cannot be read is left out: a probe against it then fails as "unknown
    /// authority", and says that none is trusted when the store is empty.
    pub fn system() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self { roots: Arc::new(roots) }
    }

    /// Trusts no one; monitors bring their own authorities.
    pub fn none() -> Self {
        Self { roots: Arc::new(RootCertStore::empty()) }
    }
}

/// The TLS client settings of one monitor.
pub(super) fn client(tls: &Tls, authorities: &Authorities) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = if tls.verify {
        builder.with_root_certificates(roots(tls, authorities)?)
    } else {
        let unverified = Arc::new(Unverified(provider));
        builder.dangerous().with_custom_certificate_verifier(unverified)
    }
    .with_no_client_auth();
    // A resumed session shows no certificate, so one that has expired since would go unseen.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(tls: &Tls, authorities: &Authorities) -> Result<Arc<RootCertStore>, String> {
    let Some(pem) = &tls.authority_pem else {
        if authorities.roots.is_empty() {
            return Err("no trusted authority: this host's trust store is empty and the monitor names none".to_owned());
        }
        return Ok(authorities.roots.clone());
    };
    let mut roots = RootCertStore::clone(&authorities.roots);
    let mut added = 0usize;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| format!("the monitor's authority is not readable PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the monitor's authority is not usable: {error}"))?;
        added += 1;
    }
    if added == 0 {
        return Err("the monitor's authority holds no certificate".to_owned());
    }
    Ok(Arc::new(roots))
}

/// What went wrong in a handshake, in plain words.
pub(super) fn words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(certificate)) => certificate_words(certificate),
        Some(rustls::Error::AlertReceived(alert)) => format!("the TLS handshake was refused: alert {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => "what answers does not speak TLS".to_owned(),
        Some(other) => format!("the TLS handshake failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "closed during the TLS handshake".to_owned(),
        None => super::connect::words(error),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    let days = |from: &UnixTime, to: &UnixTime| to.as_secs().saturating_sub(from.as_secs()) / 86_400;
    match error {
        CertificateError::Expired => "certificate expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("certificate expired {} days ago", days(not_after, time))
        }
        CertificateError::NotValidYet => "certificate not yet valid".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("certificate not yet valid, for {} more days", days(time, not_before))
        }
        CertificateError::NotValidForName => "certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().take(5).map(|name| presented_name(name)).collect();
            format!("certificate is not for {} but for {}", expected.to_str(), presented.join(", "))
        }
        CertificateError::UnknownIssuer => "certificate from an unknown authority".to_owned(),
        CertificateError::BadSignature => "certificate with a bad signature".to_owned(),
        CertificateError::Revoked => "certificate revoked".to_owned(),
        other => format!("certificate not accepted: {other}"),
    }
}

/// The name inside the debug form `DnsName("x")` that rustls hands over.
fn presented_name(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

/// Accepts any certificate, for `verify: false`; signatures are still checked, so that the peer holds the key it shows.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
