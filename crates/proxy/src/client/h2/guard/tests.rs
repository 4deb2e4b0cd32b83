//! A guarded connection of `h2`, and a client that counts its frames by hand.

use std::future::poll_fn;

use bytes::Bytes;
use h2::server;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::LocalSet;

use super::budget::{TOKEN_EVERY, TOKENS_MAX};
use super::*;

const GET: &[u8] = b"\x82\x84\x86\x41\x04test";
const PING: u8 = 6;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

/// The two frames of a request that is reset at once.
fn cancelled(stream: u32) -> Vec<u8> {
    [frame(1, 5, stream, GET), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
}

/// Serves one connection: does with each request what `act` says, and keeps it until the end.
async fn serve(io: DuplexStream, act: fn(&mut SendResponse<Bytes>)) {
    let (io, alarm) = Guard::new(io);
    let mut connection = server::Builder::new()
        .max_pending_accept_reset_streams(usize::MAX)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let mut kept = Vec::new();
    while let Some(Ok((_, mut respond))) = poll_fn(|cx| poll_accept(&mut connection, &alarm, cx)).await {
        act(&mut respond);
        kept.push(respond);
    }
}

fn answer(respond: &mut SendResponse<Bytes>) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

/// A client's side of a connection.
struct Client(DuplexStream);

impl Client {
    /// The next frame: its type and payload. `None` at the end.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    /// Sends `bytes` and waits for the frame of type `kind`; false when GOAWAY or the end came before it.
    async fn ask(&mut self, bytes: &[u8], kind: u8) -> bool {
        if self.0.write_all(bytes).await.is_err() {
            return false;
        }
        loop {
            match self.next().await {
                Some((seen, _)) if seen == kind => return true,
                Some((7, _)) | None => return false,
                Some(_) => {}
            }
        }
    }

    /// The code of the GOAWAY that ends the connection, and the last stream it names.
    async fn goaway(mut self) -> (Reason, u32) {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let mut last = None;
        while let Some((kind, payload)) = self.next().await {
            last = (kind == 7).then(|| (number(&payload[4..8]).into(), number(&payload[..4])));
        }
        last.unwrap()
    }
}

/// Runs `script` against a connection that is past its preface; requests are answered when `answers`.
fn with<F: Future>(answers: bool, script: impl FnOnce(Client) -> F) -> F::Output {
    with_server(if answers { answer } else { |_| {} }, script)
}

/// The same, with a server that does with each request what `act` says.
fn with_server<F: Future>(act: fn(&mut SendResponse<Bytes>), script: impl FnOnce(Client) -> F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 20);
    LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(serve(far, act));
        let mut client = Client(near);
        client.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        script(client).await
    })
}

/// The GOAWAY that `bytes` behind the preface lead to.
fn verdict(bytes: Vec<u8>) -> (Reason, u32) {
    with(false, async |mut client| {
        client.0.write_all(&bytes).await.unwrap();
        client.goaway().await
    })
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn after_settings(bytes: Vec<u8>) -> (Reason, u32) {
    verdict([settings(), bytes].concat())
}

#[test]
fn the_first_frame_is_settings() {
    assert_eq!(verdict(frame(1, 5, 1, GET)), (Reason::PROTOCOL_ERROR, 0));
    assert_eq!(verdict(frame(4, 1, 0, &[])), (Reason::PROTOCOL_ERROR, 0));
}

#[test]
fn lengths_are_those_of_the_type() {
    for (kind, flags, length) in [(2, 0, 4), (3, 0, 3), (4, 0, 3), (4, 1, 6), (6, 0, 6), (8, 0, 3)] {
        let wrong = frame(kind, flags, u32::from(kind == 3), &vec![0; length]);
        assert_eq!(after_settings(wrong), (Reason::FRAME_SIZE_ERROR, 0), "type {kind}");
    }
}

#[test]
fn a_stream_that_depends_on_itself_ends_the_connection() {
    let block = |pad: &[u8], on: u32| [pad, &on.to_be_bytes(), &[255], GET].concat();
    assert_eq!(after_settings(frame(1, 0x25, 3, &block(b"", 3))), (Reason::PROTOCOL_ERROR, 0));
    assert_eq!(after_settings(frame(1, 0x25, 3, &block(b"", 3 | 1 << 31))), (Reason::PROTOCOL_ERROR, 0));
    assert_eq!(after_settings(frame(1, 0x2d, 3, &block(b"\0", 3))), (Reason::PROTOCOL_ERROR, 0));
    assert!(with(true, async |mut client| {
        let fine = [settings(), frame(1, 0x25, 3, &block(b"", 1)), frame(1, 0x2d, 5, &block(b"\0", 3))];
        client.ask(&fine.concat(), 1).await && client.ask(&[], 1).await
    }));
}

#[test]
fn frames_before_the_wrong_one_count() {
    assert_eq!(
        after_settings([frame(1, 5, 1, GET), frame(6, 0, 0, &[0; 7])].concat()),
        (Reason::FRAME_SIZE_ERROR, 1)
    );
}

#[test]
fn floods_are_cut() {
    let floods = [
        ping(),
        settings(),
        frame(2, 0, 1, &[0, 0, 0, 0, 16]),
        frame(6, 1, 0, &[0; 8]),
        frame(8, 0, 0, &[0, 0, 0, 1]),
        frame(0x16, 0, 0, &[]),
    ];
    for flood in floods {
        let bytes = flood.repeat(TOKENS_MAX as usize + 1);
        assert_eq!(after_settings(bytes), (Reason::ENHANCE_YOUR_CALM, 0), "type {}", flood[3]);
    }
}

#[test]
fn resets_of_requests_without_an_answer_are_cut() {
    let bytes = (0..TOKENS_MAX / 4).flat_map(|i| cancelled(2 * i + 1)).collect();
    assert_eq!(after_settings(bytes).0, Reason::ENHANCE_YOUR_CALM);
}

/// The frames of a request whose window is opened too far, for which it is reset.
fn overflowing(stream: u32) -> Vec<u8> {
    [frame(1, 5, stream, GET), frame(8, 0, stream, &(u32::MAX >> 1).to_be_bytes())].concat()
}

#[test]
fn resets_that_a_client_provokes_are_cut_like_its_own() {
    let pairs = with(false, async |mut client| {
        client.0.write_all(&settings()).await.unwrap();
        for i in 0..TOKENS_MAX {
            let bytes = [cancelled(4 * i + 1), overflowing(4 * i + 3)].concat();
            if !client.ask(&bytes, 3).await {
                return i;
            }
        }
        TOKENS_MAX
    });
    // Four for each reset, and one for the WINDOW_UPDATE.
    let due = TOKENS_MAX / 9;
    assert!((due..due + 4).contains(&pairs), "after {pairs} pairs");
}

#[test]
fn resets_that_servers_cause_cost_nothing() {
    let reset = |respond: &mut SendResponse<Bytes>| respond.send_reset(Reason::INTERNAL_ERROR);
    assert!(with_server(reset, async |mut client| {
        client.0.write_all(&settings()).await.unwrap();
        for i in 0..TOKENS_MAX {
            if !client.ask(&frame(1, 5, 2 * i + 1, GET), 3).await {
                return false;
            }
        }
        true
    }));
}

#[test]
fn a_steady_trickle_goes_on_for_ever() {
    assert!(with(false, async |mut client| {
        client.0.write_all(&settings()).await.unwrap();
        for _ in 0..5 * TOKENS_MAX {
            tokio::time::advance(TOKEN_EVERY).await;
            if !client.ask(&ping(), PING).await {
                return false;
            }
        }
        true
    }));
}

#[test]
fn answers_pay_for_what_they_cause() {
    let window_update = frame(8, 0, 0, &[0, 0, 0, 2]);
    assert!(with(true, async |mut client| {
        client.0.write_all(&settings()).await.unwrap();
        for i in 0..2 * TOKENS_MAX {
            let request = frame(1, 5, 2 * i + 1, GET);
            let bytes = [request, window_update.repeat(2), ping()].concat();
            if !client.ask(&bytes, 0).await {
                return false;
            }
        }
        true
    }));
}
