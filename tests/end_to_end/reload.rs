//! Reload: a bad file changes nothing and says why, a good one is applied whole.

use std::fs;
use std::path::Path;

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::process::{Backend, Process, ask, eventually, free_port, get, metric};

const ZONE: &str = "'': {type: NS, value: ns1.example.com.}\nns1: {type: A, value: 127.0.0.1}\n";

/// A node that serves example.com with `www` at an address, and its ports.
fn serve(folder: &Path, watch: bool) -> (Process, u16, u16) {
    let (dns, admin) = (free_port(), free_port());
    write(folder, dns, admin, watch, "192.0.2.1");
    let node = Process::fairlead(folder, "node", &["serve", "-c", "fairlead.yaml"]);
    eventually("readiness", || get(admin, "/readyz").0 == 200);
    (node, dns, admin)
}

fn write(folder: &Path, dns: u16, admin: u16, watch: bool, www: &str) {
    fs::write(folder.join("example.com.yaml"), format!("{ZONE}www: {{type: A, ttl: 60, value: {www}}}\n")).unwrap();
    let configuration = format!(
        "node: ns1\nlisteners: [ {{ address: 127.0.0.1, port: {dns} }} ]\nadmin: {{ address: '127.0.0.1:{admin}' }}\n\
         control: control.sock\nstate: state\nwatch: {watch}\n\
         zones: [ {{ name: example.com., file: example.com.yaml, soa: {{}} }} ]\n"
    );
    fs::write(folder.join("fairlead.yaml"), configuration).unwrap();
}

fn www(dns: u16) -> Vec<String> {
    ask(dns, "www.example.com.", RecordType::A)
}

#[test]
fn a_bad_file_keeps_the_old_answers_and_says_why_and_a_good_one_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (node, dns, admin) = serve(folder, false);
    assert_eq!(www(dns), ["www.example.com. 60 IN A 192.0.2.1"]);

    fs::write(folder.join("example.com.yaml"), format!("{ZONE}www: {{type: A, value: 192.0.2.300}}\n")).unwrap();
    node.signal(Signal::SIGHUP);
    node.wait_for_log("configuration refused");
    assert!(node.log().contains("example.com.yaml:3:"), "the log does not say where");
    assert_eq!(www(dns), ["www.example.com. 60 IN A 192.0.2.1"]);
    assert_eq!(metric(admin, &["fairlead_config_last_reload_successful"]), 0.0);
    assert_eq!(metric(admin, &["fairlead_config_reloads_total", "refused"]), 1.0);

    write(folder, dns, admin, false, "192.0.2.2");
    node.signal(Signal::SIGHUP);
    eventually("the new answer", || www(dns) == ["www.example.com. 60 IN A 192.0.2.2"]);
    assert_eq!(metric(admin, &["fairlead_config_last_reload_successful"]), 1.0);
    assert_eq!(metric(admin, &["fairlead_config_reloads_total", "applied"]), 1.0);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn no_query_is_lost_or_answered_in_part_while_reloads_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (node, dns, admin) = serve(folder, false);
    let addresses = ["192.0.2.1", "192.0.2.2"];
    let answer = |address: &str| vec![format!("www.example.com. 60 IN A {address}")];
    let reloads = ["fairlead_config_reloads_total", "applied"];
    for turn in 1..=20_u8 {
        write(folder, dns, admin, false, addresses[usize::from(turn % 2)]);
        node.signal(Signal::SIGHUP);
        for _ in 0..20 {
            let got = www(dns);
            assert!(addresses.iter().any(|address| got == answer(address)), "{got:?}");
        }
        eventually("the reload", || metric(admin, &reloads) >= f64::from(turn));
        assert_eq!(www(dns), answer(addresses[usize::from(turn % 2)]));
    }
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_wide_ip_that_a_reload_adds_is_answered_and_probed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (node, dns, admin) = serve(folder, false);
    let backend = Backend::start(0);
    let added = format!(
        "datacenters: {{ newyork: {{}} }}\n\
         monitors: {{ quick: {{ type: http, path: /, interval: 200ms, timeout: 150ms, rise: 1, fall: 1 }} }}\n\
         servers: {{ ny-web: {{ datacenter: newyork, monitors: [quick], \
         virtual_servers: {{ www: {{address: 127.0.0.1, port: {}}} }} }} }}\n\
         pools: {{ web: {{ type: A, ttl: 7s, members: [ {{virtual_server: ny-web/www}} ] }} }}\n\
         wide_ips: [ {{ name: app.example.com., type: A, pools: [web], when_all_down: nodata }} ]\n",
        backend.port()
    );
    let before = fs::read_to_string(folder.join("fairlead.yaml")).unwrap();
    fs::write(folder.join("fairlead.yaml"), format!("{before}{added}")).unwrap();
    node.signal(Signal::SIGHUP);
    let app = || ask(dns, "app.example.com.", RecordType::A);
    eventually("the new name", || app() == ["app.example.com. 7 IN A 127.0.0.1"]);
    let available = ["fairlead_virtual_server_availability", "ny-web", "\"available\""];
    eventually("its first probe", || metric(admin, &available) == 1.0);
    drop(backend);
    eventually("no data", || app() == ["NoError"]);
    fs::write(folder.join("fairlead.yaml"), before).unwrap();
    node.signal(Signal::SIGHUP);
    eventually("the name to be gone", || app() == ["NXDomain"]);
}

#[test]
fn what_cannot_change_while_running_is_named_and_the_rest_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (node, dns, admin) = serve(folder, false);
    write(folder, free_port(), admin, false, "192.0.2.2");
    node.signal(Signal::SIGHUP);
    node.wait_for_log("needs a restart");
    eventually("the new answer", || www(dns) == ["www.example.com. 60 IN A 192.0.2.2"]);
}

#[test]
fn a_changed_file_is_loaded_by_itself_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_node, dns, admin) = serve(folder, true);
    fs::write(folder.join("example.com.yaml"), format!("{ZONE}www: {{type: A, ttl: 5, value: 192.0.2.7}}\n")).unwrap();
    eventually("the new answer", || www(dns) == ["www.example.com. 5 IN A 192.0.2.7"]);
    assert_eq!(metric(admin, &["fairlead_config_reloads_total", "applied"]), 1.0);
}
