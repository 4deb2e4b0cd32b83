//! A check by HTTP: the fields of its request, and the text that the body of the response must contain.

use evenkeel_config::PoolProtocol;
use evenkeel_core::health::ProbeFailure;

use super::from_server;
use crate::body::Advance;
use crate::server::error::ServerError;
use crate::server::exchange::AnswerBody;

/// How much of a body is searched: more than any page about health, and little enough for every server at once.
const SEARCHED_MAX: usize = 64 * 1024;
/// Fields of every check, unless the configuration has its own.
const FIELDS: [(&str, &str); 2] =
    [("user-agent", concat!("evenkeel-health/", env!("CARGO_PKG_VERSION"))), ("accept", "*/*")];
/// Methods whose requests say that they have no body, because they usually have one (RFC 9110, 8.6).
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// The field lines of a check.
pub fn fields(method: &str, headers: &[(String, String)], protocol: PoolProtocol) -> String {
    let is_own = |name: &str| headers.iter().any(|(own, _)| own == name);
    let ours = FIELDS.into_iter().filter(|(name, _)| !is_own(name));
    let own = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let says_length = protocol == PoolProtocol::Http1 && WITH_BODY.contains(&method);
    let length = says_length.then_some(("content-length", "0"));
    ours.chain(own).chain(length).map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// Reads a body until it contains `text`.
///
/// # Errors
/// It does not, or not within the first 64 KiB, or it ends before its end.
pub async fn look_for(text: &str, answer: &mut AnswerBody<'_>) -> Result<(), ProbeFailure> {
    let lacks = |searched| Err(ProbeFailure::Body { text: text.to_owned(), searched });
    if text.is_empty() {
        return Ok(());
    }
    let mut seen: Vec<u8> = Vec::new();
    loop {
        match answer.body.advance().map_err(|error| from_server(ServerError::Body(error)))? {
            Advance::Piece => {
                let piece = answer.body.piece();
                // What came before was searched, but for a text that only began there.
                let from = seen.len().saturating_sub(text.len() - 1);
                seen.extend_from_slice(&piece[..piece.len().min(SEARCHED_MAX - seen.len())]);
                if seen[from..].windows(text.len()).any(|part| part == text.as_bytes()) {
                    return Ok(());
                }
                if seen.len() == SEARCHED_MAX {
                    return lacks(Some(SEARCHED_MAX));
                }
            }
            Advance::End => return lacks(None),
            Advance::MustRead => {
                answer.body.read().await.map_err(|error| from_server(ServerError::Body(error)))?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_fields_replace_those_of_every_check() {
        let own = [("user-agent".to_owned(), "probe/1".to_owned()), ("x-a".to_owned(), "1".to_owned())];
        let lines = "accept: */*\r\nuser-agent: probe/1\r\nx-a: 1\r\n";
        assert_eq!(fields("GET", &own, PoolProtocol::Http1), lines);
    }

    #[test]
    fn a_check_that_could_have_a_body_says_that_it_has_none() {
        assert!(fields("POST", &[], PoolProtocol::Http1).ends_with("content-length: 0\r\n"));
        assert!(!fields("GET", &[], PoolProtocol::Http1).contains("content-length"));
        assert!(!fields("POST", &[], PoolProtocol::Http2).contains("content-length"));
    }
}
