//! What one listener thread's queries may change: room for names and the wide IPs' memory.

use std::net::SocketAddr;
use std::time::Duration;

use super::options::keepalive;
use super::rate_limit::Limiter;
use super::snapshot::Snapshot;
use crate::status::Moment;
use crate::wideip::{Memory, ViewId};
use crate::wire::{MAX_NAME_LENGTH, NameKey, Query, Suffixes};

/// One listener thread's own state. Made once per thread, never shared.
pub struct Worker {
    /// What was read of the packet; read in place, because moving it costs more than reading it.
    pub(super) query: Query,
    /// The name asked for.
    pub(super) question: NameKey,
    /// The name that a CNAME or DNAME led to.
    pub(super) alias: NameKey,
    pub(super) suffixes: Suffixes,
    /// Cursors and random source of decisions.
    pub(super) memory: Memory,
    pub(super) room: Room,
    /// Counts responses per client network; none when they are not limited.
    pub(super) limiter: Option<Box<Limiter>>,
    seed: u64,
    /// The wall clock, in seconds since 1970, for signatures, cookies and what expires.
    pub(super) unix_seconds: u64,
    /// How long the connection is kept without a query, in units of 100 ms; none where there is no connection.
    pub(super) keepalive: Option<u16>,
    /// The listener that queries come to, as configured; views may go by it.
    pub(super) listener: Option<SocketAddr>,
    /// What the last query came to where views are chosen among.
    pub(super) choice: Option<ViewChoice>,
}

/// What a query came to where views are chosen among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewChoice {
    /// It was answered from this view.
    View(ViewId),
    /// No view took it.
    Nowhere,
}

/// Room to work in, overwritten by every query.
pub(super) struct Room {
    /// The octets of the name that a CNAME or DNAME leads to next.
    pub(super) target: [u8; MAX_NAME_LENGTH],
    /// Names looked up for the additional section.
    pub(super) additional: NameKey,
}

impl Worker {
    /// Makes the state of one thread; its random draws follow from `seed`, so give each thread another.
    pub const fn new(seed: u64) -> Self {
        Self {
            query: Query::empty(),
            question: NameKey::root(0),
            alias: NameKey::root(0),
            suffixes: Suffixes::new(),
            memory: Memory::new(seed),
            limiter: None,
            seed,
            unix_seconds: 0,
            listener: None,
            choice: None,
            keepalive: None,
            room: Room { target: [0; MAX_NAME_LENGTH], additional: NameKey::root(0) },
        }
    }

    /// Tells the configured address of the listener that the queries that follow come to.
    pub const fn serve(&mut self, listener: SocketAddr) {
        self.listener = Some(listener);
    }

    /// Which view the last query was answered from; none where there is no choice, or it did not come to one.
    pub const fn take_choice(&mut self) -> Option<ViewChoice> {
        self.choice.take()
    }

    /// Tells the wall clock's time, in seconds since 1970; signatures of queries that follow are checked by it. Until
    /// it is told, all of them are too far off.
    pub const fn tell_time(&mut self, unix_seconds: u64) {
        self.unix_seconds = unix_seconds;
    }

    /// Tells how long the connection that the next queries come on is kept without one (RFC 7828).
    pub fn tell_idle(&mut self, idle: Duration) {
        self.keepalive = Some(keepalive(idle));
    }

    /// Makes ready to limit the rate of responses as `snapshot` says, at the time `now`; once per batch of datagrams, and
    /// never for streams, which are not limited. Allocates when the settings are others than before, and only then.
    pub fn limit_rate(&mut self, snapshot: &Snapshot, now: Moment) {
        let rate = snapshot.settings.limits.rate.as_ref();
        let Some(rate) = rate else {
            self.limiter = None;
            return;
        };
        let known = self.limiter.take().filter(|limiter| limiter.follows(rate));
        let limiter = self.limiter.insert(known.unwrap_or_else(|| Box::new(Limiter::new(rate, self.seed))));
        limiter.tell_time(now.as_millis());
    }
}
