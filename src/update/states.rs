//! What became of the updates of each zone, for status pages and metrics. Times are in seconds since 1970.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::UpdateResult;
use crate::transfer::{Context, Request};
use crate::wire::Name;
use crate::zone::ZoneId;

/// What is known of the updates of every zone. A copy shows the same.
#[derive(Debug, Clone, Default)]
pub struct UpdateStates(Arc<Mutex<BTreeMap<ZoneId, UpdateState>>>);

/// What is known of the updates of one zone since the program started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateState {
    /// How many had each result, in the order of [`UpdateResult::ALL`].
    counts: [u64; UpdateResult::ALL.len()],
    /// The last one that changed the zone.
    pub last_done: Option<Sent>,
    /// The last one that was not carried out, and why: apart from the other, which strangers could push away else.
    pub last_refused: Option<(Sent, UpdateResult)>,
}

/// Who sent an update, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it was answered.
    pub at: u64,
    /// The key that signed it; none when none did.
    pub key: Option<Name>,
    /// Where it came from.
    pub source: IpAddr,
}

impl UpdateStates {
    /// Every zone of which something is known.
    pub fn all(&self) -> BTreeMap<ZoneId, UpdateState> {
        self.lock().clone()
    }

    /// Counts an update, for all zones together and for its own if there is such a zone: names that strangers make up
    /// take no room.
    pub(super) fn count(&self, context: &Context, request: &Request, source: SocketAddr, result: UpdateResult) {
        context.metrics.updated(result);
        let snapshot = context.snapshot.load();
        if request.has_view() && snapshot.zone(request.zone()).is_some() {
            let sent = Sent { at: context.now(), key: request.key_name().cloned(), source: source.ip() };
            self.note(request.zone(), sent, result, |zone| snapshot.zone(zone).is_some());
        }
    }

    fn note(&self, zone: &ZoneId, sent: Sent, result: UpdateResult, is_served: impl Fn(&ZoneId) -> bool) {
        let mut states = self.lock();
        if !states.contains_key(zone) {
            // A new one is rare, and the moment to let go of those that are gone.
            states.retain(|known, _| is_served(known));
        }
        let state = states.entry(zone.clone()).or_default();
        for (count, _) in state.counts.iter_mut().zip(UpdateResult::ALL).filter(|(_, counted)| *counted == result) {
            *count += 1;
        }
        match result {
            UpdateResult::Done => state.last_done = Some(sent),
            UpdateResult::Unchanged | UpdateResult::Repeated | UpdateResult::Forwarded => {}
            _ => state.last_refused = Some((sent, result)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ZoneId, UpdateState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UpdateState {
    /// How many updates had each result.
    pub fn counts(&self) -> impl Iterator<Item = (UpdateResult, u64)> {
        UpdateResult::ALL.into_iter().zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_is_not_pushed_away_by_those_who_are_refused_and_zones_that_are_gone_are_forgotten() {
        let states = UpdateStates::default();
        let [a, b] = ["a.", "b."].map(|name| ZoneId::from(name.parse::<Name>().unwrap()));
        let sent = |at| Sent { at, key: None, source: [192, 0, 2, 1].into() };
        for (at, result) in [(1, UpdateResult::Done), (2, UpdateResult::Refused), (3, UpdateResult::Unchanged)] {
            states.note(&a, sent(at), result, |_| true);
        }
        let known = states.all().remove(&a).unwrap();
        assert_eq!((known.last_done, known.last_refused), (Some(sent(1)), Some((sent(2), UpdateResult::Refused))));
        states.note(&b, sent(4), UpdateResult::Done, |zone| *zone == b);
        assert_eq!(states.all().into_keys().collect::<Vec<_>>(), [b]);
    }
}
