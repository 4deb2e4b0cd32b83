// Pictures of the dashboard for the documentation, with made-up figures: node screenshots.mjs DIRECTORY

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { start } from "./mock/server.mjs";
import { record } from "./mock/records.mjs";
import { launch, open } from "./support/browser.mjs";

/** Name, page, and what shows that it is there. */
const PICTURES = [
  ["overview", "", ".chart canvas"], ["pool", "pools/api", ".servers tbody tr"],
  ["explain", "explain?url=https://shop.example.com/api/cart", ".verdict"], ["requests", `requests/${record(0).id}`, ".timeline"],
];
const SIZE = { width: 1280, height: 860 };

const [, , directory] = process.argv;
await mkdir(directory, { recursive: true });
const chrome = await launch();
const mock = await start({ servers: 6 });
try {
  for (const scheme of ["light", "dark"]) {
    for (const [name, path, sign] of PICTURES) {
      const { page, check } = await open(chrome.context, mock.url, { scheme, path, viewport: SIZE });
      await page.locator(sign).first().waitFor();
      await page.locator(".health").getByText("problems").waitFor();
      await page.evaluate(() => document.fonts.ready);
      const file = join(directory, `dashboard-${name}-${scheme}.png`);
      await page.screenshot({ path: file });
      console.log(file);
      check();
      await page.close();
    }
  }
} finally {
  await mock.close();
  await chrome.close();
}
