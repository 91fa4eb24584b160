//! Signed updates of the last minutes, so that one sent again, by its sender or by somebody who saw it, is answered as it
//! was and not carried out twice: a record that went meanwhile must not come back.

use std::collections::{HashMap, VecDeque};

use crate::wire::Rcode;

/// How long a signature may be good: twice the usual fudge of RFC 8945 §10.
const SECONDS_KEPT: u64 = 600;
/// How many are remembered; past it the oldest go before their time, which takes a hundred updates a second.
const ENTRIES_MAX: usize = 65_536;

/// What was answered to signed updates.
#[derive(Default)]
pub(super) struct Replays {
    answered: HashMap<Box<[u8]>, Rcode>,
    /// In the order they came, with the time.
    order: VecDeque<(u64, Box<[u8]>)>,
}

impl Replays {
    /// What was answered to the update of that signature.
    pub(super) fn answered(&self, signature: &[u8]) -> Option<Rcode> {
        self.answered.get(signature).copied()
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, signature: &[u8], rcode: Rcode, now: u64) {
        while self.order.len() >= ENTRIES_MAX
            || self.order.front().is_some_and(|(time, _)| time.saturating_add(SECONDS_KEPT) < now)
        {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.answered.remove(&oldest);
        }
        let signature: Box<[u8]> = signature.into();
        if self.answered.insert(signature.clone(), rcode).is_none() {
            self.order.push_back((now, signature));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_for_as_long_as_its_signature_is_good_and_room_is_bounded() {
        let mut replays = Replays::default();
        replays.remember(b"one", Rcode::NOERROR, 1000);
        replays.remember(b"two", Rcode::YXRRSET, 1500);
        assert_eq!(replays.answered(b"one"), Some(Rcode::NOERROR));
        replays.remember(b"three", Rcode::NOERROR, 1601);
        assert_eq!([b"one", b"two"].map(|one| replays.answered(one)), [None, Some(Rcode::YXRRSET)]);
        for number in 0..=u64::try_from(ENTRIES_MAX).unwrap() {
            replays.remember(&number.to_be_bytes(), Rcode::NOERROR, 1602);
        }
        assert_eq!((replays.order.len(), replays.answered.len()), (ENTRIES_MAX, ENTRIES_MAX));
        assert_eq!(replays.answered(b"two"), None);
    }
}
