//! Which members of a small pool are usable: four octets per pool beside its row, so that the flip of a virtual server
//! that leaves its pools available is published without making their rows anew.

use std::sync::Arc;

use super::VirtualServerView;
use super::derive::is_usable;
use super::rows::MemberState;
use crate::status::{Availability, Enabled, Freshness};

/// The most members of a pool that has marks.
pub(super) const MARKED_MAX: usize = 16;

/// One bit for each member of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// Those that may be answered: enabled, available or unknown, and with something to answer.
    pub(super) usable: u16,
    /// Those of them that are available.
    available: u16,
}

/// Within what the marks of a pool may change while its row stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    /// The members that are enabled and have something to answer.
    candidates: u16,
    /// The fewest usable members; 0 where every change needs another row.
    needed: u8,
}

impl Marks {
    /// The marks of a pool whose members are in these states, and the bounds that hold if it is available and needs so
    /// many of them.
    pub(super) fn of(states: &[MemberState], needed: u32) -> (Self, Bounds) {
        let bits = |holds: &dyn Fn(&MemberState) -> bool| {
            states.iter().zip(0..).filter(|(state, _)| holds(state)).fold(0, |bits, (_, at)| bits | bit(at))
        };
        let is_candidate = |state: &MemberState| state.is_enabled && state.can_be_answered;
        let marks = Self {
            usable: bits(&|state| is_candidate(state) && is_usable(state.availability)),
            available: bits(&|state| is_candidate(state) && state.availability == Availability::Available),
        };
        (marks, Bounds { candidates: bits(&is_candidate), needed: u8::try_from(needed.max(1)).unwrap_or(0) })
    }

    /// The marks after a change of one member; none where the pool's row must be made anew, as for one that was not
    /// available or will not be.
    pub(super) fn with(self, bounds: Bounds, member: u32, availability: Availability) -> Option<Self> {
        let bit = bit(member) & bounds.candidates;
        let set = |bits: u16, holds| if holds { bits | bit } else { bits & !bit };
        let marks = Self {
            usable: set(self.usable, is_usable(availability)),
            available: set(self.available, availability == Availability::Available),
        };
        let stays = bounds.needed > 0 && marks.usable.count_ones() >= bounds.needed.into() && marks.available != 0;
        stays.then_some(marks)
    }

    /// Whether a member is usable.
    #[inline]
    pub(super) fn has(usable: u16, member: u32) -> bool {
        usable & bit(member) != 0
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

/// Values per piece: a publish copies a pointer per piece and the pieces it changes.
const PIECE: usize = 512;

/// A shared list of small values that is never changed; a copy with some replaced shares the pieces without them.
#[derive(Debug, Clone)]
pub(super) struct Dense<T> {
    pieces: Arc<[Arc<[T; PIECE]>]>,
}

impl<T: Copy + Default> Dense<T> {
    /// A list of `length` default values.
    pub(super) fn new(length: usize) -> Self {
        Self { pieces: (0..length.div_ceil(PIECE)).map(|_| Arc::new([T::default(); PIECE])).collect() }
    }

    /// One value; the default behind the end.
    #[inline]
    pub(super) fn get(&self, index: usize) -> T {
        value(&self.pieces, index)
    }

    /// A copy to be changed.
    pub(super) fn edit(&self) -> Editing<T> {
        Editing { pieces: self.pieces.to_vec() }
    }
}

/// A list under change.
pub(super) struct Editing<T> {
    pieces: Vec<Arc<[T; PIECE]>>,
}

impl<T: Copy + Default> Editing<T> {
    /// One value; the default behind the end.
    pub(super) fn get(&self, index: usize) -> T {
        value(&self.pieces, index)
    }

    /// Replaces one value.
    pub(super) fn set(&mut self, index: usize, value: T) {
        let piece = self.pieces.get_mut(index / PIECE).map(Arc::make_mut);
        if let Some(slot) = piece.and_then(|piece| piece.get_mut(index % PIECE)) {
            *slot = value;
        }
    }

    /// The list as it is now.
    pub(super) fn finish(self) -> Dense<T> {
        Dense { pieces: self.pieces.into() }
    }
}

#[inline]
fn value<T: Copy + Default>(pieces: &[Arc<[T; PIECE]>], index: usize) -> T {
    pieces.get(index / PIECE).and_then(|piece| piece.get(index % PIECE)).copied().unwrap_or_default()
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
            let (marks, bounds) = Marks::of(&states, needed);
            let after = marks.with(bounds, member, becomes).map(|marks| marks.usable);
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
        let (marks, bounds) = Marks::of(&[off, bare, state(Available)], 1);
        assert_eq!(marks.usable, 0b100);
        assert_eq!(marks.with(bounds, 0, Available), Some(marks));
        assert_eq!(marks.with(bounds, 1, Offline), Some(marks));
    }

    #[test]
    fn a_change_replaces_its_values_and_shares_the_other_pieces() {
        let before = Dense::<u8>::new(2000);
        let mut editing = before.edit();
        editing.set(600, 1);
        editing.set(601, 2);
        editing.set(9999, 3);
        assert_eq!((editing.get(600), editing.get(9999)), (1, 0));
        let after = editing.finish();
        assert_eq!([after.get(599), after.get(600), after.get(601), after.get(9999)], [0, 1, 2, 0]);
        assert_eq!(before.get(600), 0);
        let shared: Vec<bool> = (0..4).map(|at| Arc::ptr_eq(&before.pieces[at], &after.pieces[at])).collect();
        assert_eq!(shared, [true, false, true, true]);
    }
}
