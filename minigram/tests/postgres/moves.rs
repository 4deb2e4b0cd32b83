//! A shard moves to another database while servers write to it, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use minigram::ids::{PhotoId, Shard, UserId};
use minigram::ports::position::Positions;
use minigram::ports::store::{
    Follows, IdempotencyKey, Likes, NewPhoto, Once, Outbox, Photos, StoreError, Users,
};
use minigram::real::postgres::shards::{MoveBounds, Placement, move_shard, show};
use minigram::real::postgres::{DatabaseSettings, PostgresSettings, PostgresStore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::fixture::{NOW, add_user, new_photo};
use crate::postgres::Cluster;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_moves_there_and_back_without_losing_a_write() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start("")).await.unwrap();
    let settings = settings(&cluster);
    // Two servers, each with a map of its own.
    let servers = [
        PostgresStore::connect(settings.clone()).await.unwrap(),
        PostgresStore::connect(settings.clone()).await.unwrap(),
    ];
    let shard = Shard::of_name(&"ada".parse().unwrap());
    let names: Vec<String> = (0..)
        .map(|n| format!("user{n}"))
        .filter(|name| Shard::of_name(&name.parse().unwrap()) == shard)
        .take(3)
        .collect();
    let star = add_user(&servers[0], "star").await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for name in &names {
        let user = add_user(&servers[0], name).await;
        let task = write_on(servers.clone(), user, star, stop.clone(), written.clone());
        writers.push((user, tokio::spawn(task)));
    }
    let here = place(&settings, shard).await;
    for to in [1 - here, here] {
        wait_for_writes(&written, 50, &writers).await;
        let moved = move_shard(&settings, shard, to, MoveBounds::default()).await.unwrap();
        assert!(moved.copied > 0 && moved.caught_up > 0, "{moved:?}");
        assert!(moved.fenced < Duration::from_secs(4) && moved.replicas_knew, "{moved:?}");
        assert!(moved.deleted >= moved.copied, "{moved:?}");
        assert_eq!(place(&settings, shard).await, to);
        assert_eq!(rows_of(&cluster, 1 - to, shard), "0|0|0");
    }
    wait_for_writes(&written, 50, &writers).await;
    stop.store(true, Ordering::SeqCst);
    for (user, writer) in writers {
        check(&servers, user, star, writer.await.unwrap()).await;
    }
    assert_eq!(servers[0].outbox_len().await.unwrap(), written.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_broke_off_leaves_the_shard_open_or_is_finished_by_the_next() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start("")).await.unwrap();
    let settings = settings(&cluster);
    let store = PostgresStore::connect(settings.clone()).await.unwrap();
    let ada = add_user(&store, "ada").await;
    let written = store.add_photo(&new_photo(ada, 1), &[]).await.unwrap();
    let (here, number) = (place(&settings, ada.shard()).await, ada.shard().number());
    let there = 1 - here;
    let once = Once::new(IdempotencyKey::new("k").unwrap(), &[b"x"]);
    let keyed = |n| NewPhoto { once: Some(once.clone()), ..new_photo(ada, n) };
    let first = keyed(5);
    store.add_photo(&first, &[]).await.unwrap();

    // The fence of a move that died ends by itself.
    let fence = format!(
        "UPDATE shards SET state = 'fenced', fenced_until = now() + interval '500 ms' WHERE shard = {number}"
    );
    cluster.primary.query(&name(here), &fence);
    store.add_photo(&new_photo(ada, 2), &[]).await.unwrap();

    // No time to copy the rest: the shard stays.
    let short = MoveBounds { fence: Duration::from_nanos(1), ..MoveBounds::default() };
    move_shard(&settings, ada.shard(), there, short).await.unwrap_err();
    let last = store.add_photo(&new_photo(ada, 3), &[]).await.unwrap();
    assert_eq!((place(&settings, ada.shard()).await, last.database), (here, written.database));

    move_shard(&settings, ada.shard(), there, MoveBounds::default()).await.unwrap();
    // As if the last move had died between closing here and opening there.
    cluster
        .primary
        .query(&name(there), &format!("UPDATE shards SET state = 'arriving' WHERE shard = {number}"));
    cluster.primary.query(&name(0), &format!("UPDATE shard_map SET number = {here} WHERE shard = {number}"));
    move_shard(&settings, ada.shard(), there, MoveBounds::default()).await.unwrap();
    let last = store.add_photo(&new_photo(ada, 4), &[]).await.unwrap();
    assert_eq!(last.database, there);
    let photos = store.photos_by(&[ada], None, 10, &last.into()).await.unwrap();
    assert_eq!(photos.len(), 5);
    // The key has moved along.
    match store.add_photo(&keyed(6), &[]).await {
        Err(StoreError::Repeated(earlier)) => assert_eq!(earlier.id, first.id.to_sql()),
        other => panic!("{other:?}"),
    }
}

fn name(database: u16) -> String {
    format!("store_{database}")
}

fn settings(cluster: &Cluster) -> PostgresSettings {
    let databases = (0..2).map(|number| {
        cluster.database(&name(number));
        let read = Some(cluster.replica.url(&name(number)));
        DatabaseSettings { write: cluster.primary.url(&name(number)), read }
    });
    let mut settings = PostgresSettings::new(databases.collect());
    settings.connections_max = 8;
    settings.timeouts.map_age_max = Duration::from_secs(1);
    settings.timeouts.statement = Duration::from_secs(2);
    settings
}

async fn place(settings: &PostgresSettings, shard: Shard) -> u16 {
    let placements: Vec<Placement> = show(settings).await.unwrap();
    assert_eq!(placements.len(), 64);
    placements.iter().find(|placement| placement.shard == shard).unwrap().database
}

fn rows_of(cluster: &Cluster, database: u16, shard: Shard) -> String {
    let count = |table: &str, id: &str| {
        format!("(SELECT count(*) FROM {table} WHERE (({id} >> 16) & 63) = {})", shard.number())
    };
    let sql = [count("users", "id"), count("photos", "id"), count("likes", "photo")].join(", ");
    cluster.primary.query(&name(database), &format!("SELECT {sql}"))
}

/// Posts and likes, on one server and the other in turn, follows and unfollows, and reads each write back at once; the
/// photos whose writes were acknowledged.
async fn write_on(
    servers: [PostgresStore; 2],
    user: UserId,
    star: UserId,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) -> Vec<PhotoId> {
    let (mut acknowledged, mut positions) = (Vec::new(), Positions::none());
    for n in 0.. {
        let (server, other) = (&servers[n % 2], &servers[(n + 1) % 2]);
        let photo = new_photo(user, n as u64);
        let job = crate::fixture::job(&photo.id.to_string());
        positions.note(server.add_photo(&photo, &[job]).await.unwrap());
        assert!(other.photo(photo.id, &positions).await.unwrap().is_some(), "photo {n} is missing");
        positions.note(other.like(user, photo.id, NOW).await.unwrap().position);
        assert_eq!(server.likes(user, &[photo.id], &positions).await.unwrap(), [true], "like {n} is missing");
        let followed = n % 3 != 0;
        let changed =
            if followed { server.follow(user, star).await } else { server.unfollow(user, star).await };
        positions.note(changed.unwrap());
        assert_eq!(other.follows(user, star, &positions).await.unwrap(), followed);
        acknowledged.push(photo.id);
        written.fetch_add(1, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) && followed {
            break;
        }
        // So that the copy is not outrun on a slow machine.
        sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}

async fn check(servers: &[PostgresStore; 2], user: UserId, star: UserId, acknowledged: Vec<PhotoId>) {
    let begun = Instant::now();
    for server in servers {
        // Behind all that was written.
        let reached = server_positions(server, user, star).await;
        for page in acknowledged.chunks(100) {
            assert_eq!(server.photos(page, &reached).await.unwrap().len(), page.len(), "photos are lost");
            let counts = server.like_counts(page, &reached).await.unwrap();
            assert!(counts.iter().all(|likes| *likes == 1), "likes are lost or counted twice: {counts:?}");
        }
        let profile = server.user(user, &reached).await.unwrap().unwrap();
        assert_eq!(profile.photos, acknowledged.len() as u64);
        assert_eq!(profile.following, 1);
        while server
            .followers(star, None, 10, &server_positions(server, user, star).await)
            .await
            .unwrap()
            .len()
            < 3
        {
            assert!(begun.elapsed() < DEADLINE, "follows are not settled");
            sleep(Duration::from_millis(20)).await;
        }
        let star = server.user(star, &server_positions(server, user, star).await).await.unwrap().unwrap();
        assert_eq!(star.followers, 3);
    }
}

async fn server_positions(server: &PostgresStore, user: UserId, star: UserId) -> Positions {
    use minigram::ports::store::Store;
    let mut positions = Positions::none();
    positions.note(server.reached(user.shard()).await.unwrap());
    positions.note(server.reached(star.shard()).await.unwrap());
    positions
}

async fn wait_for_writes<T>(written: &AtomicU64, more: u64, writers: &[(UserId, JoinHandle<T>)]) {
    let (begun, before) = (Instant::now(), written.load(Ordering::SeqCst));
    while written.load(Ordering::SeqCst) < before + more {
        assert!(!writers.iter().any(|(_, writer)| writer.is_finished()), "a writer has failed");
        assert!(begun.elapsed() < DEADLINE, "no writes");
        sleep(Duration::from_millis(5)).await;
    }
}
