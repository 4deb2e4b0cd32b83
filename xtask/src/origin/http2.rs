//! The same over HTTP/2 with prior knowledge, on the same port: the small answer, and two methods of gRPC.

use std::time::Instant;

use evenkeel_http2::{BudgetConfig, Code, CommandError, Config, Connection, Event, Head, StreamId};
use evenkeel_types::Time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SMALL_BODY;

/// What no connection of HTTP/1.1 begins with.
pub const START: &[u8] = b"PRI * HTTP/2.0\r\n";
/// A call that is answered with one message.
pub const UNARY_PATH: &str = "/bench.Echo/Unary";
/// A call that is answered with [`STREAMED`] messages, one after the other.
pub const STREAM_PATH: &str = "/bench.Echo/Stream";
/// How many messages a stream has.
const STREAMED: usize = 100;
/// A message of gRPC with 128 bytes: not compressed, its length, and its bytes.
pub const MESSAGE: [u8; 133] = {
    let mut message = [b'x'; 133];
    let length = 128u32.to_be_bytes();
    message[0] = 0;
    let mut at = 0;
    while at < length.len() {
        message[1 + at] = length[at];
        at += 1;
    }
    message
};
/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// An answer that is being sent: so many pieces, each in a frame of its own.
struct Answer {
    piece: &'static [u8],
    pieces: usize,
    /// How much of the next piece has been sent.
    sent: usize,
    is_grpc: bool,
}

impl Answer {
    fn to(path: Option<&[u8]>) -> Self {
        let (piece, pieces): (&'static [u8], _) = match path {
            Some(path) if path == UNARY_PATH.as_bytes() => (&MESSAGE, 1),
            Some(path) if path == STREAM_PATH.as_bytes() => (&MESSAGE, STREAMED),
            _ => (&[b'x'; SMALL_BODY], 1),
        };
        Self { piece, pieces, sent: 0, is_grpc: piece.len() == MESSAGE.len() }
    }

    /// Sends the head.
    fn begin(&self, connection: &mut Connection, stream: StreamId) -> Result<(), CommandError> {
        let kind: &[u8] = if self.is_grpc { b"application/grpc" } else { b"text/plain" };
        connection.respond(stream, 200, [(b"content-type".as_slice(), kind)], false)
    }

    /// Sends what the windows allow; true when that was all.
    fn go_on(&mut self, connection: &mut Connection, stream: StreamId) -> Result<bool, CommandError> {
        while self.pieces > 0 {
            let ends = self.pieces == 1 && !self.is_grpc;
            self.sent += connection.send_data(stream, &self.piece[self.sent..], ends)?;
            if self.sent < self.piece.len() {
                return Ok(false);
            }
            (self.pieces, self.sent) = (self.pieces - 1, 0);
        }
        if self.is_grpc {
            connection.trailers(stream, [(b"grpc-status".as_slice(), b"0".as_slice())])?;
        }
        Ok(true)
    }
}

/// Answers the requests of one connection, of which `early` has been read already.
pub async fn serve(mut stream: TcpStream, early: &[u8]) -> std::io::Result<()> {
    let started = Instant::now();
    let mut connection = Connection::server(config(), Time::ZERO);
    let mut answers: Vec<Option<Answer>> = Vec::new();
    let (mut head, mut input) = (Head::new(), early.to_vec());
    loop {
        let now = Time::ZERO + started.elapsed();
        let mut rest = &input[..];
        // What breaks the protocol ends the connection, once that is said.
        while let Ok(received) = connection.receive(rest, &mut head, now) {
            rest = &rest[received.taken..];
            let Some(event) = received.event else { break };
            act(&mut connection, &mut answers, event, &head);
        }
        // What was written makes room for more.
        loop {
            while let Some(stream) = connection.next_writable() {
                answer(&mut connection, &mut answers, stream);
            }
            let written = connection.output().len();
            if written == 0 {
                break;
            }
            stream.write_all(connection.output()).await?;
            connection.sent(written);
        }
        if connection.is_finished() {
            return Ok(());
        }
        input.resize(PIECE, 0);
        match stream.read(&mut input).await? {
            0 => return Ok(()),
            read => input.truncate(read),
        }
    }
}

/// Any load is welcome.
fn config() -> Config {
    let mut config = Config::server();
    config.settings.max_concurrent_streams = 1024;
    config.budget = BudgetConfig { tokens: u32::MAX, ..BudgetConfig::default() };
    config
}

fn act(connection: &mut Connection, answers: &mut Vec<Option<Answer>>, event: Event, head: &Head) {
    match event {
        Event::Head { stream, ends, .. } => {
            if answers.len() <= stream.slot() {
                answers.resize_with(stream.slot() + 1, || None);
            }
            // Behind the body may be trailers, which are of no interest.
            if !head.method().is_empty() {
                answers[stream.slot()] = Some(Answer::to(head.path()));
            }
            if ends {
                begin(connection, answers, stream);
            }
        }
        Event::Data { stream, data, ends } => {
            connection.consume(stream, data.len());
            if ends {
                begin(connection, answers, stream);
            }
        }
        Event::Reset { stream, .. } => answers[stream.slot()] = None,
        _ => {}
    }
}

/// The request is whole: its answer begins.
fn begin(connection: &mut Connection, answers: &mut [Option<Answer>], stream: StreamId) {
    if let Some(answer) = &answers[stream.slot()]
        && answer.begin(connection, stream).is_err()
    {
        connection.reset(stream, Code::INTERNAL_ERROR);
    }
    answer(connection, answers, stream);
}

fn answer(connection: &mut Connection, answers: &mut [Option<Answer>], stream: StreamId) {
    let entry = &mut answers[stream.slot()];
    // A client that has reset the stream wants no more of it.
    if entry.as_mut().is_some_and(|answer| answer.go_on(connection, stream).unwrap_or(true)) {
        *entry = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use evenkeel_http2::{HeadKind, PREFACE, Request};
    use tokio::net::TcpListener;

    /// What so many calls to `path` at once are answered with, of a client that says nothing more: bytes of data, and how many trailers
    /// followed.
    async fn calls(path: &str, count: usize) -> (usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            let mut early = vec![0; PREFACE.len()];
            stream.read_exact(&mut early).await.unwrap();
            assert!(early.starts_with(START));
            serve(stream, &early).await
        });
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut client = Connection::client(Config::client(), Time::ZERO);
        let [method, scheme, authority] = [b"POST".as_slice(), b"http", b"a"];
        let request = Request { method, scheme, authority, path: path.as_bytes(), protocol: b"" };
        for _ in 0..count {
            let stream = client.request(&request, [], false).unwrap();
            client.send_data(stream, &MESSAGE, true).unwrap();
        }
        let (mut head, mut buffer) = (Head::new(), vec![0; PIECE]);
        let (mut bytes, mut trailers, mut ended) = (0, 0, 0);
        loop {
            let written = client.output().len();
            socket.write_all(client.output()).await.unwrap();
            client.sent(written);
            let read = socket.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the connection has ended");
            let mut rest = &buffer[..read];
            loop {
                let received = client.receive(rest, &mut head, Time::ZERO).unwrap();
                rest = &rest[received.taken..];
                match received.event {
                    Some(Event::Head { kind: HeadKind::Trailers, .. }) => {
                        assert_eq!(head.field(b"grpc-status"), Some(b"0".as_slice()));
                        (trailers, ended) = (trailers + 1, ended + 1);
                    }
                    Some(Event::Data { data, ends, .. }) => {
                        bytes += data.len();
                        ended += usize::from(ends);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            if ended == count {
                return (bytes, trailers);
            }
        }
    }

    #[test]
    fn each_call_has_its_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(calls("/", 1).await, (SMALL_BODY, 0));
            assert_eq!(calls(UNARY_PATH, 1).await, (MESSAGE.len(), 1));
            // More than is written at a time.
            assert_eq!(calls(STREAM_PATH, 32).await, (32 * STREAMED * MESSAGE.len(), 32));
        });
    }
}
