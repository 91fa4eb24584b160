//! Zones and records as master files: in canonical order, in columns, and read back to the same records.

use std::fmt::Write as _;

use crate::wire::{Name, RecordType};

use super::rdata;
use super::{Record, Zone};

/// The width of the owner column; longer owners push the rest to the right.
const OWNER_WIDTH: usize = 24;
const TTL_WIDTH: usize = 7;
const TYPE_WIDTH: usize = 8;

/// One record on its way to a line.
struct Line<'a> {
    /// Sorts as RFC 4034 §6.1 orders names, the apex's SOA first of all, then by type.
    key: (Vec<u8>, bool, RecordType),
    owner: Vec<u8>,
    ttl: u32,
    rdata: &'a [u8],
}

impl<'a> Line<'a> {
    fn new(owner: &[u8], record_type: RecordType, ttl: u32, rdata: &'a [u8]) -> Self {
        let key = (sort_key(owner), record_type != RecordType::SOA, record_type);
        Self { key, owner: owner.to_vec(), ttl, rdata }
    }
}

/// The whole zone as a master file.
pub fn zone(zone: &Zone) -> String {
    let mut lines = Vec::with_capacity(zone.records());
    zone.for_each(|owner, rrset| {
        lines.extend(rrset.rdatas().map(|rdata| Line::new(owner, rrset.record_type, rrset.ttl, rdata)));
    });
    print(zone.apex(), lines)
}

/// Records as a master file with that origin.
pub fn records(origin: &Name, records: &[Record]) -> String {
    let lines = records
        .iter()
        .map(|record| Line::new(record.name.as_wire(), record.record_type, record.ttl, &record.rdata))
        .collect();
    print(origin, lines)
}

fn print(origin: &Name, mut lines: Vec<Line<'_>>) -> String {
    lines.sort_by(|a, b| a.key.cmp(&b.key));
    let mut out = format!("$ORIGIN {origin}\n");
    let mut last_owner: Option<Vec<u8>> = None;
    for line in lines {
        let is_same = last_owner.as_ref().is_some_and(|last| *last == line.owner);
        let owner = if is_same { String::new() } else { shown(&line.owner, origin) };
        let record_type = line.key.2.to_string();
        let _ = write!(out, "{owner:OWNER_WIDTH$} {:TTL_WIDTH$} IN {record_type:TYPE_WIDTH$} ", line.ttl);
        rdata::append_text(line.key.2, line.rdata, &mut out);
        out.push('\n');
        last_owner = Some(line.owner);
    }
    out
}

fn shown(owner: &[u8], origin: &Name) -> String {
    Name::from_wire(owner).map_or_else(|_| "@".to_owned(), |owner| owner.relative_to(origin))
}

/// Octets that order as names do canonically (RFC 4034 §6.1): labels from the right, in lower case, a zero between them.
/// Zeros and ones inside labels are escaped so that they stay below every other octet and above the end of the label.
fn sort_key(owner: &[u8]) -> Vec<u8> {
    let mut labels = Vec::with_capacity(8);
    let mut rest = owner;
    while let Some((length, tail)) = rest.split_first() {
        let Some((label, behind)) = tail.split_at_checked(usize::from(*length)) else { break };
        labels.push(label);
        rest = behind;
    }
    let mut key = Vec::with_capacity(owner.len() + 2);
    for label in labels.iter().rev().filter(|label| !label.is_empty()) {
        key.push(0);
        for octet in label.iter().map(u8::to_ascii_lowercase) {
            match octet {
                0 | 1 => key.extend([1, octet + 1]),
                _ => key.push(octet),
            }
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::master::{Settings, no_include};
    use super::*;

    fn read(text: &str) -> Zone {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(60) };
        load(text.as_bytes(), &settings, 3, &mut no_include).unwrap().zone
    }

    #[test]
    fn a_zone_is_printed_in_order_and_read_back() {
        let text = "b A 192.0.2.2\n@ SOA ns admin 1 2 3 4 5\n@ NS ns.other.\na A 192.0.2.1\n\
            z.a A 192.0.2.3\n\\@.a TXT \\\"\n@ A 192.0.2.9\n* TYPE65280 \\# 1 ff\na 5 TXT \"x;y\"\n";
        let printed = zone(&read(text));
        let expected = "\
$ORIGIN example.
@                             60 IN SOA      ns.example. admin.example. 1 2 3 4 5
                              60 IN A        192.0.2.9
                              60 IN NS       ns.other.
*                             60 IN TYPE65280 \\# 1 FF
a                             60 IN A        192.0.2.1
                               5 IN TXT      \"x;y\"
\\@.a                          60 IN TXT      \"\\\"\"
z.a                           60 IN A        192.0.2.3
b                             60 IN A        192.0.2.2
";
        assert_eq!(printed, expected);
        assert_eq!(zone(&read(&printed)), printed);
    }

    #[test]
    fn records_are_printed_with_any_origin() {
        let record = |name: &str| Record {
            name: name.parse().unwrap(),
            record_type: RecordType::A,
            ttl: 0,
            rdata: Box::new([192, 0, 2, 1]),
        };
        let printed = records(&"x.".parse().unwrap(), &[record("b.a."), record("a.x.")]);
        let (first, second) = (
            "b.a.                           0 IN A        192.0.2.1",
            "a                              0 IN A        192.0.2.1",
        );
        assert_eq!(printed, format!("$ORIGIN x.\n{first}\n{second}\n"));
        let printed = records(&Name::root(), &[record("b.a."), record(".")]);
        assert!(printed.contains("\n@ ") && printed.contains("\nb.a. "), "{printed}");
    }

    #[test]
    fn keys_order_as_names_do() {
        let names: Vec<Name> = [
            ".",
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\000.z.example.",
            r"\000\000.z.example.",
            r"\001.z.example.",
            r"\002.z.example.",
            "*.z.example.",
            r"\200.z.example.",
            "za.example.",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        for (a, b) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
            assert_eq!(sort_key(a.as_wire()).cmp(&sort_key(b.as_wire())), a.cmp(b), "{a} {b}");
        }
    }
}
