//! Posting a photo: its type found from its content, its bytes streamed into the blobs, and then the photo and its jobs
//! written in one transaction.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::jobs::{FanOut, Thumbnails};
use crate::clock::Clock;
use crate::ids::{IdMaker, PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::blobs::{BlobKey, Blobs, BlobsError, Body};
use crate::ports::position::Position;
use crate::ports::store::{Caption, IdempotencyKey, NewPhoto, Once, Store, StoreError};
use crate::ports::{Retriable, Retry};

/// Why a photo was not posted.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The file is no picture of a type that MiniGram takes.
    #[error("the file is no JPEG, PNG, WebP or GIF")]
    UnknownType,
    /// The blobs failed, or the file is too large.
    #[error(transparent)]
    Blobs(#[from] BlobsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Retriable for PostError {
    fn retry(&self) -> Retry {
        match self {
            Self::UnknownType => Retry::Never,
            Self::Blobs(error) => error.retry(),
            Self::Store(error) => error.retry(),
        }
    }
}

/// A photo that was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// Which.
    pub photo: PhotoId,
    /// Where the store's log is: the session has to note it.
    pub written: Position,
    /// False if an earlier request with the same key had posted it.
    pub is_new: bool,
}

/// Posts photos.
pub struct Posting {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    ids: Arc<IdMaker>,
    clock: Clock,
    bytes_max: u64,
}

impl Posting {
    /// Takes photos of at most `bytes_max`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        ids: Arc<IdMaker>,
        clock: Clock,
        bytes_max: u64,
    ) -> Self {
        Self { store, blobs, ids, clock, bytes_max }
    }

    /// Posts a photo; once for a `key` of this author.
    ///
    /// # Errors
    /// `UnknownType`, `TooLarge` or `BrokenOff` of the blobs, and what engines fail with. The file is removed then,
    /// unless the store may have taken the photo.
    pub async fn post(
        &self,
        author: UserId,
        caption: Caption,
        body: Body,
        key: Option<IdempotencyKey>,
    ) -> Result<Posted, PostError> {
        let created = self.clock.now();
        let id = self.ids.photo(author, created);
        let (start, body) = peek(body).await?;
        let media = MediaType::of_content(&start).ok_or(PostError::UnknownType)?;
        let file = original(author, id, media);
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let body = if key.is_some() { hashed(body, hash.clone()) } else { body };
        let bytes = self.blobs.put(&file, body, self.bytes_max).await?;
        let once = key.map(|key| {
            let hash = hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Once::new(key, &[caption.as_str().as_bytes(), &hash.finalize()])
        });
        let photo = NewPhoto { id, author, caption, media, bytes, created, once };
        let jobs = [FanOut { photo: id, author }.job(), Thumbnails { photo: id, author }.job()];
        match self.store.add_photo(&photo, &jobs).await {
            Ok(written) => Ok(Posted { photo: id, written, is_new: true }),
            Err(StoreError::Repeated(earlier)) => {
                self.blobs.delete(&file).await?;
                let photo = PhotoId::from_sql(earlier.id);
                Ok(Posted { photo, written: earlier.position, is_new: false })
            }
            Err(error) => {
                // After other errors the photo may be there, by this call or an earlier try of it.
                if matches!(error, StoreError::NoSuchUser | StoreError::KeyReused) {
                    self.blobs.delete(&file).await?;
                }
                Err(error.into())
            }
        }
    }
}

/// The same body, whose bytes are hashed as they pass.
fn hashed(body: Body, hash: Arc<Mutex<Sha256>>) -> Body {
    body.inspect_ok(move |bytes| hash.lock().unwrap_or_else(PoisonError::into_inner).update(bytes)).boxed()
}

/// Where the file of a photo is, as it was uploaded. With the author, so that the same id for another author's photo,
/// which the store refuses, overwrites no file.
///
/// # Panics
/// Never: numbers make a valid key.
#[must_use]
pub fn original(author: UserId, photo: PhotoId, media: MediaType) -> BlobKey {
    BlobKey::new(&format!("photos/{author}/{photo}/original"), media).expect("numbers make a valid key")
}

/// The first bytes, as many as tell the type, and the whole body again.
async fn peek(body: Body) -> Result<(Bytes, Body), PostError> {
    // A file that is shorter ends here, and again when the whole body is read.
    let mut body = body.fuse();
    let mut start = BytesMut::new();
    while start.len() < MediaType::NEEDED {
        match body.next().await {
            Some(Ok(bytes)) => start.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(BlobsError::BrokenOff(error).into()),
            None => break,
        }
    }
    let start = start.freeze();
    let whole = stream::iter([Ok(start.clone())]).chain(body).boxed();
    Ok((start, whole))
}
