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
mod update_tests;
mod writer;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use server::{Server, WAITING_MAX};
pub use writer::{NewVersion, Writer};

use crate::journal::Journal;
use crate::transfer::Context;

/// What carries updates out: the receiving side and the writing side, each to be run as a task.
pub struct Parts {
    /// Receives updates.
    pub server: Server,
    /// Carries them out.
    pub writer: Writer,
}

/// Makes both sides. New versions go to `versions`.
pub fn parts(context: Context, journal: Journal, versions: mpsc::Sender<NewVersion>) -> Parts {
    let (send, jobs) = mpsc::channel(WAITING_MAX);
    let server = Server::new(context.clone(), send);
    let writer = Writer { context, jobs, journal, versions, replays: Arc::default() };
    Parts { server, writer }
}
