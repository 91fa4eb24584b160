//! The secondary role of one zone: when to look at the primaries, what to serve meanwhile, when to give up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::client::{Client, FetchError, Fetched};
use super::context::Context;
use super::keeper::Keeper;
use super::store::{Stored, ZoneStore};
use super::timetable::{Confirmed, Failure, Timetable};
use crate::answer::{CatalogConsumer, Membership, Peer, Primary};
use crate::catalog::{self, Broken};
use crate::metrics::{Limit, TransferKind, TransferResult};
use crate::zone::{Zone, ZoneId, is_newer};

/// Between two looks, however many notifications come.
const LOOKS_APART: Duration = Duration::from_millis(200);

/// Longer than any look takes.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// A change of what is served, for the publisher.
#[derive(Debug, Clone)]
pub struct NewZone {
    /// Which zone.
    pub id: ZoneId,
    /// The catalog that brought the zone; one that a catalog has let go of meanwhile is not served.
    pub member: Option<Membership>,
    /// Its version; none when the last one expired.
    pub zone: Option<Arc<Zone>>,
}

/// The task of one secondary zone.
pub(super) struct Secondary {
    pub(super) context: Context,
    pub(super) store: ZoneStore,
    pub(super) keeper: Keeper,
    pub(super) id: ZoneId,
    pub(super) primary: Primary,
    /// How members become zones, when the zone is a catalog.
    pub(super) catalog: Option<Arc<CatalogConsumer>>,
    /// Where new versions go.
    pub(super) versions: mpsc::Sender<NewZone>,
    /// Rings when a primary notifies, with the serial it told.
    pub(super) bell: mpsc::Receiver<Option<u32>>,
    /// How many zones may be asked for at once.
    pub(super) quota: Arc<Semaphore>,
    pub(super) seed: u64,
}

impl Secondary {
    /// Keeps the zone current for as long as it is configured. `served` is the version that was put to use at the
    /// start.
    pub(super) async fn run(mut self, served: Option<Stored>) {
        let mut times = Timetable::new(Instant::now());
        let mut version = self.take_over(served, &mut times).await;
        loop {
            if times.next() <= Instant::now() {
                self.look(&mut version, &mut times).await;
            }
            if times.expire(Instant::now()) {
                // RFC 1035 §4.3.5: what was not confirmed for that long is not served any more.
                let serial = version.take().map_or(0, |zone| zone.soa().serial);
                warn!(zone = %self.id, serial, "a secondary zone expired: its primaries were not reached in time");
                self.serve(None).await;
            }
            self.show(&times);
            let looked = Instant::now();
            tokio::select! {
                () = sleep_until(times.due()) => {}
                rung = self.bell.recv() => match rung {
                    None => return,
                    // What is told is not newer: it is told again, or late.
                    Some(told) if told.is_some_and(|told| is_known(version.as_ref(), told)) => {}
                    Some(_) => {
                        sleep_until(looked + LOOKS_APART).await;
                        self.look(&mut version, &mut times).await;
                    }
                },
            }
        }
    }

    /// The version that was put to use at the start, else the one that is kept from an earlier time.
    async fn take_over(&self, served: Option<Stored>, times: &mut Timetable) -> Option<Arc<Zone>> {
        let is_served = served.is_some();
        let stored = match served {
            Some(stored) => stored,
            None => self.kept().await?,
        };
        // What is kept under another label was another zone of that name.
        let label = |member: &Option<Membership>| member.as_ref().map(|member| Arc::clone(&member.label));
        if self.primary.member.is_some() && label(&stored.member) != label(&self.primary.member) {
            return None;
        }
        let left = Duration::from_secs(stored.expires.saturating_sub(self.context.now()));
        if !times.take_over(Instant::now(), left, stored.zone.soa()) {
            return None;
        }
        self.context.states.inbound(&self.id, |state| state.last_success = Some(stored.refreshed));
        let zone = stored.served(self.context.now())?;
        if !is_served {
            self.serve(Some(&zone)).await;
        }
        Some(zone)
    }

    async fn kept(&self) -> Option<Stored> {
        let (store, id, seed) = (self.store.clone(), self.id.clone(), self.seed);
        let stored = tokio::task::spawn_blocking(move || store.load(&id, seed)).await.ok()?;
        stored.unwrap_or_else(|error| {
            warn!(zone = %self.id, %error, "the kept version of a secondary zone cannot be used");
            None
        })
    }

    /// Asks the primaries in their order until one has something to say.
    async fn look(&self, version: &mut Option<Arc<Zone>>, times: &mut Timetable) {
        let Some(_turn) = self.turn().await else { return };
        let mut failure = Failure::Unreached;
        for server in &self.primary.servers {
            // Whatever is under way, an expired version is not served; without it, all is asked for anew.
            let expires = times.expires().unwrap_or_else(|| Instant::now() + NEVER);
            let Ok(fetched) = timeout_at(expires, self.fetch(version.as_ref(), server)).await else { return };
            let error = match fetched {
                Ok(fetched) => {
                    self.take(fetched, server, version, times).await;
                    return;
                }
                Err(error) => error,
            };
            let (reason, primary) = (error.reason(), server.address);
            warn!(zone = %self.id, %primary, reason, "a primary gave no zone");
            let shown = (self.context.now(), format!("{primary}: {reason}"));
            self.context.states.inbound(&self.id, |state| state.last_error = Some(shown));
            if !matches!(error, FetchError::Unreached(_)) {
                failure = Failure::Refused;
            }
        }
        times.failed(Instant::now(), failure, draw());
    }

    /// Waits until it may ask.
    async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if let Ok(turn) = self.quota.try_acquire() {
            return Some(turn);
        }
        self.context.metrics.limit_hit(Limit::TransfersIn);
        self.quota.acquire().await.ok()
    }

    /// Puts what a primary gave to use.
    async fn take(&self, fetched: Fetched, server: &Peer, version: &mut Option<Arc<Zone>>, times: &mut Timetable) {
        match fetched {
            Fetched::UpToDate { expire } => {
                if let Some(zone) = version {
                    *zone = self.confirmed(zone, Confirmed::Same(expire), times);
                    self.serve(Some(zone)).await;
                    self.keep(zone, false).await;
                }
            }
            Fetched::Zone { zone, records, expire } => {
                let (zone, primary) = (self.confirmed(&zone, Confirmed::New(expire), times), server.address);
                let serial = zone.soa().serial;
                info!(zone = %self.id, serial, records, %primary, "took over a version of a zone");
                // First in answers: a version that is lost with this process comes again from the primary.
                self.serve(Some(&zone)).await;
                self.keep(&zone, true).await;
                *version = Some(zone);
            }
        }
        let now = self.context.now();
        self.context.states.inbound(&self.id, |state| {
            (state.last_success, state.primary, state.last_error) = (Some(now), Some(server.address), None);
        });
    }

    /// Changes where they are to be had, else the whole.
    async fn fetch(&self, old: Option<&Arc<Zone>>, server: &Peer) -> Result<Fetched, FetchError> {
        let snapshot = self.context.snapshot.load_full();
        let key = match &server.key {
            Some(name) => {
                let key = snapshot.keys().get(name).cloned();
                Some(key.ok_or_else(|| FetchError::Unreached(format!("the key {name} is configured no more")))?)
            }
            None => None,
        };
        let (limits, seed) = (self.primary.limits, self.seed);
        let (unix_seconds, sizes) = (&*self.context.unix_seconds, snapshot.limits().sizes);
        let client = Client { unix_seconds, apex: &self.id.apex, key, limits, sizes, seed };
        let first = if old.is_some() { TransferKind::Ixfr } else { TransferKind::Axfr };
        let mut fetched = client.fetch(server.address, old, first).await;
        self.count(first, &fetched);
        if let Err(FetchError::NoChanges(reason)) = &fetched {
            info!(zone = %self.id, %reason, "changes of a zone were not to be had; asking for all of it");
            fetched = client.fetch(server.address, old, TransferKind::Axfr).await;
            self.count(TransferKind::Axfr, &fetched);
        }
        self.unbroken(fetched?)
    }

    /// Takes no catalog that breaks a rule, so that the members of the last version stay (RFC 9432 §5.1).
    fn unbroken(&self, fetched: Fetched) -> Result<Fetched, FetchError> {
        if let (Fetched::Zone { zone, .. }, Some(consumer)) = (&fetched, &self.catalog) {
            catalog::read(zone, consumer.members_max).map_err(|broken| match broken {
                Broken::TooMany(_) => {
                    self.context.metrics.limit_hit(Limit::CatalogMembers);
                    FetchError::Limit(Limit::CatalogMembers, broken.to_string())
                }
                _ => FetchError::Refused(broken.to_string()),
            })?;
        }
        Ok(fetched)
    }

    fn count(&self, kind: TransferKind, fetched: &Result<Fetched, FetchError>) {
        let metrics = &self.context.metrics;
        if let Err(FetchError::Limit(limit, _)) = fetched {
            metrics.limit_hit(*limit);
        }
        metrics.transferred_in(
            kind,
            match fetched {
                Ok(Fetched::UpToDate { .. }) => TransferResult::UpToDate,
                Ok(Fetched::Zone { .. }) => TransferResult::Done,
                Err(_) => TransferResult::Failed,
            },
        );
    }

    /// The version as it may be served when a primary has said just now that it is current.
    fn confirmed(&self, zone: &Zone, confirmed: Confirmed, times: &mut Timetable) -> Arc<Zone> {
        let now = Instant::now();
        times.confirmed(now, zone.soa(), confirmed, draw());
        let left = times.expires().map_or(Duration::ZERO, |expires| expires.saturating_duration_since(now));
        Arc::new(zone.expiring_at(self.context.now() + left.as_secs()))
    }

    async fn serve(&self, zone: Option<&Arc<Zone>>) {
        let new = NewZone { id: self.id.clone(), member: self.primary.member.clone(), zone: zone.cloned() };
        // A publisher that is gone means that the process ends.
        let _ = self.versions.send(new).await;
    }

    /// Keeps the version, or that it is current, on disk.
    async fn keep(&self, zone: &Arc<Zone>, is_new: bool) {
        let (keeper, zone, now) = (self.keeper.clone(), Arc::clone(zone), self.context.now());
        let save = move || if is_new { keeper.save(&zone, now) } else { keeper.refreshed(&zone, now) };
        let kept = tokio::task::spawn_blocking(save).await.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(error) = kept {
            warn!(zone = %self.id, %error, "a secondary zone is in use, but a restart would not have it");
        }
    }

    /// Shows what will be done when.
    fn show(&self, times: &Timetable) {
        let (now, unix) = (Instant::now(), self.context.now());
        let at = |time: Instant| unix + time.saturating_duration_since(now).as_secs();
        self.context.states.inbound(&self.id, |state| {
            (state.next_refresh, state.expires) = (Some(at(times.next())), times.expires().map(at));
        });
    }
}

/// Whether a version is not newer than the one in use.
fn is_known(version: Option<&Arc<Zone>>, serial: u32) -> bool {
    version.is_some_and(|zone| !is_newer(serial, zone.soa().serial))
}

/// Any number, to spread waits; a system without randomness spreads nothing.
fn draw() -> u32 {
    getrandom::u32().unwrap_or(0)
}
