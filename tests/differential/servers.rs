//! NSD, Knot and Fairlead on loopback with one zone.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::generate::APEX;
use super::support::server::{self, Server, free_port};

pub(crate) fn nsd(program: &Path, folder: &Path, zone_file: &Path) -> Server {
    let port = free_port();
    let folder = folder.display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: \"{folder}\"\n  \
         database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  xfrdir: \"{folder}\"\n  rrl-ratelimit: 0\n  logfile: \"{folder}/nsd.log\"\n\
         remote-control:\n  control-enable: no\nzone:\n  name: {APEX}\n  zonefile: \"{}\"\n",
        zone_file.display()
    );
    let file = format!("{folder}/nsd.conf");
    fs::write(&file, config).unwrap();
    start(Command::new(program).args(["-d", "-c", &file]), port, &format!("{folder}/nsd.log"))
}

pub(crate) fn knot(program: &Path, folder: &Path, zone_file: &Path) -> Server {
    let port = free_port();
    let folder = folder.display();
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\nlog:\n  - target: \"{folder}/knot.log\"\n    any: info\ndatabase:\n  \
         storage: \"{folder}/knot-db\"\nzone:\n  - domain: {APEX}\n    file: \"{}\"\n    zonefile-sync: -1\n    \
         journal-content: none\n    semantic-checks: off\n",
        zone_file.display()
    );
    let file = format!("{folder}/knot.conf");
    fs::write(&file, config).unwrap();
    start(Command::new(program).args(["-c", &file]), port, &format!("{folder}/knot.log"))
}

pub(crate) fn fairlead(folder: &Path, zone_file: &Path) -> Server {
    // As the others do with a name under no zone.
    let configuration = format!("unmatched: refused\nzones: [{{name: {APEX}, file: {}}}]\n", zone_file.display());
    let server = server::fairlead(folder, &configuration, APEX);
    server::wait_for_zone(&server, APEX, &folder.join("fairlead.log"));
    server
}

/// Starts a server and waits until it serves the zone.
fn start(command: &mut Command, port: u16, log: &str) -> Server {
    let log = Path::new(log);
    let server = server::start(command, port, log, APEX);
    server::wait_for_zone(&server, APEX, log);
    server
}
