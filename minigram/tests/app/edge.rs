//! Purging the edge: when, and at which addresses.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use minigram::app::edge::{Edge, EdgeNode, Names};
use prometheus_client::metrics::counter::Counter;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fake_edge::FakeEdge;
use crate::photos::path;
use crate::world::{Reply, World, eventually};

#[tokio::test]
async fn the_edge_is_purged_before_a_change_is_acknowledged() {
    let edge = FakeEdge::start().await;
    let node = edge.node();
    let world = World::with(move |settings| settings.edge = vec![node.clone()]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let photo = world.upload(&ada, 0, "").await;
    let (user, photo_tag) = (format!("user-{}", ada.id), format!("photo-{}", photo["id"].as_str().unwrap()));
    assert_eq!(edge.take(), std::slice::from_ref(&user));
    let comments = format!("{}/comments", path(&photo));
    world.post_by(&bob, 1, &comments, &json!({"text": "x"})).await.expect(201);
    let mut tags = edge.take();
    tags.sort();
    assert_eq!(tags, [format!("about-{photo_tag}"), photo_tag.replace("photo", "comments")]);
    let profile = json!({"display_name": "Ada", "bio": ""});
    Reply::of(world.by(&ada, Method::PUT, 2, "/api/v1/me").json(&profile)).await.expect(200);
    assert_eq!(edge.take(), std::slice::from_ref(&user));
    world.delete_by(&ada, 0, &path(&photo)).await.expect(204);
    let mut tags = edge.take();
    tags.sort();
    assert_eq!(tags, [photo_tag, user]);
}

#[tokio::test]
async fn likes_purge_what_shows_their_number_but_not_each_of_them() {
    const LIKES: usize = 12;
    let edge = FakeEdge::start().await;
    let (node, every) = (edge.node(), Duration::from_secs(1));
    let world = World::with(move |settings| {
        settings.edge = vec![node.clone()];
        settings.likes_purged_every = every;
    })
    .await;
    let ada = world.sign_up("ada").await;
    let photo = world.upload(&ada, 0, "").await;
    let tag = format!("about-photo-{}", photo["id"].as_str().unwrap());
    let shown = world.get(0, "/api/v1/users/ada/photos").await.expect(200);
    assert!(shown.header("cache-tag").contains(&tag), "a list shows likes as well");
    edge.take();
    let begun = std::time::Instant::now();
    for n in 0..LIKES {
        let fan = world.sign_up(&format!("fan{n}")).await;
        world.put_by(&fan, 0, &format!("{}/like", path(&photo))).await.expect(204);
    }
    let last = begun.elapsed();
    let purges = |at_least: usize| {
        let (edge, tag) = (&edge, &tag);
        async move {
            let purged = edge.purged();
            assert!(purged.iter().all(|purged| *purged == format!("{tag} softly")), "{purged:?}");
            (purged.len() >= at_least).then_some(purged.len())
        }
    };
    // The first at once; the last when its time has come.
    let seen = eventually("a purge", || purges(1)).await;
    let most = usize::try_from(last.as_millis() / every.as_millis()).unwrap() + 2;
    assert!(seen <= most, "{seen} purges for {LIKES} likes within {last:?}");
    eventually("a purge after the last like", || purges(2)).await;
    world.delete_by(&ada, 1, &format!("{}/like", path(&photo))).await.expect(204);
    edge.take();
    eventually("a purge by another server", || purges(1)).await;
}

#[tokio::test]
async fn a_purge_that_fails_is_repeated() {
    let edge = FakeEdge::start().await;
    edge.fail(2);
    let node = edge.node();
    let world = World::with(move |settings| settings.edge = vec![node.clone()]).await;
    let ada = world.sign_up("ada").await;
    world.upload(&ada, 0, "").await;
    eventually("the purge", || async { (!edge.purged().is_empty()).then_some(()) }).await;
    assert_eq!(edge.purged(), [format!("user-{}", ada.id)]);
}

/// Edges at several addresses of this machine with the same port, as pods have them.
async fn pods<const N: usize>() -> (u16, [(SocketAddr, FakeEdge); N]) {
    'ports: for _ in 0..50 {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        for n in 2..=N {
            let Ok(next) = TcpListener::bind(format!("127.0.0.{n}:{port}")).await else { continue 'ports };
            listeners.push(next);
        }
        let pods = listeners.into_iter().map(|it| (it.local_addr().unwrap(), FakeEdge::on(it)));
        return (port, pods.collect::<Vec<_>>().try_into().map_err(drop).unwrap());
    }
    panic!("no port is free at {N} addresses");
}

/// A DNS in which a test writes.
fn names(addresses: &Arc<Mutex<Vec<SocketAddr>>>) -> Names {
    let addresses = addresses.clone();
    Arc::new(move |name| {
        let found = addresses.lock().unwrap().clone();
        Box::pin(async move {
            assert!(name.starts_with("web.example:"), "{name}");
            if found.is_empty() { Err(io::Error::other("no answer")) } else { Ok(found) }
        })
    })
}

#[tokio::test]
async fn every_address_of_a_name_is_purged_also_those_that_fail_at_first() {
    let (port, [(one, first), (two, second), (three, third)]) = pods::<3>().await;
    let (dns, failed) = (Arc::new(Mutex::new(vec![])), Counter::default());
    let node = EdgeNode { admin: format!("http://web.example:{port}/"), token: None };
    let edge = Edge::start_with(&[node], failed.clone(), &names(&dns));

    // The name is not known yet.
    edge.purge(&["early".to_owned()]).await;
    *dns.lock().unwrap() = vec![one, two];
    let has = async |edge: &FakeEdge, tag: &str| {
        eventually(tag, || async { edge.purged().iter().any(|it| it == tag).then_some(()) }).await;
    };
    has(&first, "early").await;
    has(&second, "early").await;

    second.fail(2);
    edge.purge(&["a".to_owned()]).await;
    assert_eq!(first.purged(), ["early", "a"]);
    has(&second, "a").await;
    assert_eq!(first.purged(), ["early", "a"], "only what failed is repeated");

    // A pod comes; the lookup that finds it is a second away at most.
    *dns.lock().unwrap() = vec![one, three];
    eventually("the new pod", || async {
        edge.purge(&["b".to_owned()]).await;
        (!third.purged().is_empty()).then_some(())
    })
    .await;
    // The DNS is down: the last addresses are used.
    *dns.lock().unwrap() = vec![];
    third.take();
    edge.purge(&["c".to_owned()]).await;
    has(&third, "c").await;
    assert_eq!(failed.get(), 0);
}

#[tokio::test]
async fn what_is_not_purged_in_the_end_is_counted_and_delays_no_other() {
    let (port, [(one, first), (two, second)]) = pods::<2>().await;
    let (dns, failed) = (Arc::new(Mutex::new(vec![one, two])), Counter::default());
    let node = EdgeNode { admin: format!("http://web.example:{port}"), token: None };
    let edge = Edge::start_with(&[node], failed.clone(), &names(&dns));
    first.fail(usize::MAX);
    second.fail(1);
    edge.purge(&["a".to_owned()]).await;
    eventually("the other's purge", || async { (second.purged() == ["a"]).then_some(()) }).await;
    assert_eq!(failed.get(), 0, "the one that fails is still being tried");
    eventually("a purge that was given up", || async { (failed.get() == 1).then_some(()) }).await;
    assert!(first.purged().is_empty());
}
