//! Sample photos, painted by code: the same number is the same picture on every machine.

use std::io::Cursor;

use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageResult, RgbImage};

mod canvas;
mod land;
mod light;

use canvas::Canvas;

/// JPEG's quality.
const QUALITY: u8 = 86;

/// Sides of the pictures: landscape, square, portrait.
const SIZES: [(u32, u32); 3] = [(960, 720), (840, 840), (720, 900)];

/// What is painted, and what a caption may say of it.
type Scene = (fn(&mut Canvas, &mut Rng), [&'static str; 4]);

const SCENES: [Scene; 6] = [
    (
        land::mountains,
        ["First light on the ridge", "Five ranges deep", "Up before the birds", "No signal, no problem"],
    ),
    (land::sea, ["The sun goes home", "Still water", "Last ferry of the day", "Salt on the lens"]),
    (
        light::aurora,
        ["The sky at two in the morning", "Worth the cold feet", "Green night", "It danced for an hour"],
    ),
    (light::bokeh, ["Rain on the tram window", "City, out of focus", "Waiting for the bus", "Lights"]),
    (
        land::dunes,
        ["Walking in circles", "Wind writes, wind erases", "Forty degrees in the shade", "Sand everywhere"],
    ),
    (light::seeds, ["Fibonacci was here", "Golden angle", "Counted them all: 900", "Study in spirals"]),
];

/// A sample photo.
#[derive(Debug, Clone)]
pub struct Picture {
    /// A JPEG file.
    pub jpeg: Vec<u8>,
    /// What its author says of it.
    pub caption: &'static str,
}

/// Paints the picture with this number.
///
/// # Errors
/// It cannot be encoded.
pub fn paint(number: usize) -> ImageResult<Picture> {
    let (scene, captions) = SCENES[number % SCENES.len()];
    let (width, height) = SIZES[(number / 2) % SIZES.len()];
    // Neighbouring seeds would begin alike.
    let mut rng = Rng::with_seed((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut canvas = Canvas::new(width, height);
    scene(&mut canvas, &mut rng);
    canvas.vignette(0.25);
    let caption = captions[(number / SCENES.len()) % captions.len()];
    Ok(Picture { jpeg: encode(&canvas.into_image())?, caption })
}

fn encode(image: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(image)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_scene_is_a_photo_and_always_the_same() {
        let pictures: Vec<Picture> = (0..SCENES.len()).map(|number| paint(number).unwrap()).collect();
        let different: HashSet<&[u8]> = pictures.iter().map(|picture| &picture.jpeg[..]).collect();
        assert_eq!(different.len(), SCENES.len());
        assert_eq!(paint(3).unwrap().jpeg, pictures[3].jpeg);
        for picture in pictures {
            let image = image::load_from_memory(&picture.jpeg).unwrap().into_rgb8();
            assert!(image.width() >= 720 && image.height() >= 720);
            // Not one colour: something was painted.
            let colours: HashSet<[u8; 3]> = image.pixels().step_by(97).map(|pixel| pixel.0).collect();
            assert!(colours.len() > 200, "{} colours", colours.len());
        }
    }
}
