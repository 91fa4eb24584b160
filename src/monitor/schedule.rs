//! Runs the monitors of many targets on one timer: starts what is due, takes in what came back, tells the publisher.
//! What is decided is decided in [`super::plan`]; here are the clock, the tasks and the channels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::metrics::Reader;
use crate::status::{Fact, Moment};

use super::plan::{Plan, RunId, Start};
use super::{Authorities, ProbeResult, Target};

/// Probes under way at once unless set otherwise.
pub const CONCURRENCY_DEFAULT: usize = 512;

/// How a schedule runs.
#[derive(Debug, Clone)]
pub struct ScheduleOptions {
    /// The instant that is moment zero: the process's start, shared with everything that makes moments.
    pub origin: std::time::Instant,
    /// Probes under way at once; each holds one file descriptor.
    pub concurrency: usize,
    /// Moves all probes within their intervals; a different number on every node keeps nodes from probing in step.
    pub seed: u64,
    /// Who is trusted to sign certificates, besides what monitors bring.
    pub authorities: Authorities,
}

/// Counters of a running schedule.
#[derive(Debug, Default)]
pub struct ScheduleCounters {
    /// Probes that succeeded.
    pub succeeded: AtomicU64,
    /// Probes that failed.
    pub failed: AtomicU64,
    /// Probes that could not be made.
    pub not_made: AtomicU64,
    /// Probes under way.
    pub running: AtomicUsize,
    /// Probes that are due and wait for a place: above zero for long means that the cap is too low.
    pub waiting: AtomicUsize,
}

impl ScheduleCounters {
    /// Probes that succeeded, failed and could not be made.
    pub fn ended(&self) -> [u64; 3] {
        [&self.succeeded, &self.failed, &self.not_made].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// What a scrape reads of them.
    pub fn reader(self: Arc<Self>) -> Reader {
        Box::new(move |scrape| {
            let (running, waiting) = self.load();
            scrape.probes(self.ended(), running, waiting);
        })
    }

    /// Probes under way, and probes that are due and wait for a place.
    pub fn load(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }
}

/// A running schedule. Dropping it stops every probe.
#[derive(Debug)]
pub struct Schedule {
    targets: watch::Sender<Vec<Target>>,
    first_round: watch::Receiver<bool>,
    counters: Arc<ScheduleCounters>,
    /// Where it runs, when it was started here.
    task: Option<JoinHandle<Result<(), String>>>,
}

impl Schedule {
    /// Starts to watch `targets` and sends verdicts to `facts`: one after every probe, changed or not, and one every
    /// 5 s where the interval is above 10 s. A full channel delays verdicts, never probes, and the newest verdict of a
    /// target replaces one that waits. Must be called within a runtime.
    pub fn start(targets: Vec<Target>, options: ScheduleOptions, facts: mpsc::Sender<Fact>) -> Self {
        let (mut schedule, mut driver) = Self::new(targets, options, facts);
        schedule.task = Some(tokio::spawn(async move { driver.run().await }));
        schedule
    }

    /// The same, and what has to be run for it.
    pub fn new(targets: Vec<Target>, options: ScheduleOptions, facts: mpsc::Sender<Fact>) -> (Self, Driver) {
        let counters = Arc::new(ScheduleCounters::default());
        let (targets, wanted) = watch::channel(targets);
        let (round, first_round) = watch::channel(false);
        let plan = Plan::new(options.concurrency, options.seed, options.authorities);
        let driver = Driver {
            plan,
            origin: Instant::from_std(options.origin),
            probes: JoinSet::new(),
            under_way: HashMap::new(),
            counters: counters.clone(),
            wanted,
            round,
            facts,
        };
        (Self { targets, first_round, counters, task: None }, driver)
    }

    /// Watches exactly `targets` from now on. Unchanged ones keep what is known of them; probes of the others stop.
    pub fn replace(&self, targets: Vec<Target>) {
        self.targets.send_replace(targets);
    }

    /// Turns true once every monitor of every target has been probed, and stays so.
    pub fn first_round(&self) -> watch::Receiver<bool> {
        self.first_round.clone()
    }

    /// What it has done and is doing.
    pub fn counters(&self) -> Arc<ScheduleCounters> {
        self.counters.clone()
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // One that runs elsewhere ends as nobody is left to say what is watched.
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What watches the targets, to be run as a task.
pub struct Driver {
    plan: Plan,
    origin: Instant,
    probes: JoinSet<(RunId, ProbeResult)>,
    /// Needed for probes that end without saying so (broken off, panicked), and to break them off.
    under_way: HashMap<task::Id, (RunId, AbortHandle)>,
    counters: Arc<ScheduleCounters>,
    wanted: watch::Receiver<Vec<Target>>,
    round: watch::Sender<bool>,
    facts: mpsc::Sender<Fact>,
}

impl Driver {
    /// Watches until the schedule is dropped or nobody takes facts any more. After a panic it may be run again.
    ///
    /// # Errors
    /// None.
    pub async fn run(&mut self) -> Result<(), String> {
        let (mut wanted, facts) = (self.wanted.clone(), self.facts.clone());
        self.replace(wanted.borrow_and_update().clone());
        loop {
            self.start_due();
            self.tell();
            self.count();
            if self.plan.first_round_done() && !self.plan.has_facts() {
                self.round.send_if_modified(|done| !std::mem::replace(done, true));
            }
            let due = self.sleep(self.plan.next_due());
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => self.replace(wanted.borrow_and_update().clone()),
                    Err(_) => return Ok(()),
                },
                Some(ended) = self.probes.join_next_with_id() => {
                    self.take_ended(ended);
                    while let Some(ended) = self.probes.try_join_next_with_id() {
                        self.take_ended(ended);
                    }
                }
                place = facts.reserve(), if self.plan.has_facts() => match (place, self.plan.next_fact()) {
                    (Ok(place), Some(fact)) => place.send(fact),
                    (Ok(_), None) => {}
                    // Nobody listens any more.
                    (Err(_), _) => return Ok(()),
                },
                () = due => {}
            }
        }
    }

    /// Hands over what fits into the channel now.
    fn tell(&mut self) {
        while self.plan.has_facts() {
            let Ok(place) = self.facts.try_reserve() else { return };
            if let Some(fact) = self.plan.next_fact() {
                place.send(fact);
            }
        }
    }

    fn start_due(&mut self) {
        let now = self.now();
        while let Some(Start { run, prober, address }) = self.plan.next_start(now) {
            let handle = self.probes.spawn(async move { (run, prober.probe(address).await) });
            self.under_way.insert(handle.id(), (run, handle));
        }
    }

    fn take_ended(&mut self, ended: Result<(task::Id, (RunId, ProbeResult)), JoinError>) {
        let (id, result) = match ended {
            Ok((id, (_, result))) => (id, Some(result)),
            Err(error) if error.is_cancelled() => (error.id(), None),
            Err(error) => (error.id(), Some(ProbeResult::NotMade("the probe broke down on this node".into()))),
        };
        let Some((run, _)) = self.under_way.remove(&id) else { return };
        let counter = match &result {
            Some(ProbeResult::Success) => &self.counters.succeeded,
            Some(ProbeResult::Failure(_)) => &self.counters.failed,
            Some(ProbeResult::NotMade(_)) | None => &self.counters.not_made,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        self.plan.finish(run, result, now);
    }

    fn replace(&mut self, targets: Vec<Target>) {
        let now = self.now();
        self.plan.replace(targets, now);
        for (run, handle) in self.under_way.values() {
            if !self.plan.is_watched(*run) {
                handle.abort();
            }
        }
    }

    fn count(&self) {
        let (running, waiting) = self.plan.load();
        self.counters.running.store(running, Ordering::Relaxed);
        self.counters.waiting.store(waiting, Ordering::Relaxed);
    }

    fn now(&self) -> Moment {
        let since = Instant::now().saturating_duration_since(self.origin);
        Moment::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn sleep(&self, until: Option<Moment>) -> impl Future<Output = ()> + use<> {
        // Without anything due, an idle hour; targets wake the loop.
        let until = until.map_or_else(
            || Instant::now() + Duration::from_secs(3600),
            |moment| self.origin + Duration::from_millis(moment.as_millis()),
        );
        sleep_until(until)
    }
}
