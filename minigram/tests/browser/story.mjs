// The story that any MiniGram must be able to tell: two people meet, one posts a photo, the other one likes it, and both see it live.

import assert from "node:assert/strict";

import { until } from "../../../tests/browser/support/browser.mjs";
import { paint } from "./paint.mjs";

async function signUp(page, url, name, display) {
  await page.goto(`${url}/sign-up`);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Display name").fill(display);
  await page.getByLabel("Password").fill("a long password");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Nothing here yet").waitFor();
}

const likeOf = (page, id) => page.locator(`[data-photo="${id}"]`).getByRole("button", { name: /^Like/ });

/** `author` and `reader` are pages of two browsers; `names` are free. */
export async function story(url, author, reader, [authorName, readerName]) {
  await signUp(author, url, authorName, "Ann Author");
  await signUp(reader, url, readerName, "Rea Reader");
  await reader.goto(`${url}/@${authorName}`);
  await reader.getByRole("button", { name: "Follow Ann Author" }).click();
  await reader.getByRole("button", { name: "Following Ann Author" }).waitFor();
  await reader.getByRole("link", { name: "Feed", exact: true }).click();

  await author.getByRole("link", { name: "Post", exact: true }).click();
  const post = author.getByRole("button", { name: "Post", exact: true });
  assert.ok(await post.isDisabled(), "nothing is chosen");
  await author.getByLabel("Choose a photo").setInputFiles({ name: "dawn.png", mimeType: "image/png", buffer: paint(3, 400, 300) });
  await author.getByAltText("Preview of the photo").waitFor();
  await author.getByLabel("Caption").fill("Dawn, from the tent");
  await post.click();
  await author.waitForURL(/\/p\/\d+$/);
  const isSeen = (page) => page.locator("img[alt='Dawn, from the tent']").first().evaluate((image) => image.complete && image.naturalWidth > 0);
  await until(() => isSeen(author), "the author sees the photo");
  await author.locator("picture source[type='image/webp']").waitFor({ state: "attached" });
  const id = /\/p\/(\d+)$/.exec(author.url())[1];

  // The reader did nothing: a message says that there is a new photo.
  await reader.getByRole("button", { name: "New photos" }).click();
  await until(() => isSeen(reader), "the reader sees the photo");
  const card = reader.locator(`[data-photo="${id}"]`);
  assert.equal(await card.locator("source").getAttribute("type"), "image/webp");
  const like = likeOf(reader, id);
  assert.equal(await likeOf(author, id).getAttribute("aria-label"), "Like, 0 likes");
  await like.click();
  assert.equal(await like.getAttribute("aria-pressed"), "true");
  await author.locator('[aria-label="Like, 1 like"]').waitFor();
  await author.getByRole("status").getByText("Rea Reader likes your photo").waitFor();
  await like.click();
  await author.locator('[aria-label="Like, 0 likes"]').waitFor();

  await card.getByRole("link", { name: /^Comments/ }).click();
  await reader.getByLabel("Add a comment").fill("<b>lovely</b>");
  await reader.getByRole("button", { name: "Send" }).click();
  await author.getByRole("list", { name: "Comments" }).getByText("<b>lovely</b>").waitFor();
  // The session outlives the page.
  await reader.reload();
  await reader.getByRole("list", { name: "Comments" }).getByText("<b>lovely</b>").waitFor();
  await reader.getByRole("link", { name: "Profile" }).waitFor();
}
