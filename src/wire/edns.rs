//! EDNS(0) as read from a query and written to a reply (RFC 6891), with the options that answers use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Option codes (RFC 6891 §9 registry).
pub mod option {
    /// Name server identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// Client subnet (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;
    /// How long a secondary may still serve the zone (RFC 7314).
    pub const EXPIRE: u16 = 9;
    /// Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// How long the server keeps an idle connection (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Extended DNS error (RFC 8914).
    pub const EXTENDED_ERROR: u16 = 15;
}

/// What a query's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edns {
    /// The largest UDP payload the sender takes, in octets; below 512 counts as 512 (RFC 6891 §6.2.3).
    pub udp_size: u16,
    /// The version asked for; only 0 is known.
    pub version: u8,
    /// The DO bit: the sender wants DNSSEC records.
    pub dnssec_ok: bool,
    /// Whether any option below was sent.
    pub has_options: bool,
    /// Whether NSID was asked for.
    pub wants_nsid: bool,
    /// Whether EXPIRE was asked for.
    pub wants_expire: bool,
    /// What was asked about the connection's keeping.
    pub keepalive: Keepalive,
    /// The cookie, if one was sent.
    pub cookie: Option<Cookie>,
    /// The client subnet, if one was given.
    pub client_subnet: Option<ClientSubnet>,
}

/// A query's TCP keepalive option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keepalive {
    /// There is none.
    #[default]
    None,
    /// The client asks how long it may keep the connection.
    Wanted,
    /// It carries a time, which clients must not send (RFC 7828 §3.2.1). By datagram the option is ignored whatever it
    /// carries, so that only a stream makes this an error.
    WithTime,
}

/// A cookie as a client sends it (RFC 7873 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// The client's part.
    pub client: [u8; 8],
    /// The server's part.
    pub server: ServerCookie,
}

/// The server's part of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerCookie {
    /// The client knows none yet.
    None,
    /// One of the length that we make (RFC 9018 §4).
    Known([u8; 16]),
    /// One that cannot be ours.
    Foreign,
}

/// A client subnet as a resolver sends it (RFC 7871 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet {
    /// The address; bits behind the prefix are zero.
    pub address: IpAddr,
    /// How many leading bits are given: 0–32 for IPv4, 0–128 for IPv6.
    pub prefix_length: u8,
}

impl Edns {
    /// What the fixed fields of an OPT record say (RFC 6891 §6.1.3): its class, and what stands where other records have
    /// their TTL.
    #[inline]
    pub(super) const fn fixed(class: u16, [_, version, flags, _]: [u8; 4]) -> Self {
        Self {
            udp_size: if class < 512 { 512 } else { class },
            version,
            dnssec_ok: flags & 0x80 != 0,
            has_options: false,
            wants_nsid: false,
            wants_expire: false,
            keepalive: Keepalive::None,
            cookie: None,
            client_subnet: None,
        }
    }

    /// Reads the options. None when they do not fit their lengths or one that we use is malformed; what was read before
    /// stays, because the FORMERR needs an OPT too (RFC 6891 §7).
    pub(super) fn read_options(&mut self, mut options: &[u8]) -> Option<()> {
        while !options.is_empty() {
            let (header, rest) = options.split_first_chunk::<4>()?;
            let [code, code_low, length, length_low] = *header;
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([length, length_low])))?;
            options = rest;
            // An unknown version may mean its options differently.
            if self.version == 0 {
                self.read_option(u16::from_be_bytes([code, code_low]), data)?;
            }
        }
        Some(())
    }

    fn read_option(&mut self, code: u16, data: &[u8]) -> Option<()> {
        match code {
            // RFC 5001 §2.1: what a client may have put into it is ignored.
            option::NSID => self.wants_nsid = true,
            option::EXPIRE => self.wants_expire = true,
            option::CLIENT_SUBNET => {
                if self.client_subnet.is_some() {
                    return None;
                }
                self.client_subnet = Some(ClientSubnet::read(data)?);
            }
            // RFC 7873 §5.2: of several the first counts.
            option::COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::read(data)?),
            option::TCP_KEEPALIVE => {
                self.keepalive = if data.is_empty() { Keepalive::Wanted } else { Keepalive::WithTime };
            }
            // RFC 6891 §6.1.2: unknown options are ignored.
            _ => return Some(()),
        }
        self.has_options = true;
        Some(())
    }
}

impl Cookie {
    /// Reads the option's data. RFC 7873 §5.2.2: 8 octets, or 16 to 40; all else is a format error.
    fn read(data: &[u8]) -> Option<Self> {
        let (client, rest) = data.split_first_chunk::<8>()?;
        let server = match (rest.len(), rest.first_chunk::<16>()) {
            (0, _) => ServerCookie::None,
            (16, Some(server)) => ServerCookie::Known(*server),
            (8..=32, _) => ServerCookie::Foreign,
            _ => return None,
        };
        Some(Self { client: *client, server })
    }
}

impl ClientSubnet {
    /// Reads the option's data. RFC 7871 §7.1.2 and §6: an unknown family, a scope in a query, a wrong number of octets
    /// or bits set behind the prefix are format errors.
    fn read(data: &[u8]) -> Option<Self> {
        let (header, octets) = data.split_first_chunk::<4>()?;
        let [family_high, family, prefix_length, scope] = *header;
        let most = match (family_high, family) {
            (0, 1) => 32,
            (0, 2) => 128,
            _ => return None,
        };
        let wanted = usize::from(prefix_length).div_ceil(8);
        if scope != 0 || prefix_length > most || octets.len() != wanted {
            return None;
        }
        let unused = (8 - prefix_length % 8) % 8;
        if octets.last().is_some_and(|last| last.trailing_zeros() < u32::from(unused)) {
            return None;
        }
        let mut full = [0; 16];
        full.get_mut(..octets.len())?.copy_from_slice(octets);
        let address = match most {
            32 => full.first_chunk::<4>().map(|v4| IpAddr::V4(Ipv4Addr::from(*v4)))?,
            _ => IpAddr::V6(Ipv6Addr::from(full)),
        };
        Some(Self { address, prefix_length })
    }

    /// Octets of the option in a reply, its code and length included.
    pub fn octets(&self) -> usize {
        8 + usize::from(self.prefix_length).div_ceil(8)
    }

    /// The option's data for a reply, as asked, with the scope that decided (RFC 7871 §7.2.1): its head, the address and
    /// how many octets of it count.
    pub(super) fn parts(&self, scope: u8) -> ([u8; 4], [u8; 16], usize) {
        let (family, octets) = match self.address {
            IpAddr::V4(v4) => {
                let mut octets = [0; 16];
                octets.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from);
                (1, octets)
            }
            IpAddr::V6(v6) => (2, v6.octets()),
        };
        ([0, family, self.prefix_length, scope], octets, usize::from(self.prefix_length).div_ceil(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(data: &[u8]) -> Option<(String, u8)> {
        ClientSubnet::read(data).map(|subnet| (subnet.address.to_string(), subnet.prefix_length))
    }

    #[test]
    fn rfc7871_6_well_formed_subnets() {
        assert_eq!(subnet(&[0, 1, 24, 0, 192, 0, 2]), Some(("192.0.2.0".to_owned(), 24)));
        assert_eq!(subnet(&[0, 1, 0, 0]), Some(("0.0.0.0".to_owned(), 0)));
        assert_eq!(subnet(&[0, 1, 25, 0, 192, 0, 2, 128]), Some(("192.0.2.128".to_owned(), 25)));
        assert_eq!(subnet(&[0, 2, 32, 0, 0x20, 1, 0x0d, 0xb8]), Some(("2001:db8::".to_owned(), 32)));
    }

    #[test]
    fn rfc7871_7_1_2_malformed_subnets() {
        let bad: [&[u8]; 8] = [
            &[],
            &[0, 1, 24],
            &[0, 3, 0, 0],
            &[0, 1, 33, 0, 1, 2, 3, 4, 5],
            &[0, 1, 24, 0, 192, 0],
            &[0, 1, 24, 0, 192, 0, 2, 0],
            &[0, 1, 24, 24, 192, 0, 2],
            &[0, 1, 23, 0, 192, 0, 3],
        ];
        for data in bad {
            assert_eq!(subnet(data), None, "{data:?}");
        }
    }

    #[test]
    fn options_are_walked_by_length() {
        let read = |options: &[u8]| {
            let mut edns = Edns::fixed(1232, [0, 0, 0x80, 0]);
            let is_whole = edns.read_options(options).is_some();
            (edns, is_whole)
        };
        let (edns, is_whole) = read(&[0, 3, 0, 0, 0xff, 0xfe, 0, 2, 1, 2]);
        assert!(is_whole && edns.wants_nsid && edns.dnssec_ok);
        let check = |options: &[u8], expected| assert_eq!(read(options).1, expected, "{options:?}");
        check(&[], true);
        check(&[0, 3, 0], false);
        check(&[0, 3, 0, 1], false);
        check(&[0, 3, 0, 1, 7, 0, 9, 0, 4, 0, 0, 0, 0, 0, 11, 0, 2, 0, 1], true);
        // Two client subnets.
        check(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0], false);
        let mut another = Edns::fixed(1232, [0, 1, 0, 0]);
        assert!(another.read_options(&[0, 8, 0, 1, 9]).is_some(), "another version may mean its options differently");
    }

    #[test]
    fn rfc7873_5_2_2_lengths_of_cookies() {
        for length in 0..=64_u8 {
            let data = vec![7; usize::from(length)];
            let server = Cookie::read(&data).map(|cookie| cookie.server);
            let expected = match length {
                8 => Some(ServerCookie::None),
                24 => Some(ServerCookie::Known([7; 16])),
                16..=40 => Some(ServerCookie::Foreign),
                _ => None,
            };
            assert_eq!(server, expected, "{length}");
        }
        let twice: &[u8] = &[0, 10, 0, 8, 1, 1, 1, 1, 1, 1, 1, 1, 0, 10, 0, 1, 2];
        let mut edns = Edns::fixed(1232, [0; 4]);
        assert!(
            edns.read_options(twice).is_some() && edns.cookie.is_some_and(|cookie| cookie.client == [1; 8]),
            "the first counts"
        );
    }
}
