//! The long-lived tasks of a process, by name. One that gives up ends all, and says which it was. One that panics ends
//! alone: it is counted and logged, and what the others do, answering above all, goes on without it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::metrics::{Metrics, Site};

/// How long tasks may take to finish once they were told to, before they are cut off.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The tasks of one process.
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    /// A panicked task brings only its id back.
    names: HashMap<Id, String>,
    /// True once everybody shall finish.
    draining: watch::Sender<bool>,
    /// Where panics are counted.
    metrics: Arc<Metrics>,
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
        Self { set: JoinSet::new(), names: HashMap::new(), draining: watch::Sender::new(false), metrics }
    }

    /// What a task waits on to learn that it shall finish.
    pub fn drain(&self) -> Drain {
        Drain(self.draining.subscribe())
    }

    /// Runs `task` under `name`. It must not return before the drain begins; an `Err` says why it could not go on.
    pub fn spawn<F>(&mut self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let id = self.set.spawn(task).id();
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
