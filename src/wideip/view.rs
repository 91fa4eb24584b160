//! The status of every object as people see it, worked out from what is published.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::derive::Tally;
use super::ids::index;
use super::members::MemberSource;
use super::tables::Tables;
use super::{Datacenter, DatacenterId, Member, PoolId, Server, ServerId, WideIpId};
use crate::status::{Availability, Changed, Enabled, Moment, ObjectKind, Source, Status, Table};

impl Tables {
    /// The status of a server: the best of its virtual servers, and whether its agent can be reached.
    pub fn server_status(&self, id: ServerId) -> Option<&Status> {
        self.servers.get(index(id.0))?.head.as_ref()
    }

    /// The status of a datacenter: the best of its servers.
    pub fn datacenter_status(&self, id: DatacenterId) -> Option<&Status> {
        self.datacenters.get(index(id.0))?.head.as_ref()
    }

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

    /// Makes the statuses of servers and datacenters anew that a change touches.
    pub(super) fn refresh_servers(&mut self, table: &Table, changed: &Changed) {
        let of_virtual_server = |&at: &usize| self.model.virtual_servers.get(at).map(|one| index(one.server.0));
        let touched = changed.virtual_servers.iter().chain(&changed.measured);
        let mut servers: BTreeSet<usize> = touched.filter_map(of_virtual_server).collect();
        for (kind, name) in &changed.objects {
            let is_named = |server: &Server| match kind {
                ObjectKind::Server => *server.name == **name,
                ObjectKind::Datacenter => {
                    self.model.datacenter(server.datacenter).is_some_and(|datacenter| *datacenter.name == **name)
                }
                _ => false,
            };
            let named = self.model.servers.iter().enumerate().filter(|(_, server)| is_named(server));
            servers.extend(named.map(|(at, _)| at));
        }
        let servers: Vec<usize> = servers.into_iter().collect();
        let new = self.servers.with(&servers, |at, old, _| self.make_server(table, at, old.head.as_ref()));
        self.servers = new;
        let datacenter_of = |&at: &usize| self.model.servers.get(at).map(|server| index(server.datacenter.0));
        let datacenters: BTreeSet<usize> = servers.iter().filter_map(datacenter_of).collect();
        let datacenters: Vec<usize> = datacenters.into_iter().collect();
        let new = self.datacenters.with(&datacenters, |at, old, _| self.make_datacenter(at, old.head.as_ref()));
        self.datacenters = new;
    }

    pub(super) fn make_server(&self, table: &Table, at: usize, before: Option<&Status>) -> Option<Status> {
        let server = self.model.servers.get(at)?;
        let of_server = self.layout.virtual_servers_of_server.of(at);
        let views = || of_server.iter().filter_map(|&one| self.virtual_servers.get(index(one))?.head.as_ref());
        let tally = Tally::of(views().map(|view| view.status.availability));
        let link = table.link(at);
        let mut reason = format!("{} of {} virtual servers available", tally.available, tally.total());
        let availability = match (tally.total(), link.map(|link| &link.state)) {
            (0, Some(Ok(()))) => Availability::Available,
            (0, _) => Availability::Unknown,
            _ => tally.availability(1),
        };
        match link.map(|link| &link.state) {
            Some(Ok(())) => reason.push_str("; agent connected"),
            Some(Err(error)) => reason.push_str(&format!("; agent unreachable: {error}")),
            None if server.agent.is_some() => reason.push_str("; agent not reached yet"),
            None => {}
        }
        let (enabled, why) = self.enabled_of_server(server);
        let reason = why.map_or_else(|| reason.clone(), |why| format!("{why}; {reason}"));
        let reported = views().filter_map(|view| view.status.reported).max();
        Some(since_change(derived(availability, enabled, reason, self.now, reported), before))
    }

    fn enabled_of_server(&self, server: &Server) -> (Enabled, Option<String>) {
        if !self.overrides.is_wanted(ObjectKind::Server, &server.name, server.enabled) {
            return (Enabled::Disabled, Some(self.overrides.why_disabled(ObjectKind::Server, &server.name)));
        }
        let Some(datacenter) = self.model.datacenter(server.datacenter) else { return (Enabled::Enabled, None) };
        if self.is_wanted(datacenter) {
            return (Enabled::Enabled, None);
        }
        let why = self.overrides.why_disabled(ObjectKind::Datacenter, &datacenter.name);
        (Enabled::DisabledByParent, Some(format!("datacenter {} is {why}", datacenter.name)))
    }

    fn is_wanted(&self, datacenter: &Datacenter) -> bool {
        self.overrides.is_wanted(ObjectKind::Datacenter, &datacenter.name, datacenter.enabled)
    }

    pub(super) fn make_datacenter(&self, at: usize, before: Option<&Status>) -> Option<Status> {
        let datacenter = self.model.datacenters.get(at)?;
        let of_datacenter = self.layout.servers_of_datacenter.of(at);
        let statuses = || of_datacenter.iter().filter_map(|&server| self.servers.get(index(server))?.head.as_ref());
        let tally = Tally::of(statuses().map(|status| status.availability));
        let reason = format!("{} of {} servers available", tally.available, tally.total());
        let availability = if tally.total() == 0 { Availability::Unknown } else { tally.availability(1) };
        let (enabled, reason) = if self.is_wanted(datacenter) {
            (Enabled::Enabled, reason)
        } else {
            let why = self.overrides.why_disabled(ObjectKind::Datacenter, &datacenter.name);
            (Enabled::Disabled, format!("{why}; {reason}"))
        };
        let reported = statuses().filter_map(|status| status.reported).max();
        Some(since_change(derived(availability, enabled, reason, self.now, reported), before))
    }
}

fn derived(
    availability: Availability,
    enabled: Enabled,
    reason: String,
    since: Moment,
    reported: Option<Moment>,
) -> Status {
    Status { availability, enabled, reason: Arc::from(reason), source: Source::Derived, since, reported }
}

/// Keeps the moment of the last change where nothing changed now.
fn since_change(mut status: Status, before: Option<&Status>) -> Status {
    if let Some(before) = before
        && before.availability == status.availability
        && before.enabled == status.enabled
    {
        status.since = before.since;
    }
    status
}

#[cfg(test)]
mod tests {
    use crate::status::{Availability, Enabled, Fact, Moment, ObjectKind, Status};
    use crate::wideip::fixture::{World, cname, pool, wide_ip};
    use crate::wideip::{DatacenterId, Pool, PoolId, ServerId, WideIp, WideIpId};
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
        let server = tables.server_status(ServerId(1)).cloned();
        check(server, "available, enabled: 1 of 13 virtual servers available; agent not reached yet");
        let datacenter = tables.datacenter_status(DatacenterId(1)).cloned();
        check(datacenter, "available, enabled: 1 of 1 servers available");
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
        check(tables.datacenter_status(DatacenterId(1)).cloned(), Enabled::Disabled, why);
        let parent = format!("datacenter london is {why}");
        check(tables.server_status(ServerId(1)).cloned(), Enabled::DisabledByParent, &parent);
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
        let datacenter = world.tables.datacenter_status(DatacenterId(0)).cloned();
        assert_eq!(since(datacenter), at, "from available to unknown: others in it were never reported");
        // A reload is no change.
        let topology = world.tables.topology().clone();
        let rebuilt = world.tables.rebuild(world.model.clone().into(), topology, &world.table);
        assert_eq!(since(rebuilt.pool_status(PoolId(0))), at);
    }

    #[test]
    fn a_server_tells_of_its_agent() {
        let mut world = world();
        let mut tell = |state: Result<(), &str>, expected: &str| {
            let fact = Fact::Link { server: "ny-lb".into(), state: state.map_err(Into::into), at: Moment::default() };
            let changed = world.table.apply(&fact, Moment::default());
            world.tables = world.tables.refresh(&world.table, &changed);
            let status = world.tables.server_status(ServerId(0)).unwrap();
            assert_eq!(&*status.reason, expected);
            assert_eq!(status.availability, Availability::Unknown, "not reached is not down");
        };
        tell(Err("certificate expired"), "0 of 13 virtual servers available; agent unreachable: certificate expired");
        tell(Ok(()), "0 of 13 virtual servers available; agent connected");
    }
}
