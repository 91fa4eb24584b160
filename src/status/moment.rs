//! Monotonic time as the pure layers see it.

use std::time::Duration;

/// A point in time: milliseconds since the process started, from the monotonic clock. Wall-clock jumps do not touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment `milliseconds` after the start of the process.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the start of the process.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long this moment is after `earlier`; zero when it is before it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `duration` more.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}
