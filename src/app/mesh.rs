//! The DNS node's place in the mesh: sessions with the configured agents, as the configuration changes.

use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::tasks::Drain;
use crate::mesh::{self, AgentAddress, BackOff, Dialer, DialerContext, Local, PeerStates, Role, Settings};
use crate::status::Fact;

/// What this side says of itself.
pub(super) fn local(settings: &Settings) -> Result<Local, String> {
    let boot_id = getrandom::u64().map_err(|error| format!("drawing a boot id from the system: {error}"))?;
    Ok(settings.local(boot_id))
}

/// The same clock as the mesh sees it.
pub(super) fn clock(clock: Clock) -> mesh::Clock {
    mesh::Clock::counting_from(clock.started())
}

/// What a DNS node's sessions share. Facts go to `sender`.
pub(super) fn dialer(
    settings: &Settings,
    at: Clock,
    sender: mpsc::Sender<Fact>,
    states: PeerStates,
) -> Result<Dialer, String> {
    Ok(Dialer::new(DialerContext {
        local: local(settings)?,
        credentials: settings.credentials(Role::Dns, clock(at)),
        clock: clock(at),
        facts: sender,
        states,
        back_off: BackOff::default(),
    }))
}

/// Keeps a session with each of `agents`, whichever those are at the time, until the drain begins.
pub(super) async fn run(
    mut dialer: Dialer,
    mut agents: watch::Receiver<Vec<AgentAddress>>,
    mut drain: Drain,
) -> Result<(), String> {
    loop {
        let wanted = agents.borrow_and_update().clone();
        dialer.set_agents(&wanted);
        tokio::select! {
            () = drain.requested() => break,
            changed = agents.changed() => if changed.is_err() { break },
        }
    }
    dialer.stop().await;
    Ok(())
}
