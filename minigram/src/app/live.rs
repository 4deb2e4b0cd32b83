//! Live messages for one client, by WebSocket. Any server may hold the socket, because messages come by the bus.
//!
//! The client sends `{"access_token": "..."}` first, and then, as often as it likes, `{"watch": ["PHOTO", ...]}`. It
//! receives what concerns its user, with `"notice": true`, and what happens to the photos that it watches. `{"kind":
//! "lost"}` says that messages were lost: the client reads again what it shows.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::auth::Signed;
use super::bodies::AuthorJson;
use super::problem::{Answer, Problem};
use super::requests::id;
use super::server::App;
use super::topics::Topics;
use crate::domain::messages::{photo_topic, user_topic};
use crate::ids::{PhotoId, UserId};
use crate::ports::bus::Event;
use crate::ports::position::Positions;

/// Photos that a client watches at most.
const WATCHED_MAX: usize = 50;

/// Bytes of a client's message.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How long a client has to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// How long a message may take to be sent.
const SEND_MAX: Duration = Duration::from_secs(10);

/// Why a socket is closed: codes of RFC 6455, and of our own from 4000 on.
const GOING_AWAY: (u16, &str) = (1001, "the server leaves; connect again");
const MALFORMED: (u16, &str) = (1008, "the message is none that this socket takes");
const TRY_AGAIN: (u16, &str) = (1013, "live messages are unavailable; connect again later");
const NOT_SIGNED_IN: (u16, &str) = (4401, "the access token is not valid, or the session has ended");
const SILENT: (u16, &str) = (4408, "the client did not answer in time");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    access_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    watch: Vec<String>,
}

/// Opens a socket for live messages.
#[utoipa::path(get, path = "/live", tag = "live", responses(
    (status = 101, description = "A WebSocket, on which the client first sends its access token"),
    (status = 400, body = super::problem::ProblemJson),
    (status = 403, description = "The page is of another origin", body = super::problem::ProblemJson),
))]
pub(crate) async fn live(
    State(app): State<App>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    app.check_origin(&headers)?;
    let upgrade = upgrade.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let permit = app.sockets.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::unavailable(&"too many WebSockets"))?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let _counted = (permit, app.metrics.connection());
        if let Err(Some((code, reason))) = run(&app, &mut socket).await {
            let frame = CloseFrame { code, reason: reason.into() };
            // Fails if the client has gone.
            let _ = timeout(SEND_MAX, socket.send(Message::Close(Some(frame)))).await;
        }
    }))
}

/// How a socket ends: with a reason for the client, or without if the client has gone.
type End = Option<(u16, &'static str)>;

async fn run(app: &App, socket: &mut WebSocket) -> Result<(), End> {
    let mut closing = app.closing.1.clone();
    let signed = tokio::select! {
        signed = timeout(HELLO_MAX, hello(app, socket)) => signed.map_err(|_| Some(SILENT))??,
        () = closing.requested() => return Err(Some(GOING_AWAY)),
    };
    let own = user_topic(signed.user());
    let mut topics = Topics::default();
    topics.add(&*app.engines.bus, own.clone()).await.map_err(|_| Some(TRY_AGAIN))?;
    send(socket, &json!({"kind": "signed-in"})).await?;
    let mut checks = interval(app.settings.limits.socket_check);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    checks.reset();
    let mut alive = true;
    loop {
        tokio::select! {
            received = socket.recv() => {
                alive = true;
                match received.ok_or(None)?.map_err(|_| None)? {
                    Message::Text(text) => watch(app, socket, &mut topics, &own, &text).await?,
                    Message::Close(_) => return Ok(()),
                    Message::Ping(_) | Message::Pong(_) => {}
                    Message::Binary(_) => return Err(Some(MALFORMED)),
                }
            }
            (topic, event) = topics.next() => match event {
                Some(Event::Message(message)) if topic == own => {
                    send(socket, &notice(app, &message).await).await?;
                }
                Some(Event::Message(message)) => {
                    let text = String::from_utf8_lossy(&message).into_owned();
                    send_message(socket, Message::text(text)).await?;
                }
                Some(Event::Lost(_)) => send(socket, &json!({"kind": "lost"})).await?,
                None => return Err(Some(TRY_AGAIN)),
            },
            _ = checks.tick() => {
                if !alive {
                    return Err(Some(SILENT));
                }
                alive = false;
                check_session(app, &signed).await?;
                send_message(socket, Message::Ping(Bytes::new())).await?;
            }
            () = closing.requested() => return Err(Some(GOING_AWAY)),
        }
    }
}

async fn hello(app: &App, socket: &mut WebSocket) -> Result<Signed, End> {
    loop {
        match socket.recv().await.ok_or(None)?.map_err(|_| None)? {
            Message::Text(text) => {
                let hello: Hello = serde_json::from_str(&text).map_err(|_| Some(MALFORMED))?;
                return app.signed(&hello.access_token).await.map_err(|problem| {
                    Some(if problem.is_unauthorized() { NOT_SIGNED_IN } else { TRY_AGAIN })
                });
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) => return Err(Some(MALFORMED)),
            Message::Close(_) => return Err(None),
        }
    }
}

/// Watches these photos instead of those before.
async fn watch(
    app: &App,
    socket: &mut WebSocket,
    topics: &mut Topics,
    own: &str,
    text: &str,
) -> Result<(), End> {
    let wanted: Watch = serde_json::from_str(text).map_err(|_| Some(MALFORMED))?;
    if wanted.watch.len() > WATCHED_MAX {
        return Err(Some(MALFORMED));
    }
    let mut wanted_topics = Vec::new();
    for photo in &wanted.watch {
        let photo = id(photo).map_err(|_| Some(MALFORMED))?;
        wanted_topics.push(photo_topic(PhotoId::from_sql(photo)));
    }
    topics.keep(|topic| topic == own || wanted_topics.iter().any(|wanted| wanted == topic));
    for topic in wanted_topics {
        topics.add(&*app.engines.bus, topic).await.map_err(|_| Some(TRY_AGAIN))?;
    }
    send(socket, &json!({"kind": "watching", "photos": wanted.watch})).await
}

/// The session may have ended since the socket was opened.
async fn check_session(app: &App, signed: &Signed) -> Result<(), End> {
    match app.engines.sessions.session(signed.access.session).await {
        Ok(None) => Err(Some(NOT_SIGNED_IN)),
        // It is looked for again at the next check.
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// A message for the user, with the name of whom it is about.
async fn notice(app: &App, message: &[u8]) -> Value {
    let mut fields: Map<String, Value> = serde_json::from_slice(message).unwrap_or_default();
    for field in ["by", "author"] {
        let user = fields.get(field).and_then(Value::as_str).and_then(|user| id(user).ok());
        let Some(user) = user else { continue };
        if let Ok(Some(card)) = app.views.user(UserId::from_sql(user), &Positions::none()).await {
            fields.insert(field.to_owned(), json!(AuthorJson::from(&card)));
        }
    }
    fields.insert("notice".to_owned(), Value::Bool(true));
    Value::Object(fields)
}

async fn send(socket: &mut WebSocket, json: &Value) -> Result<(), End> {
    send_message(socket, Message::text(json.to_string())).await
}

/// A client that takes no messages has gone.
async fn send_message(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}
