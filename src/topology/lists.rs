//! For each class of clients, the first record for each answer condition: what a score is looked up in.

use std::collections::HashMap;

use super::error::TopologyError;
use super::ranges::{index, stored};

/// A record by its place in the order of records, with what it scores: kept beside the place, so that a score costs no
/// further look into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct First {
    pub(super) rank: u32,
    pub(super) value: u32,
}

/// For an answer condition, the first record that a class has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) answer: u32,
    pub(super) first: First,
}

/// Entries, each answer condition once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum List {
    /// No entry.
    #[default]
    Empty,
    /// One entry, the usual list of a prefix or an autonomous system: it is read without another look into memory.
    One(Entry),
    /// Few of all answer conditions: entries, ascending, from there on.
    Sparse { start: u32, length: u32 },
    /// Many of all answer conditions: a row from there on, with the first record of each condition or [`NONE`].
    Dense { start: u32 },
}

/// No record in a row.
const NONE: First = First { rank: u32::MAX, value: 0 };

/// A row is made when at least one in so many conditions has an entry: it then needs at most four times the memory.
const DENSE_FROM: usize = 8;

/// All lists, equal ones stored once.
#[derive(Debug, Default)]
pub(super) struct Lists {
    entries: Vec<Entry>,
    rows: Vec<First>,
}

impl Lists {
    /// Finds the first record of a list for an answer that matches these conditions (ascending).
    pub(super) fn first(&self, list: List, matches: &[u32]) -> Option<First> {
        match list {
            List::Empty => None,
            List::One(entry) => matches.contains(&entry.answer).then_some(entry.first),
            List::Sparse { start, length } => {
                let entries = self.entries.get(index(start)..index(start) + index(length)).unwrap_or(&[]);
                first_of(entries, matches)
            }
            List::Dense { start } => {
                let row = self.rows.get(index(start)..).unwrap_or(&[]);
                let firsts = matches.iter().filter_map(|answer| row.get(index(*answer)));
                firsts.copied().min().filter(|first| *first != NONE)
            }
        }
    }

    /// How much memory it holds, in octets.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.entries.as_slice()) + size_of_val(self.rows.as_slice())
    }
}

/// The shorter side is walked, the longer one searched.
fn first_of(entries: &[Entry], matches: &[u32]) -> Option<First> {
    if entries.len() < matches.len() {
        let found = entries.iter().filter(|entry| matches.binary_search(&entry.answer).is_ok());
        return found.map(|entry| entry.first).min();
    }
    let found = matches.iter().filter_map(|answer| {
        let at = entries.binary_search_by_key(answer, |entry| entry.answer).ok()?;
        entries.get(at)
    });
    found.map(|entry| entry.first).min()
}

/// Lists while they are collected.
#[derive(Debug)]
pub(super) struct ListBuilder {
    lists: Lists,
    known: HashMap<Box<[Entry]>, List>,
    /// How many answer conditions there are.
    answers: usize,
    /// How many more entries may be collected, equal ones and shadowed ones counted.
    left: usize,
}

/// The most entries that lists are made from; it bounds memory and time of compiling.
const ENTRIES_MAX: usize = 1 << 24;

impl ListBuilder {
    /// Starts without lists; there are so many answer conditions.
    pub(super) fn new(answers: usize) -> Self {
        Self { lists: Lists::default(), known: HashMap::new(), answers, left: ENTRIES_MAX }
    }

    /// Stores a list of entries in any order, shadowed ones among them.
    ///
    /// # Errors
    /// All lists together are too large.
    pub(super) fn add(&mut self, mut entries: Vec<Entry>) -> Result<List, TopologyError> {
        self.left = self.left.checked_sub(entries.len()).ok_or(TopologyError::TooLarge { limit: ENTRIES_MAX })?;
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.answer);
        match entries.as_slice() {
            [] => return Ok(List::Empty),
            [entry] => return Ok(List::One(*entry)),
            _ => {}
        }
        if let Some(list) = self.known.get(entries.as_slice()) {
            return Ok(*list);
        }
        let list = if entries.len().saturating_mul(DENSE_FROM) >= self.answers {
            self.add_row(&entries)
        } else {
            let start = stored(self.lists.entries.len());
            self.lists.entries.extend_from_slice(&entries);
            List::Sparse { start, length: stored(entries.len()) }
        };
        self.known.insert(entries.into_boxed_slice(), list);
        Ok(list)
    }

    /// All lists.
    pub(super) fn finish(mut self) -> Lists {
        self.lists.entries.shrink_to_fit();
        self.lists.rows.shrink_to_fit();
        self.lists
    }

    fn add_row(&mut self, entries: &[Entry]) -> List {
        let start = self.lists.rows.len();
        self.lists.rows.resize(start + self.answers, NONE);
        for entry in entries {
            if let Some(first) = self.lists.rows.get_mut(start + index(entry.answer)) {
                *first = entry.first;
            }
        }
        List::Dense { start: stored(start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(answer: u32, rank: u32) -> Entry {
        Entry { answer, first: First { rank, value: 100 + rank } }
    }

    fn check(answers: usize, entries: &[(u32, u32)], matches: &[u32], expected: Option<u32>) -> List {
        let mut builder = ListBuilder::new(answers);
        // Another list in front, so that positions matter.
        builder.add(vec![entry(1, 9), entry(3, 9)]).unwrap();
        let list = builder.add(entries.iter().map(|&(answer, rank)| entry(answer, rank)).collect()).unwrap();
        let found = builder.finish().first(list, matches);
        assert_eq!(found, expected.map(|rank| entry(0, rank).first), "{entries:?} {matches:?}");
        list
    }

    #[test]
    fn the_first_record_of_all_matching_conditions_is_found_in_every_form() {
        for answers in [8, 1_000] {
            check(answers, &[], &[0, 1], None);
            check(answers, &[(4, 7)], &[0, 4], Some(7));
            check(answers, &[(4, 7)], &[0, 5], None);
            check(answers, &[(4, 7), (4, 6)], &[4], Some(6));
            check(answers, &[(0, 5), (4, 7), (6, 3)], &[0, 4], Some(5));
            check(answers, &[(0, 5), (4, 7), (6, 3)], &[4, 6], Some(3));
            check(answers, &[(0, 5), (4, 7), (6, 3)], &[1, 2, 3, 5, 7], None);
            check(answers, &[(0, 5), (4, 7), (6, 3)], &[0, 1, 2, 4, 5, 6, 7], Some(3));
        }
        assert!(matches!(check(8, &[(0, 5), (4, 7)], &[], None), List::Dense { .. }));
        assert!(matches!(check(1_000, &[(0, 5), (4, 7)], &[], None), List::Sparse { .. }));
        assert!(matches!(check(1_000, &[(0, 5)], &[], None), List::One(_)));
    }

    #[test]
    fn more_entries_than_allowed_are_an_error() {
        let mut builder = ListBuilder { left: 3, ..ListBuilder::new(8) };
        let entries = || vec![entry(1, 9), entry(3, 9)];
        assert!(builder.add(entries()).is_ok());
        assert!(matches!(builder.add(entries()), Err(TopologyError::TooLarge { limit: ENTRIES_MAX })));
    }
}
