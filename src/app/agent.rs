//! An agent: what is read of a load balancer goes to every DNS node that asks, until the process is told to stop.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use super::clock::Clock;
use super::mesh as wiring;
use super::tasks::{Drain, Tasks, UnexpectedEnd};
use crate::admin::{self, Admin, AdminError, Pages, Readiness};
use crate::agent::{Collector, Settings};
use crate::mesh::{Acceptor, AcceptorContext, PeerStates, Report, Role};
use crate::metrics::Metrics;

/// A running agent.
pub struct Agent {
    mesh: SocketAddr,
    admin: Option<Admin>,
    tasks: Tasks,
}

/// Why an agent could not start.
#[derive(Debug)]
pub enum AgentError {
    /// The mesh address could not be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The admin server.
    Admin(AdminError),
    /// Anything else, in words.
    Other(String),
}

impl Agent {
    /// Starts to read the sources and to serve the mesh.
    pub async fn start(settings: &Settings, clock: Clock) -> Result<Self, AgentError> {
        let listen = settings.mesh.listen.ok_or_else(|| AgentError::Other("an agent needs a mesh address".into()))?;
        let listener = TcpListener::bind(listen).await.map_err(|error| AgentError::Listen(listen, error))?;
        let address = listener.local_addr().map_err(|error| AgentError::Listen(listen, error))?;
        let credentials = settings.mesh.credentials(Role::Lb, wiring::clock(clock));
        // A certificate that cannot be used is said now and not when the first node dials; it may still be replaced.
        if let Some(problem) = credentials.problem() {
            tracing::error!(%problem, "no DNS node can connect until this is mended");
        }
        let (published, reports) = watch::channel(Arc::new(Report::default()));
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), "unknown"));
        let states = PeerStates::counting(Arc::clone(&metrics));
        let context = AcceptorContext {
            local: wiring::local(&settings.mesh).map_err(AgentError::Other)?,
            credentials,
            clock: wiring::clock(clock),
            states: states.clone(),
            reports,
        };
        let collector = Collector::start(settings, clock.started());
        let mut tasks = Tasks::new(Arc::clone(&metrics));
        let serve_admin = |at| {
            let pages = pages(&collector, Arc::clone(&metrics), states, clock);
            Admin::start(at, pages, admin::Limits::default(), metrics)
        };
        let admin = settings.admin.map(serve_admin);
        let admin = admin.transpose().map_err(AgentError::Admin)?;
        let acceptor = Acceptor::start(context, listener);
        let hangup =
            signal(SignalKind::hangup()).map_err(|error| AgentError::Other(format!("listening to SIGHUP: {error}")))?;
        tasks.spawn("hangup", outlive_hangups(hangup, tasks.drain()));
        tasks.spawn("reports", publish(collector, published, acceptor, tasks.drain()));
        info!(server = %settings.mesh.name, %address, "agent serving the mesh");
        Ok(Self { mesh: address, admin, tasks })
    }

    /// Where DNS nodes connect, with the port the system chose where 0 was configured.
    pub fn mesh_address(&self) -> SocketAddr {
        self.mesh
    }

    /// Serves until `stop` is ready or a task ends by itself, then drains and stops.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), UnexpectedEnd> {
        let Self { admin, tasks, .. } = self;
        let outcome = tasks.run_until(stop).await;
        drop(admin);
        outcome
    }
}

/// Survives SIGHUP, which reloads DNS nodes and would end a process that does not listen to it.
async fn outlive_hangups(mut hangup: Signal, mut drain: Drain) -> Result<(), String> {
    loop {
        tokio::select! {
            () = drain.requested() => return Ok(()),
            _ = hangup.recv() => warn!("an agent reads its configuration at the start; restart it to change that"),
        }
    }
}

/// Hands each report of the collector to the mesh until the drain begins.
async fn publish(
    collector: Collector,
    published: watch::Sender<Arc<Report>>,
    acceptor: Acceptor,
    mut drain: Drain,
) -> Result<(), String> {
    let mut report = collector.report();
    loop {
        tokio::select! {
            () = drain.requested() => break,
            changed = report.changed() => {
                changed.map_err(|_| "the collector ended".to_owned())?;
                if let Some(report) = report.borrow_and_update().clone() {
                    published.send_replace(report);
                }
            }
        }
    }
    acceptor.stop().await;
    Ok(())
}

/// The admin pages of an agent.
fn pages(collector: &Collector, metrics: Arc<Metrics>, states: PeerStates, clock: Clock) -> Pages {
    let (of_mesh, ready, report) = (states.clone(), collector.report(), collector.report());
    metrics.set_reader("mesh", Box::new(move |scrape| of_mesh.scrape(scrape, clock.now())));
    metrics.set_reader("sources", collector.reader());
    Pages {
        metrics: Box::new(move || {
            let text = metrics.export().unwrap_or_else(|error| format!("# {error}\n"));
            Box::pin(std::future::ready(text))
        }),
        readiness: Box::new(move || {
            let waiting = || Readiness::Waiting(vec!["the first look at every source".to_owned()]);
            let readiness = if ready.borrow().is_some() { Readiness::Ready } else { waiting() };
            Box::pin(std::future::ready(readiness))
        }),
        status: Box::new(move || {
            let status = report.borrow().as_deref().map(status).unwrap_or_default();
            Box::pin(std::future::ready(status))
        }),
        explain: Box::new(|_| Box::pin(std::future::ready(Err("an agent answers no questions".to_owned())))),
        mesh: Box::new(move || Box::pin(std::future::ready(json!(states.status(clock.now()))))),
    }
}

/// What the agent sees of its load balancer.
fn status(report: &Report) -> Value {
    let of_each = report.virtual_servers.iter().map(|one| {
        json!({
            "name": &*one.name,
            "address": one.address.to_string(),
            "availability": one.verdict.availability.to_string(),
            "reason": &*one.verdict.reason,
            "measurements": super::tree::measurements(&one.verdict.measurements),
        })
    });
    json!({
        "virtual_servers": of_each.collect::<Vec<_>>(),
        "cpu_percent": report.host.cpu_percent,
        "memory_free_bytes": report.host.memory_free_bytes,
    })
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "listening for DNS nodes on {address}: {error}"),
            Self::Admin(error) => error.fmt(f),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for AgentError {}
