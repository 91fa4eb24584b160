//! The end of whoever reports, an agent or a DNS node: takes connections of DNS nodes within caps, shakes hands, and reports to each.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::clock::Clock;
use super::credentials::CredentialFiles;
use super::dialer::tune;
use super::error::LinkError;
use super::peer::{Local, Peer};
use super::report::Report;
use super::session::{Ends, Surroundings, drive, stopping};
use super::states::PeerStates;
use super::tls;

/// Connections whose handshake is under way.
const HANDSHAKES_MAX: usize = 64;
/// Connections in all: DNS nodes are a few, fifty at most.
const CONNECTIONS_MAX: usize = 256;
/// Handshakes under way from one address. Sessions are not counted by address: many DNS nodes may share one.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 16;
/// How long to wait when the system gives no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the farewells of all sessions may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What the sessions of whoever reports share.
#[derive(Debug, Clone)]
pub struct AcceptorContext {
    /// This agent or DNS node; its name is the server it reports for, or its own.
    pub local: Local,
    /// Its certificate.
    pub credentials: Arc<CredentialFiles>,
    /// Its clocks.
    pub clock: Clock,
    /// Where the state of every peer is kept.
    pub states: PeerStates,
    /// The reports to send. The value the channel was made with is not sent: only what is published after.
    pub reports: watch::Receiver<Arc<Report>>,
}

/// Serves DNS nodes. Needs a tokio runtime; dropping it ends the sessions.
#[derive(Debug)]
pub struct Acceptor {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Acceptor {
    /// Takes connections from `listener`.
    pub fn start(context: AcceptorContext, listener: TcpListener) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(Arc::new(Shared::new(context)), listener, stopped));
        Self { stop, task }
    }

    /// Says goodbye to every DNS node and waits for it, two seconds at most.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // Those that did not make it end with the runtime.
        let _ = timeout(STOP_TIMEOUT, self.task).await;
    }
}

struct Shared {
    context: AcceptorContext,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Handshakes of each address.
    per_address: HashMap<IpAddr, usize>,
    /// The one session of each DNS node, and how to end it.
    sessions: HashMap<Arc<str>, (u64, oneshot::Sender<LinkError>)>,
    /// The number of the last session.
    last: u64,
}

impl Shared {
    fn new(context: AcceptorContext) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (handshakes, connections) = (semaphore(HANDSHAKES_MAX), semaphore(CONNECTIONS_MAX));
        Self { context, handshakes, connections, books: Mutex::default() }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a connection and its handshake, or says that there is none.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<(OwnedSemaphorePermit, Handshake)> {
        let connection = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let permit = Arc::clone(&self.handshakes).try_acquire_owned().ok()?;
        let mut books = self.books();
        let count = books.per_address.entry(address).or_default();
        if *count >= HANDSHAKES_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        drop(books);
        Some((connection, Handshake { _permit: permit, address, shared: Arc::clone(self) }))
    }

    /// Enters a session of `name` in place of the one before; the receiver hears when it is replaced in turn.
    fn enter(&self, name: &Arc<str>, address: SocketAddr) -> (u64, oneshot::Receiver<LinkError>) {
        let (end, ended) = oneshot::channel();
        let mut books = self.books();
        books.last += 1;
        let number = books.last;
        if let Some((_, older)) = books.sessions.insert(Arc::clone(name), (number, end)) {
            // One that has just ended by itself does not listen any more.
            let _ = older.send(LinkError::Replaced(address));
        }
        (number, ended)
    }

    /// Strikes a session out; tells whether it was the latest of its node.
    fn leave(&self, name: &str, number: u64) -> bool {
        let mut books = self.books();
        let is_latest = books.sessions.get(name).is_some_and(|(latest, _)| *latest == number);
        if is_latest {
            books.sessions.remove(name);
        }
        is_latest
    }
}

/// A handshake's place under the caps, given back when dropped.
struct Handshake {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    shared: Arc<Shared>,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut books = self.shared.books();
        if let Some(count) = books.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                books.per_address.remove(&self.address);
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, listener: TcpListener, stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let mut stop = stopped.clone();
    loop {
        tokio::select! {
            _ = stopping(&mut stop) => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => match shared.admit(address.ip().to_canonical()) {
                    Some(admission) => {
                        tasks.spawn(welcome(Arc::clone(&shared), stream, address, admission, stopped.clone()));
                    }
                    None => refuse(&shared, address, &LinkError::TooManyConnections),
                },
                Err(error) => {
                    tracing::warn!(%error, "mesh connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Counts a connection that came to nothing, and logs it where that is news.
fn refuse(shared: &Shared, address: SocketAddr, error: &LinkError) {
    let (reason, kind) = (error, error.label());
    if shared.context.states.refused(error, shared.context.clock.moment()) {
        tracing::warn!(%address, %reason, kind, "mesh connection refused");
    } else {
        tracing::debug!(%address, %reason, kind, "mesh connection refused");
    }
}

async fn welcome(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    (_connection, handshake): (OwnedSemaphorePermit, Handshake),
    mut stopped: watch::Receiver<bool>,
) {
    let shaken = tokio::select! {
        _ = stopping(&mut stopped) => return,
        shaken = shake(&shared.context, stream) => shaken,
    };
    drop(handshake);
    let (stream, surroundings, peer) = match shaken {
        Ok(shaken) => shaken,
        Err(error) => return refuse(&shared, address, &error),
    };
    let (context, name) = (&shared.context, Arc::clone(&peer.identity.name));
    let now = context.clock.moment();
    context.states.expect(&name, address, now);
    context.states.presented(&name, &peer.certificate, now);

    let (number, replaced) = shared.enter(&name, address);
    let stop = async {
        tokio::select! {
            error = stopping(&mut stopped) => error,
            error = context.credentials.renewed(&surroundings.credentials) => error,
            replaced = replaced => replaced.unwrap_or(LinkError::Stopping),
        }
    };
    let mut reports = context.reports.clone();
    // Only what was published after the channel was made says anything of the load balancer.
    let report = reports.has_changed().unwrap_or(false).then(|| Arc::clone(&reports.borrow_and_update()));
    let first = Peer::listen(context.local.clone(), peer.identity, report, now, context.clock.unix_millis());
    let ended = drive(stream, first, &mut Ends::Reports(reports), &surroundings, stop).await;
    if shared.leave(&name, number) {
        context.states.down(&name, &ended.error, context.clock.moment());
    }
    tracing::info!(peer = %name, %address, reason = %ended.error, kind = ended.error.label(), "mesh session ended");
}

type Shaken = (tokio_rustls::server::TlsStream<TcpStream>, Surroundings, tls::Authenticated);

async fn shake(context: &AcceptorContext, stream: TcpStream) -> Result<Shaken, LinkError> {
    let credentials = context.credentials.current()?;
    context.states.own(&credentials);
    tune(&stream).map_err(|error| LinkError::Broken(error.to_string()))?;
    let (stream, peer) = tls::accept(stream, &credentials, context.clock).await?;
    let surroundings = Surroundings { clock: context.clock, states: context.states.clone(), credentials };
    Ok((stream, surroundings, peer))
}
