//! Long work beside the answering of queries: one thread that gives way to all others.
//!
//! It is one thread for good, and the first load runs on it too: memory that a replaced zone leaves behind is kept by
//! the allocator for the thread that asked for it, and so the next load takes it up again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};
use std::thread::Builder;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tracing::warn;

/// How far back it stands behind the workers when both want a core: the last place there is (`nice`).
const NICENESS: i32 = 19;

/// What work has to give way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Nothing: nobody is answered before it is done. For the first load; what ran once at the lowest stays there.
    AsStarted,
    /// Everything else in this process and beside it.
    Lowest,
}

type Job = Box<dyn FnOnce() + Send>;

/// Does `work` after what was given before it. The receiver fails where the work panicked or no thread could be started.
pub(super) fn run<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, outcome) = oneshot::channel();
    let work = move || {
        // Who waited may have left.
        let _ = done.send(work());
    };
    begin(priority, work);
    outcome
}

/// As [`run`], of work that nobody waits for.
pub(super) fn begin(priority: Priority, work: impl FnOnce() + Send + 'static) {
    static QUEUE: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let job = move || {
        if priority == Priority::Lowest {
            give_way();
        }
        work();
    };
    // A queue that nobody serves drops the job and what is in it.
    let _ = QUEUE.get_or_init(start).send(Box::new(job));
}

/// Does long `work` at once and here, while the runtime lets its other tasks go on in another thread: with one core it has no
/// second one.
pub(super) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

fn start() -> mpsc::Sender<Job> {
    let (queue, jobs) = mpsc::channel::<Job>();
    let serve = move || {
        for job in jobs {
            // A panic is told by its hook, and by the receiver.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    };
    if let Err(error) = Builder::new().name("background".to_owned()).spawn(serve) {
        warn!(%error, "no thread for background work");
    }
    queue
}

fn give_way() {
    // Of the calling thread only, as Linux has it.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        warn!(%error, "the background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_gives_way_and_the_caller_does_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(run(Priority::Lowest, niceness).await, Ok(NICENESS));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn work_that_panics_takes_no_other_with_it() {
        let failed = run(Priority::AsStarted, || std::panic::panic_any("meant to fail"));
        assert!(failed.await.is_err());
        assert_eq!(run(Priority::AsStarted, || 7).await, Ok(7));
    }
}
