//! Feed, likes and comments.

use minigram::domain::feeds::HomeFeeds;
use minigram::domain::jobs::FanOut;
use minigram::domain::views::keys;
use minigram::ids::{PhotoId, UserId};
use serde_json::{Value, json};

use crate::photos::path;
use crate::world::{User, World};

impl User {
    fn user_id(&self) -> UserId {
        UserId::from_sql(self.id.parse().unwrap())
    }
}

impl World {
    /// What a worker does with a photo that was posted.
    async fn fan_out(&self, author: &User, photo: &Value, followers: &[&User]) {
        let photo = PhotoId::from_sql(photo["id"].as_str().unwrap().parse().unwrap());
        let job = FanOut { photo, author: author.user_id() };
        HomeFeeds::new(self.engines.store.clone()).fan_out(job).await.unwrap();
        let written = self.engines.store.reached(author.user_id().shard()).await.unwrap();
        for follower in followers {
            self.engines.cache.invalidate(&keys::feed(follower.user_id()), written).await.unwrap();
        }
    }

    async fn feed(&self, user: &User, server: usize, query: &str) -> (Vec<String>, Option<String>) {
        let json = self.get_by(user, server, &format!("/api/v1/feed{query}")).await.expect(200).json();
        let photos = json["photos"].as_array().unwrap().iter();
        let captions = photos.map(|photo| photo["caption"].as_str().unwrap().to_owned()).collect();
        (captions, json["next"].as_str().map(str::to_owned))
    }
}

#[tokio::test]
async fn a_feed_has_the_photos_of_those_whom_one_follows() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    assert!(world.feed(&bob, 0, "").await.0.is_empty());
    world.upload(&ada, 0, "before").await;
    world.put_by(&bob, 1, "/api/v1/users/ada/follow").await.expect(204);
    assert_eq!(world.feed(&bob, 2, "").await.0, ["before"], "of before the follow");

    let photo = world.upload(&ada, 1, "after").await;
    world.fan_out(&ada, &photo, &[&bob]).await;
    assert_eq!(world.feed(&bob, 0, "").await, (vec!["after".into(), "before".into()], None));
    let (first, next) = world.feed(&bob, 1, "?limit=1").await;
    assert_eq!(first, ["after"]);
    let (second, _) = world.feed(&bob, 2, &format!("?limit=1&before={}", next.unwrap())).await;
    assert_eq!(second, ["before"]);

    world.delete_by(&ada, 0, &path(&photo)).await.expect(204);
    assert_eq!(world.feed(&bob, 1, "").await.0, ["before"]);
    world.delete_by(&bob, 2, "/api/v1/users/ada/follow").await.expect(204);
    assert!(world.feed(&bob, 0, "").await.0.is_empty());
    assert!(world.feed(&ada, 0, "").await.0.is_empty());
    world.get(0, "/api/v1/feed").await.expect(401);
    world.get_by(&bob, 0, "/api/v1/feed?before=x").await.expect(404);
}

#[tokio::test]
async fn a_like_counts_once_and_is_seen_at_once_on_every_server() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload(&ada, 0, "").await;
    let like = format!("{}/like", path(&photo));
    let shown = async |user: &User, server: usize| {
        let json = world.get_by(user, server, &path(&photo)).await.expect(200).json();
        (json["likes"].as_u64().unwrap(), json["liked"].as_bool().unwrap())
    };
    for round in 0..10 {
        for server in 0..3 {
            assert_eq!(shown(&bob, server).await, (0, false), "round {round}");
        }
        world.put_by(&bob, round % 3, &like).await.expect(204);
        world.put_by(&bob, (round + 1) % 3, &like).await.expect(204);
        for server in 0..3 {
            assert_eq!(shown(&bob, server).await, (1, true), "round {round}");
            assert_eq!(shown(&ada, server).await, (1, false), "round {round}");
        }
        world.delete_by(&bob, (round + 2) % 3, &like).await.expect(204);
    }
    assert!(world.get(0, &path(&photo)).await.json().get("liked").is_none());
    world.put_by(&bob, 0, "/api/v1/photos/1/like").await.expect(404);
    world.put_by(&bob, 0, "/api/v1/photos/x/like").await.expect(404);
}

#[tokio::test]
async fn likes_of_many_at_once_are_all_acknowledged_and_counted() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    let mut fans = Vec::new();
    for n in 0..30 {
        fans.push(world.sign_up(&format!("fan{n}")).await);
    }
    let like = format!("{}/like", path(&photo));
    let before = world.engines.store.reached(ada.user_id().shard()).await.unwrap();
    let likes = fans.iter().enumerate().map(|(n, fan)| world.put_by(fan, n % 3, &like));
    for reply in futures_util::future::join_all(likes).await {
        reply.expect(204);
    }
    let after = world.engines.store.reached(ada.user_id().shard()).await.unwrap();
    assert_eq!(world.get(1, &path(&photo)).await.json()["likes"], 30);
    let commits = after.lsn - before.lsn;
    assert!(commits < 30, "{commits} commits for 30 likes");
}

#[tokio::test]
async fn comments_are_listed_from_new_to_old_and_deleted_by_their_authors() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload(&ada, 0, "").await;
    let comments = format!("{}/comments", path(&photo));
    let listed = async |server: usize| {
        let json = world.get(server, &comments).await.expect(200).json();
        let texts = json["comments"].as_array().unwrap().iter();
        texts.map(|comment| comment["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(listed(0).await.is_empty());
    let first = world.post_by(&bob, 1, &comments, &json!({"text": " first "})).await.expect(201).json();
    world.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!((&first["text"], &first["author"]["name"]), (&json!("first"), &json!("bob")));
    world.post_by(&ada, 2, &comments, &json!({"text": "second"})).await.expect(201);
    for server in 0..3 {
        assert_eq!(listed(server).await, ["second", "first"]);
        assert_eq!(world.get(server, &path(&photo)).await.json()["comments"], 2);
    }
    let page = world.get(0, &format!("{comments}?limit=1")).await.expect(200).json();
    let next = page["next"].as_str().unwrap();
    let older = world.get(0, &format!("{comments}?before={next}")).await.expect(200).json();
    assert_eq!(older["comments"][0]["text"], "first");

    let of_bob = format!("{comments}/{}", first["id"].as_str().unwrap());
    world.delete_by(&ada, 0, &of_bob).await.expect(204);
    assert_eq!(listed(1).await.len(), 2, "of another user");
    world.delete_by(&bob, 0, &of_bob).await.expect(204);
    assert_eq!(listed(1).await, ["second"]);
    world.post_by(&bob, 0, &comments, &json!({"text": ""})).await.expect(422);
    world.post_by(&bob, 0, "/api/v1/photos/1/comments", &json!({"text": "x"})).await.expect(404);
    world.get(0, "/api/v1/photos/1/comments").await.expect(404);
}
