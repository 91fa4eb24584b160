//! A loaded configuration made ready for the publisher: everything slow is done here, on another thread.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::answer::{self, CookieMode, CookieSecret, EdnsSettings, Selector, prepare_zones};
use crate::config::{self, Config};
use crate::mesh::PeerAddress;
use crate::monitor::{Monitor, Target};
use crate::status;
use crate::topology::Topology;
use crate::wideip::{Model, Pattern, VirtualServerId};
use crate::wire::{Name, NameKey};
use crate::zone::{ViewName, Zone, ZoneBuilder, ZoneId, ZoneMap};

use super::names;

/// How long after a start a failing probe does not replace a better verdict that was remembered: our own network may
/// not be up yet.
const STARTUP_GRACE: Duration = Duration::from_secs(30);

/// What the publisher takes over in one piece.
pub(super) struct Prepared {
    /// This node's name.
    pub(super) node: Arc<str>,
    /// The objects as configured, before discovery.
    pub(super) model: Model,
    /// What is probed from here.
    pub(super) monitors: Vec<(VirtualServerId, Vec<Monitor>)>,
    /// How verdicts age.
    pub(super) status: status::Settings,
    /// The zones of each view, in the order of the model's views.
    pub(super) views: Vec<ViewZones>,
    /// Chooses among them; without it the only one takes every query.
    pub(super) selector: Option<Arc<Selector>>,
    /// Settings of the answer path.
    pub(super) answer: Arc<answer::Settings>,
    /// Records and regions, compiled.
    pub(super) topology: Arc<Topology>,
    /// The agents and DNS nodes to dial.
    pub(super) peers: Vec<PeerAddress>,
    /// How long readiness waits for the first health round.
    pub(super) ready_timeout: Duration,
    /// What names are hashed under.
    pub(super) seed: u64,
    /// When it was loaded, in seconds since 1970 modulo 2^32, for the serials of catalogs that are made here.
    pub(super) loaded: u32,
}

/// What one view serves beside its wide IPs.
#[derive(Clone)]
pub(super) struct ViewZones {
    /// The view's name.
    pub(super) name: ViewName,
    /// Zones in which the names of wide IPs exist.
    pub(super) zones: ZoneMap,
    /// The names of the view's wide IPs by the apexes of the zones that enclose them, in which they exist.
    pub(super) held: HashMap<Name, Vec<Name>>,
}

impl ViewZones {
    /// The view of that name with these zones and wide IPs, whose names exist in them already.
    pub(super) fn new(name: ViewName, zones: Vec<Arc<Zone>>, held: Vec<Name>, seed: u64) -> Self {
        let zones = ZoneMap::build(zones, seed);
        let mut by_zone: HashMap<Name, Vec<Name>> = HashMap::new();
        for name in held {
            if let Some((_, zone)) = zones.longest(&NameKey::new(&name, seed), 0) {
                by_zone.entry(zone.apex().clone()).or_default().push(name);
            }
        }
        Self { name, zones, held: by_zone }
    }

    fn of_view(view: config::View, model: &Model, config: &Config) -> Self {
        let config::View { name, zones, .. } = view;
        // A zone without records is served as one that has not come yet.
        let secondaries =
            config.transfers.iter().filter(|(id, transfer)| id.view == name && transfer.primary.is_some());
        let secondaries = secondaries.map(|(id, _)| Arc::new(ZoneBuilder::new(&id.apex, config.seed).finish()));
        let zones = secondaries.chain(zones).collect();
        let held = exact_names(model, &name);
        let zones = prepare_zones(zones, &held, &config.synthetic_zone, config.seed);
        Self::new(name, zones, held, config.seed)
    }

    /// Its zones with their identities.
    pub(super) fn zones(&self) -> impl Iterator<Item = (ZoneId, Arc<Zone>)> {
        self.zones.values().map(|zone| (ZoneId::new(self.name.clone(), zone.apex().clone()), Arc::clone(zone)))
    }
}

impl Prepared {
    /// Takes zones and objects out of `config`, which was `loaded` then, and compiles them. The error names what cannot be compiled.
    pub(super) fn new(config: &mut Config, loaded: u32) -> Result<Self, String> {
        let (city, asn) = (config.geoip.city.take(), config.geoip.asn.take());
        let topology = Topology::compile(&config.topology, city.as_deref(), asn.as_deref())
            .map_err(|error| format!("compiling the topology: {error}"))?;
        let model = std::mem::take(&mut config.model);
        let synthetic_zone = config.synthetic_zone.clone();
        let views = std::mem::take(&mut config.views);
        let is_chosen = views.len() > 1 || !views.iter().all(|view| view.criteria.takes_all());
        let criteria = views.iter().map(|view| view.criteria.clone()).collect();
        let views = views.into_iter().map(|view| ViewZones::of_view(view, &model, config)).collect();
        let (unmatched, chaos) = (config.unmatched, config.chaos.clone());
        Ok(Self {
            node: config.node.clone(),
            model,
            monitors: std::mem::take(&mut config.monitors),
            status: status::Settings { ageing: config.ageing, startup_grace: STARTUP_GRACE },
            views,
            selector: is_chosen.then(|| Arc::new(Selector::new(criteria))),
            answer: Arc::new(answer::Settings {
                unmatched,
                chaos,
                synthetic_zone,
                keys: Arc::clone(&config.keys),
                transfers: Arc::clone(&config.transfers),
                limits: config.answers.clone(),
                edns: edns_settings(config)?,
            }),
            topology: Arc::new(topology),
            peers: config.mesh.as_ref().map(|mesh| mesh.peers.clone()).unwrap_or_default(),
            ready_timeout: config.ready_timeout,
            seed: config.seed,
            loaded,
        })
    }

    /// What is to be probed under `model`, which may know more addresses than the configuration.
    pub(super) fn targets(monitors: &[(VirtualServerId, Vec<Monitor>)], model: &Model) -> Vec<Target> {
        let target = |(id, monitors): &(VirtualServerId, Vec<Monitor>)| {
            let virtual_server = model.virtual_servers.get(names::index(id.0))?;
            Some(Target {
                server: model.servers.get(names::index(virtual_server.server.0))?.name.clone(),
                virtual_server: virtual_server.name.clone(),
                address: virtual_server.address?,
                monitors: monitors.clone(),
            })
        };
        monitors.iter().filter_map(target).collect()
    }
}

/// The settings of EDNS options, with a secret for cookies where none is configured: the same for as long as the process
/// runs, so that a reload makes no cookie worthless.
fn edns_settings(config: &Config) -> Result<EdnsSettings, String> {
    static SECRET: OnceLock<CookieSecret> = OnceLock::new();
    let mut settings = config.edns.clone();
    if settings.cookies.mode == CookieMode::Off || !settings.cookies.secrets.is_empty() {
        return Ok(settings);
    }
    let mut drawn = [0; 16];
    getrandom::fill(&mut drawn).map_err(|error| format!("drawing a cookie secret from the system: {error}"))?;
    settings.cookies.secrets = vec![*SECRET.get_or_init(|| CookieSecret(drawn))];
    Ok(settings)
}

/// The names, aliases among them, under which wide IPs of a view answer without a pattern.
fn exact_names(model: &Model, view: &ViewName) -> Vec<Name> {
    let of_view = model.wide_ips.iter().filter(|wide_ip| wide_ip.view == *view);
    let patterns = of_view.flat_map(|wide_ip| std::iter::once(&wide_ip.name).chain(&wide_ip.aliases));
    let exact = |pattern: &Pattern| match pattern {
        Pattern::Exact(name) => Some(name.clone()),
        Pattern::Glob(_) => None,
    };
    patterns.filter_map(exact).collect()
}
