//! Two sites on loopback in one process: a DNS node, two agents over real mutual TLS, four HTTP backends. Everything
//! goes through the files, loaders and functions that `serve` and `agent` use.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::agent::Agent;
use super::backend::Backend;
use super::clock::Clock;
use super::node::Node;
use super::operations::Operations;
use super::tasks::UnexpectedEnd;
use crate::admin::Readiness;
use crate::mesh::Role;
use crate::mesh::trust::{self, CERTIFICATE_LIFE, Overwrite};

/// The sites: datacenter, load balancer, the loopback addresses of its backends, the clients that are nearest.
const SITES: [Site; 2] = [
    Site { name: "newyork", backends: [[127, 10, 0, 11], [127, 10, 0, 12]], clients: "10.1.0.0/16" },
    Site { name: "london", backends: [[127, 20, 0, 11], [127, 20, 0, 12]], clients: "10.2.0.0/16" },
];
/// The port of the backends, when it is free.
const BACKEND_PORT: u16 = 8080;
/// How long the first health round may take.
const READY_MAX: Duration = Duration::from_secs(15);

struct Site {
    name: &'static str,
    backends: [[u8; 4]; 2],
    clients: &'static str,
}

/// The running world.
pub struct Demo {
    node: Node,
    agents: Vec<Agent>,
    backends: Vec<Backend>,
    folder: Folder,
}

/// What can be done with the world while it runs.
#[derive(Clone)]
pub struct Controls {
    backends: Arc<[Backend]>,
    operations: Arc<Operations>,
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Demo {
    /// Builds the world; DNS is answered on `port`, or on a free one when that is taken. Returns once the first health
    /// round is in.
    pub async fn start(port: u16, clock: Clock) -> Result<Self, String> {
        let folder = Folder::new()?;
        let backends = start_backends().await?;
        make_trust(folder.path(), clock)?;
        let mut agents = Vec::new();
        for site in &SITES {
            let of_site = backends.iter().filter(|backend| backend.name().starts_with(site.name));
            let path = folder.write(&format!("{}-agent.yaml", site.name), &agent_yaml(site, of_site))?;
            let settings = crate::config::load_agent(&path).map_err(|errors| errors.to_string())?;
            agents.push(Agent::start(&settings, clock).await.map_err(|error| error.to_string())?);
        }
        folder.write("example.com.yaml", ZONE_YAML)?;
        let addresses: Vec<SocketAddr> = agents.iter().map(Agent::mesh_address).collect();
        let path = folder.write("fairlead.yaml", &node_yaml(free_port(port), &addresses))?;
        let config = super::files::load(&path)?;
        let node = Node::start(&path, config, clock).map_err(|error| error.to_string())?;
        let demo = Self { node, agents, backends, folder };
        demo.wait_until_ready().await?;
        Ok(demo)
    }

    /// What to try, one command per line; `program` is how a shell calls this one.
    pub fn things_to_try(&self, program: &str) -> Vec<String> {
        let dns = self.node.dns_addresses().first().copied().unwrap_or_else(loopback);
        let dig = format!("dig @{} -p {} +short www.example.com A", dns.ip(), dns.port());
        let mut lines = vec![format!("{dig}    # any site, in turn")];
        for site in &SITES {
            let (network, _) = site.clients.split_once('/').unwrap_or_default();
            lines.push(format!("{dig} +subnet={network}/24    # a client near {}", site.name));
        }
        if let Some(backend) = self.backends.first() {
            lines.push(format!("curl http://{}/    # what the answer leads to", backend.address()));
        }
        let control = self.node.control().display();
        lines.push(format!("{program} explain www.example.com A --subnet 10.1.2.0/24 --control {control}"));
        lines.push(format!("{program} status --control {control}"));
        if let Some(admin) = self.node.admin_address() {
            lines.push(format!("curl http://{admin}/metrics"));
        }
        lines
    }

    /// The files that the world was built from.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs until `stop` is ready or a task of the node or of an agent ends; `stop` is made with the controls.
    pub async fn run_until<F>(self, stop: impl FnOnce(Controls) -> F) -> Result<(), UnexpectedEnd>
    where
        F: Future<Output = ()>,
    {
        let Self { node, agents, backends, folder } = self;
        let controls = Controls { backends: backends.into(), operations: node.operations() };
        let (stopping, stopped) = tokio::sync::watch::channel(false);
        let follow = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stopped| *stopped).await; // the sender gone is a reason to stop too
            }
        };
        let agents: Vec<_> = agents.into_iter().map(|agent| tokio::spawn(agent.run_until(follow()))).collect();
        let outcome = node.run_until(stop(controls)).await;
        stopping.send_replace(true);
        for agent in agents {
            let _ = agent.await; // the node's outcome is the one to tell
        }
        drop(folder);
        outcome
    }

    async fn wait_until_ready(&self) -> Result<(), String> {
        let operations = self.node.operations();
        let ready = async {
            while matches!(operations.readiness().await, Readiness::Waiting(_)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(READY_MAX, ready).await {
            Ok(()) => Ok(()),
            Err(_) => match operations.readiness().await {
                Readiness::Ready | Readiness::Degraded(_) => Ok(()),
                Readiness::Waiting(lines) => Err(format!("still waiting for {}", lines.join(", "))),
            },
        }
    }
}

impl Controls {
    /// The names of the backends.
    pub fn backends(&self) -> impl Iterator<Item = &str> {
        self.backends.iter().map(Backend::name)
    }

    /// Takes a backend down; false when there is none of the name.
    pub fn take_down(&self, name: &str) -> bool {
        self.find(name).map(Backend::take_down).is_some()
    }

    /// Brings a backend up; false when there is none of the name.
    pub fn bring_up(&self, name: &str) -> bool {
        self.find(name).map(Backend::bring_up).is_some()
    }

    /// The state of every object, as the node sees it.
    pub async fn status(&self) -> Result<serde_json::Value, String> {
        self.operations.status().await
    }

    fn find(&self, name: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.name() == name)
    }
}

impl Folder {
    /// A new folder that only its owner can read.
    fn new() -> Result<Self, String> {
        let secret = getrandom::u64().map_err(|error| format!("drawing a name: {error}"))?;
        let path = std::env::temp_dir().join(format!("fairlead-demo-{secret:016x}"));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map(|()| Self(path.clone())).map_err(|error| format!("creating {}: {error}", path.display()))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|error| format!("writing {}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn start_backends() -> Result<Vec<Backend>, String> {
    let mut backends: Vec<Backend> = Vec::new();
    for site in &SITES {
        for (number, address) in (1..).zip(site.backends) {
            let ip = IpAddr::V4(Ipv4Addr::from(address));
            let name = format!("{}-{number}", site.name);
            let started = match backends.first().map(|first| first.address().port()) {
                Some(port) => Backend::start(&name, SocketAddr::new(ip, port)).await,
                None => match Backend::start(&name, SocketAddr::new(ip, BACKEND_PORT)).await {
                    Ok(backend) => Ok(backend),
                    Err(_) => Backend::start(&name, SocketAddr::new(ip, 0)).await,
                },
            };
            backends.push(started.map_err(|error| format!("starting the backend {name} on {ip}: {error}"))?);
        }
    }
    Ok(backends)
}

/// Makes a throw-away authority and a certificate for the node and each agent.
fn make_trust(folder: &Path, clock: Clock) -> Result<(), String> {
    let (authority, now) = (folder.join("authority"), super::mesh::clock(clock).unix_millis().div_euclid(1000));
    trust::init(&authority, "demo", Overwrite::Never, now).map_err(|error| error.to_string())?;
    let agents = SITES.iter().map(|site| (Role::Lb, site.name));
    for (role, name) in agents.chain([(Role::Dns, "ns1")]) {
        let own = folder.join(name);
        trust::issue(&authority, &own, (role, name), CERTIFICATE_LIFE, now).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The wanted port when it is free, else 0 for one that the system chooses.
fn free_port(wanted: u16) -> u16 {
    let is_free = UdpSocket::bind((Ipv4Addr::LOCALHOST, wanted)).is_ok()
        && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).is_ok();
    if is_free { wanted } else { 0 }
}

fn loopback() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53)
}

const ZONE_YAML: &str = "\
'':
  - { type: NS, values: [ns1.example.com., ns2.example.com.] }
  - { type: MX, values: [{preference: 10, exchange: mail.example.com.}] }
ns1: { type: A, value: 127.0.0.1 }
ns2: { type: A, value: 127.0.0.1 }
mail: { type: A, value: 192.0.2.25 }
docs: { type: CNAME, value: www.example.com. }
";

fn agent_yaml<'a>(site: &Site, backends: impl Iterator<Item = &'a Backend>) -> String {
    let virtual_servers: String = backends
        .map(|backend| {
            let (name, address) = (backend.name(), backend.address());
            format!("    {name}: {{ address: {}, port: {}, monitors: [http] }}\n", address.ip(), address.port())
        })
        .collect();
    let name = site.name;
    format!(
        "server: {name}\n\
         mesh: {{ listen: '127.0.0.1:0', state: {name}, report_interval: 1s }}\n\
         monitors:\n  http: {{ type: http, path: /, interval: 500ms, timeout: 300ms, rise: 1, fall: 2 }}\n\
         static:\n  virtual_servers:\n{virtual_servers}"
    )
}

fn node_yaml(port: u16, agents: &[SocketAddr]) -> String {
    let each = |line: &dyn Fn(&Site) -> String| SITES.iter().map(line).collect::<String>();
    let servers: String = SITES
        .iter()
        .zip(agents)
        .map(|(site, agent)| format!("  {0}: {{ datacenter: {0}, agent: '{agent}', discovery: enabled }}\n", site.name))
        .collect();
    let pools = each(&|site| {
        let members =
            (1..=site.backends.len()).map(|number| format!("{{virtual_server: {0}/{0}-{number}}}", site.name));
        let members = members.collect::<Vec<_>>().join(", ");
        format!("  {}: {{ type: A, ttl: 5s, members: [ {members} ] }}\n", site.name)
    });
    let topology = each(&|site| {
        format!("  - {{ client: {{subnet: {}}}, answer: {{pool: {}}}, score: 100 }}\n", site.clients, site.name)
    });
    let datacenters = each(&|site| format!("  {}: {{}}\n", site.name));
    let names = SITES.map(|site| site.name).join(", ");
    format!(
        "node: ns1\n\
         listeners:\n  - {{ address: 127.0.0.1, port: {port} }}\n\
         admin: {{ address: '127.0.0.1:0' }}\n\
         control: control.sock\n\
         state: state\n\
         mesh: {{ state: ns1, report_interval: 1s }}\n\
         watch: true\n\
         zones:\n  - {{ name: example.com., file: example.com.yaml, soa: {{}} }}\n\
         datacenters:\n{datacenters}servers:\n{servers}pools:\n{pools}topology:\n{topology}\
         wide_ips:\n  - {{ name: www.example.com., type: A, load_balancing: topology, pools: [ {names} ] }}\n"
    )
}
