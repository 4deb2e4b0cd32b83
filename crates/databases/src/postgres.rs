//! PostgreSQL: signs in (SSLRequest, SCRAM-SHA-256, MD5), and asks for role, timeline and position with one query.
//!
//! Protocol: <https://www.postgresql.org/docs/current/protocol-flow.html>.

pub mod answer;

use bytes::BytesMut;
use evenkeel_config::PostgresProbe;
use evenkeel_core::health::Claim;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use self::answer::{claim, next, refusal};
use crate::failure::Failure;
use crate::link::{Link, Server};

/// Messages of one exchange at most: parameters of the session, and notices.
const MESSAGES_MAX: usize = 200;

/// What a check asks. It needs no privilege. `pg_walfile_name` tells the timeline that a primary writes at once; in the control
/// file that of a new primary stands only after a checkpoint.
const QUERY: &str = "SELECT pg_is_in_recovery(), \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END, \
    (pg_control_checkpoint()).timeline_id, (pg_control_system()).system_identifier";

/// Signs in.
pub async fn sign_in(link: &mut Link, server: Server<'_>, settings: &PostgresProbe) -> Result<(), Failure> {
    if let Some(tls) = server.tls {
        ask_for_tls(link).await?;
        link.secure(tls, server.address, &[b"postgresql"]).await?;
    }
    link.send(&startup(settings)?).await?;
    let mut scram = None;
    for _ in 0..MESSAGES_MAX {
        let mut answer = BytesMut::new();
        match read(link).await? {
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::BackendKeyData(_)
            | Message::NoticeResponse(_) => continue,
            Message::ReadyForQuery(_) => return Ok(()),
            Message::AuthenticationSasl(body) => {
                let is_known = body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))?;
                if !is_known {
                    return Err(Failure::refused("the server offers no SCRAM-SHA-256"));
                }
                let begun = ScramSha256::new(password(server)?, ChannelBinding::unsupported());
                frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut answer)?;
                scram = Some(begun);
            }
            Message::AuthenticationSaslContinue(body) => {
                let begun = scram.take().ok_or_else(Failure::malformed)?;
                let next = prove(begun, body.data().to_vec()).await?;
                frontend::sasl_response(next.message(), &mut answer)?;
                scram = Some(next);
            }
            Message::AuthenticationSaslFinal(body) => {
                let mut begun = scram.take().ok_or_else(Failure::malformed)?;
                begun
                    .finish(body.data())
                    .map_err(|_| Failure::refused("the server does not prove that it knows the password"))?;
                continue;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(settings.user.as_bytes(), password(server)?, body.salt());
                frontend::password_message(hash.as_bytes(), &mut answer)?;
            }
            Message::AuthenticationCleartextPassword if link.io.is_secure() => {
                frontend::password_message(password(server)?, &mut answer)?;
            }
            Message::AuthenticationCleartextPassword => {
                return Err(Failure::refused("the server asks for the password in clear, without TLS"));
            }
            Message::ErrorResponse(body) => return Err(refusal(&body)),
            _ => return Err(Failure::refused("the server asks for a kind of proof that checks do not know")),
        }
        link.send(&answer).await?;
    }
    Err(Failure::malformed())
}

/// Asks a server that is signed in for its role.
pub async fn ask(link: &mut Link) -> Result<Claim, Failure> {
    let mut question = BytesMut::new();
    frontend::query(QUERY, &mut question)?;
    link.send(&question).await?;
    let (mut found, mut failed) = (None, None);
    for _ in 0..MESSAGES_MAX {
        match read(link).await? {
            Message::DataRow(row) => found = Some(claim(&row)?),
            Message::ErrorResponse(body) => failed = Some(refusal(&body)),
            Message::ReadyForQuery(_) => {
                return match failed {
                    Some(failure) => Err(failure),
                    None => found.ok_or_else(Failure::malformed),
                };
            }
            Message::RowDescription(_)
            | Message::CommandComplete(_)
            | Message::ParameterStatus(_)
            | Message::NoticeResponse(_) => {}
            _ => return Err(Failure::malformed()),
        }
    }
    Err(Failure::malformed())
}

/// Sees whether the server still takes sessions, with a connection that signs in no further than the first answer of the server,
/// which logs nothing then. With TLS it goes no further than the question for that: a handshake for each check costs too much, and
/// servers log sessions in clear that they refuse.
pub async fn knock(server: Server<'_>, settings: &PostgresProbe) -> Result<(), Failure> {
    let mut link = server.connect().await?;
    if server.tls.is_some() {
        let mut question = BytesMut::new();
        frontend::ssl_request(&mut question);
        link.send(&question).await?;
        return link.read_more().await;
    }
    link.send(&startup(settings)?).await?;
    match read(&mut link).await? {
        Message::ErrorResponse(body) => Err(refusal(&body)),
        _ => Ok(()),
    }
}

/// The first message of a session.
fn startup(settings: &PostgresProbe) -> Result<BytesMut, Failure> {
    let parameters = [
        ("user", settings.user.as_str()),
        ("database", settings.database.as_str()),
        ("application_name", "evenkeel-health"),
        ("client_encoding", "UTF8"),
    ];
    let mut message = BytesMut::new();
    frontend::startup_message(parameters, &mut message)?;
    Ok(message)
}

/// Asks whether TLS may begin. A single byte is the answer: what comes beside it could only be forged (CVE-2021-23222).
async fn ask_for_tls(link: &mut Link) -> Result<(), Failure> {
    let mut question = BytesMut::new();
    frontend::ssl_request(&mut question);
    link.send(&question).await?;
    while link.buf.is_empty() {
        link.read_more().await?;
    }
    match std::mem::take(&mut link.buf).as_slice() {
        b"S" => Ok(()),
        b"N" => Err(Failure::refused("the server speaks no TLS")),
        _ => Err(Failure::malformed()),
    }
}

/// Derives the proof on another thread: with as many iterations as a server may ask for, that takes some time.
async fn prove(mut scram: ScramSha256, data: Vec<u8>) -> Result<ScramSha256, Failure> {
    let proving = tokio::task::spawn_blocking(move || scram.update(&data).map(|()| scram));
    proving.await.map_err(|_| Failure::malformed())?.map_err(|_| Failure::malformed())
}

fn password<'a>(server: Server<'a>) -> Result<&'a [u8], Failure> {
    server.password.ok_or_else(|| {
        Failure::refused("the server asks for a password, and the check has none: set `password_file`")
    })
}

/// The next message.
async fn read(link: &mut Link) -> Result<Message, Failure> {
    loop {
        if let Some(message) = next(&mut link.buf)? {
            return Ok(message);
        }
        link.read_more().await?;
    }
}
