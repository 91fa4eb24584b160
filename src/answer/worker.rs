//! What one listener thread's queries may change: room for names and the wide IPs' memory.

use std::net::SocketAddr;
use std::time::Duration;

use super::ahead::{AHEAD_MAX, Asked};
use super::options::keepalive;
use super::rate_limit::Limiter;
use super::snapshot::Snapshot;
use crate::status::Moment;
use crate::wideip::{Memory, ViewId};
use crate::wire::{MAX_NAME_LENGTH, NameKey, Suffixes};

/// One listener thread's own state. Made once per thread, never shared.
pub struct Worker {
    /// Places for what is read of packets.
    pub(super) asked: Box<[Asked; AHEAD_MAX]>,
    /// How many of the places were read ahead.
    pub(super) ahead: usize,
    /// The place of the packet that is answered next, if it was read ahead.
    pub(super) place: Option<usize>,
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
    pub fn new(seed: u64) -> Self {
        Self {
            asked: Box::new([const { Asked::nothing() }; AHEAD_MAX]),
            ahead: 0,
            place: None,
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

    /// Tells that the packet answered next is the one that was looked at ahead in this place, counting from 0. Without that,
    /// or where nothing was read in the place, the packet is read when it is answered.
    #[inline]
    pub fn turn_to(&mut self, place: usize) {
        self.place = (place < self.ahead).then_some(place);
    }

    /// The place that the packet was or is now read in.
    #[inline]
    pub(super) fn read(&mut self, packet: &[u8], seed: u64) -> usize {
        if let Some(place) = self.place.take() {
            return place;
        }
        // What was read ahead is in the way, and may be of another batch.
        self.ahead = 0;
        let [first, ..] = &mut *self.asked;
        first.read(packet, seed);
        0
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
