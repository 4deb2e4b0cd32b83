// What an operator sees on single pages before a proxy of made-up figures: dialogs, buttons, orders, graphs and times.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { start } from "./mock/server.mjs";
import { launch, open } from "./support/browser.mjs";

let chrome;
before(async () => { chrome = await launch(); });
after(() => chrome.close());

async function withMock(options, run) {
  const mock = await start(options);
  try {
    await run(mock);
  } finally {
    await mock.close();
  }
}

test("a dialog closes with the page that it belongs to, and does nothing", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url);
  await page.locator(".problem").first().waitFor();
  let purges = 0;
  page.on("request", (request) => { if (request.url().endsWith("/cache/purge")) purges += 1; });
  for (const leave of [() => page.goBack(), () => page.evaluate(() => { location.hash = "#/events"; })]) {
    await page.goto(mock.url + "#/");
    await page.goto(mock.url + "#/cache");
    await page.getByLabel("What to purge").fill("http://shop.example.com/a");
    await page.getByRole("button", { name: "Purge" }).click();
    await page.getByRole("dialog").getByText("This cannot be undone").waitFor();
    await leave();
    await page.getByRole("heading", { name: /Overview|Events/, level: 1 }).waitFor();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1", "the focus is on the new page");
  }
  await page.keyboard.press("Enter");
  assert.equal(purges, 0);
  check();
  await page.close();
}));
