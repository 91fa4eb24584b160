//! What a schedule knows: which targets are watched, which probe starts next, what is to be told. Pure: the schedule
//! brings moments and results and carries out the starts.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{Fact, Moment, Source};

use super::target::Opinion;
use super::timetable::{Lane, Timetable, millis, next_on_grid, phase};
use super::{Authorities, Monitor, ProbeResult, Prober, Target};

/// First probes start within this time, or at this many per second if that takes longer: a node wants to know soon, but
/// not by a burst.
const FIRST_ROUND: Duration = Duration::from_secs(1);
const FIRST_PROBES_PER_SECOND: u64 = 1_000;
/// A verdict is confirmed at least this often, whatever the interval of its monitors, so that it does not age.
const REFRESH: Duration = Duration::from_secs(5);
/// A probe that took longer waits in the slow line next time.
const SLOW: Duration = Duration::from_millis(500);

/// Names one watched pair of target and monitor; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RunId(u64);

/// Names one target; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct TargetId(u64);

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Probe(RunId),
    Refresh(TargetId),
}

/// One monitor of one target.
#[derive(Debug)]
struct Run {
    target: TargetId,
    /// The monitor's index in its target.
    index: usize,
    prober: Arc<Prober>,
    address: SocketAddr,
    interval: Duration,
    phase: u64,
    lane: Lane,
    state: RunState,
    /// Whether a probe has ended, of whatever result.
    probed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    Idle,
    Waiting,
    Running,
}

#[derive(Debug)]
struct Watched {
    target: Target,
    runs: Vec<RunId>,
    opinion: Opinion,
    /// Whether it stands in `to_tell`.
    pending: bool,
    /// Whether a refresh of it is due some time.
    refreshes: bool,
}

/// A probe to be made now.
#[derive(Debug)]
pub(super) struct Start {
    /// Whose probe it is.
    pub(super) run: RunId,
    /// What makes it.
    pub(super) prober: Arc<Prober>,
    /// What is probed.
    pub(super) address: SocketAddr,
}

/// The pure core of a schedule.
#[derive(Debug)]
pub(super) struct Plan {
    authorities: Authorities,
    seed: u64,
    next_id: u64,
    names: HashMap<(Arc<str>, Arc<str>), TargetId>,
    targets: HashMap<TargetId, Watched>,
    runs: HashMap<RunId, Run>,
    /// What is under way, also for targets that are gone: their places are taken until the probe has ended.
    running: HashMap<RunId, (Lane, Moment)>,
    timetable: Timetable<Due>,
    /// Targets with something to tell, each once: under pressure the newest word replaces an older one.
    to_tell: VecDeque<TargetId>,
    /// Runs that have not been probed yet.
    unprobed: usize,
}

impl Plan {
    /// An empty plan. `seed` moves all phases, so that two nodes with one configuration do not probe in step.
    pub(super) fn new(places: usize, seed: u64, authorities: Authorities) -> Self {
        Self {
            authorities,
            seed,
            next_id: 0,
            names: HashMap::new(),
            targets: HashMap::new(),
            runs: HashMap::new(),
            running: HashMap::new(),
            timetable: Timetable::new(places),
            to_tell: VecDeque::new(),
            unprobed: 0,
        }
    }

    /// Watches exactly `targets` from now on. What is unchanged keeps its phase and all that is known of it; a changed
    /// monitor starts anew under the old verdict; a changed address starts anew altogether. Of two targets with one name
    /// the first counts.
    pub(super) fn replace(&mut self, targets: Vec<Target>, now: Moment) {
        let mut names = std::mem::take(&mut self.names);
        let mut old = std::mem::take(&mut self.targets);
        let window = first_window(targets.iter().map(|target| target.monitors.len()).sum());
        let mut change = Change { probers: HashMap::new(), now, window };
        for target in targets {
            let name = (target.server.clone(), target.virtual_server.clone());
            if self.names.contains_key(&name) {
                continue;
            }
            let before = names.remove(&name).and_then(|id| Some((id, old.remove(&id)?)));
            let (id, watched) = match before {
                Some((id, watched)) if watched.target == target => (id, watched),
                Some((id, watched)) if watched.target.address == target.address => {
                    (id, self.reconfigure(id, watched, target, &mut change))
                }
                other => {
                    if let Some((_, watched)) = other {
                        self.forget(&watched.runs);
                    }
                    self.watch(target, &mut change)
                }
            };
            self.names.insert(name, id);
            self.targets.insert(id, watched);
        }
        for watched in old.into_values() {
            self.forget(&watched.runs);
        }
    }

    /// The next probe to start at `now`, if one is due and has a place.
    pub(super) fn next_start(&mut self, now: Moment) -> Option<Start> {
        while let Some(due) = self.timetable.pop_due(now) {
            self.take_due(due, now);
        }
        while let Some((due, lane)) = self.timetable.next_start() {
            let Due::Probe(id) = due else { continue };
            match self.runs.get_mut(&id) {
                Some(run) => {
                    run.state = RunState::Running;
                    self.running.insert(id, (lane, now));
                    return Some(Start { run: id, prober: run.prober.clone(), address: run.address });
                }
                // Its target went while it waited.
                None => self.timetable.finish(lane),
            }
        }
        None
    }

    /// Takes in how a probe ended; `None` for one that was broken off.
    pub(super) fn finish(&mut self, id: RunId, result: Option<ProbeResult>, now: Moment) {
        let Some((lane, started)) = self.running.remove(&id) else { return };
        self.timetable.finish(lane);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Idle;
        run.lane = if now.since(started) > SLOW { Lane::Slow } else { Lane::Quick };
        if !std::mem::replace(&mut run.probed, true) {
            self.unprobed = self.unprobed.saturating_sub(1);
        }
        let (target, index) = (run.target, run.index);
        if let (Some(result), Some(watched)) = (result, self.targets.get_mut(&target))
            && watched.opinion.observe(index, result, now)
        {
            tell(&mut self.to_tell, target, watched);
        }
    }

    /// The next thing to tell the publisher.
    pub(super) fn next_fact(&mut self) -> Option<Fact> {
        while let Some(id) = self.to_tell.pop_front() {
            let Some(watched) = self.targets.get_mut(&id) else { continue };
            watched.pending = false;
            let Some((verdict, at)) = watched.opinion.verdict() else { continue };
            return Some(Fact::Verdict {
                server: watched.target.server.clone(),
                virtual_server: watched.target.virtual_server.clone(),
                source: Source::Monitor,
                verdict: verdict.clone(),
                at,
            });
        }
        None
    }

    /// Whether there may be something to tell.
    pub(super) fn has_facts(&self) -> bool {
        !self.to_tell.is_empty()
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.timetable.next_due()
    }

    /// Whether every monitor of every target has been probed at least once.
    pub(super) fn first_round_done(&self) -> bool {
        self.unprobed == 0
    }

    /// Whether `id` is still wanted.
    pub(super) fn is_watched(&self, id: RunId) -> bool {
        self.runs.contains_key(&id)
    }

    /// Probes under way and probes that wait for a place.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.timetable.running(), self.timetable.waiting())
    }

    fn take_due(&mut self, due: Due, now: Moment) {
        match due {
            Due::Probe(id) => {
                let Some(run) = self.runs.get_mut(&id) else { return };
                self.timetable.insert(due, next_on_grid(now, run.interval, run.phase));
                // Still busy with the last one: this turn is left out, no second probe piles up.
                if run.state == RunState::Idle {
                    run.state = RunState::Waiting;
                    self.timetable.wait(due, run.lane);
                }
            }
            Due::Refresh(id) => {
                let Some(watched) = self.targets.get_mut(&id) else { return };
                watched.refreshes = needs_refresh(&watched.target);
                if !watched.refreshes {
                    return;
                }
                self.timetable.insert(due, now.after(REFRESH));
                if watched.opinion.refresh(now) {
                    tell(&mut self.to_tell, id, watched);
                }
            }
        }
    }

    fn watch(&mut self, target: Target, change: &mut Change) -> (TargetId, Watched) {
        let id = TargetId(self.fresh_id());
        let indices = 0..target.monitors.len();
        let runs = indices.map(|index| self.add_run(id, &target, index, change)).collect();
        let refreshes = needs_refresh(&target);
        if refreshes {
            self.timetable.insert(Due::Refresh(id), change.now.after(REFRESH));
        }
        let opinion = Opinion::new(&target);
        (id, Watched { target, runs, opinion, pending: false, refreshes })
    }

    fn reconfigure(&mut self, id: TargetId, mut watched: Watched, target: Target, change: &mut Change) -> Watched {
        let before = std::mem::take(&mut watched.target.monitors);
        let old_index = |index: usize| {
            let monitor = target.monitors.get(index)?;
            before.iter().position(|old| old == monitor)
        };
        let old_runs = std::mem::take(&mut watched.runs);
        for index in 0..target.monitors.len() {
            let kept = old_index(index).and_then(|old| old_runs.get(old).copied());
            let run = kept.unwrap_or_else(|| self.add_run(id, &target, index, change));
            if let Some(state) = self.runs.get_mut(&run) {
                state.index = index;
            }
            watched.runs.push(run);
        }
        watched.opinion.reconfigure(&target, old_index);
        let gone: Vec<_> = old_runs.into_iter().filter(|run| !watched.runs.contains(run)).collect();
        self.forget(&gone);
        if needs_refresh(&target) && !std::mem::replace(&mut watched.refreshes, true) {
            self.timetable.insert(Due::Refresh(id), change.now.after(REFRESH));
        }
        watched.target = target;
        watched
    }

    fn add_run(&mut self, target_id: TargetId, target: &Target, index: usize, change: &mut Change) -> RunId {
        let id = RunId(self.fresh_id());
        let Some(monitor) = target.monitors.get(index) else { return id };
        let phase = phase(self.seed, &[&target.server, &target.virtual_server, &monitor.name]);
        let first = phase % millis(change.window.min(monitor.interval));
        self.timetable.insert(Due::Probe(id), change.now.after(Duration::from_millis(first)));
        let run = Run {
            target: target_id,
            index,
            prober: prober_for(monitor, &mut change.probers, &self.authorities),
            address: target.address_for(monitor),
            interval: monitor.interval,
            phase,
            lane: Lane::Quick,
            state: RunState::Idle,
            probed: false,
        };
        self.runs.insert(id, run);
        self.unprobed += 1;
        id
    }

    fn forget(&mut self, runs: &[RunId]) {
        for id in runs {
            if self.runs.remove(id).is_some_and(|run| !run.probed) {
                self.unprobed = self.unprobed.saturating_sub(1);
            }
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Probers made during one change, by the monitor's name, so that targets share their monitor's.
type Probers = HashMap<Arc<str>, Vec<(Monitor, Arc<Prober>)>>;

/// What one call of `replace` hands down.
struct Change {
    probers: Probers,
    now: Moment,
    /// Over what time first probes are spread.
    window: Duration,
}

fn prober_for(monitor: &Monitor, probers: &mut Probers, authorities: &Authorities) -> Arc<Prober> {
    let same_name = probers.entry(monitor.name.clone()).or_default();
    if let Some((_, prober)) = same_name.iter().find(|(other, _)| other == monitor) {
        return prober.clone();
    }
    let prober = Arc::new(Prober::new(monitor, authorities));
    same_name.push((monitor.clone(), prober.clone()));
    prober
}

/// Whether a target's own probes are too rare to keep its verdict from ageing.
fn needs_refresh(target: &Target) -> bool {
    target.monitors.iter().any(|monitor| monitor.interval > REFRESH * 2)
}

fn first_window(runs: usize) -> Duration {
    let runs = u64::try_from(runs).unwrap_or(u64::MAX);
    FIRST_ROUND.max(Duration::from_millis(runs.saturating_mul(1000) / FIRST_PROBES_PER_SECOND))
}

fn tell(to_tell: &mut VecDeque<TargetId>, id: TargetId, watched: &mut Watched) {
    if !std::mem::replace(&mut watched.pending, true) {
        to_tell.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::tests::{monitor, target};
    use super::*;
    use crate::status::Availability::{self, Available, Offline};

    fn at(milliseconds: u64) -> Moment {
        Moment::from_millis(milliseconds)
    }

    /// A plan driven by hand: every probe takes as long as `duration` says of the virtual server's number.
    struct World {
        plan: Plan,
        now: u64,
        under_way: Vec<(u64, RunId)>,
        /// When each address's port was probed.
        starts: HashMap<u16, Vec<u64>>,
        told: Vec<(u64, String, Availability)>,
    }

    impl World {
        fn new(places: usize, targets: Vec<Target>) -> Self {
            let mut plan = Plan::new(places, 7, Authorities::none());
            plan.replace(targets, at(0));
            Self { plan, now: 0, under_way: Vec::new(), starts: HashMap::new(), told: Vec::new() }
        }

        /// Runs until `end`, in steps of a millisecond.
        fn run(&mut self, end: u64, duration: impl Fn(u16) -> u64, result: impl Fn(u16) -> ProbeResult) {
            while self.now < end {
                let now = self.now;
                let ended: Vec<_> = self.under_way.extract_if(.., |(until, _)| *until <= now).collect();
                for (_, run) in ended {
                    let port = self.plan.runs.get(&run).map_or(0, |run| run.address.port());
                    self.plan.finish(run, Some(result(port)), at(now));
                }
                while let Some(start) = self.plan.next_start(at(now)) {
                    self.starts.entry(start.address.port()).or_default().push(now);
                    self.under_way.push((now + duration(start.address.port()), start.run));
                }
                while let Some(fact) = self.plan.next_fact() {
                    let Fact::Verdict { virtual_server, verdict, .. } = fact else { panic!("{fact:?}") };
                    self.told.push((now, virtual_server.to_string(), verdict.availability));
                }
                self.now += 1;
            }
        }

        fn gaps(&self, port: u16) -> Vec<u64> {
            self.starts[&port].windows(2).map(|pair| pair[1] - pair[0]).collect()
        }
    }

    /// `count` targets on ports 1, 2, ….
    fn targets(count: u16, interval_seconds: u64) -> Vec<Target> {
        let one = |number: u16| {
            let mut target = target(&format!("vs{number}"), vec![monitor("web", interval_seconds)]);
            target.address.set_port(number);
            target
        };
        (1..=count).map(one).collect()
    }

    fn success(_: u16) -> ProbeResult {
        ProbeResult::Success
    }

    #[test]
    fn every_target_is_probed_at_its_own_interval_and_told_each_time() {
        let mut world = World::new(8, targets(20, 5));
        world.run(30_000, |_| 3, success);
        for port in 1..=20 {
            assert!((6..=7).contains(&world.starts[&port].len()), "port {port}: {:?}", world.starts[&port]);
            assert!(world.gaps(port)[1..].iter().all(|gap| *gap == 5_000), "{:?}", world.gaps(port));
            assert!(world.starts[&port][0] < 1_000, "the first probe is not put off");
        }
        assert_eq!(world.told.len(), world.starts.values().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn ten_thousand_targets_never_start_in_a_burst() {
        let mut world = World::new(512, targets(10_000, 10));
        world.run(30_000, |_| 1, success);
        let mut per_100ms = vec![0; 300];
        world.starts.values().flatten().for_each(|start| per_100ms[(*start / 100) as usize] += 1);
        assert!(per_100ms.iter().all(|count| *count < 200), "{per_100ms:?}");
    }

    #[test]
    fn the_dead_do_not_delay_the_living() {
        // Ports up to 60 hang for 2 s; with 16 places their probes cannot all be made in time.
        let mut world = World::new(16, targets(100, 5));
        let hangs = |port| if port <= 60 { 2_000 } else { 1 };
        world.run(15_000, hangs, success);
        world.starts.clear();
        world.run(75_000, hangs, success);
        for port in 61..=100 {
            assert!(world.gaps(port).iter().all(|gap| (4_999..=5_001).contains(gap)), "{port}: {:?}", world.gaps(port));
        }
        for port in 1..=60 {
            assert!(world.starts[&port].len() >= 3, "the dead have their turn: {:?}", world.starts[&port]);
        }
    }

    #[test]
    fn a_probe_that_outlasts_its_interval_is_not_doubled() {
        let mut world = World::new(8, targets(1, 1));
        world.run(20_000, |_| 2_500, success);
        assert!(world.gaps(1).iter().all(|gap| *gap >= 2_500), "{:?}", world.gaps(1));
    }

    #[test]
    fn a_removed_target_is_probed_and_told_no_more() {
        let mut world = World::new(8, targets(2, 1));
        world.run(5_000, |_| 3, success);
        // The removal comes while its probe is under way.
        let before = world.starts[&2].len();
        while world.starts[&2].len() == before {
            world.run(world.now + 1, |_| 3, success);
        }
        let (_, run) = *world.under_way.last().unwrap();
        world.plan.replace(targets(1, 1), at(world.now));
        assert!(!world.plan.is_watched(run));
        world.told.clear();
        world.run(15_500, |_| 3, success);
        assert_eq!(world.starts[&2].len(), before + 1);
        assert!(world.told.iter().all(|(_, name, _)| name == "vs1"), "{:?}", world.told);
        assert_eq!(world.plan.load().0, world.under_way.len(), "no place is lost");
    }

    #[test]
    fn a_reload_keeps_phase_and_opinion_of_what_is_unchanged() {
        let fails = |_: u16| ProbeResult::Failure("no".into());
        let mut world = World::new(8, targets(2, 1));
        world.run(5_500, |_| 3, success);
        // Two failures of the three it takes.
        while world.starts[&1].iter().filter(|start| **start >= 5_500).count() < 2 {
            world.run(world.now + 1, |_| 3, fails);
        }
        world.run(world.now + 10, |_| 3, fails);
        let mut changed = targets(2, 1);
        changed[1].monitors[0].timeout = Duration::from_millis(700);
        changed.reverse();
        world.plan.replace(changed, at(world.now));
        world.told.clear();
        let reloaded = world.now;
        world.run(reloaded + 1_010, |_| 3, fails);
        assert!(world.gaps(1).iter().skip(1).all(|gap| *gap == 1_000), "{:?}", world.gaps(1));
        let of = |name: &str| world.told.iter().filter(|(_, told, _)| told == name).map(|(_, _, a)| *a).next();
        assert_eq!(of("vs1"), Some(Offline), "the third failure counts on");
        assert_eq!(of("vs2"), Some(Offline), "a changed monitor starts anew and decides at once");
    }

    #[test]
    fn a_changed_address_starts_anew() {
        let mut world = World::new(8, targets(1, 1));
        world.run(3_000, |_| 3, success);
        let mut moved = targets(1, 1);
        moved[0].address.set_port(9);
        world.plan.replace(moved, at(world.now));
        world.told.clear();
        world.run(5_500, |_| 3, |_| ProbeResult::Failure("no".into()));
        assert_eq!(world.told[0].2, Offline);
        assert!(world.starts[&9].len() >= 2);
    }

    #[test]
    fn the_first_round_is_done_when_everything_was_tried_once() {
        let mut world = World::new(8, targets(3, 5));
        assert!(!world.plan.first_round_done());
        world.run(1_100, |port| if port == 3 { 2_000 } else { 3 }, success);
        assert!(!world.plan.first_round_done(), "one is still under way");
        world.run(3_100, |_| 3, |_| ProbeResult::NotMade("no socket".into()));
        assert!(world.plan.first_round_done(), "a probe that cannot be made holds nobody up");
        assert!(World::new(8, Vec::new()).plan.first_round_done());
        let mut removed = World::new(8, targets(1, 5));
        removed.plan.replace(Vec::new(), at(0));
        assert!(removed.plan.first_round_done());
    }

    #[test]
    fn a_long_interval_is_told_every_five_seconds_all_the_same() {
        let mut world = World::new(8, targets(1, 60));
        world.run(61_000, |_| 3, success);
        assert!(world.starts[&1].len() <= 3, "{:?}", world.starts);
        let gaps: Vec<_> = world.told.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.iter().all(|gap| *gap <= 5_001), "{gaps:?}");
        assert!(world.told.iter().all(|(_, _, availability)| *availability == Available));
    }

    #[test]
    fn an_interval_that_becomes_long_is_told_every_five_seconds_too() {
        let mut world = World::new(8, targets(1, 5));
        world.run(10_000, |_| 3, success);
        world.plan.replace(targets(1, 60), at(10_000));
        world.run(15_000, |_| 3, success);
        world.told.clear();
        world.run(60_000, |_| 3, success);
        assert!(world.told.len() >= 9, "{:?}", world.told);
        world.plan.replace(targets(1, 5), at(60_000));
        world.run(90_000, |_| 3, success);
        assert_eq!(world.plan.timetable.len(), 1, "the refresh has ended");
    }

    #[test]
    fn one_target_waits_to_be_told_once_however_often_it_was_probed() {
        let mut plan = Plan::new(8, 7, Authorities::none());
        plan.replace(targets(1, 1), at(0));
        for second in 1..20 {
            while let Some(start) = plan.next_start(at(second * 1000)) {
                plan.finish(start.run, Some(ProbeResult::Success), at(second * 1000 + 1));
            }
        }
        assert!(plan.next_fact().is_some());
        assert!(plan.next_fact().is_none());
    }
}
