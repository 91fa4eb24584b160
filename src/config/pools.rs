//! Pools and their members: what is written → objects with ids.

use crate::wideip::{MEMBERS_MAX, Member, MemberTarget, OnUnknown, Pool, PoolId, PoolMethod};
use crate::wire::RecordType;

use super::collections::TextOr;
use super::file::{self, PoolType};
use super::issues::Issues;
use super::limits;
use super::names::{Names, check_object_name};
use super::node::Place;
use super::steering::Steering;

/// Adds the pools below `root` to the model.
pub(crate) fn resolve<'a>(
    written: &'a file::Node,
    root: &Place<'_>,
    steering: &mut Steering<'_>,
    issues: &Issues,
) -> Names<'a, PoolId> {
    let mut names = Names::new("pool");
    let place = root.field("pools");
    for (index, name, pool) in written.pools.iter() {
        let place = place.entry(index);
        check_object_name(name, &place, issues);
        let id = pool.map(|pool| {
            let pool = resolve_pool(name, pool, &place, steering, issues);
            steering.model.pools.push(pool);
            PoolId(u32::try_from(steering.model.pools.len() - 1).unwrap_or(u32::MAX))
        });
        names.insert(name, id);
    }
    names
}

/// The record type of a pool or wide IP.
pub(crate) const fn record_type(written: PoolType) -> RecordType {
    match written {
        PoolType::A => RecordType::A,
        PoolType::Aaaa => RecordType::AAAA,
        PoolType::Cname => RecordType::CNAME,
    }
}

fn resolve_pool(
    name: &str,
    written: &file::Pool,
    place: &Place<'_>,
    steering: &mut Steering<'_>,
    issues: &Issues,
) -> Pool {
    let record_type = record_type(written.record_type);
    let [preferred, alternate, fallback] = methods(written, place, issues);
    let members = written.members.iter().filter_map(|(index, member)| {
        resolve_member(member, record_type, &place.field("members").item(index), steering, issues)
    });
    let members: Vec<Member> = members.collect();
    if written.members.is_empty() && !place.has("members") {
        issues.warn(place, "the pool has no members: it is never available");
    }
    if members.len() > MEMBERS_MAX {
        let message = format!("{} members: a pool has at most {MEMBERS_MAX}", members.len());
        issues.error(&place.field("members"), message);
    }
    repeated_members(&members, written, place, issues);
    Pool {
        name: name.into(),
        record_type,
        enabled: written.enabled.unwrap_or(true),
        ttl_seconds: limits::POOL_TTL.take(written.ttl.map(|ttl| ttl.0.0), &place.field("ttl"), issues),
        preferred,
        alternate,
        fallback,
        fallback_ip: fallback_ip(written, record_type, place, issues),
        max_answers: limits::MAX_ANSWERS.take(written.max_answers, &place.field("max_answers"), issues),
        verify_member_availability: written.verify_member_availability.unwrap_or(true),
        respect_fallback_dependency: written.respect_fallback_dependency.unwrap_or(true),
        on_unknown: match written.on_unknown {
            Some(file::OnUnknown::Up) => OnUnknown::Up,
            Some(file::OnUnknown::Down) => OnUnknown::Down,
            Some(file::OnUnknown::Hold) | None => OnUnknown::Hold,
        },
        min_members_up: limits::MIN_MEMBERS_UP.take(written.min_members_up, &place.field("min_members_up"), issues),
        members,
    }
}

fn repeated_members(members: &[Member], written: &file::Pool, place: &Place<'_>, issues: &Issues) {
    // Only where every member is good do the numbers here agree with those in the file.
    if written.members.iter().count() != members.len() {
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for ((index, _), member) in written.members.iter().zip(members) {
        let repeated = match &member.target {
            MemberTarget::VirtualServer(id) => !seen.insert(id.0.to_string()),
            MemberTarget::Name { name, .. } => !seen.insert(name.to_lowercase().to_string()),
        };
        if repeated {
            issues
                .error(&place.field("members").item(index), "the pool has this member twice: give one a higher ratio");
        }
    }
}

fn methods(written: &file::Pool, place: &Place<'_>, issues: &Issues) -> [PoolMethod; 3] {
    let place = place.field("load_balancing");
    let (preferred, alternate, fallback) = match &written.load_balancing {
        None => (None, None, None),
        Some(TextOr::Text(preferred)) => (Some(*preferred), None, None),
        Some(TextOr::Map(chain)) => (chain.preferred, chain.alternate, chain.fallback),
    };
    if preferred == Some(file::PoolMethod::None) {
        issues.error(&place.one_or_field("preferred"), "`none` cannot be the preferred method");
    }
    if alternate == Some(file::PoolMethod::LeastConnections) {
        // GTM's rule: the tier after a method that lacks measurements must not need them too.
        issues.error(
            &place.field("alternate"),
            "`least-connections` needs measurements and cannot be the alternate method",
        );
    }
    [
        preferred.map_or(PoolMethod::RoundRobin, method),
        alternate.map_or(PoolMethod::RoundRobin, method),
        fallback.map_or(PoolMethod::None, method),
    ]
}

const fn method(written: file::PoolMethod) -> PoolMethod {
    match written {
        file::PoolMethod::RoundRobin => PoolMethod::RoundRobin,
        file::PoolMethod::Ratio => PoolMethod::Ratio,
        file::PoolMethod::GlobalAvailability => PoolMethod::GlobalAvailability,
        file::PoolMethod::Topology => PoolMethod::Topology,
        file::PoolMethod::StaticPersistence => PoolMethod::StaticPersistence,
        file::PoolMethod::LeastConnections => PoolMethod::LeastConnections,
        file::PoolMethod::FallbackIp => PoolMethod::FallbackIp,
        file::PoolMethod::DropPacket => PoolMethod::DropPacket,
        file::PoolMethod::ReturnToDns => PoolMethod::ReturnToDns,
        file::PoolMethod::None => PoolMethod::None,
    }
}

fn fallback_ip(
    written: &file::Pool,
    record_type: RecordType,
    place: &Place<'_>,
    issues: &Issues,
) -> Option<std::net::IpAddr> {
    let chain = match &written.load_balancing {
        None => [None, None, None],
        Some(TextOr::Text(preferred)) => [Some(*preferred), None, None],
        Some(TextOr::Map(chain)) => [chain.preferred, chain.alternate, chain.fallback],
    };
    let wanted = chain.contains(&Some(file::PoolMethod::FallbackIp));
    if wanted && !place.has("fallback_ip") {
        issues.error(&place.field("load_balancing"), "the method `fallback-ip` needs `fallback_ip`");
    }
    let address = written.fallback_ip?.0;
    if !family_fits(record_type, address) {
        issues.error(&place.field("fallback_ip"), format!("{address} is no answer of type {record_type}"));
    }
    Some(address)
}

/// Whether an address can be an answer of this type.
pub(crate) const fn family_fits(record_type: RecordType, address: std::net::IpAddr) -> bool {
    match record_type {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        _ => false,
    }
}

fn resolve_member(
    written: &TextOr<String, file::Member>,
    record_type: RecordType,
    place: &Place<'_>,
    steering: &mut Steering<'_>,
    issues: &Issues,
) -> Option<Member> {
    let member = match written {
        TextOr::Text(virtual_server) => {
            let target = address_target(virtual_server, record_type, place, steering, issues)?;
            return Some(Member { target, ratio: limits::RATIO.default, enabled: true });
        }
        TextOr::Map(member) => member,
    };
    let target = match (&member.virtual_server, &member.name) {
        (Some(virtual_server), None) => {
            let place = place.field("virtual_server");
            address_target(virtual_server, record_type, &place, steering, issues)
        }
        (None, Some(name)) if record_type == RecordType::CNAME => {
            Some(MemberTarget::Name { name: name.0.clone(), static_target: member.static_target.unwrap_or(false) })
        }
        (None, Some(_)) => {
            let message = format!(
                "only a pool of type CNAME answers with names; in one of type {record_type} write `virtual_server`"
            );
            issues.error_at_key(&place.field("name"), message);
            None
        }
        (Some(_), Some(_)) => {
            issues.error(place, "a member has a `virtual_server` or a `name`, not both");
            None
        }
        (None, None) => {
            if !place.has("virtual_server") && !place.has("name") {
                let key = if record_type == RecordType::CNAME { "name" } else { "virtual_server" };
                issues.error_at_key(place, format!("`{key}` is missing"));
            }
            None
        }
    };
    if member.static_target.is_some() && record_type != RecordType::CNAME {
        issues.error_at_key(&place.field("static_target"), "means something in a pool of type CNAME only");
    }
    let ratio = limits::RATIO.take(member.ratio, &place.field("ratio"), issues);
    Some(Member { target: target?, ratio, enabled: member.enabled.unwrap_or(true) })
}

fn address_target(
    name: &str,
    record_type: RecordType,
    place: &Place<'_>,
    steering: &mut Steering<'_>,
    issues: &Issues,
) -> Option<MemberTarget> {
    if record_type == RecordType::CNAME {
        issues.error(place, "a pool of type CNAME answers with names: write `name` and a domain name");
        return None;
    }
    let id = steering.virtual_server(name, place)?;
    let found = steering.model.virtual_servers.get(usize::try_from(id.0).unwrap_or(usize::MAX));
    if let Some(address) = found.and_then(|found| found.address)
        && !family_fits(record_type, address.ip())
    {
        issues.error(place, format!("its address {} is no answer of type {record_type}", address.ip()));
        return None;
    }
    Some(MemberTarget::VirtualServer(id))
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{check, load_text};
    use crate::wideip::PoolMethod;

    #[test]
    fn methods_have_a_short_and_a_full_form() {
        let methods = |text: &str| {
            let config = load_text(&format!("node: n\npools: {{p: {{type: A, members: [], {text}}}}}")).unwrap();
            let pool = &config.model.pools[0];
            [pool.preferred, pool.alternate, pool.fallback]
        };
        let default = [PoolMethod::RoundRobin, PoolMethod::RoundRobin, PoolMethod::None];
        assert_eq!(methods("ttl: 5"), default);
        assert_eq!(methods("load_balancing: ratio"), [PoolMethod::Ratio, default[1], default[2]]);
        let full = "load_balancing: {preferred: topology, alternate: none, fallback: return-to-dns}";
        assert_eq!(methods(full), [PoolMethod::Topology, PoolMethod::None, PoolMethod::ReturnToDns]);
    }

    #[test]
    fn a_pool_has_a_limited_number_of_members() {
        let members: String = (0..4097).map(|n| format!("{{name: n{n}.example., static_target: true}},")).collect();
        let errors = load_text(&format!("node: n\npools: {{p: {{type: CNAME, members: [{members}]}}}}")).unwrap_err();
        assert_eq!(errors, ["2:35: pools.p.members: 4097 members: a pool has at most 4096"]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let pool =
            |text: &str, expected: &str| check(&format!("pools: {{p: {{type: A, members: [], {text}}}}}"), expected);
        pool("max_answers: 0", "2:48: pools.p.max_answers: 0 is not from 1 to 500: more do not fit in a message");
        pool(
            "ttl: 3000000000",
            "2:40: pools.p.ttl: 3000000000 is not from 0 to 2147483647: a TTL has 31 bits (RFC 2181 §8)",
        );
        pool("load_balancing: none", "2:51: pools.p.load_balancing: `none` cannot be the preferred method");
        pool(
            "load_balancing: fallback-ip",
            "2:51: pools.p.load_balancing: the method `fallback-ip` needs `fallback_ip`",
        );
        pool(
            "load_balancing: {fallbck: none}",
            "2:52: pools.p.load_balancing.fallbck: unknown key; did you mean `fallback`?",
        );
        pool("fallback_ip: '::1'", "2:48: pools.p.fallback_ip: ::1 is no answer of type A");
    }
}
