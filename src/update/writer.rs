//! The one who changes zones by update: takes what waits, makes the next versions, has them kept on disk and served, and
//! only then answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::evaluate::{Terms, WideIpOf, evaluate};
use super::message::Refusal;
use super::replay::Replays;
use super::server::{Job, refuse};
use super::states::UpdateStates;
use crate::answer::{Snapshot, ZoneUpdates};
use crate::journal::{Entry, Journal};
use crate::metrics::{Site, UpdateResult};
use crate::transfer::{Context, answer};
use crate::wire::{Name, NameKey, Rcode, RecordType};
use crate::zone::{Change, Sizes, Zone, ZoneId};

/// How many updates are committed together, at most: each is atomic, and they share one wait for the disk.
const GROUP_MAX: usize = 64;

/// The next version of a zone, made from exactly the one that is served.
#[derive(Debug)]
pub struct NewVersion {
    /// Which zone.
    pub id: ZoneId,
    /// The version.
    pub zone: Arc<Zone>,
    /// Is told once queries are answered from it; dropped when that cannot be.
    pub served: oneshot::Sender<()>,
}

/// Carries updates out.
pub struct Writer {
    pub(super) context: Context,
    pub(super) states: UpdateStates,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) journal: Journal,
    /// Where new versions go to be served.
    pub(super) versions: mpsc::Sender<NewVersion>,
    pub(super) replays: Arc<Mutex<Replays>>,
}

/// A zone while a group of updates is made.
struct Group {
    /// The version that is served.
    base: Arc<Zone>,
    /// The version the updates so far make.
    zone: Arc<Zone>,
    changes: Vec<Arc<Change>>,
    /// Why nothing of it counts: it could not be kept.
    failed: bool,
}

/// An update with what came of it.
struct Done {
    job: Job,
    outcome: Result<UpdateResult, Refusal>,
}

impl Writer {
    /// Carries updates out until `drain` is ready.
    ///
    /// # Errors
    /// The other end of a channel is gone.
    pub async fn run(&mut self, drain: impl Future<Output = ()> + Send) -> Result<(), String> {
        let mut drain = std::pin::pin!(drain);
        loop {
            let mut jobs = Vec::with_capacity(GROUP_MAX);
            tokio::select! {
                () = &mut drain => return Ok(()),
                taken = self.jobs.recv_many(&mut jobs, GROUP_MAX) => if taken == 0 {
                    return Err("nobody is left to receive updates".into());
                },
            }
            let _turn = self.journal.turn().await;
            self.carry_out(jobs).await?;
        }
    }

    async fn carry_out(&self, jobs: Vec<Job>) -> Result<(), String> {
        let (context, journal, replays) = (self.context.clone(), self.journal.clone(), Arc::clone(&self.replays));
        let work = move || {
            let (done, mut groups) = make(&context, &replays, jobs);
            keep(&context, &journal, &mut groups);
            (done, groups)
        };
        let (done, groups) = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
        let mut served = Vec::new();
        for (id, group) in groups.iter().filter(|(_, group)| !group.failed && !group.changes.is_empty()) {
            let (told, hears) = oneshot::channel();
            let new = NewVersion { id: id.clone(), zone: Arc::clone(&group.zone), served: told };
            self.versions.send(new).await.map_err(|_| "the publisher is gone")?;
            served.push((id.clone(), hears));
        }
        for (id, hears) in served {
            if hears.await.is_err() {
                error!(zone = %id, "an update is kept on disk, but not served: a restart will serve it");
            }
        }
        self.reply(done, &groups);
        Ok(())
    }

    /// Answers, now that what is answered for is kept and served.
    fn reply(&self, done: Vec<Done>, groups: &BTreeMap<ZoneId, Group>) {
        let now = self.context.now();
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        for Done { job: Job { request, source, replies, .. }, outcome } in done {
            let is_lost = groups.get(request.zone()).is_some_and(|group| group.failed);
            let outcome = if is_lost { Err(not_kept()) } else { outcome };
            let rcode = outcome.as_ref().map_or_else(|refusal| refusal.rcode, |_| Rcode::NOERROR);
            if let Some(signature) = request.signature().filter(|_| rcode != Rcode::SERVFAIL) {
                replays.remember(signature, rcode, now);
            }
            match outcome {
                Ok(result) => {
                    self.states.count(&self.context, &request, source, result);
                    answer(&self.context, &request, replies, Rcode::NOERROR, None);
                }
                Err(refusal) => refuse(&self.context, &self.states, &request, source, replies, &refusal),
            }
        }
    }
}

fn not_kept() -> Refusal {
    Refusal::new(Rcode::SERVFAIL, "the change could not be kept on disk")
}

/// Makes the next versions of all zones concerned, one update after the other.
fn make(context: &Context, replays: &Mutex<Replays>, jobs: Vec<Job>) -> (Vec<Done>, BTreeMap<ZoneId, Group>) {
    let snapshot = context.snapshot.load_full();
    let now = context.now();
    let mut groups: BTreeMap<ZoneId, Group> = BTreeMap::new();
    let mut done: Vec<Done> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let outcome = match answered(replays, &done, &job) {
            Some(outcome) => outcome,
            // A panic of ours costs this update and no more.
            None => catch_unwind(AssertUnwindSafe(|| one(&snapshot, &mut groups, &job, now))).unwrap_or_else(|_| {
                context.metrics.panicked(Site::Task);
                error!(zone = %job.request.zone(), "carrying an update out panicked; it was given SERVFAIL");
                Err(Refusal::new(Rcode::SERVFAIL, "the update could not be carried out"))
            }),
        };
        done.push(Done { job, outcome });
    }
    (done, groups)
}

/// What was answered to the same signed message before.
fn answered(replays: &Mutex<Replays>, done: &[Done], job: &Job) -> Option<Result<UpdateResult, Refusal>> {
    let signature = job.request.signature()?;
    if let Some(same) = done.iter().find(|done| done.job.request.signature() == Some(signature)) {
        return Some(same.outcome.clone().map(|_| UpdateResult::Repeated));
    }
    let replays = replays.lock().unwrap_or_else(PoisonError::into_inner);
    match replays.answered(signature)? {
        Rcode::NOERROR => Some(Ok(UpdateResult::Repeated)),
        rcode => Some(Err(Refusal::new(rcode, "the same signed message was answered so before"))),
    }
}

/// Carries one update out on what those before it made.
fn one(
    snapshot: &Snapshot,
    groups: &mut BTreeMap<ZoneId, Group>,
    job: &Job,
    now: u64,
) -> Result<UpdateResult, Refusal> {
    let id = job.request.zone();
    let policy = snapshot.transfers().get(id).filter(|policy| policy.primary.is_none());
    // A reload may have changed both since the update was received.
    let policy = policy.ok_or_else(|| Refusal::new(Rcode::REFUSED, "the zone takes no updates"))?;
    let group = match groups.entry(id.clone()) {
        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::btree_map::Entry::Vacant(entry) => {
            let base = snapshot.zone(id).cloned();
            let base = base.ok_or_else(|| Refusal::new(Rcode::NOTAUTH, "there is no such zone"))?;
            entry.insert(Group { zone: Arc::clone(&base), base, changes: Vec::new(), failed: false })
        }
    };
    let wide_ip = |name: &Name, record_type| wide_ip(snapshot, id, name, record_type);
    let made = judged(job, &policy.updates, &wide_ip, &group.zone, snapshot.limits().sizes, now)?;
    let Some(made) = made else { return Ok(UpdateResult::Unchanged) };
    let key = job.request.key_name().map(ToString::to_string).unwrap_or_default();
    let (removed, added) = (made.change.difference.removed.len(), made.change.difference.added.len());
    info!(zone = %id, source = %job.source, key, serial = made.change.to, removed, added, "a zone is updated");
    group.zone = Arc::new(made.zone);
    group.changes.push(Arc::new(made.change));
    Ok(UpdateResult::Done)
}

fn judged(
    job: &Job,
    updates: &ZoneUpdates,
    wide_ip: &WideIpOf<'_>,
    zone: &Zone,
    sizes: Sizes,
    now: u64,
) -> Result<Option<super::draft::Made>, Refusal> {
    let (source, key) = (job.source.ip(), job.request.key_name());
    let permits = |name: &Name, record_type, action| updates.permits(source, key, name, record_type, action);
    let terms = Terms { permits: &permits, wide_ip, serial: updates.serial, unix_seconds: now, sizes };
    evaluate(zone, &job.update, &terms)
}

/// The wide IP that owns a name and type in the zone's view, be it enabled or not.
fn wide_ip(snapshot: &Snapshot, id: &ZoneId, name: &Name, record_type: RecordType) -> Option<(RecordType, String)> {
    let view = snapshot.view(&id.view)?;
    let key = NameKey::new(name, snapshot.seed());
    let tables = snapshot.wide_ips();
    let owner = tables.owner_in(view.id(), &key, record_type)?;
    let wide_ip = tables.model().wide_ip(owner)?;
    Some((wide_ip.record_type, tables.model().wide_ip_name(owner).to_string()))
}

/// Has the changes kept on disk. Blocks until they are durable.
fn keep(context: &Context, journal: &Journal, groups: &mut BTreeMap<ZoneId, Group>) {
    let mut changed: Vec<(&ZoneId, &mut Group)> =
        groups.iter_mut().filter(|(_, group)| !group.changes.is_empty()).collect();
    let entry = |(id, group): &(&ZoneId, &mut Group)| Entry {
        zone: (*id).clone(),
        base: Zone::clone(&group.base),
        changes: group.changes.clone(),
        at: context.now(),
    };
    let entries: Vec<Entry> = changed.iter().map(entry).collect();
    if entries.is_empty() {
        return;
    }
    for (outcome, (id, group)) in journal.append_all(entries).into_iter().zip(&mut changed) {
        if let Err(error) = outcome {
            error!(zone = %id, %error, "updates could not be kept on disk and were not carried out");
            group.failed = true;
        }
    }
}
