// Photos for tests: landscapes of a few colours, as PNG files.

import { crc32, deflateSync } from "node:zlib";

function chunk(kind, content) {
  const body = Buffer.concat([Buffer.from(kind), content]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

const SKIES = [["#20315c", "#f2a65a"], ["#5aa0d8", "#f4efe0"], ["#31204f", "#e8627c"], ["#0f3d4c", "#8fd0c0"], ["#7a4b8f", "#ffd3a0"]];
const HILLS = ["#2d4a3e", "#6b4a2f", "#22344f", "#4b2a45", "#26413f"];
const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const mix = (from, to, share) => from.map((value, index) => value + (to[index] - value) * share);

/** A landscape; the same number paints the same. */
export function paint(number, width, height) {
  const [top, low] = SKIES[number % SKIES.length].map(rgb);
  const hill = rgb(HILLS[(number * 3 + 1) % HILLS.length]);
  const [sunX, sunY, sunR] = [width * (0.25 + 0.5 * ((number * 0.37) % 1)), height * 0.42, height * 0.09];
  const rows = Buffer.alloc((width * 3 + 1) * height);
  const ridge = (layer) => (x) => height * (0.55 + layer * 0.12 + 0.07 * Math.sin(x / width * (4 + number % 3 + layer) + number + layer * 2) + 0.025 * Math.sin(x / width * 17 + number));
  const ridges = [0, 1, 2].map(ridge);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let colour = mix(top, low, Math.min(1, y / height * 1.4));
      const distance = Math.hypot(x - sunX, y - sunY);
      colour = distance < sunR ? [255, 246, 220] : mix(colour, [255, 236, 200], Math.max(0, 0.5 - (distance - sunR) / (height * 0.6)));
      ridges.forEach((at, layer) => { if (y > at(x)) colour = mix(hill, low, 0.55 - layer * 0.25); });
      const at = y * (width * 3 + 1) + 1 + x * 3;
      for (let channel = 0; channel < 3; channel += 1) rows[at + channel] = colour[channel];
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}
