//! Zones from elsewhere at the start: what was kept of them is served before anybody is asked.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::board::Board;
use crate::answer::{CatalogRole, Membership};
use crate::transfer::{NewZone, Stored, ZoneStore};
use crate::zone::ZoneId;

/// Puts the kept versions of secondary zones to use, as far as they did not expire until `now`, in seconds since 1970,
/// and those of the zones that catalogs bring. Gives them, so that nobody reads them again.
pub(super) fn restore(board: &mut Board, store: &ZoneStore, now: u64) -> HashMap<ZoneId, Stored> {
    let mut restorer = Restorer { board, store, now, restored: HashMap::new() };
    let kept = store.members();
    restorer.board.catalogs_mut().remember(kept.clone());
    restorer.configured();
    let members = restorer.board.catalogs().members();
    let members: HashMap<ZoneId, Membership> = members.map(|(id, member)| (id.clone(), member.clone())).collect();
    for (id, member) in kept {
        match members.get(&id) {
            Some(current) if current.label == member.label => restorer.secondary(&id, Some(current.clone())),
            // It is configured now.
            None if restorer.board.prepared().answer.transfers.get(&id).is_some() => {}
            _ => restorer.forget(&id, &member),
        }
    }
    restorer.restored
}

struct Restorer<'r> {
    board: &'r mut Board,
    store: &'r ZoneStore,
    now: u64,
    restored: HashMap<ZoneId, Stored>,
}

impl Restorer<'_> {
    /// The zones of the configuration, catalogs among them.
    fn configured(&mut self) {
        let transfers = Arc::clone(&self.board.prepared().answer.transfers);
        for (id, policy) in transfers.iter() {
            match &policy.catalog {
                Some(CatalogRole::Produced(_)) => {
                    if let Some(stored) = self.load(id) {
                        self.board.restore_produced(id.clone(), stored.zone);
                    }
                }
                _ if policy.primary.is_some() => self.secondary(id, None),
                _ => {}
            }
        }
    }

    fn secondary(&mut self, id: &ZoneId, member: Option<Membership>) {
        let Some(stored) = self.load(id) else { return };
        if let Some(zone) = stored.served(self.now) {
            self.board.replace_zone(NewZone { id: id.clone(), member, zone: Some(zone) });
            self.restored.insert(id.clone(), stored);
        } else {
            // It is not served, but what it brought stays, if it is a catalog.
            self.board.take_catalog(id, &stored.zone);
        }
    }

    /// Removes what is kept of a zone that its catalog does not list so any more. Where the catalog itself is not known
    /// yet, nothing is.
    fn forget(&self, id: &ZoneId, member: &Membership) {
        let catalog = ZoneId::new(id.view.clone(), member.catalog.clone());
        let is_known = self.board.catalogs().consumed().any(|(known, _)| *known == catalog);
        let is_configured = self.board.prepared().answer.transfers.get(&catalog).is_some();
        if is_known || !is_configured {
            match self.store.forget(id) {
                Ok(()) => {
                    info!(zone = %id, catalog = %catalog, "removed what was kept of a zone that its catalog let go of")
                }
                Err(error) => {
                    warn!(zone = %id, %error, "what was kept of a zone that its catalog let go of is still there")
                }
            }
        }
    }

    fn load(&self, id: &ZoneId) -> Option<Stored> {
        self.store.load(id, self.board.prepared().seed).unwrap_or_else(|error| {
            warn!(zone = %id, %error, "the kept version of a zone cannot be used");
            None
        })
    }
}
