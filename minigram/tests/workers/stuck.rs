//! `minigram stuck-photos`, on the files of embedded engines.

use std::process::Command;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use minigram::clock::Clock;
use minigram::domain::feeds::HomeFeeds;
use minigram::domain::jobs::Thumbnails;
use minigram::domain::posting::Posting;
use minigram::engines::Engines;
use minigram::ports::store::Caption;
use tempfile::TempDir;

use crate::world::{World, eager, png};

fn minigram(directory: &TempDir, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minigram"));
    let config = directory.path().join("minigram.toml");
    command.args(["stuck-photos", "--older-than", "1ms"]).args(arguments).arg("--config").arg(config);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn photos_whose_jobs_were_lost_or_died_get_their_sizes_and_come_into_feeds() {
    let directory = TempDir::new().unwrap();
    let settings = "engines = \"embedded\"\n[embedded]\ndirectory = \"state\"\n";
    std::fs::write(directory.path().join("minigram.toml"), settings).unwrap();
    let engines = Engines::embedded(&directory.path().join("state"), Clock::System).await.unwrap();
    let world = World::new().await;
    let (store, blobs) = (engines.store.clone(), engines.blobs.clone());
    let posting = Posting::new(store.clone(), blobs, world.ids.clone(), Clock::System, 10 << 20);
    let world = World { engines: engines.clone(), feeds: HomeFeeds::new(store), posting, ..world };
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    engines.store.follow(bob, ada).await.unwrap();
    assert_eq!(minigram(&directory, &["list"]), "every photo that is old enough has its sizes\n");

    let lost = world.post(ada, png(20, 20)).await;
    // A queue that lost what the relay had sent.
    let sent = engines.store.take_outbox(10, Duration::ZERO).await.unwrap();
    engines.store.mark_sent(&sent.iter().map(|job| job.id).collect::<Vec<_>>()).await.unwrap();
    let broken = stream::iter([Ok(png(20, 20)[..40].to_vec().into())]).boxed();
    let dead = world.posting.post(ada, Caption::default(), broken, None).await.unwrap().photo;
    let fine = world.post(ada, png(20, 20)).await;
    let running = world.work(engines.clone(), eager());
    world.settled().await;
    assert_eq!(world.depth(Thumbnails::TOPIC).await.dead, 1);
    assert!(world.is_ready(fine).await && !world.is_ready(lost).await && !world.is_ready(dead).await);
    assert!(!world.home(bob).await.contains(&lost));

    let list = minigram(&directory, &["list"]);
    let listed: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, [lost.to_string(), dead.to_string()]);
    let young = Command::new(env!("CARGO_BIN_EXE_minigram"))
        .args(["stuck-photos", "list", "--config"])
        .arg(directory.path().join("minigram.toml"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&young.stdout).starts_with("every photo"), "they are not old enough");

    let said = minigram(&directory, &["requeue"]);
    assert!(said.contains("the jobs of 1 were lost, of 1 dead letters"), "{said}");
    world.settled().await;
    assert!(world.is_ready(lost).await);
    assert!(world.home(bob).await.contains(&lost));
    running.leave.request();
    running.left().await;
    assert_eq!(world.depth(Thumbnails::TOPIC).await.dead, 1, "a file that is no picture dies again");
}
