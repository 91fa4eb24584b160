//! The servers that are compared: each started with the same zone, one worker, and nothing that limits or logs queries.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{cpu, data, hickory};

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);

/// A way to run one server: writes its files into a folder of its own and gives the command.
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// The program; a peer whose program is absent is left out.
    pub program: &'static str,
    /// Writes the configuration and gives the arguments. The zone stands in `bench.zone` of the folder; a server that
    /// watches health finds its members at [`data::MEMBERS`] addresses of loopback and the port given last.
    pub prepare: fn(&Path, SocketAddr, u16) -> Vec<String>,
}

/// The peers, fastest first.
pub const PEERS: [Peer; 6] = [
    Peer { name: "gdnsd", program: "/usr/sbin/gdnsd", prepare: gdnsd },
    Peer { name: "NSD", program: "/usr/sbin/nsd", prepare: nsd },
    Peer { name: "Knot", program: "/usr/sbin/knotd", prepare: knot },
    Peer { name: "PowerDNS", program: "/usr/sbin/pdns_server", prepare: powerdns },
    Peer { name: "BIND", program: "/usr/sbin/named", prepare: bind },
    Peer { name: "hickory-server", program: "/proc/self/exe", prepare: hickory::arguments },
];

/// Fairlead itself, as cargo built it for this bench.
pub const FAIRLEAD: &str = env!("CARGO_BIN_EXE_fairlead");

/// A running server; dropping it ends it.
pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    /// From its start to its first right answer.
    pub answered_after: Duration,
    child: Child,
}

impl Server {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most resident memory it has had, in bytes.
    pub fn peak(&self) -> u64 {
        cpu::peak(self.child.id())
    }

    /// Starts a peer on the core the caller is pinned to and waits until it answers `probe`. None when it is absent.
    pub fn start(peer: &Peer, folder: &Path, zone: &str, members: u16, probe: &[u8]) -> Option<Self> {
        if !Path::new(peer.program).exists() {
            return None;
        }
        let folder = folder.join(peer.name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("bench.zone"), zone).unwrap();
        let address = free_address();
        let arguments = (peer.prepare)(&folder, address, members);
        Some(Self::launch(peer.name, Path::new(peer.program), &arguments, &folder, address, probe))
    }

    /// Starts Fairlead on the core the caller is pinned to with a configuration, and waits until it answers `probe`.
    pub fn fairlead(folder: &Path, configuration: impl FnOnce(&Path, SocketAddr) -> String, probe: &[u8]) -> Self {
        let (folder, address) = (folder.join("Fairlead"), free_address());
        fs::create_dir_all(&folder).unwrap();
        let text = configuration(&folder, address);
        let path = write(&folder, "fairlead.yaml", &text);
        let arguments = arguments(&["serve", "-c", path.to_str().unwrap()]);
        Self::launch("Fairlead", Path::new(FAIRLEAD), &arguments, &folder, address, probe)
    }

    /// Starts a program that serves `address` and waits until it answers `probe`.
    pub fn launch(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
        address: SocketAddr,
        probe: &[u8],
    ) -> Self {
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { name, address, answered_after: Duration::ZERO, child };
        server.wait_until_it_answers(probe, &folder.join("log"));
        server
    }

    /// Its processor time until now.
    pub fn times(&self) -> cpu::Times {
        cpu::process_tree(self.child.id())
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        cpu::resident(self.child.id())
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    fn wait_until_it_answers(&mut self, probe: &[u8], log: &Path) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let started = Instant::now();
        let mut answer = [0; 4096];
        loop {
            let _ = socket.send(probe); // It may not listen yet.
            match socket.recv(&mut answer) {
                Ok(length) if length > 12 && answer[3] & 0xf == 0 => {
                    self.answered_after = started.elapsed();
                    return;
                }
                // Refused, or not loaded yet.
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > START_MAX {
                let log = fs::read_to_string(log).unwrap_or_default();
                panic!("{} does not answer ({ended:?}); its log:\n{log}", self.name);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM); // It may have ended.
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill(); // As above.
        let _ = self.child.wait(); // As above.
    }
}

/// A port of loopback that nobody holds now, for datagrams and streams.
pub fn free_address() -> SocketAddr {
    loop {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Connections under way, of probes say, take ports too.
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn write(folder: &Path, file: &str, text: &str) -> PathBuf {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn arguments(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// The zone as it is, and [`data::WIDE_IPS`] names on one weighted resource with the same members and monitor.
fn gdnsd(folder: &Path, address: SocketAddr, members: u16) -> Vec<String> {
    let listed: Vec<String> =
        (1..=data::MEMBERS).map(|member| format!("v{member} => [ 127.0.0.{member}, {member} ]")).collect();
    let service = format!("{{ plugin => tcp_connect, port => {members}, interval => 5, timeout => 2 }}");
    let resources = format!(" hosts => {{ service_types => port, {} }}\n", listed.join(", "));
    let names = (0..data::WIDE_IPS).map(|at| format!("weighted{at} 30 DYNA weighted!hosts\n"));
    gdnsd_with(folder, address, &service, &resources, &names.collect::<String>())
}

/// gdnsd with the zone that lies in the folder and these resources of its weighted plugin, whose monitor is `service`;
/// `names` are added to the zone.
pub fn gdnsd_with(folder: &Path, address: SocketAddr, service: &str, resources: &str, names: &str) -> Vec<String> {
    let text = format!(
        "options => {{\n listen => {address}\n udp_threads => 1\n tcp_threads => 1\n \
         run_dir => {0}/run\n state_dir => {0}/state\n}}\n\
         service_types => {{ port => {service} }}\nplugins => {{ weighted => {{\n{resources}}} }}\n",
        folder.display(),
    );
    write(folder, "etc/config", &text);
    for made in ["run", "state", "etc/zones"] {
        fs::create_dir_all(folder.join(made)).unwrap();
    }
    let zone = fs::read_to_string(folder.join("bench.zone")).unwrap() + names;
    write(folder, "etc/zones/bench.example", &zone);
    arguments(&["-c", folder.join("etc").to_str().unwrap(), "start"])
}

fn nsd(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    // Debian's build limits responses unless told otherwise.
    let text = format!(
        "server:\n server-count: 1\n ip-address: {1}@{2}\n username: \"\"\n chroot: \"\"\n zonesdir: {0}\n \
         pidfile: {0}/pid\n xfrdfile: {0}/xfrd\n zonelistfile: {0}/zones\n xfrdir: {0}\n rrl-ratelimit: 0\n \
         rrl-whitelist-ratelimit: 0\n\
         remote-control:\n control-enable: no\n\
         zone:\n name: bench.example.\n zonefile: bench.zone\n",
        folder.display(),
        address.ip(),
        address.port()
    );
    let path = write(folder, "nsd.conf", &text);
    arguments(&["-d", "-c", path.to_str().unwrap()])
}

fn knot(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    let text = format!(
        "server:\n  listen: {1}@{2}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  rundir: {0}\n\
         database:\n  storage: {0}/db\n\
         log:\n  - target: stderr\n    any: error\n\
         zone:\n  - domain: bench.example.\n    storage: {0}\n    file: bench.zone\n",
        folder.display(),
        address.ip(),
        address.port()
    );
    let path = write(folder, "knot.conf", &text);
    arguments(&["-c", path.to_str().unwrap()])
}

fn powerdns(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    let zones = format!("zone \"bench.example\" {{ type master; file \"{}/bench.zone\"; }};\n", folder.display());
    write(folder, "zones.conf", &zones);
    let text = format!(
        "launch=bind\nbind-config={0}/zones.conf\nlocal-address={1}\nlocal-port={2}\nreceiver-threads=1\n\
         socket-dir={0}\ndaemon=no\nguardian=no\nloglevel=0\nwrite-pid=no\n",
        folder.display(),
        address.ip(),
        address.port()
    );
    write(folder, "pdns.conf", &text);
    arguments(&[&format!("--config-dir={}", folder.display())])
}

fn bind(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    let text = format!(
        "options {{ directory \"{0}\"; pid-file \"{0}/pid\"; session-keyfile \"{0}/key\"; recursion no;\n\
         listen-on port {2} {{ {1}; }}; listen-on-v6 {{ none; }}; }};\n\
         controls {{ }};\n\
         zone \"bench.example\" {{ type primary; file \"{0}/bench.zone\"; }};\n",
        folder.display(),
        address.ip(),
        address.port()
    );
    let path = write(folder, "named.conf", &text);
    arguments(&["-f", "-n", "1", "-c", path.to_str().unwrap()])
}
