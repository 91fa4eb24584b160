//! What is kept on disk of one secondary zone. Once it is forgotten, nothing that was under way writes it again.

use std::sync::{Arc, Mutex, PoisonError};

use super::store::ZoneStore;
use crate::answer::Membership;
use crate::zone::{Zone, ZoneId};

/// Keeps one zone. A copy keeps the same.
#[derive(Clone)]
pub(super) struct Keeper {
    store: ZoneStore,
    id: ZoneId,
    member: Option<Membership>,
    is_over: Arc<Mutex<bool>>,
}

impl Keeper {
    pub(super) fn new(store: ZoneStore, id: ZoneId, member: Option<Membership>) -> Self {
        Self { store, id, member, is_over: Arc::default() }
    }

    /// Keeps a new version.
    pub(super) fn save(&self, zone: &Zone, refreshed: u64) -> Result<(), String> {
        self.unless_over(|| self.store.save(&self.id.view, zone, refreshed, self.member.as_ref()))
    }

    /// Keeps that the version is current.
    pub(super) fn refreshed(&self, zone: &Zone, refreshed: u64) -> Result<(), String> {
        self.unless_over(|| self.store.refreshed(&self.id.view, zone, refreshed, self.member.as_ref()))
    }

    /// Removes what is kept, for good.
    pub(super) fn forget(&self) -> Result<(), String> {
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        *is_over = true;
        self.store.forget(&self.id)
    }

    fn unless_over(&self, write: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_over { Ok(()) } else { write() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::testing::{SEED, name};
    use crate::zone::{load, master};

    #[test]
    fn what_is_forgotten_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        let apex = name("example.");
        let settings = master::Settings { file: "zone", origin: &apex, default_ttl: Some(1) };
        let zone = load(b"@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n", &settings, SEED, &mut master::no_include);
        let zone = zone.unwrap().zone;
        let id = ZoneId::from(apex.clone());
        let member = Membership { catalog: name("cat."), label: [1, 0xff].into() };
        let keeper = Keeper::new(store.clone(), id.clone(), Some(member.clone()));
        keeper.save(&zone, 1).unwrap();
        assert!(store.load(&id, SEED).unwrap().is_some());
        assert_eq!(store.members(), [(id.clone(), member)], "as it was listed");
        keeper.forget().unwrap();
        keeper.save(&zone, 2).unwrap();
        keeper.refreshed(&zone, 2).unwrap();
        assert!(store.load(&id, SEED).unwrap().is_none() && store.members().is_empty());
        keeper.forget().unwrap();
    }
}
