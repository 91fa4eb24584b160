//! What depends on the model alone: who refers to whom, what each member answers with, and its stable identity.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::names::NameIndex;
use super::{DatacenterId, Member, MemberTarget, Model, Pool, PoolId, ServerId, VirtualServerId, WideIpId};
use crate::topology::{AnswerClass, Candidate, Topology};
use crate::wire::RecordType;

/// Everything about a model that status does not change. Shared by all tables of one model.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) names: NameIndex,
    /// The pools with a member on each virtual server.
    pub(super) pools_of_virtual_server: References,
    /// The wide IPs that use each pool, the last resort included.
    pub(super) wide_ips_of_pool: References,
    /// The pools with a CNAME member that is as available as each wide IP.
    pub(super) pools_of_wide_ip: References,
    /// The virtual servers of each server.
    pub(super) virtual_servers_of_server: References,
    /// The servers of each datacenter.
    pub(super) servers_of_datacenter: References,
    pub(super) pools: Vec<PoolLayout>,
    /// The RDATA of every member of every pool, in slots that are equally long within a pool; names begin with their
    /// length in one octet.
    pub(super) rdata: Box<[u8]>,
    /// For each wide IP, its pools as topology sees them.
    pub(super) classes_of_wide_ip: Vec<Box<[AnswerClass]>>,
    /// The number of each wide IP's first (wide IP, pool) pair: see [`Tables::pairs`](super::Tables::pairs).
    pub(super) pair_base: Vec<u32>,
    /// The most members in a pool, and the most answers of one decision.
    pub(super) members_max: usize,
}

/// What a pool's members answer with.
#[derive(Debug)]
pub(super) struct PoolLayout {
    pub(super) members: Box<[MemberLayout]>,
    /// Where the members' RDATA starts in [`Layout::rdata`], and how many octets each has there.
    pub(super) rdata_start: u32,
    pub(super) rdata_stride: u16,
    /// How many CNAME references lie between this pool and virtual servers; what it depends on has a lower level.
    pub(super) level: u32,
}

/// One member.
#[derive(Debug)]
pub(super) struct MemberLayout {
    pub(super) source: MemberSource,
    /// A hash of what it is, not of where it stands in the list: the same on every node and after every reload.
    pub(super) identity: u64,
    pub(super) class: AnswerClass,
}

/// Where a member's availability comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberSource {
    /// A virtual server with an address of the pool's type.
    VirtualServer(VirtualServerId),
    /// A virtual server that cannot be answered by this pool: no address yet, or one of the other family.
    NoAddress(VirtualServerId),
    /// A static name: always available.
    Static,
    /// The wide IPs of the name, one per type; none exist when empty.
    WideIps(Box<[WideIpId]>),
    /// The name leads back to this pool.
    Loop,
}

/// From each of some objects to others: one list cut into pieces.
#[derive(Debug, Default)]
pub(super) struct References {
    ends: Box<[u32]>,
    targets: Box<[u32]>,
}

impl References {
    /// Builds from pairs of (from, to); what is named twice stands once.
    fn build(length: usize, pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut ends = Vec::with_capacity(length);
        let mut end = 0;
        for from in (0..).take(length) {
            end += pairs.get(end..).unwrap_or_default().partition_point(|(other, _)| *other <= from);
            ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        }
        Self { ends: ends.into(), targets: pairs.into_iter().map(|(_, to)| to).collect() }
    }

    /// What `from` refers to, ascending.
    pub(super) fn of(&self, from: usize) -> &[u32] {
        let end = |at: usize| self.ends.get(at).and_then(|&end| usize::try_from(end).ok());
        let start = if from == 0 { Some(0) } else { end(from - 1) };
        start.zip(end(from)).and_then(|(start, end)| self.targets.get(start..end)).unwrap_or_default()
    }
}

/// An id as an index.
#[inline]
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

impl Layout {
    /// Works out the layout of a model.
    pub(super) fn build(model: &Model, topology: &Topology, seed: u64) -> Self {
        let names = NameIndex::build(model, seed);
        let mut rdata = Vec::new();
        let mut pools: Vec<PoolLayout> =
            model.pools.iter().map(|pool| pool_layout(model, pool, topology, &names, &mut rdata)).collect();
        let wide_ips_of_pool = wide_ips_of_pool(model);
        set_levels(model, &mut pools, &wide_ips_of_pool);
        let of_pools = || (0..).zip(&pools).flat_map(|(id, pool)| pool.members.iter().map(move |member| (id, member)));
        let virtual_servers = of_pools().filter_map(|(pool, member)| match member.source {
            MemberSource::VirtualServer(VirtualServerId(id)) | MemberSource::NoAddress(VirtualServerId(id)) => {
                Some((id, pool))
            }
            _ => None,
        });
        let named = of_pools().flat_map(|(pool, member)| match &member.source {
            MemberSource::WideIps(ids) => ids.iter().map(|id| (id.0, pool)).collect(),
            _ => Vec::new(),
        });
        let mut pairs = 0_u32;
        let pair_base = model.wide_ips.iter().map(|wide_ip| {
            let base = pairs;
            pairs = pairs.saturating_add(u32::try_from(wide_ip.pools.len()).unwrap_or(u32::MAX)).saturating_add(2);
            base
        });
        Self {
            pools_of_virtual_server: References::build(model.virtual_servers.len(), virtual_servers),
            pools_of_wide_ip: References::build(model.wide_ips.len(), named),
            virtual_servers_of_server: {
                let servers = model.virtual_servers.iter().map(|one| one.server.0);
                References::build(model.servers.len(), servers.zip(0..))
            },
            servers_of_datacenter: {
                let datacenters = model.servers.iter().map(|server| server.datacenter.0);
                References::build(model.datacenters.len(), datacenters.zip(0..))
            },
            classes_of_wide_ip: model.wide_ips.iter().map(|wide_ip| pool_classes(model, wide_ip, topology)).collect(),
            pair_base: pair_base.collect(),
            members_max: model.pools.iter().map(|pool| pool.members.len()).max().unwrap_or(0),
            wide_ips_of_pool,
            names,
            pools,
            rdata: rdata.into_boxed_slice(),
        }
    }
}

fn wide_ips_of_pool(model: &Model) -> References {
    let used = (0..).zip(&model.wide_ips).flat_map(|(id, wide_ip)| {
        let pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
        pools.map(move |pool| (pool.0, id))
    });
    References::build(model.pools.len(), used)
}

fn pool_classes(model: &Model, wide_ip: &super::WideIp, topology: &Topology) -> Box<[AnswerClass]> {
    let class = |id: PoolId| {
        let name = model.pool(id).map(|pool| &*pool.name);
        topology.classify_answer(&Candidate { pool: name, ..Candidate::default() })
    };
    wide_ip.pools.iter().map(|reference| class(reference.pool)).collect()
}

fn pool_layout(model: &Model, pool: &Pool, topology: &Topology, names: &NameIndex, rdata: &mut Vec<u8>) -> PoolLayout {
    let address_of = |member: &Member| match member.target {
        MemberTarget::VirtualServer(id) => {
            let address = model.virtual_server(id).and_then(|one| one.address).map(|address| address.ip());
            address.filter(|address| fits(pool.record_type, *address))
        }
        MemberTarget::Name { .. } => None,
    };
    let datacenter_of = |member: &Member| match member.target {
        MemberTarget::VirtualServer(id) => model.datacenter_of(id).map(|datacenter| &*datacenter.name),
        MemberTarget::Name { .. } => None,
    };
    let member_layout = |member: &Member| MemberLayout {
        source: match &member.target {
            MemberTarget::VirtualServer(id) if address_of(member).is_some() => MemberSource::VirtualServer(*id),
            MemberTarget::VirtualServer(id) => MemberSource::NoAddress(*id),
            MemberTarget::Name { static_target: true, .. } => MemberSource::Static,
            MemberTarget::Name { name, .. } => MemberSource::WideIps(names.all(name).into()),
        },
        identity: identity(model, &member.target),
        class: topology.classify_answer(&Candidate {
            pool: Some(&pool.name),
            datacenter: datacenter_of(member),
            address: address_of(member),
        }),
    };
    let rdata_of = |member: &Member| match (&member.target, address_of(member)) {
        (MemberTarget::Name { name, .. }, _) => {
            let length = u8::try_from(name.as_wire().len()).unwrap_or(0);
            [&[length], name.as_wire()].concat()
        }
        (_, Some(IpAddr::V4(address))) => address.octets().to_vec(),
        (_, Some(IpAddr::V6(address))) => address.octets().to_vec(),
        (_, None) => Vec::new(),
    };
    let slots: Vec<Vec<u8>> = pool.members.iter().map(rdata_of).collect();
    let stride = slots.iter().map(Vec::len).max().unwrap_or(0);
    let rdata_start = u32::try_from(rdata.len()).unwrap_or(u32::MAX);
    for mut slot in slots {
        slot.resize(stride, 0);
        rdata.append(&mut slot);
    }
    PoolLayout {
        members: pool.members.iter().map(member_layout).collect(),
        rdata_start,
        rdata_stride: u16::try_from(stride).unwrap_or(0),
        level: 0,
    }
}

/// Whether an address can stand in a record of the type.
pub(super) const fn fits(record_type: RecordType, address: IpAddr) -> bool {
    matches!((record_type, address), (RecordType::A, IpAddr::V4(_)) | (RecordType::AAAA, IpAddr::V6(_)))
}

/// A hash of a member's name in the configuration (FNV-1a, 64 bits, then mixed): equal on all nodes.
fn identity(model: &Model, target: &MemberTarget) -> u64 {
    let text: Vec<u8> = match target {
        MemberTarget::VirtualServer(id) => model.virtual_server_name(*id).into_bytes(),
        MemberTarget::Name { name, .. } => name.to_lowercase().as_wire().to_vec(),
    };
    super::select::hash_octets(&text)
}

/// Gives every pool a level above the pools its CNAME members depend on; members that close a circle are cut.
fn set_levels(model: &Model, pools: &mut [PoolLayout], wide_ips_of_pool: &References) {
    let depends_on = |pool: &PoolLayout| -> BTreeSet<usize> {
        let named = pool.members.iter().flat_map(|member| match &member.source {
            MemberSource::WideIps(ids) => ids.to_vec(),
            _ => Vec::new(),
        });
        let wide_ips = named.filter_map(|id| model.wide_ips.get(index(id.0)));
        let pools = wide_ips.flat_map(|wide_ip| wide_ip.pools.iter().map(|one| one.pool).chain(wide_ip.last_resort));
        pools.map(|id| index(id.0)).collect()
    };
    let dependencies: Vec<BTreeSet<usize>> = pools.iter().map(depends_on).collect();
    if dependencies.iter().all(BTreeSet::is_empty) {
        return;
    }
    // Kahn's order: a pool is done when all it depends on is done; what is never done lies on or behind a circle.
    let mut waiting: Vec<usize> = dependencies.iter().map(BTreeSet::len).collect();
    let mut ready: Vec<usize> = (0..pools.len()).filter(|&at| waiting.get(at) == Some(&0)).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); pools.len()];
    for (at, of_pool) in dependencies.iter().enumerate() {
        for &dependency in of_pool {
            if let Some(of_dependency) = dependents.get_mut(dependency) {
                of_dependency.push(at);
            }
        }
    }
    while let Some(done) = ready.pop() {
        let level = pools.get(done).map_or(0, |pool| pool.level);
        for &dependent in dependents.get(done).map(Vec::as_slice).unwrap_or_default() {
            if let (Some(pool), Some(left)) = (pools.get_mut(dependent), waiting.get_mut(dependent)) {
                pool.level = pool.level.max(level + 1);
                *left -= 1;
                if *left == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    let in_circle: BTreeSet<u32> = (0..).zip(&waiting).filter(|(_, left)| **left > 0).map(|(pool, _)| pool).collect();
    let leads_to_circle =
        |id: &WideIpId| in_circle.iter().any(|&pool| wide_ips_of_pool.of(index(pool)).contains(&id.0));
    for &pool in &in_circle {
        let Some(pool) = pools.get_mut(index(pool)) else { continue };
        for member in &mut pool.members {
            if matches!(&member.source, MemberSource::WideIps(ids) if ids.iter().any(leads_to_circle)) {
                member.source = MemberSource::Loop;
            }
        }
    }
}

impl Model {
    /// A pool by its id.
    pub fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.get(index(id.0))
    }

    /// A wide IP by its id.
    pub fn wide_ip(&self, id: WideIpId) -> Option<&super::WideIp> {
        self.wide_ips.get(index(id.0))
    }

    /// A virtual server by its id.
    pub fn virtual_server(&self, id: VirtualServerId) -> Option<&super::VirtualServer> {
        self.virtual_servers.get(index(id.0))
    }

    /// A server by its id.
    pub fn server(&self, id: ServerId) -> Option<&super::Server> {
        self.servers.get(index(id.0))
    }

    /// A datacenter by its id.
    pub fn datacenter(&self, id: DatacenterId) -> Option<&super::Datacenter> {
        self.datacenters.get(index(id.0))
    }

    /// The datacenter in which a virtual server stands.
    pub fn datacenter_of(&self, id: VirtualServerId) -> Option<&super::Datacenter> {
        self.datacenter(self.server(self.virtual_server(id)?.server)?.datacenter)
    }

    /// A virtual server's name as `server/virtual-server`.
    pub fn virtual_server_name(&self, id: VirtualServerId) -> String {
        let one = self.virtual_server(id);
        let server = one.and_then(|one| self.server(one.server)).map_or("?", |server| &server.name);
        format!("{server}/{}", one.map_or("?", |one| &one.name))
    }

    /// A member's name as operators write it: `server/virtual-server`, or the target's name.
    pub fn member_name(&self, member: &Member) -> Arc<str> {
        match &member.target {
            MemberTarget::VirtualServer(id) => self.virtual_server_name(*id).into(),
            MemberTarget::Name { name, .. } => name.to_string().into(),
        }
    }

    /// A wide IP's name with its type, as operators write it: `www.example.com./A`.
    pub fn wide_ip_name(&self, id: WideIpId) -> Arc<str> {
        self.wide_ip(id).map_or_else(|| "?".into(), |wide_ip| wide_ip.full_name().into())
    }
}

impl super::WideIp {
    /// The name with the type, as operators write it: `www.example.com./A`.
    pub fn full_name(&self) -> String {
        let (super::Pattern::Exact(name) | super::Pattern::Glob(name)) = &self.name;
        format!("{name}/{}", self.record_type)
    }
}
