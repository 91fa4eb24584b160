//! TCP service (RFC 7766): its own threads accept and serve, so that no stream delays a datagram.
//!
//! Each thread runs its connections as tasks that never leave it. They share the thread's worker and its two large
//! buffers, which are used only between two waits: an idle connection costs a task and a small buffer.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tracing::{debug, warn};

use super::TcpLimits;
use super::clients::{Connections, Refusal, Room};
use super::stream::{Gauges, Stream};
use super::worker::{Responder, Service};
use crate::answer::Transport;
use crate::metrics::{CloseReason, Limit, Metrics};

/// How long accepting pauses when the process or the system is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// How long open connections may take to finish a query when the listener stops.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Octets read at once, and the longest message with its length.
const BUFFER: usize = 65_536 + 2;

/// What the connections of one thread share.
pub(super) struct Thread {
    pub(super) responder: Responder,
    /// What was read last.
    pub(super) input: Vec<u8>,
    /// The reply being made.
    pub(super) output: Vec<u8>,
}

/// Serves `listeners`, each with its configured address, on this thread until `stopping` says so or its sender is gone.
pub(super) fn run(
    listeners: Vec<(SocketAddr, std::net::TcpListener)>,
    limits: TcpLimits,
    service: &Service,
    connections: &Arc<Connections>,
    stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Which listener a query comes to is told before each one.
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let thread = Thread {
        responder: Responder::new(service, Transport::Tcp, nowhere),
        input: vec![0; BUFFER],
        output: vec![0; BUFFER],
    };
    let acceptor = Acceptor {
        thread: Rc::new(RefCell::new(thread)),
        limits,
        metrics: Arc::clone(&service.metrics),
        connections: Arc::clone(connections),
        gauges: Rc::new(Gauges::new(&service.metrics)),
        stopping,
    };
    LocalSet::new().block_on(&runtime, async {
        let mut accepting = JoinSet::new();
        for (address, listener) in listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.spawn_local(acceptor.clone().run(listener, address));
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    })
}

/// One thread's way from a listening socket to connections.
#[derive(Clone)]
struct Acceptor {
    thread: Rc<RefCell<Thread>>,
    limits: TcpLimits,
    metrics: Arc<Metrics>,
    connections: Arc<Connections>,
    gauges: Rc<Gauges>,
    stopping: watch::Receiver<bool>,
}

impl Acceptor {
    /// Accepts until the stop, then waits for the connections to finish.
    async fn run(mut self, listener: TcpListener, address: SocketAddr) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => break,
                Some(_) = open.join_next(), if !open.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, client)) => {
                    if let Some(stream) = self.admit(socket, client, address) {
                        open.spawn_local(stream.serve());
                    }
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
        drop(listener);
        let finished = async { while open.join_next().await.is_some() {} };
        // Connections end themselves within `DRAIN_MAX`; what does not is cut off with the set.
        let _ = tokio::time::timeout(2 * DRAIN_MAX, finished).await;
    }

    /// A stream for a new connection, or none when it is over a cap.
    fn admit(&self, socket: TcpStream, client: SocketAddr, listener: SocketAddr) -> Option<Stream> {
        let now = self.thread.borrow().responder.now();
        let place = match self.connections.admit(client.ip(), now) {
            Ok((place, room)) => {
                if room == Room::Evicted {
                    self.metrics.limit_hit(Limit::TcpConnections);
                }
                place
            }
            Err(refusal) => {
                self.metrics.limit_hit(match refusal {
                    Refusal::Connections => Limit::TcpConnections,
                    Refusal::Client => Limit::TcpConnectionsPerClient,
                    Refusal::Network => Limit::TcpConnectionsPerNetwork,
                });
                self.metrics.tcp_closed(CloseReason::Refused);
                return None;
            }
        };
        // Replies are whole when they are written; waiting to fill a segment only delays them.
        let _ = socket.set_nodelay(true); // Without it the stream is slower, not wrong.
        let (thread, gauges) = (Rc::clone(&self.thread), Rc::clone(&self.gauges));
        Some(Stream::new(
            socket,
            client,
            listener,
            thread,
            self.limits,
            Arc::clone(&self.metrics),
            gauges,
            place,
            Arc::clone(&self.connections),
            self.stopping.clone(),
        ))
    }

    /// Passes over what concerns one connection; pauses where the next accept would fail the same way at once.
    async fn accept_failed(&self, error: &io::Error) {
        let errno = error.raw_os_error().map(Errno::from_raw);
        if matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) {
            self.metrics.limit_hit(Limit::FileDescriptors);
            warn!(%error, "cannot accept TCP connections for now: raise LimitNOFILE, or lower the connection cap");
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        } else {
            debug!(%error, "a connection ended before it was accepted");
        }
    }
}
