//! What depends on the model alone: who refers to whom, and how names, pools and members are laid out.

use super::ids::index;
use super::members::{Gathering, MemberLayout, MemberSource, PoolLayout, Targets, set_levels};
use super::names::NameIndex;
use super::{Model, Pool, PoolId, PoolMethod, VirtualServerId, WideIp};
use crate::topology::{AnswerClass, Candidate, Topology};

/// Everything about a model that status does not change. Shared by all tables of one model.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) names: NameIndex,
    /// The pools with a member on each virtual server.
    pub(super) pools_of_virtual_server: References,
    /// Those of them that go by its load, so that what is measured of it touches them and no others.
    pub(super) by_load_of_virtual_server: References,
    /// Those of them that have no marks.
    pub(super) unmarked_of_virtual_server: References,
    /// Where each virtual server stands in the pools that have marks, as [`place`] has it.
    pub(super) places_of_virtual_server: References,
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
    /// The wide IPs that CNAME members name.
    pub(super) targets: Targets,
    /// For each wide IP, its pools as topology sees them.
    pub(super) classes_of_wide_ip: Vec<Box<[AnswerClass]>>,
    /// The number of each wide IP's first (wide IP, pool) pair: see [`Tables::pairs`](super::Tables::pairs).
    pub(super) pair_base: Vec<u32>,
    /// The most members in a pool, and the most answers of one decision.
    pub(super) members_max: usize,
}

/// A pool that has marks and a member of it, in one number.
fn place(pool: u32, member: u32) -> u32 {
    pool.saturating_mul(MEMBERS_OF_PLACE) | member
}

/// The pool and the member of a [`place`].
pub(super) const fn pool_and_member(place: u32) -> (u32, u32) {
    (place / MEMBERS_OF_PLACE, place % MEMBERS_OF_PLACE)
}

/// How many members a pool with marks can have, a power of two: [`MARKED_MAX`](super::marks::MARKED_MAX).
const MEMBERS_OF_PLACE: u32 = 16;

/// From each of some objects to others: one list cut into pieces.
#[derive(Debug, Default)]
pub(super) struct References {
    ends: Box<[u32]>,
    targets: Box<[u32]>,
}

impl References {
    /// Builds from pairs of (from, to); what is named twice stands once.
    pub(super) fn build(length: usize, pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
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

impl Layout {
    /// Works out the layout of a model.
    pub(super) fn build(model: &Model, topology: &Topology, seed: u64) -> Self {
        let names = NameIndex::build(model, seed);
        let mut gathering =
            Gathering { model, topology, names: &names, rdata: Vec::new(), targets: Targets::default() };
        let mut pools: Vec<PoolLayout> = model.pools.iter().map(|pool| gathering.pool(pool)).collect();
        let Gathering { rdata, targets, .. } = gathering;
        let wide_ips_of_pool = wide_ips_of_pool(model);
        set_levels(model, &mut pools, &targets, &wide_ips_of_pool);
        let of_pools = || (0..).zip(&pools).flat_map(|(id, pool)| pool.members.iter().map(move |member| (id, member)));
        let of_member = |member: &MemberLayout| match member.source {
            MemberSource::VirtualServer(VirtualServerId(id)) | MemberSource::NoAddress(VirtualServerId(id)) => Some(id),
            _ => None,
        };
        let virtual_servers = || of_pools().filter_map(|(pool, member)| Some((of_member(member)?, pool)));
        let is_marked = |pool: u32| pools.get(index(pool)).is_some_and(|layout| layout.is_marked);
        let marked = (0..).zip(&pools).filter(|(_, pool)| pool.is_marked);
        let places = marked.flat_map(|(id, pool)| {
            let members = (0..).zip(&pool.members);
            members.filter_map(move |(at, member)| Some((of_member(member)?, place(id, at))))
        });
        let named = of_pools().flat_map(|(pool, member)| targets.of(member.source).iter().map(move |id| (id.0, pool)));
        let mut pairs = 0_u32;
        let pair_base = model.wide_ips.iter().map(|wide_ip| {
            let base = pairs;
            pairs = pairs.saturating_add(u32::try_from(wide_ip.pools.len()).unwrap_or(u32::MAX)).saturating_add(2);
            base
        });
        Self {
            pools_of_virtual_server: References::build(model.virtual_servers.len(), virtual_servers()),
            by_load_of_virtual_server: {
                let goes_by_load = |pool: u32| model.pool(PoolId(pool)).is_some_and(goes_by_load);
                let by_load = virtual_servers().filter(|(_, pool)| goes_by_load(*pool));
                References::build(model.virtual_servers.len(), by_load)
            },
            unmarked_of_virtual_server: {
                let unmarked = virtual_servers().filter(|(_, pool)| !is_marked(*pool));
                References::build(model.virtual_servers.len(), unmarked)
            },
            places_of_virtual_server: References::build(model.virtual_servers.len(), places),
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
            targets,
        }
    }
}

fn goes_by_load(pool: &Pool) -> bool {
    [pool.preferred, pool.alternate, pool.fallback].contains(&PoolMethod::LeastConnections)
}

fn wide_ips_of_pool(model: &Model) -> References {
    let used = (0..).zip(&model.wide_ips).flat_map(|(id, wide_ip)| {
        let pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
        pools.map(move |pool| (pool.0, id))
    });
    References::build(model.pools.len(), used)
}

fn pool_classes(model: &Model, wide_ip: &WideIp, topology: &Topology) -> Box<[AnswerClass]> {
    let class = |id: PoolId| {
        let name = model.pool(id).map(|pool| &*pool.name);
        topology.classify_answer(&Candidate { pool: name, ..Candidate::default() })
    };
    wide_ip.pools.iter().map(|reference| class(reference.pool)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_cut_into_pieces_by_their_origin() {
        let references = References::build(4, [(2, 7), (0, 3), (2, 5), (0, 3)]);
        let check = |from, expected: &[u32]| assert_eq!(references.of(from), expected);
        check(0, &[3]);
        check(1, &[]);
        check(2, &[5, 7]);
        check(3, &[]);
        check(4, &[]);
    }
}
