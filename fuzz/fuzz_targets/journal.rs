//! Drives `journals::journal` with libFuzzer.
#![no_main]

#[path = "../journals.rs"]
mod journals;
#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[allow(dead_code)]
#[path = "../signed.rs"]
mod signed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| journals::journal(data));
