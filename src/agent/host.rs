//! The load of the machine: processor use from `/proc/stat`, free memory from `/proc/meminfo` (proc(5)).

use crate::mesh;

/// Ticks of all processors since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    total: u64,
}

/// Measures the machine; remembers the last reading, since processor use is a difference.
#[derive(Debug, Default)]
pub(super) struct Host {
    before: Option<Ticks>,
}

impl Host {
    /// Reads both files. What cannot be read is unknown, as is processor use at the first reading.
    pub(super) fn look(&mut self) -> mesh::Host {
        // Both are made by the kernel out of memory: reading them does not wait for a disk.
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        self.measure(&read("/proc/stat"), &read("/proc/meminfo"))
    }

    fn measure(&mut self, stat: &str, meminfo: &str) -> mesh::Host {
        let now = ticks(stat);
        let cpu_percent = percent(self.before, now);
        self.before = now;
        mesh::Host { cpu_percent, memory_free_bytes: available_memory(meminfo) }
    }
}

/// The line `cpu  user nice system idle iowait irq softirq steal …`; guest time is within user time.
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Option<Vec<u64>> = line.split_whitespace().take(8).map(|field| field.parse().ok()).collect();
    let fields = fields.filter(|fields| fields.len() >= 4)?;
    let total = fields.iter().sum();
    let idle = fields.get(3).copied().unwrap_or(0) + fields.get(4).copied().unwrap_or(0);
    Some(Ticks { busy: total - idle, total })
}

fn percent(before: Option<Ticks>, now: Option<Ticks>) -> Option<f32> {
    let (before, now) = (before?, now?);
    let total = now.total.checked_sub(before.total).filter(|total| *total > 0)?;
    // The idle counters of some kernels go back by a tick now and then.
    let busy = now.busy.saturating_sub(before.busy).min(total);
    Some(busy as f32 * 100.0 / total as f32)
}

/// `MemAvailable`: what can be had without swapping, in octets.
fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_use_is_the_busy_share_since_the_last_reading() {
        let mut host = Host::default();
        let mut cpu = |stat: &str| host.measure(stat, "").cpu_percent;
        assert_eq!(cpu("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4\n"), None, "nothing to compare with");
        assert_eq!(cpu("cpu  125 0 125 800 150 0 0 0 90 0\n"), Some(25.0));
        assert_eq!(cpu("cpu  125 0 125 800 150 0 0 0 90 0\n"), None, "no time has passed");
        assert_eq!(cpu("cpu  0 0 0 10\n"), None, "the machine's counters started again");
        assert_eq!(cpu("cpu  10 0 0 10\n"), Some(100.0), "old kernels have four fields");
        for garbage in ["", "cpu ", "cpu  a b c d\n", "cpu  1 2\n", "intr 5"] {
            assert_eq!(cpu(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn free_memory_is_what_is_available_without_swapping() {
        let rows = [
            ("MemTotal:  24000 kB\nMemFree:   10 kB\nMemAvailable:   2048 kB\n", Some(2_097_152)),
            ("MemTotal:  24000 kB\n", None),
            ("MemAvailable: x kB\n", None),
            ("MemAvailable:\n", None),
            ("MemAvailable: 18446744073709551615 kB\n", None),
        ];
        for (text, expected) in rows {
            assert_eq!(available_memory(text), expected, "{text:?}");
        }
    }

    #[test]
    fn this_machine_can_be_measured() {
        let mut host = Host::default();
        assert!(host.look().memory_free_bytes.is_some_and(|free| free > 0));
    }
}
