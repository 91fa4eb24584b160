//! All that answers depend on, as one immutable value.

use std::sync::Arc;

use super::settings::{Settings, SyntheticZone};
use super::transfers::Transfers;
use crate::metrics::DecisionLayout;
use crate::wideip::{OUTCOMES, Tables};
use crate::wire::{Keys, Name, NameKey, NameMap, RecordType};
use crate::zone::{Zone, ZoneBuilder};

/// Zones, wide IPs and settings as one value: built by the publisher, shared by every worker, never changed.
#[derive(Clone)]
pub struct Snapshot {
    /// Grows by one with every publish.
    pub generation: u64,
    /// The secret that names are hashed with; one per process.
    pub(super) seed: u64,
    pub(super) zones: Arc<NameMap<Arc<Zone>>>,
    pub(super) wide_ips: Tables,
    decisions: Arc<DecisionLayout>,
    pub(super) settings: Arc<Settings>,
    /// The SOA of unmatched names.
    pub(super) root_soa: Arc<[u8]>,
}

impl Snapshot {
    /// Puts a snapshot together; the zones and wide IPs must have been made with the same `seed`.
    pub fn new(generation: u64, zones: &[Arc<Zone>], wide_ips: Tables, settings: Arc<Settings>, seed: u64) -> Self {
        let zones = NameMap::build(zones.iter().map(|zone| (zone.apex().clone(), Arc::clone(zone))), seed);
        let decisions = Arc::new(DecisionLayout::new(wide_ips.pairs(), OUTCOMES));
        let root_soa = settings.synthetic_zone.soa().into();
        Self { generation, seed, zones: Arc::new(zones), wide_ips, decisions, settings, root_soa }
    }

    /// The next snapshot, in which only the wide IPs' health differs: shares the rest.
    pub fn with_wide_ips(&self, generation: u64, wide_ips: Tables) -> Self {
        Self { generation, wide_ips, ..self.clone() }
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

    /// The zones it serves, in no order.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// The zone of exactly the name in `key`.
    pub fn zone(&self, key: &NameKey) -> Option<&Arc<Zone>> {
        self.zones.get(key, 0)
    }

    /// The zone that encloses the name in `key` most closely.
    pub fn enclosing(&self, key: &NameKey) -> Option<&Arc<Zone>> {
        self.zones.longest(key, 0).map(|(_, zone)| zone)
    }

    /// The keys that messages may be signed with.
    pub fn keys(&self) -> &Keys {
        &self.settings.keys
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
    for name in homeless {
        if !made.iter_mut().any(|builder| builder.hold(name).is_ok()) {
            made.push(synthetic_zone(name, synthetic, seed));
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
