//! Passing updates of a secondary zone on to its primary (RFC 2136 §6), unchanged: the signature is its sender's, and the
//! primary's answer is signed for the sender.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use super::message::Refusal;
use super::server::refuse;
use super::states::UpdateStates;
use crate::answer::{Peer, Snapshot};
use crate::listener::Replies;
use crate::metrics::{Limit, UpdateResult};
use crate::transfer::{Context, Request};
use crate::wire::{HEADER_LENGTH, Rcode};

/// Updates that are being passed on at once.
const FORWARDED_MAX: usize = 32;
/// How long one primary may take.
const WAIT_MAX: Duration = Duration::from_secs(4);

/// Passes updates on.
pub(super) struct Forwarder {
    context: Context,
    states: UpdateStates,
    quota: Arc<Semaphore>,
}

impl Forwarder {
    pub(super) fn new(context: Context, states: UpdateStates) -> Self {
        Self { context, states, quota: Arc::new(Semaphore::new(FORWARDED_MAX)) }
    }

    /// Passes a signed update on and its answer back. Unsigned ones are refused: the primary would see our address in
    /// the place of the sender's, and might trust it.
    pub(super) fn pass_on(&self, snapshot: &Snapshot, request: Request, source: SocketAddr, replies: Replies) {
        let policy = snapshot.transfers().get(request.zone());
        let servers: Vec<Peer> = policy
            .and_then(|policy| policy.primary.as_ref())
            .map(|primary| primary.servers.clone())
            .unwrap_or_default();
        if request.key_name().is_none() {
            let refusal = Refusal::new(Rcode::REFUSED, "only signed updates are passed on to the primary");
            return refuse(&self.context, &self.states, &request, source, replies, &refusal);
        }
        let Ok(permit) = Arc::clone(&self.quota).try_acquire_owned() else {
            self.context.metrics.limit_hit(Limit::Updates);
            let refusal = Refusal::new(Rcode::SERVFAIL, "too many updates are being passed on");
            return refuse(&self.context, &self.states, &request, source, replies, &refusal);
        };
        let (context, states) = (self.context.clone(), self.states.clone());
        tokio::spawn(async move {
            let _held = permit;
            for server in &servers {
                match timeout(WAIT_MAX, exchange(server.address, request.packet())).await {
                    Ok(Ok(reply)) => {
                        info!(zone = %request.zone(), %source, primary = %server.address, "passed an update on");
                        states.count(&context, &request, source, UpdateResult::Forwarded);
                        return replies.send(reply);
                    }
                    Ok(Err(error)) => {
                        warn!(zone = %request.zone(), primary = %server.address, %error, "an update was not passed on");
                    }
                    Err(_) => {
                        warn!(zone = %request.zone(), primary = %server.address, "a primary did not answer an update");
                    }
                }
            }
            let refusal = Refusal::new(Rcode::SERVFAIL, "no primary of the zone answered");
            refuse(&context, &states, &request, source, replies, &refusal);
        });
    }
}

/// Sends a message over TCP; the answer to it.
async fn exchange(server: SocketAddr, packet: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    let is_answer = reply.len() >= HEADER_LENGTH
        && reply.get(..2) == packet.get(..2)
        && reply.get(2).is_some_and(|flags| flags & 0x80 != 0);
    if is_answer { Ok(reply) } else { Err(std::io::Error::other("the answer belongs to another question")) }
}
