//! The types of pictures that MiniGram takes and makes, found from a file's first bytes and never from its name.

use serde::{Deserialize, Serialize};

/// A type of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaType {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
}

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif];

    /// How many bytes of a file [`MediaType::of_content`] needs.
    pub const NEEDED: usize = 12;

    /// The type by the first bytes of a file; `None` if MiniGram does not take such files.
    #[must_use]
    pub fn of_content(start: &[u8]) -> Option<Self> {
        match start {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// For file names, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// The type that [`MediaType::extension`] wrote.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.extension() == extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        let check = |start: &[u8], expected| assert_eq!(MediaType::of_content(start), expected);
        check(b"\xff\xd8\xff\xe0\0\x10JFIF", Some(MediaType::Jpeg));
        check(b"\x89PNG\r\n\x1a\n\0\0\0\r", Some(MediaType::Png));
        check(b"RIFF\x24\0\0\0WEBPVP8 ", Some(MediaType::Webp));
        check(b"RIFF\x24\0\0\0WAVEfmt ", None);
        check(b"GIF89a\x01\0\x01\0", Some(MediaType::Gif));
        check(b"<script>alert(1)</script>", None);
        check(b"\xff\xd8", None);
        check(b"", None);
    }

    #[test]
    fn an_extension_leads_back_to_its_type() {
        for media in MediaType::ALL {
            assert_eq!(MediaType::of_extension(media.extension()), Some(media));
        }
        assert_eq!(MediaType::of_extension("svg"), None);
    }
}
