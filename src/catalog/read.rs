//! A catalog zone → its members, or the rule it breaks.

use std::collections::BTreeMap;
use std::fmt;

use crate::wire::{Name, RecordType};
use crate::zone::{Rrset, Zone};

/// What a catalog zone lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    /// The members, by name.
    pub members: BTreeMap<Name, Entry>,
}

/// One member as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The label under which it is listed; another one means that the zone starts from nothing (RFC 9432 §5.4).
    pub label: Box<[u8]>,
    /// The catalog that may take it over (RFC 9432 §4.3.1).
    pub coo: Option<Name>,
    /// How its secondaries shall treat it, in words they agreed on (RFC 9432 §4.3.2).
    pub groups: Vec<String>,
}

/// The rule that a catalog zone breaks; nothing of it is used then (RFC 9432 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// `version` has no TXT record, or several.
    Versions(usize),
    /// It is of another version than 2.
    Version(String),
    /// A property that is one name has several.
    SeveralNames(String),
    /// A zone is listed twice.
    Twice(Name),
    /// It has more members than are allowed.
    TooMany(usize),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Versions(0) => f.write_str("the catalog has no TXT record at `version`"),
            Self::Versions(count) => write!(f, "the catalog has {count} TXT records at `version` and must have one"),
            Self::Version(version) => write!(f, "the catalog is of version {version:?}; only 2 is known"),
            Self::SeveralNames(owner) => write!(f, "the catalog has several PTR records at {owner} and may have one"),
            Self::Twice(member) => write!(f, "the catalog lists {member} twice"),
            Self::TooMany(max) => write!(f, "the catalog has more than {max} members (`members_max`)"),
        }
    }
}

impl std::error::Error for Broken {}

/// Reads a catalog of at most `members_max` members. What it holds beside members and the properties of RFC 9432 is
/// nobody's business.
///
/// # Errors
/// [`Broken`]: the rule it breaks.
pub fn read(zone: &Zone, members_max: usize) -> Result<Catalog, Broken> {
    let mut reading = Reading::default();
    let mut result = Ok(());
    zone.for_each(|owner, rrset| {
        if result.is_ok() {
            result = reading.rrset(zone.apex(), owner, rrset);
        }
        if result.is_ok() && reading.listed.len() > members_max {
            result = Err(Broken::TooMany(members_max));
        }
    });
    result?;
    match reading.versions.as_slice() {
        [version] if version.as_slice() == b"2" => {}
        [version] => return Err(Broken::Version(String::from_utf8_lossy(version).into_owned())),
        versions => return Err(Broken::Versions(versions.len())),
    }
    reading.finish()
}

/// What was found so far; the properties of a member may stand before it.
#[derive(Default)]
struct Reading {
    versions: Vec<Vec<u8>>,
    listed: BTreeMap<Box<[u8]>, Name>,
    coos: BTreeMap<Box<[u8]>, Name>,
    groups: BTreeMap<Box<[u8]>, Vec<String>>,
}

impl Reading {
    fn rrset(&mut self, apex: &Name, owner: &[u8], rrset: Rrset<'_>) -> Result<(), Broken> {
        let Ok(name) = Name::from_wire(owner) else { return Ok(()) };
        let depth = name.label_count().saturating_sub(apex.label_count());
        let labels: Vec<&[u8]> = name.labels().take(depth).collect();
        match (labels.as_slice(), rrset.record_type) {
            ([b"version"], RecordType::TXT) => self.versions.extend(rrset.rdatas().map(text)),
            ([unique, b"zones"], RecordType::PTR) => {
                let member = only(&name, rrset)?;
                self.listed.insert((*unique).into(), member);
            }
            ([b"coo", unique, b"zones"], RecordType::PTR) => {
                let catalog = only(&name, rrset)?;
                self.coos.insert((*unique).into(), catalog);
            }
            ([b"group", unique, b"zones"], RecordType::TXT) => {
                let mut groups: Vec<String> =
                    rrset.rdatas().map(|rdata| String::from_utf8_lossy(&text(rdata)).into_owned()).collect();
                groups.sort();
                self.groups.insert((*unique).into(), groups);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Catalog, Broken> {
        let mut members = BTreeMap::new();
        for (label, member) in self.listed {
            let (coo, groups) = (self.coos.remove(&label), self.groups.remove(&label).unwrap_or_default());
            if members.insert(member.clone(), Entry { label, coo, groups }).is_some() {
                return Err(Broken::Twice(member));
            }
        }
        Ok(Catalog { members })
    }
}

/// The one name of a PTR RRset (RFC 9432 §4.1, §4.3.1).
fn only(owner: &Name, rrset: Rrset<'_>) -> Result<Name, Broken> {
    let mut names = rrset.rdatas();
    match (names.next().map(Name::from_wire), names.next()) {
        (Some(Ok(name)), None) => Ok(name.to_lowercase()),
        _ => Err(Broken::SeveralNames(owner.to_string())),
    }
}

/// The octets of a TXT record, its strings joined.
fn text(rdata: &[u8]) -> Vec<u8> {
    let (mut joined, mut rest) = (Vec::new(), rdata);
    while let Some((length, tail)) = rest.split_first() {
        let Some((string, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
        joined.extend_from_slice(string);
        rest = tail;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{load, master};

    fn catalog(text: &str) -> Result<Catalog, Broken> {
        let apex: Name = "cat.".parse().unwrap();
        let settings = master::Settings { file: "cat", origin: &apex, default_ttl: Some(0) };
        let text = format!("@ SOA invalid. invalid. 1 2 3 4 5\n@ NS invalid.\n{text}");
        read(&load(text.as_bytes(), &settings, 1, &mut master::no_include).unwrap().zone, 3)
    }

    const VERSION: &str = "version TXT \"2\"\n";

    #[test]
    fn members_come_with_their_properties_and_the_rest_is_ignored() {
        let text = "one.zones PTR B.Example.\ngroup.one.zones TXT \"x\" \ngroup.one.zones TXT \"a\" \"b\"\ncoo.one.zones PTR other.\n\
                    two.zones PTR a.example.\ntwo.zones TXT \"no member\"\ncoo.three.zones PTR x.\nkind.ext TXT \"y\"\n\
                    version.zones.deep TXT \"3\"\nstray PTR c.example.\n";
        let read = catalog(&format!("{VERSION}{text}")).unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let entry = |label: &[u8], coo: Option<&str>, groups: &[&str]| Entry {
            label: label.into(),
            coo: coo.map(name),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let expected =
            [("a.example.", entry(b"two", None, &[])), ("b.example.", entry(b"one", Some("other."), &["ab", "x"]))];
        assert_eq!(read.members.into_iter().collect::<Vec<_>>(), expected.map(|(member, entry)| (name(member), entry)));
        assert_eq!(catalog(VERSION), Ok(Catalog::default()), "an empty catalog is good");
    }

    #[test]
    fn rfc9432_a_catalog_that_breaks_a_rule_is_not_used() {
        let check = |text: &str, expected: &str| assert_eq!(catalog(text).unwrap_err().to_string(), expected, "{text}");
        check("a.zones PTR a.\n", "the catalog has no TXT record at `version`");
        check("version TXT 1\n", "the catalog is of version \"1\"; only 2 is known");
        check("version TXT 2\nversion TXT 3\n", "the catalog has 2 TXT records at `version` and must have one");
        let two = format!("{VERSION}a.zones PTR a.\na.zones PTR b.\n");
        check(&two, "the catalog has several PTR records at a.zones.cat. and may have one");
        let coo = format!("{VERSION}a.zones PTR a.\ncoo.a.zones PTR b.\ncoo.a.zones PTR c.\n");
        check(&coo, "the catalog has several PTR records at coo.a.zones.cat. and may have one");
        check(&format!("{VERSION}a.zones PTR x.\nb.zones PTR X.\n"), "the catalog lists x. twice");
        let many = format!("{VERSION}a.zones PTR a.\nb.zones PTR b.\nc.zones PTR c.\nd.zones PTR d.\n");
        check(&many, "the catalog has more than 3 members (`members_max`)");
    }
}
