//! How long a master file takes: `cargo bench --bench load_zone -- [RECORDS]`, a million records unless told otherwise.
//!
//! Prints seconds of one core, best of three, for reading alone, for reading, building and checking, and for printing
//! the zone back.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a program that measures and prints"
)]

use std::time::Instant;

mod support;

use fairlead::wire::Name;
use fairlead::zone::master::{Settings, Verdict, no_include, read};
use fairlead::zone::{load, print};

fn main() {
    let records = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000);
    let text = support::hosting::master_file(records);
    let origin: Name = "example.com.".parse().expect("a constant name");
    let settings = Settings { file: "generated", origin: &origin, default_ttl: None };
    println!("{records} records, {} MiB of text", text.len() >> 20);
    measure("read", || {
        let report = read(text.as_bytes(), &settings, &mut no_include, &mut |_| Verdict::Taken);
        assert_eq!((report.records, report.errors.len()), (records, 0));
    });
    measure("read, build and check", || {
        let loaded = load(text.as_bytes(), &settings, 1, &mut no_include).expect("the text is right");
        assert_eq!((loaded.zone.records(), loaded.warnings.len()), (records, 0));
    });
    let zone = load(text.as_bytes(), &settings, 1, &mut no_include).expect("the text is right").zone;
    println!("memory of the zone: {} MiB", zone.memory() >> 20);
    measure("print", || assert!(print::zone(&zone).len() > records));
}

fn measure(what: &str, mut run: impl FnMut()) {
    let seconds = (0..3).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    println!("{what}: {:.3} s", seconds.fold(f64::INFINITY, f64::min));
}
