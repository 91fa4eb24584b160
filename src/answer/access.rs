//! Who may ask: lists of the node and of single zones.
//!
//! | of the list | the client | verdict |
//! |---|---|---|
//! | `deny` | is in it | denied |
//! | `allow`, not empty | is not in it | denied |
//! | | anything else | admitted |
//!
//! A zone with lists of its own is judged by them alone. Transfers, notifications and updates are judged by what is
//! configured for them.

use std::net::IpAddr;

use super::transfers::contains;
use crate::topology::Prefix;
use crate::wire::{NameKey, NameMap};
use crate::zone::{ViewName, ZoneId, ZoneMap};

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryAccess {
    /// Who may; empty is everybody.
    pub allow: Vec<Prefix>,
    /// Who may not, `allow` or not.
    pub deny: Vec<Prefix>,
    /// What the denied get.
    pub denied: Denied,
}

/// What a client gets that may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denied {
    /// REFUSED.
    #[default]
    Refused,
    /// No reply.
    Dropped,
}

/// The lists of the node and of its zones, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queriers {
    /// For every zone without lists of its own, and for what is in no zone.
    pub node: Option<QueryAccess>,
    /// Zones with lists of their own.
    pub zones: Vec<(ZoneId, QueryAccess)>,
}

/// The lists of one view made ready for look-up.
pub(super) struct AccessTable {
    node: Option<QueryAccess>,
    /// The lists of zones that have their own.
    own: NameMap<QueryAccess>,
}

impl QueryAccess {
    fn denies(&self, source: IpAddr) -> Option<Denied> {
        let source = source.to_canonical();
        let is_in = |list: &[Prefix]| list.iter().any(|prefix| contains(*prefix, source));
        let admitted = !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow));
        (!admitted).then_some(self.denied)
    }
}

impl AccessTable {
    /// None when everybody may ask for everything, so that nothing is looked up.
    pub(super) fn new(access: &Queriers, view: &ViewName, seed: u64) -> Option<Self> {
        let own = access.zones.iter().filter(|(zone, _)| zone.view == *view);
        let own = NameMap::build(own.map(|(zone, access)| (zone.apex.clone(), access.clone())), seed);
        (access.node.is_some() || !own.is_empty()).then(|| Self { node: access.node.clone(), own })
    }

    /// What the client at `source` gets in the place of an answer for the name; none when it may ask.
    #[inline(never)]
    pub(super) fn denies(&self, zones: &ZoneMap, name: &NameKey, source: IpAddr) -> Option<Denied> {
        // The closest zone counts, lists or not.
        let zone = if self.own.is_empty() { None } else { zones.longest(name, 0) };
        let own = zone.and_then(|(label, _)| self.own.get(name, label));
        own.or(self.node.as_ref()).and_then(|access| access.denies(source))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::Name;
    use crate::zone::ZoneBuilder;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        let prefix = |text: &&str| {
            let (address, length) = text.split_once('/').unwrap();
            Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
        };
        texts.iter().map(prefix).collect()
    }

    fn access(allow: &[&str], deny: &[&str], denied: Denied) -> QueryAccess {
        QueryAccess { allow: prefixes(allow), deny: prefixes(deny), denied }
    }

    #[test]
    fn deny_counts_before_allow_and_no_allow_is_everybody() {
        let check = |allow: &[&str], deny: &[&str], source: &str, admitted: bool| {
            let denied = access(allow, deny, Denied::Refused).denies(source.parse().unwrap());
            assert_eq!(denied.is_none(), admitted, "{allow:?} {deny:?} {source}");
        };
        check(&[], &[], "192.0.2.1", true);
        check(&[], &["192.0.2.0/24"], "192.0.2.1", false);
        check(&[], &["192.0.2.0/24"], "::ffff:192.0.2.1", false);
        check(&[], &["192.0.2.0/24"], "198.51.100.1", true);
        check(&["192.0.2.0/24"], &[], "192.0.2.1", true);
        check(&["192.0.2.0/24"], &[], "2001:db8::1", false);
        check(&["192.0.2.0/24"], &["192.0.2.1/32"], "192.0.2.1", false);
        check(&["192.0.2.0/24"], &["192.0.2.1/32"], "192.0.2.2", true);
        check(&["::/0"], &[], "192.0.2.2", false);
    }

    #[test]
    fn the_closest_zone_s_lists_count_alone() {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let node = Some(access(&[], &["192.0.2.0/24"], Denied::Dropped));
        let zones = vec![(ZoneId::from(name("inner.example.")), access(&["192.0.2.0/24"], &[], Denied::Refused))];
        let apexes = [name("example."), name("inner.example."), name("deep.inner.example.")];
        let table = AccessTable::new(&Queriers { node, zones }, &ViewName::default(), 1).unwrap();
        let empty = |apex: &Name| Arc::new(ZoneBuilder::new(apex, 1).finish());
        let served = ZoneMap::build(apexes.iter().map(empty), 1);
        let check = |question: &str, source: &str, expected: Option<Denied>| {
            let key = NameKey::new(&name(question), 1);
            assert_eq!(table.denies(&served, &key, source.parse().unwrap()), expected, "{question} {source}");
        };
        check("www.example.", "192.0.2.1", Some(Denied::Dropped));
        check("elsewhere.", "192.0.2.1", Some(Denied::Dropped));
        check("www.example.", "198.51.100.1", None);
        check("www.inner.example.", "192.0.2.1", None);
        check("www.inner.example.", "198.51.100.1", Some(Denied::Refused));
        check("www.deep.inner.example.", "198.51.100.1", None);
        check("www.deep.inner.example.", "192.0.2.1", Some(Denied::Dropped));
        assert!(AccessTable::new(&Queriers::default(), &ViewName::default(), 1).is_none());
    }
}
