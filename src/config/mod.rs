//! YAML as written → checked values. The only module that knows YAML and opens configured files.
//!
//! # Invariants
//! - Every error of every file is collected before loading fails.
//! - Pure apart from reading files: no metric, socket or log.
//! - A default is written once, in `limits`.

mod agents;
mod answers;
mod catalogs;
mod collections;
mod decode;
mod edns;
mod file;
mod file_agent;
mod file_catalog;
mod file_edns;
mod file_limits;
mod file_monitor;
mod file_node;
mod file_steering;
mod file_topology;
mod file_transfer;
mod file_views;
mod issues;
mod keys;
mod limits;
mod load;
mod monitors;
mod names;
mod node;
mod peers;
mod pools;
mod resolve;
mod schema;
mod sources;
mod steering;
#[cfg(test)]
mod testing;
mod topology;
mod transfers;
mod updates;
mod values;
mod views;
mod wide_ips;
mod yaml;
mod yaml_plain;
mod zone_files;
mod zone_master;
mod zone_write;
mod zone_yaml;
mod zones;

pub use issues::{LoadErrors, Problem, Warnings};
pub use load::{load, load_agent};
pub use schema::{schema, schema_agent};
pub use views::View;
pub use zone_files::{Format, SoaPlace, ZoneFile};

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::{self, EdnsSettings, Transfers};
pub use crate::answer::{Chaos, SyntheticZone, Unmatched};
use crate::monitor::Monitor;
use crate::wideip::{Ageing, Model, VirtualServerId};
use crate::wire::Keys;
use crate::zone::{Zone, ZoneId};
use crate::{listener, mesh};

/// A DNS node's configuration with every reference resolved and every range checked.
#[derive(Debug)]
pub struct Config {
    /// This node's name.
    pub node: Arc<str>,
    /// The listeners.
    pub listeners: listener::Settings,
    /// Where metrics, health and the API are served; loopback unless configured otherwise.
    pub admin: Option<SocketAddr>,
    /// The Unix socket for `fairlead disable`, `enable` and `explain`.
    pub control: PathBuf,
    /// The folder for what must survive a restart: overrides and last verdicts.
    pub state: PathBuf,
    /// The mesh; none when no server has an agent.
    pub mesh: Option<mesh::Settings>,
    /// What becomes of a name under no zone and no wide IP.
    pub unmatched: Unmatched,
    /// The views in their order, each with its zones; `default` alone where none is configured.
    pub views: Vec<View>,
    /// The files that the zones come from.
    pub zone_files: Vec<ZoneFile>,
    /// Octets that the journal may take for the changes of one zone.
    pub journal_zone_octets_max: u64,
    /// The apex records made for wide IPs that stand in no zone.
    pub synthetic_zone: SyntheticZone,
    /// The answers in class CHAOS.
    pub chaos: Chaos,
    /// What EDNS options do; cookies without a secret are to get one drawn at random.
    pub edns: EdnsSettings,
    /// Queries that may wait for somebody else to answer them: transfers and notifications, and apart from them updates.
    pub handed_off: usize,
    /// Who may ask, and what one answer may take.
    pub answers: answer::Limits,
    /// The TSIG keys.
    pub keys: Arc<Keys>,
    /// Who may have which zone by transfer, and where secondary zones come from.
    pub transfers: Arc<Transfers>,
    /// Topology records and regions.
    pub topology: crate::topology::Rules,
    /// The location databases, read into memory.
    pub geoip: GeoDatabases,
    /// Datacenters, servers, virtual servers, pools and wide IPs.
    pub model: Model,
    /// The monitors of each virtual server that is watched from here.
    pub monitors: Vec<(VirtualServerId, Vec<Monitor>)>,
    /// How verdicts age.
    pub ageing: Ageing,
    /// How long `/readyz` waits for the first round of health before it says ready all the same. Default 30 s.
    pub ready_timeout: Duration,
    /// Whether changed files are loaded by themselves.
    pub watch: bool,
    /// The secret seed under which the zones' names are hashed; everything that looks names up uses the same.
    pub seed: u64,
    /// Every file that was read, for watching.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// The zones that come from files, with their identities.
    pub fn zones_mut(&mut self) -> impl Iterator<Item = (ZoneId, &mut Arc<Zone>)> {
        self.views.iter_mut().flat_map(|view| {
            let name = &view.name;
            view.zones.iter_mut().map(|zone| (ZoneId::new(name.clone(), zone.apex().clone()), zone))
        })
    }
}

/// MaxMind databases as bytes.
#[derive(Debug, Default)]
pub struct GeoDatabases {
    /// A City or Country database.
    pub city: Option<Vec<u8>>,
    /// An ASN database.
    pub asn: Option<Vec<u8>>,
}

/// The addresses served when none is configured.
pub const LISTEN_DEFAULT: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 53),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 53),
];
