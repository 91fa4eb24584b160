//! A backend dies behind a HAProxy in one site, and the DNS answer changes in time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::process::{Backend, Process, ask, ask_tcp, eventually, free_port, get, metric, output};
use crate::support::tool;

/// How often agents report, and the unit of the deadline: an answer changes within this and one second.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const NEWYORK: &str = "www.example.com. 5 IN A 192.0.2.1";
const LONDON: &str = "www.example.com. 5 IN A 198.51.100.1";

/// One site: a backend behind a HAProxy with an agent beside it.
struct Site {
    backend: Option<Backend>,
    backend_port: u16,
    agent: Option<Process>,
    agent_port: u16,
    _haproxy: Process,
}

impl Site {
    fn start(folder: &Path, haproxy: &Path, name: &str, address: &str) -> Self {
        let (backend, frontend_port, agent_port) = (Backend::start(0), free_port(), free_port());
        let configuration = format!(
            "global\n  stats socket {folder}/{name}.sock mode 600 level operator\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout check 5s\n  timeout client 5s\n  timeout server 5s\n\
             frontend www\n  bind 127.0.0.1:{frontend_port}\n  default_backend web\n\
             backend web\n  option httpchk GET /\n  \
             server one 127.0.0.1:{} check inter 100ms fall 2 rise 1\n",
            backend.port(),
            folder = folder.display(),
        );
        fs::write(folder.join(format!("{name}.cfg")), configuration).unwrap();
        let mut command = Command::new(haproxy);
        let haproxy = Process::start(folder, name, command.args(["-db", "-f", &format!("{name}.cfg")]));
        output(folder, &["mesh", "issue", name, "--role", "lb", "--authority", "authority", "--out", name]);
        let agent = format!(
            "server: {name}\n\
             mesh: {{ listen: '127.0.0.1:{agent_port}', state: {name}, report_interval: 1s }}\n\
             haproxy:\n  socket: {name}.sock\n  interval: 200ms\n  \
             frontends: {{ www: {{ address: {address}, port: 80, backends: web }} }}\n"
        );
        fs::write(folder.join(format!("{name}-agent.yaml")), agent).unwrap();
        let mut site =
            Self { backend_port: backend.port(), backend: Some(backend), agent: None, agent_port, _haproxy: haproxy };
        site.start_agent(folder, name);
        site
    }

    fn start_agent(&mut self, folder: &Path, name: &str) {
        let file = format!("{name}-agent.yaml");
        self.agent = Some(Process::fairlead(folder, &format!("{name}-agent"), &["agent", "-c", &file]));
    }
}

fn node_yaml(dns: u16, admin: u16, newyork: u16, london: u16) -> String {
    format!(
        "node: ns1\n\
         listeners: [ {{ address: 127.0.0.1, port: {dns} }} ]\n\
         admin: {{ address: '127.0.0.1:{admin}' }}\n\
         control: control.sock\nstate: state\n\
         mesh: {{ state: ns1, report_interval: 1s }}\n\
         zones: [ {{ name: example.com., file: example.com.yaml, soa: {{}} }} ]\n\
         datacenters: {{ newyork: {{}}, london: {{}} }}\n\
         servers:\n  \
         ny-lb1: {{ datacenter: newyork, agent: '127.0.0.1:{newyork}', discovery: enabled }}\n  \
         lon-lb1: {{ datacenter: london, agent: '127.0.0.1:{london}', discovery: enabled }}\n\
         pools:\n  \
         newyork: {{ type: A, ttl: 5s, members: [ {{virtual_server: ny-lb1/www}} ] }}\n  \
         london: {{ type: A, ttl: 5s, members: [ {{virtual_server: lon-lb1/www}} ] }}\n\
         wide_ips:\n  \
         - {{ name: www.example.com., type: A, load_balancing: global-availability, pools: [newyork, london] }}\n"
    )
}

#[test]
fn a_dead_backend_changes_the_answer_within_a_report_and_a_second() {
    let Some(haproxy) = tool("haproxy") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    output(folder, &["mesh", "init", "test", "--authority", "authority"]);
    output(folder, &["mesh", "issue", "ns1", "--role", "dns", "--authority", "authority", "--out", "ns1"]);
    let mut newyork = Site::start(folder, &haproxy, "ny-lb1", "192.0.2.1");
    let mut london = Site::start(folder, &haproxy, "lon-lb1", "198.51.100.1");
    let (dns, admin) = (free_port(), free_port());
    fs::write(folder.join("fairlead.yaml"), node_yaml(dns, admin, newyork.agent_port, london.agent_port)).unwrap();
    fs::write(
        folder.join("example.com.yaml"),
        "'': {type: NS, value: ns1.example.com.}\nns1: {type: A, value: 127.0.0.1}\n",
    )
    .unwrap();
    let node = Process::fairlead(folder, "node", &["serve", "-c", "fairlead.yaml"]);
    eventually("readiness", || get(admin, "/readyz").0 == 200);
    // An agent that could not read its HAProxy yet has said so, which is a report too.
    let up = ["fairlead_virtual_server_availability", "-lb1", "\"available\""];
    eventually("both sites", || metric(admin, &up) == 2.0);

    assert_eq!(ask(dns, "www.example.com.", RecordType::A), [NEWYORK]);
    assert_eq!(ask_tcp(dns, "www.example.com.", RecordType::A), [NEWYORK]);
    assert_eq!(ask(dns, "ns1.example.com.", RecordType::A).len(), 1, "the zone answers beside the wide IP");
    asked_with_kdig(dns);

    let up = ["fairlead_virtual_server_availability", "ny-lb1", "\"available\""];
    let queries = ["fairlead_queries_total", "wide_ip", "NOERROR"];
    let to_london = ["fairlead_decisions_total", "www.example.com./A", "\"london\"", "preferred"];
    let flips = ["fairlead_status_changes_total", "virtual_server"];
    assert_eq!(metric(admin, &up), 1.0);
    assert_eq!(metric(admin, &["fairlead_mesh_peer_up"]), 2.0);
    assert_eq!(metric(admin, &to_london), 0.0);
    let (queries_before, flips_before) = (metric(admin, &queries), metric(admin, &flips));

    drop(newyork.backend.take());
    let died = Instant::now();
    eventually("the answer of London", || ask(dns, "www.example.com.", RecordType::A) == [LONDON]);
    let took = died.elapsed();
    assert!(took <= REPORT_INTERVAL + Duration::from_secs(1), "the answer took {took:?} to change");
    assert_eq!(ask_tcp(dns, "www.example.com.", RecordType::A), [LONDON]);
    assert_eq!(metric(admin, &up), 0.0);
    assert_eq!(metric(admin, &["fairlead_virtual_server_availability", "ny-lb1", "\"offline\""]), 1.0);
    assert!(metric(admin, &to_london) >= 2.0);
    assert!(metric(admin, &queries) > queries_before);
    assert!(metric(admin, &flips) > flips_before);
    let explained = output(folder, &["explain", "www.example.com", "A", "--control", "control.sock"]);
    assert!(explained.contains("newyork") && explained.contains(LONDON), "{explained}");

    newyork.backend = Some(Backend::start(newyork.backend_port));
    eventually("the answer of New York again", || ask(dns, "www.example.com.", RecordType::A) == [NEWYORK]);

    // What reloads a node does not end an agent.
    newyork.agent.as_ref().unwrap().signal(Signal::SIGHUP);
    newyork.agent.as_ref().unwrap().wait_for_log("restart it to change that");

    // A lost agent is not a lost site: its last word is kept, and the mesh says what is wrong.
    newyork.agent.take().unwrap().kill();
    eventually("the mesh to notice", || metric(admin, &["fairlead_mesh_peer_up", "ny-lb1"]) == 0.0);
    assert_eq!(ask(dns, "www.example.com.", RecordType::A), [NEWYORK]);
    let status = output(folder, &["mesh", "status", "--control", "control.sock"]);
    assert!(status.contains("ny-lb1"), "{status}");
    newyork.start_agent(folder, "ny-lb1");
    eventually("the agent to be back", || metric(admin, &["fairlead_mesh_peer_up", "ny-lb1"]) == 1.0);

    // Nor does a restart forget what it said, even when nobody can be asked.
    drop(newyork.backend.take());
    eventually("the answer of London", || ask(dns, "www.example.com.", RecordType::A) == [LONDON]);
    eventually("the verdict on the disk", || kept_offline(folder));
    newyork.agent.take().unwrap().kill();
    london.agent.take().unwrap().kill();
    node.kill();
    let node = Process::fairlead(folder, "node", &["serve", "-c", "fairlead.yaml"]);
    eventually("an answer", || ask(dns, "www.example.com.", RecordType::A) != ["no reply"]);
    assert_eq!(ask(dns, "www.example.com.", RecordType::A), [LONDON]);
    let status = output(folder, &["status", "--control", "control.sock"]);
    assert!(status.contains("remembered from before the restart"), "{status}");
    assert_eq!(get(admin, "/readyz").0, 503);
    assert_eq!(node.stop(), Some(0));
}

/// Whether the state folder says that New York is down.
fn kept_offline(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("state/health.json")).unwrap_or_default();
    let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let verdicts = kept.pointer("/content/verdicts").and_then(|list| list.as_array()).cloned().unwrap_or_default();
    verdicts.iter().any(|one| one["server"] == "ny-lb1" && one["availability"] == "offline")
}

/// Debian's kdig, when it is there, agrees with the library client.
fn asked_with_kdig(dns: u16) {
    let Some(kdig) = tool("kdig") else { return };
    for transport in ["+notcp", "+tcp"] {
        let args = ["@127.0.0.1", "-p", &dns.to_string(), "+short", transport, "www.example.com", "A"];
        let asked = Command::new(&kdig).args(args).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "192.0.2.1", "kdig {transport}");
    }
}
