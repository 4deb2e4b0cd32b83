//! A small client of PostgreSQL: one session of the superuser, in clear, which shows exactly what comes of each statement.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::postgres::SUPERUSER;

/// How long a session waits for the server at each step.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session that is signed in.
pub struct Session(TcpStream);

/// What came instead of a result.
#[derive(Debug)]
pub enum Fault {
    /// The connection was refused, reset or closed, or nothing came in time.
    Connection(io::Error),
    /// The server has answered with an error of this code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    Server {
        /// Five characters, such as `25006`.
        code: String,
        /// The server's words.
        message: String,
    },
}

impl Session {
    /// Connects and signs in.
    ///
    /// # Errors
    /// There is no connection, or the server refuses the session.
    pub fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut session = Self(stream);
        let parameters = format!("user\0{SUPERUSER}\0database\0postgres\0\0");
        let length = u32::try_from(parameters.len() + 8).expect("it is short");
        let protocol = 0x0003_0000_u32;
        session
            .0
            .write_all(&[&length.to_be_bytes(), &protocol.to_be_bytes(), parameters.as_bytes()].concat())?;
        session.answer()?;
        Ok(session)
    }

    /// Runs one statement; the values of its last row.
    ///
    /// # Errors
    /// The connection fails, or the server refuses the statement.
    pub fn query(&mut self, sql: &str) -> Result<Vec<String>, Fault> {
        let length = u32::try_from(sql.len() + 5).expect("it is short");
        self.0.write_all(&[b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat())?;
        self.answer()
    }

    /// Reads until the server is ready for the next statement.
    fn answer(&mut self) -> Result<Vec<String>, Fault> {
        let (mut row, mut failed) = (Vec::new(), None);
        loop {
            let mut head = [0; 5];
            // The end of the connection behind an error is not the news.
            if let Err(error) = self.0.read_exact(&mut head) {
                return Err(failed.unwrap_or(Fault::Connection(error)));
            }
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let mut body = vec![0; length.saturating_sub(4)];
            self.0.read_exact(&mut body)?;
            match head[0] {
                b'D' => row = values(&body),
                b'E' => failed = Some(fault(&body)),
                b'R' if body != [0; 4] => return Err(other("the server asks for a password")),
                b'Z' => return failed.map_or(Ok(row), Err),
                _ => {}
            }
        }
    }
}

/// The values of a row; those that are null are empty.
fn values(body: &[u8]) -> Vec<String> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (value, after) = after.split_at(length.min(after.len()));
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    values
}

fn fault(body: &[u8]) -> Fault {
    let text = |kind: u8| {
        let field = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&kind));
        field.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    };
    Fault::Server { code: text(b'C'), message: text(b'M') }
}

fn other(text: &str) -> Fault {
    Fault::Connection(io::Error::other(text))
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "{error}"),
            Self::Server { code, message } => write!(f, "error {code}: {message}"),
        }
    }
}
