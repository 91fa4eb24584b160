//! Configurations of Fairlead for the measurements.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::data;

/// What every configuration begins with: a node with its files in `folder`, listening on `address`.
pub fn head(folder: &Path, address: SocketAddr) -> String {
    format!(
        "node: bench\nstate: {0}/state\ncontrol: {0}/control.sock\nlisteners:\n  - {{ address: {1}, port: {2} }}\n",
        folder.display(),
        address.ip(),
        address.port()
    )
}

/// The zone of [`data`], whose text is written beside.
pub fn zone(folder: &Path, text: &str) -> String {
    std::fs::write(folder.join("bench.zone"), text).unwrap();
    format!("zones:\n  - {{ name: {}, file: {}/bench.zone }}\n", data::ZONE, folder.display())
}

/// A pool of these members, each `server/virtual-server` with a ratio.
pub fn pool(text: &mut String, name: &str, method: &str, members: impl Iterator<Item = (String, usize)>) {
    let listed: Vec<String> =
        members.map(|(name, ratio)| format!("{{virtual_server: {name}, ratio: {ratio}}}")).collect();
    let listed = listed.join(", ");
    writeln!(text, "  {name}: {{ type: A, ttl: 30s, load_balancing: {{ preferred: {method} }}, members: [{listed}] }}")
        .unwrap();
}

/// A wide IP on one pool.
pub fn wide_ip(text: &mut String, label: &str, pool: &str) {
    writeln!(text, "  - {{ name: {label}.{}, type: A, pools: [{pool}] }}", data::ZONE).unwrap();
}

/// The address of a virtual server that nothing connects to.
pub fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff)
}
