//! A table of fixed size that remembers who was sent how much lately.
//!
//! Each entry is one number: the time until which what was sent is paid for at the allowed rate. A response moves it on
//! by what it costs; one that would move it further than a burst ahead of now is over the rate. What was idle for a burst
//! is as good as forgotten, so an entry is needed for as long as its client sends, and for no longer.
//!
//! One entry takes eight octets, eight entries one cache line, and a look-up touches that one line. When a line is full
//! the entry that is paid for soonest gives way: that is the one that sent least. Random sources, each of which sends once,
//! replace one another and never those over their rate.
//!
//! There is one for each worker, and one that all workers share, whose entries are read and written without waiting for
//! one another: where two charge one client in the same instant, one charge may be lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// Entries that share a cache line and replace one another.
const WAYS: usize = 8;
/// The low bits of an entry: microseconds since the table's epoch. The rest tells whose it is.
const TIME_BITS: u32 = 40;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// After this much time, six days, the epoch is set anew, so that no entry's time ever wraps.
const EPOCH_MAX: u64 = 1 << (TIME_BITS - 1);

/// One cache line.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([u64; WAYS]);

/// One cache line that several workers write.
#[repr(align(64))]
#[derive(Default)]
struct SharedLine([AtomicU64; WAYS]);

/// What one response costs, and how much may be owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    /// Microseconds from one response to the next at the allowed rate.
    pub(super) cost: u64,
    /// Microseconds that may be used ahead: what a client may be sent at once.
    pub(super) burst: u64,
    /// Microseconds beyond the burst that responses over the rate are remembered for.
    pub(super) window: u64,
}

/// The table. It never grows.
pub(super) struct RateTable {
    lines: Box<[Line]>,
    /// Its time zero, in microseconds of the caller's clock.
    epoch: u64,
}

impl RateTable {
    /// A table for so many entries, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let lines = entries.div_ceil(WAYS).max(1).next_power_of_two();
        Self { lines: vec![Line([0; WAYS]); lines].into(), epoch: 0 }
    }

    /// Charges the owner of `key` for one response at `now` microseconds; whether that is over the rate. A response over
    /// the rate is charged for as well, so that who goes on regardless stays over it.
    ///
    /// `now` may stand still and must not go back. All 64 bits of `key` should be random.
    #[inline]
    pub(super) fn charge(&mut self, key: u64, now: u64, price: Price) -> bool {
        let now = self.since_epoch(now);
        let at = line_of(key, self.lines.len());
        let Some(Line(entries)) = self.lines.get_mut(at) else { return false };
        let charged = charge(entries.iter().copied(), key >> TIME_BITS, now, price);
        if let Some(entry) = entries.get_mut(charged.way) {
            *entry = charged.entry;
        }
        charged.is_over
    }

    /// The time within the epoch. A new epoch starts with an empty table: once in six days all is forgiven.
    #[inline]
    fn since_epoch(&mut self, now: u64) -> u64 {
        let since = now.saturating_sub(self.epoch);
        if since < EPOCH_MAX {
            return since;
        }
        self.lines.fill(Line([0; WAYS]));
        self.epoch = now;
        0
    }
}

/// The table that all workers share. It never grows, and nobody waits for it.
pub(super) struct SharedRateTable {
    lines: Box<[SharedLine]>,
    /// How many times [`EPOCH_MAX`] has passed; with each the table starts empty.
    epoch: AtomicU64,
}

impl SharedRateTable {
    /// A table for so many entries, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let lines = entries.div_ceil(WAYS).max(1).next_power_of_two();
        Self { lines: (0..lines).map(|_| SharedLine::default()).collect(), epoch: AtomicU64::new(0) }
    }

    /// As [`RateTable::charge`]. The `now` of one worker may be behind that of another.
    #[inline]
    pub(super) fn charge(&self, key: u64, now: u64, price: Price) -> bool {
        let now = self.since_epoch(now);
        let Some(SharedLine(entries)) = self.lines.get(line_of(key, self.lines.len())) else { return false };
        let read = entries.iter().map(|entry| entry.load(Ordering::Relaxed));
        let charged = charge(read, key >> TIME_BITS, now, price);
        if let Some(entry) = entries.get(charged.way) {
            entry.store(charged.entry, Ordering::Relaxed);
        }
        charged.is_over
    }

    #[inline]
    fn since_epoch(&self, now: u64) -> u64 {
        let (epoch, known) = (now / EPOCH_MAX, self.epoch.load(Ordering::Relaxed));
        if epoch > known && self.epoch.compare_exchange(known, epoch, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.lines.iter().flat_map(|line| &line.0).for_each(|entry| entry.store(0, Ordering::Relaxed));
        }
        // Who is behind stands at the start of the new one.
        if epoch < known { 0 } else { now % EPOCH_MAX }
    }
}

/// The line in which the owner of a key has its entry, of so many, a power of two.
#[inline]
fn line_of(key: u64, lines: usize) -> usize {
    usize::try_from(key & TIME).unwrap_or_default() & (lines - 1)
}

/// What a charge makes of a line.
struct Charged {
    way: usize,
    entry: u64,
    is_over: bool,
}

/// Charges the owner of `tag` among the entries of its line for one response.
#[inline]
fn charge(entries: impl Iterator<Item = u64>, tag: u64, now: u64, price: Price) -> Charged {
    let mut chosen = 0;
    let mut paid_until = 0;
    let mut soonest = u64::MAX;
    for (way, entry) in entries.enumerate() {
        let until = entry & TIME;
        if entry >> TIME_BITS == tag {
            (chosen, paid_until) = (way, until);
            break;
        }
        if until < soonest {
            (chosen, soonest) = (way, until);
        }
    }
    let until = paid_until.max(now) + price.cost;
    let allowed = now + price.burst;
    let entry = tag << TIME_BITS | until.min(allowed + price.window).min(TIME);
    Charged { way: chosen, entry, is_over: until > allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    /// Five each second, remembered for fifteen seconds.
    const PRICE: Price = Price { cost: SECOND / 5, burst: SECOND, window: 15 * SECOND };

    /// A key as hashing makes them.
    fn key(number: u64) -> u64 {
        let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// How many of `count` responses, `apart` microseconds one from the next, are within the rate.
    fn within(table: &mut RateTable, key: u64, start: u64, count: u64, apart: u64) -> u64 {
        (0..count).filter(|number| !table.charge(key, start + number * apart, PRICE)).count() as u64
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_over_it() {
        let mut table = RateTable::new(64);
        assert_eq!(within(&mut table, key(1), 0, 1000, SECOND / 5), 1000);
        assert_eq!(within(&mut table, key(2), 7 * SECOND, 5, 0), 5, "a burst of one second's worth");
    }

    #[test]
    fn who_goes_on_regardless_gets_nothing_until_it_stops() {
        let mut table = RateTable::new(64);
        assert_eq!(within(&mut table, key(1), 0, 10_000, SECOND / 1000), 5, "the burst");
        let stopped = 10 * SECOND;
        // 50 seconds are owed by ten seconds at 1,000 a second, of which 15 are remembered beyond the burst.
        assert!(table.charge(key(1), stopped + 14 * SECOND, PRICE));
        assert!(!table.charge(key(1), stopped + 17 * SECOND, PRICE));
    }

    #[test]
    fn workers_that_share_a_table_allow_the_rate_between_them_and_forget_once_in_six_days() {
        let table = SharedRateTable::new(64);
        let within = |start: u64| -> usize {
            std::thread::scope(|scope| {
                let worker = || (0..1000).filter(|_| !table.charge(key(1), start, PRICE)).count();
                let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum()
            })
        };
        for start in [0, EPOCH_MAX, 3 * EPOCH_MAX] {
            let first = within(start);
            // Charges of one instant may be lost, so that a few more get through.
            assert!((5..=10).contains(&first), "{first}");
            assert_eq!(within(start), 0);
        }
        assert!(!table.charge(key(2), 0, PRICE), "a worker that is behind");
    }

    #[test]
    fn clients_do_not_pay_for_one_another() {
        let mut table = RateTable::new(1 << 12);
        for client in 0..1000 {
            assert_eq!(within(&mut table, key(client), 0, 8, 0), 5, "{client}");
        }
    }

    #[test]
    fn ten_million_random_sources_do_not_push_out_who_is_over_its_rate() {
        let mut table = RateTable::new(1 << 14);
        let heavy: Vec<u64> = (0..1000).map(|client| key(1 << 40 | client)).collect();
        let mut let_through = 0;
        for number in 0..10_000_000_u64 {
            // A million a second from sources that send once, and 1,000 clients that send 50 a second each.
            let now = number;
            table.charge(key(number), now, Price { cost: SECOND / 200, ..PRICE });
            if number % 20 == 0 {
                let client = heavy[usize::try_from(number / 20 % 1000).unwrap()];
                let_through += u64::from(!table.charge(client, now, PRICE));
            }
        }
        // A burst each; a few lines have more heavy clients than ways, and forget the lightest of them.
        assert!((5000..5600).contains(&let_through), "{let_through} of 500,000");
    }

    #[test]
    fn the_table_never_grows_and_rounds_up() {
        for (entries, lines) in [(0, 1), (1, 1), (8, 1), (9, 2), (65_536, 8192), (65_537, 16_384)] {
            assert_eq!(RateTable::new(entries).lines.len(), lines);
        }
        assert_eq!(size_of::<Line>(), 64);
    }

    #[test]
    fn time_never_wraps_into_somebody_s_debt() {
        let mut table = RateTable::new(64);
        for days in [0, 5, 7, 13, 14, 26, 400] {
            let now = days * 86_400 * SECOND;
            assert_eq!(within(&mut table, key(1), now, 50, 0), 5, "day {days}");
            assert_eq!(within(&mut table, key(2), now + SECOND, 50, 0), 5, "day {days}");
        }
    }
}
