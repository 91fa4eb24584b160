//! Disjoint address ranges with a value each: the longest-prefix structure that a look-up reads.
//!
//! The ranges are sorted by their first address and cover the whole family. A first level, indexed by the leading bits
//! of the address, tells which few ranges a binary search still has to look at.

/// An address as a number: `u32` for IPv4, `u128` for IPv6, `u64` for the half of IPv6 that networks are told by.
pub(super) trait Bits: Copy + Ord {
    /// How many bits an address has.
    const WIDTH: u8;
    /// The first address.
    const FIRST: Self;

    /// The `count` bits behind the first `skip`, as a number.
    fn part(self, skip: u8, count: u8) -> usize;
    /// The address with its first `skip` bits, then `number` in the next `count` bits, then zeros.
    fn with_part(self, skip: u8, count: u8, number: usize) -> Self;
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
            const WIDTH: u8 = $width;
            const FIRST: Self = 0;

            fn part(self, skip: u8, count: u8) -> usize {
                let behind = self.checked_shl(u32::from(skip)).unwrap_or(0);
                let part = behind.checked_shr(u32::from($width - count)).unwrap_or(0);
                usize::try_from(part).unwrap_or(usize::MAX)
            }

            fn with_part(self, skip: u8, count: u8, number: usize) -> Self {
                let kept = !Self::MAX.checked_shr(u32::from(skip)).unwrap_or(0);
                let number = Self::try_from(number).unwrap_or(0);
                self & kept | number.checked_shl(u32::from($width - skip - count)).unwrap_or(0)
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
bits!(u64, 64);
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

/// A range: where it begins, and what holds there.
#[derive(Debug, Clone, Copy)]
struct Range<T> {
    start: T,
    value: u32,
}

/// Compiled ranges.
#[derive(Debug)]
pub(super) struct Ranges<T> {
    /// How many leading bits the beginnings of all ranges but the first have in common.
    shared_bits: u8,
    /// How many bits behind these the first level is indexed by.
    index_bits: u8,
    /// For each value of these bits, the range that holds its first address; one more for the end.
    first_level: Vec<u32>,
    ranges: Vec<Range<T>>,
}

/// On average, 2 to this power ranges are left for the binary search: a cache line or two.
const LEFT_BITS: u32 = 3;

/// The first level has at most 2 to this power entries.
const INDEX_BITS_MAX: u8 = 20;

impl<T: Bits> Ranges<T> {
    /// Compiles ranges.
    pub(super) fn new(boundaries: &Boundaries<T>) -> Self {
        let ranges = boundaries.list.iter().map(|&(start, value)| Range { start, value });
        let ranges: Vec<Range<T>> = ranges.collect();
        let shared_bits = match ranges.get(1..) {
            Some([second, .., last]) => second.start.common(last.start).min(T::WIDTH - INDEX_BITS_MAX).min(31),
            _ => 0,
        };
        let index_bits = ranges.len().ilog2().saturating_sub(LEFT_BITS);
        let index_bits = u8::try_from(index_bits).unwrap_or(INDEX_BITS_MAX).min(INDEX_BITS_MAX);
        let mut first_level = Vec::with_capacity((1 << index_bits) + 1);
        let shared = ranges.get(1).map_or(T::FIRST, |second| second.start);
        let mut range = 0;
        for number in 0..1_usize << index_bits {
            let first = shared.with_part(shared_bits, index_bits, number);
            while ranges.get(range + 1).is_some_and(|next| next.start <= first) {
                range += 1;
            }
            first_level.push(stored(range));
        }
        first_level.push(stored(ranges.len().saturating_sub(1)));
        Self { shared_bits, index_bits, first_level, ranges }
    }

    /// Finds the value at an address, and the length of the shortest prefix around it in which that value holds.
    pub(super) fn find(&self, address: T) -> (u32, u8) {
        let position = self.range_of(address);
        let Some(range) = self.ranges.get(position) else { return (0, 0) };
        // The shortest prefix that holds the address but neither of the range's outer neighbours.
        let below = range.start.before().map_or(0, |outside| outside.common(address) + 1);
        let above = self.ranges.get(position + 1).map_or(0, |next| next.start.common(address) + 1);
        (range.value, below.max(above))
    }

    /// How much memory it holds, in octets.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.first_level.as_slice()) + size_of_val(self.ranges.as_slice())
    }

    fn range_of(&self, address: T) -> usize {
        let Some(second) = self.ranges.get(1) else { return 0 };
        if second.start.common(address) < self.shared_bits {
            return if address < second.start { 0 } else { self.ranges.len() - 1 };
        }
        let cell = address.part(self.shared_bits, self.index_bits);
        let first = self.first_level.get(cell).copied().map_or(0, index);
        let last = self.first_level.get(cell + 1).copied().map_or(first, index);
        let behind = self.ranges.get(first + 1..=last).unwrap_or(&[]);
        first + behind.partition_point(|range| range.start <= address)
    }
}

/// Compiled ranges of IPv6, half as large where nothing is told apart within a /64.
#[derive(Debug)]
pub(super) enum Ipv6Ranges {
    /// By the upper 64 bits.
    Upper(Ranges<u64>),
    /// By all bits.
    Whole(Ranges<u128>),
}

impl Ipv6Ranges {
    /// Compiles ranges.
    pub(super) fn new(boundaries: &Boundaries<u128>) -> Self {
        let upper = |start: u128| u64::try_from(start >> 64).unwrap_or(0);
        let narrow =
            |&(start, value): &(u128, u32)| (u128::from(upper(start)) << 64 == start).then_some((upper(start), value));
        match boundaries.list.iter().map(narrow).collect::<Option<Vec<_>>>() {
            Some(list) => Self::Upper(Ranges::new(&Boundaries { list })),
            None => Self::Whole(Ranges::new(boundaries)),
        }
    }

    /// Finds the value at an address, and the length of the shortest prefix around it in which that value holds.
    pub(super) fn find(&self, address: u128) -> (u32, u8) {
        match self {
            Self::Upper(ranges) => ranges.find(u64::try_from(address >> 64).unwrap_or(0)),
            Self::Whole(ranges) => ranges.find(address),
        }
    }

    /// How much memory it holds, in octets.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Upper(ranges) => ranges.memory(),
            Self::Whole(ranges) => ranges.memory(),
        }
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

    #[test]
    fn ipv6_is_told_by_its_upper_half_unless_a_prefix_is_longer() {
        let mut boundaries = Boundaries::<u128>::new();
        boundaries.prefix(0x2001_0db8 << 96, 64, 1);
        let upper = Ipv6Ranges::new(&boundaries);
        assert!(matches!(upper, Ipv6Ranges::Upper(_)));
        assert_eq!(upper.find(0x2001_0db8 << 96 | 7), (1, 64));
        boundaries.prefix((0x2001_0db8 << 96) + (1 << 64), 65, 2);
        let whole = Ipv6Ranges::new(&boundaries);
        assert!(matches!(whole, Ipv6Ranges::Whole(_)));
        assert_eq!(whole.find((0x2001_0db8 << 96) + (1 << 64)), (2, 65));
        assert_eq!(whole.find((0x2001_0db8 << 96) + (3 << 63)), (0, 65));
    }

    proptest! {
        #[test]
        fn addresses_outside_of_the_shared_bits_are_before_or_behind(
            lows in prop::collection::btree_set(any::<u16>(), 3..200), probe in any::<u64>()
        ) {
            let mut boundaries = Boundaries::<u64>::new();
            lows.iter().for_each(|low| boundaries.begin(0x2001_0db8 << 32 | u64::from(*low) << 8, u32::from(*low) + 1));
            let ranges = Ranges::new(&boundaries);
            let near = 0x2001_0db8 << 32 | probe & 0x1ff_ffff;
            for address in [probe, near, 0x2001_0db7 << 32, 0x2001_0db9 << 32, 0, u64::MAX] {
                let plain = boundaries.list.iter().rev().find(|(start, _)| *start <= address).unwrap().1;
                prop_assert_eq!(ranges.find(address).0, plain);
            }
        }

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
