//! `fairlead check`: loads what a `serve` or an `agent` would and prints every problem.

use serde_json::json;

use super::args::{CheckArgs, Output};
use super::output::{self, Colour, Paint, paint};
use crate::app;
use crate::config::{self, LoadErrors, Problem};

/// Prints every error and warning; fails when there is an error.
pub(super) fn run(args: &CheckArgs) -> Result<(), String> {
    let (errors, warnings) = if args.agent {
        match config::load_agent(&args.config) {
            Ok(_) => (Vec::new(), Vec::new()),
            Err(LoadErrors { problems, warnings, .. }) => (problems, warnings),
        }
    } else {
        match app::check(&args.config) {
            Ok(warnings) => (Vec::new(), warnings.problems),
            Err(LoadErrors { problems, warnings, .. }) => (problems, warnings),
        }
    };
    match args.output {
        Output::Json => output::json(&json!({ "errors": errors, "warnings": warnings })),
        Output::Text => {
            let colour = Colour::for_stdout();
            print("warning", Paint::Yellow, &warnings, colour);
            print("error", Paint::Red, &errors, colour);
        }
    }
    match errors.len() {
        0 => {
            if args.output == Output::Text {
                output::line(format!("{}: no errors", args.config.display()));
            }
            Ok(())
        }
        1 => Err("1 error".to_owned()),
        more => Err(format!("{more} errors")),
    }
}

fn print(label: &str, colour: Paint, problems: &[Problem], target: Colour) {
    for problem in problems {
        output::line(format!("{} {problem}", paint(colour, &format!("{label}:"), target)));
    }
}
