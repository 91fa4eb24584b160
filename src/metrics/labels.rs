//! The label values that are fixed: one enum per label, so that no text from outside can make a series.

use crate::wire::{Rcode, RecordType};

/// How queries come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// TCP streams.
    Tcp,
}

impl Protocol {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What an answer was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A wide IP decided it.
    WideIp,
    /// A static zone.
    Zone,
    /// Neither.
    None,
}

impl Source {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 3] = [Self::WideIp, Self::Zone, Self::None];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WideIp => "wide_ip",
            Self::Zone => "zone",
            Self::None => "none",
        }
    }
}

/// The record types that are counted apart, then one class for the rest and one for queries without a question.
pub(super) const TYPES: [&str; 22] = [
    "A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT", "SRV", "PTR", "NAPTR", "HTTPS", "SVCB", "CAA", "DS", "DNSKEY",
    "TLSA", "URI", "ANY", "AXFR", "IXFR", "other", "none",
];

/// The index in [`TYPES`] of the type asked for. A table and no `match`: what comes next is asked in no order, and a jump
/// that cannot be foreseen costs more than all else that counting does.
#[inline]
pub(super) fn type_class(record_type: Option<RecordType>) -> usize {
    static CLASSES: [u8; 260] = classes();
    const OTHER: u8 = 20;
    const NONE: u8 = 21;
    let class = record_type.map_or(NONE, |asked| CLASSES.get(usize::from(asked.0)).copied().unwrap_or(OTHER));
    usize::from(class)
}

/// The class of each record type up to the highest that has its own.
const fn classes() -> [u8; 260] {
    let mut classes = [0; 260];
    let mut number = 0_u16;
    while (number as usize) < classes.len() {
        classes[number as usize] = class_of_type(RecordType(number));
        number += 1;
    }
    classes
}

const fn class_of_type(record_type: RecordType) -> u8 {
    match record_type {
        RecordType::A => 0,
        RecordType::AAAA => 1,
        RecordType::CNAME => 2,
        RecordType::MX => 3,
        RecordType::NS => 4,
        RecordType::SOA => 5,
        RecordType::TXT => 6,
        RecordType::SRV => 7,
        RecordType::PTR => 8,
        RecordType::NAPTR => 9,
        RecordType::HTTPS => 10,
        RecordType::SVCB => 11,
        RecordType::CAA => 12,
        RecordType::DS => 13,
        RecordType::DNSKEY => 14,
        RecordType::TLSA => 15,
        RecordType::URI => 16,
        RecordType::ANY => 17,
        RecordType::AXFR => 18,
        RecordType::IXFR => 19,
        _ => 20,
    }
}

/// The response codes that are counted apart, then one class for the rest.
pub(super) const RCODES: [&str; 12] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "NOTAUTH",
    "NOTZONE",
    "BADVERS",
    "BADCOOKIE",
    "other",
];

/// The index in [`RCODES`] of a response code; a table for the reason given at [`type_class`].
#[inline]
pub(super) fn rcode_class(rcode: Rcode) -> usize {
    static CLASSES: [u8; 24] = rcode_classes();
    const OTHER: u8 = 11;
    usize::from(CLASSES.get(usize::from(rcode.0)).copied().unwrap_or(OTHER))
}

const fn rcode_classes() -> [u8; 24] {
    let mut classes = [0; 24];
    let mut number = 0_u16;
    while (number as usize) < classes.len() {
        classes[number as usize] = class_of_rcode(Rcode(number));
        number += 1;
    }
    classes
}

const fn class_of_rcode(rcode: Rcode) -> u8 {
    match rcode {
        Rcode::NOERROR => 0,
        Rcode::FORMERR => 1,
        Rcode::SERVFAIL => 2,
        Rcode::NXDOMAIN => 3,
        Rcode::NOTIMP => 4,
        Rcode::REFUSED => 5,
        Rcode::YXDOMAIN => 6,
        Rcode::NOTAUTH => 7,
        Rcode::NOTZONE => 8,
        Rcode::BADVERS => 9,
        Rcode::BADCOOKIE => 10,
        _ => 11,
    }
}

/// What the TSIG record of a query came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signature {
    /// A known key's owner sent it.
    Good,
    /// The record breaks its format.
    Malformed,
    /// The key is not known, or has another algorithm.
    BadKey,
    /// The MAC is wrong.
    BadSignature,
    /// It was signed at another time.
    BadTime,
    /// The MAC is shorter than the key allows.
    BadTruncation,
}

impl Signature {
    /// Every value.
    pub const ALL: [Self; 6] =
        [Self::Good, Self::Malformed, Self::BadKey, Self::BadSignature, Self::BadTime, Self::BadTruncation];

    /// The label's text: TSIG's own words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Malformed => "formerr",
            Self::BadKey => "badkey",
            Self::BadSignature => "badsig",
            Self::BadTime => "badtime",
            Self::BadTruncation => "badtrunc",
        }
    }
}

/// Why a packet got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Shorter than a header.
    Runt,
    /// QR is set: a reply to a reply would loop.
    Response,
    /// Sent from port 0, where no reply can go.
    SourcePort,
    /// The configuration says so: drop-packet, `unmatched: drop`, a denied query.
    Policy,
    /// Over the rate of responses that its client may have.
    RateLimit,
    /// The reply was made, and the kernel would not take it.
    Send,
}

impl DropReason {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 6] =
        [Self::Runt, Self::Response, Self::SourcePort, Self::Policy, Self::RateLimit, Self::Send];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runt => "runt",
            Self::Response => "response",
            Self::SourcePort => "source_port",
            Self::Policy => "policy",
            Self::RateLimit => "rate_limit",
            Self::Send => "send",
        }
    }
}

/// What kind of response counts against a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// Records of the type asked for, or an alias.
    Answer,
    /// The name has no records of the type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// A referral to other name servers.
    Referral,
    /// Any other response code.
    Error,
}

impl ResponseKind {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 5] = [Self::Answer, Self::NoData, Self::NxDomain, Self::Referral, Self::Error];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::NoData => "no_data",
            Self::NxDomain => "nxdomain",
            Self::Referral => "referral",
            Self::Error => "error",
        }
    }
}

/// What became of a response over its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateAction {
    /// It was not sent.
    Dropped,
    /// It was sent without records and with TC, so that a real client comes back over TCP.
    Truncated,
    /// An error, too small to be truncated, was sent all the same at the rate of truncated replies.
    Leaked,
    /// It was sent: limits are only logged.
    Logged,
    /// It was sent: the client is exempt, or proved its address by a cookie or a signature.
    Exempt,
}

impl RateAction {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 5] = [Self::Dropped, Self::Truncated, Self::Leaked, Self::Logged, Self::Exempt];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Truncated => "truncated",
            Self::Leaked => "leaked",
            Self::Logged => "logged",
            Self::Exempt => "exempt",
        }
    }
}

/// What a TCP connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Nothing is under way.
    Idle,
    /// Part of a message is in.
    Reading,
    /// Replies wait for the client to take them.
    Writing,
}

impl ConnectionState {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Reading, Self::Writing];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Reading => "reading",
            Self::Writing => "writing",
        }
    }
}

/// Why a TCP connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed it.
    Client,
    /// No query for the idle time.
    Idle,
    /// The first query took too long.
    FirstMessage,
    /// A message took too long from its first octet.
    Message,
    /// It lived for as long as a connection may.
    Lifetime,
    /// It had as many queries as a connection may have.
    Queries,
    /// The client did not take its replies.
    WriteStall,
    /// A zone transfer on it took too long.
    TransferTime,
    /// Closed to make room at the cap, being the one idle for longest.
    Evicted,
    /// A length or message that is no query.
    Malformed,
    /// The network or the client broke it.
    Error,
    /// The listener stops.
    Stopping,
    /// Refused at the cap, or at the cap of its client.
    Refused,
    /// Answering failed in our own code.
    Panic,
}

impl CloseReason {
    /// Every value.
    pub const ALL: [Self; 14] = [
        Self::Client,
        Self::Idle,
        Self::FirstMessage,
        Self::Message,
        Self::Lifetime,
        Self::Queries,
        Self::WriteStall,
        Self::TransferTime,
        Self::Evicted,
        Self::Malformed,
        Self::Error,
        Self::Stopping,
        Self::Refused,
        Self::Panic,
    ];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Idle => "idle",
            Self::FirstMessage => "first_message",
            Self::Message => "message",
            Self::Lifetime => "lifetime",
            Self::Queries => "queries",
            Self::WriteStall => "write_stall",
            Self::TransferTime => "transfer_time",
            Self::Evicted => "evicted",
            Self::Malformed => "malformed",
            Self::Error => "error",
            Self::Stopping => "stopping",
            Self::Refused => "refused",
            Self::Panic => "panic",
        }
    }
}

/// Where a panic of ours was caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// Answering a datagram.
    Udp,
    /// Answering on a stream.
    Tcp,
    /// A task beside the answer path.
    Task,
}

impl Site {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Task];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Task => "task",
        }
    }
}

/// How a configuration reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reload {
    /// The new configuration is in use.
    Applied,
    /// It was refused; the old one stays in use.
    Refused,
}

impl Reload {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_type_is_counted_under_its_mnemonic() {
        for (record_type, mnemonic) in RecordType::NAMED {
            let label = TYPES[type_class(Some(*record_type))];
            assert!(label == *mnemonic || label == "other", "{mnemonic} is counted as {label}");
        }
        assert_eq!(TYPES[type_class(Some(RecordType(65_280)))], "other");
        assert_eq!(TYPES[type_class(None)], "none");
        for label in &TYPES[..20] {
            assert!(RecordType::NAMED.iter().any(|(number, _)| TYPES[type_class(Some(*number))] == *label), "{label}");
        }
    }

    #[test]
    fn a_named_rcode_is_counted_under_its_mnemonic() {
        for (rcode, mnemonic) in Rcode::NAMED {
            let label = RCODES[rcode_class(*rcode)];
            assert!(label == *mnemonic || label == "other", "{mnemonic} is counted as {label}");
        }
        for label in &RCODES[..11] {
            assert!(Rcode::NAMED.iter().any(|(number, _)| RCODES[rcode_class(*number)] == *label), "{label}");
        }
    }
}
