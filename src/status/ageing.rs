//! How long a report is worth something.

use std::time::Duration;

/// How verdicts age (defaults: fresh to 3 report intervals, stale to 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ageing {
    /// Up to this age a report is used fully.
    pub fresh: Duration,
    /// Up to this age availability is kept and measurements no longer count; after it the verdict has expired.
    pub stale: Duration,
}

/// How much what is known may still be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Reported within [`Ageing::fresh`]: used fully.
    Fresh,
    /// Older, from before a restart, or its source cannot be reached: availability is kept, measurements do not count.
    Stale,
    /// Older than [`Ageing::stale`], or never reported: shown as unknown; the pool's policy decides what that counts as.
    Expired,
}

impl Ageing {
    /// The freshness of what was reported `age` ago.
    pub fn freshness(self, age: Duration) -> Freshness {
        if age <= self.fresh {
            Freshness::Fresh
        } else if age <= self.stale {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }

    /// The same, slowed down where a source reports so rarely that every report would be stale before the next one.
    #[must_use]
    pub fn for_interval(self, interval: Duration) -> Self {
        Self { fresh: self.fresh.max(interval.saturating_mul(3)), stale: self.stale.max(interval.saturating_mul(10)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGEING: Ageing = Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) };

    #[test]
    fn a_report_is_fresh_then_stale_then_expired() {
        let check =
            |seconds, expected| assert_eq!(AGEING.freshness(Duration::from_secs(seconds)), expected, "{seconds} s");
        check(0, Freshness::Fresh);
        check(15, Freshness::Fresh);
        check(16, Freshness::Stale);
        check(50, Freshness::Stale);
        check(51, Freshness::Expired);
    }

    #[test]
    fn a_slow_source_ages_by_its_own_interval() {
        let slow = AGEING.for_interval(Duration::from_secs(60));
        assert_eq!(slow.fresh, Duration::from_secs(180));
        assert_eq!(slow.stale, Duration::from_secs(600));
        assert_eq!(AGEING.for_interval(Duration::from_secs(1)), AGEING);
    }
}
