//! Replays the fuzz corpora through the fuzz targets' properties, and variations of them: octets changed, cut and joined.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stdout, reason = "a long run tells how often each property held")]

#[path = "../fuzz/journals.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod journals;
#[path = "../fuzz/properties.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod properties;

#[path = "../fuzz/signed.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod signed;
#[path = "../fuzz/texts.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod texts;
#[path = "../fuzz/transfers.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod transfers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many variations of each input are tried in one round.
const VARIATIONS: u64 = 300;
/// The same where each takes files.
const VARIATIONS_OF_FILES: u64 = 40;

/// Tries every input of a corpus and its variations: the same ones each time, and others for as many seconds as
/// `FAIRLEAD_FUZZ_SECONDS` says.
fn replay(target: &str, property: fn(&[u8])) {
    replay_varied(target, VARIATIONS, property);
}

/// The same with so many variations.
#[expect(clippy::disallowed_methods, reason = "a test that may be told for how long to run")]
fn replay_varied(target: &str, variations: u64, property: fn(&[u8])) {
    let seconds = std::env::var("FAIRLEAD_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let (started, least) = (Instant::now(), Duration::from_secs(seconds));
    let mut executions = 0_u64;
    let mut state = 1_u64;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound.max(1)
    };
    while executions == 0 || started.elapsed() < least {
        for input in &inputs {
            property(input);
            for _ in 0..variations {
                property(&vary(input, &inputs, &mut draw));
                executions += 1;
            }
        }
    }
    println!("{target}: {executions} executions");
}

/// An input with some octets changed, cut, put in, or with a part of another behind it.
fn vary(input: &[u8], inputs: &[Vec<u8>], draw: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut varied = input.to_vec();
    for _ in 0..=draw(4) {
        let at = draw(varied.len());
        match draw(5) {
            0 if !varied.is_empty() => varied[at] = u8::try_from(draw(256)).unwrap(),
            1 if !varied.is_empty() => varied[at] ^= 1 << draw(8),
            2 => varied.truncate(at),
            3 => varied.insert(at, u8::try_from(draw(256)).unwrap()),
            _ => {
                let other = &inputs[draw(inputs.len())];
                varied.extend_from_slice(&other[draw(other.len())..]);
            }
        }
    }
    varied
}

#[test]
fn every_packet_gets_silence_or_a_well_formed_reply() {
    replay("respond", properties::respond);
}

#[test]
fn a_zone_that_loads_prints_as_itself() {
    replay("master_file", properties::master_file);
}

#[test]
fn a_mesh_stream_gives_the_same_frames_however_it_is_cut() {
    replay("mesh_frame", properties::mesh_frame);
}

#[test]
fn a_signature_is_good_for_its_message_alone() {
    replay("signed_message", signed::signed_message);
}

#[test]
fn a_configuration_loads_or_says_where_it_is_wrong() {
    replay("configuration", texts::configuration);
}

#[test]
fn a_zone_in_yaml_that_loads_prints_as_itself() {
    replay("zone_yaml", texts::zone_yaml);
}

#[test]
fn an_update_is_refused_or_makes_a_zone_that_loads() {
    replay("update", properties::update);
}

#[test]
fn a_primarys_stream_makes_a_whole_zone_or_leaves_the_one_in_use() {
    replay("transfer_in", transfers::transfer_in);
}

#[test]
fn the_corpus_of_transfers_makes_zones_and_none_as_each_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/transfer_in");
    let makes = |name: &&str| transfers::makes_a_zone(&fs::read(folder.join(name)).unwrap());
    let good = ["whole", "whole-messages", "signed", "signed-some", "newer-whole", "whole-for-changes", "pointers"];
    let changes = ["changes", "changes-messages", "changes-signed", "odd-records"];
    assert_eq!(good.iter().chain(&changes).find(|name| !makes(name)), None);
    let bad = ["alone", "changed-under-way", "changes-missing", "cut", "many", "nothing-newer", "refused"];
    let unsigned = ["signed-not-last", "unsigned-first"];
    assert_eq!(bad.iter().chain(&unsigned).find(|name| makes(name)), None);
}

#[test]
fn a_journal_is_taken_whole_or_refused() {
    replay_varied("journal", VARIATIONS_OF_FILES, journals::journal);
}
