//! What must survive a restart, as files in the state folder: operators' overrides and the last verdicts.
//!
//! A file is written beside its final name, flushed to disk and renamed: after a crash at any point the old or the new
//! one is there, never half of one. Both carry a version. Times in them are wall-clock milliseconds since 1970.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version written; files of a higher one are refused rather than half understood.
const VERSION: u32 = 1;
/// The largest file read back, in bytes: far above a hundred thousand virtual servers.
const FILE_SIZE_MAX: u64 = 256 * 1024 * 1024;
/// Stops a symbolic link put in the place of our temporary file from being followed (`O_NOFOLLOW` on Linux).
const NO_FOLLOW: i32 = nix::libc::O_NOFOLLOW;

/// The state folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// An operator's word on one object, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOverride {
    /// What kind of object, as in `fairlead disable KIND NAME`.
    pub kind: String,
    /// Which object.
    pub name: String,
    /// Whether it was enabled or disabled.
    pub enabled: bool,
    /// When it ends by itself; none when it stays until someone ends it.
    pub until_unix_ms: Option<u64>,
    /// How long it had to go when it was written: it never lasts longer than this, wherever the wall clock jumps.
    pub remaining_ms: Option<u64>,
    /// Why, as the person wrote it.
    pub reason: String,
}

/// What was last known of the world.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedHealth {
    /// The last verdict on each virtual server.
    pub verdicts: Vec<SavedVerdict>,
    /// What each agent last listed, by server.
    pub inventories: BTreeMap<String, Vec<SavedVirtualServer>>,
}

/// The last verdict on one virtual server, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVerdict {
    /// The server's name.
    pub server: String,
    /// The virtual server's name on it.
    pub virtual_server: String,
    /// `available`, `unavailable` or `offline`.
    pub availability: String,
    /// Why.
    pub reason: String,
    /// Who said so: `monitor`, `agent` or `peer NAME`.
    pub source: String,
}

/// A virtual server that an agent listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVirtualServer {
    /// Its name.
    pub name: String,
    /// What clients are given.
    pub address: SocketAddr,
}

/// Why the state folder could not be used.
#[derive(Debug)]
pub struct StateError {
    /// What was being done.
    doing: &'static str,
    /// With which file or folder.
    path: PathBuf,
    /// What was wrong.
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    Damaged(serde_json::Error),
    Newer(u32),
    TooLarge(u64),
}

/// A file: its version and what it keeps.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    content: T,
}

/// The part of a file that every version has.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

impl Store {
    /// Uses `folder`, made (readable by its owner only) when it is not there.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| StateError {
            doing: "creating the state folder",
            path: folder.to_owned(),
            cause: Cause::Io(error),
        })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The overrides that were in force when the node last ran; empty when it never did.
    pub fn load_overrides(&self) -> Result<Vec<SavedOverride>, StateError> {
        self.load("overrides.json")
    }

    /// Keeps the overrides. Returns once they are on the disk.
    pub fn save_overrides(&self, overrides: &[SavedOverride]) -> Result<(), StateError> {
        self.save("overrides.json", overrides)
    }

    /// What was last known of the world; empty when nothing was.
    pub fn load_health(&self) -> Result<SavedHealth, StateError> {
        self.load("health.json")
    }

    /// Keeps what is known of the world. Returns once it is on the disk.
    pub fn save_health(&self, health: &SavedHealth) -> Result<(), StateError> {
        self.save("health.json", health)
    }

    fn load<T: DeserializeOwned + Default>(&self, file: &str) -> Result<T, StateError> {
        let path = self.folder.join(file);
        let fail = |cause| StateError { doing: "reading", path: path.clone(), cause };
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(error) => return Err(fail(Cause::Io(error))),
            Ok(metadata) if metadata.len() > FILE_SIZE_MAX => return Err(fail(Cause::TooLarge(metadata.len()))),
            Ok(_) => fs::read(&path).map_err(|error| fail(Cause::Io(error)))?,
        };
        // The version is read first: what a newer version wrote need not fit our content.
        let header: Header = serde_json::from_slice(&text).map_err(|error| fail(Cause::Damaged(error)))?;
        if header.version > VERSION {
            return Err(fail(Cause::Newer(header.version)));
        }
        let read: Versioned<T> = serde_json::from_slice(&text).map_err(|error| fail(Cause::Damaged(error)))?;
        Ok(read.content)
    }

    fn save<T: Serialize + ?Sized>(&self, file: &str, content: &T) -> Result<(), StateError> {
        let path = self.folder.join(file);
        let fail = |cause| StateError { doing: "writing", path: path.clone(), cause };
        let text = serde_json::to_vec_pretty(&Versioned { version: VERSION, content })
            .map_err(|error| fail(Cause::Damaged(error)))?;
        write_atomically(&path, &text).map_err(|error| fail(Cause::Io(error)))
    }
}

/// Replaces `path` by `text` so that a crash leaves the old or the new content.
fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename itself is only durable once the folder is.
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.doing, self.path.display())?;
        match &self.cause {
            Cause::Io(error) => write!(f, "{error}"),
            Cause::Damaged(error) => write!(f, "{error}; remove the file to start without it"),
            Cause::Newer(version) => {
                write!(f, "version {version} was written by a newer fairlead, this one reads up to {VERSION}")
            }
            Cause::TooLarge(size) => write!(f, "{size} bytes are over the limit of {FILE_SIZE_MAX}"),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::Damaged(error) => Some(error),
            Cause::Newer(_) | Cause::TooLarge(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> SavedOverride {
        SavedOverride {
            kind: "server".into(),
            name: name.into(),
            enabled: false,
            until_unix_ms: Some(2),
            remaining_ms: Some(1),
            reason: "kernel".into(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nothing_saved_is_nothing_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("deep/state")).unwrap();
        assert_eq!(store.load_overrides().unwrap(), []);
        store.save_overrides(&[row("a"), row("b")]).unwrap();
        store.save_overrides(&[row("c")]).unwrap();
        assert_eq!(store.load_overrides().unwrap(), [row("c")]);
        assert_eq!(store.load_health().unwrap(), SavedHealth::default());
    }

    #[test]
    fn a_crash_in_the_middle_of_writing_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save_overrides(&[row("a")]).unwrap();
        fs::write(folder.path().join("overrides.tmp"), b"{\"version\":1,\"content\":[{\"ki").unwrap();
        assert_eq!(store.load_overrides().unwrap(), [row("a")]);
        store.save_overrides(&[row("b")]).unwrap();
        assert_eq!(store.load_overrides().unwrap(), [row("b")]);
    }

    #[test]
    fn damage_and_newer_versions_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (text, expected) in [("{", "remove the file"), (r#"{"version":9,"content":{"new":1}}"#, "newer fairlead")] {
            fs::write(folder.path().join("overrides.json"), text).unwrap();
            let error = store.load_overrides().unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("overrides.json"), "{error}");
        }
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("overrides.tmp")).unwrap();
        assert!(store.save_overrides(&[row("a")]).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
