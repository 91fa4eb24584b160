//! The rules by which availability goes up from virtual servers to members, pools, wide IPs, servers and datacenters.

use super::OnUnknown;
use crate::status::{Availability, Freshness};

/// What a virtual server counts as for a pool with the policy `on_unknown`; `held` is its last known verdict.
///
/// | freshness      | held    | on_unknown | counts as |
/// |----------------|---------|------------|-----------|
/// | fresh or stale | known   | any        | held      |
/// | expired        | known   | hold       | held      |
/// | expired        | never   | hold       | unknown   |
/// | expired        | any     | up         | available |
/// | expired        | any     | down       | offline   |
pub(super) fn effective(freshness: Freshness, held: Option<Availability>, on_unknown: OnUnknown) -> Availability {
    match (freshness, on_unknown) {
        (Freshness::Expired, OnUnknown::Up) => Availability::Available,
        (Freshness::Expired, OnUnknown::Down) => Availability::Offline,
        _ => held.unwrap_or(Availability::Unknown),
    }
}

/// Whether something of this availability may be answered: blue counts as usable.
pub(super) const fn is_usable(availability: Availability) -> bool {
    matches!(availability, Availability::Available | Availability::Unknown)
}

/// How many objects are in each state; disabled ones are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) available: usize,
    pub(super) unavailable: usize,
    pub(super) offline: usize,
    pub(super) unknown: usize,
}

impl Tally {
    /// Counts the states of enabled objects.
    pub(super) fn of(states: impl IntoIterator<Item = Availability>) -> Self {
        let mut tally = Self::default();
        for state in states {
            match state {
                Availability::Available => tally.available += 1,
                Availability::Unavailable => tally.unavailable += 1,
                Availability::Offline => tally.offline += 1,
                Availability::Unknown => tally.unknown += 1,
            }
        }
        tally
    }

    /// How many may be answered.
    pub(super) const fn usable(&self) -> usize {
        self.available + self.unknown
    }

    /// How many there are.
    pub(super) const fn total(&self) -> usize {
        self.available + self.unavailable + self.offline + self.unknown
    }

    /// The availability of what holds these objects and needs `needed` usable ones (at least 1).
    ///
    /// | usable        | of those available | not usable       | availability |
    /// |---------------|--------------------|------------------|--------------|
    /// | enough        | any                | any              | available    |
    /// | enough        | none               | any              | unknown      |
    /// | some, too few | any                | any              | unavailable  |
    /// | none          | -                  | some unavailable | unavailable  |
    /// | none          | -                  | all offline      | offline      |
    /// | none          | -                  | none             | offline      |
    pub(super) fn availability(&self, needed: usize) -> Availability {
        if self.usable() >= needed.max(1) {
            if self.available > 0 { Availability::Available } else { Availability::Unknown }
        } else if self.usable() > 0 || self.unavailable > 0 {
            Availability::Unavailable
        } else {
            Availability::Offline
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{Available, Offline, Unavailable, Unknown};

    #[test]
    fn every_row_of_effective() {
        let check = |freshness, held, on_unknown, expected| {
            assert_eq!(effective(freshness, held, on_unknown), expected, "{freshness:?} {held:?} {on_unknown:?}");
        };
        for freshness in [Freshness::Fresh, Freshness::Stale] {
            for policy in [OnUnknown::Hold, OnUnknown::Up, OnUnknown::Down] {
                check(freshness, Some(Offline), policy, Offline);
                check(freshness, Some(Available), policy, Available);
            }
        }
        check(Freshness::Expired, Some(Offline), OnUnknown::Hold, Offline);
        check(Freshness::Expired, Some(Available), OnUnknown::Hold, Available);
        check(Freshness::Expired, None, OnUnknown::Hold, Unknown);
        for held in [None, Some(Offline), Some(Available)] {
            check(Freshness::Expired, held, OnUnknown::Up, Available);
            check(Freshness::Expired, held, OnUnknown::Down, Offline);
        }
    }

    #[test]
    fn every_row_of_availability() {
        let check = |states: &[Availability], needed, expected| {
            assert_eq!(Tally::of(states.iter().copied()).availability(needed), expected, "{states:?}, {needed} needed");
        };
        check(&[Available, Offline], 1, Available);
        check(&[Available, Unknown], 2, Available);
        check(&[Unknown, Offline], 1, Unknown);
        check(&[Available, Offline], 2, Unavailable);
        check(&[Unavailable, Offline], 1, Unavailable);
        check(&[Offline, Offline], 1, Offline);
        check(&[], 1, Offline);
        check(&[Available], 0, Available);
        check(&[], 0, Offline);
    }
}
