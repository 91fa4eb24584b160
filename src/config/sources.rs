//! Reading what is configured: one file or a folder of files as one tree, and the files these name.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::issues::{Issues, Sources};
use super::limits;
use super::node::{Entry, Node, Place, Position, Value};
use super::yaml;
use crate::zone::Sizes;

/// Opens files for one load and remembers which, for watching.
pub(crate) struct Reader<'a> {
    pub(crate) issues: &'a Issues,
    pub(crate) sources: &'a Sources,
    /// The configuration's folder, or the folder of its file.
    folder: PathBuf,
    opened: RefCell<Vec<PathBuf>>,
    /// What zone files are held to; known once the configuration is read.
    sizes: Cell<Sizes>,
}

impl<'a> Reader<'a> {
    /// A reader of the configuration at `path` that has opened nothing.
    pub(crate) fn new(path: &Path, issues: &'a Issues, sources: &'a Sources) -> Self {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        Self::in_folder(folder, issues, sources)
    }

    /// A reader of files that belong to the configuration in `folder`.
    pub(crate) fn in_folder(folder: &Path, issues: &'a Issues, sources: &'a Sources) -> Self {
        let (opened, sizes) = (RefCell::default(), Cell::default());
        Self { issues, sources, folder: folder.to_owned(), opened, sizes }
    }

    /// Holds zone files to these sizes from now on.
    pub(crate) fn hold_to(&self, sizes: Sizes) {
        self.sizes.set(sizes);
    }

    /// What zone files are held to.
    pub(crate) const fn sizes(&self) -> Sizes {
        self.sizes.get()
    }

    /// The configuration's folder, or the folder of its file.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of the file that is written at `place`, with its path.
    pub(crate) fn text(&self, path: &Path, place: &Place<'_>, bytes_max: u64) -> (PathBuf, io::Result<String>) {
        let (path, bytes) = self.bytes(path, place, bytes_max);
        let text = bytes.and_then(utf8);
        (path, text)
    }

    /// The content of the file that is written at `place`, with its path.
    pub(crate) fn bytes(&self, path: &Path, place: &Place<'_>, bytes_max: u64) -> (PathBuf, io::Result<Vec<u8>>) {
        let path = self.sources.resolve(place.position(), path);
        let bytes = self.open(&path, bytes_max);
        (path, bytes)
    }

    /// The content of a file.
    pub(crate) fn open(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.opened.borrow_mut().push(path.to_owned());
        read(path, bytes_max)
    }

    /// The content of a zone file.
    pub(crate) fn zone_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.open(path, self.sizes().file_octets).map_err(|error| match error.kind() {
            kind @ io::ErrorKind::FileTooLarge => io::Error::new(kind, format!("{error} (`limits.zones.file_size`)")),
            _ => error,
        })
    }

    /// When a file was last changed, in seconds since 1970.
    pub(crate) fn modified(&self, path: &Path) -> Option<u32> {
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        // RFC 1982: a serial number is taken modulo 2^32.
        u32::try_from(since.as_secs() & u64::from(u32::MAX)).ok()
    }

    /// Every file that was opened, or would have been had it been there.
    pub(crate) fn into_opened(self) -> Vec<PathBuf> {
        let mut opened = self.opened.into_inner();
        opened.sort();
        opened.dedup();
        opened
    }

    /// The configuration at `path`, a file or a folder, as one tree. `None` when there is none to speak of.
    pub(crate) fn tree(&self, path: &Path) -> Option<Node> {
        let files = match self.list(path) {
            Ok(files) => files,
            Err(error) => {
                let file = self.sources.add(path, Rc::from(""));
                self.issues.error_in_file(file, format!("cannot read it: {}", show_io(&error)));
                return None;
            }
        };
        if files.is_empty() {
            let folder = self.sources.add(path, Rc::from(""));
            self.issues.error_in_file(folder, "no file in it ends in .yaml or .yml");
        }
        let trees: Vec<Node> = files.iter().filter_map(|file| self.file(file)).collect();
        Some(without_templates(merge(trees, self.issues, self.sources)?))
    }

    /// The files of a folder in the order of their names, or the file itself.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if !std::fs::metadata(path)?.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        // A file that comes to the folder is a change of the configuration.
        self.opened.borrow_mut().push(path.to_owned());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
            if !hidden && is_yaml(&path) && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn file(&self, path: &Path) -> Option<Node> {
        let text = self.open(path, limits::CONFIGURATION_FILE_BYTES_MAX).and_then(utf8);
        let text = match text {
            Ok(text) => Rc::from(text),
            Err(error) => {
                self.issues.mark_incomplete();
                let file = self.sources.add(path, Rc::from(""));
                self.issues.error_in_file(file, format!("cannot read it: {}", show_io(&error)));
                return None;
            }
        };
        let file = self.sources.add(path, Rc::clone(&text));
        let tree = yaml::parse(file, &text, self.issues);
        if tree.is_none() {
            self.issues.mark_incomplete();
        }
        tree
    }
}

/// Whether the name says that a file is YAML.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// An input error in plain words, without the number of the operating system.
pub(crate) fn show_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// The text of a file, its byte order mark left out.
pub(crate) fn utf8(mut bytes: Vec<u8>) -> io::Result<String> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        // A byte order mark is no text: it would take a column of the first line.
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The tree without the keys `x-…`, a place for values that are used elsewhere through anchors and aliases.
fn without_templates(tree: Node) -> Node {
    match tree.value {
        Value::Map(mut entries) => {
            entries.retain(|entry| !entry.key.starts_with("x-"));
            Node::new(tree.position, Value::Map(entries))
        }
        _ => tree,
    }
}

/// One tree of several files: maps are united, lists joined; anything else may be written in one file only.
fn merge(trees: Vec<Node>, issues: &Issues, sources: &Sources) -> Option<Node> {
    let mut trees = trees.into_iter();
    let first = trees.next()?;
    if trees.len() == 0 {
        return Some(first);
    }
    let position = first.position;
    let mut entries: Vec<Entry> = Vec::new();
    for tree in std::iter::once(first).chain(trees) {
        if !matches!(tree.value, Value::Map(_) | Value::Null) {
            issues.error_in_text(tree.position, format!("expected a map, found {}", tree.value));
        }
        for entry in tree.entries() {
            match entries.iter_mut().find(|present| present.key == entry.key) {
                None => entries.push(entry.clone()),
                Some(present) => unite(present, entry, issues, sources),
            }
        }
    }
    Some(Node::new(position, Value::Map(entries)))
}

/// Adds what another file writes under the same key.
fn unite(present: &mut Entry, other: &Entry, issues: &Issues, sources: &Sources) {
    let twice = |key: &str, first: Position, again: Position| {
        issues.error_in_text(again, format!("`{key}` is written twice, first in {}", sources.show(first)));
    };
    let value = match (&present.value.value, &other.value.value) {
        (_, Value::Null) => return,
        (Value::Null, _) => {
            present.value = Rc::clone(&other.value);
            return;
        }
        (Value::List(ours), Value::List(theirs)) => Value::List(ours.iter().chain(theirs).map(Rc::clone).collect()),
        (Value::Map(ours), Value::Map(theirs)) => {
            let known: std::collections::HashMap<&str, Position> =
                ours.iter().map(|entry| (&*entry.key, entry.position)).collect();
            let mut united = ours.clone();
            for entry in theirs {
                match known.get(&*entry.key) {
                    Some(first) => twice(&entry.key, *first, entry.position),
                    None => united.push(entry.clone()),
                }
            }
            Value::Map(united)
        }
        _ => return twice(&present.key, present.position, other.position),
    };
    present.value = Rc::new(Node::new(present.value.position, value));
}
