//! Profiles, search and follows.

use reqwest::Method;
use serde_json::json;

use crate::world::{Reply, World};

#[tokio::test]
async fn a_profile_changes_and_every_server_shows_it_at_once() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    for n in 0..10 {
        // Into the cache, from every server.
        for server in 0..3 {
            world.get(server, "/api/v1/users/ada").await.expect(200);
        }
        let profile = json!({"display_name": format!("Ada {n}"), "bio": ""});
        let request = world.by(&ada, Method::PUT, n % 3, "/api/v1/me").json(&profile);
        assert_eq!(Reply::of(request).await.expect(200).json()["display_name"], format!("Ada {n}"));
        for server in 0..3 {
            for path in ["/api/v1/me", "/api/v1/users/ada"] {
                let json = world.get_by(&ada, server, path).await.expect(200).json();
                assert_eq!(json["display_name"], format!("Ada {n}"), "{path} on {server}");
            }
        }
    }
    let long = json!({"display_name": "x".repeat(51), "bio": ""});
    Reply::of(world.by(&ada, Method::PUT, 0, "/api/v1/me").json(&long)).await.expect(422);
    let unsigned = world.request(Method::PUT, 0, "/api/v1/me").json(&long);
    let refused = Reply::of(unsigned).await.expect(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_search_finds_a_user_who_has_just_signed_up() {
    let world = World::new().await;
    world.sign_up("ada").await;
    let found = async |server: usize, prefix: &str| -> Vec<String> {
        let path = format!("/api/v1/users?prefix={prefix}&limit=5");
        let json = world.get(server, &path).await.expect(200).json();
        let users = json["users"].as_array().unwrap().iter();
        users.map(|user| user["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(1, "ad").await, ["ada"]);
    world.sign_up("adam").await;
    assert_eq!(found(2, "ad").await, ["ada", "adam"]);
    assert_eq!(found(2, "AD").await, ["ada", "adam"]);
    assert!(found(2, "x").await.is_empty());
    assert!(found(0, "%25").await.is_empty());
    world.get(0, "/api/v1/users?prefix=").await.expect(400);
    world.get(0, "/api/v1/users?prefix=a&colour=red").await.expect(400);
}

#[tokio::test]
async fn following_counts_once_and_can_be_ended() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let shown = async |server: usize| {
        let json = world.get_by(&bob, server, "/api/v1/users/ada").await.expect(200).json();
        (json["followed"].as_bool().unwrap(), json["followers"].as_u64().unwrap())
    };
    assert_eq!(shown(0).await, (false, 0));
    for server in 0..2 {
        world.put_by(&bob, server, "/api/v1/users/ada/follow").await.expect(204);
        assert_eq!(shown(2).await, (true, 1));
    }
    assert_eq!(world.get_by(&bob, 1, "/api/v1/me").await.json()["following"], 1);
    world.delete_by(&bob, 2, "/api/v1/users/ada/follow").await.expect(204);
    assert_eq!(shown(1).await, (false, 0));
    world.put_by(&ada, 0, "/api/v1/users/nobody/follow").await.expect(404);
    world.put_by(&ada, 0, "/api/v1/users/x/follow").await.expect(404);
    world.get(0, "/api/v1/users/ada").await.expect(200);
}
