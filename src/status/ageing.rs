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
}
