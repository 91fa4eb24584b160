//! Disjoint address ranges with a value each: the longest-prefix structure that a look-up reads.
//!
//! The ranges are sorted by their first address and cover the whole family. A first level, indexed by the leading bits
//! of the address, tells which few ranges a binary search still has to look at.

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Bits: Copy + Ord {
    /// The first address.
    const FIRST: Self;

    /// The leading `count` bits as a number; `count` is at most 32 and at most the width.
    fn leading(self, count: u8) -> usize;
    /// The first address whose leading `count` bits are `number`.
    fn from_leading(number: usize, count: u8) -> Self;
    /// How many leading bits the two have in common.
    fn common(self, other: Self) -> u8;
    /// The address before, unless this is the first.
    fn before(self) -> Option<Self>;
    /// The address behind the prefix of that length around this one, unless it ends with the last address.
    fn behind_prefix(self, length: u8) -> Option<Self>;
}

macro_rules! bits {
    ($type:ty, $width:literal) => {
        impl Bits for $type {
            const FIRST: Self = 0;

            fn leading(self, count: u8) -> usize {
                let shifted = self.checked_shr(u32::from($width - count)).unwrap_or(0);
                usize::try_from(shifted).unwrap_or(usize::MAX)
            }

            fn from_leading(number: usize, count: u8) -> Self {
                Self::try_from(number).unwrap_or(0).checked_shl(u32::from($width - count)).unwrap_or(0)
            }

            fn common(self, other: Self) -> u8 {
                u8::try_from((self ^ other).leading_zeros()).unwrap_or($width)
            }

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn behind_prefix(self, length: u8) -> Option<Self> {
                let one: Self = 1;
                self.checked_add(one.checked_shl(u32::from($width - length))?)
            }
        }
    };
}

bits!(u32, 32);
bits!(u128, 128);

/// Turns an index that is stored in 32 bits into one that can be used.
#[expect(clippy::as_conversions, reason = "an index of 32 bits fits usize wherever this runs")]
pub(super) const fn index(stored: u32) -> usize {
    stored as usize
}

/// Turns an index into what is stored of it; compiled structures are limited far below 2^32 entries.
pub(super) fn stored(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Values by where they begin; each holds until the next begins. The first begins at the first address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boundaries<T> {
    list: Vec<(T, u32)>,
}

impl<T: Bits> Boundaries<T> {
    /// One range over everything, with value 0.
    pub(super) fn new() -> Self {
        Self { list: vec![(T::FIRST, 0)] }
    }

    /// Lets a value begin at an address that is not before the last one given. Neighbours with one value merge.
    pub(super) fn begin(&mut self, at: T, value: u32) {
        while self.list.last().is_some_and(|(last, _)| *last >= at) {
            self.list.pop();
        }
        if self.list.last().is_none_or(|(_, last)| *last != value) {
            self.list.push((at, value));
        }
    }

    /// Lets a value hold in a prefix that is behind everything given, and 0 behind it.
    pub(super) fn prefix(&mut self, first: T, length: u8, value: u32) {
        self.begin(first, value);
        if let Some(behind) = first.behind_prefix(length) {
            self.begin(behind, 0);
        }
    }

    /// The ranges, in order.
    pub(super) fn as_slice(&self) -> &[(T, u32)] {
        &self.list
    }
}

/// Compiled ranges.
#[derive(Debug)]
pub(super) struct Ranges<T> {
    /// How many leading bits the first level is indexed by.
    index_bits: u8,
    /// For each value of the leading bits, the range that holds its first address; one more for the end.
    first_level: Vec<u32>,
    /// Where each range begins.
    starts: Vec<T>,
    /// What holds in each range.
    values: Vec<u32>,
}

/// The first level has at most 2 to this power entries (4 MiB).
const INDEX_BITS_MAX: u8 = 20;

impl<T: Bits> Ranges<T> {
    /// Compiles ranges.
    pub(super) fn new(boundaries: &Boundaries<T>) -> Self {
        let list = boundaries.as_slice();
        let (starts, values): (Vec<T>, Vec<u32>) = list.iter().copied().unzip();
        let index_bits = u8::try_from(list.len().ilog2()).unwrap_or(INDEX_BITS_MAX).min(INDEX_BITS_MAX);
        let mut first_level = Vec::with_capacity((1 << index_bits) + 1);
        let mut range = 0;
        for number in 0..1_usize << index_bits {
            let first = T::from_leading(number, index_bits);
            while starts.get(range + 1).is_some_and(|start| *start <= first) {
                range += 1;
            }
            first_level.push(stored(range));
        }
        first_level.push(stored(starts.len().saturating_sub(1)));
        Self { index_bits, first_level, starts, values }
    }

    /// Finds the value at an address, and the length of the shortest prefix around it in which that value holds.
    pub(super) fn find(&self, address: T) -> (u32, u8) {
        let range = self.range_of(address);
        let start = self.starts.get(range).copied().unwrap_or(T::FIRST);
        // The shortest prefix that holds the address but neither of the range's outer neighbours.
        let below = start.before().map_or(0, |outside| outside.common(address) + 1);
        let above = self.starts.get(range + 1).map_or(0, |outside| outside.common(address) + 1);
        (self.values.get(range).copied().unwrap_or(0), below.max(above))
    }

    /// How much memory it holds, in octets.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.first_level.as_slice())
            + size_of_val(self.starts.as_slice())
            + size_of_val(self.values.as_slice())
    }

    fn range_of(&self, address: T) -> usize {
        let cell = address.leading(self.index_bits);
        let first = self.first_level.get(cell).copied().map_or(0, index);
        let last = self.first_level.get(cell + 1).copied().map_or(first, index);
        let behind = self.starts.get(first + 1..=last).unwrap_or(&[]);
        first + behind.partition_point(|start| *start <= address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_length_of_zero_means_the_whole_family() {
        let ranges = Ranges::new(&Boundaries::<u32>::new());
        assert_eq!(ranges.find(0), (0, 0));
        assert_eq!(ranges.find(u32::MAX), (0, 0));
    }

    #[test]
    fn equal_neighbours_merge_and_the_prefix_grows() {
        let mut boundaries = Boundaries::<u32>::new();
        boundaries.prefix(0x0a00_0000, 9, 7);
        boundaries.prefix(0x0a80_0000, 9, 7);
        let ranges = Ranges::new(&boundaries);
        assert_eq!(ranges.find(0x0a12_3456), (7, 8));
        assert_eq!(ranges.find(0x0aff_ffff), (7, 8));
        assert_eq!(ranges.find(0x0b00_0000), (0, 8));
        assert_eq!(ranges.find(0x8000_0000), (0, 1));
    }

    #[test]
    fn the_last_prefix_of_the_family_is_found() {
        let mut boundaries = Boundaries::<u128>::new();
        boundaries.prefix(u128::MAX, 128, 3);
        let ranges = Ranges::new(&boundaries);
        assert_eq!(ranges.find(u128::MAX), (3, 128));
        assert_eq!(ranges.find(u128::MAX - 1), (0, 128));
        assert_eq!(ranges.find(0), (0, 1));
    }

    proptest! {
        #[test]
        fn a_look_up_agrees_with_a_search_of_all(
            mut starts in prop::collection::vec((any::<u32>(), 0_u32..4), 0..200), probes in prop::collection::vec(any::<u32>(), 50)
        ) {
            starts.sort_unstable();
            let mut boundaries = Boundaries::<u32>::new();
            starts.iter().for_each(|(at, value)| boundaries.begin(*at, *value));
            let ranges = Ranges::new(&boundaries);
            let plain = |address: u32| boundaries.as_slice().iter().rev().find(|(start, _)| *start <= address).unwrap().1;
            for address in probes.into_iter().chain(starts.iter().map(|(at, _)| *at)) {
                let (value, length) = ranges.find(address);
                prop_assert_eq!(value, plain(address));
                let block = |length: u8| {
                    let size = 1_u64 << (32 - length);
                    let first = u64::from(address) / size * size;
                    boundaries.as_slice().iter().map(|(start, _)| u64::from(*start))
                        .filter(move |start| *start > first && *start < first + size)
                        .chain([first]).all(|at| plain(u32::try_from(at).unwrap()) == value)
                };
                prop_assert!(block(length));
                prop_assert!(length == 0 || !block(length - 1));
            }
        }
    }
}
