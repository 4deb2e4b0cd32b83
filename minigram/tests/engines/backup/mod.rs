//! The real engines lose everything, and come back at a chosen second; and an alert goes all its way.

mod alert;
mod drill;
mod engines;

use crate::alerts::Receiver;
use engines::{Engines, Places};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_was_lost_comes_back_at_a_chosen_second() {
    let alerts = Receiver::start().await;
    let places = Places::new();
    let engines = Engines::start(&places, &alerts.url).await;
    alert::errors_of_a_server_reach_the_webhook(&engines, &alerts).await;

    let target = drill::write_around_a_chosen_second(&engines).await;
    drill::the_backups_lead_there(&engines, target).await;
    drill::restore_refuses_while_the_engines_run(&places, target);
    engines.die().await;
    drill::lose_everything_but_the_backups(&places);
    drill::a_new_database_does_not_take_the_place_of_the_lost_one(&places);
    drill::restore_says_which_times_there_are(&places);
    drill::a_restore_whose_replicas_cannot_copy_says_so(&places, target).await;
    drill::restore(&places, target);

    let engines = Engines::start(&places, &alerts.url).await;
    drill::all_before_is_there_and_nothing_after(&engines).await;
    drill::the_next_backup_goes_on(&engines, target).await;
    engines.die().await;
}
