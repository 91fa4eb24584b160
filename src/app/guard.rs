//! What would be left with nothing to answer: asked before an object is disabled and before a model is put to use, so
//! that a slip is refused.

use std::collections::HashMap;

use super::names;
use crate::status::{Availability, Enabled, ObjectKind, Table};
use crate::wideip::{Member, MemberTarget, Model, Pool, WhenAllDown, WideIp};

/// The pools and wide IPs that have something usable in `before` and nothing in `after`, in words.
pub(super) fn emptied(model: &Model, before: &Table, after: &Table) -> Vec<String> {
    let pools = model.pools.iter().filter(|pool| {
        is_usable_pool(model, before, pool) && !has_usable_member(model, after, pool) && is_wanted_pool(after, pool)
    });
    let wide_ips = model.wide_ips.iter().filter(|wide_ip| {
        is_wanted_wide_ip(after, wide_ip)
            && has_usable_pool(model, before, wide_ip)
            && !has_usable_pool(model, after, wide_ip)
    });
    let pools = pools.map(|pool| format!("pool {} would lose its last available member", pool.name));
    let wide_ips = wide_ips.map(|one| format!("wide IP {} would lose its last available pool", one.full_name()));
    pools.chain(wide_ips).collect()
}

fn has_usable_pool(model: &Model, table: &Table, wide_ip: &WideIp) -> bool {
    let mut pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
    pools.any(|id| model.pools.get(names::index(id.0)).is_some_and(|pool| is_usable_pool(model, table, pool)))
}

fn is_usable_pool(model: &Model, table: &Table, pool: &Pool) -> bool {
    is_wanted_pool(table, pool) && has_usable_member(model, table, pool)
}

fn has_usable_member(model: &Model, table: &Table, pool: &Pool) -> bool {
    pool.members.iter().any(|member| is_usable_member(model, table, pool, member))
}

fn is_usable_member(model: &Model, table: &Table, pool: &Pool, member: &Member) -> bool {
    let name = names::member(model, pool, member);
    table.overrides().is_wanted(ObjectKind::Member, &name, member.enabled)
        && match &member.target {
            MemberTarget::Name { .. } => true,
            MemberTarget::VirtualServer(id) => table.status(names::index(id.0)).is_some_and(|status| {
                status.enabled == Enabled::Enabled
                    && matches!(status.availability, Availability::Available | Availability::Unknown)
            }),
        }
}

fn is_wanted_pool(table: &Table, pool: &Pool) -> bool {
    table.overrides().is_wanted(ObjectKind::Pool, &pool.name, pool.enabled)
}

fn is_wanted_wide_ip(table: &Table, wide_ip: &WideIp) -> bool {
    table.overrides().is_wanted(ObjectKind::WideIp, &wide_ip.full_name(), wide_ip.enabled)
}

/// The wide IPs, as `name/TYPE`, that could be answered under `old` and under `new` have nothing left to answer with,
/// although they do not say that this may be.
pub(super) fn left_without_answer(old: &Model, new: &Model) -> Vec<String> {
    let served: HashMap<String, bool> =
        old.wide_ips.iter().map(|one| (one.full_name(), can_answer(old, one))).collect();
    let lost = |one: &&WideIp| served.get(&one.full_name()).copied().unwrap_or(false) && !can_answer(new, one);
    new.wide_ips.iter().filter(lost).map(WideIp::full_name).collect()
}

/// Whether a wide IP has anything to answer with, whatever its health: a member with an address or a name, a fallback
/// address, or a policy that says what else to do.
fn can_answer(model: &Model, wide_ip: &WideIp) -> bool {
    let has_policy = !matches!(wide_ip.when_all_down, WhenAllDown::ServeAll | WhenAllDown::LastKnownGood);
    let mut pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
    has_policy
        || pools.any(|id| {
            let pool = model.pools.get(names::index(id.0));
            pool.is_some_and(|pool| {
                pool.fallback_ip.is_some() || pool.members.iter().any(|member| has_target(model, &member.target))
            })
        })
}

fn has_target(model: &Model, target: &MemberTarget) -> bool {
    match target {
        MemberTarget::Name { .. } => true,
        MemberTarget::VirtualServer(id) => {
            model.virtual_servers.get(names::index(id.0)).is_some_and(|virtual_server| virtual_server.address.is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::status::{Fact, Moment, Override};

    /// Disables `objects` in turn; what the last one would empty.
    fn check(objects: &[(ObjectKind, &str)], expected: &[&str]) {
        let model = sample::model();
        let mut before = sample::table(&model);
        let mut after = before.clone();
        for (kind, name) in objects {
            before = after.clone();
            let change = Override {
                kind: *kind,
                name: (*name).into(),
                enabled: Some(Enabled::Disabled),
                until: None,
                reason: "".into(),
            };
            after.apply(&Fact::Override(change), Moment::default());
        }
        assert_eq!(emptied(&model, &before, &after), expected, "{objects:?}");
    }

    #[test]
    fn the_last_usable_member_or_pool_is_missed() {
        const POOL: &str = "pool web-ny would lose its last available member";
        const WIDE_IP: &str = "wide IP www.example.com./A would lose its last available pool";
        check(&[(ObjectKind::VirtualServer, "ny-lb1/www")], &[POOL]);
        check(&[(ObjectKind::Member, "web-ny/ny-lb1/www")], &[POOL]);
        check(&[(ObjectKind::Datacenter, "newyork")], &[POOL]);
        check(&[(ObjectKind::Pool, "web-ny")], &[]);
        check(&[(ObjectKind::Pool, "web-lon"), (ObjectKind::Pool, "web-ny")], &[WIDE_IP]);
        check(&[(ObjectKind::Pool, "web-lon"), (ObjectKind::Server, "ny-lb1")], &[POOL, WIDE_IP]);
        check(&[(ObjectKind::WideIp, "www.example.com./A")], &[]);
        check(&[(ObjectKind::Server, "ny-lb1"), (ObjectKind::Datacenter, "newyork")], &[]);
    }

    #[test]
    fn a_served_wide_ip_that_would_answer_nothing_is_named() {
        let old = sample::model();
        let mut new = old.clone();
        new.virtual_servers[0].address = None;
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "one member is left");
        new.pools[1].members.clear();
        assert_eq!(left_without_answer(&old, &new), ["www.example.com./A"]);
        assert_eq!(left_without_answer(&new, &new), Vec::<String>::new(), "it had nothing before either");
        new.wide_ips[0].when_all_down = WhenAllDown::NoData;
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "it says that this may be");
        new.wide_ips.clear();
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "it is no longer served");
    }
}
