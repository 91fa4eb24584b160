//! The mesh of a DNS node: agents of the servers and the other DNS nodes that it dials.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::mesh::{PeerAddress, Role};
use crate::wideip::Model;

use super::file;
use super::issues::Issues;
use super::names::check_object_name;
use super::node::Place;

/// Everybody to dial: first the agents, then the DNS nodes in file order.
pub(crate) fn resolve(written: &file::Node, root: &Place<'_>, model: &Model, issues: &Issues) -> Vec<PeerAddress> {
    let agent = |server: &crate::wideip::Server| {
        Some(PeerAddress { role: Role::Lb, name: Arc::clone(&server.name), address: server.agent? })
    };
    let mut dialled: Vec<PeerAddress> = model.servers.iter().filter_map(agent).collect();
    let place = root.field("mesh").field("peers");
    for (_, name, address) in written.mesh.iter().flat_map(|mesh| mesh.peers.iter()) {
        let place = place.field(name);
        check_object_name(name, &place, issues);
        let Some(address) = address.map(|address| address.0) else { continue };
        if let Err(message) = check(written, &dialled, name, address) {
            issues.error_at_key(&place, message);
        }
        dialled.push(PeerAddress { role: Role::Dns, name: name.into(), address });
    }
    dialled
}

/// Whether `name` can be dialled at `address` beside the `others`.
fn check(written: &file::Node, others: &[PeerAddress], name: &str, address: SocketAddr) -> Result<(), String> {
    if name == written.node {
        return Err(format!("`{name}` is this node itself; list the others only"));
    }
    if others.iter().any(|other| *other.name == *name) {
        return Err(format!("a server with an agent is called `{name}` too; a peer needs a name of its own"));
    }
    match others.iter().find(|other| other.address == address) {
        Some(other) => Err(format!("{address} is where `{}` is dialled", other.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, load_text};
    use super::*;

    #[test]
    fn peers_are_dialled_by_name() {
        let text = "node: ns1\nmesh: {address: '127.0.0.1:4353', peers: {ns2: '192.0.2.2:4353'}}";
        let mesh = load_text(text).unwrap().mesh.unwrap();
        let expected = PeerAddress { role: Role::Dns, name: "ns2".into(), address: "192.0.2.2:4353".parse().unwrap() };
        assert_eq!((mesh.peers, mesh.listen.is_some()), (vec![expected], true));
    }

    #[test]
    fn peers_that_cannot_be_are_refused() {
        check(
            "mesh: {peers: {ns1: '192.0.2.1:4353'}}",
            "2:16: mesh.peers.ns1: `ns1` is this node itself; list the others only",
        );
        check(
            "mesh: {peers: {ns2: '192.0.2.2:4353', ns3: '192.0.2.2:4353'}}",
            "2:39: mesh.peers.ns3: 192.0.2.2:4353 is where `ns2` is dialled",
        );
    }
}
