//! The long-lived tasks of a process, by name. One that gives up ends all, and says which it was. One that panics is
//! counted, logged and started again with what it had, after a pause that doubles while it keeps panicking; what the
//! others do, answering above all, goes on meanwhile.
//!
//! A task starts again from its state as the panic left it, since that holds the ends of channels that others have the
//! other end of. What it was about to do is lost: a task takes one thing at a time and makes good what it finds half done.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::metrics::{Metrics, Site};

/// How long tasks may take to finish once they were told to, before they are cut off.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// The pause before a task that panicked is started again; it doubles with every panic that follows soon.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A task that ran for so long was well: its next panic is a first one.
const STEADY: Duration = Duration::from_secs(120);
/// Panics that follow one another so soon that the task is said to keep panicking.
const KEEPS_PANICKING: u32 = 3;

/// What a task does, from its start or from where a panic left it.
pub type Run<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 's>>;

/// The tasks of one process.
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    /// A panicked task brings only its id back.
    names: HashMap<Id, String>,
    /// True once everybody shall finish.
    draining: watch::Sender<bool>,
    /// Where panics are counted.
    metrics: Arc<Metrics>,
    states: TaskStates,
}

/// The tasks that panicked, for those who look. A copy shows the same.
#[derive(Debug, Clone, Default)]
pub struct TaskStates(Arc<Mutex<BTreeMap<&'static str, TaskState>>>);

/// A task that panicked.
#[derive(Debug, Clone, Copy)]
struct TaskState {
    /// How often.
    panics: u64,
    /// How often without running well in between.
    in_a_row: u32,
    /// When it did last.
    last: Instant,
    /// Whether it waits to be started again.
    is_waiting: bool,
}

/// A task that ended although nobody asked it to.
#[derive(Debug, PartialEq, Eq)]
pub struct UnexpectedEnd {
    /// Its name.
    pub task: String,
    /// What it said, or how it broke.
    pub reason: String,
}

/// Told to a task so that it can finish what it has in hand.
#[derive(Clone)]
pub struct Drain(watch::Receiver<bool>);

impl Tasks {
    /// No tasks yet; panics of those to come are counted in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let states = TaskStates::default();
        Self { set: JoinSet::new(), names: HashMap::new(), draining: watch::Sender::new(false), metrics, states }
    }

    /// What a task waits on to learn that it shall finish.
    pub fn drain(&self) -> Drain {
        Drain(self.draining.subscribe())
    }

    /// Which tasks panicked.
    pub fn states(&self) -> TaskStates {
        self.states.clone()
    }

    /// Runs `run` on `state` under `name`, and again whenever it panics. It must not return before the drain begins; an
    /// `Err` says why it could not go on.
    pub fn keep<S, F>(&mut self, name: &'static str, mut state: S, mut run: F)
    where
        S: Send + 'static,
        F: for<'s> FnMut(&'s mut S) -> Run<'s> + Send + 'static,
    {
        let (metrics, states, mut drain) = (Arc::clone(&self.metrics), self.states.clone(), self.drain());
        metrics.task_started(name);
        self.spawn(name, async move {
            loop {
                let started = Instant::now();
                if let Some(outcome) = metrics.survive(Site::Task, async { run(&mut state).await }).await {
                    return outcome;
                }
                metrics.task_restarted(name);
                let (pause, in_a_row) = states.panicked(name, started);
                error!(task = name, in_a_row, ?pause, "a task panicked; it is started again after a pause");
                tokio::select! {
                    () = drain.requested() => return Ok(()),
                    () = tokio::time::sleep(pause) => states.started(name),
                }
            }
        });
    }

    /// Runs `task` under `name`, for good: one that panics stays away. It must not return before the drain begins; an
    /// `Err` says why it could not go on.
    pub fn spawn<F>(&mut self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// As [`Self::spawn`], on this runtime.
    pub fn spawn_on<F>(&mut self, runtime: &Handle, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let id = self.set.spawn_on(task, runtime).id();
        self.names.insert(id, name.into());
    }

    /// Waits until `stop` is ready or a task ends, then drains all. The error names the task that ended by itself.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), UnexpectedEnd> {
        let outcome = tokio::select! {
            () = stop => {
                info!("stopping");
                Ok(())
            }
            end = self.given_up() => {
                error!(task = %end.task, reason = %end.reason, "a task ended by itself, stopping the process");
                Err(end)
            }
        };
        self.draining.send_replace(true);
        if tokio::time::timeout(DRAIN_MAX, self.join_all()).await.is_err() {
            let mut names: Vec<&str> = self.names.values().map(String::as_str).collect();
            names.sort_unstable();
            warn!(tasks = %names.join(", "), "did not finish in time and were cut off");
        }
        outcome
    }

    /// Waits for a task that ends by itself; never ready while none does. Those that panic are passed over.
    async fn given_up(&mut self) -> UnexpectedEnd {
        loop {
            let Some(ended) = self.set.join_next_with_id().await else { return std::future::pending().await };
            let has_panicked = ended.as_ref().is_err_and(JoinError::is_panic);
            let end = self.describe(ended);
            if !has_panicked {
                return end;
            }
            self.metrics.panicked(Site::Task);
            error!(task = %end.task, reason = %end.reason, "a task panicked; the others go on without it: restart to have it back");
        }
    }

    async fn join_all(&mut self) {
        while let Some(ended) = self.set.join_next_with_id().await {
            let end = self.describe(ended);
            debug!(task = %end.task, reason = %end.reason, "finished");
        }
    }

    fn describe(&mut self, ended: Result<(Id, Result<(), String>), JoinError>) -> UnexpectedEnd {
        let (id, reason) = match ended {
            Ok((id, Ok(()))) => (id, "returned".to_owned()),
            Ok((id, Err(reason))) => (id, reason),
            Err(broken) => (broken.id(), broken.to_string()),
        };
        UnexpectedEnd { task: self.names.remove(&id).unwrap_or_default(), reason }
    }
}

impl TaskStates {
    /// Notes a panic of a task that ran since `started`; gives the pause before its next start, and how many panics
    /// there were in a row.
    fn panicked(&self, name: &'static str, started: Instant) -> (Duration, u32) {
        let now = Instant::now();
        let mut states = self.lock();
        let state = states.entry(name).or_insert(TaskState { panics: 0, in_a_row: 0, last: now, is_waiting: true });
        let was_well = now.duration_since(started) >= STEADY;
        state.in_a_row = if was_well { 1 } else { state.in_a_row.saturating_add(1) };
        (state.panics, state.last, state.is_waiting) = (state.panics + 1, now, true);
        let doubled = 1_u32.checked_shl(state.in_a_row - 1).unwrap_or(u32::MAX);
        (PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX), state.in_a_row)
    }

    fn started(&self, name: &'static str) {
        if let Some(state) = self.lock().get_mut(name) {
            state.is_waiting = false;
        }
    }

    /// The tasks that panicked, each with how often and how it stands.
    pub fn status(&self) -> Value {
        let states = self.lock();
        let one = |(name, state): (&&str, &TaskState)| {
            json!({
                "name": name,
                "restarts": state.panics,
                "in_a_row": state.in_a_row,
                "last_panic_seconds_ago": state.last.elapsed().as_secs(),
                "state": state.word(),
            })
        };
        states.iter().map(one).collect()
    }

    /// The tasks that keep panicking, in words.
    pub fn failing(&self) -> Vec<String> {
        let states = self.lock();
        let failing = states.iter().filter(|(_, state)| state.keeps_panicking());
        failing.map(|(name, state)| format!("the task {name} panicked {} times in a row", state.in_a_row)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskState {
    /// Whether it panicked again and again, and has not run well since.
    fn keeps_panicking(&self) -> bool {
        self.in_a_row >= KEEPS_PANICKING && (self.is_waiting || self.last.elapsed() < STEADY)
    }

    fn word(&self) -> &'static str {
        match self.is_waiting {
            _ if self.keeps_panicking() => "keeps panicking",
            true => "waiting to be started again",
            false => "running",
        }
    }
}

impl Drain {
    /// Is ready once everybody shall finish.
    pub async fn requested(&mut self) {
        // The sender gone means the supervisor is gone, which is a reason to finish too.
        let _ = self.0.wait_for(|draining| *draining).await;
    }
}

impl fmt::Display for UnexpectedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task {:?} ended by itself: {}", self.task, self.reason)
    }
}

impl std::error::Error for UnexpectedEnd {}

/// Starts to listen to SIGTERM and SIGINT; what it gives is ready when one comes. The error says why signals cannot be
/// listened to.
pub fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| format!("listening to signals: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM received"),
            _ = interrupt.recv() => info!("SIGINT received"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_named_and_ends_the_others() {
        let mut tasks = Tasks::new(Arc::new(Metrics::new("0", "0")));
        let (finished, watched) = watch_finish();
        let mut drain = tasks.drain();
        tasks.spawn("mesh", async move {
            drain.requested().await;
            finished.send_replace(true);
            Ok(())
        });
        tasks.spawn("publisher", async { Err("channel closed".to_owned()) });
        let end = tasks.run_until(std::future::pending()).await.unwrap_err();
        assert_eq!(end, UnexpectedEnd { task: "publisher".into(), reason: "channel closed".into() });
        assert!(*watched.borrow(), "the other task was not drained");
    }

    #[tokio::test]
    async fn a_panic_costs_its_task_and_no_other() {
        let metrics = Arc::new(Metrics::new("0", "0"));
        let mut tasks = Tasks::new(Arc::clone(&metrics));
        let (stop, mut stopping) = watch_finish();
        tasks.spawn("monitor", async { panic!("boom") });
        let mut drain = tasks.drain();
        tasks.spawn("mesh", async move {
            // Ends the test once the other's panic was counted.
            while !metrics.export().unwrap().contains("fairlead_panics_total{site=\"task\"} 1") {
                tokio::task::yield_now().await;
            }
            stop.send_replace(true);
            drain.requested().await;
            Ok(())
        });
        let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
        assert_eq!(tasks.run_until(stopped).await, Ok(()));
    }

    /// Counts its starts in its state, says how far it is and panics, but for the start `well`, which runs for a while.
    async fn fails(starts: &mut u32, seen: &watch::Sender<u32>, well: u32) -> Result<(), String> {
        *starts += 1;
        seen.send_replace(*starts);
        if *starts == well {
            tokio::time::sleep(STEADY).await;
        }
        panic!("boom")
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_with_what_it_had_after_pauses_that_double() {
        let metrics = Arc::new(Metrics::new("0", "0"));
        let mut tasks = Tasks::new(Arc::clone(&metrics));
        let states = tasks.states();
        let (seen, mut starts) = watch::channel(0);
        tasks.keep("monitors", (0, seen), |(starts, seen)| Box::pin(fails(starts, seen, 9)));
        let began = Instant::now();
        let running = tokio::spawn(tasks.run_until(std::future::pending()));
        let mut pauses = Vec::new();
        for start in 1..=10 {
            starts.wait_for(|seen| *seen >= start).await.unwrap();
            pauses.push(began.elapsed().as_secs());
            // It has panicked by the time that its start is seen.
            if start == 2 {
                assert!(states.failing().is_empty(), "two panics are not many");
            }
            if start == 3 {
                assert_eq!(states.failing(), ["the task monitors panicked 3 times in a row"]);
                assert_eq!(states.status()[0]["state"], "keeps panicking");
            }
        }
        let after_eight = 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60;
        assert_eq!(pauses, [0, 1, 3, 7, 15, 31, 63, 123, after_eight, after_eight + STEADY.as_secs() + 1]);
        assert!(states.failing().is_empty(), "it was well in between");
        let text = metrics.export().unwrap();
        for line in ["fairlead_task_restarts_total{task=\"monitors\"} 10", "fairlead_panics_total{site=\"task\"} 10"] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_to_be_started_again_ends_with_the_drain() {
        let mut tasks = Tasks::new(Arc::new(Metrics::new("0", "0")));
        let (seen, mut starts) = watch::channel(0);
        tasks.keep("mesh", (0, seen), |(starts, seen)| Box::pin(fails(starts, seen, 0)));
        let began = Instant::now();
        let stop = async move { drop(starts.wait_for(|seen| *seen == 7).await) };
        assert_eq!(tasks.run_until(stop).await, Ok(()));
        assert_eq!(began.elapsed().as_secs(), 63, "the pause of a minute was not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_drain_is_cut_off() {
        let mut tasks = Tasks::new(Arc::new(Metrics::new("0", "0")));
        tasks.spawn("stuck", std::future::pending());
        assert_eq!(tasks.run_until(async {}).await, Ok(()));
    }

    fn watch_finish() -> (watch::Sender<bool>, watch::Receiver<bool>) {
        watch::channel(false)
    }
}
