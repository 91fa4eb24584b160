//! Dynamic update (RFC 2136): who may change what of a zone, and how the change comes about.
//!
//! One message at a time becomes the next version of its zone: read ([`message`]), held against permissions and
//! prerequisites ([`evaluate`]), made ([`draft`]); then [`writer`] has a group of them kept in the journal with one wait
//! for the disk, served, and answered.
//!
//! # Invariants
//! - An update is carried out whole or leaves the zone as it was.
//! - NOERROR is sent once the change is durable and the next query is answered from it.
//! - One task changes zones, and none while a reload reads them; each version is made from exactly the one served.
//! - Nobody changes anything that no rule lets them, and nobody a name and type that a wide IP owns.
//! - A signed message that comes again is answered as before and not carried out again.

mod draft;
mod evaluate;
mod forward;
mod message;
mod replay;
mod server;
#[cfg(test)]
mod server_tests;
mod states;
#[cfg(test)]
mod update_tests;
mod writer;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use server::Server;
pub use states::{Sent, UpdateState, UpdateStates};
pub use writer::{NewVersion, Writer};

use crate::answer::UPDATES_MAX;
use crate::journal::Journal;
use crate::transfer::Context;
use crate::wire::{NameKey, Query, Rcode, Refusal};
use crate::zone::serial::SerialPolicy;
use crate::zone::{Sizes, Zone};

/// What carries updates out: the receiving side and the writing side, each to be run as a task.
pub struct Parts {
    /// Receives updates.
    pub server: Server,
    /// Carries them out.
    pub writer: Writer,
    /// What became of them, zone by zone.
    pub states: UpdateStates,
}

/// Makes both sides. New versions go to `versions`.
pub fn parts(context: Context, journal: Journal, versions: mpsc::Sender<NewVersion>) -> Parts {
    let (send, jobs) = mpsc::channel(UPDATES_MAX);
    let states = UpdateStates::default();
    let server = Server::new(context.clone(), states.clone(), send);
    let writer = Writer { context, states: states.clone(), jobs, journal, versions, replays: Arc::default() };
    Parts { server, writer, states }
}

/// The version that an UPDATE message makes of a zone when its sender may do everything; none when it changes nothing. For
/// trying messages out: nothing is kept or served.
///
/// # Errors
/// The response code that the message gets.
pub fn rehearse(zone: &Zone, packet: &[u8], unix_seconds: u64) -> Result<Option<Zone>, Rcode> {
    let query =
        Query::parse(packet, &mut NameKey::root(zone.seed()), zone.seed()).map_err(|refusal| match refusal {
            Refusal::Reply(rcode) => rcode,
            Refusal::Silent(_) => Rcode::FORMERR,
        })?;
    let update = message::Update::read(packet, &query, zone.apex()).map_err(|refusal| refusal.rcode)?;
    let (permits, wide_ip) = (|_: &_, _, _| true, |_: &_, _| None);
    let (serial, sizes) = (SerialPolicy::Increment, Sizes::DEFAULT);
    let terms = evaluate::Terms { permits: &permits, wide_ip: &wide_ip, serial, unix_seconds, sizes };
    let made = evaluate::evaluate(zone, &update, &terms).map_err(|refusal| refusal.rcode)?;
    Ok(made.map(|made| made.zone))
}
