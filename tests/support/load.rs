//! A load that means harm: idle streams, slow readers, slow writers and a flood from forged addresses, and among them one
//! client that behaves, whose every answer is waited for.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};

/// How long an answer may take before it counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(3);
/// Networks of the flood that stand for victims: half of it comes from them.
const VICTIMS: u64 = 8;

/// What is done to the server.
pub(crate) struct Plan {
    /// Streams that ask once and then stay.
    pub(crate) idle: usize,
    /// Streams that ask without end and read an octet now and then.
    pub(crate) slow_readers: usize,
    /// Streams that write an octet now and then.
    pub(crate) slow_writers: usize,
    /// Datagrams from forged addresses per second.
    pub(crate) flood_per_second: u32,
    /// Questions per second of the client that behaves.
    pub(crate) client_per_second: u32,
    /// For how long.
    pub(crate) duration: Duration,
}

/// The name that all ask for, with an address.
const NAME: &str = "www.example.";
/// The names that the client that behaves asks for in turn: it keeps answers as resolvers do, and asks anew for others.
const HOSTS: usize = 1000;
/// A name with many records.
const LARGE: &str = "large.example.";

/// The zone they are in.
pub(crate) fn zone() -> String {
    let texts: String = (0..200).map(|number| format!("large TXT \"{number:0200}\"\n")).collect();
    let hosts: String = (0..HOSTS).map(|number| format!("h{number} A 192.0.2.3\n")).collect();
    format!(
        "$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n{texts}{hosts}"
    )
}

/// What the server under load is configured with. It listens on all of loopback, where forged addresses come from too.
pub(crate) const CONFIGURATION: &str = "zones: [{name: example., file: example.zone}]\nlimits:\n  rate_limit: {}\n  tcp: {connections: 12000, \
    connections_per_client: 12000, connections_per_network: 12000, idle: 10m, lifetime: 1h, first_message: 1s, \
    write_stall: 1s}\n";

/// What came of it.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Datagrams of the flood per second that were sent.
    pub(crate) flood_per_second: f64,
    /// Questions of the client that behaves, and those among them that were answered with the address.
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// Microseconds from question to answer: half, 99 of a hundred, all.
    pub(crate) median: u64,
    pub(crate) percentile_99: u64,
    pub(crate) longest: u64,
    /// Idle streams that were still open and answered at the end, and those that were not by how they ended.
    pub(crate) idle_served: usize,
    pub(crate) idle_closed: usize,
    pub(crate) idle_silent: usize,
    /// Slow streams that the server ended.
    pub(crate) readers_ended: u64,
    pub(crate) writers_ended: u64,
}

/// A question for the addresses or texts of a name.
fn question(id: u16, name: &str, record_type: u8) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend([0, 0, record_type, 0, 1]);
    packet
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// Lets this process have as many streams as the system allows.
pub(crate) fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // Connecting fails then, and says so.
    }
}

/// Does it all to `server`, which listens on all of loopback.
pub(crate) fn run(server: SocketAddr, plan: &Plan) -> Figures {
    let ask_once = |number: usize| {
        let mut stream = open(server, number);
        assert_eq!(ask(&mut stream, NAME), Asked::Answered, "stream {number}, before the load began");
        stream
    };
    let mut idle: Vec<TcpStream> = (0..plan.idle).map(ask_once).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let flooded = Arc::new(AtomicU64::new(0));
    let (readers, writers) = (plan.slow_readers, plan.slow_writers);
    let large = framed(&question(1, LARGE, 16));
    let spawn = |work: Box<dyn FnOnce(&AtomicBool) -> u64 + Send>| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || work(&stop))
    };
    let reading = spawn(Box::new(move |stop| slow(server, readers, &large, Slow::Reader, stop)));
    // A message that would be long: it never comes to its end.
    let long = [&[0xff, 0xff][..], &[0; 4096]].concat();
    let writing = spawn(Box::new(move |stop| slow(server, writers, &long, Slow::Writer, stop)));
    let (rate, count) = (plan.flood_per_second, Arc::clone(&flooded));
    let flooding = spawn(Box::new(move |stop| flood(server, rate, &count, stop)));
    let started = Instant::now();
    let before = flooded.load(Ordering::Relaxed);
    let times = behave(server, plan);
    let flood_per_second = (flooded.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let (readers_ended, writers_ended) = (reading.join().unwrap(), writing.join().unwrap());
    flooding.join().unwrap();
    // Nobody makes room for others any more: what the server counts until now is all that became of these.
    let asked: Vec<Asked> = idle.iter_mut().map(|stream| ask(stream, NAME)).collect();
    let idle = |outcome| asked.iter().filter(|asked| **asked == outcome).count();
    let mut answered: Vec<u64> = times.iter().flatten().copied().collect();
    answered.sort_unstable();
    let at = |share: usize| answered.get((answered.len() * share / 100).min(answered.len().max(1) - 1)).copied();
    Figures {
        flood_per_second,
        asked: times.len(),
        answered: answered.len(),
        median: at(50).unwrap_or_default(),
        percentile_99: at(99).unwrap_or_default(),
        longest: at(100).unwrap_or_default(),
        idle_served: idle(Asked::Answered),
        idle_closed: idle(Asked::Closed),
        idle_silent: idle(Asked::Silent),
        readers_ended,
        writers_ended,
    }
}

/// A stream from one of a few hundred addresses, as many clients would have.
fn open(server: SocketAddr, number: usize) -> TcpStream {
    let host = u8::try_from(number % 250).unwrap() + 1;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, host, 1], 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(LOST_AFTER)).unwrap();
    stream
}

/// What came of a question on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The address.
    Answered,
    /// The server had closed or reset the stream.
    Closed,
    /// Nothing in time, or another answer.
    Silent,
}

fn ask(stream: &mut TcpStream, name: &str) -> Asked {
    let mut exchange = || {
        stream.write_all(&framed(&question(1, name, 1)))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        Ok(reply)
    };
    match exchange() {
        Ok(reply) if reply.get(7) == Some(&1) => Asked::Answered,
        Err(error) if is_end(&error) => Asked::Closed,
        _ => Asked::Silent,
    }
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slow {
    Reader,
    Writer,
}

/// Keeps so many slow streams open, each in the place of one that was ended; how many were.
fn slow(server: SocketAddr, count: usize, message: &[u8], what: Slow, stop: &AtomicBool) -> u64 {
    let connect = |number: usize| {
        let stream = open(server, number);
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut streams: Vec<(TcpStream, usize)> = (0..count).map(|number| (connect(number), 0)).collect();
    let mut ended = 0;
    while !stop.load(Ordering::Relaxed) {
        for (number, (stream, at)) in streams.iter_mut().enumerate() {
            let is_open = match what {
                // Questions for as long as the server takes them; of the answers one octet.
                Slow::Reader => (0..16).all(|_| goes_on(stream.write(message))) && goes_on(stream.read(&mut [0])),
                Slow::Writer => {
                    *at += 1;
                    goes_on(stream.write(message.get(*at - 1..*at).unwrap_or(&[0])))
                        && stream
                            .peek(&mut [0])
                            .map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |read| read > 0)
                }
            };
            if !is_open {
                ended += 1;
                (*stream, *at) = (connect(number), 0);
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    ended
}

fn goes_on(outcome: std::io::Result<usize>) -> bool {
    outcome.map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |octets| octets > 0)
}

/// Sends questions from addresses that are not its own, at a steady rate.
fn flood(server: SocketAddr, per_second: u32, count: &AtomicU64, stop: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let SocketAddr::V4(server) = server else { panic!("the flood is of IPv4") };
    let target = SockaddrIn::from(server);
    let started = Instant::now();
    let mut sent: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(started.elapsed().as_micros()).unwrap() * u64::from(per_second) / 1_000_000;
        // What was missed while others had the processor is not made up for in one burst.
        for _ in 0..due.saturating_sub(sent).min(200) {
            forge(&socket, &target, sent);
            sent += 1;
            count.fetch_add(1, Ordering::Relaxed);
        }
        sent = sent.max(due.saturating_sub(2000));
        thread::sleep(Duration::from_micros(500));
    }
    sent
}

/// One question from a forged address: each second one from a victim's network; half for names that do not exist.
fn forge(socket: &UdpSocket, target: &SockaddrIn, number: u64) {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let [.., c, b, a] = mixed.to_be_bytes();
    let source = match number % 2 {
        0 => Ipv4Addr::new(127, 200, u8::try_from(mixed % VICTIMS).unwrap(), a),
        _ => Ipv4Addr::new(127, 1 + c % 190, b, a),
    };
    let id = u16::from_be_bytes([a, b]);
    let packet = match number / 2 % 2 {
        0 => question(id, NAME, 1),
        _ => question(id, &format!("x{mixed}.{NAME}"), 1),
    };
    let source = libc::in_addr { s_addr: u32::from(source).to_be() };
    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
    let slices = [std::io::IoSlice::new(&packet)];
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    // A full buffer of ours is not the server's loss: the rate that is reported is what was sent.
    let _ = sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(target));
}

/// Asks on schedule and notes for each question how many microseconds its answer took; none when it was lost or wrong.
fn behave(server: SocketAddr, plan: &Plan) -> Vec<Option<u64>> {
    let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).unwrap();
    socket.connect(server).unwrap();
    let asking = socket.try_clone().unwrap();
    let count = usize::try_from(plan.duration.as_millis()).unwrap() * plan.client_per_second as usize / 1000;
    let period = Duration::from_secs(1) / plan.client_per_second;
    let started = Instant::now();
    let due = move |number: usize| started + period * u32::try_from(number).unwrap();
    let asker = thread::spawn(move || {
        let mut asked = Vec::with_capacity(count);
        for number in 0..count {
            thread::sleep(due(number).saturating_duration_since(Instant::now()));
            asked.push(Instant::now());
            let name = format!("h{}.example.", number % HOSTS);
            asking.send(&question(u16::try_from(number % 65_536).unwrap(), &name, 1)).unwrap();
        }
        asked
    });
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut received: Vec<Option<Instant>> = vec![None; count];
    let end = due(count) + LOST_AFTER;
    let mut buffer = [0; 1500];
    let mut open = count;
    while open > 0 && Instant::now() < end {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let id = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        // Ids repeat after 65,536 questions, the first of which are long answered then.
        let number = (id..count).step_by(65_536).find(|number| received[*number].is_none());
        if length > 12 && buffer[3] & 15 == 0 && buffer[2] & 2 == 0 && buffer[7] == 1 {
            received[number.unwrap()] = Some(Instant::now());
            open -= 1;
        }
    }
    let asked = asker.join().unwrap();
    let took = |(asked, received): (Instant, Option<Instant>)| {
        received.map(|received| u64::try_from(received.duration_since(asked).as_micros()).unwrap())
    };
    asked.into_iter().zip(received).map(took).collect()
}
