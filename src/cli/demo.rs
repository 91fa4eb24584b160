//! `fairlead demo`: a world to watch, with commands on standard input.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::args::{DemoArgs, Output};
use super::output::Colour;
use super::{log, output, serve, status};
use crate::app::clock::Clock;
use crate::app::demo::{Controls, Demo};
use crate::app::tasks;

const HELP: &str = "commands: down NAME, up NAME, status, help, quit";

/// Runs two sites until told to stop.
pub(super) fn run(args: &DemoArgs) -> Result<(), String> {
    log::start(&args.log, Output::Text)?;
    let (clock, port, duration) = (Clock::start(), args.port, args.duration);
    serve::run(async move {
        let demo = Demo::start(port, clock).await?;
        output::line("Two sites are up. In another terminal, try:\n");
        let program = std::env::current_exe().map_or_else(|_| "fairlead".into(), |path| path.display().to_string());
        for line in demo.things_to_try(&program) {
            output::line(format!("  {line}"));
        }
        output::line(format!("\nThe files it runs from: {}", demo.folder().display()));
        let stop = tasks::stop_signal()?;
        let interact = |controls: Controls| async move {
            let names: Vec<&str> = controls.backends().collect();
            output::line(format!("Backends: {}\n{HELP}", names.join(", ")));
            tokio::select! {
                () = stop => {}
                () = wait(duration) => {}
                () = converse(&controls, duration) => {}
            }
        };
        demo.run_until(interact).await.map_err(|error| error.to_string())
    })
}

/// Waits for the time that was given, if one was.
async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Obeys standard input until `quit`. Its end means the same, unless there is a time to run for.
async fn converse(controls: &Controls, duration: Option<Duration>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("down"), Some(name)) => tell(controls.take_down(name), name, "going down"),
            (Some("up"), Some(name)) => tell(controls.bring_up(name), name, "coming up"),
            (Some("status"), _) => match controls.status().await {
                Ok(known) => output::line(status::text(&known, Colour::for_stdout()).trim_end()),
                Err(reason) => output::fail(&reason),
            },
            (Some("quit" | "exit"), _) => return,
            (None, _) => {}
            _ => output::line(HELP),
        }
    }
    if duration.is_some() {
        std::future::pending::<()>().await;
    }
}

fn tell(is_known: bool, name: &str, what: &str) {
    if is_known {
        output::line(format!("{name} is {what}; ask again in a second"));
    } else {
        output::line(format!("there is no backend {name:?}"));
    }
}
