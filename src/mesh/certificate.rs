//! What the mesh reads of a certificate: whose it is, whose it was, and when it counts.

use std::fmt::Write;

use ring::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::identity::{Identity, Role};
use super::words;

/// A certificate as it is shown and held against rules; reading it proves nothing about its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The identity, or why there is none.
    pub identity: Result<Identity, String>,
    /// The mesh of an authority's certificate.
    pub authority_of: Option<String>,
    /// The issuer's name as text.
    pub issuer: String,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// The first second it counts, since 1970.
    pub not_before: i64,
    /// The last second it counts, since 1970.
    pub not_after: i64,
    /// SHA-256 of the whole certificate in hexadecimal.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads a certificate; the error says what is wrong with it.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, parsed) = parse_x509_certificate(der).map_err(|error| format!("it is no X.509: {error}"))?;
        if !rest.is_empty() {
            return Err("it is no X.509: octets follow it".to_owned());
        }
        let names = parsed.subject_alternative_name().map_err(|error| format!("its names cannot be read: {error}"))?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let is_authority = parsed.is_ca();
        Ok(Self {
            identity: if is_authority { Err("it is an authority's".to_owned()) } else { identity(names) },
            authority_of: if is_authority { trust_domain(names) } else { None },
            issuer: words::printable(&parsed.issuer().to_string()),
            serial: hexadecimal(parsed.raw_serial()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            fingerprint: hexadecimal(digest::digest(&digest::SHA256, der).as_ref()),
        })
    }

    /// Whom the certificate is for, in words for messages.
    pub fn who(&self) -> String {
        match (&self.identity, &self.authority_of) {
            (Ok(identity), _) => identity.to_string(),
            (Err(_), Some(mesh)) => format!("the authority of mesh {mesh}"),
            (Err(_), None) => "an unnamed peer".to_owned(),
        }
    }

    /// Whole days until it ends; negative once it has.
    pub fn days_left(&self, unix_seconds: i64) -> i64 {
        self.not_after.saturating_sub(unix_seconds).div_euclid(86_400)
    }
}

/// The identity in a list of alternative names.
fn identity(names: &[GeneralName<'_>]) -> Result<Identity, String> {
    // X509-SVID §2: exactly one URI; other kinds of name say nothing here.
    let mut uris = names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(uri) } else { None });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|error: super::identity::IdentityError| error.to_string()),
        (None, _) => Err(format!("it has no URI; a certificate of the mesh names spiffe://<mesh>/{}/<name>", Role::Lb)),
        (Some(_), Some(_)) => Err("it has more than one URI".to_owned()),
    }
}

/// The mesh that an authority's only URI names.
fn trust_domain(names: &[GeneralName<'_>]) -> Option<String> {
    match names {
        [GeneralName::URI(uri)] => {
            let mesh = uri.strip_prefix("spiffe://")?;
            super::identity::check_mesh_name(mesh).ok()?;
            Some(mesh.to_owned())
        }
        _ => None,
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
