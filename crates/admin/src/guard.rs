//! Checks which requests may use the API: the token, and rules by which web pages in an operator's browser cannot use it
//! in the operator's place.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, HOST, HeaderMap, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use evenkeel_core::route::parse_host;
use evenkeel_types::Address;
use subtle::ConstantTimeEq;

use crate::assets;
use crate::by::ByToken;
use crate::context::Context;
use crate::peer::Peer;
use crate::refusal::Refusal;

/// The paths that are open without the token, because probes such as those of Kubernetes have none: they show only that a
/// process accepts connections, and whether it is ready.
pub(crate) const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Lets a request through or refuses it, and marks every answer as not to be stored, unless it says otherwise, and its
/// type as not to be guessed.
pub(crate) async fn guard(State(context): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&context, &request) {
        Ok(proof) => {
            if let Some(by_token) = proof {
                request.extensions_mut().insert(by_token);
            }
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request is let in, and if so whether by the token.
fn admit(context: &Context, request: &Request) -> Result<Option<ByToken>, Refusal> {
    let authority = authority(request)?;
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Unix(None));
    if !peer.is_unix() {
        check_host(authority, context.bound.as_ref())?;
    }
    if !request.method().is_safe() && !is_our_own_page(request.headers(), authority) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "refused, because a web page of another site sent this request (its Origin or Sec-Fetch-Site says so)",
        ));
    }
    if is_open(request) && !matches!(peer, Peer::Control { .. }) {
        return Ok(None);
    }
    check_peer(context, peer, request.headers())
}

/// Whether a request may see everything: the API has no token, or the request has it, or the kernel names the user of the peer.
pub(crate) fn may_know(context: &Context, peer: Peer, headers: &HeaderMap) -> bool {
    check_peer(context, peer, headers).is_ok()
}

fn check_peer(context: &Context, peer: Peer, headers: &HeaderMap) -> Result<Option<ByToken>, Refusal> {
    match (&context.token, peer) {
        // The kernel has named the user of the peer.
        (_, Peer::Control { uid, ours }) if is_trusted(uid, ours) => Ok(None),
        (_, Peer::Control { uid, ours }) => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "the control socket serves processes of uid {ours} and of root, and this one is of uid {uid}"
            ),
        )),
        (Some(token), _) => check_token(token, headers).map(|()| Some(ByToken)),
        (None, Peer::Tcp(_) | Peer::Unix(_)) => Ok(None),
    }
}

/// Whether a request needs no token. The files of the dashboard hold no secrets, and one of them asks for the token.
fn is_open(request: &Request) -> bool {
    let path = request.uri().path();
    OPEN_PATHS.contains(&path)
        || request.method().is_safe()
            && (assets::is_file(path) || path == "/" && assets::wants_page(request.headers()))
}

/// Whether processes of a user may use the control socket of a process of the user `ours`.
fn is_trusted(uid: u32, ours: u32) -> bool {
    uid == ours || uid == 0
}

/// The host and port of the request. HTTP/1.0 demands no `Host`; this API does, because without one it cannot check the
/// name that the client has used.
fn authority(request: &Request) -> Result<&str, Refusal> {
    let bad = || {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "a request must have exactly one Host field, with a host and port",
        )
    };
    let mut fields = request.headers().get_all(HOST).iter();
    let field = fields.next().ok_or_else(bad)?;
    if fields.next().is_some() {
        return Err(bad());
    }
    // RFC 9112, 3.2.2: the host of an absolute target counts, not the field.
    match request.uri().authority() {
        Some(authority) => Ok(authority.as_str()),
        None => field.to_str().map_err(|_| bad()),
    }
}

/// Refuses names that others may point at this address (DNS rebinding): only a browser that was given the address
/// itself, or `localhost`, can have meant the API.
fn check_host(authority: &str, bound: Option<&Address>) -> Result<(), Refusal> {
    let (host, _) = parse_host(authority).map_err(|fault| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("the Host field is wrong: {fault}"))
    })?;
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    if is_address
        || host == "localhost"
        || bound.is_some_and(|bound| host.eq_ignore_ascii_case(&bound.host()))
    {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!("the Host {host} is not a name of this API: use its IP address, or localhost"),
    ))
}

/// Whether a request comes from a page of this API or from no page at all, as far as the browser says.
fn is_our_own_page(headers: &HeaderMap, authority: &str) -> bool {
    // W3C Fetch Metadata, 2.4. A browser says `none` when a person typed the address. `same-site` is a page on another
    // port or a sibling of this host, which is not ours.
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
        && headers.get_all(ORIGIN).iter().all(|origin| is_same_origin(origin, authority))
}

/// Whether `Origin` (RFC 6454, 7) names the host and port that are asked.
fn is_same_origin(origin: &HeaderValue, authority: &str) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    match (parse_host(origin), parse_host(authority)) {
        (Ok((ours, port)), Ok((theirs, their_port))) => {
            ours == theirs && port.unwrap_or(default_port) == their_port.unwrap_or(default_port)
        }
        _ => false,
    }
}

/// RFC 6750, 2.1. How long it takes depends on the length of what was sent, never on how much of it is right.
fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = |why| Err(Refusal::new(StatusCode::UNAUTHORIZED, why));
    let Some(field) = headers.get(AUTHORIZATION) else {
        return refuse("this API demands `Authorization: Bearer TOKEN`");
    };
    let (scheme, sent) = field.as_bytes().split_at_checked("Bearer ".len()).unwrap_or_default();
    let right = bool::from(sent.ct_eq(token.as_bytes()));
    if right && !token.is_empty() && scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Ok(());
    }
    refuse("the token in `Authorization` is wrong")
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn the_control_socket_is_for_the_same_user_and_root() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0) && !is_trusted(u32::MAX, 1000));
    }
}
