//! The numbers of the DNS: record types, classes, opcodes and response codes, with their names in text.

use std::fmt;
use std::str::FromStr;

/// A record type or query type (RFC 1035 §3.2.2), any of the 65,536.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! record_types {
    ($($constant:ident $text:literal $number:literal)*) => {
        impl RecordType {
            $(#[doc = concat!("The type `", $text, "`.")] pub const $constant: Self = Self($number);)*

            /// Every type that has a mnemonic, with it, in numeric order.
            pub const NAMED: &[(Self, &str)] = &[$((Self($number), $text)),*];
        }
    };
}

record_types! {
    A "A" 1  NS "NS" 2  CNAME "CNAME" 5  SOA "SOA" 6  PTR "PTR" 12  HINFO "HINFO" 13  MX "MX" 15  TXT "TXT" 16
    RP "RP" 17  AFSDB "AFSDB" 18  SIG "SIG" 24  KEY "KEY" 25  AAAA "AAAA" 28  LOC "LOC" 29  SRV "SRV" 33
    NAPTR "NAPTR" 35  KX "KX" 36  CERT "CERT" 37  DNAME "DNAME" 39  OPT "OPT" 41  APL "APL" 42  DS "DS" 43
    SSHFP "SSHFP" 44  IPSECKEY "IPSECKEY" 45  RRSIG "RRSIG" 46  NSEC "NSEC" 47  DNSKEY "DNSKEY" 48
    DHCID "DHCID" 49  NSEC3 "NSEC3" 50  NSEC3PARAM "NSEC3PARAM" 51  TLSA "TLSA" 52  SMIMEA "SMIMEA" 53
    HIP "HIP" 55  CDS "CDS" 59  CDNSKEY "CDNSKEY" 60  OPENPGPKEY "OPENPGPKEY" 61  CSYNC "CSYNC" 62
    ZONEMD "ZONEMD" 63  SVCB "SVCB" 64  HTTPS "HTTPS" 65  SPF "SPF" 99  NID "NID" 104  L32 "L32" 105
    L64 "L64" 106  LP "LP" 107  EUI48 "EUI48" 108  EUI64 "EUI64" 109  TKEY "TKEY" 249  TSIG "TSIG" 250
    IXFR "IXFR" 251  AXFR "AXFR" 252  MAILB "MAILB" 253  MAILA "MAILA" 254  ANY "ANY" 255  URI "URI" 256
    CAA "CAA" 257
}

impl RecordType {
    /// Whether the type stands only in queries or only inside a message's own machinery, never in a zone
    /// (RFC 6895 §3.1: 128–255, and OPT).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.binary_search_by_key(self, |(number, _)| *number) {
            Ok(found) => f.write_str(Self::NAMED.get(found).map_or("", |(_, text)| text)),
            // RFC 3597 §5: unknown types are written TYPEnnn.
            Err(_) => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no record type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTypeError(pub String);

impl fmt::Display for ParseTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown record type {:?}: use a mnemonic such as AAAA, or TYPEnnn", self.0)
    }
}

impl std::error::Error for ParseTypeError {}

impl FromStr for RecordType {
    type Err = ParseTypeError;

    /// Reads a mnemonic in any case, or RFC 3597's `TYPEnnn`.
    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let named = Self::NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| *number);
        let generic = || {
            let (prefix, digits) = text.split_at_checked(4)?;
            (prefix.eq_ignore_ascii_case("TYPE")).then(|| digits.parse().ok().map(Self))?
        };
        named.or_else(generic).ok_or_else(|| ParseTypeError(text.to_owned()))
    }
}

/// A class (RFC 1035 §3.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet, the only class with data here.
    pub const IN: Self = Self(1);
    /// Chaos, used for `version.bind` and `id.server` only.
    pub const CH: Self = Self(3);
    /// QCLASS NONE of RFC 2136 §2.4.
    pub const NONE: Self = Self(254);
    /// QCLASS `*`.
    pub const ANY: Self = Self(255);
}

/// An opcode (RFC 1035 §4.1.1), 0–15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query.
    pub const QUERY: Self = Self(0);
    /// A zone change notification (RFC 1996).
    pub const NOTIFY: Self = Self(4);
    /// A dynamic update (RFC 2136).
    pub const UPDATE: Self = Self(5);
}

/// A response code, up to the 12 bits of RFC 6891 §6.1.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rcode(pub u16);

macro_rules! rcodes {
    ($($constant:ident $number:literal)*) => {
        impl Rcode {
            $(#[doc = concat!("The response code `", stringify!($constant), "`.")] pub const $constant: Self = Self($number);)*

            /// Every response code that has a mnemonic, with it, in numeric order.
            pub const NAMED: &[(Self, &str)] = &[$((Self($number), stringify!($constant))),*];
        }
    };
}

rcodes! {
    NOERROR 0  FORMERR 1  SERVFAIL 2  NXDOMAIN 3  NOTIMP 4  REFUSED 5  YXDOMAIN 6  YXRRSET 7  NXRRSET 8  NOTAUTH 9
    NOTZONE 10  BADVERS 16  BADKEY 17  BADTIME 18  BADTRUNC 22  BADCOOKIE 23
}

impl Rcode {
    /// TSIG's `BADSIG`, which shares its number with BADVERS and stands in TSIG records only (RFC 8945 §3).
    pub const BADSIG: Self = Self::BADVERS;
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.binary_search_by_key(self, |(number, _)| *number) {
            Ok(found) => f.write_str(Self::NAMED.get(found).map_or("", |(_, text)| text)),
            Err(_) => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_and_parse_both_ways() {
        for number in 0..=u16::MAX {
            let kind = RecordType(number);
            assert_eq!(kind.to_string().parse::<RecordType>(), Ok(kind));
        }
        assert_eq!("type65534".parse(), Ok(RecordType(65534)));
        assert_eq!("aaaa".parse(), Ok(RecordType::AAAA));
        for wrong in ["", "TYPE", "TYPE65536", "TYPE-1", "BOGUS", "é"] {
            assert_eq!(wrong.parse::<RecordType>(), Err(ParseTypeError(wrong.to_owned())));
        }
    }

    #[test]
    fn the_tables_are_in_numeric_order() {
        assert!(RecordType::NAMED.is_sorted_by_key(|(number, _)| *number));
        assert!(Rcode::NAMED.is_sorted_by_key(|(number, _)| *number));
    }
}
