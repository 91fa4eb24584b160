//! The journal through the front door: what it holds is served at the start and over reloads, edits of zone files are
//! merged or refused, and `fairlead zone` shows and writes back. The changes are put into the journal by the test, as an
//! update would, while no node runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairlead::journal::{Entry, Journal, Options};
use fairlead::wire::{Name, RecordType};
use fairlead::zone::{Change, Zone, ZoneBuilder, ZoneId, master};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name as HickoryName, RecordType as Type};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};

use support::server::{Server, fairlead_at, free_port};

const PATIENCE: Duration = Duration::from_secs(40);

/// Version 10 of the zone as a master file, with these lines more.
fn text(serial: u32, more: &str) -> String {
    format!("$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n{more}")
}

fn parsed(text: &str) -> Zone {
    let origin: Name = "example.".parse().unwrap();
    let settings = master::Settings { file: "zone", origin: &origin, default_ttl: None };
    fairlead::zone::load(text.as_bytes(), &settings, 1, &mut master::no_include).unwrap().zone
}

/// Puts the step from `base` to one that has this TXT at `name` too into the journal of a node that is not running.
fn update(folder: &Path, base: &Zone, name: &str, value: &str) -> Zone {
    let mut builder = ZoneBuilder::from(base);
    let owner: Name = format!("{name}.example.").parse().unwrap();
    let rdata = [&[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    builder.put(&owner, RecordType::TXT, 60, &[&rdata]).unwrap();
    let old_soa = base.soa_record().unwrap();
    let mut soa = old_soa.rdata.to_vec();
    let at = soa.len() - 20;
    soa[at..at + 4].copy_from_slice(&(base.soa().serial + 1).to_be_bytes());
    builder.put(base.apex(), RecordType::SOA, old_soa.ttl, &[&soa]).unwrap();
    let zone = builder.finish();
    let journal = Journal::open(&folder.join("state/updates.journal"), Options { zone_octets_max: 1 << 20, seed: 1 });
    let changes = vec![Arc::new(Change::between(base, &zone).unwrap())];
    let id = ZoneId::from(base.apex().clone());
    journal.unwrap().append(Entry { zone: id, base: base.clone(), changes, at: 1_700_000_000 }).unwrap();
    zone
}

/// A node with the file as `example.`.
fn node(folder: &Path, file: &str, more: &str) -> (Server, u16) {
    let admin = free_port();
    let configuration = format!("zones:\n  - {{name: example., file: {file}{more}}}\n");
    (fairlead_at(folder, free_port(), admin, &configuration, "example."), admin)
}

fn ask(server: SocketAddr, name: &str, record_type: Type) -> Vec<String> {
    let mut message = Message::query();
    message.metadata.id = 9;
    message.add_query(Query::query(HickoryName::from_ascii(name).unwrap(), record_type));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&message.to_bytes().unwrap(), server).unwrap();
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).unwrap();
    let reply = Message::from_bytes(&reply[..length]).unwrap();
    let mut answers: Vec<String> = reply.answers.iter().map(|record| record.data.to_string()).collect();
    answers.sort();
    answers
}

fn serial(server: SocketAddr) -> u32 {
    ask(server, "example.", Type::SOA)[0].split(' ').nth(2).unwrap().parse().unwrap()
}

fn zone(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.arg("zone").args(arguments).arg("--control").arg(folder.join("control.sock"));
    command.output().unwrap()
}

/// What a command prints, on both streams.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn metrics(admin: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Has the node read its files again and waits until `holds`.
#[track_caller]
fn reload_until(server: &Server, folder: &Path, holds: impl Fn() -> bool) {
    let killed = Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        let log = || fs::read_to_string(folder.join("fairlead.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "it does not hold:\n{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn updates_are_served_after_a_restart_and_written_to_a_master_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("example.zone");
    fs::write(&file, text(10, "; of the mail people\nmail MX 5 ns\n")).unwrap();
    let base = parsed(&text(10, "mail MX 5 ns\n"));
    let first = update(folder, &base, "a", "one");
    update(folder, &first, "b", "two");
    let (server, admin) = node(folder, "example.zone", "");
    assert_eq!((serial(server.address), ask(server.address, "b.example.", Type::TXT)), (12, vec!["two".to_owned()]));
    let status = said(&zone(folder, &["status", "example"]));
    assert!(status.contains("changes pending") && status.contains("file 10, served 12, 2 changes"), "{status}");
    let diff = said(&zone(folder, &["diff", "example"]));
    assert!(diff.contains("+a.example. 60 IN TXT \"one\"\n+b.example. 60 IN TXT \"two\""), "{diff}");
    assert!(!diff.contains("mail"), "{diff}");
    let exported = metrics(admin);
    assert!(exported.contains("fairlead_journal_changes{zone=\"example.\"} 2"), "{exported}");
    assert!(exported.contains("fairlead_zone_file_conflicts{zone=\"example.\"} 0"), "{exported}");

    let flushed = zone(folder, &["flush", "example."]);
    assert!(flushed.status.success(), "{}", said(&flushed));
    assert!(said(&flushed).contains("comments"), "{}", said(&flushed));
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("\"one\"") && written.contains("MX"), "{written}");
    let status = said(&zone(folder, &["status"]));
    assert!(status.contains("in step") && status.contains("file 12, served 12\n"), "{status}");
    assert!(said(&zone(folder, &["flush", "example"])).contains("no updates"));
    drop(server);
    let (server, _) = node(folder, "example.zone", "");
    assert_eq!((serial(server.address), ask(server.address, "a.example.", Type::TXT)), (12, vec!["one".to_owned()]));
    assert!(said(&zone(folder, &["status"])).contains("in step"));
}

#[test]
fn updates_are_written_to_yaml_whose_serial_is_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("example.yaml");
    fs::write(&file, "'': {type: NS, value: ns.example.}\nns: {type: A, value: 192.0.2.1}\n").unwrap();
    let (server, _) = node(folder, "example.yaml", ", soa: {}");
    let of_file = serial(server.address);
    drop(server);
    let lines = format!("$TTL 3600\n@ SOA ns hostmaster {of_file} 3600 600 604800 300\n@ NS ns\nns A 192.0.2.1\n");
    update(folder, &parsed(&lines), "a", "say; \"hi\"");
    let (server, _) = node(folder, "example.yaml", ", soa: {}");
    assert_eq!(serial(server.address), of_file + 1);
    let flushed = zone(folder, &["flush", "example."]);
    assert!(flushed.status.success(), "{}", said(&flushed));
    drop(server);
    let (server, _) = node(folder, "example.yaml", ", soa: {}");
    assert_eq!(serial(server.address), of_file + 1);
    assert_eq!(ask(server.address, "a.example.", Type::TXT), ["say; \"hi\""]);
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("type: TXT") && !written.contains("SOA"), "{written}");
    assert!(said(&zone(folder, &["status"])).contains("in step"));
}

#[test]
fn an_edit_is_merged_where_it_does_not_meet_an_update_and_refused_where_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("example.zone");
    fs::write(&file, text(10, "a TXT old\n")).unwrap();
    update(folder, &parsed(&text(10, "a TXT old\n")), "a", "update");
    let (server, admin) = node(folder, "example.zone", "");
    let server_address = server.address;
    let txt = |name: &str| ask(server_address, name, Type::TXT);
    assert_eq!((serial(server_address), txt("a.example.")), (11, vec!["update".to_owned()]));

    // Elsewhere: merged, and newer than both.
    fs::write(&file, text(20, "a TXT old\nb TXT edit\n")).unwrap();
    let refused = zone(folder, &["flush", "example"]);
    assert!(!refused.status.success() && said(&refused).contains("was edited"), "{}", said(&refused));
    reload_until(&server, folder, || serial(server_address) == 21);
    assert_eq!((txt("a.example."), txt("b.example.")), (vec!["update".to_owned()], vec!["edit".to_owned()]));

    // At the same record: the update stays, and all say so.
    fs::write(&file, text(30, "a TXT mine\nb TXT edit\n")).unwrap();
    let in_conflict = || metrics(admin).contains("fairlead_zone_file_conflicts{zone=\"example.\"} 1");
    reload_until(&server, folder, in_conflict);
    assert_eq!((serial(server_address), txt("a.example.")), (21, vec!["update".to_owned()]));
    let conflict = "a.example. TXT: both replaced the same record: the file replaced 60 TXT \"old\" by 60 TXT \"mine\"; \
                    updates replaced 60 TXT \"old\" by 60 TXT \"update\"";
    let status = said(&zone(folder, &["status"]));
    assert!(status.contains("conflict") && status.contains(conflict), "{status}");
    let log = fs::read_to_string(folder.join("fairlead.log")).unwrap();
    assert!(log.contains("NOT in use"), "{log}");
    let mut node_status = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    let node_status = node_status.arg("status").arg("--control").arg(folder.join("control.sock")).output().unwrap();
    assert!(said(&node_status).contains("example.zone is not in use since"), "{}", said(&node_status));
    assert!(!zone(folder, &["flush", "example"]).status.success());
    assert!(fs::read_to_string(&file).unwrap().contains("mine"), "an edit is never written over");

    // A restart serves what was acknowledged, and says so again.
    drop(server);
    let (server, _) = node(folder, "example.zone", "");
    assert_eq!((serial(server.address), ask(server.address, "a.example.", Type::TXT)), (21, vec!["update".to_owned()]));
    assert!(said(&zone(folder, &["status"])).contains(conflict));

    // Made as the updates have it, the file is taken.
    fs::write(&file, text(30, "a TXT update\nb TXT edit\nc TXT more\n")).unwrap();
    reload_until(&server, folder, || !ask(server.address, "c.example.", Type::TXT).is_empty());
    let status = said(&zone(folder, &["status"]));
    assert!(!status.contains("conflict"), "{status}");
}

#[test]
fn files_that_cannot_be_written_as_they_are_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("example.zone");
    let with_include = text(10, "$GENERATE 1-2 h$ A 192.0.2.$\n");
    fs::write(&file, &with_include).unwrap();
    update(folder, &parsed(&with_include), "a", "one");
    let (_server, _) = node(folder, "example.zone", "");
    let refused = zone(folder, &["flush", "example"]);
    assert!(!refused.status.success() && said(&refused).contains("--force"), "{}", said(&refused));
    assert_eq!(fs::read_to_string(&file).unwrap(), with_include);
    let forced = zone(folder, &["flush", "example", "--force"]);
    assert!(forced.status.success() && said(&forced).contains("$GENERATE"), "{}", said(&forced));
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("h2 ") && written.contains("\"one\"") && !written.contains("$GENERATE"), "{written}");
    let unknown = zone(folder, &["diff", "other."]);
    assert!(!unknown.status.success() && said(&unknown).contains("example."), "{}", said(&unknown));
}

#[test]
fn a_crash_between_the_file_and_the_journal_is_seen_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("example.zone"), text(10, "")).unwrap();
    update(folder, &parsed(&text(10, "")), "a", "one");
    // As flush leaves it before it empties the journal.
    fs::write(folder.join("example.zone"), text(11, "a TXT one\n")).unwrap();
    let (server, _) = node(folder, "example.zone", "");
    assert_eq!((serial(server.address), ask(server.address, "a.example.", Type::TXT)), (11, vec!["one".to_owned()]));
    let status = said(&zone(folder, &["status"]));
    assert!(status.contains("in step") && !status.contains("journal"), "{status}");
}

#[test]
fn a_journal_that_cannot_be_read_stops_the_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("example.zone"), text(10, "")).unwrap();
    let first = update(folder, &parsed(&text(10, "")), "a", "one");
    update(folder, &first, "b", "two");
    let journal = folder.join("state/updates.journal");
    let mut octets = fs::read(&journal).unwrap();
    octets[120] ^= 1;
    fs::write(&journal, octets).unwrap();
    let configuration = format!(
        "node: test\nlisteners: [{{address: 127.0.0.1, port: {}}}]\nadmin: {{enabled: false}}\nstate: {}/state\n\
         control: {}/control.sock\nzones: [{{name: example., file: example.zone}}]\n",
        free_port(),
        folder.display(),
        folder.display()
    );
    fs::write(folder.join("fairlead.yaml"), configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    let output = command.args(["serve", "-c"]).arg(folder.join("fairlead.yaml")).output().unwrap();
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("updates.journal") && said.contains("damaged") && said.contains("mv "), "{said}");
}

#[test]
fn secondaries_get_changes_by_ixfr_after_a_restart() {
    let Some(dig) = support::tool("dig") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("example.zone"), text(10, "")).unwrap();
    let first = update(folder, &parsed(&text(10, "")), "a", "one");
    update(folder, &first, "b", "two");
    let (server, _) = node(folder, "example.zone", ", transfer: {allow: [{address: 127.0.0.1}]}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let port = server.address.port().to_string();
        let output = Command::new(&dig)
            .args(["@127.0.0.1", "-p", &port, "+noall", "+answer", "example.", "IXFR=11"])
            .output()
            .unwrap();
        let text = said(&output);
        // SOA 12, SOA 11, (nothing removed), SOA 12, b, SOA 12: and neither NS nor the records before.
        if text.matches("SOA").count() == 4 && text.contains("two") && !text.contains("one") && !text.contains("NS\t") {
            return;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
