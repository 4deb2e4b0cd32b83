//! `POST /cache/purge` and `GET /cache`: which purges are sent, what is refused and why, and the figures.

use evenkeel_core::cache::{Named, Scope};
use evenkeel_core::snapshot::Command;
use evenkeel_observe::{CacheFigures, CacheResult, DiskFigures, StoreFigures};
use serde_json::json;

use crate::fixture::Api;

#[test]
fn a_purge_is_sent_on_in_normal_form() {
    let api = Api::start();
    let url = Named::url("https://shop.example.com/a?b").unwrap().scopes;
    for (body, scopes, soft, (scope, purged, mode, outcome), asked, host) in [
        (
            r#"{"url": "HTTPS://Shop.example.com:443/x/../a?b"}"#,
            url,
            false,
            ("url", "shop.example.com/a?b", "hard", "nothing of shop.example.com is cached"),
            "url HTTPS://Shop.example.com:443/x/../a?b",
            Scope::host("shop.example.com"),
        ),
        (
            r#"{"prefix": "http://shop.example.com/img/", "soft": true}"#,
            vec![Scope::prefix("shop.example.com", "/img/")],
            true,
            ("prefix", "shop.example.com/img/", "soft", "nothing of shop.example.com is cached"),
            "prefix http://shop.example.com/img/",
            Scope::host("shop.example.com"),
        ),
        (
            r#"{"host": "SHOP.example.com"}"#,
            vec![Scope::host("shop.example.com").unwrap()],
            false,
            ("host", "shop.example.com", "hard", "nothing of shop.example.com is cached"),
            "host SHOP.example.com",
            Scope::host("shop.example.com"),
        ),
        (
            r#"{"tag": "product-17", "soft": false}"#,
            vec![Scope::tag("product-17")],
            false,
            ("tag", "product-17", "hard", "nothing cached matched"),
            "tag product-17",
            None,
        ),
        (
            r#"{"all": true}"#,
            vec![Scope::All],
            false,
            ("all", "everything", "hard", "nothing cached matched"),
            "everything",
            None,
        ),
    ] {
        let found = api.post("/cache/purge", body);
        let answer = json!({
            "scope": scope, "purged": purged, "mode": mode, "sequence": 17, "objects": 0, "outcome": outcome,
        });
        assert_eq!((found.status, found.json()), (200, answer), "{body}");
        let last = api.commands.lock().unwrap().pop();
        assert_eq!(last, Some(Command::Purge { scopes, soft, asked: asked.into(), host }), "{body}");
    }
    let page = api.get("/metrics").body;
    assert!(page.contains("evenkeel_cache_purges_total{scope=\"prefix\",mode=\"soft\"} 1\n"), "{page}");
}

#[test]
fn purges_that_mean_nothing_are_refused_with_the_reason() {
    let api = Api::start();
    for (body, part) in [
        ("", "JSON object"),
        ("[\"all\"]", "JSON object"),
        ("{}", "the body must have exactly one of `url`, `prefix`, `host`, `tag` and `all`"),
        (r#"{"soft": true}"#, "exactly one of"),
        (r#"{"url": "https://a/", "all": true}"#, "exactly one of"),
        (r#"{"all": false}"#, "purges nothing"),
        (r#"{"all": "yes"}"#, "expected a boolean"),
        (r#"{"url": null}"#, "expected a string"),
        (r#"{"urls": []}"#, "unknown field `urls`"),
        (r#"{"url": "/a"}"#, "`/a` is not an absolute URL"),
        (r#"{"url": "ftp://a/b"}"#, "neither `http://` nor `https://`"),
        (r#"{"url": "https://a/../b"}"#, "climbs above the root"),
        (r#"{"prefix": "https://a/b?c"}"#, "a prefix ends within the path"),
        (r#"{"host": "https://a"}"#, "not a host name"),
        (r#"{"tag": "a b"}"#, "not one tag"),
    ] {
        let answer = api.post("/cache/purge", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains(part), "{body}: {}", answer.error());
    }
    assert!(api.commands.lock().unwrap().is_empty());
    assert!(!api.get("/metrics").body.contains("evenkeel_cache_purges_total{"), "none was counted");
}

#[test]
fn a_purge_is_guarded_as_other_commands_are() {
    let api = Api::with_token("a secret of its own");
    let body = r#"{"all": true}"#;
    let purge = |fields: &str| {
        let length = body.len();
        let head =
            format!("POST /cache/purge HTTP/1.1\ncontent-type: application/json\ncontent-length: {length}");
        api.ask(&format!("{head}\n{fields}"), body).status
    };
    assert_eq!(purge("host: localhost"), 401);
    assert_eq!(purge("host: localhost\nauthorization: Bearer another"), 401);
    let token = "authorization: Bearer a secret of its own";
    assert_eq!(purge(&format!("host: evil.test\n{token}")), 421);
    assert_eq!(purge(&format!("host: localhost\n{token}\nsec-fetch-site: cross-site")), 403);
    assert_eq!(purge(&format!("host: localhost\n{token}\norigin: http://evil.test")), 403);
    assert!(api.commands.lock().unwrap().is_empty());
    assert_eq!(purge(&format!("host: localhost\n{token}")), 200);
    assert_eq!(api.send("GET", "/cache").status, 401);
    assert_eq!(Api::start().get("/cache/purge").status, 405);
}

#[test]
fn the_cache_shows_its_size_and_how_often_it_answered() {
    let api = Api::start();
    let empty = api.get("/cache").json();
    assert_eq!(
        (&empty["hit_ratio"], &empty["objects"], &empty["routes"]),
        (&json!(null), &json!(0), &json!([]))
    );
    let shop = api.registry.cache(&"shop".into());
    for (result, coalesced) in [
        (CacheResult::Hit, false),
        (CacheResult::Hit, false),
        (CacheResult::Miss, true),
        (CacheResult::Bypass, false),
    ] {
        shop.shard(1).record(&CacheFigures { result, coalesced, bytes: 100, age_s: 1 });
    }
    let blog = api.registry.cache(&"blog".into());
    blog.shard(0).record(&CacheFigures { result: CacheResult::Miss, coalesced: false, bytes: 10, age_s: 0 });
    blog.shard(0).stored();
    api.registry.watch_store(|| StoreFigures {
        objects: 1,
        bytes: 700,
        fetching: 0,
        limit: 1 << 20,
        evictions: vec![("lru", 2), ("s3-fifo", 3)],
        purged: 4,
        disk: Some(DiskFigures {
            objects: 9,
            bytes: 9_000,
            limit: 1 << 30,
            written: 12,
            read: 4,
            failures: 1,
        }),
    });
    let cache = api.get("/cache").json();
    assert_eq!(cache["memory_bytes"], 700);
    let disk = json!({ "bytes": 9_000, "limit_bytes": 1 << 30, "objects": 9, "written": 12, "read": 4, "failures": 1 });
    assert_eq!((&cache["disk"], empty.get("disk")), (&disk, None));
    assert_eq!(cache["memory_limit_bytes"], 1 << 20);
    assert_eq!(
        (&cache["objects"], &cache["evictions"], &cache["purged_objects"]),
        (&json!(1), &json!(5), &json!(4))
    );
    assert_eq!((&cache["hit_ratio"], &cache["served_bytes"]), (&json!(0.5), &json!(200)));
    assert_eq!((&cache["coalesced"], &cache["stored"]), (&json!(1), &json!(1)));
    assert_eq!((&cache["requests"]["hit"], &cache["requests"]["bypass"]), (&json!(2), &json!(1)));
    let routes: Vec<_> =
        cache["routes"].as_array().unwrap().iter().map(|r| (&r["name"], &r["hit_ratio"])).collect();
    assert_eq!(routes, [(&json!("blog"), &json!(0.0)), (&json!("shop"), &json!(0.6667))]);
    assert_eq!(api.get("/status").json()["cache"], cache);
}
