//! When each probe starts: a heap of due times, two waiting lines and a cap on what is under way. Pure.
//!
//! Every monitored target has its own grid of due times: a phase that depends on its names only, plus whole intervals. So
//! probes spread over the interval, and reloads and restarts do not move them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::status::Moment;

/// In which line a probe waits and how it counts while under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// The last probe was quick.
    Quick,
    /// The last probe was slow; slow ones may take half of the places only, so that the dead do not delay the living.
    Slow,
}

/// The due times, waiting lines and running counts of everything with a key.
#[derive(Debug)]
pub(super) struct Timetable<K> {
    due: BinaryHeap<Reverse<(Moment, K)>>,
    quick: VecDeque<K>,
    slow: VecDeque<K>,
    running: usize,
    running_slow: usize,
    places: usize,
}

impl<K: Ord + Copy> Timetable<K> {
    /// An empty timetable with room for `places` probes under way at once, at least 2.
    pub(super) fn new(places: usize) -> Self {
        Self {
            due: BinaryHeap::new(),
            quick: VecDeque::new(),
            slow: VecDeque::new(),
            running: 0,
            running_slow: 0,
            places: places.max(2),
        }
    }

    /// Notes that `key` is due at `at`.
    pub(super) fn insert(&mut self, key: K, at: Moment) {
        self.due.push(Reverse((at, key)));
    }

    /// Takes out the next key that is due at `now`, if any.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<K> {
        let Reverse((at, _)) = self.due.peek()?;
        if *at > now {
            return None;
        }
        self.due.pop().map(|Reverse((_, key))| key)
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Puts `key` at the end of a waiting line.
    pub(super) fn wait(&mut self, key: K, lane: Lane) {
        match lane {
            Lane::Quick => self.quick.push_back(key),
            Lane::Slow => self.slow.push_back(key),
        }
    }

    /// Takes the next key out of the waiting lines if there is a place for it; it then counts as running.
    pub(super) fn next_start(&mut self) -> Option<(K, Lane)> {
        if self.running >= self.places {
            return None;
        }
        if let Some(key) = self.quick.pop_front() {
            self.running += 1;
            return Some((key, Lane::Quick));
        }
        if self.running_slow >= self.places / 2 {
            return None;
        }
        let key = self.slow.pop_front()?;
        self.running += 1;
        self.running_slow += 1;
        Some((key, Lane::Slow))
    }

    /// Frees the place of a key that ran in `lane`.
    pub(super) fn finish(&mut self, lane: Lane) {
        self.running = self.running.saturating_sub(1);
        if lane == Lane::Slow {
            self.running_slow = self.running_slow.saturating_sub(1);
        }
    }

    /// How many wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.quick.len() + self.slow.len()
    }

    /// How many have a due time.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// How many are under way.
    pub(super) fn running(&self) -> usize {
        self.running
    }
}

/// The next point of the grid `phase + n × interval` that is at least half an interval after `now`.
///
/// On the grid that is one interval later; off it (a first probe, or one that had to wait) it is the point after which
/// probes are neither doubled nor left out.
pub(super) fn next_on_grid(now: Moment, interval: Duration, phase: u64) -> Moment {
    let interval = millis(interval);
    let phase = phase % interval;
    let earliest = now.as_millis().saturating_add(interval / 2);
    let steps = earliest.saturating_sub(phase).div_ceil(interval);
    Moment::from_millis(phase.saturating_add(steps.saturating_mul(interval)))
}

/// An interval in whole milliseconds, at least one.
pub(super) fn millis(interval: Duration) -> u64 {
    u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A number that depends on `names` and `seed` only (FNV-1a): the phase of a grid.
pub(super) fn phase(seed: u64, names: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for name in names {
        for octet in name.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    // FNV leaves the high bits of short names alike; fold them in.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_millis(milliseconds)
    }

    #[test]
    fn the_grid_neither_doubles_nor_skips() {
        // (now, interval, phase, next)
        let rows = [
            (100, 1000, 100, 1100), // on the grid
            (120, 1000, 100, 1100), // a little late
            (599, 1000, 100, 1100), // late by less than half
            (601, 1000, 100, 2100), // late by more: the next point would come too soon
            (0, 1000, 700, 700),    // a first probe before the phase
            (3_999, 1000, 0, 5_000),
            (5, 0, 0, 5), // an interval of nothing is one millisecond
        ];
        for (now, interval, phase, next) in rows {
            let got = next_on_grid(at(now), Duration::from_millis(interval), phase);
            assert_eq!(got, at(next), "{now} {interval} {phase}");
        }
    }

    #[test]
    fn phases_spread_over_the_interval() {
        let mut tenths = [0usize; 10];
        for number in 0..10_000 {
            let phase = phase(1, &["lon-web", &format!("vs{number}"), "web"]) % 10_000;
            tenths[phase as usize / 1000] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1100).contains(count)), "{tenths:?}");
        assert_ne!(phase(1, &["ab", "c"]), phase(1, &["a", "bc"]));
        assert_ne!(phase(1, &["a"]), phase(2, &["a"]));
    }

    #[test]
    fn slow_probes_get_half_of_the_places_and_quick_ones_go_first() {
        let mut timetable = Timetable::new(4);
        for key in 0..10 {
            timetable.wait(key, if key < 6 { Lane::Slow } else { Lane::Quick });
        }
        let mut started: Vec<_> = std::iter::from_fn(|| timetable.next_start()).collect();
        assert_eq!(started.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [6, 7, 8, 9]);
        for (_, lane) in started.drain(..) {
            timetable.finish(lane);
        }
        started.extend(std::iter::from_fn(|| timetable.next_start()));
        assert_eq!(started, [(0, Lane::Slow), (1, Lane::Slow)]);
        assert_eq!((timetable.running(), timetable.waiting()), (2, 4));
        timetable.wait(11, Lane::Quick);
        assert_eq!(timetable.next_start(), Some((11, Lane::Quick)));
        timetable.finish(Lane::Slow);
        assert_eq!(timetable.next_start(), Some((2, Lane::Slow)));
    }

    #[test]
    fn due_keys_come_out_in_the_order_of_their_times() {
        let mut timetable = Timetable::new(4);
        for (key, time) in [(1, 300), (2, 100), (3, 200)] {
            timetable.insert(key, at(time));
        }
        assert_eq!(timetable.next_due(), Some(at(100)));
        assert_eq!(timetable.pop_due(at(99)), None);
        assert_eq!([timetable.pop_due(at(250)), timetable.pop_due(at(250))], [Some(2), Some(3)]);
        assert_eq!(timetable.pop_due(at(250)), None);
    }
}
