//! What became of the transfers of each zone, for status pages and metrics. Times are in seconds since 1970.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::zone::ZoneId;

/// What is known of the transfers of every zone. A copy shows the same.
#[derive(Debug, Clone, Default)]
pub struct ZoneStates(Arc<Mutex<BTreeMap<ZoneId, ZoneState>>>);

/// What is known of the transfers of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneState {
    /// As a secondary; none when the zone comes from no primary.
    pub inbound: Option<InboundState>,
    /// What each secondary that is told of changes was last seen with.
    pub secondaries: BTreeMap<IpAddr, Seen>,
}

/// A zone that comes from primaries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboundState {
    /// When a primary last confirmed the version or gave a new one.
    pub last_success: Option<u64>,
    /// Which one did.
    pub primary: Option<SocketAddr>,
    /// Why the last look brought nothing, and when that was; none after a success.
    pub last_error: Option<(u64, String)>,
    /// When the primaries are looked at next.
    pub next_refresh: Option<u64>,
    /// When the version may be served no longer.
    pub expires: Option<u64>,
}

/// A secondary as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The version it had.
    pub serial: u32,
    /// When.
    pub at: u64,
}

impl ZoneStates {
    /// Every zone of which something is known.
    pub fn all(&self) -> BTreeMap<ZoneId, ZoneState> {
        self.lock().clone()
    }

    /// Changes what is known of a secondary zone.
    pub(super) fn inbound(&self, zone: &ZoneId, change: impl FnOnce(&mut InboundState)) {
        change(self.lock().entry(zone.clone()).or_default().inbound.get_or_insert_default());
    }

    /// A secondary has this version.
    pub(super) fn seen(&self, zone: &ZoneId, secondary: IpAddr, seen: Seen) {
        self.lock().entry(zone.clone()).or_default().secondaries.insert(secondary, seen);
    }

    /// Forgets zones, and secondaries of zones, that are configured no more.
    pub(super) fn retain(&self, is_inbound: impl Fn(&ZoneId) -> bool, is_told: impl Fn(&ZoneId, IpAddr) -> bool) {
        self.lock().retain(|zone, state| {
            if !is_inbound(zone) {
                state.inbound = None;
            }
            state.secondaries.retain(|secondary, _| is_told(zone, *secondary));
            *state != ZoneState::default()
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ZoneId, ZoneState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ZoneId {
        text.parse::<crate::wire::Name>().unwrap().into()
    }

    #[test]
    fn what_is_configured_no_more_is_forgotten() {
        let states = ZoneStates::default();
        let (a, b): (ZoneId, ZoneId) = (name("a."), name("b."));
        let [one, two] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        states.inbound(&a, |state| state.last_success = Some(1));
        for (zone, secondary) in [(&a, one), (&b, one), (&b, two)] {
            states.seen(zone, secondary, Seen { serial: 1, at: 1 });
        }
        states.retain(|zone| *zone == a, |zone, secondary| *zone == b && secondary == two);
        let left = states.all();
        assert!(left[&a].inbound.is_some() && left[&a].secondaries.is_empty());
        assert_eq!(left[&b].secondaries.keys().collect::<Vec<_>>(), [&two]);
        states.retain(|_| false, |_, _| false);
        assert!(states.all().is_empty());
    }
}
