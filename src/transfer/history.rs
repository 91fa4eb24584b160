//! The last changes of each zone, so that IXFR can send them instead of the whole.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::answer::{HistoryLimits, Snapshot};
use crate::zone::{Change, Zone, ZoneId, is_newer};

/// The changes of every zone that may be transferred.
#[derive(Default)]
pub(super) struct Histories(Mutex<HashMap<ZoneId, History>>);

/// The version last seen, and how it came about.
struct History {
    zone: Arc<Zone>,
    changes: VecDeque<Arc<Change>>,
}

impl Histories {
    /// Takes note of the zones of a new snapshot, as far as they may be transferred. Compares whole zones where they
    /// are not the same object: not for a thread that must not wait.
    pub(super) fn follow(&self, snapshot: &Snapshot) {
        let transfers = snapshot.transfers();
        let is_kept = |id: &ZoneId| transfers.get(id).is_some_and(|zone| !zone.allow.is_empty());
        let mut served = HashMap::new();
        for (id, zone) in snapshot.zones().filter(|(id, zone)| is_kept(id) && zone.records() > 0) {
            let before = self.lock().remove(&id);
            served.insert(id, History::following(before, zone, transfers.limits.history));
        }
        *self.lock() = served;
    }

    /// Takes the changes over that led to `zone` before a restart, each starting where the one before ends.
    pub(super) fn restore(
        &self,
        id: ZoneId,
        zone: &Arc<Zone>,
        changes: impl IntoIterator<Item = Arc<Change>>,
        limits: HistoryLimits,
    ) {
        let mut history = History { zone: Arc::clone(zone), changes: changes.into_iter().collect() };
        if history.changes.back().is_some_and(|last| last.to == zone.soa().serial) {
            history.limit(limits);
            self.lock().insert(id, history);
        }
    }

    /// The changes that lead from version `serial` to exactly `zone`; none when they are not all known.
    pub(super) fn since(&self, id: &ZoneId, zone: &Zone, serial: u32) -> Option<Vec<Arc<Change>>> {
        let histories = self.lock();
        let changes = &histories.get(id)?.changes;
        let first = changes.iter().position(|change| change.from == serial)?;
        let changes: Vec<_> = changes.iter().skip(first).cloned().collect();
        // The zone may have moved on and its change not been compared yet.
        (changes.last()?.to == zone.soa().serial).then_some(changes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ZoneId, History>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn following(before: Option<Self>, zone: &Arc<Zone>, limits: HistoryLimits) -> Self {
        let zone = Arc::clone(zone);
        let Some(mut history) = before else { return Self { zone, changes: VecDeque::new() } };
        let (from, to) = (history.zone.soa().serial, zone.soa().serial);
        if from == to || Arc::ptr_eq(&history.zone, &zone) {
            // The same version, perhaps read from its file again, and perhaps by other settings.
            history.limit(limits);
            return Self { zone, ..history };
        }
        let change = is_newer(to, from).then(|| Change::between(&history.zone, &zone)).flatten();
        match change {
            Some(change) => history.changes.push_back(Arc::new(change)),
            // The serial went back: what was known leads nowhere.
            None => history.changes.clear(),
        }
        history.zone = zone;
        history.limit(limits);
        history
    }

    /// Lets go of the oldest changes while there are too many, or too many records in them.
    fn limit(&mut self, limits: HistoryLimits) {
        let mut records = self.changes.iter().map(|one| one.difference.len()).sum::<usize>();
        while self.changes.len() > limits.changes || records > limits.records {
            let Some(oldest) = self.changes.pop_front() else { return };
            records -= oldest.difference.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Name, RecordType};
    use crate::zone::ZoneBuilder;

    /// Version `serial` of a zone, whose only address says which version it is.
    fn zone(serial: u32) -> Arc<Zone> {
        let apex: Name = "example.".parse().unwrap();
        let mut builder = ZoneBuilder::new(&apex, 1);
        let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
        builder.add(&apex, RecordType::SOA, 60, &soa).unwrap();
        builder.add(&apex, RecordType::A, 60, &serial.to_be_bytes()).unwrap();
        Arc::new(builder.finish())
    }

    const LIMITS: HistoryLimits = HistoryLimits { changes: 100, records: 200_000 };

    fn after(serials: &[u32], limits: HistoryLimits) -> History {
        let mut history = History::following(None, &zone(serials[0]), limits);
        for serial in &serials[1..] {
            history = History::following(Some(history), &zone(*serial), limits);
        }
        history
    }

    #[test]
    fn changes_lead_from_each_kept_version_to_the_last() {
        let history = after(&[1, 2, 3, 3, 7], LIMITS);
        let histories = Histories::default();
        let id = ZoneId::from("example.".parse::<Name>().unwrap());
        histories.lock().insert(id.clone(), history);
        let steps = |serial| histories.since(&id, &zone(7), serial).map(|changes| changes.len());
        assert_eq!([1, 2, 3, 4, 7].map(steps), [Some(3), Some(2), Some(1), None, None]);
        let change = &histories.since(&id, &zone(7), 3).unwrap()[0];
        assert_eq!((change.difference.removed.len(), change.difference.added.len()), (1, 1));
        assert!(histories.since(&id, &zone(8), 1).is_none(), "the zone is ahead of what was compared");
    }

    #[test]
    fn a_serial_that_goes_back_ends_what_is_known() {
        assert_eq!(after(&[1, 2, 1], LIMITS).changes.len(), 0);
    }

    #[test]
    fn changes_from_before_a_restart_are_known() {
        let id = ZoneId::from("example.".parse::<Name>().unwrap());
        let steps = [1, 2, 3].map(|from| Arc::new(Change::between(&zone(from), &zone(from + 1)).unwrap()));
        let histories = Histories::default();
        histories.restore(id.clone(), &zone(9), steps.clone(), LIMITS);
        assert!(histories.lock().is_empty(), "they lead to another version");
        histories.restore(id.clone(), &zone(4), steps.clone(), LIMITS);
        assert_eq!(histories.since(&id, &zone(4), 2).unwrap().len(), 2);
        histories.restore(id.clone(), &zone(4), steps, HistoryLimits { changes: 1, ..LIMITS });
        assert!(histories.since(&id, &zone(4), 2).is_none(), "the settings are others since");
    }

    #[test]
    fn the_oldest_changes_go_first() {
        let serials: Vec<u32> = (0..=150).collect();
        let check = |limits, expected| {
            let history = after(&serials, limits);
            assert_eq!((history.changes.len(), history.changes[0].from), expected);
        };
        check(LIMITS, (100, 50));
        // Each change has two records beside the SOA.
        check(HistoryLimits { records: 21, ..LIMITS }, (10, 140));
        let fewer =
            History::following(Some(after(&serials, LIMITS)), &zone(150), HistoryLimits { changes: 3, ..LIMITS });
        assert_eq!(fewer.changes.len(), 3, "a reload with less room");
    }
}
