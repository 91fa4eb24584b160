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
}

/// A duration in whole milliseconds, capped instead of wrapped.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
}
