//! The contract of the cache.

mod property;
mod read_many;
mod read_through;
mod values;

pub mod cases {
    //! All cases by name.
    pub use super::property::*;
    pub use super::read_many::*;
    pub use super::read_through::*;
    pub use super::values::*;
}

macro_rules! cache_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::cache::cases;
            cases! { $start:
                a_value_is_found_until_its_lifetime_is_over,
                hits_and_misses_are_counted_by_kind,
                one_who_looks_fetches_and_the_others_wait,
                a_fetch_that_failed_or_took_too_long_is_given_to_another,
                an_aging_value_is_refreshed_by_one_and_served_to_all,
                what_was_fetched_before_an_invalidation_is_refused,
                a_fetch_after_an_invalidation_learns_what_to_read_behind,
                an_outdated_value_is_served_until_it_is_fetched_anew,
                an_outdated_value_ends_when_it_is_not_fetched,
                an_absent_value_is_not_outdated,
                many_callers_cause_one_fetch,
                a_fetch_goes_on_without_its_caller,
                a_failed_fetch_is_not_kept,
                a_refresh_happens_behind_the_caller,
                values_that_are_missing_are_fetched_together,
                many_values_are_not_read_behind_their_invalidations,
                a_value_that_another_caller_fetches_is_waited_for,
                nothing_is_served_beyond_its_lifetime_or_after_an_invalidation,
            }
        }
    };
}
