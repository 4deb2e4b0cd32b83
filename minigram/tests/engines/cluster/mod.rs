//! The real engines, as `minigram engines` starts them: reached by their fixed ports, broken on purpose, and gone at the end.
//!
//! They start once, and each step leaves them whole for the next one. The steps print how long clients noticed something.

mod doctor;
mod engines;
mod logs;
mod postgres;
mod queue;
mod sessions;
mod writer;

use crate::alerts::Receiver;
use engines::Engines;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_lose_nothing_that_they_acknowledged() {
    let alerts = Receiver::start().await;
    let folder = engines::Folder::new();
    let engines = Engines::start(&folder, &alerts).await;
    postgres::the_write_port_leads_to_the_primary_and_the_read_port_to_replicas(&engines).await;
    postgres::a_switch_over_loses_no_write(&engines).await;
    postgres::a_crash_of_the_primary_loses_no_write(&engines).await;
    queue::a_lost_server_loses_no_message(&engines).await;
    sessions::a_crash_of_the_primary_loses_no_replicated_write(&engines).await;
    postgres::a_lost_node_loses_no_write(&engines, &alerts).await;
    postgres::a_primary_that_hangs_loses_no_write(&engines).await;
    logs::one_search_finds_the_lines_of_all_processes(&engines).await;
    engines.end_in_order().await;

    // Another start goes on with the data, and a kill leaves no process behind.
    let engines = Engines::start(&folder, &alerts).await;
    postgres::the_rows_are_still_there(&engines).await;
    engines.die().await;
}
