//! The heap of a node. The C library reads how it shall behave from the environment before `main` runs, so that a process
//! that was told nothing starts itself again, under the same process id. Other C libraries than glibc have no such settings.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where glibc's heap looks.
const VARIABLE: &str = "GLIBC_TUNABLES";

/// - Huge pages, where the kernel gives them to who asks: answers from a million names or a hundred thousand wide IPs wait
///   less for page tables.
/// - One heap for all threads: what loading leaves behind is used by the others. Answering allocates nothing, so that
///   they do not meet.
/// - It grows by 16 MiB, so that there is room for huge pages.
const TUNABLES: &str = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.top_pad=16777216";

/// Makes the heap one for a node unless the environment says how it shall be. Returns if it is so or cannot be made so: the
/// node is larger and a little slower then, no more.
pub(super) fn tune() {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let error = match std::env::current_exe() {
        Ok(program) => {
            let name = name.unwrap_or_else(|| program.clone().into_os_string());
            Command::new(program).arg0(name).args(arguments).env(VARIABLE, TUNABLES).exec()
        }
        Err(error) => error,
    };
    tracing::info!(%error, "the heap stays as it is: the program could not be started again with {VARIABLE}={TUNABLES}");
}
