//! Notices that configured files changed, by looking at them once a second.
//!
//! Looking is preferred to inotify here: it sees changes on network file systems, bind mounts and swapped symbolic
//! links alike, and costs a few `stat` calls a second.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often the files are looked at.
pub const PERIOD: Duration = Duration::from_secs(1);

/// What the files looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

/// A set of files and what they looked like when they were last loaded.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    loaded: Stamp,
    /// What the last look saw, when it differs from what was loaded.
    pending: Option<Stamp>,
}

impl Watch {
    /// Watches `files` (folders for files that come and go) from how they look now.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let loaded = Stamp::of(&files);
        Self { files, loaded, pending: None }
    }

    /// Takes what the files look like now as loaded: called before they are read, so that a change while they are read
    /// is seen afterwards.
    pub fn mark_loaded(&mut self) {
        self.loaded = Stamp::of(&self.files);
        self.pending = None;
    }

    /// Watches `files` from now on; those watched before keep what they were marked with.
    pub fn refit(&mut self, files: Vec<PathBuf>) {
        let mut loaded = Stamp::of(&files);
        for (file, stamp) in files.iter().zip(&mut loaded.0) {
            let before = self.files.iter().zip(&self.loaded.0).find(|(known, _)| *known == file);
            if let Some((_, before)) = before {
                *stamp = *before;
            }
        }
        *self = Self { files, loaded, pending: None };
    }

    /// Watches `files` besides: what a refused configuration names may be what has to be mended.
    pub fn also(&mut self, files: Vec<PathBuf>) {
        let new: Vec<PathBuf> = files.into_iter().filter(|file| !self.files.contains(file)).collect();
        self.loaded.0.extend(Stamp::of(&new).0);
        self.files.extend(new);
    }

    /// Looks once. True when the files differ from what was loaded and have been still since the last look, so that
    /// an editor or a checkout in the middle of its work is not read; what was seen then counts as loaded.
    pub fn has_settled_change(&mut self) -> bool {
        let seen = Stamp::of(&self.files);
        if seen == self.loaded {
            self.pending = None;
            return false;
        }
        if self.pending.as_ref() == Some(&seen) {
            self.loaded = seen;
            self.pending = None;
            return true;
        }
        self.pending = Some(seen);
        false
    }
}

impl Stamp {
    fn of(files: &[PathBuf]) -> Self {
        let look = |file: &PathBuf| {
            let metadata = fs::metadata(file).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
        };
        Self(files.iter().map(look).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_and_only_when_it_is_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fairlead.yaml");
        fs::write(&file, "node: a").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(!watch.has_settled_change());
        fs::write(&file, "node: ab").unwrap();
        assert!(!watch.has_settled_change(), "just written");
        fs::write(&file, "node: abc").unwrap();
        assert!(!watch.has_settled_change(), "written again");
        assert!(watch.has_settled_change());
        assert!(!watch.has_settled_change(), "already told");
    }

    #[test]
    fn a_change_while_the_files_are_read_is_seen_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        fs::write(&old, "1").unwrap();
        let mut watch = Watch::new(vec![old.clone()]);
        fs::write(&old, "22").unwrap();
        watch.mark_loaded();
        fs::write(&new, "1").unwrap();
        watch.refit(vec![old.clone(), new]);
        assert!(!watch.has_settled_change() && !watch.has_settled_change(), "all was read");
        watch.mark_loaded();
        fs::write(&old, "333").unwrap();
        watch.refit(vec![old]);
        assert!(!watch.has_settled_change() && watch.has_settled_change(), "written while it was read");
    }

    #[test]
    fn a_file_is_watched_from_when_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("a.yaml"), folder.path().join("new.zone"));
        fs::write(&file, "same").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        watch.also(vec![file, new.clone()]);
        assert!(!watch.has_settled_change(), "naming a file is no change of it");
        fs::write(&new, "mended").unwrap();
        assert!(!watch.has_settled_change() && watch.has_settled_change());
    }

    #[test]
    fn a_file_that_is_replaced_removed_or_added_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        fs::write(&file, "same").unwrap();
        let mut watch = Watch::new(vec![folder.path().to_owned(), file.clone()]);
        let mut settled = || !watch.has_settled_change() && watch.has_settled_change();
        fs::write(&new, "same").unwrap();
        assert!(settled(), "added");
        fs::rename(&new, &file).unwrap();
        assert!(settled(), "replaced by a file of the same size");
        fs::remove_file(&file).unwrap();
        assert!(settled(), "removed");
    }
}
