//! What is counted of zone transfers and notifications.

use prometheus::{IntCounterVec, Registry};

use super::family;
use super::registry::{Metrics, counters};
use super::updates::UpdateResult;

/// How a zone is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// All of it (RFC 5936).
    Axfr,
    /// What changed (RFC 1995).
    Ixfr,
}

impl TransferKind {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Axfr, Self::Ixfr];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Axfr => "axfr",
            Self::Ixfr => "ixfr",
        }
    }
}

/// What became of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferResult {
    /// The other side has the zone.
    Done,
    /// There was nothing newer.
    UpToDate,
    /// The other side may not have it.
    Refused,
    /// There is no such zone, or it has no version that may be served.
    NoZone,
    /// Too many were under way.
    Quota,
    /// It was cut off or not what it must be.
    Failed,
}

impl TransferResult {
    /// Every value.
    pub const ALL: [Self; 6] = [Self::Done, Self::UpToDate, Self::Refused, Self::NoZone, Self::Quota, Self::Failed];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::UpToDate => "up_to_date",
            Self::Refused => "refused",
            Self::NoZone => "no_zone",
            Self::Quota => "quota",
            Self::Failed => "failed",
        }
    }
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyResult {
    /// The other side took it.
    Acknowledged,
    /// It answered with an error.
    Refused,
    /// It did not answer in time.
    Unanswered,
}

impl NotifyResult {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Acknowledged, Self::Refused, Self::Unanswered];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

/// The counters of transfers, notifications and updates.
pub(super) struct TransferCounters {
    transfers: IntCounterVec,
    notifies: IntCounterVec,
    pub(super) updates: IntCounterVec,
}

impl TransferCounters {
    pub(super) fn new(registry: &Registry) -> Self {
        let (transfers, notifies) =
            (counters(registry, &family::TRANSFERS, &[]), counters(registry, &family::NOTIFIES, &[]));
        for result in TransferResult::ALL {
            for (direction, kind) in ["out", "in"].into_iter().flat_map(|way| TransferKind::ALL.map(|kind| (way, kind)))
            {
                let _: prometheus::IntCounter =
                    transfers.with_label_values(&[direction, kind.as_str(), result.as_str()]);
            }
        }
        for (direction, result) in
            ["out", "in"].into_iter().flat_map(|way| NotifyResult::ALL.map(|result| (way, result)))
        {
            let _: prometheus::IntCounter = notifies.with_label_values(&[direction, result.as_str()]);
        }
        let updates = counters(registry, &family::UPDATES, &[]);
        for result in UpdateResult::ALL {
            let _: prometheus::IntCounter = updates.with_label_values(&[result.as_str()]);
        }
        Self { transfers, notifies, updates }
    }
}

impl Metrics {
    /// Counts a transfer that another server asked for.
    pub fn transferred_out(&self, kind: TransferKind, result: TransferResult) {
        self.transfers().transfers.with_label_values(&["out", kind.as_str(), result.as_str()]).inc();
    }

    /// Counts a transfer that this node asked for.
    pub fn transferred_in(&self, kind: TransferKind, result: TransferResult) {
        self.transfers().transfers.with_label_values(&["in", kind.as_str(), result.as_str()]).inc();
    }

    /// Counts a notification from another server.
    pub fn notified_by(&self, result: NotifyResult) {
        self.transfers().notifies.with_label_values(&["in", result.as_str()]).inc();
    }

    /// Counts a notification to a secondary.
    pub fn notified(&self, result: NotifyResult) {
        self.transfers().notifies.with_label_values(&["out", result.as_str()]).inc();
    }
}
