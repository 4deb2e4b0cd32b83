// Makes pictures of the pages: `node screenshots.mjs DIRECTORY`.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { start } from "./mock.mjs";
import { populate, session } from "./world.mjs";

const [directory] = process.argv.slice(2);
const PAGES = [["feed", "/"], ["photo", null], ["profile", "/@ada"], ["search", "/search?q=a"], ["upload", "/upload"]];
const LOOKS = [["light", { scheme: "light" }], ["dark", { scheme: "dark" }], ["phone", { scheme: "light", viewport: { width: 390, height: 844 } }], ["phone-dark", { scheme: "dark", viewport: { width: 390, height: 844 } }]];

await mkdir(directory, { recursive: true });
const mock = await start({ width: 1080 });
populate(mock);
for (const [look, options] of LOOKS) {
  const visitor = await session(mock.url, null, options);
  await visitor.page.getByRole("button", { name: "Create account" }).waitFor();
  await visitor.page.screenshot({ path: join(directory, `welcome-${look}.png`) });
  await visitor.close();
  const { page, close } = await session(mock.url, "ada", options);
  for (const [name, path] of PAGES) {
    await page.goto(mock.url + (path ?? `/p/${mock.photos.find(({ author }) => author.name === "ada").id}`));
    await page.locator("h1").first().waitFor({ state: "attached" });
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: join(directory, `${name}-${look}.png`) });
  }
  await close();
}
mock.close();
