//! The commands against a running node, and without one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use crate::process::{Process, ask, eventually, free_port, get, output, refusal, run};

/// A configuration with two plain hosts that nobody probes, so that both count as usable.
fn write(folder: &Path, dns: u16, admin: u16, more: &str) {
    let configuration = format!(
        "node: ns1\nlisteners: [ {{ address: 127.0.0.1, port: {dns} }} ]\nadmin: {{ address: '127.0.0.1:{admin}' }}\n\
         control: control.sock\nstate: state\n\
         datacenters: {{ newyork: {{}}, london: {{}} }}\n\
         servers:\n  \
         ny-web: {{ datacenter: newyork, virtual_servers: {{ www: {{address: 192.0.2.1, port: 80}} }} }}\n  \
         lon-web: {{ datacenter: london, virtual_servers: {{ www: {{address: 198.51.100.1, port: 80}} }} }}\n\
         {more}\
         pools:\n  \
         newyork: {{ type: A, ttl: 5s, members: [ {{virtual_server: ny-web/www}} ] }}\n  \
         both: {{ type: A, ttl: 5s, load_balancing: {{ preferred: global-availability }}, \
         members: [ {{virtual_server: ny-web/www}}, {{virtual_server: lon-web/www}} ] }}\n\
         wide_ips:\n  - {{ name: www.example.com., type: A, pools: [both] }}\n"
    );
    fs::write(folder.join("fairlead.yaml"), configuration).unwrap();
}

fn serve(folder: &Path) -> Process {
    let _ = fs::remove_file(folder.join("control.sock")); // left behind by a killed node
    let node = Process::fairlead(folder, "node", &["serve", "-c", "fairlead.yaml"]);
    eventually("the control socket", || folder.join("control.sock").exists());
    node
}

fn www(dns: u16) -> Vec<String> {
    ask(dns, "www.example.com.", RecordType::A)
}

#[test]
fn a_timed_override_survives_a_kill_and_ends_by_itself() {
    const NEWYORK: &str = "www.example.com. 5 IN A 192.0.2.1";
    const LONDON: &str = "www.example.com. 5 IN A 198.51.100.1";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (dns, admin) = (free_port(), free_port());
    write(folder, dns, admin, "");
    let node = serve(folder);
    eventually("the answer of New York", || www(dns) == [NEWYORK]);

    let disable = |name: &str, more: &[&str]| {
        let args = ["disable", "virtual-server", name, "--control", "control.sock"];
        run(folder, &[&args, more].concat())
    };
    let unknown = disable("ny-web/ww", &[]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean ny-web/www"), "{unknown:?}");
    let last = disable("ny-web/www", &[]);
    let refused = String::from_utf8_lossy(&last.stderr).into_owned();
    assert!(refused.contains("pool newyork would lose its last available member"), "{refused}");
    assert_eq!(last.status.code(), Some(1));

    let said = Instant::now();
    let done = disable("ny-web/www", &["--for", "4s", "--reason", "kernel upgrade", "--force"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(www(dns), [LONDON], "it is in use once the command returns");
    node.kill();
    let node = serve(folder);
    eventually("an answer", || www(dns) != ["no reply"]);
    assert_eq!(www(dns), [LONDON], "a restart forgot it");
    let status = output(folder, &["status", "--control", "control.sock"]);
    assert!(status.contains("disabled by an operator: kernel upgrade"), "{status}");
    eventually("its end", || www(dns) == [NEWYORK]);
    let lasted = said.elapsed();
    assert!(lasted >= Duration::from_secs(4), "it ended after {lasted:?}");
    assert!(lasted < Duration::from_secs(8), "it ended only after {lasted:?}");
    let kept = || fs::read_to_string(folder.join("state/overrides.json")).unwrap();
    eventually("the end on the disk", || !kept().contains("kernel upgrade"));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_decision_is_explained_from_files_and_by_the_running_node() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (dns, admin) = (free_port(), free_port());
    write(folder, dns, admin, "");
    let from_files =
        output(folder, &["explain", "www.example.com", "A", "--client", "203.0.113.9", "-c", "fairlead.yaml"]);
    let _node = serve(folder);
    let args = ["explain", "www.example.com", "A", "--client", "203.0.113.9", "--control", "control.sock"];
    let running = output(folder, &args);
    for explained in [&from_files, &running] {
        for part in ["wide IP    www.example.com./A", "ny-web/www", "pool both", "www.example.com. 5 IN A 192.0.2.1"] {
            assert!(explained.contains(part), "{part} is not in\n{explained}");
        }
    }
    let json = output(folder, &[&args[..], &["--output", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["source"], "wide IP");
    assert_eq!(json["decisions"][0]["pool"], "both");
    let (status, page) = get(admin, "/api/v1/explain?name=www.example.com&type=A");
    assert_eq!(
        (status, serde_json::from_str::<serde_json::Value>(&page).unwrap()["rcode"].clone()),
        (200, "NOERROR".into())
    );
    let wrong = refusal(folder, &["explain", "www.example.com", "NOSUCH", "--control", "control.sock"]);
    assert!(wrong.contains("unknown record type"), "{wrong}");
}

#[test]
fn readiness_waits_for_the_agents_and_says_for_which() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    output(folder, &["mesh", "init", "test", "--authority", "authority"]);
    output(folder, &["mesh", "issue", "ns1", "--role", "dns", "--authority", "authority", "--out", "ns1"]);
    let (dns, admin, closed) = (free_port(), free_port(), free_port());
    let agent = format!(
        "  ny-lb1: {{ datacenter: newyork, agent: '127.0.0.1:{closed}' }}\n\
         mesh: {{ state: ns1 }}\nready_timeout: 3s\n"
    );
    write(folder, dns, admin, &agent);
    let _node = serve(folder);
    eventually("the reason", || {
        let (status, text) = get(admin, "/readyz");
        status == 503 && text.contains("the agent of ny-lb1: ") && text.contains("refused")
    });
    assert_ne!(www(dns), ["no reply"], "answers do not wait for readiness");
    assert_eq!(get(admin, "/livez").0, 200);
    eventually("readiness all the same", || get(admin, "/readyz").0 == 200);
}

#[test]
fn a_second_node_on_the_same_control_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, free_port(), free_port(), "");
    let _node = serve(folder);
    write(folder, free_port(), free_port(), "");
    let refused = refusal(folder, &["serve", "-c", "fairlead.yaml"]);
    assert!(refused.contains("another process serves it"), "{refused}");
}

#[test]
fn check_prints_every_error_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, free_port(), free_port(), "");
    assert!(output(folder, &["check", "-c", "fairlead.yaml"]).contains("no errors"));
    let text = fs::read_to_string(folder.join("fairlead.yaml")).unwrap();
    fs::write(folder.join("fairlead.yaml"), text.replace("pools: [both]", "pools: [bth]") + "unmached: drop\n")
        .unwrap();
    let checked = run(folder, &["check", "-c", "fairlead.yaml"]);
    let printed = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1));
    assert!(printed.contains("did you mean `both`?") && printed.contains("did you mean `unmatched`?"), "{printed}");
    assert_eq!(run(folder, &["check"]).status.code(), Some(2), "usage");
}

#[test]
fn the_demonstration_runs_by_itself_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let printed = output(folder.path(), &["demo", "--for", "1s", "--port", "0"]);
    assert!(printed.contains("dig @127.0.0.1") && printed.contains("newyork-1"), "{printed}");
}
