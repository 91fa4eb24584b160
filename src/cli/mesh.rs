//! `fairlead mesh`: make the authority, issue certificates, look at them, and ask the running node for its peers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::args::{ControlArgs, Output, duration};
use super::output::{self, Colour, Paint, paint};
use super::{ask_data, status};
use crate::app::control::Request;
use crate::mesh::trust::{self, Overwrite};
use crate::mesh::{Certificate, Clock, Role, words};

/// A certificate that ends within this many days is coloured.
const DAYS_LEFT_LOW: i64 = 14;

#[derive(Args)]
pub(super) struct MeshArgs {
    #[command(subcommand)]
    command: MeshCommand,
}

#[derive(Subcommand)]
enum MeshCommand {
    /// Make the authority of a new mesh
    #[command(after_help = "Example:\n  fairlead mesh init production --authority /root/mesh-authority")]
    Init(InitArgs),
    /// Issue a certificate and key for a DNS node or an agent
    #[command(after_help = "Examples:\n  fairlead mesh issue ns1 --role dns --out /var/lib/fairlead/mesh\n  \
        fairlead mesh issue ny-lb1 --role lb --life 30d --out ny-lb1    # then copy the folder to the agent")]
    Issue(IssueArgs),
    /// Show whose a certificate is and when it ends
    #[command(after_help = "Example:\n  fairlead mesh inspect /var/lib/fairlead/mesh/certificate.pem")]
    Inspect(InspectArgs),
    /// Show the peers of the running node
    #[command(after_help = "Examples:\n  fairlead mesh status\n  fairlead mesh status --output json | jq .peers")]
    Status(StatusArgs),
}

#[derive(Args)]
struct InitArgs {
    /// The mesh's name: lower-case letters, digits, dots and hyphens
    #[arg(value_name = "MESH")]
    mesh: String,
    /// The folder for the authority's certificate and key; the key never leaves it
    #[arg(long, value_name = "FOLDER", default_value = "mesh-authority")]
    authority: PathBuf,
    /// Replace an existing authority: every certificate it issued becomes worthless
    #[arg(long)]
    force: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Args)]
struct IssueArgs {
    /// The DNS node's name, or the name of the server the agent reports for
    #[arg(value_name = "NAME")]
    name: String,
    /// What the holder may do
    #[arg(long, value_enum)]
    role: RoleArg,
    /// The folder with the authority's certificate and key
    #[arg(long, value_name = "FOLDER", default_value = "mesh-authority")]
    authority: PathBuf,
    /// The folder for authority.pem, certificate.pem and key.pem; the NAME unless given
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// How long the certificate lasts
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "90d")]
    life: Duration,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Args)]
struct InspectArgs {
    /// A certificate in PEM
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Args)]
struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    control: ControlArgs,
}

/// What the holder of a certificate may do.
#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// A DNS node: dials agents and believes them.
    Dns,
    /// The agent of a load balancer: reports for the server of its name.
    Lb,
}

/// Runs one of the commands.
pub(super) fn run(args: &MeshArgs) -> Result<(), String> {
    let now = Clock::start().unix_millis().div_euclid(1_000);
    match &args.command {
        MeshCommand::Init(args) => {
            let overwrite = if args.force { Overwrite::Force } else { Overwrite::Never };
            let made = trust::init(&args.authority, &args.mesh, overwrite, now).map_err(|error| error.to_string())?;
            show(&made, now, args.output, &format!("written to {}", args.authority.display()));
        }
        MeshCommand::Issue(args) => {
            let role = match args.role {
                RoleArg::Dns => Role::Dns,
                RoleArg::Lb => Role::Lb,
            };
            let out = args.out.clone().unwrap_or_else(|| PathBuf::from(&args.name));
            let issued = trust::issue(&args.authority, &out, (role, &args.name), args.life, now)
                .map_err(|error| error.to_string())?;
            show(&issued, now, args.output, &format!("written to {}", out.display()));
        }
        MeshCommand::Inspect(args) => {
            let certificate = trust::read_certificate(&args.file).map_err(|error| error.to_string())?;
            show(&certificate, now, args.output, &format!("read from {}", args.file.display()));
        }
        MeshCommand::Status(args) => {
            let status = ask_data(&args.control.control, &Request::MeshStatus)?;
            match args.output {
                Output::Json => output::json(&status),
                Output::Text => output::line(peers(&status, now, Colour::for_stdout()).trim_end()),
            }
        }
    }
    Ok(())
}

fn show(certificate: &Certificate, now: i64, output: Output, place: &str) {
    match output {
        Output::Json => output::json(&json!({
            "id": certificate.identity.as_ref().ok().map(ToString::to_string),
            "authority_of": certificate.authority_of,
            "issuer": certificate.issuer,
            "serial": certificate.serial,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "days_left": certificate.days_left(now),
            "fingerprint_sha256": certificate.fingerprint,
        })),
        Output::Text => output::line(described(certificate, now, Colour::for_stdout()) + place),
    }
}

/// A certificate as people read it.
fn described(certificate: &Certificate, now: i64, colour: Colour) -> String {
    let days = certificate.days_left(now);
    let left = if certificate.not_before > now {
        paint(Paint::Red, "not yet valid", colour)
    } else if certificate.not_after < now {
        let ago = words::span(now.saturating_sub(certificate.not_after).saturating_mul(1_000));
        paint(Paint::Red, &format!("expired {ago} ago"), colour)
    } else {
        let paint_as = if days < DAYS_LEFT_LOW { Paint::Yellow } else { Paint::Green };
        paint(paint_as, &format!("{days} days left"), colour)
    };
    format!(
        "id           {}\nvalid        {} to {}, {left}\nissuer       {}\nserial       {}\nfingerprint  sha256:{}\n",
        certificate.who(),
        words::date(certificate.not_before),
        words::date(certificate.not_after),
        certificate.issuer,
        certificate.serial,
        certificate.fingerprint,
    )
}

/// The peers of a node as people read them.
fn peers(mesh: &Value, now: i64, colour: Colour) -> String {
    let days = |value: &Value| value.as_i64().map(|end| end.saturating_sub(now).div_euclid(86_400));
    let mut out = match mesh.get("own").filter(|own| !own.is_null()) {
        None => paint(Paint::Red, "our own certificate cannot be used\n", colour),
        Some(own) => format!(
            "{}, certificate ends in {} days\n",
            own.get("identity").map(status::plain).unwrap_or_default(),
            own.get("not_after").and_then(days).unwrap_or_default(),
        ),
    };
    for peer in mesh.get("peers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        let field = |name: &str| peer.get(name).map(status::plain).unwrap_or_default();
        let seconds = |name: &str| peer.get(name).and_then(Value::as_f64);
        let span = |name: &str| seconds(name).map(|seconds| words::span(millis(seconds)));
        let is_up = peer.get("up").and_then(Value::as_bool).unwrap_or_default();
        let state = format!("{} {}", if is_up { "up" } else { "down" }, span("since_seconds").unwrap_or_default());
        let paint_as = if is_up { Paint::Green } else { Paint::Red };
        out.push_str(&format!("{:<20} {:<22} {}", field("name"), field("address"), paint(paint_as, &state, colour)));
        if let Some(age) = span("report_age_seconds") {
            out.push_str(&format!(", last report {age} ago"));
        }
        if let Some(days) = peer.get("certificate_not_after").and_then(days) {
            out.push_str(&format!(", certificate ends in {days} days"));
        }
        if let Some(ahead) = seconds("clock_ahead_seconds").filter(|ahead| ahead.abs() >= 1.0) {
            let direction = if ahead < 0.0 { "behind" } else { "ahead" };
            out.push_str(&format!(", clock {} {direction}", words::span(millis(ahead))));
        }
        out.push('\n');
        if !is_up && !field("last_error").is_empty() {
            let ago = span("last_error_age_seconds").unwrap_or_default();
            out.push_str(&format!("    {} ({ago} ago)\n", field("last_error")));
        }
    }
    out
}

/// Seconds to milliseconds; what is beyond the range of `i64` is capped, and what is no number is zero.
#[expect(clippy::cast_possible_truncation, reason = "a float is capped when cast, and this is for display")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_one_line_each_and_those_down_say_why() {
        let now = 1_795_168_920;
        let status = json!({
            "own": {"identity": "spiffe://prod/dns/ns1", "not_after": now + 90 * 86_400},
            "peers": [
                {"name": "ny", "address": "192.0.2.1:4353", "up": true, "since_seconds": 3_720.5, "report_age_seconds": 1.2,
                    "certificate_not_after": now + 5 * 86_400, "clock_ahead_seconds": -7_200.0, "last_error": "old"},
                {"name": "london", "address": "192.0.2.2:4353", "up": false, "since_seconds": 61.0,
                    "last_error": "connection refused: nothing listens", "last_error_age_seconds": 2.0},
            ],
        });
        let text = peers(&status, now, Colour::Never);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "spiffe://prod/dns/ns1, certificate ends in 90 days",
                "ny 192.0.2.1:4353 up 1 h 2 min, last report 1.2 s ago, certificate ends in 5 days, clock 2 h 0 min behind",
                "london 192.0.2.2:4353 down 1 min 1 s",
                "connection refused: nothing listens (2.0 s ago)",
            ]
        );
    }

    #[test]
    fn init_issue_and_inspect_agree_on_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, out) = (folder.path().join("authority"), folder.path().join("ny"));
        let init = InitArgs { mesh: "prod".into(), authority: authority.clone(), force: false, output: Output::Text };
        run(&MeshArgs { command: MeshCommand::Init(init) }).unwrap();
        let issue = IssueArgs {
            name: "ny".into(),
            role: RoleArg::Lb,
            authority,
            out: Some(out.clone()),
            life: Duration::from_secs(90 * 86_400),
            output: Output::Json,
        };
        run(&MeshArgs { command: MeshCommand::Issue(issue) }).unwrap();
        let issued = trust::read_certificate(&out.join(trust::CERTIFICATE_FILE)).unwrap();
        let text = described(&issued, issued.not_before + 3_600, Colour::Never);
        assert!(text.starts_with("id           spiffe://prod/lb/ny\n") && text.contains(", 90 days left\n"), "{text}");
        assert!(described(&issued, issued.not_after + 7_200, Colour::Never).contains("expired 2 h 0 min ago"));
        assert!(described(&issued, issued.not_before - 1, Colour::Never).contains("not yet valid"));
        let inspect = InspectArgs { file: out.join("absent.pem"), output: Output::Text };
        assert!(run(&MeshArgs { command: MeshCommand::Inspect(inspect) }).unwrap_err().contains("absent.pem"));
    }
}
