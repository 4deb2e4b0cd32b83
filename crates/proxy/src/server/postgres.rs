//! Asks a PostgreSQL server for TLS before a session begins, because no server before version 17 takes it from the first byte.

use std::io::{self, IoSlice};

use evenkeel_config::{Pool, Probe};
use evenkeel_net::Io;

/// `SSLRequest`: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// True if the servers of a pool are to be asked: its checks say that they are PostgreSQL.
pub fn is_postgres(pool: &Pool) -> bool {
    pool.health.as_ref().is_some_and(|health| matches!(health.probe, Probe::Postgres(_)))
}

/// Asks whether TLS may begin. The answer is one byte: what comes with it could only be forged (CVE-2021-23222).
///
/// # Errors
/// The server has no TLS, is no PostgreSQL, or is gone.
pub async fn ask_for_tls(io: &Io) -> io::Result<()> {
    io.write_all(&mut [IoSlice::new(&SSL_REQUEST)]).await?;
    let mut answer = Vec::with_capacity(2);
    io.read(&mut answer).await?;
    match answer.as_slice() {
        b"S" => Ok(()),
        b"N" => Err(io::Error::other("the server speaks no TLS")),
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what the server says of TLS is no PostgreSQL")),
    }
}
