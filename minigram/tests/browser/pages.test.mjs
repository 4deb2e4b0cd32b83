// What users see and do on the pages, before an API in memory.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "../../../tests/browser/support/browser.mjs";
import { start } from "./mock.mjs";
import { paint } from "./paint.mjs";
import { story } from "./story.mjs";
import { isAccessible, populate, session } from "./world.mjs";

const PHONE = { width: 390, height: 844 };
const sessions = [];
let mock;

before(async () => {
  mock = await start({ readyMs: 300 });
  populate(mock);
});
after(async () => {
  await Promise.all(sessions.map((it) => it.close()));
  mock.close();
});

async function signedIn(name, options) {
  const opened = await session(mock.url, name, options);
  sessions.push(opened);
  return opened;
}

test("a photo is posted, liked from a second session, and the like is seen live", async () => {
  const [author, reader] = [await signedIn(null), await signedIn(null)];
  await story(mock.url, author.page, reader.page, ["ann", "rea"]);
  author.check();
  reader.check();
});

test("every page is accessible, light and dark, wide and narrow", async () => {
  const { id } = mock.photos[0];
  for (const options of [{ scheme: "light" }, { scheme: "dark", viewport: PHONE }]) {
    const visitor = await signedIn(null, options);
    for (const path of ["/", "/sign-in", `/p/${id}`, "/nowhere"]) {
      await visitor.page.goto(mock.url + path);
      await visitor.page.locator("h1").first().waitFor({ state: "attached" });
      await isAccessible(visitor.page);
    }
    visitor.check();
    const { page, check } = await signedIn("linus", options);
    for (const path of ["/", "/upload", "/search?q=a", "/@ada", "/@linus", `/p/${id}`]) {
      await page.goto(mock.url + path);
      await page.locator("h1").first().waitFor({ state: "attached" });
      await page.waitForLoadState("networkidle");
      await isAccessible(page);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false, `${path} is no wider than the window`);
    }
    check();
  }
});

test("the feed goes on as one scrolls, and is where it was on the way back", async () => {
  const { page, check } = await signedIn("margaret");
  const cards = page.locator(".card");
  await cards.first().waitFor();
  const others = mock.photos.filter(({ author }) => mock.users.get("margaret").follows.has(author.name)).length;
  await until(async () => {
    await page.mouse.wheel(0, 3000);
    return (await cards.count()) === others;
  }, "all photos are shown");
  await page.getByText("That is all.").waitFor();
  const ids = await cards.evaluateAll((all) => all.map((card) => card.dataset.photo));
  assert.equal(new Set(ids).size, others);
  const card = cards.nth(15);
  await card.locator(".card-picture").click();
  await page.getByLabel("Add a comment").waitFor();
  await page.goBack();
  const isInView = () => card.evaluate((element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  await until(isInView, "the photo that was chosen is in view again");
  check();
});

test("a keyboard is enough, and the focus goes where the page goes", async () => {
  const { page, check } = await signedIn("alan");
  await page.goto(mock.url);
  await page.locator(".card").first().waitFor();
  await page.keyboard.press("Tab");
  await page.getByRole("link", { name: "Skip to content" }).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Enter");
  const like = page.getByRole("button", { name: /^Like/ }).first();
  await until(async () => {
    await page.keyboard.press("Tab");
    return like.evaluate((button) => button === document.activeElement);
  }, "Tab reaches the like button");
  await page.keyboard.press("Enter");
  assert.equal(await like.getAttribute("aria-pressed"), "true");
  assert.equal(await like.evaluate((button) => getComputedStyle(button).outlineStyle), "solid", "the focus is seen");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByLabel("Add a comment").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  check();
});

test("what cannot be posted is refused before it is sent", async () => {
  const { page, check } = await signedIn("barbara");
  await page.getByRole("link", { name: "Post" }).click();
  const choose = (name, mimeType, buffer) => page.getByLabel("Choose a photo").setInputFiles({ name, mimeType, buffer });
  const { uploads } = mock;
  await choose("notes.txt", "text/plain", Buffer.from("no picture"));
  await page.getByRole("alert").getByText("This is no JPEG").waitFor();
  await choose("large.png", "image/png", Buffer.alloc(11 << 20));
  await page.getByRole("alert").getByText("more than 10 MiB").waitFor();
  assert.ok(await page.getByRole("button", { name: "Post", exact: true }).isDisabled());
  assert.equal(mock.uploads, uploads);
  check();
});

test("what is posted again after a 503, by the page and by the user, is there once", async () => {
  const { page, check } = await signedIn("linus", { allow: [/503/] });
  await page.getByRole("link", { name: "Post" }).click();
  await page.getByLabel("Choose a photo").setInputFiles({ name: "hill.png", mimeType: "image/png", buffer: paint(4, 40, 30) });
  await page.getByLabel("Caption").fill("Twice refused");
  const [{ uploads }, post] = [mock, page.getByRole("button", { name: "Post", exact: true })];
  // The page tries a second time, then the user does.
  mock.refused = 2;
  await post.click();
  await page.getByRole("alert").getByText("please try again").waitFor();
  await post.click();
  await page.waitForURL(/\/p\/\d+$/);
  assert.equal(mock.uploads, uploads + 1);

  mock.refused = 2;
  await page.getByLabel("Add a comment").fill("once");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("please try again").first().waitFor();
  await page.getByRole("button", { name: "Send" }).click();
  await until(async () => await page.getByLabel("Add a comment").inputValue() === "", "the comment is sent");
  const said = () => mock.photos[0].comments.filter(({ text }) => text === "once").length;
  assert.equal(said(), 1);
  // The same text again is another comment.
  await page.getByLabel("Add a comment").fill("once");
  await page.getByRole("button", { name: "Send" }).click();
  await until(() => said() === 2, "a second comment");
  check();
});

test("one signs up, finds somebody, follows, and signs out", async () => {
  const { page, check } = await signedIn(null);
  await page.getByLabel("User name").fill("newcomer");
  await page.getByLabel("Display name").fill("New Comer");
  await page.getByLabel("Password").fill("a long password");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Nothing here yet").waitFor();
  await page.getByRole("link", { name: "Find people" }).click();
  await page.getByLabel("Find people by name").fill("gra");
  await page.getByRole("link", { name: /Grace Hopper/ }).click();
  await page.getByRole("button", { name: "Follow Grace Hopper" }).click();
  await page.getByRole("button", { name: "Following Grace Hopper" }).waitFor();
  // The session outlives the page.
  await page.reload();
  await page.getByRole("button", { name: "Following Grace Hopper" }).waitFor();
  await page.getByRole("link", { name: "Profile" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Create account" }).waitFor();
  check();
});

test("nothing moves for users who asked for that", async () => {
  const { page } = await signedIn("ada");
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.goto(mock.url);
  const like = page.getByRole("button", { name: /^Like/ }).first();
  await like.evaluate((button) => button.classList.add("changed"));
  const seconds = await like.locator("svg").evaluate((icon) => parseFloat(getComputedStyle(icon).animationDuration));
  assert.ok(seconds < 0.001, `${seconds} s`);
});
