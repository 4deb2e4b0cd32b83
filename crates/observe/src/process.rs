//! The process as the kernel sees it, read from /proc: the `process_*` figures that Prometheus clients agree on.

use std::fs;

/// Clock ticks a second in /proc; fixed at 100 for user space on every architecture that Rust's std runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The figures of this process. `None` where the system has no /proc or keeps it from us.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    /// Seconds since the Unix epoch.
    pub(crate) start_time: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) max_fds: Option<u64>,
}

impl Process {
    /// The figures now.
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let boot: Option<f64> = field(&system, "btime").and_then(|text| text.parse().ok());
        Self {
            cpu_seconds: ticks(&stat, 14).zip(ticks(&stat, 15)).map(|(user, system)| user + system),
            start_time: boot.zip(ticks(&stat, 22)).map(|(boot, since)| boot + since),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            threads: field(&status, "Threads:").and_then(|text| text.parse().ok()),
            // One of them is the directory that is being read.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: field(&limits, "Max open files").and_then(|text| text.parse().ok()),
        }
    }
}

/// Field `number` of /proc/self/stat (from 1, as proc(5) counts them) in seconds.
fn ticks(stat: &str, number: usize) -> Option<f64> {
    // The second field is the command's name in parentheses and may itself hold blanks and parentheses.
    let after_name = stat.rsplit_once(')')?.1;
    let ticks: u64 = after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
}

/// The first word after `name` at the beginning of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    field(status, name)?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 12345 1000 10";
        assert_eq!((ticks(stat, 14), ticks(stat, 15), ticks(stat, 22)), (Some(2.5), Some(0.5), Some(123.45)));
    }

    #[test]
    fn nonsense_is_no_figure() {
        assert_eq!(
            (ticks("", 14), ticks("1 (x) S", 14), field("", "btime"), kibibytes("VmRSS: many", "VmRSS:")),
            (None, None, None, None)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_alive() {
        let process = Process::read();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let started = process.start_time.unwrap();
        assert!(started <= now + 2.0 && started > now - 86_400.0, "started at {started}, now is {now}");
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        assert!(process.threads.unwrap() >= 2, "a test runs beside the main thread");
        assert!((100 << 10..1 << 40).contains(&process.resident_bytes.unwrap()));
        assert!(process.virtual_bytes >= process.resident_bytes);
        assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());

        let held: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(Process::read().open_fds.unwrap() >= 20 + 3, "{} files are held open", held.len());
    }
}
