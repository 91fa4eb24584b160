//! A list that is never changed, of which a copy with a few rows replaced is cheap: chunks behind shared pointers.

use std::sync::Arc;

/// Rows per chunk. A publish copies one pointer per chunk and the chunks it changes: of 100,000 rows with 500 changed,
/// 32 keeps both parts about equal, and a chunk's heads within a few pages.
const ROWS: usize = 32;

/// A shared list of rows; a row is a head of fixed size and any number of words.
#[derive(Debug, Clone)]
pub(super) struct Chunks<H> {
    chunks: Arc<[Arc<Chunk<H>>]>,
    length: usize,
}

#[derive(Debug)]
struct Chunk<H> {
    heads: [H; ROWS],
    /// Where each row's words end; they start where those of the row before end.
    ends: [u32; ROWS],
    words: Box<[u32]>,
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
        let chunks = (0..length.div_ceil(ROWS)).map(|chunk| {
            Chunk::build(|row, words| {
                let index = chunk * ROWS + row;
                if index < length { make(index, words) } else { H::default() }
            })
        });
        Self { chunks: chunks.map(Arc::new).collect(), length }
    }

    /// The list with the rows in `changed` (ascending) made anew; chunks without a changed row are shared.
    pub(super) fn with(&self, changed: &[usize], mut make: impl FnMut(usize, Row<'_, H>, &mut Vec<u32>) -> H) -> Self {
        if changed.is_empty() {
            return self.clone();
        }
        let mut rest = changed;
        let chunks = self.chunks.iter().enumerate().map(|(at, chunk)| {
            let mine = rest.partition_point(|&index| index < (at + 1) * ROWS);
            let (mine, others) = rest.split_at(mine);
            rest = others;
            if mine.is_empty() {
                return chunk.clone();
            }
            Arc::new(Chunk::build(|row, words| {
                let Some(old) = chunk.row(row) else { return H::default() };
                if mine.contains(&(at * ROWS + row)) {
                    return make(at * ROWS + row, old, words);
                }
                words.extend_from_slice(old.words);
                old.head.clone()
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

impl<H: Clone + Default> Chunk<H> {
    fn build(mut make: impl FnMut(usize, &mut Vec<u32>) -> H) -> Self {
        let (mut words, mut of_row) = (Vec::new(), Vec::new());
        let mut ends = [0; ROWS];
        let heads = std::array::from_fn(|row| {
            of_row.clear();
            let head = make(row, &mut of_row);
            words.extend_from_slice(&of_row);
            if let Some(end) = ends.get_mut(row) {
                *end = u32::try_from(words.len()).unwrap_or(u32::MAX);
            }
            head
        });
        Self { heads, ends, words: words.into_boxed_slice() }
    }
}

impl<H> Chunk<H> {
    #[inline]
    fn row(&self, row: usize) -> Option<Row<'_, H>> {
        let end = |row: usize| self.ends.get(row).and_then(|&end| usize::try_from(end).ok());
        let start = if row == 0 { 0 } else { end(row - 1)? };
        Some(Row { head: self.heads.get(row)?, words: self.words.get(start..end(row)?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(length: usize) -> Chunks<usize> {
        Chunks::build(length, |index, words| {
            words.extend(std::iter::repeat_n(u32::try_from(index).unwrap(), index % 4));
            index
        })
    }

    #[test]
    fn every_row_has_its_own_head_and_words() {
        let list = list(100);
        for index in 0..100 {
            let row = list.get(index).unwrap();
            assert_eq!(*row.head, index);
            assert_eq!(row.words, vec![u32::try_from(index).unwrap(); index % 4]);
        }
        assert!(list.get(128).is_none());
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
        let shared: Vec<bool> = (0..4).map(|at| Arc::ptr_eq(&before.chunks[at], &after.chunks[at])).collect();
        assert_eq!(shared, [true, false, true, true]);
    }
}
