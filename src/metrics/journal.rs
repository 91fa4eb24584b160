//! What is counted of the journal of dynamic updates.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Registry};

use super::family;
use super::registry::{Metrics, counters};

/// Upper bounds of commit times in seconds: a local disk with a battery or flash, and one that is in trouble.
const COMMIT_SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The counters of the journal.
pub(super) struct JournalCounters {
    seconds: Histogram,
    commits: IntCounterVec,
}

impl JournalCounters {
    pub(super) fn new(registry: &Registry) -> Self {
        let (name, help) = family::JOURNAL_COMMIT_SECONDS;
        let options = HistogramOpts::new(name, help).buckets(COMMIT_SECONDS.to_vec());
        #[expect(clippy::expect_used, reason = "the declarations are fixed, and every test of metrics makes them")]
        let seconds = Histogram::with_opts(options).expect("well formed");
        #[expect(clippy::expect_used, reason = "as above")]
        registry.register(Box::new(seconds.clone())).expect("every metric is declared once");
        Self { seconds, commits: counters(registry, &family::JOURNAL_COMMITS, &["done", "failed"]) }
    }
}

impl Metrics {
    /// Counts a commit of the journal that became durable after `time`.
    pub fn journal_committed(&self, time: Duration) {
        self.journal().seconds.observe(time.as_secs_f64());
        self.journal().commits.with_label_values(&["done"]).inc();
    }

    /// Counts a commit of the journal that the disk failed.
    pub fn journal_failed(&self) {
        self.journal().commits.with_label_values(&["failed"]).inc();
    }
}
