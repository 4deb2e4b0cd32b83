//! `minigram dead-letters`, on the files of embedded engines.

use std::process::{Command, Output};

use minigram::clock::Clock;
use minigram::domain::jobs::RemoveFiles;
use minigram::engines::Engines;
use minigram::ports::queue::NewJob;
use tempfile::TempDir;

use crate::world::{World, eager};

fn minigram(directory: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minigram"));
    let config = directory.path().join("minigram.toml");
    command.arg("dead-letters").args(arguments).arg("--config").arg(config).output().unwrap()
}

#[tokio::test]
async fn the_command_shows_dead_letters_and_makes_them_ready_again() {
    let directory = TempDir::new().unwrap();
    let settings = "engines = \"embedded\"\n[embedded]\ndirectory = \"state\"\n";
    std::fs::write(directory.path().join("minigram.toml"), settings).unwrap();
    let engines = Engines::embedded(&directory.path().join("state"), Clock::System).await.unwrap();
    let list = minigram(&directory, &["list"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout), "there are no dead letters\n");

    let job = NewJob { topic: RemoveFiles::TOPIC.into(), key: "odd".into(), payload: "no job".into() };
    engines.queue.push(&job).await.unwrap();
    let world = World { engines: engines.clone(), ..World::new().await };
    let running = world.work(engines.clone(), eager());
    world.settled().await;
    running.leave.request();
    running.left().await;
    let list = minigram(&directory, &["list", "--topic", RemoveFiles::TOPIC]);
    let text = String::from_utf8_lossy(&list.stdout);
    assert!(text.starts_with("remove-files odd  attempts 1  died ") && text.contains("expected"), "{text}");

    let replay = minigram(&directory, &["replay", RemoveFiles::TOPIC, "odd"]);
    assert_eq!(String::from_utf8_lossy(&replay.stdout), "1 are ready again\n");
    assert!(replay.status.success());
    assert_eq!(engines.queue.depth(RemoveFiles::TOPIC).await.unwrap().ready, 1);
    let again = minigram(&directory, &["replay", RemoveFiles::TOPIC, "odd"]);
    assert!(!again.status.success(), "it is no dead letter any more");
}
