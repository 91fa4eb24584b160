//! Location databases in MaxMind's format, held in memory: what they tell of one address, and of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

use super::error::{Database, TopologyError};
use super::location::{Location, State};
use super::ranges::Boundaries;

/// The databases that are there.
#[derive(Debug, Default)]
pub(super) struct Databases {
    city: Option<Reader<Vec<u8>>>,
    asn: Option<Reader<Vec<u8>>>,
}

/// A value for every address of both families.
#[derive(Debug)]
pub(super) struct World {
    pub(super) ipv4: Boundaries<u32>,
    pub(super) ipv6: Boundaries<u128>,
}

impl Databases {
    /// Reads databases from their files' contents.
    ///
    /// # Errors
    /// A database that is damaged, or that tells nothing of what it is given for.
    pub(super) fn new(city: Option<&[u8]>, asn: Option<&[u8]>) -> Result<Self, TopologyError> {
        let open = |database, bytes: Option<&[u8]>| bytes.map(|bytes| open(database, bytes)).transpose();
        Ok(Self { city: open(Database::City, city)?, asn: open(Database::Asn, asn)? })
    }

    /// What they tell of an address. IPv4 addresses inside of IPv6 ones (6to4, Teredo) count as unlocated.
    pub(super) fn describe(&self, address: IpAddr) -> Location {
        let address = address.to_canonical();
        let of = |database, reader: &Option<Reader<Vec<u8>>>| {
            let found = reader.as_ref().filter(|_| !is_translated(address))?.lookup(address).ok()?;
            decode(database, &found).ok()
        };
        let mut location = of(Database::City, &self.city).unwrap_or_default();
        let asn = of(Database::Asn, &self.asn).unwrap_or_default();
        location.asn = asn.asn;
        location.as_organization = asn.as_organization;
        location
    }

    /// Gives every address the value that `value_of` has for what a database tells of it; 0 where it tells nothing.
    ///
    /// # Errors
    /// The database is damaged.
    pub(super) fn survey(
        &self,
        database: Database,
        value_of: impl FnMut(&Location) -> u32,
    ) -> Result<World, TopologyError> {
        let reader = match database {
            Database::City => &self.city,
            Database::Asn => &self.asn,
        };
        match reader {
            Some(reader) => {
                survey(database, reader, value_of).map_err(|source| TopologyError::Corrupt { database, source })
            }
            None => Ok(World { ipv4: Boundaries::new(), ipv6: Boundaries::new() }),
        }
    }
}

/// The most networks that a database may hold. The large ones of today have some six million; a damaged search tree can
/// lead to far more than it has nodes.
const NETWORKS_MAX: usize = 1 << 26;

fn open(database: Database, bytes: &[u8]) -> Result<Reader<Vec<u8>>, TopologyError> {
    let corrupt = |source| TopologyError::Corrupt { database, source };
    let reader = Reader::from_source(bytes.to_vec()).map_err(corrupt)?;
    let mut is_empty = true;
    for network in reader.networks(WithinOptions::default()).map_err(corrupt)? {
        if decode(database, &network.map_err(corrupt)?).map_err(corrupt)? != Location::default() {
            return Ok(reader);
        }
        is_empty = false;
    }
    let found = reader.metadata().database_type.clone();
    if is_empty { Ok(reader) } else { Err(TopologyError::WrongDatabase { database, found }) }
}

fn survey(
    database: Database,
    reader: &Reader<Vec<u8>>,
    mut value_of: impl FnMut(&Location) -> u32,
) -> Result<World, MaxMindDbError> {
    let mut world = World { ipv4: Boundaries::new(), ipv6: Boundaries::new() };
    let mut known = HashMap::new();
    // The networks come in ascending order.
    for (count, network) in reader.networks(WithinOptions::default())?.enumerate() {
        let network = network?;
        if count >= NETWORKS_MAX {
            return Err(MaxMindDbError::invalid_database(format!("it holds more than {NETWORKS_MAX} networks")));
        }
        let value = match network.offset().and_then(|offset| known.get(&offset)) {
            Some(value) => *value,
            None => {
                let value = value_of(&decode(database, &network)?);
                known.extend(network.offset().map(|offset| (offset, value)));
                value
            }
        };
        let prefix = network.network()?;
        match prefix.ip() {
            IpAddr::V4(first) => world.ipv4.prefix(first.into(), prefix.prefix(), value),
            IpAddr::V6(first) if is_translated(first.into()) && prefix.prefix() >= 16 => {}
            IpAddr::V6(first) => {
                // What covers ::/96 holds for IPv4, which databases keep there.
                if first.is_unspecified() && prefix.prefix() <= 96 {
                    world.ipv4.prefix(0, 0, value);
                }
                world.ipv6.prefix(first.into(), prefix.prefix(), value);
            }
        }
    }
    Ok(world)
}

/// Whether an IPv6 address stands for an IPv4 one in a way that databases may follow: ::/96, 2001::/32 (Teredo, RFC
/// 4380), 2002::/16 (6to4, RFC 3056).
fn is_translated(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else { return false };
    let within = |prefix: Ipv6Addr, length: u32| (u128::from(address) ^ u128::from(prefix)).leading_zeros() >= length;
    within(Ipv6Addr::UNSPECIFIED, 96)
        || within(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32)
        || within(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16)
}

fn decode(database: Database, found: &LookupResult<'_, Vec<u8>>) -> Result<Location, MaxMindDbError> {
    Ok(match database {
        Database::City => found.decode::<CityRecord<'_>>()?.map(Location::from).unwrap_or_default(),
        Database::Asn => found.decode::<AsnRecord<'_>>()?.map(Location::from).unwrap_or_default(),
    })
}

/// What is read of a record in a City or Country database.
#[derive(Deserialize)]
struct CityRecord<'a> {
    #[serde(borrow, default)]
    continent: Continent<'a>,
    #[serde(borrow, default)]
    country: Division<'a>,
    #[serde(borrow, default)]
    subdivisions: Vec<Division<'a>>,
    #[serde(borrow, default)]
    city: Division<'a>,
}

#[derive(Deserialize, Default)]
struct Continent<'a> {
    code: Option<&'a str>,
}

#[derive(Deserialize, Default)]
struct Division<'a> {
    iso_code: Option<&'a str>,
    #[serde(borrow, default)]
    names: Names<'a>,
}

#[derive(Deserialize, Default)]
struct Names<'a> {
    en: Option<&'a str>,
}

/// What is read of a record in an ASN database.
#[derive(Deserialize)]
struct AsnRecord<'a> {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

impl From<CityRecord<'_>> for Location {
    fn from(record: CityRecord<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let states = record.subdivisions.iter();
        Self {
            continent: owned(record.continent.code),
            country: owned(record.country.iso_code),
            states: states.map(|state| State { code: owned(state.iso_code), name: owned(state.names.en) }).collect(),
            city: owned(record.city.names.en),
            asn: None,
            as_organization: None,
        }
    }
}

impl From<AsnRecord<'_>> for Location {
    fn from(record: AsnRecord<'_>) -> Self {
        let as_organization = record.autonomous_system_organization.map(str::to_owned);
        Self { asn: record.autonomous_system_number, as_organization, ..Self::default() }
    }
}
