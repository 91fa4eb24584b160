//! Work whose panic costs that work and no more: it is caught, counted and passed over.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::labels::Site;
use super::registry::Metrics;

impl Metrics {
    /// Does one piece of `work`; none when it panicked. What it was changing may be half changed then, so a piece should
    /// be one request or one turn of a loop, and what it leaves behind should be made good by the next.
    pub async fn survive<T>(&self, site: Site, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            // The panic hook has said where; the work is never polled again.
            Err(_) => {
                self.panicked(site);
                Poll::Ready(None)
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_the_piece_of_work_that_panicked() {
        let metrics = Metrics::new("0", "0");
        let mut done = Vec::new();
        for number in 0..5 {
            let work = async {
                tokio::task::yield_now().await;
                assert_ne!(number, 3, "a fault of ours");
                number
            };
            done.push(metrics.survive(Site::Task, work).await);
        }
        assert_eq!(done, [Some(0), Some(1), Some(2), None, Some(4)]);
        assert!(metrics.export().unwrap().contains("fairlead_panics_total{site=\"task\"} 1"));
    }
}
