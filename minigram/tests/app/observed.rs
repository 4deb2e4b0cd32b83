//! Metrics, and the description of the API.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::photos::path;
use crate::world::{Reply, World, eventually};

impl World {
    /// The value of a metric, by its name and labels.
    pub async fn metric(&self, server: usize, name: &str) -> Option<f64> {
        let reply = self.get(server, "/metrics").await.expect(200);
        let text = String::from_utf8(reply.body).unwrap();
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(left, _)| left == name));
        line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }
}

#[tokio::test]
async fn what_happens_is_counted() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    world.put_by(&ada, 0, &format!("{}/like", path(&photo))).await.expect(204);
    world.put_by(&ada, 0, &format!("{}/like", path(&photo))).await.expect(204);
    for _ in 0..3 {
        world.get(0, "/api/v1/users/ada").await.expect(200);
    }
    world.get(0, "/no/such/path").await.expect(404);
    let user = "method=\"GET\",path=\"/api/v1/users/{name}\",status=\"200\"";
    for (name, value) in [
        ("minigram_sign_ups_total".to_owned(), 1.0),
        ("minigram_photos_total".to_owned(), 1.0),
        ("minigram_likes_total".to_owned(), 1.0),
        ("minigram_comments_total".to_owned(), 0.0),
        (format!("http_requests_total{{{user}}}"), 3.0),
        (format!("http_request_duration_seconds_count{{{user}}}"), 3.0),
        (format!("http_request_duration_seconds_bucket{{le=\"10.0\",{user}}}"), 3.0),
        ("http_requests_total{method=\"GET\",path=\"unmatched\",status=\"404\"}".to_owned(), 1.0),
    ] {
        assert_eq!(world.metric(0, &name).await, Some(value), "{name}");
    }
    let rate = world.metric(0, "cache_hit_rate{cache=\"profile\"}").await.unwrap();
    assert!(rate > 0.0 && rate < 1.0, "{rate}");
    assert!(world.metric(0, "db_connections_active").await.is_some());
    assert!(world.metric(0, "db_reads_total{server=\"replica\"}").await.is_some());
    assert!(world.metric(0, "active_connections").await.unwrap() >= 1.0);
    let idle = tokio::net::TcpStream::connect(&world.servers[1].address).await.unwrap();
    eventually("two connections", || async {
        world.metric(1, "active_connections").await.filter(|connections| *connections >= 2.0)
    })
    .await;
    drop(idle);
}

#[tokio::test]
async fn the_description_names_every_path_and_every_path_is_there() {
    let world = World::new().await;
    let description = world.get(0, "/api/v1/openapi.json").await.expect(200).json();
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let expected = [
        "DELETE /api/v1/photos/{photo}",
        "DELETE /api/v1/photos/{photo}/comments/{comment}",
        "DELETE /api/v1/photos/{photo}/like",
        "DELETE /api/v1/session",
        "DELETE /api/v1/users/{name}/follow",
        "GET /api/v1/feed",
        "GET /api/v1/live",
        "GET /api/v1/me",
        "GET /api/v1/photos/{photo}",
        "GET /api/v1/photos/{photo}/comments",
        "GET /api/v1/users",
        "GET /api/v1/users/{name}",
        "GET /api/v1/users/{name}/photos",
        "GET /media/{author}/{photo}/{file}",
        "POST /api/v1/photos",
        "POST /api/v1/photos/{photo}/comments",
        "POST /api/v1/session",
        "POST /api/v1/session/refresh",
        "POST /api/v1/users",
        "PUT /api/v1/me",
        "PUT /api/v1/photos/{photo}/like",
        "PUT /api/v1/users/{name}/follow",
    ];
    let expected: BTreeSet<(String, String)> = expected
        .iter()
        .map(|route| route.split_once(' ').unwrap())
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(described, expected);

    // A path that is there says what is missing; one that is not, that there is no such path.
    for (method, path) in &described {
        let request =
            path.replace(['{', '}'], "").replace("/photo", "/photos1").replace("/photos1s", "/photos");
        let request = request.replace("/photos1/", "/1/");
        let request = request.strip_suffix("/photos1").map_or(request.clone(), |start| format!("{start}/1"));
        let reply =
            Reply::of(world.request(Method::from_bytes(method.as_bytes()).unwrap(), 0, &request)).await;
        let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert_ne!(reply.status, 405, "{method} {request}");
        assert_ne!(detail, "no such path", "{method} {request}");
    }
    let schemas = description["components"]["schemas"].as_object().unwrap();
    for schema in ["User", "Photo", "Comments", "SignedIn", "Problem"] {
        assert!(schemas.contains_key(schema), "{schema}: {:?}", schemas.keys());
    }
    let refs = serde_json::to_string(&description).unwrap();
    for reference in refs.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is named and not described");
    }
    let signed: &Value = &description["paths"]["/api/v1/feed"]["get"]["security"];
    assert!(signed.as_array().is_some_and(|all| !all.is_empty()), "{signed}");
}
