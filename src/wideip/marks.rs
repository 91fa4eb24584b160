//! Which members of a small pool are usable: a word per pool beside its row, so that the flip of a virtual server that leaves
//! its pools available is published without making their rows anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::VirtualServerView;
use super::derive::is_usable;
use super::rows::MemberState;
use crate::status::{Availability, Enabled, Freshness};

/// The most members of a pool that has marks.
pub(super) const MARKED_MAX: usize = 16;

/// One bit for each member of a pool, and within what they may change while its row stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// Those that may be answered: enabled, available or unknown, and with something to answer.
    pub(super) usable: u16,
    /// Those of them that are available.
    available: u16,
    /// The members that are enabled and have something to answer.
    candidates: u16,
    /// The fewest usable members; 0 where every change needs another row.
    needed: u8,
}

impl Marks {
    /// The marks of a pool whose members are in these states; they may change while `needed` of them are usable.
    pub(super) fn of(states: &[MemberState], needed: u32) -> Self {
        let bits = |holds: &dyn Fn(&MemberState) -> bool| {
            states.iter().zip(0..).filter(|(state, _)| holds(state)).fold(0, |bits, (_, at)| bits | bit(at))
        };
        let is_candidate = |state: &MemberState| state.is_enabled && state.can_be_answered;
        Self {
            usable: bits(&|state| is_candidate(state) && is_usable(state.availability)),
            available: bits(&|state| is_candidate(state) && state.availability == Availability::Available),
            candidates: bits(&is_candidate),
            needed: u8::try_from(needed.max(1)).unwrap_or(0),
        }
    }

    /// The same, but that every change needs another row: the pool is not available.
    pub(super) const fn fixed(self) -> Self {
        Self { candidates: 0, needed: 0, ..self }
    }

    /// The marks after a change of one member; none where the pool's row must be made anew, as for one that was not
    /// available or will not be.
    fn with(self, member: u32, availability: Availability) -> Option<Self> {
        let bit = bit(member) & self.candidates;
        let set = |bits: u16, holds| if holds { bits | bit } else { bits & !bit };
        let marks = Self {
            usable: set(self.usable, is_usable(availability)),
            available: set(self.available, availability == Availability::Available),
            ..self
        };
        let stays = self.needed > 0 && marks.usable.count_ones() >= self.needed.into() && marks.available != 0;
        stays.then_some(marks)
    }

    /// Whether a member is usable.
    #[inline]
    pub(super) fn has(usable: u16, member: u32) -> bool {
        usable & bit(member) != 0
    }

    const fn to_word(self) -> u64 {
        let [a, b] = self.usable.to_le_bytes();
        let [c, d] = self.available.to_le_bytes();
        let [e, f] = self.candidates.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, self.needed, 0])
    }

    #[inline]
    const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, needed, _] = word.to_le_bytes();
        let [usable, available, candidates] =
            [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]), u16::from_le_bytes([e, f])];
        Self { usable, available, candidates, needed }
    }
}

#[inline]
fn bit(member: u32) -> u16 {
    1_u16.checked_shl(member).unwrap_or(0)
}

impl VirtualServerView {
    /// What the virtual server counts as in every pool alike; none where that depends on the pool or it is left out.
    pub(super) fn standing(&self) -> Option<Availability> {
        let is_alike = self.freshness != Freshness::Expired && self.status.enabled == Enabled::Enabled;
        is_alike.then(|| self.held.unwrap_or(Availability::Unknown))
    }
}

/// Pools per piece: other rows copy a pointer per piece and the pieces of their pools.
const PIECE: usize = 512;

type Piece = Arc<[AtomicU64; PIECE]>;

/// The marks of all pools. A change within their bounds happens in place, and shows in every snapshot that shares the piece:
/// all of them have the same row of the pool, for another row comes with a piece of its own. So what a reader finds always
/// fits the row it has, and no snapshot is copied for it. One thread changes them.
#[derive(Debug, Clone)]
pub(super) struct MarkList {
    pieces: Arc<[Piece]>,
}

impl MarkList {
    /// The marks of so many pools without any.
    pub(super) fn new(length: usize) -> Self {
        Self { pieces: (0..length.div_ceil(PIECE)).map(|_| piece(|_| 0)).collect() }
    }

    /// Those of one pool; none behind the end.
    #[inline]
    pub(super) fn get(&self, pool: usize) -> Marks {
        let slot = self.pieces.get(pool / PIECE).and_then(|piece| piece.get(pool % PIECE));
        Marks::from_word(slot.map_or(0, |slot| slot.load(Ordering::Relaxed)))
    }

    /// Marks in place what became of a member; gives the marks before it, none where the pool's row must be made anew.
    pub(super) fn mark(&self, pool: usize, member: u32, availability: Availability) -> Option<Marks> {
        let slot = self.pieces.get(pool / PIECE)?.get(pool % PIECE)?;
        let before = Marks::from_word(slot.load(Ordering::Relaxed));
        let marks = before.with(member, availability)?;
        // Whoever loads the next snapshot sees it, as all that was written before.
        slot.store(marks.to_word(), Ordering::Relaxed);
        Some(before)
    }

    /// A copy with the marks of other rows.
    pub(super) fn with(&self, others: impl IntoIterator<Item = (usize, Marks)>) -> Self {
        let mut pieces = self.pieces.to_vec();
        for (pool, marks) in others {
            let Some(of_pool) = pieces.get_mut(pool / PIECE) else { continue };
            if Arc::get_mut(of_pool).is_none() {
                *of_pool = piece(|at| of_pool.get(at).map_or(0, |slot| slot.load(Ordering::Relaxed)));
            }
            if let Some(slot) = Arc::get_mut(of_pool).and_then(|piece| piece.get_mut(pool % PIECE)) {
                *slot.get_mut() = marks.to_word();
            }
        }
        Self { pieces: pieces.into() }
    }
}

fn piece(word: impl Fn(usize) -> u64) -> Piece {
    Arc::new(std::array::from_fn(|at| AtomicU64::new(word(at))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{Available, Offline, Unavailable, Unknown};

    fn state(availability: Availability) -> MemberState {
        MemberState { availability, is_enabled: true, can_be_answered: true, connections: None }
    }

    #[test]
    fn a_change_is_a_mark_while_the_pool_stays_available() {
        let check = |states: &[Availability], needed, (member, becomes), expected: Option<u16>| {
            let states: Vec<MemberState> = states.iter().copied().map(state).collect();
            let after = Marks::of(&states, needed).with(member, becomes).map(|marks| marks.usable);
            assert_eq!(after, expected, "{states:?} {member} {becomes}");
        };
        check(&[Available, Available], 1, (0, Offline), Some(0b10));
        check(&[Available, Available], 1, (1, Unknown), Some(0b11));
        check(&[Available, Offline], 1, (1, Available), Some(0b11));
        check(&[Available, Unavailable], 1, (1, Offline), Some(0b01));
        // Too few are left, or none that is known to be available.
        check(&[Available, Available], 2, (0, Offline), None);
        check(&[Available, Offline], 1, (0, Offline), None);
        check(&[Available, Unknown], 1, (0, Offline), None);
        check(&[Available, Unknown], 1, (0, Unknown), None);
        check(&[Available, Available], 1000, (0, Available), None);
    }

    #[test]
    fn what_is_disabled_or_has_no_address_gets_no_mark() {
        let off = MemberState { is_enabled: false, ..state(Available) };
        let bare = MemberState { can_be_answered: false, ..state(Available) };
        let marks = Marks::of(&[off, bare, state(Available)], 1);
        assert_eq!(marks.usable, 0b100);
        assert_eq!(marks.with(0, Available), Some(marks));
        assert_eq!(marks.with(1, Offline), Some(marks));
        assert_eq!(marks.fixed().with(2, Available), None);
    }

    #[test]
    fn a_mark_shows_in_every_list_with_the_same_row_and_another_row_in_its_own() {
        let marks = Marks::of(&[state(Available), state(Available)], 1);
        let first = MarkList::new(2000).with([(600, marks), (601, marks), (9999, marks)]);
        let usable = |list: &MarkList, pool| list.get(pool).usable;
        assert_eq!([599, 600, 601, 9999].map(|pool| usable(&first, pool)), [0, 0b11, 0b11, 0]);
        let second = first.with([(1, marks)]);
        assert_eq!(second.mark(600, 0, Offline), Some(marks));
        assert_eq!((usable(&first, 600), usable(&second, 600)), (0b10, 0b10), "both have the same row");
        let third = second.with([(601, marks.fixed())]);
        assert!(third.mark(600, 0, Available).is_some());
        assert_eq!((third.mark(601, 0, Offline), third.mark(9999, 0, Offline)), (None, None));
        assert_eq!((usable(&second, 600), usable(&third, 600)), (0b10, 0b11), "a piece of its own");
        assert!(second.mark(601, 1, Offline).is_some(), "the row before is as it was");
        assert_eq!((usable(&second, 601), usable(&third, 601)), (0b01, 0b11));
        let shared: Vec<bool> = (0..4).map(|at| Arc::ptr_eq(&second.pieces[at], &third.pieces[at])).collect();
        assert_eq!(shared, [true, false, true, true]);
    }

    #[test]
    fn marks_are_what_their_word_says() {
        let marks = Marks { usable: 0x8001, available: 0x8000, candidates: 0xC003, needed: 200 };
        assert_eq!(Marks::from_word(marks.to_word()), marks);
    }
}
