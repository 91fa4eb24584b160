//! Dynamic update (RFC 2136) with the clients that people have: nsupdate and knsupdate, compared with BIND given the same
//! scripts; who may change what; secondaries; a client that sees what was acknowledged.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fairlead::wire::tsig::Signer;
use fairlead::wire::{Algorithm, Key};
use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::BinDecodable;

use support::peers::{Role, SECRET, peer};
use support::server::{Server, fairlead_at, free_port, soa, start};
use support::tool;

/// How long two servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(40);

const ZONE: &str = "$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster 7 3600 600 86400 60\n@ NS ns\n@ NS ns2\n@ MX 5 www\nns A 192.0.2.1\n\
                    ns2 A 192.0.2.2\nwww A 192.0.2.7\nwww A 192.0.2.8\nwww TXT \"x\"\nalias CNAME www\nmoved DNAME other.test.\n\
                    sub NS ns.sub\nns.sub A 192.0.2.9\na.deep A 192.0.2.3\n_srv SRV 1 2 3 www\n*.wild TXT \"w\"\n";
const KEYS: &str = "keys:\n  k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}\n  \
                    acme: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}\n  \
                    host.example: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}\n";

/// A folder with the zone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.zone"), ZONE).unwrap();
    folder
}

fn configuration(more: &str) -> String {
    format!("{KEYS}zones:\n  - name: example.\n    file: example.zone\n    transfer: {{allow: [{{key: k}}]}}\n{more}")
}

/// Fairlead with the zone, which key `k` may change as it likes.
fn fairlead(folder: &Path) -> Server {
    fairlead_at(folder, free_port(), free_port(), &configuration("    updates: [{key: k, types: ANY}]\n"), "example.")
}

fn bind(folder: &Path) -> Option<Server> {
    let (named, port, shown) = (tool("named")?, free_port(), folder.display());
    let text = format!(
        "options {{ directory \"{shown}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         pid-file \"{shown}/named.pid\"; session-keyfile \"{shown}/session.key\"; recursion no; dnssec-validation no; \
         managed-keys-directory \"{shown}\"; notify no; }};\ncontrols {{ }};\nkey \"k\" {{ algorithm hmac-sha256; \
         secret \"{SECRET}\"; }};\nzone \"example\" {{ type primary; file \"example.zone\"; allow-update {{ key k; }}; \
         allow-transfer {{ key k; }}; check-names ignore; }};\n"
    );
    let (file, log) = (folder.join("named.conf"), folder.join("named.log"));
    fs::write(&file, text).unwrap();
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(named);
    command.args(["-g", "-c"]).arg(&file).stdout(output.try_clone().unwrap()).stderr(output);
    Some(start(&mut command, port, &log, "example."))
}

/// Every record a server gives out by AXFR, sorted, names in lower case.
fn axfr(server: SocketAddr) -> Vec<String> {
    let dig = tool("dig").expect("dig comes with nsupdate");
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()];
    let key = format!("hmac-sha256:k:{SECRET}");
    let output =
        Command::new(dig).args(at).args(["+noall", "+answer", "-y", &key, "example.", "AXFR"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

/// Sends a script with a program and a key (`name:secret`, or none); gives the response code.
fn send(program: &Path, arguments: &[&str], key: Option<&str>, server: SocketAddr, script: &str) -> String {
    let text = format!("server 127.0.0.1 {}\nzone example.\n{script}\nsend\n", server.port());
    let key = key.map(|key| ["-y".to_owned(), format!("hmac-sha256:{key}")]);
    let mut child = Command::new(program)
        .args(arguments)
        .args(key.iter().flatten())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let code = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase());
    let clean = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let failed = shown.lines().find(|line| line.contains("failed"));
    let found = failed.map(|line| line.split(' ').map(clean).rfind(|word| code(&word.as_str())));
    match found {
        None if output.status.success() => "NOERROR".to_owned(),
        Some(Some(rcode)) => rcode,
        _ => shown,
    }
}

fn key() -> String {
    format!("k:{SECRET}")
}

/// Scripts with the code they get on a zone as it is written above; each finds what those before it left.
const SCRIPTS: &[(&str, &str)] = &[
    // Prerequisites: RFC 2136 §2.4.1 to §2.4.5.
    ("prereq yxrrset www A\nupdate add p1 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxrrset www AAAA\nupdate add p2 60 A 192.0.2.99", "NXRRSET"),
    ("prereq yxrrset @ NS\nupdate add p3 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxrrset www A 192.0.2.8\nprereq yxrrset www A 192.0.2.7\nupdate add p4 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxrrset www A 192.0.2.8\nupdate add p5 60 A 192.0.2.99", "NXRRSET"),
    ("prereq yxrrset www TXT \"x\"\nupdate add p6 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxrrset alias CNAME WWW\nupdate add p7 60 A 192.0.2.99", "NOERROR"),
    ("prereq nxrrset www AAAA\nupdate add p8 60 A 192.0.2.99", "NOERROR"),
    ("prereq nxrrset www A\nupdate add p9 60 A 192.0.2.99", "YXRRSET"),
    ("prereq yxdomain www\nupdate add p10 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxdomain none\nupdate add p11 60 A 192.0.2.99", "NXDOMAIN"),
    ("prereq yxdomain deep\nupdate add p12 60 A 192.0.2.99", "NXDOMAIN"),
    ("prereq nxdomain none\nupdate add p13 60 A 192.0.2.99", "NOERROR"),
    ("prereq nxdomain www\nupdate add p14 60 A 192.0.2.99", "YXDOMAIN"),
    ("prereq nxdomain any.wild\nupdate add p15 60 A 192.0.2.99", "NOERROR"),
    ("prereq yxdomain example.net.\nupdate add p16 60 A 192.0.2.99", "NOTZONE"),
    ("prereq yxrrset www A\nprereq nxdomain www\nupdate add p17 60 A 192.0.2.99", "YXDOMAIN"),
    ("prereq yxdomain www", "NOERROR"),
    // Additions: §3.4.2.2.
    ("update add www 60 A 192.0.2.9", "NOERROR"),
    ("update add www 60 A 192.0.2.9", "NOERROR"),
    ("update add www 5 A 192.0.2.10", "NOERROR"),
    ("update add a.b.c 60 AAAA 2001:db8::1", "NOERROR"),
    ("update add @ 60 TYPE65280 \\# 2 ABCD", "NOERROR"),
    ("update add @ 60 TXT \"one\" \"two words\"", "NOERROR"),
    ("update add @ 60 CAA 0 issue \"ca.example.net\"", "NOERROR"),
    ("update add *.wild 60 A 192.0.2.10", "NOERROR"),
    ("update add sub 60 NS ns2.sub\nupdate add ns2.sub 60 A 192.0.2.11", "NOERROR"),
    ("update add deep2.cut 60 NS ns", "NOERROR"),
    ("update add example.net. 60 A 192.0.2.10", "NOTZONE"),
    // Aliases and other data.
    ("update add www 60 CNAME ns", "NOERROR"),
    ("update add alias 60 A 192.0.2.9", "NOERROR"),
    ("update add alias 60 CNAME ns", "NOERROR"),
    ("update delete alias\nupdate add alias 60 A 192.0.2.9", "NOERROR"),
    ("update delete alias A\nupdate add alias 60 CNAME www", "NOERROR"),
    ("update add alias 60 DNAME other.test.", "NOERROR"),
    ("update add moved 60 CNAME other.test.", "NOERROR"),
    ("update add moved 60 DNAME another.test.", "NOERROR"),
    ("update add moved 60 A 192.0.2.12", "NOERROR"),
    // The SOA.
    ("update add @ 60 SOA ns hostmaster 100 1 2 3 4", "NOERROR"),
    ("update add @ 60 SOA ns hostmaster 50 1 2 3 4\nupdate add s1 60 A 192.0.2.1", "NOERROR"),
    ("update add www 60 SOA ns hostmaster 500 1 2 3 4", "NOERROR"),
    ("update delete @ SOA", "NOERROR"),
    // Deletions: §3.4.2.3 and §3.4.2.4.
    ("update delete www A 192.0.2.7", "NOERROR"),
    ("update delete www A 192.0.2.77", "NOERROR"),
    ("update delete www A", "NOERROR"),
    ("update delete www A", "NOERROR"),
    ("update delete www", "NOERROR"),
    ("update delete none", "NOERROR"),
    ("update delete _srv SRV 1 2 3 WWW", "NOERROR"),
    ("update delete @ NS", "NOERROR"),
    ("update delete @ NS ns2", "NOERROR"),
    ("update delete @ NS ns", "NOERROR"),
    ("update add ns3 60 A 192.0.2.33\nupdate add @ 60 NS ns3\nupdate delete @ NS ns", "NOERROR"),
    ("update delete @", "NOERROR"),
    ("update delete sub NS", "NOERROR"),
    ("update delete a.b.c AAAA 2001:db8::1", "NOERROR"),
    // In their order, and nothing where nothing is different in the end.
    ("update add o1 60 A 192.0.2.1\nupdate delete o1\nupdate add o1 60 A 192.0.2.2", "NOERROR"),
    ("update delete o1 A 192.0.2.2\nupdate add o1 60 A 192.0.2.2", "NOERROR"),
    ("prereq yxdomain o1\nupdate delete o1", "NOERROR"),
];

/// Names in a script that stand alone are completed as the zone's.
fn complete(script: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if !words[2].ends_with('.') {
            words[2] = if words[2] == "@" { "example.".to_owned() } else { format!("{}.example.", words[2]) };
        }
        let names = words.iter().position(|word| ["NS", "CNAME", "SOA", "SRV"].contains(&word.as_str()));
        if let Some(at) = names {
            for word in words.iter_mut().skip(at + 1) {
                if word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
                    && word.parse::<u32>().is_err()
                    && !word.ends_with('.')
                {
                    word.push_str(".example.");
                }
            }
        }
        words.join(" ")
    };
    script.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_form_of_update_gets_what_bind_gives_it() {
    let (Some(nsupdate), Some(knsupdate)) = (tool("nsupdate"), tool("knsupdate")) else { return };
    for (program, arguments) in [(&nsupdate, &[][..]), (&knsupdate, &["-v"])] {
        let (ours, theirs) = (folder(), folder());
        let Some(bind) = bind(theirs.path()) else { return };
        let fairlead = fairlead(ours.path());
        for (script, expected) in SCRIPTS {
            let script = complete(script);
            let found = send(program, arguments, Some(&key()), fairlead.address, &script);
            assert_eq!(found, *expected, "{}: {script}", program.display());
            let reference = send(program, arguments, Some(&key()), bind.address, &script);
            assert_eq!(found, reference, "{} has BIND answer otherwise: {script}", program.display());
            assert_eq!(axfr(fairlead.address), axfr(bind.address), "after {script}");
        }
    }
}

fn nsupdate(server: &Server, key: Option<&str>, script: &str) -> String {
    send(&tool("nsupdate").unwrap(), &[], key, server.address, &complete(script))
}

/// The answer to a question, as `dig +short` shows it.
fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let at = [format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()];
    let output = Command::new(tool("dig").unwrap()).args(at).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A connection to the page of metrics, which opens a moment after the first answers.
fn page_of(admin: u16) -> TcpStream {
    let started = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", admin)) {
            Ok(stream) => return stream,
            Err(error) => assert!(started.elapsed() < PATIENCE, "no page: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The value of a metric; the text between the braces is given as it is exported.
fn metric(admin: u16, series: &str) -> f64 {
    let mut stream = page_of(admin);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("there is no {series} in\n{text}"))
}

fn updates(admin: u16, result: &str) -> f64 {
    metric(admin, &format!("fairlead_updates_total{{result=\"{result}\"}}"))
}

#[test]
fn who_may_change_what_is_said_by_the_rules_of_the_zone() {
    if tool("nsupdate").is_none() || tool("dig").is_none() {
        return;
    }
    let (folder, admin) = (folder(), free_port());
    let rules = "    updates:\n      - {key: acme, match: subtree, names: _acme-challenge.example., types: TXT}\n      \
                 - {key: host.example, match: self, types: [A, AAAA]}\n      - {key: k, address: 192.0.2.0/24}\n      \
                 - {key: k, types: A, actions: add}\n";
    let server = fairlead_at(folder.path(), free_port(), admin, &configuration(rules), "example.");
    let check = |key: Option<&str>, script: &str, expected: &str| {
        assert_eq!(
            nsupdate(&server, key.map(|key| format!("{key}:{SECRET}")).as_deref(), script),
            expected,
            "{script}"
        );
    };
    check(None, "update add new 60 A 192.0.2.9", "REFUSED");
    check(Some("acme"), "update add _acme-challenge 60 TXT token", "NOERROR");
    check(Some("acme"), "update add www._acme-challenge 60 TXT token", "NOERROR");
    check(Some("acme"), "update add _acme-challenge 60 CAA 0 issue x", "REFUSED");
    check(Some("acme"), "update add www 60 TXT token", "REFUSED");
    check(Some("acme"), "update add www._acme-challenge 60 TXT other\nupdate add www 60 TXT token", "REFUSED");
    check(Some("acme"), "update delete _acme-challenge TXT", "NOERROR");
    check(Some("host.example"), "update add host 60 A 192.0.2.9", "NOERROR");
    check(Some("host.example"), "update add other 60 A 192.0.2.9", "REFUSED");
    check(Some("k"), "update add new 60 A 192.0.2.9", "NOERROR");
    check(Some("k"), "update delete new A", "REFUSED");
    // Permission comes before what the zone holds.
    check(Some("acme"), "prereq nxdomain www\nupdate add www 60 TXT token", "REFUSED");
    // Another secret, a key that is not known: it says which (RFC 8945 §5.2).
    let wrong = nsupdate(&server, Some("k:d3JvbmctLXdyb25nLS13cm9uZy0td3Jvbmct"), "update add new 60 A 192.0.2.9");
    assert!(wrong.contains("BADSIG") || wrong.contains("NOTAUTH"), "{wrong}");
    let unknown = nsupdate(&server, Some(&format!("nobody:{SECRET}")), "update add new 60 A 192.0.2.9");
    assert!(unknown.contains("BADKEY") || unknown.contains("NOTAUTH"), "{unknown}");
    assert_eq!(dig(server.address, &["+short", "www._acme-challenge.example", "TXT"]), "\"token\"");
    assert_eq!(dig(server.address, &["+short", "www.example", "TXT"]), "\"x\"");
    assert_eq!((updates(admin, "done"), updates(admin, "refused")), (5.0, 7.0));
    // A name that somebody makes up is no series.
    let elsewhere = format!(
        "server 127.0.0.1 {}\nzone nowhere.test.\nupdate add a.nowhere.test. 60 A 192.0.2.1\nsend\n",
        server.address.port()
    );
    let mut child =
        Command::new(tool("nsupdate").unwrap()).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(elsewhere.as_bytes()).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(updates(admin, "no_zone"), 1.0);
    updates_are_shown_per_zone(folder.path(), admin);
}

/// What the updates of the test above leave in status and metrics.
fn updates_are_shown_per_zone(folder: &Path, admin: u16) {
    let of_zone =
        |result: &str| metric(admin, &format!("fairlead_zone_updates_total{{zone=\"example.\",result=\"{result}\"}}"));
    assert_eq!(["done", "refused", "no_zone", "limit"].map(of_zone), [5.0, 7.0, 0.0, 0.0]);
    let last = metric(admin, "fairlead_zone_last_update_timestamp_seconds{zone=\"example.\"}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..=now).contains(&last), "{last}");
    let mut page = page_of(admin);
    page.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).unwrap();
    assert!(!text.contains("nowhere.test"), "{text}");
    if let Some(promtool) = tool("promtool") {
        let mut child = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    for arguments in [&["status"][..], &["zone", "status"]] {
        let text = fairlead_says(folder, arguments);
        let line = text.lines().find(|line| line.contains("updates: ")).unwrap_or_else(|| panic!("{text}"));
        for part in
            [", updates: 5 done, 7 refused, last done 20", " by 127.0.0.1 with key k., last refused (refused) 20"]
        {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&fairlead_says(folder, &[arguments, &["--output", "json"]].concat())).unwrap();
        let updates = &json["zones"][0]["updates"];
        assert_eq!((&updates["counts"]["done"], &updates["counts"]["refused"]), (&5.into(), &7.into()), "{json}");
        assert_eq!((&updates["last_done"]["key"], &updates["last_refused"]["key"]), (&"k.".into(), &"acme.".into()));
    }
}

/// What a command of the program prints, asked of the node in the folder.
fn fairlead_says(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    let output = command.args(arguments).arg("--control").arg(folder.join("control.sock")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn updates_are_held_to_the_sizes_that_are_set() {
    if tool("nsupdate").is_none() || tool("dig").is_none() {
        return;
    }
    let (folder, admin) = (folder(), free_port());
    let sizes = "limits: {zones: {rrset_records: 3, types: 4, records: 21}}\n";
    let text = configuration("    updates: [{key: k, types: ANY}]\n") + sizes;
    let server = fairlead_at(folder.path(), free_port(), admin, &text, "example.");
    let check =
        |script: &str, expected: &str| assert_eq!(nsupdate(&server, Some(&key()), script), expected, "{script}");
    check("update add www 60 A 192.0.2.9", "NOERROR");
    check("update add www 60 A 192.0.2.10", "REFUSED");
    check("update add www 60 AAAA 2001:db8::1\nupdate add www 60 MX 1 www", "NOERROR");
    check("update add www 60 CAA 0 issue x", "REFUSED");
    // One RRset in the place of another is no more of them.
    check("update delete www MX\nupdate add www 60 CAA 0 issue x", "NOERROR");
    let records = metric(admin, "fairlead_zone_records{zone=\"example.\"}");
    let room = (21.0 - records) as usize;
    let add = |from: usize, count: usize| -> String {
        (from..from + count).map(|host| format!("update add h{host} 60 A 192.0.2.1\n")).collect()
    };
    check(&add(0, room + 1), "REFUSED");
    check(&add(0, room), "NOERROR");
    check(&add(100, 1), "REFUSED");
    check("update delete h0 A\nupdate add h100 60 A 192.0.2.1", "NOERROR");
    assert_eq!(updates(admin, "refused"), 4.0);
}

#[test]
fn zones_that_are_not_ours_and_names_of_wide_ips_are_left_alone() {
    if tool("nsupdate").is_none() || tool("dig").is_none() {
        return;
    }
    let (folder, admin) = (folder(), free_port());
    let more = "    updates: [{key: k, types: ANY}, {address: 127.0.0.0/8}]\n  - {name: other.test., primary: {addresses: 127.0.0.1, port: 9, key: k}}\n  \
                - {name: closed.test., file: example.zone}\n\
                datacenters: {here: {}}\nservers:\n  lb: {datacenter: here, virtual_servers: {a: {address: 203.0.113.1, port: 80}}}\n\
                pools: {web: {type: A, members: [{virtual_server: lb/a}]}}\nwide_ips: [{name: app.example., type: A, pools: [web]}]\n";
    fs::write(folder.path().join("closed.zone"), ZONE.replace("$ORIGIN example.\n", "")).unwrap();
    let more = more.replace("file: example.zone}", "file: closed.zone}");
    let server = fairlead_at(folder.path(), free_port(), admin, &configuration(&more), "example.");
    let check =
        |script: &str, expected: &str| assert_eq!(nsupdate(&server, Some(&key()), script), expected, "{script}");
    check("update add app 60 A 192.0.2.9", "REFUSED");
    check("update add app 60 CNAME www", "REFUSED");
    check("update delete app A", "REFUSED");
    check("prereq nxdomain app\nupdate add app 60 TXT x", "YXDOMAIN");
    check("update add app 60 TXT x", "NOERROR");
    assert_eq!(dig(server.address, &["+short", "app.example", "A"]), "203.0.113.1");
    assert_eq!(dig(server.address, &["+short", "app.example", "TXT"]), "\"x\"");
    let zone = |zone: &str| {
        let script = format!("zone {zone}\nupdate add new.{zone} 60 A 192.0.2.9");
        send(&tool("nsupdate").unwrap(), &[], Some(&key()), server.address, &script)
    };
    assert_eq!(["closed.test.", "other.test.", "nowhere.test."].map(zone), ["REFUSED", "NOTAUTH", "NOTAUTH"]);
    // What it says of a name that is steered, to a client that reads it.
    let mut packet = update_packet(7, "app.example.", [192, 0, 2, 9]);
    packet[11] = 1;
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let reply = ask(server.address, &packet);
    let says = |text: &[u8]| reply.windows(text.len()).any(|found| found == text);
    assert!(reply[3] & 0xf == 5 && says(&[0, 15]) && says(b"belongs to the wide IP app.example./A"), "{reply:?}");
}

/// An unsigned update that adds an address.
fn update_packet(id: u16, owner: &str, address: [u8; 4]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut packet = vec![high, low, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    packet.extend_from_slice(b"\x07example\0\0\x06\0\x01");
    for label in owner.trim_end_matches('.').split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    packet.extend_from_slice(&address);
    packet
}

fn ask(server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(packet, server).unwrap();
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).unwrap();
    reply.truncate(length);
    reply
}

/// A node whose zone every program on this host may change.
fn open_to_this_host(folder: &Path, admin: u16) -> Server {
    let rules = "    updates: [{address: 127.0.0.0/8}]\n";
    fairlead_at(folder, free_port(), admin, &configuration(rules), "example.")
}

#[test]
fn who_got_noerror_sees_the_change_and_no_change_is_lost_or_made_twice() {
    let (folder, admin) = (folder(), free_port());
    let server = open_to_this_host(folder.path(), admin);
    let address = server.address;
    let one = |thread: u8, number: u8| {
        let owner = format!("h{thread}-{number}.example.");
        let reply = ask(address, &update_packet(u16::from(number), &owner, [192, 0, thread, number]));
        assert_eq!((reply[0..2].to_vec(), reply[2] & 0xf8, reply[3] & 0xf), (vec![0, number], 0xa8, 0), "{owner}");
        let mut question = vec![0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend_from_slice(&update_packet(0, &owner, [0; 4])[25..][..owner.len() + 5]);
        let answer = ask(address, &question);
        assert!(answer.ends_with(&[192, 0, thread, number]), "{owner} was acknowledged and is not served: {answer:?}");
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || (0..25).for_each(|number| one(thread, number)));
        }
    });
    assert_eq!(updates(admin, "done"), 200.0);
    let serial = dig(address, &["+short", "example", "SOA"]);
    assert!(serial.contains(" 207 "), "each is a version of its own: {serial}");
    // The same again changes nothing, and makes no version.
    let reply = ask(address, &update_packet(1, "h1-1.example.", [192, 0, 1, 1]));
    assert_eq!((reply[3] & 0xf, updates(admin, "unchanged")), (0, 1.0));
    assert_eq!(dig(address, &["+short", "example", "SOA"]), serial);
}

#[test]
fn classes_types_and_counts_that_make_no_sense_get_their_codes() {
    let (folder, admin) = (folder(), free_port());
    let server = open_to_this_host(folder.path(), admin);
    let code = |packet: &[u8]| ask(server.address, packet)[3] & 0xf;
    let plain = update_packet(1, "new.example.", [192, 0, 2, 1]);
    let with = |at: usize, octets: &[u8]| {
        let mut packet = plain.clone();
        packet[at..at + octets.len()].copy_from_slice(octets);
        packet
    };
    // ZTYPE and ZCLASS (RFC 2136 §3.1.1), ZOCOUNT, and more records than there are.
    assert_eq!(code(&with(21, &[0, 1])), 1);
    for class in [3_u16, 4, 254, 255, 0, 2] {
        assert_eq!(code(&with(23, &class.to_be_bytes())), 9, "class {class}");
    }
    assert_eq!(
        [code(&with(4, &[0, 0])), code(&with(4, &[0, 2])), code(&with(8, &[0, 2])), code(&with(6, &[0, 1]))],
        [1; 4]
    );
    assert_eq!(code(&plain[..plain.len() - 1]), 1);
    assert_eq!(code(&plain), 0);
    assert_eq!(updates(admin, "done"), 1.0);
}

/// The serial that a server has of the zone.
fn serial(server: SocketAddr) -> Option<u32> {
    let message = Message::from_bytes(&soa(server, "example.")?).ok()?;
    message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

#[test]
fn secondaries_are_told_of_an_update_and_get_it_as_a_change() {
    if tool("nsupdate").is_none() {
        return;
    }
    for program in ["nsd", "knotd"] {
        let (ours, theirs) = (folder(), tempfile::tempdir().unwrap());
        let (admin, port) = (free_port(), free_port());
        let text = format!(
            "{KEYS}zones:\n  - name: example.\n    file: example.zone\n    transfer:\n      allow: [{{key: k}}]\n      \
             notify: [{{address: 127.0.0.1, port: {port}, key: k}}]\n    updates: [{{key: k}}]\n"
        );
        let fairlead = fairlead_at(ours.path(), free_port(), admin, &text, "example.");
        let Some(secondary) = peer(program, theirs.path(), port, Role::SecondaryOf(fairlead.address.port())) else {
            continue;
        };
        let wait = |wanted: u32| {
            let deadline = Instant::now() + PATIENCE;
            while serial(secondary.address) != Some(wanted) {
                assert!(Instant::now() < deadline, "{program} has {:?}, not {wanted}", serial(secondary.address));
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        wait(7);
        let ixfr = "fairlead_transfers_total{direction=\"out\",kind=\"ixfr\",result=\"done\"}";
        let before = metric(admin, ixfr);
        assert_eq!(
            nsupdate(&fairlead, Some(&key()), "update add new 60 A 192.0.2.9\nupdate delete www TXT"),
            "NOERROR"
        );
        wait(8);
        assert!(metric(admin, ixfr) > before, "{program} took the whole zone");
        assert_eq!(dig(secondary.address, &["+short", "new.example", "A"]), "192.0.2.9");
        assert_eq!(dig(secondary.address, &["+short", "www.example", "TXT"]), "");
    }
}

#[test]
fn an_update_of_a_secondary_zone_is_passed_on_where_that_is_wanted() {
    if tool("nsupdate").is_none() {
        return;
    }
    let (ours, theirs) = (folder(), tempfile::tempdir().unwrap());
    let port = free_port();
    let text = format!(
        "{KEYS}zones:\n  - name: example.\n    file: example.zone\n    transfer:\n      allow: [{{key: k}}]\n      \
         notify: [{{address: 127.0.0.1, port: {port}, key: k}}]\n    updates: [{{key: k}}, {{address: 127.0.0.1}}]\n"
    );
    let primary = fairlead_at(ours.path(), free_port(), free_port(), &text, "example.");
    let text = format!(
        "{KEYS}zones:\n  - name: example.\n    primary: {{addresses: 127.0.0.1, port: {}, key: k}}\n    forward_updates: true\n",
        primary.address.port()
    );
    let admin = free_port();
    let secondary = fairlead_at(theirs.path(), port, admin, &text, "example.");
    let deadline = Instant::now() + PATIENCE;
    while serial(secondary.address) != Some(7) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // nsupdate checks the primary's signature on what comes back.
    assert_eq!(nsupdate(&secondary, Some(&key()), "update add new 60 A 192.0.2.9"), "NOERROR");
    assert_eq!(nsupdate(&secondary, Some(&key()), "prereq nxdomain new\nupdate add new 60 A 192.0.2.9"), "YXDOMAIN");
    assert_eq!(dig(primary.address, &["+short", "new.example", "A"]), "192.0.2.9");
    // The primary trusts this host, but not on behalf of everybody who asks the secondary.
    assert_eq!(nsupdate(&secondary, None, "update add stranger 60 A 192.0.2.9"), "REFUSED");
    assert_eq!(updates(admin, "forwarded"), 2.0);
}

/// What certbot's rfc2136 plug-in and octodns-bind call.
const DNSPYTHON: &str = r#"
import sys
import dns.message, dns.query, dns.rcode, dns.rdataclass, dns.rdatatype, dns.tsigkeyring, dns.update, dns.zone, dns.flags, dns.name
server, port, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3]
keyring = dns.tsigkeyring.from_text({"k.": secret})
algorithm = dns.name.from_text("hmac-sha256.")

# certbot: find the zone by asking for the SOA of each name above the record's.
def query_soa(name):
    request = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.SOA, dns.rdataclass.IN)
    request.flags ^= dns.flags.RD
    request.use_tsig(keyring, algorithm=algorithm)
    try:
        response = dns.query.tcp(request, server, timeout=10, port=port)
    except OSError:
        response = dns.query.udp(request, server, timeout=10, port=port)
    found = response.get_rrset(response.answer, dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.SOA)
    return response.rcode() == dns.rcode.NOERROR and found is not None and bool(response.flags & dns.flags.AA)

guesses = ["_acme-challenge.www.example.", "www.example.", "example."]
zone = dns.name.from_text(next(name for name in guesses if query_soa(name)))
record = dns.name.from_text("_acme-challenge.www.example.").relativize(zone)
def update(act):
    message = dns.update.Update(zone, keyring=keyring, keyalgorithm=algorithm)
    act(message)
    response = dns.query.tcp(message, server, timeout=10, port=port)
    assert response.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(response.rcode())
update(lambda message: message.add(record, 120, dns.rdatatype.TXT, "token-1"))
update(lambda message: message.add(record, 120, dns.rdatatype.TXT, "token-2"))
update(lambda message: message.delete(record, dns.rdatatype.TXT, "token-1"))
answer = dns.query.udp(dns.message.make_query("_acme-challenge.www.example.", "TXT"), server, timeout=10, port=port)
print("certbot", zone, sorted(rdata.to_text() for rdata in answer.answer[0]))
update(lambda message: message.delete(record, dns.rdatatype.TXT, "token-2"))
answer = dns.query.udp(dns.message.make_query("_acme-challenge.www.example.", "TXT"), server, timeout=10, port=port)
print("cleaned", dns.rcode.to_text(answer.rcode()))

# octodns-bind: read the zone by AXFR, then delete, replace and add in one update.
def whole():
    inbound = dns.query.xfr(server, zone, port=port, keyring=keyring, keyalgorithm=algorithm, relativize=False)
    return dns.zone.from_xfr(inbound, relativize=False)
before = whole()
message = dns.update.Update(zone, keyring=keyring, keyalgorithm=algorithm)
message.delete("www.example.", "TXT", '"x"')
message.delete("mail.example.")
message.replace("www.example.", 300, "A", "192.0.2.20")
message.add("www.example.", 300, "A", "192.0.2.21")
message.add("new.example.", 300, "SRV", "1 2 3 www.example.")
response = dns.query.tcp(message, server, port=port, timeout=10)
assert response.rcode() == dns.rcode.NOERROR
after = whole()
print("octodns", sorted(rdata.to_text() for rdata in after.get_rdataset("www.example.", "A")), after.get_rdataset("new.example.", "SRV")[0],
      after.get_rdataset("www.example.", "TXT"), len(before.nodes) + 1 == len(after.nodes))
"#;

#[test]
fn the_calls_of_certbot_and_octodns_work() {
    let Some(python) = support::python_with("dns") else { return };
    let folder = folder();
    let server = fairlead(folder.path());
    let port = server.address.port().to_string();
    let output = Command::new(python).args(["-c", DNSPYTHON, "127.0.0.1", &port, SECRET]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "certbot example. ['\"token-2\"']\ncleaned NXDOMAIN\n\
                    octodns ['192.0.2.20', '192.0.2.21'] 1 2 3 www.example. None True\n";
    assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

/// The message with the signature of key `k`.
fn signed(mut packet: Vec<u8>) -> Vec<u8> {
    let name = "k.".parse().unwrap();
    let key = Key::new(&name, Algorithm::HmacSha256, b"secret-secret-secret-secret");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut signer = Signer::request(Arc::new(key));
    let length = packet.len();
    packet.resize(length + signer.octets(), 0);
    let length = signer.sign(&mut packet, length, now).unwrap();
    packet.truncate(length);
    packet
}

#[test]
fn a_signed_update_that_is_sent_again_is_answered_as_before_and_not_made_again() {
    let (folder, admin) = (folder(), free_port());
    let rules = "    updates: [{key: k}]\n";
    let server = fairlead_at(folder.path(), free_port(), admin, &configuration(rules), "example.");
    let code = |packet: &[u8]| ask(server.address, packet)[3] & 0xf;
    let added = signed(update_packet(1, "new.example.", [192, 0, 2, 9]));
    assert_eq!(code(&added), 0);
    // The same record with class NONE and no TTL: it goes.
    let mut gone = update_packet(2, "new.example.", [192, 0, 2, 9]);
    let at = gone.len() - 14;
    gone[at + 2..at + 8].copy_from_slice(&[0, 254, 0, 0, 0, 0]);
    assert_eq!(code(&signed(gone)), 0);
    let serial = serial(server.address);
    assert_eq!(code(&added), 0);
    // Another id does not make it another message.
    let mut other = added.clone();
    other[1] = 77;
    assert_eq!(code(&other), 0);
    assert_eq!(self::serial(server.address), serial);
    assert_eq!((updates(admin, "done"), updates(admin, "repeated")), (2.0, 2.0));
}

#[test]
fn reloads_under_way_neither_lose_nor_undo_an_update() {
    let folder = folder();
    let server = open_to_this_host(folder.path(), free_port());
    let log = || fs::read_to_string(folder.path().join("fairlead.log")).unwrap();
    let reloads = || log().matches("configuration reloaded").count();
    let process = server.child.id().to_string();
    // Answers leave before signals are listened to.
    let deadline = Instant::now() + PATIENCE;
    while !log().contains("serving node") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::scope(|scope| {
        let updating = scope.spawn(|| {
            for number in 0..100 {
                let reply = ask(server.address, &update_packet(1, &format!("r{number}.example."), [192, 0, 2, number]));
                assert_eq!(reply[3] & 0xf, 0, "r{number}");
            }
        });
        let mut asked = 0;
        while !updating.is_finished() {
            assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
            asked += 1;
            let deadline = Instant::now() + PATIENCE;
            while reloads() < asked && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(reloads() == asked && asked > 0, "{asked} reloads were asked for:\n{}", log());
    });
    let records = addresses_of_reloads(server.address);
    let missing: Vec<_> = (0..100_u8).filter(|number| !records.contains(&format!("192.0.2.{number}"))).collect();
    assert!(missing.is_empty(), "{missing:?} are lost");
    assert_eq!(serial(server.address), Some(7 + 100));
}

/// The addresses that the names of the test above are served with.
fn addresses_of_reloads(server: SocketAddr) -> Vec<String> {
    (0..100).map(|number| dig(server, &["+short", &format!("r{number}.example"), "A"])).collect()
}
