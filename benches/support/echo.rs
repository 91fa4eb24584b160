//! The floor of a UDP socket: recvmmsg, set QR, sendmmsg, and nothing else.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt};

const BATCH: usize = 64;
const PACKET: usize = 512;
/// Distance of two packet buffers; see the UDP listener.
const STRIDE: usize = 576;

/// A running echo server; its thread is called `echo`.
pub struct Echo {
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts it on the core the caller is pinned to.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)); // The kernel's default where not allowed.
        let address = socket.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let run = move || serve(&socket, &stop);
        let thread = Some(thread::Builder::new().name("echo".to_owned()).spawn(run).unwrap());
        Self { address, stopping, thread }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(socket: &UdpSocket, stopping: &AtomicBool) {
    let mut buffers = vec![0; BATCH * STRIDE];
    let mut receive_headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut send_headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    while !stopping.load(Ordering::Relaxed) {
        let mut clients = [None; BATCH];
        let mut lengths = [0; BATCH];
        let mut count = 0;
        {
            let mut chunks = buffers.chunks_exact_mut(STRIDE);
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(&mut chunks.next().unwrap()[..PACKET])]);
            let flags = MsgFlags::MSG_WAITFORONE;
            let received = match recvmmsg(socket.as_raw_fd(), &mut receive_headers, slices.iter_mut(), flags, None) {
                Ok(received) => received,
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(failed) => panic!("receiving failed: {failed}"),
            };
            for message in received {
                clients[count] = message.address;
                lengths[count] = message.bytes;
                count += 1;
            }
        }
        for buffer in buffers.chunks_exact_mut(STRIDE).take(count) {
            buffer[2] |= 0x80;
        }
        let mut slices = [[IoSlice::new(&[])]; BATCH];
        for ((slice, buffer), length) in slices.iter_mut().zip(buffers.chunks_exact(STRIDE)).zip(lengths) {
            *slice = [IoSlice::new(&buffer[..length])];
        }
        let no_control: &[ControlMessage<'_>] = &[];
        let (slices, clients) = (&slices[..count], &clients[..count]);
        let sent = sendmmsg(socket.as_raw_fd(), &mut send_headers, slices, clients, no_control, MsgFlags::empty());
        assert_eq!(sent.unwrap().count(), count);
    }
}
