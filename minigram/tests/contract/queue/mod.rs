//! The contract of the queue.

use std::time::Duration;

use minigram::ports::queue::Policy;

mod jobs;
mod property;

/// How the queue under test treats jobs.
pub fn policy() -> Policy {
    Policy {
        visibility: Duration::from_millis(1000),
        attempts_max: 3,
        backoff_first: Duration::from_millis(200),
        backoff_max: Duration::from_millis(300),
        jobs_max: 100,
        remembered: Duration::from_millis(3000),
    }
}

pub mod cases {
    //! All cases by name.
    pub use super::jobs::*;
    pub use super::property::*;
}

macro_rules! queue_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::queue::cases;
            cases! { $start:
                a_job_is_handed_out_once_and_gone_when_it_is_done,
                jobs_are_handed_out_in_order_and_by_topic,
                a_key_is_accepted_once_until_it_is_forgotten,
                a_job_comes_back_when_its_worker_does_not_answer,
                a_worker_that_extends_keeps_its_job,
                a_failed_job_comes_back_after_its_backoff,
                a_job_that_fails_too_often_is_a_dead_letter_until_it_is_replayed,
                a_job_whose_workers_all_vanish_is_a_dead_letter,
                an_answer_that_is_late_changes_nothing_for_the_next_worker,
                a_full_queue_refuses_and_takes_jobs_again_when_one_is_done,
                a_worker_that_waits_gets_the_job_that_is_pushed,
                workers_share_the_jobs,
                a_job_that_cannot_be_done_is_a_dead_letter_at_once,
                the_time_of_the_oldest_job_is_known_until_it_is_done,
                no_job_is_lost_and_none_is_handed_to_two_at_once,
            }
        }
    };
}
