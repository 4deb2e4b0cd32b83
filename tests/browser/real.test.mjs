// The dashboard of a real evenkeel with traffic: what it shows is what the API says, and what its buttons do the proxy does.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { axe, launch, open, until } from "./support/browser.mjs";
import { startProxy } from "./support/proxy.mjs";
import { allPools, cachePage, noteTicks, oneServer, onePool, overview, shows } from "./support/shown.mjs";

let [chrome, proxy] = [];
before(async () => {
  [chrome, proxy] = await Promise.all([launch(), startProxy()]);
  proxy.traffic.start();
});
after(async () => {
  await proxy?.close();
  await chrome?.close();
});

const number = (text) => Number(text.replaceAll(",", "").replace(/[^\d.]/g, ""));
const server = async (id) => (await proxy.api("status")).pools.flatMap(({ servers }) => servers).find((it) => it.id === id);
const tile = async (page, name) => number(await page.locator(`[data-tile=${name}]`).innerText());

test("every figure on every page is that of the tick which the page received", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { first: noteTicks, viewport: { width: 1700, height: 900 } });
  await page.getByText("All is well").first().waitFor();
  // So that no column holds a mere 0: requests in flight at each server, and 1 request in 200 that is answered 500.
  const release = proxy.traffic.hold(6);
  await until(async () => {
    const { now, pools, cache } = await proxy.api("status");
    const servers = pools.flatMap((pool) => pool.servers);
    return now.rps > 50 && now.errors > 0 && now.p50 > 0 && cache.hit_ratio > 0
      && servers.every(({ now: { rps, p99 } }) => rps > 0 && p99 > 0) && pools[0].servers.every((server) => server.in_flight > 0);
  }, "figures to show");
  const pages = [["", overview], ["pools", allPools], ["pools/api", onePool("api")], ["pools/images", onePool("images")], ["pools/api/servers/two", oneServer("api", "two")], ["cache", cachePage]];
  for (const [path, wanted] of pages) {
    await page.goto(`${proxy.url}#/${path}`);
    await shows(page, wanted);
  }
  release();
  assert.ok((await page.locator(".top-state").innerText()).includes(`process ${(await proxy.api("status")).pid}`));
  check();
  await page.close();
});

test("the ticks of /live are what /status says", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { first: noteTicks });
  proxy.traffic.stop();
  await until(async () => (await proxy.api("status")).now.rps === 0, "no requests any more");
  // What goes on without requests: time, checks and the age of connections.
  const still = (status) => JSON.parse(JSON.stringify(status, (key, value) => (/^at$|seconds|^check$|^connections|^memory$/.test(key) ? undefined : value)));
  await until(async () => {
    const [status, tick] = [await proxy.api("status"), await page.evaluate(() => window.newestTick)];
    assert.deepEqual(still({ ...tick.status, problems: tick.problems }), still(status));
    return true;
  }, "the same figures");
  proxy.traffic.start();
  check();
  await page.close();
});

test("figures stand still and equal the API's when traffic stops", async () => {
  proxy.traffic.stop();
  const { page, check } = await open(chrome.context, proxy.url, { path: "pools/api" });
  await until(async () => (await tile(page, "rps")) === 0, "no requests any more");
  for (const { id, requests, errors, weight } of (await proxy.api("status")).pools[0].servers) {
    await page.goto(`${proxy.url}#/pools/api/servers/${id}`);
    const format = (value) => value.toLocaleString("en");
    await page.getByText(`${format(requests)} requests, ${format(errors)} errors`).waitFor();
    await page.locator("dd", { hasText: /^passed after/ }).waitFor();
    await page.locator("dt", { hasText: "Weight" }).locator("+ dd", { hasText: new RegExp(`^${weight}$`) }).waitFor();
  }
  proxy.traffic.start();
  check();
  await page.close();
});

test("a drained server gets nothing, and Undo gives it traffic again", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "pools/api" });
  await page.getByRole("button", { name: "Drain two" }).click();
  await page.getByRole("dialog").getByText("2 other servers of the pool take over its share.").waitFor();
  await page.getByLabel("Why?").fill("new kernel");
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await page.locator('tr[data-key="two"]').getByText("draining", { exact: true }).waitFor();
  assert.equal((await server("two")).state, "draining");
  await until(async () => (await server("two")).in_flight === 0, "it is empty");
  const { requests } = await server("two");
  const sent = proxy.traffic.sent;
  await until(() => proxy.traffic.sent > sent + 100, "more traffic");
  assert.equal((await server("two")).requests, requests);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator('tr[data-key="two"]').getByText("up", { exact: true }).waitFor();
  await until(async () => (await server("two")).requests > requests, "traffic again");
  check();
  await page.close();
});

test("a weight is set, and undone", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "pools/api" });
  await page.getByRole("button", { name: "Weight of three" }).click();
  await page.getByLabel("Weight, 0 to 1000").fill("2");
  await page.getByText("about 50 % of the pool's requests").waitFor();
  await page.getByRole("button", { name: "Set the weight" }).click();
  await until(async () => (await server("three")).weight === 2, "the weight is 2");
  await page.getByRole("button", { name: "Undo" }).click();
  await until(async () => (await server("three")).weight === 1, "the weight is 1 again");
  check();
  await page.close();
});

test("another operator's change is not written over, by a dialog or by Undo", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "pools/api", allow: [/412/] });
  const elsewhere = (id, body) => proxy.api(`pools/api/servers/${id}`, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  await page.getByRole("button", { name: "Weight of three" }).click();
  await page.getByLabel("Weight, 0 to 1000").fill("4");
  await elsewhere("three", { weight: 7 });
  await page.getByRole("button", { name: "Set the weight" }).click();
  await page.getByRole("dialog").getByText("three has been changed meanwhile: it is up with weight 7 now. Nothing was changed by you.").waitFor();
  assert.equal((await server("three")).weight, 7);
  // The second time it is meant.
  await page.getByRole("button", { name: "Set the weight" }).click();
  await page.getByText("three has weight 4.").waitFor();
  assert.equal((await server("three")).weight, 4);
  await elsewhere("three", { weight: 9 });
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("Cannot undo: three has been changed since: it is up with weight 9 now.").waitFor();
  assert.equal((await server("three")).weight, 9);
  // Another server of the pool does not matter.
  await page.getByRole("button", { name: "Weight of three" }).click();
  await page.getByLabel("Weight, 0 to 1000").fill("1");
  await page.getByRole("button", { name: "Set the weight" }).click();
  await page.getByText("three has weight 1.").waitFor();
  await elsewhere("two", { weight: 2 });
  await page.getByRole("button", { name: "Undo" }).click();
  await until(async () => (await server("three")).weight === 9, "the weight is 9 again");
  await elsewhere("three", { weight: 1 });
  await elsewhere("two", { weight: 1 });
  check();
  await page.close();
});

test("a server that dies is the first thing on the page, with the reason, and an event", async () => {
  const { page, check } = await open(chrome.context, proxy.url);
  await page.getByText("All is well").first().waitFor();
  proxy.backends[0].mode.failing = true;
  const problem = page.locator(".problem", { hasText: "one" }).first();
  await problem.waitFor();
  await problem.getByRole("link").click();
  await page.getByRole("heading", { name: "one" }).waitFor();
  const { reason } = await server("one");
  await page.locator(".server-reason").getByText(reason).waitFor();
  await page.locator("dt", { hasText: "Last check" }).locator("+ dd .is-critical").waitFor();
  await page.goto(proxy.url + "#/events?kind=health");
  await page.locator("tbody tr", { hasText: "one" }).first().waitFor();
  proxy.backends[0].mode.failing = false;
  await page.goto(proxy.url + "#/");
  await page.locator(".problems-none.is-good").waitFor();
  check();
  await page.close();
});

test("the cache is shown and purged", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "cache" });
  await until(async () => (await tile(page, "hit_ratio")) > 50, "hits");
  await page.locator('tr[data-key="static"]').waitFor();
  await page.getByLabel("What to purge").fill("http://shop.example.com/static/logo.png");
  await page.getByRole("button", { name: "Purge" }).click();
  await page.getByRole("dialog").getByText("This cannot be undone").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Purge" }).click();
  await page.getByText("Purged shop.example.com/static/logo.png: 1 response in memory.").waitFor();
  await until(async () => (await proxy.api("cache")).purged_objects >= 1, "one is purged");
  check();
  await page.close();
});

test("a broken file is refused with its carets, and mended it is taken", async () => {
  const { page, faults } = await open(chrome.context, proxy.url, { path: "config", allow: [/422|404/] });
  const reload = async () => {
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  };
  await writeFile(proxy.file, proxy.text.replace("algorithm", "algoritm"));
  await reload();
  const fault = page.getByRole("region", { name: "What is wrong with the configuration" });
  await fault.getByText("algoritm").waitFor();
  assert.match(await fault.evaluate((it) => it.textContent), /algoritm = [^\n]+\n[^\n]*─/);
  await writeFile(proxy.file, proxy.text);
  const { generation } = await proxy.api("status");
  await reload();
  await page.getByText(`Reloaded: generation ${generation + 1}`).waitFor();
  assert.deepEqual(faults, []);
  await page.close();
});

test("a configuration on trial stays when it is confirmed, and goes back when the operator says so", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "config" });
  const generation = async () => (await proxy.api("status")).generation;
  const isOnTrial = async () => (await proxy.api("status")).awaiting_confirmation !== undefined;
  const reload = async ({ seconds = null } = {}) => {
    await page.goto(proxy.url + "#/config");
    await page.getByRole("button", { name: "Reload" }).click();
    if (seconds !== null) {
      await page.getByLabel("Go back unless I confirm within").check();
      await page.getByLabel("Seconds").fill(String(seconds));
    }
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  };
  const says = (text) => page.locator(".toast").getByText(text, { exact: true }).waitFor();
  const shownGeneration = (number) => page.locator(".page-head").getByText(`generation ${number}`, { exact: true }).waitFor();
  const isOver = () => page.locator(".awaiting").waitFor({ state: "hidden" });
  const first = await generation();
  assert.match(await proxy.answer("/who"), /^hello from (one|two|three)$/m);

  // The route api sends its requests to the other pool.
  await writeFile(proxy.file, proxy.text.replace('path = "/*"\npool = "api"', 'path = "/*"\npool = "images"'));
  await reload({ seconds: 90 });
  await says(`Reloaded: generation ${first + 1}.`);
  await page.getByText(/The configuration in force goes back in 1.min unless it is confirmed\./).waitFor();
  assert.deepEqual([await generation(), await isOnTrial(), await proxy.answer("/who")], [first + 1, true, "hello from four\n"]);
  await page.goto(proxy.url + "#/");
  await page.getByRole("button", { name: "Confirm it" }).click();
  await says(`Generation ${first + 1} is confirmed.`);
  await isOver();
  assert.deepEqual([await generation(), await isOnTrial(), await proxy.answer("/who")], [first + 1, false, "hello from four\n"]);

  await writeFile(proxy.file, proxy.text);
  await reload({ seconds: 3600 });
  await page.getByText(/goes back in 59.min unless it is confirmed/).waitFor();
  assert.deepEqual([await generation(), await isOnTrial()], [first + 2, true]);
  assert.match(await proxy.answer("/who"), /^hello from (one|two|three)$/m);
  await page.getByRole("button", { name: "Go back now" }).click();
  await says(`The previous configuration is in force again, as generation ${first + 3}.`);
  await isOver();
  await shownGeneration(first + 3);
  assert.deepEqual([await generation(), await isOnTrial(), await proxy.answer("/who")], [first + 3, false, "hello from four\n"]);
  // The file still has what was taken back.
  await page.getByRole("heading", { name: "1 change in the file since it was loaded" }).waitFor();

  await reload();
  await shownGeneration(first + 4);
  assert.match(await proxy.answer("/who"), /^hello from (one|two|three)$/m);
  check();
  await page.close();
});

test("each page of a real process is accessible and silent", async () => {
  for (const scheme of ["light", "dark"]) {
    const { page, faults } = await open(chrome.context, proxy.url, { scheme, allow: [/404/] });
    for (const path of ["", "pools", "pools/api", "pools/api/servers/one", "cache", "events", "requests", "config"]) {
      await page.goto(proxy.url + "#/" + path);
      await page.locator(".health").getByText("All is well").waitFor();
      await page.locator("#main h1").waitFor();
      assert.deepEqual(await axe(page), [], `#/${path} in ${scheme}`);
    }
    assert.deepEqual(faults, []);
    await page.close();
  }
});

test("the page's policy lets nothing in", async () => {
  const { headers } = await fetch(proxy.url, { headers: { accept: "text/html" } });
  assert.match(headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
  const { page, faults } = await open(chrome.context, proxy.url, { allow: [/policy|Content Security Policy|Trusted/] });
  const did = await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.text = "window.injected = true";
    } catch {
      // Trusted types refuse it already.
    }
    document.body.append(script);
    document.body.insertAdjacentElement("beforeend", Object.assign(document.createElement("img"), { src: "http://127.0.0.1:9/x.png" }));
    return window.injected === true;
  });
  assert.equal(did, false);
  assert.deepEqual(faults.filter((fault) => !fault.includes("127.0.0.1:9")), []);
  await page.close();
});

test("a token is asked for, refused when wrong, and kept for the tab alone", async () => {
  const other = await startProxy({ token: "open sesame, please" });
  try {
    const { page, faults } = await open(chrome.context, other.url, { path: "pools", allow: [/401/] });
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("The token is wrong.").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("Token").fill("open sesame, please");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "images" }).waitFor();
    assert.match(page.url(), /#\/pools$/);
    await page.reload();
    await page.getByRole("link", { name: "images" }).waitFor();
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    const fresh = await open(chrome.context, other.url, { allow: [/401/] });
    await fresh.page.getByLabel("Token").waitFor();
    assert.deepEqual([...faults, ...fresh.faults], []);
    await fresh.page.close();
    await page.close();
  } finally {
    await other.close();
  }
});
