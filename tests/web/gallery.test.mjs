// The gallery: tiles, keyboard, details, "use these settings", download, delete; and the key of a server that wants one.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { PROMPT, generate, missing, open, screenshot, startBrowser, startServer } from "./page.mjs";

const KEY = "a-key-for-the-tests-only";
let server, browser, page;

before(async () => {
  if (missing) return;
  server = await startServer([], { key: KEY });
  browser = await startBrowser();
  page = browser.page;
});

after(async () => {
  await server?.stop();
  await browser?.stop();
});

test("asks for the key, again after a wrong one, and keeps it in the tab only", { skip: missing }, async () => {
  await page.goto(server.base);
  await page.fill("#key-text", "wrong");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("key-problem").textContent.includes("did not take"));
  await page.fill("#key-text", KEY);
  await screenshot(page, "key");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".phases");
  assert.equal(await page.evaluate((key) => JSON.stringify(localStorage).includes(key), KEY), false);
  assert.equal(await page.evaluate((key) => JSON.stringify(sessionStorage).includes(key), KEY), true);
});

test("shows what was made, newest first", { skip: missing }, async () => {
  await page.fill("#prompt", PROMPT);
  await page.fill("#steps", "4");
  await page.fill("#seed", "11");
  await generate(page);
  await page.fill("#prompt", "a small red circle on a white background");
  await page.fill("#steps", "5");
  await page.fill("#seed", "12");
  await page.fill("#cfg_scale", "3");
  await generate(page);
  await page.waitForFunction(() => document.querySelectorAll("#gallery-grid img").length === 2);
  await page.locator("#gallery-grid img").first().evaluate((img) => img.decode());
  const names = await page.locator("#gallery-grid button").evaluateAll((list) => list.map((one) => one.getAttribute("aria-label")));
  assert.match(names[0], /^a small red circle/);
  assert.match(names[1], /^a large yellow star/);
});

test("is walked through by arrow keys, and Escape closes and gives the focus back", { skip: missing }, async () => {
  await page.locator("#gallery-grid button").first().focus();
  await page.keyboard.press("ArrowRight");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /yellow star/);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 4"));
  assert.equal(await page.textContent("#details-prompt"), PROMPT);
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 5"));
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 4"));
  await page.locator("#details-image").evaluate((img) => img.decode());
  await screenshot(page, "details");
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#details"), false);
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /yellow star/);
});

test("gives the settings back, and with them the same picture", { skip: missing }, async () => {
  await page.locator("#gallery-grid button").nth(1).click();
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 4"));
  await page.click("#details-use");
  assert.equal(await page.inputValue("#prompt"), PROMPT);
  assert.equal(await page.inputValue("#steps"), "4");
  assert.equal(await page.inputValue("#seed"), "11");
  assert.equal(await page.inputValue("#cfg_scale"), "7");
});

test("saves the picture's file", { skip: missing }, async () => {
  await page.locator("#gallery-grid button").first().click();
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 5"));
  const download = page.waitForEvent("download");
  await page.click("#details-download");
  const bytes = readFileSync(await (await download).path());
  assert.equal(bytes.subarray(1, 4).toString("latin1"), "PNG");
  assert.ok(bytes.includes("a small red circle"));
  await page.keyboard.press("Escape");
});

test("deletes after asking twice", { skip: missing }, async () => {
  await page.locator("#gallery-grid button").first().click();
  await page.click("#details-delete");
  assert.equal(await page.textContent("#details-delete"), "Really delete?");
  await page.click("#details-delete");
  await page.waitForFunction(() => document.querySelectorAll("#gallery-grid button").length === 1);
  assert.equal(await page.isVisible("#details"), false);
  assert.match(await page.locator("#gallery-grid button").getAttribute("aria-label"), /yellow star/);
});
