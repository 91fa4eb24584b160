//! Writes databases in MaxMind's format (MaxMind DB file format 2.0), for tests, benches and the example files.
//!
//! A new prefix replaces what is in it, so that wider prefixes are inserted first. IPv4 lies at ::/96, without aliases.

#![allow(dead_code, reason = "each test or bench that includes this file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what is written here is small and known")]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A value of the data section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// UTF-8 text.
    Text(String),
    /// `uint16`.
    U16(u16),
    /// `uint32`.
    U32(u32),
    /// `uint64`.
    U64(u64),
    /// A map; keys are written in ascending order.
    Map(BTreeMap<String, Value>),
    /// An array.
    Array(Vec<Value>),
}

impl Value {
    /// Makes a map.
    pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Makes text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::U16(number) => encode_number(5, u64::from(*number), out),
            Self::U32(number) => encode_number(6, u64::from(*number), out),
            Self::U64(number) => encode_number(9, *number, out),
            Self::Map(entries) => {
                control(7, entries.len(), out);
                for (key, value) in entries {
                    Self::text(key).encode(out);
                    value.encode(out);
                }
            }
            Self::Array(values) => {
                control(11, values.len(), out);
                values.iter().for_each(|value| value.encode(out));
            }
        }
    }
}

/// Writes a control byte: the type in the upper three bits (extended types behind it), the size in the lower five.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (low, more): (u8, &[u8]) = match size {
        0..=28 => (u8::try_from(size).unwrap(), &[]),
        29..=284 => (29, &[u8::try_from(size - 29).unwrap()]),
        285..=65_820 => (30, &u16::try_from(size - 285).unwrap().to_be_bytes()),
        _ => panic!("a size of {size} is not needed here"),
    };
    if kind > 7 {
        out.extend([low, kind - 7]);
    } else {
        out.push(kind << 5 | low);
    }
    out.extend_from_slice(more);
}

fn encode_number(kind: u8, number: u64, out: &mut Vec<u8>) {
    let octets = number.to_be_bytes();
    let significant = &octets[usize::try_from(number.leading_zeros() / 8).unwrap()..];
    control(kind, significant.len(), out);
    out.extend_from_slice(significant);
}

/// What a bit of an address leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Child {
    Nothing,
    Node(u32),
    Data(u32),
}

/// A database in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    database_type: String,
    /// 6, or 4 for a database without IPv6.
    ip_version: u16,
    nodes: Vec<[Child; 2]>,
    data: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

impl Writer {
    /// Starts an empty database of that type, such as `Fairlead-City`.
    pub(crate) fn new(database_type: &str) -> Self {
        Self {
            database_type: database_type.to_owned(),
            ip_version: 6,
            nodes: vec![[Child::Nothing; 2]],
            data: Vec::new(),
            offsets: HashMap::new(),
        }
    }

    /// Starts an empty database for IPv4 alone.
    pub(crate) fn ipv4_only(database_type: &str) -> Self {
        Self { ip_version: 4, ..Self::new(database_type) }
    }

    /// Gives a prefix a value, and everything in it that had another.
    pub(crate) fn insert(&mut self, address: IpAddr, length: u8, value: &Value) {
        let (bits, length) = match address {
            IpAddr::V4(address) if self.ip_version == 4 => (u128::from(u32::from(address)) << 96, length),
            IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96),
            IpAddr::V6(address) => (u128::from(address), length),
        };
        assert!(length > 0, "the whole space cannot have a value");
        let data = Child::Data(self.store(value));
        let bit = |depth: u8| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..length - 1 {
            let child = self.nodes[node][bit(depth)];
            let next = match child {
                Child::Node(next) => next,
                other => {
                    self.nodes.push([other; 2]);
                    u32::try_from(self.nodes.len() - 1).unwrap()
                }
            };
            self.nodes[node][bit(depth)] = Child::Node(next);
            node = usize::try_from(next).unwrap();
        }
        self.nodes[node][bit(length - 1)] = data;
    }

    /// Writes the file: search tree, separator, data, metadata.
    pub(crate) fn finish(self) -> Vec<u8> {
        let nodes = self.reachable();
        let count = u32::try_from(nodes.len()).unwrap();
        let largest = u64::from(count) + 16 + u64::try_from(self.data.len()).unwrap();
        let record_size: u16 = if largest < 1 << 24 { 24 } else { 32 };
        let mut out = Vec::new();
        for child in nodes.iter().flatten() {
            let record = match child {
                Child::Nothing => count,
                Child::Node(node) => *node,
                Child::Data(offset) => count + 16 + offset,
            };
            out.extend_from_slice(&record.to_be_bytes()[usize::from(4 - record_size / 8)..]);
        }
        out.extend([0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        Value::map([
            ("binary_format_major_version", Value::U16(2)),
            ("binary_format_minor_version", Value::U16(0)),
            ("build_epoch", Value::U64(1_767_225_600)),
            ("database_type", Value::Text(self.database_type)),
            ("description", Value::map([("en", Value::text("Made by Fairlead's tests; not real locations"))])),
            ("ip_version", Value::U16(self.ip_version)),
            ("languages", Value::Array(vec![Value::text("en")])),
            ("node_count", Value::U32(count)),
            ("record_size", Value::U16(record_size)),
        ])
        .encode(&mut out);
        out
    }

    /// The nodes that no wider prefix has cut off, renumbered.
    fn reachable(&self) -> Vec<[Child; 2]> {
        let mut numbers = vec![0_u32];
        let mut nodes = Vec::new();
        while let Some(node) = numbers.get(nodes.len()) {
            let mut children = self.nodes[usize::try_from(*node).unwrap()];
            for child in &mut children {
                if let Child::Node(inner) = child {
                    numbers.push(*inner);
                    *child = Child::Node(u32::try_from(numbers.len() - 1).unwrap());
                }
            }
            nodes.push(children);
        }
        nodes
    }

    fn store(&mut self, value: &Value) -> u32 {
        let mut encoded = Vec::new();
        value.encode(&mut encoded);
        if let Some(offset) = self.offsets.get(&encoded) {
            return *offset;
        }
        let offset = u32::try_from(self.data.len()).unwrap();
        self.data.extend_from_slice(&encoded);
        self.offsets.insert(encoded, offset);
        offset
    }
}

/// Makes a City record; an empty string leaves its part out.
pub(crate) fn city(continent: &str, country: &str, state: (&str, &str), city: &str) -> Value {
    let named = |name: &str| Value::map([("names", Value::map([("en", Value::text(name))]))]);
    let mut parts = BTreeMap::new();
    if !continent.is_empty() {
        parts.insert("continent".to_owned(), Value::map([("code", Value::text(continent))]));
    }
    if !country.is_empty() {
        parts.insert("country".to_owned(), Value::map([("iso_code", Value::text(country))]));
    }
    if !state.0.is_empty() {
        let names = Value::map([("en", Value::text(state.1))]);
        let state = Value::map([("iso_code", Value::text(state.0)), ("names", names)]);
        parts.insert("subdivisions".to_owned(), Value::Array(vec![state]));
    }
    if !city.is_empty() {
        parts.insert("city".to_owned(), named(city));
    }
    Value::Map(parts)
}

/// Makes an ASN record.
pub(crate) fn asn(number: u32, organization: &str) -> Value {
    Value::map([
        ("autonomous_system_number", Value::U32(number)),
        ("autonomous_system_organization", Value::text(organization)),
    ])
}

/// The example databases, City and ASN: documentation prefixes (RFC 5737, RFC 3849) and autonomous systems (RFC 5398)
/// at made-up places. The files in `topology/` hold exactly this.
pub(crate) fn example() -> [Vec<u8>; 2] {
    let places = [
        ("192.0.2.0", 24, city("EU", "DE", ("BE", "Land Berlin"), "Berlin"), 64496),
        ("198.51.100.0", 24, city("NA", "US", ("NY", "New York"), "New York"), 64497),
        ("203.0.113.0", 24, city("AS", "JP", ("13", "Tokyo"), "Tokyo"), 64498),
        ("2001:db8:1::", 48, city("EU", "DE", ("BE", "Land Berlin"), "Berlin"), 64496),
        ("2001:db8:2::", 48, city("NA", "US", ("NY", "New York"), "New York"), 64497),
        ("2001:db8:3::", 48, city("AS", "JP", ("13", "Tokyo"), "Tokyo"), 64498),
        ("2001:db8:4::", 48, city("EU", "GB", ("ENG", "England"), "London"), 64499),
        ("2001:db8:5::", 48, city("AF", "ZA", ("GP", "Gauteng"), "Johannesburg"), 64500),
        ("2001:db8:6::", 48, city("EU", "", ("", ""), ""), 64501),
    ];
    let mut databases = [Writer::new("Fairlead-Example-City"), Writer::new("Fairlead-Example-ASN")];
    for (address, length, place, number) in places {
        let address = address.parse().unwrap();
        databases[0].insert(address, length, &place);
        databases[1].insert(address, length, &asn(number, &format!("Example Network {number}")));
    }
    databases.map(Writer::finish)
}
