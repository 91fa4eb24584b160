//! Drives `transfers::transfer_in` with libFuzzer.
#![no_main]

#[allow(dead_code)]
#[path = "../properties.rs"]
mod properties;
#[allow(dead_code)]
#[path = "../signed.rs"]
mod signed;
#[allow(dead_code)]
#[path = "../transfers.rs"]
mod transfers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| transfers::transfer_in(data));
