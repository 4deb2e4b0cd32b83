//! Signing up, in and out, refreshing, and leaving.

use std::time::Duration;

use minigram::app::Leaving;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{DEADLINE, PASSWORD, Reply, User, World, eventually, in_time};

#[tokio::test]
async fn a_user_signs_up_on_one_server_and_is_known_to_all() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    for server in 0..3 {
        let reply = world.get_by(&ada, server, "/api/v1/me").await.expect(200);
        assert_eq!(reply.json()["display_name"], "ada of tests");
        assert_eq!(reply.header("x-server"), world.servers[server].name);
        assert_eq!(reply.header("cache-control"), "private, no-cache");
    }
    let body = json!({"name": "ADA", "password": PASSWORD});
    let taken = world.post(1, "/api/v1/users", &body).await.expect(409);
    assert_eq!(taken.header("content-type"), "application/problem+json");
    assert_eq!(taken.json()["status"], 409);
}

#[tokio::test]
async fn malformed_requests_are_refused_with_a_problem() {
    let world = World::new().await;
    let check = async |body: serde_json::Value, status| {
        let reply = world.post(0, "/api/v1/users", &body).await.expect(status);
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    };
    check(json!({"name": "ab", "password": PASSWORD}), 422).await;
    check(json!({"name": "ada", "password": "short"}), 422).await;
    check(json!({"name": "ada", "password": PASSWORD, "bio": "x".repeat(301)}), 422).await;
    check(json!({"name": "ada", "password": PASSWORD, "admin": true}), 422).await;
    check(json!({"name": "ada", "password": PASSWORD, "bio": "x".repeat(20_000)}), 413).await;
    let text = world.request(Method::POST, 0, "/api/v1/users").body("{}");
    assert_eq!(Reply::of(text).await.expect(415).json()["status"], 415);
    world.get(0, "/api/v1/nothing").await.expect(404).json();
    Reply::of(world.request(Method::PATCH, 0, "/api/v1/me")).await.expect(405).json();
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same_and_are_limited() {
    let world = World::with(|settings| settings.limits.sign_in_burst = 3).await;
    world.sign_up("ada").await;
    let sign_in = async |name: &str, password: &str| {
        world.post(0, "/api/v1/session", &json!({"name": name, "password": password})).await
    };
    let wrong = sign_in("ada", "wrong password").await.expect(401);
    assert_eq!(sign_in("nobody", "wrong password").await.expect(401).body, wrong.body);
    assert_eq!(sign_in("no name", "wrong password").await.expect(401).body, wrong.body);
    assert_eq!(sign_in("ada", "short").await.expect(401).body, wrong.body);

    for _ in 0..10 {
        sign_in("ada", PASSWORD).await.expect(201);
    }
    sign_in("ada", "wrong password").await.expect(401);
    sign_in("ada", "wrong password").await.expect(401);
    let limited = sign_in("ada", PASSWORD).await.expect(429);
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    world.clock.advance(Duration::from_secs(wait));
    sign_in("ada", PASSWORD).await.expect(201);
}

#[tokio::test]
async fn a_session_is_refreshed_by_its_cookie_and_ends_everywhere_at_once() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    assert!(ada.cookie.starts_with("minigram_refresh="), "{ada:?}");
    world.clock.advance(Duration::from_secs(600));
    world.get_by(&ada, 1, "/api/v1/me").await.expect(401);

    let refresh = async |user: &User, server: usize| {
        let request = world.request(Method::POST, server, "/api/v1/session/refresh");
        Reply::of(request.header("cookie", &user.cookie)).await
    };
    let reply = refresh(&ada, 2).await.expect(200);
    let attributes = reply.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/v1/session"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    let again = User::of(&reply);
    world.get_by(&again, 0, "/api/v1/me").await.expect(200);

    world.delete_by(&again, 1, "/api/v1/session").await.expect(204);
    for server in 0..3 {
        world.get_by(&again, server, "/api/v1/me").await.expect(401);
    }
    let ended = refresh(&again, 0).await.expect(401);
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "{ended:?}");
    Reply::of(world.request(Method::POST, 0, "/api/v1/session/refresh")).await.expect(401);
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let refresh = || {
        let request = world.request(Method::POST, 0, "/api/v1/session/refresh");
        Reply::of(request.header("cookie", ada.cookie.clone()))
    };
    let new = User::of(&refresh().await.expect(200));
    world.clock.advance(Duration::from_secs(60));
    refresh().await.expect(401);
    world.get_by(&new, 1, "/api/v1/me").await.expect(401);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_change_anything() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let refresh = |origin: String| {
        let request = world.request(Method::POST, 0, "/api/v1/session/refresh");
        Reply::of(request.header("cookie", &ada.cookie).header("origin", origin))
    };
    refresh("https://evil.example".to_owned()).await.expect(403);
    refresh("null".to_owned()).await.expect(403);
    refresh(format!("http://{}", world.servers[0].address)).await.expect(200);

    let public = World::with(|settings| settings.public_origin = Some("https://photos.example".into())).await;
    let body = json!({"name": "ada", "password": PASSWORD});
    let sign_up = |origin: &str| {
        Reply::of(public.request(Method::POST, 0, "/api/v1/users").json(&body).header("origin", origin))
    };
    sign_up(&format!("http://{}", public.servers[0].address)).await.expect(403);
    let reply = sign_up("https://photos.example").await.expect(201);
    assert!(reply.header("set-cookie").contains("; Secure"), "{reply:?}");
}

#[tokio::test]
async fn a_server_that_leaves_is_not_ready_first_and_finishes_what_it_began() {
    let leaving = Leaving { not_ready: Duration::from_millis(300), drain: DEADLINE };
    let world = World::with(move |settings| settings.leaving = leaving).await;
    world.get(0, "/healthz").await.expect(200);
    world.get(0, "/readyz").await.expect(200);

    // A request whose body is not complete when the server leaves.
    let mut begun = TcpStream::connect(&world.servers[0].address).await.unwrap();
    let body = json!({"name": "ada", "password": PASSWORD}).to_string();
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    world.servers[0].leave.request();
    eventually("503", || async { (world.get(0, "/readyz").await.status == 503).then_some(()) }).await;
    world.get(0, "/healthz").await.expect(200);
    eventually("no new connections", || async {
        TcpStream::connect(&world.servers[0].address).await.is_err().then_some(())
    })
    .await;
    begun.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time("the answer", begun.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let mut world = world;
    in_time("the end", &mut world.servers[0].task).await.unwrap().unwrap();
    world.get(1, "/readyz").await.expect(200);
}
