//! Sticky sessions by a cookie that the balancer issues.

use std::collections::BTreeSet;

use crate::support::{Client, Evenkeel, Folder, Origin, Response, pool};

const STICKY: &str = "sticky = { cookie = \"EVENKEEL\", ttl = \"1h\" }";

/// `NAME=VALUE` of the cookie that an answer sets.
fn issued(response: &Response) -> Option<String> {
    let all = response.headers("set-cookie");
    let ours = all.iter().find(|c| c.starts_with("EVENKEEL="))?;
    Some(ours.split(';').next().unwrap().to_owned())
}

fn with(client: &mut Client, cookie: &str) -> Response {
    client.get_with("/", &format!("cookie: first=1; {cookie}; last=2\r\n"))
}

fn servers() -> [Origin; 3] {
    ["alpha", "beta", "gamma"].map(Origin::named)
}

#[test]
fn a_cookie_is_issued_that_scripts_and_other_sites_cannot_use_and_that_tells_nothing() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&pool(&[&a, &b, &c], STICKY));
    let mut client = evenkeel.client();
    let mut values = BTreeSet::new();
    for _ in 0..6 {
        let response = client.get("/");
        let cookie = response.header("set-cookie").unwrap().to_owned();
        let attributes: Vec<String> = cookie.split(';').skip(1).map(|a| a.trim().to_lowercase()).collect();
        for expected in ["httponly", "samesite=lax", "path=/", "max-age=3600"] {
            assert!(attributes.contains(&expected.to_owned()), "{cookie}");
        }
        let value = issued(&response).unwrap();
        let server = [&a, &b, &c].into_iter().find(|s| s.name == response.text()).unwrap();
        for secret in [server.name.clone(), server.address().to_string(), server.address().port().to_string()]
        {
            assert!(!value.contains(&secret), "{value} tells {secret}");
        }
        values.insert(value);
    }
    assert_eq!(values.len(), 3, "one value for each server");
}

#[test]
fn a_client_with_the_cookie_stays_on_the_server() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 2\n{}", pool(&[&a, &b, &c], STICKY)));
    for _ in 0..6 {
        let first = evenkeel.get("/");
        let cookie = issued(&first).unwrap();
        for _ in 0..5 {
            let mut client = evenkeel.client();
            assert_eq!(with(&mut client, &cookie).text(), first.text());
        }
    }
}

#[test]
fn a_cookie_that_we_never_issued_is_replaced() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&pool(&[&a, &b, &c], STICKY));
    for value in ["EVENKEEL=forged", "EVENKEEL=", "EVENKEEL=alpha", "XEVENKEEL=x"] {
        let response = with(&mut evenkeel.client(), value);
        assert_eq!(response.status, 200);
        assert!(issued(&response).is_some_and(|cookie| cookie != value), "{value}");
    }
}

#[test]
fn cookies_of_the_server_are_kept_beside_ours() {
    let origin = Origin::bytes(crate::support::answer(200, "set-cookie: session=1\r\n", "a"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], STICKY));
    let response = evenkeel.get("/");
    assert!(response.headers("set-cookie").contains(&"session=1"));
    assert!(issued(&response).is_some());
}

#[test]
fn a_restart_with_the_same_secret_changes_nothing() {
    let [a, b, c] = servers();
    let secrets = Folder::new();
    let secret = secrets.write("secret", "not a very long secret, but a secret\n");
    let toml = format!("[server]\nworkers = 1\nsecret_file = \"{secret}\"\n{}", pool(&[&a, &b, &c], STICKY));
    let evenkeel = Evenkeel::start(&toml);
    let mut client = evenkeel.client();
    let sessions: Vec<(String, String)> = (0..3)
        .map(|_| {
            let response = client.get("/");
            (issued(&response).unwrap(), response.text())
        })
        .collect();
    drop(client);
    drop(evenkeel);
    let evenkeel = Evenkeel::start(&toml);
    for (cookie, server) in sessions {
        assert_eq!(with(&mut evenkeel.client(), &cookie).text(), server);
    }
}

#[test]
fn when_a_server_dies_its_clients_move_and_stay_and_the_others_do_not_move() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&pool(&[&a, &b, &c], STICKY));
    let mut client = evenkeel.client();
    let sessions: Vec<(String, String)> = (0..9)
        .map(|_| {
            let response = client.get("/");
            (issued(&response).unwrap(), response.text())
        })
        .collect();
    b.stop();
    let mut moved = Vec::new();
    for (cookie, server) in &sessions {
        let response = with(&mut client, cookie);
        assert_eq!(response.status, 200);
        if server == "beta" {
            let cookie = issued(&response).expect("a new cookie for the new server");
            moved.push((cookie, response.text()));
        } else {
            assert_eq!(response.text(), *server);
        }
    }
    assert_eq!(moved.len(), 3);
    b.resume();
    for (cookie, server) in moved {
        assert_eq!(with(&mut client, &cookie).text(), server, "it sticks where it went");
    }
}

#[test]
fn a_reload_that_adds_a_server_moves_no_client() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], STICKY));
    let mut client = evenkeel.client();
    let sessions: Vec<(String, String)> = (0..4)
        .map(|_| {
            let response = client.get("/");
            (issued(&response).unwrap(), response.text())
        })
        .collect();
    assert_eq!(evenkeel.reload(&pool(&[&c, &a, &b], STICKY)).status / 100, 2);
    for (cookie, server) in sessions {
        assert_eq!(with(&mut client, &cookie).text(), server);
    }
}

#[test]
fn the_cookie_is_secure_where_the_client_came_by_https() {
    let [a, b, c] = servers();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.1\"]\n{}",
        pool(&[&a, &b, &c], STICKY)
    ));
    for (proto, secure) in [("https", true), ("http", false)] {
        let response = evenkeel.client().get_with("/", &format!("x-forwarded-proto: {proto}\r\n"));
        let cookie = response.header("set-cookie").unwrap().to_lowercase();
        assert_eq!(cookie.split(';').any(|part| part.trim() == "secure"), secure, "{cookie}");
    }
}
