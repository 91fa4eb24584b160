//! Everything that is known at one moment, to be shown to people and programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::board::Board;
use super::memory::Now;
use super::prepare::ViewZones;
use crate::answer::Transfers;
use crate::catalog::Refused;
use crate::status::Override;
use crate::wideip::{Summaries, Tables};
use crate::zone::{Zone, ZoneId};

/// How much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// All but the statuses of servers and datacenters: cheap to make.
    Tables,
    /// Everything.
    Whole,
}

/// What the publisher knows, as one value.
pub(super) struct View {
    /// This node's name.
    pub(super) node: Arc<str>,
    /// The generation of the snapshot in use.
    pub(super) generation: u64,
    /// When it was looked at.
    pub(super) now: Now,
    /// The objects and what is known of them.
    pub(super) tables: Tables,
    /// What follows of servers and datacenters; empty where nobody asked for it.
    pub(super) summaries: Summaries,
    /// What operators have enabled and disabled.
    pub(super) overrides: Vec<Override>,
    /// The zones in use.
    pub(super) zones: Vec<(ZoneId, Arc<Zone>)>,
    /// Where they come from, and who may have them.
    pub(super) transfers: Arc<Transfers>,
    /// The catalogs from elsewhere, and how many members each brings.
    pub(super) catalogs: BTreeMap<ZoneId, usize>,
    /// The zones that they list in vain.
    pub(super) refused: Vec<Refused>,
}

impl View {
    pub(super) fn new(board: &Board, detail: Detail, generation: u64, now: Now) -> Self {
        Self {
            node: board.prepared().node.clone(),
            generation,
            now,
            tables: board.tables().clone(),
            summaries: if detail == Detail::Whole { board.summaries() } else { Summaries::default() },
            overrides: board.table().overrides().iter().cloned().collect(),
            zones: board.prepared().views.iter().flat_map(ViewZones::zones).collect(),
            transfers: Arc::clone(&board.prepared().answer.transfers),
            catalogs: board.catalogs().consumed().map(|(id, members)| (id.clone(), members)).collect(),
            refused: board.catalogs().refused().to_vec(),
        }
    }
}
