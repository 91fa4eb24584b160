//! What is written of dynamic update → who may change what of which zone, every key resolved.

use std::net::IpAddr;

use crate::answer::{Access, UpdateNames, UpdateRule, ZoneUpdates};
use crate::topology::Prefix;
use crate::wire::{Name, RecordType};
use crate::zone::serial::SerialPolicy;

use super::file::{self, UpdateAction, UpdateMatch};
use super::issues::Issues;
use super::node::Place;

/// What the zone at `place` says of updates; `key` gives the name of a key that exists.
pub(super) fn resolve(
    written: &file::Zone,
    place: &Place<'_>,
    issues: &Issues,
    key: impl Fn(Option<&str>, &Place<'_>) -> Option<Name>,
) -> ZoneUpdates {
    let list = place.field("updates");
    if written.primary.is_some() && !written.updates.is_empty() {
        issues.error_at_key(&list, "a zone that comes from a `primary` is updated there; `forward_updates` passes on");
    }
    let forward = written.forward_updates == Some(true);
    if forward && written.primary.is_none() {
        let message = "only updates of a zone that comes from a `primary` are passed on";
        issues.error(&place.field("forward_updates"), message);
    }
    let serial = match written.serial {
        None | Some(file::Serial::Increment) => SerialPolicy::Increment,
        Some(file::Serial::UnixTime) => SerialPolicy::UnixTime,
        Some(file::Serial::Date) => SerialPolicy::DateSerial,
    };
    let rules = written.updates.iter().filter_map(|(index, update)| {
        let place = list.item(index);
        let access =
            Access { address: update.address.as_ref().map(|prefix| prefix.0), key: key(update.key.as_deref(), &place) };
        rule(update, access, &written.name.0, &place, issues)
    });
    ZoneUpdates { rules: rules.collect(), serial, forward }
}

fn rule(update: &file::Update, access: Access, apex: &Name, place: &Place<'_>, issues: &Issues) -> Option<UpdateRule> {
    if update.key.is_none() && !access.address.is_some_and(is_loopback) {
        issues.error_at_key(place, "`key` is missing: an address alone is enough only on loopback, others are forged");
        return None;
    }
    // One that could not be resolved has been reported.
    access.key.as_ref().or(access.address.map(|_| apex).filter(|_| update.key.is_none()))?;
    let names = names(update, apex, place, issues)?;
    let types = update.types.as_ref().map(|types| types.0.iter().map(|one| one.0).collect::<Vec<_>>());
    let meta = types.iter().flatten().find(|one| one.is_meta() && **one != RecordType::ANY);
    if let Some(meta) = meta {
        issues.error(&place.field("types"), format!("{meta} stands in no zone"));
    }
    let does = |action| update.actions.as_ref().is_none_or(|actions| actions.0.contains(&action));
    Some(UpdateRule { access, names, types, add: does(UpdateAction::Add), delete: does(UpdateAction::Delete) })
}

fn names(update: &file::Update, apex: &Name, place: &Place<'_>, issues: &Issues) -> Option<UpdateNames> {
    let names: Vec<Name> = update.names.iter().flat_map(|names| &names.0).map(|name| name.0.to_lowercase()).collect();
    if let Some(other) = names.iter().find(|name| !name.is_at_or_below(apex)) {
        issues.error(&place.field("names"), format!("{other} is not in the zone {apex}"));
        return None;
    }
    match (update.names_match.unwrap_or(UpdateMatch::Zone), names.is_empty()) {
        (UpdateMatch::Zone, true) => Some(UpdateNames::Zone),
        (UpdateMatch::KeyName, true) if update.key.is_some() => Some(UpdateNames::KeyName),
        (UpdateMatch::KeyName, true) => {
            issues.error(&place.field("match"), "`self` is the name of the `key`, which is missing");
            None
        }
        (UpdateMatch::Subtree, false) => Some(UpdateNames::Subtree(names)),
        (UpdateMatch::Exact, false) => Some(UpdateNames::Exact(names)),
        (UpdateMatch::Subtree | UpdateMatch::Exact, true) => {
            issues.error(&place.field("match"), "`names` is missing");
            None
        }
        (UpdateMatch::Zone | UpdateMatch::KeyName, false) => {
            issues
                .error_at_key(&place.field("names"), "`match: subtree` or `match: exact` says what the names are for");
            None
        }
    }
}

/// Whether nobody outside this host can send from the prefix.
fn is_loopback(prefix: Prefix) -> bool {
    match prefix.address {
        IpAddr::V4(address) => address.is_loopback() && prefix.length >= 8,
        IpAddr::V6(address) => address.is_loopback() && prefix.length == 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::UpdateAction;
    use crate::config::testing::load_with;
    use crate::zone::ZoneId;

    const ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n";

    fn load(zone: &str) -> Result<ZoneUpdates, Vec<String>> {
        let text = format!(
            "node: n\nkeys: {{k: {{secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}}}\nzones: [{{name: example., file: z.zone, {zone}}}]\n"
        );
        let config = load_with(&text, &[("z.zone", ZONE)])?;
        Ok(config.transfers.get(&ZoneId::from("example.".parse::<Name>().unwrap())).unwrap().updates.clone())
    }

    #[test]
    fn rules_are_read() {
        let updates = load(
            "serial: unixtime, updates: [{key: K, match: exact, names: _acme.example, types: TXT, actions: add}, \
             {address: 127.0.0.0/8}, {key: k, match: self, types: [ANY]}]",
        );
        let updates = updates.unwrap();
        assert_eq!((updates.serial, updates.rules.len(), updates.forward), (SerialPolicy::UnixTime, 3, false));
        let permits = |source: &str, key: Option<&str>, name: &str, record_type, action| {
            let key = key.map(|key| key.parse().unwrap());
            updates.permits(source.parse().unwrap(), key.as_ref(), &name.parse().unwrap(), record_type, action)
        };
        let (a, txt) = (RecordType::A, RecordType::TXT);
        assert!(permits("192.0.2.1", Some("k."), "_acme.example.", txt, UpdateAction::Add));
        assert!(!permits("192.0.2.1", Some("k."), "_acme.example.", txt, UpdateAction::Delete));
        assert!(permits("127.0.0.1", None, "www.example.", a, UpdateAction::Delete));
        assert!(!permits("192.0.2.1", None, "www.example.", a, UpdateAction::Delete));
        assert!(load("").unwrap().rules.is_empty());
    }

    #[test]
    fn mistakes_are_said() {
        let check = |zone: &str, expected: &str| {
            let errors = load(zone).unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].ends_with(expected), "{errors:?}");
        };
        check("updates: [{key: x}]", "updates[0].key: there is no key `x` under `keys`");
        let forged = "updates[0]: `key` is missing: an address alone is enough only on loopback, others are forged";
        check("updates: [{address: 10.0.0.0/8}]", forged);
        check("updates: [{address: 0.0.0.0/0}]", forged);
        check("updates: [{}]", forged);
        check("updates: [{key: k, match: exact}]", "match: `names` is missing");
        check(
            "updates: [{address: 127.0.0.1, match: self}]",
            "match: `self` is the name of the `key`, which is missing",
        );
        check(
            "updates: [{key: k, names: a.example}]",
            "`match: subtree` or `match: exact` says what the names are for",
        );
        check(
            "updates: [{key: k, match: exact, names: a.example.net}]",
            "names: a.example.net. is not in the zone example.",
        );
        check("updates: [{key: k, types: [AXFR]}]", "types: AXFR stands in no zone");
        check("forward_updates: true", "only updates of a zone that comes from a `primary` are passed on");
    }
}
