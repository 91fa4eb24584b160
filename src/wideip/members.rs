//! What the model alone says of a pool's members: where their availability comes from, what they answer with, how
//! topology sees them and who they are.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::ids::index;
use super::layout::References;
use super::marks::MARKED_MAX;
use super::names::NameIndex;
use super::{Member, MemberTarget, Model, OnUnknown, Pool, PoolMethod, VirtualServerId, WideIpId};
use crate::topology::{AnswerClass, Candidate, Topology};
use crate::wire::RecordType;

/// A pool, as far as status does not change it. Each list has one entry per member; what is read together stands
/// together.
#[derive(Debug)]
pub(super) struct PoolLayout {
    pub(super) members: Box<[MemberLayout]>,
    /// Hashes of what the members are, not of where they stand: the same on every node and after every reload.
    pub(super) identities: Box<[u64]>,
    /// Each member's position in `classes`.
    pub(super) class_of: Box<[u16]>,
    /// The different ways in which topology sees the members.
    pub(super) classes: Box<[AnswerClass]>,
    /// Where the members' RDATA starts in [`Layout::rdata`](super::layout::Layout), and how many octets each has there.
    pub(super) rdata_start: u32,
    pub(super) rdata_stride: u16,
    pub(super) is_enabled: bool,
    /// Whether the pool has [`Marks`](super::marks::Marks): few members, all of them virtual servers, and no method that
    /// orders them by load.
    pub(super) is_marked: bool,
    pub(super) on_unknown: OnUnknown,
    /// The fewest usable members.
    pub(super) needed: u32,
    /// How many CNAME references lie between this pool and virtual servers; what it depends on has a lower level.
    pub(super) level: u32,
}

/// One member.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberLayout {
    pub(super) source: MemberSource,
    pub(super) ratio: u16,
    pub(super) is_enabled: bool,
}

/// Where a member's availability comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberSource {
    /// A virtual server with an address of the pool's type.
    VirtualServer(VirtualServerId),
    /// A virtual server that cannot be answered by this pool: no address yet, or one of the other family.
    NoAddress(VirtualServerId),
    /// A static name: always available.
    Static,
    /// The wide IPs of the name, one per type: so many from this position in [`Targets`]. None exist when empty.
    WideIps { start: u32, count: u32 },
    /// The name leads back to this pool.
    Loop,
}

/// The wide IPs that CNAME members name, of all members one after the other.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<WideIpId>);

impl Targets {
    /// The wide IPs that a member names; none when it names none.
    pub(super) fn of(&self, source: MemberSource) -> &[WideIpId] {
        let MemberSource::WideIps { start, count } = source else { return &[] };
        self.0.get(index(start)..index(start.saturating_add(count))).unwrap_or_default()
    }

    fn add(&mut self, ids: &[WideIpId]) -> MemberSource {
        let start = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(ids);
        MemberSource::WideIps { start, count: u32::try_from(ids.len()).unwrap_or(0) }
    }
}

/// What pools are laid out from, and what is gathered while that is done.
pub(super) struct Gathering<'a> {
    pub(super) model: &'a Model,
    pub(super) topology: &'a Topology,
    pub(super) names: &'a NameIndex,
    pub(super) rdata: Vec<u8>,
    pub(super) targets: Targets,
}

impl Gathering<'_> {
    /// Lays out one pool.
    pub(super) fn pool(&mut self, pool: &Pool) -> PoolLayout {
        let members = pool.members.iter().map(|member| MemberLayout {
            source: self.source(pool, member),
            ratio: member.ratio,
            is_enabled: member.enabled,
        });
        let members: Box<[MemberLayout]> = members.collect();
        let (rdata_start, rdata_stride) = self.add_rdata(pool);
        let (class_of, classes) = self.classes(pool);
        let is_virtual_server = |member: &MemberLayout| {
            matches!(member.source, MemberSource::VirtualServer(_) | MemberSource::NoAddress(_))
        };
        PoolLayout {
            is_marked: members.len() <= MARKED_MAX
                && members.iter().all(is_virtual_server)
                && ![pool.preferred, pool.alternate, pool.fallback].contains(&PoolMethod::LeastConnections),
            members,
            identities: pool.members.iter().map(|member| self.identity(&member.target)).collect(),
            class_of,
            classes,
            rdata_start,
            rdata_stride,
            is_enabled: pool.enabled,
            on_unknown: pool.on_unknown,
            needed: pool.min_members_up,
            level: 0,
        }
    }

    fn source(&mut self, pool: &Pool, member: &Member) -> MemberSource {
        match &member.target {
            MemberTarget::VirtualServer(id) if self.address(pool, member).is_some() => MemberSource::VirtualServer(*id),
            MemberTarget::VirtualServer(id) => MemberSource::NoAddress(*id),
            MemberTarget::Name { static_target: true, .. } => MemberSource::Static,
            MemberTarget::Name { name, .. } => self.targets.add(&self.names.all(name)),
        }
    }

    /// The address that a member answers with; none of a name, and none where it is not of the pool's type.
    fn address(&self, pool: &Pool, member: &Member) -> Option<IpAddr> {
        let MemberTarget::VirtualServer(id) = member.target else { return None };
        let address = self.model.virtual_server(id)?.address?.ip();
        fits(pool.record_type, address).then_some(address)
    }

    fn add_rdata(&mut self, pool: &Pool) -> (u32, u16) {
        let of_member = |member: &Member| match (&member.target, self.address(pool, member)) {
            (MemberTarget::Name { name, .. }, _) => {
                let length = u8::try_from(name.as_wire().len()).unwrap_or(0);
                [&[length], name.as_wire()].concat()
            }
            (_, Some(IpAddr::V4(address))) => address.octets().to_vec(),
            (_, Some(IpAddr::V6(address))) => address.octets().to_vec(),
            (_, None) => Vec::new(),
        };
        let slots: Vec<Vec<u8>> = pool.members.iter().map(of_member).collect();
        let stride = slots.iter().map(Vec::len).max().unwrap_or(0);
        let start = u32::try_from(self.rdata.len()).unwrap_or(u32::MAX);
        for mut slot in slots {
            slot.resize(stride, 0);
            self.rdata.append(&mut slot);
        }
        (start, u16::try_from(stride).unwrap_or(0))
    }

    /// Members that topology sees alike share a class, so that a decision scores each class once.
    fn classes(&self, pool: &Pool) -> (Box<[u16]>, Box<[AnswerClass]>) {
        let mut known: HashMap<AnswerClass, u16> = HashMap::new();
        let mut classes = Vec::new();
        let class_of = pool.members.iter().map(|member| {
            let datacenter = match member.target {
                MemberTarget::VirtualServer(id) => self.model.datacenter_of(id).map(|datacenter| &*datacenter.name),
                MemberTarget::Name { .. } => None,
            };
            let address = self.address(pool, member);
            let class = self.topology.classify_answer(&Candidate { pool: Some(&pool.name), datacenter, address });
            *known.entry(class.clone()).or_insert_with(|| {
                classes.push(class);
                u16::try_from(classes.len() - 1).unwrap_or(u16::MAX)
            })
        });
        (class_of.collect(), classes.into_boxed_slice())
    }

    /// A hash of a member's name in the configuration.
    fn identity(&self, target: &MemberTarget) -> u64 {
        match target {
            MemberTarget::VirtualServer(id) => {
                super::select::hash_octets(self.model.virtual_server_name(*id).as_bytes())
            }
            MemberTarget::Name { name, .. } => super::select::hash_octets(name.to_lowercase().as_wire()),
        }
    }
}

/// Whether an address can stand in a record of the type.
pub(super) const fn fits(record_type: RecordType, address: IpAddr) -> bool {
    matches!((record_type, address), (RecordType::A, IpAddr::V4(_)) | (RecordType::AAAA, IpAddr::V6(_)))
}

/// Gives every pool a level above the pools its CNAME members depend on; members that close a circle are cut.
pub(super) fn set_levels(model: &Model, pools: &mut [PoolLayout], targets: &Targets, wide_ips_of_pool: &References) {
    let depends_on = |pool: &PoolLayout| -> BTreeSet<usize> {
        let named = pool.members.iter().flat_map(|member| targets.of(member.source));
        let wide_ips = named.filter_map(|id| model.wide_ip(*id));
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
    cut_circles(pools, targets, &in_circle, wide_ips_of_pool);
}

/// Cuts the members of the pools in a circle that lead to another of them.
fn cut_circles(pools: &mut [PoolLayout], targets: &Targets, in_circle: &BTreeSet<u32>, wide_ips_of_pool: &References) {
    let leads_on: BTreeSet<u32> =
        in_circle.iter().flat_map(|&pool| wide_ips_of_pool.of(index(pool))).copied().collect();
    for &pool in in_circle {
        let Some(pool) = pools.get_mut(index(pool)) else { continue };
        for member in &mut pool.members {
            if targets.of(member.source).iter().any(|id| leads_on.contains(&id.0)) {
                member.source = MemberSource::Loop;
            }
        }
    }
}
