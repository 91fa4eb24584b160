//! `fairlead zone`: how zone files stand to what is served, and writing dynamic updates back to them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::args::{ControlArgs, Output};
use super::output::{self, Paint, paint};
use super::status::{plain, updates};
use super::{Colour, ask_data, change};
use crate::app::control::Request;

/// How wide the columns of zone and state are.
const ZONE_WIDTH: usize = 28;
const STATE_WIDTH: usize = 16;

#[derive(Args)]
pub(super) struct ZoneArgs {
    #[command(subcommand)]
    command: ZoneCommand,
}

#[derive(Subcommand)]
enum ZoneCommand {
    /// Show for each zone, or one, the serials of file and served version, and what the journal holds
    #[command(after_help = "Example:\n  fairlead zone status example.com")]
    Status(StatusArgs),
    /// Show what the file of a zone, as it stands now, and what is served differ in
    #[command(after_help = "Example:\n  fairlead zone diff example.com")]
    Diff(DiffArgs),
    /// Write the dynamic updates of a zone to its file, and empty the journal of them
    ///
    /// The file keeps its form (YAML or master file), not its comments. One that was edited since the updates began is
    /// left alone.
    #[command(after_help = "Example:\n  fairlead zone flush example.com")]
    Flush(FlushArgs),
}

#[derive(Args)]
struct StatusArgs {
    /// The zone, as example.com, or example.com@VIEW; all when left out
    #[arg(value_name = "ZONE")]
    zone: Option<String>,
    /// How to print it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    control: ControlArgs,
}

#[derive(Args)]
struct DiffArgs {
    /// The zone, as example.com, or example.com@VIEW
    #[arg(value_name = "ZONE")]
    zone: String,
    /// How to print it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    control: ControlArgs,
}

#[derive(Args)]
struct FlushArgs {
    /// The zone, as example.com, or example.com@VIEW
    #[arg(value_name = "ZONE")]
    zone: String,
    /// Write one plain file in the place of one that uses $INCLUDE or $GENERATE
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    control: ControlArgs,
}

/// Runs the command.
pub(super) fn run(args: ZoneArgs) -> Result<(), String> {
    let (data, kind, text): (Value, Output, fn(&Value, Colour) -> String) = match args.command {
        ZoneCommand::Status(args) => {
            let request = Request::ZoneStatus { zone: args.zone };
            (ask_data(&args.control.control, &request)?, args.output, status)
        }
        ZoneCommand::Diff(args) => {
            let request = Request::ZoneDiff { zone: args.zone };
            (ask_data(&args.control.control, &request)?, args.output, diff)
        }
        ZoneCommand::Flush(args) => {
            let request = Request::ZoneFlush { zone: args.zone, force: args.force };
            return change::send(&args.control.control, &request);
        }
    };
    match kind {
        Output::Json => output::json(&data),
        Output::Text => output::line(text(&data, Colour::for_stdout()).trim_end()),
    }
    Ok(())
}

/// One line per zone, and what its conflicts are.
fn status(data: &Value, colour: Colour) -> String {
    let zones = data.get("zones").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut out = String::new();
    for zone in zones {
        let field = |name: &str| zone.get(name).map(plain).unwrap_or_default();
        let state = field("state");
        let as_painted = match state.as_str() {
            "conflict" => Paint::Red,
            "in step" => Paint::Green,
            _ => Paint::Yellow,
        };
        let state = paint(as_painted, &format!("{state:<STATE_WIDTH$}"), colour);
        let mut line = format!("{:<ZONE_WIDTH$} {state}", field("zone"));
        line.push_str(&format!(" file {}, served {}", field("file_serial"), field("served_serial")));
        if field("changes") != "0" {
            let (changes, bytes, age) = (field("changes"), field("journal_bytes"), field("oldest_change_age_seconds"));
            line.push_str(&format!(", {changes} changes in the journal ({bytes} bytes, oldest {age} s ago)"));
        }
        line.push_str(&updates(zone));
        out.push_str(line.trim_end());
        out.push('\n');
        let conflicts = zone.get("conflicts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !conflicts.is_empty() {
            out.push_str(&format!(
                "  the edited file {} is not in use since {}\n",
                field("file"),
                field("conflict_since")
            ));
        }
        for conflict in conflicts {
            out.push_str(&format!("  {}\n", plain(conflict)));
        }
    }
    out
}

/// Removed and added lines, as from the file to what is served.
fn diff(data: &Value, colour: Colour) -> String {
    let field = |name: &str| data.get(name).map(plain).unwrap_or_default();
    let lines = |name: &str| {
        let lines = data.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        lines.iter().map(plain).collect::<Vec<_>>()
    };
    let mut out = format!("--- {} version {}\n", field("file"), field("file_serial"));
    out.push_str(&format!("+++ served version {}\n", field("served_serial")));
    let (mut removed, mut added) = (lines("only_in_file"), lines("only_served"));
    let (in_file, served) = (lines("soa_in_file"), lines("soa_served"));
    if in_file != served {
        removed.splice(0..0, in_file);
        added.splice(0..0, served);
    }
    for line in removed {
        out.push_str(&format!("{}\n", paint(Paint::Red, &format!("-{line}"), colour)));
    }
    for line in added {
        out.push_str(&format!("{}\n", paint(Paint::Green, &format!("+{line}"), colour)));
    }
    for conflict in lines("conflicts") {
        out.push_str(&format!("conflict: {conflict}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_a_line_per_zone_with_its_conflicts_below() {
        let data = json!({"zones": [
            {"zone": "example.com.", "state": "conflict", "file": "a.zone", "file_serial": 5, "served_serial": 7,
             "changes": 2, "journal_bytes": 300, "oldest_change_age_seconds": 9, "conflicts": ["www A: both"],
             "conflict_since": "2026-11-20T10:00:00.000Z"},
            {"zone": "example.net.", "state": "in step", "file_serial": 1, "served_serial": 1, "changes": 0,
             "updates": {"counts": {"done": 0, "malformed": 3}}, "conflicts": []},
        ]});
        let lines: Vec<String> = status(&data, Colour::Never)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "example.com. conflict file 5, served 7, 2 changes in the journal (300 bytes, oldest 9 s ago)",
            "the edited file a.zone is not in use since 2026-11-20T10:00:00.000Z",
            "www A: both",
            "example.net. in step file 1, served 1, updates: 3 malformed",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_difference_is_shown_as_removed_and_added_lines() {
        let data = json!({
            "file": "a.zone", "file_serial": 1, "served_serial": 2, "soa_in_file": ["soa 1"], "soa_served": ["soa 2"],
            "only_in_file": ["a"], "only_served": ["b"], "conflicts": [],
        });
        assert_eq!(diff(&data, Colour::Never), "--- a.zone version 1\n+++ served version 2\n-soa 1\n-a\n+soa 2\n+b\n");
    }
}
