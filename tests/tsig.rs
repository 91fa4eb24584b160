//! TSIG with the clients that people have: `dig -y` and `kdig -y`, over UDP and TCP.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]

mod support;

use std::path::Path;
use std::process::Command;

use support::server::{Server, fairlead};
use support::tool;

/// Twenty-four octets in base64.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
const OTHER: &str = "d3JvbmctLXdyb25nLS13cm9uZy0td3Jvbmct";
const ALGORITHMS: [&str; 5] = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

fn serve(folder: &Path) -> Server {
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n";
    std::fs::write(folder.join("example.zone"), zone).unwrap();
    let key =
        |algorithm: &&str| format!("  {algorithm}: {{algorithm: {algorithm}, secret: {SECRET}, allow_weak: true}}\n");
    let keys: String = ALGORITHMS.iter().map(key).collect();
    fairlead(folder, &format!("keys:\n{keys}zones: [{{name: example., file: example.zone}}]\n"), "example.")
}

fn run(program: &Path, server: &Server, arguments: &[&str]) -> String {
    let at = [format!("@{}", server.address.ip()), "-p".to_owned(), server.address.port().to_string()];
    let output = Command::new(program).args(at).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn dig_and_kdig_verify_our_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for program in ["dig", "kdig"] {
        let Some(path) = tool(program) else { continue };
        for algorithm in ALGORITHMS {
            for transport in ["+notcp", "+tcp"] {
                let key = format!("{algorithm}:{algorithm}:{SECRET}");
                let shown = run(&path, &server, &["-y", &key, transport, "+norecurse", "www.example.", "A"]);
                let good = shown.contains("192.0.2.7") && shown.contains("TSIG") && !complains(&shown);
                assert!(good, "{program} {transport} {algorithm}:\n{shown}");
            }
        }
    }
}

/// What dig and kdig say of a signature they could not verify.
fn complains(shown: &str) -> bool {
    ["WARNING", "could not be validated", "verify failure", "Couldn't verify", "TSIG error"]
        .iter()
        .any(|words| shown.contains(words))
}

#[test]
fn keys_at_the_root_and_cut_signatures_are_taken_where_configured() {
    let folder = tempfile::tempdir().unwrap();
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n";
    std::fs::write(folder.path().join("example.zone"), zone).unwrap();
    let keys = format!(
        "  '.': {{secret: {SECRET}}}\n  cut: {{secret: {SECRET}, mac_octets_min: 16}}\n  whole: {{secret: {SECRET}}}\n"
    );
    let configuration = format!("keys:\n{keys}zones: [{{name: example., file: example.zone}}]\n");
    let server = fairlead(folder.path(), &configuration, "example.");
    for program in ["dig", "kdig"] {
        let Some(path) = tool(program) else { continue };
        let ask = |key: String, more: &[&str]| {
            run(&path, &server, &[&["-y", &key, "+norecurse", "www.example.", "A"], more].concat())
        };
        let root = ask(format!("hmac-sha256:.:{SECRET}"), &[]);
        assert!(root.contains("192.0.2.7") && !complains(&root), "{program}: {root}");
        let any_case = ask(format!("hmac-sha256:WHOLE:{SECRET}"), &[]);
        assert!(any_case.contains("192.0.2.7") && !complains(&any_case), "{program}: {any_case}");
        if program == "dig" {
            let taken = ask(format!("hmac-sha256-128:cut:{SECRET}"), &["+tcp"]);
            assert!(taken.contains("192.0.2.7") && !complains(&taken), "{taken}");
            let refused = ask(format!("hmac-sha256-128:whole:{SECRET}"), &[]);
            assert!(refused.contains("NOTAUTH") && refused.contains("BADTRUNC"), "{refused}");
            let late = ask(format!("hmac-sha256:whole:{SECRET}"), &["+fuzztime=1600000000"]);
            assert!(late.contains("NOTAUTH") && late.contains("BADTIME") && !late.contains("192.0.2.7"), "{late}");
        }
    }
}

#[test]
fn wrong_secrets_and_unknown_keys_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let Some(dig) = tool("dig") else { return };
    for transport in ["+notcp", "+tcp"] {
        let ask = |key: &str| run(&dig, &server, &["-y", key, transport, "www.example.", "A"]);
        let wrong = ask(&format!("hmac-sha256:hmac-sha256:{OTHER}"));
        assert!(wrong.contains("NOTAUTH") && wrong.contains("BADSIG") && !wrong.contains("192.0.2.7"), "{wrong}");
        let unknown = ask(&format!("hmac-sha256:nobody:{SECRET}"));
        assert!(
            unknown.contains("NOTAUTH") && unknown.contains("BADKEY") && !unknown.contains("192.0.2.7"),
            "{unknown}"
        );
        let algorithm = ask(&format!("hmac-sha512:hmac-sha256:{SECRET}"));
        assert!(algorithm.contains("NOTAUTH") && algorithm.contains("BADKEY"), "{algorithm}");
        let time = ask(&format!("hmac-sha256:hmac-sha256:{SECRET}"));
        assert!(time.contains("NOERROR"), "{time}");
    }
}
