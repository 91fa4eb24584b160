//! UDP workers: plain threads that receive a batch, look at its packets ahead, answer each and send the replies in one go.
//!
//! On a specific address neither side carries control messages. On a wildcard address the kernel tells where each query
//! was sent, and the replies of one batch are sent in one call per such address, with it as their source: usually one.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike,
    recvmmsg, sendmmsg, sendmsg,
};
use tracing::{debug, warn};

use super::handoff::Replies;
use super::worker::{Reply, Responder, Service};
use crate::answer::{AHEAD_MAX, Snapshot, Transport};
use crate::metrics::{DropReason, Limit};
use crate::status::Moment;

/// Packets received and replies sent in one call.
const BATCH: usize = 64;
/// Octets taken of a query: what we say we can take (EDNS payload 1232) and a little more; longer ones are cut, and so
/// are malformed.
const PACKET: usize = 1280;
/// Distance of two packet buffers: no multiple of a large power of two, so that their first lines do not compete for one
/// cache set, and short, so that a batch touches few pages.
const STRIDE: usize = PACKET + 64;
/// Room for one reply. Replies stand one behind the other, each on a cache line of its own, so a batch of usual ones
/// fits a few pages.
const REPLY: usize = 4096;
/// A cache line.
const LINE: usize = 64;
/// Batches answered at most after the stop, so that a flood cannot keep the thread.
const DRAIN_BATCHES_MAX: usize = 1024;
/// Failed receives in a row after which the worker pauses instead of spinning.
const ERRORS_MAX: u32 = 100;
/// That pause.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Serves a socket of the listener configured as `listener` until `stopping`, then what is queued, then returns.
pub(super) fn run(socket: &Arc<UdpSocket>, listener: SocketAddr, service: &Service, stopping: &Arc<AtomicBool>) {
    match listener {
        SocketAddr::V4(_) => Loop::<SockaddrIn>::new(socket, listener, service).run(stopping),
        SocketAddr::V6(_) => Loop::<SockaddrIn6>::new(socket, listener, service).run(stopping),
    }
}

/// An address family as the system calls see it.
trait Family: SockaddrLike + Copy + Into<SocketAddr> + Send + 'static {
    /// The address of ours that a query was sent to, as the source of the reply.
    type Local: Copy + PartialEq + Send + 'static;

    /// Room for the control message that carries it.
    fn control_space() -> Vec<u8>;
    /// Takes it from a received control message.
    fn local(message: &ControlMessageOwned) -> Option<Self::Local>;
    /// The control message that sets it.
    fn control(local: &Self::Local) -> ControlMessage<'_>;
}

/// `in_pktinfo` without the parts that must not be given back.
#[derive(Clone, Copy)]
struct Local4(libc::in_pktinfo);

impl PartialEq for Local4 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ipi_spec_dst.s_addr == other.0.ipi_spec_dst.s_addr
    }
}

impl Family for SockaddrIn {
    type Local = Local4;

    fn control_space() -> Vec<u8> {
        cmsg_space!(libc::in_pktinfo)
    }

    fn local(message: &ControlMessageOwned) -> Option<Local4> {
        let ControlMessageOwned::Ipv4PacketInfo(info) = message else { return None };
        // The interface stays open: with asymmetric routes the way back is another one.
        let nowhere = libc::in_addr { s_addr: Ipv4Addr::UNSPECIFIED.to_bits() };
        Some(Local4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_spec_dst, ipi_addr: nowhere }))
    }

    fn control(local: &Local4) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(&local.0)
    }
}

/// `in6_pktinfo` whose interface is set for link-local addresses only, which are ambiguous without it.
#[derive(Clone, Copy)]
struct Local6(libc::in6_pktinfo);

impl PartialEq for Local6 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ipi6_addr.s6_addr == other.0.ipi6_addr.s6_addr && self.0.ipi6_ifindex == other.0.ipi6_ifindex
    }
}

impl Family for SockaddrIn6 {
    type Local = Local6;

    fn control_space() -> Vec<u8> {
        cmsg_space!(libc::in6_pktinfo)
    }

    fn local(message: &ControlMessageOwned) -> Option<Local6> {
        let ControlMessageOwned::Ipv6PacketInfo(info) = message else { return None };
        let link_local = matches!(info.ipi6_addr.s6_addr, [0xfe, second, ..] if second & 0xc0 == 0x80);
        let ipi6_ifindex = if link_local { info.ipi6_ifindex } else { 0 };
        Some(Local6(libc::in6_pktinfo { ipi6_addr: info.ipi6_addr, ipi6_ifindex }))
    }

    fn control(local: &Local6) -> ControlMessage<'_> {
        ControlMessage::Ipv6PacketInfo(&local.0)
    }
}

/// One reply of a batch.
#[derive(Clone, Copy)]
struct Queued<F: Family> {
    /// Where its octets begin among the replies.
    start: usize,
    length: usize,
    client: F,
    /// None on a specific address.
    local: Option<F::Local>,
}

/// One worker.
struct Loop<'a, F: Family> {
    packets: Vec<u8>,
    replying: Replying<'a, F>,
}

/// What a worker does with packets that were received.
struct Replying<'a, F: Family> {
    socket: &'a Arc<UdpSocket>,
    /// Whether the address is a wildcard, so that each query says where it was sent.
    wildcard: bool,
    responder: Responder,
    service: &'a Service,
    replies: Vec<u8>,
    queued: Vec<Queued<F>>,
    /// The addresses of ours that one batch's replies leave from.
    groups: Vec<Option<F::Local>>,
    /// Never used to receive as well: each system call leaves pointers in its headers.
    send_headers: MultiHeaders<F>,
}

impl<'a, F: Family> Loop<'a, F> {
    fn new(socket: &'a Arc<UdpSocket>, listener: SocketAddr, service: &'a Service) -> Self {
        let wildcard = listener.ip().is_unspecified();
        let replying = Replying {
            socket,
            wildcard,
            responder: Responder::new(service, Transport::Udp, listener),
            service,
            replies: vec![0; BATCH * REPLY],
            queued: Vec::with_capacity(BATCH),
            groups: Vec::with_capacity(BATCH),
            send_headers: MultiHeaders::preallocate(BATCH, wildcard.then(F::control_space)),
        };
        Self { packets: vec![0; BATCH * STRIDE], replying }
    }

    fn run(mut self, stopping: &AtomicBool) {
        let control_space = self.replying.wildcard.then(F::control_space);
        let mut receive_headers = MultiHeaders::preallocate(BATCH, control_space);
        let (mut drained, mut errors) = (0, 0);
        while drained < DRAIN_BATCHES_MAX {
            let stop = stopping.load(Ordering::Relaxed);
            drained += usize::from(stop);
            let flags = if stop { MsgFlags::MSG_DONTWAIT } else { MsgFlags::MSG_WAITFORONE };
            match self.batch(&mut receive_headers, flags) {
                Ok(()) => errors = 0,
                // The receive time-out, or nothing left to drain.
                Err(Errno::EAGAIN) if stop => return,
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(failed) => {
                    // An ICMP error of an earlier reply ends no loop; what persists must not spin.
                    errors += 1;
                    if errors % ERRORS_MAX == 1 {
                        warn!(error = %failed, "receiving queries failed");
                    }
                    if errors > ERRORS_MAX {
                        std::thread::sleep(ERROR_PAUSE);
                    }
                }
            }
        }
    }

    /// Receives what is there, waiting at most for the first packet, and answers it.
    fn batch(&mut self, headers: &mut MultiHeaders<F>, flags: MsgFlags) -> Result<(), Errno> {
        let mut buffers = self.packets.chunks_exact_mut(STRIDE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let buffer = buffers.next().unwrap_or_default();
            [IoSliceMut::new(buffer.get_mut(..PACKET).unwrap_or_default())]
        });
        let received = recvmmsg(self.replying.socket.as_raw_fd(), headers, slices.iter_mut(), flags, None)?;
        self.replying.answer(received);
        self.replying.send();
        Ok(())
    }
}

impl<F: Family> Replying<'_, F> {
    /// Answers a batch into the queue, so many packets at a time as are looked at ahead.
    fn answer<'m>(&mut self, mut received: impl Iterator<Item = RecvMsg<'m, 'm, F>>) {
        self.responder.tell_time();
        let (snapshot, now) = (self.responder.snapshot(), self.responder.now());
        self.responder.limit_rate(&snapshot, now);
        let mut start = 0;
        loop {
            let mut group = [const { None }; AHEAD_MAX];
            group.iter_mut().zip(&mut received).for_each(|(place, message)| *place = Some(message));
            if let [None, ..] = group {
                return;
            }
            let group = group.iter().flatten();
            self.responder.look_ahead(&snapshot, group.clone().map(packet));
            for (place, message) in group.enumerate() {
                let Some(client) = message.address else { continue };
                self.responder.turn_to(place);
                if let Some(length) = self.reply(&snapshot, message, client, now, start) {
                    let local = self.local(message);
                    self.queued.push(Queued { start, length, client, local });
                    start += length.next_multiple_of(LINE);
                }
            }
        }
    }

    /// Writes the reply to a packet behind the others, at `start`; tells its length. None where there is none, or none yet.
    #[inline]
    fn reply(
        &mut self,
        snapshot: &Snapshot,
        message: &RecvMsg<'_, '_, F>,
        client: F,
        now: Moment,
        start: usize,
    ) -> Option<usize> {
        let packet = packet(message);
        let output = self.replies.get_mut(start..start + REPLY).unwrap_or_default();
        match self.responder.respond(snapshot, packet, client.into(), now, output) {
            Reply::Send(length) => Some(length),
            Reply::HandOff => {
                let replies = way_back(self.socket, client, self.wildcard.then(|| local(message)).flatten());
                self.responder.hand_off(packet, client.into(), replies, output)
            }
            Reply::Silence | Reply::Reject => None,
        }
    }

    /// The address of ours that a query was sent to, where the socket's is none.
    fn local(&self, message: &RecvMsg<'_, '_, F>) -> Option<F::Local> {
        if self.wildcard { local(message) } else { None }
    }

    /// Sends all queued replies: one call for each address of ours they leave from.
    fn send(&mut self) {
        for reply in &self.queued {
            if !self.groups.contains(&reply.local) {
                self.groups.push(reply.local);
            }
        }
        for group in self.groups.drain(..) {
            let of_group = self.queued.iter().filter(|reply| reply.local == group);
            let failures = send_group(self.socket, &mut self.send_headers, group, of_group, &self.replies);
            count_failures(&mut self.responder, self.service, failures);
        }
        self.queued.clear();
    }
}

/// The octets of a message.
#[inline]
fn packet<'m, F>(message: &RecvMsg<'m, 'm, F>) -> &'m [u8] {
    message.iovs().next().unwrap_or_default()
}

/// The address of ours that a query was sent to.
fn local<F: Family>(message: &RecvMsg<'_, '_, F>) -> Option<F::Local> {
    message.cmsgs().ok()?.find_map(|control| F::local(&control))
}

/// Sends one reply later, from the address its query came to.
fn way_back<F: Family>(socket: &Arc<UdpSocket>, client: F, local: Option<F::Local>) -> Replies {
    let socket = Arc::clone(socket);
    Replies::Datagram(Box::new(move |message| {
        let control = local.as_ref().map(F::control);
        let slices = [IoSlice::new(message)];
        let sent = sendmsg(socket.as_raw_fd(), &slices, control.as_slice(), MsgFlags::MSG_DONTWAIT, Some(&client));
        if let Err(error) = sent {
            // The client asks again.
            debug!(%error, "a reply to a handed-off query could not be sent");
        }
    }))
}

/// Replies that the kernel did not take, by whether it was for want of room.
#[derive(Default)]
struct Failures {
    no_room: u64,
    other: u64,
    last: Option<Errno>,
}

/// Sends replies that leave from one address. A reply that fails is passed over, and the rest still leaves.
fn send_group<'a, F: Family + 'a>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<F>,
    local: Option<F::Local>,
    queued: impl Iterator<Item = &'a Queued<F>>,
    replies: &[u8],
) -> Failures {
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    let mut clients = [None; BATCH];
    let mut count = 0;
    for ((reply, slice), client) in queued.zip(&mut slices).zip(&mut clients) {
        *slice = [IoSlice::new(replies.get(reply.start..reply.start + reply.length).unwrap_or_default())];
        *client = Some(reply.client);
        count += 1;
    }
    let control = local.as_ref().map(F::control);
    let mut failures = Failures::default();
    let mut sent = 0;
    while sent < count {
        let (rest, to) = (slices.get(sent..count).unwrap_or_default(), clients.get(sent..count).unwrap_or_default());
        // Never waits: when the network takes no more, a late reply is worth less than the next query.
        match sendmmsg(socket.as_raw_fd(), headers, rest, to, control.as_slice(), MsgFlags::MSG_DONTWAIT) {
            Ok(results) => sent += results.count().max(1),
            Err(Errno::EINTR) => {}
            Err(failed) => {
                // The first of the rest failed.
                sent += 1;
                failures.last = Some(failed);
                match failed {
                    Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM => failures.no_room += 1,
                    _ => failures.other += 1,
                }
            }
        }
    }
    failures
}

fn count_failures(responder: &mut Responder, service: &Service, failures: Failures) {
    let Some(last) = failures.last else { return };
    for _ in 0..failures.no_room + failures.other {
        responder.dropped(DropReason::Send);
    }
    if failures.no_room > 0 {
        service.metrics.limit_hit(Limit::UdpSendBuffer);
    }
    // Unreachable clients, firewalls and queries to multicast addresses are everyday, and anyone can cause them.
    debug!(error = %last, replies = failures.no_room + failures.other, "the kernel refused replies");
}
