//! A view: the zones that one kind of clients is served, beside the wide IPs of the same view.

use std::net::IpAddr;
use std::sync::Arc;

use super::access::{AccessTable, Denied, Queriers};
use crate::wideip::ViewId;
use crate::wire::NameKey;
use crate::zone::{ViewName, Zone, ZoneId, ZoneMap};

/// The zones of one view. Cheap to copy.
#[derive(Clone)]
pub struct View {
    name: ViewName,
    /// Its number among the views of the snapshot and of the wide IPs' model.
    pub(super) id: ViewId,
    pub(super) zones: ZoneMap,
    /// Who may ask; none when everybody may.
    access: Option<Arc<AccessTable>>,
}

impl View {
    /// A view of these zones, hashed under `seed`; [`Snapshot::with_views`](super::Snapshot::with_views) numbers it.
    pub fn new(name: ViewName, zones: &[Arc<Zone>], seed: u64) -> Self {
        Self::with_map(name, ZoneMap::build(zones.iter().cloned(), seed))
    }

    /// As [`Self::new`], of zones that are in a map already.
    pub fn with_map(name: ViewName, zones: ZoneMap) -> Self {
        Self { name, id: ViewId::default(), zones, access: None }
    }

    /// The same view with other zones.
    pub(super) fn with_zones(self, zones: ZoneMap) -> Self {
        Self { zones, ..self }
    }

    /// Takes note of who may ask for its names, which are hashed under `seed`.
    pub(super) fn restrict(&mut self, queriers: &Queriers, seed: u64) {
        self.access = AccessTable::new(queriers, &self.name, seed).map(Arc::new);
    }

    /// What the client at `source` gets in the place of an answer for the name in `key`; none when it may ask.
    #[inline]
    pub(super) fn denies(&self, key: &NameKey, source: IpAddr) -> Option<Denied> {
        self.access.as_ref()?.denies(&self.zones, key, source)
    }

    /// Its name.
    pub const fn name(&self) -> &ViewName {
        &self.name
    }

    /// Its number, under which the wide IPs know it.
    pub const fn id(&self) -> ViewId {
        self.id
    }

    /// Its zones, in no order.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// Its zones with their identities, in no order.
    pub fn identified(&self) -> impl Iterator<Item = (ZoneId, &Arc<Zone>)> {
        self.zones().map(|zone| (ZoneId::new(self.name.clone(), zone.apex().clone()), zone))
    }

    /// The zone of exactly the name in `key`.
    pub fn zone(&self, key: &NameKey) -> Option<&Arc<Zone>> {
        self.zones.get(key, 0)
    }

    /// The zone that encloses the name in `key` most closely.
    pub fn enclosing(&self, key: &NameKey) -> Option<&Arc<Zone>> {
        self.zones.longest(key, 0).map(|(_, zone)| zone)
    }
}
