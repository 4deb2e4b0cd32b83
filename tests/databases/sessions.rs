//! What happens to sessions on a server that loses its role: tunnels are closed at once, and idle connections are not used again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::setting::wait_for_states;
use crate::support::Evenkeel;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// Two servers that speak HTTP, and to checks the protocol of Redis; one of them is the primary.
struct Pair {
    addresses: Vec<SocketAddr>,
    primary: Arc<AtomicUsize>,
}

impl Pair {
    fn start() -> Self {
        let primary = Arc::new(AtomicUsize::new(0));
        let listen = |number| {
            let (listener, primary) = (TcpListener::bind("127.0.0.1:0").unwrap(), primary.clone());
            let address = listener.local_addr().unwrap();
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let primary = primary.clone();
                    thread::spawn(move || serve(stream, number, &primary));
                }
            });
            address
        };
        let addresses = (0..2).map(listen).collect();
        Self { addresses, primary }
    }

    fn config(&self) -> String {
        let [a, b] = [self.addresses[0], self.addresses[1]];
        format!(
            "[pool.app]\nbackends = [{{ address = \"{a}\", name = \"a\" }}, {{ address = \"{b}\", name = \"b\" }}]\n\
             health = {{ kind = \"redis\", role = \"primary\", interval = \"50ms\" }}\n"
        )
    }

    fn promote(&self, number: usize) {
        self.primary.store(number, Ordering::SeqCst);
    }
}

fn serve(mut stream: TcpStream, number: usize, primary: &AtomicUsize) -> Option<()> {
    let mut buf = [0; 4096];
    loop {
        let length = stream.read(&mut buf).ok().filter(|length| *length > 0)?;
        let asked = String::from_utf8_lossy(&buf[..length]);
        let is_primary = primary.load(Ordering::SeqCst) == number;
        let answer = if asked.contains("PING") {
            "+PONG\r\n".to_owned()
        } else if asked.contains("ROLE") && is_primary {
            "*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n".to_owned()
        } else if asked.contains("ROLE") {
            "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n".to_owned()
        } else if asked.contains("INFO") {
            let info = format!("master_replid:{}\r\n", "ab"[number..=number].repeat(40));
            format!("${}\r\n{info}\r\n", info.len())
        } else if asked.contains("upgrade: echo") {
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n".to_owned()
        } else if asked.starts_with("GET ") {
            format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}", &"ab"[number..=number])
        } else {
            asked.into_owned()
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn tunnels_to_a_server_that_loses_its_role_are_closed_and_clients_reach_the_other_one() {
    let pair = Pair::start();
    let evenkeel = Evenkeel::start(&pair.config());
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    let mut kept = evenkeel.client();
    assert_eq!(kept.get("/").text(), "a");
    let mut tunnel = evenkeel.client();
    assert_eq!(tunnel.ask(UPGRADE).status, 101);
    tunnel.send("through");
    assert_eq!(tunnel.exactly(7).unwrap(), b"through");
    pair.promote(1);
    tunnel.assert_closed();
    wait_for_states(&evenkeel, "app", "a unfit, b up");
    assert_eq!(kept.get("/").text(), "b");
    let mut tunnel = evenkeel.client();
    assert_eq!(tunnel.ask(UPGRADE).status, 101);
    let record = evenkeel.record(|record| record["target"] == "/ws");
    assert_eq!(record["reason"], "the server has lost its role, or was disabled", "{record}");
    // The idle connection to the first server was not kept for when it is the primary again.
    pair.promote(0);
    tunnel.assert_closed();
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    assert_eq!(kept.get("/").text(), "a");
    assert_eq!(evenkeel.metric("evenkeel_tunnels", &[]), 0.0);
}

#[test]
fn a_reload_that_changes_nothing_about_the_role_closes_no_session() {
    let pair = Pair::start();
    let evenkeel = Evenkeel::start(&pair.config());
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    let mut tunnel = evenkeel.client();
    assert_eq!(tunnel.ask(UPGRADE).status, 101);
    assert_eq!(evenkeel.reload(&format!("{}slow_start = \"30s\"\n", pair.config())).status, 200);
    tunnel.send("through");
    assert_eq!(tunnel.exactly(7).unwrap(), b"through");
    pair.promote(1);
    tunnel.assert_closed();
}
