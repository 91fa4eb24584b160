//! A closed-loop load: a window of queries is kept outstanding, every answer is checked and replaced by a new query.
//!
//! The queries are encoded beforehand, a multiple of 65,536 of them with the ids 0 to 65,535 in turn, so that a send
//! copies and patches nothing and an id says which query was answered. One socket, batches of system calls, one clock
//! reading per batch.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use fairlead::wire::{Name, RecordType};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt};

/// Packets per system call.
const BATCH: usize = 64;
/// Octets taken of an answer.
const ANSWER: usize = 1500;
/// Distance of two answer buffers; see the UDP listener.
const STRIDE: usize = 1600;
/// How long nothing comes before what is outstanding counts as lost.
const LOST_AFTER: Duration = Duration::from_millis(200);

/// Packets per system call where each call has a source address of its own.
const BATCH_OF_SOURCE: usize = 16;

/// Encoded queries, one or more for each id.
pub struct Queries {
    octets: Vec<u8>,
    ends: Vec<usize>,
    /// The addresses of ours that batches leave from, in turn; the system chooses when there are none.
    sources: Vec<Ipv4Addr>,
}

impl Queries {
    /// Encodes 65,536 queries, taken from `questions` in turn.
    pub fn new(questions: impl Iterator<Item = (String, RecordType)>) -> Self {
        Self::many(1, questions)
    }

    /// Encodes `rounds` times 65,536 queries: more names than one round has.
    pub fn many(rounds: usize, questions: impl Iterator<Item = (String, RecordType)>) -> Self {
        let packets = questions.zip(0_usize..).map(|((qname, record_type), at)| query(at as u16, &qname, record_type));
        Self::encoded(rounds, packets)
    }

    /// Encodes 65,536 queries whose client subnets are random /24 of IPv4.
    pub fn with_subnets(questions: impl Iterator<Item = (String, RecordType)>) -> Self {
        let mut random = super::data::Random(0x0123_4567_89ab_cdef);
        let packets = questions.zip(0_usize..).map(move |((qname, record_type), at)| {
            let subnet = (0x01_0000 + random.below(0xdf_0000)) as u32;
            let [_, first, second, third] = subnet.to_be_bytes();
            let mut packet = query(at as u16, &qname, record_type);
            let length = packet.len();
            // RFC 7871 §6: family 1, a source prefix of 24 bits.
            packet[length - 2..].copy_from_slice(&[0, 11]);
            packet.extend([0, 8, 0, 7, 0, 1, 24, 0, first, second, third]);
            packet
        });
        Self::encoded(1, packets)
    }

    /// The same queries, from random addresses of 127.0.0.0/8.
    #[must_use]
    pub fn with_many_sources(self) -> Self {
        let mut random = super::data::Random(0x0123_4567_89ab_cdef);
        let address = |_| Ipv4Addr::from(0x7f01_0000 + random.below(0xfe_0000) as u32);
        Self { sources: (0..8192).map(address).collect(), ..self }
    }

    fn encoded(rounds: usize, packets: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut queries = Self { octets: Vec::new(), ends: Vec::new(), sources: Vec::new() };
        for packet in packets.take(rounds * 65_536) {
            queries.octets.extend(packet);
            queries.ends.push(queries.octets.len());
        }
        assert_eq!(queries.ends.len(), rounds * 65_536, "questions ended early");
        queries
    }

    fn packet(&self, at: usize) -> &[u8] {
        let at = at % self.ends.len();
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.octets[start..self.ends[at]]
    }
}

/// A query with EDNS (payload 1232).
pub fn query(id: u16, qname: &str, record_type: RecordType) -> Vec<u8> {
    let qname: Name = qname.parse().unwrap();
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    packet.extend(qname.as_wire());
    packet.extend(record_type.0.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    packet
}

/// What came of a load.
pub struct Load {
    /// Answers to queries that were outstanding.
    pub answers: u64,
    /// Queries that got none.
    pub lost: u64,
    /// Packets that answer nothing outstanding: a wrong id, a second answer, one after it was given up.
    pub unexpected: u64,
    /// Answers by response code.
    pub rcodes: [u64; 16],
    /// Records in the answer sections.
    pub records: u64,
    /// Octets of all answers.
    pub octets: u64,
    /// Answers by latency in microseconds; the last counts all longer ones.
    pub latencies: Vec<u32>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Load {
    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the answers did not exceed, in microseconds.
    pub fn percentile(&self, share: f64) -> usize {
        let mut left = (self.answers as f64 * share) as u64;
        let reached = self.latencies.iter().position(|count| {
            let enough = u64::from(*count) >= left;
            left = left.saturating_sub(u64::from(*count));
            enough
        });
        reached.unwrap_or(self.latencies.len())
    }
}

/// Asks `server` for `duration` with `window` queries outstanding.
pub fn run(server: SocketAddr, queries: &Queries, window: usize, duration: Duration) -> Load {
    run_paced(server, queries, window, Duration::ZERO, duration)
}

/// As [`run`], but with a pause once all of a window are answered, so that the latency of a server that is not busy shows.
pub fn run_paced(server: SocketAddr, queries: &Queries, window: usize, pause: Duration, duration: Duration) -> Load {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    if queries.sources.is_empty() {
        socket.connect(server).unwrap();
    }
    socket.set_read_timeout(Some(LOST_AFTER)).unwrap();
    if setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20)).unwrap();
    }
    let SocketAddr::V4(target) = server else { panic!("the generator speaks IPv4") };
    Client {
        socket,
        target: target.into(),
        queries,
        window,
        pause,
        outstanding: 0,
        next: 0,
        sent_at: vec![u32::MAX; 65_536],
        load: Load {
            answers: 0,
            lost: 0,
            unexpected: 0,
            rcodes: [0; 16],
            records: 0,
            octets: 0,
            latencies: vec![0; 100_000],
            elapsed: Duration::ZERO,
        },
    }
    .run(duration)
}

struct Client<'q> {
    socket: UdpSocket,
    /// Where queries go when the socket is not connected.
    target: SockaddrIn,
    queries: &'q Queries,
    window: usize,
    pause: Duration,
    outstanding: usize,
    /// How many were sent; the last 16 bits are the id of the next.
    next: usize,
    /// When each id was sent, in microseconds from the start; `MAX` when it is not outstanding.
    sent_at: Vec<u32>,
    load: Load,
}

impl Client<'_> {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    fn run(mut self, duration: Duration) -> Load {
        let mut buffers = vec![0; BATCH * STRIDE];
        let control = (!self.queries.sources.is_empty()).then(|| nix::cmsg_space!(libc::in_pktinfo));
        let mut send_headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, control);
        let mut receive_headers = MultiHeaders::<()>::preallocate(BATCH, None);
        let started = Instant::now();
        loop {
            let elapsed = started.elapsed();
            if elapsed >= duration {
                self.load.elapsed = elapsed;
                return self.load;
            }
            let mut now = u32::try_from(elapsed.as_micros()).unwrap();
            if !self.pause.is_zero() && self.outstanding == 0 {
                std::thread::sleep(self.pause);
                now = u32::try_from(started.elapsed().as_micros()).unwrap();
            }
            while self.outstanding < self.window && (self.pause.is_zero() || self.outstanding == 0) {
                self.send(&mut send_headers, now);
            }
            self.receive(&mut receive_headers, &mut buffers, started);
        }
    }

    fn send(&mut self, headers: &mut MultiHeaders<SockaddrIn>, now: u32) {
        let source = (!self.queries.sources.is_empty())
            .then(|| self.queries.sources[self.next / BATCH_OF_SOURCE % self.queries.sources.len()]);
        let count = if source.is_some() { BATCH_OF_SOURCE } else { BATCH }.min(self.window - self.outstanding);
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|at| [IoSlice::new(self.queries.packet(self.next + at))]);
        let address = |address: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
        let info = source.map(|source| libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: address(source),
            ipi_addr: address(Ipv4Addr::UNSPECIFIED),
        });
        let control: Vec<ControlMessage<'_>> = info.iter().map(ControlMessage::Ipv4PacketInfo).collect();
        let targets = [source.map(|_| self.target); BATCH];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            headers,
            &slices[..count],
            &targets[..count],
            &control,
            MsgFlags::empty(),
        );
        let sent = match sent {
            Ok(results) => results.count(),
            // A server that is gone is noticed by what is lost.
            Err(Errno::ECONNREFUSED | Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN) => 0,
            Err(failed) => panic!("sending failed: {failed}"),
        };
        for at in 0..sent {
            self.sent_at[(self.next + at) & 0xffff] = now;
        }
        self.next += sent;
        self.outstanding += sent;
    }

    fn receive(&mut self, headers: &mut MultiHeaders<()>, buffers: &mut [u8], started: Instant) {
        let mut chunks = buffers.chunks_exact_mut(STRIDE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(&mut chunks.next().unwrap()[..ANSWER])]);
        let received =
            match recvmmsg(self.socket.as_raw_fd(), headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => {
                    self.load.lost += self.outstanding as u64;
                    self.outstanding = 0;
                    self.sent_at.fill(u32::MAX);
                    return;
                }
                Err(Errno::ECONNREFUSED | Errno::EINTR) => return,
                Err(failed) => panic!("receiving failed: {failed}"),
            };
        let now = u32::try_from(started.elapsed().as_micros()).unwrap();
        for message in received {
            let answer = message.iovs().next().unwrap_or_default();
            let [high, low, flags, codes, _, _, records_high, records_low, ..] = *answer else {
                self.load.unexpected += 1;
                continue;
            };
            let sent = &mut self.sent_at[usize::from(u16::from_be_bytes([high, low]))];
            if *sent == u32::MAX {
                self.load.unexpected += 1;
                continue;
            }
            let latency = usize::try_from(now.saturating_sub(*sent)).unwrap().min(self.load.latencies.len() - 1);
            *sent = u32::MAX;
            let _ = flags;
            self.load.latencies[latency] += 1;
            self.load.rcodes[usize::from(codes & 0xf)] += 1;
            self.load.records += u64::from(u16::from_be_bytes([records_high, records_low]));
            self.load.octets += answer.len() as u64;
            self.load.answers += 1;
            self.outstanding -= 1;
        }
    }
}
