//! What is counted per query: a flat array per worker, summed when it is scraped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};

use super::edns::{Cookie, EXTENDED_ERRORS};
use super::family::{COOKIES, DROPPED, ERRORS, LIMIT_HITS, QUERIES, RATE_LIMITED, REPLY_BYTES, TRUNCATED};
use super::labels::{DropReason, Protocol, RCODES, RateAction, ResponseKind, Source, TYPES, rcode_class, type_class};
use super::limit::Limit;
use crate::wire::{Rcode, RecordType};

const ANSWERS: usize = TYPES.len() * RCODES.len() * Source::ALL.len();
const DROPS: usize = DropReason::ALL.len();
/// Where the drop counters start, after the answers; then two single counters, limits, rates and what EDNS
/// options came to.
const DROPS_AT: usize = ANSWERS;
const BYTES_AT: usize = DROPS_AT + DROPS;
const TRUNCATED_AT: usize = BYTES_AT + 1;
const LIMITS_AT: usize = TRUNCATED_AT + 1;
const RATES_AT: usize = LIMITS_AT + Limit::ALL.len();
const COOKIES_AT: usize = RATES_AT + ResponseKind::ALL.len() * RateAction::ALL.len();
const ERRORS_AT: usize = COOKIES_AT + Cookie::ALL.len();
const CELLS: usize = ERRORS_AT + EXTENDED_ERRORS.len();

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

    /// Counts a limit that a query reached.
    #[inline]
    pub fn limit_hit(&mut self, limit: Limit) {
        self.add(LIMITS_AT + limit as usize, 1);
    }

    /// Counts a response over its rate.
    #[inline]
    pub fn rate_limited(&mut self, kind: ResponseKind, action: RateAction) {
        self.add(RATES_AT + kind as usize * RateAction::ALL.len() + action as usize, 1);
    }

    /// Counts a query with a cookie.
    #[inline]
    pub fn cookie(&mut self, cookie: Cookie) {
        self.add(COOKIES_AT + cookie as usize, 1);
    }

    /// Counts a reply with an extended error of this number (RFC 8914 §5.2).
    pub fn extended_error(&mut self, code: u16) {
        if let Some(at) = EXTENDED_ERRORS.iter().position(|(known, _)| *known == code) {
            self.add(ERRORS_AT + at, 1);
        }
    }

    /// Adds with a plain load and store: this worker is the only writer, so nothing is lost and no line is locked.
    #[inline]
    fn add(&mut self, at: usize, by: u64) {
        if let Some(cell) = self.cells.values.get(at) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        }
    }
}

/// What is exported from here, in this order.
const FAMILIES: [super::family::Family; 8] =
    [QUERIES, REPLY_BYTES, TRUNCATED, DROPPED, LIMIT_HITS, RATE_LIMITED, COOKIES, ERRORS];

/// The cells of every worker, and what stopped workers counted.
pub(super) struct QueryCollector {
    descriptions: Vec<Desc>,
    protocols: Mutex<[Workers; Protocol::ALL.len()]>,
    /// Limits that were reached elsewhere than by a query of a worker, in the order of [`Limit::ALL`].
    limits: [AtomicU64; Limit::ALL.len()],
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
            descriptions: FAMILIES.iter().map(|family| family.desc()).collect(),
            protocols: Mutex::new(std::array::from_fn(|_| workers())),
            limits: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a limit that was reached so many times.
    pub(super) fn limit_hits(&self, limit: Limit, times: u64) {
        if let Some(count) = self.limits.get(limit as usize) {
            count.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// Counts an extended error of a reply that was made elsewhere than by a worker.
    pub(super) fn extended_error(&self, protocol: Protocol, code: u16) {
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        let at = EXTENDED_ERRORS.iter().position(|(known, _)| *known == code);
        let workers = protocols.get_mut(protocol as usize);
        if let (Some(at), Some(workers)) = (at, workers)
            && let Some(count) = workers.retired.get_mut(ERRORS_AT + at)
        {
            *count = count.wrapping_add(1);
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
    fn totals(&self) -> Totals {
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
        let totals = self.totals();
        let samples = [queries(&totals), bytes(&totals), truncated(&totals), dropped(&totals)];
        let samples = samples.into_iter().chain([
            self.limited(&totals),
            rate_limited(&totals),
            cookies(&totals),
            extended_errors(&totals),
        ]);
        FAMILIES.iter().zip(samples).map(|(family, samples)| family.export(samples)).collect()
    }
}

/// The sums of each protocol's workers.
type Totals = [Box<[u64; CELLS]>; Protocol::ALL.len()];

fn by_protocol(totals: &Totals) -> impl Iterator<Item = (&'static str, &[u64; CELLS])> {
    Protocol::ALL.iter().map(|protocol| protocol.as_str()).zip(totals.iter().map(|cells| &**cells))
}

fn value(cells: &[u64; CELLS], at: usize) -> f64 {
    cells.get(at).map_or(0.0, |value| *value as f64)
}

/// The sum over all protocols.
fn sum(totals: &Totals, at: usize) -> f64 {
    totals.iter().map(|cells| value(cells, at)).sum()
}

fn queries(totals: &Totals) -> Vec<Metric> {
    let names = || {
        TYPES.iter().flat_map(|kind| {
            RCODES.iter().flat_map(move |rcode| Source::ALL.iter().map(move |source| (kind, rcode, source)))
        })
    };
    let mut samples = Vec::new();
    for (protocol, cells) in by_protocol(totals) {
        for (at, (kind, rcode, source)) in names().enumerate() {
            // Combinations that never happened are left out: most of them cannot happen.
            if value(cells, at) > 0.0 {
                samples.push(QUERIES.sample(&[protocol, kind, rcode, source.as_str()], value(cells, at)));
            }
        }
    }
    samples
}

fn bytes(totals: &Totals) -> Vec<Metric> {
    by_protocol(totals).map(|(protocol, cells)| REPLY_BYTES.sample(&[protocol], value(cells, BYTES_AT))).collect()
}

fn truncated(totals: &Totals) -> Vec<Metric> {
    by_protocol(totals).map(|(protocol, cells)| TRUNCATED.sample(&[protocol], value(cells, TRUNCATED_AT))).collect()
}

fn dropped(totals: &Totals) -> Vec<Metric> {
    let of = |(protocol, cells): (&'static str, &[u64; CELLS])| {
        DropReason::ALL
            .map(|reason| DROPPED.sample(&[protocol, reason.as_str()], value(cells, DROPS_AT + reason as usize)))
    };
    by_protocol(totals).flat_map(of).collect()
}

fn cookies(totals: &Totals) -> Vec<Metric> {
    let of = |(protocol, cells): (&'static str, &[u64; CELLS])| {
        Cookie::ALL
            .map(|cookie| COOKIES.sample(&[protocol, cookie.as_str()], value(cells, COOKIES_AT + cookie as usize)))
    };
    by_protocol(totals).flat_map(of).collect()
}

fn extended_errors(totals: &Totals) -> Vec<Metric> {
    let mut samples = Vec::new();
    for (protocol, cells) in by_protocol(totals) {
        let names = EXTENDED_ERRORS.iter().enumerate();
        samples.extend(names.map(|(at, (_, name))| ERRORS.sample(&[protocol, name], value(cells, ERRORS_AT + at))));
    }
    samples
}

fn rate_limited(totals: &Totals) -> Vec<Metric> {
    let names = ResponseKind::ALL.iter().flat_map(|kind| RateAction::ALL.iter().map(move |action| (kind, action)));
    let sample = |(at, (kind, action)): (usize, (&ResponseKind, &RateAction))| {
        RATE_LIMITED.sample(&[kind.as_str(), action.as_str()], sum(totals, RATES_AT + at))
    };
    names.enumerate().map(sample).collect()
}

impl QueryCollector {
    /// Every limit: what queries reached, and what was reached elsewhere.
    fn limited(&self, totals: &Totals) -> Vec<Metric> {
        let sample = |(limit, elsewhere): (&Limit, &AtomicU64)| {
            let elsewhere = elsewhere.load(Ordering::Relaxed) as f64;
            LIMIT_HITS.sample(&[limit.as_str()], elsewhere + sum(totals, LIMITS_AT + *limit as usize))
        };
        Limit::ALL.iter().zip(&self.limits).map(sample).collect()
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
        Cookie::ALL.into_iter().for_each(|cookie| worker.cookie(cookie));
        EXTENDED_ERRORS.into_iter().for_each(|(code, _)| worker.extended_error(code));
        worker.extended_error(4711);
        let families = collector.collect();
        let sum = |name: &str| -> f64 {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
        };
        assert_eq!(sum("fairlead_queries_total"), f64::from(counted));
        assert_eq!(sum("fairlead_truncated_replies_total"), f64::from(counted));
        assert_eq!(sum("fairlead_dropped_packets_total"), 42.0);
        for (name, expected) in [("fairlead_cookies_total", 4), ("fairlead_extended_errors_total", 7)] {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let once = |metric: &&prometheus::proto::Metric| metric.get_counter().get_value() == 1.0;
            assert_eq!(family.get_metric().iter().filter(once).count(), expected, "{name}");
        }
        assert_eq!(families[0].get_metric().len(), TYPES.len() * (RCODES.len()) * Source::ALL.len());
    }

    #[test]
    fn limits_reached_by_queries_and_elsewhere_are_one_metric() {
        let collector = QueryCollector::new();
        let mut worker = collector.worker(Protocol::Udp);
        let mut stream = collector.worker(Protocol::Tcp);
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            collector.limit_hits(limit, 100);
            (0..=at).for_each(|_| worker.limit_hit(limit));
            stream.limit_hit(limit);
            let expected = Some(at as f64 + 102.0);
            assert_eq!(value(&collector, "fairlead_limit_hits_total", &[limit.as_str()]), expected, "{limit:?}");
        }
    }

    #[test]
    fn every_kind_and_action_of_rate_limiting_has_its_own_cell() {
        let collector = QueryCollector::new();
        let mut worker = collector.worker(Protocol::Udp);
        for (expected, (kind, action)) in ResponseKind::ALL
            .iter()
            .flat_map(|kind| RateAction::ALL.iter().map(move |action| (kind, action)))
            .enumerate()
        {
            (0..expected).for_each(|_| worker.rate_limited(*kind, *action));
            let labels = [kind.as_str(), action.as_str()];
            let found = value(&collector, "fairlead_rate_limited_responses_total", &labels);
            assert_eq!(found, Some(expected as f64), "{labels:?}");
        }
    }

    #[test]
    fn no_two_workers_share_a_cache_line() {
        assert_eq!(std::mem::align_of::<Cells>(), 128);
        assert_eq!(std::mem::size_of::<Cells>() % 128, 0);
    }
}
