//! Secondary zones on disk, so that a restart serves them at once: the zone as a master file, and when it was last known
//! to be current.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::wire::Name;
use crate::zone::{self, Zone, master, print};

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
    pub zone: Zone,
    /// When a primary last said that it is current, in seconds since 1970.
    pub refreshed: u64,
}

/// What is kept beside a zone.
#[derive(Serialize, Deserialize)]
struct Timers {
    serial: u32,
    refreshed: u64,
}

impl ZoneStore {
    /// The zones kept in the folder `zones` of the state folder.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("zones") }
    }

    /// The kept zone of that name; none when there is none. What was kept is checked as any file is.
    ///
    /// # Errors
    /// Why what is kept cannot be used.
    pub fn load(&self, apex: &Name, seed: u64) -> Result<Option<Stored>, String> {
        let (path, timers) = self.paths(apex);
        let fail = |path: &Path, error: String| format!("reading {}: {error}", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(&path, error.to_string())),
        };
        let kept = fs::read(&timers).map_err(|error| fail(&timers, error.to_string()))?;
        let kept: Timers = serde_json::from_slice(&kept).map_err(|error| fail(&timers, error.to_string()))?;
        let file = path.display().to_string();
        let settings = master::Settings { file: &file, origin: apex, default_ttl: None };
        let loaded = zone::load(&text, &settings, seed, &mut master::no_include);
        let loaded = loaded.map_err(|faults| faults.first().map_or_else(String::new, |fault| fault.message.clone()));
        let zone = loaded.map_err(|error| fail(&path, error))?.zone;
        // A crash between the two writes leaves the new zone with the timers of the old: it was current then too.
        Ok(Some(Stored { zone, refreshed: kept.refreshed }))
    }

    /// Keeps a new version.
    ///
    /// # Errors
    /// The system's reason; the last version is kept then.
    pub fn save(&self, zone: &Zone, refreshed: u64) -> Result<(), String> {
        let (path, _) = self.paths(zone.apex());
        let text = print::zone(zone);
        self.write(&path, text.as_bytes()).map_err(|error| format!("writing {}: {error}", path.display()))?;
        self.refreshed(zone, refreshed)
    }

    /// Keeps that the version is current.
    ///
    /// # Errors
    /// The system's reason.
    pub fn refreshed(&self, zone: &Zone, refreshed: u64) -> Result<(), String> {
        let (_, path) = self.paths(zone.apex());
        let timers = Timers { serial: zone.soa().serial, refreshed };
        let text = serde_json::to_vec(&timers).map_err(|error| error.to_string())?;
        self.write(&path, &text).map_err(|error| format!("writing {}: {error}", path.display()))
    }

    /// Writes beside the final name, then renames: after a crash the old or the new file is there.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let hidden = path.with_extension("tmp");
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).custom_flags(NO_FOLLOW).open(&hidden)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&hidden, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The zone's file and that of its timers. Names hold any octet; files keep to letters, digits, `-`, `_` and `.`.
    fn paths(&self, apex: &Name) -> (PathBuf, PathBuf) {
        let mut name = String::new();
        for octet in apex.to_lowercase().to_string().trim_end_matches('.').bytes() {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(octet)),
                _ => name.push_str(&format!("%{octet:02x}")),
            }
        }
        // The root has no letters, and a leading dot would hide the file.
        (self.folder.join(format!("zone.{name}.zone")), self.folder.join(format!("zone.{name}.json")))
    }
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
    fn a_zone_comes_back_as_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        for apex in ["example.", "A\\/\\.\\.b.example.", "."] {
            let zone = zone(apex);
            assert!(store.load(zone.apex(), 1).unwrap().is_none());
            store.save(&zone, 77).unwrap();
            let stored = store.load(zone.apex(), 1).unwrap().unwrap();
            assert_eq!((print::zone(&stored.zone), stored.refreshed), (print::zone(&zone), 77), "{apex}");
            store.refreshed(&zone, 78).unwrap();
            assert_eq!(store.load(zone.apex(), 1).unwrap().unwrap().refreshed, 78);
        }
        let outside = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(outside, 1, "all stays in its folder");
    }

    #[test]
    fn what_is_damaged_is_said_and_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let store = ZoneStore::new(folder.path());
        let zone = zone("example.");
        store.save(&zone, 1).unwrap();
        fs::write(folder.path().join("zones/zone.example.zone"), "$ORIGIN example.\n@ 60 IN SOA").unwrap();
        assert!(store.load(zone.apex(), 1).unwrap_err().contains("zone.example.zone"));
    }
}
