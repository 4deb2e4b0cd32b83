//! What follows from a write before it is acknowledged: the session notes its position, and the cache drops what has
//! become old.

use std::future::Future;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::auth::Signed;
use super::problem::Answer;
use super::server::App;
use crate::ports::cache::Key;
use crate::ports::position::Positions;
use crate::ports::{Retriable, Retry};

/// Tries of what must not fail, because the write is committed already.
const TRIES: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(20);

impl App {
    /// Takes note of a write of this user that made `keys` old.
    ///
    /// If this fails, the write is not acknowledged, although it is committed: otherwise the user might read what was
    /// there before. The client repeats the request.
    pub(crate) async fn wrote(&self, signed: &Signed, written: &Positions, keys: &[Key]) -> Answer<()> {
        let noting = try_join_all(written.iter().map(|position| {
            persist(move || self.engines.sessions.note_write(signed.access.session, position))
        }));
        tokio::try_join!(async { Ok(noting.await.map(drop)?) }, self.invalidate(written, keys))?;
        Ok(())
    }

    /// Drops from the cache what a write made old.
    pub(crate) async fn invalidate(&self, written: &Positions, keys: &[Key]) -> Answer<()> {
        let each = keys.iter().flat_map(|key| written.iter().map(move |position| (key, position)));
        let dropping =
            each.map(|(key, position)| persist(move || self.engines.cache.invalidate(key, position)));
        try_join_all(dropping).await?;
        Ok(())
    }
}

/// Repeats a call that fails for a moment.
async fn persist<T, E: Retriable, W: Future<Output = Result<T, E>>>(call: impl Fn() -> W) -> Result<T, E> {
    let mut pause = PAUSE_FIRST;
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.retry() == Retry::Soon => tokio::time::sleep(pause).await,
            result => return result,
        }
        pause *= 3;
    }
    call().await
}
