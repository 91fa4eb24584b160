//! Writing updates back to a zone's file: the file first, whole or not at all, then the journal lets go of them. A crash
//! between the two leaves a file that has all that the journal has, which the next start sees.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{Format, SoaPlace, ZoneFile};
use crate::journal::{Journal, Kept};
use crate::zone::merge::{Merged, merge};
use crate::zone::{Difference, Zone, rdata};

/// Stops a symbolic link put in the place of our temporary file from being followed (`O_NOFOLLOW` on Linux).
const NO_FOLLOW: i32 = nix::libc::O_NOFOLLOW;

/// Whether a file may be written that is made of several files or of generated lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// No: that structure would be lost.
    No,
    /// Yes: one plain file takes its place.
    Yes,
}

/// Writes what `kept` leads to over the zone's file, then empties the journal. Gives the version written, and lines for
/// the person who asked.
pub(super) fn flush(
    journal: &Journal,
    file: &ZoneFile,
    kept: &Kept,
    force: Force,
    seed: u64,
) -> Result<(Zone, Vec<String>), String> {
    let id = &file.id;
    let result = kept.result().map_err(|error| format!("the journal of {id}: {error}"))?;
    let path = fs::canonicalize(&file.path).map_err(|error| doing("reading", &file.path, &error))?;
    let before = identity(&path)?;
    let (in_file, format) = file.read(&path, seed)?;
    let emptied = || {
        let emptied = journal.advance(id, &result);
        emptied.map_err(|error| {
            format!("{} is written, but the journal was not emptied; a reload does that: {error}", path.display())
        })
    };
    match merge(&kept.base, &in_file, &result) {
        Ok(Merged::File) => {
            emptied()?;
            let line = format!("{id}: {} has all updates already; the journal let go of them", path.display());
            return Ok((in_file, vec![line]));
        }
        Ok(Merged::Served) => {}
        Ok(Merged::Both(_)) | Err(_) => {
            return Err(format!(
                "{} was edited since its updates began, and is left alone; a reload merges the edits where they do not \
                 meet the updates, `fairlead zone diff {id}` shows them",
                path.display()
            ));
        }
    }
    let mut lines = vec![format!(
        "{id}: wrote version {} with {} changes to {}",
        result.soa().serial,
        kept.changes.len(),
        path.display()
    )];
    lines.extend(check_format(&path, format, force)?);
    replace(file, &path, format, &result, seed, before)?;
    emptied()?;
    Ok((result, lines))
}

/// Whether a file of that form may be written; gives what is lost by it.
fn check_format(path: &Path, format: Format, force: Force) -> Result<Option<String>, String> {
    let path = path.display();
    match format {
        Format::Master { has_directives: true } if force == Force::No => Err(format!(
            "{path} uses $INCLUDE or $GENERATE, which writing it would make one plain list of records of; --force does \
             it all the same"
        )),
        Format::Yaml { soa: SoaPlace::Configuration { has_serial: true }, .. } => Err(format!(
            "the serial of {path} stands in the configuration (`soa: {{serial: …}}`), which is not written to: take it \
             away there, so that the file's time is the serial, or write the SOA in the file"
        )),
        Format::Master { has_directives: true } => {
            Ok(Some(format!("warning: the comments, $INCLUDE and $GENERATE of {path} are gone")))
        }
        Format::Master { .. } | Format::Yaml { .. } => Ok(Some(format!("warning: the comments of {path} are gone"))),
    }
}

/// Puts a file that reads back as `zone` in the place of the one at `path`, which must still be the one of `before`.
fn replace(
    file: &ZoneFile,
    path: &Path,
    format: Format,
    zone: &Zone,
    seed: u64,
    before: Identity,
) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden = path.with_file_name(format!(".fairlead-new.{name}"));
    let written = write(&hidden, path, format, zone).map_err(|error| doing("writing", &hidden, &error));
    let checked = written.and_then(|()| {
        let (again, _) = file.read(&hidden, seed)?;
        if Difference::between(zone, &again).is_empty() && zone.soa_record() == again.soa_record() {
            return Ok(());
        }
        let lost = Difference::between(zone, &again);
        let first = lost.removed.first().or(lost.added.first());
        let first = first.map_or_else(
            || format!("its SOA ({} for {})", soa_text(&again), soa_text(zone)),
            |record| format!("{} {}", record.name, record.record_type),
        );
        Err(format!("{} cannot hold {first} as it is served; it is left as it was", path.display()))
    });
    let swapped = checked.and_then(|()| {
        if identity(path)? != before {
            return Err(format!("{} was written to by somebody else meanwhile, and is left alone", path.display()));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let renamed = fs::rename(&hidden, path).and_then(|()| File::open(folder)?.sync_all());
        renamed.map_err(|error| doing("replacing", path, &error))
    });
    if swapped.is_err() {
        let _ = fs::remove_file(&hidden); // what cannot be removed is written over next time
    }
    swapped
}

/// Writes the file with the mode, owner and, where that is the serial, the time that it is to have. It is on disk then.
fn write(hidden: &Path, path: &Path, format: Format, zone: &Zone) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let _ = fs::remove_file(hidden); // left behind by a crash, or not there
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).custom_flags(NO_FOLLOW).open(hidden)?;
    file.write_all(format.text(zone).as_bytes())?;
    // Only root may give files away; else it is ours, as every file that we write.
    let _ = std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    if format.has_serial_of_time() {
        file.set_modified(UNIX_EPOCH + Duration::from_secs(u64::from(zone.soa().serial)))?;
    }
    file.sync_all()
}

fn soa_text(zone: &Zone) -> String {
    let record = zone.soa_record();
    record.map_or_else(String::new, |soa| format!("{} {}", soa.ttl, rdata::to_text(soa.record_type, &soa.rdata)))
}

/// What tells a file from another that took its place.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

fn identity(path: &Path) -> Result<Identity, String> {
    let metadata = fs::metadata(path).map_err(|error| doing("reading", path, &error))?;
    Ok(Identity { inode: metadata.ino(), length: metadata.len(), modified: metadata.modified().ok() })
}

fn doing(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{what} {}: {error}", PathBuf::from(path).display())
}
