//! The journal as others use it: calls that come together are committed together.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;

use super::error::JournalError;
use super::frame::{self, Item};
use super::kept::{Kept, KeptChange};
use super::log::{self, Log};
use crate::metrics::{Limit, Metrics};
use crate::zone::{Change, Zone, ZoneId};

/// The file may be this much longer than what it has to hold, and twice that, before it is written anew.
const SLACK_OCTETS: u64 = 1 << 20;

/// What can be set of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Octets that the changes of one zone may take.
    pub zone_octets_max: u64,
    /// The secret that names of zones are hashed with.
    pub seed: u64,
}

/// The journal. Cloning it gives another handle to the same file; the file is closed in order with the last one.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

/// Changes of one zone to keep.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The zone.
    pub zone: ZoneId,
    /// The version that the first change starts from. Kept when the journal holds nothing of the zone yet.
    pub base: Zone,
    /// The changes, oldest first.
    pub changes: Vec<Arc<Change>>,
    /// When they were made, in seconds since 1970.
    pub at: u64,
}

struct Inner {
    options: Options,
    /// What came while a commit is under way; who gets the log next commits it all.
    waiting: Mutex<Vec<(Arc<Ticket>, Request)>>,
    log: Mutex<Log>,
    /// What is durable. Locked briefly, and never while the disk is waited for.
    zones: Mutex<BTreeMap<ZoneId, Kept>>,
    /// Where commits are counted, once that is known.
    metrics: OnceLock<Arc<Metrics>>,
    /// Held by whoever changes what is served.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Where the outcome of a request is left for who made it.
#[derive(Debug, Default)]
struct Ticket(Mutex<Option<Result<(), JournalError>>>);

/// Proof that nobody else changes what is served.
pub type Turn = tokio::sync::OwnedMutexGuard<()>;

enum Request {
    Append(Entry),
    Replace(Entry),
    Advance(ZoneId, Zone),
    Forget(ZoneId),
}

impl Journal {
    /// Opens the journal at `path`; it is made with the first change. What a crash cut off is told and left out.
    ///
    /// # Errors
    /// The file cannot be read, is used by another process, or is damaged.
    pub fn open(path: &Path, options: Options) -> Result<Self, JournalError> {
        let (log, found) = Log::open(path, options.seed)?;
        let mut zones = BTreeMap::new();
        for item in found.items {
            restore(&mut zones, item).map_err(|reason| JournalError::Damaged {
                path: path.to_owned(),
                at: log.length(),
                reason,
            })?;
        }
        let inner = Inner {
            options,
            waiting: Mutex::default(),
            log: Mutex::new(log),
            zones: Mutex::new(zones),
            metrics: OnceLock::new(),
            turn: Arc::default(),
        };
        let journal = Self(Arc::new(inner));
        if found.cut > 0 {
            tracing::warn!(
                journal = %path.display(), octets = found.cut,
                "left out the end of the journal, cut off by a crash and never acknowledged"
            );
        }
        if !found.is_clean {
            // After a crash it is not known what of the file is on disk. Tried again before the next commit.
            if let Err(error) = journal.0.rewrite(&mut lock(&journal.0.log)) {
                tracing::error!(journal = %path.display(), %error, "the journal cannot be written: updates are refused");
            }
        }
        Ok(journal)
    }

    /// Counts commits there from now on; the first call counts.
    pub fn count_in(&self, metrics: &Arc<Metrics>) {
        let _ = self.0.metrics.set(Arc::clone(metrics)); // one process has one
    }

    /// Keeps changes; returns once they are durable. Blocks: not for an asynchronous task.
    ///
    /// # Errors
    /// None of the entry's changes was kept: the disk failed, the zone's journal is full, or a change does not start
    /// where the journal ends.
    pub fn append(&self, entry: Entry) -> Result<(), JournalError> {
        self.request(Request::Append(entry))
    }

    /// As [`Self::append`] for several entries in one durable commit; gives the outcome of each.
    pub fn append_all(&self, entries: Vec<Entry>) -> Vec<Result<(), JournalError>> {
        self.requests(entries.into_iter().map(Request::Append).collect())
    }

    /// Puts a base and changes in the place of what is held of a zone. Blocks as [`Self::append`] does.
    ///
    /// # Errors
    /// As [`Self::append`]; what was held before is held still.
    pub fn replace(&self, entry: Entry) -> Result<(), JournalError> {
        self.request(Request::Replace(entry))
    }

    /// Makes `base`, a version that the changes lead to, the one they start from: those before it go, and with the last
    /// of them the zone. Blocks as [`Self::append`] does.
    ///
    /// # Errors
    /// As [`Self::append`]; what was held before is held still.
    pub fn advance(&self, zone: &ZoneId, base: &Zone) -> Result<(), JournalError> {
        self.request(Request::Advance(zone.clone(), base.clone()))
    }

    /// Lets go of everything held of a zone. Blocks as [`Self::append`] does.
    ///
    /// # Errors
    /// The disk failed; what was held before is held still.
    pub fn forget(&self, zone: &ZoneId) -> Result<(), JournalError> {
        self.request(Request::Forget(zone.clone()))
    }

    /// Waits for the turn to change what is served, which lasts until the guard is dropped. An update holds it from
    /// reading the served version until its own is served, a reload from merging until the merged version is: else one
    /// would publish over the other.
    pub async fn turn(&self) -> Turn {
        Arc::clone(&self.0.turn).lock_owned().await
    }

    /// What is held of a zone.
    pub fn kept(&self, zone: &ZoneId) -> Option<Kept> {
        lock(&self.0.zones).get(zone).cloned()
    }

    /// The zones of which something is held.
    pub fn zones(&self) -> Vec<ZoneId> {
        lock(&self.0.zones).keys().cloned().collect()
    }

    fn request(&self, request: Request) -> Result<(), JournalError> {
        self.requests(vec![request]).pop().unwrap_or(Ok(()))
    }

    fn requests(&self, requests: Vec<Request>) -> Vec<Result<(), JournalError>> {
        let tickets: Vec<Arc<Ticket>> = requests.iter().map(|_| Arc::default()).collect();
        lock(&self.0.waiting).extend(tickets.iter().cloned().zip(requests));
        let mut log = lock(&self.0.log);
        let waiting = mem::take(&mut *lock(&self.0.waiting));
        if !waiting.is_empty() {
            self.0.commit(&mut log, waiting);
        }
        drop(log);
        // Whoever had the log took all that was waiting, ours with it, and answered before letting go.
        tickets.iter().map(|ticket| lock(&ticket.0).take().unwrap_or(Ok(()))).collect()
    }
}

/// What a commit would make of the zones it touches; none of a zone that goes.
#[derive(Default)]
struct Staged {
    payload: Vec<u8>,
    zones: HashMap<ZoneId, Option<Kept>>,
}

impl Inner {
    fn commit(&self, log: &mut Log, waiting: Vec<(Arc<Ticket>, Request)>) {
        let mut staged = Staged::default();
        let mut tickets = Vec::with_capacity(waiting.len());
        for (ticket, request) in waiting {
            match self.stage(&mut staged, request) {
                Ok(()) => tickets.push(ticket),
                Err(error) => *lock(&ticket.0) = Some(Err(error)),
            }
        }
        let started = Instant::now();
        let written = if staged.payload.is_empty() { Ok(()) } else { self.write(log, &staged.payload) };
        match (self.metrics.get(), &written) {
            (Some(metrics), Ok(())) if !staged.payload.is_empty() => metrics.journal_committed(started.elapsed()),
            (Some(metrics), Err(_)) => metrics.journal_failed(),
            _ => {}
        }
        if written.is_ok() {
            self.take_over(staged.zones);
            self.shorten(log);
        }
        for ticket in tickets {
            let failed = |error: &io::Error| JournalError::Write {
                path: log.path().to_owned(),
                error: io::Error::new(error.kind(), error.to_string()),
            };
            *lock(&ticket.0) = Some(written.as_ref().map(|_| ()).map_err(failed));
        }
    }

    fn write(&self, log: &mut Log, payload: &[u8]) -> io::Result<()> {
        if !log.is_good() {
            self.rewrite(log)?;
        }
        log.commit(payload)
    }

    /// Adds to `staged` what `request` asks for, if it may be.
    fn stage(&self, staged: &mut Staged, request: Request) -> Result<(), JournalError> {
        let (zone, after) = match request {
            Request::Append(entry) => return self.stage_append(staged, entry),
            Request::Replace(Entry { zone, base, changes, at }) => {
                let kept = self.followed(&zone, Kept::new(base), changes, at)?;
                (zone, kept)
            }
            Request::Advance(zone, base) => {
                let Some(mut kept) = self.held(staged, &zone) else { return Ok(()) };
                let (have, from) = (kept.serial(), base.soa().serial);
                kept.advance(base).ok_or(JournalError::Gap { zone: zone.clone(), have, from })?;
                (zone, kept)
            }
            Request::Forget(zone) => {
                frame::append_forget(&mut staged.payload, &zone);
                staged.zones.insert(zone, None);
                return Ok(());
            }
        };
        if after.changes.is_empty() {
            frame::append_forget(&mut staged.payload, &zone);
            staged.zones.insert(zone, None);
        } else {
            staged.payload.extend(whole(&zone, &after));
            staged.zones.insert(zone, Some(after));
        }
        Ok(())
    }

    fn stage_append(&self, staged: &mut Staged, entry: Entry) -> Result<(), JournalError> {
        let Entry { zone, base, changes, at } = entry;
        if changes.is_empty() {
            return Ok(());
        }
        let held = self.held(staged, &zone);
        let is_first = held.is_none();
        let before = held.unwrap_or_else(|| Kept::new(base));
        let mut payload = Vec::new();
        if is_first {
            frame::append_base(&mut payload, &zone, &before.base);
        }
        for change in &changes {
            frame::append_change(&mut payload, &zone, change, at);
        }
        let after = self.followed(&zone, before, changes, at)?;
        staged.payload.append(&mut payload);
        staged.zones.insert(zone, Some(after));
        Ok(())
    }

    /// What is held of the zone once these changes are.
    fn followed(
        &self,
        zone: &ZoneId,
        mut kept: Kept,
        changes: Vec<Arc<Change>>,
        at: u64,
    ) -> Result<Kept, JournalError> {
        for change in changes {
            if kept.serial() != change.from {
                return Err(JournalError::Gap { zone: zone.clone(), have: kept.serial(), from: change.from });
            }
            kept.push(KeptChange::new(change, at));
        }
        let octets_max = self.options.zone_octets_max;
        kept.limit(octets_max);
        if kept.octets() > octets_max {
            if let Some(metrics) = self.metrics.get() {
                metrics.limit_hit(Limit::JournalZone);
            }
            return Err(JournalError::Full { zone: zone.clone(), octets_max });
        }
        Ok(kept)
    }

    /// What is held of the zone, what this commit does so far included.
    fn held(&self, staged: &Staged, zone: &ZoneId) -> Option<Kept> {
        match staged.zones.get(zone) {
            Some(after) => after.clone(),
            None => lock(&self.zones).get(zone).cloned(),
        }
    }

    /// Makes what was committed known.
    fn take_over(&self, staged: HashMap<ZoneId, Option<Kept>>) {
        let mut zones = lock(&self.zones);
        for (zone, after) in staged {
            match after {
                Some(kept) => zones.insert(zone, kept),
                None => zones.remove(&zone),
            };
        }
    }

    /// Writes the file anew once most of it is of no use any more.
    fn shorten(&self, log: &mut Log) {
        let needed = lock(&self.zones).values().map(|kept| kept.octets() + kept.base_octets).sum::<u64>();
        if log.length() > needed.saturating_mul(2).saturating_add(SLACK_OCTETS)
            && let Err(error) = self.rewrite(log)
        {
            // Everything is durable in the old file, or the next commit finds the file in doubt.
            tracing::warn!(journal = %log.path().display(), %error, "the journal could not be shortened");
        }
    }

    fn rewrite(&self, log: &mut Log) -> io::Result<()> {
        let zones = lock(&self.zones).clone();
        log.rewrite(zones.iter().map(|(zone, kept)| whole(zone, kept)))
    }
}

/// All that is held of a zone, as the payload of a frame.
fn whole(zone: &ZoneId, kept: &Kept) -> Vec<u8> {
    let mut payload = Vec::new();
    frame::append_base(&mut payload, zone, &kept.base);
    for KeptChange { change, at, .. } in &kept.changes {
        frame::append_change(&mut payload, zone, change, *at);
    }
    payload
}

/// Does what an item of the file says.
fn restore(zones: &mut BTreeMap<ZoneId, Kept>, item: Item) -> Result<(), String> {
    match item {
        Item::Base(zone, base) => {
            zones.insert(zone, Kept::new(base));
        }
        Item::Change(zone, change, at) => {
            let kept = zones.get_mut(&zone).ok_or_else(|| format!("a change of {zone}, of which there is no base"))?;
            if kept.serial() != change.from {
                return Err(format!("a change of {zone} from {} behind version {}", change.from, kept.serial()));
            }
            kept.push(KeptChange::new(change, at));
        }
        Item::Forget(zone) => {
            zones.remove(&zone);
        }
        Item::Closed => {}
    }
    Ok(())
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({})", lock(&self.0.log).path().display())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let log = self.log.get_mut().unwrap_or_else(PoisonError::into_inner);
        if log.is_good() {
            // Without this mark the next start takes the journal as after a crash, which costs it a while.
            let _ = log.commit(&log::closed());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
