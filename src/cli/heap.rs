//! The heap of a node. The C library reads how it shall behave from the environment before `main` runs, so that a process
//! that was told nothing starts itself again, under the same process id. Other C libraries than glibc have no such settings.

use std::convert::Infallible;
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

/// Says how often the process was started again already.
const MARK: &str = "FAIRLEAD_HEAP_TUNED";

/// How often it is at most. glibc 2.36 compares the kernel's word for huge pages with an octet too many, one that the stack
/// happens to hold, so that every second process has none; each start is another throw, of a few milliseconds.
const STARTS_MAX: u32 = 16;

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
    let starts = env::var_os(MARK).map(|mark| mark.to_str().and_then(|mark| mark.parse().ok()).unwrap_or(STARTS_MAX));
    let reason = match (starts, chosen) {
        (None, Some((name, value))) => return info!("the heap is as {name}={} says", value.display()),
        (None, None) => start_again(1),
        (Some(starts), Some((VARIABLE, value))) if value == TUNABLES => match lacks_huge_pages() {
            false => return,
            true if starts < STARTS_MAX => start_again(starts + 1),
            true => {
                return info!(
                    "the heap has no huge pages: glibc asked for none in {starts} starts; older ones never do"
                );
            }
        },
        (Some(_), _) => format!(
            "it takes {VARIABLE} away from programs with file capabilities; let the service manager give the capability \
             instead"
        ),
    };
    info!("the heap is as glibc has it: {reason}");
}

/// Whether the kernel gives huge pages to who asks, and the heap does not.
fn lacks_huge_pages() -> bool {
    // What cannot be read says nothing.
    let gives =
        fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").is_ok_and(|word| word.contains("[madvise]"));
    let areas = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let heap =
        areas.split_once("[heap]").and_then(|(_, heap)| heap.lines().find_map(|line| line.strip_prefix("VmFlags:")));
    gives && heap.is_some_and(|flags| !flags.split_whitespace().any(|flag| flag == "hg"))
}

/// Replaces this process by another of the same program, arguments and environment, the `starts`th. Not by the standard
/// library, which leaves SIGPIPE deadly where that fails. Returns why it could not be done.
fn start_again(starts: u32) -> String {
    let Err(reason) = replace(starts);
    format!("starting again with {VARIABLE}={TUNABLES}: {reason}")
}

fn replace(starts: u32) -> Result<Infallible, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let arguments: Vec<OsString> = env::args_os().collect();
    let written = fs::read("/proc/self/cmdline").map_err(|error| error.to_string())?;
    if written.iter().filter(|octet| **octet == 0).count() != arguments.len() {
        // Its words would go to the loader.
        return Err("the program was started through another one".into());
    }
    let added =
        [(VARIABLE, TUNABLES.into()), (MARK, starts.to_string())].map(|(name, value)| (name.into(), value.into()));
    let others = env::vars_os().filter(|(name, _)| name != VARIABLE && name != MARK);
    let with_equals = |(name, value): (OsString, OsString)| [name, "=".into(), value].into_iter().collect();
    let environment = others.chain(added).map(with_equals).collect();
    let words = |words: Vec<OsString>| -> Result<Vec<CString>, NulError> {
        words.into_iter().map(|word| CString::new(word.into_vec())).collect()
    };
    let program = CString::new(program.into_os_string().into_vec()).map_err(|error| error.to_string())?;
    let arguments = words(arguments).map_err(|error| error.to_string())?;
    let environment = words(environment).map_err(|error| error.to_string())?;
    execve(&program, &arguments, &environment)
        .map_err(|error| format!("{}: {}", program.to_string_lossy(), error.desc()))
}
