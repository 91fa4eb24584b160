//! Zone files in RFC 1035's master form: opens them and what they include, and shows where they are wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::wire::Name;
use crate::zone::master::{Fault, Included, Settings};
use crate::zone::{self, Loaded, Zone};

use super::node::{FileId, Position};
use super::sources::{Reader, show_io};

/// One master file with what it includes.
pub(crate) struct Master<'m> {
    path: &'m Path,
    apex: &'m Name,
    reader: &'m Reader<'m>,
    /// The folders that included files may stand in, links followed.
    folders: Vec<PathBuf>,
    /// The files that something was said about.
    files: HashMap<String, FileId>,
}

impl<'m> Master<'m> {
    /// The file at `path`, of the zone `apex`.
    pub(crate) fn new(path: &'m Path, apex: &'m Name, reader: &'m Reader<'m>) -> Self {
        let folders = [reader.folder().to_owned(), path.parent().unwrap_or(Path::new("")).to_owned()];
        let folders = folders.into_iter().filter_map(|folder| canonical(&folder).ok()).collect();
        Self { path, apex, reader, folders, files: HashMap::new() }
    }

    /// Makes the zone of `text`, the file's content; what is wrong in it is reported.
    pub(crate) fn load(&mut self, text: &[u8], seed: u64) -> Option<Zone> {
        let name = self.path.display().to_string();
        let settings = Settings { file: &name, origin: self.apex, default_ttl: None };
        let loaded =
            zone::load_within(&self.reader.sizes(), text, &settings, seed, &mut |path, file| self.include(path, file));
        let issues = self.reader.issues;
        match loaded {
            Ok(Loaded { zone, warnings }) => {
                warnings.into_iter().for_each(|fault| issues.warn_in_text(self.position(&fault), fault.message));
                Some(zone)
            }
            Err(errors) => {
                errors.into_iter().for_each(|fault| issues.error_in_text(self.position(&fault), fault.message));
                None
            }
        }
    }

    fn position(&mut self, fault: &Fault) -> Position {
        let name = &fault.file;
        let file = match self.files.get(name) {
            Some(file) => *file,
            None => {
                // Only a file that something is said about is kept as text, for its lines.
                let bytes = self.reader.zone_file(Path::new(name)).unwrap_or_default();
                let text: Rc<str> = String::from_utf8_lossy(&bytes).into();
                let file = self.reader.sources.add(Path::new(name), text);
                self.files.insert(name.clone(), file);
                file
            }
        };
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let behind = fault.excerpt.chars().skip(fault.column.saturating_sub(1));
        let width = behind.take_while(|c| !c.is_whitespace() && !matches!(c, ';' | ')')).count();
        Position { file, line: number(fault.line), column: number(fault.column), width: number(width.max(1)) }
    }

    /// Opens a file that `$INCLUDE` names in `file`: beside it, and never outside the folders of the configuration.
    fn include(&self, path: &str, file: &str) -> Result<Included, String> {
        let path = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
        let real = canonical(&path).map_err(|error| show_io(&error))?;
        if !self.folders.iter().any(|folder| real.starts_with(folder)) {
            return Err("it is not in the folder of the configuration or of the zone file".to_owned());
        }
        let text = self.reader.zone_file(&path).map_err(|error| show_io(&error))?;
        Ok(Included { name: path.display().to_string(), text })
    }
}

/// The path with every link followed; an empty one is the working folder.
fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path })
}
