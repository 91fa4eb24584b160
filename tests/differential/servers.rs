//! NSD and Knot on loopback with one zone, ended when dropped.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::generate::APEX;

/// A server process that ends with its value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free for UDP and TCP a moment ago.
pub(crate) fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

pub(crate) fn nsd(program: &Path, folder: &Path, zone_file: &Path) -> Server {
    let port = free_port();
    let folder = folder.display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: \"{folder}\"\n  \
         database: \"\"\n  pidfile: \"{folder}/nsd.pid\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  xfrdir: \"{folder}\"\n  logfile: \"{folder}/nsd.log\"\n\
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
    let port = free_port();
    let folder = folder.display();
    let config = format!(
        "node: differential\nlisteners: [{{address: 127.0.0.1, port: {port}}}]\nstate: {folder}/state\n\
         control: {folder}/control.sock\nzones: [{{name: {APEX}, file: {}}}]\n",
        zone_file.display()
    );
    let file = format!("{folder}/fairlead.yaml");
    fs::write(&file, config).unwrap();
    start(Command::new(env!("CARGO_BIN_EXE_fairlead")).args(["serve", "-c", &file]), port, &file)
}

/// Starts a server and waits until it answers for the zone.
pub(crate) fn start(command: &mut Command, port: u16, log: &str) -> Server {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { address: SocketAddr::from(([127, 0, 0, 1], port)), child };
    let soa = super::packet(APEX, "SOA", false, 1);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut reply = [0; 4096];
    while Instant::now() < deadline {
        let _ = socket.send_to(&soa, server.address);
        if let Ok(length) = socket.recv(&mut reply)
            && length > 12
            && reply[3] & 0xf == 0
            && reply[7] > 0
        {
            return server;
        }
    }
    panic!("{command:?} does not answer for {APEX}: {}", fs::read_to_string(log).unwrap_or_default());
}
