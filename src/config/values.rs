//! Values written as one text: durations, TTLs, addresses, names, prefixes.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use crate::topology::Prefix;
use crate::wire::{Name, RecordType};

use super::node::Shortened;

/// A value read from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written<T>(pub(crate) T);

/// What can be read from one text.
pub(crate) trait FromText: Sized {
    /// The name of the type in the JSON Schema.
    const NAME: &'static str;
    /// What a good text is, for errors and the schema: "a duration such as 5s".
    const WANTED: &'static str;
    /// The pattern of a good text for the schema; any text when empty.
    const PATTERN: &'static str = "";
    /// Whether a bare number is good too.
    const NUMBER: bool = false;

    /// Reads the text; the error says more than [`Self::WANTED`] where it can, and is empty otherwise.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl<'de, T: FromText> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(std::marker::PhantomData<T>);
        impl<T: FromText> de::Visitor<'_> for Read<T> {
            type Value = Written<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(T::WANTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written<T>, E> {
                T::from_text(text).map(Written).map_err(|why| {
                    let colon = if why.is_empty() { "" } else { ": " };
                    E::custom(format_args!("`{}` is not {}{colon}{why}", Shortened(text), T::WANTED))
                })
            }
        }
        deserializer.deserialize_any(Read(std::marker::PhantomData))
    }
}

impl<T: FromText> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "description": T::WANTED });
        let kind = if T::NUMBER { serde_json::json!(["string", "integer"]) } else { "string".into() };
        schema.insert("type".to_owned(), kind);
        if !T::PATTERN.is_empty() {
            schema.insert("pattern".to_owned(), T::PATTERN.into());
        }
        schema
    }
}

impl FromText for Duration {
    const NAME: &'static str = "Duration";
    const WANTED: &'static str = "a duration such as `5s`, `2m` or `500ms`";
    const PATTERN: &'static str = "^([0-9]+(ms|s|m|h|d))+$";

    fn from_text(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(format!("write the unit, `{text}s` for seconds"));
        }
        parse_duration(text).ok_or_else(String::new)
    }
}

/// Reads `1h30m`, `500ms` and the like.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(part))?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A duration as it would be written.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis > 0 && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// A size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Octets(pub(crate) u64);

/// The units of sizes, the largest first.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromText for Octets {
    const NAME: &'static str = "Octets";
    const WANTED: &'static str = "a size such as `512KiB`, `64MiB` or `1GiB`";
    const PATTERN: &'static str = "^[0-9]+(B|KiB|MiB|GiB|TiB)$";

    fn from_text(text: &str) -> Result<Self, String> {
        let written = SIZE_UNITS.iter().find_map(|(unit, octets)| Some((text.strip_suffix(unit)?, *octets)));
        let (number, unit) = written.ok_or_else(String::new)?;
        let number: u64 = number.parse().map_err(|_| String::new())?;
        number.checked_mul(unit).map(Self).ok_or_else(|| "it is too large".to_owned())
    }
}

impl std::fmt::Display for Octets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = SIZE_UNITS.iter().find(|(_, octets)| self.0 >= *octets && self.0.is_multiple_of(*octets));
        let (unit, octets) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / octets)
    }
}

/// A TTL or another time of the DNS, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u32);

impl FromText for Seconds {
    const NAME: &'static str = "Seconds";
    const WANTED: &'static str = "a number of seconds or a duration such as `30s` or `5m`";
    const PATTERN: &'static str = "^([0-9]+|([0-9]+(s|m|h|d))+)$";
    const NUMBER: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(seconds));
        }
        let duration = parse_duration(text).ok_or_else(String::new)?;
        if duration.subsec_millis() != 0 {
            return Err("a TTL has whole seconds".to_owned());
        }
        u32::try_from(duration.as_secs()).map(Self).map_err(|_| "it is too long".to_owned())
    }
}

impl FromText for IpAddr {
    const NAME: &'static str = "IpAddress";
    const WANTED: &'static str = "an IP address such as `192.0.2.1` or `2001:db8::1`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| match text.parse::<SocketAddr>() {
            Ok(_) => "the port is a key of its own".to_owned(),
            Err(_) => String::new(),
        })
    }
}

impl FromText for SocketAddr {
    const NAME: &'static str = "SocketAddress";
    const WANTED: &'static str = "an address with port such as `192.0.2.1:53` or `[2001:db8::1]:53`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| match text.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => format!("write `[{text}]:` and the port"),
            Ok(IpAddr::V4(_)) => "the port is missing".to_owned(),
            Err(_) => String::new(),
        })
    }
}

impl FromText for Name {
    const NAME: &'static str = "DomainName";
    const WANTED: &'static str = "a domain name";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: crate::wire::NameError| error.to_string())
    }
}

impl FromText for RecordType {
    const NAME: &'static str = "RecordType";
    const WANTED: &'static str = "a record type such as `TXT` or `TYPE65280`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| String::new())
    }
}

impl FromText for Prefix {
    const NAME: &'static str = "Prefix";
    const WANTED: &'static str = "a prefix such as `10.0.0.0/8` or `2001:db8::/32`";

    fn from_text(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| String::new())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits,
            Some(length) => match length.parse::<u8>() {
                Ok(number) if number <= bits && !length.starts_with('+') => number,
                _ => return Err(format!("the length is a number from 0 to {bits}")),
            },
        };
        let masked = mask(address, length);
        if masked == address {
            Ok(Self { address, length })
        } else {
            Err(format!("bits are set behind the length; write `{masked}/{length}`"))
        }
    }
}

/// The address with all but its first `length` bits cleared.
fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & keep).into())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & keep).into())
        }
    }
}

/// An inclusive range of HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusRange(pub(crate) u16, pub(crate) u16);

impl FromText for StatusRange {
    const NAME: &'static str = "StatusRange";
    const WANTED: &'static str = "an HTTP status such as `200`, or a range such as `200-299`";
    const PATTERN: &'static str = "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$";
    const NUMBER: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
        match (status(from), status(to)) {
            (Some(from), Some(to)) if from <= to => Ok(Self(from, to)),
            (Some(_), Some(_)) => Err("it ends before it starts".to_owned()),
            _ => Err(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromText + PartialEq + std::fmt::Debug>(text: &str, expected: Result<T, &str>) {
        assert_eq!(T::from_text(text), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn durations_have_units() {
        check("500ms", Ok(Duration::from_millis(500)));
        check("1m30s", Ok(Duration::from_secs(90)));
        check("2h", Ok(Duration::from_secs(7200)));
        check::<Duration>("5", Err("write the unit, `5s` for seconds"));
        for wrong in ["", "s", "5x", "-5s", "1.5s", "5 s", "99999999999999999999s", "9999999999999999d"] {
            check::<Duration>(wrong, Err(""));
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["0ms", "500ms", "5s", "90s", "2m", "1h", "7d"] {
            assert_eq!(show_duration(Duration::from_text(text).unwrap()), text);
        }
    }

    #[test]
    fn ttls_are_whole_seconds_with_or_without_unit() {
        check("30", Ok(Seconds(30)));
        check("1h", Ok(Seconds(3600)));
        check("4294967295", Ok(Seconds(u32::MAX)));
        check::<Seconds>("1500ms", Err("a TTL has whole seconds"));
        check::<Seconds>("4294967296", Err(""));
        check::<Seconds>("50000d", Err("it is too long"));
    }

    #[test]
    fn addresses_say_what_is_missing() {
        check("192.0.2.1", Ok(IpAddr::from([192, 0, 2, 1])));
        check::<IpAddr>("192.0.2.1:53", Err("the port is a key of its own"));
        check::<SocketAddr>("192.0.2.1", Err("the port is missing"));
        check::<SocketAddr>("2001:db8::1", Err("write `[2001:db8::1]:` and the port"));
        check::<SocketAddr>("localhost:53", Err(""));
    }

    #[test]
    fn prefixes_have_no_bits_behind_their_length() {
        check("10.0.0.0/8", Ok(Prefix { address: [10, 0, 0, 0].into(), length: 8 }));
        check("0.0.0.0/0", Ok(Prefix { address: [0, 0, 0, 0].into(), length: 0 }));
        check("192.0.2.1", Ok(Prefix { address: [192, 0, 2, 1].into(), length: 32 }));
        check("::/0", Ok(Prefix { address: "::".parse().unwrap(), length: 0 }));
        check::<Prefix>("10.0.0.1/8", Err("bits are set behind the length; write `10.0.0.0/8`"));
        check::<Prefix>("2001:db8::1/32", Err("bits are set behind the length; write `2001:db8::/32`"));
        check::<Prefix>("10.0.0.0/33", Err("the length is a number from 0 to 32"));
        check::<Prefix>("10.0.0.0/+8", Err("the length is a number from 0 to 32"));
        check::<Prefix>("10.0.0/8", Err(""));
    }

    #[test]
    fn statuses_are_numbers_or_ranges() {
        check("200", Ok(StatusRange(200, 200)));
        check("200-299", Ok(StatusRange(200, 299)));
        check::<StatusRange>("299-200", Err("it ends before it starts"));
        for wrong in ["", "2xx", "99", "600", "200-", "-200"] {
            check::<StatusRange>(wrong, Err(""));
        }
    }
}
