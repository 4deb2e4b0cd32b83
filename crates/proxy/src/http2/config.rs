//! What a connection of HTTP/2 allows a client.

use std::time::Duration;

use evenkeel_config::Listener;
use evenkeel_http2::{BudgetConfig, Config, HeadLimits, Settings};

use crate::http::head;

/// Bytes of a request body that a client may send ahead on one stream.
const WINDOW: u32 = 256 * 1024;
/// What a reset costs of the budget, in frames that lead to nothing; and how long it takes to be full again.
const FRAMES_PER_RESET: u32 = 4;
const BUDGET_FULL_AFTER: Duration = Duration::from_secs(32);
/// Fields of a request that the configuration does not count: the pseudo-header fields.
const PARTS: usize = 5;

/// What the clients of a listener may do, whose heads may be so large.
pub fn of_listener(listener: &Listener, heads: head::HeadLimits) -> Config {
    let (limits, head_timeout) = (listener.limits, listener.timeout.head);
    let connection_window = u32::try_from(limits.http2_memory).unwrap_or(u32::MAX);
    let settings = Settings {
        max_concurrent_streams: limits.http2_streams,
        initial_window_size: WINDOW.min(connection_window),
        max_header_list_size: u32::try_from(heads.bytes).unwrap_or(u32::MAX),
        ..Config::server().settings
    };
    Config {
        settings,
        connection_window,
        budget: budget(limits.http2_resets),
        block_max: (2 * heads.bytes).max(Config::server().block_max),
        head_limits: HeadLimits { size: heads.bytes, fields: heads.fields + PARTS },
        head_timeout: Some(head_timeout),
        leave_timeout: head_timeout,
        ..Config::server()
    }
}

/// That of a client which may reset so many streams at once.
fn budget(resets: u32) -> BudgetConfig {
    let tokens = FRAMES_PER_RESET * resets;
    BudgetConfig { tokens, every: BUDGET_FULL_AFTER / tokens }
}
