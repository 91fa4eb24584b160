//! What each fact, and the passing of time, does to a [`Table`].

use std::collections::HashSet;
use std::sync::Arc;

use super::entry::{Change, Entry};
use super::table::{Link, ServerState, Table};
use super::{Availability, Changed, Discovered, Fact, Measurements, Moment, ObjectKind, Override, Source, Verdict};

/// The most virtual servers one agent may list; the rest of its list is ignored.
const INVENTORY_MAX: usize = 65_536;

impl Table {
    /// Takes one fact. Facts about servers that are not configured change nothing.
    pub fn apply(&mut self, fact: &Fact, now: Moment) -> Changed {
        self.now = self.now.max(now);
        match fact {
            Fact::Verdict { server, virtual_server, source, verdict, at } => {
                self.apply_verdict(server, virtual_server, source, verdict, *at)
            }
            Fact::Inventory { server, virtual_servers, at } => self.apply_inventory(server, virtual_servers, *at),
            Fact::Link { server, state, at } => self.apply_link(server, state, *at),
            Fact::Override(change) => self.apply_override(change),
        }
    }

    /// Lets time pass: freshness, the end of overrides and of the startup grace. Called about once a second.
    ///
    /// Every virtual server that was reported on since the last call is named as measured at least, so that the ages
    /// shown to people stay right without a publish for each report.
    pub fn age(&mut self, now: Moment) -> Changed {
        let before = std::mem::replace(&mut self.aged, now);
        self.now = self.now.max(now);
        let mut changed = Changed::default();
        for (kind, name) in self.overrides.end(self.now) {
            changed.objects.push((kind, name));
        }
        for index in 0..self.entries.len() {
            let change = self.look(index);
            let reported = self.entries.get(index).and_then(|entry| entry.status.reported);
            let is_new = reported.is_some_and(|reported| reported >= before);
            changed.note(index, if is_new { change.max(Change::Measurements) } else { change });
        }
        changed
    }

    fn apply_verdict(
        &mut self,
        server: &str,
        virtual_server: &Arc<str>,
        source: &Source,
        verdict: &Verdict,
        at: Moment,
    ) -> Changed {
        let now = self.now;
        let mut changed = Changed::default();
        let Some(state) = self.server_mut(server) else { return changed };
        let Some(&index) = state.virtual_servers.get(virtual_server) else {
            let listed = state.inventory.as_ref().map(|(_, listed)| listed.as_slice()).unwrap_or_default();
            if listed.iter().any(|found| found.name == *virtual_server) {
                let entry = state.unconfigured.entry(virtual_server.clone());
                entry.or_insert_with(|| Entry::new(now)).hear(source, verdict, at);
            }
            return changed;
        };
        let &Verdict { availability, ref reason, measurements } = verdict;
        let verdict = Verdict { availability, reason: self.reasons.share(reason), measurements };
        if self.entries.get_mut(index).is_some_and(|entry| entry.hear(source, &verdict, at)) {
            changed.note(index, self.look(index));
        }
        changed
    }

    fn apply_inventory(&mut self, server: &Arc<str>, found: &[Discovered], at: Moment) -> Changed {
        let mut changed = Changed::default();
        let Some(&server_index) = self.server_index.get(server) else { return changed };
        let Some(state) = self.servers.get_mut(server_index) else { return changed };
        let found = found.get(..INVENTORY_MAX).unwrap_or(found);
        match &state.inventory {
            Some((before, _)) if at < *before => return changed,
            Some((_, before)) if before == found => {}
            _ => changed.inventories.push(server.clone()),
        }
        let names: HashSet<&Arc<str>> = found.iter().map(|one| &one.name).collect();
        state.unconfigured.retain(|name, _| names.contains(name));
        state.inventory = Some((at, found.to_vec()));
        let missing: Vec<usize> =
            state.virtual_servers.iter().filter(|(name, _)| !names.contains(name)).map(|(_, &index)| index).collect();
        for index in missing {
            self.apply_missing(index, at);
            changed.note(index, self.look(index));
        }
        changed
    }

    /// A configured virtual server that its agent does not list. Where a monitor watches it that decides; else nothing
    /// answers there, as far as anyone can see.
    fn apply_missing(&mut self, index: usize, at: Moment) {
        let (Some(watched), Some(entry)) = (self.watched.virtual_servers.get(index), self.entries.get_mut(index))
        else {
            return;
        };
        if watched.monitored {
            entry.forget(&Source::Agent);
        } else {
            let verdict = Verdict {
                availability: Availability::Offline,
                reason: "the agent finds no virtual server of this name".into(),
                measurements: Measurements::default(),
            };
            entry.hear(&Source::Agent, &verdict, at);
        }
    }

    fn apply_link(&mut self, server: &Arc<str>, state: &Result<(), Arc<str>>, at: Moment) -> Changed {
        let mut changed = Changed::default();
        let Some(server_state) = self.server_mut(server) else { return changed };
        if server_state.link.as_ref().is_some_and(|link| at < link.since || link.state == *state) {
            return changed;
        }
        server_state.link = Some(Link { state: state.clone(), since: at });
        let indices: Vec<usize> = server_state.virtual_servers.values().copied().collect();
        changed.objects.push((ObjectKind::Server, server.clone()));
        for index in indices {
            changed.note(index, self.look(index));
        }
        changed
    }

    fn apply_override(&mut self, change: &Override) -> Changed {
        let mut changed = Changed::default();
        if self.overrides.set(change) {
            changed.objects.push((change.kind, change.name.clone()));
            for index in 0..self.entries.len() {
                changed.note(index, self.look(index));
            }
        }
        changed
    }

    fn server_mut(&mut self, name: &str) -> Option<&mut ServerState> {
        self.servers.get_mut(*self.server_index.get(name)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::status::{Ageing, Enabled, Freshness, Settings, Watched, WatchedServer, WatchedVirtualServer};

    const SETTINGS: Settings = Settings {
        ageing: Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) },
        startup_grace: Duration::from_secs(30),
    };

    fn seconds(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    /// One server `lb` in datacenter `ny`, with the virtual servers `a` (agent only) and `m` (also monitored).
    fn watched() -> Watched {
        let virtual_server =
            |name: &str, monitored| WatchedVirtualServer { server: 0, name: name.into(), enabled: true, monitored };
        Watched {
            servers: vec![WatchedServer {
                name: "lb".into(),
                enabled: true,
                datacenter: "ny".into(),
                datacenter_enabled: true,
                agent: true,
            }],
            virtual_servers: vec![virtual_server("a", false), virtual_server("m", true)],
        }
    }

    fn table() -> Table {
        Table::new(watched(), SETTINGS, seconds(0))
    }

    fn says(name: &str, source: Source, availability: Availability, at: u64) -> Fact {
        let reason = format!("{source} says {availability}").into();
        let verdict = Verdict { availability, reason, measurements: Measurements::default() };
        Fact::Verdict { server: "lb".into(), virtual_server: name.into(), source, verdict, at: seconds(at) }
    }

    fn hear(table: &mut Table, name: &str, source: Source, availability: Availability, at: u64) -> Changed {
        table.apply(&says(name, source, availability, at), seconds(at))
    }

    fn shown(table: &Table, index: usize) -> (Availability, String) {
        let status = table.status(index).unwrap();
        (status.availability, status.reason.to_string())
    }

    #[test]
    fn before_the_first_report_all_is_unknown() {
        assert_eq!(shown(&table(), 0), (Availability::Unknown, "not reported yet".to_owned()));
        assert_eq!(table().held(0), None);
        assert_eq!(table().freshness(0), Freshness::Expired);
    }

    #[test]
    fn a_report_changes_one_virtual_server_once() {
        let mut table = table();
        let changed = hear(&mut table, "a", Source::Agent, Availability::Available, 1);
        assert_eq!(changed, Changed { virtual_servers: vec![0], ..Changed::default() });
        assert_eq!(table.status(0).unwrap().since, seconds(1));
        assert!(hear(&mut table, "a", Source::Agent, Availability::Available, 2).is_empty());
        assert_eq!(table.status(0).unwrap().since, seconds(1));
        assert_eq!(table.status(0).unwrap().reported, Some(seconds(2)));
        assert!(hear(&mut table, "unheard-of", Source::Agent, Availability::Available, 2).is_empty());
    }

    #[test]
    fn an_older_report_never_replaces_a_newer_one() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Available, 10);
        assert!(table.apply(&says("a", Source::Agent, Availability::Offline, 9), seconds(11)).is_empty());
        assert_eq!(shown(&table, 0).0, Availability::Available);
    }

    #[test]
    fn a_source_error_is_not_down() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Available, 1);
        hear(&mut table, "a", Source::Agent, Availability::Unknown, 5);
        let error = "agent says available (source error: agent says unknown)".to_owned();
        assert_eq!(shown(&table, 0), (Availability::Available, error));
        // An agent that calls it a source error itself is not made to stutter.
        let mut fact = says("a", Source::Agent, Availability::Unknown, 6);
        if let Fact::Verdict { verdict, .. } = &mut fact {
            verdict.reason = "source error: reading /run/haproxy.sock".into();
        }
        table.apply(&fact, seconds(6));
        let error = "agent says available (source error: reading /run/haproxy.sock)".to_owned();
        assert_eq!(shown(&table, 0), (Availability::Available, error));
        // The last word expires by its own age, however often the error is repeated.
        hear(&mut table, "a", Source::Agent, Availability::Unknown, 52);
        assert_eq!(shown(&table, 0).0, Availability::Unknown);
        assert_eq!(table.held(0), Some(Availability::Available));
    }

    #[test]
    fn a_silent_source_ages_and_its_verdict_is_held() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Offline, 0);
        let mut check = |at, freshness, availability, reason: &str| {
            table.age(seconds(at));
            assert_eq!(table.freshness(0), freshness, "at {at} s");
            assert_eq!(shown(&table, 0), (availability, reason.to_owned()), "at {at} s");
            assert_eq!(table.held(0), Some(Availability::Offline));
        };
        check(15, Freshness::Fresh, Availability::Offline, "agent says offline");
        check(16, Freshness::Stale, Availability::Offline, "agent says offline (no recent report)");
        check(51, Freshness::Expired, Availability::Unknown, "no recent report; was offline: agent says offline");
    }

    #[test]
    fn a_lost_agent_is_stale_at_once_and_not_down() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Available, 1);
        let state = Err("certificate expired".into());
        let changed = table.apply(&Fact::Link { server: "lb".into(), state, at: seconds(2) }, seconds(2));
        assert_eq!(changed.objects, [(ObjectKind::Server, "lb".into())]);
        let reason = "agent says available (agent unreachable: certificate expired)".to_owned();
        assert_eq!(shown(&table, 0), (Availability::Available, reason));
        assert_eq!(table.freshness(0), Freshness::Stale);
        table.apply(&Fact::Link { server: "lb".into(), state: Ok(()), at: seconds(3) }, seconds(3));
        assert_eq!(table.freshness(0), Freshness::Fresh);
    }

    #[test]
    fn measurements_count_only_while_fresh() {
        let mut table = table();
        let measurements = Measurements { connections: Some(7), ..Measurements::default() };
        let verdict = Verdict { availability: Availability::Available, reason: "up".into(), measurements };
        let fact = |verdict: &Verdict, at| Fact::Verdict {
            server: "lb".into(),
            virtual_server: "a".into(),
            source: Source::Agent,
            verdict: verdict.clone(),
            at,
        };
        table.apply(&fact(&verdict, seconds(1)), seconds(1));
        assert_eq!(table.measurements(0).connections, Some(7));
        let busier = Verdict { measurements: Measurements { connections: Some(8), ..measurements }, ..verdict };
        let changed = table.apply(&fact(&busier, seconds(2)), seconds(2));
        assert_eq!(changed, Changed { measured: vec![0], ..Changed::default() });
        table.age(seconds(18));
        assert_eq!(table.measurements(0).connections, None);
    }

    #[test]
    fn a_probe_that_goes_on_replaces_an_expired_agent() {
        let mut table = table();
        hear(&mut table, "m", Source::Agent, Availability::Offline, 0);
        hear(&mut table, "m", Source::Monitor, Availability::Available, 1);
        assert_eq!(shown(&table, 1).0, Availability::Offline);
        table.age(seconds(51));
        assert_eq!(table.held(1), Some(Availability::Offline), "time alone changes nothing");
        hear(&mut table, "m", Source::Monitor, Availability::Available, 52);
        assert_eq!(shown(&table, 1).0, Availability::Available);
    }

    #[test]
    fn what_the_agent_does_not_list_is_offline_unless_a_monitor_watches_it() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Available, 1);
        hear(&mut table, "m", Source::Monitor, Availability::Available, 1);
        hear(&mut table, "m", Source::Agent, Availability::Offline, 1);
        let fact = Fact::Inventory { server: "lb".into(), virtual_servers: vec![], at: seconds(2) };
        let changed = table.apply(&fact, seconds(2));
        assert_eq!(changed.inventories, ["lb".into()]);
        assert_eq!(shown(&table, 0).0, Availability::Offline);
        assert_eq!(shown(&table, 1).0, Availability::Available);
        let again = Fact::Inventory { server: "lb".into(), virtual_servers: vec![], at: seconds(3) };
        assert!(table.apply(&again, seconds(3)).inventories.is_empty(), "the same list again");
    }

    #[test]
    fn reports_on_a_listed_virtual_server_wait_until_it_is_configured() {
        let mut table = table();
        let new = Discovered { name: "new".into(), address: "192.0.2.1:80".parse().unwrap() };
        hear(&mut table, "new", Source::Agent, Availability::Offline, 1);
        let fact = Fact::Inventory { server: "lb".into(), virtual_servers: vec![new], at: seconds(2) };
        table.apply(&fact, seconds(2));
        hear(&mut table, "new", Source::Agent, Availability::Available, 2);
        hear(&mut table, "m", Source::Monitor, Availability::Available, 2);
        let mut more = watched();
        more.virtual_servers.insert(0, WatchedVirtualServer { name: "new".into(), ..more.virtual_servers[0].clone() });
        table.configure(more, SETTINGS, seconds(3));
        assert_eq!(shown(&table, 0).0, Availability::Available);
        assert_eq!(shown(&table, 2).0, Availability::Available, "the others keep theirs under the new index");
        assert_eq!(table.status(2).unwrap().since, seconds(2));
        table.configure(watched(), SETTINGS, seconds(4));
        assert_eq!(shown(&table, 1).0, Availability::Available);
    }

    fn disable(kind: ObjectKind, name: &str, until: Option<u64>) -> Fact {
        Fact::Override(Override {
            kind,
            name: name.into(),
            enabled: Some(Enabled::Disabled),
            until: until.map(seconds),
            reason: "maintenance".into(),
        })
    }

    #[test]
    fn every_row_of_enabled() {
        let check = |kind, name: &str, enabled, reason: &str| {
            let mut table = table();
            let changed = table.apply(&disable(kind, name, None), seconds(1));
            assert!(changed.virtual_servers.contains(&0));
            let status = table.status(0).unwrap();
            assert_eq!(status.enabled, enabled, "{kind:?}");
            assert_eq!(&*status.reason, format!("{reason}; not reported yet"));
        };
        let why = "disabled by an operator: maintenance";
        check(ObjectKind::VirtualServer, "lb/a", Enabled::Disabled, why);
        check(ObjectKind::Server, "lb", Enabled::DisabledByParent, &format!("server lb is {why}"));
        check(ObjectKind::Datacenter, "ny", Enabled::DisabledByParent, &format!("datacenter ny is {why}"));
    }

    #[test]
    fn an_override_ends_by_itself_and_says_so() {
        let mut table = table();
        table.apply(&disable(ObjectKind::Server, "lb", Some(60)), seconds(1));
        assert!(table.age(seconds(59)).is_empty());
        let changed = table.age(seconds(60));
        assert_eq!(changed.objects, [(ObjectKind::Server, "lb".into())]);
        assert_eq!(changed.virtual_servers, [0, 1]);
        assert_eq!(table.status(0).unwrap().enabled, Enabled::Enabled);
    }

    #[test]
    fn ageing_names_what_was_reported_since_the_last_time() {
        let mut table = table();
        hear(&mut table, "a", Source::Agent, Availability::Available, 1);
        assert_eq!(table.age(seconds(2)).measured, [0]);
        assert!(table.age(seconds(3)).is_empty());
    }

    prop_compose! {
        fn any_fact()(agent in 0_u8..4, name in 0_u8..2, availability in 0_u8..4, at in 0_u64..200) -> (Fact, u64) {
            let source = match agent {
                0 => Source::Agent,
                1 => Source::Monitor,
                n => Source::Peer(n.to_string().into()),
            };
            let availability = [
                Availability::Available, Availability::Unavailable, Availability::Offline, Availability::Unknown,
            ][usize::from(availability)];
            (says(if name == 0 { "a" } else { "m" }, source, availability, at), at)
        }
    }

    proptest! {
        #[test]
        fn time_alone_never_changes_what_is_held(mut facts in proptest::collection::vec(any_fact(), 1..40), more in 0_u64..1000) {
            facts.sort_by_key(|(_, at)| *at);
            let mut table = table();
            for (fact, at) in &facts {
                table.apply(fact, seconds(*at));
            }
            let before = [table.held(0), table.held(1)];
            let last = facts.last().map_or(0, |(_, at)| *at);
            table.age(seconds(last + more));
            table.age(seconds(last + more * 2));
            prop_assert_eq!(before, [table.held(0), table.held(1)]);
        }

        #[test]
        fn the_order_of_arrival_does_not_matter_for_each_sources_last_word(facts in proptest::collection::vec(any_fact(), 1..40)) {
            let mut in_order = facts.clone();
            in_order.sort_by_key(|(_, at)| *at);
            in_order.dedup_by_key(|(_, at)| *at);
            let mut shuffled = in_order.clone();
            shuffled.reverse();
            let known = |facts: &[(Fact, u64)]| {
                let mut table = table();
                for (fact, _) in facts {
                    table.apply(fact, seconds(200));
                }
                let mut reports: Vec<(Source, Moment)> =
                    table.reports(0).iter().map(|report| (report.source.clone(), report.at)).collect();
                reports.sort();
                reports
            };
            prop_assert_eq!(known(&in_order), known(&shuffled));
        }
    }
}
