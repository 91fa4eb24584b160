//! What every transport shares: one call into the answer path per packet, guarded and counted.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tracing::{error, warn};

use super::handoff::{HandOff, HandedOff, Replies};
use super::views::ViewCounters;
use crate::answer::{
    AnswerSource, CookieOutcome, Limited, Outcome, SignatureOutcome, Snapshot, Transport, Worker, look_ahead,
};
use crate::metrics::{
    Answered, Cookie, DecisionCounters, DropReason, Limit, Metrics, Protocol, QueryCounters, RateAction, Signature,
    Site, Source,
};
use crate::status::Moment;
use crate::wire::{Rcode, Silence};

/// A function that answers one packet; [`crate::answer::respond`] everywhere but in tests.
pub type Respond = fn(&Snapshot, &mut Worker, &[u8], SocketAddr, Transport, &mut [u8]) -> Outcome;

/// What the listeners need of the rest of the program.
#[derive(Clone)]
pub struct Service {
    /// What answers depend on; the publisher alone stores to it.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where queries are counted.
    pub metrics: Arc<Metrics>,
    /// Makes what one thread's queries may change. Called at start, and again after a panic.
    pub new_worker: Arc<dyn Fn() -> Worker + Send + Sync>,
    /// Where the process's clock started; every [`Moment`] counts from here.
    pub started: Instant,
    /// The wall clock, in seconds since 1970; read once per batch, for signatures.
    pub unix_seconds: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Where queries go that are about whole zones; without it they are refused.
    pub hand_off: Option<HandOff>,
    /// Answers one packet.
    pub respond: Respond,
}

/// What a transport does after one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Send this many octets of the output buffer.
    Send(usize),
    /// Send nothing: give the query to [`Responder::hand_off`] with the way back to its client.
    HandOff,
    /// Send nothing: the configuration says so.
    Silence,
    /// Send nothing: it was no query. A stream that carries such a thing is closed.
    Reject,
}

/// One thread's side of the answer path.
pub(super) struct Responder {
    service: Service,
    worker: Worker,
    counters: QueryCounters,
    decisions: DecisionCounters,
    views: ViewCounters,
    transport: Transport,
    /// The configured address of the listener that queries come to.
    listener: SocketAddr,
    /// How long the connection that queries come on is kept without one.
    idle: Option<Duration>,
    /// When the last panic was logged, so that a packet sent in a loop does not fill the log.
    logged: Option<Moment>,
    /// When a response over its rate was logged last, and how many there were since.
    rate_logged: Option<Moment>,
    limited_since_log: u64,
}

/// How often a panic is logged with its packet, at most.
const PANIC_LOG_INTERVAL_MS: u64 = 1000;
/// How often responses over their rate are logged, at most, by each worker.
const RATE_LOG_INTERVAL_MS: u64 = 30_000;
/// The header of a message (RFC 1035 §4.1.1).
const HEADER: usize = 12;

impl Responder {
    /// A responder for queries that come to `listener`, a configured address.
    pub(super) fn new(service: &Service, transport: Transport, listener: SocketAddr) -> Self {
        let protocol = match transport {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp => Protocol::Tcp,
        };
        let mut worker = (service.new_worker)();
        worker.serve(listener);
        Self {
            worker,
            counters: service.metrics.query_counters(protocol),
            decisions: service.metrics.decision_counters(),
            views: ViewCounters::default(),
            service: service.clone(),
            transport,
            listener,
            idle: None,
            logged: None,
            rate_logged: None,
            limited_since_log: 0,
        }
    }

    /// Tells which listener the queries that follow come to.
    pub(super) fn serve(&mut self, listener: SocketAddr) {
        self.listener = listener;
        self.worker.serve(listener);
    }

    /// The present moment; read once per batch.
    pub(super) fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.service.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Tells the worker the wall clock's time; once per batch.
    pub(super) fn tell_time(&mut self) {
        self.worker.tell_time((self.service.unix_seconds)());
    }

    /// Tells the worker how long the connection that the next queries come on is kept without one.
    pub(super) fn tell_idle(&mut self, idle: Duration) {
        self.idle = Some(idle);
        self.worker.tell_idle(idle);
    }

    /// What answers depend on now; loaded once per batch and let go before waiting, so that none is kept for long.
    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.service.snapshot.load()
    }

    /// Looks at packets that are answered next, [told](Self::turn_to) by their places.
    #[inline]
    pub(super) fn look_ahead<'p>(&mut self, snapshot: &Snapshot, packets: impl Iterator<Item = &'p [u8]>) {
        let worker = &mut self.worker;
        if catch_unwind(AssertUnwindSafe(|| look_ahead(snapshot, worker, packets))).is_err() {
            // The packet that did it does it again when it is answered, and is looked into then.
            self.renew_worker();
        }
    }

    /// Tells that the packet answered next was looked at ahead in this place.
    #[inline]
    pub(super) fn turn_to(&mut self, place: usize) {
        self.worker.turn_to(place);
    }

    /// Answers one packet into `out` and counts what became of it. A panic of ours costs this answer and no more.
    #[inline]
    pub(super) fn respond(
        &mut self,
        snapshot: &Snapshot,
        packet: &[u8],
        source: SocketAddr,
        now: Moment,
        out: &mut [u8],
    ) -> Reply {
        // The worker may be left half-changed by a panic, so it is made anew then. What leaves the guard is small: a
        // whole outcome would be copied again while it is still on its way to memory.
        match catch_unwind(AssertUnwindSafe(|| self.answer(snapshot, packet, source, now, out))) {
            Ok(reply) => reply,
            Err(_) => self.panicked(packet, source, now, out),
        }
    }

    #[inline]
    fn answer(&mut self, snapshot: &Snapshot, packet: &[u8], source: SocketAddr, now: Moment, out: &mut [u8]) -> Reply {
        let outcome = (self.service.respond)(snapshot, &mut self.worker, packet, source, self.transport, out);
        if let Some(decision) = &outcome.decision {
            self.decisions.follow(snapshot.decisions());
            self.decisions.record(usize::try_from(decision.pair).unwrap_or(usize::MAX), decision.outcome());
        }
        if let Some(choice) = self.worker.take_choice() {
            self.views.count(snapshot, choice, &self.service.metrics);
        }
        if let Some(signature) = outcome.signature {
            self.service.metrics.signed_query(counted(signature));
        }
        if let Some(cookie) = counted_cookie(outcome.cookie) {
            self.counters.cookie(cookie);
        }
        let is_handed_off = outcome.hand_off && self.service.hand_off.is_some();
        // Who answers counts what the answer says.
        if let Some(error) = outcome.extended_error.filter(|_| !is_handed_off) {
            self.counters.extended_error(error.code());
        }
        if let Some(limit) = outcome.limit {
            self.counters.limit_hit(limit);
        }
        if let Some(limited) = outcome.limited {
            self.limited(limited, source, now);
        }
        if is_handed_off {
            return Reply::HandOff;
        }
        if outcome.length == 0 {
            if outcome.limit == Some(Limit::RateLimit) {
                self.dropped(DropReason::RateLimit);
                return Reply::Silence;
            }
            return self.unanswered(outcome.silence);
        }
        self.counters.answered(answered(&outcome));
        Reply::Send(outcome.length)
    }

    /// Lets somebody else answer the query. When too many wait, a SERVFAIL of this length is to be sent instead.
    #[cold]
    pub(super) fn hand_off(
        &mut self,
        packet: &[u8],
        source: SocketAddr,
        replies: Replies,
        out: &mut [u8],
    ) -> Option<usize> {
        let handed_off =
            HandedOff { packet: packet.to_vec(), source, listener: self.listener, idle: self.idle, replies };
        if self.service.hand_off.as_ref()?.of(packet).try_send(handed_off).is_ok() {
            return None;
        }
        self.service.metrics.limit_hit(Limit::HandedOff);
        server_failure(packet, out)
    }

    /// Counts a packet that is dropped before or after answering.
    pub(super) fn dropped(&mut self, reason: DropReason) {
        self.counters.dropped(reason, 1);
    }

    /// Counts a response over its client's rate, and says so now and then.
    #[cold]
    fn limited(&mut self, limited: Limited, source: SocketAddr, now: Moment) {
        self.counters.rate_limited(limited.kind, limited.action);
        self.limited_since_log += 1;
        let is_due = |logged| now.since(logged).as_millis() >= u128::from(RATE_LOG_INTERVAL_MS);
        if limited.action == RateAction::Exempt || !self.rate_logged.is_none_or(is_due) {
            return;
        }
        let (client, kind, action) = (source.ip(), limited.kind.as_str(), limited.action.as_str());
        let responses = std::mem::take(&mut self.limited_since_log);
        self.rate_logged = Some(now);
        warn!(%client, kind, action, responses, "responses over the rate, this client's the last; its address may be forged");
    }

    /// Makes ready for a batch of datagrams.
    pub(super) fn limit_rate(&mut self, snapshot: &Snapshot, now: Moment) {
        self.worker.limit_rate(snapshot, now);
    }

    /// Counts the reason for no reply; without a reason of the packet's own, policy says so.
    fn unanswered(&mut self, silence: Option<Silence>) -> Reply {
        let (reason, reply) = match silence {
            Some(Silence::Runt) => (DropReason::Runt, Reply::Reject),
            Some(Silence::Response) => (DropReason::Response, Reply::Reject),
            Some(Silence::SourcePortZero) => (DropReason::SourcePort, Reply::Reject),
            None => (DropReason::Policy, Reply::Silence),
        };
        self.dropped(reason);
        reply
    }

    /// Answers SERVFAIL where the answer path broke, and leaves the packet in the log so that it can be replayed.
    #[cold]
    fn panicked(&mut self, packet: &[u8], source: SocketAddr, now: Moment, out: &mut [u8]) -> Reply {
        let site = match self.transport {
            Transport::Udp => Site::Udp,
            Transport::Tcp => Site::Tcp,
        };
        self.service.metrics.panicked(site);
        if self.logged.is_none_or(|logged| now.since(logged).as_millis() >= u128::from(PANIC_LOG_INTERVAL_MS)) {
            self.logged = Some(now);
            let packet: String = packet.iter().take(512).map(|octet| format!("{octet:02x}")).collect();
            error!(%source, %packet, "answering this packet panicked; it was given SERVFAIL");
        }
        self.renew_worker();
        match server_failure(packet, out) {
            Some(length) => {
                self.counters.answered(Answered {
                    record_type: None,
                    rcode: Rcode::SERVFAIL,
                    source: Source::None,
                    length,
                    truncated: false,
                });
                Reply::Send(length)
            }
            None => self.unanswered(Some(Silence::Runt)),
        }
    }

    /// Makes the worker anew that a panic may have left half-changed.
    #[cold]
    fn renew_worker(&mut self) {
        self.worker = (self.service.new_worker)();
        self.worker.serve(self.listener);
        self.tell_time();
    }
}

fn answered(outcome: &Outcome) -> Answered {
    Answered {
        record_type: outcome.record_type,
        rcode: outcome.rcode,
        source: match outcome.source {
            AnswerSource::WideIp => Source::WideIp,
            AnswerSource::Zone => Source::Zone,
            AnswerSource::None => Source::None,
        },
        length: outcome.length,
        truncated: outcome.truncated,
    }
}

const fn counted(signature: SignatureOutcome) -> Signature {
    match signature {
        SignatureOutcome::Good => Signature::Good,
        SignatureOutcome::Malformed => Signature::Malformed,
        SignatureOutcome::BadKey => Signature::BadKey,
        SignatureOutcome::BadSignature => Signature::BadSignature,
        SignatureOutcome::BadTime => Signature::BadTime,
        SignatureOutcome::BadTruncation => Signature::BadTruncation,
    }
}

/// What is counted of a cookie; nothing where there is none.
const fn counted_cookie(cookie: CookieOutcome) -> Option<Cookie> {
    match cookie {
        CookieOutcome::None => None,
        CookieOutcome::ClientOnly => Some(Cookie::ClientOnly),
        CookieOutcome::Valid => Some(Cookie::Valid),
        CookieOutcome::Expired => Some(Cookie::Expired),
        CookieOutcome::Invalid => Some(Cookie::Invalid),
    }
}

/// A bare SERVFAIL header for a query: its id, opcode and RD, no sections. None for what must get no reply.
fn server_failure(packet: &[u8], out: &mut [u8]) -> Option<usize> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let [id_high, id_low, flags, ..] = *header;
    if flags & 0x80 != 0 {
        return None;
    }
    let reply = [id_high, id_low, 0x80 | (flags & 0x79), 2, 0, 0, 0, 0, 0, 0, 0, 0];
    out.get_mut(..HEADER)?.copy_from_slice(&reply);
    Some(HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_with_servfail_and_nothing_that_must_stay_silent() {
        let check = |packet: &[u8], expected: Option<&[u8]>| {
            let mut out = [0xff; 64];
            let length = server_failure(packet, &mut out);
            assert_eq!(length.map(|length| &out[..length]), expected, "{packet:02x?}");
        };
        check(&[1, 2, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 7], Some(&[1, 2, 0x81, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
        check(&[1, 2, 0x7f, 0xff, 0, 1, 0, 0, 0, 0, 0, 1], Some(&[1, 2, 0xf9, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
        check(&[1, 2, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 1], None);
        check(&[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0], None);
        check(&[], None);
    }
}
