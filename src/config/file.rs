//! What is written: the configuration files as serde types, their documentation being the JSON Schema's.
//!
//! Nothing is checked here beyond the form of single values; names are resolved and ranges checked in `resolve`.

pub(crate) use super::file_agent::{Agent, Haproxy, StaticSource};
pub(crate) use super::file_catalog::{Catalog, CatalogMembers, MemberOf, Template};
pub(crate) use super::file_edns::{CookieMode, CookieSettings, EdnsOptions};
pub(crate) use super::file_limits::{Limits, RateLimit, RateMode, TcpLimits, ZoneSizes};
pub(crate) use super::file_monitor::{Method, Monitor, MonitorType};
pub(crate) use super::file_node::{Admin, DeniedQuery, Node, Soa, Unmatched, Zone, ZoneSettings};
pub(crate) use super::file_steering::{
    Datacenter, Discovery, Member, OnUnknown, Pool, PoolMethod, PoolReference, PoolType, Server, VirtualServer,
    WhenAllDown, WideIp, WideIpMethod,
};
pub(crate) use super::file_topology::{Condition, Record, TopologyMatch};
pub(crate) use super::file_transfer::{
    Access, Key, KeyAlgorithm, Peer, Primary, Secret, Serial, Transfer, TransferLimits, TransferWideIps, Update,
    UpdateAction, UpdateMatch,
};
pub(crate) use super::file_views::View;
