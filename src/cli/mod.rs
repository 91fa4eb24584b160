//! The commands: arguments in, one call each, text or JSON out, an exit code back. Nothing is decided here.
//!
//! # Invariants
//! - The only module that prints.
//! - Exit codes: 0 done, 1 failed (the reason on standard error), 2 wrong usage.
//! - Colour only on a terminal.

mod args;
mod change;
mod check;
mod demo;
mod explain;
#[cfg(target_env = "gnu")]
mod heap;
mod log;
mod mesh;
mod output;
mod serve;
mod status;
mod zone;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use crate::app::control::{self, Request, Response};
use crate::config;
use args::{Arguments, Command};
use output::Colour;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Disable(change) => change::disable(change),
        Command::Enable(change) => change::enable(change),
        Command::Status(status) => status::run(&status),
        Command::Serve(args) => serve::node(&args),
        Command::Agent(args) => serve::agent(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Schema(args) => {
            let schema = if args.agent { config::schema_agent() } else { config::schema() };
            output::line(schema.trim_end());
            Ok(())
        }
        Command::Mesh(args) => mesh::run(&args),
        Command::Zone(args) => zone::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::fail(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Runs `future` to its end for a command that needs nothing more of a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| format!("starting the runtime: {error}"))?.block_on(future))
}

/// Asks the running node for data.
fn ask_data(socket: &Path, request: &Request) -> Result<Value, String> {
    match block_on(control::ask(socket, request))?.map_err(|error| error.to_string())? {
        Response::Data(data) => Ok(data),
        Response::Refused(reason) => Err(reason),
        Response::Done(lines) => Err(format!("the node gave an answer of another kind: {}", lines.join("; "))),
    }
}
