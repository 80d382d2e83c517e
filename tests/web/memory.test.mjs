// The memory panel: the plan as the form changes, and warnings before anything is asked for.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { missing, open, screenshot, startBrowser, startServer } from "./page.mjs";

let server, browser, page;

before(async () => {
  if (missing) return;
  server = await startServer(["--max-image-size", "256x256", "--memory-budget", "60M"]);
  browser = await startBrowser();
  page = browser.page;
});

after(async () => {
  await server?.stop();
  await browser?.stop();
});

const MULTIPLES = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };
const bytes = async (row) => {
  const text = await page.locator(".phases tr", { hasText: row }).locator("td").first().textContent();
  const [number, unit] = text.split(" ");
  return Number(number) * MULTIPLES[unit];
};

/** Waits for the answer to the change that act makes. */
const replanned = async (act) => {
  const answer = page.waitForResponse((one) => one.url().endsWith("/plan"));
  await act();
  await answer;
  await page.waitForFunction(() => document.getElementById("cost-body").getAttribute("aria-busy") === "false");
};

test("tells bytes by phase, and they follow the form", { skip: missing }, async () => {
  await open(page, server.base);
  for (const phase of ["text encode", "denoise", "vae decode"])
    assert.equal(await page.locator(".phases th", { hasText: phase }).count(), 1, phase);
  assert.equal(await page.locator(".phases .bar").count() >= 3, true);
  const before = await bytes("vae decode");
  await replanned(() => page.fill("#width", "256"));
  assert.ok((await bytes("vae decode")) > before);
  assert.match(await page.textContent("#cost-short"), / of .* · (about|less than) /);
  assert.match(await page.textContent("#cost-machine"), /level/);
});

test("warns before a size is reduced, and offers what will be made", { skip: missing }, async () => {
  await page.fill("#height", "1024");
  await replanned(() => page.fill("#width", "1024"));
  await page.waitForSelector("#size-warning");
  assert.match(await page.textContent("#size-warning"), /1024×1024 will become 256×256/);
  assert.match(await page.textContent("#cost-short"), /Will be 256×256 instead of 1024×1024/);
  await screenshot(page, "size-warning");
  await replanned(() => page.getByRole("button", { name: "Use 256×256" }).click());
  assert.equal(await page.inputValue("#width"), "256");
  assert.equal(await page.locator("#size-warning").count(), 0);
});

test("warns where a size is refused, and says what would fit", { skip: missing }, async () => {
  await page.locator("#more-part > summary").click();
  await page.selectOption("#size_policy", "refuse");
  await page.fill("#height", "4096");
  await replanned(() => page.fill("#width", "4096"));
  await page.waitForSelector("#size-refused");
  assert.match(await page.textContent("#size-refused"), /4096×4096 needs .* would fit\./);
  assert.equal(await page.textContent("#cost-short"), "Does not fit into memory");
  await screenshot(page, "size-refused");
  const offer = page.getByRole("button", { name: /^Use \d+×\d+$/ });
  const [width, height] = (await offer.textContent()).match(/\d+/g);
  await offer.click();
  assert.deepEqual([await page.inputValue("#width"), await page.inputValue("#height")], [width, height]);
  await page.selectOption("#size_policy", "");
  await page.fill("#height", "256");
  await page.fill("#width", "256");
  await page.waitForSelector(".phases");
});

test("says nothing while a number is half typed", { skip: missing }, async () => {
  await page.fill("#width", "2");
  await page.waitForTimeout(600);
  assert.equal(await page.locator("#size-refused").count(), 0);
  await replanned(() => page.fill("#width", "264"));
});
