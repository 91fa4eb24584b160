//! The secondary zones of this node: a task for each, and who may notify it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::context::Context;
use super::keeper::Keeper;
use super::requests::Request;
use super::secondary::{NewZone, Secondary};
use super::store::{Stored, ZoneStore};
use crate::answer::{CatalogConsumer, CatalogRole, Peer, Primary, Snapshot, ZoneTransfer};
use crate::metrics::NotifyResult;
use crate::wire::Rcode;
use crate::zone::ZoneId;

/// The tasks of secondary zones.
pub(super) struct Primaries {
    context: Context,
    /// Where new versions go, and where they are kept.
    versions: mpsc::Sender<NewZone>,
    store: ZoneStore,
    /// What was put to use before the tasks began.
    restored: HashMap<ZoneId, Stored>,
    running: HashMap<ZoneId, Running>,
    /// The serials of catalogs that are made here, as they were kept last.
    produced: HashMap<ZoneId, u32>,
    /// How many may ask at once.
    quota: Arc<Semaphore>,
    quota_size: usize,
}

/// The task of one secondary zone.
struct Running {
    primary: Primary,
    catalog: Option<Arc<CatalogConsumer>>,
    keeper: Keeper,
    bell: mpsc::Sender<Option<u32>>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Primaries {
    pub(super) fn new(
        context: Context,
        versions: mpsc::Sender<NewZone>,
        store: ZoneStore,
        restored: HashMap<ZoneId, Stored>,
    ) -> Self {
        let (quota, running, produced) = (Arc::new(Semaphore::new(0)), HashMap::new(), HashMap::new());
        Self { context, versions, store, restored, running, produced, quota, quota_size: 0 }
    }

    /// Runs a task for each secondary zone, anew where its settings changed. What is kept of a zone goes with the
    /// catalog that brought it (RFC 9432 §5.3).
    pub(super) async fn follow(&mut self, snapshot: &Snapshot) {
        self.resize(snapshot.transfers().limits.inbound);
        let (mut before, mut over) = (std::mem::take(&mut self.running), Vec::new());
        let mut wanted = Vec::new();
        for (id, policy) in snapshot.transfers().iter() {
            let Some(primary) = &policy.primary else { continue };
            let catalog = consumer(policy);
            match before.remove(id) {
                Some(running) if running.primary == *primary && running.catalog.as_ref() == catalog => {
                    self.running.insert(id.clone(), running);
                    continue;
                }
                // RFC 9432 §5.4: another label means another zone of the same name.
                Some(running) if label(&running.primary) != label(primary) => over.push(running),
                _ => {}
            }
            wanted.push((id, primary, catalog));
        }
        over.extend(before.into_values().filter(|running| running.primary.member.is_some()));
        forget(over).await;
        for (id, primary, catalog) in wanted {
            let running = self.start(id, primary, catalog, snapshot.seed());
            self.running.insert(id.clone(), running);
        }
        self.keep_produced(snapshot).await;
        let transfers = snapshot.transfers();
        self.context.states.retain(
            |zone| transfers.get(zone).is_some_and(|policy| policy.primary.is_some()),
            |zone, secondary| {
                let told = transfers.get(zone).map(|policy| &policy.notify[..]).unwrap_or_default();
                told.iter().any(|peer| peer.address.ip() == secondary)
            },
        );
    }

    /// Keeps the catalogs that are made here, so that their serials grow over restarts.
    async fn keep_produced(&mut self, snapshot: &Snapshot) {
        for (id, policy) in snapshot.transfers().iter() {
            let is_produced = matches!(policy.catalog, Some(CatalogRole::Produced(_)));
            let Some(zone) = snapshot.zone(id).filter(|_| is_produced) else { continue };
            let serial = zone.soa().serial;
            if self.produced.insert(id.clone(), serial) == Some(serial) {
                continue;
            }
            let (store, zone, view, now) = (self.store.clone(), Arc::clone(zone), id.view.clone(), self.context.now());
            let saved = tokio::task::spawn_blocking(move || store.save(&view, &zone, now, None)).await;
            if let Err(error) = saved.unwrap_or_else(|error| Err(error.to_string())) {
                warn!(zone = %id, %error, "a catalog is in use, but a restart would number it anew");
            }
        }
    }

    fn start(&mut self, id: &ZoneId, primary: &Primary, catalog: Option<&Arc<CatalogConsumer>>, seed: u64) -> Running {
        let (bell, rung) = mpsc::channel(1);
        let keeper = Keeper::new(self.store.clone(), id.clone(), primary.member.clone());
        let catalog = catalog.cloned();
        let secondary = Secondary {
            context: self.context.clone(),
            store: self.store.clone(),
            keeper: keeper.clone(),
            id: id.clone(),
            primary: primary.clone(),
            catalog: catalog.clone(),
            versions: self.versions.clone(),
            bell: rung,
            quota: Arc::clone(&self.quota),
            seed,
        };
        let served = self.restored.remove(id);
        let task = tokio::spawn(secondary.run(served)).abort_handle();
        Running { primary: primary.clone(), catalog, keeper, bell, task }
    }

    /// Lets as many ask at once; those under way go on.
    fn resize(&mut self, size: usize) {
        if size > self.quota_size {
            self.quota.add_permits(size - self.quota_size);
            self.quota_size = size;
        } else {
            self.quota_size -= self.quota.forget_permits(self.quota_size - size);
        }
    }

    /// Takes a notification from a primary (RFC 1996 §3.11), and from nobody else.
    pub(super) fn notified(&self, snapshot: &Snapshot, request: &Request, source: SocketAddr) -> Rcode {
        let running = self.running.get(&request.zone);
        let is_primary = |peer: &Peer| {
            let is_signed = peer.key.as_ref().is_none_or(|key| request.key_name() == Some(key));
            peer.address.ip() == source.ip().to_canonical() && is_signed
        };
        match running {
            Some(running) if running.primary.servers.iter().any(is_primary) => {
                // A bell that rings already is enough.
                let _ = running.bell.try_send(request.serial());
                self.context.metrics.notified_by(NotifyResult::Acknowledged);
                Rcode::NOERROR
            }
            _ => {
                self.context.metrics.notified_by(NotifyResult::Refused);
                info!(zone = %request.zone, %source, "a notification was refused: it comes from no configured primary");
                if snapshot.zone(&request.zone).is_some() { Rcode::REFUSED } else { Rcode::NOTAUTH }
            }
        }
    }
}

/// How members of the zone become zones, when it is a catalog from elsewhere.
fn consumer(policy: &ZoneTransfer) -> Option<&Arc<CatalogConsumer>> {
    match &policy.catalog {
        Some(CatalogRole::Consumed(consumer)) => Some(consumer),
        _ => None,
    }
}

/// The label under which a catalog lists a zone.
fn label(primary: &Primary) -> Option<&[u8]> {
    primary.member.as_ref().map(|member| &*member.label)
}

/// Removes what is kept of zones that are over.
async fn forget(over: Vec<Running>) {
    let forget = move || {
        for running in over {
            if let Err(error) = running.keeper.forget() {
                warn!(%error, "what was kept of a zone that a catalog removed is still there");
            }
        }
    };
    if let Err(error) = tokio::task::spawn_blocking(forget).await {
        warn!(%error, "what was kept of zones that a catalog removed is still there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::ZoneTransfer;
    use crate::listener::{HandedOff, Replies};
    use crate::transfer::message::request;
    use crate::transfer::testing::*;
    use crate::wire::{Keys, Opcode, RecordType};

    #[tokio::test]
    async fn only_configured_primaries_may_notify() {
        let (_listener, address) = listener();
        let policy = ZoneTransfer { primary: Some(primary(address)), ..ZoneTransfer::default() };
        let context = context(&[], policy, Keys::default());
        let folder = tempfile::tempdir().unwrap();
        let (versions, _) = mpsc::channel(1);
        let store = ZoneStore::new(folder.path());
        let mut primaries = Primaries::new(context.clone(), versions, store, HashMap::new());
        let snapshot = context.snapshot.load_full();
        primaries.follow(&snapshot).await;
        let notify = |zone: &str, source: &str| {
            let packet = request(1, Opcode::NOTIFY, name(zone).as_wire(), RecordType::SOA, None);
            let (source, listener) = (source.parse().unwrap(), "127.0.0.1:53".parse().unwrap());
            let handed_off =
                HandedOff { packet, source, listener, idle: None, replies: Replies::Datagram(Box::new(|_| {})) };
            let (request, _) = Request::read(handed_off, &snapshot, NOW).unwrap();
            primaries.notified(&snapshot, &request, source)
        };
        assert_eq!(notify("example.", "127.0.0.1:4242"), Rcode::NOERROR, "from any port");
        assert_eq!(notify("EXAMPLE.", "[::ffff:127.0.0.1]:53"), Rcode::NOERROR);
        assert_eq!(notify("example.", "127.0.0.2:53"), Rcode::NOTAUTH);
        assert_eq!(notify("www.example.", "127.0.0.1:53"), Rcode::NOTAUTH);
        assert_eq!(metric(&context, "fairlead_notifies_total{direction=\"in\",result=\"acknowledged\"}"), 2);
        assert_eq!(metric(&context, "fairlead_notifies_total{direction=\"in\",result=\"refused\"}"), 2);
    }
}
