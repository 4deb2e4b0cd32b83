// The same story on the whole system: on those that `minigram up` starts for it, one for each kind of engines, or on the one at
// `MINIGRAM_URL`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { session } from "./world.mjs";
import { story } from "./story.mjs";

const START_TIME_MAX_MS = 120_000;

for (const engines of process.env.MINIGRAM_URL ? ["those of MINIGRAM_URL"] : ["embedded", "real"]) {
  test(`a photo is posted, liked from a second session, and the like is seen live; engines: ${engines}`, () => live(engines));
}

async function live(engines) {
  const minigram = await system(engines);
  const [author, reader] = await Promise.all([session(minigram.url, null), session(minigram.url, null)]);
  try {
    const mark = Date.now().toString(36);
    await story(minigram.url, author.page, reader.page, [`ann_${mark}`, `rea_${mark}`]);
    author.check();
    reader.check();
  } finally {
    await Promise.all([author.close(), reader.close()]);
    await minigram.end();
  }
}

/** MiniGram's address, and what ends it. */
async function system(engines) {
  const { MINIGRAM, MINIGRAM_URL, EVENKEEL } = process.env;
  if (MINIGRAM_URL) return { url: MINIGRAM_URL.replace(/\/$/, ""), end: async () => {} };
  assert.ok(MINIGRAM && EVENKEEL, "MINIGRAM and EVENKEEL name the programs, or MINIGRAM_URL says where MiniGram is");
  const state = await mkdtemp(join(tmpdir(), "minigram-"));
  // PostgreSQL runs as another user, who must be able to enter it.
  await chmod(state, 0o755);
  const options = ["--engines", engines, "--state", state, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--photos", "6", "--evenkeel", EVENKEEL];
  const child = spawn(MINIGRAM, ["up", ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const end = async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(state, { recursive: true, force: true });
  };
  try {
    return { url: await address(child, ended), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The address that `minigram up` prints once a request gets through. */
function address(child, ended) {
  return new Promise((resolve, reject) => {
    let printed = "";
    const late = setTimeout(() => reject(new Error(`MiniGram does not start: ${printed}`)), START_TIME_MAX_MS);
    child.stdout.setEncoding("utf8").on("data", (text) => {
      printed += text;
      const found = /MiniGram +(http:\S+)\/\n/.exec(printed);
      if (found) resolve(found[1]);
    });
    ended.then((code) => reject(new Error(`minigram up has ended (${code}): ${printed}`))).finally(() => clearTimeout(late));
  });
}
