//! An agent's configuration: what is written → what is true.

use std::net::SocketAddr;

use crate::agent::{LocalVirtualServer, Settings, SourceSettings};
use crate::mesh;

use super::file;
use super::limits;
use super::monitors::Monitors;
use super::names::check_object_name;
use super::node::Place;
use super::resolve::{admin, value};
use super::sources::Reader;

/// Checks everything below `root`; what is wrong goes to the reader's issues, and a value is made all the same.
pub(crate) fn resolve(written: &file::Agent, root: &Place<'_>, reader: &Reader<'_>) -> Settings {
    check_object_name(&written.server, &root.field("server"), reader.issues);
    let monitors = Monitors::resolve(&written.monitors, &root.field("monitors"), reader);
    let mut sources = Vec::new();
    if let Some(source) = &written.haproxy {
        sources.push(haproxy(source, &root.field("haproxy"), reader));
    }
    if let Some(source) = &written.static_source {
        sources.push(static_source(source, &root.field("static"), &monitors, reader));
    }
    if !root.has("haproxy") && !root.has("static") {
        reader.issues.error_at_key(root, "there is nothing to report: `haproxy` or `static` is missing");
    }
    Settings { mesh: mesh(written, root, reader), sources, admin: admin(written.admin.as_ref(), None) }
}

fn mesh(written: &file::Agent, root: &Place<'_>, reader: &Reader<'_>) -> mesh::Settings {
    let place = root.field("mesh");
    let own = written.mesh.as_ref();
    let interval = own.and_then(|mesh| value(mesh.report_interval));
    let any = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, limits::MESH_PORT));
    mesh::Settings {
        name: written.server.as_str().into(),
        listen: Some(own.and_then(|mesh| value(mesh.listen)).unwrap_or(any)),
        state: match own.and_then(|mesh| mesh.state.as_deref()) {
            Some(path) => reader.sources.resolve(place.field("state").position(), path),
            None => std::path::Path::new(limits::STATE_FOLDER).join("mesh"),
        },
        peers: Vec::new(),
        report_interval: limits::REPORT_INTERVAL.take(interval, &place.field("report_interval"), reader.issues),
    }
}

fn haproxy(written: &file::Haproxy, place: &Place<'_>, reader: &Reader<'_>) -> SourceSettings {
    let frontends = written.frontends.iter().filter_map(|(index, name, frontend)| {
        let place = place.field("frontends").entry(index);
        check_object_name(name, &place, reader.issues);
        let frontend = frontend?;
        check_port(frontend.port, &place, reader);
        Some(LocalVirtualServer {
            name: name.into(),
            address: SocketAddr::new(frontend.address.0, frontend.port),
            probe_address: None,
            backends: frontend.backends.iter().flat_map(|names| &names.0).map(|name| name.as_str().into()).collect(),
            monitors: Vec::new(),
        })
    });
    SourceSettings::Haproxy {
        socket: reader.sources.resolve(place.field("socket").position(), &written.socket),
        configuration: written
            .configuration
            .as_deref()
            .map(|path| reader.sources.resolve(place.field("configuration").position(), path)),
        frontends: frontends.collect(),
        interval: limits::HAPROXY_INTERVAL.take(value(written.interval), &place.field("interval"), reader.issues),
    }
}

fn static_source(
    written: &file::StaticSource,
    place: &Place<'_>,
    monitors: &Monitors<'_>,
    reader: &Reader<'_>,
) -> SourceSettings {
    let virtual_servers = written.virtual_servers.iter().filter_map(|(index, name, virtual_server)| {
        let place = place.field("virtual_servers").entry(index);
        check_object_name(name, &place, reader.issues);
        let virtual_server = virtual_server?;
        check_port(virtual_server.port, &place, reader);
        Some(LocalVirtualServer {
            name: name.into(),
            address: SocketAddr::new(virtual_server.address.0, virtual_server.port),
            probe_address: value(virtual_server.probe_address),
            backends: Vec::new(),
            monitors: monitors.find(&virtual_server.monitors, &place.field("monitors"), reader.issues),
        })
    });
    SourceSettings::Static { virtual_servers: virtual_servers.collect() }
}

fn check_port(port: u16, place: &Place<'_>, reader: &Reader<'_>) {
    if port == 0 {
        reader.issues.error(&place.field("port"), "0 is not a port");
    }
}
