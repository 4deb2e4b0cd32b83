//! S9, in depth: sizes, ends and trailers of chunks, from either side.

use crate::support::{Evenkeel, Fault, Origin, ok, pool};

const BAD_CHUNKS: [(&str, &str); 24] = [
    ("space behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
    ("tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n"),
    ("CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n"),
    ("CR CR LF behind the data", "5\r\nhello\r\r\n0\r\n\r\n"),
    ("LF CR behind the data", "5\r\nhello\n\r0\r\n\r\n"),
    ("nothing behind the data", "5\r\nhello0\r\n\r\n"),
    ("empty line before the size", "\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("CRLF in a quoted extension", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"),
    ("NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"),
    ("extension without a name", "5;\r\nhello\r\n0\r\n\r\n"),
    ("extension with a bad name", "5;bad[=x\r\nhello\r\n0\r\n\r\n"),
    ("extension with a value alone", "5;=x\r\nhello\r\n0\r\n\r\n"),
    ("extension with an empty value", "5;a=\r\nhello\r\n0\r\n\r\n"),
    ("two semicolons", "5;;a=b\r\nhello\r\n0\r\n\r\n"),
    ("extension without a name behind the last size", "5\r\nhello\r\n0;\r\n\r\n"),
    ("comma", "5,5\r\nhello\r\n0\r\n\r\n"),
    ("hexadecimal suffix", "5h\r\nhello\r\n0\r\n\r\n"),
    ("capital prefix", "0X5\r\nhello\r\n0\r\n\r\n"),
    ("fraction", "5.0\r\nhello\r\n0\r\n\r\n"),
    ("digits of another script", "\u{ff15}\r\nhello\r\n0\r\n\r\n"),
    ("2^64 - 1", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ("only LF", "5\nhello\n0\n\n"),
    ("bare CR behind the last size", "5\r\nhello\r\n0\r\r\n"),
    ("folded trailer", "5\r\nhello\r\n0\r\nx: y\r\n z\r\n\r\n"),
];

#[test]
fn s9_more_bad_chunks_of_a_request_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nrequest_body = \"1MiB\"\n{}", pool(&[&origin], "")));
    for (name, chunks) in BAD_CHUNKS {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"));
        let status = client.answer("POST").status;
        assert!(matches!(status, 400 | 413), "{name}: {status}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s9_more_bad_chunks_of_an_answer_are_never_passed_off_as_whole() {
    for (name, chunks) in BAD_CHUNKS {
        let origin = Origin::bytes_then_close(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        ));
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
fn s9_odd_but_right_chunks_are_read_as_anybody_would() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for chunks in [
        "05\r\nhello\r\n00\r\n\r\n",
        "0000000005\r\nhello\r\n0000\r\n\r\n",
        "5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\nx-trailer: 1\r\n\r\n",
    ] {
        let mut client = evenkeel.client();
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let response = client.ask(request);
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{chunks:?}");
        assert_eq!(client.get("/").status, 200, "{chunks:?}: the connection is in step");
    }
}

/// Sends what never ends after the head of a chunked POST; what the balancer makes of it.
fn endless(evenkeel: &Evenkeel, start: &str, piece: &str) -> Result<u16, Fault> {
    let mut client = evenkeel.client();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{start}"));
    let block = piece.repeat(4096 / piece.len());
    for _ in 0..256 {
        if !client.send(&block) {
            break;
        }
    }
    client.response("POST").map(|response| response.status)
}

#[test]
fn s9_lines_without_an_end_are_cut_off() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (start, piece) in [
        ("", "0"),
        ("5;", ";a=b"),
        ("5;a=\"", "\\\""),
        ("0\r\nx: ", "y"),
        ("0\r\n", "x: yyyyyyyyyyyy\r\n"),
        ("0;", "x"),
    ] {
        match endless(&evenkeel, start, piece) {
            Ok(status) => assert!(matches!(status, 400 | 413 | 431), "{start:?}: {status}"),
            Err(fault) => assert!(fault.is_end(), "{start:?}: {fault:?}"),
        }
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s9_a_servers_lines_without_an_end_are_cut_off() {
    for (start, piece) in [("", "0"), ("5;", "x"), ("0\r\nx: ", "y"), ("0\r\n", "x: yyyyyyyyyyyy\r\n")] {
        let origin = Origin::start(move |_, wire| {
            wire.send(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{start}"));
            let block = piece.repeat(4096 / piece.len());
            while wire.send(&block) {}
            wire.close();
        });
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 502, "{start:?}"),
            Err(fault) => assert!(fault.is_end(), "{start:?}: {fault:?}"),
        }
        let resident = evenkeel.allocated();
        assert!(resident < 128 << 20, "{start:?}: {resident} bytes");
    }
}
