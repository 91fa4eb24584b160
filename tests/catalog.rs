//! Catalog zones (RFC 9432) between Fairlead and Knot, BIND and NSD: made here and used there, and the other way round.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::BinDecodable;

use support::catalogs::{CONSUMERS, CatalogRole, PRODUCERS, catalog, configure, run};
use support::server::{Server, fairlead_at, free_port, soa};

/// How long two servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(40);
const KEY: &str = "keys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\n";

/// Writes version `serial` of a zone to the file of its name.
fn write_zone(folder: &Path, name: &str, serial: u32) {
    let text = format!(
        "$ORIGIN {name}\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n"
    );
    fs::write(folder.join(format!("{name}zone")), text).unwrap();
}

/// What a server says of a zone: its serial, or the code that it answers with.
fn state(server: SocketAddr, zone: &str) -> Result<u32, ResponseCode> {
    let message = soa(server, zone).and_then(|reply| Message::from_bytes(&reply).ok());
    let message = message.ok_or(ResponseCode::Unknown(0xfff))?;
    let serial = message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    serial.ok_or(message.response_code)
}

#[track_caller]
fn wait_for(server: SocketAddr, zone: &str, is_wanted: impl Fn(Result<u32, ResponseCode>) -> bool, log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !is_wanted(state(server, zone)) {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{server} says {:?} of {zone}:\n{}", state(server, zone), log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hang_up(server: &Server) {
    let killed = Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// What the admin server says at a path.
fn get(admin: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn wait_for_status(admin: u16, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !get(admin, "/api/v1/status").contains(wanted) {
        assert!(Instant::now() < deadline, "no {wanted} in {}", get(admin, "/api/v1/status"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The configuration of Fairlead as producer for a consumer on `port`.
fn producing(zones: &[&str], port: u16) -> String {
    let transfer = format!("transfer: {{allow: [{{key: k}}], notify: [{{address: 127.0.0.1, port: {port}, key: k}}]}}");
    let zone = |name: &&str| format!("  - {{name: {name}, file: {name}zone, {transfer}}}\n");
    let zones: String = zones.iter().map(zone).collect();
    format!("unmatched: refused\n{KEY}zones:\n  - {{name: cat., catalog: {{members: all}}, {transfer}}}\n{zones}")
}

fn rewrite(folder: &Path, old: &str, new: &str) {
    let file = folder.join("fairlead.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(old));
    fs::write(&file, text.replace(old, new)).unwrap();
}

#[test]
fn others_mirror_the_zones_of_a_catalog_made_here() {
    for program in CONSUMERS {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (port, peer_port, admin) = (free_port(), free_port(), free_port());
        ["a.test.", "b.test.", "c.test."].iter().for_each(|name| write_zone(ours.path(), name, 1));
        let first = producing(&["a.test.", "b.test."], peer_port);
        let fairlead = fairlead_at(ours.path(), port, admin, &first, "cat.");
        configure(program, theirs.path(), peer_port, CatalogRole::ConsumerOf(port));
        let Some(peer) = run(program, theirs.path(), peer_port) else { continue };
        let log = theirs.path().join("peer.log");
        for name in ["a.test.", "b.test."] {
            wait_for(peer.address, name, |state| state == Ok(1), &log);
        }
        let serial = state(fairlead.address, "cat.").unwrap();
        let second = producing(&["a.test.", "c.test."], peer_port);
        rewrite(ours.path(), &first, &second);
        write_zone(ours.path(), "a.test.", 2);
        hang_up(&fairlead);
        wait_for(peer.address, "c.test.", |state| state == Ok(1), &log);
        wait_for(peer.address, "a.test.", |state| state == Ok(2), &log);
        wait_for(peer.address, "b.test.", |state| state == Err(ResponseCode::Refused), &log);
        let grown = state(fairlead.address, "cat.").unwrap();
        assert!(grown > serial, "{program}: {grown} after {serial}");
        // A restart changes nothing of it.
        drop(fairlead);
        let again = fairlead_at(ours.path(), port, admin, &second, "cat.");
        assert_eq!(state(again.address, "cat."), Ok(grown), "{program}");
    }
}

/// The configuration of Fairlead as consumer of a producer on `port`.
fn consuming(port: u16, more: &str) -> String {
    format!(
        "unmatched: refused\n{KEY}zones:\n  - name: cat.\n    primary: {{addresses: 127.0.0.1, port: {port}, key: k}}\n    \
         catalog: {{template: {{transfer: {{allow: [{{key: k}}]}}}}}}\n{more}"
    )
}

#[test]
fn zones_of_the_catalogs_of_others_are_picked_up() {
    for program in PRODUCERS {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (port, peer_port, admin) = (free_port(), free_port(), free_port());
        ["a.test.", "b.test.", "c.test."].iter().for_each(|name| write_zone(theirs.path(), name, 1));
        let version = "version TXT 2\n";
        let list = |serial, members: &[(&str, &str)], more: &str| {
            fs::write(theirs.path().join("cat.zone"), catalog(serial, members, more)).unwrap();
        };
        list(1, &[("one", "a.test."), ("two", "b.test.")], version);
        // NSD reads its configuration once.
        let all = &["a.test.", "b.test.", "c.test."];
        let zones = if program == "nsd" { &all[..] } else { &all[..2] };
        configure(program, theirs.path(), peer_port, CatalogRole::ProducerFor(port, zones));
        let Some(peer) = run(program, theirs.path(), peer_port) else { continue };
        let fairlead = fairlead_at(ours.path(), port, admin, &consuming(peer_port, ""), "cat.");
        let log = ours.path().join("fairlead.log");
        for name in ["a.test.", "b.test."] {
            wait_for(fairlead.address, name, |state| state == Ok(1), &log);
        }
        let kept = |name: &str| ours.path().join(format!("state/zones/zone.{}.zone", name.trim_end_matches('.')));
        wait_until(|| kept("b.test.").exists());
        list(2, &[("one", "a.test."), ("three", "c.test.")], version);
        let zones = if program == "nsd" { &all[..] } else { &["a.test.", "c.test."] };
        configure(program, theirs.path(), peer_port, CatalogRole::ProducerFor(port, zones));
        hang_up(&peer);
        wait_for(fairlead.address, "c.test.", |state| state == Ok(1), &log);
        wait_for(fairlead.address, "b.test.", |state| state == Err(ResponseCode::Refused), &log);
        wait_until(|| !kept("b.test.").exists());
        wait_until(|| kept("c.test.").exists());
        assert!(get(admin, "/metrics").contains("fairlead_catalog_members{catalog=\"cat.\"} 2"), "{program}");
        // A reload and a restart without the primary keep what the catalog brought.
        drop(peer);
        hang_up(&fairlead);
        wait_for_log(&log, "configuration reloaded");
        assert_eq!(state(fairlead.address, "c.test."), Ok(1), "{program}");
        drop(fairlead);
        let again = fairlead_at(ours.path(), port, admin, &consuming(peer_port, ""), "cat.");
        for name in ["a.test.", "c.test."] {
            assert_eq!(state(again.address, name), Ok(1), "{program} {name}");
        }
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for_log(log: &Path, wanted: &str) {
    wait_until(|| fs::read_to_string(log).unwrap_or_default().contains(wanted));
}

#[test]
fn a_broken_catalog_keeps_its_members_and_names_that_clash_are_told() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (port, peer_port, admin) = (free_port(), free_port(), free_port());
    ["a.test.", "own.test."].iter().for_each(|name| write_zone(theirs.path(), name, 1));
    write_zone(ours.path(), "own.test.", 9);
    let list = |serial, members: &[(&str, &str)], more: &str| {
        fs::write(theirs.path().join("cat.zone"), catalog(serial, members, more)).unwrap();
    };
    list(1, &[("one", "a.test."), ("two", "own.test.")], "version TXT 2\n");
    configure("named", theirs.path(), peer_port, CatalogRole::ProducerFor(port, &["a.test.", "own.test."]));
    let Some(peer) = run("named", theirs.path(), peer_port) else { return };
    let configuration = consuming(peer_port, "  - {name: own.test., file: own.test.zone}\n");
    let fairlead = fairlead_at(ours.path(), port, admin, &configuration, "cat.");
    let log = ours.path().join("fairlead.log");
    wait_for(fairlead.address, "a.test.", |state| state == Ok(1), &log);
    assert_eq!(state(fairlead.address, "own.test."), Ok(9), "the configured one");
    wait_for_status(admin, "a zone of that name is configured on this node");
    list(2, &[], "");
    hang_up(&peer);
    wait_for_status(admin, "the catalog has no TXT record at `version`");
    assert_eq!((state(fairlead.address, "a.test."), state(fairlead.address, "cat.")), (Ok(1), Ok(1)));
    // Another label is another zone of that name: it comes anew. Its template is that of its group.
    list(3, &[("other", "a.test.")], "version TXT 2\n");
    hang_up(&peer);
    wait_for_log(&log, "a zone starts anew: its catalog lists it under another label");
    wait_for(fairlead.address, "a.test.", |state| state == Ok(1), &log);
}

/// A primary with the catalogs `old.` and `new.` in files, and the zone `m.test.`; it tells a consumer on `port`.
fn two_catalogs(folder: &Path, port: u16, own_port: u16) -> Server {
    let transfer = format!("transfer: {{allow: [{{key: k}}], notify: [{{address: 127.0.0.1, port: {port}, key: k}}]}}");
    let zone = |name: &str| format!("  - {{name: {name}, file: {name}zone, {transfer}}}\n");
    let zones: String = ["old.", "new.", "m.test."].map(zone).concat();
    fairlead_at(folder, own_port, free_port(), &format!("{KEY}zones:\n{zones}"), "old.")
}

#[test]
fn rfc9432_4_3_1_a_zone_changes_its_catalog_where_the_old_one_says_so() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (port, peer_port, admin) = (free_port(), free_port(), free_port());
    let list = |name: &str, serial, members: &[(&str, &str)], more: &str| {
        let text = catalog(serial, members, &format!("version TXT 2\n{more}"))
            .replace("$ORIGIN cat.", &format!("$ORIGIN {name}"));
        fs::write(theirs.path().join(format!("{name}zone")), text).unwrap();
    };
    write_zone(theirs.path(), "m.test.", 1);
    list("old.", 1, &[("one", "m.test.")], "");
    list("new.", 1, &[], "");
    let peer = two_catalogs(theirs.path(), port, peer_port);
    let consumed = |name: &str| {
        format!(
            "  - name: {name}\n    primary: {{addresses: 127.0.0.1, port: {peer_port}, key: k}}\n    \
             catalog: {{template: {{transfer: {{allow: [{{key: k}}]}}}}}}\n"
        )
    };
    let configuration = format!("unmatched: refused\n{KEY}zones:\n{}{}", consumed("old."), consumed("new."));
    let fairlead = fairlead_at(ours.path(), port, admin, &configuration, "old.");
    let log = ours.path().join("fairlead.log");
    let has = |name: &str, serial: u32| wait_for(fairlead.address, name, |state| state == Ok(serial), &log);
    has("m.test.", 1);
    has("new.", 1);
    wait_for_status(admin, "\"member_of\":\"old.\"");
    // The new one lists it without leave: a clash (§5.2).
    list("new.", 2, &[("two", "m.test.")], "");
    hang_up(&peer);
    has("new.", 2);
    wait_for_status(admin, "it is a member of old., which does not hand it over (coo)");
    assert!(get(admin, "/api/v1/status").contains("\"member_of\":\"old.\""));
    list("new.", 3, &[], "");
    hang_up(&peer);
    has("new.", 3);
    // The old one says where it may go: it stays until the new one lists it.
    list("old.", 2, &[("one", "m.test.")], "coo.one.zones PTR new.\n");
    hang_up(&peer);
    has("old.", 2);
    assert_eq!(state(fairlead.address, "m.test."), Ok(1));
    assert!(get(admin, "/api/v1/status").contains("\"member_of\":\"old.\""));
    list("new.", 4, &[("two", "m.test.")], "");
    hang_up(&peer);
    has("new.", 4);
    wait_for_status(admin, "\"member_of\":\"new.\"");
    // Under another label it is another zone of that name, and comes anew.
    wait_for_log(&log, "a zone starts anew");
    has("m.test.", 1);
    // What the old one does with it is of no consequence now; what the new one does is.
    list("old.", 3, &[], "");
    hang_up(&peer);
    has("old.", 3);
    assert_eq!(state(fairlead.address, "m.test."), Ok(1));
    list("new.", 5, &[], "");
    hang_up(&peer);
    wait_for(fairlead.address, "m.test.", |state| state == Err(ResponseCode::Refused), &log);
}
