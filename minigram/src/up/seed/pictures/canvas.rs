//! What pictures are painted on: colours with room above white, gradients, glows, noise.

use fastrand::Rng;
use image::{Rgb, RgbImage};

/// Red, green, blue; 0 to 1 is what can be shown.
#[derive(Debug, Clone, Copy)]
pub struct Colour(pub [f32; 3]);

impl Colour {
    /// From `0xrrggbb`.
    pub const fn hex(hex: u32) -> Self {
        let [_, red, green, blue] = hex.to_be_bytes();
        Self([red as f32 / 255.0, green as f32 / 255.0, blue as f32 / 255.0])
    }

    /// From a hue of 0 to 1, with a saturation and a lightness of 0 to 1.
    pub fn hsl(hue: f32, saturation: f32, lightness: f32) -> Self {
        let reach = saturation * lightness.min(1.0 - lightness);
        let part = |offset: f32| {
            let at = (offset + hue.rem_euclid(1.0) * 12.0).rem_euclid(12.0);
            lightness - reach * (at - 3.0).min(9.0 - at).clamp(-1.0, 1.0)
        };
        Self([part(0.0), part(8.0), part(4.0)])
    }

    /// This colour at 0, the other one at 1.
    pub fn mix(self, other: Self, share: f32) -> Self {
        let mut mixed = self.0;
        for (mine, theirs) in mixed.iter_mut().zip(other.0) {
            *mine += (theirs - *mine) * share;
        }
        Self(mixed)
    }

    /// With `light` of another colour added.
    pub fn lit(self, other: Self, light: f32) -> Self {
        let mut lit = self.0;
        for (mine, theirs) in lit.iter_mut().zip(other.0) {
            *mine += theirs * light;
        }
        Self(lit)
    }
}

/// A picture that is being painted.
#[derive(Debug)]
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, pixels: vec![Colour([0.0; 3]); width * height] }
    }

    /// Colours from the top to the bottom, evenly spread.
    pub fn gradient(&mut self, colours: &[Colour]) {
        let last = colours.len().saturating_sub(1);
        for y in 0..self.height {
            let at = y as f32 / self.height as f32 * last as f32;
            let index = (at as usize).min(last.saturating_sub(1));
            let next = (index + 1).min(last);
            let colour = colours[index].mix(colours[next], at - index as f32);
            self.pixels[y * self.width..(y + 1) * self.width].fill(colour);
        }
    }

    /// The pixel at a place that must be on the canvas.
    pub fn at(&mut self, x: usize, y: usize) -> &mut Colour {
        &mut self.pixels[y * self.width + x]
    }

    /// A disc whose edge is `edge` wide; `strength` 1 covers what is below.
    pub fn disc(&mut self, centre: (f32, f32), radius: f32, edge: f32, colour: Colour, strength: f32) {
        self.around(centre, radius + edge, |pixel, distance| {
            let cover = ((radius + edge - distance) / edge.max(0.5)).clamp(0.0, 1.0);
            *pixel = pixel.mix(colour, cover * strength);
        });
    }

    /// Light around a point that fades out to `radius`.
    pub fn glow(&mut self, centre: (f32, f32), radius: f32, colour: Colour, strength: f32) {
        self.around(centre, radius, |pixel, distance| {
            let near = 1.0 - distance / radius;
            *pixel = pixel.lit(colour, near * near * near * strength);
        });
    }

    /// Calls `paint` for the pixels within `radius`, with their distance.
    fn around(&mut self, centre: (f32, f32), radius: f32, mut paint: impl FnMut(&mut Colour, f32)) {
        let range = |middle: f32, size: usize| {
            let from = (middle - radius).floor().max(0.0) as usize;
            from.min(size)..((middle + radius).ceil().max(0.0) as usize).min(size)
        };
        for y in range(centre.1, self.height) {
            for x in range(centre.0, self.width) {
                let distance = (x as f32 - centre.0).hypot(y as f32 - centre.1);
                if distance < radius {
                    paint(self.at(x, y), distance);
                }
            }
        }
    }

    /// Darkens towards the corners, by `strength` at the most.
    pub fn vignette(&mut self, strength: f32) {
        let (middle_x, middle_y) = (self.width as f32 / 2.0, self.height as f32 / 2.0);
        for y in 0..self.height {
            for x in 0..self.width {
                let (dx, dy) = ((x as f32 - middle_x) / middle_x, (y as f32 - middle_y) / middle_y);
                let far = (dx * dx + dy * dy) / 2.0;
                let pixel = self.at(x, y);
                *pixel = pixel.mix(Colour([0.0; 3]), far * far * strength);
            }
        }
    }

    pub fn into_image(self) -> RgbImage {
        let (width, height) = (self.width as u32, self.height as u32);
        RgbImage::from_fn(width, height, |x, y| {
            let colour = self.pixels[y as usize * self.width + x as usize];
            Rgb(colour.0.map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8))
        })
    }
}

/// Smooth random values along a line, between 0 and 1.
#[derive(Debug)]
pub struct Noise {
    values: [f32; 256],
}

impl Noise {
    pub fn new(rng: &mut Rng) -> Self {
        Self { values: std::array::from_fn(|_| rng.f32()) }
    }

    /// One octave.
    pub fn smooth(&self, at: f32) -> f32 {
        let floor = at.floor();
        let part = at - floor;
        let index = (floor as i64).rem_euclid(256) as usize;
        let (left, right) = (self.values[index], self.values[(index + 1) % 256]);
        left + (right - left) * part * part * (3.0 - 2.0 * part)
    }

    /// Octaves of half the size and strength each.
    pub fn rough(&self, at: f32, octaves: u32) -> f32 {
        let (mut sum, mut strength, mut scale) = (0.0, 0.5, 1.0);
        for octave in 0..octaves {
            sum += self.smooth(at * scale + octave as f32 * 37.0) * strength;
            strength /= 2.0;
            scale *= 2.0;
        }
        sum
    }
}
