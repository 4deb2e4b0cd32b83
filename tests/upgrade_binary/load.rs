//! Ten upgrades in a row, under load over all kinds of connections: not one request is refused or fails. The clients try nothing
//! twice.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::setting::Chain;
use crate::support::h2::frames::{flag, headers, kind, ping, settings_ack};
use crate::support::h2::{Peer, fields};
use crate::support::{Authority, Client, Folder, Origin, TlsClient, Traffic, eventually, ms, pool};

/// Clients that do the same over and over, until they are stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    lost: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// So many of them; each does this until it says that it is to stop.
    fn start(
        clients: usize,
        act: impl Fn(&mut dyn FnMut(Result<(), String>) -> bool) + Send + Sync + 'static,
    ) -> Self {
        let (stop, done, lost) = (Arc::default(), Arc::default(), Arc::default());
        let mut crowd = Self { stop, done, lost, threads: Vec::new() };
        let act = Arc::new(act);
        for _ in 0..clients {
            let (act, stop) = (act.clone(), crowd.stop.clone());
            let (done, lost) = (crowd.done.clone(), crowd.lost.clone());
            crowd.threads.push(thread::spawn(move || {
                while !stop.load(SeqCst) {
                    act(&mut |outcome| {
                        done.fetch_add(1, SeqCst);
                        lost.lock().unwrap().extend(outcome.err());
                        thread::sleep(ms(1));
                        !stop.load(SeqCst)
                    });
                }
            }));
        }
        crowd
    }

    /// Waits until so many more have ended.
    fn more(&self, count: usize) {
        let goal = self.done.load(SeqCst) + count;
        eventually("traffic flows", || self.done.load(SeqCst) >= goal);
    }

    #[track_caller]
    fn assert_whole(mut self, what: &str) {
        self.stop.store(true, SeqCst);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let (lost, done) = (self.lost.lock().unwrap(), self.done.load(SeqCst));
        assert!(lost.is_empty(), "{what}: {} of {done} lost, such as {:?}", lost.len(), lost.first());
        assert!(done > 100, "{what}: only {done}");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// One request over a connection of its own, each time.
fn fresh(address: SocketAddr, clients: usize) -> Crowd {
    Crowd::start(clients, move |ended| {
        let outcome = Client::connect(address).try_get();
        ended(outcome);
    })
}

/// Requests over a connection that is kept for as long as the proxy keeps it.
fn over_tls(address: SocketAddr, tls: TlsClient) -> Crowd {
    Crowd::start(2, move |ended| {
        let mut client = match tls.connect(address, "shop.test") {
            Ok(client) => client,
            Err(fault) => {
                ended(Err(format!("no handshake: {fault:?}")));
                return;
            }
        };
        loop {
            client.send("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
            let response = client.response("GET");
            let closes = response.as_ref().map_or(true, |response| response.lists("connection", "close"));
            let outcome = response.map_err(|fault| format!("{fault:?}"));
            if !ended(outcome.and_then(|it| if it.status == 200 { Ok(()) } else { Err(it.text()) })) || closes
            {
                return;
            }
        }
    })
}

/// Requests over HTTP/2, one at a time over a connection, until the proxy says that it takes no more.
fn over_http2(address: SocketAddr) -> Crowd {
    Crowd::start(2, move |ended| {
        let mut peer = Peer::greeted(Client::connect(address));
        let (mut stream, mut goes) = (1, true);
        while goes {
            if let Err(fault) = peer.send(headers(stream, flag::WHOLE, fields::get())) {
                ended(Err(format!("{fault:?}")));
                return;
            }
            let outcome = loop {
                match peer.next() {
                    Ok(frame) if frame.kind == kind::GOAWAY => goes = false,
                    Ok(frame) if frame.kind == kind::PING && !frame.has(flag::ACK) => {
                        let mut pong = ping(&frame.payload[..8].try_into().unwrap());
                        pong[4] = flag::ACK;
                        let _ = peer.send(pong);
                    }
                    Ok(frame) if frame.kind == kind::SETTINGS && !frame.has(flag::ACK) => {
                        let _ = peer.send(settings_ack());
                    }
                    Ok(frame) if frame.kind == kind::RST_STREAM => break Err("reset".to_owned()),
                    Ok(frame) if frame.stream == stream && frame.has(flag::END_STREAM) => break Ok(()),
                    Ok(_) => {}
                    Err(fault) => break Err(format!("{fault:?} on stream {stream}")),
                }
            };
            goes &= outcome.is_ok();
            goes &= ended(outcome);
            stream += 2;
        }
    })
}

#[test]
fn ten_upgrades_in_a_row_lose_no_request() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let entry = authority.issue(&["shop.test"]).write(&folder, "shop");
    let unix = folder.path("web.sock");
    let mut chain = Chain::start_in(
        folder,
        &format!(
            "[server]\nworkers = 2\n[log]\naccess = \"off\"\n\
             [listener.web]\nbind = [\"127.0.0.1:0\", \"unix:{unix}\"]\npool = \"app\"\nhttp = [\"1.1\", \"2\"]\n\
             [listener.secure]\nbind = \"127.0.0.1:0\"\npool = \"app\"\ntls.certificates = [{entry}]\n{}",
            pool(&[&origin], "")
        ),
    );
    let (web, secure) = (chain.listener("web"), chain.listener("secure"));
    let kept = Traffic::paced(web, 4, ms(1));
    let (fresh, http2) = (fresh(web, 2), over_http2(web));
    let tls = over_tls(secure, TlsClient::new(&authority).offering(&["http/1.1"]));
    let at_path = Crowd::start(1, move |ended| {
        ended(unix_get(&unix));
    });
    for _ in 0..10 {
        chain.upgrade();
        kept.more(20);
        [&fresh, &http2, &tls, &at_path].iter().for_each(|crowd| crowd.more(5));
    }
    let tally = kept.stop();
    assert!(
        tally.lost.is_empty(),
        "{} of {:?} lost, such as {}",
        tally.lost.len(),
        tally.by_server,
        tally.lost[0]
    );
    fresh.assert_whole("fresh connections");
    http2.assert_whole("HTTP/2");
    tls.assert_whole("TLS");
    at_path.assert_whole("a unix socket");
    assert_eq!(chain.metric("evenkeel_upgrades_total", &["result=\"success\""]), 10.0);
    assert_eq!(chain.wait_end().code(), Some(0), "the first process has ended by itself");
    chain.end();
}

fn unix_get(path: &str) -> Result<(), String> {
    use std::io::{Read, Write};
    let failed = |error: std::io::Error| format!("{error}");
    let mut stream = std::os::unix::net::UnixStream::connect(path).map_err(failed)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("{answer:?}")) }
}

trait TryGet {
    fn try_get(&mut self) -> Result<(), String>;
}

impl TryGet for Client {
    fn try_get(&mut self) -> Result<(), String> {
        self.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        match self.response("GET") {
            Ok(response) if response.status == 200 => Ok(()),
            Ok(response) => Err(format!("{} {}", response.status, response.text())),
            Err(fault) => Err(format!("{fault:?}")),
        }
    }
}
