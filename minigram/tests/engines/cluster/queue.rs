//! NATS JetStream through Evenkeel's port, while one of its servers is lost.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use minigram::process::wait_until;

use super::engines::Engines;

/// How long the others may take to go on.
const BOUND: Duration = Duration::from_secs(60);

pub async fn a_lost_server_loses_no_message(engines: &Engines) {
    let client = async_nats::connect(engines.endpoints.queue_url()).await.unwrap();
    let context = jetstream::new(client);
    let config = jetstream::stream::Config {
        name: "drill".into(),
        subjects: vec!["drill.>".into()],
        num_replicas: 3,
        ..Default::default()
    };
    let created = || async { context.get_or_create_stream(config.clone()).await.is_ok() };
    wait_until("the stream has three replicas", BOUND, created).await.unwrap();
    let mut stream = context.get_stream("drill").await.unwrap();
    let mut acknowledged = 0;
    for _ in 0..50 {
        acknowledged += u64::from(publish(&context).await);
    }
    let leader = stream.info().await.unwrap().cluster.clone().unwrap().leader.unwrap();
    let begun = Instant::now();
    engines.faults.lose(&leader).unwrap();
    let goes_on = || async { publish(&context).await };
    wait_until("the queue takes messages without its leader", BOUND, goes_on).await.unwrap();
    println!("loss of the queue's leader {leader}: no message for {:.1} s", begun.elapsed().as_secs_f64());
    for _ in 0..50 {
        acknowledged += u64::from(publish(&context).await);
    }
    let messages = stream.info().await.unwrap().state.messages;
    assert!(messages > acknowledged, "{acknowledged} messages were acknowledged, and {messages} are there");
    engines.faults.recover(&leader).await.unwrap();
    let is_whole = || async {
        let Ok(stream) = context.get_stream("drill").await else { return false };
        let Some(cluster) = stream.cached_info().cluster.clone() else { return false };
        cluster.replicas.len() == 2 && cluster.replicas.iter().all(|it| it.current && !it.offline)
    };
    wait_until("all three servers have the stream", BOUND, is_whole).await.unwrap();
}

/// Publishes a message; true if the stream has acknowledged it.
async fn publish(context: &jetstream::Context) -> bool {
    match context.publish("drill.message", "1".into()).await {
        Ok(acknowledgement) => acknowledgement.await.is_ok(),
        Err(_) => false,
    }
}
