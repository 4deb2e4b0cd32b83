//! On whose behalf a change is asked for, and why: what the kernel and the token say, and what the client says of itself.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::percent_decode;

use crate::peer::Peer;
use crate::refusal::{Refusal, bad_request};

/// The field with the reason for a change: text in UTF-8, percent-encoded where a field cannot carry it.
const WHY: &str = "x-evenkeel-why";
/// The field with the person for whom a program makes the change.
const WHO: &str = "x-evenkeel-who";
/// Bytes of a reason.
pub(crate) const WHY_BYTES_MAX: usize = 500;
/// Bytes of a name.
const WHO_BYTES_MAX: usize = 100;

/// On whose behalf a change is made, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// As in `uid 1000 (alice)`, `token from 10.0.0.1`, or `SIGHUP`.
    pub who: String,
    /// The reason that was given. It may hold any character.
    pub why: Option<String>,
}

impl By {
    /// What the process does by itself, or at a signal.
    pub fn itself(what: &str) -> Self {
        Self { who: what.into(), why: None }
    }

    /// The same with a reason of the body, which counts more than that of a header.
    ///
    /// # Errors
    /// It is too long.
    pub(crate) fn because(self, why: Option<String>) -> Result<Self, Refusal> {
        match why {
            None => Ok(self),
            Some(why) if why.len() > WHY_BYTES_MAX => Err(too_long("`why`", WHY_BYTES_MAX)),
            Some(why) => Ok(Self { why: Some(why).filter(|why| !why.trim().is_empty()), ..self }),
        }
    }
}

/// Whether the request proved itself by a token, which the guard notes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByToken;

/// [`By`], as a handler takes it.
pub(crate) struct Behalf(pub(crate) By);

impl<S: Sync> FromRequestParts<S> for Behalf {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<Peer>().copied().unwrap_or(Peer::Unix(None));
        let claimed = field(&parts.headers, WHO, WHO_BYTES_MAX)?;
        let known = match peer {
            Peer::Unix(Some(uid)) | Peer::Control { uid, .. } => match user(uid) {
                Some(name) => format!("{peer} ({name})"),
                None => peer.to_string(),
            },
            Peer::Tcp(_) | Peer::Unix(None) => match parts.extensions.get::<ByToken>() {
                Some(ByToken) => format!("token from {peer}"),
                None => peer.to_string(),
            },
        };
        let who = claimed.map_or_else(|| known.clone(), |claimed| format!("{known}, for {claimed}"));
        Ok(Self(By { who, why: field(&parts.headers, WHY, WHY_BYTES_MAX)? }))
    }
}

/// A field of text, decoded; none if it is empty.
fn field(headers: &HeaderMap, name: &str, bytes_max: usize) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = percent_decode(value.as_bytes()).decode_utf8();
    let text = text.map_err(|_| bad_request(format!("{name} is not UTF-8, percent-encoded")))?;
    if text.len() > bytes_max {
        return Err(too_long(name, bytes_max));
    }
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn too_long(what: &str, bytes_max: usize) -> Refusal {
    bad_request(format!("{what} has more than {bytes_max} bytes"))
}

/// The name of a user, if the file of users has it.
fn user(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    names.next()
}
