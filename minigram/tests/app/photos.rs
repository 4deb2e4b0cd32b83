//! Uploading, showing, and deleting photos.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::Value;

use crate::world::{JPEG, Reply, User, World, eventually};

impl World {
    pub async fn upload(&self, user: &User, server: usize, caption: &str) -> Value {
        // Ids sort by time.
        self.clock.advance(Duration::from_millis(1));
        let path = format!("/api/v1/photos?caption={caption}");
        let reply = Reply::of(self.by(user, Method::POST, server, &path).body(JPEG)).await.expect(201);
        let json = reply.json();
        assert_eq!(reply.header("location"), format!("/api/v1/photos/{}", json["id"].as_str().unwrap()));
        json
    }
}

/// The photo's path in the API.
pub fn path(photo: &Value) -> String {
    format!("/api/v1/photos/{}", photo["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_photo_is_shown_by_every_server_as_soon_as_it_is_posted() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    for n in 0..9 {
        for server in 0..3 {
            world.get_by(&ada, server, "/api/v1/users/ada/photos").await.expect(200);
        }
        let photo = world.upload(&ada, n % 3, &format!("number{n}")).await;
        assert_eq!(photo["state"], "processing");
        assert_eq!(photo["author"]["name"], "ada");
        for server in 0..3 {
            assert_eq!(world.get_by(&ada, server, &path(&photo)).await.expect(200).json(), photo);
            let list = world.get(server, "/api/v1/users/ada/photos").await.expect(200).json();
            assert_eq!(list["photos"].as_array().unwrap().len(), n + 1);
            assert_eq!(list["photos"][0]["caption"], format!("number{n}"));
            assert_eq!(world.get(server, "/api/v1/users/ada").await.json()["photos"], n + 1);
        }
    }
    let first = world.get(0, "/api/v1/users/ada/photos?limit=4").await.expect(200).json();
    let next = first["next"].as_str().unwrap();
    let second = world.get(1, &format!("/api/v1/users/ada/photos?limit=40&before={next}")).await.json();
    assert_eq!(second["photos"][0]["caption"], "number4");
    assert_eq!(second["photos"].as_array().unwrap().len(), 5);
    assert!(second.get("next").is_none());
}

#[tokio::test]
async fn a_picture_is_sent_whole_or_in_part_and_is_kept_by_caches() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    let url = photo["urls"]["original"].as_str().unwrap();
    assert_eq!(photo["urls"]["thumb"], url, "until the sizes are made");
    let whole = world.get(1, url).await.expect(200);
    assert_eq!(whole.body, JPEG);
    assert_eq!(whole.header("content-type"), "image/jpeg");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("cache-control"), "public, max-age=3600, s-maxage=86400, immutable");
    assert_eq!(whole.header("cache-tag"), format!("photo-{}", photo["id"].as_str().unwrap()));
    let with = |name: &'static str, value: &str| {
        Reply::of(world.request(Method::GET, 2, url).header(name, value.to_owned()))
    };
    let same = with("if-none-match", whole.header("etag")).await.expect(304);
    assert!(same.body.is_empty());
    let part = with("range", "bytes=6-9").await.expect(206);
    assert_eq!(part.body, b"JFIF");
    assert_eq!(part.header("content-range"), format!("bytes 6-9/{}", JPEG.len()));
    with("range", "bytes=1000-").await.expect(416);
    for absent in ["/media/1/2/original.jpg", "/media/1/2/secret.jpg", "/media/../x/original.jpg"] {
        world.get(0, absent).await.expect(404);
    }

    let id = photo["id"].as_str().unwrap().parse().unwrap();
    let photo_id = minigram::ids::PhotoId::from_sql(id);
    let written = world.engines.store.set_ready(photo_id).await.unwrap();
    let key = minigram::domain::views::keys::photo(photo_id);
    world.engines.cache.invalidate(&key, written).await.unwrap();
    let ready = world.get(1, &path(&photo)).await.expect(200).json();
    assert_eq!(ready["state"], "ready");
    assert!(ready["urls"]["thumb"].as_str().unwrap().ends_with("/thumb.jpg"), "{ready}");
    assert!(ready["urls"]["webp"]["large"].as_str().unwrap().ends_with("/large.webp"), "{ready}");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_no_picture_is_refused_and_leaves_nothing() {
    let world = World::with(|settings| settings.limits.photo_bytes = 100_000).await;
    let ada = world.sign_up("ada").await;
    let post = |body: Body| Reply::of(world.by(&ada, Method::POST, 0, "/api/v1/photos").body(body));
    let large = [JPEG, &vec![0; 100_000]].concat();
    post(large.clone().into()).await.expect(413);
    // Without a length, the bytes are counted as they arrive.
    let chunks: Vec<Result<Bytes, std::io::Error>> =
        large.chunks(1000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    post(Body::wrap_stream(stream::iter(chunks))).await.expect(413);
    post("<script>alert(1)</script>".into()).await.expect(415);
    post(vec![b'x'; 90_000].into()).await.expect(415);
    let long = format!("/api/v1/photos?caption={}", "x".repeat(501));
    Reply::of(world.by(&ada, Method::POST, 0, &long).body(JPEG)).await.expect(422);
    Reply::of(world.request(Method::POST, 0, "/api/v1/photos").body(JPEG)).await.expect(401);
    assert_eq!(world.get_by(&ada, 1, "/api/v1/me").await.json()["photos"], 0);
    post(Body::default()).await.expect(415);
    post(JPEG.into()).await.expect(201);
    // Shorter than what its type is found by at most.
    let short = post(JPEG[..4].into()).await.expect(201).json();
    assert_eq!(world.get(1, short["urls"]["original"].as_str().unwrap()).await.expect(200).body, JPEG[..4]);
    assert_eq!(world.get_by(&ada, 1, "/api/v1/me").await.json()["photos"], 2);
}

#[tokio::test]
async fn only_the_author_deletes_a_photo_and_then_no_server_shows_it() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload(&ada, 0, "").await;
    for server in 0..3 {
        world.get(server, &path(&photo)).await.expect(200);
    }
    world.delete_by(&bob, 0, &path(&photo)).await.expect(403);
    let picture = photo["urls"]["original"].as_str().unwrap();
    world.get(2, picture).await.expect(200);
    world.delete_by(&ada, 1, &path(&photo)).await.expect(204);
    for server in 0..3 {
        world.get(server, &path(&photo)).await.expect(404);
        world.get(server, picture).await.expect(404);
        let list = world.get(server, "/api/v1/users/ada/photos").await.expect(200).json();
        assert!(list["photos"].as_array().unwrap().is_empty());
    }
    world.delete_by(&ada, 1, &path(&photo)).await.expect(404);
    let jobs = eventually("the job", || async {
        let taken = world.engines.store.take_outbox(10, Duration::ZERO).await.unwrap();
        Some(taken).filter(|jobs| !jobs.is_empty())
    })
    .await;
    assert!(jobs.iter().any(|job| job.job.topic == "remove-files"), "{jobs:?}");
}
