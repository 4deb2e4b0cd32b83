//! What a plain exchange takes. Routes, pools and listeners are taken apart key by key, so that a new key does not compile until
//! it stands here: by name if it needs the general path, with `_` if it acts through functions that both paths call.

use evenkeel_config::{HalfClose, Listener, ListenerLimits, Pool, PoolProtocol, Retry, Route};

use crate::cache;
use crate::http::framing::Framing;
use crate::request::incoming::Request;
use crate::worker::view::View;

/// The body of a request that came whole, and asks for nothing but a response.
pub fn body<'b>(request: &Request<'_>, (framing, came): (Framing, &'b [u8])) -> Option<&'b [u8]> {
    if request.upgrade.is_some() || request.expects_continue {
        return None;
    }
    match framing {
        Framing::Empty => Some(b""),
        Framing::Length(length) => came.get(..usize::try_from(length).ok()?),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// True of a request that changes nothing which a cache may have.
pub fn is_plain_request(view: &View, request: &Request<'_>) -> bool {
    !cache::may_invalidate(view, request)
}

/// True of a listener that takes the end of a client's side for the end of its request, at any pace.
pub fn is_plain_listener(listener: &Listener) -> bool {
    let Listener {
        half_close,
        // The others are of connections of HTTP/2, which keep to them whatever their streams ask for.
        limits:
            ListenerLimits {
                requests_per_connection,
                connections_per_client: _,
                http2_streams: _,
                http2_resets: _,
                http2_memory: _,
                is_layer4: _,
            },
        name: _,
        bind: _,
        backlog: _,
        tcp_keepalive: _,
        fast_open: _,
        protocol: _,
        pool: _,
        trusted_proxies: _,
        accept_proxy_protocol: _,
        http: _,
        tls: _,
        redirect_to_https: _,
        misdirected: _,
        underscores: _,
        max_sessions: _,
        max_answers: _,
        timeout: _,
    } = listener;
    *half_close == HalfClose::Abort && requests_per_connection.is_none()
}

/// True of a route that does nothing with a request but forward it to one server at a time, nor with a response but pass it on.
pub fn is_plain_route(route: &Route) -> bool {
    let Route {
        rewrite,
        retry,
        hedge,
        cache,
        compress,
        mirror,
        name: _,
        listeners: _,
        snis: _,
        hosts: _,
        path: _,
        methods: _,
        headers: _,
        query: _,
        clients: _,
        action: _,
        merge_slashes: _,
        request_headers: _,
        response_headers: _,
        request_id: _,
        priority: _,
        timeout: _,
        deadline_header: _,
        rate_limits: _,
        limits: _,
        log: _,
        trace: _,
        is_layer4: _,
    } = route;
    let Retry {
        header,
        attempts: _,
        on: _,
        methods: _,
        per_try_timeout: _,
        budget: _,
        backoff: _,
        replay: _,
    } = retry;
    let has_steps = cache.is_some() || mirror.is_some() || hedge.is_some();
    let changes_responses = rewrite.is_some() || compress.is_some() || *header;
    !has_steps && !changes_responses
}

/// True of a pool whose servers speak HTTP/1.1, and that gives clients no cookies.
pub fn is_plain_pool(pool: &Pool) -> bool {
    let Pool {
        protocol,
        sticky,
        name: _,
        algorithm: _,
        backends: _,
        discover: _,
        proxy_protocol: _,
        bind_from: _,
        tcp_keepalive: _,
        tls: _,
        keepalive: _,
        via: _,
        health: _,
        outlier: _,
        panic: _,
        slow_start: _,
        breaker: _,
        server_breaker: _,
        queue: _,
        wait_for_server: _,
        concurrency: _,
        timeout: _,
    } = pool;
    *protocol == PoolProtocol::Http1 && sticky.is_none()
}
