//! The way in: a path → a checked configuration, or every error of every file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::agent;

use super::issues::{Issues, LoadErrors, Sources, Warnings};
use super::node::{Node, Place};
use super::sources::Reader;
use super::{Config, agents, decode, resolve};

/// Loads a DNS node's configuration from a file, or from a folder whose `*.yaml` and `*.yml` files are merged.
/// `seed` is what names are hashed under: a secret drawn once per process.
///
/// # Errors
/// Everything that is wrong in any file, those the configuration names among them.
pub fn load(path: &Path, seed: u64) -> Result<(Config, Warnings), LoadErrors> {
    let (loaded, warnings) = read(path, |written, root, reader| resolve::resolve(written, root, reader, seed))?;
    let (mut config, opened) = loaded;
    config.files = opened;
    Ok((config, warnings))
}

/// Loads an agent's configuration.
///
/// # Errors
/// Everything that is wrong in any file.
pub fn load_agent(path: &Path) -> Result<agent::Settings, LoadErrors> {
    let ((settings, _), _) = read(path, agents::resolve)?;
    Ok(settings)
}

/// Reads the files, decodes what is written and resolves it; gives the files that were opened with it.
fn read<W: DeserializeOwned, T>(
    path: &Path,
    resolve: impl FnOnce(&W, &Place<'_>, &Reader<'_>) -> T,
) -> Result<((T, Vec<PathBuf>), Warnings), LoadErrors> {
    let (issues, sources) = (Issues::default(), Sources::default());
    let reader = Reader::new(path, &issues, &sources);
    let tree = reader.tree(path);
    let resolved = tree.as_ref().and_then(|tree: &Node| {
        let root = Place::root(tree);
        let written: W = decode::decode(&root, &issues)?;
        Some(resolve(&written, &root, &reader))
    });
    let opened = reader.into_opened();
    match (issues.finish(&sources), resolved) {
        (Ok(warnings), Some(resolved)) => Ok(((resolved, opened), warnings)),
        // Nothing comes of a tree only where an error has been reported; this is the belt to those braces.
        (Ok(warnings), None) => Err(LoadErrors { problems: Vec::new(), warnings: warnings.problems, files: opened }),
        (Err(errors), _) => Err(LoadErrors { files: opened, ..errors }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::SourceSettings;
    use crate::config::testing::{EXAMPLE, check, folder, lines, load_text};
    use crate::wideip::{MemberTarget, PoolMethod, VirtualServerId, WideIpMethod};

    #[test]
    fn the_example_loads() {
        let config = load_text(EXAMPLE).unwrap();
        assert_eq!(&*config.node, "ns1");
        assert_eq!(config.listeners.addresses, ["0.0.0.0:53".parse().unwrap()]);
        assert_eq!(config.ageing.fresh, Duration::from_secs(15));
        assert_eq!(config.topology.records.len(), 2);
        let model = &config.model;
        assert_eq!(model.servers[0].agent, Some("192.0.2.10:4353".parse().unwrap()));
        // Known to the agent alone: a place for what it will say.
        assert_eq!((&*model.virtual_servers[1].name, model.virtual_servers[1].address), ("www", None));
        assert_eq!(model.pools[0].members[0].target, MemberTarget::VirtualServer(VirtualServerId(1)));
        assert_eq!(model.pools[0].members[0].ratio, 2);
        assert_eq!(model.pools[0].fallback, PoolMethod::None);
        assert_eq!(model.wide_ips[0].method, WideIpMethod::Topology);
        assert_eq!(model.wide_ips[0].pools[1].ratio, 3);
        assert_eq!(config.monitors.len(), 1);
        assert_eq!(config.mesh.unwrap().peers.len(), 1);
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let config = load_text("node: ns1").unwrap();
        assert_eq!(config.listeners.addresses, crate::config::LISTEN_DEFAULT);
        assert_eq!(config.listeners.tcp.connections_per_client, 64);
        assert_eq!(config.admin, Some("127.0.0.1:8053".parse().unwrap()));
        assert_eq!(config.control.to_str(), Some("/var/lib/fairlead/control.sock"));
        assert!(config.mesh.is_none() && !config.watch && config.views[0].zones.is_empty());
        assert_eq!(load_text("node: ns1\nadmin: {enabled: false}").unwrap().admin, None);
    }

    #[test]
    fn unknown_keys_are_errors_with_what_was_meant() {
        check("listenres: []", "2:1: listenres: unknown key; did you mean `listeners`?");
        check("chaos: {versoin: x}", "2:9: chaos.versoin: unknown key; did you mean `version`?");
        check("chaos: {zzz: x}", "2:9: chaos.zzz: unknown key; the keys here are `version`, `id`");
        assert_eq!(load_text("watch: true").unwrap_err(), ["1:1: `node` is missing"]);
    }

    /// Ten mistakes of ten kinds.
    const WRONG: &str = include_str!("mistakes.yaml");
    /// A zone with two.
    const WRONG_ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns\nns A 192.0.2.999\nwww CNAME\n";

    #[test]
    fn every_error_of_every_file_is_reported_at_once() {
        let folder = folder(&[("fairlead.yaml", WRONG), ("zones/example.com.zone", WRONG_ZONE)]);
        let errors = super::load(&folder.path().join("fairlead.yaml"), 0).unwrap_err().to_string();
        let errors = errors.replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(errors, include_str!("mistakes.txt").trim_end());
    }

    #[test]
    fn the_readme_shows_errors_as_they_are() {
        let readme = include_str!("../../README.md");
        let (_, shown) = readme.split_once("```text\nerror: ").expect("a block of errors");
        let (shown, _) = shown.split_once("\n```").unwrap();
        for error in shown.split("\nerror: ") {
            assert!(include_str!("mistakes.txt").contains(error), "{error}");
        }
    }

    #[test]
    fn an_error_shows_its_line() {
        let folder = folder(&[("fairlead.yaml", "node: ns1\nlisteners: [ {address: 192.0.2.1, port: 0x35} ]\n")]);
        let errors = super::load(&folder.path().join("fairlead.yaml"), 0).unwrap_err().to_string();
        let (_, errors) = errors.split_once("fairlead.yaml:").unwrap();
        let expected = "2:41: listeners[0].port: 0x35 is not a number from 0 to 65535\n  \
            2 | listeners: [ {address: 192.0.2.1, port: 0x35} ]\n    \
            |                                         ^^^^";
        assert_eq!(errors, expected);
    }

    #[test]
    fn errors_come_with_every_file_whose_change_may_end_them() {
        let zones = "node: ns1\nzones: [ { name: a., file: a.zone }, { name: b., file: missing.zone } ]\n";
        let folder = folder(&[("fairlead.yaml", zones), ("a.zone", "junk\n")]);
        let path = |name: &str| folder.path().join(name);
        let files = super::load(&path("fairlead.yaml"), 0).unwrap_err().files;
        assert_eq!(files, [path("a.zone"), path("fairlead.yaml"), path("missing.zone")]);
    }

    #[test]
    fn errors_have_a_form_for_machines() {
        let folder = folder(&[("a.yaml", "node: ns1\nwtach: true\n")]);
        let errors = super::load(&folder.path().join("a.yaml"), 0).unwrap_err();
        let mut json = serde_json::to_value(&errors.problems).unwrap();
        json[0].as_object_mut().unwrap().remove("file");
        let expected = serde_json::json!([
            {"line": 2, "column": 1, "path": "wtach", "message": "unknown key", "suggestion": "watch"}
        ]);
        assert_eq!(json, expected);
    }

    #[test]
    fn a_folder_is_one_configuration() {
        let files = [
            (
                "a.yaml",
                "node: ns1\nlisteners: [{address: 127.0.0.1, port: 5300}]\npools: {a: {type: A, members: []}}\n",
            ),
            ("b.yml", "listeners: [{address: 127.0.0.2, port: 5300}]\npools: {b: {type: A, members: []}}\nzones:\n"),
            ("sub/z.yaml", "this is not read: ["),
            ("c.txt", "neither is this: ["),
        ];
        let folder = folder(&files);
        let (config, _) = super::load(folder.path(), 0).unwrap();
        assert_eq!(config.listeners.addresses.len(), 2);
        assert_eq!(config.model.pools.len(), 2);
        // The folder itself and both files.
        assert_eq!(config.files.len(), 3);
    }

    #[test]
    fn a_key_of_two_files_is_an_error_that_names_both() {
        let files = [
            ("a.yaml", "node: ns1\npools: {a: {type: A, members: []}}\n"),
            ("b.yaml", "node: ns2\npools: {a: {type: A, members: []}}\n"),
            ("c.yaml", "wide_ips: {}\n"),
        ];
        let folder = folder(&files);
        let errors = lines(&super::load(folder.path(), 0).unwrap_err(), folder.path());
        let expected = [
            "b.yaml:1:1: `node` is written twice, first in a.yaml:1:1",
            "b.yaml:2:9: `a` is written twice, first in a.yaml:2:9",
            "c.yaml:1:11: wide_ips: expected a list, found a map",
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_file_that_is_no_yaml_makes_nothing_else_missing() {
        let files = [
            ("a.yaml", "pools: {a: {type: A, members: [s/v]}}\nwide_ips: [{name: a., type: A, pools: [b], x: 1}]\n"),
            ("b.yaml", "node: ns1\nservers: [\n"),
        ];
        let folder = folder(&files);
        let errors = lines(&super::load(folder.path(), 0).unwrap_err(), folder.path());
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("a.yaml:2:44: wide_ips[0].x: unknown key"), "{errors:?}");
        assert!(errors[1].starts_with("b.yaml:2:10: not YAML"), "{errors:?}");
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let folder = folder(&[]);
        let errors = lines(&super::load(&folder.path().join("none.yaml"), 0).unwrap_err(), folder.path());
        assert_eq!(errors, ["none.yaml: cannot read it: there is no such file"]);
        let errors = super::load(folder.path(), 0).unwrap_err().to_string();
        assert!(errors.ends_with(": no file in it ends in .yaml or .yml"), "{errors}");
        let errors = load_text("node: ns1\nzones: [{name: a., file: a.zone}]\ngeoip: {city: a.mmdb}").unwrap_err();
        let expected = [
            "2:26: zones[0].file: cannot read a.zone: there is no such file",
            "3:15: geoip.city: cannot read a.mmdb: there is no such file",
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn an_agent_loads() {
        let text = "server: ny-lb1\nmesh: {listen: '0.0.0.0:4353', state: mesh, report_interval: 1s}\n\
            haproxy: {socket: /run/haproxy/admin.sock, frontends: {www: {address: 192.0.2.10, port: 443, backends: app}}}\n\
            static: {virtual_servers: {db: {address: 192.0.2.11, port: 5432, monitors: [tcp]}}}\n\
            monitors: {tcp: {type: tcp}}\n";
        let folder = folder(&[("agent.yaml", text)]);
        let settings = super::load_agent(&folder.path().join("agent.yaml")).unwrap();
        assert_eq!(settings.mesh.state, folder.path().join("mesh"));
        let [SourceSettings::Haproxy { interval, frontends, .. }, SourceSettings::Static { virtual_servers }] =
            settings.sources.as_slice()
        else {
            panic!("{:?}", settings.sources);
        };
        assert_eq!((*interval, frontends[0].address), (Duration::from_secs(1), "192.0.2.10:443".parse().unwrap()));
        assert_eq!(&*virtual_servers[0].monitors[0].name, "tcp");
    }

    #[test]
    fn an_agent_without_a_source_is_refused() {
        let folder = folder(&[("fairlead.yaml", "server: a\nadmin: {}\n")]);
        let errors = super::load_agent(&folder.path().join("fairlead.yaml")).unwrap_err();
        let expected = ["1:1: there is nothing to report: `haproxy` or `static` is missing"];
        assert_eq!(lines(&errors, folder.path()), expected);
    }
}
