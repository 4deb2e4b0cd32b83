//! What a worker passes datagrams on with.

use evenkeel_net::{Inbox, Outbox};

/// Datagrams go on as soon as they have come, so one batch is enough for all sockets of a worker.
#[derive(Debug, Default)]
pub struct Batch {
    /// What has come.
    pub inbox: Inbox,
    /// What sends it on.
    pub outbox: Outbox,
}
