//! Measures what the process may run short of, and has the workers withdraw as far as that asks for.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::overload::{Change, Measured, Overload, OverloadCause, OverloadStep};
use evenkeel_observe::Registry;
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_proxy::Shared;
use rustix::process::{Resource, getrlimit};

/// Between two measurements, while they count.
const EVERY: Duration = Duration::from_millis(100);
/// The same while nothing counts: a reload may change that.
const EVERY_IDLE: Duration = Duration::from_secs(1);
/// A delay counts that has lasted over so many measurements: one that is gone again is no overload, but a hiccup.
const STANDING: usize = 3;

/// Measures again and again.
pub async fn watch(shared: Arc<Shared>) {
    let mut overload = Overload::default();
    let mut delays = VecDeque::from([Duration::ZERO; STANDING]);
    loop {
        let settings = shared.snapshot().config.overload.clone();
        let descriptors_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let now = shared.clock.now();
        delays.pop_front();
        delays.push_back(shared.lag(now));
        let measured = Measured {
            memory: settings.memory.map_or(0, |_| resident()),
            descriptors: settings.descriptors.map_or(0, |_| descriptors()),
            descriptors_max,
            delay: delays.iter().min().copied().unwrap_or_default(),
        };
        for change in overload.measured(&settings, &measured, now) {
            announce(&shared.registry, change, &measured);
            shared.registry.overload[change.cause as usize].set(change.to as i64);
        }
        shared.set_step(overload.step());
        let counts = settings.memory.is_some() || settings.descriptors.is_some() || settings.delay.is_some();
        tokio::time::sleep(if counts { EVERY } else { EVERY_IDLE }).await;
    }
}

/// Logs and records that the process withdraws to another step.
fn announce(registry: &Registry, Change { cause, from, to }: Change, measured: &Measured) {
    let (from_name, to_name) = (from.as_str(), to.as_str());
    let measure = match cause {
        OverloadCause::Memory => format!("{} bytes resident", measured.memory),
        OverloadCause::Descriptors => {
            format!("{} of {} open", measured.descriptors, measured.descriptors_max)
        }
        OverloadCause::Delay => format!("{:.1?} late", measured.delay),
    };
    let cause = cause.as_str();
    if to == OverloadStep::None {
        tracing::info!(cause, from = from_name, to = to_name, measure, "overload is over");
    } else {
        tracing::warn!(cause, from = from_name, to = to_name, measure, "overload step changed");
    }
    let severity = match to {
        OverloadStep::None => Severity::Info,
        _ if (to as i64) < (from as i64) => Severity::Warning,
        _ => Severity::Critical,
    };
    let what = format!("overload by {cause} went from {from_name} to {to_name}: {measure}");
    registry.events.record(Event::new(EventKind::Overload, severity, what));
}

/// Resident memory in bytes; 0 if the system does not tell.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// Descriptors that are open; 0 if the system does not tell.
fn descriptors() -> u64 {
    // Linux 6.2 and later have the number at once; it costs a look at each one before.
    match fs::metadata("/proc/self/fd").map(|folder| folder.len()) {
        Ok(0) => {
            fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1))
        }
        Ok(open) => open,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_measured() {
        assert!(resident() > 100 << 10);
        let before = descriptors();
        let held: Vec<_> = (0..100).filter_map(|_| fs::File::open("/dev/null").ok()).collect();
        assert!(descriptors() >= before.min(3) + held.len() as u64);
    }
}
