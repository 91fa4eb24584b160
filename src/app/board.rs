//! All the publisher knows, and what it makes of facts, time and new configurations: without clock, channel or task.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::catalogs::Catalogs;
use super::flips::{Flip, Object};
use super::prepare::{Prepared, ViewZones};
use super::{guard, names};
use crate::answer::{Snapshot, View, prepare_zones};
use crate::monitor::Target;
use crate::status::{Availability, Changed, Enabled, Fact, Moment, ObjectKind, Override, Remembered, Status, Table};
use crate::transfer::NewZone;
use crate::wideip::{Model, Shifts, Summaries, Tables, VirtualServerId};
use crate::wire::NameKey;
use crate::zone::{Zone, ZoneBuilder, ZoneId};

/// The publisher's knowledge.
pub(super) struct Board {
    prepared: Prepared,
    /// The configured objects and what discovery made of them.
    model: Arc<Model>,
    table: Table,
    /// What decisions read, made of the two above.
    tables: Tables,
    generation: u64,
    /// What changed since the last snapshot.
    pending: Changed,
    /// Whether zones or objects are others than those of the last snapshot.
    is_stale: bool,
    /// Whether a zone is another than in the last snapshot, and all else may be as it was.
    has_other_zones: bool,
    /// The last snapshot, for the next one to share what has not changed.
    last: Option<Snapshot>,
    /// What followed of servers and datacenters a second ago, but for what is only measured.
    summaries: Summaries,
    /// The servers with another virtual server since then.
    stirred: BTreeSet<usize>,
    /// Whether any server may be another since then.
    is_all_stirred: bool,
    /// What was last told of each virtual server, by index.
    told: Vec<Option<(Availability, Enabled)>>,
    /// The versions of secondary zones that came by transfer.
    transferred: HashMap<ZoneId, Arc<Zone>>,
    /// The zones that come and go with catalogs.
    catalogs: Catalogs,
}

/// What came of settling.
pub(super) struct Settled {
    /// To be stored.
    pub(super) snapshot: Snapshot,
    /// To be told.
    pub(super) flips: Vec<Flip>,
    /// The model whose numbers these have.
    pub(super) model: Arc<Model>,
    /// What is to be probed now, when that changed.
    pub(super) targets: Option<Vec<Target>>,
}

impl Board {
    /// Starts from a configuration and what is remembered of the last run.
    pub(super) fn new(prepared: Prepared, remembered: &Remembered, now: Moment) -> Self {
        let configured = Arc::new(prepared.model.clone());
        let mut table = Table::new(configured.watched(), prepared.status, now);
        // Discovered virtual servers must exist before their verdicts are taken.
        let inventories = Remembered { verdicts: Vec::new(), ..remembered.clone() };
        table.restore(&inventories, now);
        let model = Arc::new(configured.discovered(&table, &configured));
        table.configure(model.watched(), prepared.status, now);
        table.restore(remembered, now);
        let tables = Tables::build(Arc::clone(&model), Arc::clone(&prepared.topology), &table, prepared.seed);
        let mut board = Self {
            prepared,
            model,
            table,
            tables,
            generation: 0,
            pending: Changed::default(),
            is_stale: true,
            has_other_zones: false,
            last: None,
            summaries: Summaries::default(),
            stirred: BTreeSet::new(),
            is_all_stirred: true,
            told: Vec::new(),
            transferred: HashMap::new(),
            catalogs: Catalogs::default(),
        };
        board.catalogs.configure(&mut board.prepared, &mut board.transferred);
        board.told = board.states();
        board
    }

    /// Puts a version of a secondary zone to use, or none when the last one expired. The wide IPs in it stay.
    pub(super) fn replace_zone(&mut self, new: NewZone) {
        let policy = self.prepared.answer.transfers.get(&new.id);
        let Some(primary) = policy.and_then(|policy| policy.primary.as_ref()) else { return };
        if primary.member != new.member {
            // It was sent before its catalog let go of it, or listed another zone of that name.
            return;
        }
        match &new.zone {
            Some(zone) => self.transferred.insert(new.id.clone(), Arc::clone(zone)),
            None => self.transferred.remove(&new.id),
        };
        self.put_transferred(&new.id);
        if let Some(zone) = &new.zone {
            self.take_catalog(&new.id, zone);
        }
        self.has_other_zones = true;
    }

    /// Puts the next version of a zone to use that was made from the one in use; false when there is none to replace.
    pub(super) fn update_zone(&mut self, id: &ZoneId, zone: Arc<Zone>) -> bool {
        let Prepared { views, answer, seed, .. } = &mut self.prepared;
        let is_secondary = answer.transfers.get(id).is_some_and(|transfer| transfer.primary.is_some());
        let view = views.iter_mut().find(|view| view.name == id.view).filter(|_| !is_secondary);
        let key = NameKey::new(&id.apex, *seed);
        let Some(view) = view.filter(|view| view.zones.get(&key, 0).is_some()) else { return false };
        view.zones.put(zone);
        self.has_other_zones = true;
        true
    }

    /// Lets the members of a catalog become zones.
    pub(super) fn take_catalog(&mut self, id: &ZoneId, zone: &Zone) {
        self.is_stale |= self.catalogs.take(id, zone, &mut self.prepared, &mut self.transferred);
    }

    /// Continues the numbers of a catalog of this node from its version of the last run.
    pub(super) fn restore_produced(&mut self, id: ZoneId, zone: Arc<Zone>) {
        self.catalogs.restore_produced(id, zone, &mut self.prepared);
    }

    /// The zones that come and go with catalogs.
    pub(super) const fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// See [`Self::catalogs`].
    pub(super) const fn catalogs_mut(&mut self) -> &mut Catalogs {
        &mut self.catalogs
    }

    /// Puts what came by transfer in the place of a configured secondary zone. Costs what differs from the zone that is
    /// replaced, however large that is and however many others there are.
    fn put_transferred(&mut self, id: &ZoneId) {
        let Prepared { views, answer, seed, .. } = &mut self.prepared;
        let Some(view) = views.iter_mut().find(|view| view.name == id.view) else { return };
        let (ViewZones { zones, held, .. }, apex) = (view, &id.apex);
        let is_secondary = answer.transfers.get(id).is_some_and(|transfer| transfer.primary.is_some());
        if !is_secondary || zones.get(&NameKey::new(apex, *seed), 0).is_none() {
            return;
        }
        // Without records, and it was there: it expired.
        let empty = || Arc::new(ZoneBuilder::new(apex, *seed).finish().expiring_at(0));
        let zone = self.transferred.get(id).cloned().unwrap_or_else(empty);
        let names = held.get(apex).map_or(&[][..], Vec::as_slice);
        if let Some(zone) = prepare_zones(vec![zone], names, &answer.synthetic_zone, *seed).into_iter().next() {
            zones.put(zone);
        }
    }

    /// Takes one fact.
    pub(super) fn apply(&mut self, fact: &Fact, now: Moment) {
        let changed = self.table.apply(fact, now);
        self.pending.merge(changed);
    }

    /// Lets time pass; names the overrides that ended by themselves.
    pub(super) fn age(&mut self, now: Moment) -> Vec<(ObjectKind, Arc<str>)> {
        self.sum_up();
        let changed = self.table.age(now);
        let ended = changed.objects.clone();
        self.pending.merge(changed);
        ended
    }

    /// Puts another configuration to use; what is known of objects of the same name stays known. Refused, with nothing
    /// changed, when a wide IP that is served would have nothing left to answer with.
    pub(super) fn reload(&mut self, prepared: Prepared, now: Moment) -> Result<(), String> {
        let mut table = self.table.clone();
        table.configure(prepared.model.watched(), prepared.status, now);
        let model = prepared.model.discovered(&table, &self.model);
        let lost = guard::left_without_answer(&self.model, &model);
        if !lost.is_empty() {
            return Err(format!(
                "{} would have nothing left to answer with; set `when_all_down` there if that is meant, or remove it",
                lost.join(", ")
            ));
        }
        table.configure(model.watched(), prepared.status, now);
        self.prepared = prepared;
        self.catalogs.configure(&mut self.prepared, &mut self.transferred);
        let transfers = Arc::clone(&self.prepared.answer.transfers);
        self.transferred.retain(|id, _| transfers.get(id).is_some_and(|transfer| transfer.primary.is_some()));
        for id in self.transferred.keys().cloned().collect::<Vec<_>>() {
            self.put_transferred(&id);
        }
        self.table = table;
        self.use_model(model);
        Ok(())
    }

    /// What would be emptied if `change` were made.
    pub(super) fn emptied_by(&self, change: &Override, now: Moment) -> Vec<String> {
        let mut after = self.table.clone();
        after.apply(&Fact::Override(change.clone()), now);
        guard::emptied(&self.model, &self.table, &after)
    }

    /// Makes the next snapshot if anything changed that shows in one.
    pub(super) fn settle(&mut self, now: Moment) -> Option<Settled> {
        if !self.is_changed() {
            return None;
        }
        // Before discovery, which may number the virtual servers anew.
        let (mut flips, model) = (self.flips(), Arc::clone(&self.model));
        if !self.pending.inventories.is_empty() {
            self.discover(now);
        }
        let targets = self.is_stale.then(|| Prepared::targets(&self.prepared.monitors, &self.model));
        let mut shifts = Shifts::default();
        let tables = if self.is_stale {
            self.tables.rebuild(Arc::clone(&self.model), Arc::clone(&self.prepared.topology), &self.table)
        } else if self.pending.is_empty() {
            self.tables.clone()
        } else {
            self.tables.refresh_noting(&self.table, &self.pending, &mut shifts)
        };
        let before = std::mem::replace(&mut self.tables, tables);
        // What an operator changed is told where it is done.
        if !flips.is_empty() {
            flips.extend(self.flips_above(&before, &shifts));
        }
        self.is_all_stirred |= self.is_stale || !self.pending.objects.is_empty();
        let server = |&at: &usize| self.model.virtual_servers.get(at).map(|one| names::index(one.server.0));
        self.stirred.extend(self.pending.virtual_servers.iter().filter_map(server));
        self.generation += 1;
        let snapshot = match self.last.take() {
            Some(last) if !self.is_stale => {
                let next = last.with_wide_ips(self.generation, self.tables.clone());
                let zones = || self.prepared.views.iter().map(|view| view.zones.clone());
                if self.has_other_zones { next.with_zones(zones()) } else { next }
            }
            _ => self.whole_snapshot(),
        };
        self.last = Some(snapshot.clone());
        self.pending = Changed::default();
        (self.is_stale, self.has_other_zones) = (false, false);
        Some(Settled { snapshot, flips, model, targets })
    }

    /// Notes since when servers and datacenters are in the state they are in.
    fn sum_up(&mut self) {
        let stirred = std::mem::take(&mut self.stirred);
        if std::mem::take(&mut self.is_all_stirred) {
            self.summaries = self.summaries();
        } else if !stirred.is_empty() {
            self.summaries.renew(&self.tables, &self.table, stirred);
        }
    }

    fn whole_snapshot(&self) -> Snapshot {
        let Prepared { views, selector, answer, seed, .. } = &self.prepared;
        let views = views.iter().map(|view| View::with_map(view.name.clone(), view.zones.clone())).collect();
        Snapshot::with_views(self.generation, views, selector.clone(), self.tables.clone(), Arc::clone(answer), *seed)
    }

    /// Lets the agents' lists into the model.
    fn discover(&mut self, now: Moment) {
        let mut model = self.prepared.model.discovered(&self.table, &self.model);
        if !guard::left_without_answer(&self.model, &model).is_empty() {
            // An agent that lists nothing must not empty a name: the addresses stay, shown as offline.
            keep_addresses(&self.model, &mut model);
        }
        if model != *self.model {
            self.table.configure(model.watched(), self.prepared.status, now);
            self.use_model(model);
        }
    }

    fn use_model(&mut self, model: Model) {
        self.model = Arc::new(model);
        self.told = self.states();
        self.is_stale = true;
    }

    fn states(&self) -> Vec<Option<(Availability, Enabled)>> {
        let state = |index| self.table.status(index).map(|status| (status.availability, status.enabled));
        (0..self.model.virtual_servers.len()).map(state).collect()
    }

    /// The virtual servers whose state is another than was last told.
    fn flips(&mut self) -> Vec<Flip> {
        let mut flips = Vec::new();
        for &index in &self.pending.virtual_servers {
            let (Some(status), Some(told)) = (self.table.status(index), self.told.get_mut(index)) else { continue };
            let now = (status.availability, status.enabled);
            if let (Some(before), Ok(id)) = (told.replace(now), u32::try_from(index).map(VirtualServerId))
                && before != now
            {
                flips.push(Flip::new(Object::VirtualServer(id), before, status));
            }
        }
        flips
    }

    /// The pools and wide IPs whose state changed.
    fn flips_above(&self, before: &Tables, shifts: &Shifts) -> Vec<Flip> {
        let mut flips = Vec::new();
        let mut compare = |object, old: Option<Status>, new: Option<Status>| {
            if let (Some(old), Some(new)) = (old, new) {
                flips.push(Flip::new(object, (old.availability, old.enabled), &new));
            }
        };
        for &id in &shifts.pools {
            compare(Object::Pool(id), before.pool_status(id), self.tables.pool_status(id));
        }
        for &id in &shifts.wide_ips {
            compare(Object::WideIp(id), before.wide_ip_status(id), self.tables.wide_ip_status(id));
        }
        flips
    }

    /// Whether there is anything for the next snapshot.
    pub(super) fn is_changed(&self) -> bool {
        self.is_stale || self.has_other_zones || !self.pending.is_empty()
    }

    /// The objects in use.
    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What is known of them.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// What decisions read.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// What follows of servers and datacenters.
    pub(super) fn summaries(&self) -> Summaries {
        Summaries::new(&self.tables, &self.table, &self.summaries)
    }

    /// The configuration in use.
    pub(super) fn prepared(&self) -> &Prepared {
        &self.prepared
    }
}

/// Gives virtual servers that lost their address the one they had in `old`.
fn keep_addresses(old: &Model, new: &mut Model) {
    let old_address = |server: &str, name: &str| {
        let is_same = |one: &&crate::wideip::VirtualServer| {
            *one.name == *name && old.servers.get(names::index(one.server.0)).is_some_and(|of| *of.name == *server)
        };
        old.virtual_servers.iter().find(is_same)?.address
    };
    for one in new.virtual_servers.iter_mut().filter(|one| one.address.is_none()) {
        let server = new.servers.get(names::index(one.server.0)).map_or("", |server| &server.name);
        one.address = old_address(server, &one.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::flips;
    use super::*;
    use crate::answer::{self, InboundLimits, Primary, TransferLimits, Transfers, ZoneTransfer};
    use crate::app::sample;
    use crate::status::{Discovered, RememberedVerdict, Source};
    use crate::wideip::{Discovery, ServerId, VirtualServer, WhenAllDown};
    use crate::wire::{Name, RecordType};
    use crate::zone::ViewName;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn board(model: Model) -> Board {
        let mut board = Board::new(sample::prepared(model), &Remembered::default(), at(0));
        assert_eq!(board.settle(at(0)).unwrap().snapshot.generation, 1);
        board
    }

    fn inventory(names: &[&str], moment: u64) -> Fact {
        let found = |name: &&str| Discovered { name: (*name).into(), address: "192.0.2.9:80".parse().unwrap() };
        Fact::Inventory { server: "ny-lb1".into(), virtual_servers: names.iter().map(found).collect(), at: at(moment) }
    }

    /// The lines of a settling: `kind name from -> to`.
    fn told(settled: &Settled) -> Vec<String> {
        let line = |flip: &Flip| {
            let name = flip.object.name(&settled.model);
            format!("{} {name} {} -> {}", flip.object.kind(), flips::state(flip.from), flips::state(flip.to))
        };
        settled.flips.iter().map(line).collect()
    }

    #[test]
    fn a_burst_is_one_snapshot_and_each_flip_is_told_once() {
        let mut board = board(sample::model());
        assert!(board.settle(at(0)).is_none(), "nothing has changed");
        board.apply(&sample::verdict("ny-lb1", Availability::Available, 1), at(1));
        board.apply(&sample::verdict("ny-lb1", Availability::Offline, 2), at(2));
        board.apply(&sample::verdict("lon-lb1", Availability::Available, 3), at(3));
        let settled = board.settle(at(4)).unwrap();
        assert_eq!(settled.snapshot.generation, 2);
        let expected = [
            "virtual-server ny-lb1/www unknown -> offline",
            "virtual-server lon-lb1/www unknown -> available",
            "pool web-ny unknown -> offline",
            "pool web-lon unknown -> available",
            "wide-ip www.example.com./A unknown -> available",
        ];
        assert_eq!(told(&settled), expected);
        board.apply(&sample::verdict("ny-lb1", Availability::Offline, 5), at(5));
        assert!(board.settle(at(5)).is_none_or(|settled| settled.flips.is_empty()), "told already");
    }

    #[test]
    fn another_zone_changes_only_the_zones_and_keeps_the_names_of_wide_ips() {
        let apex: Name = "example.com.".parse().unwrap();
        let mut prepared = sample::prepared(sample::model());
        let time = std::time::Duration::from_secs(1);
        let limits = InboundLimits { records_max: 1, octets_max: 1, time_max: time, wait_max: time };
        let primary = Primary { servers: Vec::new(), limits, member: None };
        let policy = ZoneTransfer { primary: Some(primary), ..ZoneTransfer::default() };
        let transfers = Arc::new(Transfers::new([(apex.clone().into(), policy)], TransferLimits::default()));
        prepared.answer = Arc::new(answer::Settings { transfers, ..(*prepared.answer).clone() });
        let empty = |apex: &Name| Arc::new(ZoneBuilder::new(apex, 7).finish());
        let others = (0..100).map(|n| empty(&format!("z{n}.example.").parse().unwrap()));
        let zones = others.chain([empty(&apex)]).collect();
        let held = vec!["www.example.com.".parse().unwrap()];
        prepared.views = vec![ViewZones::new(ViewName::default(), zones, held, 7)];
        let mut board = Board::new(prepared, &Remembered::default(), at(0));
        let first = board.settle(at(0)).unwrap().snapshot;
        let mut builder = ZoneBuilder::new(&apex, 7);
        builder.add(&apex, RecordType::A, 60, &[192, 0, 2, 1]).unwrap();
        board.replace_zone(NewZone { id: apex.clone().into(), member: None, zone: Some(Arc::new(builder.finish())) });
        let settled = board.settle(at(1)).unwrap();
        assert!(settled.targets.is_none(), "nothing else is to be probed");
        let second = settled.snapshot;
        assert!(Arc::ptr_eq(first.decisions(), second.decisions()) && !first.has_same_zones(&second));
        let zone = |snapshot: &Snapshot, name: &str| {
            Arc::clone(snapshot.first_view().enclosing(&NameKey::new(&name.parse().unwrap(), 7)).unwrap())
        };
        assert_eq!(zone(&second, "www.example.com.").records(), 1);
        assert!(zone(&second, "www.example.com.").contains(&NameKey::new(&"www.example.com.".parse().unwrap(), 7)));
        assert!(Arc::ptr_eq(&zone(&first, "z7.example."), &zone(&second, "z7.example.")));
        board.replace_zone(NewZone { id: apex.into(), member: None, zone: None });
        assert_eq!(zone(&board.settle(at(2)).unwrap().snapshot, "www.example.com.").records(), 0);
        board.apply(&sample::verdict("ny-lb1", Availability::Available, 3), at(3));
        assert!(board.settle(at(3)).unwrap().snapshot.generation == 4);
    }

    #[test]
    fn since_when_a_server_is_in_its_state_is_noted_each_second_whoever_looks() {
        let mut board = board(sample::model());
        board.age(at(500));
        let mut check = |turn: u64, server, availability, since: &[u64; 2]| {
            board.apply(&sample::verdict(server, availability, turn), at(turn));
            board.settle(at(turn)).unwrap();
            board.age(at(turn + 1000));
            let summaries = board.summaries();
            let found = ["ny-lb1", "lon-lb1"].map(|server| summaries.server(server).unwrap().since);
            assert_eq!(found, since.map(at), "after {turn} ms");
        };
        check(1000, "ny-lb1", Availability::Available, &[1000, 0]);
        check(5000, "lon-lb1", Availability::Available, &[1000, 5000]);
        check(9000, "ny-lb1", Availability::Offline, &[9000, 5000]);
        check(13_000, "lon-lb1", Availability::Offline, &[9000, 13_000]);
    }

    #[test]
    fn a_reload_carries_status_over_by_name() {
        let mut board = board(sample::model());
        board.apply(&sample::verdict("lon-lb1", Availability::Offline, 1), at(1));
        board.settle(at(1));
        let mut model = sample::model();
        let added = VirtualServer { name: "api".into(), server: ServerId(0), ..model.virtual_servers[0].clone() };
        model.virtual_servers.push(added);
        model.servers.reverse();
        for virtual_server in &mut model.virtual_servers {
            virtual_server.server = ServerId(1 - virtual_server.server.0);
        }
        board.reload(sample::prepared(model), at(2)).unwrap();
        let settled = board.settle(at(2)).unwrap();
        assert!(settled.targets.is_some(), "what is probed may be another");
        assert!(settled.flips.is_empty());
        let status = |id| board.tables().virtual_server(VirtualServerId(id)).unwrap().status.availability;
        assert_eq!(
            [status(0), status(1), status(2)],
            [Availability::Unknown, Availability::Offline, Availability::Unknown]
        );
    }

    #[test]
    fn a_reload_that_would_empty_a_served_name_changes_nothing() {
        let mut board = board(sample::model());
        let before = Arc::clone(board.model());
        let mut empty = sample::model();
        empty.pools.iter_mut().for_each(|pool| pool.members.clear());
        let refusal = board.reload(sample::prepared(empty.clone()), at(1)).unwrap_err();
        assert!(refusal.contains("www.example.com./A") && refusal.contains("when_all_down"), "{refusal}");
        assert!(board.settle(at(1)).is_none() && Arc::ptr_eq(&before, board.model()));
        empty.wide_ips[0].when_all_down = WhenAllDown::NoData;
        assert_eq!(board.reload(sample::prepared(empty), at(1)), Ok(()));
    }

    #[test]
    fn an_agent_that_lists_nothing_does_not_empty_a_name() {
        let mut model = sample::model();
        model.servers[0].discovery = Discovery::Enabled;
        model.virtual_servers[0].address = None;
        model.wide_ips[0].pools.truncate(1);
        let mut board = board(model);
        let address = |board: &Board| board.model().virtual_servers[0].address;
        assert_eq!(address(&board), None);
        board.apply(&inventory(&["www", "api"], 1), at(1));
        board.apply(&sample::verdict("ny-lb1", Availability::Available, 1), at(1));
        let expected = ["virtual-server ny-lb1/www unknown -> available"];
        assert_eq!(told(&board.settle(at(1)).unwrap()), expected, "told although the model is another now");
        assert_eq!(address(&board), Some("192.0.2.9:80".parse().unwrap()));
        assert_eq!(board.model().virtual_servers.len(), 3, "the other one is added");
        board.apply(&inventory(&[], 2), at(2));
        board.settle(at(2)).unwrap();
        assert_eq!(address(&board), Some("192.0.2.9:80".parse().unwrap()), "the last address is kept");
        assert_eq!(board.model().virtual_servers.len(), 2, "the other one is gone");
    }

    #[test]
    fn a_flip_has_its_name_though_discovery_numbers_anew() {
        let mut model = sample::model();
        model.servers[0].discovery = Discovery::Enabled;
        let mut board = board(model);
        board.apply(&inventory(&["www", "a", "b"], 1), at(1));
        board.settle(at(1)).unwrap();
        let Fact::Verdict { server, source, verdict, at: moment, .. } =
            sample::verdict("ny-lb1", Availability::Available, 2)
        else {
            panic!("a verdict")
        };
        board.apply(&Fact::Verdict { server, virtual_server: "b".into(), source, verdict, at: moment }, at(2));
        board.apply(&inventory(&["www", "b"], 3), at(3));
        let settled = board.settle(at(3)).unwrap();
        let expected = ["virtual-server ny-lb1/b unknown -> available", "virtual-server ny-lb1/a unknown -> offline"];
        assert_eq!(told(&settled), expected);
        let Object::VirtualServer(id) = settled.flips[0].object else { panic!("a virtual server") };
        assert_ne!(board.model().virtual_server_name(id), "ny-lb1/b", "it has another number now");
    }

    #[test]
    fn what_was_known_before_a_restart_is_used_and_a_found_address_with_it() {
        let mut model = sample::model();
        model.servers[0].discovery = Discovery::Enabled;
        model.virtual_servers[0].address = None;
        let found = Discovered { name: "www".into(), address: "192.0.2.9:80".parse().unwrap() };
        let verdict = RememberedVerdict {
            server: "ny-lb1".into(),
            virtual_server: "www".into(),
            availability: Availability::Offline,
            reason: "connection refused".into(),
            source: Source::Agent,
        };
        let inventories = vec![("ny-lb1".into(), vec![found])];
        let remembered = Remembered { verdicts: vec![verdict], inventories, overrides: Vec::new() };
        let mut board = Board::new(sample::prepared(model), &remembered, at(0));
        assert!(board.settle(at(0)).unwrap().flips.is_empty(), "it is no news");
        let known = board.tables().virtual_server(VirtualServerId(0)).unwrap();
        assert_eq!(known.status.availability, Availability::Offline);
        assert_eq!(board.model().virtual_servers[0].address, Some(found_address()));
    }

    fn found_address() -> std::net::SocketAddr {
        "192.0.2.9:80".parse().unwrap()
    }
}
