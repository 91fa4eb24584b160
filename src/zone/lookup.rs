//! Look-up in one zone (RFC 1034 §4.3.2, RFC 4592, RFC 6672): what stands at a name, above it, or in its stead.

use super::shard::{Flags, Node, Rrset};
use super::tree::Zone;
use crate::wire::{NameKey, RecordType};

/// What a zone says of a name and type. Labels count from the left of the question's name.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'z> {
    /// Records of the type stand there, or at the wildcard that covers the name.
    Hit(Rrset<'z>),
    /// A CNAME stands there instead.
    Cname(Rrset<'z>),
    /// A DNAME stands above, at the suffix that starts at `label`.
    Dname {
        /// Where the DNAME's owner starts in the question's name.
        label: usize,
        /// The DNAME.
        rrset: Rrset<'z>,
    },
    /// The name is at or below a zone cut, at the suffix that starts at `label`.
    Delegation {
        /// Where the cut's name starts in the question's name.
        label: usize,
        /// The NS records of the cut.
        name_servers: Rrset<'z>,
    },
    /// The name exists, or a wildcard covers it, without the type.
    NoData,
    /// The name does not exist.
    NxDomain,
}

impl Zone {
    /// Looks up a name at or below the apex.
    ///
    /// `RecordType::ANY` finds one RRset, the one resolvers most likely want (RFC 8482 §4.1).
    pub fn lookup(&self, key: &NameKey, record_type: RecordType) -> Lookup<'_> {
        let Some(apex) = key.label_count().checked_sub(self.apex_labels()) else { return Lookup::NxDomain };
        if let Some(node) = self.node(key, 0) {
            if node.flags().contains(Flags::OCCLUDED) {
                return self.divided(key, 1, apex, record_type).unwrap_or(Lookup::NoData);
            }
            // RFC 4035 §3.1.4.1: the parent side of a cut owns its DS.
            if node.flags().contains(Flags::CUT) && record_type != RecordType::DS {
                return delegation(node, 0).unwrap_or(Lookup::NoData);
            }
            return at_node(node, record_type);
        }
        let Some((encloser, label)) = (1..=apex).find_map(|label| Some((self.node(key, label)?, label))) else {
            return Lookup::NxDomain;
        };
        if encloser.flags().contains(Flags::OCCLUDED.with(Flags::CUT).with(Flags::DNAME))
            && let Some(found) = self.divided(key, label, apex, record_type)
        {
            return found;
        }
        // RFC 4592 §3.3.1: the source of synthesis is the wildcard right below the closest encloser, no other.
        match self.wildcard(key, label) {
            Some(wildcard) => at_node(wildcard, record_type),
            None => Lookup::NxDomain,
        }
    }

    /// The highest cut or DNAME among the suffixes from `lowest` up to the apex.
    fn divided(&self, key: &NameKey, lowest: usize, apex: usize, record_type: RecordType) -> Option<Lookup<'_>> {
        debug_assert!(self.has_cuts(), "only zones with cuts mark names as occluded");
        (lowest..=apex).rev().find_map(|label| {
            let node = self.node(key, label)?;
            if node.flags().contains(Flags::CUT) && (label > 0 || record_type != RecordType::DS) {
                return delegation(node, label);
            }
            // RFC 6672 §2.3: a DNAME redirects what is below its owner, not the owner.
            let rrset = node.rrset(RecordType::DNAME).filter(|_| label > 0)?;
            Some(Lookup::Dname { label, rrset })
        })
    }
}

fn delegation(node: Node<'_>, label: usize) -> Option<Lookup<'_>> {
    let name_servers = node.rrset(RecordType::NS)?;
    Some(Lookup::Delegation { label, name_servers })
}

fn at_node(node: Node<'_>, record_type: RecordType) -> Lookup<'_> {
    if record_type == RecordType::ANY {
        return any(node);
    }
    let mut alias = None;
    for rrset in node.rrsets() {
        if rrset.record_type == record_type {
            return Lookup::Hit(rrset);
        }
        if rrset.record_type == RecordType::CNAME {
            alias = Some(rrset);
        }
    }
    alias.map_or(Lookup::NoData, Lookup::Cname)
}

/// The RRset that answers `ANY`: the first there is of what clients look for, else any (RFC 8482 §4.1).
fn any(node: Node<'_>) -> Lookup<'_> {
    const WANTED: [RecordType; 5] =
        [RecordType::CNAME, RecordType::A, RecordType::AAAA, RecordType::MX, RecordType::SOA];
    let wanted = WANTED.into_iter().find_map(|record_type| node.rrset(record_type));
    wanted.or_else(|| node.rrsets().next()).map_or(Lookup::NoData, Lookup::Hit)
}

#[cfg(test)]
mod tests {
    use super::super::ZoneBuilder;
    use super::*;
    use crate::wire::Name;

    /// A zone after RFC 4592 §2.2.1, with a cut and a DNAME.
    fn zone() -> Zone {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let mut builder = ZoneBuilder::new(&name("example."), 1);
        let mut add = |owner: &str, record_type, rdata: &[u8]| {
            builder.add(&name(owner), record_type, 3600, rdata).unwrap();
        };
        let target = name("target.example.");
        add("below.subdel.example.", RecordType::A, &[9; 4]);
        add("example.", RecordType::NS, target.as_wire());
        add("*.example.", RecordType::TXT, b"\x04wild");
        add("*.example.", RecordType::MX, &[&[0, 10], target.as_wire()].concat());
        add("sub.*.example.", RecordType::TXT, b"\x03not");
        add("host1.example.", RecordType::A, &[1; 4]);
        add("_ssh._tcp.host1.example.", RecordType::SRV, &[0; 8]);
        add("subdel.example.", RecordType::NS, target.as_wire());
        add("subdel.example.", RecordType::DS, &[1; 8]);
        add("alias.example.", RecordType::CNAME, target.as_wire());
        add("moved.example.", RecordType::DNAME, target.as_wire());
        add("moved.example.", RecordType::A, &[2; 4]);
        builder.finish()
    }

    fn check(question: &str, record_type: RecordType, expected: &str) {
        let zone = zone();
        let key = NameKey::new(&question.parse().unwrap(), 1);
        let found = match zone.lookup(&key, record_type) {
            Lookup::Hit(rrset) => format!("hit {}", rrset.record_type),
            Lookup::Cname(_) => "cname".to_owned(),
            Lookup::Dname { label, .. } => format!("dname at {label}"),
            Lookup::Delegation { label, .. } => format!("delegation at {label}"),
            Lookup::NoData => "nodata".to_owned(),
            Lookup::NxDomain => "nxdomain".to_owned(),
        };
        assert_eq!(found, expected, "{question} {record_type}");
    }

    #[test]
    fn rfc4592_2_2_1_example() {
        check("host3.example.", RecordType::MX, "hit MX");
        check("host3.example.", RecordType::A, "nodata");
        check("foo.bar.example.", RecordType::TXT, "hit TXT");
        check("host1.example.", RecordType::MX, "nodata");
        check("sub.*.example.", RecordType::MX, "nodata");
        check("_telnet._tcp.host1.example.", RecordType::SRV, "nxdomain");
        check("host.subdel.example.", RecordType::A, "delegation at 1");
        check("ghost.*.example.", RecordType::MX, "nxdomain");
    }

    #[test]
    fn empty_non_terminals_exist() {
        check("_tcp.host1.example.", RecordType::SRV, "nodata");
        check("_tcp.host1.example.", RecordType::ANY, "nodata");
    }

    #[test]
    fn a_cut_hides_what_is_below_it_even_data_added_first() {
        check("below.subdel.example.", RecordType::A, "delegation at 1");
        check("subdel.example.", RecordType::A, "delegation at 0");
        check("subdel.example.", RecordType::ANY, "delegation at 0");
        check("subdel.example.", RecordType::DS, "hit DS");
        check("x.below.subdel.example.", RecordType::DS, "delegation at 2");
    }

    #[test]
    fn rfc6672_2_3_a_dname_redirects_only_what_is_below() {
        check("moved.example.", RecordType::A, "hit A");
        check("moved.example.", RecordType::TXT, "nodata");
        check("a.b.moved.example.", RecordType::A, "dname at 2");
    }

    #[test]
    fn aliases_and_any() {
        check("alias.example.", RecordType::A, "cname");
        check("alias.example.", RecordType::CNAME, "hit CNAME");
        check("alias.example.", RecordType::ANY, "hit CNAME");
        check("host1.example.", RecordType::ANY, "hit A");
        check("new.example.", RecordType::ANY, "hit MX");
        check("example.", RecordType::SOA, "nodata");
    }
}
