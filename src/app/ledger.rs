//! What the journal holds of each zone, held against the zone's file: at the start, at a reload, and for who asks.
//!
//! At the start and at each reload the file is merged with the changes that were made on the version it had
//! ([`crate::zone::merge`]). Where they cannot be merged the changes are served, not the edits: who sent them was told
//! that they are in force and kept, while an edit is not in use until it is loaded, and its author is there to be told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tracing::{error, info, warn};

use super::clock::{Clock, rfc3339};
use super::flush;
use crate::config::{Config, ZoneFile};
use crate::journal::{Entry, Journal, Kept};
use crate::metrics::Metrics;
use crate::wire::Name;
use crate::zone::merge::{Conflict, Merged, merge};
use crate::zone::{Change, Difference, Zone, ZoneBuilder, ZoneId, print};

/// Conflicts of one zone that are logged; `fairlead zone status` shows all.
const LOGGED_MAX: usize = 20;

/// What is known of the files of zones.
pub(super) struct Ledger {
    journal: Journal,
    files: Mutex<BTreeMap<ZoneId, Known>>,
    seed: u64,
    clock: Clock,
}

/// A zone's file as it was read last.
struct Known {
    file: ZoneFile,
    serial: u32,
    /// Why the file is not in use as it stands; empty when it is, or is merged.
    conflicts: Vec<String>,
    /// When the conflicts were found, in seconds since 1970.
    since: u64,
}

/// What a load made of the files, to be kept once it is in use.
pub(super) struct Settled {
    known: BTreeMap<ZoneId, Known>,
    replaced: Vec<Entry>,
    forgotten: Vec<ZoneId>,
}

impl Settled {
    /// Whether the journal holds already what it must, so that nothing waits for the disk.
    pub(super) const fn is_kept(&self) -> bool {
        self.replaced.is_empty() && self.forgotten.is_empty()
    }
}

impl Ledger {
    /// A ledger of no files yet. The gauges of the journal are read through it from now on.
    pub(super) fn new(journal: Journal, seed: u64, clock: Clock, metrics: &Metrics) -> Arc<Self> {
        let ledger = Arc::new(Self { journal, files: Mutex::default(), seed, clock });
        let read = Arc::clone(&ledger);
        metrics.set_reader("journal", Box::new(move |scrape| read.scrape(scrape)));
        ledger
    }

    /// The journal.
    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Puts what the journal holds on top of the zones that were loaded. Slow for large zones; the turn to change what
    /// is served must be had.
    pub(super) fn settle(&self, config: &mut Config) -> Settled {
        let mut settled = Settled { known: BTreeMap::new(), replaced: Vec::new(), forgotten: Vec::new() };
        let mut files: BTreeMap<ZoneId, ZoneFile> =
            config.zone_files.iter().map(|file| (file.id.clone(), file.clone())).collect();
        for (id, zone) in config.zones_mut() {
            let Some(file) = files.remove(&id) else { continue };
            let mut known = Known { file, serial: zone.soa().serial, conflicts: Vec::new(), since: 0 };
            if let Some(kept) = self.journal.kept(&id) {
                let (served, conflicts) = self.put_on_top(&id, zone, &kept, &mut settled);
                *zone = Arc::new(served);
                if !conflicts.is_empty() {
                    self.tell(&id, &mut known, conflicts);
                }
            }
            settled.known.insert(id, known);
        }
        for id in self.journal.zones().iter().filter(|id| !settled.known.contains_key(id)) {
            warn!(zone = %id, "the journal holds updates of a zone that has no file: they are kept until it has one again");
        }
        settled
    }

    /// What is served of a zone whose file was read as `file`, and where that meets the updates, so that it is not used.
    fn put_on_top(&self, id: &ZoneId, file: &Zone, kept: &Kept, settled: &mut Settled) -> (Zone, Vec<String>) {
        let served = match kept.result() {
            Ok(served) => released(&served),
            Err(error) => return (file.clone(), vec![format!("the journal does not fit its own base: {error}")]),
        };
        match merge(&released(&kept.base), file, &served) {
            Ok(Merged::Served) => (served, Vec::new()),
            Ok(Merged::File) => {
                settled.forgotten.push(id.clone());
                (file.clone(), Vec::new())
            }
            Ok(Merged::Both(merged)) => {
                let Some(change) = Change::between(file, &merged) else {
                    return (merged, Vec::new());
                };
                let (records, serial) = (change.difference.len(), merged.soa().serial);
                info!(zone = %id, serial, records, "merged an edited zone file with the updates of the journal");
                let at = self.unix_seconds();
                let changes = vec![Arc::new(change)];
                settled.replaced.push(Entry { zone: id.clone(), base: file.clone(), changes, at });
                (merged, Vec::new())
            }
            Err(conflicts) => (served, conflicts.iter().map(Conflict::to_string).collect()),
        }
    }

    fn tell(&self, id: &ZoneId, known: &mut Known, conflicts: Vec<String>) {
        let file = known.file.path.display();
        for conflict in conflicts.iter().take(LOGGED_MAX) {
            error!(zone = %id, %file, %conflict, "an edit of a zone file meets an update");
        }
        error!(
            zone = %id, %file, conflicts = conflicts.len(),
            "the edited zone file is NOT in use: the updates are served as they were acknowledged; take the edits above \
             back or make them as the updates have it (`fairlead zone diff`), then reload"
        );
        (known.conflicts, known.since) = (conflicts, self.unix_seconds());
    }

    /// Keeps what [`Self::settle`] made, now that it is in use. Blocks until it is on disk. Should that fail, a restart
    /// merges the same again, and until a reload succeeds updates of the zone are refused.
    pub(super) fn commit(&self, settled: Settled) {
        let Settled { known, replaced, forgotten } = settled;
        *self.files() = known;
        for entry in replaced {
            let id = entry.zone.clone();
            if let Err(error) = self.journal.replace(entry) {
                error!(zone = %id, %error, "the merged zone is served but not kept: updates of it are refused until a reload");
            }
        }
        for id in forgotten {
            match self.journal.forget(&id) {
                Ok(()) => info!(zone = %id, "the zone file has all updates: the journal let go of them"),
                Err(error) => error!(zone = %id, %error, "the journal could not let go of updates that the file has"),
            }
        }
    }

    /// The zone that a person means by `text`: `example.com`, or `example.com@internal` in a view.
    pub(super) fn find(&self, text: &str) -> Result<ZoneId, String> {
        let (name, view) = text.split_once('@').unwrap_or((text, ""));
        let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
        let apex: Name = name.parse().map_err(|error| format!("`{text}` is not a zone: {error}"))?;
        let apex = apex.to_lowercase();
        let files = self.files();
        let is_meant = |id: &&ZoneId| {
            id.apex == apex && (if view.is_empty() { id.view.is_default() } else { id.view.as_str() == view })
        };
        let found = files.keys().find(is_meant).cloned();
        found.ok_or_else(|| {
            let known: Vec<String> = files.keys().map(ToString::to_string).take(10).collect();
            format!("there is no zone {text} with a file; there are {}", known.join(", "))
        })
    }

    /// How the file and the journal of each zone, or of one, stand to what is served.
    pub(super) fn status(
        &self,
        zone: Option<&ZoneId>,
        served: impl Fn(&ZoneId) -> Option<u32>,
        updates: impl Fn(&ZoneId) -> Option<Value>,
    ) -> Value {
        let now = self.unix_seconds();
        let files = self.files();
        let of_zone = |(id, known): (&ZoneId, &Known)| {
            let kept = self.journal.kept(id);
            let oldest = kept.as_ref().and_then(|kept| kept.changes.front()).map(|change| change.at);
            let pending = kept.as_ref().map_or(0, |kept| kept.changes.len());
            let state = match (known.conflicts.is_empty(), pending) {
                (false, _) => "conflict",
                (true, 0) => "in step",
                (true, _) => "changes pending",
            };
            json!({
                "zone": id.to_string(),
                "state": state,
                "file": known.file.path.display().to_string(),
                "file_serial": known.serial,
                "served_serial": served(id),
                "changes": pending,
                "journal_bytes": kept.as_ref().map_or(0, Kept::octets),
                "oldest_change_age_seconds": oldest.map(|at| now.saturating_sub(at)),
                "updates": updates(id),
                "conflicts": known.conflicts,
                "conflict_since": (known.since > 0).then(|| rfc3339(known.since.saturating_mul(1000))),
            })
        };
        let wanted = files.iter().filter(|(id, _)| zone.is_none_or(|zone| zone == *id));
        let zones: Vec<Value> = wanted.map(of_zone).collect();
        json!({ "zones": zones })
    }

    /// The zones whose edited files are not in use, for the status of the node.
    pub(super) fn conflicts(&self) -> Value {
        let files = self.files();
        let stuck = files.iter().filter(|(_, known)| !known.conflicts.is_empty());
        stuck
            .map(|(id, known)| {
                json!({
                    "zone": id.to_string(),
                    "file": known.file.path.display().to_string(),
                    "since": rfc3339(known.since.saturating_mul(1000)),
                    "conflicts": known.conflicts,
                })
            })
            .collect()
    }

    /// What the file, as it stands on disk now, and what is served differ in.
    pub(super) fn diff(&self, id: &ZoneId, served: &Zone) -> Result<Value, String> {
        let file = self.file(id)?;
        let (in_file, _) = file.read(&file.path, self.seed)?;
        let difference = Difference::between(&in_file, served);
        let lines = |records: &[crate::zone::Record]| {
            let text = print::records(&Name::root(), records);
            text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let soa = |zone: &Zone| zone.soa_record().map(|soa| lines(&[soa]));
        Ok(json!({
            "zone": id.to_string(),
            "file": file.path.display().to_string(),
            "file_serial": in_file.soa().serial,
            "served_serial": served.soa().serial,
            "soa_in_file": soa(&in_file),
            "soa_served": soa(served),
            "only_in_file": lines(&difference.removed),
            "only_served": lines(&difference.added),
            "conflicts": self.files().get(id).map(|known| known.conflicts.clone()),
        }))
    }

    /// Writes what the journal holds to the zone's file. The turn to change what is served must be had. Blocks.
    pub(super) fn flush(&self, id: &ZoneId, force: flush::Force) -> Result<Vec<String>, String> {
        let file = self.file(id)?;
        let Some(kept) = self.journal.kept(id) else {
            return Ok(vec![format!("{id}: no updates to write; the file is what is served")]);
        };
        let (result, lines) = flush::flush(&self.journal, &file, &kept, force, self.seed)?;
        if let Some(known) = self.files().get_mut(id) {
            (known.serial, known.since) = (result.soa().serial, 0);
            known.conflicts.clear();
        }
        info!(zone = %id, file = %file.path.display(), serial = result.soa().serial, "wrote updates to the zone file");
        Ok(lines)
    }

    fn file(&self, id: &ZoneId) -> Result<ZoneFile, String> {
        self.files().get(id).map(|known| known.file.clone()).ok_or_else(|| format!("the zone {id} has no file"))
    }

    fn scrape(&self, scrape: &mut crate::metrics::Scrape) {
        let now = self.unix_seconds();
        let files = self.files();
        for (id, known) in files.iter() {
            scrape.zone_conflicts(&id.to_string(), known.conflicts.len());
        }
        for id in self.journal.zones() {
            let Some(kept) = self.journal.kept(&id) else { continue };
            let oldest = kept.changes.front().map_or(now, |change| change.at);
            scrape.journal(&id.to_string(), kept.changes.len(), kept.octets(), now.saturating_sub(oldest));
        }
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.wall_millis() / 1000
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<ZoneId, Known>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The zone without the names that exist in it only because wide IPs stood there, which may be others now.
fn released(zone: &Zone) -> Zone {
    let mut builder = ZoneBuilder::from(zone);
    builder.release();
    builder.finish()
}
