//! The one table of RDATA: for each type the fields it consists of, in order. Text, wire, printing, comparing and
//! compression all follow it.

use crate::wire::RecordType;

/// One kind of field: how it looks on the wire and in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// One octet, as a decimal number.
    U8,
    /// Two octets.
    U16,
    /// Four octets.
    U32,
    /// Four octets: seconds, also written with units (`1w2d`).
    Period,
    /// Four octets: seconds since 1970, written `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
    Time,
    /// One octet: a DNSSEC algorithm, by number or mnemonic (RFC 4034 appendix A.1).
    Algorithm,
    /// Two octets: a certificate type, by number or mnemonic (RFC 4398 §2.1).
    CertificateType,
    /// Two octets: a record type.
    Type,
    /// A domain name.
    Name,
    /// One `<character-string>` (RFC 1035 §3.3).
    Text,
    /// One or more `<character-string>`s, to the end.
    Texts,
    /// A length octet and that many letters and digits (RFC 8659 §4.1).
    Tag,
    /// One string of any length to the end, which may be empty (RFC 8659 §4.1).
    Value,
    /// One string of at least one octet, to the end (RFC 7553 §4.4).
    Target,
    /// Octets in base64, to the end, at least one.
    Base64,
    /// Octets in hexadecimal, to the end, at least one.
    Hex,
    /// A length octet and that many octets in hexadecimal, `-` for none (RFC 5155 §3.3).
    Salt,
    /// A length octet and that many octets in base32hex (RFC 5155 §3.3).
    Hash,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// Six octets as `00-00-5e-00-53-2a` (RFC 7043 §3.2).
    Eui48,
    /// Eight octets in the same form (RFC 7043 §4.2).
    Eui64,
    /// Eight octets as four groups, `2001:0DB8:1140:1000` (RFC 6742 §2.1.2).
    Locator64,
    /// A bitmap of record types (RFC 4034 §4.1.2).
    Bitmap,
    /// A place on Earth (RFC 1876).
    Location,
    /// Service parameters to the end (RFC 9460 §2.1).
    ServiceParameters,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// A gateway whose form the octet at offset 1 tells (RFC 4025 §2.5), and the key behind it, which may be none.
    Gateway,
}

/// What may be done with the names of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// They may be compressed in messages and ignore case in comparisons: the types of RFC 1035 (RFC 3597 §4).
    Compressible,
    /// Never compressed; they ignore case in comparisons (RFC 4034 §6.2, RFC 6840 §5.1).
    CaseIgnored,
    /// Neither.
    Opaque,
}

/// The fields of one type.
#[derive(Debug)]
pub(super) struct Layout {
    /// The type.
    pub(super) record_type: RecordType,
    /// How its names are treated.
    pub(super) names: NameRule,
    /// The fields' names, as their RFC gives them, and kinds.
    pub(super) fields: &'static [(&'static str, Field)],
}

/// The layout of a type; none for one that has only the generic form of RFC 3597.
pub(super) fn layout(record_type: RecordType) -> Option<&'static Layout> {
    let found = LAYOUTS.binary_search_by_key(&record_type, |layout| layout.record_type).ok()?;
    LAYOUTS.get(found)
}

const fn row(record_type: RecordType, names: NameRule, fields: &'static [(&'static str, Field)]) -> Layout {
    Layout { record_type, names, fields }
}

const KEY_FIELDS: &[(&str, Field)] =
    &[("flags", Field::U16), ("protocol", Field::U8), ("algorithm", Field::Algorithm), ("public key", Field::Base64)];
const DS_FIELDS: &[(&str, Field)] =
    &[("key tag", Field::U16), ("algorithm", Field::Algorithm), ("digest type", Field::U8), ("digest", Field::Hex)];
const TLSA_FIELDS: &[(&str, Field)] = &[
    ("certificate usage", Field::U8),
    ("selector", Field::U8),
    ("matching type", Field::U8),
    ("certificate association data", Field::Hex),
];
const SIGNATURE_FIELDS: &[(&str, Field)] = &[
    ("type covered", Field::Type),
    ("algorithm", Field::Algorithm),
    ("labels", Field::U8),
    ("original TTL", Field::Period),
    ("signature expiration", Field::Time),
    ("signature inception", Field::Time),
    ("key tag", Field::U16),
    ("signer's name", Field::Name),
    ("signature", Field::Base64),
];
const SERVICE_FIELDS: &[(&str, Field)] =
    &[("priority", Field::U16), ("target", Field::Name), ("parameters", Field::ServiceParameters)];

/// Every type with a form of its own, in numeric order.
pub(super) const LAYOUTS: &[Layout] = {
    use Field as F;
    use NameRule::{CaseIgnored, Compressible, Opaque};
    use RecordType as T;
    &[
        row(T::A, Opaque, &[("address", F::Ipv4)]),
        row(T::NS, Compressible, &[("name server", F::Name)]),
        row(T::CNAME, Compressible, &[("target", F::Name)]),
        row(
            T::SOA,
            Compressible,
            &[
                ("primary", F::Name),
                ("mailbox", F::Name),
                ("serial", F::U32),
                ("refresh", F::Period),
                ("retry", F::Period),
                ("expire", F::Period),
                ("minimum", F::Period),
            ],
        ),
        row(T::PTR, Compressible, &[("target", F::Name)]),
        row(T::HINFO, Opaque, &[("CPU", F::Text), ("OS", F::Text)]),
        row(T::MX, Compressible, &[("preference", F::U16), ("exchange", F::Name)]),
        row(T::TXT, Opaque, &[("text", F::Texts)]),
        row(T::RP, CaseIgnored, &[("mailbox", F::Name), ("text name", F::Name)]),
        row(T::AFSDB, CaseIgnored, &[("subtype", F::U16), ("host name", F::Name)]),
        row(T::SIG, CaseIgnored, SIGNATURE_FIELDS),
        row(T::KEY, Opaque, KEY_FIELDS),
        row(T::AAAA, Opaque, &[("address", F::Ipv6)]),
        row(T::LOC, Opaque, &[("location", F::Location)]),
        row(T::SRV, CaseIgnored, &[("priority", F::U16), ("weight", F::U16), ("port", F::U16), ("target", F::Name)]),
        row(
            T::NAPTR,
            CaseIgnored,
            &[
                ("order", F::U16),
                ("preference", F::U16),
                ("flags", F::Text),
                ("services", F::Text),
                ("regexp", F::Text),
                ("replacement", F::Name),
            ],
        ),
        row(T::KX, CaseIgnored, &[("preference", F::U16), ("exchanger", F::Name)]),
        row(
            T::CERT,
            Opaque,
            &[
                ("type", F::CertificateType),
                ("key tag", F::U16),
                ("algorithm", F::Algorithm),
                ("certificate", F::Base64),
            ],
        ),
        row(T::DNAME, CaseIgnored, &[("target", F::Name)]),
        row(T::APL, Opaque, &[("prefixes", F::Prefixes)]),
        row(T::DS, Opaque, DS_FIELDS),
        row(T::SSHFP, Opaque, &[("algorithm", F::U8), ("fingerprint type", F::U8), ("fingerprint", F::Hex)]),
        row(
            T::IPSECKEY,
            Opaque,
            &[("precedence", F::U8), ("gateway type", F::U8), ("algorithm", F::U8), ("gateway", F::Gateway)],
        ),
        row(T::RRSIG, CaseIgnored, SIGNATURE_FIELDS),
        row(T::NSEC, Opaque, &[("next domain name", F::Name), ("types", F::Bitmap)]),
        row(T::DNSKEY, Opaque, KEY_FIELDS),
        row(T::DHCID, Opaque, &[("identifier", F::Base64)]),
        row(
            T::NSEC3,
            Opaque,
            &[
                ("hash algorithm", F::U8),
                ("flags", F::U8),
                ("iterations", F::U16),
                ("salt", F::Salt),
                ("next hashed owner name", F::Hash),
                ("types", F::Bitmap),
            ],
        ),
        row(
            T::NSEC3PARAM,
            Opaque,
            &[("hash algorithm", F::U8), ("flags", F::U8), ("iterations", F::U16), ("salt", F::Salt)],
        ),
        row(T::TLSA, Opaque, TLSA_FIELDS),
        row(T::SMIMEA, Opaque, TLSA_FIELDS),
        row(T::CDS, Opaque, DS_FIELDS),
        row(T::CDNSKEY, Opaque, KEY_FIELDS),
        row(T::OPENPGPKEY, Opaque, &[("public key", F::Base64)]),
        row(T::CSYNC, Opaque, &[("serial", F::U32), ("flags", F::U16), ("types", F::Bitmap)]),
        row(T::ZONEMD, Opaque, &[("serial", F::U32), ("scheme", F::U8), ("hash algorithm", F::U8), ("digest", F::Hex)]),
        row(T::SVCB, Opaque, SERVICE_FIELDS),
        row(T::HTTPS, Opaque, SERVICE_FIELDS),
        row(T::SPF, Opaque, &[("text", F::Texts)]),
        row(T::NID, Opaque, &[("preference", F::U16), ("node identifier", F::Locator64)]),
        row(T::L32, Opaque, &[("preference", F::U16), ("locator", F::Ipv4)]),
        row(T::L64, Opaque, &[("preference", F::U16), ("locator", F::Locator64)]),
        row(T::LP, Opaque, &[("preference", F::U16), ("target", F::Name)]),
        row(T::EUI48, Opaque, &[("address", F::Eui48)]),
        row(T::EUI64, Opaque, &[("address", F::Eui64)]),
        row(T::URI, Opaque, &[("priority", F::U16), ("weight", F::U16), ("target", F::Target)]),
        row(T::CAA, Opaque, &[("flags", F::U8), ("tag", F::Tag), ("value", F::Value)]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_numeric_order_and_has_only_types_with_a_mnemonic() {
        assert!(LAYOUTS.is_sorted_by_key(|layout| layout.record_type));
        for layout in LAYOUTS {
            assert!(!layout.record_type.to_string().starts_with("TYPE"), "{:?}", layout.record_type);
            assert!(!layout.record_type.is_meta());
        }
    }

    #[test]
    fn only_types_of_rfc_1035_are_compressed() {
        let compressed: Vec<_> =
            LAYOUTS.iter().filter(|l| l.names == NameRule::Compressible).map(|l| l.record_type.to_string()).collect();
        assert_eq!(compressed, ["NS", "CNAME", "SOA", "PTR", "MX"]);
    }
}
