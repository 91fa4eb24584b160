//! What the tests of this module share: configurations given as text.

use std::path::Path;

use super::{Config, LoadErrors};

/// A folder that goes away, with these files in it.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Loads `fairlead.yaml` with this text, other files beside it.
pub(crate) fn load_with(text: &str, files: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = folder(files);
    let path = folder.path().join("fairlead.yaml");
    std::fs::write(&path, text).unwrap();
    super::load(&path, 1).map(|(config, _)| config).map_err(|errors| lines(&errors, folder.path()))
}

/// Loads a configuration that has no other files.
pub(crate) fn load_text(text: &str) -> Result<Config, Vec<String>> {
    load_with(text, &[])
}

/// Each error in one line, `file:` left out for the main file and the folder for others.
pub(crate) fn lines(errors: &LoadErrors, folder: &Path) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    let short = |text: String| text.replace(&folder, "");
    let line = |problem: &super::Problem| {
        let text = problem.to_string();
        short(text.lines().next().unwrap_or_default().to_owned())
    };
    errors.problems.iter().map(line).map(|line| line.replacen("fairlead.yaml:", "", 1)).collect()
}

/// Asserts that a node with this text added has exactly this error, `line:column: path: message`.
#[track_caller]
pub(crate) fn check(text: &str, expected: &str) {
    let text = format!("node: ns1\n{text}");
    match load_text(&text) {
        Ok(_) => panic!("no error in:\n{text}"),
        Err(errors) => assert_eq!(errors, [expected], "\n{text}"),
    }
}

/// The configuration of the design, whole.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
