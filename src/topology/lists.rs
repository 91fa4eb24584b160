//! For each class of clients, the first record for each answer condition: what a score is looked up in.

use std::collections::HashMap;

use super::error::TopologyError;
use super::ranges::{index, stored};

/// For an answer condition, the place of the first record that a class has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) answer: u32,
    pub(super) rank: u32,
}

/// A list of entries, ascending by answer condition, each condition once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct List {
    start: u32,
    length: u32,
}

/// All lists, equal ones stored once.
#[derive(Debug, Default)]
pub(super) struct Lists {
    entries: Vec<Entry>,
}

impl Lists {
    /// Finds the first record of a list for an answer that matches these conditions (ascending).
    pub(super) fn first(&self, list: List, matches: &[u32]) -> Option<u32> {
        let entries = self.entries.get(index(list.start)..index(list.start) + index(list.length)).unwrap_or(&[]);
        // The shorter side is walked, the longer one searched.
        if entries.len() < matches.len() {
            let found = entries.iter().filter(|entry| matches.binary_search(&entry.answer).is_ok());
            return found.map(|entry| entry.rank).min();
        }
        let mut rest = entries;
        let mut first = None;
        for answer in matches {
            let from = rest.partition_point(|entry| entry.answer < *answer);
            rest = rest.get(from..).unwrap_or(&[]);
            let found = rest.first().filter(|entry| entry.answer == *answer).map(|entry| entry.rank);
            first = match (first, found) {
                (Some(first), Some(found)) => Some(found.min(first)),
                (first, found) => first.or(found),
            };
        }
        first
    }

    /// How much memory it holds, in octets.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.entries.as_slice())
    }
}

/// Lists while they are collected.
#[derive(Debug)]
pub(super) struct ListBuilder {
    lists: Lists,
    known: HashMap<Box<[Entry]>, List>,
    /// How many more entries may be collected, equal ones and shadowed ones counted.
    left: usize,
}

/// The most entries that lists are made from; it bounds memory and time of compiling.
const ENTRIES_MAX: usize = 1 << 24;

impl ListBuilder {
    pub(super) fn new() -> Self {
        Self { lists: Lists::default(), known: HashMap::from([(Box::from([]), List::default())]), left: ENTRIES_MAX }
    }

    /// Stores a list of entries in any order, shadowed ones among them.
    ///
    /// # Errors
    /// All lists together are too large.
    pub(super) fn add(&mut self, mut entries: Vec<Entry>) -> Result<List, TopologyError> {
        self.left = self.left.checked_sub(entries.len()).ok_or(TopologyError::TooLarge { limit: ENTRIES_MAX })?;
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.answer);
        if let Some(list) = self.known.get(entries.as_slice()) {
            return Ok(*list);
        }
        let list = List { start: stored(self.lists.entries.len()), length: stored(entries.len()) };
        self.lists.entries.extend_from_slice(&entries);
        self.known.insert(entries.into_boxed_slice(), list);
        Ok(list)
    }

    pub(super) fn finish(mut self) -> Lists {
        self.lists.entries.shrink_to_fit();
        self.lists
    }
}
