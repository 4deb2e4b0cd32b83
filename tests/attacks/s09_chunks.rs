//! S9: tricks with chunks, from either side.

use crate::support::{Evenkeel, Framing, Origin, ok, pool};

/// Chunked bodies that readers disagree about.
const BAD_CHUNKS: [(&str, &str); 17] = [
    ("bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
    ("bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("minus", "-5\r\nhello\r\n0\r\n\r\n"),
    ("prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("space before", " 5\r\nhello\r\n0\r\n\r\n"),
    ("underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("not hexadecimal", "g\r\nhello\r\n0\r\n\r\n"),
    ("more data than said", "5\r\nhello!\r\n0\r\n\r\n"),
    ("beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the last size", "5\r\nhello\r\n0\n\r\n"),
    ("bare LF at the very end", "5\r\nhello\r\n0\r\n\n"),
    ("bad trailer", "5\r\nhello\r\n0\r\nno colon\r\n\r\n"),
];

#[test]
fn s9_bad_chunks_of_a_request_are_refused_and_reach_no_server_as_whole() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, chunks) in BAD_CHUNKS {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"));
        assert_eq!(client.answer("POST").status, 400, "{name}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s9_bad_chunks_of_an_answer_are_never_passed_off_as_whole() {
    for (name, chunks) in BAD_CHUNKS {
        let origin = Origin::bytes(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"));
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 502, "{name}"),
            Err(fault) => assert!(fault.is_end(), "{name}: {fault:?}"),
        }
    }
}

#[test]
fn s9_extensions_are_dropped_in_both_directions() {
    let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b;c=\"d\"\r\nhi\r\n0;last\r\n\r\n";
    let origin = Origin::bytes(text);
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel
        .ask("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nho\r\n0;z\r\n\r\n");
    assert_eq!((response.text().as_str(), origin.last().body.text().as_str()), ("hi", "ho"));
    for framing in [&response.body.framing, &origin.last().body.framing] {
        let Framing::Chunked(lines) = framing else { panic!("{framing:?}") };
        assert!(lines.iter().all(|line| !line.contains(';')), "{lines:?}");
    }
}

#[test]
fn s9_long_extensions_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1;");
    let junk = "x".repeat(4096);
    // As much as it takes: a balancer that swallowed it all would fail the assertion below.
    for _ in 0..64 {
        if !client.send(&junk) {
            break;
        }
    }
    match client.response("POST") {
        Ok(response) => assert!(matches!(response.status, 400 | 413 | 431), "{}", response.status),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s9_many_small_extensions_are_refused_or_dropped_but_never_passed_on() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let chunks = "1;ext=0123456789\r\na\r\n".repeat(2_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    match client.response("POST") {
        Ok(response) if response.status == 200 => assert_eq!(response.text().len(), 2_000),
        Ok(response) => assert!(matches!(response.status, 400 | 413), "{}", response.status),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    for request in origin.requests() {
        assert!(!String::from_utf8_lossy(&request.raw).contains("ext="));
    }
}
