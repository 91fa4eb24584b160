//! How long a zone may be served (RFC 7314): told by a primary and by a secondary, and kept to along a chain of servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::message::{Asked, Opt, ask};
use support::peers::{Role, peer};
use support::server::{Server, fairlead_at, free_port, wait_for_zone};
use support::tool;

const PATIENCE: Duration = Duration::from_secs(40);
/// The SOA's EXPIRE.
const LONGEST: u32 = 86_400;
const ZONE: &str = "$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n";
const KEY: &str = "keys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\n";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// For how many more seconds a server says that it may serve the zone.
fn expire(server: SocketAddr, is_stream: bool) -> Option<u32> {
    let asked = Asked::new("example.", "SOA").with_opt(Opt::of_size(1232).with(9, &[]));
    let told = ask(server, &asked, is_stream);
    told.option(9).map(|data| u32::from_be_bytes(data.try_into().unwrap()))
}

/// A secondary of the server on that port of loopback, which gives the zone to whoever has the key and tells `secondary`.
fn secondary(folder: &Path, primary: u16, secondary: u16) -> Server {
    let configuration = format!(
        "{KEY}zones:\n  - name: example.\n    primary: {{addresses: 127.0.0.1, port: {primary}, key: k}}\n    \
         transfer: {{allow: [{{key: k}}], notify: [{{address: 127.0.0.1, port: {secondary}, key: k}}]}}\n"
    );
    let server = fairlead_at(folder, free_port(), free_port(), &configuration, "example.");
    wait_for_zone(&server, "example.", &folder.join("fairlead.log"));
    server
}

/// A folder in which a secondary finds the zone as it was confirmed `age` seconds ago.
fn kept(age: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let zones = folder.path().join("state/zones");
    fs::create_dir_all(&zones).unwrap();
    fs::write(zones.join("zone.example.zone"), ZONE).unwrap();
    fs::write(zones.join("zone.example.json"), format!("{{\"serial\":1,\"refreshed\":{}}}", now() - age)).unwrap();
    folder
}

#[test]
fn rfc7314_3_1_a_primary_tells_the_soas() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zone"), ZONE).unwrap();
    let zones = "zones: [{name: example., file: zone}]\n";
    let server = fairlead_at(folder.path(), free_port(), free_port(), zones, "example.");
    assert_eq!([false, true].map(|is_stream| expire(server.address, is_stream)), [Some(LONGEST); 2]);
    let Some(dig) = tool("dig") else { return };
    let port = server.address.port().to_string();
    let output = Command::new(dig).args(["@127.0.0.1", "-p", &port, "+expire", "example.", "SOA"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("; EXPIRE: 86400 (1 day)"), "{text}");
}

#[test]
fn rfc7314_4_a_secondary_of_a_secondary_does_not_outlive_it() {
    // The primary of the first has been gone for 80,000 of the 86,400 seconds.
    let (first_folder, second_folder) = (kept(80_000), tempfile::tempdir().unwrap());
    let gone = free_port();
    let first = secondary(first_folder.path(), gone, gone);
    let second = secondary(second_folder.path(), first.address.port(), gone);
    let (told, kept_to) = (expire(first.address, false).unwrap(), expire(second.address, true).unwrap());
    assert!((6000..=6400).contains(&told), "{told}");
    // The second was given what was left then, to the second.
    assert!(kept_to <= told + 1 && kept_to + 60 > told, "{kept_to} of {told}");
    // A restart without the first changes nothing of it.
    drop((first, second));
    let again = secondary(second_folder.path(), gone, gone);
    let after = expire(again.address, false).unwrap();
    assert!((kept_to.saturating_sub(60)..=kept_to).contains(&after), "{after} of {kept_to}");
}

#[test]
fn other_programs_between_two_of_ours_pass_it_on_where_they_know_it() {
    for (program, knows_it) in [("knotd", true), ("named", true), ("nsd", false)] {
        let (ours, theirs, last) = (kept(80_000), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let port = free_port();
        let first = secondary(ours.path(), free_port(), port);
        let Some(middle) = peer(program, theirs.path(), port, Role::SecondaryOf(first.address.port())) else {
            continue;
        };
        wait_for_zone(&middle, "example.", &theirs.path().join("peer.log"));
        let told = expire(middle.address, true);
        assert_eq!(told.is_some(), knows_it, "{program}");
        let end = secondary(last.path(), port, free_port());
        let kept_to = expire(end.address, false).unwrap();
        let longest = told.unwrap_or(LONGEST);
        assert!(kept_to <= longest && kept_to + 60 > longest, "{program} told {told:?}, we keep to {kept_to}");
        if program == "knotd" {
            assert!(longest <= 6400, "Knot asks and keeps to it as we do: {longest}");
        }
    }
}

#[test]
fn a_version_is_given_up_when_its_time_is_over() {
    let (first_folder, second_folder) = (kept(86_400 - 15), tempfile::tempdir().unwrap());
    let gone = free_port();
    let first = secondary(first_folder.path(), gone, gone);
    let second = secondary(second_folder.path(), first.address.port(), gone);
    drop(first);
    let expected = expire(second.address, false).expect("a version that may be served");
    assert!(expected <= 15, "{expected}");
    let deadline = Instant::now() + PATIENCE;
    while ask(second.address, &Asked::new("example.", "SOA"), false).rcode == 0 {
        assert!(Instant::now() < deadline, "it is served on");
        std::thread::sleep(Duration::from_millis(10));
    }
}
