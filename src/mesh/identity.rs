//! Who a peer is: one SPIFFE URI in its certificate, never an address or a host name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most octets of a mesh's, node's or server's name.
const NAME_LENGTH_MAX: usize = 128;

/// What a holder of a certificate may do in the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A DNS node: dials agents and believes them.
    Dns,
    /// The agent of a load balancer: reports for the server of its name, and for no other.
    Lb,
}

/// An identity as `spiffe://<mesh>/dns/<node>` or `spiffe://<mesh>/lb/<server>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The mesh: SPIFFE's trust domain.
    pub mesh: Arc<str>,
    /// What its holder may do.
    pub role: Role,
    /// The node's or server's name.
    pub name: Arc<str>,
}

/// Why a text is no identity, or a name can be in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityError(String);

impl Role {
    /// The word in the URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Lb => "lb",
        }
    }
}

impl Identity {
    /// An identity of checked names: 1–128 octets of `A–Z a–z 0–9 . _ -`; a mesh's name is lower case (SPIFFE-ID §2.1).
    pub fn new(mesh: &str, role: Role, name: &str) -> Result<Self, IdentityError> {
        check_mesh_name(mesh)?;
        check_name("name", name)?;
        Ok(Self { mesh: mesh.into(), role, name: name.into() })
    }
}

/// Checks that `mesh` can be a mesh's name.
pub(super) fn check_mesh_name(mesh: &str) -> Result<(), IdentityError> {
    check_name("mesh name", mesh)?;
    if mesh.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Err(IdentityError(format!("mesh name \"{mesh}\" has upper-case letters; write it in lower case")));
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), IdentityError> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || name == "." || name == ".." || !name.bytes().all(fits) {
        let shown = super::words::printable(name);
        return Err(IdentityError(format!(
            "{what} \"{shown}\" is not 1 to {NAME_LENGTH_MAX} letters, digits, dots, hyphens and underscores"
        )));
    }
    Ok(())
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let not_ours = || {
            let shown = super::words::printable(uri);
            IdentityError(format!("\"{shown}\" is not spiffe://<mesh>/dns/<node> or spiffe://<mesh>/lb/<server>"))
        };
        let path = uri.strip_prefix("spiffe://").ok_or_else(not_ours)?;
        let mut parts = path.split('/');
        let (Some(mesh), Some(role), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(not_ours());
        };
        let role = match role {
            "dns" => Role::Dns,
            "lb" => Role::Lb,
            _ => return Err(not_ours()),
        };
        Self::new(mesh, role, name)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.mesh, self.role.as_str(), self.name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IdentityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back_as_written() {
        for (mesh, role, name) in [("prod", Role::Dns, "ns1"), ("a.example", Role::Lb, "NY_lb-1.x")] {
            let identity = Identity::new(mesh, role, name).unwrap();
            assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        }
    }

    #[test]
    fn what_is_not_exactly_an_identity_is_refused() {
        for uri in [
            "",
            "https://prod/dns/ns1",
            "spiffe://prod/dns",
            "spiffe://prod/dns/",
            "spiffe://prod/dns/ns1/",
            "spiffe://prod/root/ns1",
            "spiffe://prod/DNS/ns1",
            "spiffe://Prod/dns/ns1",
            "spiffe:///dns/ns1",
            "spiffe://prod/lb/..",
            "spiffe://prod/lb/a%2fb",
            "spiffe://prod/lb/a\nb",
            "spiffe://prod:1/lb/a",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri} was accepted");
        }
        assert!(Identity::new("prod", Role::Lb, &"a".repeat(129)).is_err());
    }
}
