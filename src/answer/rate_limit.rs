//! Response rate limiting: a forged source address shall not make this node flood whom it belongs to.
//!
//! Responses are counted per client network, kind of response and the name they are accounted to, as BIND and NSD do:
//!
//! | response | accounted to |
//! |---|---|
//! | records of a name that exists | the name and type |
//! | records by a wildcard or a pattern, NODATA, NXDOMAIN | the zone, so that random names make one account |
//! | a referral | the cut |
//! | any other response code | the kind alone |
//!
//! and, when `all_per_second` is set, all of a network's together. Only datagrams are limited: a TCP client has shown that
//! the address is its own, and so have a valid cookie and a good signature.
//!
//! The kernel gives a datagram to a worker by its addresses and ports: the queries of a network that uses many ports are
//! spread over all workers, those from one port come to one. The rate is to be the same for both, and no query of a
//! client far below its rate is to write a line of memory that other workers use. So there are two accounts. Each worker
//! has a table of its own, in which a client may use [`OWN_PART`] of the worker's share of the rate; beyond that, each
//! response is charged to a table that all workers share, at the whole rate, and that alone says what is over it.
//!
//! Who goes on above its part at a worker is above it with every response, which is charged in both tables: the shared one
//! sees all of it, and the rate that is allowed in the long run is exactly what is configured, however it is spread. At
//! first a quarter of a second's worth gets through besides, from the workers' own tables. One worker needs one table.
//!
//! A table of each worker alone, with its share of the rate, would hold a client that uses one port to a fraction of it,
//! and one shared table alone (as Knot has it) would make all workers write the same lines for the busiest resolvers, who
//! are within their rate, at every query.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::rate_table::{Price, RateTable, SharedRateTable};
use super::transfers::contains;
use crate::metrics::{RateAction, ResponseKind};
use crate::topology::Prefix;
use crate::wire::RecordType;

/// Microseconds of one second.
const SECOND: u64 = 1_000_000;

/// The part of a worker's share of the rate that costs no look at the shared table: one in so many.
const OWN_PART: u64 = 4;

/// What is configured of response rate limiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Whether responses over the rate are kept back, or only counted and logged.
    pub mode: RateMode,
    /// Responses per second of each kind, in the order of [`ResponseKind::ALL`]; 0 is no limit.
    pub per_second: [u32; ResponseKind::ALL.len()],
    /// Responses per second of all kinds together; 0 is no limit.
    pub all_per_second: u32,
    /// How long responses over the rate count against their client.
    pub window: Duration,
    /// Every how many responses over the rate one is sent truncated: 0 never, 1 each.
    pub slip: u32,
    /// Leading bits of an IPv4 address that make a client network: 0–32.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that make a client network: 0–128.
    pub ipv6_prefix: u8,
    /// Clients that are never limited.
    pub exempt: Vec<Prefix>,
    /// Entries of each table; each takes eight octets.
    pub entries: usize,
    /// Workers that share the rate.
    pub workers: u32,
    /// What they share.
    pub shared: SharedRates,
}

/// What workers share of rate limiting: the table, and the secret that networks are hashed under, so that nobody can
/// choose two that meet. A copy is the same table; all are equal, being no setting.
#[derive(Clone)]
pub struct SharedRates {
    table: Arc<SharedRateTable>,
    secret: u64,
}

impl SharedRates {
    /// A table of so many entries for so many workers, and the secret.
    pub fn new(entries: usize, workers: u32, secret: u64) -> Self {
        // One worker alone never looks at it.
        let entries = if workers > 1 { entries } else { 0 };
        Self { table: Arc::new(SharedRateTable::new(entries)), secret }
    }
}

impl fmt::Debug for SharedRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRates")
    }
}

impl PartialEq for SharedRates {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SharedRates {}

/// Whether limits are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateMode {
    /// Responses over the rate are kept back.
    Limit,
    /// Responses over the rate are sent, counted and logged.
    Log,
}

/// A response over its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// What kind it is.
    pub kind: ResponseKind,
    /// What becomes of it.
    pub action: RateAction,
}

/// Whether a client has proved that the address it asks from is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// By a valid cookie or a good signature.
    Given,
    /// It has not.
    None,
}

/// What a response costs in the worker's own table, and what in the shared one, if there are several workers.
#[derive(Debug, Clone, Copy)]
struct Prices {
    own: Price,
    shared: Option<Price>,
}

/// One worker's side of it.
pub(super) struct Limiter {
    settings: Arc<RateLimit>,
    table: RateTable,
    prices: [Option<Prices>; ResponseKind::ALL.len()],
    all: Option<Prices>,
    ipv4_mask: u32,
    ipv6_mask: u128,
    /// Microseconds; the same for a whole batch.
    now: u64,
    random: u64,
    /// What networks are hashed under, so that nobody can choose two that meet.
    secret: u64,
}

impl Limiter {
    /// A limiter with an empty table; its draws follow from `seed`, which is to be secret.
    pub(super) fn new(settings: &Arc<RateLimit>, seed: u64) -> Self {
        let price = |rate: u32| settings.prices(rate);
        Self {
            table: RateTable::new(settings.entries),
            prices: settings.per_second.map(price),
            all: price(settings.all_per_second),
            ipv4_mask: u32::MAX.checked_shl(32 - u32::from(settings.ipv4_prefix.min(32))).unwrap_or(0),
            ipv6_mask: u128::MAX.checked_shl(128 - u32::from(settings.ipv6_prefix.min(128))).unwrap_or(0),
            now: 0,
            random: seed,
            secret: fold(settings.shared.secret ^ FIRST, SECOND_MULTIPLIER),
            settings: Arc::clone(settings),
        }
    }

    /// Whether it already follows these settings: equal ones, as after a reload, keep the table.
    pub(super) fn follows(&self, settings: &Arc<RateLimit>) -> bool {
        Arc::ptr_eq(&self.settings, settings) || *self.settings == **settings
    }

    /// Tells the time; once per batch.
    pub(super) const fn tell_time(&mut self, milliseconds: u64) {
        self.now = milliseconds.saturating_mul(1000);
    }

    /// Counts a response to `source` that is accounted to `account`, a hash; what becomes of it when it is over the rate.
    #[inline]
    pub(super) fn judge(&mut self, source: IpAddr, kind: ResponseKind, account: u64, proof: Proof) -> Option<Limited> {
        let network = self.network(source);
        let of_kind = self.prices.get(kind.index()).copied().flatten();
        let is_over = |limiter: &mut Self, key: u64, prices: Option<Prices>| {
            prices.is_some_and(|prices| limiter.charge(key, prices))
        };
        let number = u64::try_from(kind.index()).unwrap_or_default();
        let over_kind = is_over(self, fold(network ^ account, FIRST ^ number), of_kind);
        let over_all = is_over(self, fold(network, SECOND_MULTIPLIER), self.all);
        (over_kind || over_all).then(|| Limited { kind, action: self.action(source, kind, proof) })
    }

    /// Charges one response; whether it is over the rate.
    #[inline]
    fn charge(&mut self, key: u64, prices: Prices) -> bool {
        let is_over = |price| self.settings.shared.table.charge(key, self.now, price);
        self.table.charge(key, self.now, prices.own) && prices.shared.is_none_or(is_over)
    }

    /// What becomes of a response over the rate.
    #[cold]
    fn action(&mut self, source: IpAddr, kind: ResponseKind, proof: Proof) -> RateAction {
        let source = source.to_canonical();
        if proof == Proof::Given || self.settings.exempt.iter().any(|prefix| contains(*prefix, source)) {
            return RateAction::Exempt;
        }
        if self.settings.mode == RateMode::Log {
            return RateAction::Logged;
        }
        // Drawn, so that no other traffic can be timed to make one client's the ones that are dropped.
        self.random = self.random.wrapping_add(FIRST);
        let drawn = fold(self.random, SECOND_MULTIPLIER) >> 32;
        match (u64::from(self.settings.slip), kind) {
            (0, _) => RateAction::Dropped,
            (slip, _) if !drawn.is_multiple_of(slip) => RateAction::Dropped,
            // A reply with an error code and TC would be read as the error.
            (_, ResponseKind::Error) => RateAction::Leaked,
            _ => RateAction::Truncated,
        }
    }

    /// The client network as a hash.
    #[inline]
    fn network(&self, source: IpAddr) -> u64 {
        match source.to_canonical() {
            IpAddr::V4(v4) => fold(u64::from(v4.to_bits() & self.ipv4_mask) ^ self.secret, FIRST),
            IpAddr::V6(v6) => {
                let masked = v6.to_bits() & self.ipv6_mask;
                let (high, low) = (low_half(masked >> 64), low_half(masked));
                fold(fold(high ^ self.secret, SECOND_MULTIPLIER) ^ low, FIRST)
            }
        }
    }
}

impl RateLimit {
    /// What a response costs; none where there is no limit.
    fn prices(&self, rate: u32) -> Option<Prices> {
        let window = u64::try_from(self.window.as_micros()).unwrap_or(u64::MAX);
        let price = |part: u64| {
            let cost = (SECOND * part).checked_div(u64::from(rate))?.max(1);
            // One response goes through at least.
            Some(Price { cost, burst: cost.max(SECOND), window })
        };
        let whole = price(1)?;
        if self.workers <= 1 {
            return Some(Prices { own: whole, shared: None });
        }
        // Between them, the own tables let one response in `OWN_PART` through at least.
        Some(Prices { own: price(u64::from(self.workers) * OWN_PART)?, shared: Some(whole) })
    }
}

/// The account of the records of one name and type.
pub(super) fn account_of(name: u64, record_type: RecordType) -> u64 {
    fold(name, SECOND_MULTIPLIER ^ u64::from(record_type.0))
}

/// Two odd numbers with about as many ones as zeros.
const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND_MULTIPLIER: u64 = 0xd1b5_4a32_d192_ed03;

/// Mixes: the product's halves together.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    low_half(product) ^ low_half(product >> 64)
}

#[inline]
fn low_half(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RateLimit {
        RateLimit {
            mode: RateMode::Limit,
            per_second: [10, 8, 6, 4, 2],
            all_per_second: 0,
            window: Duration::from_secs(15),
            slip: 0,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
            entries: 4096,
            workers: 1,
            shared: SharedRates::new(4096, 2, 1),
        }
    }

    fn limiter(settings: RateLimit) -> Limiter {
        Limiter::new(&Arc::new(settings), 1)
    }

    /// How many of 20 responses at once are within the rate.
    fn within(limiter: &mut Limiter, source: &str, kind: ResponseKind, account: u64) -> usize {
        let source = source.parse().unwrap();
        (0..20).filter(|_| limiter.judge(source, kind, account, Proof::None).is_none()).count()
    }

    #[test]
    fn each_kind_has_its_rate_and_each_name_its_account() {
        let mut limiter = limiter(settings());
        for (kind, expected) in ResponseKind::ALL.into_iter().zip([10, 8, 6, 4, 2]) {
            assert_eq!(within(&mut limiter, "192.0.2.1", kind, 7), expected, "{kind:?}");
            assert_eq!(within(&mut limiter, "192.0.2.1", kind, 8), expected, "{kind:?}, another account");
        }
        let unlimited = RateLimit { per_second: [0; 5], ..settings() };
        assert_eq!(within(&mut self::limiter(unlimited), "192.0.2.1", ResponseKind::Answer, 7), 20);
    }

    #[test]
    fn a_network_is_one_client() {
        let check = |first: &str, second: &str, is_one: bool| {
            let mut limiter = limiter(settings());
            assert_eq!(within(&mut limiter, first, ResponseKind::Answer, 7), 10);
            let expected = if is_one { 0 } else { 10 };
            assert_eq!(within(&mut limiter, second, ResponseKind::Answer, 7), expected, "{first} {second}");
        };
        check("192.0.2.1", "192.0.2.255", true);
        check("192.0.2.1", "192.0.3.1", false);
        check("192.0.2.1", "::ffff:192.0.2.9", true);
        check("2001:db8::1", "2001:db8:0:ff:ffff::1", true);
        check("2001:db8::1", "2001:db8:0:100::1", false);
    }

    #[test]
    fn all_kinds_together_have_a_rate_too() {
        let mut limiter = limiter(RateLimit { all_per_second: 12, ..settings() });
        assert_eq!(within(&mut limiter, "192.0.2.1", ResponseKind::Answer, 7), 10);
        // What was over its own rate counts as well, so nothing is left.
        assert_eq!(within(&mut limiter, "192.0.2.1", ResponseKind::NxDomain, 8), 0);
        assert_eq!(within(&mut limiter, "198.51.100.1", ResponseKind::NxDomain, 8), 6);
    }

    #[test]
    fn workers_allow_the_rate_between_them_however_it_is_spread() {
        let check = |workers: u32, used: usize, expected: std::ops::RangeInclusive<usize>| {
            let settings = Arc::new(RateLimit { workers, per_second: [100; 5], ..settings() });
            let mut limiters: Vec<Limiter> = (0..used).map(|seed| Limiter::new(&settings, seed as u64)).collect();
            let source = "192.0.2.1".parse().unwrap();
            // Twice the rate for ten seconds, of which the first is a burst, then half of the rate.
            let mut allowed = [0, 0];
            for number in 0_usize..2500 {
                let is_flood = number < 2000;
                let at = if is_flood { 5 * number } else { 10_000 + 20 * (number - 2000) };
                let limiter = &mut limiters[number % used];
                limiter.tell_time(at as u64);
                if limiter.judge(source, ResponseKind::Answer, 7, Proof::None).is_none() {
                    allowed[usize::from(!is_flood)] += 1;
                }
            }
            assert!(expected.contains(&allowed[0]), "{workers} workers, {used} used: {allowed:?}");
            // A window of fifteen seconds is not over yet.
            assert_eq!(allowed[1], 0);
        };
        check(1, 1, 195..=205);
        check(2, 1, 200..=220);
        check(2, 2, 200..=235);
        check(8, 1, 200..=220);
        check(8, 8, 200..=235);
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_limited_however_it_is_spread() {
        for (workers, used) in [(1, 1), (2, 1), (2, 2), (8, 3)] {
            let settings = Arc::new(RateLimit { workers, per_second: [100; 5], ..settings() });
            let mut limiters: Vec<Limiter> = (0..used).map(|seed| Limiter::new(&settings, seed as u64)).collect();
            let source = "192.0.2.1".parse().unwrap();
            for number in 0_usize..3000 {
                let limiter = &mut limiters[number % used];
                limiter.tell_time(10 * number as u64);
                let limited = limiter.judge(source, ResponseKind::Answer, 7, Proof::None);
                assert_eq!(limited, None, "{workers} workers, {used} used, response {number}");
            }
        }
    }

    /// What became of 1000 responses over the rate, by action.
    fn actions(settings: RateLimit, source: &str, kind: ResponseKind, proof: Proof) -> [usize; 5] {
        let mut limiter = limiter(settings);
        within(&mut limiter, source, kind, 7);
        let mut counts = [0; 5];
        for _ in 0..1000 {
            let limited = limiter.judge(source.parse().unwrap(), kind, 7, proof).unwrap();
            counts[limited.action as usize] += 1;
        }
        counts
    }

    #[test]
    fn what_is_over_the_rate_is_dropped_or_truncated_as_slip_says() {
        let slip = |slip| RateLimit { slip, ..settings() };
        let answers = |slip_every| actions(slip(slip_every), "192.0.2.1", ResponseKind::Answer, Proof::None);
        assert_eq!(answers(0), [1000, 0, 0, 0, 0]);
        assert_eq!(answers(1), [0, 1000, 0, 0, 0]);
        let [dropped, truncated, ..] = answers(2);
        assert!((400..600).contains(&truncated) && dropped + truncated == 1000, "{truncated}");
        assert_eq!(actions(slip(1), "192.0.2.1", ResponseKind::Error, Proof::None), [0, 0, 1000, 0, 0]);
    }

    #[test]
    fn the_exempt_the_proven_and_the_logged_are_answered() {
        let prefix = Prefix { address: "192.0.2.0".parse().unwrap(), length: 24 };
        let exempt = RateLimit { exempt: vec![prefix], ..settings() };
        let answers = |settings, source, proof| actions(settings, source, ResponseKind::Answer, proof);
        assert_eq!(answers(exempt.clone(), "192.0.2.1", Proof::None), [0, 0, 0, 0, 1000]);
        assert_eq!(answers(exempt.clone(), "::ffff:192.0.2.1", Proof::None), [0, 0, 0, 0, 1000]);
        assert_eq!(answers(exempt, "198.51.100.1", Proof::None), [1000, 0, 0, 0, 0]);
        assert_eq!(answers(settings(), "192.0.2.1", Proof::Given), [0, 0, 0, 0, 1000]);
        let log = RateLimit { mode: RateMode::Log, ..settings() };
        assert_eq!(answers(log, "192.0.2.1", Proof::None), [0, 0, 0, 1000, 0]);
    }

    #[test]
    fn after_a_second_there_is_room_again() {
        let mut limiter = limiter(settings());
        assert_eq!(within(&mut limiter, "192.0.2.1", ResponseKind::Answer, 7), 10);
        limiter.tell_time(2000);
        assert_eq!(within(&mut limiter, "192.0.2.1", ResponseKind::Answer, 7), 10);
    }

    #[test]
    fn equal_settings_keep_what_is_remembered() {
        let limiter = limiter(settings());
        assert!(limiter.follows(&Arc::new(settings())));
        assert!(!limiter.follows(&Arc::new(RateLimit { slip: 1, ..settings() })));
    }
}
