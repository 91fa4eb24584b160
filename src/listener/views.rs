//! Counts queries by view, where views are configured.

use std::sync::Arc;

use prometheus::IntCounter;

use crate::answer::{Selector, Snapshot, ViewChoice};
use crate::metrics::Metrics;

/// The counters of the views in use.
#[derive(Default)]
pub(super) struct ViewCounters {
    /// What chooses among the views that the counters are of.
    selector: Option<Arc<Selector>>,
    of_each: Vec<IntCounter>,
    nowhere: Option<IntCounter>,
}

impl ViewCounters {
    /// Counts one query; after a reload the counters are those of the new views.
    pub(super) fn count(&mut self, snapshot: &Snapshot, choice: ViewChoice, metrics: &Metrics) {
        let Some(selector) = snapshot.selector() else { return };
        if !self.selector.as_ref().is_some_and(|known| Arc::ptr_eq(known, selector)) {
            self.of_each = snapshot.views().map(|view| metrics.view_queries(view.name().as_str())).collect();
            self.nowhere = Some(metrics.view_queries("-"));
            self.selector = Some(Arc::clone(selector));
        }
        let counter = match choice {
            ViewChoice::View(id) => usize::try_from(id.0).ok().and_then(|id| self.of_each.get(id)),
            ViewChoice::Nowhere => self.nowhere.as_ref(),
        };
        if let Some(counter) = counter {
            counter.inc();
        }
    }
}
