//! The pool's tier: picking members from a list by one method, for one client.

use std::iter::repeat;
use std::net::IpAddr;
use std::sync::Arc;

use super::chunks::Row;
use super::ids::index;
use super::marks::Marks;
use super::rows::{PoolHead, Which, WideIpHead};
use super::select::{draw_below, draw_several, hash_client, next_best, pick_weighted, rendezvous};
use super::trace::{Event, Step, Subject, Trace};
use super::{Client, Memory, PoolId, PoolMethod, Tables};
use crate::topology::{ClassId, Place};

/// What picking members looks at and changes, for one decision.
pub(super) struct Picking<'a, 'm> {
    pub(super) tables: &'a Tables,
    pub(super) memory: &'m mut Memory,
    trace: Option<&'m mut Trace>,
    address: IpAddr,
    /// How many bits of the address are known, when it is a client subnet's.
    subnet_bits: Option<u8>,
    /// The bits of the address that static persistence looks at.
    persist_bits: u8,
    allow_zero_scores: bool,
    place: Option<Place>,
    scope: u8,
}

impl<'a, 'm> Picking<'a, 'm> {
    pub(super) fn new(
        tables: &'a Tables,
        client: &Client,
        head: &WideIpHead,
        memory: &'m mut Memory,
        trace: Option<&'m mut Trace>,
    ) -> Self {
        // RFC 7871 §7.1.2: a prefix of no bits asks that the client's address be not used; what is left is the source's.
        let subnet = client.subnet.filter(|subnet| head.use_client_subnet && subnet.prefix_length > 0);
        let address = subnet.map_or(client.source, |subnet| subnet.address);
        let persist_bits = if address.is_ipv4() { head.persist_ipv4 } else { head.persist_ipv6 };
        let subnet_bits = subnet.map(|subnet| subnet.prefix_length);
        Self {
            tables,
            memory,
            trace,
            address,
            subnet_bits,
            persist_bits: subnet_bits.map_or(persist_bits, |bits| bits.min(persist_bits)),
            allow_zero_scores: head.allow_zero_scores,
            place: None,
            scope: 0,
        }
    }

    /// How many bits of the client subnet decided; 0 when there is none or it was not looked at.
    pub(super) fn scope(&self) -> u8 {
        if self.subnet_bits.is_some() { self.scope } else { 0 }
    }

    /// The client's topology class; from here on the client matters.
    pub(super) fn class(&mut self) -> ClassId {
        let place = match self.place {
            Some(place) => place,
            None => self.tables.topology.locate(self.address),
        };
        self.place = Some(place);
        self.scope = self.scope.max(place.prefix_length);
        place.class
    }

    /// Picks up to the pool's number of answers from a list into the memory. False when the method finds nothing.
    pub(super) fn pick(&mut self, method: PoolMethod, pool: usize, row: Row<'a, PoolHead>, which: Which) -> bool {
        let usable = self.tables.marks.get(pool).usable;
        if row.head.is_as_made(which, usable) {
            let list = row.head.list(which);
            return self.pick_from(method, pool, row, list.items(row.words), list.sums(row.words));
        }
        let mut items = std::mem::take(&mut self.memory.items);
        let mut sums = std::mem::take(&mut self.memory.sums);
        items.clear();
        sums.clear();
        let enabled = row.head.enabled_members;
        let (mut before, mut total) = (0, 0);
        // The sums mean nothing where no method draws by ratio, and are not looked at there.
        for (&item, &sum) in enabled.items(row.words).iter().zip(enabled.sums(row.words).iter().chain(repeat(&0))) {
            let ratio = sum.wrapping_sub(std::mem::replace(&mut before, sum));
            if Marks::has(usable, item) {
                total = ratio.wrapping_add(total);
                items.push(item);
                sums.push(total);
            }
        }
        let is_picked = self.pick_from(method, pool, row, &items, &sums);
        self.memory.items = items;
        self.memory.sums = sums;
        is_picked
    }

    fn pick_from(
        &mut self,
        method: PoolMethod,
        pool: usize,
        row: Row<'a, PoolHead>,
        items: &[u32],
        sums: &[u32],
    ) -> bool {
        let wanted = usize::from(row.head.max_answers).min(items.len());
        self.memory.picked.clear();
        match method {
            _ if items.is_empty() => {}
            PoolMethod::RoundRobin => {
                let first = self.memory.turn_of_pool(pool, items.len());
                self.take_ring(items, first, wanted);
            }
            PoolMethod::GlobalAvailability => self.take_ring(items, 0, wanted),
            PoolMethod::Ratio => self.pick_by_ratio(items, sums, wanted),
            PoolMethod::StaticPersistence => self.pick_by_client(pool, items, wanted),
            PoolMethod::Topology => self.pick_by_topology(pool, items, wanted),
            PoolMethod::LeastConnections => self.pick_by_connections(pool, row, wanted),
            PoolMethod::FallbackIp | PoolMethod::DropPacket | PoolMethod::ReturnToDns | PoolMethod::None => {}
        }
        self.trace_picked(method, pool);
        !self.memory.picked.is_empty()
    }

    /// Takes `wanted` items from `first` on, from the beginning again after the last.
    fn take_ring(&mut self, items: &[u32], first: usize, wanted: usize) {
        let (before, from) = items.split_at_checked(first).unwrap_or((items, &[]));
        self.memory.picked.extend(from.iter().chain(before).take(wanted));
    }

    fn pick_by_ratio(&mut self, items: &[u32], sums: &[u32], wanted: usize) {
        let Some(&total) = sums.last() else { return };
        if wanted == 1 {
            let draw = draw_below(self.memory.random(), total);
            let item = pick_weighted(sums, draw).and_then(|at| items.get(at));
            self.memory.picked.extend(item);
            return;
        }
        let mut weights = std::mem::take(&mut self.memory.weights);
        weights.clear();
        let mut before = 0;
        weights.extend(sums.iter().map(|&sum| sum - std::mem::replace(&mut before, sum)));
        let mut picked = std::mem::take(&mut self.memory.picked);
        draw_several(&mut weights, wanted, || self.memory.random(), |at| picked.extend(items.get(at)));
        self.memory.picked = picked;
        self.memory.weights = weights;
    }

    /// Rendezvous hashing: every client has an order of its own over the members, and takes the first that are there.
    /// A member that goes moves only its clients, and they come back when it does.
    fn pick_by_client(&mut self, pool: usize, items: &[u32], wanted: usize) {
        if items.len() == 1 {
            return self.take_ring(items, 0, 1);
        }
        self.scope = self.scope.max(self.persist_bits);
        let client = hash_client(self.address, self.persist_bits);
        let identities = self.tables.layout.pools.get(pool).map(|layout| &*layout.identities).unwrap_or_default();
        let score_of = |item: u32| identities.get(index(item)).map_or(0, |&identity| rendezvous(client, identity));
        if wanted == 1 {
            self.memory.picked.extend(items.iter().max_by_key(|&&item| score_of(item)));
        } else {
            self.take_best(items, 0, wanted, 0, |at| items.get(at).map_or(0, |&item| score_of(item)));
        }
    }

    fn pick_by_topology(&mut self, pool: usize, items: &[u32], wanted: usize) {
        if items.len() == 1 && self.allow_zero_scores {
            return self.take_ring(items, 0, 1);
        }
        let class = self.class();
        let Some(layout) = self.tables.layout.pools.get(pool) else { return };
        let mut of_class = std::mem::take(&mut self.memory.scores);
        of_class.clear();
        of_class.extend(layout.classes.iter().map(|answer| self.tables.topology.score(class, answer)));
        let mut scores = std::mem::take(&mut self.memory.weights);
        scores.clear();
        let score_of = |item: &u32| of_class.get(usize::from(*layout.class_of.get(index(*item))?)).copied();
        scores.extend(items.iter().map(|item| score_of(item).unwrap_or(0)));
        let score = |at: usize| scores.get(at).copied().unwrap_or(0);
        let (best, ties) = best_and_ties(items.len(), score);
        let turn = self.memory.turn_of_pool(pool, ties);
        let start = nth_tie(items.len(), best, turn, score);
        let least = if self.allow_zero_scores { 0 } else { 1 };
        self.trace_scores(pool, items, &scores);
        if wanted == 1 && best >= least {
            self.memory.picked.extend(items.get(start));
        } else {
            self.take_best(items, start, wanted, least, score);
        }
        self.memory.weights = scores;
        self.memory.scores = of_class;
    }

    fn take_best<S: Copy + Ord>(
        &mut self,
        items: &[u32],
        start: usize,
        wanted: usize,
        least: S,
        score: impl Fn(usize) -> S,
    ) {
        let mut last = None;
        for _ in 0..wanted {
            let Some((of_this, step)) = next_best(items.len(), start, least, last, &score) else { return };
            last = Some((of_this, step));
            self.memory.picked.extend(items.get((start + step) % items.len()));
        }
    }

    /// Those with the fewest connections in turn, then the others by rising number.
    fn pick_by_connections(&mut self, pool: usize, row: Row<'a, PoolHead>, wanted: usize) {
        let items = row.head.by_connections.items(row.words);
        let (fewest, others) = items.split_at_checked(usize::from(row.head.fewest)).unwrap_or_default();
        let first = self.memory.turn_of_pool(pool, fewest.len());
        self.take_ring(fewest, first, wanted);
        let left = wanted.saturating_sub(self.memory.picked.len());
        self.memory.picked.extend(others.iter().take(left));
    }

    /// Whether somebody asked for the steps.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Notes a step.
    pub(super) fn note(&mut self, event: Event, subject: Subject, name: Arc<str>, method: String, reason: String) {
        if let Some(trace) = self.trace.as_deref_mut() {
            trace.steps.push(Step { event, subject, name, method, reason });
        }
    }

    fn member_name(&self, pool: usize, member: usize) -> Arc<str> {
        let member = self.tables.model.pools.get(pool).and_then(|pool| pool.members.get(member));
        member.map_or_else(|| "?".into(), |member| self.tables.model.member_name(member))
    }

    /// Notes which members of a pool may be answered, and why not the others.
    pub(super) fn trace_members(&mut self, pool: usize) {
        if !self.is_traced() {
            return;
        }
        let Ok(id) = u32::try_from(pool).map(PoolId) else { return };
        for member in 0..self.tables.model.pools.get(pool).map_or(0, |pool| pool.members.len()) {
            let Some(status) = self.tables.member_status(id, member) else { continue };
            let state = self.tables.member_state(pool, member);
            let is_usable = state.is_enabled && super::derive::is_usable(state.availability);
            let event = if is_usable { Event::CheckSucceeded } else { Event::CheckFailed };
            let reason = format!("pool member is {}, {}: {}", status.availability, status.enabled, status.reason);
            self.note(event, Subject::Member, self.member_name(pool, member), String::new(), reason);
        }
    }

    fn trace_scores(&mut self, pool: usize, items: &[u32], scores: &[u32]) {
        if !self.is_traced() {
            return;
        }
        let best = scores.iter().max().copied().unwrap_or(0);
        for (&item, &score) in items.iter().zip(scores).filter(|(_, score)| **score < best) {
            let reason = format!("topology score ({score}) is below ({best})");
            let name = self.member_name(pool, index(item));
            self.note(Event::Skipped, Subject::Member, name, PoolMethod::Topology.to_string(), reason);
        }
    }

    /// Notes what was picked, with the number that decided.
    fn trace_picked(&mut self, method: PoolMethod, pool: usize) {
        if !self.is_traced() {
            return;
        }
        for at in 0..self.memory.picked.len() {
            let member_at = self.memory.picked.get(at).map_or(usize::MAX, |&item| index(item));
            let reason = self.number(method, pool, member_at);
            self.note(Event::Selected, Subject::Member, self.member_name(pool, member_at), method.to_string(), reason);
        }
    }

    fn number(&self, method: PoolMethod, pool: usize, member_at: usize) -> String {
        let member = self.tables.model.pools.get(pool).and_then(|pool| pool.members.get(member_at));
        let layout = self.tables.layout.pools.get(pool);
        let class = layout.and_then(|layout| layout.classes.get(usize::from(*layout.class_of.get(member_at)?)));
        match (method, member, class) {
            (PoolMethod::Ratio, Some(member), _) => format!("ratio ({})", member.ratio),
            (PoolMethod::LeastConnections, ..) => {
                let connections = self.tables.member_state(pool, member_at).connections;
                connections.map_or_else(String::new, |connections| format!("connections ({connections})"))
            }
            (PoolMethod::Topology, _, Some(class)) => match self.place {
                Some(place) => format!("topology score ({})", self.tables.topology.score(place.class, class)),
                None => "it is the only one".to_owned(),
            },
            (PoolMethod::StaticPersistence, ..) => format!("client prefix /{}", self.persist_bits),
            _ => String::new(),
        }
    }
}

/// The highest score and how many have it.
pub(super) fn best_and_ties(count: usize, score: impl Fn(usize) -> u32) -> (u32, usize) {
    let best = (0..count).map(&score).max().unwrap_or(0);
    (best, (0..count).filter(|&at| score(at) == best).count())
}

/// Where the `turn`-th of those with the score `best` stands.
pub(super) fn nth_tie(count: usize, best: u32, turn: usize, score: impl Fn(usize) -> u32) -> usize {
    (0..count).filter(|&at| score(at) == best).nth(turn).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::topology::{Condition, Match, Prefix, Record, Rules};
    use crate::wideip::fixture::{World, client, client_in, pool, wide_ip};
    use crate::wideip::{Pool, WideIp, WideIpMethod};

    const WWW: &str = "www.example.com.";

    fn world(method: PoolMethod, members: &str, max_answers: u16) -> World {
        let one = Pool { preferred: method, max_answers, ..pool("p", members) };
        World::new(vec![one], vec![wide_ip(WWW, &[0])])
    }

    #[test]
    fn each_method_picks_in_its_order() {
        let check = |method, members: &str, max_answers, expected: &[&str]| {
            let mut world = world(method, members, max_answers);
            let answers: Vec<String> = expected.iter().map(|_| world.answer()).collect();
            assert_eq!(answers, expected, "{method}");
        };
        check(PoolMethod::RoundRobin, "a b c", 1, &["a", "b", "c", "a"]);
        check(PoolMethod::RoundRobin, "a b c", 2, &["ab", "bc", "ca", "ab"]);
        check(PoolMethod::RoundRobin, "a b", 9, &["ab", "ba"]);
        check(PoolMethod::GlobalAvailability, "b a c", 1, &["b", "b"]);
        check(PoolMethod::GlobalAvailability, "b a c", 2, &["ba", "ba"]);
        check(PoolMethod::Ratio, "a0 b7 c0", 1, &["b", "b", "b"]);
        check(PoolMethod::Ratio, "a0 b7 c0", 3, &["b", "b"]);
        // All shares are zero: ratio finds nothing and the alternate method answers.
        check(PoolMethod::Ratio, "a0 b0", 1, &["a", "b", "a"]);
    }

    #[test]
    fn several_answers_by_ratio_differ_and_prefer_the_heavier() {
        let mut world = world(PoolMethod::Ratio, "a8 b1 c1", 2);
        let answers: Vec<String> = (0..1000).map(|_| world.answer()).collect();
        assert!(answers.iter().all(|answer| answer.len() == 2 && answer.as_bytes()[0] != answer.as_bytes()[1]));
        let first = answers.iter().filter(|answer| answer.starts_with('a')).count();
        assert!((750..850).contains(&first), "{first}");
    }

    #[test]
    fn the_fewest_connections_win_and_ties_take_turns() {
        let mut world = world(PoolMethod::LeastConnections, "a b c d", 1);
        assert_eq!(world.answers(4), "abcd", "nothing is measured: the alternate method");
        world.report("a", crate::status::Availability::Available, Some(9));
        world.report("bc", crate::status::Availability::Available, Some(4));
        assert_eq!(world.answers(4), "bcbc");
        world.report("d", crate::status::Availability::Available, Some(3));
        assert_eq!(world.answers(2), "dd");
        // A report that changes nothing but measurements moves it too.
        world.report("d", crate::status::Availability::Available, Some(5));
        assert_eq!(world.answers(2), "bc");
        world.down("bc");
        assert_eq!(world.answers(2), "dd");
        world.wait(20);
        assert_eq!(world.answers(4).len(), 4, "stale measurements do not count");
        assert!(world.answers(4).contains('a'));
    }

    #[test]
    fn removing_a_member_moves_only_its_clients_and_its_return_brings_them_back() {
        let mut world = world(PoolMethod::StaticPersistence, "a b c d e", 1);
        world.up("abcde");
        let who = |world: &mut World| -> BTreeMap<u16, String> {
            (0..2000).map(|n: u16| (n, world.answer_for(&client(&format!("198.51.{}.{}", n >> 8, n & 255))))).collect()
        };
        let before = who(&mut world);
        let of = |answers: &BTreeMap<u16, String>, letter| answers.values().filter(|answer| *answer == letter).count();
        for letter in ["a", "b", "c", "d", "e"] {
            assert!((320..480).contains(&of(&before, letter)), "{letter}: {}", of(&before, letter));
        }
        assert_eq!(who(&mut world), before, "a client stays where it is");
        world.down("c");
        let moved = who(&mut world);
        assert!(before.iter().all(|(n, answer)| answer == "c" || moved[n] == *answer));
        assert_eq!(of(&moved, "c"), 0);
        world.up("c");
        assert_eq!(who(&mut world), before);
    }

    #[test]
    fn persistence_looks_at_no_more_bits_than_configured_and_given() {
        let one = Pool { preferred: PoolMethod::StaticPersistence, ..pool("p", "a b c d e f g h") };
        let of_name = WideIp { persist_cidr_ipv4: 24, persist_cidr_ipv6: 56, ..wide_ip(WWW, &[0]) };
        let mut world = World::new(vec![one], vec![of_name]);
        let first = world.answer_for(&client("198.51.100.1"));
        assert!((2..250).all(|n| world.answer_for(&client(&format!("198.51.100.{n}"))) == first));
        let mut check = |subnet: &str, scope| {
            assert_eq!(world.decide_for(&client_in(subnet)).scope, scope, "{subnet}");
        };
        check("198.51.100.0/24", 24);
        check("198.51.100.128/25", 24);
        check("198.51.0.0/16", 16);
        check("2001:db8::/56", 56);
        check("2001:db8::/48", 48);
        check("2001:db8::1/128", 56);
        check("0.0.0.0/0", 0);
    }

    fn record(subnet: &str, datacenter: &str, score: u32) -> Record {
        let (address, length) = subnet.split_once('/').unwrap();
        let prefix = Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() };
        Record {
            client: Condition { negated: false, is: Match::Subnet(prefix) },
            answer: Condition { negated: false, is: Match::Datacenter(datacenter.into()) },
            score,
        }
    }

    fn by_topology(max_answers: u16, allow_zero_scores: bool) -> World {
        let records = vec![record("10.0.0.0/8", "ny", 10), record("10.20.0.0/16", "london", 20)];
        let one = Pool { preferred: PoolMethod::Topology, max_answers, ..pool("p", "a b y z") };
        let one = Pool { alternate: PoolMethod::None, ..one };
        let of_name = WideIp { allow_zero_scores, ..wide_ip(WWW, &[0]) };
        World::with_rules(vec![one], vec![of_name], Rules { records, ..Rules::default() })
    }

    #[test]
    fn the_highest_topology_score_wins_and_ties_take_turns() {
        let mut world = by_topology(1, true);
        let mut check = |source: &str, expected: &str| {
            let answers: String = (0..4).map(|_| world.answer_for(&client(source))).collect();
            assert_eq!(answers, expected, "{source}");
        };
        check("10.1.1.1", "abab");
        check("10.20.1.1", "yzyz");
        check("192.0.2.1", "abyz");
        let mut world = by_topology(3, true);
        assert_eq!(world.answer_for(&client("10.20.1.1")), "yza");
        assert_eq!(world.answer_for(&client("10.20.1.1")), "zya");
    }

    #[test]
    fn a_zero_score_is_answered_only_where_it_is_allowed() {
        let mut world = by_topology(3, false);
        assert_eq!(world.answer_for(&client("10.1.1.1")), "ab");
        let decision = world.decide_for(&client("192.0.2.1"));
        assert_eq!(decision.tier, crate::wideip::Tier::AllDown);
    }

    #[test]
    fn the_scope_is_the_prefix_that_decided_and_zero_when_the_client_did_not_matter() {
        let mut world = by_topology(1, true);
        let mut check = |subnet: &str, scope| {
            assert_eq!(world.decide_for(&client_in(subnet)).scope, scope, "{subnet}");
        };
        check("10.20.1.0/24", 16);
        check("10.21.1.0/24", 16);
        check("10.128.1.0/24", 9);
        check("11.1.1.0/24", 8);
        assert_eq!(world.decide_for(&client("10.20.1.1")).scope, 0, "no subnet was given");
        world.down("abz");
        assert_eq!(world.decide_for(&client_in("10.20.1.0/24")).scope, 0, "only one can be answered");
        let mut plain = self::world(PoolMethod::RoundRobin, "a b", 1);
        assert_eq!(plain.decide_for(&client_in("10.20.1.0/24")).scope, 0);
        let ignoring = WideIp { use_client_subnet: false, ..wide_ip(WWW, &[0]) };
        let one = Pool { preferred: PoolMethod::StaticPersistence, ..pool("p", "a b") };
        assert_eq!(World::new(vec![one], vec![ignoring]).decide_for(&client_in("10.20.1.0/24")).scope, 0);
    }

    #[test]
    fn pools_are_chosen_by_topology_and_the_next_best_is_asked_when_one_finds_nothing() {
        let to_pool = |subnet, name: &str, score| Record {
            answer: Condition { negated: false, is: Match::Pool(name.into()) },
            ..record(subnet, "", score)
        };
        let records = vec![to_pool("10.0.0.0/8", "p", 1), to_pool("10.0.0.0/8", "r", 2)];
        let silent = Pool { preferred: PoolMethod::LeastConnections, alternate: PoolMethod::None, ..pool("r", "c") };
        let of_name = WideIp { method: WideIpMethod::Topology, ..wide_ip(WWW, &[0, 1, 2]) };
        let pools = vec![pool("p", "a"), pool("q", "b"), silent];
        let mut world = World::with_rules(pools, vec![of_name], Rules { records, ..Rules::default() });
        assert_eq!(world.answer_for(&client("10.1.1.1")), "a");
        assert_eq!(world.decide_for(&client_in("10.1.1.0/24")).scope, 8);
        world.report("c", crate::status::Availability::Available, Some(1));
        assert_eq!(world.answer_for(&client("10.1.1.1")), "c");
        world.down("c");
        assert_eq!(world.answer_for(&client("10.1.1.1")), "a");
        world.down("a");
        assert_eq!(world.answer_for(&client("10.1.1.1")), "b");
    }
}
