//! NSD, Knot, BIND and PowerDNS on loopback with the zone `example.`, as secondary or as primary of another server, with
//! one key.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::server::{Server, start};
use super::tool;

/// The key all sides share.
pub(crate) const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";

/// The part a peer plays; the other side listens on this port of 127.0.0.1.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// It gets the zone from the other side, takes its notifications, and gives it to whoever has the key.
    SecondaryOf(u16),
    /// It has the zone in `example.zone`, gives it to the other side and notifies it.
    PrimaryOf(u16),
}

/// The programs that are tried.
pub(crate) const PROGRAMS: [&str; 4] = ["nsd", "knotd", "named", "pdns_server"];

/// Starts a program on `port` with `folder` for all its files; none when it is not installed.
pub(crate) fn peer(program: &str, folder: &Path, port: u16, role: Role) -> Option<Server> {
    peer_with_key(program, folder, port, role, "k")
}

/// The same with another name for the key.
pub(crate) fn peer_with_key(program: &str, folder: &Path, port: u16, role: Role, key: &str) -> Option<Server> {
    let path = tool(program)?;
    if program == "pdns_server" {
        return power_dns(&path, folder, port, role, key);
    }
    let (configuration, arguments): (String, &[&str]) = match program {
        "nsd" => (nsd(folder, port, role, key), &["-d", "-c"]),
        "knotd" => (knot(folder, port, role, key), &["-c"]),
        _ => (bind(folder, port, role, key), &["-g", "-c"]),
    };
    // Knot keeps changes there and does not make the folder.
    fs::create_dir_all(folder.join("knot-db")).unwrap();
    let file = folder.join("peer.conf");
    fs::write(&file, configuration).unwrap();
    let log = folder.join("peer.log");
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(path);
    command.args(arguments).arg(&file).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    Some(start(&mut command, port, &log, "example."))
}

/// Makes a program read its zone file again.
pub(crate) fn reload(program: &str, folder: &Path, server: &Server) {
    let mut command = match program {
        "pdns_server" => {
            let mut command = Command::new("pdns_control");
            command.arg(format!("--config-dir={}", folder.display())).args(["bind-reload-now", "example"]);
            command
        }
        _ => {
            let mut command = Command::new("kill");
            command.args(["-HUP", &server.child.id().to_string()]);
            command
        }
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn nsd(folder: &Path, port: u16, role: Role, key: &str) -> String {
    let folder = folder.display();
    let zone = match role {
        Role::SecondaryOf(other) => {
            format!(
                "  request-xfr: 127.0.0.1@{other} {key}\n  allow-notify: 127.0.0.1 {key}\n  provide-xfr: 127.0.0.1 {key}\n  zonefile: \"{folder}/secondary.zone\"\n"
            )
        }
        Role::PrimaryOf(other) => format!(
            "  provide-xfr: 127.0.0.1 {key}\n  notify: 127.0.0.1@{other} {key}\n  store-ixfr: yes\n  create-ixfr: yes\n  \
             zonefile: \"{folder}/example.zone\"\n"
        ),
    };
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: \"{folder}\"\n  \
         database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  xfrdir: \"{folder}\"\n  verbosity: 2\nremote-control:\n  control-enable: no\n\
         key:\n  name: {key}\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\nzone:\n  name: example.\n{zone}"
    )
}

fn knot(folder: &Path, port: u16, role: Role, key: &str) -> String {
    let folder = folder.display();
    let (other, action, zone) = match role {
        Role::SecondaryOf(other) => (other, "[notify, transfer]", "    master: other\n    file: secondary.zone\n"),
        Role::PrimaryOf(other) => {
            (other, "transfer", "    notify: other\n    file: example.zone\n    zonefile-load: difference\n")
        }
    };
    format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  storage: \"{folder}/knot-db\"\nkey:\n  \
         - id: {key}.\n    algorithm: hmac-sha256\n    secret: {SECRET}\nremote:\n  - id: other\n    address: 127.0.0.1@{other}\n    \
         key: {key}.\nacl:\n  - id: peer\n    address: 127.0.0.1\n    key: {key}.\n    action: {action}\nzone:\n  - domain: example.\n    \
         storage: \"{folder}\"\n    acl: peer\n    semantic-checks: off\n{zone}"
    )
}

fn bind(folder: &Path, port: u16, role: Role, key: &str) -> String {
    let folder = folder.display();
    let zone = match role {
        Role::SecondaryOf(other) => format!(
            "type secondary; file \"secondary.db\"; primaries {{ 127.0.0.1 port {other} key {key}; }}; allow-notify {{ key {key}; }}; allow-transfer {{ key {key}; }};"
        ),
        Role::PrimaryOf(other) => format!(
            "type primary; file \"example.zone\"; allow-transfer {{ key {key}; }}; notify explicit; \
             also-notify {{ 127.0.0.1 port {other} key {key}; }}; ixfr-from-differences yes;"
        ),
    };
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/session.key\"; recursion no; dnssec-validation no; \
         notify-delay 0; managed-keys-directory \"{folder}\"; }};\ncontrols {{ }};\nkey \"{key}\" {{ algorithm hmac-sha256; \
         secret \"{SECRET}\"; }};\nzone \"example\" {{ {zone} }};\n"
    )
}

/// PowerDNS with its BIND backend: keys and what it does with them are in a database of its own. That backend takes whole
/// zones only: it says that it took changes over and goes on serving the version before.
fn power_dns(program: &Path, folder: &Path, port: u16, role: Role, key: &str) -> Option<Server> {
    let shown = folder.display();
    let (zone, role) = match role {
        Role::SecondaryOf(other) => (
            format!("type slave; file \"{shown}/secondary.zone\"; masters {{ 127.0.0.1:{other}; }};"),
            "secondary=yes\n".to_owned(),
        ),
        Role::PrimaryOf(other) => (
            format!("type master; file \"{shown}/example.zone\";"),
            format!("primary=yes\nalso-notify=127.0.0.1:{other}\nbind-check-interval=1\n"),
        ),
    };
    let is_primary = role.starts_with("primary");
    fs::write(folder.join("named.conf"), format!("zone \"example\" {{ {zone} }};\n")).unwrap();
    let configuration = format!(
        "launch=bind\nbind-config={shown}/named.conf\nbind-dnssec-db={shown}/keys.db\nlocal-address=127.0.0.1\n\
         local-port={port}\nsocket-dir={shown}\ndaemon=no\nguardian=no\ndisable-syslog=yes\nxfr-cycle-interval=1\nsetuid=\n\
         setgid=\ncache-ttl=0\nquery-cache-ttl=0\nzone-cache-refresh-interval=0\n{role}"
    );
    fs::write(folder.join("pdns.conf"), configuration).unwrap();
    let at = format!("--config-dir={shown}");
    let database = format!("{shown}/keys.db");
    let own = if is_primary { "primary" } else { "secondary" };
    let commands: [&[&str]; 3] = [
        &["create-bind-db", &database],
        &["import-tsig-key", key, "hmac-sha256", SECRET],
        &["activate-tsig-key", "example", key, own],
    ];
    let utility = tool("pdnsutil")?;
    for arguments in commands {
        let done = Command::new(&utility).arg(&at).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let log = folder.join("peer.log");
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(program);
    command.arg(&at).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    Some(start(&mut command, port, &log, "example."))
}
