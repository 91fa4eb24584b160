//! The DNS node's end: one task per agent or other DNS node that dials, talks, and dials again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::clock::Clock;
use super::credentials::CredentialFiles;
use super::error::LinkError;
use super::identity::{Identity, Role};
use super::inbound::Progress;
use super::peer::{Local, Peer};
use super::session::{Ends, Surroundings, drive, stopping};
use super::settings::PeerAddress;
use super::states::PeerStates;
use super::tls;
use crate::status::{Fact, Moment};

/// How long a TCP connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A session that was up for this long makes the next wait short again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How long the farewells of all sessions may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait between attempts: doubled after each failure, up to the longest, and then drawn from its upper half
/// so that nodes that lost an agent together do not return together.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

impl BackOff {
    /// The wait after `failures` failures in a row; `draw` is uniform over all of `u64`.
    fn wait(self, failures: u32, draw: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = u64::try_from(doubled.min(self.longest).as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(whole / 2 + draw % (whole / 2 + 1))
    }
}

/// What a DNS node's sessions share.
#[derive(Debug, Clone)]
pub struct DialerContext {
    /// This node.
    pub local: Local,
    /// Its certificate.
    pub credentials: Arc<CredentialFiles>,
    /// Its clocks.
    pub clock: Clock,
    /// Where facts go; a full channel slows the peers down.
    pub facts: mpsc::Sender<Fact>,
    /// Where the state of every peer is kept.
    pub states: PeerStates,
    /// Where the sessions run.
    pub runtime: Handle,
    /// How long to wait between attempts.
    pub back_off: BackOff,
}

/// Keeps a session with every configured agent and DNS node. Dropping it ends the sessions.
#[derive(Debug)]
pub struct Dialer {
    context: DialerContext,
    peers: BTreeMap<PeerAddress, Task>,
}

#[derive(Debug)]
struct Task {
    /// Dropped or set to end the task.
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

impl Dialer {
    /// A dialer with no peers yet.
    pub const fn new(context: DialerContext) -> Self {
        Self { context, peers: BTreeMap::new() }
    }

    /// Dials these peers and no others; sessions with those that stay are left alone.
    pub fn set_peers(&mut self, peers: &[PeerAddress]) {
        self.peers.retain(|remote, task| {
            let stays = peers.contains(remote);
            if !stays {
                self.context.states.forget(&remote.name);
            }
            // One that panicked is started anew below.
            stays && !task.handle.is_finished()
        });
        for remote in peers.iter().filter(|remote| !self.peers.contains_key(remote)).cloned().collect::<Vec<_>>() {
            let (stop, stopped) = watch::channel(false);
            self.context.states.expect(&remote.name, remote.address, self.context.clock.moment());
            let handle = self.context.runtime.spawn(keep(self.context.clone(), remote.clone(), stopped));
            self.peers.insert(remote, Task { stop, handle });
        }
    }

    /// Says goodbye to every peer and waits for it, two seconds at most.
    pub async fn stop(&mut self) {
        let tasks: Vec<Task> = std::mem::take(&mut self.peers).into_values().collect();
        tasks.iter().for_each(|task| {
            task.stop.send_replace(true);
        });
        let all = async {
            for task in tasks {
                // A task that panicked has ended too.
                let _ = task.handle.await;
            }
        };
        // Those that did not make it end with the runtime.
        let _ = timeout(STOP_TIMEOUT, all).await;
    }
}

/// Keeps a session with one peer until told to stop.
async fn keep(context: DialerContext, remote: PeerAddress, mut stopped: watch::Receiver<bool>) {
    let mut progress = Progress::default();
    let mut failures = 0_u32;
    loop {
        let attempt = attempt(&context, &remote, &mut progress, stopped.clone()).await;
        let now = context.clock.moment();
        if attempt.error == LinkError::Stopping || *stopped.borrow() || stopped.has_changed().is_err() {
            return;
        }
        if attempt.error == LinkError::Renewed {
            continue;
        }
        failures = if attempt.lasted >= STABLE_AFTER { 1 } else { failures.saturating_add(1) };
        tell(&context, &remote, &attempt.error, now).await;
        let wait = context.back_off.wait(failures, getrandom::u64().unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Tells the log, the states and the publisher why there is no session.
async fn tell(context: &DialerContext, remote: &PeerAddress, error: &LinkError, now: Moment) {
    let (peer, address) = (&remote.name, remote.address);
    if context.states.down(peer, error, now) {
        tracing::warn!(%peer, %address, reason = %error, kind = error.label(), "mesh session down");
        // A lost DNS node is nobody's agent: its votes age, and that is all.
        if remote.role == Role::Lb {
            let fact = Fact::Link { server: Arc::clone(peer), state: Err(error.to_string().into()), at: now };
            // A publisher that is gone needs no more facts.
            let _ = context.facts.send(fact).await;
        }
    } else {
        tracing::debug!(%peer, %address, reason = %error, "mesh session still down");
    }
}

/// How one attempt went.
struct Attempt {
    error: LinkError,
    /// For how long a session was up.
    lasted: Duration,
}

async fn attempt(
    context: &DialerContext,
    remote: &PeerAddress,
    progress: &mut Progress,
    mut stopped: watch::Receiver<bool>,
) -> Attempt {
    let opened = tokio::select! {
        error = stopping(&mut stopped) => Err(error),
        opened = open(context, remote) => opened,
    };
    let (stream, surroundings, identity) = match opened {
        Ok(opened) => opened,
        Err(error) => return Attempt { error, lasted: Duration::ZERO },
    };
    let peer = Peer::dial(context.local.clone(), identity, progress.clone(), context.clock.moment());
    let mut ends = Ends::Facts(context.facts.clone());
    let stop = async {
        tokio::select! {
            error = stopping(&mut stopped) => error,
            error = context.credentials.renewed(&surroundings.credentials) => error,
        }
    };
    let ended = drive(stream, (peer, Vec::new()), &mut ends, &surroundings, stop).await;
    if let Some(reached) = ended.peer.progress() {
        *progress = reached.clone();
    }
    let lasted = ended.established.map_or(Duration::ZERO, |since| context.clock.moment().since(since));
    Attempt { error: ended.error, lasted }
}

type Opened = (tokio_rustls::client::TlsStream<TcpStream>, Surroundings, Identity);

/// Opens a connection and shakes hands.
async fn open(context: &DialerContext, remote: &PeerAddress) -> Result<Opened, LinkError> {
    let credentials = context.credentials.current()?;
    context.states.own(&credentials);
    let expected = Identity::new(&credentials.identity.mesh, remote.role, &remote.name)
        .map_err(|error| LinkError::OwnCredentials(error.to_string()))?;
    let stream = reach(remote.address).await?;
    let (stream, peer) = tls::connect(stream, &credentials, expected, context.clock).await?;
    context.states.presented(&remote.name, &peer.certificate, context.clock.moment());
    let surroundings = Surroundings { clock: context.clock, states: context.states.clone(), credentials };
    Ok((stream, surroundings, peer.identity))
}

async fn reach(address: SocketAddr) -> Result<TcpStream, LinkError> {
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Err(_) => return Err(LinkError::TimedOut(address, CONNECT_TIMEOUT)),
        Ok(Err(error)) => {
            return Err(match error.kind() {
                io::ErrorKind::ConnectionRefused => LinkError::ConnectionRefused(address),
                io::ErrorKind::TimedOut => LinkError::TimedOut(address, CONNECT_TIMEOUT),
                _ => LinkError::Unreachable(address, error.to_string()),
            });
        }
        Ok(Ok(stream)) => stream,
    };
    tune(&stream).map_err(|error| LinkError::Broken(error.to_string()))?;
    Ok(stream)
}

/// Sends small frames at once, and lets the kernel notice a host that is gone.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_drawn_from_the_upper_half() {
        let check = |failures, low: u64, high: u64| {
            let wait = |draw| BackOff::default().wait(failures, draw).as_millis();
            assert_eq!(wait(0), u128::from(low));
            assert_eq!(wait(high - low), u128::from(high));
            assert!((0..1_000).all(|draw| (u128::from(low)..=u128::from(high)).contains(&wait(draw * 7_919))));
        };
        check(1, 250, 500);
        check(2, 500, 1_000);
        check(6, 8_000, 16_000);
        check(7, 15_000, 30_000);
        check(40, 15_000, 30_000);
        check(u32::MAX, 15_000, 30_000);
    }
}
