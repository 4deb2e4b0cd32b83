//! Tests of the adaptive limit: by its law, and in a simulation of servers that become ten times slower.

use std::collections::VecDeque;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn settings(algorithm: ConcurrencyAlgorithm) -> Concurrency {
    Concurrency { algorithm, min: 5, max: 500 }
}

const BOTH: [ConcurrencyAlgorithm; 2] = [ConcurrencyAlgorithm::Gradient, ConcurrencyAlgorithm::Aimd];

/// The limit after so many equal windows.
fn follow(law: &mut Law, algorithm: ConcurrencyAlgorithm, windows: u32, sample: Sample) -> u32 {
    (0..windows).map(|_| law.update(&settings(algorithm), sample)).last().unwrap_or_default()
}

#[test]
fn it_grows_while_it_is_used_and_answers_are_as_fast_as_ever() {
    for algorithm in BOTH {
        let sample = |in_flight| Sample { latency: ms(10), in_flight, mostly_lost: false };
        assert_eq!(follow(&mut Law::default(), algorithm, 1000, sample(500)), 500, "{algorithm:?}");
        assert_eq!(
            follow(&mut Law::default(), algorithm, 1000, sample(5)),
            20,
            "{algorithm:?}: no request needs it"
        );
    }
}

#[test]
fn it_falls_to_its_minimum_and_not_below_when_answers_become_slow_or_do_not_come() {
    for algorithm in BOTH {
        for (latency, mostly_lost) in [(ms(100), false), (ms(10), true)] {
            let mut law = Law::default();
            follow(&mut law, algorithm, 500, Sample { latency: ms(10), in_flight: 500, mostly_lost: false });
            let sick = Sample { latency, in_flight: 500, mostly_lost };
            let after = follow(&mut law, algorithm, 60, sick);
            assert!((5..=12).contains(&after), "{algorithm:?} {latency:?} {mostly_lost}: {after}");
        }
    }
}

#[test]
fn it_comes_back_when_they_are_fast_again() {
    for algorithm in BOTH {
        let mut law = Law::default();
        let sample = |latency| Sample { latency, in_flight: 500, mostly_lost: false };
        follow(&mut law, algorithm, 500, sample(ms(10)));
        follow(&mut law, algorithm, 60, sample(ms(100)));
        assert_eq!(follow(&mut law, algorithm, 600, sample(ms(10))), 500, "{algorithm:?}");
    }
}

#[test]
fn a_window_ends_once_when_its_time_is_over_and_it_has_enough_samples() {
    let (adaptive, settings) = (Adaptive::default(), settings(ConcurrencyAlgorithm::Aimd));
    let observe = |now: u64| adaptive.observe(&settings, Some(ms(1)), 20, Time::from_millis(now));
    assert!((0..9).all(|_| observe(1).is_none()), "too few");
    assert_eq!((observe(1), adaptive.limit(&settings)), (Some(21), 21));
    assert!((0..50).all(|_| observe(100).is_none()), "too early");
    assert_eq!((observe(101), observe(101)), (Some(22), None));
}

/// Servers that work on `CORES` requests at a time and let the others wait, and clients that do not wait for long.
struct Simulation {
    limit: Option<ConcurrencyAlgorithm>,
    queue: VecDeque<Time>,
    /// When each of those that are worked on came, and will be done.
    busy: Vec<(Time, Time)>,
    adaptive: Adaptive,
    in_time: u32,
}

const CORES: usize = 20;
const PATIENCE: Duration = ms(1_000);

impl Simulation {
    fn new(limit: Option<ConcurrencyAlgorithm>) -> Self {
        Self { limit, queue: VecDeque::new(), busy: Vec::new(), adaptive: Adaptive::default(), in_time: 0 }
    }

    /// Runs from one second to another with so many requests a millisecond, which take `work` each; returns how many
    /// were answered in time.
    fn run(&mut self, seconds: std::ops::Range<u64>, per_ms: u32, work: Duration) -> u32 {
        self.in_time = 0;
        for now in (seconds.start * 1_000..seconds.end * 1_000).map(Time::from_millis) {
            (0..per_ms).for_each(|_| self.arrive(now));
            self.work(now, work);
        }
        self.in_time
    }

    fn arrive(&mut self, now: Time) {
        let in_flight = self.queue.len() + self.busy.len();
        let max =
            self.limit.map_or(usize::MAX, |algorithm| self.adaptive.limit(&settings(algorithm)) as usize);
        if in_flight < max {
            self.queue.push_back(now);
        }
    }

    fn work(&mut self, now: Time, work: Duration) {
        let in_flight = (self.queue.len() + self.busy.len()) as u32;
        let done: Vec<_> = self.busy.extract_if(.., |(_, until)| *until <= now).collect();
        for (came, until) in done {
            let took = until.since(came);
            self.in_time += u32::from(took <= PATIENCE);
            if let Some(algorithm) = self.limit {
                self.adaptive.observe(&settings(algorithm), Some(took), in_flight, now);
            }
        }
        while self.busy.len() < CORES
            && let Some(came) = self.queue.pop_front()
        {
            self.busy.push((came, now + work));
        }
    }
}

#[test]
fn when_servers_become_ten_times_slower_a_limit_keeps_answers_in_time() {
    // 2,000 a second can be done, 1,000 are asked for; then 200 can be done.
    let slowed = |limit| {
        let mut simulation = Simulation::new(limit);
        let before = simulation.run(0..20, 1, ms(10));
        simulation.run(20..30, 1, ms(100));
        (before, simulation.run(30..40, 1, ms(100)))
    };
    let (before, without) = slowed(None);
    assert!(
        before > 19_900 && without == 0,
        "{before} {without}: without a limit all requests wait for too long"
    );
    for algorithm in BOTH {
        let (before, with) = slowed(Some(algorithm));
        assert!(before > 19_500, "{algorithm:?}: {before} of 20,000 while all is well");
        assert!(with > 1_400, "{algorithm:?}: {with} of the 2,000 that the servers can do in time");
    }
}
