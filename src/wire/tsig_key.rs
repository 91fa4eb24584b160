//! TSIG keys: algorithms, secrets that are never shown, and message authentication codes.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::name::{MAX_NAME_LENGTH, Name};

/// Octets of the longest MAC, which is SHA-512's.
const MAC_OCTETS_MAX: usize = 64;

/// An HMAC algorithm of RFC 8945 §6. HMAC-MD5 and GSS-TSIG are not among them: the RFC advises against the one, and the
/// other needs state per client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-sha1`: for clients that know nothing newer; not to be used otherwise.
    HmacSha1,
    /// `hmac-sha224`.
    HmacSha224,
    /// `hmac-sha256`: the one every implementation has.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::HmacSha1, Self::HmacSha224, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The algorithm's name, without a final dot.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha224 => "hmac-sha224",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// The name in wire form.
    pub(super) const fn as_wire(self) -> &'static [u8] {
        match self {
            Self::HmacSha1 => b"\x09hmac-sha1\0",
            Self::HmacSha224 => b"\x0bhmac-sha224\0",
            Self::HmacSha256 => b"\x0bhmac-sha256\0",
            Self::HmacSha384 => b"\x0bhmac-sha384\0",
            Self::HmacSha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Octets of a whole MAC.
    pub const fn mac_octets(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha224 => 28,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// Octets of the shortest MAC a message may carry (RFC 8945 §5.2.2.1): 10, or half of the whole if that is more.
    pub const fn mac_octets_min(self) -> usize {
        let half = self.mac_octets() / 2;
        if half > 10 { half } else { 10 }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A shared secret under its name. Neither printed nor compared in the open: [`fmt::Debug`] leaves the secret out.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: Box<[u8]>,
    mac_octets_min: usize,
}

impl Key {
    /// A key that takes whole MACs only.
    pub fn new(name: &Name, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { name: name.to_lowercase(), algorithm, secret: secret.into(), mac_octets_min: algorithm.mac_octets() }
    }

    /// The key, taking MACs cut to this many octets too; never fewer than [`Algorithm::mac_octets_min`].
    pub fn with_mac_octets_min(mut self, octets: usize) -> Self {
        self.mac_octets_min = octets.clamp(self.algorithm.mac_octets_min(), self.algorithm.mac_octets());
        self
    }

    /// The name that both sides know it by, in lower case.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The algorithm; a message that names another one is not of this key.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Octets of the shortest MAC taken.
    pub(super) const fn mac_octets_min(&self) -> usize {
        self.mac_octets_min
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {}, secret withheld)", self.name, self.algorithm)
    }
}

/// The keys a node knows, found by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<Arc<Key>>);

impl Keys {
    /// A set of keys. Of two with one name the first counts.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut keys: Vec<Arc<Key>> = keys.into_iter().map(Arc::new).collect();
        keys.sort_by(|a, b| a.name.as_wire().cmp(b.name.as_wire()));
        keys.dedup_by(|a, b| a.name.as_wire() == b.name.as_wire());
        Self(keys)
    }

    /// The key of this name.
    pub fn get(&self, name: &Name) -> Option<&Arc<Key>> {
        self.find(name.as_wire())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key whose name is this one in wire form, in any case.
    pub(super) fn find(&self, wire: &[u8]) -> Option<&Arc<Key>> {
        let mut lower = [0; MAX_NAME_LENGTH];
        let lower = lower.get_mut(..wire.len())?;
        lower.copy_from_slice(wire);
        lower.make_ascii_lowercase();
        let at = self.0.binary_search_by(|key| key.name.as_wire().cmp(lower)).ok()?;
        self.0.get(at)
    }
}

/// A message authentication code, whole or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac {
    octets: [u8; MAC_OCTETS_MAX],
    length: usize,
}

impl Mac {
    /// No code: what a request follows.
    pub(super) const NONE: Self = Self { octets: [0; MAC_OCTETS_MAX], length: 0 };

    /// The code with these octets; what is over the longest is left out.
    pub(super) fn new(octets: &[u8]) -> Self {
        let mut mac = Self { length: octets.len().min(MAC_OCTETS_MAX), ..Self::NONE };
        mac.octets.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        mac
    }

    /// Its octets.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or(&self.octets)
    }
}

/// A MAC being computed.
#[derive(Clone)]
pub(super) enum Digest {
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// Runs `$run` on the state of any algorithm.
macro_rules! each {
    ($digest:expr, $state:ident => $run:expr) => {
        match $digest {
            Digest::Sha1($state) => $run,
            Digest::Sha224($state) => $run,
            Digest::Sha256($state) => $run,
            Digest::Sha384($state) => $run,
            Digest::Sha512($state) => $run,
        }
    };
}

impl Digest {
    /// Starts with a key. None never comes: HMAC takes secrets of any length.
    pub(super) fn new(key: &Key) -> Option<Self> {
        let secret = &key.secret;
        Some(match key.algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha224 => Self::Sha224(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha384 => Self::Sha384(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha512 => Self::Sha512(Hmac::new_from_slice(secret).ok()?),
        })
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        each!(self, state => state.update(octets));
    }

    /// A MAC with its length before it, as the MAC that this one follows is put in (RFC 8945 §5.3).
    pub(super) fn update_prior(&mut self, mac: &Mac) {
        if mac.length > 0 {
            let length = u16::try_from(mac.length).unwrap_or(0);
            self.update(&length.to_be_bytes());
            self.update(mac.as_slice());
        }
    }

    pub(super) fn finish(self) -> Mac {
        each!(self, state => Mac::new(&state.finalize().into_bytes()))
    }

    /// Whether `mac` is the start of the MAC, found in a time that does not tell where they differ.
    pub(super) fn accepts(self, mac: &[u8]) -> bool {
        each!(self, state => state.verify_truncated_left(mac).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.3 and RFC 2202 §3, test case 2: key "Jefe", data "what do ya want for nothing?".
    #[test]
    fn macs_are_those_of_the_rfcs() {
        let check = |algorithm: Algorithm, start: [u8; 4]| {
            let key = Key::new(&Name::root(), algorithm, b"Jefe");
            let mut digest = Digest::new(&key).unwrap();
            digest.update(b"what do ya want ");
            digest.update(b"for nothing?");
            let mac = digest.clone().finish();
            assert_eq!(mac.as_slice().len(), algorithm.mac_octets());
            assert_eq!(mac.as_slice()[..4], start, "{algorithm}");
            assert!(digest.clone().accepts(&mac.as_slice()[..10]));
            assert!(!digest.accepts(&[0; 10]));
        };
        check(Algorithm::HmacSha1, [0xef, 0xfc, 0xdf, 0x6a]);
        check(Algorithm::HmacSha224, [0xa3, 0x0e, 0x01, 0x09]);
        check(Algorithm::HmacSha256, [0x5b, 0xdc, 0xc1, 0x46]);
        check(Algorithm::HmacSha384, [0xaf, 0x45, 0xd2, 0xe3]);
        check(Algorithm::HmacSha512, [0x16, 0x4b, 0x7a, 0x7b]);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = Key::new(&"K.".parse().unwrap(), Algorithm::HmacSha256, b"topsecret");
        assert_eq!(format!("{key:?}"), "Key(k. hmac-sha256, secret withheld)");
        assert!(!format!("{:?}", Keys::new([key])).contains("topsecret"));
    }

    #[test]
    fn keys_are_found_in_any_case() {
        let key = |name: &str| Key::new(&name.parse().unwrap(), Algorithm::HmacSha256, name.as_bytes());
        let keys = Keys::new([key("b."), key("A.x."), key("c.")]);
        assert_eq!(keys.get(&"a.X.".parse().unwrap()).unwrap().name().to_string(), "a.x.");
        assert!(keys.get(&"x.".parse().unwrap()).is_none() && keys.find(&[0; 300]).is_none());
    }

    #[test]
    fn rfc8945_5_2_2_1_shortest_macs() {
        let octets = Algorithm::ALL.map(Algorithm::mac_octets_min);
        assert_eq!(octets, [10, 14, 16, 24, 32]);
    }
}
