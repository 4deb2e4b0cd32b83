// Explain, the configuration and the audit of a real evenkeel: what the pages show is what the API answers.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { axe, launch, open, until } from "./support/browser.mjs";
import { startProxy } from "./support/proxy.mjs";

let [chrome, proxy] = [];
before(async () => {
  [chrome, proxy] = await Promise.all([launch(), startProxy()]);
});
after(async () => {
  await proxy?.close();
  await chrome?.close();
});

const json = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const put = (path, body) => proxy.api(path, { ...json(body), method: "PUT" });

test("explain says where a request would go, and why each server was or was not chosen", async () => {
  await put("pools/api/servers/two", { state: "drain" });
  const { page, check } = await open(chrome.context, proxy.url, { path: "explain" });
  await page.getByLabel("URL").fill("http://shop.example.com/items/7");
  await page.getByLabel("Headers, one a line").fill("x-canary: 1\naccept: text/html\naccept: text/plain");
  await page.keyboard.press("Tab");
  await page.getByRole("button", { name: "Explain" }).click();
  const said = await proxy.api("explain", json({ method: "GET", url: "http://shop.example.com/items/7" }));
  const verdict = page.locator(".verdict");
  await verdict.getByText(said.reason).waitFor();
  // Of two servers with as few requests in flight, chance chooses.
  assert.match(await verdict.innerText(), /goes to server (one|three) .* of pool api/);
  const rows = page.locator("table", { hasText: "Servers considered" }).locator("tbody tr");
  assert.equal(await rows.count(), 3);
  const drained = rows.filter({ hasText: "two" });
  assert.match(await drained.innerText(), /draining/);
  assert.ok((await drained.innerText()).includes(said.candidates.find(({ server }) => server === "two").why));
  const routes = page.locator("table", { hasText: "Routes considered" }).locator("tbody tr");
  assert.match(await routes.first().innerText(), /api[\s\S]*won/);
  assert.match(await routes.nth(1).innerText(), /static[\s\S]*refused/);
  assert.deepEqual(await axe(page), []);
  // The address of the page is the question.
  await page.reload();
  await verdict.getByText(said.reason).waitFor();
  await put("pools/api/servers/two", { state: "ready" });
  check();
  await page.close();
});

test("a request that cannot be is refused in words", async () => {
  const { page, faults } = await open(chrome.context, proxy.url, { path: "explain?url=ftp://shop.example.com/", allow: [/422/] });
  await page.locator("#main .fault").getByText("ftp").waitFor();
  assert.deepEqual(faults, []);
  await page.close();
});

test("the configuration in force is shown, and what commands changed of it", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "config" });
  await page.getByText("What is in force is what the file says.").waitFor();
  const { text, source } = await proxy.api("config");
  assert.equal((await page.locator(".code code").evaluate((it) => it.textContent)).trimEnd(), text.trimEnd());
  await page.getByText(source).waitFor();
  await put("pools/api/servers/three", { weight: 5 });
  await page.reload();
  await page.getByText("1 change by commands").waitFor();
  const { changes } = await proxy.api("config");
  await page.locator(".changes").getByText(changes[0]).waitFor();
  await put("pools/api/servers/three", { weight: 1 });
  await writeFile(proxy.file, proxy.text.replace('algorithm = "least-connections"', 'algorithm = "round-robin"'));
  await page.reload();
  await page.getByText("1 change in the file since it was loaded").waitFor();
  const { file } = await proxy.api("config");
  await page.locator(".changes").getByText(file.changes[0]).waitFor();
  await writeFile(proxy.file, proxy.text.replace("algorithm", "algoritm"));
  await page.reload();
  await page.locator(".panel", { hasText: "The file is wrong" }).getByText("algoritm").waitFor();
  await writeFile(proxy.file, proxy.text);
  check();
  await page.close();
});

test("a disabled server is shown as such, and enabled again", async () => {
  const { page, check } = await open(chrome.context, proxy.url, { path: "pools/api/servers/one" });
  await page.getByRole("button", { name: "Disable one" }).click();
  await page.getByLabel("Why?").fill("is it the network? tr\u00e8s lent");
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await page.locator(".server-state .badge").getByText("disabled").waitFor();
  await until(async () => {
    const { events } = await proxy.api("events?kind=operator");
    return events.some(({ server, why }) => server === "one" && why === "is it the network? tr\u00e8s lent");
  }, "the event has the reason");
  await page.getByRole("button", { name: "Enable one" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Enable" }).click();
  await page.locator(".server-state .badge").getByText("up", { exact: true }).waitFor();
  check();
  await page.close();
});
