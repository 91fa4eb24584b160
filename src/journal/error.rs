//! What can go wrong with the journal, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::zone::ZoneId;

/// Why the journal cannot be used, or a change was not kept.
#[derive(Debug)]
pub enum JournalError {
    /// The file cannot be opened, read or made.
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The file is used by another process.
    InUse(PathBuf),
    /// What the file holds is not what was written: changes that were acknowledged may be lost.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage is, in octets from the start.
        at: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The changes could not be made durable. None of them was kept.
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The zone's changes have reached their limit. The change was not kept.
    Full {
        /// The zone.
        zone: ZoneId,
        /// The limit in octets.
        octets_max: u64,
    },
    /// The change does not start from the version that the journal has. It was not kept.
    Gap {
        /// The zone.
        zone: ZoneId,
        /// The serial of the version that the journal leads to.
        have: u32,
        /// The serial that the change starts from.
        from: u32,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => write!(f, "opening the journal {}: {error}", path.display()),
            Self::InUse(path) => {
                write!(f, "opening the journal {}: another process uses it; stop that first", path.display())
            }
            Self::Damaged { path, at, reason } => {
                let path = path.display();
                write!(
                    f,
                    "reading the journal {path}: damaged at octet {at}: {reason}; it holds dynamic updates that were \
                     acknowledged: restore the file from a copy, or move it away to start from the zone files without \
                     them (`mv {path} {path}.damaged`)"
                )
            }
            Self::Write { path, error } => write!(f, "writing the journal {}: {error}", path.display()),
            Self::Full { zone, octets_max } => write!(
                f,
                "the journal of {zone} is full: its changes would take more than {octets_max} octets; \
                 `fairlead zone flush {zone}` writes them to the zone file"
            ),
            Self::Gap { zone, have, from } => {
                write!(f, "the journal of {zone} leads to version {have}, the change starts from {from}")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { error, .. } | Self::Write { error, .. } => Some(error),
            Self::InUse(_) | Self::Damaged { .. } | Self::Full { .. } | Self::Gap { .. } => None,
        }
    }
}
