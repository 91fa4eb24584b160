//! Properties that hold for every configuration and every history of facts.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::{World, client, client_in, pool, wide_ip};
use super::ids::index;
use super::rows::Which;
use super::*;
use crate::status::{Availability, Enabled, Freshness, ObjectKind};

/// Something that happens to a world.
#[derive(Debug, Clone)]
enum Step {
    Report(char, Availability, Option<u64>),
    Wait(u64),
    Switch(ObjectKind, String, Option<Enabled>),
    Reload,
}

const METHODS: [PoolMethod; 6] = [
    PoolMethod::RoundRobin,
    PoolMethod::Ratio,
    PoolMethod::GlobalAvailability,
    PoolMethod::Topology,
    PoolMethod::StaticPersistence,
    PoolMethod::LeastConnections,
];

/// A pool named by `at` over some of the letters `a` to `f`, that looks at health everywhere.
fn any_pool(at: usize) -> impl Strategy<Value = Pool> {
    let members = proptest::sample::subsequence(vec!['a', 'b', 'c', 'd', 'y', 'z'], 1..=6);
    let methods = (select(&METHODS[..]), select(&METHODS[..]));
    (members, methods, 1..4_u16, 1..3_u32, proptest::collection::vec(0..4_u16, 6)).prop_map(
        move |(members, (preferred, alternate), max_answers, min_members_up, ratios)| {
            let members: Vec<String> =
                members.iter().zip(ratios).map(|(letter, ratio)| format!("{letter}{ratio}")).collect();
            Pool { preferred, alternate, max_answers, min_members_up, ..pool(&format!("p{at}"), &members.join(" ")) }
        },
    )
}

fn any_world() -> impl Strategy<Value = (Vec<Pool>, WideIp)> {
    let methods =
        [WideIpMethod::RoundRobin, WideIpMethod::Ratio, WideIpMethod::GlobalAvailability, WideIpMethod::Topology];
    let policies = [WhenAllDown::ServeAll, WhenAllDown::LastKnownGood];
    let of_name = (select(methods.to_vec()), select(policies.to_vec()), any::<bool>());
    (any_pool(0), any_pool(1), any_pool(2), of_name).prop_map(|(a, b, c, (method, when_all_down, has_last_resort))| {
        let last_resort = has_last_resort.then_some(PoolId(2));
        let of_name = WideIp { method, when_all_down, last_resort, ..wide_ip("www.example.com.", &[0, 1]) };
        (vec![a, b, c], of_name)
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let states = [Availability::Available, Availability::Offline, Availability::Unavailable, Availability::Unknown];
    let report = (select(vec!['a', 'b', 'c', 'd', 'y', 'z']), select(states.to_vec()), proptest::option::of(0..9_u64));
    let objects = [
        (ObjectKind::Datacenter, "ny"),
        (ObjectKind::Server, "london-lb"),
        (ObjectKind::VirtualServer, "ny-lb/a"),
        (ObjectKind::Pool, "p0"),
        (ObjectKind::Member, "p1/ny-lb/b"),
        (ObjectKind::Member, "p0/london-lb/z"),
    ];
    let wanted = [Some(Enabled::Disabled), Some(Enabled::Enabled), None];
    prop_oneof![
        6 => report.prop_map(|(letter, state, connections)| Step::Report(letter, state, connections)),
        2 => (1..60_u64).prop_map(Step::Wait),
        2 => (select(objects.to_vec()), select(wanted.to_vec()))
            .prop_map(|((kind, name), wanted)| Step::Switch(kind, name.to_owned(), wanted)),
        1 => Just(Step::Reload),
    ]
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Report(letter, state, connections) => world.report(&letter.to_string(), *state, *connections),
        Step::Wait(seconds) => world.wait(*seconds),
        Step::Switch(kind, name, wanted) => world.switch(*kind, name, *wanted),
        Step::Reload => {
            let topology = world.tables.topology().clone();
            world.tables = world.tables.rebuild(Arc::new(world.model.clone()), topology, &world.table);
        }
    }
}

/// Every list that decisions of these tables can pick from, except the order by load.
fn lists(tables: &Tables) -> Vec<String> {
    let pools = (0..tables.pools.len()).filter_map(|at| Some((at, tables.pools.get(at)?))).map(|(at, row)| {
        let usable = tables.marks.get(at).usable;
        let lists =
            [Which::Live, Which::Usable, Which::Enabled].map(|which| row.head.members(row.words, which, usable));
        format!("{:?} {:?} {lists:?}", row.head.availability, row.head.enabled)
    });
    let wide_ips = (0..tables.wide_ips.len()).filter_map(|at| tables.wide_ips.get(at)).map(|row| {
        let lists = [row.head.live, row.head.others, row.head.serve].map(|list| list.items(row.words).to_vec());
        format!("{:?} {:?} {lists:?}", row.head.availability, row.head.enabled)
    });
    pools.chain(wide_ips).collect()
}

/// What a member's state is, by the status table.
fn truth(world: &World, of_pool: &Pool, member: &Member) -> super::rows::MemberState {
    let MemberTarget::VirtualServer(id) = member.target else { panic!("the worlds here have no CNAME members") };
    let status = world.table.status(index(id.0)).unwrap();
    let name = format!("{}/{}", of_pool.name, world.model.virtual_server_name(id));
    let is_wanted = world.table.overrides().is_wanted(ObjectKind::Member, &name, true);
    super::rows::MemberState {
        availability: world.table.held(index(id.0)).unwrap_or(Availability::Unknown),
        is_enabled: is_wanted && status.enabled == Enabled::Enabled,
        can_be_answered: true,
        connections: None,
    }
}

fn check_decision(world: &mut World, client: &Client) -> Result<(), TestCaseError> {
    let decision = world.decide_for(client);
    let tables = &world.tables;
    let pool_enabled =
        |id: PoolId| world.table.overrides().is_wanted(ObjectKind::Pool, &world.model.pools[index(id.0)].name, true);
    let all: Vec<PoolId> =
        world.model.wide_ips[0].pools.iter().map(|one| one.pool).chain(world.model.wide_ips[0].last_resort).collect();
    // What is true is asked of the status table, not of the tables under test.
    let states = |id: PoolId| {
        let of_pool = &world.model.pools[index(id.0)];
        of_pool.members.iter().map(|member| truth(world, of_pool, member)).collect::<Vec<_>>()
    };
    let is_up = |state: &super::rows::MemberState| state.is_enabled && state.availability == Availability::Available;
    let Answer::Members = decision.answer else {
        // Members are answered whenever one is enabled, whatever is known of it.
        let any = all.iter().any(|id| pool_enabled(*id) && states(*id).iter().any(|state| state.is_enabled));
        prop_assert!(!any, "{decision:?}");
        return Ok(());
    };
    let id = decision.pool.unwrap();
    prop_assert!(pool_enabled(id), "a disabled pool was answered");
    let states_here = states(id);
    let picked = world.memory.picked();
    prop_assert!(!picked.is_empty() && picked.len() <= usize::from(world.model.pools[index(id.0)].max_answers));
    let mut different = picked.to_vec();
    different.sort_unstable();
    different.dedup();
    prop_assert_eq!(different.len(), picked.len(), "a member was answered twice");
    for &member in picked {
        let state = states_here[index(member)];
        prop_assert!(state.is_enabled, "a disabled member was answered");
        if state.availability == Availability::Offline {
            prop_assert!(!states_here.iter().any(is_up), "one that is down was answered beside one that is up");
            let live =
                all.iter().any(|id| !tables.pools.get(index(id.0)).unwrap().head.live.is_empty() && pool_enabled(*id));
            // A pool of which the methods find nothing may have been passed over.
            let finds = |id: &PoolId| world.model.pools[index(id.0)].alternate == PoolMethod::RoundRobin;
            prop_assert!(!live || !all.iter().all(finds), "one that is down was answered while a pool is available");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn disabled_is_never_answered_and_down_not_beside_up(
        (pools, of_name) in any_world(),
        steps in proptest::collection::vec(any_step(), 0..24),
    ) {
        let mut world = World::new(pools, vec![of_name]);
        for step in &steps {
            take(&mut world, step);
            check_decision(&mut world, &client("198.51.100.1"))?;
            check_decision(&mut world, &client_in("203.0.113.0/24"))?;
        }
    }

    #[test]
    fn refreshed_tables_equal_those_built_anew(
        (pools, of_name) in any_world(),
        steps in proptest::collection::vec(any_step(), 0..24),
    ) {
        let mut world = World::new(pools, vec![of_name]);
        for step in &steps {
            take(&mut world, step);
        }
        let anew = Tables::build(
            Arc::new(world.model.clone()), world.tables.topology().clone(), &world.table, world.tables.seed(),
        );
        prop_assert_eq!(lists(&world.tables), lists(&anew));
    }

    #[test]
    fn the_answer_set_never_changes_because_information_aged(
        (pools, of_name) in any_world(),
        steps in proptest::collection::vec(any_step(), 0..24),
        silence in 1..1000_u64,
    ) {
        let mut world = World::new(pools, vec![of_name]);
        for step in &steps {
            take(&mut world, step);
        }
        let before = lists(&world.tables);
        world.wait(silence);
        prop_assert_eq!(&before, &lists(&world.tables));
        world.wait(10_000);
        prop_assert_eq!(&before, &lists(&world.tables));
        prop_assert!((0..26).all(|at| world.table.freshness(at) == Freshness::Expired));
    }
}

#[test]
fn drawn_shares_pass_a_chi_square_test() {
    let one = Pool { preferred: PoolMethod::Ratio, ..pool("p", "a1 b2 c3 d10 e84") };
    let mut world = World::new(vec![one], vec![wide_ip("www.example.com.", &[0])]);
    world.up("abcde");
    let draws = 100_000;
    let mut counts = [0_f64; 5];
    for _ in 0..draws {
        world.decide();
        counts[index(world.memory.picked()[0])] += 1.0;
    }
    let expected = [1.0, 2.0, 3.0, 10.0, 84.0].map(|share| share * f64::from(draws) / 100.0);
    let chi_square: f64 =
        counts.iter().zip(expected).map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    // Four degrees of freedom: above 18.47 once in a thousand seeds.
    assert!(chi_square < 18.47, "{chi_square}: {counts:?}");
}

#[test]
fn a_policy_on_the_unknown_is_the_one_way_age_changes_an_answer() {
    let check = |on_unknown, answer: &str| {
        let one = Pool { on_unknown, preferred: PoolMethod::GlobalAvailability, ..pool("p", "a b") };
        let mut world = World::new(vec![one], vec![wide_ip("www.example.com.", &[0])]);
        world.up("b");
        world.down("a");
        assert_eq!(world.answer(), "b");
        world.wait(60);
        assert_eq!(world.answer(), answer, "{on_unknown:?}");
    };
    check(OnUnknown::Hold, "b");
    check(OnUnknown::Up, "a");
    check(OnUnknown::Down, "a");
    let one = Pool { on_unknown: OnUnknown::Down, ..pool("p", "a b") };
    let mut world = World::new(vec![one], vec![wide_ip("www.example.com.", &[0])]);
    world.up("ab");
    world.wait(60);
    assert_eq!(world.decide().tier, Tier::AllDown);
}
