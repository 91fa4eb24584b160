//! The statuses of servers and datacenters. Only people read them, so that they are worked out once a second and for those
//! who look, and not with each snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use super::derive::Tally;
use super::ids::index;
use super::tables::Tables;
use super::view::derived;
use super::{Datacenter, Server};
use crate::status::{Availability, Enabled, ObjectKind, Status, Table};

/// The statuses of all servers and datacenters, by name.
#[derive(Debug, Clone, Default)]
pub struct Summaries {
    servers: HashMap<Arc<str>, Status>,
    datacenters: HashMap<Arc<str>, Status>,
}

impl Summaries {
    /// What follows from what is known of the virtual servers and of the sessions with the agents. Who is in the state it was
    /// in `before` keeps since when.
    #[must_use]
    pub fn new(tables: &Tables, table: &Table, before: &Self) -> Self {
        let mut summaries = Self::default();
        for (at, server) in tables.model.servers.iter().enumerate() {
            let status = since_change(of_server(tables, table, at, server), before.server(&server.name));
            summaries.servers.insert(Arc::clone(&server.name), status);
        }
        for (at, datacenter) in tables.model.datacenters.iter().enumerate() {
            let status =
                since_change(summaries.of_datacenter(tables, at, datacenter), before.datacenter(&datacenter.name));
            summaries.datacenters.insert(Arc::clone(&datacenter.name), status);
        }
        summaries
    }

    /// Works those of `servers` out anew, by their place in the same model, and those of all datacenters.
    pub fn renew(&mut self, tables: &Tables, table: &Table, servers: impl IntoIterator<Item = usize>) {
        for at in servers {
            let Some(server) = tables.model.servers.get(at) else { continue };
            let status = since_change(of_server(tables, table, at, server), self.server(&server.name));
            self.servers.insert(Arc::clone(&server.name), status);
        }
        for (at, datacenter) in tables.model.datacenters.iter().enumerate() {
            let status = since_change(self.of_datacenter(tables, at, datacenter), self.datacenter(&datacenter.name));
            self.datacenters.insert(Arc::clone(&datacenter.name), status);
        }
    }

    /// The status of a server: the best of its virtual servers, and whether its agent can be reached.
    pub fn server(&self, name: &str) -> Option<&Status> {
        self.servers.get(name)
    }

    /// The status of a datacenter: the best of its servers.
    pub fn datacenter(&self, name: &str) -> Option<&Status> {
        self.datacenters.get(name)
    }

    fn of_datacenter(&self, tables: &Tables, at: usize, datacenter: &Datacenter) -> Status {
        let servers = tables.layout.servers_of_datacenter.of(at).iter();
        let statuses: Vec<&Status> =
            servers.filter_map(|&server| self.server(&tables.model.servers.get(index(server))?.name)).collect();
        let tally = Tally::of(statuses.iter().map(|status| status.availability));
        let reason = format!("{} of {} servers available", tally.available, tally.total());
        let availability = if tally.total() == 0 { Availability::Unknown } else { tally.availability(1) };
        let (enabled, reason) = if is_wanted(tables, datacenter) {
            (Enabled::Enabled, reason)
        } else {
            let why = tables.overrides.why_disabled(ObjectKind::Datacenter, &datacenter.name);
            (Enabled::Disabled, format!("{why}; {reason}"))
        };
        let reported = statuses.iter().filter_map(|status| status.reported).max();
        derived(availability, enabled, reason, tables.now, reported)
    }
}

fn of_server(tables: &Tables, table: &Table, at: usize, server: &Server) -> Status {
    let of_server = tables.layout.virtual_servers_of_server.of(at);
    let views = || of_server.iter().filter_map(|&one| tables.virtual_servers.get(index(one))?.head.as_ref());
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
    let (enabled, why) = enabled_of_server(tables, server);
    let reason = why.map_or_else(|| reason.clone(), |why| format!("{why}; {reason}"));
    let reported = views().filter_map(|view| view.status.reported).max();
    derived(availability, enabled, reason, tables.now, reported)
}

fn enabled_of_server(tables: &Tables, server: &Server) -> (Enabled, Option<String>) {
    let Tables { overrides, model, .. } = tables;
    if !overrides.is_wanted(ObjectKind::Server, &server.name, server.enabled) {
        return (Enabled::Disabled, Some(overrides.why_disabled(ObjectKind::Server, &server.name)));
    }
    let Some(datacenter) = model.datacenter(server.datacenter) else { return (Enabled::Enabled, None) };
    if is_wanted(tables, datacenter) {
        return (Enabled::Enabled, None);
    }
    let why = overrides.why_disabled(ObjectKind::Datacenter, &datacenter.name);
    (Enabled::DisabledByParent, Some(format!("datacenter {} is {why}", datacenter.name)))
}

fn is_wanted(tables: &Tables, datacenter: &Datacenter) -> bool {
    tables.overrides.is_wanted(ObjectKind::Datacenter, &datacenter.name, datacenter.enabled)
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
    use super::*;
    use crate::status::{Fact, Moment};
    use crate::wideip::fixture::{World, pool, wide_ip};

    fn world() -> World {
        World::new(vec![pool("p", "a b y")], vec![wide_ip("www.example.", &[0])])
    }

    fn of(world: &World, before: &Summaries) -> Summaries {
        Summaries::new(&world.tables, &world.table, before)
    }

    #[test]
    fn a_server_is_the_best_of_its_virtual_servers_and_a_datacenter_of_its_servers() {
        let mut world = world();
        world.up("y");
        world.down("z");
        let summaries = of(&world, &Summaries::default());
        let check = |status: Option<&Status>, expected: &str| {
            let status = status.unwrap();
            assert_eq!(format!("{}, {}: {}", status.availability, status.enabled, status.reason), expected);
        };
        let server = "available, enabled: 1 of 13 virtual servers available; agent not reached yet";
        check(summaries.server("london-lb"), server);
        check(summaries.datacenter("london"), "available, enabled: 1 of 1 servers available");
        assert_eq!(summaries.server("unheard-of"), None);
    }

    #[test]
    fn a_datacenter_that_is_disabled_disables_its_servers() {
        let mut world = world();
        world.switch(ObjectKind::Datacenter, "london", Some(Enabled::Disabled));
        let summaries = of(&world, &Summaries::default());
        let check = |status: Option<&Status>, enabled, reason: &str| {
            let status = status.unwrap();
            assert_eq!(status.enabled, enabled);
            assert!(status.reason.starts_with(reason), "{}", status.reason);
        };
        let why = "disabled by an operator: test";
        check(summaries.datacenter("london"), Enabled::Disabled, why);
        check(summaries.server("london-lb"), Enabled::DisabledByParent, &format!("datacenter london is {why}"));
        check(summaries.server("ny-lb"), Enabled::Enabled, "0 of 13");
    }

    #[test]
    fn since_is_when_the_state_was_first_seen() {
        let mut world = world();
        let mut summaries = Summaries::default();
        let check = |world: &World, summaries: &mut Summaries, expected: u64| {
            *summaries = of(world, summaries);
            let since = [summaries.server("ny-lb"), summaries.datacenter("ny")].map(|one| one.unwrap().since);
            assert_eq!(since, [Moment::from_millis(expected); 2]);
        };
        world.up("ab");
        check(&world, &mut summaries, 0);
        world.wait(5);
        world.down("a");
        check(&world, &mut summaries, 0);
        world.down("b");
        check(&world, &mut summaries, 5_000);
        world.wait(5);
        check(&world, &mut summaries, 5_000);
        world.up("a");
        summaries.renew(&world.tables, &world.table, [0, 99]);
        world.wait(5);
        check(&world, &mut summaries, 10_000);
        // A reload is no change.
        let topology = world.tables.topology().clone();
        world.tables = world.tables.rebuild(world.model.clone().into(), topology, &world.table);
        check(&world, &mut summaries, 10_000);
    }

    #[test]
    fn a_server_tells_of_its_agent() {
        let mut world = world();
        let mut tell = |state: Result<(), &str>, expected: &str| {
            let fact = Fact::Link { server: "ny-lb".into(), state: state.map_err(Into::into), at: Moment::default() };
            let changed = world.table.apply(&fact, Moment::default());
            world.tables = world.tables.refresh(&world.table, &changed);
            let summaries = of(&world, &Summaries::default());
            let status = summaries.server("ny-lb").unwrap();
            assert_eq!(&*status.reason, expected);
            assert_eq!(status.availability, Availability::Unknown, "not reached is not down");
        };
        tell(Err("certificate expired"), "0 of 13 virtual servers available; agent unreachable: certificate expired");
        tell(Ok(()), "0 of 13 virtual servers available; agent connected");
    }
}
