//! Transaction signatures (RFC 8945): checking requests, signing replies and requests, streams of many messages.
//!
//! The clock is an argument: seconds since 1970. Nothing here says which key may do what.
//!
//! RFC 8945 §5.2.3 would also have a request refused that was signed before the last one of its key. It is not: datagrams
//! overtake each other, hosts that share a key differ in their clocks, and workers share nothing that a query changes. A
//! query that is sent again tells nobody more than the first one did; updates, which a replay could undo, remember their
//! signatures for as long as these are good.

use std::fmt;
use std::sync::Arc;

use super::query::HEADER_LENGTH;
use super::tsig_key::{Digest, Key, Keys, Mac};
use super::types::{Class, Rcode, RecordType};

/// How far two clocks may be apart, in seconds, in what we sign (RFC 8945 §10).
const FUDGE: u16 = 300;
/// Messages of a stream that may go by without a signature (RFC 8945 §5.3.1).
const UNSIGNED_MAX: u32 = 99;
/// Type, class, TTL and length of a record.
const FIXED: usize = 10;

/// A TSIG record where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record<'p> {
    /// Where it starts; what it signs ends there.
    start: usize,
    key: &'p [u8],
    algorithm: &'p [u8],
    time: u64,
    fudge: u16,
    mac: &'p [u8],
    original_id: u16,
    error: Rcode,
    other: &'p [u8],
}

impl<'p> Record<'p> {
    /// Reads the record at `at`, which must be the message's end (RFC 8945 §5.1).
    fn read(packet: &'p [u8], at: usize) -> Option<Self> {
        let (key, rest) = name(packet.get(at..)?)?;
        let (fields, rdata) = rest.split_first_chunk::<FIXED>()?;
        let [t0, t1, c0, c1, ttl @ .., l0, l1] = *fields;
        // RFC 8945 §4.2: class ANY, TTL 0.
        if (RecordType(u16::from_be_bytes([t0, t1])), Class(u16::from_be_bytes([c0, c1])))
            != (RecordType::TSIG, Class::ANY)
            || ttl != [0; 4]
            || rdata.len() != usize::from(u16::from_be_bytes([l0, l1]))
        {
            return None;
        }
        let (algorithm, rest) = name(rdata)?;
        let ([a, b, c, d, e, f, fudge @ ..], rest) = rest.split_first_chunk::<8>()?;
        let (mac, rest) = counted(rest)?;
        let ([i0, i1, e0, e1], rest) = rest.split_first_chunk::<4>()?;
        let (other, rest) = counted(rest)?;
        rest.is_empty().then_some(Self {
            start: at,
            key,
            algorithm,
            time: u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]),
            fudge: u16::from_be_bytes(*fudge),
            mac,
            original_id: u16::from_be_bytes([*i0, *i1]),
            error: Rcode(u16::from_be_bytes([*e0, *e1])),
            other,
        })
    }

    /// The digest of the message before the record (RFC 8945 §4.3.2), after what `digest` holds already.
    fn digest_message(&self, packet: &[u8], digest: &mut Digest) -> Option<()> {
        let [_, _, flags @ .., r0, r1] = packet.first_chunk::<HEADER_LENGTH>()?;
        let records = u16::from_be_bytes([*r0, *r1]).checked_sub(1)?;
        digest.update(&self.original_id.to_be_bytes());
        digest.update(flags);
        digest.update(&records.to_be_bytes());
        digest.update(packet.get(HEADER_LENGTH..self.start)?);
        Some(())
    }

    /// The variables of a first message (RFC 8945 §4.3.3), by the names as the key has them.
    fn digest_variables(&self, key: &Key, digest: &mut Digest) {
        digest.update(key.name().as_wire());
        digest.update(&[0, 255, 0, 0, 0, 0]);
        digest.update(key.algorithm().as_wire());
        self.digest_timers(digest);
        digest.update(&self.error.0.to_be_bytes());
        digest.update(&u16::try_from(self.other.len()).unwrap_or(u16::MAX).to_be_bytes());
        digest.update(self.other);
    }

    /// What later messages of a stream sign of the record (RFC 8945 §5.3.1).
    fn digest_timers(&self, digest: &mut Digest) {
        digest.update(&seconds(self.time));
        digest.update(&self.fudge.to_be_bytes());
    }

    /// Writes the record behind the first `length` octets of `message`, and counts it in the header.
    fn write(&self, mac: &[u8], message: &mut [u8], length: usize) -> Option<usize> {
        let rdata = self.algorithm.len() + 16 + mac.len() + self.other.len();
        let end = length + self.key.len() + FIXED + rdata;
        let mut at = length;
        let mut put = |octets: &[u8]| {
            message.get_mut(at..at + octets.len())?.copy_from_slice(octets);
            at += octets.len();
            Some(())
        };
        put(self.key)?;
        put(&[0, 250, 0, 255, 0, 0, 0, 0])?;
        put(&u16::try_from(rdata).ok()?.to_be_bytes())?;
        put(self.algorithm)?;
        put(&seconds(self.time))?;
        put(&self.fudge.to_be_bytes())?;
        put(&u16::try_from(mac.len()).ok()?.to_be_bytes())?;
        put(mac)?;
        put(&self.original_id.to_be_bytes())?;
        put(&self.error.0.to_be_bytes())?;
        put(&u16::try_from(self.other.len()).ok()?.to_be_bytes())?;
        put(self.other)?;
        let count = message.get_mut(10..12)?;
        let records = u16::from_be_bytes(count.try_into().ok()?).checked_add(1)?;
        count.copy_from_slice(&records.to_be_bytes());
        Some(end)
    }
}

/// What became of a request's TSIG.
#[derive(Debug, Clone)]
pub enum Check<'p> {
    /// The record breaks its format: FORMERR, without a signature.
    Malformed,
    /// The request is not what the key's owner signed, or not now: NOTAUTH with this record.
    Failed(ErrorRecord<'p>),
    /// The key's owner sent it; replies are signed with this.
    Good(Signer),
}

/// The TSIG record of a reply that tells why a request failed.
#[derive(Debug, Clone)]
pub struct ErrorRecord<'p> {
    request: Record<'p>,
    /// BADKEY, BADSIG, BADTIME or BADTRUNC.
    error: Rcode,
    /// Signs the reply, where the request's MAC was good.
    signer: Option<Signer>,
}

/// Checks the TSIG record that starts at `at`, in the order of RFC 8945 §5.2: key, MAC, time, truncation.
pub fn check<'p>(packet: &'p [u8], at: usize, keys: &Keys, now: u64) -> Check<'p> {
    let Some(request) = Record::read(packet, at) else { return Check::Malformed };
    let failed = |error, signer| Check::Failed(ErrorRecord { request, error, signer });
    let key = keys.find(request.key);
    let Some(key) = key.filter(|key| key.algorithm().as_wire().eq_ignore_ascii_case(request.algorithm)) else {
        return failed(Rcode::BADKEY, None);
    };
    let length = request.mac.len();
    if length > key.algorithm().mac_octets() || length < key.algorithm().mac_octets_min() {
        return Check::Malformed;
    }
    let digest = Digest::new(key).and_then(|mut digest| {
        request.digest_message(packet, &mut digest)?;
        request.digest_variables(key, &mut digest);
        Some(digest)
    });
    if !digest.is_some_and(|digest| digest.accepts(request.mac)) {
        return failed(Rcode::BADSIG, None);
    }
    let signer = Signer { key: Arc::clone(key), prior: Mac::new(request.mac), is_first: true };
    // A fudge beyond ours counts as ours, so that no signature is good for longer than updates remember it.
    if now.abs_diff(request.time) > u64::from(request.fudge.min(FUDGE)) {
        return failed(Rcode::BADTIME, Some(signer));
    }
    if length < key.mac_octets_min() {
        return failed(Rcode::BADTRUNC, Some(signer));
    }
    Check::Good(signer)
}

impl ErrorRecord<'_> {
    /// The error: BADKEY, BADSIG, BADTIME or BADTRUNC.
    pub const fn error(&self) -> Rcode {
        self.error
    }

    /// Octets that the record will take.
    pub fn octets(&self) -> usize {
        let mac = self.signer.as_ref().map_or(0, |signer| signer.key.algorithm().mac_octets());
        self.request.key.len() + FIXED + self.request.algorithm.len() + 16 + mac + 6
    }

    /// Ends the reply in the first `length` octets of `message` with the record; the new length, or none when it does
    /// not fit.
    ///
    /// RFC 8945 §5.3.2: errors of key and MAC are not signed. RFC 8945 §5.2.3: BADTIME carries the request's time, so
    /// that the client can check the signature, and ours as other data.
    pub fn append(self, message: &mut [u8], length: usize, now: u64) -> Option<usize> {
        let ours = seconds(now);
        let (time, other) = if self.error == Rcode::BADTIME { (self.request.time, &ours[..]) } else { (now, &[][..]) };
        let record = Record {
            time,
            fudge: self.request.fudge,
            original_id: id(message)?,
            error: self.error,
            other,
            start: length,
            ..self.request
        };
        match self.signer {
            Some(mut signer) => signer.sign_record(message, record),
            None => record.write(&[], message, length),
        }
    }
}

/// Signs what is sent: one request, or the replies to one request in their order.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<Key>,
    /// The MAC of the request, then of the last reply.
    prior: Mac,
    /// Whether the next message is the request itself or the first reply, which sign all of the record.
    is_first: bool,
}

impl Signer {
    /// Signs a request of ours.
    pub const fn request(key: Arc<Key>) -> Self {
        Self { key, prior: Mac::NONE, is_first: true }
    }

    /// The key.
    pub const fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The MAC of the request that replies are to be signed for; of a signer that signed a reply, that reply's.
    pub fn request_mac(&self) -> &[u8] {
        self.prior.as_slice()
    }

    /// Octets that the record will take.
    pub fn octets(&self) -> usize {
        let algorithm = self.key.algorithm();
        self.key.name().as_wire().len() + FIXED + algorithm.as_wire().len() + 16 + algorithm.mac_octets()
    }

    /// Signs the message in the first `length` octets of `message`; the new length, or none when it does not fit.
    pub fn sign(&mut self, message: &mut [u8], length: usize, now: u64) -> Option<usize> {
        let original_id = id(message)?;
        let key = Arc::clone(&self.key);
        let record = Record {
            start: length,
            key: key.name().as_wire(),
            algorithm: key.algorithm().as_wire(),
            time: now,
            fudge: FUDGE,
            mac: &[],
            original_id,
            error: Rcode::NOERROR,
            other: &[],
        };
        self.sign_record(message, record)
    }

    fn sign_record(&mut self, message: &mut [u8], record: Record<'_>) -> Option<usize> {
        let mut digest = Digest::new(&self.key)?;
        digest.update_prior(&self.prior);
        digest.update(message.get(..record.start)?);
        if self.is_first {
            record.digest_variables(&self.key, &mut digest);
        } else {
            record.digest_timers(&mut digest);
        }
        self.prior = digest.finish();
        self.is_first = false;
        record.write(self.prior.as_slice(), message, record.start)
    }

    /// What checks the replies to the request that was signed.
    pub fn into_verifier(self) -> Verifier {
        Verifier { key: self.key, prior: self.prior, is_first: true, unsigned: None, unsigned_count: 0 }
    }
}

/// Checks the replies to one request of ours, in their order (RFC 8945 §5.3.1, §5.4).
pub struct Verifier {
    key: Arc<Key>,
    prior: Mac,
    is_first: bool,
    /// The digest of messages since the last signature.
    unsigned: Option<Digest>,
    unsigned_count: u32,
}

/// Why a reply is not taken for what the key's owner sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// It ends in no TSIG record although it must.
    Unsigned,
    /// Its TSIG record breaks its format.
    Malformed,
    /// It is signed by another key or algorithm.
    OtherKey,
    /// Its MAC is not that of the message.
    WrongMac,
    /// It was signed too long ago, or in the future.
    Time,
    /// The other side did not take our signature.
    Refused(Rcode),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("the reply is not signed, although the request was"),
            Self::Malformed => f.write_str("the reply's TSIG record is malformed"),
            Self::OtherKey => f.write_str("the reply is signed by another key or algorithm"),
            Self::WrongMac => f.write_str("the reply's signature is wrong: do both sides have the same secret?"),
            Self::Time => f.write_str("the reply was signed at another time: are both clocks right?"),
            Self::Refused(Rcode::BADKEY) => f.write_str("the other side does not know our key (BADKEY)"),
            Self::Refused(Rcode::BADSIG) => f.write_str("the other side has another secret for our key (BADSIG)"),
            Self::Refused(Rcode::BADTIME) => f.write_str("the other side's clock differs from ours (BADTIME)"),
            Self::Refused(error) => write!(f, "the other side refused our signature ({error})"),
        }
    }
}

impl std::error::Error for VerifyError {}

impl Verifier {
    /// Checks the next message, whose TSIG record starts at `tsig`. Says whether it was signed; a message between two
    /// signatures need not be, and is good only once the next signature is.
    ///
    /// # Errors
    /// [`VerifyError`]: nothing of the stream since the last signature may be used.
    pub fn check(&mut self, message: &[u8], tsig: Option<usize>, now: u64) -> Result<Signed, VerifyError> {
        let Some(at) = tsig else {
            if self.is_first || self.unsigned_count >= UNSIGNED_MAX {
                return Err(VerifyError::Unsigned);
            }
            self.digest()?.update(message);
            self.unsigned_count += 1;
            return Ok(Signed::Later);
        };
        let record = Record::read(message, at).ok_or(VerifyError::Malformed)?;
        let (key, error) = (Arc::clone(&self.key), record.error);
        if !record.key.eq_ignore_ascii_case(key.name().as_wire())
            || !record.algorithm.eq_ignore_ascii_case(key.algorithm().as_wire())
        {
            return Err(VerifyError::OtherKey);
        }
        // RFC 8945 §5.3.2: these come without a MAC, and so are believed only as a reason to fail.
        if matches!(error, Rcode::BADKEY | Rcode::BADSIG) {
            return Err(VerifyError::Refused(error));
        }
        if record.mac.len() < key.mac_octets_min() || record.mac.len() > key.algorithm().mac_octets() {
            return Err(VerifyError::WrongMac);
        }
        let mut digest = self.digest()?.clone();
        record.digest_message(message, &mut digest).ok_or(VerifyError::Malformed)?;
        if self.is_first {
            record.digest_variables(&key, &mut digest);
        } else {
            record.digest_timers(&mut digest);
        }
        if !digest.accepts(record.mac) {
            return Err(VerifyError::WrongMac);
        }
        if error != Rcode::NOERROR {
            return Err(VerifyError::Refused(error));
        }
        if now.abs_diff(record.time) > u64::from(record.fudge) {
            return Err(VerifyError::Time);
        }
        (self.prior, self.is_first, self.unsigned, self.unsigned_count) = (Mac::new(record.mac), false, None, 0);
        Ok(Signed::Here)
    }

    /// The digest since the last signature, which starts with that signature's MAC.
    fn digest(&mut self) -> Result<&mut Digest, VerifyError> {
        if self.unsigned.is_none() {
            let mut digest = Digest::new(&self.key).ok_or(VerifyError::Malformed)?;
            digest.update_prior(&self.prior);
            self.unsigned = Some(digest);
        }
        self.unsigned.as_mut().ok_or(VerifyError::Malformed)
    }
}

/// Whether a message of a stream is vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// It is, with all before it.
    Here,
    /// Not before a later message is.
    Later,
}

/// The 48 bits that times take.
fn seconds(time: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = time.to_be_bytes();
    rest
}

fn id(message: &[u8]) -> Option<u16> {
    message.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))
}

/// An uncompressed name and what follows it (RFC 8945 §4.2 allows no other here).
fn name(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    // 255 octets hold at most 128 labels with the root.
    for _ in 0..128 {
        let length = *octets.get(at)?;
        at += 1 + usize::from(length);
        match length {
            0 if at <= 255 => return octets.split_at_checked(at),
            1..=63 => {}
            _ => return None,
        }
    }
    None
}

/// Octets with their number before them, and what follows them.
fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::super::tsig_key::Algorithm;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(algorithm: Algorithm, secret: &[u8]) -> Key {
        Key::new(&"Test.Key.".parse().unwrap(), algorithm, secret)
    }

    /// A header and a question for the root's SOA.
    fn message() -> Vec<u8> {
        vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1]
    }

    /// The message signed at `time`, and where its TSIG starts.
    fn signed(signer: &mut Signer, message: &[u8], time: u64) -> (Vec<u8>, usize) {
        let mut out = [message, &[0; 512]].concat();
        let length = signer.sign(&mut out, message.len(), time).unwrap();
        assert_eq!(length, message.len() + signer.octets());
        out.truncate(length);
        (out, message.len())
    }

    /// `good` or the error's name.
    fn verdict(check: &Check<'_>) -> String {
        match check {
            Check::Malformed => "FORMERR".to_owned(),
            Check::Failed(error) if error.error() == Rcode::BADSIG => "BADSIG".to_owned(),
            Check::Failed(error) => error.error().to_string(),
            Check::Good(_) => "good".to_owned(),
        }
    }

    #[test]
    fn every_algorithm_signs_and_verifies_both_ways() {
        for algorithm in Algorithm::ALL {
            let keys = Keys::new([key(algorithm, b"secret")]);
            let mut client = Signer::request(Arc::new(key(algorithm, b"secret")));
            let (request, at) = signed(&mut client, &message(), NOW);
            let Check::Good(mut server) = check(&request, at, &keys, NOW + 300) else { panic!("{algorithm}") };
            let mut verifier = client.into_verifier();
            let (first, at) = signed(&mut server, &message(), NOW + 300);
            assert_eq!(verifier.check(&first, Some(at), NOW), Ok(Signed::Here));
            let (second, at) = signed(&mut server, &message(), NOW);
            assert_eq!(verifier.check(&second, Some(at), NOW), Ok(Signed::Here));
            assert_eq!(verifier.check(&second, Some(at), NOW), Err(VerifyError::WrongMac), "a replay");
        }
    }

    #[test]
    fn rfc8945_5_2_requests_are_judged_in_order() {
        let keys = Keys::new([key(Algorithm::HmacSha256, b"secret")]);
        let request = |algorithm, secret: &[u8], time| {
            signed(&mut Signer::request(Arc::new(key(algorithm, secret))), &message(), time)
        };
        let judge = |(request, at): (Vec<u8>, usize), now| verdict(&check(&request, at, &keys, now));
        assert_eq!(judge(request(Algorithm::HmacSha256, b"secret", NOW), NOW), "good");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"other", NOW), NOW), "BADSIG");
        assert_eq!(judge(request(Algorithm::HmacSha512, b"secret", NOW), NOW), "BADKEY");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"secret", NOW), NOW + 301), "BADTIME");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"secret", NOW), NOW - 301), "BADTIME");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"other", NOW), NOW + 301), "BADSIG", "not BADTIME");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"secret", 0), NOW), "BADTIME");
        assert_eq!(judge(request(Algorithm::HmacSha256, b"secret", (1 << 48) - 1), NOW), "BADTIME");
        let none = Keys::default();
        let (signed, at) = request(Algorithm::HmacSha256, b"secret", NOW);
        assert_eq!(verdict(&check(&signed, at, &none, NOW)), "BADKEY");
    }

    #[test]
    fn a_signature_is_good_for_as_long_as_its_fudge_says_and_never_longer_than_ours() {
        let keys = Keys::new([key(Algorithm::HmacSha256, b"secret")]);
        let check = |fudge: u16, age: u64, expected: &str| {
            let key = key(Algorithm::HmacSha256, b"secret");
            let (name, algorithm) = (key.name().clone(), key.algorithm().as_wire());
            let mut request = [message(), vec![0; 512]].concat();
            let at = message().len();
            let record = Record {
                start: at,
                key: name.as_wire(),
                algorithm,
                time: NOW,
                fudge,
                mac: &[],
                original_id: 0x1234,
                error: Rcode::NOERROR,
                other: &[],
            };
            let length = Signer::request(Arc::new(key)).sign_record(&mut request, record).unwrap();
            assert_eq!(verdict(&super::check(&request[..length], at, &keys, NOW + age)), expected, "{fudge} {age}");
        };
        check(0, 0, "good");
        check(0, 1, "BADTIME");
        check(10, 10, "good");
        check(10, 11, "BADTIME");
        check(u16::MAX, 300, "good");
        check(u16::MAX, 301, "BADTIME");
    }

    #[test]
    fn rfc8945_5_2_2_1_truncated_macs() {
        let whole = key(Algorithm::HmacSha256, b"secret");
        let short = whole.clone().with_mac_octets_min(16);
        let (request, at) = signed(&mut Signer::request(Arc::new(whole.clone())), &message(), NOW);
        let algorithm = Algorithm::HmacSha256.as_wire().len();
        let mac = at + whole.name().as_wire().len() + FIXED + algorithm + 8;
        let cut = |octets: usize| {
            let mut cut = request.clone();
            let length = u16::try_from(octets).unwrap();
            if octets <= 32 {
                cut.drain(mac + 2 + octets..mac + 2 + 32);
            } else {
                cut.splice(mac + 34..mac + 34, vec![0; octets - 32]);
            }
            cut[mac..mac + 2].copy_from_slice(&length.to_be_bytes());
            let rdata = u16::try_from(cut.len() - mac + algorithm + 8).unwrap();
            cut[mac - algorithm - 10..mac - algorithm - 8].copy_from_slice(&rdata.to_be_bytes());
            cut
        };
        for octets in 0..=40 {
            let (expected, expected_short) = match octets {
                0..=15 | 33.. => ("FORMERR", "FORMERR"),
                16..=31 => ("BADTRUNC", "good"),
                _ => ("good", "good"),
            };
            let cut = cut(octets);
            assert_eq!(verdict(&check(&cut, at, &Keys::new([whole.clone()]), NOW)), expected, "{octets}");
            assert_eq!(verdict(&check(&cut, at, &Keys::new([short.clone()]), NOW)), expected_short, "{octets}");
        }
    }

    #[test]
    fn a_changed_octet_is_never_good() {
        let keys = Keys::new([key(Algorithm::HmacSha256, b"secret")]);
        let (request, at) =
            signed(&mut Signer::request(Arc::new(key(Algorithm::HmacSha256, b"secret"))), &message(), NOW);
        for index in 0..request.len() {
            let mut changed = request.clone();
            changed[index] ^= 1;
            // The id is restored from the record, and a name's case does not count.
            let is_free = index < 2;
            assert_eq!(verdict(&check(&changed, at, &keys, NOW)) == "good", is_free, "octet {index}");
        }
        for length in 0..request.len() {
            assert_ne!(verdict(&check(&request[..length], at, &keys, NOW)), "good", "cut to {length}");
        }
        let longer = [&request[..], &[0]].concat();
        assert_eq!(verdict(&check(&longer, at, &keys, NOW)), "FORMERR", "data behind TSIG");
    }

    #[test]
    fn rfc8945_5_3_2_errors_of_key_and_mac_are_unsigned_and_others_signed() {
        let keys = Keys::new([key(Algorithm::HmacSha256, b"secret")]);
        let answer = |secret: &[u8], now| {
            let mut client = Signer::request(Arc::new(key(Algorithm::HmacSha256, secret)));
            let (request, at) = signed(&mut client, &message(), NOW);
            let Check::Failed(error) = check(&request, at, &keys, now) else { panic!("it is good") };
            let octets = error.octets();
            let mut reply = [message(), vec![0; 512]].concat();
            let length = error.append(&mut reply, at, now).unwrap();
            assert!(length <= at + octets);
            reply.truncate(length);
            let mac = Record::read(&reply, at).unwrap().mac.len();
            (client.into_verifier().check(&reply, Some(at), NOW), mac, reply)
        };
        let (verdict, mac, _) = answer(b"other", NOW);
        assert_eq!((verdict, mac), (Err(VerifyError::Refused(Rcode::BADSIG)), 0));
        let (verdict, mac, reply) = answer(b"secret", NOW + 1000);
        assert_eq!((verdict, mac), (Err(VerifyError::Refused(Rcode::BADTIME)), 32));
        let record = Record::read(&reply, message().len()).unwrap();
        assert_eq!((record.time, record.other), (NOW, &seconds(NOW + 1000)[..]), "RFC 8945 §5.2.3");
    }

    #[test]
    fn rfc8945_5_3_1_some_messages_of_a_stream_may_be_unsigned() {
        let mut client = Signer::request(Arc::new(key(Algorithm::HmacSha256, b"secret")));
        let keys = Keys::new([key(Algorithm::HmacSha256, b"secret")]);
        let (request, at) = signed(&mut client, &message(), NOW);
        let Check::Good(mut server) = check(&request, at, &keys, NOW) else { panic!("it is good") };
        let mut verifier = client.into_verifier();
        assert_eq!(verifier.check(&message(), None, NOW), Err(VerifyError::Unsigned), "the first must be signed");
        let (first, at) = signed(&mut server, &message(), NOW);
        assert_eq!(verifier.check(&first, Some(at), NOW), Ok(Signed::Here));
        for _ in 0..UNSIGNED_MAX {
            assert_eq!(verifier.check(&message(), None, NOW), Ok(Signed::Later));
        }
        assert_eq!(verifier.check(&message(), None, NOW), Err(VerifyError::Unsigned));
    }
}
