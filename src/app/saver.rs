//! Writes to the state folder, one file after the other, so that neither the publisher nor a query waits for a disk.

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::state::{SavedHealth, SavedOverride, Store};

/// Something to keep.
pub(super) enum Save {
    /// The overrides in force; the reply comes once they are on the disk.
    Overrides(Vec<SavedOverride>, oneshot::Sender<Result<(), String>>),
    /// What is known of the world.
    Health(SavedHealth),
}

/// Writes what comes until nobody can send any more.
pub(super) async fn run(store: &Store, saves: &mut mpsc::Receiver<Save>) -> Result<(), String> {
    while let Some(save) = saves.recv().await {
        let store = store.clone();
        let written = tokio::task::spawn_blocking(move || match save {
            Save::Overrides(overrides, reply) => {
                let outcome = store.save_overrides(&overrides).map_err(|error| error.to_string());
                // Nobody waits where the client has left.
                let _ = reply.send(outcome.clone());
                outcome
            }
            Save::Health(health) => store.save_health(&health).map_err(|error| error.to_string()),
        });
        if let Err(error) = written.await.map_err(|error| error.to_string()).and_then(|outcome| outcome) {
            warn!(%error, "state could not be kept; a restart would forget it");
        }
    }
    Ok(())
}
