//! The Redis pair through Evenkeel's port, while its primary dies.

use std::time::{Duration, Instant};

use minigram::process::wait_until;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::engines::Engines;

/// How long Sentinel and Redis may take.
const BOUND: Duration = Duration::from_secs(60);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn a_crash_of_the_primary_loses_no_replicated_write(engines: &Engines) {
    let client =
        redis::Client::open(engines.endpoints.redis_url(engines.endpoints.sessions).unwrap()).unwrap();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connect = async || client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connect().await.unwrap();
    let mut kept = Vec::new();
    for number in 0..50 {
        if write(&mut connection, number).await {
            kept.push(number);
        }
    }
    assert!(!kept.is_empty(), "no write reached the replica");
    let old = engines.faults.redis_primary().await.unwrap();
    let begun = Instant::now();
    engines.faults.kill(old).unwrap();
    let writes = || async {
        let Ok(mut connection) = connect().await else { return false };
        redis::cmd("SET").arg("after").arg("1").query_async::<String>(&mut connection).await.is_ok()
    };
    wait_until("the pair takes writes", BOUND, writes).await.unwrap();
    println!("crash of Redis: no write for {:.1} s", begun.elapsed().as_secs_f64());
    assert_ne!(
        engines.faults.redis_primary().await.unwrap(),
        old,
        "the replica has the writes, and was not promoted"
    );
    let mut connection = connect().await.unwrap();
    for number in kept {
        let key = format!("number-{number}");
        let value: Option<String> = redis::cmd("GET").arg(&key).query_async(&mut connection).await.unwrap();
        assert_eq!(value.as_deref(), Some("1"), "{key} is lost");
    }
    let has_replica = || async {
        let Ok(mut connection) = connect().await else { return false };
        write(&mut connection, 1000).await
    };
    wait_until("the pair is whole again", BOUND, has_replica).await.unwrap();
}

/// Writes a key; true if the replica has it.
async fn write(connection: &mut MultiplexedConnection, number: u32) -> bool {
    let key = format!("number-{number}");
    let set = redis::cmd("SET").arg(key).arg("1").query_async::<String>(connection).await;
    let reached: Result<u32, _> = redis::cmd("WAIT").arg(1).arg(500).query_async(connection).await;
    set.is_ok() && reached == Ok(1)
}
