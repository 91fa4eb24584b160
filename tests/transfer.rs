//! Zone transfer between Fairlead and NSD, Knot and BIND: with TSIG, whole and by changes, told by NOTIFY.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::BinDecodable;

use support::peers::{PROGRAMS, Role, SECRET, peer, reload};
use support::server::{Server, fairlead_at, free_port, soa};
use support::tool;

/// How long two servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(40);

/// Version `serial` of the zone, one of whose addresses says so.
fn zone(serial: u32) -> String {
    let hosts: String = (0..300).map(|number| format!("host{number} A 192.0.2.{}\n", number % 250)).collect();
    format!(
        "$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nversion A 198.51.100.{serial}\n\
         *.wild TXT \"a b\" c\nsub NS ns.sub\nns.sub A 192.0.2.2\nmail MX 5 www\nwww AAAA 2001:db8::1\n{hosts}"
    )
}

/// A folder with version 1 of the zone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.zone"), zone(1)).unwrap();
    folder
}

const KEY: &str = "keys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\n";

/// Fairlead as primary of `example.`, whose secondary listens on `secondary`.
fn primary(folder: &Path, admin: u16, secondary: u16, more: &str) -> Server {
    let configuration = format!(
        "{KEY}zones:\n  - name: example.\n    file: example.zone\n    transfer:\n      allow: [{{key: k}}]\n      \
         notify: [{{address: 127.0.0.1, port: {secondary}, key: k}}]\n{more}"
    );
    fairlead_at(folder, free_port(), admin, &configuration, "example.")
}

fn hang_up(server: &Server) {
    let killed = Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// The serial that a server has of the zone.
fn serial(server: SocketAddr) -> Option<u32> {
    let message = Message::from_bytes(&soa(server, "example.")?).ok()?;
    message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

#[track_caller]
fn wait_for(server: SocketAddr, wanted: u32, log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while serial(server) != Some(wanted) {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{server} has {:?}, not {wanted}:\n{}", serial(server), log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The value of a metric; the text between the braces is given as it is exported.
fn metric(admin: u16, series: &str) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    // What was never seen has no series.
    line.unwrap_or(0.0)
}

fn wait_for_metric(admin: u16, series: &str, least: f64) {
    let deadline = Instant::now() + PATIENCE;
    while metric(admin, series) < least {
        assert!(Instant::now() < deadline, "{series} is {}", metric(admin, series));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every record a server gives out by AXFR, sorted.
fn axfr(server: SocketAddr, key: &str) -> Vec<String> {
    let dig = tool("dig").expect("dig comes with the programs this test is about");
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()];
    let output =
        Command::new(dig).args(at).args(["+noall", "+answer", "-y", key, "example.", "AXFR"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

#[test]
fn others_are_secondaries_of_fairlead() {
    for program in PROGRAMS {
        let (ours, theirs) = (folder(), tempfile::tempdir().unwrap());
        let (admin, port) = (free_port(), free_port());
        let fairlead = primary(ours.path(), admin, port, "");
        let Some(secondary) = peer(program, theirs.path(), port, Role::SecondaryOf(fairlead.address.port())) else {
            continue;
        };
        let log = theirs.path().join("peer.log");
        wait_for(secondary.address, 1, &log);
        assert!(
            metric(admin, "fairlead_transfers_total{direction=\"out\",kind=\"axfr\",result=\"done\"}")
                + metric(admin, "fairlead_transfers_total{direction=\"out\",kind=\"ixfr\",result=\"done\"}")
                >= 1.0,
            "{program}"
        );
        let kind = if program == "pdns_server" { "axfr" } else { "ixfr" };
        let series = format!("fairlead_transfers_total{{direction=\"out\",kind=\"{kind}\",result=\"done\"}}");
        for version in 2..=3 {
            let before = metric(admin, &series);
            fs::write(ours.path().join("example.zone"), zone(version)).unwrap();
            hang_up(&fairlead);
            wait_for(secondary.address, version, &log);
            wait_for_metric(admin, &series, before + 1.0);
        }
        wait_for_metric(admin, "fairlead_secondary_serial{zone=\"example.\",secondary=\"127.0.0.1\"}", 3.0);
        assert!(
            metric(admin, "fairlead_notifies_total{direction=\"out\",result=\"acknowledged\"}") >= 2.0,
            "{program}"
        );
    }
}

#[test]
fn a_zone_is_given_whole_to_who_may_have_it_and_to_nobody_else() {
    let Some(dig) = tool("dig") else { return };
    let folder = folder();
    let admin = free_port();
    let server = primary(folder.path(), admin, free_port(), "");
    let at = [format!("@{}", server.address.ip()), "-p".to_owned(), server.address.port().to_string()];
    let ask = |arguments: &[&str]| {
        let output = Command::new(&dig).args(&at).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let records = axfr(server.address, &format!("hmac-sha256:k:{SECRET}"));
    let count = |text: &str| records.iter().filter(|line| line.contains(text)).count();
    assert_eq!((records.len(), count(" SOA "), count("host")), (310, 2, 302), "{records:#?}");
    let whole = ask(&["-y", &format!("hmac-sha256:k:{SECRET}"), "example.", "AXFR"]);
    assert!(!whole.contains("verify failure") && whole.contains("XFR size: 310 records"), "{whole}");
    for refused in [&["example.", "AXFR"][..], &["example.", "IXFR=0"]] {
        let text = ask(refused);
        assert!(text.contains("Transfer failed") || text.contains("REFUSED"), "{text}");
    }
    assert!(metric(admin, "fairlead_transfers_total{direction=\"out\",kind=\"axfr\",result=\"refused\"}") >= 1.0);
    let elsewhere = ask(&["-y", &format!("hmac-sha256:k:{SECRET}"), "www.example.", "AXFR"]);
    assert!(elsewhere.contains("Transfer failed") || elsewhere.contains("NOTAUTH"), "{elsewhere}");
    let datagram = ask(&["-y", &format!("hmac-sha256:k:{SECRET}"), "+notcp", "example.", "IXFR=0"]);
    assert!(datagram.contains("SOA"), "{datagram}");
}

#[test]
fn wide_ips_are_left_out_or_sent_as_their_members() {
    if tool("dig").is_none() {
        return;
    }
    let objects = "datacenters: {here: {}}\nservers:\n  lb:\n    datacenter: here\n    virtual_servers:\n      \
                   a: {address: 203.0.113.1, port: 80}\n      b: {address: 203.0.113.2, port: 80}\n      c: {address: 203.0.113.3, port: 80}\n\
                   pools: {web: {type: A, ttl: 7s, members: [{virtual_server: lb/a}, {virtual_server: lb/b}, {virtual_server: lb/c, enabled: false}]}}\n\
                   wide_ips: [{name: app.example., type: A, pools: [web]}, {name: '*.apps.example.', type: A, pools: [web]}, \
                   {name: 'app?.example.', type: A, pools: [web]}]\n";
    let key = format!("hmac-sha256:k:{SECRET}");
    let check = |policy: &str, expected: &[&str]| {
        let folder = folder();
        let server = primary(folder.path(), free_port(), free_port(), &format!("{policy}{objects}"));
        let records = axfr(server.address, &key);
        let found: Vec<_> = records.iter().filter(|line| line.contains("app")).collect();
        assert_eq!(found, expected, "{policy}");
    };
    check("", &[]);
    check("    transfer_wide_ips: omit\n", &[]);
    let members = [
        "*.apps.example. 7 IN A 203.0.113.1",
        "*.apps.example. 7 IN A 203.0.113.2",
        "app.example. 7 IN A 203.0.113.1",
        "app.example. 7 IN A 203.0.113.2",
    ];
    check("    transfer_wide_ips: members\n", &members);
}

/// The lines of an answer to `dig +short`, sorted.
fn short(server: SocketAddr, question: &[&str]) -> Vec<String> {
    let dig = tool("dig").expect("it was looked for");
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string(), "+short".to_owned()];
    let output = Command::new(dig).args(at).args(question).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_pattern_that_is_a_wildcard_answers_at_secondaries_for_what_it_answers_here() {
    if tool("dig").is_none() {
        return;
    }
    for program in ["nsd", "knotd", "named"] {
        let (ours, theirs) = (folder(), tempfile::tempdir().unwrap());
        let port = free_port();
        let objects = "    transfer_wide_ips: members\ndatacenters: {here: {}}\nservers: {lb: {datacenter: here, virtual_servers: \
                       {a: {address: 203.0.113.1, port: 80}}}}\npools: {web: {type: A, members: [{virtual_server: lb/a}]}}\n\
                       wide_ips: [{name: '*.apps.example.', type: A, pools: [web]}]\n";
        let fairlead = primary(ours.path(), free_port(), port, objects);
        let Some(secondary) = peer(program, theirs.path(), port, Role::SecondaryOf(fairlead.address.port())) else {
            continue;
        };
        wait_for(secondary.address, 1, &theirs.path().join("peer.log"));
        for name in ["a.apps.example.", "b.a.apps.example.", "*.apps.example."] {
            assert_eq!(short(fairlead.address, &[name]), ["203.0.113.1"], "{name}");
            assert_eq!(short(secondary.address, &[name]), ["203.0.113.1"], "{program}: {name}");
        }
        for name in ["apps.example.", "other.example."] {
            assert!(short(fairlead.address, &[name]).is_empty() && short(secondary.address, &[name]).is_empty());
        }
    }
}

/// Fairlead as secondary of `example.`, whose primary listens on `primary`.
fn secondary(folder: &Path, port: u16, admin: u16, primary: u16) -> Server {
    let configuration = format!(
        "{KEY}zones:\n  - name: example.\n    primary: {{addresses: 127.0.0.1, port: {primary}, key: k}}\n    \
         transfer: {{allow: [{{key: k}}]}}\n"
    );
    fairlead_at(folder, port, admin, &configuration, "example.")
}

#[test]
fn fairlead_is_a_secondary_of_others() {
    for program in PROGRAMS {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), folder());
        let (port, admin) = (free_port(), free_port());
        let Some(primary) = peer(program, theirs.path(), free_port(), Role::PrimaryOf(port)) else { continue };
        let log = ours.path().join("fairlead.log");
        let fairlead = secondary(ours.path(), port, admin, primary.address.port());
        wait_for(fairlead.address, 1, &log);
        let done = |kind: &str| format!("fairlead_transfers_total{{direction=\"in\",kind=\"{kind}\",result=\"done\"}}");
        assert_eq!(metric(admin, &done("axfr")), 1.0, "{program}");
        for version in 2..=3 {
            fs::write(theirs.path().join("example.zone"), zone(version)).unwrap();
            reload(program, theirs.path(), &primary);
            wait_for(fairlead.address, version, &theirs.path().join("peer.log"));
        }
        let ixfr = metric(admin, &done("ixfr"));
        assert!(ixfr >= 1.0, "{program}: no changes came, {ixfr}:\n{}", fs::read_to_string(&log).unwrap());
        let notified = metric(admin, "fairlead_notifies_total{direction=\"in\",result=\"acknowledged\"}");
        assert!(notified >= 1.0, "{program}: {notified}");
        let key = format!("hmac-sha256:k:{SECRET}");
        assert_eq!(axfr(fairlead.address, &key), axfr(primary.address, &key), "{program}");
        // A restart without the primary serves at once.
        drop((primary, fairlead));
        let again = secondary(ours.path(), port, admin, free_port());
        assert_eq!(serial(again.address), Some(3), "{program}");
    }
}

#[test]
fn a_wide_ip_in_a_secondary_zone_answers_before_and_after_a_transfer() {
    if tool("dig").is_none() {
        return;
    }
    for program in ["knotd", "nsd"] {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), folder());
        let (port, admin) = (free_port(), free_port());
        let Some(primary) = peer(program, theirs.path(), free_port(), Role::PrimaryOf(port)) else { continue };
        let configuration = format!(
            "{KEY}zones:\n  - {{name: example., primary: {{addresses: 127.0.0.1, port: {}, key: k}}}}\n\
             datacenters: {{here: {{}}}}\nservers: {{lb: {{datacenter: here, virtual_servers: {{a: {{address: 203.0.113.1, port: 80}}}}}}}}\n\
             pools: {{web: {{type: A, members: [{{virtual_server: lb/a}}]}}}}\n\
             wide_ips: [{{name: version.example., type: A, pools: [web]}}, {{name: app.example., type: A, pools: [web]}}]\n",
            primary.address.port()
        );
        let fairlead = fairlead_at(ours.path(), port, admin, &configuration, "example.");
        let log = ours.path().join("fairlead.log");
        for version in 1..=3 {
            if version > 1 {
                fs::write(theirs.path().join("example.zone"), zone(version)).unwrap();
                reload(program, theirs.path(), &primary);
            }
            wait_for(fairlead.address, version, &log);
            let ask = |question: &[&str]| short(fairlead.address, question);
            // Wide IPs: one at a name that the zone has an address for, and one that the zone knows nothing of.
            assert_eq!(ask(&["version.example."]), ["203.0.113.1"], "{program}");
            assert_eq!(ask(&["app.example."]), ["203.0.113.1"], "{program}");
            assert_eq!(short(primary.address, &["version.example."]), [format!("198.51.100.{version}")], "{program}");
            // All else comes from the zone, other types of the wide IPs' names among it.
            assert_eq!(ask(&["www.example.", "AAAA"]), ["2001:db8::1"], "{program}");
            assert_eq!(ask(&["x.wild.example.", "TXT"]), ["\"a b\" \"c\""], "{program}");
            assert!(ask(&["app.example.", "TXT"]).is_empty() && ask(&["none.example."]).is_empty(), "{program}");
        }
        let done = |kind: &str| format!("fairlead_transfers_total{{direction=\"in\",kind=\"{kind}\",result=\"done\"}}");
        assert_eq!(metric(admin, &done("axfr")), 1.0, "{program}");
        assert!(metric(admin, &done("ixfr")) >= 1.0, "{program}: changes came for a zone that holds wide IPs");
    }
}

/// The records that `kdig` is given and the errors it tells, sorted.
fn kdig(server: SocketAddr, arguments: &[&str]) -> Option<Vec<String>> {
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()];
    let output = Command::new(tool("kdig")?).args(at).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| {
            !line.is_empty() && !line.contains("TSIG") && (!line.starts_with(";;") || line.contains("ERROR"))
        })
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    Some(lines)
}

#[test]
fn kdig_gets_zones_and_changes_with_a_signature_and_nothing_without() {
    let folder = folder();
    let server = primary(folder.path(), free_port(), free_port(), "");
    let key = format!("hmac-sha256:k:{SECRET}");
    let signed = |question: &[&str]| kdig(server.address, &[&["-y", &key, "+noquestion"], question].concat());
    let Some(whole) = signed(&["example.", "AXFR"]) else { return };
    if tool("dig").is_some() {
        assert_eq!(whole, axfr(server.address, &key));
    }
    assert_eq!(whole.len(), 310, "{whole:#?}");
    fs::write(folder.path().join("example.zone"), zone(2)).unwrap();
    hang_up(&server);
    wait_for(server.address, 2, &folder.path().join("fairlead.log"));
    let is_known = |changes: &[String]| changes.len() == 6;
    let deadline = Instant::now() + PATIENCE;
    let mut changes = Vec::new();
    // The version is served before what changed is known.
    while !is_known(&changes) && Instant::now() < deadline {
        changes = signed(&["example.", "IXFR=1"]).unwrap();
    }
    assert_eq!(changes.iter().filter(|line| line.contains(" SOA ")).count(), 4, "{changes:#?}");
    let version = |number: u32| format!("version.example. 60 IN A 198.51.100.{number}");
    assert!(changes.contains(&version(1)) && changes.contains(&version(2)), "{changes:#?}");
    assert_eq!(signed(&["example.", "IXFR=2"]).unwrap().len(), 1, "the SOA alone");
    for refused in ["AXFR", "IXFR=1"] {
        let lines = kdig(server.address, &["example.", refused]).unwrap();
        assert!(lines.iter().any(|line| line.contains("REFUSED")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains(" SOA ")), "{lines:#?}");
    }
    let wrong = kdig(server.address, &["-y", &key.replace("c2Vj", "c2Vk"), "example.", "AXFR"]).unwrap();
    assert!(wrong.iter().any(|line| line.contains("ERROR")), "{wrong:#?}");
    assert!(!wrong.iter().any(|line| line.contains(" SOA ")), "{wrong:#?}");
}

#[test]
fn a_zone_that_never_came_is_servfail_and_strangers_may_not_notify() {
    let Some(dig) = tool("dig") else { return };
    let folder = tempfile::tempdir().unwrap();
    let admin = free_port();
    let server = secondary(folder.path(), free_port(), admin, free_port());
    let at = [format!("@{}", server.address.ip()), "-p".to_owned(), server.address.port().to_string()];
    let ask = |arguments: &[&str]| {
        let output = Command::new(&dig).args(&at).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = ask(&["www.example.", "A"]);
    assert!(text.contains("SERVFAIL"), "{text}");
    // Not signed by the primary's key.
    let text = ask(&["+opcode=notify", "+norecurse", "example.", "SOA"]);
    assert!(text.contains("REFUSED"), "{text}");
    assert_eq!(metric(admin, "fairlead_notifies_total{direction=\"in\",result=\"refused\"}"), 1.0);
    wait_for_metric(admin, "fairlead_transfers_total{direction=\"in\",kind=\"axfr\",result=\"failed\"}", 1.0);
}
