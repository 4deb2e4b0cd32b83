// The flight recorder of a real evenkeel, as the dashboard shows it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { axe, launch, open } from "./support/browser.mjs";
import { startProxy } from "./support/proxy.mjs";

let [chrome, proxy] = [];
before(async () => {
  [chrome, proxy] = await Promise.all([launch(), startProxy()]);
});
after(async () => {
  await proxy?.close();
  await chrome?.close();
});

test("a failed request is found, and shown as a timeline", async () => {
  const servers = proxy.backends.slice(0, 3);
  servers.forEach((it) => { it.mode.failing = true; });
  assert.equal(await proxy.traffic.send("/items/lost?page=2", { cookie: "session=secret" }), 502);
  servers.forEach((it) => { it.mode.failing = false; });
  const { page, check } = await open(chrome.context, proxy.url, { path: "requests" });
  await page.getByLabel("Only failed").check();
  await page.getByRole("searchbox").fill("/items/lost");
  const row = page.locator(".requests tbody tr").filter({ hasText: "/items/lost?page=2" });
  await row.waitFor();
  assert.match(await row.innerText(), /502/);
  assert.match(page.url(), /failed=1/);
  assert.deepEqual(await axe(page), []);
  await row.getByRole("link").first().click();
  const [summary] = (await proxy.api("requests?q=/items/lost")).requests;
  const record = await proxy.api(`requests/${summary.id}`);
  await page.getByRole("heading", { name: `Request ${summary.id}` }).waitFor();
  await page.getByText(record.verdict).waitFor();
  const steps = page.locator(".timeline tbody tr");
  assert.equal(await steps.count(), record.steps.length);
  for (const [index, step] of record.steps.entries()) assert.ok((await steps.nth(index).innerText()).includes(step.what), step.what);
  assert.ok(!(await page.locator("#main").innerText()).includes("secret"), "the cookie is not shown");
  assert.deepEqual(await axe(page), []);
  await page.getByRole("link", { name: "Explain the same request now" }).click();
  await page.locator(".verdict").getByText("goes to server").waitFor();
  check();
  await page.close();
});

test("a server shows the requests that failed on it", async () => {
  const { requests } = await proxy.api("requests?failed=true&limit=1");
  const [{ server, target }] = requests;
  const { page, check } = await open(chrome.context, proxy.url, { path: `pools/api/servers/${server}` });
  await page.getByRole("link", { name: `GET ${target}` }).first().waitFor();
  await page.getByRole("link", { name: "All failed requests of this server" }).click();
  await page.locator(".requests tbody tr").filter({ hasText: target }).first().waitFor();
  check();
  await page.close();
});
