//! Long work beside the answering of queries, on threads that give way to it.

use tokio::sync::oneshot;
use tracing::warn;

/// How far back such a thread stands behind the workers when both want a core: the last place there is (`nice`).
const NICENESS: i32 = 19;

/// Runs `work` on a thread of its own with the lowest priority, so that a load of large files or the freeing of a large
/// zone takes no processor from workers, mesh and probes. The receiver fails where the work panicked.
///
/// # Errors
/// The system has no thread left.
pub(super) fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<oneshot::Receiver<T>> {
    let (done, outcome) = oneshot::channel();
    let thread = move || {
        // Of the calling thread only, as Linux has it.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            warn!(%error, "a background thread keeps its priority");
        }
        // Nobody waits for some work.
        let _ = done.send(work());
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(thread)?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_gives_way_and_the_caller_does_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(run("test", niceness).unwrap().await, Ok(NICENESS));
        assert_eq!(niceness(), before);
    }
}
