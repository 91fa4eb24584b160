//! The heap of a node. The C library reads how it shall behave from the environment before `main` runs, so that a process
//! that was told nothing starts itself again, under the same process id. Other C libraries than glibc have no such settings.

use std::env;
use std::ffi::{CString, NulError, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;

use nix::unistd::execve;
use tracing::info;

/// Where glibc's heap looks.
const VARIABLE: &str = "GLIBC_TUNABLES";

/// Where it looks too: whoever set one of these has chosen.
const OTHERS: [&str; 2] = ["MALLOC_ARENA_MAX", "MALLOC_TOP_PAD_"];

/// Says that the process was started again already.
const MARK: &str = "FAIRLEAD_HEAP_TUNED";

/// - Huge pages, where the kernel gives them to who asks: answers from a million names or a hundred thousand wide IPs wait
///   less for page tables.
/// - One heap for all threads: what loading leaves behind is used by the others. Answering allocates nothing, so that
///   they do not meet.
/// - It grows by 16 MiB, so that there is room for huge pages.
const TUNABLES: &str = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.top_pad=16777216";

/// Makes the heap one for a node unless the environment says how it shall be. Returns if it is so or cannot be made so: the
/// node is larger and a little slower then, no more.
pub(super) fn tune() {
    let chosen = [VARIABLE].iter().chain(&OTHERS).find_map(|name| Some((*name, env::var_os(name)?)));
    match (env::var_os(MARK), chosen) {
        (Some(_), Some((VARIABLE, value))) if value == TUNABLES => {}
        (Some(_), _) => info!(
            "the heap is as glibc has it, which takes {VARIABLE} away from programs with file capabilities; let the \
             service manager give the capability instead"
        ),
        (None, Some((name, value))) => info!("the heap is as {name}={} says", value.display()),
        (None, None) => {
            if let Err(reason) = start_again() {
                info!("the heap is as glibc has it: starting again with {VARIABLE}={TUNABLES}: {reason}");
            }
        }
    }
}

/// Replaces this process by another of the same program, arguments and environment. Not by the standard library, which
/// leaves SIGPIPE deadly where that fails.
fn start_again() -> Result<(), String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let arguments: Vec<OsString> = env::args_os().collect();
    let written = fs::read("/proc/self/cmdline").map_err(|error| error.to_string())?;
    if written.iter().filter(|octet| **octet == 0).count() != arguments.len() {
        // Its words would go to the loader.
        return Err("the program was started through another one".into());
    }
    let added = [(VARIABLE, TUNABLES), (MARK, "1")].map(|(name, value)| (name.into(), value.into()));
    let with_equals = |(name, value): (OsString, OsString)| [name, "=".into(), value].into_iter().collect();
    let environment = env::vars_os().chain(added).map(with_equals).collect();
    let words = |words: Vec<OsString>| -> Result<Vec<CString>, NulError> {
        words.into_iter().map(|word| CString::new(word.into_vec())).collect()
    };
    let program = CString::new(program.into_os_string().into_vec()).map_err(|error| error.to_string())?;
    let arguments = words(arguments).map_err(|error| error.to_string())?;
    let environment = words(environment).map_err(|error| error.to_string())?;
    match execve(&program, &arguments, &environment) {
        Ok(never) => match never {},
        Err(error) => Err(format!("{}: {}", program.to_string_lossy(), error.desc())),
    }
}
