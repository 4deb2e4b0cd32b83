//! The sizes that a photo is shown in, and where their files are.

use crate::ids::{PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::blobs::BlobKey;

/// A size of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// A square of 150 pixels, cut from the middle.
    Thumb,
    /// At most 480 pixels wide and high.
    Small,
    /// At most 1080 pixels wide and high.
    Large,
}

impl Size {
    /// All of them, from small to large.
    pub const ALL: [Self; 3] = [Self::Thumb, Self::Small, Self::Large];

    /// The types that each size is made in.
    pub const MEDIA: [MediaType; 2] = [MediaType::Jpeg, MediaType::Webp];

    /// For paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thumb => "thumb",
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// The longest side, in pixels.
    #[must_use]
    pub fn pixels(self) -> u32 {
        match self {
            Self::Thumb => 150,
            Self::Small => 480,
            Self::Large => 1080,
        }
    }

    /// Where the file of this size is.
    ///
    /// # Panics
    /// Never: numbers make a valid key.
    #[must_use]
    pub fn key(self, author: UserId, photo: PhotoId, media: MediaType) -> BlobKey {
        let name = format!("photos/{author}/{photo}/{}", self.name());
        BlobKey::new(&name, media).expect("numbers make a valid key")
    }
}
