//! One request to the admin API of a running process.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::Address;
use serde_json::Value;

use super::change::segment;

/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the process may be silent. It gives a command 30 s.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(40);
/// The same for a stream, which sends a message every second.
#[cfg(feature = "top")]
const STREAM_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of the head of an answer.
#[cfg(feature = "top")]
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// The admin API of a running process.
#[derive(Debug)]
pub(super) struct Admin {
    /// Where it is.
    pub(super) address: Address,
    /// The token to send.
    pub(super) token: Option<Token>,
    /// How long the process may be silent.
    pub(super) patience: Duration,
    /// The reason for a change.
    pub(super) why: Option<String>,
}

/// A token, and the file that holds it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) file: PathBuf,
}

/// Why there is no answer, or an error.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The command cannot find the process, or its token.
    Unknown(String),
    /// No process takes connections there.
    NotRunning(Address, io::Error),
    /// The connection broke off, or the process was silent for too long.
    Silent(Address, io::Error),
    /// Another program than the admin API of Evenkeel answers.
    Stranger(Address),
    /// 401, and no token was sent.
    NoToken(Address),
    /// 401, and the token of this file was sent.
    WrongToken(Address, PathBuf),
    /// The process refuses, and says why.
    Refused(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => f.write_str(why),
            Self::NotRunning(address, error) => write!(
                f,
                "no process takes connections at {address} ({error}): start Evenkeel, or name its admin API with `--admin ADDRESS`"
            ),
            Self::Silent(address, error) => write!(f, "the admin API at {address} does not answer: {error}"),
            Self::Stranger(address) => {
                write!(
                    f,
                    "the program that answers at {address} is not the admin API of Evenkeel: name its address with `--admin ADDRESS`"
                )
            }
            Self::NoToken(address) => write!(
                f,
                "the admin API at {address} demands its token: name the file that holds it with `--token-file FILE`"
            ),
            Self::WrongToken(address, file) => {
                write!(f, "the admin API at {address} refuses the token in {}", file.display())
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Admin {
    /// What the process answers to a GET.
    pub(super) fn get(&self, path: &str) -> Result<Value, Unanswered> {
        self.ask("GET", path, None)
    }

    /// The same process, for a request that may take so long.
    pub(super) fn patient(self, takes: Duration) -> Self {
        Self { patience: takes + ANSWER_TIME_MAX, ..self }
    }

    /// Posts an object and returns the one that the process answers.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Unanswered> {
        self.ask("POST", path, Some(body))
    }

    /// Puts an object and returns the one that the process answers.
    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, Unanswered> {
        self.ask("PUT", path, Some(body))
    }

    /// What the process answers to a DELETE.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Unanswered> {
        self.ask("DELETE", path, None)
    }

    /// The body of the answer to a GET, as it arrives. The process must send a message every second.
    #[cfg(feature = "top")]
    pub(super) fn stream(&self, path: &str) -> Result<impl Read + use<>, Unanswered> {
        let silent = |error| Unanswered::Silent(self.address.clone(), error);
        let patient = Self {
            address: self.address.clone(),
            token: self.token.clone(),
            patience: STREAM_TIME_MAX,
            why: None,
        };
        let (mut stream, host) =
            patient.connect().map_err(|error| Unanswered::NotRunning(self.address.clone(), error))?;
        let authorization = self.authorization();
        let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).map_err(silent)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if head.len() >= HEAD_BYTES_MAX || stream.read(&mut byte).map_err(silent)? == 0 {
                return Err(Unanswered::Stranger(self.address.clone()));
            }
            head.push(byte[0]);
        }
        let is_stream = String::from_utf8_lossy(&head).to_ascii_lowercase().contains("text/event-stream");
        match parse(&head) {
            Some((200, _)) if is_stream => Ok(stream),
            Some((status, mut body)) if status != 200 => {
                stream.take(ANSWER_BYTES_MAX).read_to_end(&mut body).map_err(silent)?;
                Err(self
                    .judge(status, &body)
                    .err()
                    .unwrap_or_else(|| Unanswered::Stranger(self.address.clone())))
            }
            _ => Err(Unanswered::Stranger(self.address.clone())),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Unanswered> {
        let text = body.map(Value::to_string);
        let (status, answer) = self.exchange(method, path, text.as_deref())?;
        self.judge(status, &answer)
    }

    /// The object of the answer, or the reason for the error.
    fn judge(&self, status: u16, answer: &[u8]) -> Result<Value, Unanswered> {
        let answer: Result<Value, _> = serde_json::from_slice(answer);
        match (status, answer) {
            (200..=299, Ok(answer)) => Ok(answer),
            (401, _) => Err(match &self.token {
                None => Unanswered::NoToken(self.address.clone()),
                Some(token) => Unanswered::WrongToken(self.address.clone(), token.file.clone()),
            }),
            (_, Ok(answer)) => match answer["error"].as_str() {
                Some(why) => Err(Unanswered::Refused(why.into())),
                None => Err(Unanswered::Stranger(self.address.clone())),
            },
            (_, Err(_)) => Err(Unanswered::Stranger(self.address.clone())),
        }
    }

    /// The field with the token, if there is one.
    fn authorization(&self) -> String {
        match &self.token {
            Some(token) => format!("authorization: Bearer {}\r\n", token.text),
            None => String::new(),
        }
    }

    /// One request on a connection of its own.
    fn exchange(&self, method: &str, path: &str, body: Option<&str>) -> Result<(u16, Vec<u8>), Unanswered> {
        let (stream, host) =
            self.connect().map_err(|error| Unanswered::NotRunning(self.address.clone(), error))?;
        let authorization = self.authorization();
        let reason = self.why.iter().map(|why| format!("x-evenkeel-why: {}\r\n", segment(why)));
        // The log names the person who called sudo.
        let person =
            std::env::var("SUDO_USER").ok().map(|user| format!("x-evenkeel-who: {}\r\n", segment(&user)));
        let reason: String = reason.chain(person).collect();
        let (described, body) = match body {
            Some(body) => {
                (format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()), body)
            }
            None => (String::new(), ""),
        };
        // HTTP/1.0: the body of the answer comes in one piece and ends with the connection.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {host}\r\n{authorization}{reason}{described}\r\n{body}"
        );
        let answer = round_trip(stream, &request);
        let answer = answer.map_err(|error| Unanswered::Silent(self.address.clone(), error))?;
        parse(&answer).ok_or_else(|| Unanswered::Stranger(self.address.clone()))
    }

    /// A connection, and the value of `Host`: an address, because the API refuses names.
    fn connect(&self) -> io::Result<(Stream, String)> {
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                Ok((Stream::Unix(stream), "localhost".into()))
            }
            Address::Ip(address) => tcp(*address, self.patience),
            Address::Name(name, port) => {
                let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in (name.as_str(), *port).to_socket_addrs()? {
                    match tcp(address, self.patience) {
                        Ok(connected) => return Ok(connected),
                        Err(fault) => error = fault,
                    }
                }
                Err(error)
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}

/// Sends a request and reads the whole answer.
fn round_trip(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    // A process that refuses early has answered, although it may not have read the whole request.
    if answer.is_empty() {
        sent.and(read)?;
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the process closed the connection without an answer",
        ));
    }
    Ok(answer)
}

fn tcp(address: SocketAddr, patience: Duration) -> io::Result<(Stream, String)> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // The zone of a link-local address is no part of a host.
    let host = Address::Ip(address).host();
    Ok((Stream::Tcp(stream), format!("{host}:{}", address.port())))
}

/// The status of a whole response, and its body.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = std::str::from_utf8(answer[..end].split(|byte| *byte == b'\r').next()?).ok()?;
    let status = line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}
