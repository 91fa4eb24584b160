//! The DNS node's place in the mesh: sessions with the configured agents and DNS nodes, as the configuration changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::tasks::{Drain, Tasks};
use crate::mesh::{
    self, Acceptor, AcceptorContext, BackOff, Dialer, DialerContext, Local, PeerAddress, PeerStates, Report, Role,
    Settings,
};
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
    runtime: Handle,
) -> Result<Dialer, String> {
    Ok(Dialer::new(DialerContext {
        local: local(settings)?,
        credentials: settings.credentials(Role::Dns, clock(at)),
        clock: clock(at),
        facts: sender,
        states,
        runtime,
        back_off: BackOff::default(),
    }))
}

/// How often sessions are looked after.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Keeps a session with each of `peers`, whichever those are at the time, until the drain begins.
pub(super) async fn run(
    dialer: &mut Dialer,
    peers: &mut watch::Receiver<Vec<PeerAddress>>,
    drain: &mut Drain,
) -> Result<(), String> {
    loop {
        let wanted = peers.borrow_and_update().clone();
        dialer.set_peers(&wanted);
        tokio::select! {
            () = drain.requested() => break,
            changed = peers.changed() => if changed.is_err() { break },
            // A session that panicked is looked after.
            () = tokio::time::sleep(LOOK_PERIOD) => {}
        }
    }
    dialer.stop().await;
    Ok(())
}

/// Offers `reports` to the DNS nodes that dial this one until the drain begins, where an address is set for that.
pub(super) fn listen(
    settings: Option<&Settings>,
    at: Clock,
    states: &PeerStates,
    reports: watch::Receiver<Arc<Report>>,
    tasks: &mut Tasks,
) -> Result<(), String> {
    let Some((settings, address)) = settings.and_then(|settings| Some((settings, settings.listen?))) else {
        return Ok(());
    };
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listener = bind().map_err(|error| format!("listening for DNS nodes on {address}: {error}"))?;
    let context = AcceptorContext {
        local: local(settings)?,
        credentials: settings.credentials(Role::Dns, clock(at)),
        clock: clock(at),
        states: states.of_refusals(),
        reports,
    };
    let (acceptor, mut drain) = (Acceptor::start(context, listener), tasks.drain());
    tasks.spawn("mesh listener", async move {
        drain.requested().await;
        acceptor.stop().await;
        Ok(())
    });
    Ok(())
}
