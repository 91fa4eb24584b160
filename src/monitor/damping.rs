//! Flap damping: a target that keeps going down and coming back is held offline until it has been calm for a while.
//! Pure. The arithmetic is RFC 2439 §4.2's: a penalty per withdrawal, exponential decay, a threshold to suppress and a
//! lower one to reuse.
//!
//! Going down is never held back: a client that is sent to a dead target is harmed now, and `fall` probes in a row have
//! already been asked for. Only the return is delayed, which costs capacity, not answers.

use std::time::Duration;

use crate::status::{Availability, Moment};

/// What one withdrawal adds to the penalty (RFC 2439 §4.2: the unit is arbitrary, 1,000 is customary).
const PENALTY_PER_WITHDRAWAL: f64 = 1000.0;
/// At this penalty or above a return is held back: the third withdrawal within somewhat more than a half-life.
const SUPPRESS_AT: f64 = 2000.0;
/// Below this penalty a held target may return.
const REUSE_BELOW: f64 = 750.0;
/// The penalty grows no further, so that a calm target waits four half-lives at most.
const PENALTY_MAX: f64 = REUSE_BELOW * 16.0;

/// Decides what is published of one target from what its monitors think of it.
///
/// | monitors say | held | published |
/// |---|---|---|
/// | unknown | any | what was published before |
/// | offline | any | offline, at once |
/// | available | no | available |
/// | available | yes | offline until the penalty has decayed |
#[derive(Debug, Clone, PartialEq)]
pub struct Damping {
    half_life: Duration,
    /// The penalty at `updated`.
    penalty: f64,
    updated: Moment,
    held: bool,
    /// What the monitors said last, published or not: withdrawals that nobody saw count too.
    wanted: Availability,
    published: Availability,
}

impl Damping {
    /// Damping for a target that is probed every `interval`: the half-life is 12 intervals, within 10 s and 15 min.
    pub fn new(interval: Duration) -> Self {
        Self {
            half_life: half_life(interval),
            penalty: 0.0,
            updated: Moment::default(),
            held: false,
            wanted: Availability::Unknown,
            published: Availability::Unknown,
        }
    }

    /// Goes on with another interval; the penalty stays.
    pub fn set_interval(&mut self, interval: Duration) {
        self.half_life = half_life(interval);
    }

    /// Takes in what the monitors say now and returns what is to be published.
    pub fn observe(&mut self, wanted: Availability, at: Moment) -> Availability {
        if wanted == Availability::Unknown {
            return self.published;
        }
        self.decay(at);
        if wanted == Availability::Offline && self.wanted == Availability::Available {
            self.penalty = (self.penalty + PENALTY_PER_WITHDRAWAL).min(PENALTY_MAX);
        }
        self.wanted = wanted;
        self.held = if self.held { self.penalty >= REUSE_BELOW } else { self.penalty >= SUPPRESS_AT };
        self.published = if self.held { Availability::Offline } else { wanted };
        self.published
    }

    /// How much longer the target is held offline although its monitors succeed; none when it is not.
    pub fn held_for(&self, at: Moment) -> Option<Duration> {
        let holds = self.held && self.wanted == Availability::Available;
        holds.then(|| self.time_to_reuse().saturating_sub(at.since(self.updated)))
    }

    /// The longest time a calm target is held: from the highest penalty to the one that lets it back.
    pub fn hold_down(&self) -> Duration {
        self.half_life.saturating_mul(4)
    }

    fn time_to_reuse(&self) -> Duration {
        let half_lives = (self.penalty / REUSE_BELOW).log2().max(0.0);
        self.half_life.mul_f64(half_lives)
    }

    /// RFC 2439 §4.2: "exponential decay".
    fn decay(&mut self, at: Moment) {
        let half_lives = at.since(self.updated).as_secs_f64() / self.half_life.as_secs_f64();
        self.penalty *= (-half_lives).exp2();
        self.updated = self.updated.max(at);
    }
}

fn half_life(interval: Duration) -> Duration {
    interval.saturating_mul(12).clamp(Duration::from_secs(10), Duration::from_secs(900))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Availability::{Available, Offline, Unknown};
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn one_outage_is_published_as_it_is() {
        let mut damping = Damping::new(INTERVAL);
        let rows =
            [(0, Unknown, Unknown), (5, Available, Available), (10, Offline, Offline), (15, Available, Available)];
        for (second, wanted, published) in rows {
            assert_eq!(damping.observe(wanted, at(second)), published, "at {second} s");
        }
        assert_eq!(damping.held_for(at(15)), None);
    }

    #[test]
    fn the_third_withdrawal_in_a_minute_holds_the_target_offline_until_it_is_calm() {
        let mut damping = Damping::new(INTERVAL);
        let wanted = [Available, Offline, Available, Offline, Available, Offline];
        for (second, wanted) in (0..).step_by(5).zip(wanted) {
            assert_eq!(damping.observe(wanted, at(second)), wanted, "at {second} s");
        }
        assert_eq!(damping.observe(Available, at(30)), Offline);
        let held = damping.held_for(at(30)).unwrap().as_secs();
        assert!((90..120).contains(&held), "held for {held} s");
        assert_eq!(damping.observe(Available, at(30 + held - 1)), Offline);
        assert_eq!(damping.observe(Available, at(30 + held + 1)), Available);
    }

    #[test]
    fn a_withdrawal_while_held_prolongs_the_hold_up_to_the_longest() {
        let mut damping = Damping::new(INTERVAL);
        for second in (0..600).step_by(5) {
            damping.observe(if second % 10 == 0 { Available } else { Offline }, at(second));
        }
        damping.observe(Available, at(600));
        let held = damping.held_for(at(600)).unwrap();
        assert!(held > Duration::from_secs(120) && held <= damping.hold_down(), "held for {held:?}");
        assert_eq!(damping.observe(Available, at(600).after(damping.hold_down())), Available);
    }

    #[test]
    fn the_half_life_follows_the_interval_within_its_limits() {
        for (interval, half_life) in [(0, 10), (5, 60), (10, 120), (3600, 900)] {
            assert_eq!(Damping::new(Duration::from_secs(interval)).half_life, Duration::from_secs(half_life));
        }
    }

    proptest! {
        /// A member that toggles at every interval: after the withdrawals that make it suspect, nothing is published
        /// more often than once per hold-down.
        #[test]
        fn a_toggling_target_is_published_at_most_once_per_hold_down(
            interval in 1u64..30, probes in 50usize..400, period in 1usize..3
        ) {
            let mut damping = Damping::new(Duration::from_secs(interval));
            let mut published = Vec::new();
            for probe in 0..probes {
                let now = at(probe as u64 * interval);
                let before = damping.published;
                let wanted = if (probe / period).is_multiple_of(2) { Available } else { Offline };
                if damping.observe(wanted, now) != before {
                    published.push(now);
                }
            }
            // The first verdict, three withdrawals, two returns; from then on it stays offline.
            prop_assert!(published.len() <= 6, "{} changes", published.len());
        }

        /// Whatever a target does, a window as long as the shortest hold sees a bounded number of changes, and an
        /// offline target is never published as available.
        #[test]
        fn no_pattern_is_published_faster_than_the_damping_allows(wanted in prop::collection::vec(any::<bool>(), 1..600)) {
            let mut damping = Damping::new(INTERVAL);
            let mut published = Vec::new();
            for (probe, up) in wanted.iter().enumerate() {
                let now = at(probe as u64 * 5);
                let before = damping.published;
                let wanted = if *up { Available } else { Offline };
                let after = damping.observe(wanted, now);
                prop_assert!(!(after == Available && wanted == Offline));
                if after != before {
                    published.push(now);
                }
            }
            // The penalty of n withdrawals within one half-life is at least n × 500, and 2,000 stops the returns: four
            // withdrawals, four returns and a first verdict.
            for (index, first) in published.iter().enumerate() {
                let within = published[index..].iter().take_while(|t| t.since(*first) <= damping.half_life).count();
                prop_assert!(within <= 9, "{} changes in one half-life", within);
            }
        }
    }
}
