//! What operators may ask and order, whichever way they come: the control socket or the admin pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::control::{Change, Question, Request, Response};
use super::flush::Force;
use super::ledger::Ledger;
use super::publisher::{Command, Guard, MonitorRound};
use super::tasks::TaskStates;
use super::view::{Detail, View};
use super::{background, explain, names, tree, zone_tree};
use crate::admin::Readiness;
use crate::answer::Snapshot;
use crate::mesh::PeerStates;
use crate::metrics::{Metrics, Scrape};
use crate::status::{Enabled, ObjectKind, Override};
use crate::transfer::ZoneStates;
use crate::update::UpdateStates;
use crate::zone::ZoneId;

/// The longest reason kept, in characters.
const REASON_MAX: usize = 500;

/// What operators reach.
pub struct Operations {
    commands: mpsc::Sender<Command>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Whether every monitor has probed once.
    monitors_done: watch::Receiver<bool>,
    /// Set once ready, and for good: a node that has served does not become a new one.
    ready: AtomicBool,
    peers: PeerStates,
    /// The files of zones and the journal.
    ledger: Arc<Ledger>,
    /// How the transfers of zones go.
    zones: ZoneStates,
    /// What became of their updates.
    updates: UpdateStates,
    /// The tasks that panicked.
    tasks: TaskStates,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Operations {
    #[expect(clippy::too_many_arguments, reason = "each is one thing that operators reach, and there is one caller")]
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        monitors_done: watch::Receiver<bool>,
        peers: PeerStates,
        ledger: Arc<Ledger>,
        zones: ZoneStates,
        updates: UpdateStates,
        tasks: TaskStates,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let of_mesh = peers.clone();
        metrics.set_reader("mesh", Box::new(move |scrape| of_mesh.scrape(scrape, clock.now())));
        let ready = AtomicBool::new(false);
        Self { commands, snapshot, monitors_done, ready, peers, ledger, zones, updates, tasks, metrics, clock }
    }

    /// Does what a control request asks.
    pub(super) async fn handle(&self, request: Request) -> Response {
        let outcome = match request {
            Request::Disable(change) => self.change(change, Some(Enabled::Disabled)).await.map(Response::Done),
            Request::Enable(change) => self.change(change, Some(Enabled::Enabled)).await.map(Response::Done),
            Request::Reset(change) => self.change(change, None).await.map(Response::Done),
            Request::Status => self.status().await.map(Response::Data),
            Request::Explain(question) => self.explain(&question).map(Response::Data),
            Request::MeshStatus => Ok(Response::Data(self.mesh())),
            Request::ZoneStatus { zone } => self.zone_status(zone.as_deref()).map(Response::Data),
            Request::ZoneDiff { zone } => self.zone_diff(zone).await.map(Response::Data),
            Request::ZoneFlush { zone, force } => {
                self.zone_flush(zone, if force { Force::Yes } else { Force::No }).await.map(Response::Done)
            }
        };
        outcome.unwrap_or_else(Response::Refused)
    }

    /// The state of every object.
    pub async fn status(&self) -> Result<Value, String> {
        let view = self.view(Detail::Whole).await?;
        // Of a hundred thousand wide IPs it takes longer than the health of the next second should wait.
        Ok(background::in_place(|| {
            let mut status = tree::status(&view);
            if let Some(status) = status.as_object_mut() {
                status.insert("tasks".to_owned(), self.tasks.status());
                status.insert("zone_file_conflicts".to_owned(), self.ledger.conflicts());
                status.insert("zones".to_owned(), zone_tree::status(&view, &self.zones, &self.updates));
            }
            status
        }))
    }

    /// How the files of zones, or of one, stand to what is served.
    fn zone_status(&self, zone: Option<&str>) -> Result<Value, String> {
        let zone = zone.map(|zone| self.ledger.find(zone)).transpose()?;
        let snapshot = self.snapshot.load();
        let serial = |id: &ZoneId| snapshot.zone(id).map(|zone| zone.soa().serial);
        let updates = self.updates.all();
        let updates = |id: &ZoneId| {
            let policy = snapshot.transfers().get(id);
            zone_tree::updates_of(policy.is_some_and(|policy| policy.takes_updates()), updates.get(id))
        };
        Ok(self.ledger.status(zone.as_ref(), serial, updates))
    }

    /// What a zone's file and what is served differ in.
    async fn zone_diff(&self, zone: String) -> Result<Value, String> {
        let id = self.ledger.find(&zone)?;
        let served = self.snapshot.load().zone(&id).cloned().ok_or_else(|| format!("the zone {id} is not served"))?;
        let ledger = Arc::clone(&self.ledger);
        let diff = move || ledger.diff(&id, &served);
        tokio::task::spawn_blocking(diff).await.map_err(|error| error.to_string())?
    }

    /// Writes the updates of a zone to its file.
    async fn zone_flush(&self, zone: String, force: Force) -> Result<Vec<String>, String> {
        let id = self.ledger.find(&zone)?;
        let ledger = Arc::clone(&self.ledger);
        // Kept by the work itself, which goes on when the one who asked has left.
        let turn = ledger.journal().turn().await;
        let flush = move || {
            let flushed = ledger.flush(&id, force);
            drop(turn);
            flushed
        };
        tokio::task::spawn_blocking(flush).await.map_err(|error| error.to_string())?
    }

    /// The decision for one question, with its reasons.
    pub(super) fn explain(&self, question: &Question) -> Result<Value, String> {
        explain::explain(&self.snapshot.load(), question)
    }

    /// The peers of the mesh.
    pub(super) fn mesh(&self) -> Value {
        json!(self.peers.status(self.clock.now()))
    }

    /// Where everything is counted.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Every metric in Prometheus' text format.
    pub(super) async fn scrape(&self) -> Result<String, String> {
        self.readiness().await;
        let view = self.view(Detail::Tables).await?;
        let (zones, updates) = (self.zones.clone(), self.updates.clone());
        let read = move |scrape: &mut Scrape| {
            tree::scrape(&view, scrape);
            zone_tree::scrape(&view, &zones, &updates, scrape);
        };
        self.metrics.set_reader("objects", Box::new(read));
        self.metrics.export().map_err(|error| format!("writing metrics: {error}"))
    }

    /// Whether the first health round is in, and what is not as it should be since.
    pub async fn readiness(&self) -> Readiness {
        if self.ready.load(Ordering::Relaxed) {
            let failing = self.tasks.failing();
            return if failing.is_empty() { Readiness::Ready } else { Readiness::Degraded(failing) };
        }
        let monitors = if *self.monitors_done.borrow() { MonitorRound::Done } else { MonitorRound::Running };
        let readiness = self.ask(|reply| Command::Readiness(monitors, reply)).await;
        let readiness = readiness.unwrap_or_else(|reason| Readiness::Waiting(vec![reason]));
        if readiness == Readiness::Ready {
            self.ready.store(true, Ordering::Relaxed);
            self.metrics.ready();
        }
        readiness
    }

    /// Enables, disables or resets an object.
    async fn change(&self, change: Change, enabled: Option<Enabled>) -> Result<Vec<String>, String> {
        let kind: ObjectKind = change.kind.parse()?;
        if change.reason.chars().count() > REASON_MAX || change.reason.chars().any(char::is_control) {
            return Err(format!("a reason has at most {REASON_MAX} characters, none of them control characters"));
        }
        if change.for_ms == Some(0) {
            return Err("a time to hold is longer than nothing".to_owned());
        }
        let view = self.view(Detail::Tables).await?;
        let name = match names::find(view.tables.model(), kind, &change.name) {
            // What was said of an object that is no longer configured must be possible to forget.
            Err(_)
                if enabled.is_none()
                    && view.overrides.iter().any(|one| one.kind == kind && *one.name == *change.name) =>
            {
                change.name
            }
            found => found?,
        };
        let until = change.for_ms.map(|for_ms| self.clock.now().after(Duration::from_millis(for_ms)));
        let order = Override { kind, name: name.into(), enabled, until, reason: change.reason.into() };
        let guard = if change.force { Guard::Warn } else { Guard::Refuse };
        self.ask(|reply| Command::Override { change: order, guard, reply }).await?
    }

    async fn view(&self, detail: Detail) -> Result<View, String> {
        self.ask(|reply| Command::View(detail, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the node is stopping".to_owned();
        self.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}
