// The dashboard before a proxy of made-up figures: what no real process shows on demand, such as 1,000 servers and a stalled stream.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { start } from "./mock/server.mjs";
import { record } from "./mock/records.mjs";
import { axe, launch, open, until } from "./support/browser.mjs";

/** Frames of a journey through 1,000 rows: 160 pixels each, more than a wheel scrolls, and with 60 frames a second the whole way in 5 s. */
const FRAMES = 300;
/** What a frame may take of the processor: what a screen that is refreshed 60 times a second has. */
const PROCESSOR_MS_MAX = 16;
/** The least of so many journeys counts, because other programs make each step slower. */
const JOURNEYS = 3;
/**
 * What a frame may touch, whatever the machine: how many rows are built, for how many elements the style is computed, and how often the
 * page is laid out. Three or four rows of 43 elements come into view with each frame; once a second all that can be seen is written anew.
 */
const [BUILT_MAX, RESTYLED_MAX, LAYOUTS_MAX] = [50, 300, 1.5];
/** Every page, with what shows that it is there. */
const PAGES = [
  ["", ".problems li"], ["pools", "tbody tr"], ["pools/api", ".servers tbody tr"], ["pools/api/servers/api-3", ".facts"], ["cache", "tbody tr"],
  ["events", ".events tbody tr"], ["explain?url=https://shop.example.com/api/cart", ".verdict"], ["requests", ".requests tbody tr"],
  [`requests/${record(0).id}`, ".timeline"], ["config", ".code"],
];

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

for (const scheme of ["light", "dark"]) {
  test(`each page is accessible and silent in ${scheme}`, () => withMock({}, async (mock) => {
    const { page, check } = await open(chrome.context, mock.url, { scheme });
    for (const [path, sign] of PAGES) {
      await page.goto(mock.url + "#/" + path);
      await page.locator(sign).first().waitFor();
      await page.locator(".health").getByText("problems").waitFor();
      assert.deepEqual(await axe(page), [], `#/${path}`);
      const tooWide = await page.evaluate(() => document.getElementById("main").scrollWidth > document.getElementById("main").clientWidth);
      assert.equal(tooWide, false, `#/${path} is wider than the window`);
    }
    check();
    await page.close();
  }));
}

test("each page fits a window of 400 pixels", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { viewport: { width: 400, height: 800 } });
  for (const [path, sign] of PAGES) {
    await page.goto(mock.url + "#/" + path);
    await page.locator(sign).first().waitFor();
    const widths = await page.evaluate(() => [document.getElementById("main").scrollWidth - document.getElementById("main").clientWidth, document.documentElement.scrollWidth - innerWidth]);
    assert.deepEqual(widths, [0, 0], `#/${path}`);
    const names = await page.locator("#main tbody th a, #main tbody td a").evaluateAll((links) => links.filter((link) => link.offsetParent !== null).slice(0, 5).map((link) => link.getBoundingClientRect().width));
    assert.ok(names.every((width) => width > 8), `#/${path}: names of ${names} pixels`);
  }
  check();
  await page.close();
}));

test("problems come first, link to what is wrong, and go when all is well", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url);
  const first = page.locator(".problem").first();
  await first.getByText("api-3 of pool api is down").waitFor();
  assert.match(await first.innerText(), /critical[\s\S]*for 3.min/);
  await first.getByRole("link").click();
  await page.waitForURL(/#\/pools\/api\/servers\/api-3/);
  await page.getByText("connection refused").first().waitFor();
  await page.goBack();
  mock.figures.calm = true;
  await page.getByText("All is well").first().waitFor();
  assert.equal(await page.locator(".problem").count(), 0);
  check();
  await page.close();
}));

test("lines of graphs can be seen in the dark", () => withMock({}, async (mock) => {
  for (const scheme of ["dark", "light"]) {
    const { page, check } = await open(chrome.context, mock.url, { scheme });
    await page.locator(".chart canvas").nth(2).waitFor();
    const contrasts = await until(() => page.locator(".chart canvas").evaluateAll((all) => {
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const surface = light(getComputedStyle(document.querySelector(".chart")).backgroundColor.match(/\d+/g).map(Number));
      return all.map((canvas) => {
        // Right of the axis, so that its numbers do not count.
        const left = Math.ceil(canvas.width * 0.2);
        const { data } = canvas.getContext("2d").getImageData(left, 0, canvas.width - left, canvas.height * 0.8);
        const colours = new Map();
        for (let at = 0; at < data.length; at += 4) {
          if (data[at + 3] < 200) continue;
          const key = [data[at], data[at + 1], data[at + 2]].join();
          colours.set(key, (colours.get(key) ?? 0) + 1);
        }
        return [...colours].filter(([, number]) => number > 20).map(([key]) => light(key.split(",").map(Number)))
          .map((it) => (Math.max(it, surface) + 0.05) / (Math.min(it, surface) + 0.05)).filter((ratio) => ratio > 3).length;
      });
    }).then((lines) => lines.every((number) => number >= 1) && lines), `lines in ${scheme}`);
    // Requests and errors; p50, p95 and p99; requests in flight and connections.
    assert.ok(contrasts[1] >= 3, `colours with a contrast above 3 in each graph: ${contrasts}`);
    check();
    await page.close();
  }
}));

/** Runs in the page: scrolls from top to bottom in so many frames; how long each took, the most rows that were built, and frames in which rows were missing. */
async function scrollThrough(count) {
  const frames = [];
  const main = document.getElementById("main");
  const bottom = main.scrollHeight - main.clientHeight;
  let [empty, built, last] = [0, 0, performance.now()];
  for (let frame = 0; frame < count; frame += 1) {
    main.scrollTop = (bottom * frame) / (count - 1);
    await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve));
    frames.push(performance.now() - last);
    last = performance.now();
    built = Math.max(built, main.querySelectorAll("tbody tr").length);
    const box = main.getBoundingClientRect();
    if (frame > 20 && document.elementFromPoint(box.left + 200, box.bottom - 120)?.closest("tr.spacer")) empty += 1;
  }
  return { frames: frames.sort((a, b) => a - b), built, empty };
}

/** For how many elements the page computed the style in each frame while `run` went on; the median. */
async function restyled(devtools, run) {
  const events = [];
  const collect = ({ value }) => events.push(...value);
  devtools.on("Tracing.dataCollected", collect);
  await devtools.send("Tracing.start", { traceConfig: { includedCategories: ["devtools.timeline"] } });
  await run();
  const ended = new Promise((resolve) => devtools.once("Tracing.tracingComplete", resolve));
  await devtools.send("Tracing.end");
  await ended;
  const counts = events.filter(({ name, args }) => name === "UpdateLayoutTree" && args.elementCount > 0).map(({ args }) => args.elementCount).sort((a, b) => a - b);
  assert.ok(counts.length > FRAMES / 2, `${counts.length} frames change something`);
  return counts[Math.floor(counts.length / 2)];
}

test("a pool of 1,000 servers scrolls smoothly, and each row can be reached", () => withMock({ servers: 1000 }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "pools/api" });
  await page.locator(".servers tbody tr").nth(5).waitFor();
  // The processor time of the page's thread: on a busy machine a frame may come late without any fault of the page.
  const devtools = await chrome.context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const metric = async (wanted) => (await devtools.send("Performance.getMetrics")).metrics.find(({ name }) => name === wanted).value;
  let least = Infinity;
  for (let journey = 0; journey < JOURNEYS && least >= PROCESSOR_MS_MAX; journey += 1) {
    const [worked, layouts] = [await metric("TaskDuration"), await metric("LayoutCount")];
    const { frames, built, empty } = await page.evaluate(scrollThrough, FRAMES);
    const perFrame = (((await metric("TaskDuration")) - worked) * 1e3) / FRAMES;
    const laidOut = ((await metric("LayoutCount")) - layouts) / FRAMES;
    console.log(`1,000 servers: ${perFrame.toFixed(1)} ms of processor time and ${laidOut.toFixed(2)} layouts a frame; frames of ${frames[FRAMES / 2].toFixed(1)} ms (median), ${frames[Math.floor(FRAMES * 0.95)].toFixed(1)} ms (p95)`);
    least = Math.min(least, perFrame);
    assert.ok(built <= BUILT_MAX, `${built} rows are built`);
    assert.ok(laidOut <= LAYOUTS_MAX, `${laidOut} layouts a frame`);
    assert.equal(empty, 0, "frames in which rows were missing");
  }
  assert.ok(least < PROCESSOR_MS_MAX, `${least} ms of processor time a frame`);
  const elements = await restyled(devtools, () => page.evaluate(scrollThrough, FRAMES));
  console.log(`1,000 servers: the style of ${elements} elements is computed in a frame (median)`);
  assert.ok(elements <= RESTYLED_MAX, `the style of ${elements} elements is computed in a frame`);
  await page.getByRole("link", { name: "api-1000", exact: true }).waitFor();
  await page.getByRole("searchbox").fill("10.0.3.17:");
  await page.getByRole("link", { name: "api-767", exact: true }).waitFor();
  check();
  await page.close();
}));

test("only servers that are not up, sorted, in the URL, and back", () => withMock({ servers: 200 }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "pools/api" });
  await page.locator(".servers tbody tr").nth(5).waitFor();
  await page.getByLabel("Only not up").check();
  await until(async () => (await page.locator(".servers tbody tr").count()) === 2, "two rows");
  await page.getByRole("button", { name: "Server", exact: true }).click();
  assert.match(page.url(), /down=1/);
  assert.match(page.url(), /sort=id/);
  await page.reload();
  await until(async () => (await page.locator(".servers tbody tr").count()) === 2, "two rows again");
  assert.equal(await page.locator("th[aria-sort=ascending]").innerText(), "Server");
  await page.getByRole("link", { name: "api-4", exact: true }).click();
  await page.getByRole("heading", { name: "api-4" }).waitFor();
  await page.goBack();
  await until(async () => (await page.locator(".servers tbody tr").count()) === 2, "the filter is kept");
  check();
  await page.close();
}));

test("rows stay where they are while the pointer is on them", () => withMock({ servers: 20 }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "pools/api?sort=-weight" });
  await page.locator(".servers tbody tr").nth(5).waitFor();
  const order = () => page.locator(".servers tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.key));
  await page.locator(".servers tbody tr").nth(3).hover();
  const before = await order();
  mock.figures.pools[0].servers.at(-1).weight = 50;
  await page.locator('tr[data-key="api-20"]').getByText("50", { exact: true }).waitFor();
  assert.deepEqual(await order(), before);
  await page.mouse.move(5, 5);
  await until(async () => (await order())[0] === "api-20", "sorted again");
  check();
  await page.close();
}));

test("a stream that stalls is called stale, and comes back by itself", () => withMock({ calm: true }, async (mock) => {
  const { page, faults } = await open(chrome.context, mock.url, { allow: [/Failed to load resource|ERR_EMPTY_RESPONSE|ERR_CONNECTION/] });
  await page.getByText("All is well").first().waitFor();
  mock.mode.stall = true;
  await page.getByText(/Stale for [45].s/).waitFor();
  assert.equal(await page.locator(".stream-state").getAttribute("data-state"), "stale");
  await page.getByText(/All was well \d+.s ago/).waitFor();
  assert.equal(await page.getByText("All is well").count(), 0, "nothing says that all is well");
  mock.mode.refuse = true;
  for (const stream of mock.streams) stream.destroy();
  await page.getByText(/Stale for \d+.s: The process/).waitFor();
  Object.assign(mock.mode, { stall: false, refuse: false });
  await page.locator(".banner").waitFor({ state: "hidden" });
  await until(async () => (await page.locator(".stream-state").getAttribute("data-state")) === "live", "live again");
  assert.deepEqual(faults, []);
  await page.close();
}));

test("events of a process that is gone make room for those of the next", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "events" });
  await page.getByText("circuit breaker of pool images opened").waitFor();
  mock.figures.pid += 1;
  mock.figures.events = [];
  mock.figures.event("upgrade", "info", "The process took over from process 4711.");
  await page.getByText("took over from process 4711").waitFor();
  assert.equal(await page.locator(".events tbody tr").count(), 1);
  check();
  await page.close();
}));

test("a page whose endpoint is absent says so", () => withMock({}, async (mock) => {
  mock.mode.absent = ["/explain", "/requests", "/config"];
  const { page, faults } = await open(chrome.context, mock.url, { path: "requests", allow: [/404/] });
  await page.getByText("This process does not offer a record of requests").waitFor();
  await page.goto(mock.url + "#/config");
  await page.getByText("This process does not offer its configuration").waitFor();
  await page.goto(mock.url + "#/explain?url=http://a.test/");
  await page.getByText("This process does not offer explanations").waitFor();
  assert.deepEqual(faults, []);
  await page.close();
}));

test("a reload that is refused shows the fault with its carets", () => withMock({}, async (mock) => {
  const { page, faults } = await open(chrome.context, mock.url, { path: "config", allow: [/422/] });
  await page.getByText("2 changes by commands").waitFor();
  mock.mode.wrong = true;
  await page.getByRole("button", { name: "Reload" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  const fault = page.locator("pre.fault").last();
  await fault.getByText("did you mean").waitFor();
  assert.match(await fault.evaluate((it) => it.textContent), /18 │ bakends = [^\n]+\n {3}│ ───┬───\n/);
  assert.equal(await fault.evaluate((it) => getComputedStyle(it).whiteSpace), "pre");
  mock.mode.wrong = false;
  await page.getByRole("button", { name: "Reload" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  await page.getByText("Reloaded: generation 5").waitFor();
  assert.equal(await page.locator("pre.fault").count(), 0);
  assert.deepEqual(faults, []);
  await page.close();
}));

test("a configuration that must be confirmed shows how long is left, and both ways out", () => withMock({ calm: true }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "config" });
  for (const [button, says] of [["Confirm it", "is confirmed"], ["Go back now", "is in force again"]]) {
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByLabel("Go back unless I confirm within").check();
    await page.getByLabel("Seconds").fill("90");
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
    await page.getByText(/goes back in 1.min unless it is confirmed/).waitFor();
    await page.goto(mock.url + "#/");
    await page.getByRole("button", { name: button }).click();
    await page.locator(".toast").getByText(says).waitFor();
    await page.locator(".awaiting").waitFor({ state: "hidden" });
    await page.goto(mock.url + "#/config");
  }
  assert.equal(mock.figures.generation, 7);
  check();
  await page.close();
}));

test("the keyboard alone drains a server and takes it back", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url);
  await page.locator(".problem").first().waitFor();
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
  const tabTo = async (name) => {
    for (let presses = 0; presses < 80; presses += 1) {
      await press("Tab");
      if ((await focused()) === name) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.equal(outline, "solid", `the focus on ${name} can be seen`);
        return;
      }
    }
    assert.fail(`Tab does not come to ${name}`);
  };
  await press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await press("g", "p");
  // The URL changes before the page does, and `/` goes to the filter of the page that is shown.
  await page.locator("#main [data-filter]").waitFor();
  await press("/");
  await page.keyboard.type("web");
  await until(async () => (await page.locator("#main tbody tr").count()) === 1, "one pool");
  await press("Escape");
  await tabTo("web");
  await press("Enter");
  await page.waitForURL(/#\/pools\/web$/);
  await page.locator(".servers tbody tr").first().waitFor();
  await tabTo("Drain web-1");
  await press("Enter");
  await page.getByRole("dialog").getByText("gets no new requests").waitFor();
  await page.keyboard.type("kernel update");
  await press("Enter");
  await page.locator('tr[data-key="web-1"]').getByText("draining").waitFor();
  assert.deepEqual(mock.changes, [{ pool: "web", id: "web-1", state: "drain", weight: undefined, why: "kernel update" }]);
  await page.getByText("web-1 is draining.", { exact: true }).waitFor();
  await tabTo("Undo");
  await press("Enter");
  await page.locator('tr[data-key="web-1"]').getByText("up", { exact: true }).waitFor();
  assert.equal(mock.changes.at(-1).state, "ready");
  await press("g", "e");
  await page.getByText("because: kernel update").waitFor();
  check();
  await page.close();
}));

test("Tab walks through 1,000 servers without losing its place", () => withMock({ servers: 1000 }, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { path: "pools/api" });
  await page.locator(".servers tbody tr").nth(5).waitFor();
  await page.getByRole("link", { name: "api-1", exact: true }).focus();
  for (let row = 1; row <= 60; row += 1) {
    for (let stop = 0; stop < 4; stop += 1) await page.keyboard.press("Tab");
  }
  const key = await page.evaluate(() => document.activeElement.closest("tr")?.dataset.key);
  assert.match(key ?? "nowhere", /^api-(5|6)\d$/);
  check();
  await page.close();
}));

test("the theme is kept, and the first paint has it", () => withMock({}, async (mock) => {
  const { page, check } = await open(chrome.context, mock.url, { scheme: "light" });
  await page.locator(".problem").first().waitFor();
  const surface = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await surface();
  await page.getByRole("button", { name: /Theme: auto/ }).click();
  await page.getByRole("button", { name: /Theme: light/ }).click();
  const dark = await surface();
  assert.notEqual(dark, light);
  await page.reload({ waitUntil: "commit" });
  await page.locator(".brand").waitFor();
  assert.equal(await surface(), dark);
  await page.getByRole("button", { name: /Theme: dark/ }).click();
  check();
  await page.close();
}));
