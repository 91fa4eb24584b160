//! EDNS(0) as read from a query and written to a reply (RFC 6891), with the options that answers use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Option codes (RFC 6891 §9 registry).
pub mod option {
    /// Name server identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// Client subnet (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;
    /// Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
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
    /// Whether NSID was asked for.
    pub wants_nsid: bool,
    /// The client subnet, if one was given.
    pub client_subnet: Option<ClientSubnet>,
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
    /// Reads the fixed fields and options of an OPT record; `None` when the options do not fit their lengths or one that
    /// we use is malformed.
    pub(super) fn read(class: u16, ttl: u32, mut options: &[u8]) -> Option<Self> {
        let [_, version, flags, _] = ttl.to_be_bytes();
        let mut edns = Self { udp_size: class.max(512), version, dnssec_ok: flags & 0x80 != 0, ..Self::default() };
        while !options.is_empty() {
            let (header, rest) = options.split_first_chunk::<4>()?;
            let [code, code_low, length, length_low] = *header;
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([length, length_low])))?;
            options = rest;
            match u16::from_be_bytes([code, code_low]) {
                option::NSID => edns.wants_nsid = true,
                // An unknown version may mean its options differently.
                option::CLIENT_SUBNET if version == 0 => {
                    if edns.client_subnet.is_some() {
                        return None;
                    }
                    edns.client_subnet = Some(ClientSubnet::read(data)?);
                }
                // RFC 6891 §6.1.2: unknown options are ignored.
                _ => {}
            }
        }
        Some(edns)
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

    /// Writes the option for a reply: as asked, with the scope that decided (RFC 7871 §7.2.1).
    pub(super) fn write(&self, scope: u8, write: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let length = usize::from(self.prefix_length).div_ceil(8);
        let (family, octets) = match self.address {
            IpAddr::V4(v4) => {
                let mut octets = [0; 16];
                octets.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from);
                (1, octets)
            }
            IpAddr::V6(v6) => (2, v6.octets()),
        };
        let [_, code] = option::CLIENT_SUBNET.to_be_bytes();
        let size = u8::try_from(4 + length).unwrap_or(u8::MAX);
        write(&[0, code, 0, size, 0, family, self.prefix_length, scope]) && write(octets.get(..length).unwrap_or(&[]))
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
        let read = |options: &[u8]| Edns::read(1232, 0x8000, options);
        assert!(read(&[0, 3, 0, 0, 0xff, 0xfe, 0, 2, 1, 2]).is_some_and(|edns| edns.wants_nsid && edns.dnssec_ok));
        assert_eq!(read(&[0, 3, 0]), None);
        assert_eq!(read(&[0, 3, 0, 1]), None);
        assert_eq!(read(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0]), None, "two client subnets");
    }
}
