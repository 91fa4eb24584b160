//! Limits as clients meet them: the program itself, asked over sockets, and what it counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "what is sent takes real time")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use support::server::{Server, fairlead_at, free_port, metric};

/// Longer than anything here takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a reply that must not come to have come.
const SILENCE: Duration = Duration::from_millis(300);

const A: u16 = 1;
const ANY: u16 = 255;

struct Running {
    server: Server,
    admin: u16,
    folder: tempfile::TempDir,
}

fn start(configuration: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n@ A 192.0.2.9\n@ MX 5 mail\n@ TXT text\nns A 192.0.2.1\n\
                www A 192.0.2.2\n*.wild A 192.0.2.3\nalias CNAME www.inner.test.\n";
    fs::write(folder.path().join("example.zone"), zone).unwrap();
    let inner = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.4\n";
    fs::write(folder.path().join("inner.zone"), inner).unwrap();
    let admin = free_port();
    let server = fairlead_at(folder.path(), free_port(), admin, configuration, "example.");
    Running { server, admin, folder }
}

fn query(id: u16, name: &str, record_type: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend(record_type.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// What a reply says: `rcode tc answers`, the second only when the bit is set.
fn facts(reply: &[u8]) -> String {
    let truncated = if reply[2] & 2 != 0 { " tc" } else { "" };
    format!("{}{truncated} {}", reply[3] & 15, u16::from_be_bytes([reply[6], reply[7]]))
}

impl Running {
    /// A socket at `source` that asks this server.
    fn udp(&self, source: &str) -> UdpSocket {
        let socket = UdpSocket::bind((source.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.connect(self.server.address).unwrap();
        socket
    }

    /// The reply to one datagram, or "silence".
    fn ask_from(&self, source: &str, name: &str, record_type: u16) -> String {
        let socket = self.udp(source);
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.send(&query(7, name, record_type)).unwrap();
        let mut reply = [0; 1500];
        socket.recv(&mut reply).map_or_else(|_| "silence".to_owned(), |length| facts(&reply[..length]))
    }

    /// The replies to so many equal datagrams, counted: full, truncated, none.
    fn burst(&self, source: &str, name: &str, count: u16) -> (usize, usize, usize) {
        let socket = self.udp(source);
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        for id in 0..count {
            socket.send(&query(id, &name.replace('#', &id.to_string()), A)).unwrap();
        }
        let (mut full, mut truncated) = (0, 0);
        let mut reply = [0; 1500];
        while let Ok(length) = socket.recv(&mut reply) {
            let is_truncated = facts(&reply[..length]).contains("tc");
            full += usize::from(!is_truncated);
            truncated += usize::from(is_truncated);
        }
        (full, truncated, usize::from(count) - full - truncated)
    }

    /// The reply on a stream from `source`, or "closed".
    fn ask_by_stream(&self, source: &str, name: &str, record_type: u16) -> String {
        let mut stream = stream_from(source, self.server.address);
        let message = query(7, name, record_type);
        stream.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&message).unwrap();
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return "closed".to_owned();
        }
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        facts(&reply)
    }

    fn metric(&self, series: &str) -> f64 {
        metric(self.admin, series)
    }
}

fn stream_from(source: &str, server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

const ZONES: &str = "zones: [{name: example., file: example.zone}]\n";

fn rate(more: &str) -> Running {
    start(&format!(
        "{ZONES}limits:\n  udp_workers: 1\n  rate_limit: {{answers_per_second: 5, nxdomains_per_second: 5, \
         exempt: [127.0.7.0/24]{more}}}\n"
    ))
}

#[test]
fn a_network_over_its_rate_is_cut_off_by_datagram_and_served_by_stream() {
    let running = rate("");
    let (full, truncated, none) = running.burst("127.0.1.1", "www.example.", 400);
    assert!((5..=8).contains(&full), "{full} full, {truncated} truncated, {none} unanswered");
    assert!((140..=255).contains(&truncated), "half of the rest: {truncated}");
    // The same network by another address, and the wildcard's many names as one.
    assert_eq!(running.burst("127.0.1.200", "www.example.", 20).0, 0);
    let (full, ..) = running.burst("127.0.1.1", "x#.wild.example.", 200);
    assert!((5..=8).contains(&full), "{full}");
    let (full, ..) = running.burst("127.0.1.1", "none#.example.", 200);
    assert!((5..=8).contains(&full), "{full}");
    for _ in 0..20 {
        assert_eq!(running.ask_by_stream("127.0.1.1", "www.example.", A), "0 1", "a stream is never limited");
    }
    assert_eq!(running.ask_from("127.0.2.1", "www.example.", A), "0 1", "another network");
    assert_eq!(running.burst("127.0.7.1", "www.example.", 50), (50, 0, 0), "an exempt network");
    let dropped = r#"fairlead_rate_limited_responses_total{kind="answer",action="dropped"}"#;
    let hits = running.metric(r#"fairlead_limit_hits_total{limit="rate_limit"}"#);
    assert!(running.metric(dropped) > 100.0 && hits > 500.0);
    assert!(running.metric(r#"fairlead_rate_limited_responses_total{kind="nxdomain",action="truncated"}"#) > 50.0);
    assert!(running.metric(r#"fairlead_rate_limited_responses_total{kind="answer",action="exempt"}"#) > 40.0);
    assert!(running.metric(r#"fairlead_dropped_packets_total{protocol="udp",reason="rate_limit"}"#) > 100.0);
}

/// How many of 400 questions are answered that come from so many ports in turn, as fast as they can be sent; and how many
/// would be at the rate in the time that takes.
fn answered_from_ports(running: &Running, source: &str, ports: usize) -> (usize, f64) {
    let bind = |_| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.connect(running.server.address).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket
    };
    let sockets: Vec<UdpSocket> = (0..ports).map(bind).collect();
    let (started, packet) = (Instant::now(), query(7, "www.example.", A));
    for number in 0..400 {
        sockets[number % ports].send(&packet).unwrap();
        if number % 20 == 19 {
            // The receive buffers shall hold what is sent.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let took = started.elapsed().as_secs_f64();
    let count = |(number, socket): (usize, &UdpSocket)| {
        // Once the first has heard nothing for a while, nothing is under way to the others.
        socket.set_nonblocking(number > 0).unwrap();
        std::iter::from_fn(|| socket.recv(&mut [0; 512]).ok()).count()
    };
    (sockets.iter().enumerate().map(count).sum(), 50.0 * (1.0 + took))
}

#[test]
fn two_workers_allow_the_rate_between_them_from_one_port_and_from_many() {
    let limits = "limits: {udp_workers: 2, rate_limit: {answers_per_second: 50, slip: 0}}\n";
    let running = start(&format!("{ZONES}{limits}"));
    // Networks of their own, so that none pays for another.
    for (source, ports) in [("127.0.1.1", 1), ("127.0.2.1", 2), ("127.0.3.1", 40)] {
        let (answered, at_rate) = answered_from_ports(&running, source, ports);
        // The burst of a second, and of a quarter in the workers' own tables.
        let most = at_rate + 0.25 * 50.0 + 3.0;
        assert!((50..=most as usize).contains(&answered), "{answered} from {ports} ports, {most} at most");
    }
}

#[test]
fn limits_that_are_only_logged_keep_nothing_back() {
    let running = rate(", mode: log");
    assert_eq!(running.burst("127.0.1.1", "www.example.", 100), (100, 0, 0));
    assert!(running.metric(r#"fairlead_rate_limited_responses_total{kind="answer",action="logged"}"#) > 80.0);
    assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="rate_limit"}"#), 0.0);
}

#[test]
fn who_may_not_ask_is_refused_or_not_answered_by_every_transport() {
    let running = start(
        "deny_query: [127.0.3.0/24]\ndenied_query: drop\nzones:\n  - {name: example., file: example.zone}\n  \
         - {name: inner.test., file: inner.zone, allow_query: [127.0.3.0/24]}\n",
    );
    assert_eq!(running.ask_from("127.0.3.1", "www.example.", A), "silence");
    assert_eq!(running.ask_from("127.0.3.1", "elsewhere.", A), "silence");
    assert_eq!(running.ask_from("127.0.4.1", "www.example.", A), "0 1");
    assert_eq!(running.ask_from("127.0.3.1", "www.inner.test.", A), "0 1");
    assert_eq!(running.ask_from("127.0.4.1", "www.inner.test.", A), "5 0");
    assert_eq!(running.ask_by_stream("127.0.4.1", "www.inner.test.", A), "5 0");
    // An alias into a zone that the client may not ask for ends there.
    assert_eq!(running.ask_from("127.0.4.1", "alias.example.", A), "0 1");
    assert!(running.metric(r#"fairlead_limit_hits_total{limit="query_access"}"#) >= 5.0);
    assert_eq!(running.metric(r#"fairlead_dropped_packets_total{protocol="udp",reason="policy"}"#), 2.0);
}

#[test]
fn rfc8482_4_1_any_gets_one_rrset_by_every_transport() {
    let running = start(ZONES);
    assert_eq!(running.ask_from("127.0.0.1", "example.", ANY), "0 1", "of SOA, NS, A, MX and TXT");
    assert_eq!(running.ask_by_stream("127.0.0.1", "example.", ANY), "0 1");
    assert_eq!(running.ask_from("127.0.0.1", "none.example.", ANY), "3 0");
}

#[test]
fn a_chain_is_followed_for_as_long_as_configured() {
    let folder_zone = |length: usize| -> String {
        let links: String = (0..length).map(|at| format!("c{at} CNAME c{}\n", at + 1)).collect();
        format!("{links}c{length} A 192.0.2.7\n")
    };
    let check = |chain: usize, expected: &str, hits: f64| {
        let folder = tempfile::tempdir().unwrap();
        let head = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n";
        fs::write(folder.path().join("example.zone"), format!("{head}{}", folder_zone(5))).unwrap();
        let admin = free_port();
        let configuration = format!("{ZONES}limits: {{chain: {chain}}}\n");
        let server = fairlead_at(folder.path(), free_port(), admin, &configuration, "example.");
        let running = Running { server, admin, folder };
        assert_eq!(running.ask_from("127.0.0.1", "c0.example.", A), expected, "{chain}");
        assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="chain"}"#), hits, "{chain}");
    };
    check(5, "0 6", 0.0);
    check(4, "0 5", 1.0);
    check(1, "0 2", 1.0);
}

#[test]
fn transfers_are_limited_in_number() {
    const AXFR: u16 = 252;
    let folder = tempfile::tempdir().unwrap();
    let text = "x".repeat(200);
    let head = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n";
    // Some 13 MB, more than the system takes on behalf of a client that does not read.
    fs::write(folder.path().join("example.zone"), format!("{head}$GENERATE 1-60000 t$ TXT {text}\n")).unwrap();
    let admin = free_port();
    let configuration = "zones: [{name: example., file: example.zone, transfer: {allow: [{address: 127.0.0.0/8}]}}]\n\
                         limits: {transfers: {outbound: 1}}\n";
    let server = fairlead_at(folder.path(), free_port(), admin, configuration, "example.");
    let running = Running { server, admin, folder };
    let mut slow = stream_from("127.0.0.1", running.server.address);
    socket2::SockRef::from(&slow).set_recv_buffer_size(65_536).unwrap();
    let request = query(7, "example.", AXFR);
    slow.write_all(&u16::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    slow.write_all(&request).unwrap();
    slow.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(running.ask_by_stream("127.0.0.2", "example.", AXFR), "2 0", "one is under way");
    assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="transfers"}"#), 1.0);
}

#[test]
fn beyond_so_many_changes_the_log_tells_how_many_more_there_were() {
    const VIRTUAL_SERVERS: usize = 3000;
    // Nobody listens there.
    let port = free_port();
    let one = |at: usize| format!("v{at}: {{address: 127.1.{}.{}, port: {port}}}", at >> 8, at & 0xff);
    let all: Vec<String> = (0..VIRTUAL_SERVERS).map(one).collect();
    let running = start(&format!(
        "{ZONES}monitors: {{port: {{type: tcp, interval: 1s, timeout: 1s, fall: 1}}}}\ndatacenters: {{here: {{}}}}\n\
         servers: {{hosts: {{datacenter: here, monitors: [port], virtual_servers: {{{}}}}}}}\n",
        all.join(", ")
    ));
    let log = running.folder.path().join("fairlead.log");
    let counts = || {
        let text = fs::read_to_string(&log).unwrap();
        let told = text.lines().filter(|line| line.contains("availability changed virtual_server=")).count();
        let summed = text.lines().filter(|line| line.contains("than the log tells one by one"));
        let untold =
            summed.filter_map(|line| line.split_once("virtual_servers=")?.1.split(' ').next()?.parse::<usize>().ok());
        (told, untold.sum::<usize>())
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && counts().0 + counts().1 < VIRTUAL_SERVERS {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (told, untold) = counts();
    assert_eq!(told + untold, VIRTUAL_SERVERS);
    assert!(told >= 500 && untold > 0, "{told} told, {untold} in sum");
    assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="log_changes"}"#), untold as f64);
    assert_eq!(running.metric(r#"fairlead_status_changes_total{kind="virtual_server"}"#), VIRTUAL_SERVERS as f64);
}
