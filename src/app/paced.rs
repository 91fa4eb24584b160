//! The thread on which reports from the mesh become snapshots, in turns that keep a distance.
//!
//! Agents that report one after the other would each wake a sleeping thread, which finds its caches cold, and each report
//! would become a snapshot of its own. With a distance between the turns the reports of a few milliseconds are read
//! together, and published at the end of the turn. One that comes alone is served at once.

use std::cell::Cell;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How far apart the beginnings of turns are while one follows the other: far below what a person or a DNS client notices.
const DISTANCE: Duration = Duration::from_millis(4);

/// A runtime with one such thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Paced {
    handle: Handle,
    /// Its sender gone, the thread ends.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// When the last turns of a thread began.
#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    last: Option<Instant>,
    before: Option<Instant>,
}

thread_local! {
    static TURNS: Cell<Turns> = const { Cell::new(Turns { last: None, before: None }) };
}

impl Paced {
    /// Starts the thread under this name.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let ((started, starts), (end, ended)) = (mpsc::channel(), oneshot::channel());
        // Made in the thread: a runtime must not be dropped among another's tasks, as where no thread can be had.
        let run = move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .on_thread_unpark(|| TURNS.set(TURNS.get().and(now())))
                .on_thread_park(|| thread::sleep(TURNS.get().rest(now())))
                .build();
            // Whoever starts it waits for this.
            let _ =
                started.send(runtime.as_ref().map(|runtime| runtime.handle().clone()).map_err(|error| error.kind()));
            if let Ok(runtime) = runtime {
                // Ends when its sender is dropped.
                let _ = runtime.block_on(ended);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        let handle = starts.recv().map_err(io::Error::other)??;
        Ok(Self { handle, end: Some(end), thread: Some(thread) })
    }

    /// Where tasks are started on it.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too, and its panic was told.
            let _ = thread.join();
        }
    }
}

impl Turns {
    /// With the turn that begins now.
    const fn and(self, now: Instant) -> Self {
        Self { last: Some(now), before: self.last }
    }

    /// How long to rest before the next turn. A turn that followed a rest began a distance after the one before it, or little
    /// more where something waited for it already.
    fn rest(self, now: Instant) -> Duration {
        let (Some(last), Some(before)) = (self.last, self.before) else { return Duration::ZERO };
        match last.duration_since(before) < 2 * DISTANCE {
            true => DISTANCE.saturating_sub(now.duration_since(last)),
            false => Duration::ZERO,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "turns are of real time, whatever clock the tasks go by")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_alone_is_served_at_once_and_who_follows_waits_for_the_rest_of_the_distance() {
        let start = now();
        let at = |micros| start + Duration::from_micros(micros);
        // Turns that begin then, each of 500 us, and the rest after each, in us.
        let check = |turns: &[(u64, u64)]| {
            let mut kept = Turns::default();
            for &(began, rest) in turns {
                kept = kept.and(at(began));
                assert_eq!(kept.rest(at(began + 500)).as_micros(), u128::from(rest), "after the turn at {began}");
            }
        };
        check(&[(0, 0), (10_000, 0), (20_000, 0)]);
        check(&[(0, 0), (1_000, 3_500), (5_000, 3_500), (9_900, 3_500), (17_900, 0), (18_500, 3_500)]);
        let long = Turns::default().and(at(0)).and(at(1_000));
        assert_eq!(long.rest(at(6_000)), Duration::ZERO, "the turn itself took longer");
    }

    #[tokio::test]
    async fn turns_that_follow_one_another_keep_their_distance() {
        let paced = Paced::start("paced-test").unwrap();
        let mut turns = vec![now()];
        while turns.len() < 10 {
            let Turns { last, .. } = paced.handle().spawn(async { TURNS.get() }).await.unwrap();
            // Several tasks may share a turn, and the first may find none begun.
            turns.extend(last.filter(|last| turns.last() < Some(last)));
        }
        for three in turns[1..].windows(3) {
            let [first, second] = [three[1] - three[0], three[2] - three[1]];
            assert!(first >= 2 * DISTANCE || second >= DISTANCE, "{first:?}, then {second:?}");
        }
    }

    #[tokio::test]
    async fn tasks_run_on_the_thread_and_end_with_it() {
        let paced = Paced::start("paced-test").unwrap();
        let name = || thread::current().name().map(ToOwned::to_owned);
        assert_eq!(paced.handle().spawn(async move { name() }).await.unwrap().as_deref(), Some("paced-test"));
        let (held, ended) = oneshot::channel::<()>();
        paced.handle().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(paced);
        assert!(ended.await.is_err(), "the task outlived the thread");
    }
}
