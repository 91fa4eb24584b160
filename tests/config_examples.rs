//! Every example configuration of the repository loads, without a warning.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree shall fail")]

use std::path::{Path, PathBuf};

use fairlead::config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files below `examples/` that have this key: `node` in a DNS node's, `server` in an agent's.
fn examples(key: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![root().join("examples")];
    while let Some(folder) = next.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(text.lines().any(|line| line.starts_with(key)).then_some(path));
            }
        }
    }
    found
}

#[track_caller]
fn loads(path: &Path) -> config::Config {
    let (config, warnings) = config::load(path, 1).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<String> = warnings.problems.iter().map(ToString::to_string).collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
    config
}

#[test]
fn the_example_zones_load() {
    let config = loads(&root().join("zones/node.yaml"));
    assert!(!config.zones.is_empty() && config.zones.iter().all(|zone| zone.records() > 10));
}

#[test]
fn the_example_nodes_and_agents_load() {
    assert!(loads(&root().join("topology")).topology.records.len() > 1);
    for node in examples("node:") {
        loads(&node);
    }
    for agent in examples("server:") {
        config::load_agent(&agent).unwrap_or_else(|errors| panic!("{errors}"));
    }
}
