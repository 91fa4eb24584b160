//! What wide IPs decided: per worker an array laid out by the configuration in use, folded by name when that changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::DECISIONS;

/// The most (wide IP, pool) pairs with counters of their own; what comes after shares one pair named `other`.
const PAIRS_MAX: usize = 65_536;
/// The wide IP and pool of every pair past [`PAIRS_MAX`].
const OTHER: &str = "other";

/// Which counter belongs to what: (wide IP, pool) pairs times the outcomes a decision can have. Part of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct DecisionLayout {
    pairs: Vec<(Arc<str>, Arc<str>)>,
    outcomes: &'static [&'static str],
}

impl DecisionLayout {
    /// Lays out counters for `pairs` of wide IP and pool, numbered in this order, and for every outcome.
    pub fn new(pairs: impl IntoIterator<Item = (Arc<str>, Arc<str>)>, outcomes: &'static [&'static str]) -> Self {
        let mut pairs = pairs.into_iter();
        let mut kept: Vec<_> = pairs.by_ref().take(PAIRS_MAX).collect();
        if pairs.next().is_some() {
            kept.push((OTHER.into(), OTHER.into()));
        }
        Self { pairs: kept, outcomes }
    }

    fn cells(&self) -> usize {
        self.pairs.len() * self.outcomes.len()
    }
}

/// Arrays kept before a worker folds the old ones itself.
const UNFOLDED_MAX: usize = 256;

/// One worker's counters under one layout.
struct Cells {
    layout: Arc<DecisionLayout>,
    /// Its own allocation, so that only the ends could touch a neighbour's line; [`PADDING`] cells there are never used.
    values: Box<[AtomicU64]>,
}

/// Cells left unused at each end of an array: two cache lines.
const PADDING: usize = 16;

impl Cells {
    fn new(layout: &Arc<DecisionLayout>) -> Self {
        let values = (0..layout.cells() + 2 * PADDING).map(|_| AtomicU64::new(0)).collect();
        Self { layout: Arc::clone(layout), values }
    }

    /// Adds what is counted here to `totals`, under the names of the layout.
    fn sum_into(&self, totals: &mut Totals) {
        let used = self.values.get(PADDING..).unwrap_or_default();
        for (pair, row) in self.layout.pairs.iter().zip(used.chunks(self.layout.outcomes.len().max(1))) {
            for (outcome, cell) in self.layout.outcomes.iter().zip(row) {
                let value = cell.load(Ordering::Relaxed);
                if value > 0 {
                    let names = (Arc::clone(&pair.0), Arc::clone(&pair.1), *outcome);
                    *totals.entry(names).or_default() += value;
                }
            }
        }
    }
}

type Totals = BTreeMap<(Arc<str>, Arc<str>, &'static str), u64>;

/// One worker's counters. There is one writer by construction, as in [`super::QueryCounters`].
pub struct DecisionCounters {
    cells: Arc<Cells>,
    collector: Arc<DecisionCollector>,
}

impl DecisionCounters {
    /// Takes up the layout of the snapshot in use; only a changed one costs anything. Call once per batch.
    #[inline]
    pub fn follow(&mut self, layout: &Arc<DecisionLayout>) {
        if !Arc::ptr_eq(layout, &self.cells.layout) {
            self.cells = self.collector.cells(layout);
        }
    }

    /// Counts a decision: the pair's number in the layout, and the outcome's index there.
    #[inline]
    pub fn record(&mut self, pair: usize, outcome: usize) {
        let outcomes = self.cells.layout.outcomes.len();
        let pair = pair.min(PAIRS_MAX);
        if outcome >= outcomes {
            return;
        }
        if let Some(cell) = self.cells.values.get(PADDING + pair * outcomes + outcome) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }
}

/// The counters of every worker, and what was counted under layouts no longer in use.
pub(super) struct DecisionCollector {
    description: Desc,
    state: Mutex<State>,
}

struct State {
    running: Vec<Arc<Cells>>,
    retired: Totals,
}

impl DecisionCollector {
    pub(super) fn new() -> Self {
        Self { description: DECISIONS.desc(), state: Mutex::new(State { running: Vec::new(), retired: Totals::new() }) }
    }

    /// Counters for a new worker, which follows an empty layout until told better.
    pub(super) fn worker(self: &Arc<Self>) -> DecisionCounters {
        let empty = Arc::new(DecisionLayout { pairs: Vec::new(), outcomes: &[] });
        DecisionCounters { cells: self.cells(&empty), collector: Arc::clone(self) }
    }

    fn cells(&self, layout: &Arc<DecisionLayout>) -> Arc<Cells> {
        let cells = Arc::new(Cells::new(layout));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Folding is left to the scrape, which no query waits for; only reloads that nobody scrapes between pile up here.
        if state.running.len() >= UNFOLDED_MAX {
            state.retire();
        }
        state.running.push(Arc::clone(&cells));
        cells
    }
}

impl State {
    /// Folds the arrays no worker writes any more into the totals.
    fn retire(&mut self) {
        let retired = &mut self.retired;
        self.running.retain_mut(|cells| {
            // `get_mut` succeeds only when the worker's reference is gone, and synchronises with its last store.
            let Some(gone) = Arc::get_mut(cells) else { return true };
            gone.sum_into(retired);
            false
        });
        // Names that reloads leave behind must not grow without bound; the smallest names of the map go first.
        while self.retired.len() > 4 * PAIRS_MAX {
            let Some((names, value)) = self.retired.pop_first() else { return };
            *self.retired.entry((OTHER.into(), OTHER.into(), names.2)).or_default() += value;
        }
    }
}

impl Collector for DecisionCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let totals = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.retire();
            let mut totals = state.retired.clone();
            for cells in &state.running {
                cells.sum_into(&mut totals);
            }
            totals
        };
        let sample = |((wide_ip, pool, outcome), value): (&(Arc<str>, Arc<str>, &'static str), &u64)| {
            DECISIONS.sample(&[wide_ip, pool, outcome], *value as f64)
        };
        vec![DECISIONS.export(totals.iter().map(sample).collect())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: &[&str] = &["preferred", "fallback"];

    fn layout(pairs: &[(&str, &str)]) -> Arc<DecisionLayout> {
        Arc::new(DecisionLayout::new(pairs.iter().map(|(wide_ip, pool)| ((*wide_ip).into(), (*pool).into())), OUTCOMES))
    }

    fn totals(collector: &DecisionCollector) -> Vec<(String, f64)> {
        let families = collector.collect();
        let text = |metric: &prometheus::proto::Metric| {
            let labels: Vec<_> = metric.get_label().iter().map(|pair| pair.value()).collect();
            (labels.join(" "), metric.get_counter().get_value())
        };
        families[0].get_metric().iter().map(text).collect()
    }

    #[test]
    fn totals_are_kept_by_name_when_the_layout_changes() {
        let collector = Arc::new(DecisionCollector::new());
        let (mut first, mut second) = (collector.worker(), collector.worker());
        let old = layout(&[("www", "ny"), ("www", "london")]);
        first.follow(&old);
        second.follow(&old);
        first.record(0, 0);
        first.record(1, 1);
        second.record(1, 1);
        let expected = [("www london fallback".to_owned(), 2.0), ("www ny preferred".to_owned(), 1.0)];
        assert_eq!(totals(&collector), expected);
        let new = layout(&[("api", "ny"), ("www", "london")]);
        first.follow(&new);
        assert_eq!(totals(&collector), expected, "nothing is lost while one worker still uses the old layout");
        first.record(1, 1);
        second.follow(&new);
        second.record(0, 0);
        let expected =
            [("api ny preferred".to_owned(), 1.0), ("www london fallback".to_owned(), 3.0), expected[1].clone()];
        assert_eq!(totals(&collector), expected);
        drop((first, second));
        assert_eq!(totals(&collector), expected);
    }

    #[test]
    fn what_is_past_the_cap_shares_one_pair() {
        let collector = Arc::new(DecisionCollector::new());
        let mut worker = collector.worker();
        let pairs = (0..PAIRS_MAX + 10).map(|at| (Arc::from(format!("w{at}")), Arc::from("p")));
        worker.follow(&Arc::new(DecisionLayout::new(pairs, OUTCOMES)));
        worker.record(PAIRS_MAX - 1, 0);
        worker.record(PAIRS_MAX, 0);
        worker.record(PAIRS_MAX + 9, 0);
        let expected = [("other other preferred".to_owned(), 2.0), (format!("w{} p preferred", PAIRS_MAX - 1), 1.0)];
        assert_eq!(totals(&collector), expected);
    }

    #[test]
    fn a_number_outside_the_layout_is_ignored() {
        let collector = Arc::new(DecisionCollector::new());
        let mut worker = collector.worker();
        worker.record(0, 0);
        worker.follow(&layout(&[("www", "ny")]));
        worker.record(500, 1);
        assert!(totals(&collector).is_empty());
    }
}
