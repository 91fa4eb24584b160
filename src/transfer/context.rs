//! What every part of the module needs of the program.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::states::{Seen, ZoneStates};
use crate::answer::Snapshot;
use crate::metrics::Metrics;
use crate::zone::ZoneId;

/// What every part of the module needs of the program. Cheap to copy.
#[derive(Clone)]
pub struct Context {
    /// What is served: zones, keys, and who may have which zone.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where transfers and notifications are counted.
    pub metrics: Arc<Metrics>,
    /// Where they are shown.
    pub states: ZoneStates,
    /// The wall clock, in seconds since 1970, for signatures and for what must outlive the process.
    pub unix_seconds: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Context {
    /// The wall clock's time.
    pub fn now(&self) -> u64 {
        (self.unix_seconds)()
    }

    /// Notes which version of a zone a secondary has.
    pub(super) fn saw(&self, zone: &ZoneId, secondary: IpAddr, serial: u32) {
        self.states.seen(zone, secondary, Seen { serial, at: self.now() });
    }
}
