//! What the edge keeps of a photo is purged when its sizes are there.

use minigram::app::edge::{about_photo_tag, user_tag};
use minigram::workers::WorkerSettings;

use crate::fake_edge::FakeEdge;
use crate::world::{World, eager, png};

#[tokio::test]
async fn the_edge_is_purged_of_what_it_keeps_about_a_photo_that_became_ready() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let photo = world.post(ada, png(20, 20)).await;
    let edge = FakeEdge::start().await;
    let _running = world.work(world.engines.clone(), WorkerSettings { edge: vec![edge.node()], ..eager() });
    world.settled().await;
    let mut purged = edge.purged();
    purged.sort_unstable();
    assert_eq!(purged, [about_photo_tag(photo), user_tag(ada)]);
}
