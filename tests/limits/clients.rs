//! What one client may take of a listener: connections, and requests over one of them.

use crate::support::{Client, Evenkeel, Origin, eventually, pool};

fn start(limits: &str, more: &str, origin: &Origin) -> Evenkeel {
    Evenkeel::start(&toml(&format!("limits = {limits}\n{more}"), origin))
}

fn toml(keys: &str, origin: &Origin) -> String {
    format!("[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{keys}\n{}", pool(&[origin], ""))
}

#[test]
fn a_client_has_so_many_connections_and_others_have_theirs() {
    let origin = Origin::named("a");
    let evenkeel = start("{ connections_per_client = 2 }", "", &origin);
    let from = |source| Client::from(source, evenkeel.address());
    let mut held = [from([127, 0, 0, 1]), from([127, 0, 0, 1])];
    held.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    from([127, 0, 0, 1]).assert_closed();
    assert_eq!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"client\""]), 1.0);
    assert_eq!(from([127, 0, 0, 2]).get("/").status, 200);
    let [mut one, two] = held;
    drop(two);
    eventually("there is room again", || {
        let mut client = from([127, 0, 0, 1]);
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.response("GET").is_ok_and(|response| response.status == 200)
    });
    assert_eq!(one.get("/").status, 200);
}

#[test]
fn a_limit_that_comes_with_a_reload_counts_who_is_there() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&toml("", &origin));
    let mut held = [evenkeel.client(), evenkeel.client()];
    held.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    assert_eq!(evenkeel.reload(&toml("limits = { connections_per_client = 2 }", &origin)).status, 200);
    let mut third = evenkeel.client();
    third.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(third.response("GET").is_err(), "there are two already");
    assert_eq!(Client::from([127, 0, 0, 2], evenkeel.address()).get("/").status, 200);
    held.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
}

#[test]
fn trusted_proxies_have_as_many_as_they_need() {
    let origin = Origin::named("a");
    let evenkeel = start("{ connections_per_client = 1 }", "trusted_proxies = \"127.0.0.1\"", &origin);
    let mut held: Vec<Client> = (0..5).map(|_| evenkeel.client()).collect();
    assert!(held.iter_mut().all(|client| client.get("/").status == 200));
    let mut other = Client::from([127, 0, 0, 2], evenkeel.address());
    assert_eq!(other.get("/").status, 200);
    Client::from([127, 0, 0, 2], evenkeel.address()).assert_closed();
}

#[test]
fn a_connection_carries_requests_at_so_high_a_rate() {
    let origin = Origin::named("a");
    let evenkeel = start("{ requests_per_connection = \"3/h\" }", "", &origin);
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").status, 200, "3 an hour are 1 at once");
    let refused = client.get("/");
    assert_eq!((refused.status, refused.header("connection")), (429, Some("close")));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 1_000);
    client.assert_closed();
    assert_eq!(evenkeel.get("/").status, 200, "another connection has its own");
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"connection_rate\""]), 1.0);
}
