//! Runs every source and makes one report of what they find.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::mesh::{self, Report, VirtualServerReport};
use crate::metrics::Reader;
use crate::monitor::{Authorities, CONCURRENCY_DEFAULT, ScheduleCounters, ScheduleOptions};
use crate::status::Moment;

use super::haproxy::Haproxy;
use super::host::Host;
use super::static_source::StaticSource;
use super::{LocalVirtualServer, Settings, SourceSettings};

/// Updates of sources that wait to be taken in.
const UPDATES_WAITING_MAX: usize = 16;
/// The host is measured this often at most: processor use over less says little.
const HOST_INTERVAL: Duration = Duration::from_secs(1);

/// What one source found at one look.
#[derive(Debug)]
pub(super) struct Update {
    /// Its number, in the order of the settings.
    pub(super) source: usize,
    /// Every virtual server it knows; none while it knows no names, because it has never been read.
    pub(super) virtual_servers: Option<Vec<VirtualServerReport>>,
    /// Why it could not be read.
    pub(super) error: Option<String>,
}

/// How a source is doing, for metrics and pages.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceState {
    /// `haproxy` and its socket, or `static`.
    pub name: Arc<str>,
    /// When it was last read without an error.
    pub read: Option<Moment>,
    /// Why it cannot be read at present.
    pub error: Option<Arc<str>>,
    /// How many virtual servers it tells of.
    pub virtual_servers: usize,
}

/// The running sources of an agent. Dropping it stops them.
#[derive(Debug)]
pub struct Collector {
    report: watch::Receiver<Option<Arc<Report>>>,
    sources: watch::Receiver<Vec<SourceState>>,
    probes: Vec<Arc<ScheduleCounters>>,
    origin: Instant,
    /// Owns every task of the collector, one way or another.
    _merger: JoinSet<()>,
}

impl Collector {
    /// Starts every source of `settings`; `origin` is moment zero. Must be called within a runtime.
    pub fn start(settings: &Settings, origin: Instant) -> Self {
        let mut tasks = JoinSet::new();
        let mut merger_task = JoinSet::new();
        let (updates, received) = mpsc::channel(UPDATES_WAITING_MAX);
        let (mut states, mut probes) = (Vec::new(), Vec::new());
        for (number, source) in settings.sources.iter().cloned().enumerate() {
            states.push(SourceState { name: name(&source), read: None, error: None, virtual_servers: 0 });
            let updates = updates.clone();
            match source {
                SourceSettings::Haproxy { socket, interval, configuration, frontends } => {
                    let discovers = frontends.is_empty();
                    let haproxy = Haproxy::new(socket, configuration, frontends);
                    tasks.spawn(watch_haproxy(number, haproxy, discovers, interval, origin, updates));
                }
                SourceSettings::Static { virtual_servers } => {
                    let options = schedule_options(&virtual_servers, &settings.mesh.name, origin);
                    let source = StaticSource::start(&settings.mesh.name, virtual_servers, options);
                    probes.push(source.counters());
                    tasks.spawn(source.run(number, updates));
                }
            }
        }
        let (report_sender, report) = watch::channel(None);
        let (state_sender, sources) = watch::channel(states);
        let merger = Merger::new(settings.sources.len(), report_sender, state_sender);
        merger_task.spawn(merger.run(received, tasks, origin));
        Self { report, sources, probes, origin, _merger: merger_task }
    }

    /// The newest report; none until every source has been looked at once and knows its virtual servers, because a list
    /// with some of them missing would say that these are gone.
    pub fn report(&self) -> watch::Receiver<Option<Arc<Report>>> {
        self.report.clone()
    }

    /// How each source is doing, in the order of the settings.
    pub fn sources(&self) -> watch::Receiver<Vec<SourceState>> {
        self.sources.clone()
    }

    /// What a scrape reads of the sources and of their probes.
    pub fn reader(&self) -> Reader {
        let (sources, probes, origin) = (self.sources.clone(), self.probes.clone(), self.origin);
        Box::new(move |scrape| {
            let now = moment(origin);
            for source in &*sources.borrow() {
                let age = source.read.map(|read| now.since(read));
                scrape.source(&source.name, source.error.is_none() && age.is_some(), age, source.virtual_servers);
            }
            if !probes.is_empty() {
                let mut ended = [0; 3];
                let (mut running, mut waiting) = (0, 0);
                for counters in &probes {
                    ended.iter_mut().zip(counters.ended()).for_each(|(sum, count)| *sum += count);
                    let load = counters.load();
                    (running, waiting) = (running + load.0, waiting + load.1);
                }
                scrape.probes(ended, running, waiting);
            }
        })
    }
}

fn name(source: &SourceSettings) -> Arc<str> {
    match source {
        SourceSettings::Haproxy { socket, .. } => format!("haproxy {}", socket.display()).into(),
        SourceSettings::Static { .. } => "static".into(),
    }
}

fn schedule_options(virtual_servers: &[LocalVirtualServer], name: &str, origin: Instant) -> ScheduleOptions {
    // The system's trust store takes milliseconds to read and megabytes to hold: only for those who need it.
    let mut monitors = virtual_servers.iter().flat_map(|virtual_server| &virtual_server.monitors);
    let authorities = if monitors.any(|m| m.verifies()) { Authorities::system() } else { Authorities::none() };
    let seed = name.bytes().fold(0u64, |seed, octet| seed.wrapping_mul(31).wrapping_add(octet.into()));
    ScheduleOptions { origin, concurrency: CONCURRENCY_DEFAULT, seed, authorities }
}

async fn watch_haproxy(
    source: usize,
    mut haproxy: Haproxy,
    discovers: bool,
    interval: Duration,
    origin: Instant,
    updates: mpsc::Sender<Update>,
) {
    let mut turn = tokio::time::interval(interval.max(Duration::from_millis(10)));
    turn.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut read_once = false;
    loop {
        turn.tick().await;
        let (virtual_servers, outcome) = haproxy.look(moment(origin)).await;
        read_once |= outcome.is_ok();
        let virtual_servers = (read_once || !discovers).then_some(virtual_servers);
        if updates.send(Update { source, virtual_servers, error: outcome.err() }).await.is_err() {
            return;
        }
    }
}

/// Now, counted from `origin`.
pub(super) fn moment(origin: Instant) -> Moment {
    let since = tokio::time::Instant::now().saturating_duration_since(tokio::time::Instant::from_std(origin));
    Moment::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Puts the newest list of every source together.
struct Merger {
    lists: Vec<Option<Vec<VirtualServerReport>>>,
    host: Host,
    measured: Option<(mesh::Host, Moment)>,
    report: watch::Sender<Option<Arc<Report>>>,
    states: watch::Sender<Vec<SourceState>>,
    /// Names that two sources give, so that each is complained of once.
    doubled: HashSet<Arc<str>>,
}

impl Merger {
    fn new(
        sources: usize,
        report: watch::Sender<Option<Arc<Report>>>,
        states: watch::Sender<Vec<SourceState>>,
    ) -> Self {
        let lists = std::iter::repeat_with(|| None).take(sources).collect();
        Self { lists, host: Host::default(), measured: None, report, states, doubled: HashSet::new() }
    }

    /// Runs until a source breaks down: its last word would otherwise be passed on as news for ever. The report's
    /// channel then closes, which whoever reads it sees.
    async fn run(mut self, mut updates: mpsc::Receiver<Update>, mut sources: JoinSet<()>, origin: Instant) {
        loop {
            tokio::select! {
                Some(update) = updates.recv() => self.take(update, moment(origin)),
                Some(ended) = sources.join_next() => {
                    let reason = ended.err().map_or_else(|| "it returned".to_owned(), |error| error.to_string());
                    error!(%reason, "a source broke down, and with it the collection of reports");
                    return;
                }
                else => return,
            }
        }
    }

    fn take(&mut self, update: Update, now: Moment) {
        self.note_state(&update, now);
        if let (Some(list), Some(found)) = (self.lists.get_mut(update.source), update.virtual_servers) {
            *list = Some(found);
        }
        if self.lists.iter().any(Option::is_none) {
            return;
        }
        let report = Report { virtual_servers: self.merged(), host: self.measure(now) };
        if let Some(before) = self.report.borrow().as_deref() {
            log_changes(before, &report);
        }
        self.report.send_replace(Some(Arc::new(report)));
    }

    /// Every virtual server once: of two with one name the first source's counts.
    fn merged(&mut self) -> Vec<VirtualServerReport> {
        let mut names = HashSet::new();
        let mut merged = Vec::new();
        for report in self.lists.iter().flatten().flatten() {
            if names.insert(report.name.clone()) {
                merged.push(report.clone());
            } else if self.doubled.insert(report.name.clone()) {
                warn!(virtual_server = %report.name, "found twice, only the first is reported");
            }
        }
        merged
    }

    fn measure(&mut self, now: Moment) -> mesh::Host {
        match self.measured {
            Some((host, at)) if now.since(at) < HOST_INTERVAL => host,
            _ => {
                let host = self.host.look();
                self.measured = Some((host, now));
                host
            }
        }
    }

    fn note_state(&self, update: &Update, now: Moment) {
        self.states.send_modify(|states| {
            let Some(state) = states.get_mut(update.source) else { return };
            match (&state.error, &update.error) {
                (None, Some(reason)) => warn!(source = %state.name, %reason, "source error"),
                (Some(_), None) => info!(source = %state.name, "source is read again"),
                _ => {}
            }
            state.error = update.error.as_deref().map(Into::into);
            if update.error.is_none() {
                state.read = Some(now);
            }
            state.virtual_servers = update.virtual_servers.as_ref().map_or(0, Vec::len);
        });
    }
}

fn log_changes(before: &Report, now: &Report) {
    let known: HashMap<_, _> = before.virtual_servers.iter().map(|report| (&report.name, &report.verdict)).collect();
    for report in &now.virtual_servers {
        let (name, to) = (&report.name, report.verdict.availability);
        match known.get(name).map(|verdict| verdict.availability) {
            Some(from) if from != to => {
                info!(virtual_server = %name, %from, %to, reason = %report.verdict.reason, "availability changed");
            }
            None => info!(virtual_server = %name, address = %report.address, availability = %to, "found"),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Availability, Measurements, Verdict};

    fn report(name: &str, availability: Availability) -> VirtualServerReport {
        VirtualServerReport {
            name: name.into(),
            address: "192.0.2.1:80".parse().unwrap(),
            verdict: Verdict { availability, reason: "x".into(), measurements: Measurements::default() },
        }
    }

    fn update(source: usize, names: Option<&[&str]>, error: Option<&str>) -> Update {
        let list = |names: &[&str]| names.iter().map(|name| report(name, Availability::Available)).collect();
        Update { source, virtual_servers: names.map(list), error: error.map(str::to_owned) }
    }

    type Reports = watch::Receiver<Option<Arc<Report>>>;

    fn merger(sources: usize) -> (Merger, Reports, watch::Receiver<Vec<SourceState>>) {
        let (report_sender, report) = watch::channel(None);
        let state = |number| SourceState {
            name: format!("source {number}").into(),
            read: None,
            error: None,
            virtual_servers: 0,
        };
        let (state_sender, states) = watch::channel((0..sources).map(state).collect());
        (Merger::new(sources, report_sender, state_sender), report, states)
    }

    fn names(report: &Reports) -> Option<Vec<String>> {
        let report = report.borrow();
        report.as_ref().map(|report| report.virtual_servers.iter().map(|one| one.name.to_string()).collect())
    }

    #[test]
    fn there_is_no_report_until_every_source_knows_its_virtual_servers() {
        let (mut merger, report, _states) = merger(2);
        merger.take(update(0, Some(&["a"]), None), Moment::from_millis(1));
        merger.take(update(1, None, Some("no socket")), Moment::from_millis(2));
        assert_eq!(names(&report), None, "half a list would say that the rest is gone");
        merger.take(update(1, Some(&["b", "c"]), None), Moment::from_millis(3));
        assert_eq!(names(&report).unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn a_source_that_fails_keeps_its_virtual_servers_in_the_report() {
        let (mut merger, report, states) = merger(1);
        merger.take(update(0, Some(&["a"]), None), Moment::from_millis(1));
        merger.take(update(0, Some(&["a"]), Some("garbage")), Moment::from_millis(2));
        assert_eq!(names(&report).unwrap(), ["a"]);
        let state = states.borrow()[0].clone();
        assert_eq!((state.read, state.error.as_deref()), (Some(Moment::from_millis(1)), Some("garbage")));
        merger.take(update(0, Some(&[]), None), Moment::from_millis(3));
        assert_eq!(names(&report).unwrap(), [""; 0], "what is really gone is gone");
        assert_eq!(states.borrow()[0].error, None);
    }

    #[test]
    fn a_name_that_two_sources_give_is_reported_once() {
        let (mut merger, report, _states) = merger(2);
        merger.take(update(0, Some(&["a"]), None), Moment::from_millis(1));
        merger.take(update(1, Some(&["a", "b"]), None), Moment::from_millis(2));
        assert_eq!(names(&report).unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_source_that_breaks_down_closes_the_report() {
        let (merger, mut report, _states) = merger(2);
        let (sender, updates) = mpsc::channel(4);
        let mut sources = JoinSet::new();
        sources.spawn(async { panic!("boom") });
        sources.spawn(std::future::pending());
        tokio::spawn(merger.run(updates, sources, Instant::from(tokio::time::Instant::now())));
        assert!(report.changed().await.is_err());
        drop(sender);
    }

    #[test]
    fn a_report_carries_the_load_of_the_host() {
        let (mut merger, report, _states) = merger(1);
        merger.take(update(0, Some(&["a"]), None), Moment::from_millis(1));
        assert!(report.borrow().as_ref().unwrap().host.memory_free_bytes.is_some());
    }
}
