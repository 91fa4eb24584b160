//! Takes what the listener hands off: judges who asks, then answers or starts a transfer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::context::Context;
use super::history::Histories;
use super::notify::Notifier;
use super::outbound::{Content, Outbound};
use super::primaries::Primaries;
use super::requests::Request;
use super::secondary::NewZone;
use super::steered;
use super::store::{Stored, ZoneStore};
use crate::answer::{ExtendedError, Snapshot, TransferWideIps, ZoneTransfer};
use crate::journal::Journal;
use crate::listener::{HandedOff, Replies};
use crate::metrics::{Limit, Protocol, Site, TransferKind, TransferResult};
use crate::wideip::Tables;
use crate::wire::{Opcode, Rcode, RecordType};
use crate::zone::{Zone, ZoneId, is_newer};

/// What is given to whom, with a place among the transfers under way; or the code that is answered, what explains it,
/// and what is counted.
type Judged<'s> = Result<(Arc<Zone>, &'s ZoneTransfer, Arc<()>), (Rcode, Option<ExtendedError>, TransferResult)>;

/// The serving side.
pub struct Server {
    context: Context,
    histories: Arc<Histories>,
    notifier: Notifier,
    primaries: Primaries,
    /// Transfers to other servers under way.
    under_way: Arc<()>,
    /// The zones and settings that were followed last.
    followed: Option<Snapshot>,
}

impl Server {
    /// A server that sends new versions of secondary zones to `versions` and keeps them in `store`; those that are
    /// served already are in `restored`.
    pub fn new(
        context: Context,
        versions: mpsc::Sender<NewZone>,
        store: ZoneStore,
        restored: HashMap<ZoneId, Stored>,
    ) -> Self {
        let histories = Arc::new(Histories::default());
        let notifier = Notifier::new(context.clone());
        let primaries = Primaries::new(context.clone(), versions, store, restored);
        Self { context, histories, notifier, primaries, under_way: Arc::new(()), followed: None }
    }

    /// Takes over from the journal what changed before a restart, so that secondaries that had the version before it get
    /// changes still.
    pub fn remember(&self, journal: &Journal) {
        let snapshot = self.context.snapshot.load_full();
        let limits = snapshot.transfers().limits.history;
        for (id, zone) in snapshot.zones() {
            if let Some(kept) = journal.kept(&id) {
                self.histories.restore(id, zone, kept.changes.iter().map(|kept| Arc::clone(&kept.change)), limits);
            }
        }
    }

    /// Serves `requests` and follows `published`, the generations of snapshots with other zones, until `drain` is ready.
    ///
    /// # Errors
    /// The other ends of its channels are gone.
    pub async fn run(
        &mut self,
        requests: &mut mpsc::Receiver<HandedOff>,
        published: &mut watch::Receiver<u64>,
        drain: impl Future<Output = ()> + Send,
    ) -> Result<(), String> {
        let mut drain = std::pin::pin!(drain);
        let metrics = Arc::clone(&self.context.metrics);
        let _ = metrics.survive(Site::Task, self.follow()).await; // The next version is followed anew.
        loop {
            let done = tokio::select! {
                () = &mut drain => return Ok(()),
                request = requests.recv() => match request {
                    Some(request) => metrics.survive(Site::Task, async { self.handle(request) }).await,
                    None => return Err("nobody is left to hand queries off".into()),
                },
                changed = published.changed() => match changed {
                    Ok(()) => metrics.survive(Site::Task, self.follow()).await,
                    Err(_) => return Err("the publisher is gone".into()),
                },
            };
            if done.is_none() {
                error!("a request or a new version panicked; it is lost, and the others are served");
            }
        }
    }

    /// Takes note of the snapshot in use: what changed is kept for IXFR, then secondaries are told.
    async fn follow(&mut self) {
        let snapshot = self.context.snapshot.load_full();
        // Most snapshots differ in the health of wide IPs only.
        if self.followed.as_ref().is_some_and(|followed| followed.has_same_zones(&snapshot)) {
            return;
        }
        self.followed = Some(snapshot.with_wide_ips(snapshot.generation, Tables::empty(snapshot.seed())));
        let (histories, followed) = (Arc::clone(&self.histories), Arc::clone(&snapshot));
        // Comparing large zones takes a while.
        if let Err(error) = tokio::task::spawn_blocking(move || histories.follow(&followed)).await {
            warn!(%error, "what changed could not be worked out: secondaries get whole zones");
        }
        self.notifier.follow(&snapshot);
        self.primaries.follow(&snapshot).await;
    }

    fn handle(&mut self, handed_off: HandedOff) {
        let (snapshot, source) = (self.context.snapshot.load_full(), handed_off.source);
        let Some((request, replies)) = Request::read(handed_off, &snapshot, self.context.now()) else { return };
        if !request.has_view {
            return reply(&self.context, &request, replies, Rcode::REFUSED, Some(ExtendedError::Prohibited));
        }
        match (request.query.opcode, request.query.record_type) {
            (Opcode::QUERY, RecordType::AXFR) => {
                self.transfer(&snapshot, request, source, replies, TransferKind::Axfr);
            }
            (Opcode::QUERY, RecordType::IXFR) => {
                self.transfer(&snapshot, request, source, replies, TransferKind::Ixfr);
            }
            (Opcode::NOTIFY, _) => {
                let rcode = self.primaries.notified(&snapshot, &request, source);
                let explanation = match rcode {
                    Rcode::REFUSED => Some(ExtendedError::Prohibited),
                    Rcode::NOTAUTH => Some(ExtendedError::NotAuthoritative),
                    _ => None,
                };
                reply(&self.context, &request, replies, rcode, explanation);
            }
            _ => reply(&self.context, &request, replies, Rcode::NOTIMP, Some(ExtendedError::NotSupported)),
        }
    }

    /// Judges a request for a zone, then sends it from a thread that may wait.
    fn transfer(
        &self,
        snapshot: &Arc<Snapshot>,
        request: Request,
        source: std::net::SocketAddr,
        replies: Replies,
        kind: TransferKind,
    ) {
        let zone = snapshot.zone(&request.zone).cloned();
        let policy = snapshot.transfers().get(&request.zone);
        let (zone, policy, permit) = match self.judge(snapshot, &request, source, zone, policy) {
            Ok(judged) => judged,
            Err((rcode, explanation, result)) => {
                self.context.metrics.transferred_out(kind, result);
                if result == TransferResult::Refused {
                    let key = request.key_name().map(ToString::to_string).unwrap_or_default();
                    info!(zone = %request.zone, %source, key, "a zone transfer was refused");
                }
                return reply(&self.context, &request, replies, rcode, explanation);
            }
        };
        let content = self.content(snapshot, &request, &zone, policy, &replies, kind);
        let context = self.context.clone();
        let is_secondary = policy.notify.iter().any(|peer| peer.address.ip() == source.ip());
        // The runtime waits for nobody's slow reader: the thread ends with the connection.
        tokio::task::spawn_blocking(move || {
            send(&context, &request, source, zone, &content, replies, kind, is_secondary, permit)
        });
    }

    /// Who may have the zone, before what it costs.
    fn judge<'s>(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        source: std::net::SocketAddr,
        zone: Option<Arc<Zone>>,
        policy: Option<&'s ZoneTransfer>,
    ) -> Judged<'s> {
        // RFC 5936 §2.2.1.
        let not_ours = (Rcode::NOTAUTH, Some(ExtendedError::NotAuthoritative), TransferResult::NoZone);
        let zone = zone.ok_or(not_ours)?;
        let policy = policy.filter(|policy| policy.allows(source.ip(), request.key_name()));
        let refused = (Rcode::REFUSED, Some(ExtendedError::Prohibited), TransferResult::Refused);
        let policy = policy.ok_or(refused)?;
        if zone.records() == 0 {
            return Err((Rcode::SERVFAIL, Some(ExtendedError::of_empty(&zone)), TransferResult::NoZone));
        }
        // One of them is ours.
        if Arc::strong_count(&self.under_way) > snapshot.transfers().limits.outbound {
            self.context.metrics.limit_hit(Limit::Transfers);
            return Err((Rcode::SERVFAIL, None, TransferResult::Quota));
        }
        Ok((zone, policy, Arc::clone(&self.under_way)))
    }

    /// What is sent: for IXFR the changes where they are known, for AXFR the zone.
    fn content(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        zone: &Zone,
        policy: &ZoneTransfer,
        replies: &Replies,
        kind: TransferKind,
    ) -> Content {
        let steered = match policy.wide_ips {
            TransferWideIps::Omit => steered::Steered::new(),
            TransferWideIps::Members => steered::members(snapshot, &request.zone),
        };
        let serial = (kind == TransferKind::Ixfr).then(|| request.serial()).flatten();
        let Some(serial) = serial else { return Content::Whole(steered) };
        if matches!(replies, Replies::Datagram(_)) || !is_newer(zone.soa().serial, serial) {
            return Content::Soa;
        }
        // Members change without the zone, so its changes alone would not tell them.
        match self.histories.since(&request.zone, zone, serial).filter(|_| steered.is_empty()) {
            Some(changes) => Content::Changes(changes),
            None => Content::Whole(steered),
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "each is one part of one transfer, and there is one caller")]
fn send(
    context: &Context,
    request: &Request,
    source: std::net::SocketAddr,
    zone: Arc<Zone>,
    content: &Content,
    replies: Replies,
    kind: TransferKind,
    is_secondary: bool,
    permit: Arc<()>,
) {
    let (serial, id) = (zone.soa().serial, &request.zone);
    let stream = match replies {
        Replies::Stream(stream) => stream,
        Replies::Datagram(_) => {
            context.metrics.transferred_out(kind, TransferResult::UpToDate);
            return datagram(context, request, &zone, replies);
        }
    };
    let outbound = Outbound::new(request, zone, stream, context.now());
    let result = match (outbound.run(content), content) {
        (Ok(_), Content::Soa) => TransferResult::UpToDate,
        (Ok(records), _) => {
            info!(zone = %id, serial, to = %source, records, kind = kind.as_str(), "sent a zone");
            if is_secondary {
                context.saw(id, source.ip(), serial);
            }
            TransferResult::Done
        }
        (Err(_), _) => {
            warn!(zone = %id, serial, to = %source, "a zone transfer was cut off: the client left or did not read");
            TransferResult::Failed
        }
    };
    context.metrics.transferred_out(kind, result);
    drop(permit);
}

/// Answers IXFR by datagram with the SOA (RFC 1995 §2): the client sees whether to come over TCP.
fn datagram(context: &Context, request: &Request, zone: &Zone, replies: Replies) {
    let mut writer = request.short_writer();
    writer.add(&request.expire(zone, context.now()));
    if let Some(soa) = zone.soa_record() {
        let owner = soa.name.as_wire();
        writer.record(owner, owner.len(), soa.record_type, soa.ttl, &soa.rdata);
    }
    if let Some(message) = writer.finish(Rcode::NOERROR, true, context.now()) {
        replies.send(message);
    }
}

/// Answers a request that changes a zone with a code, and with the reason where there is one to give.
pub fn answer(
    context: &Context,
    request: &Request,
    replies: Replies,
    rcode: Rcode,
    explanation: Option<(ExtendedError, &str)>,
) {
    finish(context, request, replies, (rcode, false), explanation);
}

/// Answers with a code alone, and what explains it.
fn reply(context: &Context, request: &Request, replies: Replies, rcode: Rcode, explanation: Option<ExtendedError>) {
    let explanation = explanation.map(|error| (error, error.text()));
    finish(context, request, replies, (rcode, rcode == Rcode::NOERROR), explanation);
}

fn finish(
    context: &Context,
    request: &Request,
    replies: Replies,
    (rcode, is_authoritative): (Rcode, bool),
    explanation: Option<(ExtendedError, &str)>,
) {
    let mut writer = request.short_writer();
    let options = request.explained(explanation);
    if let Some((code, _)) = options.extended_error.filter(|_| writer.add(&options)) {
        let protocol = match &replies {
            Replies::Datagram(_) => Protocol::Udp,
            Replies::Stream(_) => Protocol::Tcp,
        };
        context.metrics.extended_error(protocol, code);
    }
    if let Some(message) = writer.finish(rcode, is_authoritative, context.now()) {
        replies.send(message);
    }
}
