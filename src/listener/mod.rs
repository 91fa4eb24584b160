//! Sockets: UDP worker threads and TCP streams, their caps, and nothing else; every packet goes to `answer::respond`.
//!
//! # Invariants
//! - UDP workers are plain threads that hold no lock and await nothing.
//! - A reply leaves from the address the query came to.
//! - Every connection, buffer and wait is bounded by [`Settings`].

mod bind;
mod clients;
mod handoff;
mod kernel;
mod settings;
mod stream;
mod tcp;
mod udp;
mod views;
mod worker;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use tokio::sync::watch;
use tracing::{error, info};

pub use bind::BindError;
pub use handoff::{HANDED_OFF_MAX, HandOff, HandedOff, Replies, SendDatagram};
pub use settings::{Settings, TcpLimits};
pub use worker::{Respond, Service};

use bind::Bound;
use clients::Connections;

/// TCP threads at most; each serves streams of every address.
const TCP_THREADS_MAX: usize = 4;

/// The running listeners. Dropping them stops them.
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    /// Seen by the UDP workers within their receive time-out.
    stopping: Arc<AtomicBool>,
    /// Wakes the TCP threads.
    tcp_stopping: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// The listeners could not start; nothing of them runs.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be served.
    Bind(BindError),
    /// The system gave no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "cannot start a listener thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => error.source(),
            Self::Thread(error) => Some(error),
        }
    }
}

impl Listeners {
    /// Binds every address over UDP and TCP, then serves them all on threads of their own.
    ///
    /// # Errors
    /// The first address that cannot be served, in words that say what to do; then none is.
    pub fn start(settings: &Settings, service: &Service) -> Result<Self, StartError> {
        let bound = settings.addresses.iter().map(|address| bind::bind(*address, settings.udp_workers));
        let bound: Vec<Bound> = bound.collect::<Result<_, _>>().map_err(StartError::Bind)?;
        let addresses: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
        let mut listeners = Self {
            addresses: addresses.clone(),
            stopping: Arc::new(AtomicBool::new(false)),
            tcp_stopping: watch::Sender::new(false),
            threads: Vec::new(),
        };
        listeners.start_tcp(&bound, settings, service).map_err(StartError::Thread)?;
        for (number, bound) in bound.into_iter().enumerate() {
            let first = number * settings.udp_workers.max(1);
            listeners.start_udp(first, bound, service).map_err(StartError::Thread)?;
        }
        service.metrics.set_reader("listeners", {
            let addresses = addresses.clone();
            Box::new(move |scrape| kernel::scrape(&addresses, scrape))
        });
        for address in &addresses {
            info!(%address, workers = settings.udp_workers, "listening on UDP and TCP");
        }
        Ok(listeners)
    }

    /// The addresses served, with the ports the kernel chose where 0 was configured.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers what is queued, ends every connection and waits for the threads: about a second at most.
    pub fn stop(mut self) {
        self.end();
    }

    fn start_udp(&mut self, first: usize, bound: Bound, service: &Service) -> io::Result<()> {
        for (number, socket) in bound.udp.into_iter().enumerate() {
            let (service, stopping, address) = (service.clone(), Arc::clone(&self.stopping), bound.configured);
            let socket = Arc::new(socket);
            let name = format!("udp-{}", first + number);
            let run = move || udp::run(&socket, address, &service, &stopping);
            self.threads.push(Builder::new().name(name).spawn(run)?);
        }
        Ok(())
    }

    fn start_tcp(&mut self, bound: &[Bound], settings: &Settings, service: &Service) -> io::Result<()> {
        let connections = Connections::new(&settings.tcp);
        for number in 0..settings.udp_workers.clamp(1, TCP_THREADS_MAX) {
            let sockets = bound.iter().map(|bound| Ok((bound.configured, bound.tcp.try_clone()?)));
            let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
            let (service, connections, limits) = (service.clone(), Arc::clone(&connections), settings.tcp);
            let stopping = self.tcp_stopping.subscribe();
            let run = move || {
                if let Err(error) = tcp::run(sockets, limits, &service, &connections, stopping) {
                    error!(%error, "a TCP thread could not run; TCP is served by the others, if any");
                }
            };
            self.threads.push(Builder::new().name(format!("tcp-{number}")).spawn(run)?);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.tcp_stopping.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a listener thread panicked outside of answering");
            }
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.end();
    }
}
