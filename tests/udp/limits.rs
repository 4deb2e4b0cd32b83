//! What is bounded: sessions, those of one client, datagrams that wait, answers to a client that has not shown that it gets them.

use super::server::{Client, Server, config, dropped, fixed_port, open};
use crate::support::{Evenkeel, eventually};

#[test]
fn what_is_over_the_bound_is_dropped_and_takes_no_place_of_a_live_session() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("max_sessions = 2\ntimeout = { idle = \"1s\" }", &[&server], ""));
    let clients = [(); 3].map(|()| Client::new(&evenkeel));
    assert_eq!((clients[0].ask("a"), clients[1].ask("b")), (b"a".to_vec(), b"b".to_vec()));
    clients[2].send("no");
    eventually("it is dropped", || {
        // The others live, and live on.
        assert_eq!((clients[0].ask("a"), clients[1].ask("b")), (b"a".to_vec(), b"b".to_vec()));
        dropped(&evenkeel, "sessions") == 1.0
    });
    assert_eq!((open(&evenkeel), server.sessions()), (2.0, 2));
    // There is room when one has ended.
    evenkeel.record(|record| record["ended"] == "idle_timeout");
    eventually("the third one gets a session", || {
        clients[2].send("yes");
        server.sessions() == 3
    });
    assert_eq!(clients[2].receive(), b"yes");
}

#[test]
fn one_client_has_as_many_sessions_as_it_may() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("limits = { connections_per_client = 2 }", &[&server], ""));
    let clients = [(); 3].map(|()| Client::new(&evenkeel));
    clients[..2].iter().for_each(|client| assert_eq!(client.ask("x"), b"x"));
    clients[2].send("no");
    eventually("it is dropped", || dropped(&evenkeel, "client") == 1.0);
    assert_eq!(Client::from(&evenkeel, "127.0.0.2").ask("other"), b"other");
}

#[test]
fn sessions_count_as_connections_of_the_process() {
    let server = Server::echo("a");
    let toml = config("", &[&server], "");
    let evenkeel = Evenkeel::start(&format!("{toml}\n[limits]\nconnections = 1\n"));
    let clients = [(); 2].map(|()| Client::new(&evenkeel));
    assert_eq!(clients[0].ask("x"), b"x");
    clients[1].send("no");
    eventually("it is dropped", || dropped(&evenkeel, "limit") == 1.0);
}

#[test]
fn a_client_that_may_be_forged_gets_few_answers_and_one_that_answers_gets_all() {
    let server = Server::start("a", |socket, bytes, peer| {
        (0..bytes[0]).for_each(|number| drop(socket.send_to(&[number], peer)));
    });
    let evenkeel = Evenkeel::start(&config("max_answers = 3", &[&server], ""));
    let client = Client::new(&evenkeel);
    client.send([10]);
    eventually("the others are dropped", || dropped(&evenkeel, "answers") == 7.0);
    assert_eq!(client.arrived(), 3);
    // It has had an answer, and sends again.
    client.send([100]);
    (0..100).for_each(|_| drop(client.receive()));
    assert_eq!(dropped(&evenkeel, "answers"), 7.0);
    let other = Client::new(&evenkeel);
    other.send([2]);
    (0..2).for_each(|_| drop(other.receive()));
}

#[test]
fn answers_without_end_to_a_forged_client_do_not_keep_its_session() {
    let server = Server::start("a", |socket, _, peer| {
        let socket = socket.try_clone().unwrap();
        std::thread::spawn(move || {
            // Until the session's socket is closed, and refuses.
            let begun = std::time::Instant::now();
            while socket.send_to(b"flood", peer).is_ok() && begun.elapsed() < crate::support::DEADLINE {
                std::thread::sleep(crate::support::ms(1));
            }
        });
    });
    let evenkeel =
        Evenkeel::start(&config("max_answers = 1\ntimeout = { idle = \"500ms\" }", &[&server], ""));
    let client = Client::new(&evenkeel);
    client.send("x");
    let record = evenkeel.record(|record| record["ended"] == "idle_timeout");
    assert_eq!(record["bytes_out"], 5, "{record}");
    assert!(dropped(&evenkeel, "answers") > 10.0);
    assert_eq!(client.arrived(), 1);
}

#[test]
fn a_session_that_waits_for_a_server_keeps_a_few_datagrams() {
    let server = Server::echo("a");
    let pool = "wait_for_server = \"10s\"";
    let evenkeel = Evenkeel::start(&config("", &[&server], pool));
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    let client = Client::new(&evenkeel);
    (0..10_u8).for_each(|number| client.send([number]));
    eventually("the others are dropped", || dropped(&evenkeel, "waiting") == 6.0);
    assert_eq!(server.count(), 0);
    evenkeel.set_server("app", "a", "{\"state\":\"ready\"}");
    assert_eq!((0..4).map(|_| client.receive()[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(client.ask("next"), b"next");
    assert_eq!(server.sessions(), 1);
}

#[test]
fn a_server_has_no_more_sessions_than_it_may_and_others_queue() {
    let server = Server::echo("a");
    let backend = format!("{{ address = \"{}\", name = \"a\", max_connections = 1 }}", server.address());
    let toml = format!(
        "[listener.dns]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\ntimeout = {{ idle = \"1s\" }}\n\
         [pool.app]\nbackends = [{backend}]\nqueue = {{ wait = \"20s\" }}\n"
    );
    let evenkeel = Evenkeel::start(&toml);
    let (first, second) = (Client::new(&evenkeel), Client::new(&evenkeel));
    assert_eq!(first.ask("first"), b"first");
    second.send("second");
    eventually("it waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    assert_eq!(server.sessions(), 1);
    // When the first one has ended.
    assert_eq!(second.receive(), b"second");
    let record = evenkeel.record(|record| record["bytes_in"] == 5);
    assert_eq!(record["ended"], "idle_timeout");
}

#[test]
fn without_a_server_datagrams_are_dropped_and_logged() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    let client = Client::new(&evenkeel);
    client.send("x");
    let record = evenkeel.record(|record| record["ended"] == "refused");
    assert_eq!(record["reason"], "no healthy server in pool app");
    assert_eq!(dropped(&evenkeel, "refused"), 1.0);
    evenkeel.set_server("app", "a", "{\"state\":\"ready\"}");
    assert_eq!(client.ask("y"), b"y");
}

#[test]
fn what_a_socket_of_our_own_has_sent_goes_no_further() {
    // The servers of each are the listener of the other: without a check a datagram would go round for ever.
    let port = fixed_port();
    let toml = format!(
        "[listener.dns]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\n\
         [listener.other]\nbind = {port}\nprotocol = \"udp\"\npool = \"back\"\n\
         [pool.app]\nbackends = [\"127.0.0.1:{port}\"]\n[pool.back]\nbackends = [\"127.0.0.1:{port}\"]\n"
    );
    let evenkeel = Evenkeel::start(&toml);
    let client = Client::new(&evenkeel);
    client.send("round and round");
    eventually("it is dropped at the second listener", || dropped(&evenkeel, "source") == 1.0);
    assert_eq!(evenkeel.metric("evenkeel_datagrams_received_total", &[]), 2.0);
    assert_eq!(client.arrived(), 0);
}
