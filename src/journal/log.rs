//! The journal's file: frames appended and made durable, read back, and written anew.
//!
//! ```text
//! file:  "fairlead journal 1\n" | random number 16 | SHA-256 of both 32 | frames
//! frame: mark 8 | number u64 | length u64 | SHA-256 of (random number, number, length, payload) 32 | payload
//! ```
//! The mark is made from the random number, so that nothing that a sender of updates chose can look like a frame.
//! A file that is written anew ends with a frame that says so: what stands before it was never the end of a file.
//!
//! The last frame may be one that a crash tore: written in part and never acknowledged. It is left out then. What a crash
//! leaves is short, or has sectors that were never written, which read as zeros since a file system shows nobody what its
//! blocks held before. A last frame that is wrong in any other way was damaged after it was written; it may have been
//! acknowledged, so that this is an error.
//!
//! What cannot be told apart: a last frame of which the disk lost whole sectors, or the file system the end, after it was
//! acknowledged looks torn. That takes a disk that breaks its promise in the very last commit; nothing in the file could
//! tell, as the acknowledgement leaves no trace on it. The other way round, a file system that does show old blocks
//! (ext4 with `data=writeback`) can make a torn frame look damaged: the start stops, and nothing is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{Context, SHA256, digest};

use super::error::JournalError;
use super::frame::{self, Item};

const MAGIC: &[u8] = b"fairlead journal 1\n";
/// Octets of a frame before its payload.
const FRAME_HEADER_OCTETS: usize = 8 + 8 + 8 + 32;
/// The least that a disk writes at once, and the alignment of it.
const SECTOR_OCTETS: usize = 512;
/// How often, and how far apart, the lock is tried before the journal is taken for one in use.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(25);
/// Stops a symbolic link put in the place of our file from being followed (`O_NOFOLLOW` on Linux).
const NO_FOLLOW: i32 = nix::libc::O_NOFOLLOW;

/// The file, and how far it is good.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// None until something is written, and after a failure that leaves the file in doubt.
    file: Option<File>,
    id: [u8; 16],
    /// The number of the next frame.
    number: u64,
    /// Octets that are durable.
    length: u64,
    /// Keeps other processes away.
    _lock: Option<File>,
}

/// What was found when the file was opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The items of every frame in their order.
    pub(super) items: Vec<Item>,
    /// Octets at the end that a crash left of a frame that was never acknowledged.
    pub(super) cut: u64,
    /// Whether the file was closed in order, and all of it is known to be durable.
    pub(super) is_clean: bool,
}

impl Log {
    /// Reads the file at `path`. One that is not there is made when something is written.
    pub(super) fn open(path: &Path, seed: u64) -> Result<(Self, Found), JournalError> {
        let lock = lock(path)?;
        let fail = |error| JournalError::Open { path: path.to_owned(), error };
        let mut log = Self { path: path.to_owned(), file: None, id: [0; 16], number: 0, length: 0, _lock: lock };
        let octets = match fs::read(path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((log, Found { is_clean: true, ..Found::default() }));
            }
            Err(error) => return Err(fail(error)),
        };
        let found = log.read(&octets, seed)?;
        if found.is_clean && found.cut == 0 {
            // A file that cannot be written is in doubt: the next commit tries to write it anew.
            log.file = OpenOptions::new().write(true).custom_flags(NO_FOLLOW).open(path).ok();
        }
        Ok((log, found))
    }

    /// Octets of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether commits can be appended; else the file has to be written anew first.
    pub(super) const fn is_good(&self) -> bool {
        self.file.is_some()
    }

    /// Appends a frame and waits until it is durable. After an error the file holds nothing of it, or is in doubt.
    pub(super) fn commit(&mut self, payload: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file is in doubt")) };
        let frame = frame_of(&self.id, self.number, payload);
        let written = file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(&frame));
        if let Err(error) = written {
            // Without these octets the file is as it was: what was synced before stays good.
            if file.set_len(self.length).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        if let Err(error) = file.sync_data() {
            // The system may have dropped any page since the last sync.
            self.file = None;
            return Err(error);
        }
        self.number += 1;
        self.length += octets(frame.len());
        Ok(())
    }

    /// Writes the file anew with these frames and puts it in the place of the old one, which stays if that fails.
    pub(super) fn rewrite(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let hidden = self.path.with_extension("new");
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(NO_FOLLOW);
        let mut file = options.open(&hidden)?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let header = header(&id);
        let (mut number, mut length) = (0, octets(header.len()));
        file.write_all(&header)?;
        for payload in payloads.chain(std::iter::once(closed())) {
            let frame = frame_of(&id, number, &payload);
            file.write_all(&frame)?;
            number += 1;
            length += octets(frame.len());
        }
        file.sync_all()?;
        fs::rename(&hidden, &self.path)?;
        // From here on the new file is the journal: should the folder not be synced, a crash may bring the old one
        // back, so nothing more may be acknowledged.
        self.file = None;
        File::open(folder)?.sync_all()?;
        (self.file, self.id, self.number, self.length) = (Some(file), id, number, length);
        Ok(())
    }

    fn read(&mut self, octets_read: &[u8], seed: u64) -> Result<Found, JournalError> {
        let id = octets_read.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<16>());
        let start = id.map(header).unwrap_or_default();
        let (Some(id), Some(mut rest)) = (id, octets_read.strip_prefix(&*start)) else {
            return Err(self.damaged(0, "it does not start as a journal does"));
        };
        self.id = *id;
        self.length = octets(start.len());
        let mut found = Found::default();
        while !rest.is_empty() {
            let Some((payload, tail)) = frame_at(id, self.number, rest) else {
                self.refuse_frames_in(rest)?;
                if !self.is_torn(rest) {
                    return Err(self.damaged(
                        self.length,
                        "the last frame is not as it was written, and not as a crash leaves it",
                    ));
                }
                found.cut = octets(rest.len());
                found.is_clean = false;
                break;
            };
            let items = frame::items(payload, seed).map_err(|reason| self.damaged(self.length, &reason))?;
            found.is_clean = matches!(items.last(), Some(Item::Closed));
            found.items.extend(items);
            self.number += 1;
            self.length += octets(rest.len() - tail.len());
            rest = tail;
        }
        Ok(found)
    }

    /// A cut-off frame is the last thing in a file, as the next is only written once it is durable. Where a whole one
    /// follows, something that was acknowledged is broken.
    fn refuse_frames_in(&self, rest: &[u8]) -> Result<(), JournalError> {
        let mark = mark(&self.id);
        let starts = rest.windows(mark.len()).enumerate().filter(|(_, window)| **window == mark);
        for (at, _) in starts {
            let behind = rest.get(at..).unwrap_or(&[]);
            let number = behind.get(8..16).and_then(|number| number.try_into().ok()).map_or(0, u64::from_be_bytes);
            if frame_at(&self.id, number, behind).is_some() {
                return Err(self.damaged(self.length, "a frame is not as it was written, and whole ones follow"));
            }
        }
        Ok(())
    }

    /// Whether `rest`, which is no whole frame, may be what a crash left of the next one.
    fn is_torn(&self, rest: &[u8]) -> bool {
        if has_empty_sector(self.length, rest) {
            return true;
        }
        let start = [&mark(&self.id)[..], &self.number.to_be_bytes()].concat();
        let known = rest.len().min(start.len());
        if rest.get(..known) != start.get(..known) {
            return false;
        }
        let Some((header, payload)) = rest.split_at_checked(FRAME_HEADER_OCTETS) else { return true };
        let length = header.get(16..24).and_then(|length| length.try_into().ok()).map_or(0, u64::from_be_bytes);
        // One that is whole but for its length was not cut off.
        let is_whole = header.get(24..) == frame_header(&self.id, self.number, payload).get(24..);
        length > octets(payload.len()) && !is_whole
    }

    fn damaged(&self, at: u64, reason: &str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), at, reason: reason.to_owned() }
    }
}

/// Whether some sector has nothing but zeros of `rest`, which stands at `start` in the file.
fn has_empty_sector(start: u64, rest: &[u8]) -> bool {
    let before = usize::try_from(start).unwrap_or(0) % SECTOR_OCTETS;
    let (first, others) = rest.split_at(rest.len().min(SECTOR_OCTETS - before));
    let is_empty = |sector: &[u8]| sector.iter().all(|octet| *octet == 0);
    is_empty(first) || others.chunks(SECTOR_OCTETS).any(is_empty)
}

/// What a file with that random number starts with.
fn header(id: &[u8; 16]) -> Vec<u8> {
    let mut header = [MAGIC, id].concat();
    let sum = digest(&SHA256, &header);
    header.extend_from_slice(sum.as_ref());
    header
}

/// The payload of a frame that says that all before it is durable.
pub(super) fn closed() -> Vec<u8> {
    let mut payload = Vec::new();
    frame::append_closed(&mut payload);
    payload
}

/// The payload of the frame at the start of `octets`, and what follows it; none when it is not whole and right.
fn frame_at<'o>(id: &[u8; 16], number: u64, octets: &'o [u8]) -> Option<(&'o [u8], &'o [u8])> {
    let (header, rest) = octets.split_at_checked(FRAME_HEADER_OCTETS)?;
    let length = u64::from_be_bytes(header.get(16..24)?.try_into().ok()?);
    let (payload, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (header == frame_header(id, number, payload)).then_some((payload, tail))
}

fn frame_of(id: &[u8; 16], number: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_header(id, number, payload);
    frame.extend_from_slice(payload);
    frame
}

fn frame_header(id: &[u8; 16], number: u64, payload: &[u8]) -> Vec<u8> {
    let length = octets(payload.len());
    let mut context = Context::new(&SHA256);
    for part in [&id[..], &number.to_be_bytes(), &length.to_be_bytes(), payload] {
        context.update(part);
    }
    let mut header = Vec::with_capacity(FRAME_HEADER_OCTETS + payload.len());
    header.extend_from_slice(&mark(id));
    header.extend_from_slice(&number.to_be_bytes());
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(context.finish().as_ref());
    header
}

/// What every frame of the file with that random number starts with.
fn mark(id: &[u8; 16]) -> [u8; 8] {
    digest(&SHA256, id).as_ref().first_chunk().copied().unwrap_or_default()
}

/// Locks a file beside the journal, which itself is replaced when it is written anew. None where nothing can be
/// written: then this process only reads.
fn lock(path: &Path) -> Result<Option<File>, JournalError> {
    let beside = path.with_extension("lock");
    if let Some(folder) = beside.parent() {
        // What is wrong with the folder shows below.
        let _ = fs::create_dir_all(folder);
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_FOLLOW).open(&beside);
    let Ok(file) = opened else { return Ok(None) };
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // A process that was just killed may not be gone yet, or be held by a child that has not begun.
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Err(fs::TryLockError::Error(error)) => return Err(JournalError::Open { path: beside, error }),
        }
    }
    Err(JournalError::InUse(path.to_owned()))
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
