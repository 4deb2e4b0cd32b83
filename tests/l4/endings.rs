//! How connections end: in order, half closed, by a reset, because nothing moves; and what the log says of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use rustix::process::Signal;

use super::server::{Server, config, connect, end, exchange, is_reset, line, reset, rest};
use crate::support::{DEADLINE, Evenkeel, Gate, eventually, ms};

#[test]
fn bytes_pass_both_ways_unchanged_and_the_log_counts_them() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    let every: Vec<u8> = (0..=255).collect();
    for bytes in [b"hello".to_vec(), every, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![7; 100_000]] {
        assert_eq!(exchange(&client, &bytes), bytes);
    }
    end(&client);
    assert_eq!(rest(&client), b"");
    let record = evenkeel.record(|record| record["listener"] == "db");
    let sent = 5 + 256 + 18 + 100_000;
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(sent), Some(sent + 2)));
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("protocol", "tcp"),
        ("route", "listener:db"),
        ("pool", "app"),
        ("backend", "a"),
        ("ended", "client_closed"),
    ] {
        assert_eq!(record[key], value, "{key} in {record}");
    }
    assert_eq!(record["client_port"], client.local_addr().unwrap().port());
    assert!(record["connect_ms"].is_number() && record["reason"].is_null() && record["sni"].is_null());
    assert_eq!(record["tries"], 1);
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_the_answer() {
    let server = Server::start("a", |mut stream| {
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        stream.write_all(format!("you said {asked}").as_bytes()).unwrap();
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let mut client = connect(&evenkeel);
    client.write_all(b"this").unwrap();
    end(&client);
    assert_eq!(rest(&client), b"you said this");
    evenkeel.record(|record| record["ended"] == "client_closed" && record["bytes_out"] == 13);
}

#[test]
fn a_server_that_has_ended_its_side_still_gets_what_the_client_sends() {
    let (told, heard) = channel();
    let told = Mutex::new(told);
    let server = Server::start("a", move |mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut last = String::new();
        stream.read_to_string(&mut last).unwrap();
        told.lock().unwrap().send(last).unwrap();
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let mut client = connect(&evenkeel);
    assert_eq!(rest(&client), b"bye");
    client.write_all(b"last words").unwrap();
    drop(client);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), "last words");
    evenkeel.record(|record| record["ended"] == "server_closed" && record["bytes_in"] == 10);
}

#[test]
fn a_reset_of_the_client_reaches_the_server_as_a_reset() {
    let (told, heard) = channel();
    let told = Mutex::new(told);
    let server = Server::start("a", move |mut stream: TcpStream| {
        stream.write_all(b"a\n").unwrap();
        told.lock().unwrap().send(is_reset(&stream)).unwrap();
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    reset(client);
    assert!(heard.recv_timeout(DEADLINE).unwrap(), "the server sees an end where there was a reset");
    let record = evenkeel.record(|record| record["ended"] == "client_reset");
    assert!(record["reason"].as_str().unwrap().contains("reset"), "{record}");
}

#[test]
fn a_reset_of_the_server_reaches_the_client_as_a_reset() {
    let server = Server::start("a", |mut stream| {
        let _ = stream.read(&mut [0; 10]);
        reset(stream);
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let mut client = connect(&evenkeel);
    client.write_all(b"x").unwrap();
    assert!(is_reset(&client), "the client sees an end where there was a reset");
    evenkeel.record(|record| record["ended"] == "server_reset");
}

#[test]
fn a_connection_in_which_nothing_moves_is_closed() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("timeout = { idle = \"500ms\" }", &[&server], ""));
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    // As long as something moves, it stays.
    let begun = Instant::now();
    while begun.elapsed() < ms(1_200) {
        assert_eq!(exchange(&client, b"x"), b"x");
    }
    let last = Instant::now();
    assert_eq!(rest(&client), b"");
    assert!(last.elapsed() >= ms(450), "closed after {:?}", last.elapsed());
    let record = evenkeel.record(|record| record["ended"] == "idle_timeout");
    assert_eq!(record["reason"], "nothing moved for 500ms");
    eventually("the server's connection is closed", || server.open() == 0);
}

#[test]
fn a_process_that_leaves_cuts_what_is_open_after_its_grace_and_logs_it() {
    let server = Server::echo("a");
    let toml = config("", &[&server], "");
    let mut evenkeel = Evenkeel::start(&format!("[server]\nworkers = 1\ngrace = \"300ms\"\n{toml}"));
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    assert_eq!(exchange(&client, b"hello"), b"hello");
    evenkeel.signal(Signal::TERM);
    assert!(evenkeel.wait_exit().success());
    let record = evenkeel.record(|record| record["ended"] == "cut");
    assert_eq!((&record["bytes_in"], &record["backend"]), (&5.into(), &"a".into()));
}

#[test]
fn status_counts_connections_by_listener_and_server() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let (open, ended) = (connect(&evenkeel), connect(&evenkeel));
    for client in [&open, &ended] {
        assert_eq!(line(client), "a");
        assert_eq!(exchange(client, b"hello"), b"hello");
    }
    drop(ended);
    evenkeel.record(|_| true);
    let expected = serde_json::json!({ "open": 1, "ended": 1, "received_bytes": 10, "sent_bytes": 14 });
    assert_eq!(evenkeel.server("app", "a")["streams"], expected);
    assert_eq!(evenkeel.status()["listeners"][0]["streams"], expected);
}

#[test]
fn a_client_that_takes_nothing_is_closed_and_holds_up_no_other() {
    let server = Server::start("a", |mut stream| {
        let block = vec![b'x'; 64 * 1024];
        while stream.write_all(&block).is_ok() {}
    });
    let evenkeel = Evenkeel::start(&config("timeout = { write = \"1s\" }", &[&server], ""));
    let stuck = connect(&evenkeel);
    let mut reader = connect(&evenkeel);
    let mut buf = vec![0; 64 * 1024];
    eventually("the stuck client is closed", || {
        (0..16).for_each(|_| reader.read_exact(&mut buf).unwrap());
        !evenkeel.stdout.lines().is_empty()
    });
    let record = evenkeel.record(|_| true);
    assert_eq!(
        (&record["ended"], &record["reason"]),
        (&"client_stalled".into(), &"nothing moved for 1s".into())
    );
    drop(stuck);
    assert_eq!(evenkeel.metric("evenkeel_stream_connections", &[]), 1.0);
}

#[test]
fn a_server_that_takes_nothing_is_closed_and_memory_stays_bounded() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::start("a", move |_stream| held.wait());
    let evenkeel = Evenkeel::start(&config("timeout = { write = \"2s\" }", &[&server], ""));
    let before = evenkeel.allocated();
    let block = vec![b'x'; 64 * 1024];
    let clients: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut client = connect(&evenkeel);
            client.set_write_timeout(Some(ms(100))).unwrap();
            // Until neither the kernel nor the balancer takes more.
            while client.write_all(&block).is_ok() {}
            client
        })
        .collect();
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for {} connections", clients.len());
    eventually("all are closed", || evenkeel.stdout.lines().len() == clients.len());
    evenkeel.record(|record| record["ended"] == "server_stalled");
    gate.open();
}

/// Writes until neither the kernel nor the balancer takes more.
fn fill(mut stream: &TcpStream) {
    stream.set_write_timeout(Some(ms(300))).unwrap();
    let block = vec![b'x'; 64 * 1024];
    while stream.write_all(&block).is_ok() {}
}

#[test]
fn a_reset_of_a_client_is_noticed_while_its_server_takes_nothing() {
    let gate = Gate::default();
    let held = gate.clone();
    let (told, heard) = channel();
    let told = Mutex::new(told);
    let server = Server::start("a", move |stream| {
        held.wait();
        told.lock().unwrap().send(is_reset(&stream)).unwrap();
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = connect(&evenkeel);
    fill(&client);
    reset(client);
    evenkeel.record(|record| record["ended"] == "client_reset");
    assert_eq!(evenkeel.metric("evenkeel_stream_connections", &[]), 0.0);
    gate.open();
    assert!(heard.recv_timeout(DEADLINE).unwrap(), "the server sees an end where there was a reset");
}

#[test]
fn a_reset_of_a_server_is_noticed_while_its_client_takes_nothing() {
    let server = Server::start("a", |stream| {
        fill(&stream);
        reset(stream);
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = connect(&evenkeel);
    evenkeel.record(|record| record["ended"] == "server_reset");
    assert!(is_reset(&client), "the client sees an end where there was a reset");
}
