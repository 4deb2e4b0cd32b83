//! The contract of the store.

mod accounts;
pub mod fixture;
mod once;
mod photos;
mod positions;
mod social;

/// With how many followers a user becomes a celebrity in the store under test.
pub const CELEBRITY_FOLLOWERS: u64 = 3;

pub mod cases {
    //! All cases by name.
    pub use super::accounts::*;
    pub use super::once::*;
    pub use super::photos::*;
    pub use super::positions::*;
    pub use super::social::*;
}

macro_rules! store_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::store::cases;
            cases! { $start:
                a_user_is_found_by_id_and_by_name,
                a_name_belongs_to_one_user,
                of_many_who_want_a_name_at_once_one_gets_it,
                a_profile_changes_and_only_that_of_a_user_who_exists,
                a_search_finds_names_by_prefix_in_order,
                a_search_takes_no_character_for_a_wildcard,
                a_photo_and_its_jobs_are_added_together_or_not_at_all,
                photos_are_listed_from_new_to_old_page_by_page,
                photos_come_in_the_order_that_was_asked_for,
                a_deleted_photo_takes_likes_and_comments_along,
                a_photo_becomes_ready_once_its_sizes_are_there,
                photos_that_are_processing_are_listed_by_age,
                a_job_in_the_outbox_is_leased_and_comes_back_until_it_was_sent,
                two_relays_share_the_outbox,
                a_photo_with_the_key_of_an_earlier_one_is_not_added_again,
                a_comment_with_the_key_of_an_earlier_one_is_not_added_again,
                of_many_posts_with_one_key_at_once_one_is_added,
                a_post_that_fails_does_not_use_up_its_key,
                a_key_is_forgotten_after_its_time,
                comments_belong_to_their_photo_and_their_author,
                a_follow_counts_once,
                follows_are_listed_page_by_page,
                a_celebrity_stays_one,
                a_like_counts_once_and_can_be_taken_back,
                likes_of_many_at_once_are_all_counted,
                likes_are_added_many_at_a_time_and_each_has_its_own_result,
                a_feed_has_each_photo_once_and_only_of_those_whom_the_user_follows,
                a_feed_keeps_the_newest_photos,
                a_read_shows_the_write_whose_position_it_is_given,
                a_read_never_shows_less_than_it_is_asked_for,
                a_position_of_an_older_timeline_is_reached_by_a_newer_one,
            }
        }
    };
}
