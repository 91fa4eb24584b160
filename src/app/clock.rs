//! The clock of the process: monotonic moments for everything that ages, wall time only for people and for files.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::status::Moment;

/// Turns the monotonic clock into [`Moment`]s. Copies share one starting point.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts counting now. Call once per process: moments of two clocks do not compare.
    #[expect(clippy::disallowed_methods, reason = "the edge that owns the clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Where the clock started, for modules that measure from the same point.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment::from_millis(millis(self.started.elapsed()))
    }

    /// The wall clock, as milliseconds since 1970. Jumps when the clock is set: never used to order or to age.
    #[expect(clippy::disallowed_methods, reason = "the edge that owns the clock")]
    pub fn wall_millis(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
    }

    /// The wall clock as a serial of a zone: seconds since 1970, modulo 2^32.
    pub fn serial(&self) -> u32 {
        u32::try_from(self.wall_millis() / 1000 % (1 << 32)).unwrap_or(0)
    }
}

/// A duration in whole milliseconds, capped instead of wrapped.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A wall-clock time as RFC 3339 writes it, in UTC and whole milliseconds.
pub fn rfc3339(unix_ms: u64) -> String {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that a leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, is_next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + is_next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_count_from_the_start_and_never_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first < Moment::from_millis(1000));
        assert!(clock.now() >= first);
        assert!(clock.wall_millis() > 1_600_000_000_000);
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        let check = |unix_ms, expected| assert_eq!(rfc3339(unix_ms), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_800_000, "2000-03-01T00:00:00.000Z");
        check(1_795_165_323_004, "2026-11-20T09:02:03.004Z");
        check(4_102_444_800_000, "2100-01-01T00:00:00.000Z");
    }
}
