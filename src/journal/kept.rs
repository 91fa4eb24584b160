//! What the journal holds of one zone.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame;
use crate::zone::{ApplyError, Change, Zone};

/// Changes of one zone that are kept apart; secondaries that are further behind get the whole zone anyway.
const CHANGES_MAX: usize = 1000;

/// What the journal holds of one zone. Cloning it shares the zone and the changes.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The version that the first change starts from: the zone file as it was read then.
    pub base: Zone,
    /// The changes since, oldest first, each starting where the one before ends.
    pub changes: VecDeque<KeptChange>,
    /// Octets that the changes take, each with its share of a frame.
    pub(super) octets: u64,
    /// Octets that the base takes.
    pub(super) base_octets: u64,
}

/// One change and when it was made.
#[derive(Debug, Clone)]
pub struct KeptChange {
    /// The change.
    pub change: Arc<Change>,
    /// When it was kept, in seconds since 1970.
    pub at: u64,
    pub(super) octets: u64,
}

impl KeptChange {
    pub(super) fn new(change: Arc<Change>, at: u64) -> Self {
        let octets = frame::change_octets(&change);
        Self { change, at, octets }
    }
}

impl Kept {
    pub(super) fn new(base: Zone) -> Self {
        let base_octets = frame::zone_octets(&base);
        Self { base, changes: VecDeque::new(), octets: 0, base_octets }
    }

    /// The serial of the version that the changes lead to.
    pub fn serial(&self) -> u32 {
        self.changes.back().map_or(self.base.soa().serial, |last| last.change.to)
    }

    /// Octets that the changes take on disk.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The base with every change made: the version that was acknowledged.
    ///
    /// # Errors
    /// A change does not fit the version before it: the journal was not written by this program.
    pub fn result(&self) -> Result<Zone, ApplyError> {
        let mut zone = self.base.clone();
        for kept in &self.changes {
            zone = kept.change.apply(&zone)?;
        }
        Ok(zone)
    }

    pub(super) fn push(&mut self, change: KeptChange) {
        self.octets += change.octets;
        self.changes.push_back(change);
    }

    /// Makes `base`, a version on the way, the one that the changes start from; none when it is not on the way.
    pub(super) fn advance(&mut self, base: Zone) -> Option<()> {
        let serial = base.soa().serial;
        if serial != self.base.soa().serial {
            let last = self.changes.iter().position(|kept| kept.change.to == serial)?;
            self.changes.drain(..=last);
            self.octets = self.changes.iter().map(|change| change.octets).sum();
        }
        self.base_octets = frame::zone_octets(&base);
        self.base = base;
        Some(())
    }

    /// Makes one change of the oldest while there are too many or they take more than `octets_max`.
    pub(super) fn limit(&mut self, octets_max: u64) {
        while self.changes.len() > 1 && (self.octets > octets_max || self.changes.len() > CHANGES_MAX) {
            let at = self.changes.front().map_or(0, |oldest| oldest.at);
            // Half of them, so that most commits have nothing to join.
            let count = (self.changes.len() / 2).max(2);
            let oldest: Vec<_> = self.changes.drain(..count).collect();
            let Some(joined) = Change::joined(oldest.iter().map(|kept| &*kept.change)) else { return };
            self.changes.push_front(KeptChange::new(Arc::new(joined), at));
            self.octets = self.changes.iter().map(|change| change.octets).sum();
        }
    }
}
