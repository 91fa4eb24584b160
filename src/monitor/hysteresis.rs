//! Rise and fall: how many probes in a row it takes to change what is thought of one target. Pure; flap damping of what
//! is published is [`super::damping`].

use crate::status::Availability;

/// What one probe says of the target. A probe that could not be made says nothing and is not observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target did what was expected of it.
    Success,
    /// It did not.
    Failure,
}

/// The opinion one monitor has of one target.
///
/// | state | outcome | in a row, with this one | next state |
/// |---|---|---|---|
/// | unknown | success | any | available |
/// | unknown | failure | any | offline |
/// | available | success | any | available |
/// | available | failure | below `fall` | available |
/// | available | failure | `fall` or more | offline |
/// | offline | failure | any | offline |
/// | offline | success | below `rise` | offline |
/// | offline | success | `rise` or more | available |
///
/// The first probe decides at once, because there is no earlier opinion that a single probe could overturn by mistake,
/// and a node that waits for `fall` probes after its start would steer clients to a dead target meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hysteresis {
    rise: u32,
    fall: u32,
    state: Availability,
    /// Outcomes in a row that contradict the state.
    contrary: u32,
}

impl Hysteresis {
    /// No opinion yet. A `rise` or `fall` of 0 counts as 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), state: Availability::Unknown, contrary: 0 }
    }

    /// Takes in one outcome and returns the state after it.
    pub fn observe(&mut self, outcome: Outcome) -> Availability {
        let says = match outcome {
            Outcome::Success => Availability::Available,
            Outcome::Failure => Availability::Offline,
        };
        let needed = match (self.state, outcome) {
            (Availability::Available, _) => self.fall,
            (Availability::Offline, _) => self.rise,
            (Availability::Unknown | Availability::Unavailable, _) => 1,
        };
        if says == self.state {
            self.contrary = 0;
            return self.state;
        }
        self.contrary = self.contrary.saturating_add(1);
        if self.contrary >= needed {
            self.state = says;
            self.contrary = 0;
        }
        self.state
    }

    /// What is thought of the target: unknown, available or offline.
    pub fn state(&self) -> Availability {
        self.state
    }

    /// Outcomes in a row that contradict the state, and how many of them change it; none while all is as it was.
    pub fn turning(&self) -> Option<(u32, u32)> {
        match (self.contrary, self.state) {
            (0, _) => None,
            (contrary, Availability::Offline) => Some((contrary, self.rise)),
            (contrary, _) => Some((contrary, self.fall)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Failure, Success};
    use super::*;
    use crate::status::Availability::{Available, Offline, Unknown};
    use proptest::prelude::*;

    /// Feeds `outcomes` as a string of `+` and `-` and returns the states after each as `u`, `A` and `O`.
    fn states(rise: u32, fall: u32, outcomes: &str) -> String {
        let mut hysteresis = Hysteresis::new(rise, fall);
        let letter = |state| match state {
            Available => 'A',
            Offline => 'O',
            _ => 'u',
        };
        outcomes.chars().map(|c| letter(hysteresis.observe(if c == '+' { Success } else { Failure }))).collect()
    }

    #[test]
    fn every_row_of_the_truth_table_holds() {
        let rows = [
            ("unknown, success", "+", "A"),
            ("unknown, failure", "-", "O"),
            ("available, success", "++", "AA"),
            ("available, failure below fall", "+--", "AAA"),
            ("available, failure at fall", "+---", "AAAO"),
            ("offline, failure", "--", "OO"),
            ("offline, success below rise", "-+", "OO"),
            ("offline, success at rise", "-++", "OOA"),
            ("a success between failures starts the count again", "+--+--+", "AAAAAAA"),
            ("a failure between successes starts the count again", "-+-+-", "OOOOO"),
        ];
        for (row, outcomes, expected) in rows {
            assert_eq!(states(2, 3, outcomes), expected, "{row}");
        }
    }

    #[test]
    fn a_rise_or_fall_of_zero_counts_as_one() {
        assert_eq!(states(0, 0, "+-+-"), "AOAO");
    }

    #[test]
    fn progress_towards_a_change_is_told() {
        let mut hysteresis = Hysteresis::new(2, 3);
        assert_eq!((hysteresis.state(), hysteresis.turning()), (Unknown, None));
        hysteresis.observe(Success);
        hysteresis.observe(Failure);
        assert_eq!(hysteresis.turning(), Some((1, 3)));
        hysteresis.observe(Failure);
        hysteresis.observe(Failure);
        assert_eq!(hysteresis.turning(), None);
        hysteresis.observe(Success);
        assert_eq!(hysteresis.turning(), Some((1, 2)));
    }

    proptest! {
        #[test]
        fn a_change_needs_that_many_outcomes_in_a_row(
            rise in 1u32..5, fall in 1u32..5, outcomes in prop::collection::vec(any::<bool>(), 1..200)
        ) {
            let mut hysteresis = Hysteresis::new(rise, fall);
            let mut before = Unknown;
            for (index, good) in outcomes.iter().enumerate() {
                let state = hysteresis.observe(if *good { Success } else { Failure });
                if state != before && before != Unknown {
                    let needed = if state == Available { rise } else { fall };
                    let run = outcomes[..=index].iter().rev().take_while(|o| *o == good).count();
                    prop_assert!(run >= needed as usize, "changed after {} in a row", run);
                    prop_assert_eq!(state == Available, *good);
                }
                before = state;
            }
        }
    }
}
