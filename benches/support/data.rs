//! The zone that every server is given, as a master file, and the questions it is asked.

use std::fmt::Write;

use fairlead::wire::RecordType;

/// The apex of the zone.
pub const ZONE: &str = "bench.example.";
/// The kinds of name a zone is made of, in turn.
const CLASSES: usize = 10;
/// Steered names on each pool.
pub const WIDE_IPS: usize = 1000;
/// Members of each pool.
pub const MEMBERS: usize = 4;
/// The methods that are measured, each a pool's name and the start of its wide IPs' names.
pub const METHODS: [&str; 5] =
    ["round-robin", "ratio", "global-availability", "static-persistence", "least-connections"];

/// A zone of `names` names as a master file: of ten, six have an A, one an AAAA, one is a CNAME, one has MX and TXT, and
/// one is delegated. A hundred wildcards stand beside them.
pub fn master_file(names: usize) -> String {
    let mut text = String::with_capacity(names * 64);
    writeln!(text, "$ORIGIN {ZONE}\n$TTL 300").unwrap();
    writeln!(text, "@ IN SOA ns1 hostmaster 1 3600 600 1209600 300").unwrap();
    writeln!(text, "@ IN NS ns1\n@ IN NS ns2\nns1 IN A 192.0.2.1\nns2 IN A 192.0.2.2").unwrap();
    for at in 0..names {
        let (high, low) = (at >> 8 & 0xff, at & 0xff);
        match at % CLASSES {
            0..=5 => writeln!(text, "h{at} IN A 10.0.{high}.{low}"),
            6 => writeln!(text, "h{at} IN AAAA 2001:db8::{:x}:{:x}", at >> 16, at & 0xffff),
            7 => writeln!(text, "h{at} IN CNAME h{}", at - 7),
            8 => writeln!(text, "h{at} IN MX 10 h{}\nh{at} IN TXT \"v=spf1 mx -all\"", at - 8),
            _ => writeln!(text, "h{at} IN NS ns1.h{at}\nns1.h{at} IN A 10.1.{high}.{low}"),
        }
        .unwrap();
    }
    for at in 0..100 {
        writeln!(text, "*.w{at} IN A 10.2.0.{at}").unwrap();
    }
    text
}

/// Questions without end, the same ones in every run: 60 % A, 10 % AAAA, 10 % CNAME to an A, 5 % NXDOMAIN, 5 % wildcard,
/// 5 % referral, 5 % MX or TXT.
pub fn mixed(names: usize) -> impl Iterator<Item = (String, RecordType)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let groups = names / CLASSES;
    std::iter::repeat_with(move || {
        let (draw, base, number) = (random.below(100), random.below(groups) * CLASSES, random.below(1_000_000));
        match draw {
            0..60 => (format!("h{}.{ZONE}", base + draw % 6), RecordType::A),
            60..70 => (format!("h{}.{ZONE}", base + 6), RecordType::AAAA),
            70..80 => (format!("h{}.{ZONE}", base + 7), RecordType::A),
            80..85 => (format!("absent{number}.{ZONE}"), RecordType::A),
            85..90 => (format!("x{number}.w{}.{ZONE}", number % 100), RecordType::A),
            90..95 => (format!("www.h{}.{ZONE}", base + 9), RecordType::A),
            _ => (format!("h{}.{ZONE}", base + 8), if draw < 98 { RecordType::MX } else { RecordType::TXT }),
        }
    })
}

/// The same without questions for aliases, whose targets not every server looks up.
pub fn without_aliases(names: usize) -> impl Iterator<Item = (String, RecordType)> {
    let is_alias = |name: &str| {
        name.strip_prefix('h').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            && name.split('.').next().is_some_and(|label| label.ends_with('7'))
    };
    mixed(names).filter(move |(name, _)| !is_alias(name))
}

/// Questions without end for the steered names that begin with `prefix`.
pub fn steered(prefix: &str) -> impl Iterator<Item = (String, RecordType)> {
    numbered(prefix, WIDE_IPS)
}

/// Questions without end for random ones of `count` names that begin with `prefix`.
pub fn numbered(prefix: &str, count: usize) -> impl Iterator<Item = (String, RecordType)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || (format!("{prefix}{}.{ZONE}", random.below(count)), RecordType::A))
}

/// A small generator of numbers that repeats itself in every run (xorshift64*).
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}
