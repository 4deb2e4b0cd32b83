//! Blobs that stop at a gate: tests see how many reads are under way, and let them go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use minigram::ports::blobs::{Blob, BlobKey, Blobs, BlobsResult, Body, Part};
use tokio::sync::Semaphore;

/// Reads wait for a permit; all else goes through.
pub struct GatedBlobs {
    blobs: Arc<dyn Blobs>,
    gate: Semaphore,
    waiting: AtomicUsize,
}

impl GatedBlobs {
    pub fn new(blobs: Arc<dyn Blobs>) -> Arc<Self> {
        Arc::new(Self { blobs, gate: Semaphore::new(0), waiting: AtomicUsize::new(0) })
    }

    /// Lets all reads through from now on.
    pub fn open(&self) {
        self.gate.close();
    }

    /// Reads that wait at the gate.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Blobs for GatedBlobs {
    async fn put(&self, key: &BlobKey, body: Body, bytes_max: u64) -> BlobsResult<u64> {
        self.blobs.put(key, body, bytes_max).await
    }

    async fn get(&self, key: &BlobKey, part: Part) -> BlobsResult<Blob> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Waiting(&self.waiting);
        // Closed means open: the permits are all there are.
        drop(self.gate.acquire().await);
        drop(waiting);
        self.blobs.get(key, part).await
    }

    async fn delete(&self, key: &BlobKey) -> BlobsResult<()> {
        self.blobs.delete(key).await
    }
}
