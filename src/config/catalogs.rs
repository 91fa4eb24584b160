//! What is written of catalog zones → how their members become zones, and which zones they list.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::{CatalogConsumer, CatalogMembers, CatalogRole, MemberOf, Primary, ZoneTransfer};
use crate::wire::Name;

use super::file;
use super::limits;
use super::node::Place;
use super::transfers::Resolver;

/// The longest group name, in octets: it is one string of a TXT record.
const GROUP_OCTETS_MAX: usize = 255;

impl Resolver<'_> {
    /// What the zone at `place`, which comes from `primary`, is as a catalog.
    pub(crate) fn catalog(
        &self,
        written: &file::Zone,
        primary: Option<&Primary>,
        place: &Place<'_>,
    ) -> Option<CatalogRole> {
        let (catalog, place) = (written.catalog.as_ref()?, place.field("catalog"));
        if written.file.is_some() {
            self.issues.error_at_key(&place, "a catalog is made here or comes from a `primary`; it has no `file`");
            return None;
        }
        if written.primary.is_some() {
            if catalog.members.is_some() {
                let message = "a catalog that comes from a primary has the members that it lists";
                self.issues.error_at_key(&place.field("members"), message);
            }
            return Some(CatalogRole::Consumed(Arc::new(self.consumer(catalog, primary?, &place))));
        }
        for key in ["template", "groups", "members_max"].into_iter().filter(|key| place.has(key)) {
            let message = format!("`{key}` is for a catalog that comes from a `primary`; this one is made here");
            self.issues.error_at_key(&place.field(key), message);
        }
        Some(CatalogRole::Produced(match catalog.members {
            Some(file::CatalogMembers::All) => CatalogMembers::All,
            Some(file::CatalogMembers::Named) | None => CatalogMembers::Named,
        }))
    }

    fn consumer(&self, written: &file::Catalog, primary: &Primary, place: &Place<'_>) -> CatalogConsumer {
        let none = file::Template::default();
        let template = written.template.as_ref().unwrap_or(&none);
        let groups = written.groups.iter().map(|(_, group, written)| {
            let settings = self.template(written.unwrap_or(&none), primary, &place.field("groups").field(group));
            (group.to_owned(), settings)
        });
        CatalogConsumer {
            template: self.template(template, primary, &place.field("template")),
            groups: groups.collect::<BTreeMap<_, _>>(),
            members_max: {
                limits::CATALOG_MEMBERS.take(written.members_max, &place.field("members_max"), self.issues)
            },
        }
    }

    fn template(&self, written: &file::Template, primary: &Primary, place: &Place<'_>) -> ZoneTransfer {
        let own = written.primary.as_ref().and_then(|own| self.primary(own, &place.field("primary")));
        let primary = Some(own.unwrap_or_else(|| primary.clone()));
        let transfer = self.transfer(written.transfer.as_ref(), written.transfer_wide_ips, &place.field("transfer"));
        ZoneTransfer { primary, ..transfer }
    }

    /// The catalog of this node that lists the zone; it must be one of `made`.
    pub(crate) fn member_of(&self, written: &file::Zone, made: &[&Name], place: &Place<'_>) -> Option<MemberOf> {
        let (own, place) = (written.member_of.as_ref()?, place.field("member_of"));
        if written.catalog.is_some() {
            self.issues.error_at_key(&place, "a catalog is no member of a catalog");
        }
        let catalog = own.catalog.0.to_lowercase();
        if !made.iter().any(|name| **name == catalog) {
            let message = format!("there is no zone {catalog} with `catalog` that is made on this node");
            self.issues.error(&place.field("catalog"), message);
        }
        if own.group.as_ref().is_some_and(|group| group.is_empty() || group.len() > GROUP_OCTETS_MAX) {
            let message = format!("a group has 1 to {GROUP_OCTETS_MAX} octets: it is one string of a TXT record");
            self.issues.error(&place.field("group"), message);
        }
        let coo = own.coo.as_ref().map(|coo| coo.0.to_lowercase());
        if coo.as_ref() == Some(&catalog) {
            self.issues.error(&place.field("coo"), "the zone is in that catalog: a change of ownership names another");
        }
        Some(MemberOf { catalog, group: own.group.clone(), coo })
    }
}

#[cfg(test)]
mod tests {
    use crate::answer::{CatalogMembers, CatalogRole};
    use crate::config::testing::{load_text, load_with};
    use crate::wire::Name;

    const ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n";

    #[test]
    fn a_catalog_is_made_here_or_comes_from_a_primary() {
        let text = "node: n\nzones:\n  - {name: made., catalog: {members: all}}\n  - name: theirs.\n    \
                    primary: {addresses: 192.0.2.1, port: 5300}\n    catalog:\n      members_max: 7\n      \
                    groups: {eu: {primary: {addresses: 192.0.2.2}, transfer: {allow: [{address: 192.0.2.9}]}}}\n  \
                    - {name: a., file: a.zone, member_of: {catalog: Made., group: eu, coo: other.}}\n";
        let config = load_with(text, &[("a.zone", ZONE)]).unwrap();
        let zone = |name: &str| config.transfers.get(&name.parse::<Name>().unwrap().into()).unwrap();
        assert_eq!(zone("made.").catalog, Some(CatalogRole::Produced(CatalogMembers::All)));
        let Some(CatalogRole::Consumed(consumer)) = &zone("theirs.").catalog else { panic!("it is not consumed") };
        assert_eq!(consumer.members_max, 7);
        let address = |policy: &crate::answer::ZoneTransfer| policy.primary.as_ref().unwrap().servers[0].address;
        assert_eq!(address(&consumer.template), "192.0.2.1:5300".parse().unwrap(), "the catalog's own");
        assert_eq!(address(&consumer.groups["eu"]), "192.0.2.2:53".parse().unwrap());
        assert_eq!(consumer.groups["eu"].allow.len(), 1);
        let member = zone("a.").member_of.as_ref().unwrap();
        assert_eq!((member.catalog.to_string(), member.group.as_deref()), ("made.".to_owned(), Some("eu")));
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        let check = |zone: &str, expected: &str| {
            let errors = load_text(&format!("node: n\nzones: [{{name: a., {zone}}}]\n")).unwrap_err();
            assert!(errors.iter().any(|error| error.contains(expected)), "{errors:?}");
        };
        check("file: a.zone, catalog: {}", "zones[0].catalog: a catalog is made here or comes from a `primary`");
        check("catalog: {template: {}}", "`template` is for a catalog that comes from a `primary`");
        check("primary: {addresses: 192.0.2.1}, catalog: {members: all}", "has the members that it lists");
        check("primary: {addresses: 192.0.2.1}, catalog: {members_max: 0}", "0 is not from 1 to 1000000");
        check("primary: {addresses: 192.0.2.1}, member_of: {catalog: b.}", "there is no zone b. with `catalog`");
        check("catalog: {}, member_of: {catalog: a.}", "a catalog is no member of a catalog");
        check("catalog: {}, member_of: {catalog: a., coo: a.}", "a change of ownership names another");
        check("catalog: {}, member_of: {catalog: a., group: ''}", "a group has 1 to 255 octets");
    }
}
