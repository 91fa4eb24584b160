//! The journal as a whole: what is kept comes back, whatever a crash or a disk does to the file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Entry, Journal, JournalError, Options};
use crate::wire::{Name, RecordType};
use crate::zone::{Change, ViewName, Zone, ZoneBuilder, ZoneId, print};

const OPTIONS: Options = Options { zone_octets_max: 1 << 20, seed: 1 };

fn identity(apex: &str) -> ZoneId {
    let (apex, view) = apex.split_once('@').unwrap_or((apex, ""));
    let view = if view.is_empty() { ViewName::default() } else { ViewName::new(view) };
    ZoneId::new(view, apex.parse().unwrap())
}

/// Version `serial` of a zone: an SOA, and an address whose last octet says which version it is.
fn version(apex: &str, serial: u32) -> Zone {
    let apex: Name = identity(apex).apex;
    let mut builder = ZoneBuilder::new(&apex, 1);
    let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
    builder.add(&apex, RecordType::SOA, 60, &soa).unwrap();
    builder.add(&apex, RecordType::A, 60, &serial.to_be_bytes()).unwrap();
    builder.finish()
}

/// The steps of a zone from version `from` to version `to`, one for each.
fn steps(apex: &str, from: u32, to: u32) -> Entry {
    let step = |serial| Arc::new(Change::between(&version(apex, serial), &version(apex, serial + 1)).unwrap());
    let changes = (from..to).map(step).collect();
    Entry { zone: identity(apex), base: version(apex, from), changes, at: 7 }
}

fn open(path: &Path) -> Journal {
    Journal::open(path, OPTIONS).unwrap()
}

/// The serials of the base and of the result, after checking that the result is the version it says it is.
fn kept(journal: &Journal, apex: &str) -> Option<(u32, u32)> {
    let kept = journal.kept(&identity(apex))?;
    let result = kept.result().unwrap();
    assert_eq!(print::zone(&result), print::zone(&version(apex, kept.serial())));
    Some((kept.base.soa().serial, kept.serial()))
}

#[test]
fn what_is_kept_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/updates.journal");
    let journal = open(&path);
    assert!(!path.exists(), "nothing to keep, no file");
    journal.append(steps("a.", 1, 3)).unwrap();
    journal.append(steps("a.@inside", 9, 10)).unwrap();
    journal.append(steps("a.", 3, 4)).unwrap();
    let check = |journal: &Journal| {
        assert_eq!(
            [kept(journal, "a."), kept(journal, "a.@inside"), kept(journal, "c.")],
            [Some((1, 4)), Some((9, 10)), None]
        );
        assert_eq!(journal.kept(&identity("a.")).unwrap().changes.iter().map(|one| one.at).max(), Some(7));
    };
    check(&journal);
    drop(journal);
    check(&open(&path));
    let journal = open(&path);
    journal.forget(&identity("a.")).unwrap();
    drop(journal);
    let journal = open(&path);
    assert_eq!((kept(&journal, "a."), kept(&journal, "a.@inside")), (None, Some((9, 10))));
}

#[test]
fn several_zones_share_a_commit_and_a_bad_entry_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let journal = open(&path);
    let entries = vec![steps("a.", 1, 2), steps("a.", 5, 6), steps("b.", 1, 2), steps("a.", 2, 3)];
    let outcomes = journal.append_all(entries);
    assert!(matches!(outcomes[1], Err(JournalError::Gap { have: 2, from: 5, .. })), "{:?}", outcomes[1]);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    drop(journal);
    let journal = open(&path);
    assert_eq!((kept(&journal, "a."), kept(&journal, "b.")), (Some((1, 3)), Some((1, 2))));
}

#[test]
fn many_threads_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let journal = open(&path);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let journal = journal.clone();
            scope.spawn(move || {
                for serial in 1..20 {
                    journal.append(steps(&format!("z{number}."), serial, serial + 1)).unwrap();
                }
            });
        }
    });
    drop(journal);
    let journal = open(&path);
    assert!((0..8).all(|number| kept(&journal, &format!("z{number}.")) == Some((1, 20))));
}

#[test]
fn a_version_on_the_way_becomes_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let journal = open(&path);
    journal.append(steps("a.", 1, 5)).unwrap();
    journal.advance(&identity("a."), &version("a.", 3)).unwrap();
    assert_eq!(kept(&journal, "a."), Some((3, 5)));
    assert!(matches!(journal.advance(&identity("a."), &version("a.", 1)), Err(JournalError::Gap { .. })));
    drop(journal);
    let journal = open(&path);
    assert_eq!(kept(&journal, "a."), Some((3, 5)));
    journal.advance(&identity("a."), &version("a.", 5)).unwrap();
    assert_eq!((kept(&journal, "a."), kept(&open_copy(&path), "a.")), (None, None));
    journal.replace(steps("a.", 7, 9)).unwrap();
    assert_eq!((kept(&journal, "a."), kept(&open_copy(&path), "a.")), (Some((7, 9)), Some((7, 9))));
}

/// What another start would find, had the process ended now.
fn open_copy(path: &Path) -> Journal {
    let copy = path.with_file_name("copy.journal");
    fs::copy(path, &copy).unwrap();
    open(&copy)
}

#[test]
fn over_the_limit_old_changes_become_one_and_then_no_more_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let journal = Journal::open(&path, Options { zone_octets_max: 2000, seed: 1 }).unwrap();
    for serial in 1..100 {
        journal.append(steps("a.", serial, serial + 1)).unwrap();
    }
    let held = journal.kept(&identity("a.")).unwrap();
    assert!(held.octets() <= 2000 && held.changes.len() < 20, "{} {}", held.octets(), held.changes.len());
    assert_eq!(kept(&journal, "a."), Some((1, 100)));
    let mut builder = ZoneBuilder::from(&version("a.", 101));
    for host in 0..150_u8 {
        builder.add(&format!("h{host}.a.").parse().unwrap(), RecordType::A, 60, &[192, 0, 2, host]).unwrap();
    }
    let change = Arc::new(Change::between(&version("a.", 100), &builder.finish()).unwrap());
    let entry = Entry { changes: vec![change], ..steps("a.", 100, 101) };
    let error = journal.append(entry).unwrap_err();
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(error.to_string().contains("fairlead zone flush a."), "{error}");
    journal.append(steps("a.", 100, 101)).unwrap();
    drop(journal);
    assert_eq!(kept(&open(&path), "a."), Some((1, 101)));
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let journal = open(&path);
    for round in 0..30 {
        journal.append(steps("a.", 1, 400)).unwrap();
        journal.forget(&identity("a.")).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert!(length < (1 << 20) + 200_000, "{length} octets after {round} rounds");
    }
}

#[test]
fn a_second_process_is_kept_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let _journal = open(&path);
    assert!(matches!(Journal::open(&path, OPTIONS), Err(JournalError::InUse(_))));
}

/// A journal of three commits as a crash leaves it, and where each commit ends.
fn three_commits(path: &Path) -> (Vec<u8>, Vec<usize>) {
    let journal = open(path);
    let ends = (1..4).map(|serial| {
        journal.append(steps("a.", serial, serial + 1)).unwrap();
        usize::try_from(fs::metadata(path).unwrap().len()).unwrap()
    });
    let ends = ends.collect();
    (fs::read(path).unwrap(), ends)
}

#[test]
fn a_file_cut_at_any_octet_holds_every_commit_before_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let (octets, ends) = three_commits(&path);
    // The header and the first commit are made in one rename, so that no crash can cut there.
    for cut in ends[0]..=octets.len() {
        fs::write(&path, &octets[..cut]).unwrap();
        let whole = u32::try_from(ends.iter().filter(|end| **end <= cut).count()).unwrap();
        let journal = open(&path);
        assert_eq!(kept(&journal, "a."), Some((1, 1 + whole)), "cut at {cut}");
        journal.append(steps("a.", 1 + whole, 2 + whole)).unwrap();
        drop(journal);
        assert_eq!(kept(&open(&path), "a."), Some((1, 2 + whole)), "cut at {cut}, then written");
    }
}

#[test]
fn blocks_of_the_last_commit_that_never_reached_the_disk_take_it_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let (octets, start) = a_large_last_commit(&path);
    let sectors: Vec<(usize, usize)> = (start / 512..octets.len().div_ceil(512))
        .map(|sector| ((sector * 512).max(start), ((sector + 1) * 512).min(octets.len())))
        .collect();
    assert!(sectors.len() > 4, "{sectors:?}");
    for (first, (from, _)) in sectors.iter().enumerate() {
        for (_, to) in &sectors[first..] {
            let mut torn = octets.clone();
            torn[*from..*to].fill(0);
            fs::write(&path, &torn).unwrap();
            assert_eq!(kept(&open(&path), "a."), Some((1, 3)), "zeros from {from} to {to}");
        }
    }
}

/// A journal whose last commit takes several sectors, and where that starts.
fn a_large_last_commit(path: &Path) -> (Vec<u8>, usize) {
    let journal = open(path);
    journal.append(steps("a.", 1, 3)).unwrap();
    let start = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let mut builder = ZoneBuilder::from(&version("a.", 4));
    for host in 0..100_u8 {
        builder.add(&format!("h{host}.a.").parse().unwrap(), RecordType::A, 60, &[192, 0, 2, host]).unwrap();
    }
    let change = Arc::new(Change::between(&version("a.", 3), &builder.finish()).unwrap());
    journal.append(Entry { changes: vec![change], ..steps("a.", 3, 4) }).unwrap();
    (fs::read(path).unwrap(), start)
}

#[test]
fn damage_in_the_last_commit_that_no_crash_makes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let (octets, ends) = three_commits(&path);
    for at in ends[1]..octets.len() {
        for change in [0x01, 0x80] {
            let mut damaged = octets.clone();
            damaged[at] ^= change;
            fs::write(&path, &damaged).unwrap();
            let error = Journal::open(&path, OPTIONS).expect_err("damage was not seen");
            assert!(error.to_string().contains("the last frame is not as it was written"), "at {at}: {error}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "it is left as it is");
        }
    }
    // What follows the last frame and is none was written by nobody.
    fs::write(&path, [&octets[..], b"more"].concat()).unwrap();
    assert!(matches!(Journal::open(&path, OPTIONS), Err(JournalError::Damaged { .. })));
}

#[test]
fn damage_before_the_last_commit_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let (octets, ends) = three_commits(&path);
    for at in 0..ends[1] {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let error = Journal::open(&path, OPTIONS).expect_err("damage was not seen");
        let text = error.to_string();
        // The random number is what everything else is held against: without it no frame is one.
        assert!(matches!(error, JournalError::Damaged { .. }) && text.contains("updates.journal"), "at {at}: {text}");
        assert!(text.contains("mv "), "{text}");
    }
}

#[test]
fn a_disk_that_fails_refuses_the_change_and_later_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.journal");
    let in_the_way = folder.path().join("updates.new");
    fs::create_dir(&in_the_way).unwrap();
    let journal = open(&path);
    let error = journal.append(steps("a.", 1, 2)).unwrap_err();
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    assert_eq!(kept(&journal, "a."), None);
    fs::remove_dir(&in_the_way).unwrap();
    journal.append(steps("a.", 1, 2)).unwrap();
    drop(journal);
    assert_eq!(kept(&open(&path), "a."), Some((1, 2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done, a start finds what was acknowledged last.
    #[test]
    fn a_start_finds_what_was_done(steps_done in prop::collection::vec((0..3_u8, 0..6_u8), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("updates.journal");
        let mut expected = [None::<(u32, u32)>; 3];
        let mut journal = open(&path);
        for (zone, action) in steps_done {
            let apex = format!("z{zone}.");
            let known = &mut expected[usize::from(zone)];
            match (action, *known) {
                (0, _) => {
                    journal.forget(&identity(&apex)).unwrap();
                    *known = None;
                }
                (1, Some((base, serial))) if base + 1 < serial => {
                    journal.advance(&identity(&apex), &version(&apex, base + 1)).unwrap();
                    *known = Some((base + 1, serial));
                }
                (2, _) => {
                    drop(journal);
                    journal = open(&path);
                }
                (_, found) => {
                    let (base, serial) = found.unwrap_or((1, 1));
                    journal.append(steps(&apex, serial, serial + 1)).unwrap();
                    *known = Some((base, serial + 1));
                }
            }
        }
        drop(journal);
        let journal = open(&path);
        for (zone, expected) in expected.into_iter().enumerate() {
            prop_assert_eq!(kept(&journal, &format!("z{zone}.")), expected);
        }
    }
}
