//! A server that comes gets little at first, and its share in the end.

use crate::support::{Evenkeel, Origin, eventually, pool};

fn weight(evenkeel: &Evenkeel, server: &str) -> f64 {
    evenkeel.server("app", server)["effective_weight"].as_f64().unwrap()
}

/// How many of these requests each server gets.
fn shares(evenkeel: &Evenkeel, servers: &[&Origin], requests: usize) -> Vec<usize> {
    let before: Vec<usize> = servers.iter().map(|server| server.count()).collect();
    let mut client = evenkeel.client();
    (0..requests).for_each(|_| assert_eq!(client.get("/").status, 200));
    servers.iter().zip(before).map(|(server, before)| server.count() - before).collect()
}

#[test]
fn a_server_that_joins_under_traffic_gets_a_tenth_at_first() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let keys = "slow_start = \"1h\"";
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], keys));
    assert_eq!(
        (weight(&evenkeel, "a"), weight(&evenkeel, "b")),
        (1.0, 1.0),
        "those of the start begin together"
    );
    assert_eq!(shares(&evenkeel, &[&a, &b], 20), [10, 10]);
    assert_eq!(evenkeel.reload(&pool(&[&a, &b, &c], keys)).status, 200);
    assert_eq!((weight(&evenkeel, "a"), weight(&evenkeel, "c")), (1.0, 0.094));
    assert_eq!(evenkeel.metric("evenkeel_backend_weight", &["backend=\"c\""]), 0.094);
    assert_eq!(evenkeel.server("app", "c")["weight"], 1);
    // In a round of 67 it comes 3 times.
    assert_eq!(shares(&evenkeel, &[&a, &b, &c], 67 * 3), [96, 96, 9]);
}

#[test]
fn a_server_that_comes_back_gets_its_share_in_the_end() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(
        &[&a, &b],
        "slow_start = \"2s\"\nhealth = { kind = \"tcp\", interval = \"50ms\", timeout = \"50ms\", fall = 1 }",
    ));
    evenkeel.wait_for_state("b", "up");
    assert_eq!(weight(&evenkeel, "b"), 1.0);
    b.stop();
    evenkeel.wait_for_state("b", "down");
    b.resume();
    let mut seen = Vec::new();
    eventually("b has all of its weight", || {
        let server = evenkeel.server("app", "b");
        if server["state"] == "up" {
            seen.push(server["effective_weight"].as_f64().unwrap());
        }
        seen.last() == Some(&1.0)
    });
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
    seen.dedup();
    assert!(seen.len() >= 4 && seen[0] < 0.5, "{seen:?}");
    assert_eq!(shares(&evenkeel, &[&a, &b], 40), [20, 20]);
}

#[test]
fn keys_come_to_a_starting_server_bit_by_bit_and_none_moves_between_the_others() {
    let servers = ["a", "b", "c"].map(Origin::named);
    let keys = "algorithm = \"consistent-hash\"\nhash_key = \"path\"\nslow_start = \"1h\"";
    let evenkeel = Evenkeel::start(&pool(&[&servers[0], &servers[1], &servers[2]], keys));
    let owners = || {
        let mut client = evenkeel.client();
        (0..300).map(|nth| client.get(&format!("/{nth}")).text()).collect::<Vec<String>>()
    };
    let before = owners();
    evenkeel.set_server("app", "c", "{\"state\": \"drain\"}");
    evenkeel.set_server("app", "c", "{\"state\": \"ready\"}");
    let starting = owners();
    let (mut kept, mut all) = (0, 0);
    for (was, is) in before.iter().zip(&starting) {
        assert!(was == "c" || was == is, "a key of {was} went to {is}");
        all += usize::from(was == "c");
        kept += usize::from(was == "c" && is == "c");
    }
    assert!(kept > 0 && kept * 4 < all, "{kept} of {all}");
}
