//! Who may change what of a zone by dynamic update.

use std::net::IpAddr;

use super::transfers::Access;
use crate::wire::{Name, RecordType};
use crate::zone::serial::SerialPolicy;

/// What is configured of the updates of one zone; without rules nobody may change it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneUpdates {
    /// Who may change what: whatever one of these lets through.
    pub rules: Vec<UpdateRule>,
    /// How the serial of a changed zone is made.
    pub serial: SerialPolicy,
    /// Whether updates of a secondary zone are passed on to its primary.
    pub forward: bool,
}

/// Lets somebody make some changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRule {
    /// Who.
    pub access: Access,
    /// At which names.
    pub names: UpdateNames,
    /// Of which types; none for every type but SOA and NS.
    pub types: Option<Vec<RecordType>>,
    /// Whether records may be added.
    pub add: bool,
    /// Whether records may be deleted.
    pub delete: bool,
}

/// The names that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateNames {
    /// Every name of the zone.
    Zone,
    /// These names and all below them.
    Subtree(Vec<Name>),
    /// These names.
    Exact(Vec<Name>),
    /// The name of the key that signed the update.
    KeyName,
}

/// What an update does at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateAction {
    /// It adds a record.
    Add,
    /// It deletes records.
    Delete,
}

impl ZoneUpdates {
    /// Whether somebody at `source`, signing with the key of that name, may change anything at all.
    pub fn knows(&self, source: IpAddr, key: Option<&Name>) -> bool {
        self.rules.iter().any(|rule| rule.access.allows(source, key))
    }

    /// Whether they may do this. Type ANY stands for a name as a whole, whatever types it has.
    pub fn permits(
        &self,
        source: IpAddr,
        key: Option<&Name>,
        name: &Name,
        record_type: RecordType,
        action: UpdateAction,
    ) -> bool {
        let permits = |rule: &UpdateRule| {
            let acts = match action {
                UpdateAction::Add => rule.add,
                UpdateAction::Delete => rule.delete,
            };
            acts && rule.access.allows(source, key) && rule.names.contain(name, key) && rule.has_type(record_type)
        };
        self.rules.iter().any(permits)
    }
}

impl UpdateRule {
    fn has_type(&self, record_type: RecordType) -> bool {
        match &self.types {
            _ if record_type == RecordType::ANY => true,
            None => !matches!(record_type, RecordType::SOA | RecordType::NS),
            Some(types) => types.contains(&record_type) || types.contains(&RecordType::ANY),
        }
    }
}

impl UpdateNames {
    fn contain(&self, name: &Name, key: Option<&Name>) -> bool {
        match self {
            Self::Zone => true,
            Self::Subtree(tops) => tops.iter().any(|top| name.is_at_or_below(top)),
            Self::Exact(names) => names.contains(name),
            Self::KeyName => key == Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn rule(names: UpdateNames, types: Option<Vec<RecordType>>) -> UpdateRule {
        let access = Access { address: None, key: Some(name("k.")) };
        UpdateRule { access, names, types, add: true, delete: true }
    }

    #[track_caller]
    fn check(rule: &UpdateRule, key: &str, owner: &str, record_type: RecordType, action: UpdateAction, expected: bool) {
        let updates = ZoneUpdates { rules: vec![rule.clone()], ..ZoneUpdates::default() };
        let key = name(key);
        let found = updates.permits("192.0.2.1".parse().unwrap(), Some(&key), &name(owner), record_type, action);
        assert_eq!(found, expected, "{owner} {record_type} {action:?}");
    }

    #[test]
    fn a_rule_lets_its_key_through_at_its_names_for_its_types_and_actions() {
        use UpdateAction::{Add, Delete};
        let (a, txt) = (RecordType::A, RecordType::TXT);
        let zone = rule(UpdateNames::Zone, None);
        check(&zone, "K.", "any.example.", a, Add, true);
        check(&zone, "other.", "any.example.", a, Add, false);
        check(&zone, "k.", "example.", RecordType::NS, Add, false);
        check(&zone, "k.", "example.", RecordType::SOA, Add, false);
        check(&zone, "k.", "example.", RecordType::ANY, Delete, true);
        let any = rule(UpdateNames::Zone, Some(vec![RecordType::ANY]));
        check(&any, "k.", "example.", RecordType::NS, Add, true);
        let subtree = rule(UpdateNames::Subtree(vec![name("dyn.example.")]), Some(vec![a]));
        check(&subtree, "k.", "dyn.example.", a, Add, true);
        check(&subtree, "k.", "h.DYN.example.", a, Delete, true);
        check(&subtree, "k.", "h.dyn.example.", txt, Delete, false);
        check(&subtree, "k.", "xdyn.example.", a, Add, false);
        let exact = rule(UpdateNames::Exact(vec![name("_acme.example.")]), Some(vec![txt]));
        check(&exact, "k.", "_ACME.example.", txt, Add, true);
        check(&exact, "k.", "x._acme.example.", txt, Add, false);
        let own = rule(UpdateNames::KeyName, None);
        check(&own, "k.", "k.", a, Add, true);
        check(&own, "k.", "x.k.", a, Add, false);
        let adds = UpdateRule { delete: false, ..zone };
        check(&adds, "k.", "h.example.", a, Add, true);
        check(&adds, "k.", "h.example.", a, Delete, false);
    }

    #[test]
    fn without_rules_nobody_is_known() {
        let key = name("k.");
        let source = "127.0.0.1".parse().unwrap();
        assert!(!ZoneUpdates::default().knows(source, Some(&key)));
        let one = ZoneUpdates { rules: vec![rule(UpdateNames::Zone, None)], ..ZoneUpdates::default() };
        assert!(one.knows(source, Some(&key)) && !one.knows(source, None));
    }
}
