//! S24: no file descriptor is left. Some are in reserve, so that the admin API and requests under way live on.

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, pool};

const MAX: usize = 128;

#[test]
fn clients_cannot_take_the_last_descriptors() {
    let server = Origin::named("a");
    let keys = "outlier = { failures = 1, window = \"1h\", eject = \"1h\" }";
    let evenkeel = Evenkeel::start_with_descriptors(MAX as u32, &pool(&[&server], keys));
    let mut early = evenkeel.client();
    assert_eq!(early.get("/").status, 200);

    let mut clients: Vec<Client> = (0..2 * MAX).map(|_| evenkeel.client()).collect();
    let refused = || evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"descriptors\""]);
    eventually("clients are refused", || refused() > 0.0);
    for _ in 0..20 {
        assert_eq!(evenkeel.status()["leaving"], false, "the admin API is there all the time");
    }
    assert!(evenkeel.metric("process_open_fds", &[]) < MAX as f64);
    // Who was there before is served, over a connection to the server that must be opened.
    server.cut();
    eventually("the balancer has noticed", || early.get("/").status == 200);
    assert_eq!(evenkeel.server("app", &server.name)["state"], "up", "it is not the server's fault");

    clients.clear();
    eventually("it has recovered by itself", || {
        let before = refused();
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.response("GET").is_ok_and(|answer| answer.status == 200) && refused() == before
    });
}

#[test]
fn requests_under_way_cannot_take_them_either() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let keys = "outlier = { failures = 1, window = \"1h\", eject = \"1h\" }";
    let evenkeel = Evenkeel::start_with_descriptors(MAX as u32, &pool(&[&server], keys));
    // Connections first, so that those to the server need what is then left.
    let mut clients: Vec<Client> = (0..MAX).map(|_| evenkeel.client()).collect();
    let refused = || evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"descriptors\""]);
    eventually("clients are refused", || refused() > 0.0);
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    let record = evenkeel.record(|record| record["status"] == 503);
    assert!(record["reason"].as_str().unwrap().contains("cannot connect"), "{record}");
    for _ in 0..20 {
        assert_eq!(evenkeel.status()["leaving"], false, "the admin API is there all the time");
    }
    assert_eq!(evenkeel.server("app", &server.name)["state"], "up", "it is not the server's fault");
    gate.open();
    clients.clear();
    eventually("it has recovered by itself", || {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.response("GET").is_ok_and(|answer| answer.status == 200)
    });
}
