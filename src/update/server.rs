//! Takes what the listener hands off: judges who asks, reads the message, and passes on what is to be done.

use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::mpsc;
use tracing::{debug, error, info};

use super::forward::Forwarder;
use super::message::{Refusal, Update};
use super::states::UpdateStates;
use crate::answer::{ExtendedError, Snapshot};
use crate::listener::{HandedOff, Replies};
use crate::metrics::{Limit, Site, UpdateResult};
use crate::transfer::{Context, Request, answer};
use crate::wire::{Class, Name, Rcode, RecordType};
use crate::zone::ZoneId;

/// An update that its sender may ask for, on its way to the writer.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) update: Update,
    pub(super) source: SocketAddr,
    pub(super) replies: Replies,
}

/// The receiving side.
pub struct Server {
    context: Context,
    states: UpdateStates,
    jobs: mpsc::Sender<Job>,
    forwarder: Forwarder,
}

/// What becomes of a request.
enum Verdict {
    /// It is to be carried out.
    Do(Update),
    /// The zone's primary is to carry it out.
    Forward,
}

impl Server {
    pub(super) fn new(context: Context, states: UpdateStates, jobs: mpsc::Sender<Job>) -> Self {
        let forwarder = Forwarder::new(context.clone(), states.clone());
        Self { context, states, jobs, forwarder }
    }

    /// Serves `requests` until `drain` is ready.
    ///
    /// # Errors
    /// The other end of a channel is gone.
    pub async fn run(
        &self,
        requests: &mut mpsc::Receiver<HandedOff>,
        drain: impl Future<Output = ()> + Send,
    ) -> Result<(), String> {
        let mut drain = std::pin::pin!(drain);
        loop {
            tokio::select! {
                () = &mut drain => return Ok(()),
                request = requests.recv() => match request {
                    Some(request) => {
                        let handled = self.context.metrics.survive(Site::Task, async { self.handle(request) }).await;
                        match handled {
                            Some(outcome) => outcome?,
                            None => error!("an update panicked; it is lost, and the others are served"),
                        }
                    }
                    None => return Err("nobody is left to hand updates off".into()),
                },
            }
        }
    }

    pub(super) fn handle(&self, handed_off: HandedOff) -> Result<(), String> {
        let (snapshot, source) = (self.context.snapshot.load_full(), handed_off.source);
        let Some((request, replies)) = Request::read(handed_off, &snapshot, self.context.now()) else { return Ok(()) };
        let update = match judge(&snapshot, &request, source) {
            Ok(Verdict::Do(update)) => update,
            Ok(Verdict::Forward) => {
                self.forwarder.pass_on(&snapshot, request, source, replies);
                return Ok(());
            }
            Err(refusal) => {
                refuse(&self.context, &self.states, &request, source, replies, &refusal);
                return Ok(());
            }
        };
        if self.jobs.max_capacity() - self.jobs.capacity() >= snapshot.limits().updates {
            // SERVFAIL and not REFUSED: another time it may be done, which REFUSED would deny.
            self.context.metrics.limit_hit(Limit::Updates);
            self.states.count(&self.context, &request, source, UpdateResult::Limit);
            answer(&self.context, &request, replies, Rcode::SERVFAIL, None);
            return Ok(());
        }
        let sent = self.jobs.try_send(Job { request, update, source, replies });
        sent.map_err(|_| "nobody is left to carry updates out".into())
    }
}

/// Who may ask what: RFC 2136 §3.1, then permission as far as the message alone tells.
fn judge(snapshot: &Snapshot, request: &Request, source: SocketAddr) -> Result<Verdict, Refusal> {
    let id: &ZoneId = request.zone();
    if !request.has_view() {
        return Err(Refusal::new(Rcode::REFUSED, "no view takes the sender"));
    }
    if request.query().record_type != RecordType::SOA {
        return Err(Refusal::new(Rcode::FORMERR, "the zone section is not of type SOA"));
    }
    if request.query().class != Class::IN {
        return Err(Refusal::new(Rcode::NOTAUTH, "the zone is of another class than IN"));
    }
    let zone = snapshot.zone(id).ok_or_else(|| Refusal::new(Rcode::NOTAUTH, "there is no such zone"))?;
    let policy = snapshot.transfers().get(id);
    if let Some(policy) = policy.filter(|policy| policy.primary.is_some()) {
        return match policy.updates.forward {
            true => Ok(Verdict::Forward),
            false => Err(Refusal::new(Rcode::NOTAUTH, "the zone is updated at its primary")),
        };
    }
    let key: Option<&Name> = request.key_name();
    if !policy.is_some_and(|policy| policy.updates.knows(source.ip(), key)) {
        return Err(Refusal::new(Rcode::REFUSED, "no rule of the zone lets the sender change anything"));
    }
    Update::read(request.packet(), request.query(), zone.apex()).map(Verdict::Do)
}

/// Answers an update that is not carried out, and says why where operators look.
pub(super) fn refuse(
    context: &Context,
    states: &UpdateStates,
    request: &Request,
    source: SocketAddr,
    replies: Replies,
    refusal: &Refusal,
) {
    let result = UpdateResult::of(refusal.rcode);
    states.count(context, request, source, result);
    let key = request.key_name().map(ToString::to_string).unwrap_or_default();
    let (zone, rcode, reason) = (request.zone(), refusal.rcode, &refusal.reason);
    match result {
        // What clients ask in order to find out is no event.
        UpdateResult::Prerequisite => debug!(%zone, %source, key, %rcode, %reason, "an update was not carried out"),
        _ => info!(%zone, %source, key, %rcode, %reason, "an update was refused"),
    }
    let explanation = match refusal.rcode {
        Rcode::REFUSED => Some(ExtendedError::Prohibited),
        Rcode::NOTAUTH => Some(ExtendedError::NotAuthoritative),
        _ => None,
    };
    answer(context, request, replies, refusal.rcode, explanation.map(|error| (error, &*refusal.reason)));
}
