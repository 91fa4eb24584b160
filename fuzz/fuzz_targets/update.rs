//! Drives `properties::update` with libFuzzer.
#![no_main]

#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[allow(dead_code)]
#[path = "../signed.rs"]
mod signed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::update(data));
