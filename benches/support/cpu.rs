//! Processor time of threads and processes, and pinning.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Clock ticks per second of `/proc/*/stat`; fixed at 100 by the kernel's interface on every architecture we run on.
const TICKS: u64 = 100;

/// Moves the calling thread to one core; threads and processes it starts inherit that.
pub fn pin(core: usize) {
    pin_to(core..core + 1);
}

/// Moves the calling thread to these cores, likewise.
pub fn pin_to(cores: std::ops::Range<usize>) {
    let mut set = CpuSet::new();
    cores.for_each(|core| set.set(core).unwrap());
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// Lets the calling thread stand behind others of this process that want its core.
pub fn give_way() {
    rustix::process::setpriority_process(None, 10).unwrap();
}

/// The cores of the machine, whatever this thread is pinned to.
pub fn cores() -> usize {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// Processor time used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    pub user: Duration,
    pub system: Duration,
}

impl Times {
    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    /// Microseconds of user and of system time per one of `count`.
    pub fn per(self, count: u64) -> (f64, f64) {
        let per = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
        (per(self.user), per(self.system))
    }
}

/// The time of the thread of this process with that name, which it may give itself a moment after it was started.
pub fn thread(name: &str) -> Times {
    let has_name = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    for _ in 0..1000 {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
        if let Some(task) = tasks.into_iter().find(has_name) {
            return times(&fs::read_to_string(task.join("stat")).unwrap()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no thread {name}");
}

/// The time of a process and all that descend from it.
pub fn process_tree(root: u32) -> Times {
    let mut total = Times::default();
    for process in tree(root) {
        if let Some(times) = fs::read_to_string(format!("/proc/{process}/stat")).ok().and_then(|stat| times(&stat)) {
            total.user += times.user;
            total.system += times.system;
        }
    }
    total
}

/// The resident memory of a process and all that descend from it, in bytes; shared pages count in each.
pub fn resident(root: u32) -> u64 {
    memory(root, "VmRSS:")
}

/// The most resident memory that each of them has had, in bytes, added up.
pub fn peak(root: u32) -> u64 {
    memory(root, "VmHWM:")
}

fn memory(root: u32, field: &str) -> u64 {
    let of = |process: &u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    tree(root).iter().filter_map(of).sum::<u64>() * 1024
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((process, fields(&stat)?.nth(1)?.parse().ok()?))
        })
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        at += 1;
    }
    tree
}

/// The fields of a `stat` line after the name, which may hold anything.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn times(stat: &str) -> Option<Times> {
    let mut fields = fields(stat)?.skip(11);
    let mut next = || Some(Duration::from_millis(fields.next()?.parse::<u64>().ok()? * 1000 / TICKS));
    Some(Times { user: next()?, system: next()? })
}
