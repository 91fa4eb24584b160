//! The two clocks of the mesh: a monotonic one that orders and times everything, and the wall clock, which only
//! certificates and the reported clock difference may look at.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::Instant as TokioInstant;

use crate::status::Moment;

/// Reads both clocks. Copies share one origin, so that their moments can be compared.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The instant that is moment zero.
    origin: Instant,
    /// Added to the wall clock; zero but in tests of skewed clocks.
    wall_offset_millis: i64,
}

impl Clock {
    /// A clock whose moments count from `origin`: the process's one start instant, shared with everything that makes
    /// moments.
    pub const fn counting_from(origin: Instant) -> Self {
        Self { origin, wall_offset_millis: 0 }
    }

    /// A clock whose moments count from this call. One per process.
    pub fn start() -> Self {
        Self::counting_from(TokioInstant::now().into_std())
    }

    /// The same clock with its wall clock moved by `milliseconds`: how the mesh fares with a skewed clock.
    pub const fn with_wall_offset(self, milliseconds: i64) -> Self {
        Self { wall_offset_millis: milliseconds, ..self }
    }

    /// Now, on the monotonic clock as tokio's timers read it, so that both stand still where tests pause time.
    pub fn moment(&self) -> Moment {
        let since = TokioInstant::now().into_std().saturating_duration_since(self.origin);
        Moment::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Now, in milliseconds since 1970 on the wall clock; negative before.
    #[expect(clippy::disallowed_methods, reason = "the one place of the mesh that reads the wall clock")]
    pub fn unix_millis(&self) -> i64 {
        let now = SystemTime::now();
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let wall = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => millis(before.duration()).saturating_neg(),
        };
        wall.saturating_add(self.wall_offset_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_wall_clock_leaves_moments_alone() {
        let clock = Clock::start();
        let skewed = clock.with_wall_offset(-315_360_000_000);
        let (wall, moved) = (clock.unix_millis(), skewed.unix_millis());
        assert!((-315_360_000_000..=-315_360_000_000 + 5_000).contains(&(moved - wall)));
        assert!(skewed.moment().since(clock.moment()) < Duration::from_secs(5));
    }
}
