//! Everything that is known at one moment, to be shown to people and programs.

use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::memory::Now;
use crate::status::Table;
use crate::wideip::Model;

/// What the publisher knows, as one value.
pub(super) struct View {
    /// This node's name.
    pub(super) node: Arc<str>,
    /// The generation of the snapshot in use.
    pub(super) generation: u64,
    /// When it was looked at.
    pub(super) now: Now,
    /// The objects.
    pub(super) model: Arc<Model>,
    /// What is known of them.
    pub(super) table: Table,
    /// How long readiness waits for the first health round.
    pub(super) ready_timeout: Duration,
}

impl View {
    pub(super) fn new(board: &Board, generation: u64, now: Now) -> Self {
        Self {
            node: board.prepared().node.clone(),
            generation,
            now,
            model: board.model().clone(),
            table: board.table().clone(),
            ready_timeout: board.prepared().ready_timeout,
        }
    }
}
