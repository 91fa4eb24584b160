//! File descriptors: as many as the system lets this process have, since every TCP client, probe and peer takes one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::listener;

/// Raises the soft limit to the hard one. Failing that, the limits of listeners and probes still hold.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok((soft, hard))
    });
    match raised {
        Ok((soft, hard)) => debug!(soft, hard, "file descriptors"),
        Err(error) => warn!(%error, "the limit of file descriptors could not be raised"),
    }
}

/// The listeners' settings with no more TCP connections than half of the descriptors there may be: the rest is for zones,
/// peers, probes and secondaries, which must not starve because of clients.
pub(super) fn fit(settings: &listener::Settings) -> listener::Settings {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let mut settings = settings.clone();
    let most = connections_at_most(soft);
    if settings.tcp.connections > most {
        let configured = settings.tcp.connections;
        warn!(configured, used = most, descriptors = soft, "fewer TCP connections than configured: raise LimitNOFILE");
        settings.tcp.connections = most;
    }
    settings
}

fn connections_at_most(descriptors: u64) -> usize {
    usize::try_from(descriptors / 2).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_half_of_the_descriptors() {
        for (descriptors, connections) in [(0, 1), (1, 1), (1024, 512), (20_000, 10_000)] {
            assert_eq!(connections_at_most(descriptors), connections);
        }
    }
}
