// What an operator sees on single pages before a proxy of made-up figures: dialogs, buttons, orders, graphs and times.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { start } from "./mock/server.mjs";
import { axe, launch, open, until } from "./support/browser.mjs";

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

test("what the file says by now stands apart from what commands have changed", () => withMock({ calm: true }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "config" });
  const panel = (heading) => page.locator(".panel", { has: page.getByRole("heading", { name: heading }) });
  await panel("1 change in the file since it was loaded").getByText('algorithm: "least-connections" -> "round-robin"').waitFor();
  const commands = panel("2 changes by commands since it was loaded");
  const text = await commands.evaluate((it) => it.textContent);
  assert.match(text, /weight of server api-2.*evenkeel save writes.*api-4 is draining.*no key for the state/);
  assert.doesNotMatch(text, /`/);
  mock.configuration.file = { changes: [], fault: "line 18: unknown key `bakends`: did you mean `backends`? (and 1 more fault)" };
  await page.reload();
  await panel("The file is wrong").getByText("line 18: unknown key").waitFor();
  await panel("2 changes by commands").waitFor();
  assert.deepEqual(await axe(page), []);
  Object.assign(mock.configuration, { changes: [], runtime: [], file: { changes: [] } });
  await page.reload();
  await page.getByText("What is in force is what the file says.").waitFor();
  check();
  await page.close();
}));

test("buttons of servers have words where there is room, and names everywhere", () => withMock({ servers: 20 }, async (mock) => {
  for (const [width, hasWords] of [[1700, true], [1360, true], [1100, false]]) {
    const { page, check } = await open(chrome.context, mock.url, { path: "pools/api", viewport: { width, height: 900 } });
    const row = page.locator('tr[data-key="api-1"]');
    for (const word of ["Drain", "Disable", "Weight"]) {
      const button = row.getByRole("button", { name: new RegExp(`^${word}`) });
      assert.equal(await button.getAttribute("title"), word);
      assert.equal(await button.locator(".label").isVisible(), hasWords, `${word} at ${width} pixels`);
    }
    check();
    await page.close();
  }
}));

/** In the page: cells whose text is cut, but for those that end in dots on purpose and have a title or a second line. */
function cut(selector) {
  return [...document.querySelectorAll(`${selector} .numeric, ${selector} .actions-cell, ${selector} thead th`)].filter((cell) => cell.offsetParent !== null).flatMap((cell) => {
    const box = cell.getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(cell);
    const inner = range.getBoundingClientRect();
    const isCut = inner.width > 0 && (inner.left < box.left - 0.5 || inner.right > box.right + 0.5);
    return isCut ? [`${cell.textContent}: ${inner.width} in ${box.width}`] : [];
  });
}

test("no figure and no heading of a table is cut", () => withMock({ servers: 4 }, async (mock) => {
  for (const [width, path, table] of [[1700, "pools/api", ".servers"], [1360, "pools/api", ".servers"], [1200, "pools/api", ".servers"], [400, "pools/api", ".servers"], [1360, "requests", ".requests"], [400, "requests", ".requests"]]) {
    const { page, check } = await open(chrome.context, mock.url, { path, viewport: { width, height: 900 } });
    await page.locator(`${table} tbody tr`).nth(2).waitFor();
    const sorters = page.locator(`${table} .sorter:visible`);
    for (let index = 0; index < (await sorters.count()); index += 1) {
      await sorters.nth(index).click();
      await page.evaluate((selector) => {
        // The longest that a figure may be.
        for (const cell of document.querySelectorAll(`${selector} tbody td.numeric`)) if (/\d\u202fm?s$/.test(cell.textContent)) cell.textContent = "0.88\u202fms";
      }, table);
      assert.deepEqual(await page.evaluate(cut, table), [], `${path} at ${width} pixels`);
    }
    check();
    await page.close();
  }
}));

test("requests stand in the order of what When shows", () => withMock({}, async (mock) => {
  const now = Date.now() / 1000;
  // In the order in which they ended: the newest began long before the others.
  mock.mode.requests = [30, 2, 20, 10].map((age) => ({ id: `r${age}`, at: now - age, method: "GET", host: "a.test", target: `/${age}`, status: 200, ended: "complete", why_kept: "slow", duration_ms: 5, tries: 1, route: "r", pool: "api", server: "api-1" }));
  const { page, check } = await open(chrome.context, mock.url, { path: "requests" });
  await page.locator(".requests tbody tr").nth(3).waitFor();
  const keys = await page.locator(".requests tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.key));
  assert.deepEqual(keys, ["r2", "r10", "r20", "r30"]);
  check();
  await page.close();
}));

/** Runs in the page: each canvas keeps the texts of its last drawing, with where they end. */
function noteTexts() {
  const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    this.canvas.texts = [];
    return clearRect.apply(this, box);
  };
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
    const { width } = this.measureText(text);
    // Numbers of the y axis end at their place, times have theirs in the middle.
    this.canvas.texts?.push({ text, isTime: /:/.test(text), right: x + (this.textAlign === "center" ? width / 2 : 0) });
    return fillText.call(this, text, x, ...rest);
  };
}

test("axes have no number twice and no time cut, and a lone second is drawn", () => withMock({ calm: true }, async (mock) => {
  const { figures } = mock;
  const alone = { p50: 2, p95: 2, p99: 2 };
  const quiet = (point, more = {}) => Object.assign(point, { p50: null, p95: null, p99: null, in_flight: 0, connections: 1 }, more);
  figures.points.forEach((point, index) => quiet(point, index === 150 ? alone : {}));
  const tick = figures.tick.bind(figures);
  figures.tick = () => {
    const at = tick();
    return { ...at, point: quiet(at.point) };
  };
  const { page, check } = await open(chrome.context, mock.url);
  await page.locator(".chart canvas").nth(2).waitFor();
  await page.evaluate(noteTexts);
  const charts = () => page.locator(".chart canvas").evaluateAll((all) => all.map(({ texts = [], width }) => ({ texts, width })));
  const coloured = () => page.locator(".chart canvas").nth(1).evaluate((canvas) => {
    const left = Math.ceil(canvas.width * 0.2);
    const { data } = canvas.getContext("2d").getImageData(left, 0, canvas.width - left, canvas.height * 0.8);
    let pixels = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200 && Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]) > 60) pixels += 1;
    return pixels;
  });
  const drawn = await until(async () => {
    const all = await charts();
    return all.every(({ texts }) => texts.length > 2) && all;
  }, "each graph is drawn again");
  for (const { texts, width } of drawn) {
    const numbers = texts.filter(({ isTime, text }) => !isTime && text).map(({ text }) => text);
    assert.deepEqual(numbers, [...new Set(numbers)]);
    assert.ok(texts.some(({ isTime }) => isTime));
    assert.deepEqual(texts.filter(({ right }) => right > width), []);
  }
  const pixels = await coloured();
  assert.ok(pixels > 10, `${pixels} pixels of the lone second`);
  check();
  await page.close();
}));

test("while the stream is stale, no problem grows older", () => withMock({}, async (mock) => {
  const { page, faults } = await open(chrome.context, mock.url, { allow: [/Failed to load resource|ERR_EMPTY_RESPONSE|ERR_CONNECTION/] });
  await page.locator(".problem").first().waitFor();
  mock.mode.refuse = true;
  for (const stream of mock.streams) stream.destroy();
  await page.getByText(/Stale for [45].s/).waitFor();
  const since = () => page.locator(".problem-since").evaluateAll((all) => all.map((it) => it.textContent));
  const before = await since();
  await page.getByText(/Stale for [78].s/).waitFor();
  assert.deepEqual(await since(), before);
  assert.deepEqual(faults, []);
  await page.close();
}));

/** Each state of a server, and what is so bad about it: states of one severity share a colour. */
const STATES = { down: "critical", ejected: "critical", unfit: "warning", starting: "info", draining: "paused", disabled: "paused", up: "good" };

/** Runs in the page: the picture, the word and the colours of badges or counts of states. */
function pictured(elements) {
  const light = (colour) => colour.match(/\d+/g).slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return elements.map((element) => {
    const [picture, style] = [element.querySelector("svg.icon"), getComputedStyle(element)];
    const { width, height } = picture.getBoundingClientRect();
    const [text, surface] = [light(style.color), light(getComputedStyle(element.closest(".panel, .page, body")).backgroundColor)];
    return {
      word: element.innerText.trim().replace(/^\d+ /, ""), path: picture.querySelector("path").getAttribute("d"), isSeen: Math.min(width, height) >= 12,
      colour: style.color, stroke: getComputedStyle(picture).stroke, contrast: (Math.max(text, surface) + 0.05) / (Math.min(text, surface) + 0.05),
    };
  });
}

for (const scheme of ["light", "dark"]) {
  test(`each state has a picture, a word and a colour in ${scheme}, the same on every page`, () => withMock({ servers: 7, calm: true }, async (mock) => {
    const known = await readFile(new URL("../../crates/core/src/health/state.rs", import.meta.url), "utf8");
    assert.deepEqual([...known.matchAll(/Self::\w+ => "(\w+)"/g)].map(([, word]) => word).sort(), Object.keys(STATES).sort(), "the states that a process reports");
    Object.keys(STATES).forEach((state, at) => { mock.figures.pools[0].servers[at].state = state; });

    const { page, check } = await open(chrome.context, mock.url, { scheme, path: "pools/api" });
    const badges = page.locator(".servers td.state-cell .badge");
    await until(async () => (await badges.count()) === 7, "seven servers");
    const shown = await badges.evaluateAll(pictured);
    assert.deepEqual(shown.map(({ word }) => word), Object.keys(STATES));
    assert.equal(new Set(shown.map(({ path }) => path)).size, 7, "no two states share a picture");
    for (const { word, isSeen, colour, stroke, contrast } of shown) {
      assert.ok(isSeen, `the picture of ${word}`);
      assert.equal(stroke, colour, `the picture of ${word} has the colour of the word`);
      assert.ok(contrast >= 4.5, `${word} has a contrast of ${contrast.toFixed(1)}`);
    }
    const colourOf = new Map(shown.map(({ word, colour }) => [STATES[word], colour]));
    assert.equal(new Set(colourOf.values()).size, 5, "no two severities share a colour");
    for (const { word, colour } of shown) assert.equal(colour, colourOf.get(STATES[word]), word);

    const same = async (locator, list) => {
      const there = await locator.evaluateAll(pictured);
      assert.deepEqual(there.map(({ word, path, colour }) => [word, path, colour]), list.map(({ word, path, colour }) => [word, path, colour]));
    };
    await same(page.locator(".pool-state .state-count"), shown);
    const segments = await page.locator(".pool-state .state-bar > span").evaluateAll((all) => all.map((it) => getComputedStyle(it).backgroundColor));
    assert.equal(segments.length, 7);
    assert.equal(new Set(segments).size, 5, "a colour of the bar for each severity");
    await page.goto(mock.url + "#/");
    await page.locator('tr[data-key="api"] .state-count').nth(6).waitFor();
    await same(page.locator('tr[data-key="api"] .state-count'), shown);
    for (const [at, it] of shown.entries()) {
      await page.goto(`${mock.url}#/pools/api/servers/api-${at + 1}`);
      await page.locator(".server-state .badge", { hasText: it.word }).waitFor();
      await same(page.locator(".server-state .badge"), [it]);
    }
    check();
    await page.close();
  }));
}
