//! One TCP connection: two-octet framing, pipelined queries answered in order, a time limit for every wait.
//!
//! | waiting for | at most | ends with |
//! |---|---|---|
//! | the first query, from accept | `first_message` | `FirstMessage` |
//! | the rest of a query, from its first octet | `message` | `Message` |
//! | the next query | `idle`, a fifth of it when crowded | `Idle` |
//! | the client to take replies, since it last took some | `write_stall` | `WriteStall`, by reset |
//! | a transfer to be made and taken, from its query | `outbound_time` | `TransferTime`, by reset |
//! | any of them, from accept | `lifetime` | `Lifetime` |
//!
//! After `queries` queries, if that is set, the connection is closed behind the last reply.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::TcpLimits;
use super::clients::{Connections, Place};
use super::handoff::{MESSAGES_MAX, Replies};
use super::tcp::{DRAIN_MAX, Thread};
use super::worker::Reply;
use crate::metrics::{CloseReason, ConnectionState, Limit, Metrics};

/// Octets of replies after which they are written before the next query is answered; one more reply may follow.
const REPLIES_MAX: usize = 65_536;
/// Octets of buffer that an idle connection keeps.
const BUFFER_KEPT: usize = 2048;
/// The two octets of a message's length (RFC 1035 §4.2.2).
const LENGTH: usize = 2;

/// How many connections there are in each state.
pub(super) struct Gauges([IntGauge; 3]);

impl Gauges {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self(ConnectionState::ALL.map(|state| metrics.tcp_connections(state)))
    }

    fn of(&self, state: ConnectionState) -> Option<&IntGauge> {
        self.0.get(state as usize)
    }
}

/// One connection.
pub(super) struct Stream {
    socket: TcpStream,
    client: SocketAddr,
    /// The configured address that it came to.
    listener: SocketAddr,
    thread: Rc<RefCell<Thread>>,
    limits: TcpLimits,
    metrics: Arc<Metrics>,
    gauges: Rc<Gauges>,
    place: Place,
    connections: Arc<Connections>,
    stopping: watch::Receiver<bool>,
    state: ConnectionState,
    accepted: Instant,
    /// When the wait that is under way began: the first octet of a message, or the end of the last one.
    since: Instant,
    /// Queries answered.
    queries: u64,
    /// The part of a message that is in.
    partial: Vec<u8>,
    /// Replies that are not written yet, each with its length.
    replies: Vec<u8>,
    /// The messages of a query that was handed off.
    elsewhere: Option<mpsc::Receiver<Vec<u8>>>,
    /// When the query that was handed off must be done with; none when there is none.
    transfer_until: Option<Instant>,
    /// When the listener's stop ends it, once that has begun.
    drain_until: Option<Instant>,
    /// Why it ended; a task that is cut off by the stop never says otherwise.
    ended: CloseReason,
}

impl Stream {
    #[expect(clippy::too_many_arguments, reason = "each is one thing a connection needs, and there is one caller")]
    pub(super) fn new(
        socket: TcpStream,
        client: SocketAddr,
        listener: SocketAddr,
        thread: Rc<RefCell<Thread>>,
        limits: TcpLimits,
        metrics: Arc<Metrics>,
        gauges: Rc<Gauges>,
        place: Place,
        connections: Arc<Connections>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        if let Some(gauge) = gauges.of(ConnectionState::Idle) {
            gauge.inc();
        }
        Self {
            socket,
            client,
            listener,
            thread,
            limits,
            metrics,
            gauges,
            place,
            connections,
            stopping,
            state: ConnectionState::Idle,
            accepted: now,
            since: now,
            queries: 0,
            partial: Vec::new(),
            replies: Vec::new(),
            elsewhere: None,
            transfer_until: None,
            drain_until: None,
            ended: CloseReason::Stopping,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(mut self) {
        let sleep = sleep_until(self.accepted + self.limits.first_message);
        let mut sleep = std::pin::pin!(sleep);
        self.ended = self.exchange(&mut sleep).await;
        if matches!(self.ended, CloseReason::WriteStall | CloseReason::TransferTime) {
            // What the client did not take in time is not kept for it by the kernel either.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)); // Else it lingers a little.
        }
    }

    async fn exchange(&mut self, sleep: &mut Pin<&mut Sleep>) -> CloseReason {
        loop {
            if let Err(reason) = self.wait(sleep).await {
                return reason;
            }
            match self.read() {
                Ok(0) => return CloseReason::Client,
                Ok(length) => {
                    if let Err(reason) = self.answer_all(length, sleep).await {
                        return reason;
                    }
                    // A client that always has more to read must not keep the thread from the others.
                    tokio::task::yield_now().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.drain_until.is_some() && self.partial.is_empty() {
                        return CloseReason::Stopping;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return CloseReason::Error,
            }
        }
    }

    /// Reads what is there into the thread's buffer, which belongs to this connection until its next wait.
    fn read(&self) -> io::Result<usize> {
        self.socket.try_read(&mut self.thread.borrow_mut().input)
    }

    /// Waits until octets may be there; or the reason to end: a time limit, the stop, or the order to make room.
    async fn wait(&mut self, sleep: &mut Pin<&mut Sleep>) -> Result<(), CloseReason> {
        if self.drain_until.is_none() && *self.stopping.borrow() {
            self.drain_until = Some(Instant::now() + DRAIN_MAX);
        }
        let (deadline, reason) = self.deadline();
        sleep.as_mut().reset(deadline);
        let draining = self.drain_until.is_some();
        if draining && self.partial.is_empty() && Instant::now() < deadline {
            // What is queued is still read and answered; then nothing is under way.
            return Ok(());
        }
        // In this order, so that octets that never end cannot put off a time limit.
        tokio::select! {
            biased;
            () = self.place.connection.evicted.notified() => Err(CloseReason::Evicted),
            () = sleep.as_mut() => Err(reason),
            _ = self.stopping.changed(), if !draining => Ok(()),
            readable = self.socket.readable() => readable.map_err(|_| CloseReason::Error),
        }
    }

    /// When the wait that begins now ends, and why.
    fn deadline(&self) -> (Instant, CloseReason) {
        if let Some(drain_until) = self.drain_until {
            return (drain_until, CloseReason::Stopping);
        }
        let (deadline, reason) = match (self.queries, self.partial.is_empty()) {
            (0, _) => (self.accepted + self.limits.first_message, CloseReason::FirstMessage),
            (_, false) => (self.since + self.limits.message, CloseReason::Message),
            (_, true) => (self.since + self.idle(), CloseReason::Idle),
        };
        let end = self.accepted + self.limits.lifetime;
        if end < deadline { (end, CloseReason::Lifetime) } else { (deadline, reason) }
    }

    /// How long it is kept without a query.
    fn idle(&self) -> Duration {
        if self.connections.is_crowded() { self.limits.idle / 5 } else { self.limits.idle }
    }

    /// Answers every complete message among the `length` octets just read, and keeps the rest.
    async fn answer_all(&mut self, length: usize, sleep: &mut Pin<&mut Sleep>) -> Result<(), CloseReason> {
        let mut input = std::mem::take(&mut self.partial);
        let mut begun = !input.is_empty();
        let mut done = 0;
        {
            let thread = self.thread.borrow();
            input.extend_from_slice(thread.input.get(..length).unwrap_or_default());
        }
        loop {
            let (consumed, answered) = self.answer_some(input.get(done..).unwrap_or_default())?;
            done += consumed;
            let elsewhere = self.elsewhere.take();
            let finished = elsewhere.is_none() && answered < self.limits.pipelined && self.replies.len() < REPLIES_MAX;
            begun &= answered == 0;
            if !self.replies.is_empty() {
                self.write(sleep).await?;
            }
            if let Some(messages) = elsewhere {
                self.pass_on(messages, sleep).await?;
                continue;
            }
            if self.is_used_up() {
                return Err(CloseReason::Queries);
            }
            if finished {
                break;
            }
            self.metrics.limit_hit(if answered < self.limits.pipelined {
                Limit::TcpReplyBuffer
            } else {
                Limit::TcpPipelined
            });
            // Other connections of this thread get their turn.
            tokio::task::yield_now().await;
        }
        input.drain(..done);
        // A burst shall not keep its buffer for the life of the connection; a usual query's is kept for the next one.
        if input.is_empty() {
            input.shrink_to(BUFFER_KEPT);
        }
        if !begun {
            // A message that was already begun keeps its time.
            self.since = Instant::now();
        }
        self.enter(if input.is_empty() { ConnectionState::Idle } else { ConnectionState::Reading });
        self.partial = input;
        Ok(())
    }

    /// Answers complete messages into the reply buffer, up to its limits. Returns the octets and the messages used.
    fn answer_some(&mut self, input: &[u8]) -> Result<(usize, usize), CloseReason> {
        let mut thread = self.thread.borrow_mut();
        let Thread { responder, output, .. } = &mut *thread;
        responder.tell_time();
        responder.serve(self.listener);
        responder.tell_idle(self.idle());
        let (snapshot, now) = (responder.snapshot(), responder.now());
        let (mut consumed, mut answered) = (0, 0);
        while let Some((message, rest)) = next_message(input.get(consumed..).unwrap_or_default()) {
            if answered >= self.limits.pipelined || self.replies.len() >= REPLIES_MAX {
                break;
            }
            match responder.respond(&snapshot, message, self.client, now, output) {
                Reply::Send(length) => queue(&mut self.replies, output.get(..length).unwrap_or_default())?,
                Reply::HandOff => {
                    let (stream, messages) = mpsc::channel(MESSAGES_MAX);
                    match responder.hand_off(message, self.client, Replies::Stream(stream), output) {
                        Some(length) => queue(&mut self.replies, output.get(..length).unwrap_or_default())?,
                        // What follows on the connection waits for its end.
                        None => {
                            self.elsewhere = Some(messages);
                            self.transfer_until = Some(Instant::now() + snapshot.transfers().limits.outbound_time);
                        }
                    }
                }
                Reply::Silence => {}
                Reply::Reject => return Err(CloseReason::Malformed),
            }
            consumed = input.len() - rest.len();
            answered += 1;
            self.queries += 1;
            if self.elsewhere.is_some() || self.is_used_up() {
                break;
            }
        }
        if answered > 0 {
            self.place.connection.touch(now);
        }
        Ok((consumed, answered))
    }

    /// Whether the connection had as many queries as it may have.
    const fn is_used_up(&self) -> bool {
        self.limits.queries > 0 && self.queries >= self.limits.queries
    }

    /// Writes the messages that somebody else makes, until there are no more. A transfer may outlive the connection's
    /// usual time as long as the client takes it.
    async fn pass_on(
        &mut self,
        mut messages: mpsc::Receiver<Vec<u8>>,
        sleep: &mut Pin<&mut Sleep>,
    ) -> Result<(), CloseReason> {
        self.enter(ConnectionState::Writing);
        loop {
            let until = self.transfer_until.unwrap_or(self.accepted + self.limits.lifetime);
            sleep.as_mut().reset(until);
            let message = tokio::select! {
                biased;
                () = self.place.connection.evicted.notified() => return Err(CloseReason::Evicted),
                () = sleep.as_mut() => return Err(CloseReason::TransferTime),
                message = messages.recv() => message,
            };
            let Some(message) = message else { break };
            queue(&mut self.replies, &message)?;
            self.accepted = Instant::now();
            self.write(sleep).await?;
        }
        self.transfer_until = None;
        self.place.connection.touch(self.thread.borrow().responder.now());
        Ok(())
    }

    /// Writes all replies. The client must take some of them within every `write_stall`.
    async fn write(&mut self, sleep: &mut Pin<&mut Sleep>) -> Result<(), CloseReason> {
        let mut written = 0;
        while let Some(rest) = self.replies.get(written..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.enter(ConnectionState::Writing);
                    let (until, reason) = self.write_deadline();
                    sleep.as_mut().reset(until);
                    tokio::select! {
                        biased;
                        writable = self.socket.writable() => writable.map_err(|_| CloseReason::Error)?,
                        () = self.place.connection.evicted.notified() => return Err(CloseReason::Evicted),
                        () = sleep.as_mut() => return Err(reason),
                    }
                }
                Err(_) => return Err(CloseReason::Error),
            }
        }
        self.replies.clear();
        self.replies.shrink_to(BUFFER_KEPT);
        Ok(())
    }

    /// Until when the client must have taken something more, and what it means when it has not.
    fn write_deadline(&self) -> (Instant, CloseReason) {
        let stalled = (Instant::now() + self.limits.write_stall).min(self.accepted + self.limits.lifetime);
        match self.transfer_until {
            Some(until) if until < stalled => (until, CloseReason::TransferTime),
            _ => (stalled, CloseReason::WriteStall),
        }
    }

    /// Moves the connection to another state in the gauges.
    fn enter(&mut self, state: ConnectionState) {
        if let (Some(from), Some(to)) = (self.gauges.of(self.state), self.gauges.of(state)) {
            from.dec();
            to.inc();
        }
        self.state = state;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(gauge) = self.gauges.of(self.state) {
            gauge.dec();
        }
        self.metrics.tcp_closed(self.ended);
        if let Some(limit) = limit_of(self.ended) {
            self.metrics.limit_hit(limit);
        }
    }
}

/// The limit that ended a connection; one that made room was counted when it was told to.
const fn limit_of(reason: CloseReason) -> Option<Limit> {
    Some(match reason {
        CloseReason::Idle => Limit::TcpIdle,
        CloseReason::FirstMessage => Limit::TcpFirstMessage,
        CloseReason::Message => Limit::TcpMessage,
        CloseReason::Lifetime => Limit::TcpLifetime,
        CloseReason::Queries => Limit::TcpQueries,
        CloseReason::WriteStall => Limit::TcpWriteStall,
        CloseReason::TransferTime => Limit::TransferOutTime,
        CloseReason::Client
        | CloseReason::Evicted
        | CloseReason::Malformed
        | CloseReason::Error
        | CloseReason::Stopping
        | CloseReason::Refused
        | CloseReason::Panic => return None,
    })
}

/// Puts a reply behind those that wait to be written.
fn queue(replies: &mut Vec<u8>, reply: &[u8]) -> Result<(), CloseReason> {
    let prefix = u16::try_from(reply.len()).map_err(|_| CloseReason::Panic)?;
    replies.extend_from_slice(&prefix.to_be_bytes());
    replies.extend_from_slice(reply);
    Ok(())
}

/// The first complete message and what follows it.
fn next_message(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = input.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_once_all_its_octets_are_in() {
        let check =
            |input: &[u8], expected: Option<(&[u8], &[u8])>| assert_eq!(next_message(input), expected, "{input:?}");
        check(&[], None);
        check(&[0], None);
        check(&[0, 0], Some((&[], &[])));
        check(&[0, 2, 7], None);
        check(&[0, 2, 7, 8], Some((&[7, 8], &[])));
        check(&[0, 1, 7, 0, 2, 9], Some((&[7], &[0, 2, 9])));
        check(&[1, 0, 7], None);
    }
}
