//! Where log lines go: standard error, as text or JSON, filtered.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::args::Output;

/// Starts logging for the rest of the process.
pub(super) fn start(filter: &str, format: Output) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("reading the log filter {filter:?}: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Output::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).try_init()
        }
        Output::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("starting the log: {error}"))
}
