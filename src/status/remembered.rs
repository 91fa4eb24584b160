//! What is written down to survive a restart, as plain data.

use std::sync::Arc;

use super::entry::{Entry, Held};
use super::{Availability, Changed, Discovered, Moment, Override, Source, Table};

/// What a [`Table`] knows that a restart must not forget.
///
/// The ends of overrides are moments of this process: whoever writes them down turns them into wall-clock time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Remembered {
    /// The last verdicts.
    pub verdicts: Vec<RememberedVerdict>,
    /// What each agent last listed, by server.
    pub inventories: Vec<(Arc<str>, Vec<Discovered>)>,
    /// What operators have enabled and disabled.
    pub overrides: Vec<Override>,
}

/// The last verdict known of one virtual server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedVerdict {
    /// The server's name.
    pub server: Arc<str>,
    /// The virtual server's name.
    pub virtual_server: Arc<str>,
    /// Whether it could serve; never unknown.
    pub availability: Availability,
    /// Why.
    pub reason: Arc<str>,
    /// Who said so.
    pub source: Source,
}

impl Table {
    /// What is to be written down.
    pub fn remember(&self) -> Remembered {
        let verdict = |(watched, entry): (&super::WatchedVirtualServer, &super::entry::Entry)| {
            let held = entry.held.as_ref()?;
            Some(RememberedVerdict {
                server: self.watched.servers.get(watched.server)?.name.clone(),
                virtual_server: watched.name.clone(),
                availability: held.availability,
                reason: held.reason.clone(),
                source: held.source.clone(),
            })
        };
        let inventory = |(server, state): (&super::WatchedServer, &super::table::ServerState)| {
            state.inventory.as_ref().map(|(_, found)| (server.name.clone(), found.clone()))
        };
        Remembered {
            verdicts: self.watched.virtual_servers.iter().zip(&self.entries).filter_map(verdict).collect(),
            inventories: self.watched.servers.iter().zip(&self.servers).filter_map(inventory).collect(),
            overrides: self.overrides.iter().cloned().collect(),
        }
    }

    /// Takes what was written down, before any fact: verdicts count as stale until a report replaces them.
    pub fn restore(&mut self, remembered: &Remembered, now: Moment) -> Changed {
        let mut changed = Changed::default();
        for (server, found) in &remembered.inventories {
            let state = self.watched.servers.iter().position(|watched| watched.name == *server);
            if let Some(state) = state.and_then(|index| self.servers.get_mut(index))
                && state.inventory.is_none()
            {
                state.inventory = Some((Moment::default(), found.clone()));
                changed.inventories.push(server.clone());
            }
        }
        for one in &remembered.overrides {
            self.overrides.set(one);
            changed.objects.push((one.kind, one.name.clone()));
        }
        for verdict in &remembered.verdicts {
            self.restore_verdict(verdict, now);
        }
        for index in 0..self.entries.len() {
            let change = self.look(index);
            changed.note(index, change);
        }
        changed
    }
    /// A virtual server that is not configured (yet) keeps its verdict until discovery has added it.
    fn restore_verdict(&mut self, verdict: &RememberedVerdict, now: Moment) {
        let server = self.watched.servers.iter().position(|watched| watched.name == verdict.server);
        let Some(state) = server.and_then(|index| self.servers.get_mut(index)) else { return };
        let entry = match state.virtual_servers.get(&verdict.virtual_server) {
            Some(&index) => self.entries.get_mut(index),
            None => Some(state.unconfigured.entry(verdict.virtual_server.clone()).or_insert_with(|| Entry::new(now))),
        };
        if let Some(entry) = entry.filter(|entry| entry.held.is_none())
            && verdict.availability != Availability::Unknown
        {
            entry.held = Some(Held {
                availability: verdict.availability,
                reason: verdict.reason.clone(),
                source: verdict.source.clone(),
                remembered: Some(now),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::status::{
        Ageing, Enabled, Fact, Freshness, Measurements, ObjectKind, Settings, Verdict, Watched, WatchedServer,
        WatchedVirtualServer,
    };

    const SETTINGS: Settings = Settings {
        ageing: Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) },
        startup_grace: Duration::from_secs(30),
    };

    fn table() -> Table {
        let watched = Watched {
            servers: vec![WatchedServer {
                name: "lb".into(),
                enabled: true,
                datacenter: "ny".into(),
                datacenter_enabled: true,
                agent: true,
            }],
            virtual_servers: vec![WatchedVirtualServer {
                server: 0,
                name: "www".into(),
                enabled: true,
                monitored: true,
            }],
        };
        Table::new(watched, SETTINGS, Moment::default())
    }

    fn seconds(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn hear(table: &mut Table, source: Source, availability: Availability, at: u64) {
        let verdict = Verdict { availability, reason: "reported".into(), measurements: Measurements::default() };
        let fact =
            Fact::Verdict { server: "lb".into(), virtual_server: "www".into(), source, verdict, at: seconds(at) };
        table.apply(&fact, seconds(at));
    }

    /// A table that was available before the restart.
    fn restarted() -> Table {
        let mut before = table();
        hear(&mut before, Source::Monitor, Availability::Available, 1);
        let mut after = table();
        after.restore(&before.remember(), Moment::default());
        after
    }

    #[test]
    fn what_is_remembered_counts_as_stale_and_then_expires() {
        let mut table = restarted();
        assert_eq!(table.freshness(0), Freshness::Stale);
        assert_eq!(table.status(0).unwrap().availability, Availability::Available);
        assert_eq!(&*table.status(0).unwrap().reason, "reported (remembered from before the restart)");
        table.age(seconds(51));
        assert_eq!(table.status(0).unwrap().availability, Availability::Unknown);
        assert_eq!(table.held(0), Some(Availability::Available));
    }

    #[test]
    fn a_failing_probe_waits_for_the_end_of_the_startup_grace() {
        let mut table = restarted();
        hear(&mut table, Source::Monitor, Availability::Offline, 5);
        assert_eq!(table.held(0), Some(Availability::Available));
        table.age(seconds(29));
        assert_eq!(table.held(0), Some(Availability::Available));
        let changed = table.age(seconds(30));
        assert_eq!(table.held(0), Some(Availability::Offline));
        assert_eq!(changed.virtual_servers, [0]);
    }

    #[test]
    fn an_agent_may_report_down_within_the_startup_grace() {
        let mut table = restarted();
        hear(&mut table, Source::Agent, Availability::Offline, 5);
        assert_eq!(table.held(0), Some(Availability::Offline));
    }

    #[test]
    fn a_probe_that_succeeded_in_this_run_may_fail_within_the_grace() {
        let mut table = restarted();
        hear(&mut table, Source::Monitor, Availability::Available, 2);
        hear(&mut table, Source::Monitor, Availability::Offline, 5);
        assert_eq!(table.held(0), Some(Availability::Offline));
    }

    #[test]
    fn overrides_and_inventories_come_back() {
        let mut before = table();
        let disable = Override {
            kind: ObjectKind::Server,
            name: "lb".into(),
            enabled: Some(Enabled::Disabled),
            until: None,
            reason: "move".into(),
        };
        before.apply(&Fact::Override(disable), seconds(1));
        let found = Discovered { name: "found".into(), address: "192.0.2.1:80".parse().unwrap() };
        before.apply(
            &Fact::Inventory { server: "lb".into(), virtual_servers: vec![found.clone()], at: seconds(1) },
            seconds(1),
        );
        let mut after = table();
        let changed = after.restore(&before.remember(), Moment::default());
        assert_eq!(changed.inventories, ["lb".into()]);
        assert_eq!(after.inventory("lb"), Some(&[found][..]));
        assert_eq!(after.status(0).unwrap().enabled, Enabled::DisabledByParent);
        assert_eq!(after.remember(), before.remember());
    }
}
