//! What a connection allows its peer, each value with a default that suits a proxy.

use std::sync::Arc;
use std::time::Duration;

use crate::budget::BudgetConfig;
use crate::head::HeadLimits;
use crate::settings::Settings;

/// The limits of a connection, which many may share. They cannot be changed once it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What is announced to the peer.
    pub settings: Settings,
    /// Bytes of DATA that the peer may have sent on all streams and that were not consumed: the memory that the peer can
    /// make the caller hold. 65,535 to 2^31-1; smaller values mean 65,535, since a window cannot begin smaller.
    pub connection_window: u32,
    /// How large a head may be that is kept.
    pub head_limits: HeadLimits,
    /// Bytes of a field block that comes in several frames, as they are on the wire. A larger one ends the connection.
    pub block_max: usize,
    /// Bytes of the encoder's dynamic table at most, as RFC 7541 counts them.
    pub encoder_table_max: u32,
    /// Bytes that may wait in the output before no more DATA is taken and no more input is wanted; smaller
    /// values than 2,048 mean 2,048. No DATA is taken either while a part of the output has been sent, and the rest not yet.
    pub output_max: usize,
    /// What the peer may do that leads to nothing.
    pub budget: BudgetConfig,
    /// How long the peer may take to acknowledge our settings.
    pub settings_timeout: Option<Duration>,
    /// How long a head may take from its first byte to its last.
    pub head_timeout: Option<Duration>,
    /// When to ask whether the peer is still there.
    pub keepalive: Option<Keepalive>,
    /// How long the peer may take to notice the first GOAWAY of a graceful end before the second one is sent.
    pub leave_timeout: Duration,
    /// How slow a stream may be.
    pub pace: Option<Pace>,
}

/// PING on a silent connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the peer must have been silent.
    pub after: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// The least that a stream must move, so that none is held open for nothing: a request body that is open, and data that
/// waits for the peer's windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a second, on average since the waiting began.
    pub rate_min: u32,
    /// How long a stream may wait before it is judged.
    pub grace: Duration,
}

impl From<&Config> for Arc<Config> {
    fn from(config: &Config) -> Self {
        Arc::new(*config)
    }
}

impl Config {
    /// That of a server towards clients of the open internet: 128 streams, 256 KiB of window a stream, 1 MiB in all.
    pub fn server() -> Self {
        let settings = Settings {
            max_concurrent_streams: 128,
            initial_window_size: 256 * 1024,
            max_header_list_size: 32 * 1024,
            enable_connect_protocol: true,
            no_rfc7540_priorities: true,
            ..Settings::default()
        };
        Self {
            settings,
            connection_window: 1024 * 1024,
            head_limits: HeadLimits::default(),
            block_max: 64 * 1024,
            encoder_table_max: 1024,
            // Seven turns of 16 KiB, with the headers of their frames and some heads.
            output_max: 113 * 1024,
            budget: BudgetConfig::default(),
            settings_timeout: Some(Duration::from_secs(10)),
            head_timeout: Some(Duration::from_secs(10)),
            keepalive: None,
            leave_timeout: Duration::from_secs(1),
            pace: None,
        }
    }

    /// That of a client of servers that it trusts with more: 256 KiB of window a stream, 25 MiB in all.
    pub fn client() -> Self {
        let settings = Settings {
            initial_window_size: 256 * 1024,
            max_header_list_size: 64 * 1024,
            ..Settings::default()
        };
        Self {
            settings,
            connection_window: 100 * 256 * 1024,
            encoder_table_max: 4096,
            head_timeout: None,
            ..Self::server()
        }
    }
}
