//! Secondary zones on disk, so that a restart serves them at once: the zone as a master file, and when it was last known
//! to be current.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::timetable::timer;
use crate::answer::Membership;
use crate::wire::Name;
use crate::zone::{self, Sizes, ViewName, Zone, ZoneId, master, print};

/// Stops a symbolic link put in the place of our temporary file from being followed (`O_NOFOLLOW` on Linux).
const NO_FOLLOW: i32 = nix::libc::O_NOFOLLOW;

/// The folder of secondary zones.
#[derive(Debug, Clone)]
pub struct ZoneStore {
    folder: PathBuf,
}

/// A zone as it was kept.
#[derive(Debug)]
pub struct Stored {
    /// The zone.
    pub zone: Arc<Zone>,
    /// When a primary last said that it is current, in seconds since 1970.
    pub refreshed: u64,
    /// Until when it may be served, in seconds since 1970.
    pub expires: u64,
    /// The catalog that brought it.
    pub member: Option<Membership>,
}

impl Stored {
    /// The zone as it may be served at `now`, in seconds since 1970; none when it expired.
    pub fn served(&self, now: u64) -> Option<Arc<Zone>> {
        (now < self.expires).then(|| Arc::new(self.zone.expiring_at(self.expires)))
    }
}

/// What is kept beside a zone.
#[derive(Serialize, Deserialize)]
struct Timers {
    serial: u32,
    refreshed: u64,
    /// Without it, the SOA's EXPIRE counts from `refreshed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<Mark>,
}

impl Timers {
    fn member(&self) -> Option<Membership> {
        self.member.as_ref().and_then(Mark::read).map(|(_, member)| member)
    }
}

/// What made the zone appear, when a catalog did.
#[derive(Serialize, Deserialize)]
struct Mark {
    view: String,
    zone: String,
    catalog: String,
    /// In hexadecimal: it holds any octet.
    label: String,
}

impl Mark {
    fn new(view: &ViewName, zone: &Name, member: &Membership) -> Self {
        Self {
            view: view.as_str().to_owned(),
            zone: zone.to_string(),
            catalog: member.catalog.to_string(),
            label: HEXLOWER.encode(&member.label),
        }
    }

    fn read(&self) -> Option<(ZoneId, Membership)> {
        let id = ZoneId::new(ViewName::new(&self.view), self.zone.parse().ok()?);
        let label = HEXLOWER.decode(self.label.as_bytes()).ok()?;
        Some((id, Membership { catalog: self.catalog.parse().ok()?, label: label.into() }))
    }
}

impl ZoneStore {
    /// The zones kept in the folder `zones` of the state folder.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("zones") }
    }

    /// The kept zone of that identity; none when there is none. What was kept is checked as any file is.
    ///
    /// # Errors
    /// Why what is kept cannot be used.
    pub fn load(&self, id: &ZoneId, seed: u64) -> Result<Option<Stored>, String> {
        let (path, timers) = self.paths(&id.view, &id.apex);
        let fail = |path: &Path, error: String| format!("reading {}: {error}", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(&path, error.to_string())),
        };
        let kept = match fs::read(&timers) {
            Ok(kept) => {
                serde_json::from_slice::<Timers>(&kept).map(|kept| (kept.refreshed, kept.expires, kept.member()))
            }
            Err(error) => Err(serde_json::Error::io(error)),
        };
        let kept = match kept {
            Ok(kept) => Ok(kept),
            // A crash before the timers of the first version were written: it had just come.
            Err(error) if error.io_error_kind() == Some(io::ErrorKind::NotFound) => {
                written_at(&path).map(|written| (written, None, None)).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let (refreshed, expires, member) = kept.map_err(|error| fail(&timers, error))?;
        let file = path.display().to_string();
        let settings = master::Settings { file: &file, origin: &id.apex, default_ttl: None };
        let loaded = zone::load_within(&Sizes::MOST, &text, &settings, seed, &mut master::no_include);
        let loaded = loaded.map_err(|faults| faults.first().map_or_else(String::new, |fault| fault.message.clone()));
        let zone = Arc::new(loaded.map_err(|error| fail(&path, error))?.zone);
        // A crash between the two writes leaves the new zone with the timers of the old: it was current then too.
        let expires = expires.unwrap_or_else(|| refreshed + timer(zone.soa().expire).as_secs());
        Ok(Some(Stored { zone, refreshed, expires, member }))
    }

    /// Keeps a new version of the view's zone.
    ///
    /// # Errors
    /// The system's reason; the last version is kept then.
    pub fn save(
        &self,
        view: &ViewName,
        zone: &Zone,
        refreshed: u64,
        member: Option<&Membership>,
    ) -> Result<(), String> {
        let (path, _) = self.paths(view, zone.apex());
        let text = print::zone(zone);
        self.write(&path, text.as_bytes()).map_err(|error| format!("writing {}: {error}", path.display()))?;
        self.refreshed(view, zone, refreshed, member)
    }

    /// Keeps that the version is current.
    ///
    /// # Errors
    /// The system's reason.
    pub fn refreshed(
        &self,
        view: &ViewName,
        zone: &Zone,
        refreshed: u64,
        member: Option<&Membership>,
    ) -> Result<(), String> {
        let (_, path) = self.paths(view, zone.apex());
        let member = member.map(|member| Mark::new(view, zone.apex(), member));
        let timers = Timers { serial: zone.soa().serial, refreshed, expires: zone.expires_at(), member };
        let text = serde_json::to_vec(&timers).map_err(|error| error.to_string())?;
        self.write(&path, &text).map_err(|error| format!("writing {}: {error}", path.display()))
    }

    /// Removes what is kept of a zone.
    ///
    /// # Errors
    /// The system's reason.
    pub fn forget(&self, id: &ZoneId) -> Result<(), String> {
        let (zone, timers) = self.paths(&id.view, &id.apex);
        for path in [zone, timers] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("removing {}: {error}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The zones that catalogs brought, as far as they are kept. What cannot be read is none.
    pub fn members(&self) -> Vec<(ZoneId, Membership)> {
        let files = |folder: &Path| {
            let entries = fs::read_dir(folder).into_iter().flatten();
            entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
        };
        let views = files(&self.folder).into_iter().filter(|path| path.is_dir());
        let folders: Vec<PathBuf> = std::iter::once(self.folder.clone()).chain(views).collect();
        let timers = folders.iter().flat_map(|folder| files(folder));
        let timers = timers.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let read = |path: PathBuf| -> Option<(ZoneId, Membership)> {
            let timers: Timers = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            timers.member?.read()
        };
        timers.filter_map(read).collect()
    }

    /// Writes beside the final name, then renames: after a crash the old or the new file is there.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let hidden = path.with_extension("tmp");
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).custom_flags(NO_FOLLOW).open(&hidden)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&hidden, path)?;
        File::open(folder)?.sync_all()
    }

    /// The zone's file and that of its timers; views other than `default` have a folder each.
    fn paths(&self, view: &ViewName, apex: &Name) -> (PathBuf, PathBuf) {
        let folder = match view.is_default() {
            true => self.folder.clone(),
            false => self.folder.join(format!("view.{}", file_name(view.as_str()))),
        };
        let name = file_name(apex.to_lowercase().to_string().trim_end_matches('.'));
        // The root has no letters, and a leading dot would hide the file.
        (folder.join(format!("zone.{name}.zone")), folder.join(format!("zone.{name}.json")))
    }
}

/// Names hold any octet; files keep to lower-case letters, digits, `-`, `_` and `.`.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for octet in name.bytes() {
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => file.push(char::from(octet)),
            _ => file.push_str(&format!("%{octet:02x}")),
        }
    }
    file
}

/// When a file was written, in seconds since 1970.
fn written_at(path: &Path) -> io::Result<u64> {
    let modified = fs::metadata(path)?.modified()?;
    Ok(modified.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "$TTL 60\n@ SOA ns h 5 1 2 3 4\n@ NS ns.example.net.\n\\/..\\@ A 192.0.2.1\na TXT \"x;\\\"$\"\n";

    fn zone(apex: &str) -> Zone {
        let origin: Name = apex.parse().unwrap();
        let text = TEXT.replace("\\/..\\@", "\\/\\.\\@");
        let settings = master::Settings { file: "zone", origin: &origin, default_ttl: None };
        zone::load(text.as_bytes(), &settings, 1, &mut master::no_include).unwrap().zone
    }

    #[test]
    fn a_zone_comes_back_as_it_was_kept_and_each_view_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        for (number, (view, apex)) in ["default", "inside", ".."]
            .iter()
            .flat_map(|view| ["example.", "A\\/\\.\\.b.example.", "."].map(|apex| (*view, apex)))
            .enumerate()
        {
            let (view, zone, now) = (ViewName::new(view), zone(apex), u64::try_from(number).unwrap());
            let id = ZoneId::new(view.clone(), zone.apex().clone());
            assert!(store.load(&id, 1).unwrap().is_none());
            store.save(&view, &zone, now, None).unwrap();
            let stored = store.load(&id, 1).unwrap().unwrap();
            assert_eq!((print::zone(&stored.zone), stored.refreshed), (print::zone(&zone), now), "{id}");
            assert_eq!(stored.expires, now + 3, "the SOA's");
            store.refreshed(&view, &zone.expiring_at(now + 102), now + 100, None).unwrap();
            let stored = store.load(&id, 1).unwrap().unwrap();
            assert_eq!((stored.refreshed, stored.expires), (now + 100, now + 102));
        }
        let outside = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(outside, 1, "all stays in its folder");
    }

    #[test]
    fn a_first_version_without_its_timers_is_as_old_as_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        let zone = zone("example.");
        let id = ZoneId::from(zone.apex().clone());
        store.save(&id.view, &zone, 7, None).unwrap();
        fs::remove_file(folder.path().join("zones/zone.example.json")).unwrap();
        assert!(store.load(&id, 1).unwrap().unwrap().refreshed > 1_700_000_000);
    }

    #[test]
    fn what_is_damaged_is_said_and_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        let zone = zone("example.");
        store.save(&ViewName::default(), &zone, 1, None).unwrap();
        fs::write(folder.path().join("zones/zone.example.zone"), "$ORIGIN example.\n@ 60 IN SOA").unwrap();
        assert!(store.load(&zone.apex().clone().into(), 1).unwrap_err().contains("zone.example.zone"));
    }
}
