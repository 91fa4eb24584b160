//! The DNS node's place in the mesh: sessions with the configured agents, as the configuration changes.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::tasks::Drain;
use crate::mesh::{
    self, AgentAddress, BackOff, CredentialFiles, Dialer, DialerContext, Local, PeerStates, Role, Sequence, Settings,
    VERSIONS,
};
use crate::metrics::Scrape;
use crate::status::{Fact, Moment};

/// What this side says of itself.
pub(super) fn local(settings: &Settings) -> Result<Local, String> {
    Ok(Local {
        name: Arc::clone(&settings.name),
        boot_id: getrandom::u64().map_err(|error| format!("drawing a boot id from the system: {error}"))?,
        interval: settings.report_interval,
        sequence: Sequence::default(),
        versions: VERSIONS,
    })
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
    let credentials = CredentialFiles::new(&settings.state, Arc::clone(&settings.name), Role::Dns);
    Ok(Dialer::new(DialerContext {
        local: local(settings)?,
        credentials: Arc::new(credentials),
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

/// Fills in the series of the mesh.
pub(super) fn scrape(states: &PeerStates, now: Moment, scrape: &mut Scrape) {
    let status = states.status(now);
    for peer in &status.peers {
        let silent = peer.report_age_seconds.and_then(|age| std::time::Duration::try_from_secs_f64(age).ok());
        scrape.peer(&peer.name, peer.up, silent, peer.clock_ahead_seconds);
        if let Some(not_after) = peer.certificate_not_after {
            scrape.certificate(&peer.name, not_after);
        }
    }
    if let Some(own) = &status.own {
        scrape.certificate("own", own.not_after);
        scrape.certificate("authority", own.authority_not_after);
    }
}
