//! Everything that is known at one moment, to be shown to people and programs.

use std::sync::Arc;

use super::board::Board;
use super::memory::Now;
use super::prepare::ViewZones;
use crate::status::Override;
use crate::wideip::Tables;
use crate::zone::{Zone, ZoneId};

/// What the publisher knows, as one value that is cheap to make.
pub(super) struct View {
    /// This node's name.
    pub(super) node: Arc<str>,
    /// The generation of the snapshot in use.
    pub(super) generation: u64,
    /// When it was looked at.
    pub(super) now: Now,
    /// The objects and what is known of them.
    pub(super) tables: Tables,
    /// What operators have enabled and disabled.
    pub(super) overrides: Vec<Override>,
    /// The zones in use.
    pub(super) zones: Vec<(ZoneId, Arc<Zone>)>,
}

impl View {
    pub(super) fn new(board: &Board, generation: u64, now: Now) -> Self {
        Self {
            node: board.prepared().node.clone(),
            generation,
            now,
            tables: board.tables().clone(),
            overrides: board.table().overrides().iter().cloned().collect(),
            zones: board.prepared().views.iter().flat_map(ViewZones::zones).collect(),
        }
    }
}
