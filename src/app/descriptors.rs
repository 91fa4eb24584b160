//! File descriptors: as many as the system lets this process have, since every TCP client, probe and peer takes one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

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
