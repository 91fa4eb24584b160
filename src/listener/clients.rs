//! The TCP connections that are open: the caps, and which one makes room.
//!
//! At the cap of all connections the one idle for longest is closed for the new one. Refusing the new one instead would
//! let whoever fills the cap first, and then says nothing, shut everyone else out (RFC 7766 §6.2.3 lets a server close
//! idle connections for want of room). When none has been idle for [`EVICTABLE_AFTER_MS`] all are at work, and the new one
//! is refused. At the cap of one client or network its new connection is refused: the client is not served better by losing an
//! old one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::TcpLimits;
use crate::status::Moment;

/// How long a connection must have been without a query before it makes room for another.
const EVICTABLE_AFTER_MS: u64 = 500;
/// Connections looked at to find the one idle for longest: enough to be near it, and no scan of thousands per accept.
const EVICTION_SAMPLE: usize = 64;

/// What the accept loop and a connection share.
pub(super) struct Connection {
    /// When it last had a complete query, or was accepted; in milliseconds of [`Moment`].
    active: AtomicU64,
    /// Told when it has to make room.
    pub(super) evicted: Notify,
}

impl Connection {
    /// Notes a complete query.
    pub(super) fn touch(&self, now: Moment) {
        self.active.store(now.as_millis(), Ordering::Relaxed);
    }
}

/// A connection's place in the table; dropping it gives the place back.
pub(super) struct Place {
    table: Arc<Connections>,
    slot: usize,
    pub(super) connection: Arc<Connection>,
}

/// Why a connection got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The cap of all connections is reached and none is idle.
    Connections,
    /// The cap of its client is reached.
    Client,
    /// The cap of its network is reached.
    Network,
}

/// The connections open now.
pub(super) struct Connections {
    connections_max: usize,
    per_client_max: usize,
    per_network_max: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    open: usize,
    clients: HashMap<IpAddr, usize>,
    networks: HashMap<IpAddr, usize>,
    /// Where the next sample begins.
    hand: usize,
}

struct Slot {
    client: IpAddr,
    connection: Arc<Connection>,
    /// Whether it was already told to make room.
    leaving: bool,
}

/// The address connections are counted under: an IPv6 client has its whole /64.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

/// The network that connections are counted under: an IPv4 client's /24, an IPv6 client's /48. Takes what [`client_of`]
/// gives.
fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & !0xff).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 80 << 80).into()),
    }
}

impl Connections {
    pub(super) fn new(limits: &TcpLimits) -> Arc<Self> {
        Arc::new(Self {
            connections_max: limits.connections,
            per_client_max: limits.connections_per_client,
            per_network_max: limits.connections_per_network,
            table: Mutex::new(Table::default()),
        })
    }

    /// A place for a new connection; the second value says whether another one was told to make room for it.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, now: Moment) -> Result<(Place, Room), Refusal> {
        let client = client_of(address);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.clients.get(&client).is_some_and(|open| *open >= self.per_client_max) {
            return Err(Refusal::Client);
        }
        if table.networks.get(&network_of(client)).is_some_and(|open| *open >= self.per_network_max) {
            return Err(Refusal::Network);
        }
        let mut room = Room::Free;
        if table.open >= self.connections_max {
            table.evict_idlest(now)?;
            room = Room::Evicted;
        }
        let connection = Arc::new(Connection { active: AtomicU64::new(now.as_millis()), evicted: Notify::new() });
        let slot = table.insert(Slot { client, connection: Arc::clone(&connection), leaving: false });
        Ok((Place { table: Arc::clone(self), slot, connection }, room))
    }

    /// Whether more than three quarters of the places are taken, so that idle time is to be short.
    pub(super) fn is_crowded(&self) -> bool {
        let open = self.table.lock().unwrap_or_else(PoisonError::into_inner).open;
        open * 4 > self.connections_max * 3
    }
}

/// Where the place of a new connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There was room.
    Free,
    /// Another connection was closed for it.
    Evicted,
}

impl Table {
    fn insert(&mut self, slot: Slot) -> usize {
        *self.clients.entry(slot.client).or_default() += 1;
        *self.networks.entry(network_of(slot.client)).or_default() += 1;
        self.open += 1;
        match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.slots.get_mut(at) {
                    *place = Some(slot);
                }
                at
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        }
    }

    /// Tells the longest idle of a sample to leave. It counts as gone at once: its place is free within a moment.
    fn evict_idlest(&mut self, now: Moment) -> Result<(), Refusal> {
        let length = self.slots.len().max(1);
        let sample = (self.hand..self.hand + EVICTION_SAMPLE.min(length)).map(|at| at % length);
        self.hand = (self.hand + EVICTION_SAMPLE) % length;
        let idle = |at: usize| {
            let slot = self.slots.get(at)?.as_ref().filter(|slot| !slot.leaving)?;
            Some((now.as_millis().saturating_sub(slot.connection.active.load(Ordering::Relaxed)), at))
        };
        let idlest = sample.filter_map(idle).max().filter(|(idle, _)| *idle >= EVICTABLE_AFTER_MS);
        let slot = idlest.and_then(|(_, at)| self.slots.get_mut(at)?.as_mut()).ok_or(Refusal::Connections)?;
        slot.leaving = true;
        slot.connection.evicted.notify_one();
        self.open -= 1;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = table.slots.get_mut(self.slot).and_then(Option::take) else { return };
        table.free.push(self.slot);
        if !slot.leaving {
            table.open -= 1;
        }
        give_back(&mut table.clients, slot.client);
        give_back(&mut table.networks, network_of(slot.client));
    }
}

/// Counts one less, and forgets who has none.
fn give_back(counts: &mut HashMap<IpAddr, usize>, whose: IpAddr) {
    if let Some(open) = counts.get_mut(&whose) {
        *open -= 1;
        if *open == 0 {
            counts.remove(&whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_millis(milliseconds)
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn places(connections: usize, connections_per_client: usize, connections_per_network: usize) -> Arc<Connections> {
        let time = std::time::Duration::from_secs(1);
        Connections::new(&TcpLimits {
            connections,
            connections_per_client,
            connections_per_network,
            idle: time,
            first_message: time,
            message: time,
            lifetime: time,
            queries: 0,
            pipelined: 1,
            write_stall: time,
        })
    }

    #[test]
    fn one_network_cannot_take_all_places_and_gets_them_back() {
        let connections = places(10, 10, 2);
        let first = connections.admit(client(1), at(0)).ok().unwrap();
        let _second = connections.admit(client(2), at(0)).ok().unwrap();
        assert_eq!(connections.admit(client(3), at(0)).err(), Some(Refusal::Network));
        assert!(connections.admit("198.51.100.1".parse().unwrap(), at(0)).is_ok());
        drop(first);
        assert!(connections.admit(client(3), at(0)).is_ok());
        let _held: Vec<_> = ["2001:db8:0:1::1", "2001:db8:0:2::1"]
            .map(|address| connections.admit(address.parse().unwrap(), at(0)).ok().unwrap())
            .into();
        assert_eq!(connections.admit("2001:db8:0:3::1".parse().unwrap(), at(0)).err(), Some(Refusal::Network));
        assert!(connections.admit("2001:db8:1::1".parse().unwrap(), at(0)).is_ok());
    }

    #[test]
    fn one_client_cannot_take_all_places_and_gets_them_back() {
        let connections = places(10, 2, 10);
        let first = connections.admit(client(1), at(0)).ok().unwrap();
        let _second = connections.admit(client(1), at(0)).ok().unwrap();
        assert_eq!(connections.admit(client(1), at(0)).err(), Some(Refusal::Client));
        assert!(connections.admit(client(2), at(0)).is_ok());
        drop(first);
        assert!(connections.admit(client(1), at(0)).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let connections = places(10, 1, 10);
        let _held = connections.admit("2001:db8::1".parse().unwrap(), at(0)).ok().unwrap();
        assert_eq!(connections.admit("2001:db8::ffff:1".parse().unwrap(), at(0)).err(), Some(Refusal::Client));
        assert!(connections.admit("2001:db8:0:1::1".parse().unwrap(), at(0)).is_ok());
        let _held = connections.admit("::ffff:192.0.2.1".parse().unwrap(), at(0)).ok().unwrap();
        assert_eq!(connections.admit(client(1), at(0)).err(), Some(Refusal::Client));
    }

    #[test]
    fn at_the_cap_the_longest_idle_makes_room_and_busy_ones_stay() {
        let connections = places(3, 3, 10);
        let (busy, _) = connections.admit(client(1), at(0)).ok().unwrap();
        let (idlest, _) = connections.admit(client(2), at(10)).ok().unwrap();
        let (idle, room) = connections.admit(client(3), at(20)).ok().unwrap();
        assert_eq!(room, Room::Free);
        assert!(connections.is_crowded());
        assert_eq!(connections.admit(client(4), at(300)).err(), Some(Refusal::Connections), "all are at work");
        busy.connection.touch(at(700));
        let (_new, room) = connections.admit(client(4), at(700)).ok().unwrap();
        assert_eq!(room, Room::Evicted);
        let told = |place: &Place| {
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(place.connection.evicted.notified()).poll(context).is_ready()
        };
        use std::future::Future;
        assert!(told(&idlest));
        assert!(!told(&idle) && !told(&busy));
        let (_newer, room) = connections.admit(client(5), at(701)).ok().unwrap();
        assert_eq!(room, Room::Evicted, "the one that is leaving is not asked twice");
        assert!(told(&idle));
        drop((idlest, idle, busy));
        assert_eq!(connections.table.lock().unwrap().open, 2);
    }
}
