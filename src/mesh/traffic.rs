//! What came from a peer and went to it: written by its session for each frame, without looking for the peer among all.

use std::sync::atomic::{AtomicU64, Ordering};

use super::states::Counters;
use crate::status::Moment;

/// Sums since this process started, and when something came last. Whoever reads them may find one newer than another.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    octets_in: AtomicU64,
    octets_out: AtomicU64,
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    heard: LastTime,
    reported: LastTime,
}

/// A moment: its milliseconds and one more, or 0 where there was none.
#[derive(Debug, Default)]
struct LastTime(AtomicU64);

impl Traffic {
    /// Octets arrived, and these frames with them.
    pub(super) fn arrived(&self, octets: u64, frames: u64, now: Moment) {
        self.octets_in.fetch_add(octets, Ordering::Relaxed);
        if frames > 0 {
            self.frames_in.fetch_add(frames, Ordering::Relaxed);
            self.heard.set(now);
        }
    }

    /// A frame waits to be sent.
    pub(super) fn frame_sent(&self) {
        self.frames_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Octets were written.
    pub(super) fn left(&self, octets: u64) {
        self.octets_out.fetch_add(octets, Ordering::Relaxed);
    }

    /// A report was taken.
    pub(super) fn reported(&self, now: Moment) {
        self.reported.set(now);
    }

    /// When a frame last arrived.
    pub(super) fn heard(&self) -> Option<Moment> {
        self.heard.get()
    }

    /// When a report was last taken.
    pub(super) fn last_report(&self) -> Option<Moment> {
        self.reported.get()
    }

    /// The sums, with the number of sessions that the peer's state counts.
    pub(super) fn counters(&self, sessions: u64) -> Counters {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Counters {
            sessions,
            octets_in: read(&self.octets_in),
            octets_out: read(&self.octets_out),
            frames_in: read(&self.frames_in),
            frames_out: read(&self.frames_out),
        }
    }
}

impl LastTime {
    fn set(&self, at: Moment) {
        self.0.store(at.as_millis().saturating_add(1), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Moment> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Moment::from_millis)
    }
}
