//! Two DNS nodes that tell each other what their monitors see.

use std::fs;
use std::path::Path;

use crate::process::{Backend, Process, eventually, free_port, get, metric, output};

/// A node that probes `ny-lb1/www` at `port` and dials the other one.
fn start(folder: &Path, own: (&str, u16), other: (&str, u16), admin: u16, port: u16) -> Process {
    let ((name, mesh), (peer, peer_mesh), dns) = (own, other, free_port());
    output(folder, &["mesh", "issue", name, "--role", "dns", "--authority", "authority", "--out", name]);
    let text = format!(
        "node: {name}\n\
         listeners: [ {{ address: 127.0.0.1, port: {dns} }} ]\n\
         admin: {{ address: '127.0.0.1:{admin}' }}\n\
         control: {name}.sock\nstate: {name}-state\n\
         mesh: {{ address: '127.0.0.1:{mesh}', state: {name}, report_interval: 1s, \
         peers: {{ {peer}: '127.0.0.1:{peer_mesh}' }} }}\n\
         datacenters: {{ newyork: {{}} }}\n\
         monitors: {{ tcp: {{ type: tcp, interval: 1s, timeout: 500ms }} }}\n\
         servers:\n  ny-lb1: {{ datacenter: newyork, virtual_servers: {{ \
         www: {{ address: 127.0.0.1, port: {port}, monitors: [tcp] }} }} }}\n"
    );
    let file = format!("{name}.yaml");
    fs::write(folder.join(&file), text).unwrap();
    Process::fairlead(folder, name, &["serve", "-c", &file])
}

#[test]
fn what_one_node_cannot_reach_and_the_other_can_is_available_to_both() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    output(folder, &["mesh", "init", "test", "--authority", "authority"]);
    let (backend, closed) = (Backend::start(0), free_port());
    let (mesh1, mesh2, admin1, admin2) = (free_port(), free_port(), free_port(), free_port());
    let _ns1 = start(folder, ("ns1", mesh1), ("ns2", mesh2), admin1, closed);
    let offline = ["fairlead_virtual_server_availability", "ny-lb1", "\"offline\""];
    eventually("ns1 to see nothing", || get(admin1, "/livez").0 == 200 && metric(admin1, &offline) == 1.0);

    let ns2 = start(folder, ("ns2", mesh2), ("ns1", mesh1), admin2, backend.port());
    eventually("the word of ns2", || get(admin1, "/api/v1/status").1.contains("peer ns2"));
    assert_eq!(metric(admin1, &["fairlead_virtual_server_availability", "ny-lb1", "\"available\""]), 1.0);
    for (control, peer, admin) in [("ns1.sock", "ns2", admin1), ("ns2.sock", "ns1", admin2)] {
        eventually("the peer", || metric(admin, &["fairlead_mesh_peer_up", peer]) == 1.0);
        let status = output(folder, &["mesh", "status", "--control", control]);
        assert!(status.lines().any(|line| line.contains(peer) && line.contains("up")), "{status}");
    }

    // The vote of a node that is gone ages, and then this node decides alone.
    ns2.kill();
    eventually("the mesh to notice", || metric(admin1, &["fairlead_mesh_peer_up", "ns2"]) == 0.0);
    assert!(get(admin1, "/api/v1/status").1.contains("peer ns2"), "losing a node loses no verdict at once");
    eventually("the vote to expire", || metric(admin1, &offline) == 1.0);
}
