//! The rows of the tables: what of a pool and of a wide IP depends on status, worked out before any query asks.

use super::derive::{Tally, is_usable};
use super::layout::{MemberSource, PoolLayout, fits};
use super::select::running_sums;
use super::{Pool, PoolMethod, WideIp, WideIpMethod};
use crate::status::{Availability, Enabled, Moment};
use crate::wire::RecordType;

/// A list of indices within a row's words, with the running sums of their ratios where a method draws by ratio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct List {
    start: u32,
    count: u32,
    /// Where the running sums start; as many as there are indices, or none.
    sums: Option<u32>,
}

impl List {
    fn push(words: &mut Vec<u32>, items: &[u32], sums: impl Iterator<Item = u32>) -> Self {
        let at = |words: &Vec<u32>| u32::try_from(words.len()).unwrap_or(u32::MAX);
        let start = at(words);
        words.extend_from_slice(items);
        let sums_start = at(words);
        words.extend(sums);
        Self {
            start,
            count: u32::try_from(items.len()).unwrap_or(u32::MAX),
            sums: (at(words) > sums_start).then_some(sums_start),
        }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there are none.
    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The indices.
    #[inline]
    pub(super) fn items(self, words: &[u32]) -> &[u32] {
        slice(words, self.start, self.count)
    }

    /// The running sums of the ratios; none where no method draws by ratio.
    #[inline]
    pub(super) fn sums(self, words: &[u32]) -> &[u32] {
        self.sums.map(|start| slice(words, start, self.count)).unwrap_or_default()
    }
}

#[inline]
fn slice(words: &[u32], start: u32, count: u32) -> &[u32] {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    words.get(start..start.saturating_add(count)).unwrap_or_default()
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
    pub(super) fewest: u32,
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
        }
    }
}

/// What is known of a member when its pool's row is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberState {
    pub(super) availability: Availability,
    pub(super) is_enabled: bool,
    pub(super) connections: Option<u64>,
}

/// What of an object's row outlives the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) availability: Availability,
    pub(super) enabled: Enabled,
    pub(super) since: Moment,
    /// Of a pool: the members that are live, or were when it last was available. Nothing of a wide IP.
    pub(super) good: Vec<u32>,
}

impl Before {
    /// Since when an object is in the state it is in now.
    fn since(before: Option<&Self>, availability: Availability, enabled: Enabled, now: Moment) -> Moment {
        let same = before.filter(|before| before.availability == availability && before.enabled == enabled);
        same.map_or(now, |before| before.since)
    }
}

/// Makes a pool's row from the states of its members. `before` is what it was until now.
pub(super) fn pool_row(
    pool: &Pool,
    layout: &PoolLayout,
    members: &[MemberState],
    enabled: Enabled,
    before: Option<&Before>,
    now: Moment,
    words: &mut Vec<u32>,
) -> PoolHead {
    let answerable = |index: usize| {
        let source = layout.members.get(index).map(|member| &member.source);
        !matches!(source, None | Some(MemberSource::NoAddress(_)))
    };
    let pick = |wanted: &dyn Fn(&MemberState) -> bool| -> Vec<u32> {
        let of_state = members.iter().enumerate().filter(|(at, state)| answerable(*at) && wanted(state));
        of_state.filter_map(|(at, _)| u32::try_from(at).ok()).collect()
    };
    let usable = pick(&|state| state.is_enabled && is_usable(state.availability));
    let enabled_members = pick(&|state| state.is_enabled);
    let needed = usize::try_from(pool.min_members_up).unwrap_or(usize::MAX);
    let tally = Tally::of(members.iter().filter(|state| state.is_enabled).map(|state| state.availability));
    let availability = tally.availability(needed);

    let draws = [pool.preferred, pool.alternate, pool.fallback].contains(&PoolMethod::Ratio);
    let mut push = |items: &[u32]| {
        let ratio = |&item: &u32| pool.members.get(super::layout::index(item)).map_or(0, |member| member.ratio);
        List::push(words, items, running_sums(items.iter().filter(|_| draws).map(ratio)))
    };
    let usable_list = push(&usable);
    let enabled_list = if enabled_members == usable { usable_list } else { push(&enabled_members) };
    let live = if is_usable(availability) { usable_list } else { List::default() };
    let was_good = before.map(|before| before.good.as_slice()).unwrap_or_default();
    let still_good: Vec<u32> = was_good.iter().copied().filter(|member| enabled_members.contains(member)).collect();
    let good = if availability == Availability::Available { List::default() } else { push(&still_good) };
    let (by_connections, fewest) = if live.is_empty() { (Vec::new(), 0) } else { by_connections(&usable, members) };
    let by_connections = push(&by_connections);

    PoolHead {
        availability,
        enabled,
        since: Before::since(before, availability, enabled, now),
        record_type: pool.record_type,
        preferred: known(pool.preferred, pool),
        alternate: known(pool.alternate, pool),
        fallback: known(pool.fallback, pool),
        verifies: pool.verify_member_availability,
        fallback_verifies: pool.respect_fallback_dependency,
        max_answers: pool.max_answers.max(1),
        ttl_seconds: pool.ttl_seconds,
        live,
        usable: usable_list,
        enabled_members: enabled_list,
        good,
        by_connections,
        fewest,
    }
}

/// The method, or none where it is to answer an address that the pool does not have.
fn known(method: PoolMethod, pool: &Pool) -> PoolMethod {
    let has_address = pool.fallback_ip.is_some_and(|address| {
        // A CNAME pool may stand in for addresses of either family; the decision looks at the wide IP's type.
        pool.record_type == RecordType::CNAME || fits(pool.record_type, address)
    });
    if method == PoolMethod::FallbackIp && !has_address { PoolMethod::None } else { method }
}

/// The members whose connections are known, fewest first, and how many share the lowest count.
fn by_connections(usable: &[u32], members: &[MemberState]) -> (Vec<u32>, u32) {
    let count = |&member: &u32| {
        let connections = members.get(super::layout::index(member))?.connections?;
        Some((connections, member))
    };
    let mut counted: Vec<(u64, u32)> = usable.iter().filter_map(count).collect();
    counted.sort_unstable();
    let fewest = counted.first().map(|(least, _)| counted.iter().take_while(|(count, _)| count == least).count());
    (counted.into_iter().map(|(_, member)| member).collect(), fewest.and_then(|n| u32::try_from(n).ok()).unwrap_or(0))
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
    /// What of this row the next one of the same pool starts from.
    pub(super) fn before(&self, words: &[u32]) -> Before {
        let good = if self.availability == Availability::Available { self.live } else { self.good };
        Before {
            availability: self.availability,
            enabled: self.enabled,
            since: self.since,
            good: good.items(words).to_vec(),
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
    pub(super) fn before(&self) -> Before {
        Before { availability: self.availability, enabled: self.enabled, since: self.since, good: Vec::new() }
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
    pub(super) pair_base: u32,
    /// The pools that are enabled and available.
    pub(super) live: List,
    /// The enabled pools that are not available and answer something all the same.
    pub(super) others: List,
    /// The pools to serve when all is down: those with a usable member or else those with an enabled one.
    pub(super) serve: List,
    /// The pools with members that were live last.
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
            pair_base: 0,
            live: List::default(),
            others: List::default(),
            serve: List::default(),
            good: List::default(),
            has_last_resort: false,
        }
    }
}

/// Makes a wide IP's row. `pool` gives the head of a pool by its id; `before` is the row until now.
pub(super) fn wide_ip_row<'a>(
    wide_ip: &WideIp,
    pair_base: u32,
    pool: impl Fn(u32) -> Option<&'a PoolHead>,
    enabled: Enabled,
    before: Option<&Before>,
    now: Moment,
    words: &mut Vec<u32>,
) -> WideIpHead {
    words.extend(wide_ip.pools.iter().map(|reference| reference.pool.0));
    words.extend(wide_ip.last_resort.map(|id| id.0));
    let enabled_pools: Vec<(u32, &PoolHead)> = (0..)
        .zip(&wide_ip.pools)
        .filter_map(|(at, reference)| Some((at, pool(reference.pool.0)?)))
        .filter(|(_, head)| head.enabled == Enabled::Enabled)
        .collect();
    let last_resort = wide_ip.last_resort.and_then(|id| pool(id.0)).filter(|head| head.enabled == Enabled::Enabled);
    let pick = |wanted: &dyn Fn(&PoolHead) -> bool| -> Vec<u32> {
        enabled_pools.iter().filter(|(_, head)| wanted(head)).map(|(at, _)| *at).collect()
    };
    let mut serve = pick(&|head| !head.usable.is_empty());
    if serve.is_empty() {
        serve = pick(&|head| !head.enabled_members.is_empty());
    }
    if serve.is_empty() && last_resort.is_some_and(|head| !head.enabled_members.is_empty()) {
        serve.extend(u32::try_from(wide_ip.pools.len()));
    }
    let draws = wide_ip.method == WideIpMethod::Ratio;
    let mut push = |items: Vec<u32>| {
        let ratio = |&at: &u32| wide_ip.pools.get(super::layout::index(at)).map_or(1, |reference| reference.ratio);
        List::push(words, &items, running_sums(items.iter().filter(|_| draws).map(ratio)))
    };
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
        pair_base,
        live: push(pick(&|head| !head.live.is_empty())),
        others: push(pick(&|head| head.live.is_empty() && head.answers_when_down())),
        serve: push(serve),
        good: push(pick(&|head| !head.good.is_empty())),
        has_last_resort: last_resort.is_some(),
    }
}
