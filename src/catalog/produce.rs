//! Members → a catalog zone.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::wire::{Name, RecordType};
use crate::zone::{Zone, ZoneBuilder};

/// What a catalog says of a member beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// How its secondaries shall treat it (RFC 9432 §4.3.2).
    pub group: Option<String>,
    /// The catalog that may take it over (RFC 9432 §4.3.1).
    pub coo: Option<Name>,
}

/// Octets of the digest that make a unique label.
const LABEL_DIGEST: usize = 16;
/// The SOA's refresh in seconds: an hour late is what a lost notification costs.
const REFRESH: u32 = 3600;
/// See [`REFRESH`].
const RETRY: u32 = 600;
/// The SOA's expire, as RFC 9432 Appendix A has it: a catalog does not stop being true.
const EXPIRE: u32 = 2_147_483_646;

/// Makes a catalog of version 2. Nobody asks for its records, so that the name server and the TTLs are those that RFC 9432 §4 and its examples give.
/// A catalog whose own name leaves no room for labels lists nothing.
pub fn produce(apex: &Name, members: &BTreeMap<Name, Listed>, serial: u32, seed: u64) -> Zone {
    let mut builder = ZoneBuilder::new(apex, seed);
    let mut add = |owner: &Name, record_type, rdata: &[u8]| {
        let added = builder.add(owner, record_type, 0, rdata);
        debug_assert!(added.is_ok(), "the owner is in the zone, and the RRset is small");
    };
    let invalid = b"\x07invalid\x00";
    let numbers = [serial, REFRESH, RETRY, EXPIRE, 0].map(u32::to_be_bytes).concat();
    add(apex, RecordType::SOA, &[&invalid[..], invalid, &numbers].concat());
    add(apex, RecordType::NS, invalid);
    if let Ok(version) = apex.child(b"version") {
        add(&version, RecordType::TXT, &string("2"));
    }
    for (member, listed) in members {
        let Some(owner) = owner(apex, member) else { continue };
        add(&owner, RecordType::PTR, member.to_lowercase().as_wire());
        if let (Some(group), Ok(owner)) = (&listed.group, owner.child(b"group")) {
            add(&owner, RecordType::TXT, &string(group));
        }
        if let (Some(coo), Ok(owner)) = (&listed.coo, owner.child(b"coo")) {
            add(&owner, RecordType::PTR, coo.to_lowercase().as_wire());
        }
    }
    builder.finish()
}

/// Where a member is listed.
fn owner(apex: &Name, member: &Name) -> Option<Name> {
    apex.child(b"zones").ok()?.child(unique_label(member).as_bytes()).ok()
}

/// The label of a member: the same in every catalog and after every restart, another for every name.
pub fn unique_label(member: &Name) -> String {
    let digest = Sha256::digest(member.to_lowercase().as_wire());
    digest.iter().take(LABEL_DIGEST).fold(String::new(), |mut label, octet| {
        let _ = write!(label, "{octet:02x}"); // a String takes everything
        label
    })
}

/// A TXT record of one string; more than 255 octets are cut.
fn string(text: &str) -> Vec<u8> {
    let octets = text.as_bytes().get(..255).unwrap_or(text.as_bytes());
    [&[u8::try_from(octets.len()).unwrap_or(u8::MAX)], octets].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::read;
    use crate::zone::check::{Severity, check};

    #[test]
    fn what_is_produced_is_read_as_it_was_meant() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let listed = Listed { group: Some("eu".to_owned()), coo: Some(name("Other.")) };
        let members = BTreeMap::from([(name("a.Example."), listed), (name("."), Listed::default())]);
        let zone = produce(&name("cat.example."), &members, 7, 1);
        assert!(check(&zone).iter().all(|problem| problem.severity == Severity::Warning), "{:?}", check(&zone));
        assert_eq!((zone.soa().serial, zone.records()), (7, 3 + 4));
        let read = read(&zone, 2).unwrap().members;
        let entry = &read[&name("a.example.")];
        assert_eq!((entry.coo.clone(), entry.groups.clone()), (Some(name("other.")), vec!["eu".to_owned()]));
        assert_eq!(&*entry.label, unique_label(&name("A.example.")).as_bytes());
        assert!(read.contains_key(&Name::root()));
    }

    #[test]
    fn labels_are_the_same_for_ever() {
        let label = |text: &str| unique_label(&text.parse().unwrap());
        assert_eq!(label("Example.com."), label("example.COM."));
        // The first half of the SHA-256 of 07 6578616d706c65 00.
        assert_eq!(label("example."), "567cbb189afb9514650149eca3ba063e");
        assert_ne!(label("example."), label("example.com."));
    }
}
