//! The property of the journal's file, read back.

use std::fs;
use std::path::Path;

use fairlead::journal::{Journal, Options};
use ring::digest::{SHA256, digest};

use crate::properties::{Contents, SEED, contents};

/// The random number of the file.
const ID: [u8; 16] = [7; 16];
const MAGIC: &[u8] = b"fairlead journal 1\n";
/// Of each zone: its view and apex, the serial it ends with, and its version with every change made, where they fit.
type State = Vec<(String, u32, Option<Contents>)>;

/// A file of these frames, each whole and with its right sum, and where the last of them starts.
fn file(payloads: &[&[u8]]) -> (Vec<u8>, usize) {
    let mut file = [MAGIC, &ID].concat();
    file.extend_from_slice(digest(&SHA256, &file.clone()).as_ref());
    let mark = mark();
    let mut last = file.len();
    for (number, payload) in payloads.iter().enumerate() {
        last = file.len();
        let [number, length] = [number, payload.len()].map(|count| (count as u64).to_be_bytes());
        let sum = digest(&SHA256, &[&ID[..], &number, &length, payload].concat());
        file.extend([&mark[..], &number, &length, sum.as_ref(), payload].concat());
    }
    (file, last)
}

/// What each frame of the file starts with.
fn mark() -> [u8; 8] {
    *digest(&SHA256, &ID).as_ref().first_chunk().expect("a digest of 32 octets")
}

/// What a start finds in a file; none when it refuses it.
fn open(path: &Path, file: &[u8]) -> Option<State> {
    fs::write(path, file).expect("a file");
    state(path)
}

fn state(path: &Path) -> Option<State> {
    let journal = Journal::open(path, Options { zone_octets_max: 1 << 20, seed: SEED }).ok()?;
    let zones = journal.zones().into_iter().map(|zone| {
        let kept = journal.kept(&zone).expect("a zone that is listed");
        (zone.to_string(), kept.serial(), kept.result().ok().map(|zone| contents(&zone)))
    });
    Some(zones.collect())
}

/// Any frames, each payload behind its length, in a file with right sums: they are all taken or the file is refused, the
/// same after the file was written anew; with the last frame cut off anywhere the file says what it said without that
/// frame, and with the frame damaged it is refused, or says that too.
pub fn journal(data: &[u8]) {
    let Some(([high, low], mut rest)) = data.split_first_chunk::<2>() else { return };
    let mut payloads = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        payloads.push(payload);
        rest = tail;
    }
    // A node draws the number that its marks come from, so that nobody can write one into a payload.
    if payloads.iter().any(|payload| payload.windows(8).any(|window| window == mark())) {
        return;
    }
    // What is not synced cannot be lost here: memory is enough, and a disk takes its time.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    let path = folder.path().join("updates.journal");
    let (whole, last) = file(&payloads);
    let found = open(&path, &whole);
    if found.is_some() {
        assert_eq!(state(&path), found, "the file was written anew");
    }
    if payloads.is_empty() {
        return;
    }
    let before = open(&path, &file(&payloads[..payloads.len() - 1]).0);
    let at = usize::from(u16::from_be_bytes([*high, *low])) % (whole.len() - last);
    assert_eq!(open(&path, &whole[..last + at]), before, "cut {at} octets into the last frame");
    let mut wrong = whole.clone();
    wrong[last + at] ^= 1 << (at % 8);
    // Damage is refused; only where the frame has sectors without anything in them can it be taken for one that is torn.
    let found = open(&path, &wrong);
    assert!(found.is_none() || found == before, "octet {at} of the last frame is wrong: {found:?}");
}
