//! A list that is never changed, of which a copy with a few rows replaced is cheap: chunks behind shared pointers, and
//! those in branches behind shared pointers of their own.

use std::sync::Arc;

/// Rows per chunk.
const ROWS: usize = 16;

/// Chunks per branch. A copy takes one pointer per branch and, of what it changes, the branches' pointers and the chunks'
/// rows: of 100,000 rows with a few changed, 98 pointers and 64 for each. With one list of all chunks it would be 6,250, each
/// counted up by the copy and down by its end.
const CHUNKS: usize = 64;

/// Rows per branch.
const BRANCH: usize = ROWS * CHUNKS;

/// Words that a row holds itself, so that a short row is read without a further cache miss.
const INLINE: usize = 16;

/// A shared list of rows; a row is a head of fixed size and any number of words.
#[derive(Debug, Clone)]
pub(super) struct Chunks<H> {
    branches: Arc<[Branch<H>]>,
    length: usize,
}

type Branch<H> = Arc<[Arc<Chunk<H>>]>;

#[derive(Debug)]
struct Chunk<H> {
    slots: [Slot<H>; ROWS],
    /// The words of rows that have more than [`INLINE`].
    long: Box<[u32]>,
}

/// One row where it is kept: with a head of up to 56 octets it fills two cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<H> {
    head: H,
    /// Where the words of a long row start.
    start: u32,
    length: u32,
    words: [u32; INLINE],
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a, H> {
    pub(super) head: &'a H,
    pub(super) words: &'a [u32],
}

impl<H: Clone + Default> Chunks<H> {
    /// Builds `length` rows: `make` gives a row's head and fills in its words.
    pub(super) fn build(length: usize, mut make: impl FnMut(usize, &mut Vec<u32>) -> H) -> Self {
        let mut words = Vec::new();
        let mut chunk = |start: usize| {
            Chunk::build(|row, long| {
                words.clear();
                let index = start + row;
                let head = if index < length { make(index, &mut words) } else { H::default() };
                Slot::new(head, &words, long)
            })
        };
        let branch = |start: usize| {
            let end = length.min(start + BRANCH);
            (start..end).step_by(ROWS).map(|start| Arc::new(chunk(start))).collect()
        };
        Self { branches: (0..length).step_by(BRANCH).map(branch).collect(), length }
    }

    /// The list with the rows in `changed` (ascending) made anew; chunks without a changed row are shared.
    pub(super) fn with(&self, changed: &[usize], mut make: impl FnMut(usize, Row<'_, H>, &mut Vec<u32>) -> H) -> Self {
        if changed.is_empty() {
            return self.clone();
        }
        let mut words = Vec::new();
        let mut rest = changed.iter().copied().peekable();
        let mut branches = self.branches.to_vec();
        while let Some((at, branch)) = rest.peek().and_then(|row| branches.get_mut(row / BRANCH).map(|of| (*row, of))) {
            let of_branch = at / BRANCH * BRANCH..at / BRANCH * BRANCH + BRANCH;
            let mut chunks = branch.to_vec();
            while let Some(&next) = rest.peek().filter(|row| of_branch.contains(row)) {
                let Some(chunk) = chunks.get_mut(next % BRANCH / ROWS) else {
                    // Behind the end there is nothing to change.
                    rest.next();
                    continue;
                };
                let start = next / ROWS * ROWS;
                *chunk = Arc::new(Chunk::build(|row, long| {
                    let Some(old) = chunk.row(row) else { return Slot::new(H::default(), &[], long) };
                    if rest.next_if_eq(&(start + row)).is_none() {
                        return Slot::new(old.head.clone(), old.words, long);
                    }
                    words.clear();
                    let head = make(start + row, old, &mut words);
                    Slot::new(head, &words, long)
                }));
            }
            *branch = chunks.into();
        }
        Self { branches: branches.into(), length: self.length }
    }
}

impl<H> Chunks<H> {
    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// One row.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Row<'_, H>> {
        self.branches.get(index / BRANCH)?.get(index % BRANCH / ROWS)?.row(index % ROWS)
    }
}

impl<H> Chunk<H> {
    fn build(mut make: impl FnMut(usize, &mut Vec<u32>) -> Slot<H>) -> Self {
        let mut long = Vec::new();
        let slots = std::array::from_fn(|row| make(row, &mut long));
        Self { slots, long: long.into_boxed_slice() }
    }

    #[inline]
    fn row(&self, row: usize) -> Option<Row<'_, H>> {
        let slot = self.slots.get(row)?;
        let length = super::ids::index(slot.length);
        let words = match slot.words.get(..length) {
            Some(words) => words,
            None => self.long.get(super::ids::index(slot.start)..)?.get(..length)?,
        };
        Some(Row { head: &slot.head, words })
    }
}

impl<H> Slot<H> {
    fn new(head: H, words: &[u32], long: &mut Vec<u32>) -> Self {
        let mut slot = Self {
            head,
            start: u32::try_from(long.len()).unwrap_or(u32::MAX),
            length: u32::try_from(words.len()).unwrap_or(u32::MAX),
            words: [0; INLINE],
        };
        match slot.words.get_mut(..words.len()) {
            Some(inline) => inline.copy_from_slice(words),
            None => long.extend_from_slice(words),
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(length: usize) -> Chunks<usize> {
        Chunks::build(length, |index, words| {
            words.extend(std::iter::repeat_n(u32::try_from(index).unwrap(), index % 40));
            index
        })
    }

    #[test]
    fn every_row_has_its_own_head_and_words() {
        let list = list(100);
        for index in 0..100 {
            let row = list.get(index).unwrap();
            assert_eq!(*row.head, index);
            assert_eq!(row.words, vec![u32::try_from(index).unwrap(); index % 40]);
        }
        assert!(list.get(100).is_some_and(|row| row.words.is_empty()), "a chunk is filled up with empty rows");
        assert!(list.get(112).is_none());
    }

    #[test]
    fn a_change_replaces_its_rows_and_shares_the_other_chunks_and_branches() {
        let length = 2 * BRANCH + 100;
        let before = list(length);
        let changed = [33, 63, BRANCH + 1, length - 1, length + ROWS, 10 * BRANCH];
        let after = before.with(&changed, |index, old, words| {
            words.push(7);
            *old.head + index
        });
        for index in 0..length {
            let (old, new) = (before.get(index).unwrap(), after.get(index).unwrap());
            assert_eq!(*old.head, index, "the list before is untouched");
            if changed.contains(&index) {
                assert_eq!((*new.head, new.words), (2 * index, &[7][..]));
            } else {
                assert_eq!((new.head, new.words), (old.head, old.words));
            }
        }
        let chunks = |list: &Chunks<usize>| list.branches.iter().flat_map(|branch| branch.to_vec()).collect::<Vec<_>>();
        let (old, new) = (chunks(&before), chunks(&after));
        let differ: Vec<usize> = (0..old.len()).filter(|&at| !Arc::ptr_eq(&old[at], &new[at])).collect();
        assert_eq!(differ, [2, 3, CHUNKS, old.len() - 1]);
        let after = before.with(&[BRANCH], |index, _, _| index);
        let shared: Vec<bool> = (0..3).map(|at| Arc::ptr_eq(&before.branches[at], &after.branches[at])).collect();
        assert_eq!(shared, [true, false, true]);
    }
}
