//! Streams: events pass one by one, a body that breaks off is seen to, and a large one harms no other client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::decode::{ALL, begun, decoded, get_compressed, text};
use crate::support::{Client, DEADLINE, Evenkeel, Fault, Gate, Origin, Wire, answer, eventually, ms, pool};

fn before(origin: &Origin) -> Evenkeel {
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = { level = 1 }\n";
    Evenkeel::start(&(route.to_owned() + &pool(&[origin], "")))
}

fn ask(client: &mut Client, target: &str, encoding: &str) {
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\naccept-encoding: {encoding}\r\n\r\n"));
}

/// The data of the next chunk; `None` at the last.
fn chunk(wire: &mut Wire) -> Result<Option<Vec<u8>>, Fault> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(wire.exactly(1)?);
    }
    let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap();
    let data = wire.exactly(size)?;
    wire.exactly(2)?;
    Ok((size > 0).then_some(data))
}

/// Whether a client saw each event before the next was sent; false if the worker was late, and sent them as they were.
fn sees_each_event(encoding: &str) -> bool {
    const EVENTS: usize = 5;
    let (seen, wanted) = channel::<()>();
    let wanted = Mutex::new(wanted);
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for event in 0..EVENTS {
            let data = format!("data: {event}\n\n");
            wire.send(format!("{:x}\r\n{data}\r\n", data.len()));
            if wanted.lock().unwrap().recv_timeout(DEADLINE).is_err() {
                return;
            }
        }
        wire.send("0\r\n\r\n");
    });
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    ask(&mut client, "/", encoding);
    if client.head().unwrap().header("content-encoding") != Some(encoding) {
        return false;
    }
    let (mut bytes, mut all) = (Vec::new(), String::new());
    for event in 0..EVENTS {
        all.push_str(&format!("data: {event}\n\n"));
        while begun(encoding, &bytes).0 != all.as_bytes() {
            bytes.extend(chunk(&mut client).unwrap().expect("an event"));
        }
        seen.send(()).unwrap();
    }
    while let Some(data) = chunk(&mut client).unwrap() {
        bytes.extend(data);
    }
    assert_eq!(decoded(encoding, &bytes), all.as_bytes());
    true
}

#[test]
fn a_client_sees_each_event_before_the_next_is_sent() {
    for encoding in ALL {
        eventually("the stream is compressed", || sees_each_event(encoding));
    }
}

#[test]
fn what_is_there_already_is_not_flushed_piece_by_piece() {
    let body = text(60_000);
    let chunks: Vec<&str> =
        body.as_bytes().chunks(60).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    let chunks: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n";
    let origin = Origin::bytes(format!("{head}{chunks}0\r\n\r\n"));
    let whole = Origin::bytes(answer(200, "content-type: text/html\r\n", &body));
    for encoding in ALL {
        let size = |origin: &Origin| {
            let evenkeel = before(origin);
            let accepts = format!("accept-encoding: {encoding}\r\n");
            let response = get_compressed(&mut evenkeel.client(), "/", &accepts);
            assert!(decoded(encoding, &response.body.bytes) == body.as_bytes());
            response.body.bytes.len()
        };
        let (in_pieces, at_once) = (size(&origin), size(&whole));
        assert!(in_pieces < at_once + at_once / 4, "{encoding}: {in_pieces} bytes instead of {at_once}");
    }
}

/// A server that sends this, and closes the connection once the gate is open.
fn cut_at(gate: &Gate, text: String) -> Origin {
    let gate = gate.clone();
    Origin::start(move |_, wire| {
        wire.send(&text);
        gate.wait();
        wire.close();
    })
}

/// Whether a client of this version could see that the body, which begins like `rest`, broke off; false if it was not
/// compressed, because the worker was late.
fn sees_the_cut(encoding: &str, version: &str, rest: &str) -> bool {
    let gate = Gate::default();
    let origin = cut_at(&gate, format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{rest}"));
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    client.send(format!("GET / HTTP/{version}\r\nhost: test\r\naccept-encoding: {encoding}\r\n\r\n"));
    let is_compressed = client.head().unwrap().header("content-encoding").is_some();
    let mut seen = client.some().unwrap();
    gate.open();
    let fault = loop {
        match client.some() {
            Ok(more) => seen.extend(more),
            Err(fault) => break fault,
        }
    };
    if !is_compressed {
        return false;
    }
    if version == "1.1" {
        assert!(!seen.ends_with(b"\r\n0\r\n\r\n"), "{encoding}: the last chunk came");
    } else {
        assert_eq!(fault, Fault::Reset, "{encoding}: only a reset tells a cut from the end");
        assert!(!begun(encoding, &seen).1, "{encoding}: the end marker came");
    }
    let record = evenkeel.record(|record| record["ended"] == "backend_aborted");
    assert_eq!(record["status"], 200, "{record}");
    true
}

#[test]
fn a_body_that_breaks_off_is_never_passed_off_as_whole() {
    let body = text(50_000);
    for rest in [
        format!("content-length: 60000\r\n\r\n{body}"),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
    ] {
        for (encoding, version) in ALL.iter().flat_map(|encoding| [(encoding, "1.1"), (encoding, "1.0")]) {
            eventually("the body is compressed", || sees_the_cut(encoding, version, &rest));
        }
    }
}

#[test]
fn a_server_that_breaks_off_at_once_gets_its_client_an_error() {
    let origin = Origin::bytes_then_close(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9000\r\n\r\nonly this",
    );
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    ask(&mut client, "/", "gzip");
    match client.response("GET") {
        Ok(response) => assert_eq!(response.status, 502, "nothing of it had gone out"),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
}

/// A server of endless text, and how much of it was taken.
fn endless(limit: usize) -> (Origin, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let theirs = sent.clone();
    let block = text(64 * 1024);
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/small" {
            wire.send(answer(200, "content-type: text/html\r\n", "small"));
            return;
        }
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {limit}\r\n\r\n"));
        while theirs.load(Ordering::SeqCst) < limit && wire.send(&block) {
            theirs.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    (origin, sent)
}

/// Whether a response of 96 MiB takes little memory, and others are served beside it; false if it was not compressed,
/// because the worker was late.
fn is_streamed(encoding: &str) -> bool {
    const LEN: usize = 96 << 20;
    let (origin, sent) = endless(LEN);
    let evenkeel = before(&origin);
    let before = evenkeel.allocated();
    let mut client = evenkeel.client();
    ask(&mut client, "/", encoding);
    if client.head().unwrap().header("content-encoding") != Some(encoding) {
        return false;
    }
    let reader = std::thread::spawn(move || {
        let mut bytes = 0;
        while let Some(data) = chunk(&mut client).unwrap() {
            bytes += data.len();
        }
        bytes
    });
    eventually("the stream is on its way", || sent.load(Ordering::SeqCst) > 4 << 20);
    let (mut served_meanwhile, mut peak) = (0, 0);
    while sent.load(Ordering::SeqCst) < LEN {
        assert_eq!(evenkeel.get("/small").text(), "small");
        served_meanwhile += usize::from(sent.load(Ordering::SeqCst) < LEN);
        peak = peak.max(evenkeel.allocated());
    }
    assert!(served_meanwhile > 5, "{encoding}: {served_meanwhile} others were served beside it");
    assert!(peak < before + (32 << 20), "{encoding}: {} bytes more", peak - before);
    assert!(reader.join().unwrap() < LEN / 2);
    true
}

#[test]
fn a_large_response_takes_little_memory_and_lets_others_through() {
    for encoding in ALL {
        eventually("the response is compressed", || is_streamed(encoding));
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_server_from_being_read() {
    let (origin, sent) = endless(1 << 30);
    let evenkeel = before(&origin);
    let mut client = Client::slow_reader(evenkeel.address());
    ask(&mut client, "/", "gzip");
    client.head().unwrap();
    let mut last = (0, std::time::Instant::now());
    eventually("the flow stops", || {
        let now = sent.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > ms(500)
    });
    assert!(last.0 < 256 << 20, "{} bytes were taken for a client that reads none", last.0);
}
