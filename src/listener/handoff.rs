//! Queries that are answered elsewhere: transfers, notifications and updates, which take time or change what is served.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::wire::Opcode;

/// How many queries may wait to be taken over; more are answered with SERVFAIL.
pub const HANDED_OFF_MAX: usize = 256;
/// Messages of one stream that wait for the client; the sender of more waits.
pub(super) const MESSAGES_MAX: usize = 2;

/// A query that somebody else answers.
pub struct HandedOff {
    /// The message.
    pub packet: Vec<u8>,
    /// Who asks.
    pub source: SocketAddr,
    /// The listener it came to, as configured.
    pub listener: SocketAddr,
    /// How long its connection is kept without a query; none by datagram.
    pub idle: Option<Duration>,
    /// Where the answer goes.
    pub replies: Replies,
}

/// Those who answer what this path has no time for.
#[derive(Clone)]
pub struct HandOff {
    /// Transfers and notifications.
    pub transfers: mpsc::Sender<HandedOff>,
    /// Dynamic updates.
    pub updates: mpsc::Sender<HandedOff>,
}

impl HandOff {
    /// Who answers this packet.
    pub(super) fn of(&self, packet: &[u8]) -> &mpsc::Sender<HandedOff> {
        match packet.get(2).map(|flags| Opcode(flags >> 3 & 0xf)) {
            Some(Opcode::UPDATE) => &self.updates,
            _ => &self.transfers,
        }
    }
}

/// Sends one datagram back to whom it is for.
pub type SendDatagram = Box<dyn FnOnce(&[u8]) + Send>;

/// Where the answer to one query goes; dropped without one, the client gets none.
pub enum Replies {
    /// One datagram, from the address the query came to.
    Datagram(SendDatagram),
    /// Messages on the query's connection, whose next query waits until this is dropped. Sending fails once the client
    /// is gone.
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Replies {
    /// Sends the one message there is.
    pub fn send(self, message: Vec<u8>) {
        match self {
            Self::Datagram(send) => send(&message),
            // The first message always has room, and nobody reads it where the client is gone.
            Self::Stream(stream) => drop(stream.try_send(message)),
        }
    }
}
