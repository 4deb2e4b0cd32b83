//! The clients of HTTP/2: several streams at a time over one connection, which is opened anew now and then.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::timeout;

use super::pattern::{Check, Digest, fill};
use super::tally::{Kind, Outcome};
use super::traffic::Traffic;

/// Streams at a time.
const STREAMS: usize = 4;
/// Requests of one connection.
const REQUESTS: usize = 200;
/// How long a stream waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, from its preface to its last request.
pub async fn connection(traffic: &Traffic, rng: &mut Rng) {
    let from = Instant::now();
    let opened = async {
        let stream = TcpStream::connect(traffic.address).await?;
        stream.set_nodelay(true)?;
        h2::client::handshake(stream).await.map_err(io::Error::other)
    };
    let (sender, connection) = match timeout(PATIENCE, opened).await {
        Ok(Ok(opened)) => opened,
        _ => return traffic.tally.count(&traffic.servers, Kind::Http2, true, from, &Outcome::Silent),
    };
    let driver = spawn_local(connection);
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let (traffic, sender, rng) = (traffic.clone(), sender.clone(), rng.fork());
        streams.spawn_local(async move { requests(&traffic, sender, rng).await });
    }
    streams.join_all().await;
    drop(sender);
    // Whether it ends in good order is seen by the balancer's own counts.
    let _ = timeout(PATIENCE, driver).await;
}

/// Asks one thing after the other until one fails, or it is enough.
async fn requests(traffic: &Traffic, mut sender: SendRequest<Bytes>, mut rng: Rng) {
    for _ in 0..REQUESTS / STREAMS {
        if traffic.is_stopped() {
            return;
        }
        let from = Instant::now();
        let is_get = rng.u8(..4) > 0;
        let asked = async {
            sender = sender.clone().ready().await?;
            if is_get { get(&mut sender, &mut rng).await } else { post(&mut sender, &mut rng).await }
        };
        let outcome = match timeout(PATIENCE, asked).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Cut,
            Err(_) => Outcome::Silent,
        };
        traffic.tally.count(&traffic.servers, Kind::Http2, is_get, from, &outcome);
        if matches!(outcome, Outcome::Cut | Outcome::Silent) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(1..60))).await;
    }
}

async fn get(sender: &mut SendRequest<Bytes>, rng: &mut Rng) -> Result<Outcome, h2::Error> {
    let (length, seed) = (rng.u64(1..200_000), rng.u64(..1000));
    let request = http::Request::get(format!("http://test/bytes/{length}/{seed}")).body(());
    let (response, _) = sender.send_request(request.expect("a valid request"), true)?;
    let mut check = Check::new(length, seed);
    let status = read(response, |piece| check.take(piece)).await?;
    Ok(match status {
        200 if check.is_whole() => Outcome::Good,
        200 => Outcome::Wrong(format!("{check:?}")),
        status => Outcome::Status(status),
    })
}

async fn post(sender: &mut SendRequest<Bytes>, rng: &mut Rng) -> Result<Outcome, h2::Error> {
    let (length, seed) = (rng.usize(1..60_000), rng.u64(..1000));
    let mut body = vec![0; length];
    fill(&mut body, 0, seed);
    let request = http::Request::post("http://test/sum").body(());
    let (response, mut stream) = sender.send_request(request.expect("a valid request"), false)?;
    // Buffered as far as the windows do not allow it yet. A stream that was refused says so in its response.
    let _ = stream.send_data(body.into(), true);
    let mut text = Vec::new();
    let status = read(response, |piece| text.extend_from_slice(piece)).await?;
    let expected = Digest::of(length, seed).to_string();
    Ok(match status {
        200 if text == expected.as_bytes() => Outcome::Good,
        200 => Outcome::Wrong(format!("{} arrived, {expected} was sent", String::from_utf8_lossy(&text))),
        status => Outcome::Status(status),
    })
}

/// Reads a response to its end; its status.
async fn read(response: h2::client::ResponseFuture, mut take: impl FnMut(&[u8])) -> Result<u16, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        take(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(head.status.as_u16())
}
