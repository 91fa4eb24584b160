//! Sockets made and bound, and every way that can fail in plain words.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{self as sockopt_net, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Socket, Type};

use super::kernel;
use crate::metrics::Protocol;

/// How many connections may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const TCP_BACKLOG: i32 = 4096;
/// What is asked of the kernel for datagrams that wait: some 5,000 queries, 20 ms at full rate.
const UDP_RECEIVE_BUFFER: usize = 4 << 20;
/// What is asked of the kernel for replies that wait for the network.
const UDP_SEND_BUFFER: usize = 1 << 20;
/// How long a receive waits before it looks whether the listener stops.
pub(super) const UDP_RECEIVE_WAIT: Duration = Duration::from_millis(50);
/// How often a port is drawn anew when port 0 gave one that is free for TCP and taken for UDP.
const PORT_DRAWS_MAX: usize = 32;

/// An address that could not be served.
#[derive(Debug)]
pub struct BindError {
    /// The address and port asked for.
    pub address: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// What the system said.
    pub source: io::Error,
    /// Who holds the address, where that can be found out: `process 812 (named)`.
    pub holder: Option<String>,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, protocol) = (self.address, self.protocol.as_str());
        write!(f, "cannot listen on {address} ({protocol}): ")?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => match &self.holder {
                Some(holder) => {
                    write!(f, "the address is in use by {holder}: stop it, or configure another address or port")
                }
                None => write!(
                    f,
                    "the address is in use by another process (`ss -lunpt 'sport = {}'` names it): stop it, or configure \
                     another address or port",
                    address.port()
                ),
            },
            io::ErrorKind::PermissionDenied if address.port() < 1024 => write!(
                f,
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE: under systemd set \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE, else run `setcap cap_net_bind_service=+ep` on the program, or \
                 configure a port above 1023"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "no interface of this host has the address {}: check it against `ip address`, or listen on {}",
                address.ip(),
                if address.is_ipv4() { "0.0.0.0" } else { "[::]" }
            ),
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The sockets of one address.
pub(super) struct Bound {
    /// As configured: its port may be 0.
    pub(super) configured: SocketAddr,
    /// Where they are, with the port the kernel chose where 0 was asked for.
    pub(super) address: SocketAddr,
    /// One socket per UDP worker, in one SO_REUSEPORT group.
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: TcpListener,
}

/// Binds TCP and `workers` UDP sockets to the same address and port.
pub(super) fn bind(address: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let mut draws = if address.port() == 0 { PORT_DRAWS_MAX } else { 1 };
    loop {
        draws -= 1;
        let tcp = tcp(address)?;
        let bound = tcp.local_addr().map_err(|source| error(address, Protocol::Tcp, source))?;
        match udp(bound, workers) {
            Ok(udp) => return Ok(Bound { configured: address, address: bound, udp, tcp }),
            Err(failed) if failed.source.kind() == io::ErrorKind::AddrInUse && draws > 0 => {}
            Err(failed) => return Err(failed),
        }
    }
}

fn error(address: SocketAddr, protocol: Protocol, source: io::Error) -> BindError {
    let in_use = source.kind() == io::ErrorKind::AddrInUse;
    BindError { address, protocol, holder: in_use.then(|| kernel::holder(address, protocol)).flatten(), source }
}

fn tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Connections of a previous run that linger in TIME_WAIT shall not keep the port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(TCP_BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|source| error(address, Protocol::Tcp, source))
}

/// The sockets of one SO_REUSEPORT group. Members of a group can be bound although another process of the same user
/// serves the address, so a first socket without the option makes sure that none does.
fn udp(address: SocketAddr, workers: usize) -> Result<Vec<UdpSocket>, BindError> {
    let failed = |source| error(address, Protocol::Udp, source);
    drop(udp_socket(address, Sharing::Alone).map_err(failed)?);
    (0..workers.max(1)).map(|_| udp_socket(address, Sharing::Group).map_err(failed)).collect()
}

/// Whether a UDP socket shares its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// It must be the only one.
    Alone,
    /// With others of this user.
    Group,
}

fn udp_socket(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(sharing == Sharing::Group)?;
    if address.ip().is_unspecified() {
        // Before bind, so that no datagram comes without the address it was sent to.
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    enlarge_buffers(&socket)?;
    ignore_path_mtu(&socket, address)?;
    socket.set_read_timeout(Some(UDP_RECEIVE_WAIT))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asks for the full buffers as an administrator could, and for what the system allows otherwise.
fn enlarge_buffers(socket: &Socket) -> Result<(), Errno> {
    if setsockopt(socket, sockopt::RcvBufForce, &UDP_RECEIVE_BUFFER).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &UDP_RECEIVE_BUFFER)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &UDP_SEND_BUFFER).is_err() {
        setsockopt(socket, sockopt::SndBuf, &UDP_SEND_BUFFER)?;
    }
    Ok(())
}

/// Sends replies as they are and lets nobody else choose their size. A forged ICMP "fragmentation needed" does not make us
/// fragment, and no router may: none of our datagrams is over 1,260 octets, which every path takes that is worth the name,
/// and a fragment is what a forger can put his own behind (RFC 9715 §3.1). Without fragments IPv4 needs no identification
/// either, for which the kernel would hash each reply's addresses (RFC 6864 §4.1).
fn ignore_path_mtu(socket: &Socket, address: SocketAddr) -> rustix::io::Result<()> {
    match address {
        SocketAddr::V4(_) => sockopt_net::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE),
        SocketAddr::V6(_) => sockopt_net::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::OMIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_never_fragmented_at_a_forged_path_mtu() {
        let four = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        assert_eq!(sockopt_net::ip_mtu_discover(&four.udp[0]).unwrap(), Ipv4PathMtuDiscovery::PROBE);
        let six = bind("[::1]:0".parse().unwrap(), 1).unwrap();
        assert_eq!(sockopt_net::ipv6_mtu_discover(&six.udp[0]).unwrap(), Ipv6PathMtuDiscovery::OMIT);
    }

    fn text(kind: io::ErrorKind, address: &str, holder: Option<&str>) -> String {
        let holder = holder.map(str::to_owned);
        BindError { address: address.parse().unwrap(), protocol: Protocol::Udp, source: kind.into(), holder }
            .to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        let in_use = text(io::ErrorKind::AddrInUse, "0.0.0.0:53", Some("process 812 (named)"));
        assert!(
            in_use.starts_with(
                "cannot listen on 0.0.0.0:53 (udp): the address is in use by process 812 (named): stop it"
            )
        );
        assert!(text(io::ErrorKind::AddrInUse, "[::]:53", None).contains("ss -lunpt 'sport = 53'"));
        assert!(text(io::ErrorKind::PermissionDenied, "[::]:53", None).contains("CAP_NET_BIND_SERVICE"));
        assert!(!text(io::ErrorKind::PermissionDenied, "[::]:5353", None).contains("CAP_NET_BIND_SERVICE"));
        assert!(text(io::ErrorKind::AddrNotAvailable, "192.0.2.1:53", None).contains("has the address 192.0.2.1"));
    }

    #[test]
    fn an_address_held_by_this_process_is_named_for_both_protocols() {
        let held = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        assert_eq!(held.udp.len(), 2);
        let me = format!("process {}", std::process::id());
        let failed = bind(held.address, 1).map(|bound| bound.address).unwrap_err();
        assert_eq!(failed.protocol, Protocol::Tcp);
        assert!(failed.holder.as_ref().unwrap().starts_with(&me), "{failed}");
        drop(held.tcp);
        let failed = bind(held.address, 1).map(|bound| bound.address).unwrap_err();
        assert_eq!(failed.protocol, Protocol::Udp, "a group of this user must not be joined by accident");
        assert!(failed.holder.as_ref().unwrap().starts_with(&me), "{failed}");
    }

    #[test]
    fn an_address_of_no_interface_is_refused() {
        let failed = bind("192.0.2.1:0".parse().unwrap(), 1).map(|bound| bound.address).unwrap_err();
        assert_eq!(failed.source.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
