//! The owner of all metrics: hands out the workers' counters, keeps the rest, and writes the text that is scraped.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::decisions::{DecisionCollector, DecisionCounters};
use super::family::{self, Family};
use super::journal::JournalCounters;
use super::labels::{CloseReason, ConnectionState, Protocol, Reload, Signature, Site};
use super::limit::Limit;
use super::queries::{QueryCollector, QueryCounters};
use super::scrape::Scrape;
use super::transfers::TransferCounters;
use crate::status::ObjectKind;

/// Fills in what is only known when a scrape happens. It runs on the scraper's thread and must not wait for long.
pub type Reader = Box<dyn Fn(&mut Scrape) + Send + Sync>;

/// Every metric of one process.
pub struct Metrics {
    registry: Registry,
    queries: Arc<QueryCollector>,
    decisions: Arc<DecisionCollector>,
    readers: Arc<Readers>,
    panics: IntCounterVec,
    task_restarts: IntCounterVec,
    signed_queries: IntCounterVec,
    view_queries: IntCounterVec,
    transfers: TransferCounters,
    journal: JournalCounters,
    tcp_connections: IntGaugeVec,
    tcp_closed: IntCounterVec,
    reloads: IntCounterVec,
    status_changes: IntCounterVec,
    reload_successful: IntGauge,
    reload_time: Gauge,
    generation: IntGauge,
    ready: IntGauge,
}

impl Metrics {
    /// Declares every metric; `version` and `revision` become the build's labels.
    pub fn new(version: &str, revision: &str) -> Self {
        let registry = Registry::new();
        let (queries, decisions) = (Arc::new(QueryCollector::new()), Arc::new(DecisionCollector::new()));
        let readers = Arc::new(Readers::new());
        register(&registry, Shared(Arc::clone(&queries)));
        register(&registry, Shared(Arc::clone(&decisions)));
        register(&registry, Shared(Arc::clone(&readers)));
        gauges(&registry, &family::BUILD, &[]).with_label_values(&[version, revision]).set(1);
        Self {
            panics: counters(&registry, &family::PANICS, &Site::ALL.map(Site::as_str)),
            task_restarts: counters(&registry, &family::TASK_RESTARTS, &[]),
            view_queries: counters(&registry, &family::VIEW_QUERIES, &[]),
            signed_queries: counters(&registry, &family::SIGNED_QUERIES, &Signature::ALL.map(Signature::as_str)),
            transfers: TransferCounters::new(&registry),
            journal: JournalCounters::new(&registry),
            tcp_connections: gauges(
                &registry,
                &family::TCP_CONNECTIONS,
                &ConnectionState::ALL.map(ConnectionState::as_str),
            ),
            tcp_closed: counters(&registry, &family::TCP_CLOSED, &CloseReason::ALL.map(CloseReason::as_str)),
            reloads: counters(&registry, &family::RELOADS, &Reload::ALL.map(Reload::as_str)),
            status_changes: counters(&registry, &family::STATUS_CHANGES, &OBJECT_KINDS.map(object_kind)),
            reload_successful: gauges(&registry, &family::RELOAD_SUCCESS, &[]).with_label_values::<&str>(&[]),
            reload_time: seconds(&registry, &family::RELOAD_TIME),
            generation: gauges(&registry, &family::GENERATION, &[]).with_label_values::<&str>(&[]),
            ready: gauges(&registry, &family::READY, &[]).with_label_values::<&str>(&[]),
            registry,
            queries,
            decisions,
            readers,
        }
    }

    /// Counters for one worker's queries. Dropping them keeps what they counted.
    pub fn query_counters(&self, protocol: Protocol) -> QueryCounters {
        self.queries.worker(protocol)
    }

    /// Counters for one worker's decisions. Dropping them keeps what they counted.
    pub fn decision_counters(&self) -> DecisionCounters {
        self.decisions.worker()
    }

    /// Adds the reader called `name`, or replaces it.
    pub fn set_reader(&self, name: &'static str, reader: Reader) {
        let mut readers = self.readers.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(known, _)| *known != name);
        readers.push((name, reader));
    }

    /// Counts a caught panic.
    pub fn panicked(&self, site: Site) {
        self.panics.with_label_values(&[site.as_str()]).inc();
    }

    /// Has the restarts of a task stand at zero from its start on.
    pub fn task_started(&self, task: &'static str) {
        let _: IntCounter = self.task_restarts.with_label_values(&[task]);
    }

    /// Counts a task that panicked and is started again.
    pub fn task_restarted(&self, task: &'static str) {
        self.task_restarts.with_label_values(&[task]).inc();
    }

    /// Counts a limit that refused, closed or dropped something.
    pub fn limit_hit(&self, limit: Limit) {
        self.queries.limit_hits(limit, 1);
    }

    /// Counts an extended error (RFC 8914) of a reply that was made beside the answer path.
    pub fn extended_error(&self, protocol: Protocol, code: u16) {
        self.queries.extended_error(protocol, code);
    }

    /// The counter of queries that were answered from a view; `-` is those that no view took.
    pub fn view_queries(&self, view: &str) -> IntCounter {
        self.view_queries.with_label_values(&[view])
    }

    /// Counts a query with a TSIG record.
    pub fn signed_query(&self, signature: Signature) {
        self.signed_queries.with_label_values(&[signature.as_str()]).inc();
    }

    /// What is counted of transfers.
    pub(super) const fn transfers(&self) -> &TransferCounters {
        &self.transfers
    }

    /// What is counted of the journal.
    pub(super) const fn journal(&self) -> &JournalCounters {
        &self.journal
    }

    /// The number of TCP connections in a state, for the listener to move.
    pub fn tcp_connections(&self, state: ConnectionState) -> IntGauge {
        self.tcp_connections.with_label_values(&[state.as_str()])
    }

    /// Counts a TCP connection that ended.
    pub fn tcp_closed(&self, reason: CloseReason) {
        self.tcp_closed.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a change of an object's status.
    pub fn status_changed(&self, kind: ObjectKind) {
        self.status_changes.with_label_values(&[object_kind(kind)]).inc();
    }

    /// Counts a configuration load; `unix_seconds` is the wall clock's time.
    pub fn reloaded(&self, reload: Reload, unix_seconds: f64) {
        self.reloads.with_label_values(&[reload.as_str()]).inc();
        match reload {
            Reload::Applied => {
                self.reload_successful.set(1);
                self.reload_time.set(unix_seconds);
            }
            Reload::Refused => self.reload_successful.set(0),
        }
    }

    /// Sets the generation of the snapshot in use.
    pub fn set_generation(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Notes that the node is ready; it stays so.
    pub fn ready(&self) {
        self.ready.set(1);
    }

    /// The content type of [`Self::export`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// Says what could not be encoded; that is a fault of this program.
    pub fn export(&self) -> Result<String, prometheus::Error> {
        let families = self.registry.gather();
        let left_out = self.readers.left_out();
        if left_out > 0 {
            self.queries.limit_hits(Limit::Series, left_out);
        }
        TextEncoder::new().encode_to_string(&families)
    }
}

const OBJECT_KINDS: [ObjectKind; 6] = [
    ObjectKind::Datacenter,
    ObjectKind::Server,
    ObjectKind::VirtualServer,
    ObjectKind::Pool,
    ObjectKind::Member,
    ObjectKind::WideIp,
];

/// The label's text of a kind of object.
const fn object_kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Datacenter => "datacenter",
        ObjectKind::Server => "server",
        ObjectKind::VirtualServer => "virtual_server",
        ObjectKind::Pool => "pool",
        ObjectKind::Member => "member",
        ObjectKind::WideIp => "wide_ip",
    }
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    #[expect(clippy::expect_used, reason = "the declarations are fixed, and a test registers all of them")]
    registry.register(Box::new(collector)).expect("every metric is declared once");
}

/// A counter with one label, whose known values stand at zero from the start.
pub(super) fn counters(registry: &Registry, family: &Family, values: &[&str]) -> IntCounterVec {
    #[expect(clippy::expect_used, reason = "as in `register`")]
    let vector = IntCounterVec::new(Opts::new(family.name, family.help), family.labels).expect("well formed");
    for value in values {
        let _: IntCounter = vector.with_label_values(&[value]);
    }
    register(registry, vector.clone());
    vector
}

/// A gauge with any labels; the known values of a single label stand at zero from the start.
pub(super) fn gauges(registry: &Registry, family: &Family, values: &[&str]) -> IntGaugeVec {
    #[expect(clippy::expect_used, reason = "as in `register`")]
    let vector = IntGaugeVec::new(Opts::new(family.name, family.help), family.labels).expect("well formed");
    for value in values {
        let _: IntGauge = vector.with_label_values(&[value]);
    }
    register(registry, vector.clone());
    vector
}

/// A gauge of seconds, without labels.
fn seconds(registry: &Registry, family: &Family) -> Gauge {
    #[expect(clippy::expect_used, reason = "as in `register`")]
    let gauge = Gauge::new(family.name, family.help).expect("well formed");
    register(registry, gauge.clone());
    gauge
}

/// A collector that others hold too.
struct Shared<T>(Arc<T>);

impl<T: Collector> Collector for Shared<T> {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

/// The readers, run at each scrape.
struct Readers {
    descriptions: Vec<Desc>,
    readers: Mutex<Vec<(&'static str, Reader)>>,
    left_out: Mutex<u64>,
}

impl Readers {
    fn new() -> Self {
        Self {
            descriptions: Scrape::FAMILIES.iter().map(|family| family.desc()).collect(),
            readers: Mutex::new(Vec::new()),
            left_out: Mutex::new(0),
        }
    }

    /// How many series were left out since the last call.
    fn left_out(&self) -> u64 {
        std::mem::take(&mut *self.left_out.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Collector for Readers {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut scrape = Scrape::default();
        for (_, reader) in self.readers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            reader(&mut scrape);
        }
        *self.left_out.lock().unwrap_or_else(PoisonError::into_inner) += scrape.left_out;
        scrape.into_families()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{DecisionLayout, DropReason, KernelUdp, Session};
    use crate::status::{Availability, Enabled};

    #[test]
    fn the_export_names_objects_by_configuration_and_escapes_them() {
        let metrics = Metrics::new("0.1.0", "abc");
        metrics.set_reader(
            "objects",
            Box::new(|scrape| {
                let age = Some(Duration::from_millis(1500));
                scrape.virtual_server("lb\"1", "www\\a", Availability::Offline, Enabled::Disabled, age);
                scrape.member("web", "lb1/www", Availability::Available, Enabled::Enabled);
                scrape.peer("lb1", Session::Up, age, Some(-0.25));
                scrape.source("static", false, age, 2);
                scrape.probes([5, 2, 1], 3, 0);
                scrape.certificate("node", 1_900_000_000);
                scrape.zone("example.com.", 7, 10);
                scrape.kernel_udp("ipv4", KernelUdp::ReceiveBuffer, 3);
            }),
        );
        let mut decisions = metrics.decision_counters();
        decisions.follow(&Arc::new(DecisionLayout::new([("www".into(), "ny".into())], &["preferred"])));
        decisions.record(0, 0);
        metrics.query_counters(Protocol::Udp).dropped(DropReason::Runt, 2);
        metrics.limit_hit(Limit::TcpConnections);
        metrics.reloaded(Reload::Refused, 5.0);
        let text = metrics.export().unwrap();
        for line in [
            r#"fairlead_virtual_server_availability{availability="offline",server="lb\"1",virtual_server="www\\a"} 1"#,
            r#"fairlead_virtual_server_availability{availability="available",server="lb\"1",virtual_server="www\\a"} 0"#,
            r#"fairlead_pool_member_enabled{member="lb1/www",pool="web"} 1"#,
            r#"fairlead_virtual_server_report_age_seconds{server="lb\"1",virtual_server="www\\a"} 1.5"#,
            r#"fairlead_mesh_peer_clock_skew_seconds{peer="lb1"} -0.25"#,
            r#"fairlead_agent_source_up{source="static"} 0"#,
            r#"fairlead_agent_source_age_seconds{source="static"} 1.5"#,
            r#"fairlead_monitor_probes_total{result="not_made"} 1"#,
            "fairlead_monitor_probes_running 3",
            r#"fairlead_decisions_total{outcome="preferred",pool="ny",wide_ip="www"} 1"#,
            r#"fairlead_dropped_packets_total{protocol="udp",reason="runt"} 2"#,
            r#"fairlead_limit_hits_total{limit="tcp_connections"} 1"#,
            r#"fairlead_build_info{revision="abc",version="0.1.0"} 1"#,
            "fairlead_config_last_reload_successful 0",
        ] {
            let mut expected: Vec<&str> = line.split(['{', '}', ',']).collect();
            expected.sort_unstable();
            let found = text.lines().any(|got| {
                let mut got: Vec<&str> = got.split(['{', '}', ',']).collect();
                got.sort_unstable();
                got == expected
            });
            assert!(found, "missing {line}\n{text}");
        }
    }

    #[test]
    fn a_reader_of_the_same_name_is_replaced() {
        let metrics = Metrics::new("0", "0");
        for serial in [1, 2] {
            metrics.set_reader("zones", Box::new(move |scrape| scrape.zone("a.", serial, 1)));
        }
        let text = metrics.export().unwrap();
        assert!(text.contains("fairlead_zone_serial{zone=\"a.\"} 2"), "{text}");
        assert_eq!(text.matches("fairlead_zone_serial{").count(), 1);
    }
}
