//! Views: who is answered from which, over every way that chooses one, and transfers to real servers in each.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::BinDecodable;

use support::peers::{PROGRAMS, Role, SECRET, peer_with_key};
use support::server::{Server, fairlead_at, fairlead_on, free_port, soa};
use support::tool;

/// How long two servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(40);

/// A folder with these zone files; each has the zone `example.` whose `www` and `via` say which it is.
fn folder(files: &[(&str, u8, u32)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, octet, serial) in files {
        write_zone(folder.path(), file, *octet, *serial);
    }
    folder
}

fn write_zone(folder: &Path, file: &str, octet: u8, serial: u32) {
    let zone = format!(
        "$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n\
         www A 198.51.100.{octet}\nversion A 203.0.113.{serial}\nvia CNAME app\n"
    );
    fs::write(folder.join(file), zone).unwrap();
}

const KEYS: &str = "keys:\n  k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}\n  k2: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}\n";

/// Pools of one static address each, told apart by it: `p1` answers 192.0.2.101 and so on.
const POOLS: &str = "datacenters: {dc: {}}\nservers:\n  s:\n    datacenter: dc\n    virtual_servers:\n      \
    v1: {address: 192.0.2.101, port: 80}\n      v2: {address: 192.0.2.102, port: 80}\n      v3: {address: 192.0.2.103, port: 80}\n\
    pools: {p1: {type: A, members: [s/v1]}, p2: {type: A, members: [s/v2]}, p3: {type: A, members: [s/v3]}}\n";

fn wide_ip(pool: &str) -> String {
    format!("wide_ips: [{{name: app.example., type: A, pools: [{pool}]}}]")
}

fn dig(server: SocketAddr, arguments: &[&str]) -> Option<String> {
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()];
    let output = Command::new(tool("dig")?).args(at).args(["+tries=2", "+time=3"]).args(arguments).output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The status of a reply and the addresses in it.
fn answer(shown: &str) -> String {
    let status = shown.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("no reply");
    let records = shown.lines().filter(|line| !line.starts_with(';') && line.contains("\tA\t"));
    let addresses = records.filter_map(|line| line.split_ascii_whitespace().last());
    std::iter::once(status).chain(addresses).collect::<Vec<_>>().join(" ")
}

/// The value of a metric; the text between the braces is given as it is exported.
fn metric(admin: u16, series: &str) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("there is no {series} in\n{text}"))
}

fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
}

/// A node with the zone `example.`.
fn node(folder: &Path, port: u16, admin: u16, configuration: &str) -> Server {
    fairlead_at(folder, port, admin, configuration, "example.")
}

#[test]
fn the_source_address_chooses_the_view_and_the_first_match_wins() {
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1), ("c.zone", 3, 1)]);
    let configuration = format!(
        "{POOLS}views:\n  - name: two\n    match: {{clients: [127.0.0.2, 127.0.1.0/24]}}\n    zones: [{{name: example., file: a.zone}}]\n    {}\n  \
         - name: loopback\n    match: {{clients: 127.0.0.0/30}}\n    zones: [{{name: example., file: b.zone}}]\n    {}\n  \
         - name: same\n    match: {{clients: [127.0.0.8, 127.0.0.2]}}\n    zones: [{{name: example., file: a.zone}}]\n    {}\n",
        wide_ip("p1"),
        wide_ip("p2"),
        wide_ip("p3"),
    );
    let (port, admin) = (free_port(), free_port());
    let server = node(folder.path(), port, admin, &configuration);
    for transport in ["+notcp", "+tcp"] {
        let check = |source: &str, name: &str, expected: &str| {
            let Some(shown) = dig(server.address, &["-b", source, transport, name, "A"]) else { return };
            assert_eq!(answer(&shown), expected, "{source} {name} {transport}\n{shown}");
        };
        check("127.0.0.2", "www.example.", "NOERROR 198.51.100.1");
        check("127.0.1.77", "www.example.", "NOERROR 198.51.100.1");
        check("127.0.0.1", "www.example.", "NOERROR 198.51.100.2");
        check("127.0.0.8", "www.example.", "NOERROR 198.51.100.1");
        check("127.0.0.2", "app.example.", "NOERROR 192.0.2.101");
        check("127.0.0.1", "app.example.", "NOERROR 192.0.2.102");
        check("127.0.0.8", "app.example.", "NOERROR 192.0.2.103");
        // A chain stays in its view.
        check("127.0.0.8", "via.example.", "NOERROR 192.0.2.103");
        check("127.0.0.4", "www.example.", "REFUSED");
        check("127.0.0.4", "app.example.", "REFUSED");
    }
    if tool("dig").is_some() {
        let counted = |view: &str| metric(admin, &format!("fairlead_view_queries_total{{view=\"{view}\"}}"));
        assert_eq!([counted("two"), counted("same"), counted("-")], [6.0, 6.0, 4.0]);
    }
    // What a client says of itself chooses nothing.
    if let Some(shown) = dig(server.address, &["-b", "127.0.0.4", "+subnet=127.0.0.2/32", "www.example.", "A"]) {
        assert_eq!(answer(&shown), "REFUSED");
    }
}

#[test]
fn the_default_view_takes_what_no_other_does() {
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1)]);
    let configuration = format!(
        "{POOLS}views:\n  - {{name: two, match: {{clients: 127.0.0.2}}, zones: [{{name: example., file: a.zone}}]}}\n\
         zones: [{{name: example., file: b.zone}}]\n{}\n",
        wide_ip("p2")
    );
    let server = node(folder.path(), free_port(), free_port(), &configuration);
    let check = |source: &str, name: &str, expected: &str| {
        let Some(shown) = dig(server.address, &["-b", source, name, "A"]) else { return };
        assert_eq!(answer(&shown), expected, "{source} {name}\n{shown}");
    };
    check("127.0.0.2", "www.example.", "NOERROR 198.51.100.1");
    check("127.0.0.2", "app.example.", "NXDOMAIN");
    check("127.0.0.3", "www.example.", "NOERROR 198.51.100.2");
    check("127.0.0.3", "app.example.", "NOERROR 192.0.2.102");
}

#[test]
fn the_listener_and_the_key_choose_the_view() {
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1), ("c.zone", 3, 1)]);
    let (port, inside) = (free_port(), free_port());
    let configuration = format!(
        "{KEYS}views:\n  \
         - {{name: both, match: {{listeners: '127.0.0.1:{inside}', keys: [k2]}}, zones: [{{name: example., file: c.zone}}]}}\n  \
         - {{name: inside, match: {{listeners: inside}}, zones: [{{name: example., file: a.zone}}]}}\n  \
         - {{name: keyed, match: {{keys: k}}, zones: [{{name: example., file: b.zone}}]}}\n",
    );
    let listeners = format!(
        "listeners: [{{address: 127.0.0.1, port: {port}}}, {{name: inside, address: 127.0.0.1, port: {inside}}}]"
    );
    let server = fairlead_on(folder.path(), port, &listeners, free_port(), &configuration, "example.");
    let at_inside = SocketAddr::from(([127, 0, 0, 1], inside));
    let (good, second) = (format!("hmac-sha256:K:{SECRET}"), format!("hmac-sha256:k2:{SECRET}"));
    let wrong = "hmac-sha256:k:d3JvbmctLXdyb25nLS13cm9uZy0td3Jvbmct";
    for transport in ["+notcp", "+tcp"] {
        let check = |at: SocketAddr, key: Option<&str>, expected: &str| {
            let mut arguments = vec![transport, "www.example.", "A"];
            arguments.extend(key.iter().flat_map(|key| ["-y", *key]));
            let Some(shown) = dig(at, &arguments) else { return };
            assert_eq!(answer(&shown), expected, "{at} {key:?}\n{shown}");
        };
        check(at_inside, None, "NOERROR 198.51.100.1");
        check(at_inside, Some(&good), "NOERROR 198.51.100.1");
        check(at_inside, Some(&second), "NOERROR 198.51.100.3");
        check(server.address, Some(&good), "NOERROR 198.51.100.2");
        check(server.address, Some(&second), "REFUSED");
        check(server.address, None, "REFUSED");
        // RFC 8945 §5.2 comes before any view: who signs wrongly is told so, and sees nothing.
        check(server.address, Some(wrong), "NOTAUTH");
        check(at_inside, Some(wrong), "NOTAUTH");
    }
}

/// The address of `version` as one source sees it; none while there is no reply.
fn version(server: SocketAddr) -> Option<u32> {
    let message = Message::from_bytes(&soa(server, "example.")?).ok()?;
    message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

#[track_caller]
fn wait_for(server: SocketAddr, wanted: u32, log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while version(server) != Some(wanted) {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{server} has {:?}, not {wanted}:\n{}", version(server), log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_view_has_secondaries_of_its_own() {
    for program in PROGRAMS {
        if tool(program).is_none() {
            continue;
        }
        let ours = folder(&[("a.zone", 1, 1), ("b.zone", 2, 5)]);
        let (port, admin, first, second) = (free_port(), free_port(), free_port(), free_port());
        let zone = |file: &str, key: &str, port: u16| {
            format!(
                "zones: [{{name: example., file: {file}, transfer: {{allow: [{{key: {key}}}], notify: [{{address: 127.0.0.1, port: {port}, key: {key}}}]}}}}]"
            )
        };
        let configuration = format!(
            "{KEYS}views:\n  - {{name: a, match: {{keys: k}}, {}}}\n  - {{name: b, match: {{keys: k2}}, {}}}\n",
            zone("a.zone", "k", first),
            zone("b.zone", "k2", second)
        );
        let fairlead = node(ours.path(), port, admin, &configuration);
        let (of_a, of_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = peer_with_key(program, of_a.path(), first, Role::SecondaryOf(port), "k").unwrap();
        let b = peer_with_key(program, of_b.path(), second, Role::SecondaryOf(port), "k2").unwrap();
        wait_for(a.address, 1, &of_a.path().join("peer.log"));
        wait_for(b.address, 5, &of_b.path().join("peer.log"));
        let www = |server: SocketAddr| dig(server, &["+noadditional", "www.example.", "A"]).map(|shown| answer(&shown));
        assert!(www(a.address).is_none_or(|shown| shown == "NOERROR 198.51.100.1"), "{program}");
        assert!(www(b.address).is_none_or(|shown| shown == "NOERROR 198.51.100.2"), "{program}");
        // A change of one view is told to its secondary and goes there alone.
        write_zone(ours.path(), "b.zone", 9, 6);
        hang_up(&fairlead);
        wait_for(b.address, 6, &of_b.path().join("peer.log"));
        assert_eq!(www(b.address).unwrap_or_default(), "NOERROR 198.51.100.9", "{program}");
        assert_eq!(version(a.address), Some(1), "{program}");
        let key = |name: &str| format!("hmac-sha256:{name}:{SECRET}");
        let transfer = |kind: &str, key: &str| dig(fairlead.address, &["-y", key, "example.", kind]);
        if let (Some(of_a), Some(of_b)) = (transfer("AXFR", &key("k")), transfer("AXFR", &key("k2"))) {
            assert!(of_a.contains("198.51.100.1\n") && !of_a.contains("198.51.100.9"), "{of_a}");
            assert!(of_b.contains("198.51.100.9\n") && !of_b.contains("198.51.100.1\n"), "{of_b}");
        }
        if let (Some(changes), Some(unsigned)) =
            (transfer("IXFR=5", &key("k2")), dig(fairlead.address, &["example.", "AXFR"]))
        {
            assert!(changes.contains("198.51.100.2\n") && changes.contains("198.51.100.9\n"), "{changes}");
            assert!(!changes.contains("192.0.2.1\n"), "changes alone: {changes}");
            assert!(unsigned.contains("Transfer failed"), "{unsigned}");
        }
    }
}

#[test]
fn one_zone_comes_from_another_primary_in_each_view() {
    if tool("knotd").is_none() {
        return;
    }
    let (of_a, of_b, ours) = (folder(&[("example.zone", 1, 3)]), folder(&[("example.zone", 2, 4)]), folder(&[]));
    let (port, first, second) = (free_port(), free_port(), free_port());
    let zone = |key: &str, port: u16| {
        format!("zones: [{{name: example., primary: {{addresses: 127.0.0.1, port: {port}, key: {key}}}}}]")
    };
    let a = peer_with_key("knotd", of_a.path(), first, Role::PrimaryOf(port), "k").unwrap();
    let b = peer_with_key("knotd", of_b.path(), second, Role::PrimaryOf(port), "k2").unwrap();
    let configuration = format!(
        "{KEYS}views:\n  - {{name: a, match: {{keys: k}}, {}}}\n  - {{name: b, match: {{keys: k2}}, {}}}\n",
        zone("k", first),
        zone("k2", second)
    );
    let server = node(ours.path(), port, free_port(), &configuration);
    let wait_for = |key: &str, expected: &str| {
        let (key, deadline) = (format!("hmac-sha256:{key}:{SECRET}"), Instant::now() + PATIENCE);
        loop {
            let Some(shown) = dig(server.address, &["-y", &key, "version.example.", "A"]) else { return };
            if answer(&shown) == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{key}: {shown}");
        }
    };
    wait_for("k", "NOERROR 203.0.113.3");
    wait_for("k2", "NOERROR 203.0.113.4");
    // Each primary's notification, signed by its key, wakes the zone of its view.
    write_zone(of_b.path(), "example.zone", 2, 7);
    hang_up(&b);
    wait_for("k2", "NOERROR 203.0.113.7");
    wait_for("k", "NOERROR 203.0.113.3");
    let kept = |view: &str| ours.path().join(format!("state/zones/view.{view}/zone.example.zone"));
    assert!(kept("a").exists() && kept("b").exists());
    drop(a);
}

#[test]
fn an_update_changes_the_zone_of_its_view_alone() {
    let Some(nsupdate) = tool("nsupdate") else { return };
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1)]);
    let zone = |file: &str, key: &str| format!("zones: [{{name: example., file: {file}, updates: [{{key: {key}}}]}}]");
    let configuration = format!(
        "{KEYS}views:\n  - {{name: a, match: {{keys: k}}, {}}}\n  - {{name: b, match: {{keys: k2}}, {}}}\n",
        zone("a.zone", "k"),
        zone("b.zone", "k2")
    );
    let server = node(folder.path(), free_port(), free_port(), &configuration);
    let update = |key: &str| {
        let file = folder.path().join("script");
        let port = server.address.port();
        fs::write(
            &file,
            format!("server 127.0.0.1 {port}\nzone example.\nupdate add new.example. 60 A 192.0.2.9\nsend\n"),
        )
        .unwrap();
        let mut command = Command::new(&nsupdate);
        command.arg("-y").arg(format!("hmac-sha256:{key}:{SECRET}")).arg(&file).output().unwrap().status.success()
    };
    assert!(update("k"));
    let check = |key: &str, expected: &str| {
        let key = format!("hmac-sha256:{key}:{SECRET}");
        let Some(shown) = dig(server.address, &["-y", &key, "new.example.", "A"]) else { return };
        assert_eq!(answer(&shown), expected, "{shown}");
    };
    check("k", "NOERROR 192.0.2.9");
    check("k2", "NXDOMAIN");
    assert!(update("k2"));
    check("k2", "NOERROR 192.0.2.9");
}

#[test]
fn a_reload_changes_the_views_and_loses_no_query() {
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1)]);
    let views = |first: &str| {
        format!(
            "views:\n  - {{name: {first}, match: {{clients: 127.0.0.1}}, zones: [{{name: example., file: {first}.zone}}]}}\n\
             zones: [{{name: example., file: a.zone}}]\n"
        )
    };
    let (port, admin) = (free_port(), free_port());
    let server = node(folder.path(), port, admin, &views("a"));
    let (stop, at) = (Arc::new(AtomicBool::new(false)), server.address);
    let asking = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let packet = b"\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
            let (mut asked, mut seen, mut reply) = (0_u32, Vec::new(), [0; 512]);
            while !stop.load(Ordering::Relaxed) {
                socket.send_to(packet, at).unwrap();
                let length = socket.recv(&mut reply).expect("every query has its answer");
                let last = reply[..length].last().copied().unwrap();
                assert!(last == 1 || last == 2, "{:02x?}", &reply[..length]);
                if seen.last() != Some(&last) {
                    seen.push(last);
                }
                asked += 1;
            }
            (asked, seen)
        }
    });
    let file = folder.path().join("fairlead.yaml");
    let configured = fs::read_to_string(&file).unwrap();
    for first in ["b", "a", "b"] {
        let head = configured.split("views:").next().unwrap();
        fs::write(&file, format!("{head}{}", views(first))).unwrap();
        hang_up(&server);
        let expected = if first == "a" { "NOERROR 198.51.100.1" } else { "NOERROR 198.51.100.2" };
        let deadline = Instant::now() + PATIENCE;
        while dig(at, &["www.example.", "A"]).is_some_and(|shown| answer(&shown) != expected) {
            assert!(Instant::now() < deadline);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (asked, seen) = asking.join().unwrap();
    assert!(asked > 100 && (tool("dig").is_none() || seen == [1, 2, 1, 2]), "{asked} {seen:?}");
}

#[test]
fn explain_says_which_view_is_meant_and_why() {
    let folder = folder(&[("a.zone", 1, 1), ("b.zone", 2, 1)]);
    let configuration = format!(
        "{KEYS}{POOLS}views:\n  - {{name: keyed, match: {{keys: k}}, zones: [{{name: example., file: a.zone}}], {}}}\n  \
         - {{name: ten, match: {{clients: 10.0.0.0/8}}, zones: [{{name: example., file: b.zone}}], {}}}\n",
        wide_ip("p1"),
        wide_ip("p2")
    );
    let server = node(folder.path(), free_port(), free_port(), &configuration);
    let explain = |arguments: &[&str]| {
        let control = folder.path().join("control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
        let output = command.args(["explain", "app.example."]).args(arguments).arg("--control").arg(control).output();
        let output = output.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let check = |arguments: &[&str], expected: &[&str]| {
        let shown = explain(arguments);
        assert!(expected.iter().all(|line| shown.contains(line)), "{arguments:?}\n{shown}");
    };
    check(
        &["--client", "10.1.2.3"],
        &[
            "not view   keyed: it is signed by no key\nview       ten: the client 10.1.2.3 is in 10.0.0.0/8",
            "wide IP    app.example./A@ten",
            "192.0.2.102",
        ],
    );
    check(&["--key", "K."], &["view       keyed: it is signed by k.", "app.example./A@keyed", "192.0.2.101"]);
    check(&["--view", "ten"], &["view       ten: it was asked for", "192.0.2.102"]);
    check(&["--client", "192.0.2.1"], &["not view   ten: the client 192.0.2.1 is in none of", "rcode      REFUSED"]);
    check(&["--view", "none"], &["there is no view none; there are keyed, ten"]);
    drop(server);
}
