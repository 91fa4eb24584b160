//! The options of a reply's OPT record, and the room they take.

use super::edns::{ClientSubnet, option};
use super::reply::Full;

/// What a reply's OPT record carries beside its fixed fields; nothing is sent that was not asked for, but for the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyOptions<'a> {
    /// The server's identifier (RFC 5001).
    pub nsid: Option<&'a [u8]>,
    /// The client's subnet, with how many of its leading bits decided (RFC 7871 §7.2.1).
    pub client_subnet: Option<(ClientSubnet, u8)>,
    /// For how many more seconds the zone may be served (RFC 7314 §3).
    pub expire: Option<u32>,
    /// The client's cookie and the server's (RFC 7873 §4).
    pub cookie: Option<[u8; 24]>,
    /// For how long an idle connection is kept, in units of 100 ms (RFC 7828 §3.1).
    pub keepalive: Option<u16>,
    /// Why the answer is what it is: a code of RFC 8914 §5.2 and a text. No room is kept for it, because it must not
    /// make an answer truncated that would fit without.
    pub extended_error: Option<(u16, &'a str)>,
}

/// Writes one option, made of parts, or nothing of it.
type Write<'w> = dyn FnMut(u16, &[&[u8]]) -> Result<(), Full> + 'w;

impl ReplyOptions<'_> {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.nsid.is_none()
            && self.client_subnet.is_none()
            && self.expire.is_none()
            && self.cookie.is_none()
            && self.keepalive.is_none()
            && self.extended_error.is_none()
    }

    /// Octets to be kept free for them, their codes and lengths included.
    pub fn octets(&self) -> usize {
        let octets = |is_there: bool, octets: usize| if is_there { 4 + octets } else { 0 };
        self.nsid.map_or(0, |nsid| 4 + nsid.len())
            + self.client_subnet.map_or(0, |(subnet, _)| subnet.octets())
            + octets(self.expire.is_some(), 4)
            + octets(self.cookie.is_some(), 24)
            + octets(self.keepalive.is_some(), 2)
    }

    /// Appends them as they stand in an OPT record.
    pub fn append_to(&self, octets: &mut Vec<u8>) {
        self.write(&mut |code, parts| {
            let length = u16::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).map_err(|_| Full)?;
            octets.extend_from_slice(&code.to_be_bytes());
            octets.extend_from_slice(&length.to_be_bytes());
            parts.iter().for_each(|part| octets.extend_from_slice(part));
            Ok(())
        });
    }

    /// Writes them in the order of their codes. What does not fit is left out.
    pub(super) fn write(&self, write: &mut Write<'_>) {
        let mut put = |code: u16, data: &[&[u8]]| {
            // Room was kept for all but the last, which may be missing.
            let _ = write(code, data);
        };
        if let Some(nsid) = self.nsid {
            put(option::NSID, &[nsid]);
        }
        if let Some((subnet, scope)) = &self.client_subnet {
            let (head, address, length) = subnet.parts(*scope);
            put(option::CLIENT_SUBNET, &[&head, address.get(..length).unwrap_or_default()]);
        }
        if let Some(expire) = self.expire {
            put(option::EXPIRE, &[&expire.to_be_bytes()]);
        }
        if let Some(cookie) = &self.cookie {
            put(option::COOKIE, &[cookie]);
        }
        if let Some(keepalive) = self.keepalive {
            put(option::TCP_KEEPALIVE, &[&keepalive.to_be_bytes()]);
        }
        if let Some((code, text)) = self.extended_error {
            put(option::EXTENDED_ERROR, &[&code.to_be_bytes(), text.as_bytes()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn they_take_the_room_that_is_kept_for_them() {
        let address: IpAddr = "192.0.2.0".parse().unwrap();
        let all = ReplyOptions {
            nsid: Some(b"ns1"),
            client_subnet: Some((ClientSubnet { address, prefix_length: 23 }, 16)),
            expire: Some(7),
            cookie: Some([9; 24]),
            keepalive: Some(100),
            extended_error: None,
        };
        let written = |options: &ReplyOptions<'_>| {
            let mut out = Vec::new();
            options.append_to(&mut out);
            out
        };
        let whole = written(&all);
        assert_eq!(whole.len(), all.octets());
        let expected = [0, 3, 0, 3, b'n', b's', b'1', 0, 8, 0, 7, 0, 1, 23, 16, 192, 0, 2, 0, 9, 0, 4, 0, 0, 0, 7];
        assert!(whole.starts_with(&expected), "{whole:?}");
        let none = ReplyOptions::default();
        assert!(none.is_empty() && none.octets() == 0 && written(&none).is_empty());
        let error = ReplyOptions { extended_error: Some((14, "no")), ..none };
        assert_eq!((written(&error), error.octets()), (vec![0, 15, 0, 4, 0, 14, b'n', b'o'], 0));
    }
}
