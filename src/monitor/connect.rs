//! Opening and closing the TCP connection of a probe. Tells a fault of the target from a fault of ours, which decides
//! whether the target is judged at all.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::ProbeResult;

/// How long a finished probe waits for the target to close its side.
const CLOSE_WAIT: Duration = Duration::from_millis(100);
/// How much the target may still say while it closes.
const CLOSE_READ_MAX: usize = 4096;

/// Connects to `address`. The caller bounds the time.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeResult> {
    let stream = start(address).map_err(|error| at_once(&error))?;
    stream.writable().await.map_err(|error| not_made(&error))?;
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(ProbeResult::failure(words(&error))),
    }
}

/// Starts to connect. An error here comes from this host, but for a refusal, which loopback tells at once.
fn start(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    TcpStream::from_std(socket.into())
}

fn at_once(error: &io::Error) -> ProbeResult {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeResult::failure(words(error)),
        _ => not_made(error),
    }
}

fn not_made(error: &io::Error) -> ProbeResult {
    let words = match error.raw_os_error() {
        Some(nix::libc::EMFILE | nix::libc::ENFILE) => "no file descriptor left for a socket".to_owned(),
        Some(nix::libc::ENETUNREACH | nix::libc::EHOSTUNREACH) => "this host has no route to it".to_owned(),
        Some(nix::libc::EADDRNOTAVAIL) => "no local port or address left to connect from".to_owned(),
        Some(nix::libc::EAFNOSUPPORT) => "this host does not speak its address family".to_owned(),
        Some(nix::libc::EACCES | nix::libc::EPERM) => {
            "this host's policy or firewall forbids the connection".to_owned()
        }
        _ => format!("the socket could not be opened or connected: {error}"),
    };
    ProbeResult::NotMade(words.into())
}

/// A fault of the target in plain words.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable, says a router on the way".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed too early".to_owned(),
        _ => format!("connection failed: {error}"),
    }
}

/// Closes so that the target sees an orderly end: our FIN first, then what it still had to say is read (a greeting left
/// unread would turn the close into a reset), then the socket goes.
pub(super) async fn close(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt;
    // The verdict is made; whatever goes wrong from here on changes nothing.
    let _ = stream.shutdown().await;
    let drain = async {
        let mut buffer = [0u8; 1024];
        let mut left = CLOSE_READ_MAX;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, drain).await;
}
