//! What the old process purges while it finishes its requests is purged in the new one.

use super::setting::Chain;
use crate::support::cache::{config, fresh, is_hit};
use crate::support::disk::{DiskCache, wait_on_disk};
use crate::support::{Evenkeel, Gate, Origin, eventually, ok};

/// A server whose responses are kept, and which answers `POST` only once the gate is open.
fn origin(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.method() == "POST" {
            gate.wait();
            wire.send(ok("changed"));
        } else {
            wire.send(fresh("", "kept"));
        }
    })
}

#[test]
fn a_request_that_changes_something_takes_effect_on_the_disk_cache_of_the_new_process() {
    let gate = Gate::default();
    let (origin, cache) = (origin(&gate), DiskCache::new());
    let mut chain = Chain::of(cache.start(&origin, "{ ttl = \"10m\" }"));
    assert_eq!(chain.get("/a").text(), "kept");
    wait_on_disk(&chain, 1);
    let mut client = chain.client();
    client.send("POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    eventually("the server is asked", || origin.count() == 2);
    chain.upgrade();
    eventually("the new process has it", || is_hit(&chain.get("/a")));
    gate.open();
    assert_eq!(client.answer("POST").text(), "changed");
    eventually("the new process asks again", || !is_hit(&chain.get("/a")));
    drop(client);
    assert_eq!(chain.wait_end().code(), Some(0));
}

#[test]
fn a_client_of_the_old_process_purges_the_new_one() {
    let origin = origin(&Gate::default());
    let text = format!("[cache]\npurge_from = [\"127.0.0.0/8\"]\n{}", config(&[&origin], "true"));
    let mut chain = Chain::of(Evenkeel::start(&text));
    let mut client = chain.client();
    assert_eq!(client.get("/a").text(), "kept");
    chain.upgrade();
    eventually("the new process has it", || is_hit(&chain.get("/a")));
    client.send("PURGE /a HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.answer("PURGE").text(), "purged\n");
    eventually("the new process asks again", || !is_hit(&chain.get("/a")));
    drop(client);
    assert_eq!(chain.wait_end().code(), Some(0));
}

#[test]
fn a_process_that_cannot_reach_the_one_that_serves_refuses_to_purge() {
    let origin = origin(&Gate::default());
    let text = format!("[cache]\npurge_from = [\"127.0.0.0/8\"]\n{}", config(&[&origin], "true"));
    let mut chain = Chain::of(Evenkeel::start(&text));
    let mut client = chain.client();
    assert_eq!(client.get("/a").text(), "kept");
    // The second process ends at once, because it has nothing to finish.
    chain.upgrade();
    chain.upgrade();
    chain
        .stderr
        .wait_for("the second one has ended", |line| line.contains("is purged nowhere else any more"));
    let purge = "PURGE /a HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(purge);
    assert_eq!(client.answer("PURGE").status, 503);
    let mut other = chain.client();
    other.send(purge);
    assert_eq!(other.answer("PURGE").text(), "purged\n");
}
