//! DNS cookies between nodes and other servers that share a secret, and with the clients that people have.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use support::message::{Asked, Opt, ask};
use support::server::{Server, fairlead, free_port, start, wait_for_zone};
use support::tool;

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const NEXT: &str = "445536bcd2513298075a5d379663c962";
const COOKIE: u16 = 10;
const NOERROR: u16 = 0;
const BADCOOKIE: u16 = 23;

/// A node whose cookies follow `settings`, with its files in a folder of its own below `folder`.
fn node(folder: &Path, name: &str, settings: &str) -> Server {
    let folder = folder.join(name);
    fs::create_dir(&folder).unwrap();
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n";
    fs::write(folder.join("example.zone"), zone).unwrap();
    let zones = "zones: [{name: example., file: example.zone}]\n";
    fairlead(&folder, &format!("{zones}edns: {{cookies: {{{settings}}}}}\n"), "example.")
}

/// BIND with this secret; none when it is not installed.
fn bind(folder: &Path, secret: &str) -> Option<Server> {
    let path = tool("named")?;
    let (port, shown) = (free_port(), folder.display());
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n";
    fs::write(folder.join("bind.zone"), zone).unwrap();
    let configuration = format!(
        "options {{ directory \"{shown}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         pid-file \"{shown}/named.pid\"; session-keyfile \"{shown}/session.key\"; recursion no; dnssec-validation no; \
         managed-keys-directory \"{shown}\"; answer-cookie yes; cookie-algorithm siphash24; cookie-secret \"{secret}\"; \
         require-server-cookie yes; }};\ncontrols {{ }};\nzone \"example\" {{ type primary; file \"bind.zone\"; }};\n"
    );
    let file = folder.join("named.conf");
    fs::write(&file, configuration).unwrap();
    let log = folder.join("named.log");
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(path);
    command.args(["-g", "-c"]).arg(&file).stdout(output.try_clone().unwrap()).stderr(output);
    let server = start(&mut command, port, &log, "example.");
    wait_for_zone(&server, "example.", &log);
    Some(server)
}

/// The code of the reply to a query with this cookie, and the cookie in it.
fn try_cookie(server: SocketAddr, cookie: &[u8]) -> (u16, Vec<u8>) {
    let asked = Asked::new("www.example.", "A").with_opt(Opt::of_size(1232).with(COOKIE, cookie));
    let told = ask(server, &asked, false);
    let cookie = told.option(COOKIE).unwrap_or_else(|| panic!("{server} sends no cookie: {told:?}")).to_vec();
    assert_eq!(told.records[0].len(), usize::from(told.rcode == NOERROR), "data goes with a good cookie alone");
    (told.rcode, cookie)
}

/// A cookie of the server that it was asked for.
fn learn(server: SocketAddr) -> Vec<u8> {
    let (rcode, cookie) = try_cookie(server, b"client01");
    assert_eq!((rcode, cookie.len()), (BADCOOKIE, 24), "a cookie is required");
    cookie
}

#[test]
fn nodes_and_bind_with_one_secret_take_each_others_cookies() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("cookies.secret");
    fs::write(&secrets, format!("# shared by all nodes\n{SECRET}\n")).unwrap();
    let shared = format!("mode: require, secret_file: {}", secrets.display());
    let servers = [node(folder.path(), "one", &shared), node(folder.path(), "two", &shared)];
    let bind = bind(folder.path(), SECRET);
    let servers: Vec<SocketAddr> = servers.iter().chain(&bind).map(|server| server.address).collect();
    for from in &servers {
        let cookie = learn(*from);
        for to in &servers {
            assert_eq!(try_cookie(*to, &cookie).0, NOERROR, "the cookie of {from} at {to}");
        }
    }
    let stranger = node(folder.path(), "three", "mode: require");
    assert_eq!(try_cookie(stranger.address, &learn(servers[0])).0, BADCOOKIE, "another secret");
    assert_eq!(try_cookie(servers[0], &learn(stranger.address)).0, BADCOOKIE, "another secret");
}

#[test]
fn rfc9018_5_a_rollover_refuses_no_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let node = |name: &str, secrets: &str| node(folder.path(), name, &format!("mode: require, secrets: [{secrets}]"));
    let (before, added) = (node("before", SECRET), node("added", &format!("{SECRET}, {NEXT}")));
    let (switched, after) = (node("switched", &format!("{NEXT}, {SECRET}")), node("after", NEXT));
    // Of two neighbouring steps, which nodes may be at during the rollover, each takes the other's cookies.
    for (one, other) in [(&before, &added), (&added, &switched), (&switched, &after)] {
        let (of_one, of_other) = (learn(one.address), learn(other.address));
        assert_eq!(try_cookie(other.address, &of_one).0, NOERROR);
        assert_eq!(try_cookie(one.address, &of_other).0, NOERROR);
    }
    let old = learn(before.address);
    let (_, renewed) = try_cookie(switched.address, &old);
    assert_ne!(renewed, old, "a cookie of the old secret is replaced");
    assert_eq!(try_cookie(after.address, &renewed).0, NOERROR);
    assert_eq!(try_cookie(after.address, &old).0, BADCOOKIE);
}

fn run(program: &Path, server: &Server, arguments: &[&str]) -> String {
    let at = [format!("@{}", server.address.ip()), "-p".to_owned(), server.address.port().to_string()];
    let output = Command::new(program).args(at).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn dig_and_kdig_get_cookies_and_take_badcookie_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (on, require) = (node(folder.path(), "on", "mode: on"), node(folder.path(), "require", "mode: require"));
    let off = node(folder.path(), "off", "mode: off");
    if let Some(dig) = tool("dig") {
        let ask = |server| run(&dig, server, &["+cookie", "+norecurse", "www.example.", "A"]);
        let shown = ask(&on);
        assert!(shown.contains("(good)") && shown.contains("192.0.2.7") && !shown.contains("BADCOOKIE"), "{shown}");
        let shown = ask(&require);
        assert!(shown.contains("BADCOOKIE, retrying") && shown.contains("192.0.2.7"), "{shown}");
        assert!(shown.contains("(good)"), "{shown}");
        let shown = ask(&off);
        assert!(shown.contains("192.0.2.7") && !shown.contains("(good)"), "{shown}");
    }
    if let Some(kdig) = tool("kdig") {
        let ask = |server| run(&kdig, server, &["+cookie", "+norecurse", "www.example.", "A"]);
        for server in [&on, &require] {
            let shown = ask(server);
            assert!(shown.contains("COOKIE: ") && shown.contains("192.0.2.7"), "{shown}");
        }
        assert!(ask(&off).contains("192.0.2.7"));
    }
}

#[test]
fn clients_that_know_no_cookies_and_streams_are_answered_where_cookies_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let server = node(folder.path(), "require", "mode: require");
    for is_stream in [false, true] {
        assert_eq!(ask(server.address, &Asked::new("www.example.", "A"), is_stream).records[0].len(), 1);
    }
    let asked = Asked::new("www.example.", "A").with_opt(Opt::of_size(1232).with(COOKIE, b"client01"));
    let told = ask(server.address, &asked, true);
    assert_eq!((told.rcode, told.option(COOKIE).map(<[u8]>::len)), (NOERROR, Some(24)));
}
