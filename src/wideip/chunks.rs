//! A list that is never changed, of which a copy with a few rows replaced is cheap: chunks behind shared pointers.

use std::sync::Arc;

/// Rows per chunk. A publish copies one pointer per chunk and the chunks it changes: of 100,000 rows with 500 changed,
/// 16 keeps both parts about equal.
const ROWS: usize = 16;

/// Words that a row holds itself, so that a short row is read without a further cache miss.
const INLINE: usize = 16;

/// A shared list of rows; a row is a head of fixed size and any number of words.
#[derive(Debug, Clone)]
pub(super) struct Chunks<H> {
    chunks: Arc<[Arc<Chunk<H>>]>,
    length: usize,
}

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
        let chunks = (0..length.div_ceil(ROWS)).map(|chunk| {
            Chunk::build(|row, long| {
                words.clear();
                let index = chunk * ROWS + row;
                let head = if index < length { make(index, &mut words) } else { H::default() };
                Slot::new(head, &words, long)
            })
        });
        Self { chunks: chunks.map(Arc::new).collect(), length }
    }

    /// The list with the rows in `changed` (ascending) made anew; chunks without a changed row are shared.
    pub(super) fn with(&self, changed: &[usize], mut make: impl FnMut(usize, Row<'_, H>, &mut Vec<u32>) -> H) -> Self {
        if changed.is_empty() {
            return self.clone();
        }
        let mut words = Vec::new();
        let mut rest = changed.iter().copied().peekable();
        let chunks = self.chunks.iter().enumerate().map(|(at, chunk)| {
            if rest.peek().is_none_or(|&next| next >= (at + 1) * ROWS) {
                return chunk.clone();
            }
            Arc::new(Chunk::build(|row, long| {
                let Some(old) = chunk.row(row) else { return Slot::new(H::default(), &[], long) };
                if rest.next_if_eq(&(at * ROWS + row)).is_none() {
                    return Slot::new(old.head.clone(), old.words, long);
                }
                words.clear();
                let head = make(at * ROWS + row, old, &mut words);
                Slot::new(head, &words, long)
            }))
        });
        Self { chunks: chunks.collect(), length: self.length }
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
        self.chunks.get(index / ROWS)?.row(index % ROWS)
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
    fn a_change_replaces_its_rows_and_shares_the_other_chunks() {
        let before = list(100);
        let after = before.with(&[33, 63], |index, old, words| {
            words.push(7);
            *old.head + index
        });
        for index in 0..100 {
            let (old, new) = (before.get(index).unwrap(), after.get(index).unwrap());
            assert_eq!(*old.head, index, "the list before is untouched");
            if index == 33 || index == 63 {
                assert_eq!((*new.head, new.words), (2 * index, &[7][..]));
            } else {
                assert_eq!((new.head, new.words), (old.head, old.words));
            }
        }
        let shared: Vec<bool> = (0..7).map(|at| Arc::ptr_eq(&before.chunks[at], &after.chunks[at])).collect();
        assert_eq!(shared, [true, true, false, false, true, true, true]);
    }
}
