//! From changed files to a changed node: on SIGHUP, and by itself with `watch: true`. All of it or nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::background::{self, Priority};
use super::clock::Clock;
use super::ledger::Ledger;
use super::prepare::Prepared;
use super::publisher::Command;
use super::tasks::Drain;
use super::watch::{PERIOD, Watch};
use crate::config::{self, Config, LoadErrors, Problem};
use crate::mesh::PeerAddress;
use crate::metrics::{Metrics, Reload};
use crate::{listener, mesh};

/// What is decided at the start and stays until the end: sockets, folders and this node's place in the mesh.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fixed {
    node: Arc<str>,
    listeners: listener::Settings,
    admin: Option<SocketAddr>,
    control: PathBuf,
    state: PathBuf,
    /// Without the peers to dial, which may change.
    mesh: Option<mesh::Settings>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            node: config.node.clone(),
            listeners: config.listeners.clone(),
            admin: config.admin,
            control: config.control.clone(),
            state: config.state.clone(),
            mesh: config.mesh.clone().map(|mesh| mesh::Settings { peers: Vec::new(), ..mesh }),
        }
    }

    /// The settings in which `new` differs, which need a restart.
    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let settings = [
            ("node", self.node != new.node),
            ("listeners", self.listeners != new.listeners),
            ("admin", self.admin != new.admin),
            ("control", self.control != new.control),
            ("state", self.state != new.state),
            ("mesh", self.mesh != new.mesh),
        ];
        settings.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Takes SIGHUP up, which ends the process otherwise: to be called before anything is served.
pub(super) fn hangups() -> Result<Signal, String> {
    signal(SignalKind::hangup()).map_err(|error| format!("listening to SIGHUP: {error}"))
}

/// Loads again when told to.
pub(super) struct Reloader {
    /// The file or folder.
    path: PathBuf,
    seed: u64,
    fixed: Fixed,
    /// None unless `watch: true`.
    watch: Option<Watch>,
    commands: mpsc::Sender<Command>,
    peers: watch::Sender<Vec<PeerAddress>>,
    /// What the journal holds on top of the files.
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    clock: Clock,
    hangup: Signal,
}

impl Reloader {
    /// Gets ready to load `path` again; `config` is what was loaded from it.
    #[expect(clippy::too_many_arguments, reason = "each is one thing a reload needs, and there is one caller")]
    pub(super) fn new(
        path: &Path,
        config: &Config,
        commands: mpsc::Sender<Command>,
        peers: watch::Sender<Vec<PeerAddress>>,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        clock: Clock,
        hangup: Signal,
    ) -> Self {
        let watch = config.watch.then(|| Watch::new(watched(path, config)));
        let (path, seed, fixed) = (path.to_owned(), config.seed, Fixed::of(config));
        Self { path, seed, fixed, watch, commands, peers, ledger, metrics, clock, hangup }
    }

    /// Reloads until the drain begins.
    pub(super) async fn run(&mut self, drain: &mut Drain) -> Result<(), String> {
        let mut look: Interval = interval(PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.requested() => return Ok(()),
                _ = self.hangup.recv() => self.reload("SIGHUP").await,
                _ = look.tick() => {
                    if self.watch.as_mut().is_some_and(Watch::has_settled_change) {
                        self.reload("changed files").await;
                    }
                }
            }
        }
    }

    /// Loads and, when nothing is wrong, applies.
    async fn reload(&mut self, cause: &'static str) {
        if let Some(watch) = &mut self.watch {
            watch.mark_loaded();
        }
        let outcome = match self.load().await {
            Ok(config) => self.take_turn(config).await,
            Err(refusal) => Err(refusal),
        };
        let (reload, seconds) = (if outcome.is_ok() { Reload::Applied } else { Reload::Refused }, self.unix_seconds());
        self.metrics.reloaded(reload, seconds);
        match outcome {
            Ok(()) => info!(cause, path = %self.path.display(), "configuration reloaded"),
            Err(Refusal::Load(errors)) => {
                for problem in &errors.problems {
                    log_problem(problem);
                }
                if let Some(watch) = &mut self.watch {
                    watch.also(errors.files);
                }
                let errors = errors.problems.len();
                error!(cause, errors, "configuration refused; the node goes on with what it has");
            }
            Err(Refusal::Other(reason)) => {
                error!(cause, %reason, "configuration refused; the node goes on with what it has");
            }
        }
    }

    async fn load(&self) -> Result<Config, Refusal> {
        let (path, seed) = (self.path.clone(), self.seed);
        let load = move || {
            let (config, warnings) = config::load(&path, seed).map_err(Refusal::Load)?;
            for warning in &warnings.problems {
                warn!(problem = %one_line(warning), "configuration");
            }
            Ok(config)
        };
        let loaded = background::run(Priority::Lowest, load).await;
        loaded.map_err(|_| Refusal::Other("the load broke off; the log says where".to_owned()))?
    }

    /// Puts the files that were loaded together with the updates of the journal, and both to use; no update is made
    /// meanwhile.
    async fn take_turn(&mut self, mut config: Config) -> Result<(), Refusal> {
        let _turn = self.ledger.journal().turn().await;
        let (ledger, now) = (Arc::clone(&self.ledger), self.clock.serial());
        let prepare = move || {
            let settled = ledger.settle(&mut config);
            let prepared = Prepared::new(&mut config, now).map_err(Refusal::Other)?;
            Ok((config, prepared, settled))
        };
        let other = |error: &dyn std::fmt::Display| Refusal::Other(format!("merging zones: {error}"));
        let preparing = background::run(Priority::Lowest, prepare).await;
        let (config, prepared, settled) = preparing.map_err(|error| other(&error))??;
        self.apply(config, prepared).await?;
        if settled.is_kept() {
            self.ledger.commit(settled);
            return Ok(());
        }
        let ledger = Arc::clone(&self.ledger);
        tokio::task::spawn_blocking(move || ledger.commit(settled)).await.map_err(|error| other(&error))
    }

    async fn apply(&mut self, config: Config, prepared: Prepared) -> Result<(), Refusal> {
        let peers = prepared.peers.clone();
        let (reply, done) = oneshot::channel();
        let gone = || Refusal::Other("the publisher is gone".to_owned());
        self.commands.send(Command::Reload(Box::new(prepared), reply)).await.map_err(|_| gone())?;
        done.await.map_err(|_| gone())?.map_err(Refusal::Other)?;
        for setting in self.fixed.changed(&Fixed::of(&config)) {
            warn!(setting, "changed in the files; the change needs a restart");
        }
        self.peers.send_if_modified(|known| {
            let differs = *known != peers;
            *known = peers;
            differs
        });
        let files = watched(&self.path, &config);
        match &mut self.watch {
            Some(watch) if config.watch => watch.refit(files),
            watch => *watch = config.watch.then(|| Watch::new(files)),
        }
        Ok(())
    }

    fn unix_seconds(&self) -> f64 {
        std::time::Duration::from_millis(self.clock.wall_millis()).as_secs_f64()
    }
}

/// Why a configuration was not put to use.
enum Refusal {
    /// Its files are wrong.
    Load(LoadErrors),
    /// Something else.
    Other(String),
}

/// What to look at: the files that were read, and the path itself, since files may be added to a folder.
fn watched(path: &Path, config: &Config) -> Vec<PathBuf> {
    std::iter::once(path.to_owned()).chain(config.files.iter().cloned()).collect()
}

/// Logs what is wrong with a configuration.
fn log_problem(problem: &Problem) {
    error!(problem = %one_line(problem), "configuration");
}

/// A problem without the line it stands in, for a log.
pub(super) fn one_line(problem: &Problem) -> Problem {
    Problem { snippet: None, ..problem.clone() }
}
