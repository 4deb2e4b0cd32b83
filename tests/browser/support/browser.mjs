// Chromium, and a page that notes what no page of the dashboard may do: console errors, requests to other hosts, violations of its
// policy.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";

import { CSP, TYPES } from "../mock/server.mjs";

// The packages lie below target, not beside this file.
const require = createRequire(join(process.env.EVENKEEL_BROWSER_MODULES ?? process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
export const AXE = require("axe-core").source;

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** For a condition on a page to come true, on a busy machine. */
export const DEADLINE_MS = 20_000;

/** Starts a Chromium with a profile of its own; `close` removes it. */
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), "evenkeel-browser-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.EVENKEEL_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS, headless: true, viewport: { width: 1360, height: 900 },
  });
  const close = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { browser: browser.browser() ?? browser, context: browser, close };
}

/**
 * Opens a page of the dashboard at `url`. `faults` fills with what it must not do; `allow` are patterns of console messages that may come;
 * `first` runs in the page before its own code.
 */
export async function open(context, url, { scheme = "light", path = "", allow = [], viewport = null, first = null } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const faults = [];
  const origin = new URL(url).origin;
  page.on("console", (message) => {
    const text = `${message.text()} (${message.location().url})`;
    if (["error", "warning"].includes(message.type()) && !allow.some((pattern) => pattern.test(text))) faults.push(text);
  });
  page.on("pageerror", (fault) => faults.push(fault.stack));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin && !request.url().startsWith("data:")) faults.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
  });
  if (first) await page.addInitScript(first);
  // Without a new build: the files of this directory in place of those in the binary, under the same policy.
  const web = process.env.EVENKEEL_WEB;
  if (web) await page.route(isFile, (route) => route.fulfill({ path: join(web, name(route.request().url())), headers: { "content-security-policy": CSP, "content-type": TYPES[extname(name(route.request().url()))] } }));
  if (viewport) await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(url + "#/" + path);
  const check = () => assert.deepEqual(faults, []);
  return { page, faults, check };
}

const isFile = ({ pathname }) => pathname === "/" || pathname.startsWith("/assets/");
const name = (url) => new URL(url).pathname.replace(/^\/$/, "/assets/index.html").slice("/assets/".length);

/** Waits until `condition` holds; its failures are the message when it never does. */
export async function until(condition, what) {
  const deadline = Date.now() + DEADLINE_MS;
  let last = null;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (fault) {
      last = fault;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${DEADLINE_MS} ms: ${last?.stack ?? JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What axe-core finds that is serious or critical. */
export async function axe(page) {
  // As a function of the test, not of the page: the page's policy forbids scripts that are not files of its own.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" | ")}`);
  });
}
