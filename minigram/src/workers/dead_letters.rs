//! Dead letters of all topics: to look at, and to try again.

use crate::ports::queue::{DeadLetter, Queue, QueueResult};

/// Letters that one look takes from a topic.
const LETTERS: u32 = 100;

/// Dead letters of `topics`, at most `limit` of each, oldest first.
///
/// # Errors
/// What the queue fails with.
pub async fn list(queue: &dyn Queue, topics: &[&str], limit: u32) -> QueueResult<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    for topic in topics {
        letters.extend(queue.dead(topic, limit).await?);
    }
    Ok(letters)
}

/// Makes the dead letters of `topic` with these keys ready again, and says how many there were.
///
/// # Errors
/// What the queue fails with.
pub async fn replay(queue: &dyn Queue, topic: &str, keys: &[String]) -> QueueResult<u64> {
    queue.replay(topic, keys).await
}

/// Makes all dead letters of `topic` ready again, and says how many there were. Those that die again meanwhile are
/// left as they are.
///
/// # Errors
/// What the queue fails with; some letters may be ready then.
pub async fn replay_all(queue: &dyn Queue, topic: &str) -> QueueResult<u64> {
    let depth = queue.depth(topic).await?;
    let mut replayed = 0;
    while replayed < depth.dead {
        let letters = queue.dead(topic, LETTERS).await?;
        let keys: Vec<String> = letters.into_iter().map(|letter| letter.job.key).collect();
        let now = queue.replay(topic, &keys).await?;
        if now == 0 {
            break;
        }
        replayed += now;
    }
    Ok(replayed)
}
