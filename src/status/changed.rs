//! What a fact or the passing of time changed, so that only what depends on it is computed again.

use std::sync::Arc;

use super::ObjectKind;
use super::entry::Change;

/// What changed in a [`Table`](super::Table).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// The virtual servers whose status (availability, enabled, freshness, reason) changed, by index.
    pub virtual_servers: Vec<usize>,
    /// The virtual servers of which only measurements, or the time of the last report, changed, by index.
    pub measured: Vec<usize>,
    /// The objects whose override changed or ended, and servers whose session with the agent changed.
    pub objects: Vec<(ObjectKind, Arc<str>)>,
    /// The servers whose agent lists other virtual servers than before: the model is to be discovered again.
    pub inventories: Vec<Arc<str>>,
}

impl Changed {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.virtual_servers.is_empty()
            && self.measured.is_empty()
            && self.objects.is_empty()
            && self.inventories.is_empty()
    }

    /// Adds what another fact changed; what both name stands twice.
    pub fn merge(&mut self, mut other: Self) {
        self.virtual_servers.append(&mut other.virtual_servers);
        self.measured.append(&mut other.measured);
        self.objects.append(&mut other.objects);
        self.inventories.append(&mut other.inventories);
    }

    pub(super) fn note(&mut self, virtual_server: usize, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Measurements => self.measured.push(virtual_server),
            Change::Status => self.virtual_servers.push(virtual_server),
        }
    }
}
