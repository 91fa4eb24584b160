//! The tables that decisions read: built from a model and its status, and refreshed where status changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::chunks::Chunks;
use super::derive::effective;
use super::ids::index;
use super::layout::{Layout, pool_and_member};
use super::marks::{MarkList, Marks};
use super::members::MemberSource;
use super::rows::{Before, Making, MemberState, PoolHead, WideIpHead, pool_head, pool_row, wide_ip_row};
use super::{Model, Pool, PoolId, VirtualServerId, WideIp, WideIpId};
use crate::status::{
    Ageing, Availability, Changed, Enabled, Freshness, Measurements, Moment, ObjectKind, Overrides, Settings, Status,
    Table,
};
use crate::topology::Topology;
use crate::wire::RecordType;
use crate::zone::ViewName;

/// All that decisions depend on, as one value of which a refreshed copy shares what did not change. It never changes itself
/// but in one thing: which members of a small pool that stays available are usable is marked in place.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(super) model: Arc<Model>,
    pub(super) topology: Arc<Topology>,
    pub(super) layout: Arc<Layout>,
    pub(super) pools: Chunks<PoolHead>,
    /// Which members of small pools are usable now, whatever was when their rows were made.
    pub(super) marks: MarkList,
    pub(super) wide_ips: Chunks<WideIpHead>,
    pub(super) virtual_servers: Chunks<Option<VirtualServerView>>,
    pub(super) overrides: Arc<Overrides>,
    pub(super) now: Moment,
}

/// What is known of a virtual server, as published.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServerView {
    /// Its merged status.
    pub status: Status,
    /// The last verdict known of it.
    pub held: Option<Availability>,
    /// How much that may be trusted.
    pub freshness: Freshness,
    /// What was measured of it; empty unless fresh.
    pub measurements: Measurements,
}

/// The pools and wide IPs that a refresh left in another state (available, enabled) than they were in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shifts {
    /// Pools, each once.
    pub pools: BTreeSet<PoolId>,
    /// Wide IPs, each once.
    pub wide_ips: BTreeSet<WideIpId>,
}

/// What waits to be made anew, lower levels of pools first.
#[derive(Default)]
struct Dirty {
    pools: BTreeSet<(u32, u32)>,
    wide_ips: BTreeSet<u32>,
}

/// What is gathered while rows are made.
#[derive(Default)]
struct Gathered {
    /// The states of the members of one pool.
    members: Vec<MemberState>,
    /// The marks of the pools made.
    marks: Vec<(usize, Marks)>,
}

impl Tables {
    /// Tables of no wide IPs: every name is the zones'.
    pub fn empty(seed: u64) -> Self {
        let settings =
            Settings { ageing: Ageing { fresh: Duration::ZERO, stale: Duration::ZERO }, startup_grace: Duration::ZERO };
        let status = Table::new(Model::default().watched(), settings, Moment::default());
        Self::build(Arc::default(), Arc::new(Topology::default()), &status, seed)
    }

    /// Builds the tables of a model. Names are hashed under `seed`, as the [`NameKey`]s of questions must be.
    pub fn build(model: Arc<Model>, topology: Arc<Topology>, status: &Table, seed: u64) -> Self {
        let layout = Arc::new(Layout::build(&model, &topology, seed));
        Self::assemble(model, topology, layout, status, |_| None, |_| None)
    }

    /// Builds the tables of another model; objects of the same name keep since when they are in their state, and what
    /// was answered last.
    #[must_use]
    pub fn rebuild(&self, model: Arc<Model>, topology: Arc<Topology>, status: &Table) -> Self {
        let layout = Arc::new(Layout::build(&model, &topology, self.layout.names.seed));
        let pools: HashMap<&str, usize> =
            self.model.pools.iter().enumerate().map(|(at, pool)| (&*pool.name, at)).collect();
        let wide_ips: HashMap<(&super::Pattern, RecordType, &ViewName), usize> = {
            let named = self.model.wide_ips.iter().enumerate();
            named.map(|(at, wide_ip)| ((&wide_ip.name, wide_ip.record_type, &wide_ip.view), at)).collect()
        };
        let pool_before = |new: usize| {
            let old = *pools.get(&*model.pools.get(new)?.name)?;
            let row = self.pools.get(old)?;
            let before = row.head.before(row.words, self.marks.get(old).usable);
            let old = &self.layout.pools.get(old)?.identities;
            let identities: Vec<u64> = before.good.iter().filter_map(|&at| old.get(index(at)).copied()).collect();
            let members = (0..).zip(&layout.pools.get(new)?.identities);
            let good = members.filter(|(_, identity)| identities.contains(identity)).map(|(at, _)| at);
            Some(Before { good: good.collect(), ..before })
        };
        let wide_ip_before = |new: usize| {
            let wide_ip = model.wide_ips.get(new)?;
            let old = wide_ips.get(&(&wide_ip.name, wide_ip.record_type, &wide_ip.view))?;
            let row = self.wide_ips.get(*old)?;
            Some(row.head.before())
        };
        Self::assemble(model.clone(), topology, layout.clone(), status, pool_before, wide_ip_before)
    }

    fn assemble(
        model: Arc<Model>,
        topology: Arc<Topology>,
        layout: Arc<Layout>,
        status: &Table,
        pool_before: impl Fn(usize) -> Option<Before<'static>>,
        wide_ip_before: impl Fn(usize) -> Option<Before<'static>>,
    ) -> Self {
        let mut tables = Self {
            pools: Chunks::build(0, |_, _| PoolHead::default()),
            marks: MarkList::new(model.pools.len()),
            wide_ips: Chunks::build(0, |_, _| WideIpHead::default()),
            virtual_servers: Chunks::build(model.virtual_servers.len(), |at, _| view(status, at)),
            overrides: Arc::new(status.overrides().clone()),
            now: status.now(),
            model,
            topology,
            layout,
        };
        let mut gathered = Gathered::default();
        // Pools that depend on wide IPs are made once more below, when those are known.
        tables.pools = Chunks::build(tables.model.pools.len(), |at, words| {
            let statics = tables.model.pools.get(at).zip(tables.layout.pools.get(at));
            let head = statics.map(|(pool, layout)| pool_head(pool, layout)).unwrap_or_default();
            tables.make_pool(at, &head, pool_before(at).as_ref(), &mut gathered, words)
        });
        tables.take_marks(&mut gathered);
        tables.wide_ips = Chunks::build(tables.model.wide_ips.len(), |at, words| {
            tables.make_wide_ip(at, wide_ip_before(at).as_ref(), words)
        });
        let above = (0..).zip(&tables.layout.pools).filter(|(_, pool)| pool.level > 0);
        let dirty = Dirty { pools: above.map(|(at, pool)| (pool.level, at)).collect(), wide_ips: BTreeSet::new() };
        tables.propagate(dirty, &HashMap::new(), &mut Shifts::default());
        tables
    }

    /// The tables after a change of status: what depends on it is made anew, all else is shared.
    #[must_use]
    pub fn refresh(&self, status: &Table, changed: &Changed) -> Self {
        self.refresh_noting(status, changed, &mut Shifts::default())
    }

    /// As [`refresh`](Self::refresh), and notes what is in another state than before.
    #[must_use]
    pub fn refresh_noting(&self, status: &Table, changed: &Changed, shifts: &mut Shifts) -> Self {
        let mut tables = self.clone();
        tables.now = status.now();
        let mut views: Vec<usize> = changed.virtual_servers.iter().chain(&changed.measured).copied().collect();
        views.sort_unstable();
        views.dedup();
        tables.virtual_servers = self.virtual_servers.with(&views, |at, _, _| view(status, at));
        let mut dirty = Dirty::default();
        let marked = tables.mark(self, &changed.virtual_servers, &mut dirty);
        for &virtual_server in &changed.measured {
            let by_load = self.layout.by_load_of_virtual_server.of(virtual_server);
            dirty.pools.extend(by_load.iter().map(|&pool| self.with_level(pool)));
        }
        if !changed.objects.is_empty() {
            tables.overrides = Arc::new(status.overrides().clone());
            for (kind, name) in &changed.objects {
                tables.mark_object(*kind, name, &mut dirty);
            }
        }
        tables.propagate(dirty, &marked, shifts);
        tables
    }

    /// Marks in small pools what became of virtual servers since `before`; names the pools whose rows that leaves wrong, and
    /// gives the marks that those of them had which were marked before that was known.
    fn mark(&self, before: &Self, virtual_servers: &[usize], dirty: &mut Dirty) -> HashMap<u32, Marks> {
        let mut marked = Vec::new();
        for &virtual_server in virtual_servers {
            let standing = |tables: &Self| tables.virtual_servers.get(virtual_server)?.head.as_ref()?.standing();
            let (Some(_), Some(availability)) = (standing(before), standing(self)) else {
                dirty.pools.extend(self.pools_of(virtual_server));
                continue;
            };
            for &place in self.layout.places_of_virtual_server.of(virtual_server) {
                let (pool, member) = pool_and_member(place);
                match self.marks.mark(index(pool), member, availability) {
                    Some(marks) => marked.push((pool, marks)),
                    // Of virtual servers alone, so of the lowest level.
                    None => _ = dirty.pools.insert((0, pool)),
                }
            }
            let unmarked = self.layout.unmarked_of_virtual_server.of(virtual_server);
            dirty.pools.extend(unmarked.iter().map(|&pool| self.with_level(pool)));
        }
        // Of a pool that was marked more than once the first stays.
        let of_dirty = marked.into_iter().rev().filter(|(pool, _)| dirty.pools.contains(&(0, *pool)));
        if dirty.pools.is_empty() { HashMap::new() } else { of_dirty.collect() }
    }

    /// Puts the marks of pools just made beside their rows.
    fn take_marks(&mut self, gathered: &mut Gathered) {
        if !gathered.marks.is_empty() {
            self.marks = self.marks.with(gathered.marks.drain(..));
        }
    }

    /// The pools with a member on a virtual server, each with its level.
    fn pools_of(&self, virtual_server: usize) -> impl Iterator<Item = (u32, u32)> {
        let pools = self.layout.pools_of_virtual_server.of(virtual_server).iter();
        pools.map(|&pool| self.with_level(pool))
    }

    fn with_level(&self, pool: u32) -> (u32, u32) {
        (self.layout.pools.get(index(pool)).map_or(0, |layout| layout.level), pool)
    }

    /// Marks what the override of an object touches; virtual servers below servers and datacenters are named apart.
    fn mark_object(&self, kind: ObjectKind, name: &str, dirty: &mut Dirty) {
        match kind {
            ObjectKind::Pool | ObjectKind::Member => {
                let named = |pool: &Pool| match kind {
                    ObjectKind::Pool => *pool.name == *name,
                    _ => name.strip_prefix(&*pool.name).is_some_and(|rest| rest.starts_with('/')),
                };
                let pools = (0..).zip(&self.model.pools).zip(&self.layout.pools);
                dirty.pools.extend(pools.filter(|((_, pool), _)| named(pool)).map(|((at, _), of)| (of.level, at)));
            }
            ObjectKind::WideIp => {
                let differs = |(at, wide_ip): &(u32, &WideIp)| {
                    let head = self.wide_ips.get(index(*at)).map(|row| row.head.enabled);
                    head != Some(self.enabled_of_wide_ip(wide_ip))
                };
                let wide_ips = (0..).zip(&self.model.wide_ips);
                dirty.wide_ips.extend(wide_ips.filter(differs).map(|(at, _)| at));
            }
            ObjectKind::Datacenter | ObjectKind::Server | ObjectKind::VirtualServer => {}
        }
    }

    /// Makes dirty pools anew, then the wide IPs that see a difference, then the pools that see one in those. `marked` are the
    /// marks of pools that were marked on the way here, as they were before.
    fn propagate(&mut self, mut dirty: Dirty, marked: &HashMap<u32, Marks>, shifts: &mut Shifts) {
        let mut gathered = Gathered::default();
        while !dirty.pools.is_empty() || !dirty.wide_ips.is_empty() {
            let lowest = dirty.pools.first().map_or(0, |(level, _)| *level);
            let above = dirty.pools.split_off(&(lowest + 1, 0));
            let pools: Vec<usize> =
                std::mem::replace(&mut dirty.pools, above).iter().map(|(_, at)| index(*at)).collect();
            let new = self.pools.with(&pools, |at, old, words| {
                let marks = u32::try_from(at).ok().and_then(|pool| marked.get(&pool)).copied();
                let before = old.head.before(old.words, marks.unwrap_or_else(|| self.marks.get(at)).usable);
                self.make_pool(at, old.head, Some(&before), &mut gathered, words)
            });
            self.take_marks(&mut gathered);
            for &pool in &pools {
                let seen = |list: &Chunks<PoolHead>| list.get(pool).map(|row| row.head.seen_from_above());
                let (before, after) = (seen(&self.pools), seen(&new));
                if before != after {
                    dirty.wide_ips.extend(self.layout.wide_ips_of_pool.of(pool));
                }
                if before.map(|(state, enabled, _)| (state, enabled))
                    != after.map(|(state, enabled, _)| (state, enabled))
                {
                    shifts.pools.extend(u32::try_from(pool).map(PoolId));
                }
            }
            self.pools = new;
            let wide_ips: Vec<usize> = std::mem::take(&mut dirty.wide_ips).into_iter().map(index).collect();
            let new =
                self.wide_ips.with(&wide_ips, |at, old, words| self.make_wide_ip(at, Some(&old.head.before()), words));
            for &wide_ip in &wide_ips {
                let seen =
                    |list: &Chunks<WideIpHead>| list.get(wide_ip).map(|row| (row.head.availability, row.head.enabled));
                if seen(&self.wide_ips) != seen(&new) {
                    shifts.wide_ips.extend(u32::try_from(wide_ip).map(WideIpId));
                    for &pool in self.layout.pools_of_wide_ip.of(wide_ip) {
                        let level = self.layout.pools.get(index(pool)).map_or(0, |layout| layout.level);
                        dirty.pools.insert((level, pool));
                    }
                }
            }
            self.wide_ips = new;
        }
    }

    fn make_pool(
        &self,
        at: usize,
        head: &PoolHead,
        before: Option<&Before<'_>>,
        gathered: &mut Gathered,
        words: &mut Vec<u32>,
    ) -> PoolHead {
        let Some(layout) = self.layout.pools.get(at) else { return PoolHead::default() };
        let members = &mut gathered.members;
        members.clear();
        members.extend((0..layout.members.len()).map(|member| self.member_state(at, member)));
        let is_wanted = match self.model.pools.get(at) {
            Some(pool) if self.overrides.has(ObjectKind::Pool) => {
                self.overrides.is_wanted(ObjectKind::Pool, &pool.name, pool.enabled)
            }
            _ => layout.is_enabled,
        };
        let enabled = if is_wanted { Enabled::Enabled } else { Enabled::Disabled };
        let mut head = pool_row(head, layout, members, Making { enabled, before, now: self.now }, words);
        if layout.is_marked {
            let marks = Marks::of(members, layout.needed);
            head.made_with = marks.usable;
            let is_available = head.availability == Availability::Available;
            gathered.marks.push((at, if is_available { marks } else { marks.fixed() }));
        }
        head
    }

    fn make_wide_ip(&self, at: usize, before: Option<&Before<'_>>, words: &mut Vec<u32>) -> WideIpHead {
        let Some(wide_ip) = self.model.wide_ips.get(at) else { return WideIpHead::default() };
        let pair_base = self.layout.pair_base.get(at).copied().unwrap_or(0);
        let enabled = self.enabled_of_wide_ip(wide_ip);
        let pool = |id: u32| self.pools.get(index(id)).map(|row| row.head);
        wide_ip_row(wide_ip, pair_base, pool, Making { enabled, before, now: self.now }, words)
    }

    fn enabled_of_wide_ip(&self, wide_ip: &WideIp) -> Enabled {
        let is_wanted = if self.overrides.has(ObjectKind::WideIp) {
            self.overrides.is_wanted(ObjectKind::WideIp, &wide_ip.full_name(), wide_ip.enabled)
        } else {
            wide_ip.enabled
        };
        if is_wanted { Enabled::Enabled } else { Enabled::Disabled }
    }

    /// The state of one member as its pool sees it.
    ///
    /// | member                       | availability                                                     |
    /// |------------------------------|------------------------------------------------------------------|
    /// | virtual server               | its own, by the pool's policy on what is unknown                 |
    /// | virtual server, no address   | offline: there is nothing to answer with                         |
    /// | static name                  | available                                                        |
    /// | name of wide IPs             | the best of those that are enabled; offline when there are none  |
    /// | name that leads back here    | offline                                                          |
    ///
    /// It is enabled when it is itself and its virtual server is.
    pub(super) fn member_state(&self, pool_at: usize, member_at: usize) -> MemberState {
        let down = MemberState {
            availability: Availability::Offline,
            is_enabled: false,
            can_be_answered: false,
            connections: None,
        };
        let Some(of_pool) = self.layout.pools.get(pool_at) else { return down };
        let Some(member) = of_pool.members.get(member_at) else { return down };
        let is_wanted = if self.overrides.has(ObjectKind::Member) {
            self.is_member_wanted(pool_at, member_at)
        } else {
            member.is_enabled
        };
        match &member.source {
            MemberSource::VirtualServer(id) | MemberSource::NoAddress(id) => {
                let Some(view) = self.virtual_server(*id) else { return down };
                let has_address = matches!(member.source, MemberSource::VirtualServer(_));
                MemberState {
                    availability: if has_address {
                        effective(view.freshness, view.held, of_pool.on_unknown)
                    } else {
                        Availability::Offline
                    },
                    is_enabled: is_wanted && view.status.enabled == Enabled::Enabled,
                    can_be_answered: has_address,
                    connections: view.measurements.connections,
                }
            }
            MemberSource::Static => MemberState {
                availability: Availability::Available,
                is_enabled: is_wanted,
                can_be_answered: true,
                connections: None,
            },
            MemberSource::WideIps { .. } => {
                let ids = self.layout.targets.of(member.source);
                let of_wide_ip = |id: &WideIpId| self.wide_ips.get(index(id.0)).map(|row| row.head);
                let enabled = ids.iter().filter_map(of_wide_ip).filter(|head| head.enabled == Enabled::Enabled);
                let tally = super::derive::Tally::of(enabled.map(|head| head.availability));
                MemberState {
                    availability: tally.availability(1),
                    is_enabled: is_wanted,
                    can_be_answered: true,
                    connections: None,
                }
            }
            MemberSource::Loop => MemberState { is_enabled: is_wanted, can_be_answered: true, ..down },
        }
    }

    fn is_member_wanted(&self, pool_at: usize, member_at: usize) -> bool {
        let Some(pool) = self.model.pools.get(pool_at) else { return false };
        let Some(member) = pool.members.get(member_at) else { return false };
        let name = format!("{}/{}", pool.name, self.model.member_name(member));
        self.overrides.is_wanted(ObjectKind::Member, &name, member.enabled)
    }

    /// What is known of a virtual server.
    pub fn virtual_server(&self, id: VirtualServerId) -> Option<&VirtualServerView> {
        self.virtual_servers.get(index(id.0))?.head.as_ref()
    }

    /// The RDATA of a pool's member: an address or, of a CNAME pool, the target in uncompressed wire form.
    #[inline]
    pub fn rdata(&self, pool: PoolId, member: u32) -> &[u8] {
        let Some(head) = self.pools.get(index(pool.0)).map(|row| row.head) else { return &[] };
        let stride = usize::from(head.rdata_stride);
        let start = index(head.rdata_start).saturating_add(index(member).saturating_mul(stride));
        let Some(slot) = self.layout.rdata.get(start..start.saturating_add(stride)) else { return &[] };
        if head.record_type != RecordType::CNAME {
            return slot;
        }
        let Some((&length, name)) = slot.split_first() else { return &[] };
        name.get(..usize::from(length)).unwrap_or_default()
    }

    /// Every (wide IP, pool) that a decision can be counted under, in the order of [`Decision::pair`](super::Decision);
    /// a pool of `-` stands for answers without a pool.
    pub fn pairs(&self) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
        self.model.wide_ips.iter().flat_map(|wide_ip| {
            let name: Arc<str> = wide_ip.full_name().into();
            let pool_name = |id: PoolId| self.model.pool(id).map_or_else(|| "-".into(), |pool| pool.name.clone());
            let pools = wide_ip.pools.iter().map(move |reference| pool_name(reference.pool));
            let last_resort = wide_ip.last_resort.map_or_else(|| "-".into(), pool_name);
            pools.chain([last_resort, "-".into()]).map(move |pool| (name.clone(), pool))
        })
    }

    /// The model that the tables are of.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The topology that decisions use.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The seed that questions' [`NameKey`]s must have.
    pub fn seed(&self) -> u64 {
        self.layout.names.seed
    }

    /// How many pools and wide IPs there are, and the most members of a pool.
    #[inline]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.pools.len(), self.wide_ips.len(), self.layout.members_max)
    }
}

fn view(status: &Table, at: usize) -> Option<VirtualServerView> {
    Some(VirtualServerView {
        status: status.status(at)?.clone(),
        held: status.held(at),
        freshness: status.freshness(at),
        measurements: status.measurements(at),
    })
}
