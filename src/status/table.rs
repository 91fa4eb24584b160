//! Everything that is known of every virtual server, by server and name; read by the publisher.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Change, Entry, Surroundings};
use super::overrides::Overrides;
use super::reasons::Reasons;
use super::{
    Ageing, Availability, Discovered, Enabled, Freshness, Measurements, Moment, ObjectKind, Report, Status, Watched,
    WatchedServer, WatchedVirtualServer,
};

/// What can be set of a [`Table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How verdicts age.
    pub ageing: Ageing,
    /// How long after the start a failing probe does not replace a better verdict remembered from the last run.
    pub startup_grace: Duration,
}

/// The state of the session with a server's agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// `Ok` when it is up; the reason in plain words when it is not.
    pub state: Result<(), Arc<str>>,
    /// Since when.
    pub since: Moment,
}

/// What is known of every configured virtual server, by its index in [`Watched::virtual_servers`].
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) settings: Settings,
    pub(super) started: Moment,
    pub(super) now: Moment,
    /// When time was last let pass.
    pub(super) aged: Moment,
    pub(super) watched: Watched,
    pub(super) servers: Vec<ServerState>,
    pub(super) entries: Vec<Entry>,
    pub(super) overrides: Overrides,
    pub(super) reasons: Reasons,
    pub(super) server_index: HashMap<Arc<str>, usize>,
}

/// What is known of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerState {
    pub(super) link: Option<Link>,
    pub(super) inventory: Option<(Moment, Vec<Discovered>)>,
    /// Its virtual servers by name.
    pub(super) virtual_servers: HashMap<Arc<str>, usize>,
    /// What was reported of virtual servers that the agent lists and that are not configured (yet).
    pub(super) unconfigured: HashMap<Arc<str>, Entry>,
}

impl Table {
    /// A table in which nothing is known; `now` is the start that the startup grace counts from.
    pub fn new(watched: Watched, settings: Settings, now: Moment) -> Self {
        let mut table = Self {
            settings,
            started: now,
            now,
            aged: now,
            watched: Watched::default(),
            servers: Vec::new(),
            entries: Vec::new(),
            overrides: Overrides::default(),
            reasons: Reasons::default(),
            server_index: HashMap::new(),
        };
        table.configure(watched, settings, now);
        table
    }

    /// Takes a new configuration; what is known of servers and virtual servers of the same name is kept.
    pub fn configure(&mut self, watched: Watched, settings: Settings, now: Moment) {
        let mut known = self.take_by_name();
        self.settings = settings;
        self.now = self.now.max(now);
        self.servers.clear();
        self.server_index.clear();
        for (index, server) in watched.servers.iter().enumerate() {
            let mut state = known.get_mut(&server.name).map(std::mem::take).unwrap_or_default();
            state.virtual_servers.clear();
            self.servers.push(state);
            self.server_index.insert(server.name.clone(), index);
        }
        for (index, virtual_server) in watched.virtual_servers.iter().enumerate() {
            let state = self.servers.get_mut(virtual_server.server);
            let entry = state.and_then(|state| {
                state.virtual_servers.insert(virtual_server.name.clone(), index);
                state.unconfigured.remove(&virtual_server.name)
            });
            self.entries.push(entry.unwrap_or_else(|| Entry::new(now)));
        }
        self.watched = watched;
        for state in &mut self.servers {
            let ServerState { unconfigured, inventory, .. } = state;
            let listed = inventory.as_ref().map(|(_, listed)| listed.as_slice()).unwrap_or_default();
            unconfigured.retain(|name, _| listed.iter().any(|found| found.name == *name));
        }
        for index in 0..self.entries.len() {
            self.look(index);
        }
    }

    /// Moves everything known out, by server name, with all entries among the unconfigured.
    fn take_by_name(&mut self) -> HashMap<Arc<str>, ServerState> {
        let mut states = std::mem::take(&mut self.servers);
        for (entry, virtual_server) in self.entries.drain(..).zip(&self.watched.virtual_servers) {
            if let Some(state) = states.get_mut(virtual_server.server) {
                state.unconfigured.insert(virtual_server.name.clone(), entry);
            }
        }
        self.watched.servers.iter().map(|server| server.name.clone()).zip(states).collect()
    }

    pub(super) fn look(&mut self, index: usize) -> Change {
        self.with_surroundings(index, |entry, around| entry.look(around)).unwrap_or(Change::Nothing)
    }

    fn with_surroundings<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Entry, &Surroundings<'_>) -> T,
    ) -> Option<T> {
        let watched = self.watched.virtual_servers.get(index)?;
        let server = self.watched.servers.get(watched.server)?;
        let link = self.servers.get(watched.server)?.link.as_ref();
        let (enabled, disabled_reason) = self.enabled(server, watched);
        let around = Surroundings {
            now: self.now,
            ageing: self.settings.ageing,
            grace_until: self.started.after(self.settings.startup_grace),
            link_error: link.and_then(|link| link.state.as_ref().err()),
            has_source: watched.monitored || server.agent,
            enabled,
            disabled_reason: disabled_reason.as_deref(),
        };
        self.entries.get_mut(index).map(|entry| act(entry, &around))
    }

    /// Whether a virtual server is wanted, and why not.
    ///
    /// | the virtual server itself | its server and datacenter | result             |
    /// |---------------------------|---------------------------|--------------------|
    /// | disabled                  | any                       | disabled           |
    /// | enabled                   | either disabled           | disabled by parent |
    /// | enabled                   | both enabled              | enabled            |
    ///
    /// For each of the three an operator's override stands before the configuration.
    fn enabled(&self, server: &WatchedServer, watched: &WatchedVirtualServer) -> (Enabled, Option<String>) {
        let is_off = |kind, name: &str, configured| {
            (!self.overrides.is_wanted(kind, name, configured)).then(|| self.overrides.why_disabled(kind, name))
        };
        let own = if self.overrides.has(ObjectKind::VirtualServer) {
            is_off(ObjectKind::VirtualServer, &format!("{}/{}", server.name, watched.name), watched.enabled)
        } else {
            (!watched.enabled).then(|| "disabled in the configuration".to_owned())
        };
        if own.is_some() {
            return (Enabled::Disabled, own);
        }
        let parent = is_off(ObjectKind::Server, &server.name, server.enabled)
            .map(|why| format!("server {} is {why}", server.name))
            .or_else(|| {
                is_off(ObjectKind::Datacenter, &server.datacenter, server.datacenter_enabled)
                    .map(|why| format!("datacenter {} is {why}", server.datacenter))
            });
        (if parent.is_some() { Enabled::DisabledByParent } else { Enabled::Enabled }, parent)
    }

    /// The newest moment the table has seen.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// What the table keeps status of.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The merged status of a virtual server.
    pub fn status(&self, virtual_server: usize) -> Option<&Status> {
        self.entries.get(virtual_server).map(|entry| &entry.status)
    }

    /// The last verdict that was known of a virtual server, however old; none when there never was one.
    pub fn held(&self, virtual_server: usize) -> Option<Availability> {
        self.entries.get(virtual_server)?.held.as_ref().map(|held| held.availability)
    }

    /// How much what is known of a virtual server may be trusted.
    pub fn freshness(&self, virtual_server: usize) -> Freshness {
        self.entries.get(virtual_server).map_or(Freshness::Expired, |entry| entry.freshness)
    }

    /// The measurements of a virtual server; empty unless they are fresh.
    pub fn measurements(&self, virtual_server: usize) -> Measurements {
        self.entries.get(virtual_server).map(|entry| entry.measurements).unwrap_or_default()
    }

    /// What each source says of a virtual server.
    pub fn reports(&self, virtual_server: usize) -> &[Report] {
        self.entries.get(virtual_server).map(|entry| entry.reports.as_slice()).unwrap_or_default()
    }

    /// The session with a server's agent; none before the first word of it.
    pub fn link(&self, server: usize) -> Option<&Link> {
        self.servers.get(server)?.link.as_ref()
    }

    /// The virtual servers that a server's agent last listed; none before its first list.
    pub fn inventory(&self, server: &str) -> Option<&[Discovered]> {
        let state = self.servers.get(*self.server_index.get(server)?)?;
        state.inventory.as_ref().map(|(_, found)| found.as_slice())
    }

    /// What operators have enabled and disabled.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }
}
