//! The sizes of a picture, made from its file: decoded within limits, turned as its EXIF data says, and encoded.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use crate::domain::sizes::Size;
use crate::media::MediaType;

const JPEG_QUALITY: u8 = 82;
const WEBP_QUALITY: f32 = 78.0;

/// Bytes that decoders take for one pixel at most: 16 bits for each of 4 channels.
const PIXEL_BYTES_MAX: u64 = 8;

/// One size of a picture, in one type.
#[derive(Debug)]
pub struct Made {
    /// Which size.
    pub size: Size,
    /// Which type.
    pub media: MediaType,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why a file gives no sizes. None of these passes.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It has more pixels than allowed.
    #[error("the picture has {width} x {height} pixels; at most {pixels_max} are allowed")]
    TooManyPixels {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// How many are allowed.
        pixels_max: u64,
    },
    /// The file is damaged, or of another type than its first bytes say.
    #[error("the picture cannot be decoded: {0}")]
    Broken(#[source] image::ImageError),
    /// A size cannot be encoded.
    #[error("the {size} picture cannot be encoded: {reason}")]
    Encoding {
        /// Which size.
        size: &'static str,
        /// Why.
        reason: String,
    },
}

/// All sizes in all types of the picture in `file`. Takes as long as decoding does: for a thread of its own.
///
/// # Errors
/// `TooManyPixels`, found out before a pixel is decoded; `Broken`; `Encoding`.
pub fn make(file: &[u8], media: MediaType, pixels_max: u64) -> Result<Vec<Made>, PictureError> {
    let picture = decode(file, media, pixels_max)?;
    // The original's memory ends here; the smaller sizes are made from the large one.
    let large = picture_within(picture, Size::Large.pixels());
    let mut made = Vec::with_capacity(Size::ALL.len() * Size::MEDIA.len());
    for size in Size::ALL {
        let picture = match size {
            Size::Thumb => square(&large, size.pixels()),
            Size::Small | Size::Large => within(&large, size.pixels()),
        };
        for media in Size::MEDIA {
            made.push(Made { size, media, bytes: encode(&picture, media, size)? });
        }
    }
    Ok(made)
}

fn decode(file: &[u8], media: MediaType, pixels_max: u64) -> Result<DynamicImage, PictureError> {
    let format = match media {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Webp => ImageFormat::WebP,
        MediaType::Gif => ImageFormat::Gif,
    };
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(pixels_max.saturating_mul(PIXEL_BYTES_MAX));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(PictureError::Broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels_max {
        return Err(PictureError::TooManyPixels { width, height, pixels_max });
    }
    let orientation = decoder.orientation().map_err(PictureError::Broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(PictureError::Broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn picture_within(picture: DynamicImage, side: u32) -> RgbImage {
    if picture.width().max(picture.height()) <= side {
        return on_white(&picture);
    }
    on_white(&picture.resize(side, side, FilterType::CatmullRom))
}

/// What is transparent becomes white, because JPEG has no transparency, and both types should look the same.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let with_alpha = picture.to_rgba8();
    RgbImage::from_fn(with_alpha.width(), with_alpha.height(), |x, y| {
        let [red, green, blue, alpha] = with_alpha.get_pixel(x, y).0;
        let mix = |channel: u8| {
            let mixed = u16::from(channel) * u16::from(alpha) + 255 * (255 - u16::from(alpha));
            u8::try_from(mixed / 255).unwrap_or(u8::MAX)
        };
        Rgb([mix(red), mix(green), mix(blue)])
    })
}

/// The picture, made smaller if a side is longer than `side`.
fn within(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= side {
        return picture.clone();
    }
    let scaled = |pixels: u32| {
        let pixels = u64::from(pixels) * u64::from(side) / u64::from(longest);
        u32::try_from(pixels).unwrap_or(side).max(1)
    };
    image::imageops::resize(picture, scaled(width), scaled(height), FilterType::CatmullRom)
}

/// The largest square in the middle, as `side` pixels.
fn square(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let shortest = width.min(height);
    let (left, top) = ((width - shortest) / 2, (height - shortest) / 2);
    let middle = image::imageops::crop_imm(picture, left, top, shortest, shortest);
    image::imageops::resize(&*middle, side, side, FilterType::CatmullRom)
}

fn encode(picture: &RgbImage, media: MediaType, size: Size) -> Result<Vec<u8>, PictureError> {
    let failed = |reason: String| PictureError::Encoding { size: size.name(), reason };
    if media == MediaType::Webp {
        let encoder = webp::Encoder::from_rgb(picture, picture.width(), picture.height());
        let encoded = encoder.encode_simple(false, WEBP_QUALITY);
        return encoded.map(|bytes| bytes.to_vec()).map_err(|error| failed(format!("{error:?}")));
    }
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    picture.write_with_encoder(encoder).map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimensions(made: &[Made], size: Size, media: MediaType) -> (u32, u32) {
        let file = made.iter().find(|made| made.size == size && made.media == media).unwrap();
        assert_eq!(MediaType::of_content(&file.bytes), Some(media));
        let decoded = image::load_from_memory(&file.bytes).unwrap();
        (decoded.width(), decoded.height())
    }

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_picture_is_made_smaller_and_never_larger_but_for_the_square() {
        let check = |width, height, small, large| {
            let file = png(&DynamicImage::new_rgb8(width, height));
            let made = make(&file, MediaType::Png, 10_000_000).unwrap();
            for media in Size::MEDIA {
                assert_eq!(dimensions(&made, Size::Thumb, media), (150, 150));
                assert_eq!(dimensions(&made, Size::Small, media), small);
                assert_eq!(dimensions(&made, Size::Large, media), large);
            }
        };
        check(2160, 1080, (480, 240), (1080, 540));
        check(1, 1, (1, 1), (1, 1));
        check(3000, 1, (480, 1), (1080, 1));
        check(100, 300, (100, 300), (100, 300));
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let clear = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(9, 9, image::Rgba([9, 9, 9, 0])));
        for made in make(&png(&clear), MediaType::Png, 100).unwrap() {
            let decoded = image::load_from_memory(&made.bytes).unwrap().to_rgb8();
            assert!(decoded.pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)));
        }
    }

    #[test]
    fn exif_orientation_is_applied() {
        // Red on the left; orientation 6 says to turn it by 90 degrees clockwise, so that red is at the top.
        let halves =
            RgbImage::from_fn(64, 32, |x, _| if x < 32 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
        let mut jpeg = encode(&halves, MediaType::Jpeg, Size::Large).unwrap();
        let tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
        let app1 = [&[0xff, 0xe1], &length[..], tiff].concat();
        jpeg.splice(2..2, app1);
        let made = make(&jpeg, MediaType::Jpeg, 10_000).unwrap();
        for media in Size::MEDIA {
            assert_eq!(dimensions(&made, Size::Large, media), (32, 64));
            let large = made.iter().find(|made| made.size == Size::Large && made.media == media).unwrap();
            let large = image::load_from_memory(&large.bytes).unwrap().to_rgb8();
            assert!(large.get_pixel(16, 8).0[0] > 150 && large.get_pixel(16, 56).0[2] > 150);
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded_and_damage_is_named() {
        let file = png(&DynamicImage::new_luma8(2000, 2000));
        let error = make(&file, MediaType::Png, 1_000_000).unwrap_err();
        assert!(matches!(error, PictureError::TooManyPixels { width: 2000, height: 2000, .. }), "{error}");
        assert!(file.len() < 100_000, "small as a file");
        for wrong in [&file[..file.len() / 2], b"\x89PNG\r\n\x1a\n", b""] {
            let error = make(wrong, MediaType::Png, 10_000_000).unwrap_err();
            assert!(matches!(error, PictureError::Broken(_)), "{error}");
        }
    }
}
