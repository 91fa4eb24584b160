//! Processes that are killed at random instants while they keep zones: what was acknowledged is there afterwards, and no
//! half of a change.
//!
//! The processes are this test program itself, told by an environment variable to write until it is killed. How often
//! they are killed: `FAIRLEAD_CRASHES` times each, 150 by default.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::print_stdout, reason = "a process tells the test what it was told")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fairlead::journal::{Entry, Journal, JournalError, Options};
use fairlead::transfer::ZoneStore;
use fairlead::wire::{Name, RecordType};
use fairlead::zone::{Change, ViewName, Zone, ZoneBuilder, ZoneId, print};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const OPTIONS: Options = Options { zone_octets_max: 1 << 16, seed: 1 };
/// Tells the program to write, and where.
const FOLDER: &str = "FAIRLEAD_CRASH_FOLDER";
/// The zones that are written, each by a thread of its own.
const ZONES: [&str; 3] = ["a.", "b.", "c."];
/// Names of each zone that change together: with only some of them changed, a change would be half.
const NAMES: u8 = 20;

fn crashes() -> u32 {
    std::env::var("FAIRLEAD_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// Version `serial` of a zone: every name says which it is.
fn version(apex: &str, serial: u32) -> Zone {
    let apex: Name = apex.parse().unwrap();
    let mut builder = ZoneBuilder::new(&apex, 1);
    let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
    builder.add(&apex, RecordType::SOA, 60, &soa).unwrap();
    builder.add(&apex, RecordType::NS, 60, b"\x02ns\x04test\0").unwrap();
    for number in 0..NAMES {
        let name: Name = format!("h{number}.{apex}").parse().unwrap();
        builder.add(&name, RecordType::A, 60, &serial.to_be_bytes()).unwrap();
    }
    builder.finish()
}

/// Starts this program as one that runs the test `role` in `folder`.
fn start(role: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([role, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Takes note of a line `acknowledged ZONE SERIAL end`; gives how many it was. A line that a kill cut short is none.
fn acknowledged(line: &str, latest: &mut [u32; ZONES.len()]) -> u32 {
    // The first stands behind the name of the test.
    let Some(start) = line.find("acknowledged") else { return 0 };
    let words: Vec<&str> = line[start..].trim_end().split(' ').collect();
    let ["acknowledged", zone, serial, "end"] = words[..] else { return 0 };
    let zone = ZONES.iter().position(|known| *known == zone).unwrap();
    latest[zone] = latest[zone].max(serial.parse().unwrap());
    1
}

fn tell(zone: &str, serial: u32) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {zone} {serial} end").unwrap();
    out.flush().unwrap();
}

/// Kills `role` again and again, and has `found` say which versions are there after each time.
fn crash(role: &str, found: impl Fn(&Path) -> [u32; ZONES.len()]) {
    let folder = tempfile::tempdir().unwrap();
    let mut latest = [1; ZONES.len()];
    let mut heard = 0;
    for round in 0..crashes() {
        let mut child = start(role, folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Every third time it may be killed while it starts; else once it has begun to write.
        let before = heard;
        while !round.is_multiple_of(3) && heard == before {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "{role} ended by itself in round {round}");
            heard += acknowledged(&line, &mut latest);
        }
        std::thread::sleep(Duration::from_micros(u64::from(getrandom::u32().unwrap() % 30_000)));
        child.kill().unwrap();
        heard += lines.lines().map_while(Result::ok).map(|line| acknowledged(&line, &mut latest)).sum::<u32>();
        child.wait().unwrap();
        let there = found(folder.path());
        for ((zone, there), told) in ZONES.iter().zip(there).zip(&mut latest) {
            assert!(there >= *told, "round {round}: {zone} is at {there}, and {told} was acknowledged");
            assert!(there <= *told + 1, "round {round}: {zone} is at {there}, far ahead of {told}");
            *told = there;
        }
    }
    println!("{role}: {heard} acknowledged over {} kills", crashes());
    assert!(heard > crashes(), "the kills came too early to show anything: {heard} acknowledged");
}

fn identity(zone: &str) -> ZoneId {
    ZoneId::new(ViewName::default(), zone.parse().unwrap())
}

/// Not a test by itself: the process that is killed while it appends to the journal, one thread for each zone.
#[test]
fn appends() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = Journal::open(&Path::new(&folder).join("updates.journal"), OPTIONS).unwrap();
    std::thread::scope(|scope| {
        for zone in ZONES {
            let journal = &journal;
            scope.spawn(move || {
                let kept = journal.kept(&identity(zone));
                let mut serial = kept.map_or(1, |kept| kept.serial());
                loop {
                    let (base, next) = (version(zone, serial), version(zone, serial + 1));
                    let changes = vec![Arc::new(Change::between(&base, &next).unwrap())];
                    journal.append(Entry { zone: identity(zone), base, changes, at: 1 }).unwrap();
                    serial += 1;
                    tell(zone, serial);
                    if serial.is_multiple_of(50) {
                        // As a flush does, so that kills meet a file that is written anew too.
                        journal.advance(&identity(zone), &version(zone, serial - 1)).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_by_the_journal() {
    crash("appends", |folder| {
        let journal = Journal::open(&folder.join("updates.journal"), OPTIONS).unwrap();
        ZONES.map(|zone| {
            let Some(kept) = journal.kept(&identity(zone)) else { return 1 };
            let result = print::zone(&kept.result().unwrap());
            assert_eq!(result, print::zone(&version(zone, kept.serial())), "half a change");
            kept.serial()
        })
    });
}

/// Not a test by itself: the process that appends under a limit of its files' sizes until that is met, then without.
#[test]
fn fills() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = Journal::open(&Path::new(&folder).join("updates.journal"), OPTIONS).unwrap();
    let (mut serial, mut refused) = (1, 0);
    while refused < 3 {
        let (base, next) = (version("a.", serial), version("a.", serial + 1));
        let changes = vec![Arc::new(Change::between(&base, &next).unwrap())];
        match journal.append(Entry { zone: identity("a."), base, changes, at: 1 }) {
            Ok(()) => {
                serial += 1;
                tell("a.", serial);
            }
            Err(JournalError::Write { path, .. }) => {
                assert!(path.ends_with("updates.journal"));
                refused += 1;
                if refused == 2 {
                    let (_, most) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
                    setrlimit(Resource::RLIMIT_FSIZE, most, most).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
        if refused == 2 && serial > 200 {
            println!("room again");
            return;
        }
    }
}

#[test]
fn a_disk_that_fills_up_refuses_changes_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -S -f 12; exec \"$0\" fills --exact --nocapture --test-threads=1";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap()).env(FOLDER, folder.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("room again"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut latest = [1; ZONES.len()];
    let heard: u32 = text.lines().map(|line| acknowledged(line, &mut latest)).sum();
    let journal = Journal::open(&folder.path().join("updates.journal"), OPTIONS).unwrap();
    let kept = journal.kept(&identity("a.")).unwrap();
    assert_eq!((kept.serial(), kept.serial()), (latest[0], heard + 1));
    assert_eq!(print::zone(&kept.result().unwrap()), print::zone(&version("a.", latest[0])));
}

/// Not a test by itself: the process that is killed while it keeps versions of secondary zones.
#[test]
fn keeps() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = ZoneStore::new(Path::new(&folder));
    std::thread::scope(|scope| {
        for zone in ZONES {
            let store = &store;
            scope.spawn(move || {
                let kept = store.load(&identity(zone), 1).unwrap();
                let mut serial = kept.map_or(1, |kept| kept.zone.soa().serial);
                loop {
                    serial += 1;
                    store.save(&ViewName::default(), &version(zone, serial), u64::from(serial), None).unwrap();
                    tell(zone, serial);
                }
            });
        }
    });
}

#[test]
fn no_version_of_a_secondary_zone_is_lost_or_half() {
    crash("keeps", |folder| {
        let store = ZoneStore::new(folder);
        ZONES.map(|zone| {
            let Some(stored) = store.load(&identity(zone), 1).unwrap() else { return 1 };
            let serial = stored.zone.soa().serial;
            assert_eq!(print::zone(&stored.zone), print::zone(&version(zone, serial)), "half a version");
            serial
        })
    });
}
