//! The secondary role of one zone: when to look at the primaries, what to serve meanwhile, when to give up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::client::{Client, FetchError, Fetched};
use super::context::Context;
use super::store::ZoneStore;
use crate::answer::Primary;
use crate::metrics::{TransferKind, TransferResult};
use crate::zone::{Zone, ZoneId};

/// The first wait after a failure while there is no version at all; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait while there is no version, and the shortest and longest of SOA timers that are followed.
const EMPTY_WAIT_MAX: Duration = Duration::from_secs(300);
const TIMER_MIN: u64 = 2;
const TIMER_MAX: u64 = 86_400 * 30;
/// Between two looks, however many notifications come.
const LOOKS_APART: Duration = Duration::from_millis(200);

/// A change of what is served, for the publisher.
#[derive(Debug, Clone)]
pub struct NewZone {
    /// Which zone.
    pub id: ZoneId,
    /// Its version; none when the last one expired.
    pub zone: Option<Arc<Zone>>,
}

/// The task of one secondary zone.
pub(super) struct Secondary {
    pub(super) context: Context,
    pub(super) store: ZoneStore,
    pub(super) id: ZoneId,
    pub(super) primary: Primary,
    /// Where new versions go.
    pub(super) versions: mpsc::Sender<NewZone>,
    /// Rings when a primary notifies.
    pub(super) bell: mpsc::Receiver<()>,
    pub(super) seed: u64,
}

/// What is served of the zone.
struct Version {
    zone: Arc<Zone>,
    /// When a primary last said that it is current.
    refreshed: Instant,
}

impl Secondary {
    /// Keeps the zone current for as long as it is configured.
    pub(super) async fn run(mut self) {
        let mut version = self.stored().await;
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let has_looked = self.look(&mut version).await;
            failures = if has_looked { 0 } else { failures + 1 };
            let next = started + self.wait(version.as_ref(), failures);
            let expires = version.as_ref().map(|version| version.refreshed + timer(version.zone.soa().expire));
            let until = expires.map_or(next, |expires| expires.min(next));
            tokio::select! {
                () = sleep_until(until) => {}
                rung = self.bell.recv() => {
                    if rung.is_none() {
                        return;
                    }
                    sleep_until(started + LOOKS_APART).await;
                }
            }
            if expires.is_some_and(|expires| expires <= Instant::now()) {
                // RFC 1035 §4.3.5: what was not confirmed for that long is not served any more.
                let serial = version.as_ref().map_or(0, |version| version.zone.soa().serial);
                warn!(zone = %self.id, serial, "a secondary zone expired: its primaries were not reached in time");
                version = None;
                self.serve(None).await;
            }
        }
    }

    /// The version that was put to use at the start.
    async fn stored(&self) -> Option<Version> {
        let (store, id, seed) = (self.store.clone(), self.id.clone(), self.seed);
        let stored = tokio::task::spawn_blocking(move || store.load(&id, seed)).await.ok()?;
        let stored = match stored {
            Ok(stored) => stored?,
            Err(error) => {
                warn!(zone = %self.id, %error, "the kept version of a secondary zone cannot be used");
                return None;
            }
        };
        let (now, refreshed) = (self.context.now(), stored.refreshed);
        let zone = stored.served(now)?;
        let age = Duration::from_secs(now.saturating_sub(refreshed));
        let version = Version { zone: Arc::new(zone), refreshed: Instant::now().checked_sub(age)? };
        let served = self.context.snapshot.load().zone(&self.id).is_some_and(|zone| zone.records() > 0);
        if !served {
            self.serve(Some(&version.zone)).await;
        }
        Some(version)
    }

    /// How long until the next look.
    fn wait(&self, version: Option<&Version>, failures: u32) -> Duration {
        match version {
            Some(version) if failures == 0 => timer(version.zone.soa().refresh),
            Some(version) => timer(version.zone.soa().retry),
            None => FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(EMPTY_WAIT_MAX),
        }
    }

    /// Asks the primaries in their order until one is reached. Says whether one was.
    async fn look(&self, version: &mut Option<Version>) -> bool {
        for number in 0..self.primary.servers.len() {
            match self.fetch(version.as_ref().map(|version| &version.zone), number).await {
                Ok(Fetched::UpToDate) => {
                    if let Some(version) = version {
                        version.refreshed = Instant::now();
                        version.zone = self.expiring(&version.zone);
                        self.serve(Some(&version.zone)).await;
                        self.keep(&version.zone, false).await;
                    }
                    return true;
                }
                Ok(Fetched::Zone(zone, records)) => {
                    let (zone, serial) = (self.expiring(&zone), self.primary.servers.get(number));
                    let primary = serial.map(|peer| peer.address.to_string()).unwrap_or_default();
                    info!(zone = %self.id, serial = zone.soa().serial, records, %primary, "took over a version of a zone");
                    // First in answers: a version that is lost with this process comes again from the primary.
                    self.serve(Some(&zone)).await;
                    self.keep(&zone, true).await;
                    *version = Some(Version { zone, refreshed: Instant::now() });
                    return true;
                }
                Err(reason) => {
                    let primary = self.primary.servers.get(number).map(|peer| peer.address.to_string());
                    let primary = primary.unwrap_or_default();
                    warn!(zone = %self.id, %primary, %reason, "a primary gave no zone");
                }
            }
        }
        false
    }

    /// Changes where they are to be had, else the whole.
    async fn fetch(&self, old: Option<&Arc<Zone>>, number: usize) -> Result<Fetched, String> {
        let server = self.primary.servers.get(number).ok_or("no such primary")?;
        let snapshot = self.context.snapshot.load_full();
        let key = server.key.as_ref().and_then(|name| snapshot.keys().get(name)).cloned();
        let client = Client { context: &self.context, apex: &self.id.apex, server, key, seed: self.seed };
        let first = if old.is_some() { TransferKind::Ixfr } else { TransferKind::Axfr };
        let mut fetched = client.fetch(old, first).await;
        self.count(first, &fetched);
        if let Err(FetchError::NoChanges(reason)) = &fetched {
            info!(zone = %self.id, %reason, "changes of a zone were not to be had; asking for all of it");
            fetched = client.fetch(old, TransferKind::Axfr).await;
            self.count(TransferKind::Axfr, &fetched);
        }
        fetched.map_err(|error| match error {
            FetchError::NoChanges(reason) | FetchError::Other(reason) => reason,
        })
    }

    fn count(&self, kind: TransferKind, fetched: &Result<Fetched, FetchError>) {
        let result = match fetched {
            Ok(Fetched::UpToDate) => TransferResult::UpToDate,
            Ok(Fetched::Zone(..)) => TransferResult::Done,
            Err(_) => TransferResult::Failed,
        };
        self.context.metrics.transferred_in(kind, result);
    }

    /// The version as it may be served when a primary has said just now that it is current.
    fn expiring(&self, zone: &Zone) -> Arc<Zone> {
        Arc::new(zone.expiring_at(self.context.now() + timer(zone.soa().expire).as_secs()))
    }

    async fn serve(&self, zone: Option<&Arc<Zone>>) {
        let new = NewZone { id: self.id.clone(), zone: zone.cloned() };
        // A publisher that is gone means that the process ends.
        let _ = self.versions.send(new).await;
    }

    /// Keeps the version, or that it is current, on disk.
    async fn keep(&self, zone: &Arc<Zone>, is_new: bool) {
        let (store, view, zone, now) = (self.store.clone(), self.id.view.clone(), Arc::clone(zone), self.context.now());
        let save = move || if is_new { store.save(&view, &zone, now) } else { store.refreshed(&view, &zone, now) };
        let kept = tokio::task::spawn_blocking(save).await.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(error) = kept {
            warn!(zone = %self.id, %error, "a secondary zone is in use, but a restart would not have it");
        }
    }
}

/// An SOA timer within reason: zero would spin, and years are meant by nobody.
pub(super) fn timer(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds).clamp(TIMER_MIN, TIMER_MAX))
}
