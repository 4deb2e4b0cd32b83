//! Scenes outdoors by day: mountains, the sea, dunes.

use fastrand::Rng;

use super::canvas::{Canvas, Colour, Noise};

/// Skies from top to horizon, and the colour of the nearest land.
const SKIES: [([Colour; 3], Colour); 5] = [
    ([Colour::hex(0x2b_4c7e), Colour::hex(0xf0_a868), Colour::hex(0xff_e2b0)], Colour::hex(0x1d_2233)),
    ([Colour::hex(0x5b_86c4), Colour::hex(0xa9_cbe8), Colour::hex(0xf3_efe0)], Colour::hex(0x16_3a34)),
    ([Colour::hex(0x3a_2a5c), Colour::hex(0xb8_5c8a), Colour::hex(0xff_c59e)], Colour::hex(0x1a_1230)),
    ([Colour::hex(0x18_3b4e), Colour::hex(0x4f_9a94), Colour::hex(0xf6_e7a8)], Colour::hex(0x0d_2326)),
    ([Colour::hex(0x7a_2e3b), Colour::hex(0xe0_6f4c), Colour::hex(0xff_d28a)], Colour::hex(0x2a_1018)),
];

const SUN: Colour = Colour::hex(0xff_f4d8);

/// Brighter than its glow can make the sky.
const SUN_DISC: Colour = Colour([1.6, 1.5, 1.3]);

fn sky(canvas: &mut Canvas, rng: &mut Rng) -> ([Colour; 3], Colour) {
    let (sky, land) = SKIES[rng.usize(..SKIES.len())];
    canvas.gradient(&[sky[0], sky[1], sky[2], sky[2]]);
    (sky, land)
}

/// Ranges one behind the other, the farther the paler.
pub fn mountains(canvas: &mut Canvas, rng: &mut Rng) {
    let (sky, land) = sky(canvas, rng);
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let sun = (width * (0.2 + rng.f32() * 0.6), height * (0.28 + rng.f32() * 0.15));
    canvas.glow(sun, height * 0.55, SUN, 0.55);
    canvas.disc(sun, height * 0.045, 2.0, SUN_DISC, 0.95);
    let ranges = 6;
    for range in 0..ranges {
        let near = range as f32 / (ranges - 1) as f32;
        let colour = sky[2].mix(land, 0.25 + 0.75 * near);
        let noise = Noise::new(rng);
        let (base, reach) = (height * (0.42 + 0.4 * near), height * (0.34 - 0.12 * near));
        for x in 0..canvas.width {
            let at = x as f32 / width * (3.0 + 2.0 * near);
            let top = (base + reach * (0.5 - noise.rough(at, 7))).max(0.0);
            for y in (top as usize).min(canvas.height)..canvas.height {
                // Mist gathers at the foot of a range.
                let mist = ((y as f32 - top) / (height * 0.3)).min(1.0) * 0.4 * (1.0 - near);
                *canvas.at(x, y) = colour.mix(sky[2], mist);
            }
        }
    }
}

/// A low sun over water that mirrors it.
pub fn sea(canvas: &mut Canvas, rng: &mut Rng) {
    let (sky, land) = sky(canvas, rng);
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let horizon = height * (0.5 + rng.f32() * 0.1);
    let sun = (width * (0.3 + rng.f32() * 0.4), horizon - height * (0.05 + rng.f32() * 0.12));
    canvas.glow(sun, height * 0.6, SUN, 0.6);
    canvas.disc(sun, height * 0.06, 2.0, SUN_DISC, 0.95);
    let (waves, swell) = (Noise::new(rng), Noise::new(rng));
    for y in horizon as usize..canvas.height {
        let deep = (y as f32 - horizon) / (height - horizon);
        let water = sky[1].mix(sky[0], deep.sqrt()).mix(land, 0.2 + 0.4 * deep);
        // Waves are longer the nearer they are.
        let length = 4.0 + 60.0 * deep;
        let row = 1.0 / (deep + 0.03) * 7.0;
        for x in 0..canvas.width {
            let across = (x as f32 - width / 2.0) / length + swell.smooth(row) * 40.0;
            let crest = waves.smooth(across + row * 3.0) * swell.smooth(row * 2.0);
            let path = (x as f32 - sun.0).abs() / (width * (0.035 + 0.12 * deep));
            let glitter = (1.0 - path).max(0.0).powi(2) * (crest * 2.4).min(1.0);
            *canvas.at(x, y) = water.lit(sky[2], crest * 0.25).lit(SUN, glitter * 0.8);
        }
    }
}

/// Ridges of sand, lit from one side.
pub fn dunes(canvas: &mut Canvas, rng: &mut Rng) {
    let warm = 0.04 + rng.f32() * 0.05;
    let dusk = rng.f32() * 0.3;
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let air = Colour::hsl(warm + 0.02, 0.75, 0.86 - dusk * 0.4);
    canvas.gradient(&[Colour::hsl(0.57 + dusk * 0.2, 0.45, 0.55 - dusk * 0.5), air, air]);
    let ridges = 5;
    for ridge in 0..ridges {
        let near = ridge as f32 / (ridges - 1) as f32;
        let (lit, shade) = (Colour::hsl(warm, 0.62, 0.68), Colour::hsl(warm - 0.02, 0.5, 0.28 - dusk * 0.3));
        let (noise, ripples) = (Noise::new(rng), Noise::new(rng));
        let (base, reach) = (height * (0.38 + 0.42 * near), height * 0.26);
        for x in 0..canvas.width {
            let at = x as f32 / width * (1.3 + near);
            let crest = noise.rough(at, 2);
            let top = (base + reach * (0.4 - crest)).max(0.0);
            let slope = (noise.rough(at + 0.01, 2) - crest) * 40.0;
            for y in (top as usize).min(canvas.height)..canvas.height {
                let below = (y as f32 - top) / height;
                let bend = ripples.smooth(at * 6.0 + below * 9.0);
                let ripple = ((below * (90.0 - 40.0 * near) + bend * 5.0).sin() * 0.5 + 0.5) * 0.16 * near;
                let light = (0.55 - slope * 0.8 + ripple - below * 0.7).clamp(0.0, 1.0);
                *canvas.at(x, y) = shade.mix(lit, light).mix(air, 0.45 * (1.0 - near));
            }
        }
    }
}
