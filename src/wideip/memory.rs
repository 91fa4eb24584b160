//! What one worker's decisions may change: its cursors, its random source and the members it picked last.

use super::Tables;
use super::marks::MARKED_MAX;
use super::select::mix;

/// A worker's own state. Nothing in it is shared, so nothing in it is locked.
#[derive(Debug, Clone)]
pub struct Memory {
    random: u64,
    pool_cursors: Vec<u32>,
    wide_ip_cursors: Vec<u32>,
    pub(super) picked: Vec<u32>,
    /// Ratios or scores of the members in question.
    pub(super) weights: Vec<u32>,
    /// Scores of the classes of members.
    pub(super) scores: Vec<u32>,
    /// The usable members of a pool, where they are others than when its row was made, and the running sums of ratios.
    pub(super) items: Vec<u32>,
    pub(super) sums: Vec<u32>,
}

impl Memory {
    /// A memory whose draws follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self {
            random: seed,
            pool_cursors: Vec::new(),
            wide_ip_cursors: Vec::new(),
            picked: Vec::new(),
            weights: Vec::new(),
            scores: Vec::new(),
            items: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// The members that the last decision picked, in the order of the answer, as indices into the pool's members.
    pub fn picked(&self) -> &[u32] {
        &self.picked
    }

    /// Makes room for the objects of `tables`: allocates when they are more than before, and only then. After a reload
    /// the cursors stand where those of other objects stood, which is as good a place to start as any.
    #[inline]
    pub(super) fn fit(&mut self, tables: &Tables) {
        self.picked.clear();
        let (pools, wide_ips, members) = tables.sizes();
        if self.pool_cursors.len() < pools {
            self.pool_cursors.resize(pools, 0);
        }
        if self.wide_ip_cursors.len() < wide_ips {
            self.wide_ip_cursors.resize(wide_ips, 0);
        }
        if self.picked.capacity() < members {
            self.picked.reserve(members);
            self.weights.reserve(members);
            self.scores.reserve(members);
            self.items.reserve(MARKED_MAX);
            self.sums.reserve(MARKED_MAX);
        }
    }

    /// Sixty-four random bits (splitmix64): even enough to share load, not secret.
    #[inline]
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    /// Reads where a pool's turn is kept.
    #[inline]
    pub(super) fn touch(&self, pool: usize) -> u64 {
        self.pool_cursors.get(pool).copied().map_or(0, u64::from)
    }

    /// Where a pool's turn is, in `0..count`; the next turn is one further.
    #[inline]
    pub(super) fn turn_of_pool(&mut self, pool: usize, count: usize) -> usize {
        turn(self.pool_cursors.get_mut(pool), count)
    }

    /// Where a wide IP's turn is, in `0..count`; the next turn is one further.
    #[inline]
    pub(super) fn turn_of_wide_ip(&mut self, wide_ip: usize, count: usize) -> usize {
        turn(self.wide_ip_cursors.get_mut(wide_ip), count)
    }
}

#[inline]
fn turn(cursor: Option<&mut u32>, count: usize) -> usize {
    if count < 2 {
        return 0;
    }
    let Some(cursor) = cursor else { return 0 };
    let turn = usize::try_from(*cursor).unwrap_or(0) % count;
    *cursor = cursor.wrapping_add(1);
    turn
}
