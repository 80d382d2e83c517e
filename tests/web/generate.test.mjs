// Making pictures: progress, the result, cancelling, the queue, errors, what is remembered.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PROMPT, generate, missing, open, screenshot, startBrowser, startServer } from "./page.mjs";

let server, browser, page;

before(async () => {
  if (missing) return;
  server = await startServer();
  browser = await startBrowser();
  page = browser.page;
});

after(async () => {
  await server?.stop();
  await browser?.stop();
});

const slow = async () => {
  await page.fill("#width", "512");
  await page.fill("#height", "512");
  await page.fill("#steps", "150");
};

test("makes the example's picture and shows how far it is", { skip: missing }, async () => {
  await open(page, server.base);
  await screenshot(page, "empty");
  await page.click("#example");
  assert.equal(await page.inputValue("#prompt"), PROMPT);
  assert.equal(await page.inputValue("#width"), "128");
  await page.fill("#steps", "20");
  const seen = new Set();
  await page.exposeFunction("seen", (value) => seen.add(value));
  await page.evaluate(() => {
    const bar = document.getElementById("run-progress");
    new MutationObserver(() => window.seen(bar.value)).observe(bar, { attributes: true });
  });
  await generate(page);
  const values = [...seen];
  assert.ok(values.length > 1, `progress came as ${values}`);
  assert.deepEqual(values, [...values].sort((a, b) => a - b));
  const picture = page.locator("#run-pictures img");
  assert.deepEqual(await picture.evaluate((img) => img.decode().then(() => [img.naturalWidth, img.naturalHeight])), [128, 128]);
  assert.match(await page.textContent("#run-words"), /^Done in .*128×128 · seed \d+$/);
  await page.waitForSelector("#gallery-grid button");
  await screenshot(page, "done");
});

test("asks again and again where the stream of events breaks off", { skip: missing }, async () => {
  let asked = 0;
  await page.route("**/events", (route) => {
    asked++;
    return route.abort();
  });
  await generate(page);
  assert.equal(asked, 1);
  assert.match(await page.textContent("#run-words"), /^Done/);
  await page.unroute("**/events");
});

test("draws a batch and locks the last seed", { skip: missing }, async () => {
  await page.fill("#batch_size", "2");
  await page.fill("#steps", "4");
  await page.click("#seed-last");
  const seed = await page.inputValue("#seed");
  assert.match(seed, /^\d+$/);
  await generate(page);
  assert.equal(await page.locator("#run-pictures img").count(), 2);
  assert.match(await page.textContent("#run-words"), new RegExp(`seed ${seed}$`));
  await page.click("#seed-random");
  await page.fill("#batch_size", "1");
});

test("shows a preview while it works, and cancels", { skip: missing }, async () => {
  await slow();
  await page.click("#generate");
  await page.waitForSelector("#run-pictures img.preview");
  await page.waitForFunction(() => document.querySelector("#run-pictures img.preview")?.naturalWidth > 0);
  await screenshot(page, "running");
  await page.click("#run-cancel");
  await page.waitForFunction(() => document.getElementById("run-words").textContent === "Cancelled");
  assert.equal(await page.isVisible("#run-cancel"), false);
});

test("lists what waits, and takes one out of it", { skip: missing }, async () => {
  await page.click("#generate");
  await page.waitForFunction(() => document.getElementById("run-progress").value > 0);
  await page.fill("#prompt", "a small green square on a white background");
  await page.click("#generate");
  const row = page.locator("#queue-list li", { hasText: "a small green square" });
  await row.waitFor();
  await screenshot(page, "queue");
  await row.getByRole("button").click();
  await row.waitFor({ state: "detached" });
  await page.click("#run-cancel");
  await page.waitForFunction(() => document.getElementById("run-words").textContent === "Cancelled");
});

test("says what is wrong beside the field, its own and the server's", { skip: missing }, async () => {
  await page.fill("#steps", "500");
  await page.click("#generate");
  assert.equal(await page.textContent('[data-field="steps"] .problem'), "Steps goes from 1 to 150.");
  assert.equal(await page.evaluate(() => document.activeElement.id), "steps");
  await page.fill("#steps", "4");
  assert.equal(await page.locator('[data-field="steps"] .problem').count(), 0);
  await page.fill("#seed", "99999999999");
  await page.click("#generate");
  await page.waitForSelector('[data-field="seed"] .problem');
  assert.match(await page.textContent('[data-field="seed"] .problem'), /seed/i);
  await page.fill("#seed", "");
});

test("tells how the server and its worker are", { skip: missing }, async () => {
  const look = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  const shows = (state) => page.waitForSelector(`#server[data-state="${state}"]`);
  await page.route("**/health", (route) => route.fulfill({
    json: { worker: { up: false, restarts: 2, last_death: "the worker was ended by signal 9" } },
  }));
  await look();
  await shows("restarting");
  assert.match(await page.textContent("#server-words"), /being restarted/);
  assert.match(await page.getAttribute("#server", "title"), /signal 9/);
  await page.unroute("**/health");
  await page.route("**/health", (route) => route.abort());
  await look();
  await shows("down");
  assert.equal(await page.textContent("#server-words"), "The server does not answer");
  await page.unroute("**/health");
  await look();
  await shows("up");
});

test("shows why a job failed", { skip: missing }, async () => {
  await page.route("**/events", (route) => route.abort());
  await page.route("**/queue/*?image=false", async (route) => {
    const json = await (await route.fetch()).json();
    await route.fulfill({ json: { ...json, state: "error", error: "the model's file ends early" } });
  });
  await page.click("#generate");
  await page.waitForSelector("#run-problem:not([hidden])");
  assert.equal(await page.textContent("#run-problem"), "the model's file ends early");
  assert.equal(await page.textContent("#run-words"), "Failed");
  await page.unroute("**/events");
  await page.unroute("**/queue/*?image=false");
});

test("remembers the form", { skip: missing }, async () => {
  await page.fill("#prompt", "a blue triangle");
  await page.fill("#cfg_scale", "5.5");
  await page.click('#ratios button:text-is("3:2")');
  await page.click("#swap");
  const [width, height] = [await page.inputValue("#width"), await page.inputValue("#height")];
  assert.ok(Number(height) > Number(width));
  await page.waitForTimeout(400);
  await open(page, server.base);
  assert.equal(await page.inputValue("#prompt"), "a blue triangle");
  assert.equal(await page.inputValue("#cfg_scale"), "5.5");
  assert.deepEqual([await page.inputValue("#width"), await page.inputValue("#height")], [width, height]);
});
