//! Drives `texts::zone_yaml` with libFuzzer.
#![no_main]

#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[path = "../signed.rs"]
mod signed;
#[path = "../texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| texts::zone_yaml(data));
