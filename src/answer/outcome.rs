//! What became of a packet, as listeners count it.

use super::cookies::CookieOutcome;
use super::extended_error::ExtendedError;
use super::rate_limit::Limited;
use crate::metrics::Limit;
use crate::wideip::Decision;
use crate::wire::{Rcode, RecordType, Silence};

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram: the reply is bounded by EDNS and may be truncated.
    Udp,
    /// A TCP stream.
    Tcp,
}

/// What the reply was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerSource {
    /// A wide IP decided it.
    WideIp,
    /// A static zone.
    Zone,
    /// Neither: refused, malformed, unmatched, or our own names in class CHAOS.
    None,
}

/// What a query's signature came to (RFC 8945 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureOutcome {
    /// A known key's owner sent it.
    Good,
    /// The TSIG record breaks its format.
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

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Octets of the reply in the output buffer; 0 when no reply is sent.
    pub length: usize,
    /// The reply's response code.
    pub rcode: Rcode,
    /// The type asked for; none when no question could be read.
    pub record_type: Option<RecordType>,
    /// What the reply was taken from.
    pub source: AnswerSource,
    /// Whether the reply was cut to fit and carries TC.
    pub truncated: bool,
    /// Why nothing is sent although nothing was configured to be dropped.
    pub silence: Option<Silence>,
    /// What a wide IP decided, if one did.
    pub decision: Option<Decision>,
    /// What the query's signature came to, if it had one.
    pub signature: Option<SignatureOutcome>,
    /// What the query's cookie came to; a valid one proves that the client gets what is sent to its address.
    pub cookie: CookieOutcome,
    /// What the reply is explained by, to a client that understands it.
    pub extended_error: Option<ExtendedError>,
    /// Whether somebody else is to answer: a transfer or notification, which this path has no time for. The reply in the
    /// output buffer is for listeners that have nobody to hand it to.
    pub hand_off: bool,
    /// What became of the reply when it was over its client's rate.
    pub limited: Option<Limited>,
    /// A limit that the query reached.
    pub limit: Option<Limit>,
}

impl Outcome {
    /// That nothing is sent.
    pub(super) const fn silent(silence: Option<Silence>) -> Self {
        Self {
            length: 0,
            rcode: Rcode::NOERROR,
            record_type: None,
            source: AnswerSource::None,
            truncated: false,
            silence,
            decision: None,
            signature: None,
            cookie: CookieOutcome::None,
            extended_error: None,
            hand_off: false,
            limited: None,
            limit: None,
        }
    }
}
