//! From the configured model to the status table's list, and from what agents found back into the model.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Discovery, Model, Server, ServerId, VirtualServer};
use crate::status::{Discovered, Table, Watched, WatchedServer, WatchedVirtualServer};

impl Model {
    /// What a status table is to watch: indices are those of `servers` and `virtual_servers`.
    pub fn watched(&self) -> Watched {
        let server = |server: &Server| {
            let datacenter = usize::try_from(server.datacenter.0).ok().and_then(|index| self.datacenters.get(index));
            WatchedServer {
                name: server.name.clone(),
                enabled: server.enabled,
                datacenter: datacenter.map_or_else(|| "".into(), |datacenter| datacenter.name.clone()),
                datacenter_enabled: datacenter.is_none_or(|datacenter| datacenter.enabled),
                agent: server.agent.is_some(),
            }
        };
        let virtual_server = |one: &VirtualServer| WatchedVirtualServer {
            server: usize::try_from(one.server.0).unwrap_or(usize::MAX),
            name: one.name.clone(),
            enabled: one.enabled,
            monitored: one.monitors > 0,
        };
        Watched {
            servers: self.servers.iter().map(server).collect(),
            virtual_servers: self.virtual_servers.iter().map(virtual_server).collect(),
        }
    }

    /// The model with what the agents found, as far as each server's discovery lets it in.
    ///
    /// | discovery         | found, configured           | found, not configured | configured, not found |
    /// |-------------------|-----------------------------|-----------------------|-----------------------|
    /// | disabled          | fills in a missing address  | left out              | stays                 |
    /// | enabled           | the agent's address counts  | added                 | stays                 |
    /// | enabled-no-delete | the agent's address counts  | added                 | stays                 |
    ///
    /// `self` is the configured model; `earlier` is the discovered model in use. With enabled-no-delete what `earlier`
    /// has of a server stays too; with enabled it goes when the agent no longer lists it. What a server has configured
    /// is never removed by an agent, only shown offline.
    #[must_use]
    pub fn discovered(&self, table: &Table, earlier: &Self) -> Self {
        let mut model = self.clone();
        let mut index: HashMap<(u32, Arc<str>), usize> = HashMap::new();
        for (position, one) in model.virtual_servers.iter().enumerate() {
            index.insert((one.server.0, one.name.clone()), position);
        }
        for (position, server) in self.servers.iter().enumerate() {
            let Ok(id) = u32::try_from(position).map(ServerId) else { continue };
            let kept = if server.discovery == Discovery::EnabledNoDelete {
                earlier.addresses_of(&server.name)
            } else {
                Vec::new()
            };
            let found = table.inventory(&server.name).unwrap_or_default();
            for one in kept.iter().chain(found) {
                match index.get(&(id.0, one.name.clone())).and_then(|&at| model.virtual_servers.get_mut(at)) {
                    Some(known) if known.address.is_none() || server.discovery != Discovery::Disabled => {
                        known.address = Some(one.address);
                    }
                    Some(_) => {}
                    None if server.discovery == Discovery::Disabled => {}
                    None => {
                        index.insert((id.0, one.name.clone()), model.virtual_servers.len());
                        model.virtual_servers.push(VirtualServer {
                            name: one.name.clone(),
                            server: id,
                            address: Some(one.address),
                            enabled: true,
                            monitors: 0,
                        });
                    }
                }
            }
        }
        model
    }

    fn addresses_of(&self, server: &str) -> Vec<Discovered> {
        let id = self.servers.iter().position(|one| &*one.name == server).and_then(|at| u32::try_from(at).ok());
        let of_server = self.virtual_servers.iter().filter(|one| Some(one.server.0) == id);
        of_server.filter_map(|one| Some(Discovered { name: one.name.clone(), address: one.address? })).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::status::{Ageing, Fact, Moment, Settings};
    use crate::wideip::{Datacenter, DatacenterId};

    fn model(discovery: Discovery) -> Model {
        let virtual_server = |name: &str, address: Option<&str>| VirtualServer {
            name: name.into(),
            server: ServerId(0),
            address: address.map(|address| address.parse().unwrap()),
            enabled: true,
            monitors: 0,
        };
        Model {
            views: Vec::new(),
            datacenters: vec![Datacenter { name: "ny".into(), enabled: true }],
            servers: vec![Server {
                name: "lb".into(),
                datacenter: DatacenterId(0),
                enabled: true,
                agent: None,
                discovery,
            }],
            virtual_servers: vec![virtual_server("fixed", Some("192.0.2.1:80")), virtual_server("open", None)],
            ..Model::default()
        }
    }

    /// Applies one list after the other and names what the model has then.
    fn check(discovery: Discovery, lists: &[&[(&str, &str)]], expected: &[&str]) {
        let configured = model(discovery);
        let ageing = Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) };
        let settings = Settings { ageing, startup_grace: Duration::ZERO };
        let mut table = Table::new(configured.watched(), settings, Moment::default());
        let mut model = configured.clone();
        for (at, list) in lists.iter().enumerate() {
            let found =
                |(name, address): &(&str, &str)| Discovered { name: (*name).into(), address: address.parse().unwrap() };
            let virtual_servers = list.iter().map(found).collect();
            let at = Moment::from_millis(at as u64);
            let changed = table.apply(&Fact::Inventory { server: "lb".into(), virtual_servers, at }, at);
            assert_eq!(changed.inventories.len(), 1);
            model = configured.discovered(&table, &model);
            table.configure(model.watched(), settings, at);
        }
        let shown = |one: &VirtualServer| match one.address {
            Some(address) => format!("{} {address}", one.name),
            None => format!("{} -", one.name),
        };
        assert_eq!(model.virtual_servers.iter().map(shown).collect::<Vec<_>>(), expected, "{discovery:?}");
    }

    #[test]
    fn every_row_of_the_table() {
        let first: &[(&str, &str)] = &[("fixed", "192.0.2.9:80"), ("open", "192.0.2.2:80"), ("new", "192.0.2.3:80")];
        check(Discovery::Disabled, &[first], &["fixed 192.0.2.1:80", "open 192.0.2.2:80"]);
        let all = ["fixed 192.0.2.9:80", "open 192.0.2.2:80", "new 192.0.2.3:80"];
        check(Discovery::Enabled, &[first], &all);
        check(Discovery::EnabledNoDelete, &[first], &all);
        check(Discovery::Enabled, &[first, &[]], &["fixed 192.0.2.1:80", "open -"]);
        check(Discovery::EnabledNoDelete, &[first, &[]], &all);
    }
}
