//! Sessions, cache and bus on Redis.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minigram::clock::{Clock, Time};
use minigram::ids::UserId;
use minigram::ports::bus::{Bus, Event, Subscription};
use minigram::ports::cache::{Cache, Found, Key, Kind};
use minigram::ports::position::Position;
use minigram::ports::sessions::{Sessions, SessionsError};
use minigram::ports::{Retriable, Retry};
use minigram::real::redis::{RedisBus, RedisCache, RedisSessions, RedisSettings};
use tokio::time::{Instant, sleep, timeout};

use super::prefix;
use crate::subject::Subject;
use crate::support::Shared;
use crate::support::redis::{PAIR, Pair, Redis};

sessions_contract!(sessions, crate::real::redis::start_sessions);
cache_contract!(cache, crate::real::redis::start_cache);
bus_contract!(bus, crate::real::redis::start_bus);

const DEADLINE: Duration = Duration::from_secs(20);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn shared() -> Arc<Redis> {
    static REDIS: Shared<Redis> = Shared::new();
    REDIS.get(Redis::start)
}

fn clock() -> Clock {
    // In 2026.
    Clock::manual(Time(1_780_000_000_000))
}

async fn start_sessions() -> Subject<dyn Sessions> {
    let (redis, clock) = (shared(), clock());
    let sessions =
        RedisSessions::connect_with_clock(&redis.settings(&prefix()), clock.clone()).await.unwrap();
    Subject::new(Arc::new(sessions), clock, redis)
}

async fn start_cache() -> Subject<dyn Cache> {
    let (redis, clock) = (shared(), clock());
    let cache = RedisCache::connect_with_clock(&redis.settings(&prefix()), clock.clone()).await.unwrap();
    Subject::new(Arc::new(cache), clock, redis)
}

async fn start_bus() -> Subject<dyn Bus> {
    let redis = shared();
    let settings = RedisSettings { messages_max: crate::bus::BEHIND_MAX, ..redis.settings(&prefix()) };
    Subject::new(Arc::new(RedisBus::connect(&settings).await.unwrap()), Clock::System, redis)
}

async fn command<T: redis::FromRedisValue>(settings: &RedisSettings, words: &[&str]) -> T {
    let address = settings.url.strip_prefix("redis://").unwrap().parse().unwrap();
    ask(address, words).await.expect("Redis answers")
}

async fn keys(settings: &RedisSettings) -> Vec<String> {
    command(settings, &["KEYS", &format!("{}:*", settings.prefix)]).await
}

#[tokio::test]
async fn values_end_by_the_clock_of_redis_and_leave_nothing_behind() {
    let redis = shared();
    let settings = redis.settings(&prefix());
    let cache = RedisCache::connect(&settings).await.unwrap();
    let (key, ttl) = (Key::new(Kind::Photo, "a"), Duration::from_millis(300));
    let begun = Instant::now();
    cache.set(&key, "value".into(), ttl).await.unwrap();
    assert_eq!(keys(&settings).await.len(), 1);
    while cache.get(&key).await.unwrap().is_some() {
        assert!(begun.elapsed() < DEADLINE, "the value never ended");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= ttl - Duration::from_millis(2), "it ended too early");
    while !keys(&settings).await.is_empty() {
        assert!(begun.elapsed() < DEADLINE, "Redis keeps what has ended");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn sessions_end_by_the_clock_of_redis_and_are_swept_by_later_ones() {
    let redis = shared();
    let settings = redis.settings(&prefix());
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let user = UserId::from_sql(1);
    let (short, _) = sessions.open(user, Duration::from_millis(200)).await.unwrap();
    let begun = Instant::now();
    while sessions.session(short.id).await.unwrap().is_some() {
        assert!(begun.elapsed() < DEADLINE, "the session never ended");
        sleep(Duration::from_millis(5)).await;
    }
    let (long, _) = sessions.open(UserId::from_sql(2), WEEK).await.unwrap();
    let keys = keys(&settings).await;
    assert!(keys.iter().any(|key| key.contains(&long.id.to_string())), "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains(&short.id.to_string())), "{keys:?}");
}

#[tokio::test]
async fn sessions_are_bounded_and_keep_no_secret() {
    let redis = shared();
    let settings = RedisSettings { sessions_max: 2, ..redis.settings(&prefix()) };
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let user = UserId::from_sql(1);
    let (session, token) = sessions.open(user, WEEK).await.unwrap();
    sessions.open(user, WEEK).await.unwrap();
    assert!(matches!(sessions.open(user, WEEK).await, Err(SessionsError::Full(2))));
    let key = format!("{}:session:{}", settings.prefix, session.id);
    let fields: Vec<String> = command(&settings, &["HGETALL", &key]).await;
    let text = token.to_string();
    let secret = text.split_once('.').unwrap().1;
    assert!(!fields.is_empty() && !fields.iter().any(|field| field.contains(secret)));
}

/// The cache gives way, and sessions do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_too_large_evicts_values_and_no_session() {
    let redis = Redis::start();
    let settings = redis.settings(&prefix());
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let cache = RedisCache::connect(&settings).await.unwrap();
    let mut opened = Vec::new();
    for user in 0..100 {
        opened.push(sessions.open(UserId::from_sql(user), WEEK).await.unwrap().0.id);
    }
    // Redis has 64 MiB.
    let value = Bytes::from(vec![7; 1 << 20]);
    for name in 0..100 {
        cache.set(&Key::new(Kind::Feed, name), value.clone(), WEEK).await.unwrap();
    }
    let mut left = 0;
    for name in 0..100 {
        left += usize::from(cache.get(&Key::new(Kind::Feed, name)).await.unwrap().is_some());
    }
    assert!((10..64).contains(&left), "{left} values of 1 MiB are left");
    for id in opened {
        assert!(sessions.session(id).await.unwrap().is_some());
    }
}

/// The Redis that has the cache alone: it refuses nothing, and what is used stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_its_own_evicts_what_was_not_used_for_longest() {
    let redis = Redis::start_cache();
    let settings = redis.settings(&prefix());
    // While a child process writes a file, Redis does not note which values are used.
    for setting in [["save", ""], ["auto-aof-rewrite-percentage", "0"]] {
        let _: String = command(&settings, &[["CONFIG", "SET"], setting].concat()).await;
    }
    let cache = RedisCache::connect(&settings).await.unwrap();
    let key = |name: u32| Key::new(Kind::Feed, name);
    // Redis has 64 MiB.
    let value = Bytes::from(vec![7; 1 << 20]);
    let used = Key::new(Kind::Photo, "used");
    cache.set(&used, "value".into(), WEEK).await.unwrap();
    for name in 0..50 {
        cache.set(&key(name), value.clone(), WEEK).await.unwrap();
    }
    // Redis counts seconds.
    let full_key = format!("{}:cache:{}:49", settings.prefix, Kind::Feed.name());
    eventually(async || {
        let idle: u64 = command(&settings, &["OBJECT", "IDLETIME", &full_key]).await;
        (idle >= 2).then_some(())
    })
    .await;
    for name in 50..80 {
        assert_eq!(cache.get(&used).await.unwrap(), Some("value".into()));
        cache.set(&key(name), value.clone(), WEEK).await.unwrap();
    }
    let mut left = Vec::new();
    for name in 0..80 {
        if cache.get(&key(name)).await.unwrap().is_some() {
            left.push(name);
        }
    }
    let old = left.iter().filter(|name| **name < 50).count();
    assert!((40..64).contains(&left.len()) && left.len() - old >= 28, "{left:?} are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_sessions_are_there_and_what_was_cached_before_is_not_served() {
    let mut redis = Redis::start();
    let settings = redis.settings(&prefix());
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let cache = RedisCache::connect(&settings).await.unwrap();
    let (session, token) = sessions.open(UserId::from_sql(1), WEEK).await.unwrap();
    let written = Position { database: 0, timeline: 1, lsn: 7 };
    sessions.note_write(session.id, written).await.unwrap();
    let key = Key::new(Kind::Profile, "ada");
    cache.set(&key, "old".into(), WEEK).await.unwrap();

    redis.kill();
    let begun = Instant::now();
    let error = sessions.session(session.id).await.unwrap_err();
    assert!(matches!(error, SessionsError::Unavailable(_)) && error.retry() == Retry::Soon, "{error}");
    for _ in 0..20 {
        assert!(cache.look(&key).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "21 calls failed only after {:?}", begun.elapsed());

    redis.resume();
    let found = eventually(async || sessions.session(session.id).await.ok()).await;
    assert_eq!(found.unwrap().positions.of(0), Some(written));
    sessions.rotate(&token, WEEK).await.unwrap();
    // An invalidation might have been lost with the process.
    let found = eventually(async || cache.look(&key).await.ok()).await;
    assert!(matches!(found, Found::Missing(_)), "{found:?}");
}

/// What operators do when the log of writes is lost or broken (DESIGN.md, Redis).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_log_of_writes_sessions_come_from_the_snapshot() {
    let mut redis = Redis::start();
    let settings = redis.settings(&prefix());
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let (session, _) = sessions.open(UserId::from_sql(1), WEEK).await.unwrap();
    let (_, schedule): (String, String) = command(&settings, &["CONFIG", "GET", "save"]).await;
    assert!(!schedule.is_empty(), "snapshots are made by themselves");
    let _: String = command(&settings, &["SAVE"]).await;

    redis.resume_from_snapshot();
    let found = eventually(async || sessions.session(session.id).await.ok()).await;
    assert!(found.is_some(), "the snapshot has it");

    let _: String = command(&settings, &["CONFIG", "SET", "appendonly", "yes"]).await;
    eventually(async || {
        let info: String = command(&settings, &["INFO", "persistence"]).await;
        let is_written = ["aof_enabled:1", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"]
            .into_iter()
            .all(|line| info.contains(line));
        is_written.then_some(())
    })
    .await;
    redis.kill();
    redis.resume();
    let found = eventually(async || sessions.session(session.id).await.ok()).await;
    assert!(found.is_some(), "the new log has it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_made_anew_within_the_call() {
    let redis = Redis::start();
    let settings = redis.settings(&prefix());
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let cache = RedisCache::connect(&settings).await.unwrap();
    let bus = RedisBus::connect(&settings).await.unwrap();
    let mut subscriber = bus.subscribe("a").await.unwrap();
    let key = Key::new(Kind::Profile, "ada");
    for round in 0..5 {
        // What Evenkeel does when another node is the primary.
        for kind in ["normal", "pubsub"] {
            let _: i64 = command(&settings, &["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
        }
        let (session, _) = sessions.open(UserId::from_sql(round), WEEK).await.unwrap();
        assert!(sessions.session(session.id).await.unwrap().is_some());
        cache.set(&key, round.to_string().into(), WEEK).await.unwrap();
        bus.publish("b", "message".into()).await.unwrap();
        assert_eq!(next(&mut subscriber).await, Event::Lost(1));
    }
    assert_eq!(cache.get(&key).await.unwrap(), Some("4".into()));
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Event {
    timeout(DEADLINE, subscription.next()).await.expect("an event arrives").expect("the bus runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_subscribers_learn_of_the_loss_and_go_on() {
    let mut redis = Redis::start();
    let settings = redis.settings(&prefix());
    let bus = RedisBus::connect(&settings).await.unwrap();
    let mut subscribers = [bus.subscribe("a").await.unwrap(), bus.subscribe("b").await.unwrap()];
    redis.kill();
    assert!(bus.publish("a", "lost".into()).await.is_err());
    assert!(bus.subscribe("c").await.is_err());
    redis.resume();
    for subscriber in &mut subscribers {
        assert_eq!(next(subscriber).await, Event::Lost(1));
    }
    for (topic, subscriber) in ["a", "b"].into_iter().zip(&mut subscribers) {
        eventually(async || bus.publish(topic, "message".into()).await.ok()).await;
        assert_eq!(next(subscriber).await, Event::Message("message".into()));
    }
}

async fn ask<T: redis::FromRedisValue>(address: SocketAddr, words: &[&str]) -> Option<T> {
    let client = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(word);
    });
    command.query_async(&mut connection).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_primary_is_lost_sentinel_promotes_the_replica_which_has_every_session() {
    let mut pair = Pair::start();
    for sentinel in pair.sentinels() {
        // Each must know the replica and the two others, or there is no majority.
        eventually(async || {
            let words = ["SENTINEL", "MASTER", PAIR];
            let fields: HashMap<String, String> = ask(sentinel, &words).await?;
            let know = |name: &str, count: &str| fields.get(name).is_some_and(|value| value == count);
            (know("num-slaves", "1") && know("num-other-sentinels", "2")).then_some(())
        })
        .await;
    }
    let prefix = prefix();
    let settings = |redis: &Redis| RedisSettings { replicas: 1, ..redis.settings(&prefix) };
    let sessions = RedisSessions::connect(&settings(&pair.primary)).await.unwrap();
    let cache = RedisCache::connect(&settings(&pair.primary)).await.unwrap();
    let key = Key::new(Kind::Profile, "ada");
    cache.set(&key, "old".into(), WEEK).await.unwrap();
    let mut opened = Vec::new();
    for user in 0..50 {
        let (session, _) = sessions.open(UserId::from_sql(user), WEEK).await.unwrap();
        let written = Position { database: 0, timeline: 1, lsn: 7 };
        sessions.note_write(session.id, written).await.unwrap();
        opened.push((session.id, written));
    }
    pair.primary.kill();

    let next = settings(&pair.replica);
    eventually(async || {
        let (role, _, _): (String, redis::Value, redis::Value) =
            ask(pair.replica.address(), &["ROLE"]).await?;
        (role == "master").then_some(())
    })
    .await;
    let sessions = RedisSessions::connect(&RedisSettings { replicas: 0, ..next.clone() }).await.unwrap();
    for (id, written) in opened {
        let session = sessions.session(id).await.unwrap().expect("an acknowledged session is kept");
        assert_eq!(session.positions.of(0), Some(written));
    }
    let cache = RedisCache::connect(&next).await.unwrap();
    assert!(matches!(cache.look(&key).await.unwrap(), Found::Missing(_)), "an old value was served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_whose_replica_is_gone_do_not_wait_for_it_one_after_the_other() {
    let redis = Redis::start();
    let settings =
        RedisSettings { replicas: 1, replicas_timeout: DEADLINE / 100, ..redis.settings(&prefix()) };
    let sessions = RedisSessions::connect(&settings).await.unwrap();
    let waits = async || -> u128 {
        let stats: String = command(&settings, &["INFO", "commandstats"]).await;
        let calls = stats.split("cmdstat_wait:calls=").nth(1).and_then(|rest| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    };
    let begun = Instant::now();
    for user in 0..40 {
        sessions.open(UserId::from_sql(user), WEEK).await.unwrap();
    }
    let most = begun.elapsed().as_millis() / 1000 + 1;
    let counted = waits().await;
    assert!((1..=most).contains(&counted), "{counted} of 40 waited, {most} seconds");
    // That there is a replica again is found out.
    eventually(async || {
        sessions.open(UserId::from_sql(40), WEEK).await.unwrap();
        (waits().await > counted).then_some(())
    })
    .await;
}

/// What a call yields as soon as it yields something.
async fn eventually<T>(call: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(result) = call().await {
            return result;
        }
        assert!(begun.elapsed() < DEADLINE, "the engine does not come back");
        sleep(Duration::from_millis(10)).await;
    }
}
