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

use std::fmt::Write as _;
use std::time::Instant;

use fairlead::wire::Name;
use fairlead::zone::master::{Settings, Verdict, no_include, read};
use fairlead::zone::{load, print};

fn main() {
    let records = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000);
    let text = zone_text(records);
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

/// A zone of that many records in the proportions of a hosting company's: hosts, aliases, mail, texts, delegations.
fn zone_text(records: usize) -> String {
    let mut text =
        "$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n".to_owned();
    for number in 3..records {
        let (a, b, c) = (number >> 16 & 255, number >> 8 & 255, number & 255);
        let line = match number % 20 {
            0..=9 => format!("host-{number}\tIN\tA\t10.{a}.{b}.{c}"),
            10..=12 => format!("host-{number} 300 IN AAAA 2001:db8::{a:x}:{b:x}:{c:x}"),
            13 | 14 => format!("www.customer-{number} IN CNAME host-1.hosting.example.net."),
            15 => format!("customer-{number} IN MX 10 mail.hosting.example.net."),
            16 => format!("customer-{number} IN TXT \"v=spf1 ip4:10.{a}.{b}.{c} include:_spf.example.net -all\""),
            17 => format!("sub-{number} IN NS ns1.hosting.example.net."),
            18 => format!("_sip._tcp.customer-{number} IN SRV 10 60 5060 sip.hosting.example.net."),
            _ => format!("ptr-{number} IN PTR host-{number}.example.net."),
        };
        let _ = writeln!(text, "{line}"); // writing to a String cannot fail
    }
    text
}
