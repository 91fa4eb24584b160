//! The status of pools, their members and wide IPs as people see it, worked out from what is published.

use std::sync::Arc;

use super::derive::Tally;
use super::ids::index;
use super::members::MemberSource;
use super::tables::Tables;
use super::{Member, PoolId, WideIpId};
use crate::status::{Availability, Enabled, Moment, ObjectKind, Source, Status};

impl Tables {
    /// The status of a pool.
    pub fn pool_status(&self, id: PoolId) -> Option<Status> {
        let pool = self.model.pool(id)?;
        let head = self.pools.get(index(id.0))?.head;
        let states = (0..pool.members.len()).map(|member| self.member_state(index(id.0), member));
        let tally = Tally::of(states.filter(|state| state.is_enabled).map(|state| state.availability));
        let mut reason = match tally.total() {
            0 => "no enabled pool members".to_owned(),
            total => format!("{} of {total} enabled pool members can be used", tally.usable()),
        };
        if pool.min_members_up > 1 {
            reason.push_str(&format!(", {} are needed", pool.min_members_up));
        }
        if head.enabled != Enabled::Enabled {
            reason = format!("{}; {reason}", self.overrides.why_disabled(ObjectKind::Pool, &pool.name));
        }
        Some(derived(head.availability, head.enabled, reason, head.since, None))
    }

    /// The status of the member of a pool at a position.
    pub fn member_status(&self, id: PoolId, member_at: usize) -> Option<Status> {
        let pool = self.model.pool(id)?;
        let member = pool.members.get(member_at)?;
        let state = self.member_state(index(id.0), member_at);
        let layout = self.layout.pools.get(index(id.0))?.members.get(member_at)?;
        let mut status = match &layout.source {
            MemberSource::VirtualServer(of) => {
                let mut status = self.virtual_server(*of)?.status.clone();
                if status.availability == Availability::Unknown && state.availability != Availability::Unknown {
                    status.reason = format!("{}; counts as {}", status.reason, state.availability).into();
                }
                status
            }
            MemberSource::NoAddress(of) => {
                let status = self.virtual_server(*of)?.status.clone();
                let reason = format!("no address of type {} is known; {}", pool.record_type, status.reason);
                Status { availability: Availability::Offline, reason: reason.into(), ..status }
            }
            source => {
                let reason = match source {
                    MemberSource::Static => "a static target is always available".to_owned(),
                    MemberSource::Loop => "the name leads back to this pool".to_owned(),
                    source @ MemberSource::WideIps { .. } if self.layout.targets.of(*source).is_empty() => {
                        "no wide IP has this name".to_owned()
                    }
                    _ => format!("the wide IP of this name is {}", state.availability),
                };
                let since = self.pools.get(index(id.0))?.head.since;
                derived(state.availability, Enabled::Enabled, reason, since, None)
            }
        };
        self.disable_member(pool, member, &mut status);
        Some(status)
    }

    /// Marks a member's status disabled where it, its virtual server or its pool is.
    fn disable_member(&self, pool: &super::Pool, member: &Member, status: &mut Status) {
        let name = format!("{}/{}", pool.name, self.model.member_name(member));
        if !self.overrides.is_wanted(ObjectKind::Member, &name, member.enabled) {
            let why = self.overrides.why_disabled(ObjectKind::Member, &name);
            status.enabled = Enabled::Disabled;
            status.reason = format!("{why}; {}", status.reason).into();
        } else if status.enabled != Enabled::Enabled {
            status.enabled = Enabled::DisabledByParent;
        } else if !self.overrides.is_wanted(ObjectKind::Pool, &pool.name, pool.enabled) {
            let why = self.overrides.why_disabled(ObjectKind::Pool, &pool.name);
            status.enabled = Enabled::DisabledByParent;
            status.reason = format!("pool {} is {why}; {}", pool.name, status.reason).into();
        }
    }

    /// The status of a wide IP.
    pub fn wide_ip_status(&self, id: WideIpId) -> Option<Status> {
        let wide_ip = self.model.wide_ip(id)?;
        let row = self.wide_ips.get(index(id.0))?;
        let enabled = |id: PoolId| {
            self.pools.get(index(id.0)).map(|row| row.head).filter(|head| head.enabled == Enabled::Enabled)
        };
        let total = wide_ip.pools.iter().filter(|reference| enabled(reference.pool).is_some()).count();
        let mut reason = match (row.head.live.len(), total) {
            (_, 0) => "no enabled pools".to_owned(),
            (live, total) => format!("{live} of {total} enabled pools are available"),
        };
        if row.head.live.is_empty() && wide_ip.last_resort.and_then(enabled).is_some_and(|head| !head.live.is_empty()) {
            reason.push_str("; the last resort pool is");
        }
        if row.head.enabled != Enabled::Enabled {
            reason = format!("{}; {reason}", self.overrides.why_disabled(ObjectKind::WideIp, &wide_ip.full_name()));
        }
        Some(derived(row.head.availability, row.head.enabled, reason, row.head.since, None))
    }
}

pub(super) fn derived(
    availability: Availability,
    enabled: Enabled,
    reason: String,
    since: Moment,
    reported: Option<Moment>,
) -> Status {
    Status { availability, enabled, reason: Arc::from(reason), source: Source::Derived, since, reported }
}

#[cfg(test)]
mod tests {
    use crate::status::{Enabled, Moment, ObjectKind, Status};
    use crate::wideip::fixture::{World, cname, pool, wide_ip};
    use crate::wideip::{Pool, PoolId, WideIp, WideIpId};
    use crate::wire::RecordType;

    fn world() -> World {
        let mut aliases = pool("aliases", "");
        aliases.record_type = RecordType::CNAME;
        aliases.members = vec![cname("www.example.", false), cname("nowhere.example.", false), cname("x.", true)];
        let two = Pool { min_members_up: 2, ..pool("two", "b z") };
        let wide_ips = vec![
            WideIp { last_resort: Some(PoolId(2)), ..wide_ip("www.example.", &[0]) },
            wide_ip("alias.example.", &[1]),
        ];
        World::new(vec![pool("p", "a b y"), aliases, two], wide_ips)
    }

    fn shown(status: &Status) -> String {
        format!("{}, {}: {}", status.availability, status.enabled, status.reason)
    }

    #[test]
    fn every_object_says_why_it_is_as_it_is() {
        let mut world = world();
        world.up("by");
        world.down("az");
        let check = |status: Option<Status>, expected: &str| assert_eq!(shown(&status.unwrap()), expected);
        let tables = &world.tables;
        check(tables.pool_status(PoolId(0)), "available, enabled: 2 of 3 enabled pool members can be used");
        check(
            tables.pool_status(PoolId(2)),
            "unavailable, enabled: 1 of 2 enabled pool members can be used, 2 are needed",
        );
        check(tables.wide_ip_status(WideIpId(0)), "available, enabled: 1 of 1 enabled pools are available");
        check(tables.member_status(PoolId(0), 0), "offline, enabled: reported");
        check(tables.member_status(PoolId(1), 0), "available, enabled: the wide IP of this name is available");
        check(tables.member_status(PoolId(1), 1), "offline, enabled: no wide IP has this name");
        check(tables.member_status(PoolId(1), 2), "available, enabled: a static target is always available");
    }

    #[test]
    fn what_is_disabled_says_by_whom_and_below_it_by_parent() {
        let mut world = world();
        world.switch(ObjectKind::Datacenter, "london", Some(Enabled::Disabled));
        world.switch(ObjectKind::Pool, "p", Some(Enabled::Disabled));
        world.switch(ObjectKind::Member, "two/ny-lb/b", Some(Enabled::Disabled));
        let tables = &world.tables;
        let check = |status: Option<Status>, enabled, reason: &str| {
            let status = status.unwrap();
            assert_eq!(status.enabled, enabled);
            assert!(status.reason.starts_with(reason), "{}", status.reason);
        };
        let why = "disabled by an operator: test";
        let parent = format!("datacenter london is {why}");
        check(tables.member_status(PoolId(2), 1), Enabled::DisabledByParent, &parent);
        check(tables.member_status(PoolId(2), 0), Enabled::Disabled, why);
        check(tables.pool_status(PoolId(0)), Enabled::Disabled, why);
        check(tables.member_status(PoolId(0), 0), Enabled::DisabledByParent, &format!("pool p is {why}"));
        check(tables.wide_ip_status(WideIpId(0)), Enabled::Enabled, "no enabled pools");
        check(tables.pool_status(PoolId(2)), Enabled::Enabled, "no enabled pool members");
    }

    #[test]
    fn since_is_the_moment_of_the_last_change_at_every_level() {
        let mut world = world();
        world.up("aby");
        world.wait(5);
        world.down("aby");
        world.wait(5);
        world.down("aby");
        let since = |status: Option<Status>| status.unwrap().since;
        let at = Moment::from_millis(5000);
        assert_eq!(since(world.tables.pool_status(PoolId(0))), at);
        assert_eq!(since(world.tables.member_status(PoolId(0), 0)), at);
        assert_eq!(since(world.tables.wide_ip_status(WideIpId(0))), at);
        // A reload is no change.
        let topology = world.tables.topology().clone();
        let rebuilt = world.tables.rebuild(world.model.clone().into(), topology, &world.table);
        assert_eq!(since(rebuilt.pool_status(PoolId(0))), at);
    }
}
