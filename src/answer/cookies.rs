//! DNS cookies (RFC 7873): server cookies as RFC 9018 makes them, so that servers of other makes that share the secret
//! take ours and we take theirs.

use std::fmt;
use std::net::IpAddr;

use crate::wire::{Cookie, ServerCookie, siphash24};

/// How old a server cookie may be, in seconds (RFC 9018 §4.3).
const AGE_MAX: i32 = 3600;
/// How young it may be, in seconds: another server's clock may be ahead (RFC 9018 §4.3).
const AGE_MIN: i32 = -300;
/// How old it may be before the client gets a new one, in seconds (RFC 9018 §4.3).
const AGE_RENEWED: i32 = 1800;
/// The version of RFC 9018 §4.1.
const VERSION: u8 = 1;

/// What is done about cookies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cookies {
    /// Whether they are looked at.
    pub mode: CookieMode,
    /// The first makes cookies, all are taken. Without one, cookies are off whatever the mode says.
    pub secrets: Vec<CookieSecret>,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookieMode {
    /// Nothing: cookies are ignored as an unknown option is.
    #[default]
    Off,
    /// Clients that send a cookie get one.
    On,
    /// Beyond that, a client that sends a cookie gets data by UDP only when it has a good one of ours; BADCOOKIE and a
    /// good one otherwise (RFC 7873 §5.2.3). Clients that know no cookies are answered as ever.
    Require,
}

/// What servers of one name share: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; 16]);

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret")
    }
}

/// What a query's cookie came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookieOutcome {
    /// It has none, or cookies are off.
    #[default]
    None,
    /// The client knows no cookie of ours yet.
    ClientOnly,
    /// The client has one of ours: it does get what is sent to its address.
    Valid,
    /// It is ours, but too old or from the future.
    Expired,
    /// It is not ours, or another client's.
    Invalid,
}

impl CookieOutcome {
    /// Whether the client's address is proven, as far as a cookie can.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid)
    }
}

/// A cookie that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) outcome: CookieOutcome,
    /// What the reply carries: the client's cookie and a good one of ours.
    pub(super) reply: Option<[u8; 24]>,
}

impl Checked {
    /// That there was none.
    pub(super) const NONE: Self = Self { outcome: CookieOutcome::None, reply: None };
}

impl Cookies {
    /// Looks at a query's cookie; `now` is in seconds since 1970.
    pub(super) fn check(&self, cookie: &Cookie, source: IpAddr, now: u64) -> Checked {
        let Some(newest) = self.secrets.first().filter(|_| self.mode != CookieMode::Off) else { return Checked::NONE };
        let [.., a, b, c, d] = now.to_be_bytes();
        let made_now = || newest.cookie(&cookie.client, [VERSION, 0, 0, 0, a, b, c, d], source);
        let (outcome, server) = match cookie.server {
            ServerCookie::None => (CookieOutcome::ClientOnly, made_now()),
            ServerCookie::Foreign => (CookieOutcome::Invalid, made_now()),
            ServerCookie::Known(server) => match self.maker(&cookie.client, &server, source) {
                None => (CookieOutcome::Invalid, made_now()),
                Some(number) => match age(&server, u32::from_be_bytes([a, b, c, d])) {
                    0..=AGE_RENEWED if number == 0 => (CookieOutcome::Valid, server),
                    // RFC 9018 §5: after a rollover, clients get cookies of the new secret.
                    AGE_MIN..=AGE_MAX => (CookieOutcome::Valid, made_now()),
                    _ => (CookieOutcome::Expired, made_now()),
                },
            },
        };
        let mut reply = [0; 24];
        reply.iter_mut().zip(cookie.client.iter().chain(&server)).for_each(|(to, from)| *to = *from);
        Checked { outcome, reply: Some(reply) }
    }

    /// Which secret made the cookie.
    fn maker(&self, client: &[u8; 8], server: &[u8; 16], source: IpAddr) -> Option<usize> {
        let [head @ .., _, _, _, _, _, _, _, _] = *server;
        let [version, ..] = head;
        if version != VERSION {
            return None;
        }
        // RFC 9018 §4.2: reserved octets are hashed as they came. One comparison of 64 bits takes the same time always.
        let is_maker = |secret: &CookieSecret| {
            u128::from_be_bytes(secret.cookie(client, head, source)) ^ u128::from_be_bytes(*server) == 0
        };
        self.secrets.iter().position(is_maker)
    }
}

impl CookieSecret {
    /// The server cookie of this head: version, reserved octets and time (RFC 9018 §4).
    fn cookie(&self, client: &[u8; 8], head: [u8; 8], source: IpAddr) -> [u8; 16] {
        let mut input = [0; 32];
        let octets = client.iter().chain(&head).copied();
        let length = match source {
            IpAddr::V4(v4) => fill(&mut input, octets.chain(v4.octets())),
            IpAddr::V6(v6) => fill(&mut input, octets.chain(v6.octets())),
        };
        let hash = siphash24(&self.0, input.get(..length).unwrap_or_default());
        let mut cookie = [0; 16];
        fill(&mut cookie, head.into_iter().chain(hash.to_le_bytes()));
        cookie
    }
}

/// Copies octets as far as there is room; how many.
fn fill(to: &mut [u8], from: impl Iterator<Item = u8>) -> usize {
    to.iter_mut().zip(from).map(|(to, from)| *to = from).count()
}

/// How many seconds ago the cookie was made; negative in the future. RFC 9018 §4.3: in the arithmetic of RFC 1982, so
/// that neither 2038 nor 2106 ends it.
fn age(server: &[u8; 16], now: u32) -> i32 {
    let [_, _, _, _, a, b, c, d, ..] = *server;
    now.wrapping_sub(u32::from_be_bytes([a, b, c, d])).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
    }

    fn cookies(secrets: &[&str]) -> Cookies {
        let secrets = secrets.iter().map(|secret| CookieSecret(octets(secret))).collect();
        Cookies { mode: CookieMode::On, secrets }
    }

    fn sent(hex: &str) -> Cookie {
        let server = match hex.len() {
            16 => ServerCookie::None,
            48 => ServerCookie::Known(octets(&hex[16..])),
            _ => ServerCookie::Foreign,
        };
        Cookie { client: octets(hex), server }
    }

    fn check(secrets: &[&str], cookie: &str, source: &str, now: u64) -> (CookieOutcome, String) {
        let checked = cookies(secrets).check(&sent(cookie), source.parse().unwrap(), now);
        let reply = checked.reply.unwrap_or_default();
        (checked.outcome, reply.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    const OLD: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn rfc9018_a_the_test_vectors_hold() {
        type Row<'r> = (&'r [&'r str], &'r str, &'r str, u64, CookieOutcome, &'r str);
        let rows: [Row<'_>; 4] = [
            (
                &[OLD],
                "2464c4abcf10c957",
                "198.51.100.100",
                1_559_731_985,
                CookieOutcome::ClientOnly,
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            ),
            (
                &[OLD],
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
                "198.51.100.100",
                1_559_734_385,
                CookieOutcome::Valid,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
            (
                &[OLD],
                "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                "203.0.113.203",
                1_559_734_700,
                CookieOutcome::Expired,
                "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            ),
            (
                &["445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"],
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                1_559_741_961,
                CookieOutcome::Valid,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ];
        for (secrets, cookie, source, now, outcome, reply) in rows {
            assert_eq!(check(secrets, cookie, source, now), (outcome, reply.to_owned()), "{cookie}");
        }
    }

    #[test]
    fn rfc9018_4_3_ages_of_cookies() {
        let (client, made) = ("2464c4abcf10c957", 1_559_731_985_u64);
        let (_, cookie) = check(&[OLD], client, "192.0.2.1", made);
        let rows = [
            (-301, CookieOutcome::Expired, true),
            (-300, CookieOutcome::Valid, true),
            (-1, CookieOutcome::Valid, true),
            (0, CookieOutcome::Valid, false),
            (1800, CookieOutcome::Valid, false),
            (1801, CookieOutcome::Valid, true),
            (3600, CookieOutcome::Valid, true),
            (3601, CookieOutcome::Expired, true),
        ];
        for (later, expected, is_new) in rows {
            let (outcome, reply) = check(&[OLD], &cookie, "192.0.2.1", made.saturating_add_signed(later));
            assert_eq!((outcome, reply != cookie), (expected, is_new), "{later}");
        }
        for border in [1 << 31, 1 << 32] {
            let (_, cookie) = check(&[OLD], client, "192.0.2.1", border - 10);
            assert_eq!(check(&[OLD], &cookie, "192.0.2.1", border + 10).0, CookieOutcome::Valid, "2038 and 2106");
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_client_address_and_secrets_alone() {
        let (client, now) = ("2464c4abcf10c957", 1_559_731_985);
        let other = "dd3bdf9344b678b185a6f5cb60fca715";
        let (_, cookie) = check(&[OLD], client, "192.0.2.1", now);
        let outcome = |secrets: &[&str], cookie: &str, source| check(secrets, cookie, source, now).0;
        assert_eq!(outcome(&[OLD], &cookie, "192.0.2.1"), CookieOutcome::Valid);
        assert_eq!(outcome(&[other, OLD], &cookie, "192.0.2.1"), CookieOutcome::Valid, "the secret before");
        assert_eq!(outcome(&[OLD, other], &cookie, "192.0.2.1"), CookieOutcome::Valid, "the secret to come");
        assert_eq!(outcome(&[other], &cookie, "192.0.2.1"), CookieOutcome::Invalid);
        assert_eq!(outcome(&[OLD], &cookie, "192.0.2.2"), CookieOutcome::Invalid);
        assert_eq!(outcome(&[OLD], &format!("35{}", &cookie[2..]), "192.0.2.1"), CookieOutcome::Invalid);
        for at in 0..32 {
            let at = 16 + at;
            let digit = if cookie.as_bytes()[at] == b'0' { "1" } else { "0" };
            let changed = format!("{}{digit}{}", &cookie[..at], &cookie[at + 1..]);
            assert_eq!(outcome(&[OLD], &changed, "192.0.2.1"), CookieOutcome::Invalid, "digit {at}");
        }
        assert_eq!(outcome(&[OLD], &cookie[..32], "192.0.2.1"), CookieOutcome::Invalid, "eight octets");
    }

    #[test]
    fn without_a_mode_or_secret_cookies_are_not_looked_at() {
        let cookie = sent("2464c4abcf10c957");
        let source = "192.0.2.1".parse().unwrap();
        assert_eq!(Cookies { mode: CookieMode::Off, ..cookies(&[OLD]) }.check(&cookie, source, 1), Checked::NONE);
        assert_eq!(cookies(&[]).check(&cookie, source, 1), Checked::NONE);
        assert!(!format!("{:?}", cookies(&[OLD])).contains("e5"), "a secret is not shown");
    }
}
