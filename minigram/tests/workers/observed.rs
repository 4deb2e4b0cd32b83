//! What `/metrics` and `/healthz` of a worker say.

use std::time::Duration;

use minigram::domain::jobs::RemoveFiles;
use minigram::ids::PhotoId;
use minigram::leave::Leave;
use minigram::media::MediaType;
use minigram::workers::{self, WorkerSettings};
use tokio::net::TcpListener;

use crate::world::{World, eager, png, until};

#[tokio::test]
async fn metrics_count_jobs_and_show_the_queue() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    world.post(ada, png(20, 20)).await;
    world.post(ada, b"\x89PNG\r\n\x1a\n and no more".to_vec()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, leave) = Leave::pair();
    let settings = WorkerSettings { gauges_every: Duration::from_millis(20), ..eager() };
    let running = tokio::spawn(workers::serve(world.engines.clone(), settings, Some(listener), leave));
    let fetch = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let expected = [
        r#"minigram_jobs_total{topic="thumbnails",result="done"} 1"#,
        r#"minigram_jobs_total{topic="thumbnails",result="dead"} 1"#,
        r#"minigram_jobs_total{topic="fan-out",result="done"} 2"#,
        r#"minigram_jobs_total{topic="fan-out",result="late"} 0"#,
        r#"minigram_queue_jobs{topic="thumbnails",state="dead"} 1"#,
        r#"minigram_queue_jobs{topic="thumbnails",state="ready"} 0"#,
        r#"minigram_job_duration_seconds_count{topic="thumbnails"} 2"#,
        "minigram_relayed_jobs_total 4",
        "minigram_outbox_jobs 0",
    ];
    until("the metrics show what was done", || async {
        let text = fetch("/metrics").await;
        expected.iter().all(|line| has(&text, line))
    })
    .await;
    assert_eq!(fetch("/healthz").await, "ok\n");
    sender.request();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_oldest_job_is_the_one_that_was_accepted_first_and_is_still_open() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let queue = &*world.engines.queue;
    let accepted = world.clock.now();
    for (number, media) in [(1, MediaType::Png), (2, MediaType::Gif)] {
        let photo = PhotoId::from_sql(number);
        queue.push(&RemoveFiles { photo, author: ada, media }.job()).await.unwrap();
        world.clock.advance(Duration::from_secs(5));
    }
    let topic = RemoveFiles::TOPIC;
    assert_eq!(queue.oldest(topic).await.unwrap(), Some(accepted));
    let first = queue.take(topic, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(queue.oldest(topic).await.unwrap(), Some(accepted), "it is being done");
    queue.bury(&first.receipt, "no").await.unwrap();
    assert_eq!(queue.oldest(topic).await.unwrap(), Some(accepted.plus(Duration::from_secs(5))));
    let second = queue.take(topic, Duration::ZERO).await.unwrap().unwrap();
    queue.ack(&second.receipt).await.unwrap();
    assert_eq!(queue.oldest(topic).await.unwrap(), None);
}
