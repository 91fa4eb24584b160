//! The command line as clap reads it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where `fairlead serve` puts its control socket unless configured otherwise.
pub(super) const CONTROL_DEFAULT: &str = "/var/lib/fairlead/control.sock";

/// An authoritative DNS server that steers traffic.
#[derive(Parser)]
#[command(name = "fairlead", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Serve DNS: zones, wide IPs, the mesh and the admin address
    #[command(after_help = "Example:\n  fairlead serve -c /etc/fairlead/fairlead.yaml")]
    Serve(ServeArgs),
    /// Run beside a load balancer and report its virtual servers to the DNS nodes
    #[command(after_help = "Example:\n  fairlead agent -c /etc/fairlead/agent.yaml")]
    Agent(ServeArgs),
    /// Load everything a `serve` would and print every error
    #[command(after_help = "Example:\n  fairlead check -c /etc/fairlead/fairlead.yaml")]
    Check(CheckArgs),
    /// Show how a question is decided, and why each candidate was taken or passed over
    #[command(after_help = "Examples:\n  fairlead explain www.example.com A --client 203.0.113.9\n  \
        fairlead explain www.example.com A --client 203.0.113.9 -c fairlead.yaml    # from files, health unknown")]
    Explain(ExplainArgs),
    /// Print the JSON Schema of the configuration, for editors
    #[command(
        after_help = "Examples:\n  fairlead schema > fairlead.schema.json\n  fairlead schema --agent > agent.schema.json"
    )]
    Schema(SchemaArgs),
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
    /// Show how zone files stand to what is served, and write dynamic updates back to them
    #[command(
        after_help = "Examples:\n  fairlead zone status\n  fairlead zone diff example.com\n  fairlead zone flush example.com"
    )]
    Zone(super::zone::ZoneArgs),
    /// Make the mesh's certificates, and show its peers
    #[command(after_help = "Example:\n  fairlead mesh init production && fairlead mesh issue ns1 --role dns")]
    Mesh(super::mesh::MeshArgs),
    /// Run two sites on loopback in one process and watch answers change
    #[command(after_help = "Examples:\n  fairlead demo\n  fairlead demo --for 30s")]
    Demo(DemoArgs),
}

/// What a long-running command logs, on standard error.
#[derive(Args)]
pub(super) struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace) or a filter such as `info,fairlead::mesh=debug`
    #[arg(long, value_name = "FILTER", env = "FAIRLEAD_LOG", default_value = "info")]
    pub(super) log: String,
    /// How a line looks
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Output,
}

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The configuration: a file, or a folder whose *.yaml are merged
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: PathBuf,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Args)]
pub(super) struct SchemaArgs {
    /// The schema of an agent's configuration
    #[arg(long)]
    pub(super) agent: bool,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The configuration: a file, or a folder whose *.yaml are merged
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: PathBuf,
    /// Check the configuration of an agent
    #[arg(long)]
    pub(super) agent: bool,
    /// How to print it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
}

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The name asked for
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The record type: A, AAAA, CNAME, …
    #[arg(value_name = "TYPE", default_value = "A")]
    pub(super) record_type: String,
    /// The address the query comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) client: IpAddr,
    /// The client subnet the query carries (EDNS Client Subnet)
    #[arg(long, value_name = "PREFIX")]
    pub(super) subnet: Option<String>,
    /// Answer from this view, whoever asks
    #[arg(long, value_name = "VIEW", conflicts_with_all = ["key", "listener"])]
    pub(super) view: Option<String>,
    /// The name of the TSIG key that signs the query, for views that go by it
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// The listener that the query comes to, for views that go by it: its address as configured, and its port if not 53
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listener: Option<String>,
    /// Explain from these files instead of the running node; all health is unknown then
    #[arg(short, long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) control: ControlArgs,
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
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
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
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) control: ControlArgs,
}

#[derive(Args)]
pub(super) struct DemoArgs {
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// The port to answer DNS on; a free one when it is taken
    #[arg(long, value_name = "PORT", default_value_t = 5353)]
    pub(super) port: u16,
    /// What is logged on standard error
    #[arg(long, value_name = "FILTER", env = "FAIRLEAD_LOG", default_value = "warn,fairlead::app=info")]
    pub(super) log: String,
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
    fn the_control_socket_is_looked_for_where_a_node_puts_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("node.yaml"), "node: ns1\n").unwrap();
        let (config, _) = crate::config::load(folder.path(), 0).unwrap();
        assert_eq!(config.control.to_str(), Some(CONTROL_DEFAULT));
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
