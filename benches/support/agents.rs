//! Agents beside load balancers that do not exist: real sessions of the mesh, with what is reported made up here.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fairlead::mesh::trust::{self, Overwrite};
use fairlead::mesh::{Acceptor, AcceptorContext, Clock, PeerStates, Report, Role, Settings, VirtualServerReport};
use fairlead::status::{Availability, Measurements, Verdict};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::yaml;

/// How often measurements are sent.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Running agents, each with as many virtual servers: `lb0/v0` and so on. Numbers count through all of them.
pub struct Agents {
    each: usize,
    agents: Vec<Agent>,
    /// What the sessions run on.
    _runtime: Runtime,
}

struct Agent {
    address: SocketAddr,
    report: Report,
    reports: watch::Sender<Arc<Report>>,
    _acceptor: Acceptor,
}

impl Agents {
    /// Starts `count` agents with `each` virtual servers, all of them available. The node's certificate lies in
    /// `folder/node` then.
    pub fn start(folder: &Path, count: usize, each: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Clock::start();
        let now = clock.unix_millis() / 1000;
        let authority = folder.join("authority");
        trust::init(&authority, "bench", Overwrite::Never, now).unwrap();
        let issue = |role, name: &str, folder: &Path| {
            trust::issue(&authority, folder, (role, name), trust::CERTIFICATE_LIFE, now).unwrap();
        };
        issue(Role::Dns, "bench", &folder.join("node"));
        let agents = (0..count).map(|at| {
            let name = format!("lb{at}");
            let state = folder.join(&name);
            issue(Role::Lb, &name, &state);
            let settings = Settings {
                name: name.into(),
                listen: None,
                state,
                peers: Vec::new(),
                report_interval: REPORT_INTERVAL,
            };
            runtime.block_on(Agent::start(&settings, at * each..(at + 1) * each, clock))
        });
        let agents = agents.collect();
        Self { each, agents, _runtime: runtime }
    }

    /// The `mesh` and `servers` of a configuration, without the last one's end: more servers may follow. The servers
    /// stand in the datacenters `datacenter-0` to `datacenter-3` in turn.
    pub fn configuration(&self, folder: &Path) -> String {
        let mut text = format!("mesh: {{ state: {}/node }}\nservers:\n", folder.display());
        for (at, agent) in self.agents.iter().enumerate() {
            writeln!(text, "  lb{at}:\n    datacenter: datacenter-{}\n    agent: {}", at % 4, agent.address).unwrap();
            text.push_str("    virtual_servers:\n");
            for number in at * self.each..(at + 1) * self.each {
                writeln!(text, "      v{number}: {{ address: {}, port: 80 }}", yaml::address(number)).unwrap();
            }
        }
        text
    }

    /// How members of pools name a virtual server.
    pub fn name(&self, number: usize) -> String {
        format!("lb{}/v{number}", number / self.each)
    }

    /// Reports a virtual server as available or offline.
    pub fn set(&mut self, number: usize, is_up: bool) {
        let agent = &mut self.agents[number / self.each];
        let verdict = &mut agent.report.virtual_servers[number % self.each].verdict;
        *verdict = of(number, is_up);
        agent.reports.send_replace(Arc::new(agent.report.clone()));
    }
}

impl Agent {
    async fn start(settings: &Settings, numbers: std::ops::Range<usize>, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reports, receiver) = watch::channel(Arc::default());
        let context = AcceptorContext {
            local: settings.local(1),
            credentials: settings.credentials(Role::Lb, clock),
            clock,
            states: PeerStates::default(),
            reports: receiver,
        };
        let acceptor = Acceptor::start(context, listener);
        let virtual_server = |number: usize| VirtualServerReport {
            name: format!("v{number}").into(),
            address: SocketAddr::new(yaml::address(number).parse().unwrap(), 80),
            verdict: of(number, true),
        };
        let report = Report { virtual_servers: numbers.map(virtual_server).collect(), ..Report::default() };
        reports.send_replace(Arc::new(report.clone()));
        Self { address, report, reports, _acceptor: acceptor }
    }
}

fn of(number: usize, is_up: bool) -> Verdict {
    let (availability, reason) =
        if is_up { (Availability::Available, "passed") } else { (Availability::Offline, "connection refused") };
    let connections = Some(number as u64 * 7919 % 101);
    Verdict {
        availability,
        reason: reason.into(),
        measurements: Measurements { connections, ..Measurements::default() },
    }
}
