//! Algorithms by which a key always reaches the same server.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Client, Evenkeel, Origin, eventually, pool};

fn servers(count: usize) -> Vec<Origin> {
    (0..count).map(|n| Origin::named(&format!("s{n}"))).collect()
}

/// Which server each of 60 users reaches.
fn owners(evenkeel: &Evenkeel) -> BTreeMap<usize, String> {
    let mut client = evenkeel.client();
    let ask = |user: usize| {
        (user, client.get_with("/", &format!("x-user: u{user}\r\ncookie: a=1; user=u{user}\r\n")).text())
    };
    (0..60).map(ask).collect()
}

#[test]
fn ip_hash_sends_an_address_to_one_server() {
    let origins = servers(3);
    let list: Vec<&Origin> = origins.iter().collect();
    let evenkeel = Evenkeel::start(&pool(&list, "algorithm = \"ip-hash\""));
    let mut used = BTreeSet::new();
    for last in 2..40 {
        let answers: BTreeSet<String> =
            (0..3).map(|_| Client::from([127, 0, 0, last], evenkeel.address()).get("/").text()).collect();
        assert_eq!(answers.len(), 1, "127.0.0.{last} reached {answers:?}");
        used.extend(answers);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn a_key_reaches_one_server_and_all_servers_have_keys() {
    for key in ["header:x-user", "cookie:user"] {
        for algorithm in ["consistent-hash", "maglev"] {
            let origins = servers(3);
            let list: Vec<&Origin> = origins.iter().collect();
            let keys = format!("algorithm = \"{algorithm}\"\nhash_key = \"{key}\"");
            let evenkeel = Evenkeel::start(&pool(&list, &keys));
            let first = owners(&evenkeel);
            assert_eq!(first, owners(&evenkeel), "{algorithm} {key}");
            assert_eq!(first.values().collect::<BTreeSet<_>>().len(), 3, "{algorithm} {key}");
            let again = Evenkeel::start(&pool(&list, &keys));
            assert_eq!(first, owners(&again), "{algorithm} {key}: another process chooses the same");
        }
    }
}

#[test]
fn the_path_is_a_key_too() {
    let origins = servers(3);
    let list: Vec<&Origin> = origins.iter().collect();
    let evenkeel = Evenkeel::start(&pool(&list, "algorithm = \"consistent-hash\"\nhash_key = \"path\""));
    let mut client = evenkeel.client();
    let mut used = BTreeSet::new();
    for n in 0..40 {
        let one = client.get(&format!("/{n}")).text();
        assert_eq!(client.get(&format!("/{n}?other=query")).text(), one);
        used.insert(one);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn when_a_server_dies_only_its_keys_move_and_they_come_back() {
    for algorithm in ["consistent-hash", "maglev"] {
        let origins = servers(4);
        let list: Vec<&Origin> = origins.iter().collect();
        let evenkeel = Evenkeel::start(&pool(
            &list,
            &format!(
                "algorithm = \"{algorithm}\"\nhash_key = \"header:x-user\"\n\
                 health = {{ kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }}"
            ),
        ));
        for server in &origins {
            evenkeel.wait_for_state(&server.name, "up");
        }
        let before = owners(&evenkeel);
        origins[1].stop();
        evenkeel.wait_for_state("s1", "down");
        for (user, owner) in owners(&evenkeel) {
            let old = &before[&user];
            assert!(
                owner != "s1" && (old == "s1" || *old == owner),
                "{algorithm}: u{user} moved {old} -> {owner}"
            );
        }
        origins[1].resume();
        evenkeel.wait_for_state("s1", "up");
        eventually("all keys are back", || owners(&evenkeel) == before);
    }
}
