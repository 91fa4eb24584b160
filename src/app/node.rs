//! A DNS node: everything wired together, started in order and stopped as one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::board::Board;
use super::clock::Clock;
use super::control::{Control, ControlError, Question};
use super::descriptors;
use super::ledger::Ledger;
use super::memory::{self, Now};
use super::mesh;
use super::operations::Operations;
use super::paced::Paced;
use super::prepare::Prepared;
use super::publisher::{COMMANDS_MAX, FACTS_MAX, Publisher};
use super::reload::{self, Reloader};
use super::saver;
use super::state::{StateError, Store};
use super::tasks::{Drain, Tasks, UnexpectedEnd};
use super::zones;
use crate::admin::{self, Admin, AdminError, ExplainQuery, Pages};
use crate::answer::{self, Snapshot, Worker};
use crate::config::Config;
use crate::journal::{self, Journal};
use crate::listener::{self, HandOff, Listeners, Service};
use crate::mesh::PeerStates;
use crate::metrics::Metrics;
use crate::monitor::{Authorities, CONCURRENCY_DEFAULT, Schedule, ScheduleOptions};
use crate::status::Remembered;
use crate::transfer::{self, ZoneStates, ZoneStore};
use crate::update;

/// How many versions of secondary zones may wait.
const VERSIONS_MAX: usize = 16;
/// How many writes to the state folder may wait.
const SAVES_MAX: usize = 16;

/// A running DNS node.
pub struct Node {
    listeners: Listeners,
    admin: Option<Admin>,
    control: PathBuf,
    operations: Arc<Operations>,
    tasks: Tasks,
    /// Where health becomes snapshots.
    paced: Paced,
}

/// Why a node could not start.
#[derive(Debug)]
pub enum StartError {
    /// The state folder.
    State(StateError),
    /// The control socket.
    Control(ControlError),
    /// The listeners.
    Listeners(listener::StartError),
    /// The admin server.
    Admin(AdminError),
    /// Anything else, in words.
    Other(String),
}

impl Node {
    /// Starts everything that `config` (loaded from `path`) asks for. Answers leave once this returns.
    pub fn start(path: &Path, mut config: Config, clock: Clock) -> Result<Self, StartError> {
        let hangups = reload::hangups().map_err(StartError::Other)?;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), "unknown"));
        let store = Store::open(&config.state).map_err(StartError::State)?;
        let remembered = remember(&store, Now { moment: clock.now(), unix_ms: clock.wall_millis() })?;
        let control = Control::bind(&config.control).map_err(StartError::Control)?;
        let ledger = open_journal(&config, clock, &metrics)?;
        let settled = ledger.settle(&mut config);
        ledger.commit(settled);
        let prepared = Prepared::new(&mut config, clock.serial()).map_err(StartError::Other)?;
        let monitors = prepared.monitors.clone();
        let mut board = Board::new(prepared, &remembered, clock.now());
        let zone_store = ZoneStore::new(&config.state);
        let restored = zones::restore(&mut board, &zone_store, clock.wall_millis() / 1000);
        let first = board.settle(clock.now()).ok_or_else(|| StartError::Other("no first snapshot".into()))?;
        let snapshot = Arc::new(ArcSwap::from_pointee(first.snapshot));

        let (transfers, transfers_in) = mpsc::channel(config.handed_off);
        let (updates, updates_in) = mpsc::channel(config.handed_off);
        let service = service(&snapshot, &metrics, clock, HandOff { transfers, updates });
        let listeners =
            Listeners::start(&descriptors::fit(&config.listeners), &service).map_err(StartError::Listeners)?;

        let mut tasks = Tasks::new(Arc::clone(&metrics));
        let paced = Paced::start("publisher")
            .map_err(|error| StartError::Other(format!("starting the thread that publishes: {error}")))?;
        let (facts, facts_in) = mpsc::channel(FACTS_MAX);
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let (saves, saves_in) = mpsc::channel(SAVES_MAX);
        let targets = Prepared::targets(&monitors, board.model());
        let (schedule, driver) = Schedule::new(targets, schedule_options(clock, config.seed), facts.clone());
        tasks.keep("monitors", driver, |driver| Box::pin(driver.run()));
        metrics.set_reader("probes", schedule.counters().reader());
        let first_round = schedule.first_round();
        let dialled = watch::Sender::new(config.mesh.as_ref().map(|mesh| mesh.peers.clone()).unwrap_or_default());
        let peers = PeerStates::counting(Arc::clone(&metrics));
        if let Some(settings) = &config.mesh {
            let dialer = mesh::dialer(settings, clock, facts.clone(), peers.clone(), paced.handle().clone())
                .map_err(StartError::Other)?;
            let state = (dialer, dialled.subscribe(), tasks.drain());
            tasks.keep("mesh", state, |(dialer, peers, drain)| Box::pin(mesh::run(dialer, peers, drain)));
        }
        tasks.keep("saver", (store, saves_in), |(store, saves)| Box::pin(saver::run(store, saves)));
        let (versions, versions_in) = mpsc::channel(VERSIONS_MAX);
        let published = watch::Sender::new(0);
        let zone_states = ZoneStates::default();
        let context = transfer::Context {
            snapshot: Arc::clone(&snapshot),
            metrics: Arc::clone(&metrics),
            states: zone_states.clone(),
            unix_seconds: Arc::new(move || clock.wall_millis() / 1000),
        };
        let (server, generations) =
            (transfer::Server::new(context.clone(), versions, zone_store, restored), published.subscribe());
        server.remember(ledger.journal());
        let (new_versions, new_versions_in) = mpsc::channel(VERSIONS_MAX);
        let parts = update::parts(context, ledger.journal().clone(), new_versions);
        let state = (server, transfers_in, generations, tasks.drain());
        tasks.keep("transfer", state, |(server, requests, generations, drain)| {
            Box::pin(server.run(requests, generations, drain.requested()))
        });
        let (drain, update::Parts { server, writer, states: update_states }) = (tasks.drain(), parts);
        tasks.keep("update", (server, updates_in, drain), |(server, requests, drain)| {
            Box::pin(server.run(requests, drain.requested()))
        });
        tasks.keep("update-writer", (writer, tasks.drain()), |(writer, drain)| Box::pin(writer.run(drain.requested())));
        let publisher =
            Publisher::new(board, Arc::clone(&snapshot), published, schedule, saves, Arc::clone(&metrics), clock);
        mesh::listen(config.mesh.as_ref(), clock, &peers, publisher.offered(), &mut tasks)
            .map_err(StartError::Other)?;
        let publishing = publisher.run(facts_in, commands_in, versions_in, new_versions_in, tasks.drain());
        tasks.spawn_on(paced.handle(), "publisher", publishing);
        let reloader = Reloader::new(
            path,
            &config,
            commands.clone(),
            dialled,
            Arc::clone(&ledger),
            Arc::clone(&metrics),
            clock,
            hangups,
        );
        tasks.keep("reload", (reloader, tasks.drain()), |(reloader, drain)| Box::pin(reloader.run(drain)));

        let operations = Arc::new(Operations::new(
            commands,
            Arc::clone(&snapshot),
            first_round,
            peers,
            ledger,
            zone_states,
            update_states,
            tasks.states(),
            metrics,
            clock,
        ));
        let admin = config.admin.map(|address| {
            Admin::start(address, pages(&operations), admin::Limits::default(), Arc::clone(operations.metrics()))
        });
        let admin = admin.transpose().map_err(StartError::Admin)?;
        let state = (control, Arc::clone(&operations), tasks.drain());
        tasks
            .keep("control", state, |(control, operations, drain)| Box::pin(serve_control(control, operations, drain)));
        info!(node = %config.node, "serving");
        Ok(Self { listeners, admin, control: config.control, operations, tasks, paced })
    }

    /// The addresses that answer DNS, with the ports the system chose where 0 was configured.
    pub fn dns_addresses(&self) -> &[SocketAddr] {
        self.listeners.addresses()
    }

    /// Where metrics, health and the API are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// The control socket.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// What operators may ask and order.
    pub fn operations(&self) -> Arc<Operations> {
        Arc::clone(&self.operations)
    }

    /// Serves until `stop` is ready or a task ends by itself, then drains and stops.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), UnexpectedEnd> {
        let Self { listeners, admin, tasks, paced, .. } = self;
        let outcome = tasks.run_until(stop).await;
        // The listeners answer what is queued and join their threads: not a task's business.
        let stopped = tokio::task::spawn_blocking(move || listeners.stop());
        if let Err(error) = stopped.await {
            warn!(%error, "the listeners did not stop cleanly");
        }
        drop((admin, paced));
        outcome
    }
}

/// Opens the journal of dynamic updates. One that cannot be read is an error: what it holds was acknowledged.
fn open_journal(config: &Config, clock: Clock, metrics: &Arc<Metrics>) -> Result<Arc<Ledger>, StartError> {
    let options = journal::Options { zone_octets_max: config.journal_zone_octets_max, seed: config.seed };
    let journal = Journal::open(&config.state.join("updates.journal"), options);
    let journal = journal.map_err(|error| StartError::Other(error.to_string()))?;
    journal.count_in(metrics);
    Ok(Ledger::new(journal, config.seed, clock, metrics))
}

/// What the last run left behind. Overrides that cannot be read are an error: an operator's word is not forgotten in
/// silence. Health that cannot be read is learnt again.
fn remember(store: &Store, now: Now) -> Result<Remembered, StartError> {
    let saved = store.load_overrides().map_err(StartError::State)?;
    let (overrides, ended) = memory::restore_overrides(&saved, now).map_err(StartError::Other)?;
    for object in ended {
        info!(object, "an override ended while the node was down");
    }
    let health = store.load_health().unwrap_or_else(|error| {
        warn!(%error, "the last verdicts are lost; health is learnt again");
        Default::default()
    });
    Ok(Remembered { overrides, ..memory::restore_health(&health) })
}

fn service(snapshot: &Arc<ArcSwap<Snapshot>>, metrics: &Arc<Metrics>, clock: Clock, hand_off: HandOff) -> Service {
    Service {
        snapshot: Arc::clone(snapshot),
        metrics: Arc::clone(metrics),
        // Draws share load and need not be secret, so a system without randomness may repeat them.
        new_worker: Arc::new(|| Worker::new(getrandom::u64().unwrap_or(0))),
        started: clock.started(),
        unix_seconds: Arc::new(move || clock.wall_millis() / 1000),
        hand_off: Some(hand_off),
        respond: answer::respond,
    }
}

fn schedule_options(clock: Clock, seed: u64) -> ScheduleOptions {
    ScheduleOptions {
        origin: clock.started(),
        concurrency: CONCURRENCY_DEFAULT,
        seed,
        authorities: Authorities::system(),
    }
}

async fn serve_control(control: &Control, operations: &Arc<Operations>, drain: &mut Drain) -> Result<(), String> {
    let operations = Arc::clone(operations);
    let handle = move |request| {
        let operations = Arc::clone(&operations);
        async move { operations.handle(request).await }
    };
    tokio::select! {
        ended = control.serve(handle) => ended,
        () = drain.requested() => Ok(()),
    }
}

/// The admin pages as functions of `operations`.
fn pages(operations: &Arc<Operations>) -> Pages {
    let shared = || Arc::clone(operations);
    let (metrics, readiness, status, explain, mesh) = (shared(), shared(), shared(), shared(), shared());
    Pages {
        metrics: Box::new(move || {
            let operations = Arc::clone(&metrics);
            Box::pin(async move { operations.scrape().await.unwrap_or_else(|error| format!("# {error}\n")) })
        }),
        readiness: Box::new(move || {
            let operations = Arc::clone(&readiness);
            Box::pin(async move { operations.readiness().await })
        }),
        status: Box::new(move || {
            let operations = Arc::clone(&status);
            Box::pin(async move { or_error(operations.status().await) })
        }),
        explain: Box::new(move |query: ExplainQuery| {
            let operations = Arc::clone(&explain);
            Box::pin(async move { operations.explain(&question(query)) })
        }),
        mesh: Box::new(move || {
            let operations = Arc::clone(&mesh);
            Box::pin(async move { operations.mesh() })
        }),
    }
}

/// A question with what the page's parameters left out.
fn question(query: ExplainQuery) -> Question {
    Question {
        name: query.name,
        record_type: query.record_type.unwrap_or_else(|| "A".to_owned()),
        client: query.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        subnet: query.subnet,
        view: query.view,
        key: query.key,
        listener: query.listener,
    }
}

fn or_error(outcome: Result<serde_json::Value, String>) -> serde_json::Value {
    outcome.unwrap_or_else(|error| serde_json::json!({ "error": error }))
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(error) => error.fmt(f),
            Self::Control(error) => error.fmt(f),
            Self::Listeners(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}
