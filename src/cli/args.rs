//! The command line as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where `fairlead serve` puts its control socket unless configured otherwise.
pub(super) const CONTROL_DEFAULT: &str = "/run/fairlead/control.sock";

/// An authoritative DNS server that steers traffic.
#[derive(Parser)]
#[command(name = "fairlead", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Take an object out of use
    #[command(
        after_help = "Example:\n  fairlead disable virtual-server ny-lb1/www --for 30m --reason \"kernel upgrade\""
    )]
    Disable(DisableArgs),
    /// Put an object back to use
    #[command(after_help = "Example:\n  fairlead enable virtual-server ny-lb1/www")]
    Enable(EnableArgs),
    /// Show the state of every object of the running node
    #[command(after_help = "Examples:\n  fairlead status\n  fairlead status --output json | jq .wide_ips")]
    Status(StatusArgs),
    /// Make the mesh's certificates, and show its peers
    #[command(after_help = "Example:\n  fairlead mesh init production && fairlead mesh issue ns1 --role dns")]
    Mesh(super::mesh::MeshArgs),
}

/// How to reach the running node.
#[derive(Args)]
pub(super) struct ControlArgs {
    /// The control socket of the running node
    #[arg(long, value_name = "SOCKET", env = "FAIRLEAD_CONTROL", default_value = CONTROL_DEFAULT)]
    pub(super) control: PathBuf,
}

/// How data is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Args)]
pub(super) struct ObjectArgs {
    /// datacenter, server, virtual-server, pool, member or wide-ip
    #[arg(value_name = "KIND")]
    pub(super) kind: String,
    /// The object: newyork, ny-lb1, ny-lb1/www, web-ny, web-ny/ny-lb1/www or www.example.com/A
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// End by itself after this time (90s, 30m, 12h, 2d)
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// Why, for those who look at the status later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Args)]
pub(super) struct DisableArgs {
    #[command(flatten)]
    pub(super) object: ObjectArgs,
    /// Do it even when a pool loses its last available member
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Args)]
pub(super) struct EnableArgs {
    #[command(flatten)]
    pub(super) object: ObjectArgs,
    /// Forget what was said of the object, so that the configuration counts again
    #[arg(long, conflicts_with_all = ["duration", "reason"])]
    pub(super) reset: bool,
}

#[derive(Args)]
pub(super) struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

/// Reads `90s`, `30m`, `12h` or `2d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write a number and ms, s, m, h or d, such as 30m");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("fairlead {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn times_are_a_number_and_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("30m", Some(1_800_000));
        check("250ms", Some(250));
        check("2d", Some(172_800_000));
        for wrong in ["", "30", "m", "-1s", "1.5h", "30 m", "99999999999999999999s", "999999999999999999d"] {
            check(wrong, None);
        }
    }
}
