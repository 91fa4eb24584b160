//! Datacenters, servers and virtual servers: what is written → objects with ids.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::monitor::Monitor;
use crate::wideip::{Datacenter, DatacenterId, Discovery, Model, Server, ServerId, VirtualServer, VirtualServerId};

use super::collections::Named;
use super::file;
use super::issues::{Issues, nearest};
use super::monitors::Monitors;
use super::names::{Names, check_object_name};
use super::node::{Place, Shortened};

/// The model while it is built, with who bears which name.
pub(crate) struct Steering<'a> {
    pub(crate) model: Model,
    /// The monitors of each virtual server that has any.
    pub(crate) monitors: Vec<(VirtualServerId, Vec<Monitor>)>,
    pub(crate) datacenters: Names<'a, DatacenterId>,
    servers: Names<'a, ServerId>,
    /// Virtual servers as `server/virtual-server`; `None` for one that is wrong.
    virtual_servers: HashMap<String, Option<VirtualServerId>>,
    issues: &'a Issues,
}

/// The id of the object that is pushed next.
fn next_id(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl<'a> Steering<'a> {
    /// The sites and servers below `root`.
    pub(crate) fn resolve(
        written: &'a file::Node,
        root: &Place<'_>,
        monitors: &Monitors<'_>,
        issues: &'a Issues,
    ) -> Self {
        let mut steering = Self {
            model: Model::default(),
            monitors: Vec::new(),
            datacenters: Names::new("datacenter"),
            servers: Names::new("server"),
            virtual_servers: HashMap::new(),
            issues,
        };
        steering.add_datacenters(&written.datacenters, &root.field("datacenters"));
        let place = root.field("servers");
        for (index, name, server) in written.servers.iter() {
            let place = place.entry(index);
            check_object_name(name, &place, issues);
            let id = server.and_then(|server| steering.add_server(name, server, &place, monitors));
            steering.servers.insert(name, id);
        }
        steering
    }

    fn add_datacenters(&mut self, written: &'a Named<file::Datacenter>, place: &Place<'_>) {
        for (index, name, datacenter) in written.iter() {
            check_object_name(name, &place.entry(index), self.issues);
            let id = datacenter.map(|datacenter| {
                let id = DatacenterId(next_id(self.model.datacenters.len()));
                let enabled = datacenter.enabled.unwrap_or(true);
                self.model.datacenters.push(Datacenter { name: name.into(), enabled });
                id
            });
            self.datacenters.insert(name, id);
        }
    }

    fn add_server(
        &mut self,
        name: &'a str,
        written: &'a file::Server,
        place: &Place<'_>,
        monitors: &Monitors<'_>,
    ) -> Option<ServerId> {
        let datacenter = self.datacenters.find(&written.datacenter, &place.field("datacenter"), self.issues);
        let discovery = match written.discovery {
            Some(file::Discovery::Enabled) => Discovery::Enabled,
            Some(file::Discovery::EnabledNoDelete) => Discovery::EnabledNoDelete,
            Some(file::Discovery::Disabled) | None => Discovery::Disabled,
        };
        if discovery != Discovery::Disabled && !place.has("agent") {
            self.issues.error(&place.field("discovery"), "only an agent discovers: `agent` is missing");
        }
        let inherited =
            written.monitors.as_ref().map(|names| monitors.find(names, &place.field("monitors"), self.issues));
        let inherited = inherited.unwrap_or_default();
        let id = ServerId(next_id(self.model.servers.len()));
        for (index, vs_name, virtual_server) in written.virtual_servers.iter() {
            let place = place.field("virtual_servers").entry(index);
            check_object_name(vs_name, &place, self.issues);
            let vs = virtual_server.map(|virtual_server| {
                let own = virtual_server.monitors.as_ref();
                let own = own.map(|names| monitors.find(names, &place.field("monitors"), self.issues));
                let address = self.address(written, virtual_server, &place, own.as_deref());
                // Without an address there is nothing to probe; its agent tells.
                let watched_by = own.unwrap_or_else(|| address.map(|_| inherited.clone()).unwrap_or_default());
                let enabled = virtual_server.enabled.unwrap_or(true);
                self.push_virtual_server(vs_name, id, address, enabled, watched_by)
            });
            self.virtual_servers.insert(format!("{name}/{vs_name}"), vs);
        }
        self.model.servers.push(Server {
            name: name.into(),
            datacenter: datacenter.unwrap_or(DatacenterId(0)),
            enabled: written.enabled.unwrap_or(true),
            agent: written.agent.map(|address| address.0),
            discovery,
        });
        Some(id)
    }

    fn push_virtual_server(
        &mut self,
        name: &str,
        server: ServerId,
        address: Option<SocketAddr>,
        enabled: bool,
        monitors: Vec<Monitor>,
    ) -> VirtualServerId {
        let id = VirtualServerId(next_id(self.model.virtual_servers.len()));
        let count = monitors.len();
        self.model.virtual_servers.push(VirtualServer { name: name.into(), server, address, enabled, monitors: count });
        if count > 0 {
            self.monitors.push((id, monitors));
        }
        id
    }

    /// The address of a virtual server; only an agent can tell one that is not written.
    fn address(
        &self,
        server: &file::Server,
        written: &file::VirtualServer,
        place: &Place<'_>,
        own_monitors: Option<&[Monitor]>,
    ) -> Option<SocketAddr> {
        let has_agent = server.agent.is_some();
        let missing = |key: &str| self.issues.error_at_key(place, format!("`{key}` is missing"));
        if written.port == Some(0) {
            self.issues.error(&place.field("port"), "0 is not a port");
        }
        match (written.address, written.port) {
            (Some(address), Some(port)) => return Some(SocketAddr::new(address.0, port)),
            (Some(_), None) if !place.has("port") => missing("port"),
            (None, Some(_)) if !place.has("address") => missing("address"),
            (None, None) if !(place.has("address") || place.has("port") || has_agent) => {
                missing("address");
                missing("port");
            }
            (None, None) if has_agent && own_monitors.is_some_and(|monitors| !monitors.is_empty()) => {
                let message = "a monitor needs an address to probe: write `address` and `port`";
                self.issues.error_at_key(&place.field("monitors"), message);
            }
            _ => {}
        }
        None
    }

    /// The virtual server `server/virtual-server`. One that only its agent knows becomes a place for what it will say.
    pub(crate) fn virtual_server(&mut self, name: &str, place: &Place<'_>) -> Option<VirtualServerId> {
        if let Some(found) = self.virtual_servers.get(name) {
            return *found;
        }
        let Some((server, virtual_server)) = name.split_once('/') else {
            let message = format!("`{}` is not `server/virtual-server`", Shortened(name));
            self.issues.error_with_suggestion(place, message, self.nearest(name));
            return None;
        };
        let id = match self.servers.known(server) {
            // The server is wrong itself, or in a file that could not be read.
            Some(None) => return None,
            Some(Some(id)) => id,
            None if self.issues.is_incomplete() => return None,
            None => {
                let message = format!("there is no server `{}`", Shortened(server));
                self.issues.error_with_suggestion(place, message, self.nearest(name));
                return None;
            }
        };
        let found = self.model.servers.get(usize::try_from(id.0).unwrap_or(usize::MAX))?;
        if found.agent.is_none() {
            let message = format!(
                "the server `{server}` has no virtual server `{}`, and no agent that could discover it",
                Shortened(virtual_server)
            );
            self.issues.error_with_suggestion(place, message, self.nearest(name));
            return None;
        }
        check_object_name(virtual_server, place, self.issues);
        let id = self.push_virtual_server(virtual_server, id, None, true, Vec::new());
        self.virtual_servers.insert(name.to_owned(), Some(id));
        Some(id)
    }

    fn nearest(&self, name: &str) -> Option<String> {
        if self.issues.is_full() {
            return None;
        }
        let known = || self.virtual_servers.keys().map(String::as_str);
        // `www` alone, or under the wrong server, probably means the one virtual server of that name.
        let wanted = name.rsplit('/').next().unwrap_or(name);
        let mut same = known().filter(|known| known.rsplit('/').next() == Some(wanted));
        nearest(name, known()).or_else(|| match (same.next(), same.next()) {
            (Some(only), None) => Some(only.to_owned()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::testing::{check, load_text};
    use crate::wideip::VirtualServerId;

    /// A site, a monitor, a host and a load balancer with an agent.
    const BASE: &str = "datacenters: {dc: {}}\nmonitors: {web: {type: tcp}, slow: {type: tcp, interval: 1m}}\nservers:\n  \
        host: {datacenter: dc, monitors: web, virtual_servers: {www: {address: 192.0.2.1, port: 80}, six: {address: '2001:db8::1', port: 80}}}\n  \
        lb: {datacenter: dc, agent: '192.0.2.9:4353', virtual_servers: {app: {}}}\n";

    #[test]
    fn references_to_nothing_say_what_was_meant() {
        let pool = |member: &str, expected: &str| {
            check(&format!("{BASE}pools: {{p: {{type: A, members: [{member}]}}}}"), expected)
        };
        pool(
            "host/wwww",
            "7:32: pools.p.members[0]: the server `host` has no virtual server `wwww`, and no agent that could discover it; did you mean `host/www`?",
        );
        pool("hots/www", "7:32: pools.p.members[0]: there is no server `hots`; did you mean `host/www`?");
        pool(
            "{virtual_server: www}",
            "7:49: pools.p.members[0].virtual_server: `www` is not `server/virtual-server`; did you mean `host/www`?",
        );
        pool("host/six", "7:32: pools.p.members[0]: its address 2001:db8::1 is no answer of type A");
        pool("host/www, host/www", "7:42: pools.p.members[1]: the pool has this member twice: give one a higher ratio");
        pool("{ratio: 1}", "7:32: pools.p.members[0]: `virtual_server` is missing");
        pool(
            "{name: a.example.}",
            "7:33: pools.p.members[0].name: only a pool of type CNAME answers with names; in one of type A write `virtual_server`",
        );
        check("servers: {a: {datacenter: x}}", "2:27: servers.a.datacenter: there is no datacenter `x`");
        check(
            "datacenters: {dc: {}}\nservers: {a: {datacenter: dd}}",
            "3:27: servers.a.datacenter: there is no datacenter `dd`; did you mean `dc`?",
        );
        check(
            "datacenters: {dc: {}}\nservers: {a: {datacenter: dc, monitors: [webb]}}",
            "3:42: servers.a.monitors[0]: there is no monitor `webb`",
        );
    }

    #[test]
    fn a_virtual_server_without_an_address_needs_an_agent() {
        let server = |text: &str, expected: &str| {
            check(
                &format!(
                    "datacenters: {{dc: {{}}}}\nmonitors: {{web: {{type: tcp}}}}\nservers: {{s: {{datacenter: dc, {text}}}}}"
                ),
                expected,
            )
        };
        server("virtual_servers: {v: {address: 192.0.2.1}}", "4:49: servers.s.virtual_servers.v: `port` is missing");
        server("virtual_servers: {v: {port: 1}}", "4:49: servers.s.virtual_servers.v: `address` is missing");
        server("discovery: enabled", "4:42: servers.s.discovery: only an agent discovers: `agent` is missing");
        server(
            "agent: '192.0.2.1:1', virtual_servers: {v: {monitors: web}}",
            "4:75: servers.s.virtual_servers.v.monitors: a monitor needs an address to probe: write `address` and `port`",
        );
        server(
            "virtual_servers: {'a/b': {address: 192.0.2.1, port: 1}}",
            "4:49: servers.s.virtual_servers.a/b: '/' cannot stand in a name: letters, digits, `-`, `_`, `.` and `:` can",
        );
    }

    #[test]
    fn monitors_are_inherited_until_a_virtual_server_names_its_own() {
        let text = format!("node: n\n{BASE}").replace(
            "port: 80}, six: {",
            "port: 80}, own: {address: 192.0.2.2, port: 1, monitors: [slow]}, none: {monitors: [], ",
        );
        let config = load_text(&text).unwrap();
        let watched = |id: u32| config.monitors.iter().find(|(found, _)| *found == VirtualServerId(id));
        assert_eq!(&*watched(0).unwrap().1[0].name, "web");
        assert_eq!(watched(1).unwrap().1[0].interval, Duration::from_secs(60));
        assert!(watched(2).is_none());
        assert_eq!(config.model.virtual_servers[1].monitors, 1);
    }

    #[test]
    fn a_wrong_server_is_no_second_error_where_it_is_named() {
        let text = "datacenters: {dc: {}}\nservers: {a: {datacenter: dc, agnt: '1.1.1.1:1', virtual_servers: {v: {address: x, port: 1}}}}\npools: {p: {type: A, members: [a/v]}}\n";
        let errors = load_text(&format!("node: n\n{text}")).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
