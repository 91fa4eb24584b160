//! Hostile input takes time in proportion to its length: each row does a job of some size and one four times as large,
//! and compares the processor time of this thread, which other programs do not change. A quadratic job takes sixteen
//! times as long.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

#[path = "../fuzz/properties.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod properties;
#[path = "../fuzz/signed.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod signed;

use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fairlead::answer::{Snapshot, Transport, Worker, respond};
use fairlead::config;
use fairlead::mesh::frame::Decoder;
use fairlead::update::rehearse;
use fairlead::wideip::Tables;
use fairlead::wire::{Name, RecordType, Records};
use fairlead::zone::{Zone, load, master};
use nix::sys::resource::{UsageWho, getrusage};

use properties::{SEED, name, no_include};

/// Twice what a linear job may take, half of what a quadratic one does.
const FACTOR_MAX: u32 = 8;
/// What is too short to be told from the clock's grain.
const GRAIN: Duration = Duration::from_millis(5);

/// The processor time that this thread has used.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let times = [usage.user_time(), usage.system_time()];
    times
        .iter()
        .map(|time| Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()).try_into().unwrap()))
        .sum()
}

/// The least that the job takes in three tries, or in one that is long.
fn cost(job: &mut dyn FnMut()) -> Duration {
    let mut try_once = || {
        let before = used();
        job();
        used() - before
    };
    let first = try_once();
    if first > Duration::from_secs(1) { first } else { first.min(try_once()).min(try_once()) }
}

/// Checks that a job four times as large takes at most eight times as long. `prepare` makes the job of a size.
#[track_caller]
fn linear<J: FnMut()>(size: usize, prepare: impl Fn(usize) -> J) {
    let [small, large] = [size, 4 * size].map(|size| cost(&mut prepare(size)));
    assert!(large < (small + GRAIN) * FACTOR_MAX, "size {size}: {small:?}, {}: {large:?}", 4 * size);
}

fn zone(text: &str) -> Zone {
    let apex = name("fuzz.test.");
    let settings = master::Settings { file: "zone", origin: &apex, default_ttl: None };
    load(text.as_bytes(), &settings, SEED, &mut no_include).unwrap_or_else(|faults| panic!("{faults:?}")).zone
}

const APEX: &str = "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns.example.net.\n";

/// A name below the apex with so many labels of one octet above it.
fn deep(labels: usize) -> String {
    format!("{}fuzz.test.", "x.".repeat(labels))
}

fn query(qname: &str, record_type: RecordType) -> Vec<u8> {
    let qname: Name = qname.parse().unwrap();
    [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], qname.as_wire(), &record_type.0.to_be_bytes(), &[0, 1]].concat()
}

fn snapshot(zone: Zone) -> Snapshot {
    Snapshot::new(1, &[Arc::new(zone)], Tables::empty(SEED), Arc::new(properties::settings()), SEED)
}

/// Asks by stream; the length of the reply.
fn ask(snapshot: &Snapshot, packet: &[u8], out: &mut [u8]) -> usize {
    respond(snapshot, &mut Worker::new(1), packet, ([192, 0, 2, 9], 5353).into(), Transport::Tcp, out).length
}

#[test]
fn a_message_full_of_names_through_long_chains_of_pointers_is_read() {
    linear(1250, |count| {
        // The first record's owner has 120 labels; each later one is a label in front of a pointer into it.
        let mut message = vec![0; 12];
        message.extend([1, b'x'].repeat(120));
        message.extend([0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0]);
        for number in 1..count {
            let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
            message.extend([2, high, low, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        move || {
            let mut records = Records::new(&message, 12);
            assert_eq!(std::iter::from_fn(|| records.next_record()).count(), count);
        }
    });
}

#[test]
fn a_reply_full_of_distinct_names_is_written() {
    linear(125, |count| {
        let mut text = APEX.to_owned();
        for number in 0..count {
            writeln!(text, "many MX 1 x{number}.{}example.", "y.".repeat(50)).unwrap();
        }
        let (snapshot, packet) = (snapshot(zone(&text)), query("many.fuzz.test.", RecordType::MX));
        let mut out = vec![0; 65_535];
        move || (0..20).for_each(|_| assert!(ask(&snapshot, &packet, &mut out) > count * 12))
    });
}

#[test]
fn a_question_of_as_many_labels_as_there_can_be_is_answered() {
    let snapshot = snapshot(zone(&format!("{APEX}{} A 192.0.2.1\n*.x TXT \"w\"\n", deep(110))));
    linear(27, |labels| {
        let (exists, not) = (query(&deep(labels), RecordType::A), query(&format!("n.{}", deep(labels)), RecordType::A));
        let (snapshot, mut out) = (&snapshot, vec![0; 65_535]);
        move || {
            (0..500).for_each(|_| assert!(ask(snapshot, &exists, &mut out) > 0 && ask(snapshot, &not, &mut out) > 0))
        }
    });
}

#[test]
fn an_update_of_thousands_of_names_is_made() {
    let before = zone(APEX);
    linear(800, |count| {
        let number = u16::try_from(count).unwrap().to_be_bytes();
        let mut message = vec![0, 7, 0x28, 0, 0, 1, 0, 0, number[0], number[1], 0, 0];
        message.extend_from_slice(name("fuzz.test.").as_wire());
        message.extend([0, 6, 0, 1]);
        for number in 0..count {
            let label = format!("{number:04x}");
            message.push(4);
            message.extend_from_slice(label.as_bytes());
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        }
        let before = &before;
        move || assert_eq!(rehearse(before, &message, 0).unwrap().unwrap().records(), 2 + count)
    });
}

#[test]
fn a_zone_that_is_one_line_is_read_or_refused() {
    let read = |text: String| {
        move || {
            let apex = name("fuzz.test.");
            let settings = master::Settings { file: "zone", origin: &apex, default_ttl: None };
            let _ = load(text.as_bytes(), &settings, SEED, &mut no_include); // Refused or not, it comes to an end.
        }
    };
    for part in ["; ", "\"", "( ", "a ", "\\", "$", "\" \"", ")", "\r"] {
        linear(1 << 16, |size| read(format!("{APEX}x TXT {}", part.repeat(size / part.len()))));
        linear(1 << 16, |size| read(part.repeat(size / part.len())));
    }
    linear(1 << 15, |size| read(format!("{APEX}{}", "(\n".repeat(size))));
    linear(1 << 14, |size| read(format!("{APEX}{}", "x TXT \"\n".repeat(size))));
}

#[test]
fn chains_of_aliases_and_deep_owners_are_checked() {
    linear(2000, |count| {
        let mut text = APEX.to_owned();
        (0..count).for_each(|number| writeln!(text, "c{number} CNAME c{}", number + 1).unwrap());
        move || assert_eq!(zone(&text).records(), 2 + count)
    });
    linear(200, |count| {
        let mut text = APEX.to_owned();
        (0..count).for_each(|number| writeln!(text, "n{number}.{} A 192.0.2.1", deep(110)).unwrap());
        move || assert_eq!(zone(&text).records(), 2 + count)
    });
    linear(16_000, |count| {
        let text = format!("{APEX}$GENERATE 1-{count} h${{0,63,n}} A 192.0.2.1\n");
        move || assert_eq!(zone(&text).records(), 2 + count)
    });
}

#[test]
fn yaml_that_repeats_merges_and_nests_is_read_or_refused() {
    let read = |text: String| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fairlead.yaml"), text).unwrap();
        move || {
            let loaded = config::load(&folder.path().join("fairlead.yaml"), SEED);
            assert!(loaded.is_err(), "it says nothing that a configuration does");
        }
    };
    let keys = |count: usize, from: usize| {
        (from..from + count).fold(String::new(), |text, key| text + &format!("k{key}: 1, "))
    };
    linear(2000, |count| read(format!("x-a: &a {{{}}}\nx-b: {{<<: *a, {}}}\n", keys(count, 0), keys(count, count))));
    linear(2000, |count| read(format!("x-a: &a {{{}}}\nx-b: {{<<: [{}]}}\n", keys(1, 0), "*a, ".repeat(count))));
    linear(4000, |count| read(format!("x-a: {{{}}}\n", "k: 1, ".repeat(count))));
    linear(4000, |count| read("k: 1\n".repeat(count)));
    linear(1 << 16, |size| read(format!("node: {}\n", "x".repeat(size))));
    linear(1 << 16, |size| read(format!("node: \"{}\n", "\\".repeat(size))));
    linear(1 << 14, |size| read("- ".repeat(size)));
    linear(1 << 14, |size| read("&a ".repeat(size)));
    linear(1 << 14, |size| read("? ".repeat(size)));
    linear(1 << 14, |size| read("{".repeat(size)));
}

#[test]
fn a_mesh_stream_is_cut_into_frames_octet_by_octet() {
    linear(1 << 15, |size| {
        let stream = [0, 0, 0, 0].repeat(size / 4);
        move || {
            let mut decoder = Decoder::new();
            for octet in &stream {
                decoder.push(std::slice::from_ref(octet));
                while let Ok(Some(_)) = decoder.take() {}
            }
        }
    });
    linear(1 << 15, |size| {
        // A frame that is as long as one may be comes in pieces and never to its end.
        let stream = [&[0, 3, 0xff, 0xff][..], &vec![8; size]].concat();
        move || {
            let mut decoder = Decoder::new();
            for octets in stream.chunks(4) {
                decoder.push(octets);
                assert!(matches!(decoder.take(), Ok(None)));
            }
        }
    });
}
