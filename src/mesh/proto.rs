//! The messages of the mesh, as `proto/mesh.proto` publishes them; a test holds the two together.
//!
//! Every field is hostile until `frame` and `inbound` have looked at it. Unknown fields are skipped, and an unknown
//! kind of frame arrives as a [`Frame`] without a body, so that neighbouring versions mix.

use prost::{Enumeration, Message, Oneof};

/// One frame: what stands behind a length on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct Frame {
    /// What it says; none when a newer version sent a kind that is not known here.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub body: Option<Body>,
}

/// The kinds of frame.
#[derive(Clone, PartialEq, Oneof)]
pub enum Body {
    /// The first frame of each side.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// The full list of an agent's virtual servers.
    #[prost(message, tag = "2")]
    Inventory(Inventory),
    /// Status changes, sent at once.
    #[prost(message, tag = "3")]
    Change(Change),
    /// Measurements, sent every report interval.
    #[prost(message, tag = "4")]
    Measures(Measures),
    /// A heartbeat.
    #[prost(message, tag = "5")]
    Ping(Ping),
    /// The answer to a heartbeat.
    #[prost(message, tag = "6")]
    Pong(Pong),
    /// The last frame: why the session ends.
    #[prost(message, tag = "7")]
    Goodbye(Goodbye),
}

/// The first frame of each side. The listener speaks first, so that the dialer knows its certificate was accepted.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// The oldest protocol version spoken.
    #[prost(uint32, tag = "1")]
    pub version_min: u32,
    /// The newest protocol version spoken.
    #[prost(uint32, tag = "2")]
    pub version_max: u32,
    /// The sender's name, as its certificate says.
    #[prost(string, tag = "3")]
    pub node: String,
    /// Drawn anew by every process.
    #[prost(fixed64, tag = "4")]
    pub boot_id: u64,
    /// The sender's wall clock, in milliseconds since 1970; shown, never used to order.
    #[prost(int64, tag = "5")]
    pub unix_millis: i64,
    /// The sender's program and version.
    #[prost(string, tag = "6")]
    pub software: String,
    /// How often the sender speaks at least; the peer is silent after three of the longer of both intervals.
    #[prost(uint32, tag = "7")]
    pub interval_millis: u32,
}

/// The full list of an agent's virtual servers, in one or more parts sent without other reports between them.
#[derive(Clone, PartialEq, Message)]
pub struct Inventory {
    /// The boot id of the agent's process.
    #[prost(fixed64, tag = "1")]
    pub boot_id: u64,
    /// Grows with every report of the process.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The server reported for: the name in the agent's certificate.
    #[prost(string, tag = "3")]
    pub server: String,
    /// Which part this is, from 0.
    #[prost(uint32, tag = "4")]
    pub part: u32,
    /// How many parts there are, at least 1.
    #[prost(uint32, tag = "5")]
    pub parts: u32,
    /// The virtual servers of this part.
    #[prost(message, repeated, tag = "6")]
    pub virtual_servers: Vec<VirtualServer>,
    /// The load of the agent's machine.
    #[prost(message, optional, tag = "7")]
    pub host: Option<Host>,
}

/// Virtual servers whose availability or reason changed.
#[derive(Clone, PartialEq, Message)]
pub struct Change {
    /// The boot id of the agent's process.
    #[prost(fixed64, tag = "1")]
    pub boot_id: u64,
    /// Grows with every report of the process.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The server reported for: the name in the agent's certificate.
    #[prost(string, tag = "3")]
    pub server: String,
    /// Those that changed, each with its name, availability, reason and measurements.
    #[prost(message, repeated, tag = "4")]
    pub virtual_servers: Vec<VirtualServer>,
}

/// Measurements of virtual servers whose availability stands.
#[derive(Clone, PartialEq, Message)]
pub struct Measures {
    /// The boot id of the agent's process.
    #[prost(fixed64, tag = "1")]
    pub boot_id: u64,
    /// Grows with every report of the process.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The server reported for: the name in the agent's certificate.
    #[prost(string, tag = "3")]
    pub server: String,
    /// What was measured of each virtual server.
    #[prost(message, repeated, tag = "4")]
    pub virtual_servers: Vec<VirtualServerMeasures>,
    /// The load of the agent's machine.
    #[prost(message, optional, tag = "5")]
    pub host: Option<Host>,
}

/// A heartbeat.
#[derive(Clone, PartialEq, Message)]
pub struct Ping {
    /// Chosen by the sender; the answer repeats it.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The sender's wall clock, in milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub unix_millis: i64,
}

/// The answer to a heartbeat.
#[derive(Clone, PartialEq, Message)]
pub struct Pong {
    /// The id of the heartbeat it answers.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The sender's wall clock, in milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub unix_millis: i64,
}

/// The last frame of a session.
#[derive(Clone, PartialEq, Message)]
pub struct Goodbye {
    /// Why the session ends, in words.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// A virtual server.
#[derive(Clone, PartialEq, Message)]
pub struct VirtualServer {
    /// Its name on the load balancer.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The address clients are given: 4 or 16 octets in network order.
    #[prost(bytes = "vec", tag = "2")]
    pub address: Vec<u8>,
    /// The port clients are given.
    #[prost(uint32, tag = "3")]
    pub port: u32,
    /// Whether it can serve.
    #[prost(enumeration = "Availability", tag = "4")]
    pub availability: i32,
    /// Why, in words.
    #[prost(string, tag = "5")]
    pub reason: String,
    /// What was measured of it.
    #[prost(message, optional, tag = "6")]
    pub measurements: Option<Measurements>,
}

/// What was measured of a virtual server.
#[derive(Clone, PartialEq, Message)]
pub struct VirtualServerMeasures {
    /// Its name on the load balancer.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What was measured of it.
    #[prost(message, optional, tag = "2")]
    pub measurements: Option<Measurements>,
}

/// Load; a field is absent where the load balancer does not say.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Measurements {
    /// Pool members that are up.
    #[prost(uint32, optional, tag = "1")]
    pub members_up: Option<u32>,
    /// Pool members, up or not.
    #[prost(uint32, optional, tag = "2")]
    pub members_total: Option<u32>,
    /// Connections open now.
    #[prost(uint64, optional, tag = "3")]
    pub connections: Option<u64>,
    /// New connections per second.
    #[prost(uint64, optional, tag = "4")]
    pub connection_rate: Option<u64>,
    /// Bits per second towards the virtual server.
    #[prost(uint64, optional, tag = "5")]
    pub bits_in: Option<u64>,
    /// Bits per second from the virtual server.
    #[prost(uint64, optional, tag = "6")]
    pub bits_out: Option<u64>,
    /// Packets per second towards the virtual server.
    #[prost(uint64, optional, tag = "7")]
    pub packets_in: Option<u64>,
    /// Packets per second from the virtual server.
    #[prost(uint64, optional, tag = "8")]
    pub packets_out: Option<u64>,
    /// Requests waiting for a member.
    #[prost(uint64, optional, tag = "9")]
    pub queue: Option<u64>,
}

/// The load of an agent's machine.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Host {
    /// Processor use in percent, 0–100.
    #[prost(float, optional, tag = "1")]
    pub cpu_percent: Option<f32>,
    /// Memory that is free, in bytes.
    #[prost(uint64, optional, tag = "2")]
    pub memory_free_bytes: Option<u64>,
}

/// Whether a virtual server can serve; a value that is not known here counts as unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Availability {
    /// Nobody knows: no monitor, nothing reported yet, or a source that cannot be read.
    Unknown = 0,
    /// Passes its monitors and limits.
    Available = 1,
    /// Not at the moment: a limit is reached.
    Unavailable = 2,
    /// A monitor failed, or something it needs is down.
    Offline = 3,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Message or enum name → `type name = tag` of each field or value, sorted.
    type Schema = BTreeMap<String, Vec<String>>;

    fn published() -> Schema {
        let mut schema = Schema::new();
        let (mut current, mut in_oneof) = (String::new(), false);
        for line in include_str!("../../proto/mesh.proto").lines() {
            let code = line.split("//").next().unwrap_or_default().trim();
            let words: Vec<&str> = code.trim_end_matches(';').split_whitespace().collect();
            match words.as_slice() {
                ["message" | "enum", name, "{"] => current = (*name).to_owned(),
                ["oneof", _, "{"] => in_oneof = true,
                ["}"] if in_oneof => in_oneof = false,
                ["}"] => current.clear(),
                [] | ["syntax" | "package", ..] => {}
                field => {
                    assert!(!current.is_empty(), "outside a message: {line}");
                    schema.entry(current.clone()).or_default().push(field.join(" "));
                }
            }
        }
        schema.values_mut().for_each(|fields| fields.sort());
        schema
    }

    /// Reads one `#[prost(…)]` attribute and the declaration below it as a line of the schema language.
    fn declared(attribute: &str, declaration: &str) -> String {
        let tag = attribute.split("tag = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a tag");
        let kind = attribute.split(&['(', ',', ' ', '='][..]).nth(1).expect("a kind");
        let name = declaration.trim_start_matches("pub ").split([':', '(']).next().expect("a name");
        let inner = declaration.rsplit(['<', '(']).next().and_then(|rest| rest.split(['>', ')']).next());
        let message = inner.expect("a type").trim();
        match (kind, attribute) {
            ("message", text) if text.contains("repeated") => format!("repeated {message} {name} = {tag}"),
            ("message", text) if text.contains("optional") => format!("{message} {name} = {tag}"),
            ("message", _) => format!("{message} {} = {tag}", name.to_lowercase()),
            ("enumeration", text) => {
                let name_of_enum = text.split('"').nth(1).expect("an enum");
                format!("{name_of_enum} {name} = {tag}")
            }
            (scalar, text) if text.contains("optional") => format!("optional {scalar} {name} = {tag}"),
            (scalar, _) => format!("{scalar} {name} = {tag}"),
        }
    }

    fn implemented() -> Schema {
        let mut schema = Schema::new();
        let (mut current, mut attribute) = (String::new(), String::new());
        let source = include_str!("proto.rs").split("#[cfg(test)]").next().expect("code before tests");
        for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            if let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
                let name = rest.trim_end_matches(" {");
                current = if name == "Body" { "Frame".to_owned() } else { name.to_owned() };
            } else if line.starts_with("#[prost(") && !line.contains("oneof") {
                attribute = line.to_owned();
            } else if !attribute.is_empty() {
                let field = declared(&std::mem::take(&mut attribute), line.trim_end_matches(','));
                schema.entry(current.clone()).or_default().push(field);
            } else if current == "Availability" && line.contains(" = ") {
                let upper = line.trim_end_matches(',').to_uppercase();
                schema.entry(current.clone()).or_default().push(format!("AVAILABILITY_{upper}"));
            }
        }
        schema.values_mut().for_each(|fields| fields.sort());
        schema
    }

    #[test]
    fn the_published_schema_and_the_code_agree() {
        let (published, implemented) = (published(), implemented());
        assert_eq!(published.len(), 13, "{:?}", published.keys());
        assert_eq!(published, implemented);
    }

    #[test]
    fn unknown_fields_and_kinds_are_skipped() {
        let mut bytes = Frame { body: Some(Body::Ping(Ping { id: 7, unix_millis: -1 })) }.encode_to_vec();
        bytes.extend([0xfa, 0x01, 0x02, 0x08, 0x01]);
        assert_eq!(Frame::decode(&*bytes).unwrap().body, Some(Body::Ping(Ping { id: 7, unix_millis: -1 })));
        assert_eq!(Frame::decode(&[0xfa, 0x01, 0x02, 0x08, 0x01][..]).unwrap().body, None);
    }
}
