//! Drives one [`Peer`] over one TLS stream: octets in and out, timers, and what the actions ask for.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::clock::Clock;
use super::credentials::Credentials;
use super::error::LinkError;
use super::frame::{self, Decoder};
use super::identity::Role;
use super::outbound::unsendable;
use super::peer::{Action, ClockDifference, Peer};
use super::report::Report;
use super::states::PeerStates;
use super::traffic::Traffic;
use super::{tls, words};
use crate::status::{Fact, Moment};

/// Octets read at once.
const READ_LENGTH: usize = 16 * 1024;
/// A peer that reads nothing for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most octets that wait to be sent: room for the longest inventory.
const WAITING_MAX: usize = 48 * 1024 * 1024;
/// How long the last words may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// A clock difference worth a warning.
const CLOCK_DIFFERENCE_MAX_MILLIS: u64 = 10_000;

/// Where a session's facts go, or its reports come from.
#[derive(Debug)]
pub(super) enum Ends {
    /// A DNS node tells its publisher.
    Facts(mpsc::Sender<Fact>),
    /// An agent's reports.
    Reports(watch::Receiver<Arc<Report>>),
}

/// What all sessions of a process share.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) states: PeerStates,
    pub(super) credentials: Arc<Credentials>,
}

/// How a session went.
#[derive(Debug)]
pub(super) struct Ended {
    /// Why it ended.
    pub(super) error: LinkError,
    /// The peer, with its progress.
    pub(super) peer: Peer,
    /// When both sides had said `Hello`, if they did.
    pub(super) established: Option<Moment>,
}

struct Session<'a, S> {
    surroundings: &'a Surroundings,
    name: Arc<str>,
    traffic: Arc<Traffic>,
    peer: Peer,
    ends: &'a mut Ends,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    decoder: Decoder,
    /// Octets that wait to be sent, the first `sent` of which were.
    waiting: Vec<u8>,
    sent: usize,
    /// Octets were written that the TLS layer may still hold.
    unflushed: bool,
    /// When writing last got on, while there is something to write.
    progressed: Moment,
    established: Option<Moment>,
    clock_warned: bool,
    unsendable: usize,
}

/// What woke a session.
enum Event {
    Stop(LinkError),
    Read(std::io::Result<usize>),
    Wrote(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Report(Result<(), watch::error::RecvError>),
    Timer,
}

/// Drives `peer` until it ends. `first` is what it wants done at once; `stop` ends it from this side.
pub(super) async fn drive<S: AsyncRead + AsyncWrite>(
    stream: S,
    (peer, first): (Peer, Vec<Action>),
    ends: &mut Ends,
    surroundings: &Surroundings,
    stop: impl Future<Output = LinkError>,
) -> Ended {
    let (reader, writer) = split(stream);
    let (name, now) = (Arc::clone(&peer.remote().name), surroundings.clock.moment());
    let mut session = Session {
        traffic: surroundings.states.traffic(&name, now),
        name,
        progressed: now,
        surroundings,
        peer,
        ends,
        reader,
        writer,
        decoder: Decoder::new(),
        waiting: Vec::new(),
        sent: 0,
        unflushed: false,
        established: None,
        clock_warned: false,
        unsendable: 0,
    };
    let error = match session.perform(first).await {
        Some(error) => error,
        None => session.run(stop).await,
    };
    session.farewell().await;
    Ended { error, established: session.established, peer: session.peer }
}

impl<S: AsyncRead + AsyncWrite> Session<'_, S> {
    async fn run(&mut self, stop: impl Future<Output = LinkError>) -> LinkError {
        tokio::pin!(stop);
        let mut chunk = vec![0; READ_LENGTH];
        loop {
            let event = self.wait(stop.as_mut(), &mut chunk).await;
            let (now, unix_millis) = (self.surroundings.clock.moment(), self.surroundings.clock.unix_millis());
            let result = match event {
                Event::Stop(error) => Ok(self.peer.close(error)),
                Event::Read(Ok(0)) => Err(LinkError::Closed),
                Event::Read(Ok(length)) => {
                    self.decoder.push(chunk.get(..length).unwrap_or_default());
                    match self.handle_frames(length, now, unix_millis).await {
                        Some(error) => return error,
                        None => Ok(Vec::new()),
                    }
                }
                Event::Wrote(Ok(0)) => Err(LinkError::Closed),
                Event::Wrote(Ok(length)) => {
                    self.wrote(length, now);
                    Ok(Vec::new())
                }
                Event::Flushed(Ok(())) => {
                    self.unflushed = false;
                    Ok(Vec::new())
                }
                Event::Read(Err(error)) | Event::Wrote(Err(error)) | Event::Flushed(Err(error)) => {
                    Err(tls::explain(&error, &self.surroundings.credentials))
                }
                Event::Report(Ok(())) => Ok(self.report(now, unix_millis)),
                // The agent is going away and will not report again.
                Event::Report(Err(_)) => Ok(self.peer.close(LinkError::Stopping)),
                Event::Timer if self.is_stuck(now) => Err(LinkError::SlowReader(WRITE_TIMEOUT)),
                Event::Timer => Ok(self.peer.poll(now, unix_millis)),
            };
            let actions = result.unwrap_or_else(|error| {
                let closing = self.peer.close(error);
                // The stream is gone; there is nobody to send to.
                closing.into_iter().filter(|action| matches!(action, Action::Close(_))).collect()
            });
            if let Some(error) = self.perform(actions).await {
                return error;
            }
        }
    }

    async fn wait(&mut self, stop: std::pin::Pin<&mut impl Future<Output = LinkError>>, chunk: &mut [u8]) -> Event {
        let now = self.surroundings.clock.moment();
        let is_idle = self.sent >= self.waiting.len();
        let mut next = self.peer.next_poll();
        if !is_idle || self.unflushed {
            next = next.min(self.progressed.after(WRITE_TIMEOUT));
        }
        let unsent = self.waiting.get(self.sent..).unwrap_or_default();
        let writer = &mut self.writer;
        let reports = match self.ends {
            Ends::Reports(reports) => Some(reports),
            Ends::Facts(_) => None,
        };
        // Reading comes before timers: a peer is silent only once nothing of it waits to be read.
        tokio::select! { biased;
            error = stop => Event::Stop(error),
            read = self.reader.read(chunk) => Event::Read(read),
            written = async { if is_idle { writer.flush().await.map(|()| 0) } else { writer.write(unsent).await } },
                if !is_idle || self.unflushed => match written {
                    Ok(_) if is_idle => Event::Flushed(Ok(())),
                    Err(error) if is_idle => Event::Flushed(Err(error)),
                    written => Event::Wrote(written),
                },
            changed = changed(reports), if is_idle => Event::Report(changed),
            () = sleep(next.since(now)) => Event::Timer,
        }
    }

    /// Handles what the `length` octets just read complete.
    async fn handle_frames(&mut self, length: usize, now: Moment, unix_millis: i64) -> Option<LinkError> {
        // Counted with the first frame, for there is one as a rule.
        let mut uncounted = octets(length);
        loop {
            let taken = self.decoder.take();
            let frames_in = u64::from(matches!(taken, Ok(Some(_))));
            if uncounted + frames_in > 0 {
                self.traffic.arrived(std::mem::take(&mut uncounted), frames_in, now);
            }
            let actions = match taken {
                Ok(None) => return None,
                Ok(Some(frame)) => self.peer.handle(frame, now, unix_millis),
                Err(error) => self.peer.close(error.into()),
            };
            if let Some(error) = self.perform(actions).await {
                return Some(error);
            }
        }
    }

    fn report(&mut self, now: Moment, unix_millis: i64) -> Vec<Action> {
        let Ends::Reports(reports) = self.ends else {
            return Vec::new();
        };
        let report = Arc::clone(&reports.borrow_and_update());
        let unsendable = unsendable(&report);
        if unsendable > self.unsendable {
            tracing::warn!(
                count = unsendable,
                "virtual servers are not reported: too many, or their names cannot travel"
            );
        }
        self.unsendable = unsendable;
        self.peer.report(report, now, unix_millis)
    }

    /// Does what the peer asks for; an error ends the session.
    async fn perform(&mut self, actions: Vec<Action>) -> Option<LinkError> {
        let (clock, states) = (self.surroundings.clock, &self.surroundings.states);
        let mut has_reported = false;
        for action in actions {
            match action {
                Action::Send(body) => match frame::encode(body) {
                    Ok(octets) if self.waiting.len() - self.sent + octets.len() <= WAITING_MAX => self.send(&octets),
                    _ => return Some(LinkError::SlowReader(WRITE_TIMEOUT)),
                },
                Action::Deliver(fact) => {
                    if !std::mem::replace(&mut has_reported, true) {
                        self.traffic.reported(clock.moment());
                    }
                    if let Ends::Facts(facts) = self.ends
                        && facts.send(fact).await.is_err()
                    {
                        return Some(LinkError::Stopping);
                    }
                }
                Action::Established(established) => {
                    let now = clock.moment();
                    tracing::info!(peer = %self.name, version = established.version, software = established.software,
                        boot = format_args!("{:016x}", established.boot_id), "mesh session up");
                    self.established = Some(now);
                    self.traffic = states.up(&self.name, established, now);
                    // A DNS node is nobody's agent.
                    if let (Ends::Facts(facts), Role::Lb) = (&*self.ends, self.peer.remote().role) {
                        let fact = Fact::Link { server: Arc::clone(&self.name), state: Ok(()), at: now };
                        if facts.send(fact).await.is_err() {
                            return Some(LinkError::Stopping);
                        }
                    }
                }
                Action::ClockDifference(difference) => self.note_clock(difference),
                Action::Refused(refusal) => {
                    tracing::debug!(peer = %self.name, reason = refusal.label(), "mesh frame refused");
                    states.refused_frame(&self.name, refusal, clock.moment());
                }
                Action::Close(error) => return Some(error),
            }
        }
        None
    }

    fn send(&mut self, octets: &[u8]) {
        if self.sent >= self.waiting.len() {
            (self.progressed, self.sent) = (self.surroundings.clock.moment(), 0);
            self.waiting.clear();
        }
        self.waiting.extend_from_slice(octets);
        self.traffic.frame_sent();
    }

    fn wrote(&mut self, length: usize, now: Moment) {
        self.sent += length;
        (self.unflushed, self.progressed) = (true, now);
        if self.sent >= self.waiting.len() {
            // What one long inventory needed is not kept for days.
            (self.waiting, self.sent) = (Vec::new(), 0);
        }
        self.traffic.left(octets(length));
    }

    fn is_stuck(&self, now: Moment) -> bool {
        let writing = self.sent < self.waiting.len() || self.unflushed;
        writing && now.since(self.progressed) >= WRITE_TIMEOUT
    }

    fn note_clock(&mut self, difference: ClockDifference) {
        let now = self.surroundings.clock.moment();
        self.surroundings.states.clock(&self.name, difference, now);
        let far = difference.ahead_millis.unsigned_abs() > CLOCK_DIFFERENCE_MAX_MILLIS;
        if far && !self.clock_warned {
            let direction = if difference.ahead_millis < 0 { "behind" } else { "ahead" };
            tracing::warn!(peer = %self.name, by = words::span(difference.ahead_millis), direction,
                "clocks differ; certificates may be refused as expired or not yet valid");
        }
        self.clock_warned = far;
    }

    /// Sends what waits, such as the reason for the end, and closes the stream, if the peer takes it soon.
    async fn farewell(&mut self) {
        let rest = self.waiting.get(self.sent..).unwrap_or_default();
        let last = async {
            self.writer.write_all(rest).await?;
            self.writer.shutdown().await
        };
        // The session is over; whether its last words arrived changes nothing.
        let _ = timeout(FAREWELL_TIMEOUT, last).await;
    }
}

/// Waits for the next report; for ever when there is none to come.
async fn changed(reports: Option<&mut watch::Receiver<Arc<Report>>>) -> Result<(), watch::error::RecvError> {
    match reports {
        Some(reports) => reports.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits until `stop` says so or its sender is gone, which says the same.
pub(super) async fn stopping(stop: &mut watch::Receiver<bool>) -> LinkError {
    // Both outcomes end the wait; the guard must not outlive it.
    let _ = stop.wait_for(|stop| *stop).await;
    LinkError::Stopping
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
