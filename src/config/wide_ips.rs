//! Wide IPs: what is written → objects with ids; each name once, no reference in a circle.

use std::collections::{HashMap, HashSet};

use crate::wideip::{
    MEMBERS_MAX, MemberTarget, Model, NameIndex, Pattern, PoolId, PoolReference, WhenAllDown, WideIp, WideIpId,
    WideIpMethod,
};
use crate::wire::{Name, Rcode, RecordType};
use crate::zone::ViewName;

use super::collections::TextOr;
use super::file;
use super::issues::{Issues, Sources, nearest};
use super::limits;
use super::names::Names;
use super::node::{Place, Position};
use super::pools::{family_fits, record_type};
use super::steering::Steering;
use super::views::WrittenView;

/// Adds the wide IPs of a view to the model.
pub(crate) fn resolve(
    view: &WrittenView<'_>,
    steering: &mut Steering<'_>,
    pools: &Names<'_, PoolId>,
    issues: &Issues,
    sources: &Sources,
) {
    let mut taken = Taken { names: HashMap::new(), issues, sources };
    let (written, place) = &view.wide_ips;
    for (index, wide_ip) in written.iter() {
        let place = place.item(index);
        let resolver = Resolver { steering, pools, issues };
        let wide_ip = WideIp { view: view.name.clone(), ..resolver.wide_ip(wide_ip, &place) };
        taken.add(&wide_ip.name, wide_ip.record_type, &place.field("name"));
        for (alias, pattern) in wide_ip.aliases.iter().enumerate() {
            taken.add(pattern, wide_ip.record_type, &place.field("aliases").one_or_item(alias));
        }
        steering.model.wide_ips.push(wide_ip);
    }
}

/// Who has which name and type, aliases among them.
struct Taken<'i> {
    names: HashMap<(String, RecordType), Position>,
    issues: &'i Issues,
    sources: &'i Sources,
}

impl Taken<'_> {
    fn add(&mut self, pattern: &Pattern, record_type: RecordType, place: &Place<'_>) {
        let name = pattern_name(pattern);
        let key = (name.to_lowercase().to_string(), record_type);
        if let Some(first) = self.names.get(&key) {
            let message = format!("the name {name} of type {record_type} is taken in {}", self.sources.show(*first));
            self.issues.error(place, message);
        } else {
            self.names.insert(key, place.position());
        }
    }
}

const fn pattern_name(pattern: &Pattern) -> &Name {
    match pattern {
        Pattern::Exact(name) | Pattern::Glob(name) => name,
    }
}

fn pattern(name: &Name) -> Pattern {
    let glob = name.labels().any(|label| label.iter().any(|octet| matches!(octet, b'*' | b'?')));
    if glob { Pattern::Glob(name.clone()) } else { Pattern::Exact(name.clone()) }
}

struct Resolver<'r, 'a> {
    steering: &'r Steering<'a>,
    pools: &'r Names<'r, PoolId>,
    issues: &'r Issues,
}

impl Resolver<'_, '_> {
    fn wide_ip(&self, written: &file::WideIp, place: &Place<'_>) -> WideIp {
        let issues = self.issues;
        let record_type = record_type(written.record_type);
        let pools = written
            .pools
            .iter()
            .filter_map(|(index, pool)| self.pool_reference(pool, record_type, &place.field("pools").item(index)));
        let pools: Vec<PoolReference> = pools.collect();
        if pools.len() > MEMBERS_MAX {
            let message = format!("{} pools: a wide IP has at most {MEMBERS_MAX}", pools.len());
            issues.error(&place.field("pools"), message);
        }
        self.repeated_pools(&pools, written, place);
        let last_resort = written.last_resort.as_ref();
        let last_resort = last_resort.and_then(|name| self.pool(name, record_type, &place.field("last_resort")));
        if written.pools.is_empty() && !place.has("last_resort") {
            issues.warn(&place.field("name"), "the wide IP has no pools: it answers as `when_all_down` says");
        }
        let aliases = written.aliases.as_ref().map_or(&[][..], |aliases| &aliases.0);
        WideIp {
            name: pattern(&written.name.0),
            aliases: aliases.iter().map(|alias| pattern(&alias.0)).collect(),
            view: ViewName::default(),
            record_type,
            enabled: written.enabled.unwrap_or(true),
            method: match written.load_balancing {
                Some(file::WideIpMethod::Ratio) => WideIpMethod::Ratio,
                Some(file::WideIpMethod::GlobalAvailability) => WideIpMethod::GlobalAvailability,
                Some(file::WideIpMethod::Topology) => WideIpMethod::Topology,
                Some(file::WideIpMethod::RoundRobin) | None => WideIpMethod::RoundRobin,
            },
            pools,
            last_resort,
            when_all_down: self.when_all_down(written, record_type, &place.field("when_all_down")),
            negative_ttl_seconds: {
                let ttl = written.negative_ttl.map(|ttl| ttl.0.0);
                limits::NEGATIVE_TTL.take(ttl, &place.field("negative_ttl"), issues)
            },
            persist_cidr_ipv4: {
                let place = place.field("persist_cidr_ipv4");
                limits::PERSIST_CIDR_IPV4.take(written.persist_cidr_ipv4, &place, issues)
            },
            persist_cidr_ipv6: {
                let place = place.field("persist_cidr_ipv6");
                limits::PERSIST_CIDR_IPV6.take(written.persist_cidr_ipv6, &place, issues)
            },
            use_client_subnet: written.use_client_subnet.unwrap_or(true),
            allow_zero_scores: written.allow_zero_scores.unwrap_or(true),
        }
    }

    fn repeated_pools(&self, pools: &[PoolReference], written: &file::WideIp, place: &Place<'_>) {
        if written.pools.iter().count() != pools.len() {
            return;
        }
        for (number, ((index, _), pool)) in written.pools.iter().zip(pools).enumerate() {
            if pools.iter().take(number).any(|before| before.pool == pool.pool) {
                let place = place.field("pools").item(index);
                self.issues.error(&place, "the wide IP has this pool twice: give one a higher ratio");
            }
        }
    }

    fn pool_reference(
        &self,
        written: &TextOr<String, file::PoolReference>,
        record_type: RecordType,
        place: &Place<'_>,
    ) -> Option<PoolReference> {
        match written {
            TextOr::Text(name) => {
                let pool = self.pool(name, record_type, place)?;
                Some(PoolReference { pool, ratio: limits::RATIO.default })
            }
            TextOr::Map(reference) => {
                let ratio = limits::RATIO.take(reference.ratio, &place.field("ratio"), self.issues);
                let pool = self.pool(&reference.pool, record_type, &place.field("pool"))?;
                Some(PoolReference { pool, ratio })
            }
        }
    }

    /// The pool of this name, if a wide IP of this type can use it.
    fn pool(&self, name: &str, wanted: RecordType, place: &Place<'_>) -> Option<PoolId> {
        let id = self.pools.find(name, place, self.issues)?;
        let found = self.steering.model.pools.get(usize::try_from(id.0).unwrap_or(usize::MAX))?.record_type;
        if found == wanted || found == RecordType::CNAME {
            return Some(id);
        }
        let also = if wanted == RecordType::CNAME { "" } else { " or CNAME" };
        let message =
            format!("the pool `{name}` answers {found}; a wide IP of type {wanted} takes pools of type {wanted}{also}");
        self.issues.error(place, message);
        None
    }

    fn when_all_down(&self, written: &file::WideIp, record_type: RecordType, place: &Place<'_>) -> WhenAllDown {
        match &written.when_all_down {
            None => WhenAllDown::ServeAll,
            Some(TextOr::Map(fallback)) => {
                let address = fallback.fallback_ip.0;
                if !family_fits(record_type, address) {
                    let message = format!("{address} is no answer of type {record_type}");
                    self.issues.error(&place.field("fallback_ip"), message);
                }
                WhenAllDown::FallbackIp(address)
            }
            Some(TextOr::Text(word)) => match word {
                file::WhenAllDown::ServeAll => WhenAllDown::ServeAll,
                file::WhenAllDown::LastKnownGood => WhenAllDown::LastKnownGood,
                file::WhenAllDown::NoData => WhenAllDown::NoData,
                file::WhenAllDown::NxDomain => WhenAllDown::Rcode(Rcode::NXDOMAIN),
                file::WhenAllDown::ServFail => WhenAllDown::Rcode(Rcode::SERVFAIL),
                file::WhenAllDown::Refused => WhenAllDown::Rcode(Rcode::REFUSED),
                file::WhenAllDown::ReturnToDns => WhenAllDown::ReturnToDns,
                file::WhenAllDown::Drop => WhenAllDown::Drop,
            },
        }
    }
}

/// Checks that the targets of CNAME pools are wide IPs where they must be, and that following them comes to an end.
pub(crate) fn check_targets(written: &file::Node, root: &Place<'_>, steering: &Steering<'_>, issues: &Issues) {
    let graph = Graph::new(steering);
    for (index, name, pool) in written.pools.iter() {
        let Some(pool) = pool.filter(|pool| pool.record_type == file::PoolType::Cname) else { continue };
        let place = root.field("pools").entry(index).field("members");
        for (item, member) in pool.members.iter() {
            let TextOr::Map(file::Member { name: Some(target), static_target, .. }) = member else { continue };
            let place = place.item(item).field("name");
            let owners = graph.index.all(&target.0);
            if owners.is_empty() && *static_target != Some(true) && !issues.is_incomplete() && !issues.is_full() {
                let suggestion = nearest(&target.0.to_string(), graph.names().iter().map(String::as_str));
                let message = format!(
                    "there is no wide IP {}; with `static_target: true` the name is taken as available",
                    target.0
                );
                issues.error_with_suggestion(&place, message, suggestion);
            }
            if graph.comes_back(owners, name) {
                issues.error(&place, format!("following {} leads back to the pool `{name}`", target.0));
            }
        }
    }
}

/// Wide IPs, their pools and the wide IPs that these name.
struct Graph<'m> {
    model: &'m Model,
    index: NameIndex,
}

impl<'m> Graph<'m> {
    fn new(steering: &'m Steering<'_>) -> Self {
        Self { model: &steering.model, index: NameIndex::build(&steering.model, 0) }
    }

    /// The names that wide IPs have, as text.
    fn names(&self) -> Vec<String> {
        let patterns =
            self.model.wide_ips.iter().flat_map(|wide_ip| std::iter::once(&wide_ip.name).chain(&wide_ip.aliases));
        let exact = patterns.filter(|pattern| matches!(pattern, Pattern::Exact(_)));
        exact.map(|pattern| pattern_name(pattern).to_lowercase().to_string()).collect()
    }

    /// Whether following CNAME members from these wide IPs reaches a wide IP that uses the pool.
    fn comes_back(&self, mut next: Vec<WideIpId>, pool: &str) -> bool {
        let mut seen = HashSet::new();
        while let Some(id) = next.pop() {
            let Some(wide_ip) = self.model.wide_ip(id).filter(|_| seen.insert(id)) else { continue };
            let used = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
            for used in used.filter_map(|id| self.model.pool(id)) {
                if &*used.name == pool {
                    return true;
                }
                for member in &used.members {
                    if let MemberTarget::Name { name, .. } = &member.target {
                        next.extend(self.index.all(name));
                    }
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{check, load_text};

    const BASE: &str = "datacenters: {dc: {}}\nservers: {s: {datacenter: dc, virtual_servers: {four: {address: 192.0.2.1, port: 80}, six: {address: '2001:db8::1', port: 80}}}}\n\
        pools:\n  four: {type: A, members: [s/four]}\n  six: {type: AAAA, members: [s/six]}\n  away: {type: CNAME, members: [{name: cdn.example.net., static_target: true}]}\n";

    #[test]
    fn wide_ips_that_contradict_are_refused() {
        let wide_ips = |text: &str, expected: &str| check(&format!("{BASE}wide_ips: [{text}]"), expected);
        wide_ips(
            "{name: a.example., type: AAAA, pools: [four]}",
            "8:51: wide_ips[0].pools[0]: the pool `four` answers A; a wide IP of type AAAA takes pools of type AAAA or CNAME",
        );
        wide_ips(
            "{name: a.example., type: A, pools: [for]}",
            "8:48: wide_ips[0].pools[0]: there is no pool `for`; did you mean `four`?",
        );
        wide_ips(
            "{name: a.example., type: A, pools: [four, {pool: four}]}",
            "8:54: wide_ips[0].pools[1]: the wide IP has this pool twice: give one a higher ratio",
        );
        wide_ips(
            "{name: a.example., type: A, pools: [four], last_resort: six}",
            "8:68: wide_ips[0].last_resort: the pool `six` answers AAAA; a wide IP of type A takes pools of type A or CNAME",
        );
        wide_ips(
            "{name: a..b, type: A, pools: [four]}",
            "8:19: wide_ips[0].name: `a..b` is not a domain name: empty label: two dots in a row, or a dot at the start",
        );
        wide_ips(
            "{name: a.example., type: A, pools: [four], persist_cidr_ipv4: 33}",
            "8:74: wide_ips[0].persist_cidr_ipv4: 33 is not from 0 to 32: an IPv4 address has 32 bits",
        );
        wide_ips(
            "{name: a.example., type: A, pools: [four], when_all_down: {fallback_ip: '::1'}}",
            "8:84: wide_ips[0].when_all_down.fallback_ip: ::1 is no answer of type A",
        );
    }

    #[test]
    fn a_name_and_type_belong_to_one_wide_ip() {
        let twice = "{name: a.example., type: A, pools: [four]}, {name: A.example, type: A, pools: [four]}";
        let text = format!("node: n\n{BASE}wide_ips: [{twice}]");
        let errors = load_text(&text).unwrap_err();
        assert!(
            errors[0].starts_with("8:63: wide_ips[1].name: the name A.example. of type A is taken in "),
            "{errors:?}"
        );
        assert!(errors[0].ends_with("8:19"), "{errors:?}");
        let alias = "{name: a.example., type: A, pools: [four], aliases: b.example}, {name: b.example., type: A, pools: [four]}";
        assert_eq!(load_text(&format!("node: n\n{BASE}wide_ips: [{alias}]")).unwrap_err().len(), 1);
        let types = "{name: a.example., type: A, pools: [four], aliases: [b.example]}, {name: a.example., type: AAAA, pools: [six], aliases: [b.example]}";
        assert!(load_text(&format!("node: n\n{BASE}wide_ips: [{types}]")).is_ok());
    }

    #[test]
    fn cname_targets_exist_and_come_to_an_end() {
        let pools = |text: &str, expected: &str| {
            let wide_ips =
                "wide_ips: [{name: a.example., type: A, pools: [p]}, {name: '*.b.example.', type: A, pools: [q]}]";
            check(&format!("{BASE}  {text}\n{wide_ips}"), expected);
        };
        let q = "q: {type: CNAME, members: [{name: t.example., static_target: true}]}";
        pools(
            &format!("p: {{type: CNAME, members: [{{name: c.example.}}]}}\n  {q}"),
            "8:37: pools.p.members[0].name: there is no wide IP c.example.; with `static_target: true` the name is taken as available; did you mean `a.example.`?",
        );
        pools(
            &format!("p: {{type: CNAME, members: [{{name: a.example.}}]}}\n  {q}"),
            "8:37: pools.p.members[0].name: following a.example. leads back to the pool `p`",
        );
        let both = format!(
            "node: n\n{BASE}  p: {{type: CNAME, members: [{{name: x.b.example.}}]}}\n  q: {{type: CNAME, members: [{{name: a.example.}}]}}\nwide_ips: [{{name: a.example., type: A, pools: [p]}}, {{name: '*.b.example.', type: A, pools: [q]}}]"
        );
        assert_eq!(load_text(&both).unwrap_err().len(), 2);
    }
}
