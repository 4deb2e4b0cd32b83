// The same story on a MiniGram that runs: its address is in `MINIGRAM_URL`, as `minigram up` prints it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { session } from "./world.mjs";
import { story } from "./story.mjs";

test("a photo is posted, liked from a second session, and the like is seen live", async () => {
  const url = process.env.MINIGRAM_URL?.replace(/\/$/, "");
  assert.ok(url, "MINIGRAM_URL says where MiniGram is");
  const [author, reader] = await Promise.all([session(url, null), session(url, null)]);
  try {
    const mark = Date.now().toString(36);
    await story(url, author.page, reader.page, [`ann_${mark}`, `rea_${mark}`]);
    author.check();
    reader.check();
  } finally {
    await Promise.all([author.close(), reader.close()]);
  }
});
