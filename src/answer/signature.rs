//! The signature of one query, and of its reply (RFC 8945).

use super::outcome::SignatureOutcome;
use crate::wire::tsig::{Check, ErrorRecord, Signer, check};
use crate::wire::{Keys, Name, Query, Rcode};

/// What the query's TSIG record makes of the reply.
pub(super) enum Signature<'p> {
    /// The query has none, and neither has the reply.
    None,
    /// The query's record is malformed.
    Malformed,
    /// The reply says what is wrong with the query's signature.
    Failed(ErrorRecord<'p>),
    /// The reply is signed by the query's key.
    Good(Signer),
}

impl<'p> Signature<'p> {
    pub(super) fn of(packet: &'p [u8], query: &Query, keys: &Keys, unix_seconds: u64) -> Self {
        let Some(at) = query.tsig else { return Self::None };
        match check(packet, at, keys, unix_seconds) {
            Check::Malformed => Self::Malformed,
            Check::Failed(error) => Self::Failed(error),
            Check::Good(signer) => Self::Good(signer),
        }
    }

    /// The code that the query is answered with for its signature alone.
    pub(super) const fn refusal(&self) -> Option<Rcode> {
        match self {
            Self::None | Self::Good(_) => None,
            // RFC 8945 §5.2.
            Self::Malformed => Some(Rcode::FORMERR),
            Self::Failed(_) => Some(Rcode::NOTAUTH),
        }
    }

    /// The key that signed the query, if the signature is good.
    pub(super) fn key(&self) -> Option<&Name> {
        match self {
            Self::Good(signer) => Some(signer.key().name()),
            Self::None | Self::Malformed | Self::Failed(_) => None,
        }
    }

    /// What it came to, for the counters.
    #[inline]
    pub(super) const fn outcome(&self) -> Option<SignatureOutcome> {
        Some(match self {
            Self::None => return None,
            Self::Malformed => SignatureOutcome::Malformed,
            Self::Good(_) => SignatureOutcome::Good,
            Self::Failed(error) => match error.error() {
                Rcode::BADSIG => SignatureOutcome::BadSignature,
                Rcode::BADTIME => SignatureOutcome::BadTime,
                Rcode::BADTRUNC => SignatureOutcome::BadTruncation,
                _ => SignatureOutcome::BadKey,
            },
        })
    }

    /// Octets to be kept free for the record.
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::None | Self::Malformed => 0,
            Self::Failed(error) => error.octets(),
            Self::Good(signer) => signer.octets(),
        }
    }

    /// Ends the reply of `length` octets in `out`, which gives its limit; the new length.
    #[inline]
    pub(super) fn append(self, out: &mut [u8], length: usize, unix_seconds: u64) -> usize {
        match self {
            Self::None | Self::Malformed => length,
            // Names may be so long that the record does not fit; what is wrong is told without its details then.
            Self::Failed(error) => error.append(out, length, unix_seconds).unwrap_or(length),
            // A reply that should be signed and is not would be taken for a forgery: none is better.
            Self::Good(mut signer) => signer.sign(out, length, unix_seconds).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{name, query, settings};
    use super::super::{Outcome, Snapshot, Transport, Unmatched, Worker, respond};
    use super::*;
    use crate::wideip::Tables;
    use crate::wire::tsig::{Signed, VerifyError};
    use crate::wire::{Algorithm, Key, NameKey, RecordType};
    use crate::zone::ZoneBuilder;

    const NOW: u64 = 1_800_000_000;
    const SEED: u64 = 1;

    fn key(secret: &[u8]) -> Key {
        Key::new(&name("k."), Algorithm::HmacSha256, secret)
    }

    fn snapshot() -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        builder.add(&name("www.example."), RecordType::A, 60, &[192, 0, 2, 1]).unwrap();
        for number in 0..40_u8 {
            builder
                .add(&name("big.example."), RecordType::TXT, 60, &[&[20], &[b'0' + number; 20][..]].concat())
                .unwrap();
        }
        let settings =
            super::super::Settings { keys: Arc::new(Keys::new([key(b"right")])), ..settings(Unmatched::Refused) };
        Snapshot::new(1, &[Arc::new(builder.finish())], Tables::empty(SEED), Arc::new(settings), SEED)
    }

    /// Asks with a query signed with `secret` at `time`: the outcome, the reply, and what the client says of it.
    fn ask(question: &str, secret: &[u8], time: u64) -> (Outcome, Vec<u8>, Result<Signed, VerifyError>) {
        let mut packet = query(question, RecordType::TXT, 1, &[]);
        let length = packet.len();
        packet.resize(600, 0);
        let mut client = Signer::request(Arc::new(key(secret)));
        let length = client.sign(&mut packet, length, time).unwrap();
        let mut worker = Worker::new(1);
        worker.tell_time(NOW);
        let mut out = [0; 4096];
        let source = "192.0.2.9:5353".parse().unwrap();
        let outcome = respond(&snapshot(), &mut worker, &packet[..length], source, Transport::Udp, &mut out);
        let mut reply = out[..outcome.length].to_vec();
        // Replies are read as queries are, but for the bit that tells them apart.
        reply[2] &= 0x7f;
        let at = Query::parse(&reply, &mut NameKey::root(SEED), SEED).unwrap().tsig;
        reply[2] |= 0x80;
        let verdict = client.into_verifier().check(&reply, at, time);
        (outcome, reply, verdict)
    }

    #[test]
    fn rfc8945_5_3_a_signed_query_gets_a_signed_reply() {
        let (outcome, _, verdict) = ask("www.example.", b"right", NOW);
        assert_eq!(
            (outcome.rcode, outcome.signature, verdict),
            (Rcode::NOERROR, Some(SignatureOutcome::Good), Ok(Signed::Here))
        );
    }

    #[test]
    fn rfc8945_5_3_a_reply_that_is_too_long_with_its_signature_is_truncated_and_signed() {
        let (outcome, reply, verdict) = ask("big.example.", b"right", NOW);
        assert!(outcome.truncated && reply.len() <= 512);
        assert_eq!(verdict, Ok(Signed::Here));
    }

    #[test]
    fn rfc8945_5_2_a_query_whose_signature_fails_gets_notauth_and_no_data() {
        let check = |secret: &[u8], time, outcome: SignatureOutcome, error| {
            let (found, reply, verdict) = ask("www.example.", secret, time);
            assert_eq!((found.rcode, found.signature), (Rcode::NOTAUTH, Some(outcome)));
            assert_eq!((verdict, &reply[6..8]), (Err(VerifyError::Refused(error)), &[0, 0][..]));
        };
        check(b"wrong", NOW, SignatureOutcome::BadSignature, Rcode::BADSIG);
        check(b"right", NOW - 301, SignatureOutcome::BadTime, Rcode::BADTIME);
    }

    #[test]
    fn rfc8945_5_2_1_a_key_that_is_not_known_is_said_to_be_bad() {
        let mut packet = query("www.example.", RecordType::A, 1, &[]);
        let length = packet.len();
        packet.resize(600, 0);
        let other = Key::new(&name("other."), Algorithm::HmacSha256, b"right");
        let length = Signer::request(Arc::new(other)).sign(&mut packet, length, NOW).unwrap();
        let mut out = [0; 4096];
        let source = "192.0.2.9:5353".parse().unwrap();
        let outcome = respond(&snapshot(), &mut Worker::new(1), &packet[..length], source, Transport::Udp, &mut out);
        assert_eq!((outcome.rcode, outcome.signature), (Rcode::NOTAUTH, Some(SignatureOutcome::BadKey)));
        // The record: no MAC, the query's id, BADKEY (17), no other data.
        assert_eq!(out[outcome.length - 8..outcome.length], [0, 0, 0, 9, 0, 17, 0, 0]);
    }
}
