//! What one exchange costs a server: run it under callgrind, which counts the instructions of `serve`.
//!
//! ```text
//! cargo build --profile dist -p evenkeel-http2 --example exchange
//! valgrind --tool=callgrind --toggle-collect='*serve*' target/dist/examples/exchange
//! ```

use evenkeel_http2::{Config, Connection, Event, Head, Request};
use evenkeel_types::Time;

/// Exchanges before the ones that are measured, which fill the tables of both sides.
const WARM: usize = 100;
/// Exchanges that are measured.
const COUNT: usize = 10_000;

const REQUEST: Request<'static> = Request {
    method: b"GET",
    scheme: b"http",
    authority: b"127.0.0.1:8080",
    path: b"/api/item",
    protocol: b"",
};
const FIELDS: [(&[u8], &[u8]); 2] = [(b"user-agent", b"curl/7.88.1"), (b"accept", b"*/*")];

fn main() {
    let now = Time::from_millis(1);
    let mut client = Connection::client(Config::client(), now);
    let mut server = Connection::server(Config::server(), now);
    let (mut head, mut client_head) = (Head::new(), Head::new());
    let mut ids = (0..WARM + COUNT).map(|at| format!("{at:032x}")).collect::<Vec<_>>();
    let mut sent = 0;
    for (at, id) in ids.iter_mut().enumerate() {
        client.request(&REQUEST, FIELDS, true).expect("the server is there");
        let input = client.output().to_vec();
        client.sent(input.len());
        if at < WARM {
            exchange(&mut server, &input, &mut head, id, now)
        } else {
            serve(&mut server, &input, &mut head, id, now)
        }
        let output = server.output().to_vec();
        server.sent(output.len());
        sent += output.len();
        let mut taken = 0;
        loop {
            let received = client.receive(&output[taken..], &mut client_head, now).expect("ours");
            taken += received.taken;
            match received.event {
                Some(Event::Data { stream, data, .. }) => client.consume(stream, data.len()),
                Some(_) => {}
                None => break,
            }
        }
    }
    println!("{} bytes a response; a connection takes {} bytes", sent / ids.len(), server.memory());
    server.shrink();
    println!("and {} bytes when it is idle", server.memory());
}

/// What callgrind counts.
#[inline(never)]
fn serve(server: &mut Connection, input: &[u8], head: &mut Head, id: &str, now: Time) {
    exchange(server, input, head, id, now);
}

#[inline(always)]
fn exchange(server: &mut Connection, input: &[u8], head: &mut Head, id: &str, now: Time) {
    let mut taken = 0;
    loop {
        let received = server.receive(&input[taken..], head, now).expect("the client keeps to the rules");
        taken += received.taken;
        match received.event {
            Some(Event::Head { stream, .. }) => {
                let fields: [(&[u8], &[u8]); 4] = [
                    (b"content-type", b"text/plain"),
                    (b"content-length", b"128"),
                    (b"date", b"Sun, 29 Nov 2026 22:00:00 GMT"),
                    (b"x-request-id", id.as_bytes()),
                ];
                server.respond(stream, 200, fields, false).expect("it was just asked for");
                let sent = server.send_data(stream, &[b'x'; 128], true).expect("the head is sent");
                assert_eq!(sent, 128);
            }
            Some(_) => {}
            None => break,
        }
    }
}
