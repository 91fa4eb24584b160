//! Knot, BIND and NSD on loopback with the catalog `cat.`, as consumer or as producer, with one key.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::peers::SECRET;
use super::server::{Server, start};
use super::tool;

/// The part a peer plays; the other side listens on this port of 127.0.0.1.
#[derive(Clone, Copy)]
pub(crate) enum CatalogRole<'z> {
    /// It gets the catalog from the other side, and the zones that it lists.
    ConsumerOf(u16),
    /// It has the catalog and these zones, each in a file of its name, and notifies the other side.
    ProducerFor(u16, &'z [&'z str]),
}

/// The programs that make zones of what a catalog lists. NSD has that from 4.9 on.
pub(crate) const CONSUMERS: [&str; 2] = ["knotd", "named"];
/// The programs that serve a catalog: Knot makes it, the others have it in `cat.zone`.
pub(crate) const PRODUCERS: [&str; 3] = ["knotd", "named", "nsd"];

/// Writes the configuration for this role; what runs reads it again on SIGHUP.
pub(crate) fn configure(program: &str, folder: &Path, port: u16, role: CatalogRole<'_>) {
    let text = match program {
        "nsd" => nsd(folder, port, role),
        "knotd" => knot(folder, port, role),
        _ => bind(folder, port, role),
    };
    fs::create_dir_all(folder.join("knot-db")).unwrap();
    fs::write(folder.join("peer.conf"), text).unwrap();
}

/// Starts a program that was configured, and waits until it answers; none when it is not installed.
pub(crate) fn run(program: &str, folder: &Path, port: u16) -> Option<Server> {
    let arguments: &[&str] = match program {
        "nsd" => &["-d", "-c"],
        "knotd" => &["-c"],
        _ => &["-g", "-c"],
    };
    let log = folder.join("peer.log");
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(tool(program)?);
    command.args(arguments).arg(folder.join("peer.conf"));
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    Some(start(&mut command, port, &log, "cat."))
}

/// A catalog as a master file: lines of `label zone`, and whatever else is wanted.
pub(crate) fn catalog(serial: u32, members: &[(&str, &str)], more: &str) -> String {
    let members: String = members.iter().map(|(label, zone)| format!("{label}.zones PTR {zone}\n")).collect();
    format!("$ORIGIN cat.\n$TTL 0\n@ SOA invalid. invalid. {serial} 3600 600 86400 0\n@ NS invalid.\n{more}{members}")
}

fn nsd(folder: &Path, port: u16, role: CatalogRole<'_>) -> String {
    let folder = folder.display();
    let CatalogRole::ProducerFor(other, zones) = role else { panic!("NSD 4.6 knows no catalogs") };
    let zone = |name: &str| {
        format!(
            "zone:\n  name: {name}\n  zonefile: \"{folder}/{name}zone\"\n  provide-xfr: 127.0.0.1 k\n  notify: 127.0.0.1@{other} k\n"
        )
    };
    let zones: String = ["cat."].iter().chain(zones).map(|name| zone(name)).collect();
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: \"{folder}\"\n  \
         database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  xfrdir: \"{folder}\"\n  verbosity: 2\nremote-control:\n  control-enable: no\n\
         key:\n  name: k\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n{zones}"
    )
}

fn knot(folder: &Path, port: u16, role: CatalogRole<'_>) -> String {
    let folder = folder.display();
    let (other, action, zones) = match role {
        CatalogRole::ConsumerOf(other) => (
            other,
            "notify",
            format!(
                "template:\n  - id: default\n    storage: \"{folder}\"\n  - id: member\n    storage: \"{folder}\"\n    master: other\n    \
                 acl: peer\n    semantic-checks: off\nzone:\n  - domain: cat.\n    master: other\n    acl: peer\n    \
                 catalog-role: interpret\n    catalog-template: member\n"
            ),
        ),
        CatalogRole::ProducerFor(other, zones) => {
            let zone = |name: &&str| {
                format!(
                    "  - domain: {name}\n    file: {name}zone\n    notify: other\n    acl: peer\n    catalog-role: member\n    \
                     catalog-zone: cat.\n    semantic-checks: off\n    zonefile-load: difference\n"
                )
            };
            let zones: String = zones.iter().map(zone).collect();
            let text = format!(
                "template:\n  - id: default\n    storage: \"{folder}\"\nzone:\n  - domain: cat.\n    notify: other\n    acl: peer\n    \
                 catalog-role: generate\n{zones}"
            );
            (other, "transfer", text)
        }
    };
    format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  storage: \"{folder}/knot-db\"\nkey:\n  \
         - id: k.\n    algorithm: hmac-sha256\n    secret: {SECRET}\nremote:\n  - id: other\n    address: 127.0.0.1@{other}\n    \
         key: k.\nacl:\n  - id: peer\n    address: 127.0.0.1\n    key: k.\n    action: {action}\n{zones}"
    )
}

fn bind(folder: &Path, port: u16, role: CatalogRole<'_>) -> String {
    let folder = folder.display();
    let (catalogs, zones) = match role {
        CatalogRole::ConsumerOf(other) => (
            format!(
                "catalog-zones {{ zone \"cat\" default-primaries {{ 127.0.0.1 port {other} key k; }} in-memory yes \
                 min-update-interval 1; }}; allow-new-zones yes;"
            ),
            format!(
                "zone \"cat\" {{ type secondary; file \"cat.db\"; primaries {{ 127.0.0.1 port {other} key k; }}; \
                 allow-notify {{ key k; }}; }};\n"
            ),
        ),
        CatalogRole::ProducerFor(other, zones) => {
            let zone = |name: &str| {
                format!(
                    "zone \"{name}\" {{ type primary; file \"{name}zone\"; allow-transfer {{ key k; }}; notify explicit; \
                     also-notify {{ 127.0.0.1 port {other} key k; }}; ixfr-from-differences yes; }};\n"
                )
            };
            (String::new(), ["cat."].iter().chain(zones).map(|name| zone(name)).collect())
        }
    };
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/session.key\"; recursion no; dnssec-validation no; \
         notify-delay 0; managed-keys-directory \"{folder}\"; {catalogs} }};\ncontrols {{ }};\nkey \"k\" {{ algorithm hmac-sha256; \
         secret \"{SECRET}\"; }};\n{zones}"
    )
}
