//! What the process does for itself when it runs out of memory, file descriptors or time: a little less with each
//! step, and back when there is room again.

use std::time::Duration;

use evenkeel_config::{Overload as Settings, Priority};
use evenkeel_types::Time;

/// A share of the configured value: 80 % of `memory` or `descriptors`, 1 times `delay`; and so on for each step.
const SHARES: [u64; 4] = [80, 90, 95, 100];
const DELAYS: [u32; 4] = [1, 2, 4, 8];
/// And when it has been so for this long: a measure that wavers would otherwise be logged again and again.
const HOLD: Duration = Duration::from_secs(1);
/// A step is left when the measure is this many hundredths below where it was entered.
const HYSTERESIS: u64 = 5;

/// How far the process withdraws. Each step includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OverloadStep {
    /// Nothing is amiss.
    #[default]
    None,
    /// Connections carry no further request: `Connection: close`, GOAWAY.
    Close,
    /// Requests of routes of `priority = "low"` are answered with 503.
    ShedLow,
    /// Those of `"normal"` as well.
    ShedNormal,
    /// New connections are closed, save on listeners that lead to a route of `"high"`.
    Refuse,
}

impl OverloadStep {
    const ALL: [Self; 5] = [Self::None, Self::Close, Self::ShedLow, Self::ShedNormal, Self::Refuse];

    /// The step of this number; the last for a greater one.
    pub fn of(number: u8) -> Self {
        Self::ALL[usize::from(number).min(Self::ALL.len() - 1)]
    }

    /// As it stands in logs and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Close => "close",
            Self::ShedLow => "shed_low",
            Self::ShedNormal => "shed_normal",
            Self::Refuse => "refuse",
        }
    }

    /// True if requests of this priority are turned away.
    pub fn sheds(self, priority: Priority) -> bool {
        match priority {
            Priority::Low => self >= Self::ShedLow,
            Priority::Normal => self >= Self::ShedNormal,
            Priority::High => false,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Descriptors open.
    pub descriptors: u64,
    /// Descriptors that may be open.
    pub descriptors_max: u64,
    /// By how much the latest of the workers is behind.
    pub delay: Duration,
}

/// What may be short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverloadCause {
    /// Memory.
    Memory,
    /// File descriptors.
    Descriptors,
    /// Time.
    Delay,
}

impl OverloadCause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Descriptors, Self::Delay];

    /// As it stands in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Delay => "delay",
        }
    }
}

/// A change of a step, to be logged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// By what.
    pub cause: OverloadCause,
    /// The step before.
    pub from: OverloadStep,
    /// The step now.
    pub to: OverloadStep,
}

/// The step of each cause.
#[derive(Debug, Clone, Default)]
pub struct Overload([Followed; 3]);

/// The step of one cause, and since when a lesser one would do.
#[derive(Debug, Clone, Copy, Default)]
struct Followed {
    step: OverloadStep,
    lesser_since: Option<Time>,
}

impl Overload {
    /// Takes in what was measured; returns what has changed by it.
    pub fn measured(&mut self, settings: &Settings, measured: &Measured, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for cause in OverloadCause::ALL {
            let Followed { step, lesser_since } = &mut self.0[cause as usize];
            let to = next(*step, |step| level(cause, step, settings, measured));
            let since = if to < *step { *lesser_since.get_or_insert(now) } else { now };
            if to < *step && now.since(since) < HOLD {
                continue;
            }
            *lesser_since = None;
            let from = std::mem::replace(step, to);
            if from != to {
                changes.push(Change { cause, from, to });
            }
        }
        changes
    }

    /// The step of one cause.
    pub fn of(&self, cause: OverloadCause) -> OverloadStep {
        self.0[cause as usize].step
    }

    /// The furthest step of all.
    pub fn step(&self) -> OverloadStep {
        self.0.iter().map(|followed| followed.step).max().unwrap_or_default()
    }
}

/// The measure in hundredths of where step `step` (from 0) begins; 0 for what is not configured.
fn level(cause: OverloadCause, step: usize, settings: &Settings, measured: &Measured) -> u64 {
    let share = |used: u64, max: Option<u64>| match max {
        Some(max) => (u128::from(used) * 10_000 / u128::from((max * SHARES[step]).max(1))) as u64,
        None => 0,
    };
    match cause {
        OverloadCause::Memory => share(measured.memory, settings.memory),
        OverloadCause::Descriptors => {
            let max = settings.descriptors.map(|percent| measured.descriptors_max * u64::from(percent) / 100);
            share(measured.descriptors, max)
        }
        OverloadCause::Delay => settings.delay.map_or(0, |delay| {
            let begins = delay.saturating_mul(DELAYS[step]).as_nanos().max(1);
            (measured.delay.as_nanos() * 100 / begins) as u64
        }),
    }
}

/// A step is entered when its level is reached, and left when that has fallen below by more than a little.
fn next(from: OverloadStep, level: impl Fn(usize) -> u64) -> OverloadStep {
    let holds = |step: usize| level(step) >= if step < from as usize { 100 - HYSTERESIS } else { 100 };
    OverloadStep::of((0..SHARES.len()).take_while(|step| holds(*step)).count() as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: Settings =
        Settings { memory: Some(1_000), descriptors: Some(90), delay: Some(Duration::from_millis(100)) };

    fn memory(overload: &mut Overload, memory: u64) -> OverloadStep {
        let measured = Measured { memory, ..Measured::default() };
        overload.measured(&SETTINGS, &measured, Time::ZERO);
        overload.measured(&SETTINGS, &measured, Time::ZERO + HOLD);
        overload.of(OverloadCause::Memory)
    }

    #[test]
    fn steps_come_one_after_the_other_and_go_with_some_hysteresis() {
        let mut overload = Overload::default();
        for (used, step) in [
            (799, OverloadStep::None),
            (800, OverloadStep::Close),
            (900, OverloadStep::ShedLow),
            (950, OverloadStep::ShedNormal),
            (1_000, OverloadStep::Refuse),
            (960, OverloadStep::Refuse),
            (949, OverloadStep::ShedNormal),
            (870, OverloadStep::ShedLow),
            (761, OverloadStep::Close),
            (759, OverloadStep::None),
            (5_000, OverloadStep::Refuse),
            (0, OverloadStep::None),
        ] {
            assert_eq!(memory(&mut overload, used), step, "{used}");
        }
    }

    #[test]
    fn each_cause_has_its_own_scale_and_the_worst_one_counts() {
        let mut overload = Overload::default();
        let measured = Measured {
            memory: 100,
            descriptors: 73,
            descriptors_max: 100,
            delay: Duration::from_millis(210),
        };
        let changes = overload.measured(&SETTINGS, &measured, Time::ZERO);
        let to = |cause, to| Change { cause, from: OverloadStep::None, to };
        assert_eq!(
            changes,
            [
                to(OverloadCause::Descriptors, OverloadStep::Close),
                to(OverloadCause::Delay, OverloadStep::ShedLow)
            ]
        );
        assert_eq!(overload.step(), OverloadStep::ShedLow);
        assert_eq!(overload.measured(&SETTINGS, &measured, Time::ZERO), [], "reported once");
    }

    #[test]
    fn a_step_is_left_when_a_lesser_one_has_done_for_a_while() {
        let mut overload = Overload::default();
        let mut step = |memory, ms| {
            let measured = Measured { memory, ..Measured::default() };
            overload.measured(&SETTINGS, &measured, Time::from_millis(ms));
            overload.of(OverloadCause::Memory)
        };
        assert_eq!([step(950, 0), step(0, 100), step(0, 1_000)], [OverloadStep::ShedNormal; 3]);
        assert_eq!(
            [step(950, 1_050), step(0, 1_200), step(0, 2_199)],
            [OverloadStep::ShedNormal; 3],
            "it begins anew"
        );
        assert_eq!(step(0, 2_200), OverloadStep::None);
    }

    #[test]
    fn what_is_not_configured_is_never_short() {
        let measured =
            Measured { memory: u64::MAX, descriptors: 9, descriptors_max: 9, delay: Duration::from_secs(9) };
        let none = Settings { memory: None, descriptors: None, delay: None };
        assert_eq!(Overload::default().measured(&none, &measured, Time::ZERO), []);
    }

    #[test]
    fn routes_of_high_priority_are_never_shed() {
        let shed =
            |step: OverloadStep| [Priority::Low, Priority::Normal, Priority::High].map(|it| step.sheds(it));
        assert_eq!(
            OverloadStep::ALL.map(shed),
            [[false; 3], [false; 3], [true, false, false], [true, true, false], [true, true, false],]
        );
    }

    proptest! {
        #[test]
        fn a_measure_that_wavers_by_little_changes_no_step_twice(base in 0_u64..1_200, wavers in prop::collection::vec(0_u64..20, 50)) {
            let mut overload = Overload::default();
            let mut steps: Vec<OverloadStep> = wavers.iter().map(|waver| memory(&mut overload, base + waver)).collect();
            steps.dedup();
            prop_assert!(steps.len() <= 2, "{steps:?}");
        }
    }
}
