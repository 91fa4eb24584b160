//! Trying out what a primary says, over any stream: what would become of the zone, with nothing served or kept.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::client::{Client, Fetched, Form};
use crate::answer::InboundLimits;
use crate::metrics::TransferKind;
use crate::wire::{Key, Name};
use crate::zone::{Sizes, Zone};

/// How a zone is asked for.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// The zone.
    pub apex: Name,
    /// The version that is there; the primary is asked for its SOA first then.
    pub old: Option<Arc<Zone>>,
    /// Whether changes of that version are asked for, or the whole.
    pub kind: TransferKind,
    /// Signs the questions; the answers must be signed with it.
    pub key: Option<Arc<Key>>,
    /// What the primary may send.
    pub limits: InboundLimits,
    /// The time, in seconds since 1970.
    pub unix_seconds: u64,
    /// The secret that names are hashed with.
    pub seed: u64,
}

/// What a primary has.
#[derive(Debug)]
pub enum Rehearsed {
    /// Nothing newer.
    UpToDate,
    /// Another version, whole and checked, and how many records came.
    Zone(Zone, u64),
}

impl Rehearsal {
    /// Asks over `stream`, whose other end is the primary.
    ///
    /// # Errors
    /// Why nothing would be taken over.
    pub async fn run(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Rehearsed, String> {
        let Self { apex, old, kind, key, limits, unix_seconds, seed } = self;
        let unix_seconds = || *unix_seconds;
        let client = Client {
            unix_seconds: &unix_seconds,
            apex,
            key: key.clone(),
            limits: *limits,
            sizes: Sizes::DEFAULT,
            seed: *seed,
        };
        match client.fetch_over(Form::Edns, stream, old.as_ref(), *kind).await {
            Ok(Fetched::UpToDate { .. }) => Ok(Rehearsed::UpToDate),
            Ok(Fetched::Zone { zone, records, .. }) => Ok(Rehearsed::Zone(zone, records)),
            Err(error) => Err(error.reason().to_owned()),
        }
    }
}
