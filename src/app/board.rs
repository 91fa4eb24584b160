//! All the publisher knows, and what it makes of facts, time and new configurations: without clock, channel or task.

use std::sync::Arc;

use super::prepare::Prepared;
use super::{guard, names};
use crate::answer::Snapshot;
use crate::monitor::Target;
use crate::status::{Availability, Changed, Enabled, Fact, Moment, Override, Remembered, Table};
use crate::wideip::{Model, Tables, VirtualServerId};

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
    /// The last snapshot, for the next one to share what has not changed.
    last: Option<Snapshot>,
    /// What was last told of each virtual server, by index.
    told: Vec<Option<(Availability, Enabled)>>,
}

/// A virtual server whose state changed, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flip {
    /// `server/virtual-server`.
    pub(super) virtual_server: String,
    /// The state before.
    pub(super) from: String,
    /// The state now.
    pub(super) to: String,
    /// Who said so.
    pub(super) source: String,
    /// Why.
    pub(super) reason: Arc<str>,
}

/// What came of settling.
pub(super) struct Settled {
    /// To be stored.
    pub(super) snapshot: Snapshot,
    /// To be told.
    pub(super) flips: Vec<Flip>,
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
            last: None,
            told: Vec::new(),
        };
        board.told = board.states();
        board
    }

    /// Takes one fact.
    pub(super) fn apply(&mut self, fact: &Fact, now: Moment) {
        let changed = self.table.apply(fact, now);
        self.pending.merge(changed);
    }

    /// Lets time pass.
    pub(super) fn age(&mut self, now: Moment) {
        let changed = self.table.age(now);
        self.pending.merge(changed);
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
        if !self.pending.inventories.is_empty() {
            self.discover(now);
        }
        let flips = self.flips();
        let targets = self.is_stale.then(|| Prepared::targets(&self.prepared.monitors, &self.model));
        self.tables = if self.is_stale {
            self.tables.rebuild(Arc::clone(&self.model), Arc::clone(&self.prepared.topology), &self.table)
        } else {
            self.tables.refresh(&self.table, &self.pending)
        };
        self.generation += 1;
        let snapshot = match self.last.take() {
            Some(last) if !self.is_stale => last.with_wide_ips(self.generation, self.tables.clone()),
            _ => self.whole_snapshot(),
        };
        self.last = Some(snapshot.clone());
        self.pending = Changed::default();
        self.is_stale = false;
        Some(Settled { snapshot, flips, targets })
    }

    fn whole_snapshot(&self) -> Snapshot {
        let Prepared { zones, answer, seed, .. } = &self.prepared;
        Snapshot::new(self.generation, zones, self.tables.clone(), Arc::clone(answer), *seed)
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

    fn flips(&mut self) -> Vec<Flip> {
        let mut flips = Vec::new();
        for &index in &self.pending.virtual_servers {
            let (Some(status), Some(told)) = (self.table.status(index), self.told.get_mut(index)) else { continue };
            let before = told.replace((status.availability, status.enabled));
            if let (Some(before), Ok(one)) = (before, u32::try_from(index).map(VirtualServerId))
                && before != (status.availability, status.enabled)
            {
                flips.push(Flip {
                    virtual_server: self.model.virtual_server_name(one),
                    from: state(before),
                    to: state((status.availability, status.enabled)),
                    source: status.source.to_string(),
                    reason: status.reason.clone(),
                });
            }
        }
        flips
    }

    /// Whether there is anything for the next snapshot.
    pub(super) fn is_changed(&self) -> bool {
        self.is_stale || !self.pending.is_empty()
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

    /// The configuration in use.
    pub(super) fn prepared(&self) -> &Prepared {
        &self.prepared
    }
}

/// Both axes in one text.
fn state((availability, enabled): (Availability, Enabled)) -> String {
    match enabled {
        Enabled::Enabled => availability.to_string(),
        Enabled::Disabled | Enabled::DisabledByParent => format!("{availability}, {enabled}"),
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
