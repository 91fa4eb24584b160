//! One mesh session as a state machine: no sockets, no clock, no randomness. Frames and moments go in, actions come out.
//!
//! A DNS node dials ([`Peer::dial`]), an agent or another DNS node listens ([`Peer::listen`]). The listener speaks first, so that a dialer
//! that hears a `Hello` knows its certificate was accepted.
//!
//! | state | listener (agent or DNS node) | dialer (DNS node) |
//! |---|---|---|
//! | start | sends `Hello` | waits |
//! | `Hello` comes | sends the full list | sends `Hello`, the link is up |
//! | every interval | `Ping`, measurements | `Ping` |
//! | no `Hello` within 5 s, silence for 3 intervals, broken rules | ends | ends |

use std::sync::Arc;
use std::time::Duration;

use super::error::LinkError;
use super::frame::{FRAMES_BURST_MAX, FRAMES_PER_SECOND_MAX, STRING_LENGTH_MAX};
use super::identity::Identity;
use super::inbound::{FrameRefusal, Inbound, Progress, Taken};
use super::outbound::{Outbound, Sequence};
use super::proto::{Body, Frame, Goodbye, Hello, Ping, Pong};
use super::report::Report;
use super::words;
use crate::status::{Fact, Moment};

/// How long a peer may take to say `Hello`.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer is given up after this many intervals without a frame.
const SILENT_INTERVALS_MAX: u32 = 3;
/// The longest interval a peer is believed to have.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The least time between two frames of changes; holds an agent to half of what its peers take.
const CHANGE_SPACING: Duration = Duration::from_millis(20);
/// The protocol versions spoken, oldest and newest.
pub const VERSIONS: (u32, u32) = (1, 1);

/// This side of every session.
#[derive(Debug, Clone)]
pub struct Local {
    /// This node's or agent's name, as its certificate says.
    pub name: Arc<str>,
    /// Drawn anew by every process.
    pub boot_id: u64,
    /// How often this side speaks at least.
    pub interval: Duration,
    /// Numbers this process's reports.
    pub sequence: Sequence,
    /// The oldest and newest protocol version spoken: [`VERSIONS`].
    pub versions: (u32, u32),
}

/// What must be done for a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send a frame.
    Send(Body),
    /// Tell the publisher.
    Deliver(Fact),
    /// Both sides said `Hello`: the session is up.
    Established(Established),
    /// The peer's wall clock was compared with ours.
    ClockDifference(ClockDifference),
    /// Count a refused frame or entry.
    Refused(FrameRefusal),
    /// End the session after sending what comes before.
    Close(LinkError),
}

/// What both `Hello`s agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The newest protocol version both sides speak.
    pub version: u32,
    /// The peer's process.
    pub boot_id: u64,
    /// The peer's program, made safe to show.
    pub software: String,
}

/// How far a peer's wall clock is from ours; shown, never used to order or decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDifference {
    /// Milliseconds the peer's clock is ahead of ours; negative when it is behind.
    pub ahead_millis: i64,
    /// The time the measurement took; the truth is within half of it.
    pub round_trip: Duration,
}

/// Where in its life a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Up,
    Closed,
}

/// What only one role does.
#[derive(Debug)]
enum Side {
    Dialer(Inbound),
    Listener {
        outbound: Outbound,
        /// When measurements are sent next.
        measures_at: Moment,
        /// When changes may be sent next.
        changes_at: Moment,
        /// Whether a report came that was not compared yet.
        pending: bool,
    },
}

/// One session with one authenticated peer.
#[derive(Debug)]
pub struct Peer {
    local: Local,
    /// Who the peer's certificate says it is.
    remote: Identity,
    side: Side,
    stage: Stage,
    /// When the session began, for the greeting's time-out.
    began: Moment,
    /// When the last frame came.
    heard: Moment,
    /// After how much silence the peer is given up.
    silence_max: Duration,
    /// When the next heartbeat is due.
    ping_at: Moment,
    /// The heartbeat under way: its id and when it was sent.
    ping: (u64, Moment),
    /// Frames the peer may still send now.
    allowance: Allowance,
}

impl Peer {
    /// A DNS node's session with the agent or DNS node `remote`, which continues from `progress`.
    pub fn dial(local: Local, remote: Identity, progress: Progress, now: Moment) -> Self {
        let inbound = Inbound::new(&remote, progress);
        Self::new(local, remote, Side::Dialer(inbound), now)
    }

    /// An agent's session with the DNS node `remote`, and its first frame; no report before the agent has looked once.
    pub fn listen(
        local: Local,
        remote: Identity,
        report: Option<Arc<Report>>,
        now: Moment,
        unix_millis: i64,
    ) -> (Self, Vec<Action>) {
        let outbound = Outbound::new(Arc::clone(&local.name), local.boot_id, local.sequence.clone(), report);
        let side = Side::Listener { outbound, measures_at: now, changes_at: now, pending: false };
        let peer = Self::new(local, remote, side, now);
        let hello = peer.hello(unix_millis);
        (peer, vec![hello])
    }

    fn new(local: Local, remote: Identity, side: Side, now: Moment) -> Self {
        Self {
            silence_max: local.interval * SILENT_INTERVALS_MAX,
            ping_at: now,
            ping: (0, now),
            allowance: Allowance::full(now),
            stage: Stage::Greeting,
            began: now,
            heard: now,
            local,
            remote,
            side,
        }
    }

    /// Takes a frame that came at `now`; `unix_millis` is our wall clock, for the clock difference only.
    pub fn handle(&mut self, frame: Frame, now: Moment, unix_millis: i64) -> Vec<Action> {
        if self.stage == Stage::Closed {
            return Vec::new();
        }
        if !self.allowance.take(now) {
            return self.close(LinkError::TooManyFrames);
        }
        self.heard = now;
        let result = match (self.stage, frame.body) {
            (_, Some(Body::Goodbye(goodbye))) => Err(LinkError::Goodbye(words::printable(&goodbye.reason))),
            (Stage::Greeting, Some(Body::Hello(hello))) => self.greet(&hello, now, unix_millis),
            (Stage::Greeting, _) => Err(LinkError::Violation("the first frame was no hello")),
            (_, Some(Body::Hello(_))) => Err(LinkError::Violation("a second hello")),
            (_, Some(Body::Ping(ping))) => Ok(vec![Action::Send(Body::Pong(Pong { id: ping.id, unix_millis }))]),
            (_, Some(Body::Pong(pong))) => Ok(self.compare_clocks(pong, now, unix_millis)),
            (_, None) => Ok(vec![Action::Refused(FrameRefusal::UnknownKind)]),
            (_, Some(report)) => self.take_report(report, now).map(Taken::into_actions),
        };
        result.unwrap_or_else(|error| self.close(error))
    }

    fn take_report(&mut self, body: Body, now: Moment) -> Result<Taken, LinkError> {
        let Side::Dialer(inbound) = &mut self.side else {
            return Err(LinkError::Violation("the side that dialled sent a report"));
        };
        match body {
            Body::Inventory(list) => inbound.inventory(list, now),
            Body::Change(change) => inbound.change(change, now),
            Body::Measures(measures) => inbound.measures(measures, now),
            _ => Ok(Taken::default()),
        }
    }

    fn greet(&mut self, hello: &Hello, now: Moment, unix_millis: i64) -> Result<Vec<Action>, LinkError> {
        let mut actions = Vec::new();
        if let Side::Dialer(_) = self.side {
            // Said even when the versions do not match, so that the other side can name the reason too.
            actions.push(self.hello(unix_millis));
        }
        let established = match self.agree(hello) {
            Ok(established) => established,
            Err(error) => {
                actions.extend(self.close(error));
                return Ok(actions);
            }
        };
        self.stage = Stage::Up;
        let theirs = Duration::from_millis(u64::from(hello.interval_millis)).min(INTERVAL_MAX);
        self.silence_max = self.local.interval.max(theirs) * SILENT_INTERVALS_MAX;
        self.ping_at = now;
        actions.push(Action::Established(established));
        let ahead_millis = hello.unix_millis.saturating_sub(unix_millis);
        let round_trip = now.since(self.began);
        actions.push(Action::ClockDifference(ClockDifference { ahead_millis, round_trip }));
        if let Side::Listener { outbound, measures_at, pending, .. } = &mut self.side {
            actions.extend(outbound.changes().into_iter().map(Action::Send));
            *measures_at = now.after(self.local.interval);
            *pending = false;
        }
        Ok(actions)
    }

    /// Holds the peer's `Hello` against its certificate, our versions and what is known of its process.
    fn agree(&mut self, hello: &Hello) -> Result<Established, LinkError> {
        let (ours, theirs) = (self.local.versions, (hello.version_min, hello.version_max));
        let version = ours.1.min(theirs.1);
        if version < ours.0.max(theirs.0) {
            return Err(LinkError::ProtocolVersion { ours, theirs });
        }
        if *hello.node != *self.remote.name {
            let got = words::printable(&hello.node);
            return Err(LinkError::NameNotAllowed { expected: self.remote.name.as_ref().to_owned(), got });
        }
        if let Side::Dialer(inbound) = &mut self.side {
            inbound.begin(hello.boot_id)?;
        }
        Ok(Established { version, boot_id: hello.boot_id, software: words::printable(&hello.software) })
    }

    fn compare_clocks(&self, pong: Pong, now: Moment, unix_millis: i64) -> Vec<Action> {
        let (id, sent) = self.ping;
        if pong.id != id {
            return Vec::new();
        }
        let round_trip = now.since(sent);
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        let ahead_millis = pong.unix_millis.saturating_sub(unix_millis.saturating_sub(half));
        vec![Action::ClockDifference(ClockDifference { ahead_millis, round_trip })]
    }

    /// Does what is due at `now`.
    pub fn poll(&mut self, now: Moment, unix_millis: i64) -> Vec<Action> {
        match self.stage {
            Stage::Closed => Vec::new(),
            Stage::Greeting if now.since(self.began) >= HELLO_TIMEOUT => {
                self.close(LinkError::HelloTimeout(HELLO_TIMEOUT))
            }
            Stage::Greeting => Vec::new(),
            Stage::Up if now.since(self.heard) >= self.silence_max => self.close(LinkError::Silence(self.silence_max)),
            Stage::Up => self.speak(now, unix_millis),
        }
    }

    fn speak(&mut self, now: Moment, unix_millis: i64) -> Vec<Action> {
        let mut bodies = Vec::new();
        if now >= self.ping_at {
            self.ping_at = now.after(self.local.interval);
            self.ping = (self.ping.0.wrapping_add(1), now);
            bodies.push(Body::Ping(Ping { id: self.ping.0, unix_millis }));
        }
        if let Side::Listener { outbound, measures_at, changes_at, pending } = &mut self.side {
            if *pending && now >= *changes_at {
                *pending = false;
                let changes = outbound.changes();
                let frames = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                *changes_at = now.after(CHANGE_SPACING.saturating_mul(frames));
                bodies.extend(changes);
            }
            if now >= *measures_at {
                *measures_at = now.after(self.local.interval);
                bodies.extend(outbound.measures());
            }
        }
        bodies.into_iter().map(Action::Send).collect()
    }

    /// An agent's newer report; what changed is sent at once, or as soon as the spacing of frames allows.
    pub fn report(&mut self, report: Arc<Report>, now: Moment, unix_millis: i64) -> Vec<Action> {
        if let Side::Listener { outbound, pending, .. } = &mut self.side {
            outbound.update(report);
            *pending = true;
        }
        self.poll(now, unix_millis)
    }

    /// When [`Peer::poll`] has something to do next.
    pub fn next_poll(&self) -> Moment {
        match (self.stage, &self.side) {
            (Stage::Closed, _) => Moment::from_millis(u64::MAX),
            (Stage::Greeting, _) => self.began.after(HELLO_TIMEOUT),
            (Stage::Up, side) => {
                let next = self.ping_at.min(self.heard.after(self.silence_max));
                match side {
                    Side::Dialer(_) => next,
                    Side::Listener { measures_at, changes_at, pending: true, .. } => {
                        next.min(*measures_at).min(*changes_at)
                    }
                    Side::Listener { measures_at, .. } => next.min(*measures_at),
                }
            }
        }
    }

    /// Ends the session from this side and, where it helps, says why.
    pub fn close(&mut self, error: LinkError) -> Vec<Action> {
        if std::mem::replace(&mut self.stage, Stage::Closed) == Stage::Closed {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if !matches!(error, LinkError::Goodbye(_) | LinkError::Silence(_) | LinkError::SlowReader(_)) {
            let reason = words::truncated(&error.to_string(), STRING_LENGTH_MAX).to_owned();
            actions.push(Action::Send(Body::Goodbye(Goodbye { reason })));
        }
        actions.push(Action::Close(error));
        actions
    }

    fn hello(&self, unix_millis: i64) -> Action {
        Action::Send(Body::Hello(Hello {
            version_min: self.local.versions.0,
            version_max: self.local.versions.1,
            node: self.local.name.as_ref().to_owned(),
            boot_id: self.local.boot_id,
            unix_millis,
            software: concat!("fairlead ", env!("CARGO_PKG_VERSION")).to_owned(),
            interval_millis: u32::try_from(self.local.interval.as_millis()).unwrap_or(u32::MAX),
        }))
    }

    /// How far the agent's reports were taken, for the next session; a listener has none.
    pub fn progress(&self) -> Option<&Progress> {
        match &self.side {
            Side::Dialer(inbound) => Some(inbound.progress()),
            Side::Listener { .. } => None,
        }
    }

    /// Whether both sides said `Hello` and neither ended the session.
    pub fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    /// Who the peer's certificate says it is.
    pub const fn remote(&self) -> &Identity {
        &self.remote
    }
}

impl Taken {
    fn into_actions(self) -> Vec<Action> {
        let facts = self.facts.into_iter().map(Action::Deliver);
        facts.chain(self.refused.into_iter().map(Action::Refused)).collect()
    }
}

/// A token bucket of frames.
#[derive(Debug)]
struct Allowance {
    /// Thousandths of frames.
    milliframes: u64,
    /// When it was last filled.
    filled: Moment,
}

impl Allowance {
    const CAPACITY: u64 = FRAMES_BURST_MAX as u64 * 1_000;

    const fn full(now: Moment) -> Self {
        Self { milliframes: Self::CAPACITY, filled: now }
    }

    fn take(&mut self, now: Moment) -> bool {
        let passed = u64::try_from(now.since(self.filled).as_millis()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(u64::from(FRAMES_PER_SECOND_MAX));
        self.milliframes = self.milliframes.saturating_add(more).min(Self::CAPACITY);
        self.filled = self.filled.max(now);
        match self.milliframes.checked_sub(1_000) {
            Some(rest) => self.milliframes = rest,
            None => return false,
        }
        true
    }
}
