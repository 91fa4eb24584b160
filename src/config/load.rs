//! The way in: a path → a checked configuration, or every error of every file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::agent;

use super::issues::{Issues, LoadErrors, Sources, Warnings};
use super::node::{Node, Place};
use super::sources::Reader;
use super::{Config, agents, decode, file, resolve};

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
    let reader = Reader::new(&issues, &sources);
    let tree = reader.tree(path);
    let resolved = tree.as_ref().and_then(|tree: &Node| {
        let root = Place::root(tree);
        let written: W = decode::decode(&root, &issues)?;
        Some(resolve(&written, &root, &reader))
    });
    let opened = reader.into_opened();
    let warnings = issues.finish(&sources)?;
    match resolved {
        Some(resolved) => Ok(((resolved, opened), warnings)),
        // Nothing comes of a tree only where an error has been reported; this is the belt to those braces.
        None => Err(LoadErrors { problems: Vec::new(), warnings: warnings.problems }),
    }
}

/// The JSON Schema of a DNS node's configuration, for editors that complete and check YAML.
pub fn schema() -> String {
    render::<file::Node>()
}

/// The JSON Schema of an agent's configuration.
pub fn schema_agent() -> String {
    render::<file::Agent>()
}

fn render<T: schemars::JsonSchema>() -> String {
    // Draft 7 is what yaml-language-server reads best.
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let schema = generator.into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::testing::{EXAMPLE, check, load_text};
    use crate::wideip::{MemberTarget, PoolMethod, VirtualServerId, WideIpMethod};

    #[test]
    fn the_design_example_loads() {
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
        assert_eq!(config.mesh.unwrap().agents.len(), 1);
    }

    #[test]
    fn unknown_keys_are_errors_with_what_was_meant() {
        check("listenres: []", "2:1: listenres: unknown key; did you mean `listeners`?");
        check("chaos: {versoin: x}", "2:9: chaos.versoin: unknown key; did you mean `version`?");
        check("chaos: {zzz: x}", "2:9: chaos.zzz: unknown key; the keys here are `version`, `id`");
    }
}
