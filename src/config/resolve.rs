//! A DNS node's configuration: what is written → what is true.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::wideip::{Ageing, Model};
use crate::wire::Name;
use crate::{listener, mesh};

use super::file;
use super::issues::Issues;
use super::limits;
use super::monitors::Monitors;
use super::names::check_object_name;
use super::node::{Place, Shortened};
use super::peers;
use super::pools;
use super::sources::{Reader, show_io};
use super::steering::Steering;
use super::topology;
use super::values::Written;
use super::{
    Chaos, Config, GeoDatabases, LISTEN_DEFAULT, SyntheticZone, Unmatched, answers, edns, keys, transfers, views,
    wide_ips, zone_files, zones,
};

/// Checks everything below `root`; what is wrong goes to the reader's issues, and a value is made all the same.
pub(crate) fn resolve(written: &file::Node, root: &Place<'_>, reader: &Reader<'_>, seed: u64) -> Config {
    let issues = reader.issues;
    // Their errors are told where all limits are resolved.
    reader.hold_to(answers::sizes(written.limits.as_ref(), root, &Issues::default()));
    check_object_name(&written.node, &root.field("node"), issues);
    let monitors = Monitors::resolve(&written.monitors, &root.field("monitors"), reader);
    let mut steering = Steering::resolve(written, root, &monitors, issues);
    let pools = pools::resolve(written, root, &mut steering, issues);
    let keys = keys::resolve(&written.keys, &root.field("keys"), reader);
    let views = views::list(written, root, &keys, issues);
    if !written.views.is_empty() {
        steering.model.views = views.iter().map(|view| view.name.clone()).collect();
    }
    for view in &views {
        wide_ips::resolve(view, &mut steering, &pools, issues, reader.sources);
    }
    wide_ips::check_targets(written, root, &steering, issues);
    let known = topology::Known { datacenters: &steering.datacenters, pools: &pools };
    let topology = topology::resolve(written, root, &known, issues);
    let Steering { model, monitors, .. } = steering;
    let state = folder(written.state.as_deref(), &root.field("state"), reader);
    let interval = report_interval(written, root, issues);
    let listeners = listeners(written, root, issues);
    let answers = answers::resolve(written, root, &views, listeners.udp_workers, seed, issues);
    Config {
        node: written.node.as_str().into(),
        listeners,
        admin: admin(written.admin.as_ref(), Some(limits::ADMIN_ADDRESS)),
        control: match &written.control {
            Some(path) => reader.sources.resolve(root.field("control").position(), path),
            None => state.join("control.sock"),
        },
        mesh: mesh(written, root, &model, &state, interval, reader),
        state,
        unmatched: match written.unmatched {
            Some(file::Unmatched::Refused) => Unmatched::Refused,
            Some(file::Unmatched::Drop) => Unmatched::Drop,
            Some(file::Unmatched::NxDomain) | None => Unmatched::NxDomain,
        },
        zone_files: zone_files::list(&views, reader),
        journal_zone_octets_max: limits::JOURNAL_ZONE_OCTETS.take(
            written.journal.as_ref().and_then(|journal| journal.zone_octets_max),
            &root.field("journal").field("zone_octets_max"),
            issues,
        ),
        synthetic_zone: synthetic_zone(written, root, issues),
        chaos: written
            .chaos
            .as_ref()
            .map_or_else(Chaos::default, |chaos| Chaos { version: chaos.version.clone(), id: chaos.id.clone() }),
        answers,
        handed_off: {
            let own = written.limits.as_ref().and_then(|limits| limits.handed_off);
            limits::HANDED_OFF.take(own, &root.field("limits").field("handed_off"), issues)
        },
        edns: edns::resolve(written.edns.as_ref(), &root.field("edns"), reader),
        transfers: Arc::new(transfers::resolve(written, root, &views, &keys, issues)),
        views: zones::resolve(views, reader, seed),
        keys: Arc::new(keys),
        topology,
        geoip: geoip(written, root, reader),
        model,
        monitors,
        ageing: ageing(written, root, interval, issues),
        ready_timeout: limits::READY_TIMEOUT.take(value(written.ready_timeout), &root.field("ready_timeout"), issues),
        watch: written.watch.unwrap_or(false),
        seed,
        files: Vec::new(),
    }
}

/// The value of an optional text.
pub(crate) fn value<T>(written: Option<Written<T>>) -> Option<T> {
    written.map(|written| written.0)
}

/// The state folder; what is written is relative to its file.
fn folder(written: Option<&Path>, place: &Place<'_>, reader: &Reader<'_>) -> PathBuf {
    match written {
        Some(path) => reader.sources.resolve(place.position(), path),
        None => limits::STATE_FOLDER.into(),
    }
}

fn listeners(written: &file::Node, root: &Place<'_>, issues: &Issues) -> listener::Settings {
    let place = root.field("listeners");
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (index, listener) in written.listeners.iter() {
        let place = place.item(index);
        if let Some(name) = &listener.name {
            check_object_name(name, &place.field("name"), issues);
            if names.contains(&name.as_str()) {
                issues.error(&place.field("name"), format!("there are two listeners `{}`", Shortened(name)));
            }
            names.push(name);
        }
        if !place.has("address") && !place.has("addresses") {
            issues.error_at_key(&place, "`address` is missing");
        }
        let port = listener.port.unwrap_or(limits::LISTENER_PORT);
        let several = listener.addresses.as_ref().map_or(&[][..], |list| &list.0);
        for address in listener.address.iter().chain(several) {
            let address = SocketAddr::new(address.0, port);
            // Port 0 is any free port, of which there can be several.
            if port != 0 && addresses.contains(&address) {
                issues.error(&place, format!("{address} is listened on twice"));
            }
            addresses.push(address);
        }
    }
    if written.listeners.is_empty() {
        addresses = LISTEN_DEFAULT.to_vec();
    }
    let place = root.field("limits");
    let workers = written.limits.as_ref().and_then(|limits| limits.udp_workers);
    let workers = workers.or_else(|| std::thread::available_parallelism().ok().map(std::num::NonZero::get));
    let udp_workers = limits::UDP_WORKERS.take(workers, &place.field("udp_workers"), issues);
    listener::Settings { addresses, udp_workers, tcp: tcp(written, &place.field("tcp"), issues) }
}

fn tcp(written: &file::Node, place: &Place<'_>, issues: &Issues) -> listener::TcpLimits {
    let none = file::TcpLimits::default();
    let tcp = written.limits.as_ref().and_then(|limits| limits.tcp.as_ref()).unwrap_or(&none);
    let time = |limit: limits::Limit<Duration>, written, key| limit.take(value(written), &place.field(key), issues);
    let count = |limit: limits::Limit<usize>, written, key| limit.take(written, &place.field(key), issues);
    listener::TcpLimits {
        connections: count(limits::TCP_CONNECTIONS, tcp.connections, "connections"),
        connections_per_client: {
            count(limits::TCP_CONNECTIONS_PER_CLIENT, tcp.connections_per_client, "connections_per_client")
        },
        connections_per_network: {
            count(limits::TCP_CONNECTIONS_PER_NETWORK, tcp.connections_per_network, "connections_per_network")
        },
        idle: time(limits::TCP_IDLE, tcp.idle, "idle"),
        first_message: time(limits::TCP_FIRST_MESSAGE, tcp.first_message, "first_message"),
        message: time(limits::TCP_MESSAGE, tcp.message, "message"),
        lifetime: time(limits::TCP_LIFETIME, tcp.lifetime, "lifetime"),
        queries: limits::TCP_QUERIES.take(tcp.queries, &place.field("queries"), issues),
        pipelined: count(limits::TCP_PIPELINED, tcp.pipelined, "pipelined"),
        write_stall: time(limits::TCP_WRITE_STALL, tcp.write_stall, "write_stall"),
    }
}

/// Where the admin server listens, `default` where nothing is said.
pub(crate) fn admin(written: Option<&file::Admin>, default: Option<&str>) -> Option<SocketAddr> {
    if written.is_some_and(|admin| admin.enabled == Some(false)) {
        return None;
    }
    let address = written.and_then(|admin| value(admin.address));
    address.or_else(|| default.and_then(|address| address.parse().ok()))
}

fn report_interval(written: &file::Node, root: &Place<'_>, issues: &Issues) -> Duration {
    let interval = written.mesh.as_ref().and_then(|mesh| value(mesh.report_interval));
    limits::REPORT_INTERVAL.take(interval, &root.field("mesh").field("report_interval"), issues)
}

fn mesh(
    written: &file::Node,
    root: &Place<'_>,
    model: &Model,
    state: &Path,
    report_interval: Duration,
    reader: &Reader<'_>,
) -> Option<mesh::Settings> {
    let peers = peers::resolve(written, root, model, reader.issues);
    if written.mesh.is_none() && peers.is_empty() {
        return None;
    }
    let own = written.mesh.as_ref();
    Some(mesh::Settings {
        name: written.node.as_str().into(),
        listen: own.and_then(|mesh| value(mesh.address)),
        state: match own.and_then(|mesh| mesh.state.as_deref()) {
            Some(path) => reader.sources.resolve(root.field("mesh").field("state").position(), path),
            None => state.join("mesh"),
        },
        peers,
        report_interval,
    })
}

fn ageing(written: &file::Node, root: &Place<'_>, interval: Duration, issues: &Issues) -> Ageing {
    let place = root.field("ageing");
    let fresh = written.ageing.as_ref().and_then(|ageing| value(ageing.fresh));
    let stale = written.ageing.as_ref().and_then(|ageing| value(ageing.stale));
    let fresh = fresh.unwrap_or(interval.saturating_mul(limits::FRESH_INTERVALS));
    let stale = stale.unwrap_or(interval.saturating_mul(limits::STALE_INTERVALS).max(fresh));
    let ageing = Ageing {
        fresh: limits::AGEING.take(Some(fresh), &place.field("fresh"), issues),
        stale: limits::AGEING.take(Some(stale), &place.field("stale"), issues),
    };
    if ageing.stale < ageing.fresh {
        issues
            .error(&place.field("stale"), "a verdict cannot expire while it is fresh: `stale` is shorter than `fresh`");
    }
    ageing
}

fn synthetic_zone(written: &file::Node, root: &Place<'_>, issues: &Issues) -> SyntheticZone {
    let place = root.field("synthetic_zone");
    let own = written.synthetic_zone.as_ref();
    let names = own.and_then(|zone| zone.name_servers.as_ref()).map(|names| &names.0);
    let name_servers: Vec<Name> = match names {
        Some(names) => names.iter().map(|name| name.0.clone()).collect(),
        // No name is known that leads here; RFC 7535's way of saying so, under a domain that cannot exist.
        None => vec![default_name("ns.invalid.")],
    };
    let contact = own
        .and_then(|zone| zone.contact.as_deref())
        .and_then(|contact| mailbox(contact).map_err(|why| issues.error(&place.field("contact"), why)).ok());
    let ttl = own.and_then(|zone| value(zone.ttl)).map(|ttl| ttl.0);
    let negative = own.and_then(|zone| value(zone.negative_ttl)).map(|ttl| ttl.0);
    SyntheticZone {
        name_servers,
        contact: contact.unwrap_or_else(|| default_name("hostmaster.invalid.")),
        ttl_seconds: limits::SYNTHETIC_TTL.take(ttl, &place.field("ttl"), issues),
        negative_ttl_seconds: limits::SYNTHETIC_NEGATIVE_TTL.take(negative, &place.field("negative_ttl"), issues),
    }
}

fn default_name(text: &str) -> Name {
    text.parse().unwrap_or_else(|_| Name::root())
}

/// A mailbox as a name: `hostmaster@example.com`, or `hostmaster.example.com.` as in an SOA (RFC 1035 §8).
pub(crate) fn mailbox(text: &str) -> Result<Name, String> {
    let bad = |why: &dyn std::fmt::Display| format!("`{}` is not a mailbox: {why}", super::node::Shortened(text));
    let Some((local, domain)) = text.rsplit_once('@') else {
        return text.parse().map_err(|error: crate::wire::NameError| bad(&error));
    };
    // A dot before the `@` belongs to the first label.
    let local = local.replace('\\', "\\\\").replace('.', "\\.");
    format!("{local}.{domain}").parse().map_err(|error: crate::wire::NameError| bad(&error))
}

fn geoip(written: &file::Node, root: &Place<'_>, reader: &Reader<'_>) -> GeoDatabases {
    let place = root.field("geoip");
    let read = |path: Option<&Path>, key| {
        let place = place.field(key);
        let (path, bytes) = reader.bytes(path?, &place, limits::GEOIP_FILE_BYTES_MAX);
        // The format keeps its description behind this marker, within the last 128 KiB of the file.
        const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
        match bytes {
            Ok(bytes) if bytes.rchunks(128 << 10).next().is_some_and(|end| contains(end, MARKER)) => Some(bytes),
            Ok(_) => {
                reader.issues.error(&place, format!("{} is not a MaxMind database", path.display()));
                None
            }
            Err(error) => {
                reader.issues.error(&place, format!("cannot read {}: {}", path.display(), show_io(&error)));
                None
            }
        }
    };
    let own = written.geoip.as_ref();
    GeoDatabases {
        city: read(own.and_then(|geoip| geoip.city.as_deref()), "city"),
        asn: read(own.and_then(|geoip| geoip.asn.as_deref()), "asn"),
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
