//! Which of the zones that catalogs list become zones of this node, and out of which catalog.
//!
//! | the zone is | becomes a member |
//! |---|---|
//! | configured on this node | of none: the configuration wins (RFC 9432 §5.2) |
//! | listed by one catalog | of that |
//! | listed by several, a member of one that does not hand it over | of that one still (RFC 9432 §5.2) |
//! | listed by several, a member of one whose `coo` names another of them | of the other (RFC 9432 §4.3.1) |
//! | listed by several, a member of none | of the first by name |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::read::{Catalog, Entry};
use crate::answer::{CatalogConsumer, Membership, ZoneTransfer};
use crate::zone::ZoneId;

/// A catalog that this node takes members from.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// How members are set up.
    pub consumer: Arc<CatalogConsumer>,
    /// What its version in use lists.
    pub catalog: Arc<Catalog>,
}

/// A member and how it is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// Where it was listed.
    pub membership: Membership,
    /// Its template, filled in.
    pub policy: ZoneTransfer,
}

/// A listed zone that does not become a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The catalog that lists it.
    pub catalog: ZoneId,
    /// The zone.
    pub zone: ZoneId,
    /// Why it does not.
    pub reason: String,
}

/// What becomes of everything that is listed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment {
    /// The zones that catalogs bring, in the view of their catalog.
    pub members: BTreeMap<ZoneId, Assigned>,
    /// The zones that they list in vain.
    pub refused: Vec<Refused>,
}

/// Decides by the table above; `before` says which catalog each zone is a member of.
pub fn assign(
    catalogs: &BTreeMap<ZoneId, Consumed>,
    is_configured: impl Fn(&ZoneId) -> bool,
    before: impl Fn(&ZoneId) -> Option<Membership>,
) -> Assignment {
    let mut listed: BTreeMap<ZoneId, Vec<(&ZoneId, &Consumed, &Entry)>> = BTreeMap::new();
    for (id, consumed) in catalogs {
        for (member, entry) in &consumed.catalog.members {
            let member = ZoneId::new(id.view.clone(), member.clone());
            listed.entry(member).or_default().push((id, consumed, entry));
        }
    }
    let mut assignment = Assignment::default();
    for (zone, listings) in listed {
        let mut refuse = |catalog: &ZoneId, reason: String| {
            assignment.refused.push(Refused { catalog: catalog.clone(), zone: zone.clone(), reason });
        };
        if is_configured(&zone) {
            listings
                .iter()
                .for_each(|(id, ..)| refuse(id, "a zone of that name is configured on this node".to_owned()));
            continue;
        }
        let owner = owner(&listings, before(&zone));
        for (at, (id, consumed, entry)) in listings.iter().enumerate() {
            if at != owner {
                let holder = listings.get(owner).map(|(id, ..)| id.apex.to_string()).unwrap_or_default();
                refuse(id, format!("it is a member of {holder}, which does not hand it over (coo)"));
                continue;
            }
            let membership = Membership { catalog: id.apex.clone(), label: entry.label.as_ref().into() };
            let policy = policy(&consumed.consumer, entry, &membership);
            assignment.members.insert(zone.clone(), Assigned { membership, policy });
        }
    }
    assignment.refused.sort();
    assignment
}

/// Which of the catalogs that list a zone has it.
fn owner(listings: &[(&ZoneId, &Consumed, &Entry)], before: Option<Membership>) -> usize {
    let of = |catalog: &crate::wire::Name| listings.iter().position(|(id, ..)| id.apex == *catalog);
    let Some(held) = before.and_then(|before| of(&before.catalog)) else { return 0 };
    let handed_to = listings.get(held).and_then(|(_, _, entry)| entry.coo.as_ref()).and_then(of);
    handed_to.unwrap_or(held)
}

/// The template of the first group that is known here, else the one for all.
fn policy(consumer: &CatalogConsumer, entry: &Entry, membership: &Membership) -> ZoneTransfer {
    let group = entry.groups.iter().find_map(|group| consumer.groups.get(group));
    let mut policy = group.unwrap_or(&consumer.template).clone();
    if let Some(primary) = &mut policy.primary {
        primary.member = Some(membership.clone());
    }
    policy
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::{InboundLimits, Peer, Primary};
    use crate::wire::Name;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn template(address: &str) -> ZoneTransfer {
        let time = Duration::from_secs(1);
        let limits = InboundLimits { records_max: 1, octets_max: 1, time_max: time, wait_max: time };
        let servers = vec![Peer { address: address.parse().unwrap(), key: None }];
        ZoneTransfer { primary: Some(Primary { servers, limits, member: None }), ..ZoneTransfer::default() }
    }

    /// A catalog that lists zones as `name label group coo`.
    fn catalog(lines: &[&str]) -> Consumed {
        let entry = |line: &&str| {
            let mut words = line.split(' ');
            let mut next = || words.next().filter(|word| !word.is_empty());
            let (member, label) = (name(next().unwrap()), next().unwrap().as_bytes().into());
            let groups = next().filter(|group| *group != "-").map(str::to_owned).into_iter().collect();
            (member, Entry { label, groups, coo: next().map(name) })
        };
        let groups = [("eu".to_owned(), template("192.0.2.2:53"))].into();
        let consumer = CatalogConsumer { template: template("192.0.2.1:53"), groups, members_max: 9 };
        let members = lines.iter().map(entry).collect();
        Consumed { consumer: consumer.into(), catalog: Catalog { members }.into() }
    }

    /// Decides between the catalogs `a.` and `b.`; lines of `zone catalog label primary` and of what is refused.
    fn decide(a: &[&str], b: &[&str], before: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let catalogs = [("a.", a), ("b.", b)].map(|(id, lines)| (ZoneId::from(name(id)), catalog(lines)));
        let before: BTreeMap<ZoneId, Membership> = before
            .iter()
            .map(|(zone, catalog)| (name(zone).into(), Membership { catalog: name(catalog), label: [0].into() }))
            .collect();
        let is_configured = |zone: &ZoneId| zone.apex == name("ours.");
        let assignment = assign(&catalogs.into(), is_configured, |zone| before.get(zone).cloned());
        let member = |(zone, assigned): (&ZoneId, &Assigned)| {
            let Membership { catalog, label } = &assigned.membership;
            let primary = assigned.policy.primary.as_ref().unwrap();
            assert_eq!(primary.member.as_ref(), Some(&assigned.membership));
            format!("{zone} {catalog} {} {}", String::from_utf8_lossy(label), primary.servers[0].address.ip())
        };
        let refused = |one: &Refused| format!("{} {} {}", one.zone, one.catalog, one.reason);
        (assignment.members.iter().map(member).collect(), assignment.refused.iter().map(refused).collect())
    }

    #[test]
    fn each_row_of_the_table() {
        let check = |a: &[&str], b: &[&str], before: &[(&str, &str)], members: &[&str], refused: &[&str]| {
            let found = decide(a, b, before);
            assert_eq!(
                (found.0, found.1),
                (members.iter().map(ToString::to_string).collect(), refused.iter().map(ToString::to_string).collect())
            );
        };
        let told = "it is a member of a., which does not hand it over (coo)";
        check(&["ours. x"], &[], &[], &[], &["ours. a. a zone of that name is configured on this node"]);
        check(&[], &["z. x"], &[], &["z. b. x 192.0.2.1"], &[]);
        check(&[], &["z. x"], &[("z.", "a.")], &["z. b. x 192.0.2.1"], &[]);
        check(&["z. x"], &["z. y"], &[("z.", "a.")], &["z. a. x 192.0.2.1"], &[&format!("z. b. {told}")]);
        check(&["z. x - c."], &["z. y"], &[("z.", "a.")], &["z. a. x 192.0.2.1"], &[&format!("z. b. {told}")]);
        let told_b = "z. a. it is a member of b., which does not hand it over (coo)";
        check(&["z. x - b."], &["z. y"], &[("z.", "a.")], &["z. b. y 192.0.2.1"], &[told_b]);
        check(&["z. x"], &["z. y"], &[("z.", "b.")], &["z. b. y 192.0.2.1"], &[told_b]);
        check(&["z. x"], &["z. y"], &[], &["z. a. x 192.0.2.1"], &[&format!("z. b. {told}")]);
    }

    #[test]
    fn a_known_group_chooses_the_template() {
        let (members, _) = decide(&["y. 1 eu", "z. 2 unknown"], &[], &[]);
        assert_eq!(members, ["y. a. 1 192.0.2.2", "z. a. 2 192.0.2.1"]);
    }
}
