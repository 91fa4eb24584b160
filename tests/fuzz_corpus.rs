//! Replays the fuzz corpora through the fuzz targets' properties, and variations of them: octets changed, cut and joined.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

#[path = "../fuzz/properties.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets, which are programs of their own")]
mod properties;

use std::fs;
use std::path::Path;

/// How many variations of each input are tried.
const VARIATIONS: u64 = 300;

/// Tries every input of a corpus and its variations; the same ones each time.
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut state = 1_u64;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound.max(1)
    };
    for input in &inputs {
        property(input);
        for _ in 0..VARIATIONS {
            let mut varied = input.clone();
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
            property(&varied);
        }
    }
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
