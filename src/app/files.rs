//! What is done with configured files alone, without serving: loading, checking, explaining.

use std::path::Path;

use serde_json::Value;

use super::background::{self, Priority};
use super::board::Board;
use super::control::Question;
use super::explain;
use super::prepare::Prepared;
use crate::config::{self, Config, LoadErrors, Warnings};
use crate::status::{Moment, Remembered};

/// Loads a node's configuration under a fresh secret. Warnings go to the log; the error is every error, as text.
pub fn load(path: &Path) -> Result<Config, String> {
    let (path, seed) = (path.to_owned(), seed()?);
    let (send, loaded) = std::sync::mpsc::channel();
    // On the thread of later loads, which then take up the memory that this one's zones leave behind.
    let load = move || {
        // The receiver below waits for it.
        let _ = send.send(config::load(&path, seed));
    };
    background::begin(Priority::AsStarted, load);
    let loaded = loaded.recv().map_err(|_| "the load broke off; the log says where".to_owned())?;
    let (config, warnings) = loaded.map_err(|errors| errors.to_string())?;
    for warning in &warnings.problems {
        tracing::warn!(problem = %super::reload::one_line(warning), "configuration");
    }
    Ok(config)
}

/// Loads and compiles everything that serving would; gives what was noticed.
pub fn check(path: &Path) -> Result<Warnings, LoadErrors> {
    let (mut config, warnings) = config::load(path, 0)?;
    match Prepared::new(&mut config, 0) {
        Ok(_) => Ok(warnings),
        Err(message) => {
            let problem = config::Problem {
                file: path.to_owned(),
                line: 0,
                column: 0,
                path: String::new(),
                message,
                suggestion: None,
                snippet: None,
            };
            Err(LoadErrors { problems: vec![problem], warnings: warnings.problems, files: config.files })
        }
    }
}

/// Explains a question from files: the health of everything is unknown.
pub fn explain_files(path: &Path, question: &Question) -> Result<Value, String> {
    let mut config = load(path)?;
    let prepared = Prepared::new(&mut config, 0)?;
    let mut board = Board::new(prepared, &Remembered::default(), Moment::default());
    let settled = board.settle(Moment::default()).ok_or("nothing to explain")?;
    explain::explain(&settled.snapshot, question)
}

/// The secret under which names are hashed, so that nobody can choose names that collide.
fn seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("drawing a secret from the system: {error}"))
}
