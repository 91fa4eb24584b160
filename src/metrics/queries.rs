//! What is counted per query: a flat array per worker, summed when it is scraped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::{DROPPED, QUERIES, REPLY_BYTES, TRUNCATED};
use super::labels::{DropReason, Protocol, RCODES, Source, TYPES, rcode_class, type_class};
use crate::wire::{Rcode, RecordType};

const ANSWERS: usize = TYPES.len() * RCODES.len() * Source::ALL.len();
const DROPS: usize = DropReason::ALL.len();
/// Where the drop counters start, after the answers; then two single counters.
const DROPS_AT: usize = ANSWERS;
const BYTES_AT: usize = DROPS_AT + DROPS;
const TRUNCATED_AT: usize = BYTES_AT + 1;
const CELLS: usize = TRUNCATED_AT + 1;

/// One worker's cells. Aligned to two lines, so that neither a neighbour nor the adjacent-line prefetcher shares them.
#[repr(align(128))]
struct Cells {
    values: [AtomicU64; CELLS],
}

impl Cells {
    fn new() -> Self {
        Self { values: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

/// The facts of one answered query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The type asked for; none when no question could be read.
    pub record_type: Option<RecordType>,
    /// The reply's response code.
    pub rcode: Rcode,
    /// What the reply was taken from.
    pub source: Source,
    /// Octets of the reply.
    pub length: usize,
    /// Whether it carries TC.
    pub truncated: bool,
}

/// One worker's counters. There is one writer by construction: the handle cannot be cloned and counting needs `&mut`.
pub struct QueryCounters {
    cells: Arc<Cells>,
}

impl QueryCounters {
    /// Counts an answered query: three plain additions on the worker's own lines.
    #[inline]
    pub fn answered(&mut self, answered: Answered) {
        let kind = type_class(answered.record_type) * RCODES.len() + rcode_class(answered.rcode);
        self.add(kind * Source::ALL.len() + answered.source as usize, 1);
        self.add(BYTES_AT, answered.length as u64);
        if answered.truncated {
            self.add(TRUNCATED_AT, 1);
        }
    }

    /// Counts packets that got no reply.
    #[inline]
    pub fn dropped(&mut self, reason: DropReason, packets: u64) {
        self.add(DROPS_AT + reason as usize, packets);
    }

    /// Adds with a plain load and store: this worker is the only writer, so nothing is lost and no line is locked.
    #[inline]
    fn add(&mut self, at: usize, by: u64) {
        if let Some(cell) = self.cells.values.get(at) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        }
    }
}

/// The cells of every worker, and what stopped workers counted.
pub(super) struct QueryCollector {
    descriptions: Vec<Desc>,
    protocols: Mutex<[Workers; Protocol::ALL.len()]>,
}

/// The workers of one protocol.
struct Workers {
    running: Vec<Arc<Cells>>,
    /// The sums of workers that are gone.
    retired: Box<[u64; CELLS]>,
}

impl QueryCollector {
    pub(super) fn new() -> Self {
        let workers = || Workers { running: Vec::new(), retired: Box::new([0; CELLS]) };
        Self {
            descriptions: [QUERIES, REPLY_BYTES, TRUNCATED, DROPPED].iter().map(|family| family.desc()).collect(),
            protocols: Mutex::new(std::array::from_fn(|_| workers())),
        }
    }

    /// Cells for a new worker.
    pub(super) fn worker(&self, protocol: Protocol) -> QueryCounters {
        let cells = Arc::new(Cells::new());
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(workers) = protocols.get_mut(protocol as usize) {
            workers.running.push(Arc::clone(&cells));
        }
        QueryCounters { cells }
    }

    /// The sums over all workers, per protocol.
    fn totals(&self) -> [Box<[u64; CELLS]>; Protocol::ALL.len()] {
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        protocols.each_mut().map(Workers::totals)
    }
}

impl Workers {
    fn totals(&mut self) -> Box<[u64; CELLS]> {
        let retired = &mut self.retired;
        self.running.retain_mut(|cells| {
            // `get_mut` succeeds only when the worker's handle is gone, and synchronises with its last store.
            let Some(gone) = Arc::get_mut(cells) else { return true };
            for (sum, cell) in retired.iter_mut().zip(&mut gone.values) {
                *sum = sum.wrapping_add(*cell.get_mut());
            }
            false
        });
        let mut totals = retired.clone();
        for cells in &self.running {
            for (sum, cell) in totals.iter_mut().zip(&cells.values) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        totals
    }
}

impl Collector for QueryCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut queries, mut bytes, mut truncated, mut dropped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (protocol, totals) in Protocol::ALL.iter().zip(self.totals()) {
            let protocol = protocol.as_str();
            let value = |at: usize| totals.get(at).map_or(0.0, |value| *value as f64);
            let names = TYPES.iter().flat_map(|kind| {
                RCODES.iter().flat_map(move |rcode| Source::ALL.iter().map(move |source| (kind, rcode, source)))
            });
            for (at, (kind, rcode, source)) in names.enumerate() {
                // Combinations that never happened are left out: most of them cannot happen.
                if value(at) > 0.0 {
                    queries.push(QUERIES.sample(&[protocol, kind, rcode, source.as_str()], value(at)));
                }
            }
            bytes.push(REPLY_BYTES.sample(&[protocol], value(BYTES_AT)));
            truncated.push(TRUNCATED.sample(&[protocol], value(TRUNCATED_AT)));
            for reason in DropReason::ALL {
                dropped.push(DROPPED.sample(&[protocol, reason.as_str()], value(DROPS_AT + reason as usize)));
            }
        }
        vec![QUERIES.export(queries), REPLY_BYTES.export(bytes), TRUNCATED.export(truncated), DROPPED.export(dropped)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(record_type: RecordType) -> Answered {
        Answered {
            record_type: Some(record_type),
            rcode: Rcode::NOERROR,
            source: Source::Zone,
            length: 50,
            truncated: false,
        }
    }

    fn value(collector: &QueryCollector, name: &str, labels: &[&str]) -> Option<f64> {
        let families = collector.collect();
        let family = families.iter().find(|family| family.name() == name)?;
        let has = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().map(|pair| pair.value()).eq(labels.iter().copied())
        };
        family.get_metric().iter().find(has).map(|metric| metric.get_counter().get_value())
    }

    #[test]
    fn workers_are_summed_and_a_stopped_one_still_counts() {
        let collector = QueryCollector::new();
        let mut first = collector.worker(Protocol::Udp);
        let mut second = collector.worker(Protocol::Udp);
        let mut stream = collector.worker(Protocol::Tcp);
        first.answered(query(RecordType::A));
        second.answered(query(RecordType::A));
        second.answered(query(RecordType::MX));
        stream.answered(query(RecordType::A));
        let labels = ["udp", "A", "NOERROR", "zone"];
        assert_eq!(value(&collector, "fairlead_queries_total", &labels), Some(2.0));
        drop(second);
        for _ in 0..2 {
            assert_eq!(value(&collector, "fairlead_queries_total", &labels), Some(2.0));
        }
        first.answered(query(RecordType::A));
        assert_eq!(value(&collector, "fairlead_queries_total", &labels), Some(3.0));
        assert_eq!(value(&collector, "fairlead_queries_total", &["udp", "MX", "NOERROR", "zone"]), Some(1.0));
        assert_eq!(value(&collector, "fairlead_queries_total", &["tcp", "A", "NOERROR", "zone"]), Some(1.0));
        assert_eq!(value(&collector, "fairlead_reply_bytes_total", &["udp"]), Some(200.0));
    }

    #[test]
    fn every_combination_has_its_own_cell() {
        let collector = QueryCollector::new();
        let mut worker = collector.worker(Protocol::Udp);
        let types = RecordType::NAMED.iter().map(|(number, _)| Some(*number)).chain([None]);
        let mut counted = 0;
        for record_type in types {
            for (rcode, _) in Rcode::NAMED {
                for source in Source::ALL {
                    worker.answered(Answered { record_type, rcode: *rcode, source, length: 0, truncated: true });
                    counted += 1;
                }
            }
        }
        for reason in DropReason::ALL {
            worker.dropped(reason, 7);
        }
        let families = collector.collect();
        let sum = |name: &str| -> f64 {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
        };
        assert_eq!(sum("fairlead_queries_total"), f64::from(counted));
        assert_eq!(sum("fairlead_truncated_replies_total"), f64::from(counted));
        assert_eq!(sum("fairlead_dropped_packets_total"), 35.0);
        assert_eq!(families[0].get_metric().len(), TYPES.len() * (RCODES.len()) * Source::ALL.len());
    }

    #[test]
    fn no_two_workers_share_a_cache_line() {
        assert_eq!(std::mem::align_of::<Cells>(), 128);
        assert_eq!(std::mem::size_of::<Cells>() % 128, 0);
    }
}
