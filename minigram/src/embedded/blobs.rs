//! Blobs in anything that `object_store` speaks to: files below a directory here, S3 in `real::s3`.

use std::path::Path as Directory;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use crate::ports::blobs::{Blob, BlobKey, Blobs, BlobsError, BlobsResult, Body, Part};

/// A blob that is no larger goes in one piece, a larger one in pieces of at least this size: the least that S3 takes.
const PIECE_BYTES: usize = 5 << 20;

/// Blobs in an object store.
#[derive(Debug, Clone)]
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
}

impl ObjectBlobs {
    /// Files below `directory`, which is made if need be. They are on disk when a call returns.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn local(directory: &Directory) -> BlobsResult<Self> {
        std::fs::create_dir_all(directory).map_err(|error| BlobsError::Unavailable(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(unavailable)?.with_fsync(true);
        Ok(Self { store: Arc::new(store) })
    }

    /// Blobs in this store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Sends `body` on in pieces; returns the size.
    async fn send(&self, path: &Path, mut body: Body, bytes_max: u64) -> BlobsResult<u64> {
        let mut upload = Upload { store: &*self.store, path, begun: None };
        let mut piece: Vec<Bytes> = Vec::new();
        let (mut piece_bytes, mut size) = (0, 0);
        while let Some(bytes) = body.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => return upload.abort(BlobsError::BrokenOff(error)).await,
            };
            size += bytes.len() as u64;
            if size > bytes_max {
                return upload.abort(BlobsError::TooLarge(bytes_max)).await;
            }
            piece_bytes += bytes.len();
            piece.push(bytes);
            if piece_bytes >= PIECE_BYTES {
                if let Err(error) = upload.send(piece.drain(..).collect()).await {
                    return upload.abort(unavailable(error)).await;
                }
                piece_bytes = 0;
            }
        }
        match upload.finish(piece.drain(..).collect()).await {
            Ok(()) => Ok(size),
            Err(error) => upload.abort(unavailable(error)).await,
        }
    }

    /// Why a part could not be read.
    async fn why(&self, path: &Path, part: Part, error: object_store::Error) -> BlobsError {
        match self.store.head(path).await {
            Ok(meta) if !reaches(part, meta.size) => BlobsError::OutOfRange(meta.size),
            Err(object_store::Error::NotFound { .. }) => BlobsError::NotFound,
            Ok(_) | Err(_) => unavailable(error),
        }
    }
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn put(&self, key: &BlobKey, body: Body, bytes_max: u64) -> BlobsResult<u64> {
        self.send(&Path::from(key.to_string()), body, bytes_max).await
    }

    async fn get(&self, key: &BlobKey, part: Part) -> BlobsResult<Blob> {
        let path = Path::from(key.to_string());
        let range = match part {
            Part::Whole => None,
            Part::From(first) => Some(GetRange::Offset(first)),
            Part::Between(first, last) => Some(GetRange::Bounded(first..last.saturating_add(1))),
            Part::Last(bytes) => Some(GetRange::Suffix(bytes)),
        };
        // A range of no bytes is an error of its own with some stores, and none with others.
        if part == Part::Last(0) {
            let meta = self.store.head(&path).await.map_err(unavailable)?;
            return Err(BlobsError::OutOfRange(meta.size));
        }
        let options = GetOptions { range, ..GetOptions::default() };
        let result = match self.store.get_opts(&path, options).await {
            Ok(result) => result,
            Err(error) => return Err(self.why(&path, part, error).await),
        };
        Ok(Blob {
            media: key.media(),
            size: result.meta.size,
            range: result.range.clone(),
            body: result.into_stream().map_err(Into::into).boxed(),
        })
    }

    async fn delete(&self, key: &BlobKey) -> BlobsResult<()> {
        match self.store.delete(&Path::from(key.to_string())).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// A blob on its way into the store.
struct Upload<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
    /// Once there was more than one piece.
    begun: Option<Box<dyn MultipartUpload>>,
}

impl Upload<'_> {
    async fn send(&mut self, piece: PutPayload) -> object_store::Result<()> {
        if self.begun.is_none() {
            self.begun = Some(self.store.put_multipart(self.path).await?);
        }
        self.begun.as_mut().expect("begun above").put_part(piece).await
    }

    async fn finish(&mut self, rest: PutPayload) -> object_store::Result<()> {
        let Some(upload) = &mut self.begun else {
            return self.store.put(self.path, rest).await.map(drop);
        };
        if rest.content_length() > 0 {
            upload.put_part(rest).await?;
        }
        upload.complete().await.map(drop)
    }

    /// Removes what was sent; the error that led to this counts, not one of the removal.
    async fn abort<T>(mut self, why: BlobsError) -> BlobsResult<T> {
        if let Some(upload) = &mut self.begun {
            drop(upload.abort().await);
        }
        Err(why)
    }
}

/// Whether a blob of this size has any of the bytes.
fn reaches(part: Part, size: u64) -> bool {
    match part {
        Part::Whole => true,
        Part::From(first) => first < size,
        Part::Between(first, last) => first < size && first <= last,
        Part::Last(bytes) => bytes > 0 && size > 0,
    }
}

fn unavailable(error: object_store::Error) -> BlobsError {
    match error {
        object_store::Error::NotFound { .. } => BlobsError::NotFound,
        error => BlobsError::Unavailable(error.into()),
    }
}
