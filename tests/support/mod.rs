//! Helpers that integration tests share.

#![allow(dead_code, unreachable_pub, reason = "each test program uses the helpers it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![allow(clippy::disallowed_methods, reason = "waiting for other programs takes real time")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

pub(crate) mod catalogs;
pub(crate) mod load;
pub(crate) mod message;
pub(crate) mod peers;
pub(crate) mod server;

use std::path::{Path, PathBuf};

/// Finds a Debian program that a test needs. When it is absent the test skips, unless `FAIRLEAD_REQUIRE_TOOLS=1` makes
/// that a failure.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| is_program(file));
    if found.is_none() {
        let required = std::env::var_os("FAIRLEAD_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!required, "{name} is not installed and FAIRLEAD_REQUIRE_TOOLS=1");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Finds a Python 3 that has a module, by the rules of [`tool`].
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let candidates = ["/usr/bin/python3", "python3"].map(PathBuf::from);
    let imports = |python: &PathBuf| {
        let outcome = std::process::Command::new(python).args(["-c", &format!("import {module}")]).output();
        outcome.is_ok_and(|output| output.status.success())
    };
    let found = candidates.into_iter().find(imports);
    if found.is_none() {
        let required = std::env::var_os("FAIRLEAD_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!required, "no python3 has the module {module} and FAIRLEAD_REQUIRE_TOOLS=1");
        eprintln!("skipped: no python3 has the module {module}");
    }
    found
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
