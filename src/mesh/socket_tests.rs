//! Dialer and acceptor together over loopback: facts arrive, sessions return, caps hold.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::acceptor::{Acceptor, AcceptorContext};
use super::clock::Clock;
use super::dialer::{BackOff, Dialer, DialerContext};
use super::identity::Role;
use super::peer::Local;
use super::report::{Host, Report, VirtualServerReport};
use super::settings::{PeerAddress, Settings};
use super::states::{PeerStates, PeerStatus};
use super::trust::{self, Overwrite};
use crate::status::{Availability, Fact, Measurements, Source, Verdict};

/// Longer than anything here takes on a busy machine; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Mesh {
    folder: TempDir,
    clock: Clock,
}

struct Agent {
    acceptor: Acceptor,
    address: SocketAddr,
    reports: watch::Sender<Arc<Report>>,
    states: PeerStates,
}

struct Node {
    dialer: Dialer,
    facts: mpsc::Receiver<Fact>,
    states: PeerStates,
    clock: Clock,
}

impl Mesh {
    fn new() -> Self {
        let mesh = Self { folder: tempfile::tempdir().unwrap(), clock: Clock::start() };
        trust::init(&mesh.path("authority"), "test", Overwrite::Never, mesh.now()).unwrap();
        mesh.issue(Role::Dns, "ns1");
        mesh.issue(Role::Lb, "ny");
        mesh
    }

    fn now(&self) -> i64 {
        self.clock.unix_millis() / 1_000
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, role: Role, name: &str) {
        trust::issue(&self.path("authority"), &self.path(name), (role, name), trust::CERTIFICATE_LIFE, self.now())
            .unwrap();
    }

    fn settings(&self, name: &str) -> Settings {
        let report_interval = Duration::from_millis(500);
        Settings { name: name.into(), listen: None, state: self.path(name), peers: vec![], report_interval }
    }

    async fn agent(&self, boot_id: u64, address: &str) -> Agent {
        self.listener(Role::Lb, "ny", boot_id, address).await
    }

    /// Whoever reports as `name`.
    async fn listener(&self, role: Role, name: &str, boot_id: u64, address: &str) -> Agent {
        let settings = self.settings(name);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((reports, receiver), states) = (watch::channel(Arc::default()), PeerStates::default());
        let context = AcceptorContext {
            local: settings.local(boot_id),
            credentials: settings.credentials(role, self.clock),
            clock: self.clock,
            states: states.clone(),
            reports: receiver,
        };
        Agent { acceptor: Acceptor::start(context, listener), address, reports, states }
    }

    fn node(&self, change: impl FnOnce(&mut Local)) -> Node {
        let settings = self.settings("ns1");
        let (sender, facts) = mpsc::channel(64);
        let mut local = settings.local(1);
        change(&mut local);
        let back_off = BackOff { first: Duration::from_millis(5), longest: Duration::from_millis(20) };
        let context = DialerContext {
            local,
            credentials: settings.credentials(Role::Dns, self.clock),
            clock: self.clock,
            facts: sender,
            states: PeerStates::default(),
            runtime: Handle::current(),
            back_off,
        };
        let states = context.states.clone();
        Node { dialer: Dialer::new(context), facts, states, clock: self.clock }
    }
}

impl Node {
    fn dial(&mut self, address: SocketAddr) {
        self.dialer.set_peers(&[PeerAddress { role: Role::Lb, name: "ny".into(), address }]);
    }

    fn dial_node(&mut self, name: &str, address: SocketAddr) {
        self.dialer.set_peers(&[PeerAddress { role: Role::Dns, name: name.into(), address }]);
    }

    async fn fact(&mut self) -> Fact {
        timeout(PATIENCE, self.facts.recv()).await.expect("a fact").expect("the dialer runs")
    }

    /// The reason of the next fact that says the link is down.
    async fn down(&mut self) -> String {
        loop {
            if let Fact::Link { state: Err(reason), .. } = self.fact().await {
                return reason.to_string();
            }
        }
    }

    /// The next verdict whose availability is `expected`.
    async fn verdict(&mut self, expected: Availability) -> (Arc<str>, Source, Verdict) {
        loop {
            if let Fact::Verdict { virtual_server, source, verdict, .. } = self.fact().await
                && verdict.availability == expected
            {
                return (virtual_server, source, verdict);
            }
        }
    }

    fn peer(&self) -> PeerStatus {
        self.states.status(self.clock.moment()).peers.remove(0)
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it comes to be so");
}

fn report(availability: Availability) -> Arc<Report> {
    let measurements = Measurements { connections: Some(5), ..Measurements::default() };
    let verdict = Verdict { availability, reason: "checked".into(), measurements };
    let www = VirtualServerReport { name: "www".into(), address: "192.0.2.80:443".parse().unwrap(), verdict };
    Arc::new(Report {
        virtual_servers: vec![www],
        host: Host { cpu_percent: Some(12.5), memory_free_bytes: Some(1 << 30) },
    })
}

#[tokio::test]
async fn health_travels_from_agent_to_node_and_keeps_coming() {
    let mesh = Mesh::new();
    let (agent, mut node) = (mesh.agent(7, "127.0.0.1:0").await, mesh.node(|_| {}));
    node.dial(agent.address);
    assert!(matches!(node.fact().await, Fact::Link { state: Ok(()), .. }));
    // Nothing is said of virtual servers before the agent has looked.
    sleep(Duration::from_millis(10)).await;
    assert!(node.facts.try_recv().is_err());
    agent.reports.send_replace(report(Availability::Available));
    let Fact::Inventory { server, virtual_servers, .. } = node.fact().await else { panic!("no inventory") };
    assert_eq!((&*server, virtual_servers.len()), ("ny", 1));
    let (name, source, verdict) = node.verdict(Availability::Available).await;
    assert_eq!((&*name, source, &*verdict.reason), ("www", Source::Agent, "checked"));
    let measured = verdict.measurements;
    assert_eq!((measured.connections, measured.cpu_percent), (Some(5), Some(12.5)));

    agent.reports.send_replace(report(Availability::Offline));
    node.verdict(Availability::Offline).await;
    // Measurements repeat the verdict every interval.
    node.verdict(Availability::Offline).await;

    let peer = node.peer();
    assert!(peer.up && peer.report_age_seconds.is_some() && peer.clock_ahead_seconds.unwrap().abs() < 5.0);
    assert_eq!((peer.identity.as_deref(), peer.protocol_version), (Some("spiffe://test/lb/ny"), Some(1)));
    assert!(peer.counters.octets_in > 100 && peer.counters.frames_in >= 4, "{:?}", peer.counters);
    until(|| agent.states.status(mesh.clock.moment()).peers.first().is_some_and(|peer| peer.up)).await;

    agent.acceptor.stop().await;
    assert_eq!(node.down().await, "the peer ended the session: stopping");
    node.dialer.stop().await;
}

#[tokio::test]
async fn a_node_finds_a_restarted_agent_again_and_takes_its_new_process() {
    let mesh = Mesh::new();
    let (agent, mut node) = (mesh.agent(7, "127.0.0.1:0").await, mesh.node(|_| {}));
    agent.reports.send_replace(report(Availability::Available));
    node.dial(agent.address);
    node.verdict(Availability::Available).await;
    let address = agent.address.to_string();
    agent.acceptor.stop().await;
    assert_eq!(node.down().await, "the peer ended the session: stopping");
    assert!(node.down().await.starts_with("connection refused: nothing listens on 127.0.0.1:"));
    let agent = mesh.agent(8, &address).await;
    agent.reports.send_replace(report(Availability::Offline));
    node.verdict(Availability::Offline).await;
    assert_eq!(node.peer().counters.sessions, 2);
    node.dialer.stop().await;
    until(|| agent.states.status(mesh.clock.moment()).peers.first().is_some_and(|peer| !peer.up)).await;
    let told = agent.states.status(mesh.clock.moment()).peers.remove(0).last_error;
    assert_eq!(told.as_deref(), Some("the peer ended the session: stopping"));
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_refused_in_words() {
    let mesh = Mesh::new();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut node = mesh.node(|_| {});
    node.dial(address);
    let expected = format!("connection refused: nothing listens on {address}; is the agent running there?");
    assert_eq!(node.down().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_filtered_port_times_out_in_words() {
    let mesh = Mesh::new();
    // A listener whose queue is full drops further attempts as a firewall would.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let mut node = mesh.node(|_| {});
    node.dial(address);
    let expected =
        format!("timed out: no answer from {address} within 5s; the host is down or a firewall drops the packets");
    assert_eq!(node.down().await, expected);
}

#[tokio::test]
async fn versions_that_do_not_meet_are_named_by_both_sides() {
    let mesh = Mesh::new();
    let (agent, mut node) = (mesh.agent(7, "127.0.0.1:0").await, mesh.node(|local| local.versions = (2, 3)));
    node.dial(agent.address);
    assert_eq!(node.down().await, "version mismatch: we speak mesh protocol 2 to 3, the peer 1 to 1");
    let last = || agent.states.status(mesh.clock.moment()).peers.first().and_then(|peer| peer.last_error.clone());
    until(|| last().is_some()).await;
    assert_eq!(last().unwrap(), "version mismatch: we speak mesh protocol 1 to 1, the peer 2 to 3");
}

#[tokio::test]
async fn the_newer_session_of_a_node_takes_the_older_ones_place() {
    let mesh = Mesh::new();
    let agent = mesh.agent(7, "127.0.0.1:0").await;
    agent.reports.send_replace(report(Availability::Available));
    let (mut older, mut newer) = (mesh.node(|_| {}), mesh.node(|local| local.boot_id = 2));
    older.dial(agent.address);
    older.verdict(Availability::Available).await;
    newer.dial(agent.address);
    newer.verdict(Availability::Available).await;
    let reason = older.down().await;
    assert!(reason.starts_with("the peer ended the session: replaced by a newer session from 127.0.0.1:"), "{reason}");
}

#[tokio::test]
async fn idle_connections_fill_only_their_own_address() {
    let mesh = Mesh::new();
    let (agent, mut node) = (mesh.agent(7, "127.0.0.1:0").await, mesh.node(|_| {}));
    let mut idle = Vec::new();
    for _ in 0..40 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        idle.push(socket.connect(agent.address).await.unwrap());
    }
    let refused = || agent.states.status(mesh.clock.moment()).refused.get("too_many_connections").copied();
    until(|| refused() == Some(24)).await;
    node.dial(agent.address);
    assert!(matches!(node.fact().await, Fact::Link { state: Ok(()), .. }));
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_said_and_taken_up_once_repaired() {
    let mesh = Mesh::new();
    let agent = mesh.agent(7, "127.0.0.1:0").await;
    let key = mesh.path("ns1").join(trust::KEY_FILE);
    std::fs::remove_file(&key).unwrap();
    let mut node = mesh.node(|_| {});
    node.dial(agent.address);
    let reason = node.down().await;
    assert!(reason.starts_with("our own certificate cannot be used: ") && reason.contains("key.pem"), "{reason}");
    mesh.issue(Role::Dns, "ns1");
    assert!(matches!(node.fact().await, Fact::Link { state: Ok(()), .. }));
    let own = node.states.status(mesh.clock.moment()).own.unwrap();
    assert_eq!(own.identity, "spiffe://test/dns/ns1");
}

#[tokio::test]
async fn garbage_after_the_handshake_ends_that_session_only() {
    use super::tls;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mesh = Mesh::new();
    let agent = mesh.agent(7, "127.0.0.1:0").await;
    let credentials = mesh.settings("ns1").credentials(Role::Dns, mesh.clock).current().unwrap();
    let expected = super::identity::Identity::new("test", Role::Lb, "ny").unwrap();
    let stream = TcpStream::connect(agent.address).await.unwrap();
    let (mut stream, _) = tls::connect(stream, &credentials, expected, mesh.clock).await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the agent hangs up");
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("a frame of 4294967295 octets; at most 262144 are taken"), "{said}");
    let mut node = mesh.node(|_| {});
    node.dial(agent.address);
    assert!(matches!(node.fact().await, Fact::Link { state: Ok(()), .. }));
}

#[tokio::test(start_paused = true)]
async fn renewed_certificates_are_presented_within_seconds_of_being_there() {
    let mesh = Mesh::new();
    let (agent, mut node) = (mesh.agent(7, "127.0.0.1:0").await, mesh.node(|_| {}));
    agent.reports.send_replace(report(Availability::Available));
    node.dial(agent.address);
    node.verdict(Availability::Available).await;
    let life = trust::CERTIFICATE_LIFE * 2;
    let renew = |role, name| {
        trust::issue(&mesh.path("authority"), &mesh.path(name), (role, name), life, mesh.now()).unwrap().not_after
    };

    let not_after = renew(Role::Dns, "ns1");
    while node.peer().counters.sessions < 2 {
        let fact = node.fact().await;
        assert!(!matches!(fact, Fact::Link { state: Err(_), .. }), "our own renewal is no failure: {fact:?}");
    }
    let seen = || agent.states.status(mesh.clock.moment()).peers.remove(0).certificate_not_after;
    assert_eq!(seen(), Some(not_after));

    let not_after = renew(Role::Lb, "ny");
    assert_eq!(node.down().await, "the peer ended the session: certificate renewed, a new session follows");
    node.verdict(Availability::Available).await;
    assert_eq!(node.peer().certificate_not_after, Some(not_after));
}

#[tokio::test]
async fn a_dns_node_votes_on_what_it_probes_and_lists_nothing() {
    let mesh = Mesh::new();
    mesh.issue(Role::Dns, "ns2");
    let (ns2, mut node) = (mesh.listener(Role::Dns, "ns2", 7, "127.0.0.1:0").await, mesh.node(|_| {}));
    let mut seen = Report::clone(&report(Availability::Offline));
    let nameless = seen.virtual_servers[0].clone();
    seen.virtual_servers[0].name = "ny/www/a".into();
    seen.virtual_servers.push(nameless);
    ns2.reports.send_replace(Arc::new(seen));
    node.dial_node("ns2", ns2.address);
    let Fact::Verdict { server, virtual_server, source, verdict, .. } = node.fact().await else {
        panic!("neither a link nor a list may come of a DNS node")
    };
    assert_eq!((&*server, &*virtual_server, source), ("ny", "www/a", Source::Peer("ns2".into())));
    assert_eq!((verdict.availability, verdict.measurements), (Availability::Offline, Measurements::default()));
    let peer = node.peer();
    assert_eq!((peer.up, peer.identity.as_deref()), (true, Some("spiffe://test/dns/ns2")));
    until(|| node.peer().frames_refused.get("bad_entry").is_some_and(|&refused| refused >= 1)).await;

    ns2.acceptor.stop().await;
    until(|| !node.peer().up).await;
    while let Ok(fact) = node.facts.try_recv() {
        assert!(matches!(fact, Fact::Verdict { .. }), "a lost DNS node is no lost agent: {fact:?}");
    }
}

#[tokio::test]
async fn a_dns_node_under_another_name_or_role_is_refused() {
    let mesh = Mesh::new();
    mesh.issue(Role::Dns, "ns3");
    for (role, name) in [(Role::Dns, "ns3"), (Role::Lb, "ny")] {
        let (other, mut node) = (mesh.listener(role, name, 7, "127.0.0.1:0").await, mesh.node(|_| {}));
        node.dial_node("ns2", other.address);
        until(|| node.peer().last_error.is_some()).await;
        assert_eq!((node.peer().last_error_kind, node.peer().up), (Some("name_not_allowed"), false));
    }
}
