//! Properties of the files that people write: the configuration and zones in YAML.

use std::fs;

use fairlead::config;
use fairlead::zone::{load, master, print};

use crate::properties::{SEED, contents, name, no_include};

/// The configuration that a zone's text stands in.
const NODE: &str =
    "node: fuzz\nzones:\n  - {name: fuzz.test., file: zone.yaml, soa: {mname: ns.fuzz.test., rname: h.fuzz.test.}}\n";

/// Loads a node's configuration from a folder with these files; the zone it serves first, or the errors.
fn load_files(files: &[(&str, &[u8])]) -> Result<Option<String>, Vec<(String, u32)>> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let loaded = config::load(&folder.path().join("fairlead.yaml"), SEED);
    match loaded {
        Ok((config, _)) => Ok(config.views.first().and_then(|view| view.zones.first()).map(|zone| print::zone(zone))),
        Err(errors) => {
            let short = |text: String| text.replace(&folder.path().display().to_string(), "");
            Err(errors.problems.iter().map(|problem| (short(problem.to_string()), problem.line)).collect())
        }
    }
}

/// Any configuration: it loads, or says what is wrong and on which of its lines; the same each time.
pub fn configuration(text: &[u8]) {
    let files = [("fairlead.yaml", text)];
    let first = load_files(&files);
    if let Err(problems) = &first {
        assert!(!problems.is_empty(), "refused without a word");
        // A file that ends in a line's end has one more, empty, where what is missing may be told.
        let lines = text.split(|octet| matches!(octet, b'\n' | b'\r')).count() + 1;
        for (problem, line) in problems {
            assert!(usize::try_from(*line).is_ok_and(|line| line <= lines), "line {line} of {lines}: {problem}");
        }
    }
    assert_eq!(first, load_files(&files));
}

/// Any zone in YAML: one that loads prints as a master file that loads to the same zone.
pub fn zone_yaml(text: &[u8]) {
    let Ok(Some(printed)) = load_files(&[("fairlead.yaml", NODE.as_bytes()), ("zone.yaml", text)]) else { return };
    let apex = name("fuzz.test.");
    let settings = master::Settings { file: "fuzz", origin: &apex, default_ttl: None };
    let again = load(printed.as_bytes(), &settings, SEED, &mut no_include);
    let again = again.unwrap_or_else(|faults| panic!("what was printed does not load: {faults:?}\n{printed}"));
    assert_eq!(printed, print::zone(&again.zone));
    assert!(!contents(&again.zone).is_empty(), "a zone has an SOA");
}
