//! Redis: signs in with `AUTH`, and asks for its role with `PING`, `ROLE` and `INFO replication`.
//!
//! A server that loads its data set tells its role all the same; only `PING` shows that it takes no commands yet.

pub mod resp;

use evenkeel_config::{DatabaseRole, RedisProbe};
use evenkeel_core::health::{Claim, Lineage};

use self::resp::{Reply, read_reply};
use crate::failure::{Failure, shown};
use crate::link::{Link, Server};

/// What a replication id consists of when there is none.
const NO_ID: &str = "0000000000000000000000000000000000000000";
/// Bytes of a replica's state that are kept; the longest that Redis knows is `connecting`.
const STATE_MAX: usize = 32;

/// Signs in.
pub async fn sign_in(link: &mut Link, server: Server<'_>, settings: &RedisProbe) -> Result<(), Failure> {
    if let Some(tls) = server.tls {
        link.secure(tls, server.address, &[]).await?;
    }
    let Some(password) = server.password else { return Ok(()) };
    let user = settings.user.as_ref().map(|user| user.as_bytes());
    let words: Vec<&[u8]> = [&b"AUTH"[..]].into_iter().chain(user).chain([password]).collect();
    exchange(link, &words).await.map(drop)
}

/// Asks a server that is signed in for its role.
pub async fn ask(link: &mut Link) -> Result<Claim, Failure> {
    exchange(link, &[b"PING"]).await?;
    let role = exchange(link, &[b"ROLE"]).await?;
    let info = exchange(link, &[b"INFO", b"replication"]).await?;
    claim(&role, &info)
}

/// One command and its reply, which is no error.
async fn exchange(link: &mut Link, words: &[&[u8]]) -> Result<Reply, Failure> {
    let mut question = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        question.extend(format!("${}\r\n", word.len()).into_bytes());
        question.extend_from_slice(word);
        question.extend(b"\r\n");
    }
    link.send(&question).await?;
    loop {
        match read_reply(&link.buf).map_err(|_| Failure::malformed())? {
            Some((reply, length)) => {
                link.buf.drain(..length);
                return match reply {
                    Reply::Error(text) => Err(refusal(&text)),
                    reply => Ok(reply),
                };
            }
            None => link.read_more().await?,
        }
    }
}

/// Why a server refuses; the first word of an error is its kind.
fn refusal(text: &[u8]) -> Failure {
    let text = shown(text);
    let kind = match text.split(' ').next().unwrap_or_default() {
        "NOAUTH" => "the server asks for a password, and the check has none: set `password_file`",
        "WRONGPASS" => "wrong user or password",
        "NOPERM" => "a permission is missing",
        "LOADING" => return Failure::not_ready(format!("not ready, it loads its data set: {text}")),
        "MASTERDOWN" => "replica without its primary",
        _ => return Failure::refused(format!("error: {text}")),
    };
    Failure::refused(format!("{kind}: {text}"))
}

/// What a server says of itself.
fn claim(role: &Reply, info: &Reply) -> Result<Claim, Failure> {
    let Reply::Array(role) = role else { return Err(Failure::malformed()) };
    let text = |at: usize| match role.get(at) {
        Some(Reply::Text(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    };
    let number = |at: usize| match role.get(at) {
        Some(Reply::Integer(number)) => Some(*number),
        _ => None,
    };
    // A replica that has received nothing is at -1.
    let position = |at: usize| number(at).map(|position| u64::try_from(position).unwrap_or(0));
    let lineage = lineage(info).ok_or_else(Failure::malformed)?;
    let claim = match text(0) {
        Some("master") => position(1).map(|position| (DatabaseRole::Primary, position, None)),
        Some("slave") => text(3).zip(position(4)).map(|(state, position)| {
            let unsynced = (state != "connected").then(|| shown(state.as_bytes()));
            (DatabaseRole::Replica, position, unsynced)
        }),
        Some("sentinel") => return Err(Failure::refused("a Sentinel, which holds no data")),
        _ => None,
    };
    let (role, position, unsynced) = claim.ok_or_else(Failure::malformed)?;
    let unsynced = unsynced.map(|state| state.chars().take(STATE_MAX).collect());
    Ok(Claim { role, lineage, position, unsynced })
}

/// The history that the server's data belong to, from `INFO replication`.
fn lineage(info: &Reply) -> Option<Lineage> {
    let Reply::Text(info) = info else { return None };
    let info = std::str::from_utf8(info).ok()?;
    let value = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
        (value.len() == NO_ID.len() && value.bytes().all(|b| b.is_ascii_hexdigit())).then_some(value)
    };
    let before = value("master_replid2").filter(|id| *id != NO_ID).map(str::to_owned);
    Some(Lineage::Replication { id: value("master_replid")?.to_owned(), before })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = "1234567890123456789012345678901234567890";

    fn info(second: &str) -> Reply {
        let text =
            format!("# Replication\r\nrole:master\r\nmaster_replid:{ID}\r\nmaster_replid2:{second}\r\n");
        Reply::Text(text.into_bytes())
    }

    fn role(bytes: &[u8]) -> Reply {
        read_reply(bytes).unwrap().unwrap().0
    }

    #[test]
    fn a_primary_and_its_replica_say_what_they_are() {
        let primary = claim(&role(b"*3\r\n$6\r\nmaster\r\n:42\r\n*0\r\n"), &info(NO_ID)).unwrap();
        assert_eq!((primary.role, primary.position), (DatabaseRole::Primary, 42));
        assert_eq!(primary.lineage, Lineage::Replication { id: ID.into(), before: None });
        let replica = b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:40\r\n";
        let replica = claim(&role(replica), &info(NO_ID)).unwrap();
        assert_eq!((replica.role, replica.position, replica.unsynced), (DatabaseRole::Replica, 40, None));
    }

    #[test]
    fn a_promoted_server_names_the_history_before() {
        let before = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
        let primary = claim(&role(b"*3\r\n$6\r\nmaster\r\n:42\r\n*0\r\n"), &info(before)).unwrap();
        assert_eq!(primary.lineage, Lineage::Replication { id: ID.into(), before: Some(before.into()) });
    }

    #[test]
    fn a_replica_that_is_not_connected_says_in_which_state_it_is() {
        let replica = b"*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nhandshake\r\n:-1\r\n";
        let replica = claim(&role(replica), &info(NO_ID)).unwrap();
        assert_eq!((replica.position, replica.unsynced), (0, Some("handshake".into())));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let ping = role(b"+PONG\r\n");
        assert!(claim(&ping, &info(NO_ID)).is_err());
        assert!(claim(&role(b"*1\r\n$6\r\nmaster\r\n"), &info(NO_ID)).is_err());
        assert!(claim(&role(b"*3\r\n$6\r\nmaster\r\n:42\r\n*0\r\n"), &ping).is_err());
        let sentinel = claim(&role(b"*2\r\n$8\r\nsentinel\r\n*0\r\n"), &info(NO_ID)).unwrap_err();
        assert!(sentinel.into_probe(None).to_string().contains("Sentinel"));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, expected) in [
            ("NOAUTH Authentication required.", "asks for a password"),
            ("WRONGPASS invalid username-password pair", "wrong user or password"),
            ("LOADING Redis is loading the dataset in memory", "not ready"),
            ("ERR unknown command", "error: ERR unknown command"),
        ] {
            let failure = refusal(text.as_bytes()).into_probe(None).to_string();
            assert!(failure.contains(expected), "{failure}");
        }
    }
}
