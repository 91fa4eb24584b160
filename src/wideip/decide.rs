//! The decision: the wide IP's method picks a pool, the pool's methods pick members, and what happens when none can.
//!
//! | step | asked                                       | by                                                     |
//! |------|---------------------------------------------|--------------------------------------------------------|
//! | 1    | enabled pools that are available            | the wide IP's method, then the others of them in turn  |
//! | 2    | enabled pools that are not, if they answer  | order: fixed addresses, methods told to ignore health  |
//! | 3    | the last resort pool                        | -                                                      |
//! | 4    | what the wide IP says of all down           | -                                                      |
//!
//! A pool is asked by its preferred, then its alternate, then its fallback method; the first that finds something ends
//! the decision. A pool that finds nothing hands on to the next.

use super::ids::index;
use super::pick::Picking;
use super::rows::{List, PoolHead, Which, WideIpHead};
use super::select::{draw_below, next_best, pick_weighted};
use super::trace::{Event, Subject};
use super::{
    Answer, Client, Decision, Memory, PoolMethod, Reason, Tables, Tier, Trace, WhenAllDown, WideIpId, WideIpMethod,
};
use crate::wire::RecordType;

/// Something that can be answered.
struct Found {
    answer: Answer,
    /// The pool's position in the wide IP; one behind the last resort's when no pool answers.
    position: u32,
    tier: Tier,
    reason: Reason,
}

/// A decision under way.
struct Walk<'a, 'm> {
    picking: Picking<'a, 'm>,
    wide_ip: usize,
    head: &'a WideIpHead,
    words: &'a [u32],
}

impl Tables {
    /// Decides what a wide IP answers to a client. Locks nothing and, once `memory` has the size of the tables, allocates
    /// nothing unless a trace is asked for.
    pub fn decide(&self, id: WideIpId, client: &Client, memory: &mut Memory, trace: Option<&mut Trace>) -> Decision {
        memory.fit(self);
        let Some(row) = self.wide_ips.get(index(id.0)) else { return nothing(Reason::Disabled) };
        let picking = Picking::new(self, client, row.head, memory, trace);
        let mut walk = Walk { picking, wide_ip: index(id.0), head: row.head, words: row.words };
        let found = walk.find();
        walk.decision(&found)
    }
}

/// The decision about what does not exist.
fn nothing(reason: Reason) -> Decision {
    Decision {
        answer: Answer::ReturnToDns,
        record_type: RecordType::A,
        ttl_seconds: 0,
        scope: 0,
        pool: None,
        tier: Tier::AllDown,
        reason,
        pair: 0,
    }
}

impl<'a> Walk<'a, '_> {
    fn find(&mut self) -> Found {
        self.trace_pools();
        if self.head.enabled != crate::status::Enabled::Enabled {
            return self.without_pool(Answer::ReturnToDns, Reason::Disabled);
        }
        let least = if self.head.allow_zero_scores { 0 } else { 1 };
        self.ask_by_method(self.head.live, least, Self::ask)
            .or_else(|| self.ask_in_order(self.head.others))
            .or_else(|| self.ask_last_resort())
            .unwrap_or_else(|| self.when_all_down())
    }

    /// Asks the pools of a list: the one the wide IP's method picks, then the others.
    fn ask_by_method(
        &mut self,
        list: List,
        least_score: u32,
        ask: impl Fn(&mut Self, u32) -> Option<Found>,
    ) -> Option<Found> {
        let count = list.len();
        if count == 1 && self.head.pools == 1 && !self.head.has_last_resort && least_score == 0 {
            // The one item is the one pool: the row's words need not be read.
            self.trace_pool(Event::Selected, 0, String::new);
            return ask(self, 0);
        }
        let positions: &'a [u32] = list.items(self.words);
        let first = match self.head.method {
            _ if count == 0 => return None,
            WideIpMethod::Topology if count > 1 || least_score > 0 => {
                return self.ask_by_topology(positions, least_score, ask);
            }
            WideIpMethod::RoundRobin => self.picking.memory.turn_of_wide_ip(self.wide_ip, count),
            WideIpMethod::Ratio if count > 1 => {
                let sums = list.sums(self.words);
                let draw = draw_below(self.picking.memory.random(), sums.last().copied().unwrap_or(0));
                pick_weighted(sums, draw).unwrap_or(0)
            }
            _ => 0,
        };
        for step in 0..count {
            let position = *positions.get((first + step) % count)?;
            self.trace_pool(Event::Selected, position, || match step {
                0 => String::new(),
                _ => "the pool before it found nothing".to_owned(),
            });
            if let Some(found) = ask(self, position) {
                return Some(found);
            }
        }
        None
    }

    /// Asks the pools of a list by descending topology score, equal scores in turn.
    fn ask_by_topology(
        &mut self,
        positions: &'a [u32],
        least_score: u32,
        ask: impl Fn(&mut Self, u32) -> Option<Found>,
    ) -> Option<Found> {
        let (tables, class) = (self.picking.tables, self.picking.class());
        let classes = tables.layout.classes_of_wide_ip.get(self.wide_ip);
        let score = |at: usize| {
            let answer = positions.get(at).and_then(|&position| classes?.get(index(position)));
            answer.map_or(0, |answer| tables.topology.score(class, answer))
        };
        let count = positions.len();
        let (best, ties) = super::pick::best_and_ties(count, score);
        let turn = self.picking.memory.turn_of_wide_ip(self.wide_ip, ties);
        let start = super::pick::nth_tie(count, best, turn, score);
        let mut last = None;
        while let Some((of_this, step)) = next_best(count, start, least_score, last, score) {
            last = Some((of_this, step));
            let position = *positions.get((start + step) % count)?;
            self.trace_pool(Event::Selected, position, || format!("topology score ({of_this}) is the highest left"));
            if let Some(found) = ask(self, position) {
                return Some(found);
            }
        }
        for &position in positions.iter().filter(|_| best < least_score) {
            self.trace_pool(Event::Skipped, position, || "topology score (0) is not allowed".to_owned());
        }
        None
    }

    /// The pool at a position.
    fn pool(&self, position: u32) -> Option<u32> {
        if position == 0 {
            return Some(self.head.first_pool).filter(|&pool| pool != u32::MAX);
        }
        self.words.get(index(position)).copied()
    }

    fn ask_in_order(&mut self, list: List) -> Option<Found> {
        list.items(self.words).iter().find_map(|&position| self.ask(position))
    }

    fn ask_last_resort(&mut self) -> Option<Found> {
        if !self.head.has_last_resort {
            return None;
        }
        let position = self.head.pools;
        self.trace_pool(Event::Selected, position, || "it is the last resort".to_owned());
        self.ask(position).map(|found| Found { tier: Tier::LastResort, ..found })
    }

    /// Asks one pool by its three methods.
    fn ask(&mut self, position: u32) -> Option<Found> {
        let pool = index(self.pool(position)?);
        let row = self.picking.tables.pools.get(pool)?;
        self.picking.trace_members(pool);
        let PoolHead { preferred, alternate, fallback, .. } = *row.head;
        let tiers = [
            (Tier::Preferred, preferred, row.head.verifies),
            (Tier::Alternate, alternate, row.head.verifies),
            (Tier::Fallback, fallback, row.head.fallback_verifies),
        ];
        for (tier, method, verifies) in tiers {
            let which = if verifies { Which::Live } else { Which::Enabled };
            let answer = match method {
                PoolMethod::None => continue,
                PoolMethod::DropPacket => Some(Answer::Drop),
                PoolMethod::ReturnToDns => Some(Answer::ReturnToDns),
                PoolMethod::FallbackIp => self.fallback_ip(pool),
                _ => self.picking.pick(method, pool, row, which).then_some(Answer::Members),
            };
            if let Some(answer) = answer {
                return Some(Found { answer, position, tier, reason: Reason::Method(method) });
            }
            self.trace_pool(Event::FoundNothing, position, || format!("{tier} method {method}"));
        }
        None
    }

    /// A pool's fallback address, where it is of the type that the wide IP answers.
    fn fallback_ip(&self, pool: usize) -> Option<Answer> {
        let address = self.picking.tables.model.pools.get(pool)?.fallback_ip?;
        super::members::fits(self.head.record_type, address).then_some(Answer::Address(address))
    }

    /// What the wide IP answers when nothing it has is available.
    fn when_all_down(&mut self) -> Found {
        let wide_ip = self.picking.tables.model.wide_ips.get(self.wide_ip);
        let policy = wide_ip.map_or(&WhenAllDown::ServeAll, |wide_ip| &wide_ip.when_all_down);
        let answer = match policy {
            WhenAllDown::ServeAll => return self.serve_all(),
            WhenAllDown::LastKnownGood => {
                let last_good = self.ask_by_method(self.head.good, 0, Self::serve_good);
                return last_good.unwrap_or_else(|| self.serve_all());
            }
            WhenAllDown::FallbackIp(address) if super::members::fits(self.head.record_type, *address) => {
                Answer::Address(*address)
            }
            WhenAllDown::FallbackIp(_) | WhenAllDown::NoData => Answer::NoData,
            WhenAllDown::Rcode(rcode) => Answer::Rcode(*rcode),
            WhenAllDown::ReturnToDns => Answer::ReturnToDns,
            WhenAllDown::Drop => Answer::Drop,
        };
        self.without_pool(answer, Reason::WhenAllDown)
    }

    /// Serves as configured although nothing is available; disabled members stay out.
    fn serve_all(&mut self) -> Found {
        let served = self.ask_by_method(self.head.serve, 0, Self::serve_pool);
        served.unwrap_or_else(|| self.without_pool(Answer::ReturnToDns, Reason::NothingEnabled))
    }

    fn serve_pool(&mut self, position: u32) -> Option<Found> {
        let pool = index(self.pool(position)?);
        let head = self.picking.tables.pools.get(pool)?.head;
        let which = if head.usable.is_empty() { Which::Enabled } else { Which::Usable };
        self.serve(position, which, Reason::AllDown)
    }

    fn serve_good(&mut self, position: u32) -> Option<Found> {
        self.serve(position, Which::Good, Reason::LastKnownGood)
    }

    /// Picks from a list by the pool's first method that picks members; by turns where that finds nothing.
    fn serve(&mut self, position: u32, which: Which, reason: fn(PoolMethod) -> Reason) -> Option<Found> {
        let pool = index(self.pool(position)?);
        let row = self.picking.tables.pools.get(pool)?;
        self.picking.trace_members(pool);
        let picks = |method: &PoolMethod| {
            let is_terminal =
                matches!(method, PoolMethod::FallbackIp | PoolMethod::DropPacket | PoolMethod::ReturnToDns);
            !is_terminal && *method != PoolMethod::None
        };
        let configured = [row.head.preferred, row.head.alternate, row.head.fallback].into_iter().find(picks);
        [configured.unwrap_or(PoolMethod::RoundRobin), PoolMethod::RoundRobin].into_iter().find_map(|method| {
            let is_picked = self.picking.pick(method, pool, row, which);
            let found = Found { answer: Answer::Members, position, tier: Tier::AllDown, reason: reason(method) };
            is_picked.then_some(found)
        })
    }

    fn without_pool(&self, answer: Answer, reason: Reason) -> Found {
        Found { answer, position: self.head.pools + 1, tier: Tier::AllDown, reason }
    }

    fn decision(&self, found: &Found) -> Decision {
        let tables = self.picking.tables;
        let pool = self.pool(found.position).map(super::PoolId);
        let pool = pool.filter(|_| found.position <= self.head.pools);
        let head = pool.and_then(|id| tables.pools.get(index(id.0))).map(|row| row.head);
        let negative_ttl = || tables.model.wide_ips.get(self.wide_ip).map_or(0, |wide_ip| wide_ip.negative_ttl_seconds);
        let record_type = match (found.answer, head) {
            (Answer::Members, Some(head)) => head.record_type,
            _ => self.head.record_type,
        };
        Decision {
            answer: found.answer,
            record_type,
            ttl_seconds: head.map_or_else(negative_ttl, |head| head.ttl_seconds),
            scope: self.picking.scope(),
            pool,
            tier: found.tier,
            reason: found.reason,
            pair: self.head.pair_base.saturating_add(found.position),
        }
    }

    /// Notes which pools may be asked.
    fn trace_pools(&mut self) {
        if !self.picking.is_traced() {
            return;
        }
        let tables = self.picking.tables;
        let positions = self.head.pools + u32::from(self.head.has_last_resort);
        for position in 0..positions {
            let pool = self.pool(position).map(super::PoolId);
            let Some(status) = pool.and_then(|id| tables.pool_status(id)) else { continue };
            let is_live =
                status.enabled == crate::status::Enabled::Enabled && super::derive::is_usable(status.availability);
            let event = if is_live { Event::CheckSucceeded } else { Event::CheckFailed };
            let reason = format!("pool is {}, {}: {}", status.availability, status.enabled, status.reason);
            self.trace_pool(event, position, || reason);
        }
    }

    fn trace_pool(&mut self, event: Event, position: u32, reason: impl FnOnce() -> String) {
        if !self.picking.is_traced() {
            return;
        }
        let pool = self.pool(position).and_then(|id| self.picking.tables.model.pools.get(index(id)));
        let Some(name) = pool.map(|pool| pool.name.clone()) else { return };
        let is_choice = event == Event::Selected || event == Event::Skipped;
        let method = if is_choice { self.head.method.to_string() } else { String::new() };
        self.picking.note(event, Subject::Pool, name, method, reason());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Enabled, ObjectKind};
    use crate::wideip::fixture::{World, client, cname, name, pool, wide_ip};
    use crate::wideip::{Pool, PoolId, WideIp};
    use crate::wire::Rcode;

    const WWW: &str = "www.example.com.";

    fn world(pools: Vec<Pool>) -> World {
        let all: Vec<u32> = (0..).take(pools.len()).collect();
        World::new(pools, vec![wide_ip(WWW, &all)])
    }

    /// Every tier of one pool: its methods, what is down, and what is answered.
    #[test]
    fn the_chain_of_a_pool_ends_at_the_first_tier_that_finds_something() {
        let check = |methods: [PoolMethod; 3], change: fn(&mut Pool), down: &str, answer: &str, tier| {
            let mut one = pool("p", "a b");
            [one.preferred, one.alternate, one.fallback] = methods;
            one.fallback_ip = Some("203.0.113.9".parse().unwrap());
            change(&mut one);
            let mut world = world(vec![one]);
            world.up("ab");
            world.down(down);
            assert_eq!((world.answer().as_str(), world.decide().tier), (answer, tier), "{methods:?}, {down} down");
        };
        use PoolMethod::*;
        let as_is: fn(&mut Pool) = |_| {};
        check([GlobalAvailability, RoundRobin, None], as_is, "", "a", Tier::Preferred);
        check([GlobalAvailability, RoundRobin, None], as_is, "a", "b", Tier::Preferred);
        check([GlobalAvailability, None, None], as_is, "ab", "a", Tier::AllDown);
        check([LeastConnections, GlobalAvailability, None], as_is, "a", "b", Tier::Alternate);
        check([LeastConnections, None, GlobalAvailability], as_is, "a", "b", Tier::Fallback);
        check([GlobalAvailability, None, FallbackIp], as_is, "ab", "203.0.113.9", Tier::Fallback);
        check([GlobalAvailability, None, DropPacket], as_is, "ab", "no reply", Tier::Fallback);
        check([GlobalAvailability, None, ReturnToDns], as_is, "ab", "the static zone's answer", Tier::Fallback);
        check([ReturnToDns, None, None], as_is, "", "the static zone's answer", Tier::Preferred);
        // F5's default: the fallback tier does not look at health.
        let f5: fn(&mut Pool) = |pool| pool.respect_fallback_dependency = false;
        check([RoundRobin, None, GlobalAvailability], f5, "ab", "a", Tier::Fallback);
        let unverified: fn(&mut Pool) = |pool| pool.verify_member_availability = false;
        check([GlobalAvailability, None, None], unverified, "a", "a", Tier::Preferred);
        check([GlobalAvailability, None, None], unverified, "ab", "a", Tier::Preferred);
        // Below the fewest members the pool is down, but its healthy members are served before the others.
        let two: fn(&mut Pool) = |pool| pool.min_members_up = 2;
        check([GlobalAvailability, None, None], two, "a", "b", Tier::AllDown);
        // An address of the other family cannot be answered.
        let v6: fn(&mut Pool) = |pool| pool.fallback_ip = Some("2001:db8::9".parse().unwrap());
        check([GlobalAvailability, None, FallbackIp], v6, "ab", "a", Tier::AllDown);
    }

    #[test]
    fn an_available_pool_comes_before_anything_another_pool_does_when_down() {
        let mut first = pool("first", "a");
        first.fallback = PoolMethod::FallbackIp;
        first.fallback_ip = Some("203.0.113.9".parse().unwrap());
        let mut world = world(vec![first, pool("second", "b")]);
        world.up("ab");
        world.down("a");
        assert_eq!(world.answers(2), "bb");
        world.down("b");
        assert_eq!(world.answer(), "203.0.113.9");
        assert_eq!(world.decide().pool, Some(PoolId(0)));
    }

    #[test]
    fn the_last_resort_answers_when_no_pool_does_and_before_all_down() {
        let mut of_name = wide_ip(WWW, &[0]);
        of_name.last_resort = Some(PoolId(1));
        let mut world = World::new(vec![pool("p", "a"), pool("last", "b")], vec![of_name]);
        world.up("ab");
        assert_eq!((world.answer().as_str(), world.decide().tier), ("a", Tier::Preferred));
        world.down("a");
        assert_eq!((world.answer().as_str(), world.decide().tier), ("b", Tier::LastResort));
        world.down("b");
        assert_eq!((world.answer().as_str(), world.decide().tier), ("a", Tier::AllDown));
        world.switch(ObjectKind::Pool, "p", Some(Enabled::Disabled));
        assert_eq!((world.answer().as_str(), world.decide().tier), ("b", Tier::AllDown));
    }

    #[test]
    fn every_answer_to_all_down() {
        let check = |policy: WhenAllDown, answer: &str, reason: Reason| {
            let of_name = WideIp { when_all_down: policy.clone(), ..wide_ip(WWW, &[0]) };
            let mut world = World::new(vec![pool("p", "a b c")], vec![of_name]);
            world.up("abc");
            world.down("a");
            world.down("bc");
            assert_eq!(world.answer(), answer, "{policy:?}");
            let decision = world.decide();
            assert_eq!((decision.tier, decision.reason), (Tier::AllDown, reason), "{policy:?}");
            let ttl_seconds = if decision.pool.is_some() { 30 } else { 5 };
            assert_eq!(decision.ttl_seconds, ttl_seconds);
        };
        check(WhenAllDown::ServeAll, "a", Reason::AllDown(PoolMethod::RoundRobin));
        check(WhenAllDown::LastKnownGood, "c", Reason::LastKnownGood(PoolMethod::RoundRobin));
        check(WhenAllDown::FallbackIp("203.0.113.1".parse().unwrap()), "203.0.113.1", Reason::WhenAllDown);
        check(WhenAllDown::FallbackIp("2001:db8::1".parse().unwrap()), "no data", Reason::WhenAllDown);
        check(WhenAllDown::NoData, "no data", Reason::WhenAllDown);
        check(WhenAllDown::Rcode(Rcode::SERVFAIL), "SERVFAIL", Reason::WhenAllDown);
        check(WhenAllDown::ReturnToDns, "the static zone's answer", Reason::WhenAllDown);
        check(WhenAllDown::Drop, "no reply", Reason::WhenAllDown);
    }

    #[test]
    fn last_known_good_is_what_was_live_last_and_never_what_is_disabled() {
        let of_name = WideIp { when_all_down: WhenAllDown::LastKnownGood, ..wide_ip(WWW, &[0, 1]) };
        let mut world = World::new(vec![pool("p", "a b c d"), pool("q", "e")], vec![of_name]);
        world.up("abcd");
        world.down("e");
        world.down("ab");
        world.down("c");
        world.down("d");
        assert_eq!(world.answers(2), "dd");
        // A reload keeps it, also where members have other positions.
        world.model.pools[0].members.swap(0, 3);
        world.tables =
            world.tables.rebuild(std::sync::Arc::new(world.model.clone()), std::sync::Arc::default(), &world.table);
        assert_eq!(world.answers(2), "dd");
        world.switch(ObjectKind::Member, "p/ny-lb/d", Some(Enabled::Disabled));
        assert_eq!(world.decide().reason, Reason::AllDown(PoolMethod::RoundRobin));
        assert!(!world.answers(9).contains('d'));
    }

    #[test]
    fn what_goes_down_together_was_live_together() {
        let of_name = WideIp { when_all_down: WhenAllDown::LastKnownGood, ..wide_ip(WWW, &[0]) };
        let mut world = World::new(vec![pool("p", "a b c d")], vec![of_name]);
        world.up("abc");
        world.down("d");
        world.report_together("abc", crate::status::Availability::Offline);
        assert_eq!(world.answers(3), "abc");
        assert!(matches!(world.decide().reason, Reason::LastKnownGood(_)));
    }

    #[test]
    fn with_nothing_enabled_the_static_zone_answers() {
        let mut world = world(vec![pool("p", "a b")]);
        world.up("ab");
        world.switch(ObjectKind::Server, "ny-lb", Some(Enabled::Disabled));
        assert_eq!(world.answer(), "the static zone's answer");
        assert_eq!(world.decide().reason, Reason::NothingEnabled);
        world.switch(ObjectKind::Server, "ny-lb", None);
        assert_eq!(world.answers(2), "ab");
    }

    #[test]
    fn pools_take_turns_and_disabled_ones_none() {
        let mut world = world(vec![pool("p", "a"), pool("q", "b"), pool("r", "c")]);
        assert_eq!(world.answers(6), "abcabc", "what is unknown is used");
        world.switch(ObjectKind::Pool, "q", Some(Enabled::Disabled));
        let answers = world.answers(4);
        assert!(answers == "acac" || answers == "caca", "{answers}");
        assert_eq!(world.decide().pair, 0);
        assert_eq!(world.decide().pair, 2);
    }

    #[test]
    fn pools_are_drawn_by_ratio() {
        let mut of_name = WideIp { method: WideIpMethod::Ratio, ..wide_ip(WWW, &[0, 1, 2]) };
        of_name.pools[0].ratio = 3;
        of_name.pools[2].ratio = 0;
        let mut world = World::new(vec![pool("p", "a"), pool("q", "b"), pool("r", "c")], vec![of_name]);
        let answers = world.answers(4000);
        let count = |letter| answers.matches(letter).count();
        assert!((2900..3100).contains(&count('a')), "{}", count('a'));
        assert_eq!((count('a') + count('b'), count('c')), (4000, 0));
    }

    #[test]
    fn a_cname_pool_answers_for_addresses_and_follows_its_wide_ip() {
        let mut aliases = pool("aliases", "");
        aliases.record_type = RecordType::CNAME;
        aliases.members = vec![cname("other.example.com.", false), cname("cdn.example.net.", true)];
        aliases.preferred = PoolMethod::GlobalAvailability;
        let wide_ips = vec![wide_ip(WWW, &[0]), wide_ip("other.example.com.", &[1])];
        let mut world = World::new(vec![aliases, pool("p", "a")], wide_ips);
        let target = |world: &mut World| {
            let decision = world.decide();
            assert_eq!(decision.record_type, RecordType::CNAME);
            world.tables.rdata(decision.pool.unwrap(), world.memory.picked()[0]).to_vec()
        };
        world.up("a");
        assert_eq!(target(&mut world), name("other.example.com.").as_wire());
        world.down("a");
        assert_eq!(target(&mut world), name("cdn.example.net.").as_wire());
        world.up("a");
        assert_eq!(target(&mut world), name("other.example.com.").as_wire());
        world.switch(ObjectKind::WideIp, "OTHER.example.com/A", Some(Enabled::Disabled));
        assert_eq!(target(&mut world), name("cdn.example.net.").as_wire());
    }

    #[test]
    fn names_that_lead_in_a_circle_are_down() {
        let alias = |name: &str, target: &str| {
            let mut one = pool(name, "");
            one.record_type = RecordType::CNAME;
            one.members = vec![cname(target, false)];
            one
        };
        let wide_ips = vec![wide_ip("a.example.", &[0]), wide_ip("b.example.", &[1])];
        let mut world = World::new(vec![alias("a", "b.example."), alias("b", "a.example.")], wide_ips);
        assert_eq!(world.decide().tier, Tier::AllDown);
    }

    #[test]
    fn a_disabled_wide_ip_is_not_there() {
        let mut aliased = wide_ip(WWW, &[0]);
        aliased.aliases = vec![crate::wideip::Pattern::Exact(name("alias.example.com."))];
        let glob = wide_ip("*.example.com.", &[0]);
        let mut world = World::new(vec![pool("p", "a")], vec![aliased, glob]);
        assert_eq!(world.find("WWW.example.com.", RecordType::A), Some(0));
        assert_eq!(world.find("alias.example.com.", RecordType::A), Some(0));
        assert_eq!(world.find("www.example.com.", RecordType::AAAA), None);
        assert_eq!(world.find("x.y.example.com.", RecordType::A), Some(1));
        assert_eq!(world.find("example.com.", RecordType::A), None);
        world.switch(ObjectKind::WideIp, "www.example.com/a", Some(Enabled::Disabled));
        assert_eq!(world.find("www.example.com.", RecordType::A), Some(1), "the pattern behind it");
        assert_eq!(world.decide().reason, Reason::Disabled);
        world.switch(ObjectKind::WideIp, "*.example.com/A", Some(Enabled::Disabled));
        let key = crate::wire::NameKey::new(&name(WWW), crate::wideip::fixture::SEED);
        assert!(world.tables.find(&key).is_none());
    }

    #[test]
    fn a_trace_tells_every_pool_and_member_with_its_reason() {
        let mut world = world(vec![pool("p", "a b"), pool("q", "c")]);
        world.up("abc");
        world.down("ac");
        let mut trace = Trace::default();
        world.tables.decide(WideIpId(0), &client("198.51.100.1"), &mut world.memory, Some(&mut trace));
        let lines = [
            "[pool check succeeded (p) - pool is available, enabled: 1 of 2 enabled pool members can be used]",
            "[pool check failed (q) - pool is offline, enabled: 0 of 1 enabled pool members can be used]",
            "[round robin selected pool (p)]",
            "[pool member check failed (ny-lb/a) - pool member is offline, enabled: reported]",
            "[pool member check succeeded (ny-lb/b) - pool member is available, enabled: reported]",
            "[round robin selected pool member (ny-lb/b)]",
        ];
        assert_eq!(trace.to_string().lines().collect::<Vec<_>>(), lines);
    }
}
