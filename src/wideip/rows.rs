//! The rows of the tables: what of a pool and of a wide IP depends on status, worked out before any query asks.

use super::derive::{Tally, is_usable};
use super::ids::index;
use super::marks::Marks;
use super::members::{PoolLayout, fits};
use super::{Pool, PoolMethod, WideIp, WideIpMethod};
use std::borrow::Cow;

use crate::status::{Availability, Enabled, Moment};
use crate::wire::RecordType;

/// The most members of a pool, and pools of a wide IP, that can be answered; those behind are never picked.
pub const MEMBERS_MAX: usize = 4096;

/// A list of indices within a row's words. Where a method of the row draws by ratio the running sums of the ratios
/// follow, as many as there are indices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct List {
    start: u16,
    count: u16,
}

impl List {
    /// Appends a list to a row's words; `ratio` is given where a method draws by ratio.
    fn push(words: &mut Vec<u32>, items: impl Iterator<Item = u32>, ratio: Option<&dyn Fn(u32) -> u16>) -> Self {
        let start = words.len();
        words.extend(items.take(MEMBERS_MAX));
        let end = words.len();
        if let Some(ratio) = ratio {
            let mut sum = 0_u32;
            for at in start..end {
                sum = sum.saturating_add(words.get(at).map_or(0, |&item| u32::from(ratio(item))));
                words.push(sum);
            }
        }
        Self { start: u16::try_from(start).unwrap_or(u16::MAX), count: u16::try_from(end - start).unwrap_or(0) }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The indices.
    #[inline]
    pub(super) fn items(self, words: &[u32]) -> &[u32] {
        let start = usize::from(self.start);
        words.get(start..start + self.len()).unwrap_or_default()
    }

    /// The running sums of the ratios, asked for only where a method draws by ratio.
    #[inline]
    pub(super) fn sums(self, words: &[u32]) -> &[u32] {
        let start = usize::from(self.start) + self.len();
        words.get(start..start + self.len()).unwrap_or_default()
    }
}

/// What a decision needs of a pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PoolHead {
    pub(super) availability: Availability,
    pub(super) enabled: Enabled,
    pub(super) since: Moment,
    pub(super) record_type: RecordType,
    pub(super) preferred: PoolMethod,
    pub(super) alternate: PoolMethod,
    pub(super) fallback: PoolMethod,
    /// Whether preferred and alternate look at availability.
    pub(super) verifies: bool,
    /// Whether fallback looks at availability.
    pub(super) fallback_verifies: bool,
    pub(super) max_answers: u16,
    pub(super) ttl_seconds: u32,
    /// The members that may be answered now: enabled, usable, and enough of them for the pool to count as available.
    pub(super) live: List,
    /// The members that are enabled and usable, be they ever so few.
    pub(super) usable: List,
    /// The members that are enabled, whatever their health.
    pub(super) enabled_members: List,
    /// While the pool is not available: the members that were live when it last was; disabled ones left out.
    pub(super) good: List,
    /// The live members whose connections are known, the fewest first, then by order.
    pub(super) by_connections: List,
    /// How many at the start of `by_connections` share the lowest count.
    pub(super) fewest: u16,
    /// Where the members' RDATA starts in the layout, and how many octets each has.
    pub(super) rdata_start: u32,
    pub(super) rdata_stride: u16,
    /// The members that were usable when the row was made, as [`Marks`](super::marks::Marks) have them.
    pub(super) made_with: u16,
}

/// A list of a pool's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// [`PoolHead::live`].
    Live,
    /// [`PoolHead::usable`].
    Usable,
    /// [`PoolHead::enabled_members`].
    Enabled,
    /// [`PoolHead::good`].
    Good,
}

impl Default for PoolHead {
    fn default() -> Self {
        Self {
            availability: Availability::Unknown,
            enabled: Enabled::Enabled,
            since: Moment::default(),
            record_type: RecordType::A,
            preferred: PoolMethod::None,
            alternate: PoolMethod::None,
            fallback: PoolMethod::None,
            verifies: true,
            fallback_verifies: true,
            max_answers: 1,
            ttl_seconds: 0,
            live: List::default(),
            usable: List::default(),
            enabled_members: List::default(),
            good: List::default(),
            by_connections: List::default(),
            fewest: 0,
            rdata_start: 0,
            rdata_stride: 0,
            made_with: 0,
        }
    }
}

/// What is known of a member when its pool's row is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberState {
    pub(super) availability: Availability,
    pub(super) is_enabled: bool,
    /// Whether there is an address or a name to answer with.
    pub(super) can_be_answered: bool,
    pub(super) connections: Option<u64>,
}

/// What of an object's row outlives the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before<'a> {
    pub(super) availability: Availability,
    pub(super) enabled: Enabled,
    pub(super) since: Moment,
    /// Of a pool: the members that are live, or were when it last was available. Nothing of a wide IP.
    pub(super) good: Cow<'a, [u32]>,
}

impl Before<'_> {
    /// Since when an object is in the state it is in now.
    fn since(before: Option<&Self>, availability: Availability, enabled: Enabled, now: Moment) -> Moment {
        let same = before.filter(|before| before.availability == availability && before.enabled == enabled);
        same.map_or(now, |before| before.since)
    }
}

/// What a pool's row is made from besides its members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) enabled: Enabled,
    /// What the row was until now.
    pub(super) before: Option<&'a Before<'a>>,
    pub(super) now: Moment,
}

/// What of a pool's row the model alone says.
pub(super) fn pool_head(pool: &Pool, layout: &PoolLayout) -> PoolHead {
    PoolHead {
        record_type: pool.record_type,
        preferred: known(pool.preferred, pool),
        alternate: known(pool.alternate, pool),
        fallback: known(pool.fallback, pool),
        verifies: pool.verify_member_availability,
        fallback_verifies: pool.respect_fallback_dependency,
        max_answers: pool.max_answers.max(1),
        ttl_seconds: pool.ttl_seconds,
        rdata_start: layout.rdata_start,
        rdata_stride: layout.rdata_stride,
        ..PoolHead::default()
    }
}

/// Makes a pool's row from an earlier head of it and the states of its members.
pub(super) fn pool_row(
    head: &PoolHead,
    layout: &PoolLayout,
    members: &[MemberState],
    making: Making<'_>,
    words: &mut Vec<u32>,
) -> PoolHead {
    let Making { enabled, before, now } = making;
    let tally = Tally::of(members.iter().filter(|state| state.is_enabled).map(|state| state.availability));
    let availability = tally.availability(index(layout.needed));

    let methods = [head.preferred, head.alternate, head.fallback];
    let ratio_of: &dyn Fn(u32) -> u16 = &|item| layout.members.get(index(item)).map_or(0, |member| member.ratio);
    let ratio = methods.contains(&PoolMethod::Ratio).then_some(ratio_of);
    let answerable = || (0..).zip(members).filter(|(_, state)| state.is_enabled && state.can_be_answered);
    let usable = answerable().filter(|(_, state)| is_usable(state.availability)).map(|(at, _)| at);
    let usable = List::push(words, usable, ratio);
    let enabled_members = if answerable().count() == usable.len() {
        usable
    } else {
        List::push(words, answerable().map(|(at, _)| at), ratio)
    };
    let mut good = List::default();
    if availability != Availability::Available
        && let Some(before) = before
    {
        let state = |item: u32| answerable().find(|(at, _)| *at == item).map(|(_, state)| state.availability);
        // A pool short of `min_members_up` may have members that are up: none that is down is answered beside them.
        let one_is_up = before.good.iter().any(|item| state(*item) == Some(Availability::Available));
        let is_kept = |item: &u32| state(*item).is_some_and(|state| !(one_is_up && state == Availability::Offline));
        good = List::push(words, before.good.iter().copied().filter(is_kept), ratio);
    }
    let mut head = PoolHead {
        availability,
        enabled,
        since: Before::since(before, availability, enabled, now),
        live: if is_usable(availability) { usable } else { List::default() },
        usable,
        enabled_members,
        good,
        by_connections: List::default(),
        fewest: 0,
        ..*head
    };
    if methods.contains(&PoolMethod::LeastConnections) {
        sort_by_connections(&mut head, members, words);
    }
    head
}

/// Adds the live members in the order of their connections, where these are known.
fn sort_by_connections(head: &mut PoolHead, members: &[MemberState], words: &mut Vec<u32>) {
    let count = |&member: &u32| Some((members.get(index(member))?.connections?, member));
    let mut counted: Vec<(u64, u32)> = head.live.items(words).iter().filter_map(count).collect();
    counted.sort_unstable();
    let least = counted.first().map(|(least, _)| *least);
    let fewest = counted.iter().take_while(|(count, _)| Some(*count) == least).count();
    head.fewest = u16::try_from(fewest).unwrap_or(u16::MAX);
    head.by_connections = List::push(words, counted.into_iter().map(|(_, member)| member), None);
}

/// The method, or none where it is to answer an address that the pool does not have.
fn known(method: PoolMethod, pool: &Pool) -> PoolMethod {
    let has_address = pool.fallback_ip.is_some_and(|address| {
        // A CNAME pool may stand in for addresses of either family; the decision looks at the wide IP's type.
        pool.record_type == RecordType::CNAME || fits(pool.record_type, address)
    });
    if method == PoolMethod::FallbackIp && !has_address { PoolMethod::None } else { method }
}

impl PoolHead {
    /// Whether the pool answers something although it is not available: members regardless of health, a fixed address,
    /// the static zone or silence.
    pub(super) fn answers_when_down(&self) -> bool {
        let answers = |method, verifies: bool| match method {
            PoolMethod::None => false,
            PoolMethod::FallbackIp | PoolMethod::DropPacket | PoolMethod::ReturnToDns => true,
            _ => !verifies && !self.enabled_members.is_empty(),
        };
        answers(self.preferred, self.verifies)
            || answers(self.alternate, self.verifies)
            || answers(self.fallback, self.fallback_verifies)
    }
}

impl PoolHead {
    /// The members of a list, where `usable` are those that are usable now.
    ///
    /// Marks that are others than those the row was made with stand for an available pool: what was live and what was
    /// usable is then what is enabled and marked.
    pub(super) fn members<'a>(&self, words: &'a [u32], which: Which, usable: u16) -> Cow<'a, [u32]> {
        if self.is_as_made(which, usable) {
            return self.list(which).items(words).into();
        }
        let marked = self.enabled_members.items(words).iter().copied().filter(|&item| Marks::has(usable, item));
        marked.collect()
    }

    /// Whether a list holds now what it held when the row was made.
    #[inline]
    pub(super) fn is_as_made(&self, which: Which, usable: u16) -> bool {
        usable == self.made_with || matches!(which, Which::Enabled | Which::Good)
    }

    /// A list as it was when the row was made.
    #[inline]
    pub(super) const fn list(&self, which: Which) -> List {
        match which {
            Which::Live => self.live,
            Which::Usable => self.usable,
            Which::Enabled => self.enabled_members,
            Which::Good => self.good,
        }
    }

    /// What of this row the next one of the same pool starts from, where `usable` are its usable members now.
    pub(super) fn before<'a>(&self, words: &'a [u32], usable: u16) -> Before<'a> {
        let which = if self.availability == Availability::Available { Which::Live } else { Which::Good };
        Before {
            availability: self.availability,
            enabled: self.enabled,
            since: self.since,
            good: self.members(words, which, usable),
        }
    }

    /// What of this row the rows of wide IPs depend on.
    pub(super) fn seen_from_above(&self) -> (Availability, Enabled, [bool; 5]) {
        let lists = [self.live, self.usable, self.enabled_members, self.good].map(List::is_empty);
        let [live, usable, enabled, good] = lists;
        (self.availability, self.enabled, [live, usable, enabled, good, self.answers_when_down()])
    }
}

impl WideIpHead {
    /// What of this row the next one of the same wide IP starts from.
    pub(super) fn before(&self) -> Before<'static> {
        Before { availability: self.availability, enabled: self.enabled, since: self.since, good: Cow::default() }
    }
}

/// What a decision needs of a wide IP. Its row's words begin with the ids of its pools in order, the last resort behind
/// them; the lists hold positions among those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WideIpHead {
    pub(super) availability: Availability,
    pub(super) enabled: Enabled,
    pub(super) since: Moment,
    pub(super) record_type: RecordType,
    pub(super) method: WideIpMethod,
    pub(super) use_client_subnet: bool,
    pub(super) allow_zero_scores: bool,
    pub(super) persist_ipv4: u8,
    pub(super) persist_ipv6: u8,
    pub(super) pools: u32,
    /// The pool at position 0, so that the words of a wide IP with one pool need not be read.
    pub(super) first_pool: u32,
    pub(super) pair_base: u32,
    /// The pools that are enabled and available.
    pub(super) live: List,
    /// The enabled pools that are not available and answer something all the same.
    pub(super) others: List,
    /// The pools to serve when all is down: those with a usable member or else those with an enabled one.
    pub(super) serve: List,
    /// The pools with members that were live last; none while any pool has a usable member.
    pub(super) good: List,
    /// Whether the last resort pool may be asked.
    pub(super) has_last_resort: bool,
}

impl Default for WideIpHead {
    fn default() -> Self {
        Self {
            availability: Availability::Unknown,
            enabled: Enabled::Disabled,
            since: Moment::default(),
            record_type: RecordType::A,
            method: WideIpMethod::RoundRobin,
            use_client_subnet: false,
            allow_zero_scores: true,
            persist_ipv4: 32,
            persist_ipv6: 128,
            pools: 0,
            first_pool: u32::MAX,
            pair_base: 0,
            live: List::default(),
            others: List::default(),
            serve: List::default(),
            good: List::default(),
            has_last_resort: false,
        }
    }
}

/// Makes a wide IP's row. `pool` gives the head of a pool by its id.
pub(super) fn wide_ip_row<'a>(
    wide_ip: &WideIp,
    pair_base: u32,
    pool: impl Fn(u32) -> Option<&'a PoolHead>,
    making: Making<'_>,
    words: &mut Vec<u32>,
) -> WideIpHead {
    let Making { enabled, before, now } = making;
    words.extend(wide_ip.pools.iter().take(MEMBERS_MAX).map(|reference| reference.pool.0));
    words.extend(wide_ip.last_resort.map(|id| id.0));
    let first_pool = words.first().copied().unwrap_or(u32::MAX);
    let enabled_pools: Vec<(u32, &PoolHead)> = (0..)
        .zip(wide_ip.pools.iter().take(MEMBERS_MAX))
        .filter_map(|(at, reference)| Some((at, pool(reference.pool.0)?)))
        .filter(|(_, head)| head.enabled == Enabled::Enabled)
        .collect();
    let last_resort = wide_ip.last_resort.and_then(|id| pool(id.0)).filter(|head| head.enabled == Enabled::Enabled);
    let pick = |wanted: &dyn Fn(&PoolHead) -> bool| -> Vec<u32> {
        enabled_pools.iter().filter(|(_, head)| wanted(head)).map(|(at, _)| *at).collect()
    };
    let mut serve = pick(&|head| !head.usable.is_empty());
    let mut good = Vec::new();
    if serve.is_empty() {
        serve = pick(&|head| !head.enabled_members.is_empty());
        good = pick(&|head| !head.good.is_empty());
    }
    if serve.is_empty() && last_resort.is_some_and(|head| !head.enabled_members.is_empty()) {
        serve.extend(u32::try_from(wide_ip.pools.len()));
    }
    let ratio_of: &dyn Fn(u32) -> u16 = &|at| wide_ip.pools.get(index(at)).map_or(1, |reference| reference.ratio);
    let ratio = (wide_ip.method == WideIpMethod::Ratio).then_some(ratio_of);
    let mut push = |items: Vec<u32>| List::push(words, items.into_iter(), ratio);
    let states = enabled_pools.iter().map(|(_, head)| head.availability);
    let availability = Tally::of(states.chain(last_resort.map(|head| head.availability))).availability(1);
    WideIpHead {
        availability,
        enabled,
        since: Before::since(before, availability, enabled, now),
        record_type: wide_ip.record_type,
        method: wide_ip.method,
        use_client_subnet: wide_ip.use_client_subnet,
        allow_zero_scores: wide_ip.allow_zero_scores,
        persist_ipv4: wide_ip.persist_cidr_ipv4,
        persist_ipv6: wide_ip.persist_cidr_ipv6,
        pools: u32::try_from(wide_ip.pools.len()).unwrap_or(u32::MAX),
        first_pool,
        pair_base,
        live: push(pick(&|head| !head.live.is_empty())),
        others: push(pick(&|head| head.live.is_empty() && head.answers_when_down())),
        serve: push(serve),
        good: push(good),
        has_last_resort: last_resort.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_fit_the_two_cache_lines_of_a_row() {
        assert!(size_of::<PoolHead>() <= 56, "{}", size_of::<PoolHead>());
        assert!(size_of::<WideIpHead>() <= 56, "{}", size_of::<WideIpHead>());
    }

    #[test]
    fn the_longest_row_can_be_addressed() {
        // A pool's row: three lists with sums and one without.
        assert!(7 * MEMBERS_MAX <= usize::from(u16::MAX));
        // A wide IP's: the pools' ids and four lists with sums.
        assert!(9 * MEMBERS_MAX < usize::from(u16::MAX));
    }
}
