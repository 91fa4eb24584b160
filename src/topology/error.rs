//! Why topology rules and location databases could not be compiled.

use std::fmt;

use maxminddb::MaxMindDbError;

/// Which location database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Database {
    /// The City or Country database: continent, country, state, city.
    City,
    /// The ASN database: autonomous systems.
    Asn,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::City => "city",
            Self::Asn => "asn",
        })
    }
}

/// Which rule is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The region of this name.
    Region(String),
    /// The record at this position, counted from 0 as written.
    Record(usize),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "regions.{name}"),
            Self::Record(index) => write!(f, "topology[{index}]"),
        }
    }
}

/// What stops a topology from being compiled. Nothing that ran before changes.
#[derive(Debug)]
pub enum TopologyError {
    /// A location database is not a MaxMind database, or is damaged.
    Corrupt {
        /// Which one.
        database: Database,
        /// What its reader found wrong.
        source: MaxMindDbError,
    },
    /// A location database holds something else than it was given for, such as an ASN database given as `city`.
    WrongDatabase {
        /// Which one.
        database: Database,
        /// The type that it says it is.
        found: String,
    },
    /// A rule looks at something that only a database can tell, and that database was not given.
    MissingDatabase {
        /// The rule.
        rule: Rule,
        /// The test, as text.
        test: String,
        /// The database that would know.
        database: Database,
    },
    /// A rule names a region that does not exist.
    UnknownRegion {
        /// The rule.
        rule: Rule,
        /// The name it uses.
        region: String,
    },
    /// Two regions have one name.
    DuplicateRegion {
        /// Their name.
        region: String,
    },
    /// Regions contain each other.
    RegionCycle {
        /// Their names, the first one repeated at the end.
        regions: Vec<String>,
    },
    /// A prefix is longer than its addresses, or has bits set behind its length.
    BadPrefix {
        /// The rule.
        rule: Rule,
        /// The prefix, as text.
        prefix: String,
    },
    /// A record's client side tests what only an answer has: a datacenter or a pool.
    NotAClient {
        /// The rule.
        rule: Rule,
        /// The test, as text.
        test: String,
    },
    /// The records, combined with the places they distinguish, would need too much memory.
    TooLarge {
        /// How many combinations are allowed.
        limit: usize,
    },
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { database, source } => {
                write!(f, "reading the {database} database (geoip.{database}): {source}; download it again")
            }
            Self::WrongDatabase { database, found } => write!(
                f,
                "reading the {database} database (geoip.{database}): it is of type {found:?} and tells nothing that \
                 geoip.{database} is for; give {}",
                match database {
                    Database::City => "a City or Country database",
                    Database::Asn => "an ASN database",
                }
            ),
            Self::MissingDatabase { rule, test, database } => {
                write!(f, "{rule}: {test} needs the {database} database; set geoip.{database} to its file")
            }
            Self::UnknownRegion { rule, region } => write!(f, "{rule}: there is no region {region:?}"),
            Self::DuplicateRegion { region } => write!(f, "regions.{region}: this name is given twice"),
            Self::RegionCycle { regions } => {
                write!(
                    f,
                    "regions.{}: contains itself: {}",
                    regions.first().map_or("", |name| name),
                    regions.join(" → ")
                )
            }
            Self::BadPrefix { rule, prefix } => {
                write!(f, "{rule}: {prefix} is not a prefix: its length is too great or bits are set behind it")
            }
            Self::NotAClient { rule, test } => {
                write!(f, "{rule}: {test} is no property of a client; use it on the answer side")
            }
            Self::TooLarge { limit } => write!(
                f,
                "compiling topology: the records combine into more than {limit} entries; use fewer negated client \
                 conditions, or put prefixes that share an answer into one region"
            ),
        }
    }
}

impl std::error::Error for TopologyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } => Some(source),
            _ => None,
        }
    }
}
