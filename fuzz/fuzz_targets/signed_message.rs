//! Drives `signed::signed_message` with libFuzzer.
#![no_main]

#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[path = "../signed.rs"]
mod signed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| signed::signed_message(data));
