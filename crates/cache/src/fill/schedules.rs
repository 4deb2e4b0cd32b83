//! A fetch and its readers under thousands of schedules, with `shuttle` as the scheduler: a lost wake-up is a deadlock there.
