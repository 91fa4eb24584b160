//! The listeners over real sockets: bytes in, bytes out, and every limit reached.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use fairlead::answer::{self, AnswerSource, CookieOutcome, Outcome, Snapshot, Transport, Worker};
use fairlead::listener::{Listeners, Respond, Service, Settings, StartError, TcpLimits};
use fairlead::metrics::Metrics;
use fairlead::wideip::Tables;
use fairlead::wire::{Name, Rcode, RecordType};
use fairlead::zone::ZoneBuilder;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};

/// Longer than anything here takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a reply that must not come to have come.
const SILENCE: Duration = Duration::from_millis(50);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn snapshot() -> Snapshot {
    let mut zone = ZoneBuilder::new(&name("example.com."), 1);
    let mut soa = name("ns1.example.com.").as_wire().to_vec();
    soa.extend_from_slice(name("hostmaster.example.com.").as_wire());
    soa.extend([1_u32, 2, 3, 4, 5].iter().flat_map(|number| number.to_be_bytes()));
    zone.add(&name("example.com."), RecordType::SOA, 300, &soa).unwrap();
    zone.add(&name("www.example.com."), RecordType::A, 300, &[192, 0, 2, 1]).unwrap();
    let settings = answer::Settings {
        unmatched: answer::Unmatched::NxDomain,
        chaos: answer::Chaos::default(),
        synthetic_zone: answer::SyntheticZone {
            name_servers: vec![name("ns1.example.com.")],
            contact: name("hostmaster.example.com."),
            ttl_seconds: 60,
            negative_ttl_seconds: 30,
        },
        keys: Default::default(),
        transfers: Default::default(),
        limits: Default::default(),
        edns: Default::default(),
    };
    Snapshot::new(1, &[Arc::new(zone.finish())], Tables::empty(1), Arc::new(settings), 1)
}

fn limits() -> TcpLimits {
    TcpLimits {
        connections: 100,
        connections_per_client: 100,
        connections_per_network: 100,
        idle: PATIENCE,
        first_message: PATIENCE,
        message: PATIENCE,
        lifetime: 3 * PATIENCE,
        queries: 0,
        pipelined: 32,
        write_stall: PATIENCE,
    }
}

struct Running {
    listeners: Listeners,
    metrics: Arc<Metrics>,
}

#[expect(clippy::disallowed_methods, reason = "the edge that owns the clock")]
fn start_with(addresses: &[&str], udp_workers: usize, tcp: TcpLimits, respond: Respond) -> Running {
    let metrics = Arc::new(Metrics::new("test", "test"));
    let service = Service {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot())),
        metrics: Arc::clone(&metrics),
        new_worker: Arc::new(|| Worker::new(1)),
        started: std::time::Instant::now(),
        unix_seconds: Arc::new(|| 1_800_000_000),
        hand_off: None,
        respond,
    };
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let listeners = Listeners::start(&Settings { addresses, udp_workers, tcp }, &service).unwrap();
    Running { listeners, metrics }
}

fn start(tcp: TcpLimits) -> Running {
    start_with(&["127.0.0.1:0"], 1, tcp, answer::respond)
}

impl Running {
    fn address(&self) -> SocketAddr {
        self.listeners.addresses()[0]
    }

    fn udp(&self) -> UdpSocket {
        udp(self.address())
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The value of a series; the labels in the order of the export.
    fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.export().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }

    /// Waits for a counter that moves just after what the client sees.
    fn wait_for(&self, series: &str, wanted: f64) {
        for _ in 0..1000 {
            if (self.metric(series) - wanted).abs() < 0.5 {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.metric(series), wanted, "{series}");
    }
}

/// A socket that takes datagrams from `server` only.
fn udp(server: SocketAddr) -> UdpSocket {
    let any: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn query(id: u16, qname: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend(name(qname).as_wire());
    packet.extend([0, 1, 0, 1]);
    packet
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

/// The id and the number of answers; a reply to one question.
fn facts(reply: &[u8]) -> (u16, u16) {
    assert_eq!(reply[2] & 0x80, 0x80, "QR is set");
    (u16::from_be_bytes([reply[0], reply[1]]), u16::from_be_bytes([reply[6], reply[7]]))
}

/// Reads until the server ends the connection; what came before.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    match stream.read_to_end(&mut octets) {
        Ok(_) => octets,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => octets,
        Err(error) => panic!("the server kept the connection: {error}"),
    }
}

#[test]
fn a_reply_leaves_from_the_address_asked() {
    let running = start_with(&["0.0.0.0:0", "[::]:0"], 2, limits(), answer::respond);
    let [four, six] = running.listeners.addresses() else { panic!("two addresses") };
    for (host, port) in [("127.0.0.1", four.port()), ("127.0.0.2", four.port()), ("::1", six.port())] {
        let socket = udp(SocketAddr::new(host.parse().unwrap(), port));
        socket.send(&query(7, "www.example.com.")).unwrap();
        assert_eq!(facts(&receive(&socket)), (7, 1), "{host}");
    }
}

#[test]
fn one_batch_for_many_addresses_is_answered_from_each() {
    let running = start_with(&["0.0.0.0:0"], 1, limits(), |snapshot, worker, packet, source, transport, out| {
        // Slow enough that the rest of the burst is one batch.
        thread::sleep(Duration::from_millis(1));
        answer::respond(snapshot, worker, packet, source, transport, out)
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = |id: u16| IpAddr::from([127, 0, 0, u8::try_from(1 + id % 5).unwrap()]);
    for id in 0..100 {
        socket.send_to(&query(id, "www.example.com."), (host(id), running.address().port())).unwrap();
    }
    for _ in 0..100 {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let (id, answers) = facts(&buffer[..length]);
        assert_eq!((from.ip(), answers), (host(id), 1));
    }
}

#[test]
fn each_question_of_a_batch_gets_its_own_answer_whatever_its_neighbours_are() {
    let running = start_with(&["127.0.0.1:0"], 1, limits(), |snapshot, worker, packet, source, transport, out| {
        // Slow enough that the rest of the burst is one batch.
        thread::sleep(Duration::from_millis(1));
        assert!(packet[0] != 0xde, "a fault of ours");
        answer::respond(snapshot, worker, packet, source, transport, out)
    });
    let socket = running.udp();
    let question =
        |id: u16| if id.is_multiple_of(3) { "www.example.com.".to_owned() } else { format!("x{id}.example.com.") };
    for id in 0..120 {
        socket.send(&query(id, &question(id))).unwrap();
        match id % 10 {
            3 => _ = socket.send(&query(id, "www.example.com.")[..11]).unwrap(),
            6 => _ = socket.send(&with_header(id, 0x80, 0)).unwrap(),
            9 => _ = socket.send(&query(0xde00 | id, "broken.example.com.")).unwrap(),
            _ => {}
        }
    }
    for id in (0..120).flat_map(|id| [Some(id), (id % 10 == 9).then_some(0xde00 | id)]).flatten() {
        let reply = receive(&socket);
        let (rcode, question) = match (id >> 8, id % 3) {
            (0xde, _) => (2, None),
            (_, 0) => (0, Some(question(id))),
            _ => (3, Some(question(id))),
        };
        assert_eq!((facts(&reply).0, reply[3] & 0xf), (id, rcode));
        if let Some(question) = question {
            assert!(reply[12..].starts_with(name(&question).as_wire()), "{question}");
        }
    }
    assert_eq!(running.metric(r#"fairlead_panics_total{site="udp"}"#), 12.0);
}

#[test]
fn responses_and_runts_get_nothing_and_are_counted() {
    let running = start(limits());
    let socket = running.udp();
    let mut response = query(1, "www.example.com.");
    response[2] |= 0x80;
    let whole = query(1, "www.example.com.");
    for silent in [&response[..], &whole[..11], &[], &[0x80; 12]] {
        socket.send(silent).unwrap();
    }
    socket.send(&query(2, "www.example.com.")).unwrap();
    assert_eq!(facts(&receive(&socket)).0, 2, "the first reply is to the query");
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
    running.wait_for(r#"fairlead_dropped_packets_total{protocol="udp",reason="response"}"#, 2.0);
    running.wait_for(r#"fairlead_dropped_packets_total{protocol="udp",reason="runt"}"#, 2.0);
    running.wait_for(r#"fairlead_queries_total{protocol="udp",type="A",rcode="NOERROR",source="zone"}"#, 1.0);
}

/// Answers with the name of the thread behind a header.
/// Sends a datagram that claims to come from `source`; both it and `server` have the port of the socket.
fn forge(socket: &UdpSocket, source: Ipv4Addr, server: SocketAddr, packet: &[u8]) {
    let SocketAddr::V4(server) = server else { panic!("forgery is of IPv4") };
    let source = libc::in_addr { s_addr: u32::from(source).to_be() };
    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
    let (slices, control) = ([std::io::IoSlice::new(packet)], [ControlMessage::Ipv4PacketInfo(&info)]);
    sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&SockaddrIn::from(server))).unwrap();
}

/// A packet with this header behind the id, and the question of `query`.
fn with_header(id: u16, high: u8, low: u8) -> Vec<u8> {
    let mut packet = query(id, "www.example.com.");
    (packet[2], packet[3]) = (high, low);
    packet
}

#[test]
fn servers_that_are_set_on_each_other_or_on_themselves_fall_silent_after_one_reply() {
    // Two workers, so that the port may be shared with the forger's socket, which gets nothing that comes to them.
    let first = start_with(&["127.0.0.1:0"], 2, limits(), answer::respond);
    let (own, port) = (first.address(), first.address().port());
    let second = start_with(&[&format!("127.0.0.2:{port}")], 2, limits(), answer::respond);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into()).unwrap();
    let forger: UdpSocket = socket.into();
    let dropped = r#"fairlead_dropped_packets_total{protocol="udp",reason="response"}"#;
    // Every opcode as a query, which all get a reply: FORMERR and NOTIMP must not go on either.
    for opcode in 0..16 {
        forge(&forger, [127, 0, 0, 2].into(), own, &with_header(1, opcode << 3, 0));
        second.wait_for(dropped, f64::from(opcode) + 1.0);
    }
    // The seed of CVE-2024-2169: an error, and one that is no query.
    forge(&forger, [127, 0, 0, 2].into(), own, &with_header(1, 0x80, 1));
    first.wait_for(dropped, 1.0);
    forge(&forger, [127, 0, 0, 1].into(), own, &with_header(1, 0, 0));
    first.wait_for(dropped, 2.0);
    thread::sleep(Duration::from_millis(10));
    // Whatever is under way among them would have grown what is counted.
    assert_eq!([first.metric(dropped), second.metric(dropped)], [2.0, 16.0]);
    let queries = |running: &Running| -> f64 {
        let text = running.metrics.export().unwrap();
        text.lines()
            .filter(|line| line.starts_with("fairlead_queries_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!([queries(&first), queries(&second)], [17.0, 0.0]);
}

#[test]
fn no_response_gets_a_reply_whatever_else_it_is() {
    let snapshot = snapshot();
    let mut worker = Worker::new(1);
    let mut out = vec![0; 65_535];
    let body = query(1, "www.example.com.");
    let bodies = [&body[..], &body[..12], &body[..20], &[&body[..], &[0xff; 30]].concat(), &[0xff; 512]];
    for (high, low) in (0x80..=0xff_u8).flat_map(|high| (0..=0xff_u8).map(move |low| (high, low))) {
        // The longer bodies with each high octet, the question with every header.
        for body in &bodies[..if low % 51 == 0 { bodies.len() } else { 1 }] {
            let mut packet = body.to_vec();
            (packet[2], packet[3]) = (high, low);
            for transport in [Transport::Udp, Transport::Tcp] {
                let source = ([192, 0, 2, 9], 53).into();
                let outcome = answer::respond(&snapshot, &mut worker, &packet, source, transport, &mut out);
                assert_eq!((outcome.length, outcome.hand_off), (0, false), "{high:02x} {low:02x} {transport:?}");
            }
        }
    }
}

fn name_the_thread(
    _: &Snapshot,
    _: &mut Worker,
    packet: &[u8],
    _: SocketAddr,
    _: Transport,
    out: &mut [u8],
) -> Outcome {
    let mut reply = packet[..12].to_vec();
    reply[2] |= 0x80;
    reply.extend(thread::current().name().unwrap().as_bytes());
    out[..reply.len()].copy_from_slice(&reply);
    outcome(reply.len())
}

fn outcome(length: usize) -> Outcome {
    Outcome {
        length,
        rcode: Rcode::NOERROR,
        record_type: None,
        source: AnswerSource::None,
        truncated: false,
        silence: None,
        decision: None,
        signature: None,
        cookie: CookieOutcome::None,
        extended_error: None,
        hand_off: false,
        limited: None,
        limit: None,
    }
}

#[test]
fn two_workers_share_the_load() {
    let running = start_with(&["127.0.0.1:0"], 2, limits(), name_the_thread);
    let mut names: Vec<_> = (0..64)
        .map(|id| {
            let socket = running.udp();
            socket.send(&query(id, "www.example.com.")).unwrap();
            String::from_utf8(receive(&socket)[12..].to_vec()).unwrap()
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["udp-0", "udp-1"]);
}

#[test]
fn a_panic_costs_one_answer() {
    let running = start_with(&["127.0.0.1:0"], 1, limits(), |snapshot, worker, packet, source, transport, out| {
        assert!(packet[0] != 0xde, "a fault of ours");
        answer::respond(snapshot, worker, packet, source, transport, out)
    });
    let (socket, mut stream) = (running.udp(), running.tcp());
    for id in [1, 0xdead, 2] {
        socket.send(&query(id, "www.example.com.")).unwrap();
        stream.write_all(&framed(&query(id, "www.example.com."))).unwrap();
        for reply in [receive(&socket), read_message(&mut stream)] {
            let broken = id == 0xdead;
            assert_eq!(facts(&reply), (id, u16::from(!broken)));
            assert_eq!(reply[3] & 0xf, if broken { 2 } else { 0 });
        }
    }
    assert_eq!(running.metric(r#"fairlead_panics_total{site="udp"}"#), 1.0);
    assert_eq!(running.metric(r#"fairlead_panics_total{site="tcp"}"#), 1.0);
}

#[test]
fn what_is_queued_is_answered_before_the_stop() {
    let running = start_with(&["127.0.0.1:0"], 1, limits(), |snapshot, worker, packet, source, transport, out| {
        thread::sleep(Duration::from_millis(1));
        answer::respond(snapshot, worker, packet, source, transport, out)
    });
    let (socket, mut stream, mut half) = (running.udp(), running.tcp(), running.tcp());
    stream.write_all(&framed(&query(500, "www.example.com."))).unwrap();
    assert_eq!(facts(&read_message(&mut stream)).0, 500);
    half.write_all(&framed(&query(501, "www.example.com."))[..9]).unwrap();
    for id in 0..200 {
        socket.send(&query(id, "www.example.com.")).unwrap();
    }
    running.listeners.stop();
    for id in 0..200 {
        assert_eq!(facts(&receive(&socket)), (id, 1));
    }
    assert_eq!(read_to_end(&mut stream), b"");
    assert_eq!(read_to_end(&mut half), b"");
}

#[test]
fn an_address_in_use_is_refused_in_plain_words() {
    let running = start(limits());
    let metrics = Arc::new(Metrics::new("test", "test"));
    #[expect(clippy::disallowed_methods, reason = "the edge that owns the clock")]
    let started = std::time::Instant::now();
    let service = Service {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot())),
        metrics,
        new_worker: Arc::new(|| Worker::new(1)),
        started,
        unix_seconds: Arc::new(|| 1_800_000_000),
        hand_off: None,
        respond: answer::respond,
    };
    let settings = Settings { addresses: vec![running.address()], udp_workers: 1, tcp: limits() };
    let Err(StartError::Bind(error)) = Listeners::start(&settings, &service) else { panic!("it started") };
    let me = format!("is in use by process {}", std::process::id());
    assert!(error.to_string().contains(&me), "{error}");
}

#[test]
fn pipelined_queries_are_answered_in_order() {
    let running = start(TcpLimits { pipelined: 3, ..limits() });
    let mut stream = running.tcp();
    let ids = 0..100_u16;
    let segment: Vec<u8> = ids.clone().flat_map(|id| framed(&query(id, "www.example.com."))).collect();
    stream.write_all(&segment).unwrap();
    for id in ids {
        assert_eq!(facts(&read_message(&mut stream)), (id, 1));
    }
    assert!(running.metric(r#"fairlead_limit_hits_total{limit="tcp_pipelined"}"#) >= 1.0);
    assert_eq!(running.metric(r#"fairlead_tcp_connections{state="idle"}"#), 1.0);
    drop(stream);
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="client"}"#, 1.0);
    assert_eq!(running.metric(r#"fairlead_tcp_connections{state="idle"}"#), 0.0);
}

#[test]
fn one_octet_at_a_time_is_a_query_all_the_same() {
    let running = start(limits());
    let mut stream = running.tcp();
    for id in [1, 2] {
        for octet in framed(&query(id, "www.example.com.")) {
            stream.write_all(&[octet]).unwrap();
        }
        assert_eq!(facts(&read_message(&mut stream)), (id, 1));
    }
}

#[test]
fn a_half_closed_stream_is_served_to_its_end() {
    let running = start(limits());
    let mut stream = running.tcp();
    let segment: Vec<u8> = (0..40_u16).flat_map(|id| framed(&query(id, "www.example.com."))).collect();
    stream.write_all(&segment).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    for id in 0..40 {
        assert_eq!(facts(&read_message(&mut stream)), (id, 1));
    }
    assert_eq!(read_to_end(&mut stream), b"");
}

#[test]
fn a_length_that_is_no_query_ends_the_stream() {
    let running = start(limits());
    let mut response = query(1, "www.example.com.");
    response[2] |= 0x80;
    let cases = [framed(&[]), framed(&[0; 11]), framed(&response)];
    let wanted = cases.len();
    for case in cases {
        let mut stream = running.tcp();
        stream.write_all(&framed(&query(9, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(&mut stream)).0, 9);
        stream.write_all(&case).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{case:02x?}");
    }
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="malformed"}"#, wanted as f64);
}

#[test]
fn every_wait_for_the_client_has_its_limit() {
    const SHORT: Duration = Duration::from_millis(60);
    let check = |limits: TcpLimits, first: &[u8], second: &[u8], reason: &str| {
        let running = start(limits);
        let mut stream = running.tcp();
        stream.write_all(first).unwrap();
        if first.len() > 20 {
            assert_eq!(facts(&read_message(&mut stream)).0, 1);
        }
        stream.write_all(second).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{reason}");
        running.wait_for(&format!("fairlead_tcp_closed_connections_total{{reason=\"{reason}\"}}"), 1.0);
        running.wait_for(&format!("fairlead_limit_hits_total{{limit=\"tcp_{reason}\"}}"), 1.0);
    };
    let whole = framed(&query(1, "www.example.com."));
    check(TcpLimits { first_message: SHORT, ..limits() }, &[], &[], "first_message");
    check(TcpLimits { first_message: SHORT, ..limits() }, &whole[..15], &[], "first_message");
    check(TcpLimits { message: SHORT, ..limits() }, &whole, &[0xff, 0xff], "message");
    check(TcpLimits { message: SHORT, ..limits() }, &whole, &whole[..30], "message");
    check(TcpLimits { idle: SHORT, ..limits() }, &whole, &[], "idle");
    check(TcpLimits { lifetime: SHORT, ..limits() }, &whole, &[], "lifetime");
}

#[test]
fn a_message_that_trickles_in_gets_no_more_time() {
    let running = start(TcpLimits { message: Duration::from_millis(100), ..limits() });
    let mut stream = running.tcp();
    stream.write_all(&framed(&query(1, "www.example.com."))).unwrap();
    assert_eq!(facts(&read_message(&mut stream)).0, 1);
    stream.write_all(&[0xff, 0xff]).unwrap();
    // One octet each 5 ms never ends a message of 65,535, nor the wait for it.
    for _ in 0..1000 {
        if stream.write_all(&[0]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="message"}"#, 1.0);
}

#[test]
fn a_client_that_never_reads_is_reset() {
    let limits = TcpLimits { write_stall: Duration::from_millis(100), ..limits() };
    let running = start_with(&["127.0.0.1:0"], 1, limits, |_, _, packet, _, _, out| {
        out[..2].copy_from_slice(&packet[..2]);
        outcome(60_000)
    });
    let mut stream = running.tcp();
    let segment: Vec<u8> = (0..100_u16).flat_map(|id| framed(&query(id, "www.example.com."))).collect();
    let mut sent = 0;
    let error = loop {
        match stream.write(&segment) {
            Ok(length) => sent += length,
            Err(error) => break error,
        }
        assert!(sent < 100 << 20, "the server took queries without end");
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="write_stall"}"#, 1.0);
    running.wait_for(r#"fairlead_limit_hits_total{limit="tcp_write_stall"}"#, 1.0);
    assert!(running.metric(r#"fairlead_limit_hits_total{limit="tcp_reply_buffer"}"#) >= 1.0);
}

#[test]
fn at_the_cap_the_longest_idle_makes_room() {
    let running = start(TcpLimits { connections: 3, idle: 10 * PATIENCE, ..limits() });
    let mut held: Vec<TcpStream> = (0..3).map(|_| running.tcp()).collect();
    for stream in &mut held {
        stream.write_all(&framed(&query(1, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(stream)).0, 1);
        // Idle time is measured in milliseconds.
        thread::sleep(Duration::from_millis(5));
    }
    // The first stays busy while newcomers knock; they are refused until one has been idle for long enough.
    let mut newcomer = loop {
        held[0].write_all(&framed(&query(2, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(&mut held[0])).0, 2);
        let mut stream = running.tcp();
        let mut first = [0; 1];
        let written = stream.write_all(&framed(&query(3, "www.example.com.")));
        if written.is_ok() && matches!(stream.read(&mut first), Ok(1)) {
            break stream;
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(newcomer.read(&mut [0; 512]).unwrap(), framed(&query(3, "www.example.com.")).len() + 16 - 1);
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="evicted"}"#, 1.0);
    assert_eq!(read_to_end(&mut held[1]), b"", "the second was idle for longest");
    held[2].write_all(&framed(&query(4, "www.example.com."))).unwrap();
    assert_eq!(facts(&read_message(&mut held[2])).0, 4);
}

#[test]
fn after_as_many_queries_as_may_be_the_connection_ends_behind_the_last_reply() {
    let running = start(TcpLimits { queries: 5, pipelined: 3, ..limits() });
    let mut stream = running.tcp();
    let segment: Vec<u8> = (0..8_u16).flat_map(|id| framed(&query(id, "www.example.com."))).collect();
    stream.write_all(&segment).unwrap();
    for id in 0..5 {
        assert_eq!(facts(&read_message(&mut stream)), (id, 1));
    }
    assert_eq!(read_to_end(&mut stream), b"");
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="queries"}"#, 1.0);
    running.wait_for(r#"fairlead_limit_hits_total{limit="tcp_queries"}"#, 1.0);
}

#[test]
fn one_network_is_refused_at_its_cap() {
    let running = start(TcpLimits { connections_per_network: 2, ..limits() });
    let mut held: Vec<TcpStream> = (0..2).map(|_| running.tcp()).collect();
    for stream in &mut held {
        stream.write_all(&framed(&query(1, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(stream)).0, 1);
    }
    assert_eq!(read_to_end(&mut running.tcp()), b"");
    assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="tcp_connections_per_network"}"#), 1.0);
}

#[test]
fn one_client_is_refused_at_its_own_cap() {
    let running = start(TcpLimits { connections_per_client: 2, ..limits() });
    let mut held: Vec<TcpStream> = (0..2).map(|_| running.tcp()).collect();
    for stream in &mut held {
        stream.write_all(&framed(&query(1, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(stream)).0, 1);
    }
    assert_eq!(read_to_end(&mut running.tcp()), b"");
    assert_eq!(running.metric(r#"fairlead_limit_hits_total{limit="tcp_connections_per_client"}"#), 1.0);
    drop(held);
    running.wait_for(r#"fairlead_tcp_closed_connections_total{reason="client"}"#, 2.0);
    let mut stream = running.tcp();
    stream.write_all(&framed(&query(1, "www.example.com."))).unwrap();
    assert_eq!(facts(&read_message(&mut stream)).0, 1);
}

#[test]
fn two_thousand_idle_streams_cost_the_others_nothing() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < 6000 {
        setrlimit(Resource::RLIMIT_NOFILE, 6000.min(hard), hard).unwrap();
    }
    let running =
        start(TcpLimits { connections: 3000, connections_per_client: 3000, connections_per_network: 3000, ..limits() });
    let idle: Vec<TcpStream> = (0..2000).map(|_| TcpStream::connect(running.address()).unwrap()).collect();
    running.wait_for(r#"fairlead_tcp_connections{state="idle"}"#, 2000.0);
    let (socket, mut stream) = (running.udp(), running.tcp());
    for id in 0..50 {
        socket.send(&query(id, "www.example.com.")).unwrap();
        assert_eq!(facts(&receive(&socket)), (id, 1));
        stream.write_all(&framed(&query(id, "www.example.com."))).unwrap();
        assert_eq!(facts(&read_message(&mut stream)), (id, 1));
    }
    drop(idle);
    running.wait_for(r#"fairlead_tcp_connections{state="idle"}"#, 1.0);
}

#[test]
fn the_kernel_s_drops_of_our_sockets_are_exported() {
    let running = start(limits());
    let series = format!("fairlead_udp_socket_drops_total{{address=\"{}\"}}", running.address());
    assert_eq!(running.metric(&series), 0.0);
    assert!(running.metric(r#"fairlead_udp_kernel_errors_total{family="ipv4",kind="receive_buffer"}"#) >= 0.0);
}
