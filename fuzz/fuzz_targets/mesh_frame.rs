//! Drives `properties::mesh_frame` with libFuzzer.
#![no_main]

#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[allow(dead_code)]
#[path = "../signed.rs"]
mod signed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::mesh_frame(data));
