//! Jobs of the topic `remove-files`: the files of a photo that was deleted.

use crate::domain::jobs::{Failure, RemoveFiles};
use crate::domain::posting::original;
use crate::domain::sizes::Size;
use crate::ports::blobs::Blobs;

/// Removes the original and all sizes. Files that are absent are as good as removed.
///
/// # Errors
/// The blobs fail; some files may be gone then.
pub async fn remove(blobs: &dyn Blobs, job: RemoveFiles) -> Result<(), Failure> {
    blobs.delete(&original(job.author, job.photo, job.media)).await.map_err(Failure::again)?;
    for size in Size::ALL {
        for media in Size::MEDIA {
            blobs.delete(&size.key(job.author, job.photo, media)).await.map_err(Failure::again)?;
        }
    }
    Ok(())
}
