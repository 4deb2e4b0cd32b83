//! Live messages over WebSockets on other servers than those that the requests go to.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::photos::path;
use crate::world::{User, World, eventually, in_time};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl World {
    async fn socket(&self, server: usize) -> Socket {
        let url = self.url(server, "/api/v1/live").replace("http:", "ws:");
        Socket(in_time("a socket", connect_async(url)).await.unwrap().0)
    }

    /// A socket of a user who watches these photos.
    async fn watching(&self, user: &User, server: usize, photos: &[&str]) -> Socket {
        let mut socket = self.socket(server).await;
        socket.send(&json!({"access_token": user.token})).await;
        assert_eq!(socket.next().await["kind"], "signed-in");
        socket.send(&json!({"watch": photos})).await;
        assert_eq!(socket.next().await, json!({"kind": "watching", "photos": photos}));
        socket
    }
}

impl Socket {
    async fn send(&mut self, json: &Value) {
        in_time("sending", self.0.send(Message::text(json.to_string()))).await.unwrap();
    }

    /// The next message.
    async fn next(&mut self) -> Value {
        loop {
            match in_time("a message", self.0.next()).await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code with which the server closes the socket.
    async fn closed(&mut self) -> u16 {
        loop {
            match in_time("the end", self.0.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn likes_and_comments_are_seen_live_on_every_server() {
    let world = World::new().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload(&ada, 0, "").await;
    let id = photo["id"].as_str().unwrap();
    let mut author = world.watching(&ada, 1, &[id]).await;
    let mut viewer = world.watching(&bob, 2, &[id]).await;

    world.put_by(&bob, 0, &format!("{}/like", path(&photo))).await.expect(204);
    assert_eq!(viewer.next().await, json!({"kind": "like", "photo": id, "likes": 1}));
    let mut received = [author.next().await, author.next().await];
    received.sort_by_key(|message| message["notice"].as_bool());
    assert_eq!(received[0], json!({"kind": "like", "photo": id, "likes": 1}));
    let by = json!({"id": bob.id, "name": "bob", "display_name": "bob of tests"});
    assert_eq!(received[1], json!({"kind": "like", "photo": id, "by": by, "notice": true}));

    // A like that changes nothing is no news.
    world.put_by(&bob, 0, &format!("{}/like", path(&photo))).await.expect(204);
    let comments = format!("{}/comments", path(&photo));
    let comment = world.post_by(&ada, 2, &comments, &json!({"text": "x"})).await.expect(201).json();
    let message = viewer.next().await;
    assert_eq!((&message["kind"], &message["comment"]), (&json!("comment"), &comment["id"]));

    world.put_by(&bob, 1, "/api/v1/users/ada/follow").await.expect(204);
    assert_eq!(author.next().await["kind"], "comment");
    assert_eq!(author.next().await, json!({"kind": "follow", "by": by, "notice": true}));

    // A second time is no news.
    world.put_by(&bob, 1, "/api/v1/users/ada/follow").await.expect(204);

    // What is watched no longer is not sent.
    viewer.send(&json!({"watch": []})).await;
    assert_eq!(viewer.next().await["kind"], "watching");
    world.delete_by(&bob, 0, &format!("{}/like", path(&photo))).await.expect(204);
    assert_eq!(author.next().await, json!({"kind": "like", "photo": id, "likes": 0}));
    viewer.send(&json!({"watch": [id]})).await;
    assert_eq!(viewer.next().await["kind"], "watching");
}

#[tokio::test]
async fn a_socket_is_closed_without_a_token_with_a_wrong_message_and_when_the_session_ends() {
    let world = World::with(|settings| settings.limits.socket_check = Duration::from_millis(100)).await;
    let ada = world.sign_up("ada").await;
    for (message, code) in [
        (json!({"access_token": "x"}), 4401),
        (json!({"watch": []}), 1008),
        (json!({"access_token": "x".repeat(3000)}), 4401),
    ] {
        let mut socket = world.socket(0).await;
        socket.send(&message).await;
        assert_eq!(socket.closed().await, code, "{message}");
    }
    let mut socket = world.watching(&ada, 0, &[]).await;
    socket.send(&json!({"watch": vec!["1"; 51]})).await;
    assert_eq!(socket.closed().await, 1008);

    let mut socket = world.watching(&ada, 1, &[]).await;
    world.delete_by(&ada, 2, "/api/v1/session").await.expect(204);
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn a_page_of_another_origin_and_one_socket_too_many_are_refused() {
    let world = World::with(|settings| settings.limits.sockets = 1).await;
    let ada = world.sign_up("ada").await;
    let url = world.url(0, "/api/v1/live").replace("http:", "ws:");
    let mut request = url.clone().into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let status = |error: Error| match error {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    };
    assert_eq!(status(connect_async(request).await.unwrap_err()), 403);
    let first = world.watching(&ada, 0, &[]).await;
    assert_eq!(status(connect_async(&url).await.unwrap_err()), 503);
    drop(first);
    eventually("another socket", || async { connect_async(&url).await.ok().map(drop) }).await;
    world.get(0, "/api/v1/live").await.expect(400).json();
}

#[tokio::test]
async fn a_server_that_leaves_closes_its_sockets() {
    let mut world = World::new().await;
    let ada = world.sign_up("ada").await;
    let mut socket = world.watching(&ada, 2, &[]).await;
    world.servers[2].leave.request();
    assert_eq!(socket.closed().await, 1001);
    in_time("the end", &mut world.servers[2].task).await.unwrap().unwrap();
}
