//! The style of this tree as a test: layers, purity, sizes and openings of files.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree shall fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layer of every module. An import points to a lower layer, or along a row of [`SAME_LAYER`].
const LAYERS: &[(&str, u8)] = &[
    ("wire", 0),
    ("zone", 0),
    ("topology", 0),
    ("status", 0),
    ("metrics", 0),
    ("wideip", 1),
    ("answer", 2),
    ("catalog", 2),
    ("listener", 3),
    ("monitor", 3),
    ("mesh", 3),
    ("agent", 3),
    ("journal", 3),
    ("transfer", 3),
    ("update", 3),
    ("admin", 3),
    ("config", 4),
    ("app", 5),
    ("cli", 6),
];

/// Imports within one layer, from the first to the second. `wire` and `status` are the words everything else is said in.
const SAME_LAYER: &[(&str, &str)] = &[
    ("zone", "wire"),
    ("topology", "wire"),
    ("status", "wire"),
    ("metrics", "wire"),
    ("metrics", "status"),
    ("catalog", "answer"),
    ("agent", "mesh"),
    ("agent", "monitor"),
    ("transfer", "listener"),
    ("transfer", "journal"),
    ("update", "listener"),
    ("update", "journal"),
    ("update", "transfer"),
];

/// What layers 0–2 may not name outside tests: they get time and draws as arguments, and touch nothing.
const BANNED_BELOW_3: &[&str] = &[
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "rand::",
    "static mut",
    "thread_local",
    "tracing",
];

/// The longest file, tests left out. Past it, ask what second subject crept in.
const LINES_MAX: usize = 500;

/// A source file as the checks see it.
struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    /// As written.
    text: String,
    /// Without its tests, and comments blanked.
    code: String,
}

impl Source {
    /// The module of the file: its folder, or none for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<&str> {
        self.path.parent().and_then(Path::to_str).filter(|module| !module.is_empty())
    }

    fn layer(&self) -> u8 {
        self.module().map_or(u8::MAX, layer)
    }
}

fn layer(module: &str) -> u8 {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.unwrap_or_else(|| panic!("src/{module} is in no layer: add it to LAYERS in tests/tidy.rs")).1
}

/// Every file below `src/`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 20, "src/ was not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = without_comments(without_tests(&text));
        Source { path: path.strip_prefix(&root).unwrap().to_owned(), text, code }
    };
    files.into_iter().map(read).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The text before the tests at its end.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}

fn without_comments(text: &str) -> String {
    let keep = |line: &str| line.find("//").map_or(line, |at| &line[..at]).to_owned();
    text.lines().map(keep).collect::<Vec<_>>().join("\n")
}

/// The modules of ours that `code` names: `crate::x`, and each of `crate::{x, y::z}`.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => found.extend(top_level_items(list).iter().map(|item| word(item.trim()))),
        }
    }
    found
}

/// The items of a `{…}` list whose opening brace was taken off, split at commas that no inner brace holds.
fn top_level_items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0_i32, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// Fails with every offence, not the first.
fn none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn imports_point_to_lower_layers() {
    let mut offences = Vec::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        for target in imports(&source.code).iter().filter(|target| target.as_str() != module) {
            let allowed = layer(target) < source.layer() || SAME_LAYER.contains(&(module, target));
            if !allowed {
                offences.push(format!("src/{}: {module} may not import {target}", source.path.display()));
            }
        }
    }
    none(offences);
}

#[test]
fn the_list_of_layers_is_the_list_of_folders() {
    let mut folders = BTreeMap::new();
    for source in sources() {
        if let Some(module) = source.module() {
            folders.insert(module.to_owned(), layer(module));
        }
    }
    let named: BTreeMap<_, _> = LAYERS.iter().map(|(name, layer)| ((*name).to_owned(), *layer)).collect();
    assert_eq!(folders, named);
}

#[test]
fn the_lower_layers_are_pure() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| source.layer() <= 2) {
        for banned in BANNED_BELOW_3.iter().filter(|banned| source.code.contains(**banned)) {
            offences.push(format!("src/{}: {banned} in layer {}", source.path.display(), source.layer()));
        }
    }
    none(offences);
}

#[test]
fn only_the_commands_print() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| source.module() != Some("cli")) {
        for banned in ["println!", "print!(", "io::stdout"].iter().filter(|banned| source.code.contains(**banned)) {
            offences.push(format!("src/{}: {banned}", source.path.display()));
        }
    }
    none(offences);
}

#[test]
fn only_config_knows_yaml() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| source.path != Path::new("config/yaml.rs")) {
        if source.code.contains("serde_saphyr") {
            offences.push(format!("src/{}: serde_saphyr outside config/yaml.rs", source.path.display()));
        }
    }
    none(offences);
}

#[test]
fn every_file_opens_with_what_it_is_for_and_has_one_subject() {
    let mut offences = Vec::new();
    for source in sources() {
        let name = source.path.display();
        if !source.text.starts_with("//! ") {
            offences.push(format!("src/{name}: does not open with //!"));
        }
        let lines = without_tests(&source.text).lines().count();
        if lines > LINES_MAX {
            offences.push(format!("src/{name}: {lines} lines before its tests, the limit is {LINES_MAX}"));
        }
        if source.path.components().count() > 2 {
            offences.push(format!("src/{name}: folders are one deep"));
        }
        if ["TODO", "FIXME", "XXX"].iter().any(|word| source.text.contains(word)) {
            offences.push(format!("src/{name}: unfinished work is left in a comment"));
        }
        if source.path.ends_with("mod.rs") && !source.text.contains("//! # Invariants") {
            offences.push(format!("src/{name}: a module says its invariants"));
        }
    }
    none(offences);
}

#[test]
fn the_checks_see_what_they_look_for() {
    let found = imports("use crate::{a, b::{c, d}, e};\nuse crate::f::G; crate::h::i();");
    assert_eq!(found, ["a", "b", "e", "f", "h"]);
    assert_eq!(without_comments("let a = 1; // crate::x"), "let a = 1; ");
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n}"), "a\n");
}
