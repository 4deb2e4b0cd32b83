//! Everything at once: clients that leave, servers that break off, changes and reloads. What a client gets whole is always one
//! response of the URL that it asked for, from its first byte to its last, and nothing is left behind.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::cache::config;
use crate::support::message::Request;
use crate::support::{Client, DEADLINE, Evenkeel, Origin, Wire, eventually};

const CLIENTS: u64 = 12;
const REQUESTS: usize = 150;
const PAGES: usize = 6;

/// A small generator, so that a failure can be repeated with its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// A body that says whose it is in each of its lines.
fn body(target: &str, version: usize, lines: usize) -> String {
    let mut out = String::new();
    for at in 0..lines {
        let _ = writeln!(out, "{target} {version} {at}/{lines}");
    }
    out
}

/// Asserts that these are all lines of one body, in their order.
fn check(target: &str, version: &str, text: &str) {
    let count = text.lines().count();
    for (at, line) in text.lines().enumerate() {
        assert_eq!(line, format!("{target} {version} {at}/{count}"));
    }
}

/// Answers at random: in every framing, kept or not, now and then not to the end.
fn serve(request: &Request, wire: &mut Wire, versions: &AtomicUsize) {
    let version = versions.fetch_add(1, Ordering::SeqCst);
    let mut dice = Dice(version as u64 * 7_919 + 1);
    let target = request.target();
    if request.method() == "POST" {
        wire.send("HTTP/1.1 204 No Content\r\n\r\n");
        return;
    }
    let control = [
        "max-age=600",
        "max-age=600",
        "max-age=0",
        "no-cache",
        "private",
        "max-age=10, stale-while-revalidate=60",
    ];
    let control = control[dice.below(control.len())];
    let tag = request.header("if-none-match").filter(|_| dice.below(2) == 0);
    if let Some(tag) = tag {
        wire.send(format!("HTTP/1.1 304 Not Modified\r\netag: {tag}\r\ncache-control: {control}\r\n\r\n"));
        return;
    }
    let lines = [1, 10, 500, 8_000][dice.below(4)];
    let text = body(target, version, lines);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncache-control: {control}\r\nx-version: {version}\r\netag: \"{version}\"\r\nvary: x-variant\r\n"
    );
    let cut = if dice.below(6) == 0 { text.len() / 2 } else { text.len() };
    match dice.below(3) {
        0 => wire.send(format!("{head}content-length: {}\r\n\r\n{}", text.len(), &text[..cut])),
        1 => {
            wire.send(format!("{head}transfer-encoding: chunked\r\n\r\n"));
            for piece in text.as_bytes()[..cut].chunks(5_000) {
                wire.send(format!("{:x}\r\n", piece.len()));
                wire.send(piece);
                wire.send("\r\n");
            }
            wire.send(if cut < text.len() { "" } else { "0\r\n\r\n" })
        }
        // A close in good order is an end here.
        _ => wire.send(format!("{head}\r\n{text}")),
    };
    wire.close();
}

fn visit(evenkeel: &Evenkeel, dice: &mut Dice, client: &mut Option<Client>) -> bool {
    let mut connection = client.take().unwrap_or_else(|| evenkeel.client());
    connection.patience(DEADLINE);
    let target = format!("/page{}", dice.below(PAGES));
    let variant = dice.below(2);
    let extra = ["", "", "", "cache-control: no-cache\r\n", "cache-control: max-stale=60\r\n"][dice.below(5)];
    let method = if dice.below(20) == 0 { "POST" } else { "GET" };
    let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
    connection.send(format!(
        "{method} {target} HTTP/1.1\r\nhost: test\r\nx-variant: {variant}\r\n{length}{extra}\r\n"
    ));
    match dice.below(8) {
        // Before the head.
        0 => return false,
        // In the body.
        1 => {
            let _ = connection.some();
            return false;
        }
        _ => {}
    }
    match connection.response(method) {
        Ok(response) if response.status == 200 => {
            check(&target, response.header("x-version").unwrap(), &response.text());
            if !response.lists("connection", "close") {
                *client = Some(connection);
            }
            true
        }
        Ok(response) => {
            assert!(matches!(response.status, 204 | 502 | 504), "{}", response.status);
            false
        }
        Err(fault) => {
            assert!(fault.is_end(), "{fault:?}");
            false
        }
    }
}

#[test]
fn no_client_gets_a_mixed_or_cut_body_and_nothing_is_left_behind() {
    let versions = AtomicUsize::new(1);
    let origin = Origin::start(move |request, wire| serve(request, wire, &versions));
    let text = format!("[server]\nworkers = 4\n[cache]\nmemory = \"4MiB\"\n{}", config(&[&origin], "true"));
    let evenkeel = Arc::new(Evenkeel::start(&text));
    let whole = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let (evenkeel, whole) = (evenkeel.clone(), whole.clone());
            thread::spawn(move || {
                let (mut dice, mut client) = (Dice(at + 1), None);
                for _ in 0..REQUESTS {
                    let got = visit(&evenkeel, &mut dice, &mut client);
                    whole.fetch_add(usize::from(got), Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let before = whole.load(Ordering::SeqCst);
        eventually("requests are answered", || {
            whole.load(Ordering::SeqCst) > before + 50 || clients.iter().all(thread::JoinHandle::is_finished)
        });
        assert_eq!(evenkeel.reload(&text).status, 200);
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(whole.load(Ordering::SeqCst) > CLIENTS as usize * REQUESTS / 3, "{whole:?} whole responses");
    for name in ["evenkeel_requests_in_flight", "evenkeel_backend_in_flight", "evenkeel_cache_fetching_bytes"]
    {
        eventually(name, || evenkeel.metric(name, &[]) == 0.0);
    }
    assert!(evenkeel.metric("evenkeel_cache_memory_bytes", &[]) <= f64::from(4 << 20));
}
