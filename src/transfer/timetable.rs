//! When a secondary zone is looked after, and until when it may be served (RFC 1035 §4.3.5): times in, times out.

use std::time::Duration;

use tokio::time::Instant;

use crate::zone::Soa;

/// The first wait after a failure while there is no version at all; doubled each time up to the second.
const EMPTY_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The shortest and longest of SOA timers that are followed, in seconds: zero would spin, and years are meant by nobody.
const TIMER: (u64, u64) = (2, 86_400 * 30);
/// A wait is shortened by up to one part in so many, so that zones that were loaded together do not ask together.
const JITTER_PART: u32 = 10;

/// What a primary says of the version that is served from now on, and for how many seconds it may be, where the primary
/// tells (RFC 7314).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// It is the one that is served already.
    Same(Option<u32>),
    /// It is another.
    New(Option<u32>),
}

/// Why a look at the primaries brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// None was reached.
    Unreached,
    /// What one has may not be served; asking again soon gives the same.
    Refused,
}

/// The times of one zone.
#[derive(Debug)]
pub(super) struct Timetable {
    /// Of the version that is served; none while there is none.
    soa: Option<Soa>,
    expires: Option<Instant>,
    next: Instant,
    failures: u32,
}

impl Timetable {
    /// A zone without a version: looked for at once.
    pub(super) const fn new(now: Instant) -> Self {
        Self { soa: None, expires: None, next: now, failures: 0 }
    }

    /// Takes over a version that may be served for `left`, to be looked at anew at once. False, and nothing is taken
    /// over, when it has expired.
    pub(super) fn take_over(&mut self, now: Instant, left: Duration, soa: Soa) -> bool {
        if !left.is_zero() {
            // A clock that was set back must not make it live longer than any version may.
            (self.soa, self.expires) = (Some(soa), Some(now + left.min(timer(soa.expire))));
        }
        !left.is_zero()
    }

    /// A primary says that the version with this SOA is current; `draw` is any number.
    ///
    /// | version | EXPIRE told | it expires (RFC 7314 §4) |
    /// |---|---|---|
    /// | any | no | after the SOA's EXPIRE |
    /// | another | yes | after what is told |
    /// | the same | yes | after what is told, or when it did already, whichever is later |
    ///
    /// In all cases the SOA's EXPIRE is the longest.
    pub(super) fn confirmed(&mut self, now: Instant, soa: Soa, confirmed: Confirmed, draw: u32) {
        (self.soa, self.failures) = (Some(soa), 0);
        let longest = timer(soa.expire);
        let (Confirmed::Same(told) | Confirmed::New(told)) = confirmed;
        let expires = now + told.map_or(longest, |told| timer(told).min(longest));
        self.expires = match (confirmed, self.expires) {
            (Confirmed::Same(Some(_)), Some(before)) => Some(expires.max(before)),
            _ => Some(expires),
        };
        self.next = now + jittered(timer(soa.refresh), draw);
    }

    /// No primary had anything; `draw` is any number.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure, draw: u32) {
        let doublings = self.failures.min(16);
        self.failures += 1;
        let wait = match (self.soa, failure) {
            (None, _) => EMPTY_WAIT.0.saturating_mul(1 << doublings).min(EMPTY_WAIT.1),
            (Some(soa), Failure::Unreached) => timer(soa.retry),
            (Some(soa), Failure::Refused) => {
                let retry = timer(soa.retry);
                retry.saturating_mul(1 << doublings).min(timer(soa.refresh).max(retry))
            }
        };
        self.next = now + jittered(wait, draw);
    }

    /// Whether the version may be served no longer; then there is none.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_over = self.expires.is_some_and(|expires| expires <= now);
        if is_over {
            (self.soa, self.expires) = (None, None);
        }
        is_over
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Instant {
        self.expires.map_or(self.next, |expires| expires.min(self.next))
    }

    /// When the primaries are looked at next.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// When the version expires.
    pub(super) const fn expires(&self) -> Option<Instant> {
        self.expires
    }
}

/// An SOA timer within reason.
pub(super) fn timer(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds).clamp(TIMER.0, TIMER.1))
}

fn jittered(wait: Duration, draw: u32) -> Duration {
    let share = f64::from(draw) / f64::from(u32::MAX) / f64::from(JITTER_PART);
    wait - wait.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOA: Soa = Soa { serial: 1, refresh: 3600, retry: 600, expire: 86_400, ttl: 60, minimum: 60 };

    const NEW: Confirmed = Confirmed::New(None);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rfc1035_4_3_5_refresh_then_retry_then_expire() {
        let start = Instant::now();
        let mut times = Timetable::new(start);
        assert_eq!(times.due(), start, "nothing is there: it is looked for at once");
        times.confirmed(start, SOA, NEW, 0);
        assert_eq!(times.due() - start, seconds(3600));
        let mut now = start;
        let mut looks = 0;
        while !times.expire(now) {
            now = times.due();
            if now == times.next() {
                looks += 1;
                times.failed(now, Failure::Unreached, 0);
            }
        }
        assert_eq!(now - start, seconds(86_400), "it expires when it was not confirmed for that long");
        assert_eq!(looks, 1 + (86_400 - 3600) / 600, "one at refresh, then one each retry up to the end");
        times.failed(now, Failure::Unreached, 0);
        assert_eq!(times.due() - now, EMPTY_WAIT.1, "an expired zone is looked for still");
        times.confirmed(now, SOA, NEW, 0);
        assert_eq!((times.due() - now, times.expires().unwrap() - now), (seconds(3600), seconds(86_400)), "it is back");
    }

    #[test]
    fn waits_without_a_version_and_after_refusals_double_up_to_a_bound() {
        let start = Instant::now();
        let waits = |mut times: Timetable, failure| {
            let wait = |_| {
                times.failed(start, failure, 0);
                (times.due() - start).as_secs()
            };
            (0..12).map(wait).collect::<Vec<_>>()
        };
        let empty = waits(Timetable::new(start), Failure::Unreached);
        assert_eq!(empty, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let mut times = Timetable::new(start);
        times.confirmed(start, SOA, NEW, 0);
        assert_eq!(waits(times, Failure::Refused)[..5], [600, 1200, 2400, 3600, 3600]);
    }

    #[test]
    fn jitter_takes_up_to_a_tenth() {
        let start = Instant::now();
        let wait = |draw| {
            let mut times = Timetable::new(start);
            times.confirmed(start, SOA, NEW, draw);
            (times.due() - start).as_secs()
        };
        assert_eq!([0, u32::MAX / 2, u32::MAX].map(wait), [3600, 3420, 3240]);
    }

    #[test]
    fn a_kept_version_counts_from_when_it_was_confirmed() {
        let start = Instant::now();
        let mut times = Timetable::new(start);
        assert!(!times.take_over(start, seconds(0), SOA), "it expired while nobody ran");
        assert!(times.take_over(start, seconds(400), SOA));
        assert_eq!(times.due(), start, "it is confirmed at once");
        times.failed(start, Failure::Unreached, 0);
        assert_eq!(times.due() - start, seconds(400), "it expires before the next retry");
    }

    #[test]
    fn rfc7314_4_what_a_primary_tells_of_expiry_counts_up_to_the_soas() {
        let start = Instant::now();
        let check = |left: Option<u64>, confirmed, expected: u64| {
            let mut times = Timetable::new(start);
            if let Some(left) = left {
                assert!(times.take_over(start, seconds(left), SOA));
            }
            times.confirmed(start, SOA, confirmed, 0);
            assert_eq!(times.expires().unwrap() - start, seconds(expected), "{left:?} {confirmed:?}");
        };
        check(None, Confirmed::New(None), 86_400);
        check(None, Confirmed::New(Some(500)), 500);
        check(None, Confirmed::New(Some(100_000)), 86_400);
        check(Some(900), Confirmed::New(None), 86_400);
        check(Some(900), Confirmed::New(Some(500)), 500);
        check(Some(900), Confirmed::Same(None), 86_400);
        check(Some(900), Confirmed::Same(Some(500)), 900);
        check(Some(900), Confirmed::Same(Some(1500)), 1500);
        check(Some(900), Confirmed::Same(Some(100_000)), 86_400);
        check(Some(90_000), Confirmed::Same(Some(500)), 86_400);
        check(None, Confirmed::New(Some(0)), TIMER.0);
    }

    #[test]
    fn timers_of_no_time_do_not_spin() {
        let start = Instant::now();
        let mut times = Timetable::new(start);
        times.confirmed(start, Soa::default(), NEW, u32::MAX);
        assert!(times.due() - start >= seconds(1));
    }
}
