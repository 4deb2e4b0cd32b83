//! Scenes of light in the dark: aurora, lights out of focus, and the spirals of a sunflower.

use std::f32::consts::{PI, TAU};

use fastrand::Rng;

use super::canvas::{Canvas, Colour, Noise};

/// Curtains of light over a wood.
pub fn aurora(canvas: &mut Canvas, rng: &mut Rng) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    canvas.gradient(&[Colour::hex(0x04_0818), Colour::hex(0x0a_1c38), Colour::hex(0x12_3a4a)]);
    for _ in 0..420 {
        let star = (rng.f32() * width, rng.f32() * height * 0.8);
        canvas.disc(star, 0.3 + rng.f32() * 0.7, 0.8, Colour::hex(0xdf_e8ff), 0.3 + rng.f32() * 0.6);
    }
    let first = 0.36 + rng.f32() * 0.12;
    for curtain in 0..3 {
        let (foot, bright, rays) = (Noise::new(rng), Noise::new(rng), Noise::new(rng));
        let low = Colour::hsl(first + curtain as f32 * 0.03, 0.85, 0.5);
        let high = Colour::hsl(first + 0.35, 0.7, 0.45);
        let base = height * (0.42 + 0.13 * curtain as f32);
        for x in 0..canvas.width {
            let at = x as f32 / width * 3.0;
            let bottom = base + (foot.rough(at, 3) - 0.5) * height * 0.4;
            let length = height * (0.2 + 0.35 * rays.smooth(at * 9.0));
            let light = bright.rough(at * 1.6, 3) * (0.6 + 0.4 * rays.smooth(at * 40.0));
            for y in (bottom - length).max(0.0) as usize..(bottom.max(0.0) as usize).min(canvas.height) {
                let up = (bottom - y as f32) / length;
                let strength = light * (1.0 - up).powi(2) * (up * 12.0).min(1.0);
                let pixel = canvas.at(x, y);
                *pixel = pixel.lit(low.mix(high, up), strength);
            }
        }
    }
    wood(canvas, rng);
}

fn wood(canvas: &mut Canvas, rng: &mut Rng) {
    let height = canvas.height as f32;
    let hills = Noise::new(rng);
    let ground: Vec<f32> = (0..canvas.width)
        .map(|x| height * (0.97 - 0.1 * hills.rough(x as f32 / canvas.width as f32 * 3.0, 3)))
        .collect();
    let mut tops = ground.clone();
    for _ in 0..canvas.width / 7 {
        let (trunk, tall) = (rng.usize(..canvas.width), height * (0.04 + rng.f32() * 0.09));
        let (foot, half) = (ground[trunk], tall * 0.22);
        let reach = half as usize;
        let (from, end) = (trunk.saturating_sub(reach), (trunk + reach + 1).min(canvas.width));
        for (x, outline) in tops.iter_mut().enumerate().take(end).skip(from) {
            let across = x.abs_diff(trunk) as f32 / half.max(1.0);
            // Branches make steps in the outline.
            let top = foot - tall * (1.0 - across) + (across * 9.0 * PI).sin().abs() * tall * 0.08;
            *outline = outline.min(top);
        }
    }
    for (x, top) in tops.into_iter().enumerate() {
        for y in (top.max(0.0) as usize).min(canvas.height)..canvas.height {
            *canvas.at(x, y) = Colour::hex(0x03_070c);
        }
    }
}

/// Lights of a city, out of focus.
pub fn bokeh(canvas: &mut Canvas, rng: &mut Rng) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let hue = rng.f32();
    canvas.gradient(&[
        Colour::hsl(hue, 0.45, 0.07),
        Colour::hsl(hue + 0.08, 0.5, 0.17),
        Colour::hsl(hue + 0.15, 0.4, 0.06),
    ]);
    for _ in 0..5 {
        let centre = (rng.f32() * width, height * (0.3 + rng.f32() * 0.4));
        canvas.glow(centre, width * 0.5, Colour::hsl(hue + rng.f32() * 0.3, 0.7, 0.5), 0.35);
    }
    for light in 0..70 {
        // From the far and small to the near and large.
        let near = light as f32 / 70.0;
        let radius = width * (0.008 + 0.05 * near * near) * (0.7 + rng.f32() * 0.6);
        let centre = (rng.f32() * width, height * (0.5 + (rng.f32() - 0.5) * (0.35 + 0.65 * near)));
        let colour = Colour::hsl(hue + rng.f32() * 0.25 - 0.05, 0.85, 0.6 + rng.f32() * 0.15);
        let strength = 0.5 - 0.32 * near;
        canvas.disc(centre, radius, 1.5, colour, strength);
        // A lens draws a brighter rim.
        canvas.disc(centre, radius * 0.9, radius * 0.12, colour.mix(Colour([0.0; 3]), 0.25), strength * 0.4);
    }
}

/// Seeds as a sunflower sets them: each one turned by the golden angle.
pub fn seeds(canvas: &mut Canvas, rng: &mut Rng) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let hue = rng.f32();
    canvas.gradient(&[Colour::hsl(hue + 0.55, 0.3, 0.16), Colour::hsl(hue + 0.6, 0.4, 0.08)]);
    let centre = (width * (0.4 + rng.f32() * 0.2), height * (0.4 + rng.f32() * 0.2));
    let golden = TAU * (1.0 - 1.0 / 1.618_034);
    let (seeds, spread) = (900, width.max(height) * 0.62);
    canvas.glow(centre, spread, Colour::hsl(hue, 0.6, 0.4), 0.4);
    for seed in (0..seeds).rev() {
        let part = seed as f32 / seeds as f32;
        let (angle, distance) = (seed as f32 * golden, part.sqrt() * spread);
        let place = (centre.0 + angle.cos() * distance, centre.1 + angle.sin() * distance);
        let radius = spread * (0.006 + 0.017 * part.sqrt());
        let colour = Colour::hsl(hue + part * 0.35, 0.75, 0.62 - 0.25 * part);
        canvas.disc((place.0 + radius * 0.25, place.1 + radius * 0.35), radius, 2.0, Colour([0.0; 3]), 0.35);
        canvas.disc(place, radius, 1.2, colour, 0.95);
        canvas.glow((place.0 - radius * 0.3, place.1 - radius * 0.3), radius, Colour([1.0; 3]), 0.4);
    }
}
