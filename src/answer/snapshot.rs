//! All that answers depend on, as one value.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::Limits;
use super::selector::{Origin, Selector};
use super::settings::{Settings, SyntheticZone};
use super::transfers::Transfers;
use super::view::View;
use crate::metrics::DecisionLayout;
use crate::wideip::{OUTCOMES, Tables, ViewId};
use crate::wire::{Keys, Name, NameKey, NameMap, RecordType};
use crate::zone::{ViewName, Zone, ZoneBuilder, ZoneId, ZoneMap};

/// Zones, wide IPs and settings as one value: built by the publisher, shared by every worker, and never changed but for the
/// marks of [`Tables`].
#[derive(Clone)]
pub struct Snapshot {
    /// Grows by one with every publish.
    pub generation: u64,
    /// The secret that names are hashed with; one per process.
    pub(super) seed: u64,
    /// The only view, or the first one: apart from the others, so that one view costs no further step.
    pub(super) first: View,
    others: Arc<[View]>,
    /// Chooses among the views; without it the first one takes every query.
    selector: Option<Arc<Selector>>,
    pub(super) wide_ips: Tables,
    decisions: Arc<DecisionLayout>,
    pub(super) settings: Arc<Settings>,
    /// The SOA of unmatched names.
    pub(super) root_soa: Arc<[u8]>,
}

impl Snapshot {
    /// Puts a snapshot of the view `default` alone together; the zones and wide IPs must have been made with the same
    /// `seed`.
    pub fn new(generation: u64, zones: &[Arc<Zone>], wide_ips: Tables, settings: Arc<Settings>, seed: u64) -> Self {
        let view = View::new(ViewName::default(), zones, seed);
        Self::with_views(generation, vec![view], None, wide_ips, settings, seed)
    }

    /// Puts a snapshot together; the views must stand in the order of the wide IPs' model and of the selector's criteria,
    /// and all must have been made with the same `seed`. Without a selector the first view takes every query.
    pub fn with_views(
        generation: u64,
        mut views: Vec<View>,
        selector: Option<Arc<Selector>>,
        wide_ips: Tables,
        settings: Arc<Settings>,
        seed: u64,
    ) -> Self {
        for (view, id) in views.iter_mut().zip((0..).map(ViewId)) {
            view.id = id;
            view.restrict(&settings.limits.access, seed);
        }
        let others = views.split_off(views.len().min(1)).into();
        let first = views.pop().unwrap_or_else(|| View::new(ViewName::default(), &[], seed));
        let decisions = Arc::new(DecisionLayout::new(wide_ips.pairs(), OUTCOMES));
        let root_soa = settings.synthetic_zone.soa().into();
        Self { generation, seed, first, others, selector, wide_ips, decisions, settings, root_soa }
    }

    /// The next snapshot, in which only the wide IPs' health differs: shares the rest.
    pub fn with_wide_ips(&self, generation: u64, wide_ips: Tables) -> Self {
        Self { generation, wide_ips, ..self.clone() }
    }

    /// The same with other zones in its views: shares the rest, so that a change of one zone costs the same however
    /// many there are.
    #[must_use]
    pub fn with_zones(mut self, zones: impl IntoIterator<Item = ZoneMap>) -> Self {
        let mut zones = zones.into_iter();
        self.first.zones = zones.next().unwrap_or_default();
        let others = self.others.iter().zip(zones);
        self.others = others.map(|(view, zones)| view.clone().with_zones(zones)).collect();
        self
    }

    /// Whether zones and settings are those of `other`, so that only the health of wide IPs may differ.
    pub fn has_same_zones(&self, other: &Self) -> bool {
        let is_same = |(view, other): (&View, &View)| view.name() == other.name() && view.zones.is_same(&other.zones);
        self.others.len() == other.others.len()
            && self.views().zip(other.views()).all(is_same)
            && Arc::ptr_eq(&self.settings, &other.settings)
    }

    /// Which counter each decision belongs to.
    #[inline]
    pub const fn decisions(&self) -> &Arc<DecisionLayout> {
        &self.decisions
    }

    /// The wide IPs as decisions see them.
    pub const fn wide_ips(&self) -> &Tables {
        &self.wide_ips
    }

    /// The only view, or the first one.
    pub const fn first_view(&self) -> &View {
        &self.first
    }

    /// The view that a query is answered from; none when no view takes it.
    #[inline]
    pub fn select(&self, origin: &Origin<'_>) -> Option<&View> {
        match &self.selector {
            None => Some(&self.first),
            Some(selector) => self.numbered(selector.select(origin)?),
        }
    }

    /// What chooses among the views; none where there is but one, which takes every query.
    pub const fn selector(&self) -> Option<&Arc<Selector>> {
        self.selector.as_ref()
    }

    /// The same with no more than one view, which takes every query; without one no query is taken.
    #[must_use]
    pub fn only(&self, view: Option<&View>) -> Self {
        let selector = view.is_none().then(|| Arc::new(Selector::new(Vec::new())));
        let first = view.unwrap_or(&self.first).clone();
        Self { first, others: Arc::new([]), selector, ..self.clone() }
    }

    fn numbered(&self, id: ViewId) -> Option<&View> {
        match id.0.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(usize::try_from(other).ok()?),
        }
    }

    /// The views, in their order.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        std::iter::once(&self.first).chain(&*self.others)
    }

    /// The view of that name.
    pub fn view(&self, name: &ViewName) -> Option<&View> {
        self.views().find(|view| view.name() == name)
    }

    /// The zones of every view, in no order.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Arc<Zone>)> {
        self.views().flat_map(View::identified)
    }

    /// The zone of that identity.
    pub fn zone(&self, id: &ZoneId) -> Option<&Arc<Zone>> {
        self.view(&id.view)?.zone(&NameKey::new(&id.apex, self.seed))
    }

    /// The keys that messages may be signed with.
    pub fn keys(&self) -> &Keys {
        &self.settings.keys
    }

    /// What may be taken of this node.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Who may have which zone.
    pub fn transfers(&self) -> &Transfers {
        &self.settings.transfers
    }

    /// The secret that names are hashed with.
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

/// Makes the names of wide IPs exist in the zones that enclose them, and makes a zone for each that none encloses, so
/// that their other types are NODATA, the names above them exist, and every negative answer finds an SOA.
pub fn prepare_zones(
    zones: Vec<Arc<Zone>>,
    wide_ip_names: &[Name],
    synthetic: &SyntheticZone,
    seed: u64,
) -> Vec<Arc<Zone>> {
    let mut builders: Vec<(Arc<Zone>, Option<ZoneBuilder>)> = zones.into_iter().map(|zone| (zone, None)).collect();
    let by_name = NameMap::build(builders.iter().enumerate().map(|(i, (zone, _))| (zone.apex().clone(), i)), seed);
    let mut homeless = Vec::new();
    for name in wide_ip_names {
        let found = by_name.longest(&NameKey::new(name, seed), 0).map(|(_, index)| *index);
        let Some((zone, builder)) = found.and_then(|index| builders.get_mut(index)) else {
            homeless.push(name);
            continue;
        };
        let builder = builder.get_or_insert_with(|| ZoneBuilder::from(&**zone));
        let held = builder.hold(name);
        debug_assert!(held.is_ok(), "the zone was found as the one that encloses the name");
    }
    let mut prepared: Vec<Arc<Zone>> = builders
        .into_iter()
        .map(|(zone, builder)| builder.map_or(zone, |builder| Arc::new(builder.finish())))
        .collect();
    // Shorter names first, so that a wide IP below another homeless one joins its zone.
    homeless.sort_by_key(|name| name.label_count());
    let mut made: Vec<ZoneBuilder> = Vec::new();
    let mut homes: HashMap<Name, usize> = HashMap::new();
    for name in homeless {
        let lower = name.to_lowercase();
        let above = std::iter::successors(Some(lower.clone()), Name::parent);
        let home = above.filter_map(|name| homes.get(&name)).next().and_then(|&at| made.get_mut(at));
        match home.map(|builder| builder.hold(name)) {
            Some(held) => debug_assert!(held.is_ok(), "the zone was found as one above the name"),
            None => {
                homes.insert(lower, made.len());
                made.push(synthetic_zone(name, synthetic, seed));
            }
        }
    }
    prepared.extend(made.into_iter().map(|builder| Arc::new(builder.finish())));
    prepared
}

fn synthetic_zone(apex: &Name, synthetic: &SyntheticZone, seed: u64) -> ZoneBuilder {
    let mut builder = ZoneBuilder::new(apex, seed);
    let soa = (RecordType::SOA, synthetic.soa());
    let name_servers = synthetic.name_servers.iter().map(|name| (RecordType::NS, name.as_wire().to_vec()));
    for (record_type, rdata) in std::iter::once(soa).chain(name_servers) {
        let added = builder.add(apex, record_type, synthetic.ttl_seconds, &rdata);
        debug_assert!(added.is_ok(), "the apex is in its zone");
    }
    builder
}
